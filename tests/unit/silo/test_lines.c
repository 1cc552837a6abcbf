/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Log lines of actors on their way to the log. */
#include <check.h>
#include <string.h>
#include <stdlib.h>
#include "fixture.h"
#include "silo/lines.h"

START_TEST(test_lines_keep_their_order_and_fields)
{
    struct qk_lines *lines;
    ck_assert_int_eq(qk_lines_create(fx_control, &lines), 0);
    qk_lines_put(lines, QK_LOG_WARNING, NULL, "counter", "alice", 0x12, "first");
    qk_lines_put(lines, QK_LOG_WARNING, "QK0613", NULL, NULL, 0, "second");
    qk_lines_put(lines, QK_LOG_DEBUG, NULL, NULL, NULL, 0, "not wanted at this level");
    ck_assert_int_eq(fx_lines, 0); /* not on the thread that says it */
    qk_loop_poll(fx_control, -1);
    ck_assert_int_eq(fx_lines, 2);
    ck_assert_str_eq(fx_actor, "counter/alice");
    ck_assert_str_eq(fx_text, "second");
    qk_lines_destroy(lines);
}
END_TEST

START_TEST(test_lines_are_bounded)
{
    struct qk_lines *lines;
    char text[4000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = 0;
    ck_assert_int_eq(qk_lines_create(fx_control, &lines), 0);
    for (int i = 0; i < 5000; i++)
        qk_lines_put(lines, QK_LOG_WARNING, NULL, "t", "k", 0, text);
    qk_loop_poll(fx_control, -1);
    ck_assert_int_gt(fx_lines, 900);
    ck_assert_int_lt(fx_lines, 1100);
    ck_assert_int_eq(fx_dropped, 1);
    ck_assert_ptr_nonnull(strstr(fx_text, "dropped"));
    fx_lines = 0;
    qk_lines_put(lines, QK_LOG_WARNING, NULL, "t", "k", 0, text); /* room again */
    qk_lines_destroy(lines);                                      /* and nothing is lost at the end */
    ck_assert_int_eq(fx_lines, 1);
    ck_assert_int_eq(fx_dropped, 1);
    qk_loop_poll(fx_control, 0); /* no task is left behind */
}
END_TEST

START_TEST(test_lines_come_from_actors)
{
    struct peer p;
    fx_start(NULL);
    fx_open(&p);
    ck_assert_int_eq(fx_ask(&p, S_SAY, "talker", 100, NULL), 0);
    while (fx_lines < 100)
        fx_pump(NULL);
    ck_assert_str_eq(fx_actor, SILO_TYPE "/talker");
    ck_assert_str_eq(fx_text, SILO_TYPE "/talker: line 99");
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lines");
    TCase *tc = tcase_create("lines");
    tcase_add_checked_fixture(tc, fx_setup, fx_teardown);
    tcase_add_test(tc, test_lines_keep_their_order_and_fields);
    tcase_add_test(tc, test_lines_are_bounded);
    tcase_add_test(tc, test_lines_come_from_actors);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
