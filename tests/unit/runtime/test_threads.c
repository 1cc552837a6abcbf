/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Workers on threads: who takes over what a held worker leaves, what the watcher says, and that a turn keeps to its
 * thread. Time only guards against a run that hangs.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quark/actor.h>
#include "base/fnv.h"
#include "rt.pb-c.h"
#include "workers.h"

#define WORKERS 2

enum method { ADD, HOLD, WANDER, THROUGH, N_METHODS };

static const char *const names[N_METHODS] = {"Add", "Hold", "Wander", "Through"};
static struct qk_method methods[N_METHODS];
static struct workers w;
static atomic_bool released, held;
static atomic_int moved;
static atomic_uint stalls;

static const struct qk_method *find(int method)
{
    for (int i = 0; i < N_METHODS; i++) {
        if (strcmp(methods[i].name, names[method]) == 0)
            return &methods[i];
    }
    abort();
}

static int on_add(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)self;
    ((Rt__Number *)rep)->value = ((const Rt__Number *)req)->value + 1;
    return 0;
}

/* Holds its thread until the test lets go, as a handler that computes for long does. */
static int on_hold(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)self, (void)req, (void)rep;
    atomic_store(&held, true);
    while (!atomic_load(&released))
        sched_yield();
    return 0;
}

static __attribute__((noinline)) pthread_t this_thread(void)
{
    __asm__ volatile("");
    return pthread_self();
}

static int on_wander(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    pthread_t home = this_thread();
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof(key), "target-%d", i % 7);
        int rc = i % 3 == 0 ? qk_yield(t) : qk_call(t, find(ADD), qk_ref(key), 0, req, rep);
        if (rc < 0)
            return rc;
        if (!pthread_equal(home, this_thread()))
            atomic_fetch_add(&moved, 1);
    }
    return 0;
}

static int on_through(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    return qk_call(t, find(ADD), qk_ref("target-0"), 0, req, rep);
}

static struct qk_type type = {
    .abi = QK_ABI_HEAD(struct qk_type), .name = "t", .service = "rt.T", .methods = methods, .n_methods = N_METHODS};
static const struct qk_type *const types[] = {&type};
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "t", .version = "1", .types = types, .n_types = 1};

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct qk_method *)a)->id, y = ((const struct qk_method *)b)->id;
    return x < y ? -1 : x > y;
}

static void setup(void)
{
    static const qk_handler_fn handlers[N_METHODS] = {on_add, on_hold, on_wander, on_through};
    struct qk_runtime_config config;
    type.id = qk_fnv64("t");
    for (int i = 0; i < N_METHODS; i++)
        methods[i] = (struct qk_method){.id = qk_fnv32(names[i]),
                                        .type_id = type.id,
                                        .name = names[i],
                                        .request = &rt__number__descriptor,
                                        .reply = &rt__number__descriptor,
                                        .handler = handlers[i]};
    qsort(methods, N_METHODS, sizeof(methods[0]), compare);
    atomic_store(&released, false);
    atomic_store(&held, false);
    atomic_store(&moved, 0);
    atomic_store(&stalls, 0);
    workers_configure(&config, WORKERS);
    workers_start(&w, &config, &plugin);
}

static void teardown(void)
{
    workers_stop(&w);
}

static void submit(int method, const char *key)
{
    workers_call(&w, find(method), key);
}

static char stalled[QK_KEY_MAX + 128];

static void on_stall(void *arg, const struct qk_stall *stall)
{
    (void)arg;
    snprintf(stalled, sizeof(stalled), "%s/%s %s", stall->type, stall->key, stall->method);
    atomic_fetch_add(&stalls, 1);
}

static void hold_a_worker(void)
{
    int64_t guard = workers_now_ns(NULL) + WORKERS_HANG_NS;
    submit(HOLD, "holder");
    while (!atomic_load(&held)) {
        sched_yield();
        ck_assert_msg(workers_now_ns(NULL) < guard, "the turn did not begin");
    }
}

START_TEST(test_threads_turns_keep_to_their_thread)
{
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof(key), "wanderer-%d", i);
        submit(WANDER, key);
    }
    workers_watch(&w, 50, WORKERS_HANG_NS, on_stall);
    ck_assert_int_eq(atomic_load(&moved), 0);
    ck_assert_int_eq(atomic_load(&workers_failures), 0);
}
END_TEST

/* A turn that holds its worker keeps nobody else waiting. */
START_TEST(test_threads_a_held_worker_is_relieved)
{
    hold_a_worker();
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "caller-%d", i);
        submit(i % 2 == 0 ? ADD : THROUGH, key);
    }
    workers_watch(&w, 100, WORKERS_HANG_NS, on_stall);
    ck_assert(!atomic_load(&released));
    atomic_store(&released, true);
    workers_watch(&w, 101, WORKERS_HANG_NS, on_stall);
    ck_assert_int_eq(atomic_load(&workers_failures), 0);
}
END_TEST

/* Nor does it keep what it had in its own queue when it began. */
START_TEST(test_threads_a_held_workers_queue_is_taken_over)
{
    for (int round = 0; round < 20; round++) {
        int before = atomic_load(&workers_replies);
        atomic_store(&released, false);
        submit(ADD, "ahead");
        submit(HOLD, "holder");
        for (int i = 0; i < round % 5; i++) {
            char key[16];
            snprintf(key, sizeof(key), "behind-%d", i);
            submit(i % 2 == 0 ? ADD : THROUGH, key);
        }
        workers_watch(&w, before + 1 + round % 5, WORKERS_HANG_NS, on_stall);
        atomic_store(&released, true);
        workers_watch(&w, before + 2 + round % 5, WORKERS_HANG_NS, on_stall);
    }
    ck_assert_int_eq(atomic_load(&workers_failures), 0);
}
END_TEST

START_TEST(test_threads_long_turn_is_reported)
{
    int64_t guard = workers_now_ns(NULL) + WORKERS_HANG_NS;
    hold_a_worker();
    while (atomic_load(&stalls) < 3) {
        qk_runtime_watch(w.rt, 1000000, on_stall, NULL);
        ck_assert_msg(workers_now_ns(NULL) < guard, "no report");
    }
    ck_assert_str_eq(stalled, "t/holder Hold");
    struct qk_runtime_stats stats;
    qk_runtime_stats(w.rt, &stats);
    ck_assert_uint_ge(stats.long_turns, 3);
    /* The other worker still gets through its loop, this one does not. */
    struct qk_worker_pulse before[WORKERS], after[WORKERS];
    for (uint32_t i = 0; i < WORKERS; i++)
        qk_runtime_pulse(w.rt, i, &before[i]);
    submit(ADD, "another");
    workers_watch(&w, 1, WORKERS_HANG_NS, on_stall);
    for (int stuck = 0; stuck != 1;) {
        stuck = 0;
        for (uint32_t i = 0; i < WORKERS; i++) {
            qk_runtime_pulse(w.rt, i, &after[i]);
            stuck += !after[i].parked && after[i].loops == before[i].loops;
        }
        ck_assert_int_ge(stuck, 1);
        ck_assert_msg(workers_now_ns(NULL) < guard, "both workers are stuck");
    }
    atomic_store(&released, true);
    workers_watch(&w, 2, WORKERS_HANG_NS, on_stall);
}
END_TEST

START_TEST(test_threads_work_is_shared)
{
    for (int i = 0; i < 2000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "caller-%d", i % 100);
        submit(THROUGH, key);
    }
    workers_watch(&w, 2000, WORKERS_HANG_NS, on_stall);
    uint64_t turns = 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct qk_worker_stats stats;
        qk_runtime_worker_stats(w.rt, i, &stats);
        turns += stats.turns;
    }
    /* Each call takes two turns, but for those that found a mailbox full. */
    ck_assert_uint_eq(turns, 2 * (uint64_t)(2000 - atomic_load(&workers_failures)));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("threads");
    TCase *c = tcase_create("threads");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_threads_turns_keep_to_their_thread);
    tcase_add_test(c, test_threads_a_held_worker_is_relieved);
    tcase_add_test(c, test_threads_a_held_workers_queue_is_taken_over);
    tcase_add_test(c, test_threads_long_turn_is_reported);
    tcase_add_test(c, test_threads_work_is_shared);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
