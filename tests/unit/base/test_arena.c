/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/arena.h"

#include <check.h>
#include <stdlib.h>

START_TEST(test_arena_pieces_are_aligned_and_apart)
{
    struct qk_arena a;
    uint8_t *pieces[500];
    qk_arena_init(&a, 1 << 20);
    for (size_t i = 0; i < 500; i++) {
        pieces[i] = qk_arena_alloc(&a, i);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i] % QK_ARENA_ALIGN, 0);
        memset(pieces[i], (int)(i & 255), i);
    }
    for (size_t i = 0; i < 500; i++) {
        for (size_t k = 0; k < i; k++)
            ck_assert_uint_eq(pieces[i][k], i & 255);
    }
    qk_arena_finish(&a);
}
END_TEST

START_TEST(test_arena_keeps_its_limit)
{
    struct qk_arena a;
    qk_arena_init(&a, 10000);
    ck_assert_ptr_null(qk_arena_alloc(&a, 10001));
    ck_assert_ptr_null(qk_arena_alloc(&a, SIZE_MAX));
    ck_assert_ptr_null(qk_arena_alloc(&a, SIZE_MAX - 14));
    ck_assert_ptr_nonnull(qk_arena_alloc(&a, 10000));
    ck_assert_ptr_null(qk_arena_alloc(&a, 1));
    qk_arena_reset(&a);
    size_t total = 0;
    while (qk_arena_alloc(&a, 16) != NULL)
        total += 16;
    ck_assert_uint_le(total, 10000);
    ck_assert_uint_ge(total, 9000);
    qk_arena_finish(&a);
}
END_TEST

START_TEST(test_arena_reset_keeps_one_ordinary_chunk)
{
    struct qk_arena a;
    qk_arena_init(&a, 1 << 20);
    void *first = qk_arena_alloc(&a, 100);
    qk_arena_reset(&a);
    ck_assert_ptr_eq(qk_arena_alloc(&a, 100), first);
    for (int i = 0; i < 100; i++)
        ck_assert_ptr_nonnull(qk_arena_alloc(&a, 1000));
    ck_assert_ptr_nonnull(qk_arena_alloc(&a, 100000));
    qk_arena_reset(&a);
    ck_assert_uint_le(a.used, QK_ARENA_CHUNK);
    qk_arena_finish(&a);
    ck_assert_uint_eq(a.used, 0);
    qk_arena_reset(&a); /* an empty one */
    qk_arena_finish(&a);
}
END_TEST

/* A large piece has a chunk of its own; what was left of the current chunk is still used. */
START_TEST(test_arena_large_piece_wastes_nothing)
{
    struct qk_arena a;
    qk_arena_init(&a, 1 << 20);
    uint8_t *before = qk_arena_alloc(&a, 16);
    ck_assert_ptr_nonnull(qk_arena_alloc(&a, 50000));
    ck_assert_ptr_eq(qk_arena_alloc(&a, 16), before + 16);
    qk_arena_finish(&a);
}
END_TEST

START_TEST(test_arena_adopts_another)
{
    struct qk_arena a, b, c;
    qk_arena_init(&a, 1 << 20);
    qk_arena_init(&b, 1 << 20);
    qk_arena_init(&c, 1 << 20);
    char *in_a = qk_arena_alloc(&a, 16);
    char *in_b = qk_arena_alloc(&b, 16);
    qk_arena_alloc(&b, 8000);
    strcpy(in_a, "of a");
    strcpy(in_b, "of b");
    qk_arena_adopt(&a, &b);
    ck_assert_uint_eq(b.used, 0);
    ck_assert_ptr_nonnull(qk_arena_alloc(&b, 100)); /* usable as before */
    qk_arena_adopt(&a, &c);                         /* of an empty one */
    qk_arena_adopt(&c, &a);                         /* into an empty one */
    ck_assert_str_eq(in_a, "of a");
    ck_assert_str_eq(in_b, "of b");
    ck_assert_uint_eq(c.limit, 1 << 20);
    qk_arena_finish(&a);
    qk_arena_finish(&b);
    qk_arena_finish(&c);
}
END_TEST

/* What was adopted may take an arena past its limit; it then gives nothing more. */
START_TEST(test_arena_adopting_does_not_lift_the_limit)
{
    struct qk_arena a, b;
    qk_arena_init(&a, 10000);
    qk_arena_init(&b, 10000);
    ck_assert_ptr_nonnull(qk_arena_alloc(&a, 9000));
    ck_assert_ptr_nonnull(qk_arena_alloc(&b, 9000));
    qk_arena_adopt(&a, &b);
    ck_assert_uint_gt(a.used, a.limit);
    ck_assert_ptr_null(qk_arena_alloc(&a, 5000));
    ck_assert_ptr_null(qk_arena_alloc(&a, 9999));
    qk_arena_reset(&a);
    ck_assert_ptr_nonnull(qk_arena_alloc(&a, 9000));
    qk_arena_finish(&a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("arena");
    TCase *c = tcase_create("arena");
    tcase_add_test(c, test_arena_pieces_are_aligned_and_apart);
    tcase_add_test(c, test_arena_keeps_its_limit);
    tcase_add_test(c, test_arena_reset_keeps_one_ordinary_chunk);
    tcase_add_test(c, test_arena_large_piece_wastes_nothing);
    tcase_add_test(c, test_arena_adopts_another);
    tcase_add_test(c, test_arena_adopting_does_not_lift_the_limit);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
