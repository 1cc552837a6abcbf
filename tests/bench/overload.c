/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * More calls than a silo can carry. Turns take a fixed time of a processor; calls come at a fixed rate, whatever
 * becomes of those before, and each has a deadline. What the silo can carry is measured first, with calls that wait for
 * one another. The silo has a worker less than there are processors, so that the clients do not take its time away.
 */
#include "bench.h"

#include <stdlib.h>
#include <stdio.h>
#include <unistd.h>
#include <quark/client.h>
#include "bench.quark.h"

#define TURN_NS     1000000
#define DEADLINE_MS 100
#define ACTORS      64
#define WINDOW_NS   50000000 /* what counts as recovered is looked at for so long */
#define CALLS_MAX   400000

struct mill {
    struct qk_client *client;
    uint64_t done;
    uint64_t refused;
    uint64_t late; /* timed out */
    uint64_t n_samples;
    double samples[CALLS_MAX]; /* us, of refusals */
    bool keep;                 /* calls follow one another */
};

struct call {
    struct mill *mill;
    int64_t begun_ns;
    uint32_t actor;
};

static struct call calls[CALLS_MAX];
static struct mill mill;

static void grind(struct call *c);

static void on_reply(void *arg, const struct qk_reply *reply)
{
    struct call *c = arg;
    struct mill *m = c->mill;
    if (reply->status >= 0)
        m->done++;
    else if (reply->status == QK_ETIMEDOUT)
        m->late++;
    else if (reply->status != QK_EOVERLOADED)
        bench_fail("a call failed with %s: %s", qk_status_name(reply->status), reply->text);
    else {
        m->refused++;
        if (m->n_samples < CALLS_MAX)
            m->samples[m->n_samples++] = (double)(bench_now_ns() - c->begun_ns) / 1e3;
    }
    if (m->keep)
        grind(c);
}

static void grind(struct call *c)
{
    Bench__Number in = BENCH__NUMBER__INIT;
    in.value = TURN_NS;
    c->begun_ns = bench_now_ns();
    int rc = qk_client_ask_begin(c->mill->client, mill_grind_method(), qk_ref(bench_keys[c->actor]),
                                 c->mill->keep ? 0 : DEADLINE_MS, &in.base, on_reply, c);
    if (rc < 0)
        bench_fail("a call could not begin: %s", qk_client_error(c->mill->client));
}

static void poll_client(int timeout_ms)
{
    int rc = qk_client_poll(mill.client, timeout_ms);
    if (rc < 0)
        bench_fail("%s", qk_client_error(mill.client));
}

static void drain(void)
{
    if (qk_client_drain(mill.client, 60000) < 0)
        bench_fail("the calls did not end: %s", qk_client_error(mill.client));
}

static void reset(void)
{
    mill.done = mill.refused = mill.late = mill.n_samples = 0;
}

/* Calls a second that succeed, two to an actor under way at any time. */
static double measure_capacity(int64_t ns)
{
    mill.keep = true;
    for (uint32_t i = 0; i < 2 * ACTORS; i++) {
        calls[i] = (struct call){.mill = &mill, .actor = i % ACTORS};
        grind(&calls[i]);
    }
    for (int64_t until = bench_now_ns() + ns / 2; bench_now_ns() < until;)
        poll_client(1);
    reset();
    int64_t begin = bench_now_ns();
    while (bench_now_ns() < begin + ns)
        poll_client(1);
    double rate = (double)mill.done / ((double)(bench_now_ns() - begin) / 1e9);
    mill.keep = false;
    drain();
    reset();
    return rate;
}

/* Begins `rate` calls a second for so long. */
static void run_at(double rate, int64_t ns, void (*look)(int64_t now_ns))
{
    static uint64_t n;
    int64_t begin = bench_now_ns(), now = begin;
    uint64_t begun = 0;
    while (now < begin + ns) {
        for (uint64_t due = (uint64_t)(rate * (double)(now - begin) / 1e9); begun < due; begun++, n++) {
            struct call *c = &calls[n % CALLS_MAX];
            *c = (struct call){.mill = &mill, .actor = (uint32_t)(n * 7 % ACTORS)};
            grind(c);
        }
        poll_client(1);
        now = bench_now_ns();
        if (look != NULL)
            look(now);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void open_mill(void)
{
    char settings[64];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(settings, sizeof(settings), "runtime: { workers = %ld; };", cpus > 1 ? cpus - 1 : 1);
    mill.client = client_open(settings);
    reset();
}

#define RUN_NS 1000000000ll

void overload_goodput(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    double best = 0, over = 0;
    open_mill();
    for (int i = 0; i < 3; i++) { /* in turns, so that both meet the same machine */
        double capacity = measure_capacity(RUN_NS);
        run_at(capacity, RUN_NS, NULL);
        drain();
        double once = (double)mill.done / (RUN_NS / 1e9);
        best += once > capacity ? once : capacity;
        reset();
        run_at(capacity * w->size, RUN_NS, NULL);
        over += (double)mill.done / (RUN_NS / 1e9); /* while it lasts */
        if (i < 2) {
            drain();
            reset();
        }
    }
    drain();
    ret_sample->value = over / best * 100;
    qsort(mill.samples, mill.n_samples, sizeof(double), compare);
    if (mill.n_samples > 0) {
        ret_sample->p50_us = mill.samples[mill.n_samples / 2];
        ret_sample->p99_us = mill.samples[mill.n_samples * 99 / 100];
    }
    client_close(mill.client);
}

/* ---- the time that it takes to recover */

static struct {
    int64_t since_ns;  /* the load has ended */
    int64_t window_ns; /* the window that is counted */
    uint64_t done;     /* at its begin */
    double wanted;     /* in a window */
    int64_t over_ns;   /* the window at whose end all was well; 0: not yet */
} recovery;

static void look(int64_t now_ns)
{
    if (recovery.over_ns != 0 || now_ns - recovery.window_ns < WINDOW_NS)
        return;
    double there = (double)(mill.done - recovery.done) * WINDOW_NS / (double)(now_ns - recovery.window_ns);
    if (there >= recovery.wanted)
        recovery.over_ns = now_ns;
    recovery.window_ns = now_ns;
    recovery.done = mill.done;
}

void overload_recovery(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    open_mill();
    double capacity = measure_capacity(RUN_NS);
    double rate = capacity * 0.8;
    run_at(capacity * w->size, 2 * RUN_NS, NULL);
    recovery.since_ns = recovery.window_ns = bench_now_ns();
    recovery.done = mill.done;
    recovery.wanted = rate * 0.9 * WINDOW_NS / 1e9;
    recovery.over_ns = 0;
    run_at(rate, 3 * RUN_NS, look);
    drain();
    if (recovery.over_ns == 0)
        bench_fail("3 seconds after the load calls still do not succeed as before");
    ret_sample->value = (double)(recovery.over_ns - recovery.since_ns) / 1e6;
    client_close(mill.client);
}
