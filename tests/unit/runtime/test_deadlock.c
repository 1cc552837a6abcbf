/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Actors that wait for one another: cycles through turns that interleave and full mailboxes are found, and nothing else
 * is. */
#include "lovers.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct harness h;

static void setup(void)
{
    lovers_build();
    harness_init(&h, &lovers_plugin, NULL);
}

static void teardown(void)
{
    atomic_store(&lovers_let_go, true);
    harness_finish(&h);
}

static void begin(const char *what, uint64_t id)
{
    qk_runtime_submit(h.rt, lovers_call(what, id, h.now_ns + 60000000000));
}

/* The clock goes on in steps of 10 ms; turns that hold run in each. */
static void pass(int64_t ms)
{
    for (int64_t i = 0; i < ms; i += 10) {
        h.now_ns += 10000000;
        for (int k = 0; k < 5; k++)
            qk_runtime_step(h.rt);
    }
}

/* So many calls have been answered within a second, one of them with QK_EDEADLOCK and this cycle, from any of its
 * members on. */
static void expect_cycle(int calls, const char *members)
{
    pass(1000);
    int failed = 0;
    for (int i = 0; i < calls; i++) {
        struct qk_port_frame *f = harness_reply(&h);
        ck_assert_msg(f != NULL, "%d of %d calls have ended", i, calls);
        if (f->status < 0) {
            char text[256];
            snprintf(text, sizeof(text), "%.*s", (int)f->text_len, qk_port_frame_text(f));
            ck_assert_msg(f->status == QK_EDEADLOCK, "%d: %s", f->status, text);
            ck_assert_msg(strstr(text, members) != NULL, "%s", text);
            failed++;
        }
        qk_port_frame_destroy(f);
    }
    ck_assert_int_eq(failed, 1);
    ck_assert_ptr_null(harness_reply(&h));
}

/* So many calls succeed. */
static void expect_success(int calls)
{
    for (int i = 0; i < calls; i++) {
        struct qk_port_frame *f = harness_reply(&h);
        ck_assert_msg(f != NULL, "%d of %d calls have ended", i, calls);
        ck_assert_msg(f->status == 0, "%d: %.*s", f->status, (int)f->text_len, qk_port_frame_text(f));
        qk_port_frame_destroy(f);
    }
    ck_assert_ptr_null(harness_reply(&h));
}

START_TEST(test_deadlock_of_plain_actors)
{
    begin("p/a.Slow(p/b.Slow())", 1);
    begin("p/b.Slow(p/c.Slow())", 2);
    begin("p/c.Slow(p/a.Slow())", 3);
    expect_cycle(3, "p/a -> p/b -> p/c");
}
END_TEST

START_TEST(test_deadlock_of_actors_that_interleave)
{
    begin("m/a.Slow(m/b.Slow())", 1);
    begin("m/b.Slow(m/a.Slow())", 2);
    expect_cycle(2, "m/a -> m/b");
    /* What interleaves is not held up by that. */
    begin("m/a.Slow(m/b.Quick())", 3);
    begin("m/b.Slow(m/a.Quick())", 4);
    pass(10);
    expect_success(2);
}
END_TEST

START_TEST(test_deadlock_through_a_turn_that_another_message_waits_for)
{
    begin("m/b.Quick(p/a.Slow())", 1); /* waits for a, which */
    begin("p/a.Slow(m/b.Slow())", 2);  /* waits for b, which begins it when the other is over */
    expect_cycle(2, "p/a -> m/b");
}
END_TEST

START_TEST(test_deadlock_though_another_turn_may_go_on)
{
    begin("m/b.Quick(hold)", 1);
    begin("m/b.Quick(p/a.Slow())", 2);
    begin("p/a.Slow(m/b.Slow())", 3);
    pass(1000);
    struct qk_port_frame *f = harness_reply(&h);
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(f->status, QK_EDEADLOCK);
    qk_port_frame_destroy(f);
    atomic_store(&lovers_let_go, true);
    pass(10);
    expect_success(2);
}
END_TEST

START_TEST(test_deadlock_of_reads_and_writes)
{
    begin("r/a.Read(p/b.Slow(r/c.Slow(hold)))", 1);
    pass(10);
    begin("r/c.Read(r/a.Slow())", 2);
    pass(1000);
    ck_assert_ptr_null(harness_reply(&h));
    atomic_store(&lovers_let_go, true);
    pass(10);
    expect_success(2);
    begin("r/a.Read(r/b.Slow())", 3);
    begin("r/b.Read(r/a.Slow())", 4);
    expect_cycle(2, "r/a -> r/b");
    begin("r/a.Read(r/b.Read())", 5);
    begin("r/b.Read(r/a.Read())", 6);
    pass(10);
    expect_success(2);
}
END_TEST

START_TEST(test_deadlock_through_a_full_mailbox)
{
    begin("s/b.Quick(p/a.Slow(s/b.Quick()))", 1); /* comes back to b, */
    begin("s/b.Slow()", 2);                       /* which this makes full, since it waits for the first */
    expect_cycle(2, "p/a -> s/b");
    begin("p/a.Slow(s/b.Quick())", 3);
    pass(10);
    expect_success(1);
}
END_TEST

START_TEST(test_deadlock_through_two_full_mailboxes)
{
    begin("s/a.Quick(p/x.Slow(s/b.Quick()))", 1);
    begin("s/a.Slow()", 2);
    begin("s/b.Quick(p/y.Slow(s/a.Quick()))", 3);
    begin("s/b.Slow()", 4);
    expect_cycle(4, "s/a -> p/x -> s/b -> p/y");
}
END_TEST

START_TEST(test_deadlock_is_none_where_another_turn_makes_room)
{
    begin("s/b.Quick(hold)", 1);
    begin("s/b.Quick(p/a.Slow(s/b.Quick()))", 2);
    pass(3000);
    ck_assert_ptr_null(harness_reply(&h));
    atomic_store(&lovers_let_go, true);
    pass(10);
    expect_success(2);
}
END_TEST

START_TEST(test_deadlock_is_none_where_what_another_turn_waits_for_goes_on)
{
    begin("s/b.Quick(p/c.Slow(hold))", 1);
    begin("s/b.Quick(p/a.Slow(s/b.Quick()))", 2);
    pass(3000);
    ck_assert_ptr_null(harness_reply(&h));
    atomic_store(&lovers_let_go, true);
    pass(10);
    expect_success(2);
}
END_TEST

START_TEST(test_deadlock_is_none_where_the_turn_that_is_waited_for_works)
{
    begin("m/b.Slow(p/a.Slow())", 1);
    begin("p/a.Slow(m/b.Quick(hold))", 2);
    pass(3000);
    ck_assert_ptr_null(harness_reply(&h));
    atomic_store(&lovers_let_go, true);
    pass(10);
    expect_success(2);
}
END_TEST

START_TEST(test_deadlock_through_a_hook)
{
    lovers_in_hook = "p/a.Slow()";
    begin("h/b.Quick()", 1);
    begin("p/a.Slow(h/b.Quick())", 2);
    pass(1000);
    /* Either the activation fails with the text of the cycle, or the call from outside does. */
    bool found = false;
    struct qk_port_frame *f;
    while ((f = harness_reply(&h)) != NULL) {
        char text[512];
        snprintf(text, sizeof(text), "%.*s", (int)f->text_len, qk_port_frame_text(f));
        found = found || strstr(text, "these wait for one another") != NULL;
        qk_port_frame_destroy(f);
    }
    ck_assert(found);
}
END_TEST

START_TEST(test_deadlock_is_none_while_somebody_works)
{
    begin("m/a.Slow(m/b.Slow(p/c.Slow(hold)))", 1);
    pass(10);
    begin("m/b.Quick(m/a.Slow())", 2);
    begin("m/a.Quick(p/c.Slow())", 3);
    begin("p/d.Slow(m/a.Slow())", 4);
    pass(5000);
    ck_assert_ptr_null(harness_reply(&h));
    atomic_store(&lovers_let_go, true);
    pass(10);
    expect_success(4);
}
END_TEST

START_TEST(test_deadlock_that_a_deadline_ends_first)
{
    qk_runtime_submit(h.rt, lovers_call("m/a.Slow(m/b.Slow())", 1, h.now_ns + 90000000));
    begin("m/b.Slow(m/a.Slow())", 2);
    pass(1000);
    int ok = 0;
    struct qk_port_frame *f;
    while ((f = harness_reply(&h)) != NULL) {
        ck_assert_int_ne(f->status, QK_EDEADLOCK);
        ok += f->status == 0;
        qk_port_frame_destroy(f);
    }
    ck_assert_int_eq(ok, 1);
}
END_TEST

/* A deadline that ends a cycle in whatever moment, also between the look that finds it and the end of a wait: never do
 * two calls fail where one is enough. */
START_TEST(test_deadlock_that_is_over_before_it_is_broken)
{
    int64_t start_ns = h.now_ns;
    for (int64_t due_ms = 10; due_ms <= 1000; due_ms += 10) {
        char text[64];
        snprintf(text, sizeof(text), "m/a%d.Slow(p/b%d.Slow())", (int)due_ms, (int)due_ms);
        qk_runtime_submit(h.rt, lovers_call(text, (uint64_t)due_ms, start_ns + due_ms * 1000000 - 5000000));
        snprintf(text, sizeof(text), "p/b%d.Slow(m/a%d.Slow())", (int)due_ms, (int)due_ms);
        begin(text, (uint64_t)due_ms);
    }
    int failed[101] = {0};
    for (int i = 0; i < 150; i++) {
        struct qk_port_frame *f;
        h.now_ns += 10000000;
        qk_runtime_step(h.rt); /* once, so that a verdict is carried out with the next step of the clock */
        while ((f = harness_reply(&h)) != NULL) {
            failed[f->call_id / 10] += f->status != 0;
            qk_port_frame_destroy(f);
        }
    }
    for (int i = 1; i <= 100; i++)
        ck_assert_msg(failed[i] == 1, "due in %d ms: %d failed", 10 * i, failed[i]);
}
END_TEST

START_TEST(test_deadlock_of_many_at_once)
{
    enum { PAIRS = 300 };
    char text[64];
    for (int i = 0; i < PAIRS; i++) {
        snprintf(text, sizeof(text), "%c/a%d.Slow(m/b%d.Slow())", i % 2 == 0 ? 'p' : 'm', i, i);
        begin(text, 1);
        snprintf(text, sizeof(text), "m/b%d.Slow(%c/a%d.Slow())", i, i % 2 == 0 ? 'p' : 'm', i);
        begin(text, 2);
    }
    pass(1000);
    int failed = 0, ended = 0;
    struct qk_port_frame *f;
    while ((f = harness_reply(&h)) != NULL) {
        ck_assert(f->status == 0 || f->status == QK_EDEADLOCK);
        failed += f->status != 0;
        ended++;
        qk_port_frame_destroy(f);
    }
    ck_assert_int_eq(ended, 2 * PAIRS);
    ck_assert_int_eq(failed, PAIRS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("deadlock");
    TCase *tests = tcase_create("deadlock");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_deadlock_of_plain_actors);
    tcase_add_test(tests, test_deadlock_of_actors_that_interleave);
    tcase_add_test(tests, test_deadlock_through_a_turn_that_another_message_waits_for);
    tcase_add_test(tests, test_deadlock_though_another_turn_may_go_on);
    tcase_add_test(tests, test_deadlock_of_reads_and_writes);
    tcase_add_test(tests, test_deadlock_through_a_full_mailbox);
    tcase_add_test(tests, test_deadlock_through_two_full_mailboxes);
    tcase_add_test(tests, test_deadlock_is_none_where_another_turn_makes_room);
    tcase_add_test(tests, test_deadlock_is_none_where_what_another_turn_waits_for_goes_on);
    tcase_add_test(tests, test_deadlock_is_none_where_the_turn_that_is_waited_for_works);
    tcase_add_test(tests, test_deadlock_that_is_over_before_it_is_broken);
    tcase_add_test(tests, test_deadlock_through_a_hook);
    tcase_add_test(tests, test_deadlock_is_none_while_somebody_works);
    tcase_add_test(tests, test_deadlock_that_a_deadline_ends_first);
    tcase_add_test(tests, test_deadlock_of_many_at_once);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
