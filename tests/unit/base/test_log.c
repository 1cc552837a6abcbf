/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a caller or an actor writes can't pass for a line of the daemon's own. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
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

/* A pipe that nobody reads: a line that would wait is left out, and counted. */
START_TEST(test_log_waits_for_no_reader)
{
    int ends[2];
    char bytes[4096];
    ck_assert_int_eq(pipe(ends), 0);
    int saved = dup(STDERR_FILENO);
    ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    for (int i = 0; i < 200; i++)
        qk_log_write(QK_LOG_INFO, NULL, NULL, "%0*d", 3000, i);
    ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    while (read(ends[0], bytes, sizeof(bytes)) > 0) {
    }
    qk_log_write(QK_LOG_INFO, NULL, NULL, "and on");
    ssize_t n = read(ends[0], bytes, sizeof(bytes) - 1);
    ck_assert_int_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    ck_assert_int_gt(n, 0);
    bytes[n] = '\0';
    ck_assert_ptr_nonnull(strstr(bytes, " lines are missing here: nobody was reading\nand on\n"));
    close(saved);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tc = tcase_create("log");
    tcase_add_loop_test(tc, test_log_clean, 0, sizeof(texts) / sizeof(texts[0]));
    tcase_add_test(tc, test_log_clean_is_bounded);
    tcase_add_test(tc, test_log_waits_for_no_reader);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
