/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Configurations as files: defaults, drop-ins and their order, what can't be read, values written back. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/limits.h"
#include "main/config.h"

static char dir[] = "/tmp/qk-config-XXXXXX";
static char path[64];
static char *said;
static size_t said_size;
static FILE *to;
static struct qk_report report;
static struct qk_config *config;

static void setup(void)
{
    strcpy(dir + sizeof(dir) - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/quarkd.conf", dir);
    to = open_memstream(&said, &said_size);
    ck_assert_ptr_nonnull(to);
    qk_report_init(&report, to);
    config = NULL;
}

static void teardown(void)
{
    char command[128];
    qk_config_destroy(config);
    fclose(to);
    free(said);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static void put(const char *name, const char *text)
{
    char file[128];
    snprintf(file, sizeof(file), "%s/%s", dir, name);
    if (strncmp(name, "conf.d/", 7) == 0) {
        char sub[128];
        snprintf(sub, sizeof(sub), "%s/conf.d", dir);
        (void)mkdir(sub, 0755);
    }
    FILE *out = fopen(file, "we");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    ck_assert_int_eq(fclose(out), 0);
}

static int load(void)
{
    return qk_config_load(path, &report, &config);
}

static const char *shown(enum qk_key_id id)
{
    static char text[256];
    char *made = qk_value_string(qk_keys[id].type, &config->values[id]);
    snprintf(text, sizeof(text), "%s", made);
    free(made);
    return text;
}

START_TEST(test_config_defaults_are_what_the_table_says)
{
    put("quarkd.conf", "");
    ck_assert_int_eq(load(), 0);
    for (int i = 0; i < QK_KEYS; i++) {
        ck_assert_ptr_null(config->values[i].file);
        ck_assert_str_eq(shown((enum qk_key_id)i), qk_keys[i].value);
    }
    ck_assert_int_eq(report.errors + report.warnings, 0);
}
END_TEST

START_TEST(test_config_later_files_win)
{
    put("quarkd.conf",
        "runtime = { workers = 1; budget = 10; mailbox = 5; };\nsocket = { users = [ \"a\", \"b\" ]; };");
    put("conf.d/20-b.conf", "runtime = { workers = 3; };");
    put("conf.d/10-a.conf", "runtime = { workers = 2; budget = 20; };\nsocket = { users = [ \"c\" ]; };");
    put("conf.d/30-c.conf.bak", "runtime = { workers = 4; };");
    put("conf.d/.40.conf", "runtime = { workers = 5; };");
    ck_assert_int_eq(load(), 0);
    ck_assert_str_eq(shown(QK_KEY_RUNTIME_WORKERS), "3");
    ck_assert_str_eq(shown(QK_KEY_RUNTIME_BUDGET), "20");
    ck_assert_str_eq(shown(QK_KEY_RUNTIME_MAILBOX), "5");
    ck_assert_str_eq(shown(QK_KEY_SOCKET_USERS), "[ \"c\" ]");
    ck_assert_ptr_nonnull(strstr(config->values[QK_KEY_RUNTIME_WORKERS].file, "/conf.d/20-b.conf"));
    ck_assert_int_eq(config->values[QK_KEY_SOCKET_USERS].where.line, 2);
}
END_TEST

START_TEST(test_config_mistakes_of_all_files_come_at_once)
{
    put("quarkd.conf", "runtime = { workers = 1000; };\nsilo = { nam = \"a\"; };");
    put("conf.d/a.conf", "runtime = {");
    put("conf.d/b.conf", "log = { level = \"x\"; };");
    ck_assert_int_eq(load(), -EINVAL);
    fflush(to);
    ck_assert_int_eq(report.errors, 4);
    ck_assert_ptr_nonnull(strstr(said, "quarkd.conf:1:23"));
    ck_assert_ptr_nonnull(strstr(said, "quarkd.conf:2:10"));
    ck_assert_ptr_nonnull(strstr(said, "conf.d/a.conf:1:11"));
    ck_assert_ptr_nonnull(strstr(said, "conf.d/b.conf:1:17"));
    ck_assert_ptr_nonnull(strstr(report.first, "quarkd.conf:1:23: `runtime.workers` is out of range (from 0 to 256)"));
}
END_TEST

START_TEST(test_config_missing_file)
{
    ck_assert_int_eq(load(), -ENOENT);
    ck_assert_int_eq(report.errors, 1);
    fflush(to);
    ck_assert_ptr_nonnull(strstr(said, "error[QK0201]: can't read the file: No such file or directory"));
}
END_TEST

START_TEST(test_config_directory_is_no_file)
{
    ck_assert_int_eq(mkdir(path, 0755), 0);
    ck_assert_int_eq(load(), -EINVAL);
    ck_assert_int_eq(report.errors, 1);
}
END_TEST

START_TEST(test_config_file_size_is_bounded)
{
    static char text[QK_CONFIG_FILE_MAX + 2];
    memset(text, '\n', QK_CONFIG_FILE_MAX);
    put("quarkd.conf", text);
    ck_assert_int_eq(load(), 0);
    qk_config_destroy(config);
    config = NULL;
    text[QK_CONFIG_FILE_MAX] = '\n';
    put("quarkd.conf", text);
    ck_assert_int_eq(load(), -EINVAL);
    fflush(to);
    ck_assert_ptr_nonnull(strstr(said, "error[QK0203]"));
}
END_TEST

START_TEST(test_config_number_of_files_is_bounded)
{
    char name[64];
    put("quarkd.conf", "");
    for (int i = 1; i < QK_CONFIG_FILES_MAX; i++) {
        snprintf(name, sizeof(name), "conf.d/%03d.conf", i);
        put(name, "");
    }
    ck_assert_int_eq(load(), 0);
    ck_assert_uint_eq(config->n_sources, QK_CONFIG_FILES_MAX + 1); /* and the defaults */
    qk_config_destroy(config);
    config = NULL;
    put("conf.d/one-more.conf", "");
    ck_assert_int_eq(load(), -EINVAL);
}
END_TEST

START_TEST(test_config_file_that_all_may_write_is_a_warning)
{
    put("quarkd.conf", "");
    ck_assert_int_eq(chmod(path, 0646), 0);
    ck_assert_int_eq(load(), 0);
    ck_assert_int_eq(report.warnings, 1);
    fflush(to);
    ck_assert_ptr_nonnull(strstr(said, "help: chmod o-w /tmp/qk-config-"));
}
END_TEST

START_TEST(test_config_values_written_are_read_back)
{
    put("quarkd.conf", "silo = { name = \"a.b-c_d\"; drain_timeout = \"90s\"; };\n"
                       "socket = { path = \"/a \\\"b\\\\c\"; mode = \"0600\"; groups = [ \"x\", \"y\" ]; };\n"
                       "runtime = { stack_size = \"131072B\"; pin_workers = TRUE; spin = \"0s\"; };\n"
                       "log = { level = \"debug\"; };\n");
    ck_assert_int_eq(load(), 0);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    for (int i = 0; i < QK_KEYS; i++) {
        if (i == 0 || strcmp(qk_keys[i].section, qk_keys[i - 1].section) != 0)
            fprintf(out, "%s%s = {\n", i > 0 ? "};\n" : "", qk_keys[i].section);
        fprintf(out, "  %s = %s;\n", qk_keys[i].name, shown((enum qk_key_id)i));
    }
    fputs("};\n", out);
    fclose(out);
    put("quarkd.conf", text);
    free(text);
    struct qk_config *first = config;
    ck_assert_int_eq(load(), 0);
    for (int i = 0; i < QK_KEYS; i++)
        ck_assert(qk_value_equal(&first->values[i], &config->values[i]));
    qk_config_destroy(first);
}
END_TEST

START_TEST(test_config_show_names_the_origins)
{
    put("quarkd.conf", "\nruntime = { workers = 2; };");
    ck_assert_int_eq(load(), 0);
    qk_config_show(to, config);
    fflush(to);
    char line[256];
    snprintf(line, sizeof(line), "runtime.workers          = 2                            # %s:2\n", path);
    ck_assert_ptr_nonnull(strstr(said, line));
    ck_assert_ptr_nonnull(strstr(said, "log.level                = \"info\"                       # default\n"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tcase = tcase_create("config");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_config_defaults_are_what_the_table_says);
    tcase_add_test(tcase, test_config_later_files_win);
    tcase_add_test(tcase, test_config_mistakes_of_all_files_come_at_once);
    tcase_add_test(tcase, test_config_missing_file);
    tcase_add_test(tcase, test_config_directory_is_no_file);
    tcase_add_test(tcase, test_config_file_size_is_bounded);
    tcase_add_test(tcase, test_config_number_of_files_is_bounded);
    tcase_add_test(tcase, test_config_file_that_all_may_write_is_a_warning);
    tcase_add_test(tcase, test_config_values_written_are_read_back);
    tcase_add_test(tcase, test_config_show_names_the_origins);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
