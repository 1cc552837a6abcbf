/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is done on a worker's own stack: state that is read for one turn is not unpacked on the stack of another, which
 * may be small or nearly full, though that looks meanwhile whether it is still wanted.
 */
#include <check.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quark/actor.h>
#include "base/fnv.h"
#include "base/hash.h"
#include "rt.pb-c.h"
#include "workers.h"

#define WORKERS 2
#define SEED    7

static struct workers w;
static atomic_bool polls, marked, on_fiber;
static _Atomic uintptr_t polled_at;           /* where the stack of the turn that polls is; 0: nowhere */
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

static void deliver(void *arg, struct qk_port_frame *chain)
{
    (void)arg;
    while (chain != NULL) {
        struct qk_port_frame *f = chain;
        chain = f->next;
        if (f->kind == QK_PORT_STORE) {
            atomic_store(&asked, f);
            qk_park_wake(&workers_park);
        } else {
            workers_count(f);
        }
    }
}

static void setup(void)
{
    struct qk_runtime_config config;
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
    workers_configure(&config, WORKERS);
    config.seed = SEED;
    config.deliver = deliver;
    workers_start(&w, &config, &plugin);
}

static void teardown(void)
{
    workers_stop(&w);
}

/* Calls an actor whose turns run on this worker. */
static void submit(int i, uint32_t worker)
{
    char key[16];
    int n = 0;
    do
        snprintf(key, sizeof(key), "k%d", n++);
    while ((uint32_t)(qk_hash(key, strlen(key), SEED ^ types[i].id) >> 32) % WORKERS != worker);
    workers_call(&w, &methods[i], key);
}

#define wait_until(what)                                                   \
    do {                                                                   \
        int64_t guard = workers_now_ns(NULL) + WORKERS_HANG_NS;            \
        while (!(what)) {                                                  \
            qk_park_wait(&workers_park, 1000000);                          \
            ck_assert_msg(workers_now_ns(NULL) < guard, "not: %s", #what); \
        }                                                                  \
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
    qk_runtime_submit(w.rt, answer);
    submit(2, 1); /* behind the answer */
    wait_until(atomic_load(&workers_replies) == 3);
    ck_assert_int_eq(atomic_load(&workers_failures), 0);
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
