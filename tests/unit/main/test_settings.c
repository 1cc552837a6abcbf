/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Configuration, command line and machine together; what a reload keeps; directories of --dev; what --check sees. */
#include "main/settings.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/diag.h"
#include "main/dev.h"

static char dir[] = "/tmp/qk-settings-XXXXXX";
static char path[64];
static char *said;
static size_t said_size;
static FILE *to;
static struct qk_report report;

static void setup(void)
{
    strcpy(dir + sizeof(dir) - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/quarkd.conf", dir);
    to = open_memstream(&said, &said_size);
    ck_assert_ptr_nonnull(to);
    qk_report_init(&report, to);
}

static void teardown(void)
{
    char command[128];
    fclose(to);
    free(said);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static void put(const char *text)
{
    FILE *out = fopen(path, "we");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    ck_assert_int_eq(fclose(out), 0);
}

static int read_settings(struct qk_settings *ret_settings)
{
    const struct qk_options options = {.config = path};
    int rc = qk_settings_read(&options, &report, ret_settings);
    fflush(to);
    return rc;
}

START_TEST(test_settings_reach_the_silo)
{
    struct qk_settings s;
    put("silo = { name = \"a\"; drain_timeout = \"2min\"; };\n"
        "socket = { path = \"/s\"; mode = \"0600\"; group = \"7\"; users = [ \"root\", \"5\" ]; groups = [ \"6\" ]; "
        "clients_max = 3; };\n"
        "plugins = { directories = [ \"/\" ]; };\n"
        "runtime = { workers = 2; pin_workers = true; spin = \"1ms\"; timeout = \"3s\"; mailbox = 4; idle_age = "
        "\"5s\"; "
        "budget = 6; stack_size = \"1MiB\"; activations_max = 8; long_turn = \"9ms\"; };\n");
    ck_assert_int_eq(read_settings(&s), 0);
    ck_assert_str_eq(s.silo.name, "a");
    ck_assert_uint_eq(s.silo.drain_ms, 120000);
    ck_assert_str_eq(s.silo.socket_path, "/s");
    ck_assert_uint_eq(s.silo.socket_mode, 0600);
    ck_assert_uint_eq(s.silo.socket_gid, 7);
    ck_assert_uint_eq(s.silo.n_allow_uids, 2);
    ck_assert_uint_eq(s.silo.allow_uids[0], 0);
    ck_assert_uint_eq(s.silo.allow_uids[1], 5);
    ck_assert_uint_eq(s.silo.n_allow_gids, 1);
    ck_assert_uint_eq(s.silo.allow_gids[0], 6);
    ck_assert_uint_eq(s.silo.clients_max, 3);
    ck_assert_str_eq(s.silo.plugin_dirs[0], "/");
    ck_assert_ptr_null(s.silo.plugin_dirs[1]);
    ck_assert_uint_eq(s.silo.workers, 2);
    ck_assert(s.silo.pin_workers);
    ck_assert_int_eq(s.silo.spin_ns, 1000000);
    ck_assert_uint_eq(s.silo.default_timeout_ms, 3000);
    ck_assert_uint_eq(s.silo.mailbox_max, 4);
    ck_assert_uint_eq(s.silo.idle_ms, 5000);
    ck_assert_uint_eq(s.silo.budget, 6);
    ck_assert_uint_eq(s.silo.fiber_stack_bytes, 1 << 20);
    ck_assert_uint_eq(s.silo.activations_max, 8);
    ck_assert_uint_eq(s.silo.long_turn_ms, 9);
    ck_assert_str_eq(s.silo.config_files[0], path);
    ck_assert_ptr_null(s.silo.config_files[1]);
    qk_settings_finish(&s);
}
END_TEST

/* What the silo's own defaults are, the table's are too. */
START_TEST(test_settings_defaults_agree_with_the_silo)
{
    struct qk_settings s;
    struct qk_silo_config own;
    put("");
    qk_silo_config_init(&own);
    ck_assert_int_eq(read_settings(&s), 0);
    ck_assert_uint_eq(s.silo.socket_gid, own.socket_gid);
    ck_assert_uint_eq(s.silo.default_timeout_ms, own.default_timeout_ms);
    ck_assert_uint_eq(s.silo.mailbox_max, own.mailbox_max);
    ck_assert_uint_eq(s.silo.idle_ms, own.idle_ms);
    ck_assert_uint_eq(s.silo.budget, own.budget);
    ck_assert_uint_eq(s.silo.fiber_stack_bytes, own.fiber_stack_bytes);
    ck_assert_int_eq(s.silo.spin_ns, own.spin_ns);
    ck_assert_uint_eq(s.silo.long_turn_ms, own.long_turn_ms);
    ck_assert_uint_eq(s.silo.clients_max, own.clients_max);
    ck_assert_int_gt((int)strlen(s.silo.name), 0); /* the machine's */
    qk_settings_finish(&s);
}
END_TEST

START_TEST(test_settings_unknown_accounts)
{
    struct qk_settings s;
    put("socket = { group = \"no-such-g\"; users = [ \"root\", \"no-such-u\" ]; groups = [ \"4294967295\" ]; };\n");
    ck_assert_int_eq(read_settings(&s), -EINVAL);
    ck_assert_int_eq(report.errors, 3);
    ck_assert_ptr_nonnull(strstr(said, "error[QK0220]: there is no user `no-such-u` on this machine\n"));
    ck_assert_ptr_nonnull(strstr(said, "quarkd.conf:1:51\n"));
    ck_assert_ptr_nonnull(strstr(said, "error[QK0220]: there is no group `no-such-g` on this machine\n"));
    ck_assert_ptr_nonnull(strstr(said, "= help: `getent group` lists them\n"));
}
END_TEST

START_TEST(test_settings_command_line_wins)
{
    struct qk_settings s;
    put("socket = { path = \"/s\"; };\nplugins = { directories = [ \"/\" ]; isolation = \"none\"; };\n");
    const struct qk_options options = {
        .config = path, .socket = (char *)"/other", .plugins = {(char *)"/tmp"}, .n_plugins = 1, .isolate = true};
    ck_assert_int_eq(qk_settings_read(&options, &report, &s), 0);
    ck_assert(s.silo.isolate);
    ck_assert_str_eq(qk_isolation_names[s.config->values[QK_KEY_PLUGINS_ISOLATION].number], "process");
    ck_assert_str_eq(s.config->values[QK_KEY_PLUGINS_ISOLATION].file, "--isolate");
    ck_assert_str_eq(s.silo.socket_path, "/other");
    ck_assert_str_eq(s.silo.plugin_dirs[0], "/");
    ck_assert_str_eq(s.silo.plugin_dirs[1], "/tmp");
    ck_assert_ptr_null(s.silo.plugin_dirs[2]);
    ck_assert_str_eq(s.config->values[QK_KEY_SOCKET_PATH].file, "--socket");
    qk_settings_finish(&s);
}
END_TEST

START_TEST(test_settings_merge_keeps_what_needs_a_restart)
{
    struct qk_settings running;
    struct qk_settings fresh;
    bool changed[QK_KEYS];
    bool restart[QK_KEYS];
    put("silo = { drain_timeout = \"1s\"; };\nruntime = { workers = 2; budget = 3; };\n");
    ck_assert_int_eq(read_settings(&running), 0);
    put("silo = { drain_timeout = \"2s\"; };\nruntime = { workers = 4; };\nlog = { level = \"info\"; };\n");
    ck_assert_int_eq(read_settings(&fresh), 0);
    qk_settings_merge(&running, &fresh, changed, restart);
    for (int i = 0; i < QK_KEYS; i++) {
        ck_assert_int_eq(changed[i], i == QK_KEY_SILO_DRAIN_TIMEOUT);
        ck_assert_int_eq(restart[i], i == QK_KEY_RUNTIME_WORKERS || i == QK_KEY_RUNTIME_BUDGET);
    }
    ck_assert_uint_eq(fresh.silo.drain_ms, 2000);
    ck_assert_uint_eq(fresh.silo.workers, 2);
    ck_assert_uint_eq(fresh.silo.budget, 3);
    qk_settings_finish(&running);
    /* They differ as long as the file and the daemon do. */
    struct qk_settings again;
    ck_assert_int_eq(read_settings(&again), 0);
    qk_settings_merge(&fresh, &again, changed, restart);
    ck_assert(restart[QK_KEY_RUNTIME_WORKERS]);
    ck_assert(!changed[QK_KEY_SILO_DRAIN_TIMEOUT]);
    qk_settings_finish(&fresh);
    qk_settings_finish(&again);
}
END_TEST

START_TEST(test_settings_check_looks_at_the_machine)
{
    struct qk_settings s;
    char text[512];
    char open_dir[80];
    char plugin_dir[80];
    char file[96];
    snprintf(open_dir, sizeof(open_dir), "%s/open", dir);
    snprintf(plugin_dir, sizeof(plugin_dir), "%s/plugins", dir);
    ck_assert_int_eq(mkdir(open_dir, 0700), 0);
    ck_assert_int_eq(chmod(open_dir, 0777), 0);
    ck_assert_int_eq(mkdir(plugin_dir, 0700), 0);
    snprintf(file, sizeof(file), "%s/bad.so", plugin_dir);
    FILE *out = fopen(file, "we");
    ck_assert_ptr_nonnull(out);
    fputs("not an object", out);
    fclose(out);
    ck_assert_int_eq(chmod(file, 0600), 0);
    snprintf(text, sizeof(text),
             "socket = { path = \"%s/none/s\"; };\nplugins = { directories = [ \"%s\", \"%s\", \"/none\" ]; };\n", dir,
             open_dir, plugin_dir);
    put(text);
    ck_assert_int_eq(read_settings(&s), 0);
    ck_assert_ptr_nonnull(strstr(said, "warning[QK0221]: plugin directory `/none`: No such file or directory\n"));
    qk_world_check(s.config, &report);
    fflush(to);
    ck_assert_ptr_nonnull(strstr(said, "error[QK0223]: the directory of the socket,"));
    ck_assert_ptr_nonnull(strstr(said, "error[QK0308]: "));
    ck_assert_ptr_nonnull(strstr(said, "warning[QK0301]: "));
    ck_assert_int_eq(report.errors, 2);
    ck_assert_int_eq(report.warnings, 2);
    qk_settings_finish(&s);
}
END_TEST

static void use_home(const char *runtime)
{
    setenv("HOME", dir, 1);
    unsetenv("XDG_STATE_HOME");
    unsetenv("XDG_DATA_HOME");
    setenv("XDG_RUNTIME_DIR", runtime, 1);
}

START_TEST(test_settings_dev_makes_its_directories)
{
    struct qk_config *config;
    char expected[128];
    struct stat st;
    use_home(dir);
    ck_assert_int_eq(qk_dev_config(&report, &config), 0);
    snprintf(expected, sizeof(expected), "%s/quark/quarkd.sock", dir);
    ck_assert_str_eq(config->values[QK_KEY_SOCKET_PATH].text, expected);
    snprintf(expected, sizeof(expected), "%s/.local/share/quark/plugins", dir);
    ck_assert_str_eq(config->values[QK_KEY_PLUGINS_DIRECTORIES].list[0], expected);
    ck_assert_int_eq(stat(expected, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);
    snprintf(expected, sizeof(expected), "%s/.local/state/quark", dir);
    ck_assert_int_eq(stat(expected, &st), 0);
    qk_config_destroy(config);
}
END_TEST

START_TEST(test_settings_dev_wants_a_private_socket_directory)
{
    struct qk_config *config;
    char place[128];
    use_home(dir);
    snprintf(place, sizeof(place), "%s/quark", dir);
    ck_assert_int_eq(mkdir(place, 0700), 0);
    ck_assert_int_eq(chmod(place, 0750), 0);
    ck_assert_int_eq(qk_dev_config(&report, &config), -EPERM);
    fflush(to);
    ck_assert_ptr_nonnull(strstr(said, "error[QK0292]: the directory of the socket is not yours alone"));
    ck_assert_int_eq(rmdir(place), 0);
    ck_assert_int_eq(symlink("/tmp", place), 0);
    ck_assert_int_eq(qk_dev_config(&report, &config), -EPERM);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("settings");
    TCase *tcase = tcase_create("settings");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_settings_reach_the_silo);
    tcase_add_test(tcase, test_settings_defaults_agree_with_the_silo);
    tcase_add_test(tcase, test_settings_unknown_accounts);
    tcase_add_test(tcase, test_settings_command_line_wins);
    tcase_add_test(tcase, test_settings_merge_keeps_what_needs_a_restart);
    tcase_add_test(tcase, test_settings_check_looks_at_the_machine);
    tcase_add_test(tcase, test_settings_dev_makes_its_directories);
    tcase_add_test(tcase, test_settings_dev_wants_a_private_socket_directory);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
