/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Offloaded work on a silo's own threads: bounds, blocking beside calls, the end. */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <quark/actor.h>
#include "fixture.h"

#define THREADS 3
#define QUEUE   2

static void tune(struct qk_silo_config *config)
{
    config->offload_threads = THREADS;
    config->offload_queue = QUEUE;
}

static void wait_for_blocked(int n)
{
    while (atomic_load(&silo_blocked) != n)
        fx_pump(NULL);
}

static void open_gate(int n)
{
    while (n-- > 0)
        sem_post(&silo_gate);
}

/* Begins `n` blocking calls, each to an actor of its own. */
static void block(struct peer *p, int n)
{
    for (int i = 0; i < n; i++) {
        char key[16];
        snprintf(key, sizeof(key), "b%d", i);
        fx_call(p, 100 + (uint64_t)i, S_BLOCK, key, 0, false);
    }
}

START_TEST(test_offload_blocks_no_worker)
{
    struct peer p;
    fx_start(tune);
    fx_open(&p);
    block(&p, THREADS); /* more than there are workers */
    wait_for_blocked(THREADS);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(fx_ask(&p, S_ADD, "a", 1, NULL), 0);
    open_gate(THREADS);
    for (int i = 0; i < THREADS; i++) {
        int32_t status;
        ck_assert_uint_ge(peer_reply(&p, &status, NULL), 100);
        ck_assert_int_eq(status, 0);
    }
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

START_TEST(test_offload_past_its_bound_is_refused)
{
    struct peer p;
    int32_t status;
    struct peer_frame f;
    int64_t value;
    fx_start(tune);
    fx_open(&p);
    block(&p, THREADS + QUEUE);
    wait_for_blocked(THREADS);
    /* The two that wait may not have got there yet; the one past the bound is whichever comes last. */
    fx_call(&p, 200, S_BLOCK, "late", 0, false);
    peer_reply(&p, &status, &f);
    ck_assert_int_eq(status, QK_EOVERLOADED);
    ck_assert_ptr_nonnull(strstr(f.envelope->reply->text, "offloaded"));
    peer_free(&f);
    open_gate(THREADS + QUEUE);
    for (int i = 0; i < THREADS + QUEUE; i++) {
        peer_reply(&p, &status, NULL);
        ck_assert_int_eq(status, 0);
    }
    open_gate(1);
    ck_assert_int_eq(fx_ask(&p, S_BLOCK, "late", 0, &value), 0);
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

/* A stop waits for what runs. */
START_TEST(test_offload_is_waited_for_at_the_end)
{
    struct peer p;
    int32_t status;
    struct peer_frame f;
    fx_start(tune);
    fx_open(&p);
    block(&p, 1);
    wait_for_blocked(1);
    fx_begin_stop();
    ck_assert(peer_receive(&p, &f)); /* GoAway */
    peer_free(&f);
    ck_assert(!fx_stopped);
    open_gate(1);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 100);
    ck_assert_int_eq(status, 0);
    fx_end_stop();
    peer_close(&p);
}
END_TEST

static void short_drain(struct qk_silo_config *config)
{
    tune(config);
    config->drain_ms = 20;
}

/* What has not begun when the time for the end is over never does; what runs is waited for a little longer. */
START_TEST(test_offload_that_waits_is_cancelled_at_the_end)
{
    struct peer p;
    int32_t status;
    struct peer_frame f;
    int n_cancelled = 0, n_ok = 0;
    fx_start(short_drain);
    fx_open(&p);
    block(&p, THREADS + QUEUE);
    wait_for_blocked(THREADS);
    fx_begin_stop();
    ck_assert(peer_receive(&p, &f)); /* GoAway */
    peer_free(&f);
    for (int i = 0; i < THREADS + QUEUE; i++) {
        peer_reply(&p, &status, NULL);
        ck_assert(status == 0 || status == QK_ECANCELLED || status == QK_EUNAVAILABLE);
        n_cancelled += status < 0;
        n_ok += status == 0;
        if (n_cancelled == QUEUE && n_ok == 0)
            open_gate(THREADS);
    }
    ck_assert_int_eq(n_cancelled, QUEUE);
    ck_assert_int_eq(n_ok, THREADS);
    fx_end_stop();
    peer_close(&p);
}
END_TEST

/* Work that never ends: the silo says whose it is and ends without it. */
START_TEST(test_offload_that_never_ends_is_given_up)
{
    struct peer p;
    fx_start(short_drain);
    fx_open(&p);
    block(&p, 1);
    wait_for_blocked(1);
    fx_begin_stop();
    while (!fx_stopped)
        qk_loop_poll(fx_control, -1);
    ck_assert_int_eq(fx_stuck_jobs, 1);
    ck_assert_int_eq(fx_stuck, 0);
    ck_assert_str_eq(fx_actor, SILO_TYPE "/b0");
    ck_assert_int_eq(qk_silo_destroy(fx_silo), QK_ESTATE);
    peer_remove_dir(fx_dir);
    _exit(3); /* as its owner has to */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("offload");
    TCase *tc = tcase_create("offload");
    tcase_add_checked_fixture(tc, fx_setup, fx_teardown);
    tcase_add_test(tc, test_offload_blocks_no_worker);
    tcase_add_test(tc, test_offload_past_its_bound_is_refused);
    tcase_add_test(tc, test_offload_is_waited_for_at_the_end);
    tcase_add_test(tc, test_offload_that_waits_is_cancelled_at_the_end);
    suite_add_tcase(suite, tc);
    TCase *stuck = tcase_create("stuck");
    tcase_add_checked_fixture(stuck, fx_setup, fx_teardown);
    tcase_add_exit_test(stuck, test_offload_that_never_ends_is_given_up, 3);
    suite_add_tcase(suite, stuck);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
