/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/park.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>

START_TEST(test_park_keeps_a_token)
{
    struct qk_park park = {0};
    qk_park_wake(&park);
    qk_park_wake(&park); /* one token, however often */
    qk_park_wait(&park, -1);
    qk_park_wait(&park, 0);
    ck_assert_uint_eq(atomic_load(&park.state), 0);
}
END_TEST

START_TEST(test_park_wait_ends_by_itself)
{
    struct qk_park park = {0};
    qk_park_wait(&park, 1000);
    qk_park_wait(&park, 0);
    ck_assert_uint_eq(atomic_load(&park.state), 0);
}
END_TEST

/* Two threads hand a ball to and fro; a lost wake-up would leave both asleep. */
#define ROUNDS 2000

struct table {
    struct qk_park parks[2];
    atomic_int turn;
};

static void play(struct table *t, int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        while (atomic_load(&t->turn) != me)
            qk_park_wait(&t->parks[me], -1);
        atomic_store(&t->turn, 1 - me);
        qk_park_wake(&t->parks[1 - me]);
    }
}

static void *other(void *arg)
{
    play(arg, 1);
    return NULL;
}

START_TEST(test_park_loses_no_wakeup)
{
    struct table t = {0};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, other, &t), 0);
    play(&t, 0);
    pthread_join(thread, NULL);
    ck_assert_int_eq(atomic_load(&t.turn), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("park");
    TCase *c = tcase_create("park");
    tcase_add_test(c, test_park_keeps_a_token);
    tcase_add_test(c, test_park_wait_ends_by_itself);
    tcase_add_test(c, test_park_loses_no_wakeup);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
