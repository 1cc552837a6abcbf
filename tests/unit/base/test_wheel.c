/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The timing wheel against a model that keeps timers in an array and looks at all of them. */
#include "base/wheel.h"

#include <check.h>
#include <stdlib.h>

#define TIMERS 200

static uint64_t state;

static uint64_t next_random(void)
{
    state += 0x9e3779b97f4a7c15ull;
    uint64_t z = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9ull;
    return z ^ (z >> 29);
}

/* Distances of every size that the levels tell apart, and past the last. */
static int64_t random_distance(void)
{
    unsigned bits = (unsigned)(next_random() % 40);
    return (int64_t)(next_random() & ((1ull << bits) - 1));
}

static int64_t earliest(const struct qk_timer *timers)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < TIMERS; i++) {
        if (qk_timer_is_started(&timers[i]) && timers[i].expiry < best)
            best = timers[i].expiry;
    }
    return best;
}

/* Takes everything that is due, and checks that this is exactly what the model says. */
static void check_due(struct qk_wheel *wheel, struct qk_timer *timers, int64_t now)
{
    struct qk_timer *timer;
    while ((timer = qk_wheel_pop(wheel)) != NULL) {
        ck_assert_int_le(timer->expiry, now);
        ck_assert(!qk_timer_is_started(timer));
    }
    int late = 0;
    for (int i = 0; i < TIMERS; i++)
        late += qk_timer_is_started(&timers[i]) && timers[i].expiry <= now;
    ck_assert_int_eq(late, 0);
}

static void run(uint64_t seed, int64_t now)
{
    static struct qk_wheel wheel;
    static struct qk_timer timers[TIMERS];
    state = seed;
    qk_wheel_init(&wheel, now);
    for (int i = 0; i < TIMERS; i++)
        qk_timer_init(&timers[i]);
    for (int step = 0; step < 3000; step++) {
        struct qk_timer *timer = &timers[next_random() % TIMERS];
        switch (next_random() % 4) {
        case 0:
            if (!qk_timer_is_started(timer))
                qk_wheel_place(&wheel, timer, now + random_distance() - 3);
            break;
        case 1:
            if (!qk_timer_is_started(timer))
                qk_wheel_start(&wheel, timer, now + random_distance() - 3);
            break;
        case 2:
            qk_wheel_cancel(&wheel, timer);
            ck_assert(!qk_timer_is_started(timer));
            break;
        case 3: {
            int64_t next = qk_wheel_next(&wheel), first = earliest(timers);
            ck_assert_int_le(next, first > now ? first : now);
            ck_assert((next == INT64_MAX) == (first == INT64_MAX));
            now = next_random() % 2 != 0 && next != INT64_MAX ? next : now + random_distance() / 64;
            qk_wheel_advance(&wheel, now);
            check_due(&wheel, timers, now);
            break;
        }
        }
        uint64_t started = 0;
        for (int i = 0; i < TIMERS; i++)
            started += qk_timer_is_started(&timers[i]);
        ck_assert_uint_eq(wheel.count, started);
    }
    /* Going from event to event ends with everything due. */
    while (wheel.count > 0) {
        int64_t next = qk_wheel_next(&wheel);
        ck_assert_int_lt(next, INT64_MAX);
        now = next > now ? next : now;
        qk_wheel_advance(&wheel, now);
        check_due(&wheel, timers, now);
    }
}

START_TEST(test_wheel_agrees_with_a_model)
{
    for (uint64_t seed = 1; seed <= 40; seed++)
        run(seed, (int64_t)(seed * 0x1234567) << (seed % 20));
}
END_TEST

START_TEST(test_wheel_ignores_time_going_back)
{
    static struct qk_wheel wheel;
    struct qk_timer timer;
    qk_wheel_init(&wheel, 1000);
    qk_timer_init(&timer);
    qk_wheel_start(&wheel, &timer, 1010);
    qk_wheel_advance(&wheel, 500);
    ck_assert_ptr_null(qk_wheel_pop(&wheel));
    qk_wheel_advance(&wheel, 1009);
    ck_assert_ptr_null(qk_wheel_pop(&wheel));
    qk_wheel_advance(&wheel, 1010);
    ck_assert_ptr_eq(qk_wheel_pop(&wheel), &timer);
    ck_assert_int_eq(qk_wheel_next(&wheel), INT64_MAX);
}
END_TEST

START_TEST(test_wheel_past_and_present_are_due_at_once)
{
    static struct qk_wheel wheel;
    struct qk_timer a, b;
    qk_wheel_init(&wheel, 1000);
    qk_timer_init(&a);
    qk_timer_init(&b);
    qk_wheel_start(&wheel, &a, 10);
    qk_wheel_start(&wheel, &b, 1000);
    ck_assert_int_eq(qk_wheel_next(&wheel), 1000);
    ck_assert_ptr_eq(qk_wheel_pop(&wheel), &a);
    qk_wheel_cancel(&wheel, &b); /* while it is due */
    ck_assert_ptr_null(qk_wheel_pop(&wheel));
}
END_TEST

/* A timer just behind the tick at which the last level goes round. */
START_TEST(test_wheel_goes_round_its_last_level)
{
    static struct qk_wheel wheel;
    struct qk_timer timer;
    int64_t turn = 1ll << (QK_WHEEL_BITS * QK_WHEEL_LEVELS);
    for (int64_t distance = 1; distance < turn; distance = distance * 5 + 1) {
        for (int64_t now = turn - 1; now >= turn - distance; now -= distance / 3 + 1) {
            qk_wheel_init(&wheel, now);
            qk_timer_init(&timer);
            qk_wheel_start(&wheel, &timer, now + distance);
            qk_wheel_advance(&wheel, now + distance - 1);
            ck_assert_ptr_null(qk_wheel_pop(&wheel));
            qk_wheel_advance(&wheel, now + distance);
            ck_assert_ptr_eq(qk_wheel_pop(&wheel), &timer);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("wheel");
    TCase *c = tcase_create("wheel");
    tcase_add_test(c, test_wheel_agrees_with_a_model);
    tcase_add_test(c, test_wheel_ignores_time_going_back);
    tcase_add_test(c, test_wheel_past_and_present_are_due_at_once);
    tcase_add_test(c, test_wheel_goes_round_its_last_level);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
