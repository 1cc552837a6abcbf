/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "transport/questions.h"
#include "two_sides.h"

#define MAX 1000

static struct qk_question make(uintptr_t origin, uint64_t call_id)
{
    return (struct qk_question){.origin = (void *)origin, .call_id = call_id, .kind = 1};
}

START_TEST(test_questions_hold_up_to_their_bound)
{
    struct qk_questions q;
    struct qk_question got, one = make(1, 2);
    uint64_t numbers[MAX];
    qk_questions_init(&q, MAX);
    ck_assert(!qk_questions_take(&q, 1, &got));
    ck_assert_uint_eq(qk_questions_find(&q, NULL, 0), 0);
    for (unsigned i = 0; i < MAX; i++) {
        one = make(i % 10, i);
        numbers[i] = qk_questions_add(&q, &one);
        ck_assert_uint_ne(numbers[i], 0);
    }
    ck_assert_uint_eq(qk_questions_add(&q, &one), 0);
    for (unsigned i = 0; i < MAX; i++)
        ck_assert_uint_eq(qk_questions_find(&q, (void *)(uintptr_t)(i % 10), i), numbers[i]);
    for (unsigned i = 0; i < MAX; i += 2) {
        ck_assert(qk_questions_take(&q, numbers[i], &got));
        ck_assert_uint_eq(got.call_id, i);
        ck_assert(!qk_questions_take(&q, numbers[i], &got)); /* once */
    }
    /* A place that is used again has another number. */
    uint64_t again = qk_questions_add(&q, &one);
    ck_assert_uint_ne(again, 0);
    for (unsigned i = 0; i < MAX; i += 2)
        ck_assert_uint_ne(again, numbers[i]);
    unsigned n = 0;
    for (uint32_t at = 0; qk_questions_each(&q, &at, &got) != 0;)
        n++;
    ck_assert_uint_eq(n, q.count);
    ck_assert_uint_eq(n, MAX / 2 + 1);
    qk_questions_finish(&q);
}
END_TEST

START_TEST(test_questions_know_what_was_not_given_out)
{
    struct qk_questions q;
    struct qk_question got, one = make(1, 2);
    qk_questions_init(&q, MAX);
    uint64_t number = qk_questions_add(&q, &one);
    for (unsigned bit = 0; bit < 64; bit++)
        ck_assert(!qk_questions_take(&q, number ^ (uint64_t)1 << bit, &got));
    ck_assert(!qk_questions_take(&q, 0, &got));
    ck_assert(qk_questions_take(&q, number, &got));
    qk_questions_finish(&q);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("questions");
    TCase *tc = tcase_create("questions");
    tcase_add_test(tc, test_questions_hold_up_to_their_bound);
    tcase_add_test(tc, test_questions_know_what_was_not_given_out);
    suite_add_tcase(s, tc);
    return s;
}

RUN_SUITE(suite)
