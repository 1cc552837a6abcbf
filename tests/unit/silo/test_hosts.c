/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A silo beside a plugin that lives in a process of its own, and dies there. */
#include "fixture.h"

#include <admin.pb-c.h>
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <quark/status.h>
#include "base/fnv.h"
#include "plugin/plugins.h"
#include "tenant.pb-c.h"

static char plugins[128];
static uint32_t stuck_ms = 60000;

static void install(const char *name)
{
    char command[512];
    snprintf(plugins, sizeof(plugins), "%s/plugins", fx_dir);
    snprintf(command, sizeof(command), "mkdir -p -m 755 %s && cp %s/%s.so %s/ && chmod go-w %s/*", plugins, TENANT_DIR,
             name, plugins, plugins);
    ck_assert_int_eq(system(command), 0);
}

static void isolate(struct qk_silo_config *config)
{
    static const char *dirs[2];
    dirs[0] = plugins;
    config->plugin_dirs = dirs;
    config->host_program = QUARK_HOST;
    config->isolate = true;
    config->stuck_ms = stuck_ms;
    config->best_effort = SANITIZED;
}

/* What a case begins with: the silo with its plugin, and a client. */
static void begin(const char *plugin, struct peer *p)
{
    install(plugin);
    fx_start(isolate);
    fx_open(p);
}

static void end(struct peer *p)
{
    fx_begin_stop();
    fx_end_stop();
    peer_close(p);
}

static void call(struct peer *p, uint64_t id, const char *method, const char *key, int64_t value)
{
    Tenant__Number in = TENANT__NUMBER__INIT;
    uint8_t bytes[16];
    in.value = value;
    size_t n = tenant__number__pack(&in, bytes);
    peer_call(p, id, qk_fnv64("tenant"), qk_fnv32(method), key, bytes, n, false);
}

static char text[1100];
static bool may_have_run;

/* The next reply: its status, and the number in it. */
static int32_t take(struct peer *p, int64_t *ret_value)
{
    int32_t status;
    struct peer_frame f;
    peer_reply(p, &status, &f);
    snprintf(text, sizeof(text), "%s", f.envelope->reply->text);
    may_have_run = f.envelope->reply->may_have_run;
    if (status >= 0 && ret_value != NULL) {
        Tenant__Number *n = tenant__number__unpack(NULL, f.payload_len, f.payload);
        ck_assert_ptr_nonnull(n);
        *ret_value = n->value;
        tenant__number__free_unpacked(n, NULL);
    }
    peer_free(&f);
    return status;
}

static int32_t ask(struct peer *p, const char *method, const char *key, int64_t value, int64_t *ret_value)
{
    call(p, 1, method, key, value);
    return take(p, ret_value);
}

/* Asks until the plugin's process is there again. */
static int32_t ask_again(struct peer *p, const char *method, const char *key, int64_t value, int64_t *ret_value)
{
    int32_t status;
    do {
        status = ask(p, method, key, value, ret_value);
        if (status == QK_EUNAVAILABLE && strstr(text, "quarantine") != NULL)
            break;
    } while (status == QK_EUNAVAILABLE);
    return status;
}

static Quark__Admin__AdminReply *admin(struct peer *p, const Quark__Admin__AdminRequest *request)
{
    uint8_t bytes[256];
    int32_t status;
    struct peer_frame f;
    size_t n = quark__admin__admin_request__pack(request, bytes);
    peer_admin(p, 9, bytes, n);
    peer_reply(p, &status, &f);
    ck_assert_int_eq(status, 0);
    Quark__Admin__AdminReply *reply = quark__admin__admin_reply__unpack(NULL, f.payload_len, f.payload);
    ck_assert_ptr_nonnull(reply);
    peer_free(&f);
    return reply;
}

static Quark__Admin__AdminReply *list_plugins(struct peer *p)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__PluginsRequest body = QUARK__ADMIN__PLUGINS_REQUEST__INIT;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_PLUGINS;
    request.plugins = &body;
    return admin(p, &request);
}

START_TEST(test_hosts_run_an_isolated_plugin)
{
    struct peer p;
    int64_t value = 0;
    begin("tenant", &p);
    ck_assert_int_eq(ask(&p, "Add", "a", 41, &value), 0);
    ck_assert_int_eq(value, 42);
    ck_assert_int_eq(ask(&p, "Nothing", "a", 41, NULL), QK_ENOTFOUND);
    Quark__Admin__AdminReply *reply = list_plugins(&p);
    ck_assert_uint_eq(reply->plugins->n_plugins, 1);
    const Quark__Admin__Plugin *plugin = reply->plugins->plugins[0];
    ck_assert_str_eq(plugin->name, "tenant");
    ck_assert_str_eq(plugin->isolation, "process");
    ck_assert_str_eq(plugin->process, "running");
    ck_assert_uint_ne(plugin->pid, 0);
    ck_assert_int_ne((pid_t)plugin->pid, getpid());
    ck_assert_uint_eq(plugin->restarts, 0);
    ck_assert_uint_eq(plugin->n_types, 1);
    quark__admin__admin_reply__free_unpacked(reply, NULL);
    end(&p);
}
END_TEST

START_TEST(test_hosts_call_the_silos_own_actors)
{
    struct peer p;
    int64_t value = 0;
    begin("tenant", &p);
    ck_assert_int_eq(ask(&p, "Reach", "a", 5, &value), 0);
    ck_assert_int_eq(value, 5);
    ck_assert_int_eq(ask(&p, "Reach", "b", 5, &value), 0);
    ck_assert_int_eq(value, 10);
    ck_assert_int_eq(fx_ask(&p, S_GET, "shared", 0, &value), 0);
    ck_assert_int_eq(value, 10);
    end(&p);
}
END_TEST

START_TEST(test_hosts_carry_large_messages)
{
    struct peer p;
    static uint8_t bytes[(3 << 20) + 16];
    begin("tenant", &p);
    Tenant__Load load = TENANT__LOAD__INIT;
    uint8_t *data = malloc(3 << 20);
    load.data.data = data;
    load.data.len = 3 << 20;
    for (size_t i = 0; i < load.data.len; i++)
        data[i] = (uint8_t)(i * 7);
    size_t n = tenant__load__pack(&load, bytes);
    peer_call(&p, 1, qk_fnv64("tenant"), qk_fnv32("Carry"), "a", bytes, n, false);
    call(&p, 2, "Add", "b", 1); /* passes it */
    struct peer_frame f;
    int32_t status;
    ck_assert_uint_eq(peer_reply(&p, &status, &f), 2);
    peer_free(&f);
    ck_assert_uint_eq(peer_reply(&p, &status, &f), 1);
    ck_assert_int_eq(status, 0);
    Tenant__Load *got = tenant__load__unpack(NULL, f.payload_len, f.payload);
    ck_assert_ptr_nonnull(got);
    ck_assert_uint_eq(got->data.len, load.data.len);
    size_t wrong = 0;
    for (size_t i = 0; i < load.data.len; i++)
        wrong += got->data.data[i] != (uint8_t)(data[i] + 1);
    ck_assert_uint_eq(wrong, 0);
    tenant__load__free_unpacked(got, NULL);
    peer_free(&f);
    free(data);
    end(&p);
}
END_TEST

/* Each way to die: what was under way fails and says that it may have run, what comes next finds another process, with
 * the state that was kept. The key is another each time, so that none comes into quarantine. */
START_TEST(test_hosts_come_back_when_they_die)
{
    struct peer p;
    int64_t value = 0;
    char key[8];
    begin("tenant", &p);
    snprintf(key, sizeof(key), "d%d", _i);
    ck_assert_int_eq(ask(&p, "Keep", "kept", 0, &value), 0);
    ck_assert_int_eq(value, 1);
    call(&p, 5, "Wait", "waits", 0);
    call(&p, 6, "Die", key, _i);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(take(&p, NULL), QK_ECRASHED);
        ck_assert(may_have_run);
        ck_assert_ptr_nonnull(strstr(text, "tenant"));
    }
    ck_assert_int_eq(ask_again(&p, "Keep", "kept", 0, &value), 0);
    ck_assert_int_eq(value, 2);
    Quark__Admin__AdminReply *reply = list_plugins(&p);
    ck_assert_uint_eq(reply->plugins->plugins[0]->restarts, 1);
    quark__admin__admin_reply__free_unpacked(reply, NULL);
    /* The silo's own actors have not noticed. */
    ck_assert_int_eq(fx_ask(&p, S_ADD, "own", 3, &value), 0);
    end(&p);
}
END_TEST

START_TEST(test_hosts_end_who_is_stuck)
{
    struct peer p;
    stuck_ms = 1000;
    begin("tenant", &p);
    ck_assert_int_eq(ask(&p, "Spin", "s", 0, NULL), QK_ECRASHED);
    ck_assert_ptr_nonnull(strstr(text, "held its thread"));
    ck_assert_ptr_nonnull(strstr(text, "Spin of tenant/s"));
    ck_assert_int_eq(ask_again(&p, "Add", "a", 1, NULL), 0);
    end(&p);
}
END_TEST

static void isolate_impatiently(struct qk_silo_config *config)
{
    isolate(config);
    config->long_turn_ms = 20;
    config->drain_ms = 1;
}

/* Under the code that such a line has in the silo itself. */
START_TEST(test_hosts_tell_who_holds_its_thread)
{
    struct peer p;
    install("tenant");
    fx_start(isolate_impatiently);
    fx_open(&p);
    call(&p, 1, "Spin", "s", 0);
    while (fx_long_turns == 0)
        fx_pump(NULL);
    ck_assert_str_eq(fx_actor, "tenant/s");
    end(&p);
}
END_TEST

START_TEST(test_hosts_quarantine_who_kills_them)
{
    struct peer p;
    begin("tenant", &p);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(ask_again(&p, "Die", "poison", 0, NULL), QK_ECRASHED);
        ck_assert_ptr_nonnull(strstr(text, "Die of tenant/poison"));
    }
    ck_assert_int_eq(ask_again(&p, "Add", "neighbour", 1, NULL), 0);
    ck_assert_int_eq(ask_again(&p, "Die", "poison", 0, NULL), QK_EUNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(text, "quarantine"));
    ck_assert_int_eq(ask(&p, "Add", "neighbour", 1, NULL), 0);
    Quark__Admin__AdminReply *reply = list_plugins(&p);
    ck_assert_uint_eq(reply->plugins->plugins[0]->quarantined, 1);
    ck_assert_uint_eq(reply->plugins->plugins[0]->restarts, 3);
    quark__admin__admin_reply__free_unpacked(reply, NULL);
    end(&p);
}
END_TEST

START_TEST(test_hosts_cancel_when_the_client_goes)
{
    struct peer p, other;
    int64_t value = 0;
    begin("tenant", &p);
    fx_open(&other);
    call(&other, 5, "Wait", "w", 0);
    ck_assert_int_eq(ask(&p, "Add", "a", 1, &value), 0);
    peer_close(&other);
    /* It waits behind that turn, which ends when it learns of it. */
    ck_assert_int_eq(ask(&p, "Add", "w", 1, &value), 0);
    end(&p);
}
END_TEST

START_TEST(test_hosts_list_their_actors)
{
    struct peer p;
    begin("tenant", &p);
    ck_assert_int_eq(ask(&p, "Add", "a", 1, NULL), 0);
    ck_assert_int_eq(ask(&p, "Add", "b", 1, NULL), 0);
    ck_assert_int_eq(fx_ask(&p, S_ADD, "own", 3, NULL), 0);
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__ActorsRequest body = QUARK__ADMIN__ACTORS_REQUEST__INIT;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_ACTORS;
    request.actors = &body;
    Quark__Admin__AdminReply *reply = admin(&p, &request);
    ck_assert_uint_eq(reply->actors->n_actors, 3);
    ck_assert_uint_eq(reply->actors->total, 3);
    quark__admin__admin_reply__free_unpacked(reply, NULL);
    Quark__Admin__DeactivateRequest deactivate = QUARK__ADMIN__DEACTIVATE_REQUEST__INIT;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_DEACTIVATE;
    request.deactivate = &deactivate;
    deactivate.type = (char *)"tenant";
    deactivate.key = (char *)"b";
    reply = admin(&p, &request);
    ck_assert(reply->deactivate->was_active);
    quark__admin__admin_reply__free_unpacked(reply, NULL);
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_ACTORS;
    request.actors = &body;
    body.type = (char *)"tenant";
    reply = admin(&p, &request);
    ck_assert_uint_eq(reply->actors->n_actors, 1);
    ck_assert_str_eq(reply->actors->actors[0]->key, "a");
    quark__admin__admin_reply__free_unpacked(reply, NULL);
    end(&p);
}
END_TEST

/* The pid of the plugin's process; 0: none at the moment. */
static pid_t pid_of_plugin(struct peer *p)
{
    Quark__Admin__AdminReply *reply = list_plugins(p);
    pid_t pid = (pid_t)reply->plugins->plugins[0]->pid;
    quark__admin__admin_reply__free_unpacked(reply, NULL);
    return pid;
}

/* A service manager tells every process of the service that it is to stop: the plugin's waits for the silo's word. */
START_TEST(test_hosts_do_not_end_before_the_silo)
{
    struct peer p;
    begin("tenant", &p);
    pid_t pid = pid_of_plugin(&p);
    call(&p, 5, "Wait", "w", 0);
    ck_assert_int_eq(ask(&p, "Add", "a", 1, NULL), 0);
    kill(pid, SIGTERM);
    kill(pid, SIGINT);
    kill(pid, SIGHUP);
    ck_assert_int_eq(ask(&p, "Add", "a", 1, NULL), 0);
    ck_assert_int_eq(pid_of_plugin(&p), pid);
    fx_begin_stop();
    fx_pump(NULL);
    qk_silo_stop(fx_silo, NULL, NULL);
    fx_end_stop();
    peer_close(&p);
}
END_TEST

/* Killed in the middle of calls of every kind, again and again: each call ends once. */
#define BURST 200

START_TEST(test_hosts_end_each_call_once)
{
    struct peer p;
    begin("tenant", &p);
    for (unsigned round = 0; round < 4; round++) {
        uint8_t seen[BURST + 1] = {0};
        unsigned crashed = 0;
        static const char *const methods[] = {"Add", "Keep", "Reach", "Say"};
        ck_assert_int_eq(ask_again(&p, "Add", "a", 1, NULL), 0);
        pid_t pid = pid_of_plugin(&p);
        ck_assert_int_ne(pid, 0);
        call(&p, 99, "Wait", "w", 0); /* is there when the other is answered, and stays */
        ck_assert_int_eq(ask(&p, "Add", "a", 1, NULL), 0);
        for (unsigned i = 0; i < BURST; i++) {
            char key[16];
            snprintf(key, sizeof(key), "k%u", i % 17);
            call(&p, 100 + i, methods[i % 4], key, 1);
            if (i == BURST / 2)
                kill(pid, SIGKILL);
        }
        for (unsigned i = 0; i <= BURST; i++) {
            int32_t status;
            struct peer_frame f;
            uint64_t id = peer_reply(&p, &status, &f);
            peer_free(&f);
            ck_assert_uint_ge(id, 99);
            ck_assert_uint_lt(id, 100 + BURST);
            ck_assert_uint_eq(seen[id - 99]++, 0);
            ck_assert(status == 0 || status == QK_ECRASHED || status == QK_EUNAVAILABLE);
            crashed += status == QK_ECRASHED;
        }
        ck_assert_uint_gt(crashed, 0);
    }
    end(&p);
}
END_TEST

/* A process that is stopped takes what its ring and the silo's queue hold, and no more; then it goes on. */
START_TEST(test_hosts_that_do_not_read_cost_so_much_and_no_more)
{
    struct peer p;
    begin("tenant", &p);
    pid_t pid = pid_of_plugin(&p);
    unsigned n = 0;
    int32_t status = 0;
    struct peer_frame f;
    static uint8_t bytes[(1 << 20) + 16];
    Tenant__Load load = TENANT__LOAD__INIT;
    load.data.data = calloc(1, 1 << 20);
    load.data.len = 1 << 20;
    size_t size = tenant__load__pack(&load, bytes);
    kill(pid, SIGSTOP);
    for (; n < 100; n++)
        peer_call(&p, n + 1, qk_fnv64("tenant"), qk_fnv32("Measure"), "a", bytes, size, false);
    ck_assert_uint_gt(peer_reply(&p, &status, &f), 60); /* what comes at once was refused */
    peer_free(&f);
    ck_assert_int_eq(status, QK_EOVERLOADED);
    kill(pid, SIGCONT);
    unsigned refused = 1, done = 0;
    while (refused + done < n) {
        peer_reply(&p, &status, &f);
        peer_free(&f);
        ck_assert(status == 0 || status == QK_EOVERLOADED);
        refused += status == QK_EOVERLOADED;
        done += status == 0;
    }
    ck_assert_uint_ge(done, 60);
    free(load.data.data);
    end(&p);
}
END_TEST

START_TEST(test_hosts_write_lines)
{
    struct peer p;
    begin("tenant", &p);
    ck_assert_int_eq(ask(&p, "Say", "a", 12, NULL), 0);
    while (strcmp(fx_text, "tenant/a: the number is 12") != 0)
        qk_loop_poll(fx_control, -1);
    ck_assert_str_eq(fx_actor, "tenant/a");
    end(&p);
}
END_TEST

/* A client asks for the end while turns wait: they are told, and the process ends in time. */
START_TEST(test_hosts_end_with_the_silo)
{
    struct peer p;
    begin("tenant", &p);
    ck_assert_int_eq(ask(&p, "Keep", "k", 0, NULL), 0);
    call(&p, 5, "Wait", "w", 0);
    ck_assert_int_eq(ask(&p, "Add", "a", 1, NULL), 0);
    fx_begin_stop();
    fx_pump(NULL);
    qk_silo_stop(fx_silo, NULL, NULL); /* asked again: no more waiting */
    fx_end_stop();
    peer_close(&p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hosts");
    TCase *tc = tcase_create("hosts");
    tcase_add_checked_fixture(tc, fx_setup, fx_teardown);
    tcase_add_test(tc, test_hosts_run_an_isolated_plugin);
    tcase_add_test(tc, test_hosts_call_the_silos_own_actors);
    tcase_add_test(tc, test_hosts_carry_large_messages);
    tcase_add_loop_test(tc, test_hosts_come_back_when_they_die, 0, SANITIZED ? 3 : 5);
    tcase_add_test(tc, test_hosts_end_who_is_stuck);
    tcase_add_test(tc, test_hosts_tell_who_holds_its_thread);
    tcase_add_test(tc, test_hosts_quarantine_who_kills_them);
    tcase_add_test(tc, test_hosts_cancel_when_the_client_goes);
    tcase_add_test(tc, test_hosts_list_their_actors);
    tcase_add_test(tc, test_hosts_do_not_end_before_the_silo);
    tcase_add_test(tc, test_hosts_end_each_call_once);
    tcase_add_test(tc, test_hosts_that_do_not_read_cost_so_much_and_no_more);
    tcase_add_test(tc, test_hosts_write_lines);
    tcase_add_test(tc, test_hosts_end_with_the_silo);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
