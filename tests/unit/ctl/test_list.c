/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists as tables and JSON, what an administrator does, and completion. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "ctl/ctl.h"
#include "fake.h"

START_TEST(test_list_types)
{
    expect_run(0,
               "TYPE  PLUGIN METHODS ACTORS         TURNS FAILED PLACEMENT MAILBOX    IDLE SERVICE\n"
               "every plug         1      0 1234567890123      0 hash           64 0:01:30 quark.every.Every\n",
               "", "types");
    expect_run(0, "every 1234567890123\n", "", "types", "-n", "-r", "-o", "Type,TURNS");
    expect_run(0, "SERVICE           TYPE\nquark.every.Every every\n", "", "types", "--output=service,type");
    expect_run(2, "",
               "error[QK0405]: there is no column `srvice`\n     = note: did you mean `SERVICE`?\n"
               "     = help: the columns are TYPE, PLUGIN, METHODS, ACTORS, TURNS, FAILED, PLACEMENT, MAILBOX, IDLE, "
               "SERVICE\n",
               "types", "-o", "type,srvice");
}
END_TEST

START_TEST(test_list_types_json_is_the_message)
{
    struct run run = run_ctl("types", "--json", NULL);
    ck_assert_int_eq(run.exit_code, 0);
    ck_assert_ptr_nonnull(strstr(run.out, "\"turns\": \"1234567890123\""));
    ck_assert_ptr_nonnull(strstr(run.out, "\"idleMs\": 90000"));
    struct qk_arena arena;
    struct qk_json_error error;
    ProtobufCMessage *message;
    qk_arena_init(&arena, 1 << 20);
    ck_assert_int_eq(
        qk_json_parse(&quark__admin__types_reply__descriptor, run.out, strlen(run.out), NULL, &arena, &error, &message),
        0);
    ck_assert_str_eq(((Quark__Admin__TypesReply *)message)->types[0]->plugin, "plug");
    qk_arena_finish(&arena);
    run_finish(&run);
}
END_TEST

START_TEST(test_list_methods_of_a_type)
{
    struct run run = run_ctl("types", "every", NULL);
    ck_assert_int_eq(run.exit_code, 0);
    static const char head[] = "METHOD PART    FIELD      TYPE                      NOTE\n"
                               "Do     request a_double   double                    read-only, deadline 1500 ms\n"
                               "Do     request a_float    float                     \n";
    ck_assert_int_eq(strncmp(run.out, head, strlen(head)), 0);
    ck_assert_ptr_nonnull(strstr(run.out, "Do     reply   words      repeated string "));
    ck_assert_ptr_nonnull(
        strstr(run.out, "Watch  request number     int32                     one-way, one of what\n"));
    ck_assert_ptr_null(strstr(run.out, "Watch  reply"));
    run_finish(&run);
    run = run_ctl("types", "every", "--json", NULL);
    ck_assert_ptr_nonnull(strstr(run.out, "\"name\": \"quark.every.Inner\""));
    ck_assert_ptr_nonnull(strstr(run.out, "\"oneof\": \"what\""));
    run_finish(&run);
}
END_TEST

START_TEST(test_list_actors)
{
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    Quark__Admin__ActorsReply actors = QUARK__ADMIN__ACTORS_REPLY__INIT;
    Quark__Admin__Actor actor = QUARK__ADMIN__ACTOR__INIT, *list[] = {&actor};
    actor.type = "every";
    actor.key = "a\tb";
    actor.state = "idle";
    actor.turns = 3;
    actor.idle_ms = 250;
    actors.n_actors = 1;
    actors.actors = list;
    actors.total = 7;
    reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_ACTORS;
    reply.actors = &actors;
    fake.admin = &reply;
    expect_run(0, "TYPE  KEY    STATE MAILBOX TURNS   IDLE\nevery a\\x09b idle        0     3 250 ms\n",
               "1 of 7 shown; --limit N shows more\n", "actors", "every/a");
    expect_run(0, NULL, "1 of 7 shown; one reply holds no more: name a TYPE/PREFIX\n", "actors", "--limit", "5");
    expect_run(2, "", NULL, "actors", "--limit", "0");
    expect_run(2, "", NULL, "actors", "--limit", "x");
    expect_run(
        0,
        "{\n  \"actors\": [\n    {\n      \"type\": \"every\",\n      \"key\": \"a\\tb\",\n      \"state\": \"idle\",\n"
        "      \"mailbox\": 0,\n      \"turns\": \"3\",\n      \"idleMs\": \"250\"\n    }\n  ],\n  \"total\": "
        "\"7\"\n}\n",
        "", "actors", "--json");
    actors.n_actors = 0;
    actors.total = 0;
    expect_run(0, "", "", "actors");
    expect_run(0, "{\"actors\": [], \"total\": \"0\"}\n", "", "actors", "--json");
}
END_TEST

START_TEST(test_list_plugins)
{
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    Quark__Admin__PluginsReply plugins = QUARK__ADMIN__PLUGINS_REPLY__INIT;
    Quark__Admin__Plugin good = QUARK__ADMIN__PLUGIN__INIT, bad = QUARK__ADMIN__PLUGIN__INIT;
    Quark__Admin__Plugin apart = QUARK__ADMIN__PLUGIN__INIT, down = QUARK__ADMIN__PLUGIN__INIT;
    Quark__Admin__Plugin *list[] = {&good, &apart, &down, &bad};
    char *types[] = {"a", "b"};
    good.name = "good";
    good.version = "1.2";
    good.state = "loaded";
    good.abi = "1.0";
    good.file = "/p/good.so";
    good.n_types = 2;
    good.types = types;
    good.isolation = "none";
    apart = good;
    apart.name = "apart";
    apart.isolation = "process";
    apart.process = "running";
    apart.pid = 4711;
    down = apart;
    down.name = "down";
    down.pid = 0;
    down.process = "waiting";
    down.restarts = 12;
    bad.state = "refused";
    bad.file = "/p/bad.so";
    bad.code = "QK0301";
    bad.reason = "it is no plugin";
    plugins.n_plugins = 4;
    plugins.plugins = list;
    reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_PLUGINS;
    reply.plugins = &plugins;
    fake.admin = &reply;
    expect_run(0,
               "PLUGIN VERSION STATE   TYPES ABI ISOLATION     PID RESTARTS CODE   FILE       REASON\n"
               "good   1.2     loaded  a,b   1.0 none            -        - -      /p/good.so \n"
               "apart  1.2     loaded  a,b   1.0 process      4711        0 -      /p/good.so \n"
               "down   1.2     loaded  a,b   1.0 process   waiting       12 -      /p/good.so \n"
               "-      -       refused -     -   -               -        - QK0301 /p/bad.so  it is no plugin\n",
               "", "plugins");
}
END_TEST

START_TEST(test_list_services)
{
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    Quark__Admin__PluginsReply plugins = QUARK__ADMIN__PLUGINS_REPLY__INIT;
    Quark__Admin__Plugin time = QUARK__ADMIN__PLUGIN__INIT, none = QUARK__ADMIN__PLUGIN__INIT, *list[] = {&none, &time};
    Quark__Admin__Service clock = QUARK__ADMIN__SERVICE__INIT, diary = QUARK__ADMIN__SERVICE__INIT;
    Quark__Admin__Service *services[] = {&clock, &diary};
    char *needs[] = {"time/clock", "paper/pen"};
    clock.name = "clock";
    clock.plugin = diary.plugin = "time";
    clock.lifetime = "singleton";
    diary.name = "diary";
    diary.lifetime = "scoped";
    diary.n_needs = 2;
    diary.needs = needs;
    time.n_services = 2;
    time.services = services;
    plugins.n_plugins = 2;
    plugins.plugins = list;
    reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_PLUGINS;
    reply.plugins = &plugins;
    fake.admin = &reply;
    expect_run(0,
               "SERVICE PLUGIN LIFETIME  NEEDS\n"
               "clock   time   singleton -\n"
               "diary   time   scoped    time/clock, paper/pen\n",
               "", "services");
    time.n_services = 1;
    expect_run(
        0,
        "{\n  \"services\": [\n    {\n      \"name\": \"clock\",\n      \"plugin\": \"time\",\n      \"lifetime\": "
        "\"singleton\",\n      \"needs\": []\n    }\n  ]\n}\n",
        "", "services", "--json");
    time.n_services = 0;
    expect_run(0, "", "", "services");
    expect_run(0, "{\"services\": []}\n", "", "services", "--json");
}
END_TEST

START_TEST(test_list_top_once)
{
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    Quark__Admin__TopReply top = QUARK__ADMIN__TOP_REPLY__INIT;
    Quark__Admin__TopType a = QUARK__ADMIN__TOP_TYPE__INIT, b = QUARK__ADMIN__TOP_TYPE__INIT, *list[] = {&a, &b};
    a.name = "apple";
    a.turns = 5;
    b.name = "berry";
    b.turns = 9;
    b.queued = 2;
    top.n_types = 2;
    top.types = list;
    reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_TOP;
    reply.top = &top;
    fake.admin = &reply;
    expect_run(
        0,
        "workers\n\nTYPE  ACTORS TURNS/S FAILED/S TURN WAIT QUEUED TURNS\n"
        "berry      0       0        0    -    -      2     9\napple      0       0        0    -    -      0     5\n",
        "", "top", "--once", "--delay", "1ms", "--sort", "turns");
    expect_run(0, "apple 5\n", "", "top", "--once", "--delay", "1ms", "--filter", "a", "-n", "-r", "-o", "type,turns");
    expect_run(2, "", NULL, "top", "--once", "--sort", "colour");
}
END_TEST

START_TEST(test_list_deactivate)
{
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    Quark__Admin__DeactivateReply deactivate = QUARK__ADMIN__DEACTIVATE_REPLY__INIT;
    reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_DEACTIVATE;
    reply.deactivate = &deactivate;
    fake.admin = &reply;
    expect_run(0, "", "every/a was not in memory\n", "deactivate", "every/a");
    deactivate.was_active = true;
    expect_run(0, "", "every/a is taken out of memory\n", "deactivate", "every/a");
    expect_run(0, "{\"wasActive\": true}\n", "", "deactivate", "every/a", "--json");
    fake.admin_status = QK_ENOTFOUND;
    expect_run(5, "", NULL, "deactivate", "every/a");
}
END_TEST

START_TEST(test_list_reload)
{
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    Quark__Admin__ReloadReply reload = QUARK__ADMIN__RELOAD_REPLY__INIT;
    char *changed[] = {"silo.drain_timeout", "socket.users"};
    reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_RELOAD;
    reply.reload = &reload;
    fake.admin = &reply;
    expect_run(0, "", "reloaded; nothing is different\n", "reload");
    reload.n_changed = 2;
    reload.changed = changed;
    expect_run(0, "changed          silo.drain_timeout\n                 socket.users\n", "", "reload");
    fake.admin_status = QK_EINVALID;
    fake.error = "error[QK0210]: unknown key `isolaton`";
    expect_run(6, "",
               "error[QK0210]: unknown key `isolaton`\n"
               "error[QK0430]: nothing was changed: the configuration has a mistake\n"
               "     = help: mend it and look with `quarkd --check`, then reload again\n",
               "reload");
}
END_TEST

START_TEST(test_list_config)
{
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    Quark__Admin__ConfigReply config = QUARK__ADMIN__CONFIG_REPLY__INIT;
    Quark__Admin__ConfigKey key = QUARK__ADMIN__CONFIG_KEY__INIT, *list[] = {&key};
    key.key = "silo.name";
    key.value = "\"here\"";
    key.origin = "/etc/quark/quarkd.conf:3";
    key.default_value = "\"\"";
    key.type = "string";
    key.description = "Name of the silo.\nEmpty: the machine's.";
    config.n_keys = 1;
    config.keys = list;
    reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_CONFIG;
    reply.config = &config;
    fake.admin = &reply;
    expect_run(0, "KEY       VALUE  ORIGIN\nsilo.name \"here\" /etc/quark/quarkd.conf:3\n", "", "config", "show");
    expect_run(0,
               "KEY       TYPE   DEFAULT RELOAD  TEXT\n"
               "silo.name string \"\"      restart Name of the silo. Empty: the machine's.\n",
               "", "config", "keys", "silo");
    expect_run(2, "", NULL, "config", "shw");
    config.n_keys = 0;
    expect_run(5, "", NULL, "config", "show", "nothing");
}
END_TEST

START_TEST(test_list_answer_of_another_kind)
{
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    Quark__Admin__StatusReply status = QUARK__ADMIN__STATUS_REPLY__INIT;
    reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_STATUS;
    reply.status = &status;
    fake.admin = &reply;
    expect_run(1, "", NULL, "plugins");
}
END_TEST

START_TEST(test_list_completion)
{
    expect_run(0, "call\nconfig\ncompletion\n", "", "__complete", "1", "quarkctl", "c");
    expect_run(0, "every/\n", "", "__complete", "2", "quarkctl", "call", "ev");
    expect_run(0, "Do\n", "", "__complete", "3", "quarkctl", "call", "every/a", "");
    expect_run(0, "every\n", "", "__complete", "4", "quarkctl", "types", "--socket", "/x", "");
    ck_assert_str_eq(fake.socket, "/x");
    expect_run(0, "--timeout\n", "", "__complete", "2", "quarkctl", "call", "--ti");
    expect_run(0, "key,type\nkey,turns\n", "", "__complete", "3", "quarkctl", "actors", "-o", "key,t");
    expect_run(0, "", "", "__complete", "2", "quarkctl", "nonsense", "");
    expect_run(0, "", "", "__complete", "9", "quarkctl");
    expect_run(0, "", "", "__complete");
    fake.connect_status = -2;
    expect_run(0, "", "", "__complete", "2", "quarkctl", "call", "");
    expect_run(0, NULL, "", "completion", "bash");
    expect_run(2, "", NULL, "completion", "fish");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("list");
    TCase *tc = tcase_create("list");
    tcase_add_checked_fixture(tc, fake_setup, NULL);
    tcase_add_test(tc, test_list_types);
    tcase_add_test(tc, test_list_types_json_is_the_message);
    tcase_add_test(tc, test_list_methods_of_a_type);
    tcase_add_test(tc, test_list_actors);
    tcase_add_test(tc, test_list_plugins);
    tcase_add_test(tc, test_list_services);
    tcase_add_test(tc, test_list_top_once);
    tcase_add_test(tc, test_list_deactivate);
    tcase_add_test(tc, test_list_reload);
    tcase_add_test(tc, test_list_config);
    tcase_add_test(tc, test_list_answer_of_another_kind);
    tcase_add_test(tc, test_list_completion);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
