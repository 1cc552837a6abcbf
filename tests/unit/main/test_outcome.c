/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a reload says of plugins. The control loop is not polled in between, so that only the reload looks for them. */
#include "main/outcome.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "loop/loop.h"

static char dir[] = "/tmp/qk-outcome-XXXXXX";
static struct qk_loop *control;
static struct qk_silo *silo;
static struct qk_silo_config config;

static void setup(void)
{
    static char path[64], state[64];
    static const char *dirs[] = {dir, NULL};
    const char *code = "";
    char text[512] = "";
    strcpy(dir + sizeof(dir) - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/sock", dir);
    qk_silo_config_init(&config);
    config.name = "test";
    config.socket_path = path;
    config.plugin_dirs = dirs;
    snprintf(state, sizeof(state), "%s/state.db", dir);
    config.sqlite_path = state;
    config.workers = 1;
    ck_assert_int_eq(qk_loop_create(&control), 0);
    ck_assert_msg(qk_silo_start(&config, control, &silo, &code, text, sizeof(text)) == 0, "%s %s", code, text);
}

static void on_stopped(void *arg)
{
    *(bool *)arg = true;
}

static void teardown(void)
{
    char command[128];
    bool stopped = false;
    qk_silo_stop(silo, on_stopped, &stopped);
    while (!stopped)
        qk_loop_poll(control, -1);
    ck_assert_int_eq(qk_silo_destroy(silo), 0);
    qk_loop_destroy(control);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static void shell(const char *line)
{
    char command[512];
    snprintf(command, sizeof(command), "cd %s && %s", dir, line);
    ck_assert_int_eq(system(command), 0);
}

/* Reloads; how many plugins were loaded and refused by that. */
static void reload(struct qk_names *ret_loaded, struct qk_names *ret_refused)
{
    struct qk_silo_reload counts;
    struct qk_names before = qk_outcome_read(silo);
    qk_silo_apply(silo, &config, &counts);
    qk_outcome_compare(silo, &before, ret_loaded, ret_refused);
    qk_names_finish(&before);
}

START_TEST(test_outcome_names_what_is_new)
{
    struct qk_names loaded;
    struct qk_names refused;
    reload(&loaded, &refused);
    ck_assert_uint_eq(loaded.n + refused.n, 0);

    shell("install -m 644 " COUNTER " counter.so && echo nothing > none.so && chmod 644 none.so");
    reload(&loaded, &refused);
    ck_assert_uint_eq(loaded.n, 1);
    ck_assert_str_eq(loaded.names[0], "counter " QK_VERSION);
    ck_assert_uint_eq(refused.n, 1);
    ck_assert_ptr_nonnull(strstr(refused.names[0], "/none.so: "));
    qk_names_finish(&loaded);
    qk_names_finish(&refused);

    reload(&loaded, &refused);
    ck_assert_uint_eq(loaded.n + refused.n, 0);

    /* Refused again, for another reason. */
    shell("chmod 666 none.so");
    reload(&loaded, &refused);
    ck_assert_uint_eq(loaded.n, 0);
    ck_assert_uint_eq(refused.n, 1);
    ck_assert_ptr_nonnull(strstr(refused.names[0], "chmod"));
    qk_names_finish(&refused);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("outcome");
    TCase *tcase = tcase_create("outcome");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_outcome_names_what_is_new);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
