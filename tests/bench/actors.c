/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The handlers that the benchmarks run. They do what a workload needs and nothing else. */
#include "bench.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "base/park.h"
#include "bench.quark.h"

char bench_keys[BENCH_CROWD][8];

static struct {
    struct qk_park park;
    atomic_bool rests;
} token;

static _Atomic int64_t noted;

void actors_prepare(void)
{
    for (int i = 0; i < BENCH_CROWD; i++)
        snprintf(bench_keys[i], sizeof(bench_keys[i]), "%07d", i);
}

void actors_wait_for_token(void)
{
    while (!atomic_exchange(&token.rests, false))
        qk_park_wait(&token.park, -1);
}

static struct qk_ref key_of(int64_t i)
{
    return qk_ref_bytes(bench_keys[i], sizeof(bench_keys[i]) - 1);
}

/* ---- driver: its key is also the key of the actor it talks to */

int driver_round_trips(qk_turn *t, const Bench__Number *req, Bench__Number *rep)
{
    Bench__Number in = BENCH__NUMBER__INIT, out;
    struct qk_ref to = qk_self(t);
    for (int64_t i = 0; i < req->value; i++) {
        in.value = i;
        int rc = echo_ping_call(t, to, &in, &out);
        if (rc < 0)
            return qk_fail(t, rc, "%s", qk_error(t));
        rep->value += out.value - i;
    }
    return 0;
}

/* In batches, for the replies lie in the turn's memory until it ends. */
int driver_repeat(qk_turn *t, const Bench__Texts *req, Bench__Number *rep)
{
    Bench__Text in = BENCH__TEXT__INIT, out;
    in.text = req->text;
    for (int64_t i = 0; i < req->value; i++) {
        int rc = echo_repeat_call(t, qk_self(t), &in, &out);
        if (rc < 0)
            return qk_fail(t, rc, "%s", qk_error(t));
        rep->value += out.text[0];
    }
    return 0;
}

/* The call behind the messages tells when all have been taken. */
int driver_flood(qk_turn *t, const Bench__Number *req, Bench__Number *rep)
{
    Bench__Number in = BENCH__NUMBER__INIT;
    Bench__Nothing nothing = BENCH__NOTHING__INIT;
    struct qk_ref to = qk_ref("sink");
    for (int64_t i = 0; i < req->value; i++) {
        in.value = i;
        int rc = sink_take_send(t, to, &in);
        if (rc < 0)
            return qk_fail(t, rc, "%s", qk_error(t));
    }
    return sink_count_call(t, to, &nothing, rep);
}

int driver_create(qk_turn *t, const Bench__Number *req, Bench__Number *rep)
{
    Bench__Number in = BENCH__NUMBER__INIT, out;
    for (int64_t i = 0; i < req->value; i++) {
        in.value = i;
        int rc = echo_ping_call(t, key_of(i), &in, &out);
        if (rc < 0)
            return qk_fail(t, rc, "%s", qk_error(t));
        rep->value += out.value - i;
    }
    return 0;
}

/* Each publication is over when the whole audience has noted it. */
int driver_publish(qk_turn *t, const Bench__Number *req, Bench__Number *rep)
{
    Bench__Number in = BENCH__NUMBER__INIT;
    int64_t target = atomic_load(&noted);
    for (int64_t i = 0; i < req->value; i++) {
        in.value = i;
        for (int64_t k = 0; k < BENCH_MEMBERS; k++) {
            int rc = sink_note_send(t, key_of(k), &in);
            if (rc < 0)
                return qk_fail(t, rc, "%s", qk_error(t));
        }
        target += BENCH_MEMBERS;
        while (atomic_load_explicit(&noted, memory_order_relaxed) < target) {
            int rc = qk_yield(t);
            if (rc < 0)
                return rc;
        }
    }
    rep->value = target;
    return 0;
}

/* ---- echo */

int echo_ping(qk_turn *t, Bench__Number *self, const Bench__Number *req, Bench__Number *rep)
{
    (void)t;
    self->value++;
    rep->value = req->value + 1;
    return 0;
}

int echo_repeat(qk_turn *t, Bench__Number *self, const Bench__Text *req, Bench__Text *rep)
{
    (void)t;
    self->value++;
    rep->text = req->text;
    return 0;
}

/* ---- sink */

int sink_take(qk_turn *t, Bench__Number *self, const Bench__Number *req)
{
    (void)t;
    (void)req;
    self->value++;
    return 0;
}

int sink_count(qk_turn *t, Bench__Number *self, const Bench__Nothing *req, Bench__Number *rep)
{
    (void)t;
    (void)req;
    rep->value = self->value;
    return 0;
}

int sink_note(qk_turn *t, Bench__Number *self, const Bench__Number *req)
{
    (void)t;
    self->value = req->value;
    atomic_fetch_add_explicit(&noted, 1, memory_order_relaxed);
    return 0;
}

/* ---- mill */

int mill_grind(qk_turn *t, const Bench__Number *req, Bench__Nothing *rep)
{
    (void)t;
    (void)rep;
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    int64_t until = ts.tv_sec * 1000000000ll + ts.tv_nsec + req->value;
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    while (ts.tv_sec * 1000000000ll + ts.tv_nsec < until);
    return 0;
}

/* ---- link: its number is its place in the ring */

int link_on_activate(qk_turn *t, Bench__Number *self)
{
    self->value = strtol(qk_self(t).key, NULL, 10);
    return 0;
}

void link_on_deactivate(qk_turn *t, Bench__Number *self, enum qk_deactivate_reason reason)
{
    (void)t;
    (void)self;
    (void)reason;
}

int link_hop(qk_turn *t, Bench__Number *self, const Bench__Number *req)
{
    if (req->value == 0) {
        atomic_store(&token.rests, true);
        qk_park_wake(&token.park);
        return 0;
    }
    Bench__Number in = BENCH__NUMBER__INIT;
    in.value = req->value - 1;
    return link_hop_send(t, key_of((self->value + 1) % BENCH_MEMBERS), &in);
}

/* ---- clock */

static struct {
    struct qk_park park;
    _Atomic uint32_t left; /* ticks to come */
    _Atomic int64_t last_ns;
    float *late_us; /* NULL: not wanted */
} ticks;

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

void actors_expect_ticks(uint32_t count, float *late_us)
{
    ticks.late_us = late_us;
    atomic_store(&ticks.left, count);
}

int64_t actors_wait_for_ticks(void)
{
    while (atomic_load(&ticks.left) != 0)
        qk_park_wait(&ticks.park, -1);
    return atomic_load(&ticks.last_ns);
}

/* Where the timer `i` lies in the spread: all over it, in no order. */
static int64_t scatter(int64_t i, int64_t spread_ms)
{
    return spread_ms != 0 ? (int64_t)((uint64_t)i * 0x9e3779b97f4a7c15ull >> 32) % spread_ms : 0;
}

int clock_start(qk_turn *t, const Bench__Timers *req, Bench__Nothing *rep)
{
    (void)rep;
    Bench__Due in = BENCH__DUE__INIT;
    int64_t begun_ns = now_ns(), first_ms = req->due_ns > begun_ns ? (req->due_ns - begun_ns) / 1000000 : 0;
    for (int64_t i = 0; i < req->count; i++) {
        int64_t due_ms = first_ms + scatter(i, req->spread_ms);
        if (req->late)
            in.ns = now_ns() + due_ms * 1000000;
        int rc = clock_tick_timer(t, due_ms, 0, 0, &in, NULL);
        if (rc < 0)
            return qk_fail(t, rc, "%s", qk_error(t));
    }
    return 0;
}

int clock_tick(qk_turn *t, const Bench__Due *req)
{
    (void)t;
    uint32_t left = atomic_fetch_sub(&ticks.left, 1) - 1;
    if (req->ns != 0)
        ticks.late_us[left] = (float)(now_ns() - req->ns) / 1e3f;
    if (left == 0) {
        atomic_store(&ticks.last_ns, now_ns());
        qk_park_wake(&ticks.park);
    }
    return 0;
}
