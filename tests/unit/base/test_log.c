/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a caller or an actor writes can't pass for a line of the daemon's own. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"

static const struct {
    const char *text;
    const char *clean;
} texts[] = {
    {"a turn: 3 \xc3\xa4pfel\tmore", "a turn: 3 \xc3\xa4pfel\tmore"},
    {"a/x\nquarkd: stopped", "a/x\n  quarkd: stopped"},
    {"held:\n  #0 f", "held:\n  #0 f"},
    {"red \033[31m \177 \r.", "red ?[31m ? ?."},
    {"red \xc2\x9b"
     "31m",
     "red ?31m"},
    {"", ""},
};

START_TEST(test_log_clean)
{
    char to[64];
    size_t n = qk_log_clean(to, sizeof(to), texts[_i].text);
    ck_assert_str_eq(to, texts[_i].clean);
    ck_assert_uint_eq(n, strlen(texts[_i].clean));
}
END_TEST

START_TEST(test_log_clean_is_bounded)
{
    char to[16];
    memset(to, 'x', sizeof(to));
    size_t n = qk_log_clean(to, 8, "\n\n\n\n\n\n\n\n\n");
    ck_assert_uint_lt(n, 8);
    ck_assert_uint_eq(strlen(to), n);
    ck_assert_int_eq(to[8], 'x');
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tc = tcase_create("log");
    tcase_add_loop_test(tc, test_log_clean, 0, sizeof(texts) / sizeof(texts[0]));
    tcase_add_test(tc, test_log_clean_is_bounded);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
