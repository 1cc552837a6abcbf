/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program as a whole: exit statuses, a life from the start to the end, reload, and a plugin dropped into --dev. */
#include <admin.pb-c.h>
#include <check.h>
#include <inttypes.h>
#include <quark/client.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fnv.h"
#include "main/keys.h"
#include "main/units.h"
#include "process.h"

#define MINIMAL                                                                                       \
    "socket = { path = \"%HOME%/q.sock\"; };\nplugins = { directories = [ \"%HOME%/plugins\" ]; };\n" \
    "runtime = { workers = 1; };\n"

static const struct {
    const char *arguments;
    int status;
} endings[] = {
    {"--help", 0},
    {"--version", 0},
    {"--nope", 2},
    {"--dev --check", 2},
    {"--check %HOME%/good.conf", 0},
    {"--check %HOME%/warned.conf", 0},
    {"--check --strict %HOME%/warned.conf", 6},
    {"--check %HOME%/bad.conf", 6},
    {"--show-config --config %HOME%/good.conf", 0},
    {"--show-config --config %HOME%/bad.conf", 6},
    {"--check %HOME%/none.conf", 5},
    {"--config %HOME%/none.conf", 5},
    {"--config %HOME%/bad.conf", 6},
    {"--config %HOME%/nowhere.conf", 1},
};

START_TEST(test_quarkd_exit_status)
{
    char said[8192];
    home_put("plugins/.keep", "");
    home_put("good.conf", MINIMAL);
    home_put("warned.conf", "plugins = { directories = [ \"%HOME%/none\" ]; };\nsocket = { path = \"%HOME%/q\"; };\n");
    home_put("bad.conf", "silo = { nam = \"a\"; };\n");
    home_put("nowhere.conf", "socket = { path = \"%HOME%/no/such/dir/q.sock\"; };\n");
    ck_assert_int_eq(quarkd_run(endings[_i].arguments, false, said, sizeof(said)), endings[_i].status);
    ck_assert_int_eq(*said != '\0', endings[_i].status != 0 || strstr(endings[_i].arguments, "warned") != NULL);
}
END_TEST

/* Root may read everything, so the process becomes somebody else. */
START_TEST(test_quarkd_exit_status_denied)
{
    home_put("secret.conf", MINIMAL);
    char path[128];
    snprintf(path, sizeof(path), "%s/secret.conf", home);
    ck_assert_int_eq(chmod(path, geteuid() == 0 ? 0600 : 0), 0);
    ck_assert_int_eq(chmod(home, 0755), 0);
    struct setup setup = {.uid = geteuid() == 0 ? 65534 : 0};
    struct process p = quarkd_start("--check %HOME%/secret.conf", &setup);
    ck_assert_int_eq(quarkd_wait(&p), 4);
}
END_TEST

START_TEST(test_quarkd_version_is_one_line)
{
    char said[256];
    ck_assert_int_eq(quarkd_run("--version", true, said, sizeof(said)), 0);
    ck_assert_str_eq(said, "quarkd " QK_VERSION "\n");
}
END_TEST

static struct qk_client *connect_to(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", home, name);
    struct qk_client_options options;
    qk_client_options_init(&options);
    options.socket_path = path;
    struct qk_client *client;
    ck_assert_int_eq(qk_client_create(&options, &client), 0);
    ck_assert_int_eq(qk_client_connect(client), 0);
    return client;
}

/* Asks and unpacks; the reply is to be freed. */
static Quark__Admin__AdminReply *ask(struct qk_client *client, const Quark__Admin__AdminRequest *request, int *ret_rc)
{
    uint8_t bytes[256];
    struct qk_reply reply;
    size_t size = quark__admin__admin_request__pack(request, bytes);
    *ret_rc = qk_client_admin(client, bytes, size, 30000, &reply);
    return *ret_rc < 0 ? NULL : quark__admin__admin_reply__unpack(NULL, reply.size, reply.data);
}

/* The value of one key, as the daemon has it. */
static void check_value(struct qk_client *client, const char *key, const char *value, bool is_default)
{
    Quark__Admin__ConfigRequest what = QUARK__ADMIN__CONFIG_REQUEST__INIT;
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    what.prefix = (char *)key;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_CONFIG;
    request.config = &what;
    int rc;
    Quark__Admin__AdminReply *reply = ask(client, &request, &rc);
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_eq(reply->config->n_keys, 1);
    ck_assert_str_eq(reply->config->keys[0]->value, value);
    ck_assert_int_eq(*reply->config->keys[0]->origin == '\0', is_default);
    quark__admin__admin_reply__free_unpacked(reply, NULL);
}

static Quark__Admin__AdminReply *ask_reload(struct qk_client *client, int *ret_rc)
{
    Quark__Admin__ReloadRequest what = QUARK__ADMIN__RELOAD_REQUEST__INIT;
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_RELOAD;
    request.reload = &what;
    return ask(client, &request, ret_rc);
}

START_TEST(test_quarkd_reload_is_all_or_nothing)
{
    char line[2048];
    int rc;
    home_put("plugins/.keep", "");
    home_put("quarkd.conf", MINIMAL);
    struct process p = quarkd_start("--config %HOME%/quarkd.conf", NULL);
    wait_for_line(p.err, "takes calls at", line, sizeof(line));
    struct qk_client *client = connect_to("q.sock");
    check_value(client, "silo.drain_timeout", "\"30s\"", true);

    home_put("conf.d/a.conf", "silo = { drain_timeout = \"1s\"; };\nruntime = { workers = 2; };\n");
    Quark__Admin__AdminReply *reply = ask_reload(client, &rc);
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_eq(reply->reload->n_changed, 1);
    ck_assert_str_eq(reply->reload->changed[0], "silo.drain_timeout");
    ck_assert_uint_eq(reply->reload->n_restart_needed, 1);
    ck_assert_str_eq(reply->reload->restart_needed[0], "runtime.workers");
    quark__admin__admin_reply__free_unpacked(reply, NULL);
    check_value(client, "silo.drain_timeout", "\"1s\"", false);
    check_value(client, "runtime.workers", "1", false);

    home_put("conf.d/b.conf", "silo = { drain_timeout = \"2s\"; };\nlog = { lvel = \"debug\"; };\n");
    reply = ask_reload(client, &rc);
    ck_assert_int_eq(rc, QK_EINVALID);
    ck_assert_ptr_nonnull(strstr(qk_client_error(client), "conf.d/b.conf:2:9: unknown key `lvel`"));
    check_value(client, "silo.drain_timeout", "\"1s\"", false);
    wait_for_line(p.err, "did you mean `level`?", line, sizeof(line));
    wait_for_line(p.err, "reload refused, the running configuration stays", line, sizeof(line));

    /* The same by a signal. */
    ck_assert_int_eq(kill(p.pid, SIGHUP), 0);
    wait_for_line(p.err, "reload refused", line, sizeof(line));
    home_put("conf.d/b.conf", "silo = { drain_timeout = \"2s\"; };\nlog = { level = \"debug\"; };\n");
    ck_assert_int_eq(kill(p.pid, SIGHUP), 0);
    wait_for_line(p.err, "reloaded; changed: silo.drain_timeout, log.level; plugins: 0 newly loaded, 0 refused", line,
                  sizeof(line));
    wait_for_line(p.err, "a restart is needed for: runtime.workers [QK0652]", line, sizeof(line));
    check_value(client, "silo.drain_timeout", "\"2s\"", false);

    ck_assert_int_eq(kill(p.pid, SIGUSR1), 0);
    wait_for_line(p.err, "activations 0,", line, sizeof(line));
    qk_client_destroy(client);
    ck_assert_int_eq(kill(p.pid, SIGTERM), 0);
    wait_for_line(p.err, "stopped", line, sizeof(line));
    ck_assert_int_eq(quarkd_wait(&p), 0);
}
END_TEST

static void write_number(FILE *to, const struct qk_key *key, int64_t number)
{
    char text[QK_UNIT_TEXT_MAX];
    if (key->type == QK_KEY_INTEGER) {
        fprintf(to, "%s = { %s = %" PRId64 "; };\n", key->section, key->name, number);
        return;
    }
    qk_unit_format(key->type == QK_KEY_DURATION ? qk_duration_units : qk_size_units, number, text);
    fprintf(to, "%s = { %s = \"%s\"; };\n", key->section, key->name, text);
}

/* What passes the table's bounds is never refused by the silo: each key at its least (_i 0), at its greatest (_i 1). */
START_TEST(test_quarkd_takes_all_that_the_table_allows)
{
    char line[2048];
    home_put("plugins/.keep", "");
    home_put("quarkd.conf",
             "socket = { path = \"%HOME%/q.sock\"; };\nplugins = { directories = [ \"%HOME%/plugins\" ]; };\n");
    for (int i = 0; i < QK_KEYS; i++) {
        char name[32];
        char *text = NULL;
        size_t size;
        const struct qk_key *key = &qk_keys[i];
        if (key->type != QK_KEY_INTEGER && key->type != QK_KEY_DURATION && key->type != QK_KEY_SIZE)
            continue;
        FILE *to = open_memstream(&text, &size);
        write_number(to, key, _i == 0 ? key->least : key->most);
        fclose(to);
        snprintf(name, sizeof(name), "conf.d/%02d.conf", i);
        home_put(name, text);
        free(text);
    }
    struct process p = quarkd_start("--config %HOME%/quarkd.conf", NULL);
    wait_for_line(p.err, "takes calls at", line, sizeof(line));
    ck_assert_int_eq(kill(p.pid, SIGTERM), 0);
    ck_assert_int_eq(quarkd_wait(&p), 0);
}
END_TEST

START_TEST(test_quarkd_second_daemon_is_refused)
{
    char line[2048];
    char said[4096];
    home_put("plugins/.keep", "");
    home_put("quarkd.conf", MINIMAL);
    struct process p = quarkd_start("--config %HOME%/quarkd.conf", NULL);
    wait_for_line(p.err, "takes calls at", line, sizeof(line));
    ck_assert_int_eq(quarkd_run("--config %HOME%/quarkd.conf", false, said, sizeof(said)), 1);
    char process[64];
    snprintf(process, sizeof(process), "error[QK0601]: process %d listens on ", (int)p.pid);
    ck_assert_ptr_nonnull(strstr(said, process));
    ck_assert_int_eq(kill(p.pid, SIGINT), 0);
    ck_assert_int_eq(quarkd_wait(&p), 0);
}
END_TEST

START_TEST(test_quarkd_says_that_its_socket_is_gone)
{
    char line[2048];
    char path[128];
    home_put("plugins/.keep", "");
    home_put("quarkd.conf", MINIMAL);
    struct process p = quarkd_start("--config %HOME%/quarkd.conf", NULL);
    wait_for_line(p.err, "takes calls at", line, sizeof(line));
    snprintf(path, sizeof(path), "%s/q.sock", home);
    ck_assert_int_eq(unlink(path), 0);
    wait_for_line(p.err, "q.sock is gone", line, sizeof(line));
    ck_assert_ptr_nonnull(strstr(line, "[QK0618]"));
    ck_assert_int_eq(kill(p.pid, SIGINT), 0);
    ck_assert_int_eq(quarkd_wait(&p), 0);
}
END_TEST

/* The first descriptors are /dev/null's then, and no socket that log lines would go to. */
START_TEST(test_quarkd_without_standard_streams)
{
    char command[512];
    char path[128];
    home_put("plugins/.keep", "");
    home_put("quarkd.conf", MINIMAL);
    snprintf(path, sizeof(path), "%s/q.sock", home);
    snprintf(command, sizeof(command), "%s --config %s/quarkd.conf <&- >&- 2>&- & echo $! >%s/pid", QUARKD, home, home);
    ck_assert_int_eq(system(command), 0);
    for (int fd = 0; fd < 3; fd++) {
        char link[64] = "";
        snprintf(command, sizeof(command),
                 "while ! test -S %s; do sleep 0.01; done; readlink /proc/$(cat %s/pid)/fd/%d", path, home, fd);
        FILE *from = popen(command, "re");
        ck_assert_ptr_nonnull(from);
        ck_assert_ptr_nonnull(fgets(link, sizeof(link), from));
        ck_assert_str_eq(link, "/dev/null\n");
        pclose(from);
    }
    snprintf(command, sizeof(command), "kill $(cat %s/pid)", home);
    ck_assert_int_eq(system(command), 0);
    snprintf(command, sizeof(command), "while test -e /proc/$(cat %s/pid); do sleep 0.01; done", home);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

/* As the manual says it: start, drop a plugin, call its actor, stop. */
START_TEST(test_quarkd_dev_from_the_start_to_a_call)
{
    char line[4096];
    char command[512];
    struct process p = quarkd_start("--dev", NULL);
    wait_for_line(p.out, "quarkd " QK_VERSION " listens on ", line, sizeof(line));
    wait_for_line(p.out, "plugins come from ", line, sizeof(line));
    wait_for_line(p.out, "next: export QUARK_SOCKET=", line, sizeof(line));
    snprintf(command, sizeof(command), "install -m 644 %s %s/.local/share/quark/plugins/libcounter.so", COUNTER, home);
    ck_assert_int_eq(system(command), 0);
    wait_for_line(p.err, "plugin loaded: counter", line, sizeof(line));

    struct qk_client *client = connect_to("quark/quarkd.sock");
    struct qk_reply reply;
    struct qk_call_target target = {
        .type_id = qk_fnv64("counter"), .method_id = qk_fnv32("Increment"), .ref = {"alice", 5}};
    ck_assert_msg(qk_client_call(client, &target, NULL, 0, &reply) == 0, "%s", qk_client_error(client));
    ck_assert_uint_eq(reply.size, 2);
    ck_assert_mem_eq(reply.data, "\x08\x01", 2); /* count: 1 */
    qk_client_destroy(client);

    ck_assert_int_eq(kill(p.pid, SIGINT), 0);
    wait_for_line(p.err, "SIGINT: stopping", line, sizeof(line));
    wait_for_line(p.err, "stopped", line, sizeof(line));
    ck_assert_int_eq(quarkd_wait(&p), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quarkd");
    TCase *tcase = tcase_create("quarkd");
    tcase_add_checked_fixture(tcase, home_make, home_remove);
    tcase_add_loop_test(tcase, test_quarkd_exit_status, 0, sizeof(endings) / sizeof(endings[0]));
    tcase_add_test(tcase, test_quarkd_exit_status_denied);
    tcase_add_test(tcase, test_quarkd_version_is_one_line);
    tcase_add_test(tcase, test_quarkd_reload_is_all_or_nothing);
    tcase_add_loop_test(tcase, test_quarkd_takes_all_that_the_table_allows, 0, 2);
    tcase_add_test(tcase, test_quarkd_second_daemon_is_refused);
    tcase_add_test(tcase, test_quarkd_says_that_its_socket_is_gone);
    tcase_add_test(tcase, test_quarkd_without_standard_streams);
    tcase_add_test(tcase, test_quarkd_dev_from_the_start_to_a_call);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
