/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the runtime does when its owner says that memory is short. */
#include "harness.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include "actors.h"
#include "rt.pb-c.h"

static struct harness h;

static void setup(void)
{
    actors_activated = actors_deactivated = actors_fail_activation = 0;
    harness_init(&h, &actors_plugin, NULL);
}

static void teardown(void)
{
    harness_finish(&h);
    ck_assert_int_eq(actors_activated, actors_deactivated);
}

static int add(const char *key)
{
    Rt__Number one = RT__NUMBER__INIT;
    one.value = 1;
    return harness_call(&h, actors_method(M_ADD), key, &one.base, NULL);
}

static uint64_t count(void)
{
    struct qk_runtime_stats stats;
    qk_runtime_stats(h.rt, &stats);
    return stats.activations;
}

START_TEST(test_memory_short_makes_no_more)
{
    ck_assert_int_eq(add("old"), 0);
    qk_runtime_set_memory(h.rt, QK_MEMORY_SHORT);
    ck_assert_int_eq(add("old"), 0);
    ck_assert_int_eq(add("new"), QK_ENOMEMORY);
    ck_assert_ptr_nonnull(strstr(harness_text, "runtime.memory"));
    Rt__Number in = RT__NUMBER__INIT; /* "old" calls "target", which is not there either */
    ck_assert_int_eq(harness_call(&h, actors_method(M_RELAY), "old", &in.base, NULL), QK_ENOMEMORY);
    ck_assert_uint_eq(count(), 1);
    struct qk_runtime_stats stats;
    qk_runtime_stats(h.rt, &stats);
    ck_assert_uint_eq(stats.refused, 2);
    qk_runtime_set_memory(h.rt, QK_MEMORY_PLENTY);
    ck_assert_int_eq(add("new"), 0);
}
END_TEST

/* What came while the activation ended still gets the next one: it takes the place of the old. */
START_TEST(test_memory_short_keeps_what_already_waits)
{
    Rt__Number one = RT__NUMBER__INIT;
    one.value = 1;
    harness_submit(&h, QK_PORT_CALL, actors_method(M_QUIT), "a", &one.base, 1, 0);
    harness_submit(&h, QK_PORT_CALL, actors_method(M_ADD), "a", &one.base, 2, 0);
    while (count() == 0)
        qk_runtime_step(h.rt);
    qk_runtime_set_memory(h.rt, QK_MEMORY_SHORT);
    harness_run(&h);
    for (int i = 0; i < 2; i++) {
        struct qk_port_frame *f = harness_reply(&h);
        ck_assert_ptr_nonnull(f);
        ck_assert_int_eq(f->status, 0);
        qk_port_frame_destroy(f);
    }
}
END_TEST

START_TEST(test_memory_full_refuses_calls_from_outside)
{
    ck_assert_int_eq(add("old"), 0);
    qk_runtime_set_memory(h.rt, QK_MEMORY_FULL);
    ck_assert_int_eq(add("old"), QK_EOVERLOADED);
    ck_assert_ptr_nonnull(strstr(harness_text, "runtime.memory"));
    qk_runtime_set_memory(h.rt, QK_MEMORY_SHORT);
    ck_assert_int_eq(add("old"), 0);
}
END_TEST

START_TEST(test_memory_collects_the_longest_unused)
{
    uint64_t claimed = 99;
    char key[16];
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        ck_assert_int_eq(add(key), 0);
        harness_advance(&h, 100);
    }
    /* Those of 500 ms and older are k0 to k5. */
    ck_assert(qk_runtime_collect(h.rt, 500, 4));
    ck_assert(!qk_runtime_collect(h.rt, 500, 4)); /* one at a time */
    harness_run(&h);
    ck_assert(qk_runtime_collected(h.rt, &claimed));
    ck_assert_uint_eq(claimed, 4);
    ck_assert_uint_eq(count(), 6);
    ck_assert(qk_runtime_collect(h.rt, 500, 100));
    harness_run(&h);
    ck_assert(qk_runtime_collected(h.rt, &claimed));
    ck_assert_uint_eq(claimed, 2);
    ck_assert_uint_eq(count(), 4);
    qk_runtime_set_memory(h.rt, QK_MEMORY_SHORT);
    ck_assert_int_eq(add("k0"), QK_ENOMEMORY);
    for (int i = 6; i < 10; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        ck_assert_int_eq(add(key), 0);
    }
    struct qk_runtime_stats stats;
    qk_runtime_stats(h.rt, &stats);
    ck_assert_uint_eq(stats.collected, 6);
    ck_assert_uint_gt(stats.spare_bytes, 0);
}
END_TEST

START_TEST(test_memory_collects_nothing_that_works)
{
    uint64_t claimed;
    Rt__Number in = RT__NUMBER__INIT;
    harness_submit(&h, QK_PORT_CALL, actors_method(M_SLOW), "busy", &in.base, 1, 50);
    for (int i = 0; i < 10; i++)
        qk_runtime_step(h.rt);
    ck_assert(qk_runtime_collect(h.rt, 0, 100));
    for (int i = 0; i < 1000 && !qk_runtime_collected(h.rt, &claimed); i++)
        qk_runtime_step(h.rt);
    ck_assert(qk_runtime_collected(h.rt, &claimed));
    ck_assert_uint_eq(claimed, 0);
    h.now_ns += 60000000;
    harness_run(&h);
    struct qk_port_frame *f = harness_reply(&h);
    ck_assert_ptr_nonnull(f);
    qk_port_frame_destroy(f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("memory");
    TCase *c = tcase_create("memory");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_memory_short_makes_no_more);
    tcase_add_test(c, test_memory_short_keeps_what_already_waits);
    tcase_add_test(c, test_memory_full_refuses_calls_from_outside);
    tcase_add_test(c, test_memory_collects_the_longest_unused);
    tcase_add_test(c, test_memory_collects_nothing_that_works);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
