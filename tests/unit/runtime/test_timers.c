/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Timers of activations: when they tick, what they never do, and how they end. */
#include "harness.h"
#include "workers.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "base/limits.h"
#include "rt.pb-c.h"

enum method { ONCE, EVERY, QUIET, TICK, SLOW_TICK, LAST_TICK, CANCEL, HOLD, QUIT, FILL, WRONG, CHURN, N_METHODS };

static const char *const names[N_METHODS] = {"Once",   "Every", "Quiet", "Tick", "SlowTick", "LastTick",
                                             "Cancel", "Hold",  "Quit",  "Fill", "Wrong",    "Churn"};
static struct qk_method methods[N_METHODS];
static int ticks, overlaps, in_turn, refused_at_end;
static int64_t last_value;
static uint64_t timer;
static struct harness h;

static const struct qk_method *find(int method)
{
    for (int i = 0; i < N_METHODS; i++) {
        if (strcmp(methods[i].name, names[method]) == 0)
            return &methods[i];
    }
    abort();
}

static int64_t value_of(const ProtobufCMessage *req)
{
    return ((const Rt__Number *)req)->value;
}

static int on_once(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    return qk_timer_start(t, find(TICK), value_of(req), 0, QK_TIMER_KEEPS_ACTIVE, req, &timer);
}

static int on_every(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    return qk_timer_start(t, find(TICK), value_of(req), value_of(req), QK_TIMER_KEEPS_ACTIVE, req, &timer);
}

static int on_quiet(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    return qk_timer_start(t, find(TICK), value_of(req), value_of(req), 0, req, &timer);
}

static int on_tick(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    overlaps += in_turn;
    ck_assert_str_eq(qk_caller(t), "timer");
    ticks++;
    last_value = value_of(req);
    return 0;
}

/* Takes longer than its period: `value` milliseconds. */
static int on_slow_tick(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    if (strcmp(qk_caller(t), "timer") != 0)
        return qk_timer_start(t, find(SLOW_TICK), 10, 10, QK_TIMER_KEEPS_ACTIVE, req, &timer);
    ticks++;
    h.now_ns += value_of(req) * 1000000;
    return 0;
}

/* Ends its own timer with its third tick. */
static int on_last_tick(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    if (strcmp(qk_caller(t), "timer") != 0)
        return qk_timer_start(t, find(LAST_TICK), 10, 10, 0, req, &timer);
    if (++ticks == 3) {
        ck_assert_int_eq(qk_timer_cancel(t, timer), 0);
        ck_assert_int_eq(qk_timer_cancel(t, timer), QK_ENOTFOUND);
    }
    return 0;
}

static int on_cancel(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep, (void)req;
    return qk_timer_cancel(t, timer);
}

/* Suspends until the deadline. */
static int on_hold(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep, (void)req;
    in_turn = 1;
    while (!qk_cancelled(t)) {
        if (qk_yield(t) < 0)
            break;
    }
    in_turn = 0;
    return 0;
}

static int on_quit(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep, (void)req;
    qk_deactivate(t);
    return 0;
}

static int on_fill(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < value_of(req); i++)
        rc = qk_timer_start(t, find(TICK), 5, 0, 0, req, NULL);
    return rc < 0 ? qk_fail(t, rc, "%s", qk_error(t)) : 0;
}

static int on_wrong(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    struct qk_method other = *find(TICK);
    other.type_id++;
    ck_assert_int_eq(qk_timer_start(t, &other, 1, 0, 0, req, NULL), QK_EINVALID);
    ck_assert_int_eq(qk_timer_start(t, find(TICK), -1, 0, 0, req, NULL), QK_EINVALID);
    ck_assert_int_eq(qk_timer_start(t, find(TICK), 1, -1, 0, req, NULL), QK_EINVALID);
    ck_assert_int_eq(qk_timer_start(t, find(TICK), 1, 1, 0, NULL, NULL), QK_EINVALID);
    ck_assert_int_eq(qk_timer_cancel(t, 12345), QK_ENOTFOUND);
    return 0;
}

/* Starts and ends timers at random, and the activation now and then. */
static int on_churn(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)rep;
    Rt__State *s = self;
    uint64_t x = (uint64_t)value_of(req) * 0x9e3779b97f4a7c15ull + (uint64_t)s->count;
    x ^= x >> 29;
    uint64_t id;
    Rt__Number in = RT__NUMBER__INIT;
    in.value = (int64_t)(x >> 3);
    int rc =
        qk_timer_start(t, find(x & 1 ? TICK : CHURN), (int64_t)(x >> 8 & 1), (int64_t)(x >> 9 & 1), 0, &in.base, &id);
    if (rc < 0)
        return rc == QK_EOVERLOADED ? 0 : rc;
    if ((x & 2) != 0)
        qk_timer_cancel(t, (uint64_t)s->count);
    s->count = (int64_t)id;
    if ((x & 0xf0) == 0)
        qk_deactivate(t);
    return 0;
}

static void on_deactivate(qk_turn *t, void *self, enum qk_deactivate_reason reason)
{
    (void)self, (void)reason;
    Rt__Number in = RT__NUMBER__INIT;
    refused_at_end += qk_timer_start(t, find(TICK), 1, 0, 0, &in.base, NULL) == QK_ESTATE;
}

static struct qk_type type = {.abi = QK_ABI_HEAD(struct qk_type),
                              .name = "t",
                              .service = "rt.T",
                              .methods = methods,
                              .n_methods = N_METHODS,
                              .idle_ms = 1000,
                              .on_deactivate = on_deactivate};
static const struct qk_type *const types[] = {&type};
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "t", .version = "1", .types = types, .n_types = 1};

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct qk_method *)a)->id, y = ((const struct qk_method *)b)->id;
    return x < y ? -1 : x > y;
}

static void build(void)
{
    static const qk_handler_fn handlers[N_METHODS] = {on_once,      on_every,     on_quiet,  on_tick,
                                                      on_slow_tick, on_last_tick, on_cancel, on_hold,
                                                      on_quit,      on_fill,      on_wrong,  on_churn};
    ticks = overlaps = in_turn = refused_at_end = 0;
    last_value = 0;
    type.id = qk_fnv64("t");
    type.state = &rt__state__descriptor;
    for (int i = 0; i < N_METHODS; i++)
        methods[i] = (struct qk_method){.id = qk_fnv32(names[i]),
                                        .type_id = type.id,
                                        .name = names[i],
                                        .request = &rt__number__descriptor,
                                        .reply = &rt__number__descriptor,
                                        .handler = handlers[i]};
    qsort(methods, N_METHODS, sizeof(methods[0]), compare);
}

static void setup(void)
{
    build();
    harness_init(&h, &plugin, NULL);
}

static void teardown(void)
{
    harness_finish(&h);
}

static int call(int method, int64_t value)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = value;
    return harness_call(&h, find(method), "a", &in.base, NULL);
}

static uint64_t activations(void)
{
    struct qk_runtime_stats stats;
    qk_runtime_stats(h.rt, &stats);
    return stats.activations;
}

START_TEST(test_timers_one_shot_ticks_once_and_not_early)
{
    ck_assert_int_eq(call(ONCE, 50), 0);
    harness_advance(&h, 49);
    ck_assert_int_eq(ticks, 0);
    harness_advance(&h, 2);
    ck_assert_int_eq(ticks, 1);
    ck_assert_int_eq(last_value, 50);
    harness_advance(&h, 500);
    ck_assert_int_eq(ticks, 1);
}
END_TEST

START_TEST(test_timers_periodic_keeps_its_beat)
{
    ck_assert_int_eq(call(EVERY, 20), 0);
    for (int i = 0; i < 1000; i++)
        harness_advance(&h, 1);
    ck_assert_int_ge(ticks, 49);
    ck_assert_int_le(ticks, 50);
}
END_TEST

START_TEST(test_timers_missed_beats_are_left_out)
{
    /* Each tick takes 35 ms, so of the beats, 10 ms apart, every fourth is kept. */
    ck_assert_int_eq(call(SLOW_TICK, 35), 0);
    int64_t begin = h.now_ns;
    for (int i = 0; i < 400; i++) {
        h.now_ns += 1000000;
        qk_runtime_step(h.rt);
    }
    int elapsed = (int)((h.now_ns - begin) / 1000000);
    ck_assert_int_ge(ticks, elapsed / 40 - 2);
    ck_assert_int_le(ticks, elapsed / 40 + 2);
}
END_TEST

START_TEST(test_timers_cancel)
{
    ck_assert_int_eq(call(ONCE, 50), 0);
    ck_assert_int_eq(call(CANCEL, 0), 0);
    ck_assert_int_eq(call(CANCEL, 0), QK_ENOTFOUND);
    harness_advance(&h, 100);
    ck_assert_int_eq(ticks, 0);
    ck_assert_int_eq(call(LAST_TICK, 0), 0);
    for (int i = 0; i < 100; i++)
        harness_advance(&h, 1);
    ck_assert_int_eq(ticks, 3);
    ck_assert_int_eq(call(WRONG, 0), 0);
}
END_TEST

START_TEST(test_timers_tick_waits_for_the_turn_and_does_not_pile_up)
{
    ck_assert_int_eq(call(EVERY, 10), 0);
    Rt__Number in = RT__NUMBER__INIT;
    harness_submit(&h, QK_PORT_CALL, find(HOLD), "a", &in.base, 9, 500);
    for (int i = 0; i < 49; i++) {
        h.now_ns += 10 * 1000000;
        qk_runtime_step(h.rt);
    }
    ck_assert_int_eq(in_turn, 1);
    ck_assert_int_eq(ticks, 0);
    h.now_ns += 20 * 1000000;
    for (int i = 0; i < 5; i++)
        qk_runtime_step(h.rt);
    ck_assert_int_eq(in_turn, 0);
    ck_assert_int_eq(ticks, 1);
    ck_assert_int_eq(overlaps, 0);
    qk_port_frame_destroy(harness_reply(&h));
}
END_TEST

START_TEST(test_timers_tick_that_waits_for_long_still_comes)
{
    ck_assert_int_eq(call(ONCE, 10), 0);
    Rt__Number in = RT__NUMBER__INIT;
    harness_submit(&h, QK_PORT_CALL, find(HOLD), "a", &in.base, 9, 60000);
    for (int i = 0; i < 59; i++) {
        h.now_ns += 1000000000;
        qk_runtime_step(h.rt);
    }
    ck_assert_int_eq(in_turn, 1);
    harness_advance(&h, 1000);
    ck_assert_int_eq(in_turn, 0);
    ck_assert_int_eq(ticks, 1);
    qk_port_frame_destroy(harness_reply(&h));
}
END_TEST

START_TEST(test_timers_cancel_of_a_tick_that_waits_drops_it)
{
    ck_assert_int_eq(call(ONCE, 10), 0);
    Rt__Number in = RT__NUMBER__INIT;
    harness_submit(&h, QK_PORT_CALL, find(HOLD), "a", &in.base, 9, 100);
    harness_submit(&h, QK_PORT_CALL, find(CANCEL), "a", &in.base, 10, 5000);
    for (int i = 0; i < 30; i++) {
        h.now_ns += 10 * 1000000;
        qk_runtime_step(h.rt);
    }
    struct qk_port_frame *f = harness_reply(&h);
    ck_assert_uint_eq(f->call_id, 9);
    qk_port_frame_destroy(f);
    f = harness_reply(&h);
    ck_assert_uint_eq(f->call_id, 10);
    ck_assert_int_eq(f->status, 0);
    qk_port_frame_destroy(f);
    ck_assert_int_eq(ticks, 0);
}
END_TEST

START_TEST(test_timers_end_with_the_activation)
{
    ck_assert_int_eq(call(EVERY, 10), 0);
    ck_assert_int_eq(call(QUIT, 0), 0);
    harness_run(&h);
    ck_assert_int_eq(refused_at_end, 1);
    ck_assert_uint_eq(activations(), 0);
    harness_advance(&h, 100);
    ck_assert_int_eq(ticks, 0);
}
END_TEST

START_TEST(test_timers_keep_their_activation_or_not)
{
    ck_assert_int_eq(call(EVERY, 100), 0);
    for (int i = 0; i < 100; i++)
        harness_advance(&h, 100);
    ck_assert_uint_eq(activations(), 1);
    ck_assert_int_eq(call(CANCEL, 0), 0);
    ticks = 0;
    ck_assert_int_eq(call(QUIET, 100), 0);
    for (int i = 0; i < 1000; i++)
        harness_advance(&h, 10);
    ck_assert_uint_eq(activations(), 0);
    ck_assert_int_ge(ticks, 9);
    ck_assert_int_le(ticks, 14);
}
END_TEST

START_TEST(test_timers_are_bounded)
{
    ck_assert_int_eq(call(FILL, QK_TIMERS_MAX), 0);
    ck_assert_int_eq(call(FILL, 1), QK_EOVERLOADED);
    ck_assert_ptr_nonnull(strstr(harness_text, "16,384"));
    harness_advance(&h, 10);
    ck_assert_int_eq(ticks, QK_TIMERS_MAX);
    ck_assert_int_eq(call(FILL, 1), 0);
}
END_TEST

/* ---- several workers: timers are started on one and ended on another */

#define WORKERS 4
#define CALLS   4000

START_TEST(test_timers_of_many_actors_on_many_workers)
{
    build();
    for (int i = 0; i < N_METHODS; i++) {
        if (methods[i].handler == on_tick)
            methods[i].handler = on_churn;
    }
    type.on_deactivate = NULL;
    struct qk_runtime_config config;
    struct workers w;
    workers_configure(&config, WORKERS);
    workers_start(&w, &config, &plugin);
    for (int i = 0; i < CALLS; i++) {
        Rt__Number in = RT__NUMBER__INIT;
        in.value = i;
        size_t size = rt__number__get_packed_size(&in);
        char key[16];
        int key_len = snprintf(key, sizeof(key), "k%d", i % 37);
        struct qk_port_frame *f = qk_port_frame_create((size_t)key_len + size);
        f->kind = QK_PORT_CALL;
        f->type_id = type.id;
        f->method_id = find(CHURN)->id;
        f->key_len = (uint32_t)key_len;
        f->payload_len = (uint32_t)size;
        memcpy(f->bytes, key, (size_t)key_len);
        rt__number__pack(&in, f->bytes + key_len);
        qk_runtime_submit(w.rt, f);
    }
    workers_wait(&w, CALLS);
    workers_stop(&w);
    type.on_deactivate = on_deactivate;
}
END_TEST

/* Ticks that are due at once become messages a few at a time, so that what they take is bounded. */
START_TEST(test_timers_that_are_due_at_once)
{
    enum { MANY = 5000 };
    Rt__Number in = RT__NUMBER__INIT;
    in.value = MANY;
    ck_assert_int_eq(harness_call(&h, find(FILL), "a", &in.base, NULL), 0);
    ck_assert_int_eq(qk_runtime_next_deadline(h.rt), h.now_ns + 5000000); /* it sleeps no longer than until then */
    h.now_ns += 5000000;
    int rounds = 0;
    for (int before = 0; ticks < MANY; before = ticks, rounds++) {
        ck_assert(qk_runtime_step(h.rt));
        ck_assert_int_le(ticks - before, 1000);
    }
    ck_assert_int_ge(rounds, 5);
    harness_run(&h);
    ck_assert_int_eq(ticks, MANY);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("timers");
    TCase *c = tcase_create("timers");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_timers_one_shot_ticks_once_and_not_early);
    tcase_add_test(c, test_timers_periodic_keeps_its_beat);
    tcase_add_test(c, test_timers_missed_beats_are_left_out);
    tcase_add_test(c, test_timers_cancel);
    tcase_add_test(c, test_timers_tick_waits_for_the_turn_and_does_not_pile_up);
    tcase_add_test(c, test_timers_tick_that_waits_for_long_still_comes);
    tcase_add_test(c, test_timers_cancel_of_a_tick_that_waits_drops_it);
    tcase_add_test(c, test_timers_end_with_the_activation);
    tcase_add_test(c, test_timers_keep_their_activation_or_not);
    tcase_add_test(c, test_timers_are_bounded);
    tcase_add_test(c, test_timers_that_are_due_at_once);
    suite_add_tcase(s, c);
    TCase *threads = tcase_create("threads");
    tcase_add_test(threads, test_timers_of_many_actors_on_many_workers);
    suite_add_tcase(s, threads);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
