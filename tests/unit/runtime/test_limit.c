/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Turns that take longer than their type allows. */
#include "family.h"

#include <check.h>
#include <stdlib.h>

#define TOO_LONG "the turn took longer than the 100 ms that it may take"

static struct harness h;

static void begin(void)
{
    family_begin(&h);
}

static void end(void)
{
    family_end(&h);
}

static void fails(const char *who, const char *steps)
{
    ck_assert_int_eq(family_do(who, steps), QK_ETIMEDOUT);
    ck_assert_str_eq(family_text, TOO_LONG);
}

START_TEST(test_limit_of_a_turn_that_computes)
{
    ck_assert_int_eq(family_do("hasty/a", "add 1;spend 99;get"), 0);
    ck_assert_str_eq(family_text, "1");
    fails("hasty/a", "add 1;spend 100;get");
    ck_assert_int_eq(family_do("hasty/a", "get"), 0);
    ck_assert_str_eq(family_text, "0");
    story_is("+a\n-a failed\n+a");
    /* Others may take their time. */
    ck_assert_int_eq(family_do("plain/b", "spend 5000"), 0);
}
END_TEST

START_TEST(test_limit_ends_a_turn_where_it_calls)
{
    fails("hasty/a", "spend 100;send plain/b add 1;send plain/b add 10");
    ck_assert_int_eq(family_do("plain/b", "get"), 0);
    ck_assert_str_eq(family_text, "1"); /* what it was doing is done, and no more */
    h.now_ns += 1000000000;
    fails("hasty/c", "spend 100;yield;call plain/b add 10");
    fails("hasty/d", "spend 60;call plain/b spend 60;send plain/b add 10");
    fails("hasty/e", "offload 100;send plain/b add 10");
    ck_assert_int_eq(family_do("plain/b", "get"), 0);
    ck_assert_str_eq(family_text, "1");
}
END_TEST

START_TEST(test_limit_and_errors_and_panics)
{
    fails("hasty/a", "spend 100;fail 3");
    ck_assert_int_eq(family_do("hasty/b", "spend 100;panic before that"), QK_ECRASHED);
    ck_assert_str_eq(family_text, "before that");
    ck_assert_int_eq(family_do("hasty/c", "fail 3"), QK_APP(3));
}
END_TEST

START_TEST(test_limit_wakes_who_waits_for_a_reply)
{
    family_start("hasty/a", "call kept/k save", 1);
    harness_run(&h);
    harness_advance(&h, 99);
    ck_assert_int_eq(family_reply(1), 1);
    harness_advance(&h, 2);
    ck_assert_int_eq(family_reply(1), QK_ETIMEDOUT);
    ck_assert_str_eq(family_text, TOO_LONG);
    story_is("+a\n+k\n-a failed");
    family_store(0);
    ck_assert_int_eq(family_do("hasty/a", "get"), 0);
}
END_TEST

START_TEST(test_limit_wakes_who_waits_for_room)
{
    enum { FULL = 1024 };
    family_start("kept/k", "save", 1);
    harness_run(&h);
    for (int i = 2; i <= FULL; i++)
        family_start("kept/k", "get", (uint64_t)i);
    harness_run(&h);
    family_start("hasty/a", "call kept/k get", 5000);
    harness_run(&h);
    ck_assert_int_eq(family_reply(5000), 1);
    harness_advance(&h, 101);
    ck_assert_int_eq(family_reply(5000), QK_ETIMEDOUT);
    ck_assert_str_eq(family_text, TOO_LONG);
    family_store(0);
    for (int i = 1; i <= FULL; i++)
        ck_assert_int_eq(family_reply((uint64_t)i), 0);
}
END_TEST

START_TEST(test_limit_waits_for_a_store)
{
    family_start("hasty/a", "save;send plain/b add 1", 1);
    harness_run(&h);
    harness_advance(&h, 200);
    ck_assert_int_eq(family_reply(1), 1);
    family_store(0);
    ck_assert_int_eq(family_reply(1), QK_ETIMEDOUT);
    ck_assert_str_eq(family_text, TOO_LONG);
    story_is("+a\n-a failed");
}
END_TEST

START_TEST(test_limit_fails_turns_that_interleave)
{
    family_start("hasty_open/o", "call kept/k save", 1);
    harness_run(&h);
    harness_advance(&h, 150); /* the load takes its time, which is not the turn's */
    family_store(0);
    harness_advance(&h, 50);
    family_start("hasty_open/o", "call kept/k get", 2);
    harness_run(&h);
    harness_advance(&h, 51);
    ck_assert_int_eq(family_reply(1), QK_ETIMEDOUT);
    ck_assert_str_eq(family_text, TOO_LONG);
    ck_assert_int_eq(family_reply(2), QK_ECRASHED);
    ck_assert_str_eq(family_text, "another turn of the activation has failed");
    story_is("+o\n+k\n-o failed");
    family_store(0);
}
END_TEST

START_TEST(test_limit_is_told_to_the_parent)
{
    family_plan.answer = QK_RESUME;
    ck_assert_int_eq(family_do("one/p", "spawn hasty/c"), 0);
    ck_assert_int_eq(family_do("hasty/c", "add 2"), 0);
    fails("hasty/c", "spend 100");
    ck_assert_int_eq(family_do("hasty/c", "get"), 0);
    ck_assert_str_eq(family_text, "2");
    story_is("+p\n+c\np: hasty/c timeout 1: " TOO_LONG);
}
END_TEST

START_TEST(test_limit_of_ticks)
{
    ck_assert_int_eq(family_do("hasty/a", "tick 50 spend 100"), 0);
    harness_advance(&h, 50);
    story_is("+a\n-a failed");
}
END_TEST

START_TEST(test_limit_of_hooks)
{
    family_plan.in_activate = "spend 100";
    ck_assert_int_eq(family_do("hasty/top", "get"), QK_EACTIVATE);
    ck_assert_str_eq(family_text, "hasty/top could not be activated (status -1001): " TOO_LONG);
    story_is("+top");
    ck_assert_int_eq(family_do("hasty/p", "spawn plain/c"), 0);
    family_plan.in_failure = "spend 100";
    ck_assert_int_eq(family_do("plain/c", "panic x"), QK_ECRASHED);
    story_is("+p\n+c\np: plain/c panic 1: x\nstatus 0\n-c failed\n-p failed");
    family_plan.slow_ends = 1;
    ck_assert_int_eq(family_do("hasty/a", "add 1;quit"), 0);
    ck_assert_int_eq(family_do("hasty/a", "get"), 0);
    ck_assert_str_eq(family_text, "0");
    story_is("+a\n-a requested\n+a");
}
END_TEST

START_TEST(test_limit_is_seen_by_who_asks)
{
    fails("hasty/a", "cancelled;spend 100;cancelled");
    story_is("+a\ncancelled 0\ncancelled 1\n-a failed");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limit");
    TCase *tests = tcase_create("limit");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, test_limit_of_a_turn_that_computes);
    tcase_add_test(tests, test_limit_ends_a_turn_where_it_calls);
    tcase_add_test(tests, test_limit_and_errors_and_panics);
    tcase_add_test(tests, test_limit_wakes_who_waits_for_a_reply);
    tcase_add_test(tests, test_limit_wakes_who_waits_for_room);
    tcase_add_test(tests, test_limit_waits_for_a_store);
    tcase_add_test(tests, test_limit_fails_turns_that_interleave);
    tcase_add_test(tests, test_limit_is_told_to_the_parent);
    tcase_add_test(tests, test_limit_of_ticks);
    tcase_add_test(tests, test_limit_of_hooks);
    tcase_add_test(tests, test_limit_is_seen_by_who_asks);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
