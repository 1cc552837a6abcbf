/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Loads hostile plugins into quarkd itself, as its configuration has it, beside a plugin that is isolated too and means
 * well. Whatever they do to their own process, the caller gets an answer, the neighbour goes on counting, and the
 * daemon ends as it should. test_silo.c has every handler; here are a few of them, all constructors, limits and grants.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <quark/client.h>
#include <sys/stat.h>
#include "base/fnv.h"
#include "../unit/main/process.h"

#define PATIENCE_S 60

enum end {
    CRASHED, /* the call ends with QK_ECRASHED; the plugin comes back */
    REFUSED, /* with an error of the actor's, which says what refused it; its process goes on */
    ANYHOW,  /* with whatever: a lie in a ring is mended by an honest write that comes before it is read */
};

/* What becomes of it when a constructor does it. */
enum load {
    GONE,   /* the plugin is not loaded */
    LOADED, /* it is, and its handler tells what its constructor was told */
    EITHER, /* it depends on the moment */
};

static const struct attack {
    const char *name;
    enum end end;
    const char *text; /* part of the error */
    enum load load;
} attacks[] = {
    {"alloc_bomb", REFUSED, "Cannot allocate memory", EITHER},
    {"segv", CRASHED, "", GONE},
    {"ptrace", CRASHED, "", GONE},
    {"log_flood", ANYHOW, "", EITHER},
    {"abort", CRASHED, "", GONE},
    {"exit", CRASHED, "", GONE},
    {"loop", CRASHED, "", GONE},
    {"fork_bomb", CRASHED, "", GONE},
    {"ring_index", ANYHOW, "", EITHER},
    {"reply", ANYHOW, "", EITHER},
    {"fds", REFUSED, "Too many open files", EITHER},
    {"signal", CRASHED, "", GONE},
    {"secret", REFUSED, "Permission denied", LOADED},
    {"connect", REFUSED, "Permission denied", LOADED},
    {"exec_memory", REFUSED, "Operation not permitted", LOADED},
};

#define HANDLERS 4 /* the first of them, which are also made by a handler */

/* ---- the silo */

static struct process silo;
static struct qk_client *client;
static pthread_t listener;
static atomic_ulong heard; /* bytes of its log */

/* What the silo says is read all the time, so that it is never made to wait. */
static void *listen_to_silo(void *arg)
{
    (void)arg;
    char text[4096];
    ssize_t n;
    while ((n = read(silo.err, text, sizeof(text))) > 0) {
        atomic_fetch_add(&heard, (unsigned long)n);
        if (getenv("HOSTILE_LOG") != NULL)
            (void)!write(STDERR_FILENO, text, (size_t)n);
    }
    return NULL;
}

static void copy_file(const char *from, const char *to)
{
    char path[300], bytes[65536];
    ssize_t n;
    snprintf(path, sizeof(path), "%s/plugins/%s", home, to);
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    ck_assert_msg(in >= 0 && out >= 0, "%s: %s", from, strerror(errno));
    while ((n = read(in, bytes, sizeof(bytes))) > 0)
        ck_assert_int_eq(write(out, bytes, (size_t)n), n);
    close(in), close(out);
}

/* With the plugin in `file`, and `grants` in the section of plugins. */
static void start_silo(const char *file, const char *grants)
{
    char line[4096], path[300], conf[1024];
    snprintf(conf, sizeof(conf),
             "socket = { path = \"%%HOME%%/q.sock\"; };\n"
             "stores = { sqlite_path = \"%%HOME%%/state.db\"; };\n"
             "plugins = { directories = [ \"%%HOME%%/plugins\" ]; isolation = \"process\"; stuck = \"500ms\"; "
             "memory = \"256MiB\"; open_files = 64; %s };\n",
             grants);
    home_put("quarkd.conf", conf);
    home_put("plugins/.here", "");
    copy_file(COUNTER, "counter.so");
    snprintf(path, sizeof(path), "%s/%s", HOSTILE_DIR, file);
    copy_file(path, file);
    silo = quarkd_start("--config %HOME%/quarkd.conf", NULL);
    wait_for_line(silo.err, "takes calls at", line, sizeof(line));
    ck_assert_int_eq(pthread_create(&listener, NULL, listen_to_silo, NULL), 0);
    snprintf(path, sizeof(path), "%s/q.sock", home);
    struct qk_client_options options;
    qk_client_options_init(&options);
    options.socket_path = path;
    ck_assert_int_eq(qk_client_create(&options, &client), 0);
}

static void stop_silo(void)
{
    qk_client_destroy(client);
    ck_assert_int_eq(kill(silo.pid, SIGTERM), 0);
    pthread_join(listener, NULL);
    int status = quarkd_wait(&silo);
    ck_assert_msg(status == 0, "the daemon has ended with %d", status);
}

/* ---- calls */

static int call(const char *type, const char *key, const char *method, char text[static 256])
{
    const struct qk_call_target target = {.type_id = qk_fnv64(type),
                                          .method_id = qk_fnv32(method),
                                          .timeout_ms = 30000,
                                          .ref = {key, (uint32_t)strlen(key)}};
    int rc = qk_client_call(client, &target, NULL, 0, NULL);
    snprintf(text, 256, "%s", rc < 0 ? qk_client_error(client) : "");
    return rc;
}

static void neighbour_counts(void)
{
    char text[256];
    for (int i = 0; i < 10; i++) {
        int rc = call("counter", "neighbour", "Increment", text);
        ck_assert_msg(rc == 0, "the neighbour does not answer: %d %s", rc, text);
    }
}

/* Calls until it succeeds; every call gets some answer at once, or when the plugin is back. */
static void wait_until_back(const char *key)
{
    struct timespec now;
    char text[256];
    int rc;
    clock_gettime(CLOCK_MONOTONIC, &now);
    time_t end = now.tv_sec + PATIENCE_S;
    while ((rc = call("hostile", key, "Rest", text)) != 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        ck_assert_msg(now.tv_sec < end, "the plugin does not come back: %d %s", rc, text);
    }
}

START_TEST(test_daemon_outlives_handlers)
{
    const struct attack *a = &attacks[_i];
    char text[256], file[64];
    snprintf(file, sizeof(file), "%s.so", a->name);
    start_silo(file, "");
    neighbour_counts();
    wait_until_back("other");
    int rc = call("hostile", "x", "Attack", text);
    if (a->end == CRASHED)
        ck_assert_msg(rc == QK_ECRASHED, "%s: %d %s", a->name, rc, text);
    if (a->end == REFUSED)
        ck_assert_msg(rc == QK_APP(1) && strstr(text, a->text) != NULL, "%s: %d %s", a->name, rc, text);
    neighbour_counts();
    wait_until_back("other");
    neighbour_counts();
    stop_silo();
}
END_TEST

/* It is refused, or it is loaded because what its constructor tried was refused; the silo is there either way. */
START_TEST(test_daemon_outlives_constructors)
{
    const struct attack *a = &attacks[_i];
    char text[256], file[64];
    snprintf(file, sizeof(file), "%s_at_load.so", a->name);
    start_silo(file, "");
    neighbour_counts();
    int rc = call("hostile", "x", "Attack", text);
    if (a->load == LOADED)
        ck_assert_msg(rc == QK_APP(1) && strstr(text, a->text) != NULL, "%s: %d %s", a->name, rc, text);
    if (a->load == GONE)
        ck_assert_msg(rc == QK_ENOTFOUND, "%s: %d %s", a->name, rc, text);
    neighbour_counts();
    stop_silo();
}
END_TEST

/* What is granted to it is no attack any more; what is granted to another one is. */
START_TEST(test_daemon_grants)
{
    static const struct {
        const char *file;
        const char *grants;
        int want;
    } cases[] = {
        {"secret.so", "read = [ \"hostile:/etc/passwd\" ];", 0},
        {"secret.so", "write = [ \"counter:/tmp\", \"hostile:/tmp\" ];", 0},
        {"secret.so", "read = [ \"counter:/etc/passwd\" ]; network = [ \"hostile\" ];", QK_APP(1)},
        {"secret.so", "read = [ \"hostile:/nowhere/at/all\" ];", QK_ENOTFOUND},
        {"connect.so", "network = [ \"counter\", \"hostile\" ];", 0},
        {"connect.so", "network = [ \"counter\" ];", QK_APP(1)},
    };
    char text[256];
    start_silo(cases[_i].file, cases[_i].grants);
    int rc = call("hostile", "x", "Attack", text);
    ck_assert_msg(rc == cases[_i].want, "%s: %d %s", cases[_i].grants, rc, text);
    neighbour_counts();
    stop_silo();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile-daemon");
    TCase *tcase = tcase_create("daemon");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, home_make, home_remove);
    tcase_add_loop_test(tcase, test_daemon_outlives_handlers, 0, HANDLERS);
    tcase_add_loop_test(tcase, test_daemon_outlives_constructors, 0, sizeof(attacks) / sizeof(attacks[0]));
    tcase_add_loop_test(tcase, test_daemon_grants, 0, 6);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
