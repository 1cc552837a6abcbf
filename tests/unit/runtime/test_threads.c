/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Workers on threads: who takes over what a held worker leaves, what the watcher says, and that a turn keeps to its
 * thread. Time only guards against a run that hangs.
 */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <quark/actor.h>
#include "base/fnv.h"
#include "base/park.h"
#include "rt.pb-c.h"
#include "runtime/runtime.h"

#define WORKERS 2
#define HANG_NS 100000000000ll

enum method { ADD, HOLD, WANDER, THROUGH, N_METHODS };

static const char *const names[N_METHODS] = {"Add", "Hold", "Wander", "Through"};
static struct qk_method methods[N_METHODS];
static struct qk_runtime *rt;
static pthread_t threads[WORKERS];
static struct qk_park park;
static atomic_bool released, held;
static atomic_int replies, failures, moved;
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

static int64_t now_ns(void *arg)
{
    (void)arg;
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int64_t wall_ms(void *arg)
{
    return now_ns(arg) / 1000000;
}

static void deliver(void *arg, struct qk_port_frame *chain)
{
    (void)arg;
    while (chain != NULL) {
        struct qk_port_frame *f = chain;
        chain = f->next;
        if (f->status < 0)
            atomic_fetch_add(&failures, 1);
        qk_port_frame_destroy(f);
        atomic_fetch_add(&replies, 1);
        qk_park_wake(&park);
    }
}

static void *worker_main(void *arg)
{
    qk_runtime_worker_run(rt, (uint32_t)(uintptr_t)arg);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct qk_method *)a)->id, y = ((const struct qk_method *)b)->id;
    return x < y ? -1 : x > y;
}

static void setup(void)
{
    static const qk_handler_fn handlers[N_METHODS] = {on_add, on_hold, on_wander, on_through};
    struct qk_runtime_config config;
    char text[256];
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
    atomic_store(&replies, 0);
    atomic_store(&failures, 0);
    atomic_store(&moved, 0);
    atomic_store(&stalls, 0);
    qk_runtime_config_init(&config);
    config.workers = WORKERS;
    config.now_ns = now_ns;
    config.wall_ms = wall_ms;
    config.deliver = deliver;
    config.default_timeout_ms = 600000;
    ck_assert_int_eq(qk_runtime_create(&config, &rt), 0);
    ck_assert_int_eq(qk_runtime_add_plugin(rt, &plugin, text, sizeof(text)), 0);
    for (uint32_t i = 0; i < WORKERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, worker_main, (void *)(uintptr_t)i), 0);
}

static void teardown(void)
{
    qk_runtime_stop(rt, now_ns(NULL));
    for (uint32_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(qk_runtime_destroy(rt), 0);
}

static void submit(int method, const char *key)
{
    Rt__Number in = RT__NUMBER__INIT;
    size_t key_len = strlen(key), size = rt__number__get_packed_size(&in);
    struct qk_port_frame *f = qk_port_frame_create(key_len + size);
    const struct qk_method *m = find(method);
    f->kind = QK_PORT_CALL;
    f->type_id = m->type_id;
    f->method_id = m->id;
    f->key_len = (uint32_t)key_len;
    f->payload_len = (uint32_t)size;
    memcpy(f->bytes, key, key_len);
    rt__number__pack(&in, f->bytes + key_len);
    qk_runtime_submit(rt, f);
}

static char stalled[QK_KEY_MAX + 128];

static void on_stall(void *arg, const struct qk_stall *stall)
{
    (void)arg;
    snprintf(stalled, sizeof(stalled), "%s/%s %s", stall->type, stall->key, stall->method);
    atomic_fetch_add(&stalls, 1);
}

/* Watches until so many replies have come. */
static void watch_until(int n, int64_t stall_ns)
{
    int64_t guard = now_ns(NULL) + HANG_NS;
    while (atomic_load(&replies) < n) {
        qk_park_wait(&park, 1000000);
        qk_runtime_watch(rt, stall_ns, on_stall, NULL);
        ck_assert_msg(now_ns(NULL) < guard, "%d of %d replies", atomic_load(&replies), n);
    }
}

static void hold_a_worker(void)
{
    int64_t guard = now_ns(NULL) + HANG_NS;
    submit(HOLD, "holder");
    while (!atomic_load(&held)) {
        sched_yield();
        ck_assert_msg(now_ns(NULL) < guard, "the turn did not begin");
    }
}

START_TEST(test_threads_turns_keep_to_their_thread)
{
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof(key), "wanderer-%d", i);
        submit(WANDER, key);
    }
    watch_until(50, HANG_NS);
    ck_assert_int_eq(atomic_load(&moved), 0);
    ck_assert_int_eq(atomic_load(&failures), 0);
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
    watch_until(100, HANG_NS);
    ck_assert(!atomic_load(&released));
    atomic_store(&released, true);
    watch_until(101, HANG_NS);
    ck_assert_int_eq(atomic_load(&failures), 0);
}
END_TEST

/* Nor does it keep what it had in its own queue when it began. */
START_TEST(test_threads_a_held_workers_queue_is_taken_over)
{
    for (int round = 0; round < 20; round++) {
        int before = atomic_load(&replies);
        atomic_store(&released, false);
        submit(ADD, "ahead");
        submit(HOLD, "holder");
        for (int i = 0; i < round % 5; i++) {
            char key[16];
            snprintf(key, sizeof(key), "behind-%d", i);
            submit(i % 2 == 0 ? ADD : THROUGH, key);
        }
        watch_until(before + 1 + round % 5, HANG_NS);
        atomic_store(&released, true);
        watch_until(before + 2 + round % 5, HANG_NS);
    }
    ck_assert_int_eq(atomic_load(&failures), 0);
}
END_TEST

START_TEST(test_threads_long_turn_is_reported)
{
    int64_t guard = now_ns(NULL) + HANG_NS;
    hold_a_worker();
    while (atomic_load(&stalls) < 3) {
        qk_runtime_watch(rt, 1000000, on_stall, NULL);
        ck_assert_msg(now_ns(NULL) < guard, "no report");
    }
    ck_assert_str_eq(stalled, "t/holder Hold");
    struct qk_runtime_stats stats;
    qk_runtime_stats(rt, &stats);
    ck_assert_uint_ge(stats.long_turns, 3);
    /* The other worker still gets through its loop, this one does not. */
    struct qk_worker_pulse before[WORKERS], after[WORKERS];
    for (uint32_t i = 0; i < WORKERS; i++)
        qk_runtime_pulse(rt, i, &before[i]);
    submit(ADD, "another");
    watch_until(1, HANG_NS);
    for (int stuck = 0; stuck != 1;) {
        stuck = 0;
        for (uint32_t i = 0; i < WORKERS; i++) {
            qk_runtime_pulse(rt, i, &after[i]);
            stuck += !after[i].parked && after[i].loops == before[i].loops;
        }
        ck_assert_int_ge(stuck, 1);
        ck_assert_msg(now_ns(NULL) < guard, "both workers are stuck");
    }
    atomic_store(&released, true);
    watch_until(2, HANG_NS);
}
END_TEST

START_TEST(test_threads_work_is_shared)
{
    for (int i = 0; i < 2000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "caller-%d", i % 100);
        submit(THROUGH, key);
    }
    watch_until(2000, HANG_NS);
    uint64_t turns = 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct qk_worker_stats stats;
        qk_runtime_worker_stats(rt, i, &stats);
        turns += stats.turns;
    }
    /* Each call takes two turns, but for those that found a mailbox full. */
    ck_assert_uint_eq(turns, 2 * (uint64_t)(2000 - atomic_load(&failures)));
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
