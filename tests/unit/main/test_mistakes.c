/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every mistake that a configuration can have, with exactly what is said about it. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/errors.h"
#include "main/config.h"

struct mistake {
    const char *text;
    const char *said; /* "": none */
};

/* Reads one text as the file /etc/q.conf and gives what was said. */
static char *said_about(const char *text, size_t size, int *ret_rc)
{
    struct qk_config *config;
    ck_assert_int_eq(qk_config_create(&config), 0);
    char *said = NULL;
    size_t said_size;
    FILE *to = open_memstream(&said, &said_size);
    ck_assert_ptr_nonnull(to);
    struct qk_report report;
    qk_report_init(&report, to);
    char *copy = malloc(size + 1);
    memcpy(copy, text, size);
    *ret_rc = qk_config_read_text(config, "/etc/q.conf", copy, size, &report);
    ck_assert_int_eq(*ret_rc, report.errors > 0 ? -EINVAL : 0);
    fclose(to);
    qk_config_destroy(config);
    return said;
}

static const struct mistake mistakes[] = {
#include "mistakes.inc"
};

START_TEST(test_mistakes_exact_text)
{
    int rc;
    char *said = said_about(mistakes[_i].text, strlen(mistakes[_i].text), &rc);
    ck_assert_str_eq(said, mistakes[_i].said);
    free(said);
}
END_TEST

START_TEST(test_mistakes_codes_are_explained)
{
    for (const char *at = mistakes[_i].said; (at = strstr(at, "error[")) != NULL; at++) {
        char code[7] = "";
        memcpy(code, at + 6, 6);
        ck_assert_ptr_nonnull(qk_error_find(code));
    }
}
END_TEST

START_TEST(test_mistakes_bytes_that_are_no_text)
{
    int rc;
    char *said = said_about("a=1;\n\0b=2;\n", 11, &rc);
    ck_assert_ptr_nonnull(strstr(said, "error[QK0204]: byte 0x00 is not text\n  --> /etc/q.conf:2:1\n"));
    free(said);
    said = said_about("# \xc3\x28\n", 5, &rc);
    ck_assert_ptr_nonnull(strstr(said, "error[QK0204]: byte 0xc3 is not text\n  --> /etc/q.conf:1:3\n"));
    free(said);
}
END_TEST

/* Deep nesting is refused and not followed. */
START_TEST(test_mistakes_depth_is_bounded)
{
    enum { DEPTH = 100000 };
    char *text = malloc(2 * DEPTH + 3);
    memcpy(text, "a=", 2);
    memset(text + 2, '(', 2 * DEPTH);
    int rc;
    char *said = said_about(text, 2 * DEPTH, &rc);
    ck_assert_ptr_nonnull(strstr(said, "error[QK0205]: more than 8 sections and lists inside one another"));
    free(said);
    free(text);
}
END_TEST

START_TEST(test_mistakes_settings_are_bounded)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    for (int i = 0; i <= QK_CONFIG_SETTINGS_MAX; i++)
        fprintf(to, "k%d=1;", i);
    fclose(to);
    int rc;
    char *said = said_about(text, size, &rc);
    ck_assert_ptr_nonnull(strstr(said, "error[QK0203]: more than 256 settings in one section"));
    free(said);
    free(text);
}
END_TEST

int main(void)
{
    int n = (int)(sizeof(mistakes) / sizeof(mistakes[0]));
    Suite *suite = suite_create("mistakes");
    TCase *tcase = tcase_create("mistakes");
    tcase_add_loop_test(tcase, test_mistakes_exact_text, 0, n);
    tcase_add_loop_test(tcase, test_mistakes_codes_are_explained, 0, n);
    tcase_add_test(tcase, test_mistakes_bytes_that_are_no_text);
    tcase_add_test(tcase, test_mistakes_depth_is_bounded);
    tcase_add_test(tcase, test_mistakes_settings_are_bounded);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
