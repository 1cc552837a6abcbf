/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The watcher beside the workers: when it has polled in their stead one of them must poll again. */
#include "runtime/runtime.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#define WORKERS 2

static struct qk_runtime *rt;
static pthread_t watcher;
static atomic_int held; /* workers that wait in deliver() */
static atomic_bool may_go_on;
static atomic_bool catch_watcher; /* its poll lasts until the workers sleep */
static atomic_bool caught;
static atomic_bool polling; /* a worker sleeps in the poller */
static atomic_bool woken;
static atomic_int replies;
static _Atomic int64_t clock_ns = 1000000000;

static int64_t now_ns(void *arg)
{
    (void)arg;
    return atomic_load(&clock_ns);
}

static int64_t wall_ms(void *arg)
{
    (void)arg;
    return atomic_load(&clock_ns) / 1000000;
}

/* Holds the worker: outside any turn, so that no activation is there whose collection would wake it later. */
static void deliver(void *arg, struct qk_port_frame *chain)
{
    (void)arg;
    atomic_fetch_add(&held, 1);
    while (!atomic_load(&may_go_on))
        sched_yield();
    while (chain != NULL) {
        struct qk_port_frame *next = chain->next;
        qk_port_frame_destroy(chain);
        atomic_fetch_add(&replies, 1);
        chain = next;
    }
}

static bool all_parked(void)
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct qk_worker_pulse pulse;
        qk_runtime_pulse(rt, i, &pulse);
        if (!pulse.parked)
            return false;
    }
    return true;
}

static int on_poll(void *arg, int64_t timeout_ns)
{
    (void)arg;
    if (pthread_equal(pthread_self(), watcher)) {
        if (!atomic_load(&catch_watcher))
            return 0;
        atomic_store(&caught, true);
        atomic_store(&may_go_on, true);
        while (!all_parked())
            sched_yield();
        for (int i = 0; i < 2000; i++) /* time for them to find the poller taken; the test holds without it too */
            sched_yield();
        return 0;
    }
    if (timeout_ns == 0)
        return 0;
    atomic_store(&polling, true);
    while (!atomic_exchange(&woken, false))
        sched_yield();
    atomic_store(&polling, false);
    return 0;
}

static void wake_poller(void *arg)
{
    (void)arg;
    atomic_store(&woken, true);
}

static void *worker_main(void *arg)
{
    qk_runtime_worker_run(rt, (uint32_t)(uintptr_t)arg);
    return NULL;
}

/* A call to a type that is not there: answered without an activation. */
static void submit(void)
{
    struct qk_port_frame *f = qk_port_frame_create(1);
    f->kind = QK_PORT_CALL;
    f->call_id = 1;
    f->key_len = 1;
    f->bytes[0] = 'k';
    qk_runtime_submit(rt, f);
}

static void create(void)
{
    struct qk_runtime_config config;
    qk_runtime_config_init(&config);
    config.workers = WORKERS;
    config.now_ns = now_ns;
    config.wall_ms = wall_ms;
    config.deliver = deliver;
    config.spin_ns = 0; /* the clock stands still */
    config.poller = (struct qk_poller){.poll = on_poll, .wake = wake_poller};
    ck_assert_int_eq(qk_runtime_create(&config, &rt), 0);
}

START_TEST(test_watch_leaves_nobody_asleep_beside_the_poller)
{
    pthread_t threads[WORKERS];
    watcher = pthread_self();
    create();
    for (uintptr_t i = 0; i < WORKERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, worker_main, (void *)i), 0);
    for (int i = 0; i < WORKERS; i++) {
        submit();
        while (atomic_load(&held) <= i) {
            atomic_fetch_add(&clock_ns, 100000);
            qk_runtime_watch(rt, INT64_MAX / 4, NULL, NULL);
            sched_yield();
        }
    }
    /* Both are busy and nobody polls: the watcher does, and meanwhile they fall asleep. */
    atomic_store(&catch_watcher, true);
    while (!atomic_load(&caught)) {
        atomic_fetch_add(&clock_ns, 10000000);
        qk_runtime_watch(rt, INT64_MAX / 4, NULL, NULL);
    }
    atomic_store(&catch_watcher, false);
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (!atomic_load(&polling) && now.tv_sec - start.tv_sec < 20);
    ck_assert_msg(atomic_load(&polling), "both workers sleep and neither of them in the poller: no client is heard");
    ck_assert_int_eq(atomic_load(&replies), WORKERS);
    qk_runtime_stop(rt, atomic_load(&clock_ns));
    for (int i = 0; i < WORKERS; i++) {
        while (pthread_tryjoin_np(threads[i], NULL) != 0) {
            atomic_fetch_add(&clock_ns, 10000000);
            atomic_store(&woken, true);
            sched_yield();
        }
    }
    ck_assert_int_eq(qk_runtime_destroy(rt), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runtime watch");
    TCase *tc = tcase_create("watch");
    tcase_add_test(tc, test_watch_leaves_nobody_asleep_beside_the_poller);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
