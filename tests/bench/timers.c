/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Timers of actors: starting a million, and what their ticks cost. Floors: a bare timing wheel. */
#include "bench.h"

#include <stdlib.h>
#include "base/wheel.h"
#include "bench.quark.h"

#define ACTORS    100
#define TICK_NS   1000000
#define LEAD_NS   1500000000 /* from before a million timers are started until the first is due */
#define LATER_NS  3600000000000ll
#define SPREAD_MS 2000

/* Has the clocks start timers; when they had. */
static int64_t start_all(uint32_t count, int64_t due_ns, int64_t spread_ms, bool late)
{
    Bench__Timers in = BENCH__TIMERS__INIT;
    in.count = count / ACTORS;
    in.due_ns = due_ns;
    in.spread_ms = spread_ms;
    in.late = late;
    for (int i = 0; i < ACTORS; i++)
        silo_submit(clock_start_method(), bench_keys[i], &in.base);
    silo_wait();
    return bench_now_ns();
}

/* Starts as many as are measured and has them tick; how long the ticks took. The first such makes memory. */
static int64_t fire_all(uint32_t count)
{
    int64_t due_ns = bench_now_ns() + LEAD_NS;
    actors_expect_ticks(count, NULL);
    if (start_all(count, due_ns, 0, false) > due_ns)
        bench_fail("starting the timers took longer than %d ms", LEAD_NS / 1000000);
    return actors_wait_for_ticks() - due_ns;
}

void timers_start(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    silo_open(w->workers);
    fire_all(w->size);
    int64_t start = bench_now_ns();
    ret_sample->value = (double)(start_all(w->size, start + LATER_NS, 0, false) - start) / w->size;
    silo_close();
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

void timers_fire(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    float *late_us = malloc(w->size * sizeof(*late_us));
    if (late_us == NULL)
        bench_fail("out of memory");
    silo_open(w->workers);
    fire_all(w->size);
    ret_sample->value = (double)fire_all(w->size) / w->size;
    actors_expect_ticks(w->size, late_us);
    start_all(w->size, bench_now_ns() + LEAD_NS, SPREAD_MS, true);
    actors_wait_for_ticks();
    silo_close();
    qsort(late_us, w->size, sizeof(*late_us), compare);
    ret_sample->p50_us = late_us[w->size / 2];
    ret_sample->p99_us = late_us[(uint64_t)w->size * 99 / 100];
    free(late_us);
}

/* ---- floors */

/* Starts a million timers in a bare wheel and lets them be due; ns for each of both. */
static void bare_wheel(uint32_t count, double *ret_start_ns, double *ret_fire_ns)
{
    struct qk_wheel *wheel = malloc(sizeof(*wheel));
    struct qk_timer *timers = calloc(count, sizeof(*timers));
    if (wheel == NULL || timers == NULL)
        bench_fail("out of memory");
    qk_wheel_init(wheel, 0);
    for (int run = 0; run < 2; run++) { /* the first makes memory */
        int64_t from = wheel->now, begun_ns = bench_now_ns();
        for (uint32_t i = 0; i < count; i++)
            qk_wheel_place(wheel, &timers[i], from + LEAD_NS / TICK_NS);
        int64_t started_ns = bench_now_ns();
        uint32_t n = 0;
        for (int64_t now = from; n < count; now++) {
            qk_wheel_advance(wheel, now);
            while (qk_wheel_pop(wheel) != NULL)
                n++;
        }
        *ret_start_ns = (double)(started_ns - begun_ns) / count;
        *ret_fire_ns = (double)(bench_now_ns() - started_ns) / count;
    }
    free(timers);
    free(wheel);
}

void floor_timer_start(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    double fire_ns;
    bare_wheel(w->size, &ret_sample->value, &fire_ns);
}

void floor_timer_fire(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    double start_ns;
    bare_wheel(w->size, &start_ns, &ret_sample->value);
}
