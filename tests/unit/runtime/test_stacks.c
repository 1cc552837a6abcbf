/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is done on a worker's own stack: state that is read for one turn is not unpacked on the stack of another, which
 * may be small or nearly full, though that looks meanwhile whether it is still wanted.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <quark/actor.h>
#include "base/fnv.h"
#include "base/hash.h"
#include "base/park.h"
#include "rt.pb-c.h"
#include "runtime/runtime.h"

#define WORKERS 2
#define SEED    7
#define HANG_NS 100000000000ll

static struct qk_runtime *rt;
static pthread_t threads[WORKERS];
static struct qk_park park;
static atomic_bool polls, marked, on_fiber;
static _Atomic uintptr_t polled_at; /* where the stack of the turn that polls is; 0: nowhere */
static atomic_int replies, failures;
static _Atomic(struct qk_port_frame *) asked; /* of the store */
static ProtobufCMessageDescriptor state_desc; /* as Rt__State, but tells where it is made */

static void init_state(ProtobufCMessage *message)
{
    uintptr_t at = atomic_load(&polled_at), here = (uintptr_t)__builtin_frame_address(0);
    if (here < at && at - here < 65536)
        atomic_store(&on_fiber, true);
    rt__state__init((Rt__State *)message);
}

static int on_get(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)req;
    ((Rt__Number *)rep)->value = ((const Rt__State *)self)->count;
    return ((const Rt__State *)self)->count == 5 ? 0 : QK_APP(1);
}

static int on_poll(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    atomic_store(&polled_at, (uintptr_t)__builtin_frame_address(0));
    atomic_store(&polls, true);
    while (!atomic_load(&marked)) {
        ck_assert_int_eq(qk_cancelled(t), 0);
        sched_yield();
    }
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(qk_cancelled(t), 0);
    atomic_store(&polled_at, 0);
    return 0;
}

static int on_mark(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)self, (void)req, (void)rep;
    atomic_store(&marked, true);
    return 0;
}

/* Activations of types that interleave stay with the worker that their hash says. */
static struct qk_method methods[] = {
    {.name = "Get", .handler = on_get}, {.name = "Poll", .handler = on_poll}, {.name = "Mark", .handler = on_mark}};
static struct qk_type types[] = {
    {.abi = QK_ABI_HEAD(struct qk_type), .name = "stored", .state = &state_desc, .store = "memory"},
    {.abi = QK_ABI_HEAD(struct qk_type), .name = "polls"},
    {.abi = QK_ABI_HEAD(struct qk_type), .name = "marks"}};
static const struct qk_type *const type_list[] = {&types[0], &types[1], &types[2]};
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "t", .version = "1", .types = type_list, .n_types = 3};

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
        if (f->kind == QK_PORT_STORE) {
            atomic_store(&asked, f);
            continue;
        }
        if (f->status < 0)
            atomic_fetch_add(&failures, 1);
        qk_port_frame_destroy(f);
        atomic_fetch_add(&replies, 1);
    }
    qk_park_wake(&park);
}

static void *worker_main(void *arg)
{
    qk_runtime_worker_run(rt, (uint32_t)(uintptr_t)arg);
    return NULL;
}

static void setup(void)
{
    struct qk_runtime_config config;
    char text[256] = "";
    state_desc = rt__state__descriptor;
    state_desc.message_init = init_state;
    for (int i = 0; i < 3; i++) {
        types[i].id = methods[i].type_id = qk_fnv64(types[i].name);
        types[i].service = "rt.T";
        types[i].methods = &methods[i];
        types[i].n_methods = 1;
        types[i].flags = QK_TYPE_INTERLEAVE_ALWAYS;
        methods[i].id = qk_fnv32(methods[i].name);
        methods[i].request = methods[i].reply = &rt__number__descriptor;
    }
    qk_runtime_config_init(&config);
    config.workers = WORKERS;
    config.seed = SEED;
    config.now_ns = now_ns;
    config.wall_ms = wall_ms;
    config.deliver = deliver;
    config.default_timeout_ms = 600000;
    ck_assert_int_eq(qk_runtime_create(&config, &rt), 0);
    ck_assert_msg(qk_runtime_add_plugin(rt, &plugin, text, sizeof(text)) == 0, "%s", text);
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

/* Calls an actor whose turns run on this worker. */
static void submit(int i, uint32_t worker)
{
    char key[16];
    int n = 0;
    do
        snprintf(key, sizeof(key), "k%d", n++);
    while ((uint32_t)(qk_hash(key, strlen(key), SEED ^ types[i].id) >> 32) % WORKERS != worker);
    struct qk_port_frame *f = qk_port_frame_create(strlen(key));
    f->kind = QK_PORT_CALL;
    f->type_id = types[i].id;
    f->method_id = methods[i].id;
    f->key_len = (uint32_t)strlen(key);
    memcpy(f->bytes, key, strlen(key));
    qk_runtime_submit(rt, f);
}

#define wait_until(what)                                           \
    do {                                                           \
        int64_t guard = now_ns(NULL) + HANG_NS;                    \
        while (!(what)) {                                          \
            qk_park_wait(&park, 1000000);                          \
            ck_assert_msg(now_ns(NULL) < guard, "not: %s", #what); \
        }                                                          \
    } while (0)

START_TEST(test_stacks_state_is_unpacked_on_the_workers_own)
{
    submit(0, 0);
    wait_until(atomic_load(&asked) != NULL);
    submit(1, 0);
    wait_until(atomic_load(&polls));
    struct qk_port_frame *f = atomic_exchange(&asked, NULL), *answer = qk_port_frame_create(2);
    answer->kind = QK_PORT_STORED;
    answer->origin = f->origin;
    answer->call_id = f->call_id;
    answer->version = 1;
    answer->payload_len = 2;
    memcpy(answer->bytes, "\x08\x05", 2);
    qk_port_frame_destroy(f);
    qk_runtime_submit(rt, answer);
    submit(2, 1); /* behind the answer */
    wait_until(atomic_load(&replies) == 3);
    ck_assert_int_eq(atomic_load(&failures), 0);
    ck_assert(!atomic_load(&on_fiber));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("stacks");
    TCase *tc = tcase_create("stacks");
    tcase_set_timeout(tc, 110);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_stacks_state_is_unpacked_on_the_workers_own);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
