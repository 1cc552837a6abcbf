/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The workloads between actors of one process. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include "bench.quark.h"

#define ROUND_TRIPS 1000000
#define MESSAGES    4000000
#define HOPS        2000000
#define PUBLISHES   1000
#define TEXTS       200000
#define TURN_BYTES  (2 * 1024 * 1024)

/* Calls `method` of the driver `key` with `value`. */
static void drive(const struct qk_method *method, const char *key, int64_t value)
{
    Bench__Number in = BENCH__NUMBER__INIT;
    in.value = value;
    silo_submit(method, key, &in.base);
}

void local_round_trip(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    silo_open(w->workers);
    drive(driver_round_trips_method(), "pair", 10000);
    silo_wait();
    int64_t start = bench_now_ns();
    drive(driver_round_trips_method(), "pair", ROUND_TRIPS);
    silo_wait();
    ret_sample->value = (double)(bench_now_ns() - start) / ROUND_TRIPS;
    silo_close();
}

void local_pairs(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    int64_t each = 2 * ROUND_TRIPS / w->size > 0 ? 2 * ROUND_TRIPS / w->size : 1;
    silo_open(w->workers);
    int64_t start = 0;
    for (int run = 0; run < 2; run++) { /* the first makes actors and stacks */
        start = bench_now_ns();
        for (uint32_t i = 0; i < w->size; i++)
            drive(driver_round_trips_method(), bench_keys[i], run == 0 ? 10 : each);
        silo_wait();
    }
    ret_sample->value = (double)each * w->size / ((double)(bench_now_ns() - start) / 1e9);
    silo_close();
}

/* Round trips with a text there and back. Each call of the driver makes no more than hold TURN_BYTES, for the replies
 * stay until its turn ends: with more than the processor's caches and the allocator keep at hand, it would be the
 * kernel's clearing of fresh pages that is measured. */
void local_texts(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    int64_t each = TURN_BYTES / w->size < 4000 ? TURN_BYTES / w->size : 4000;
    int64_t calls = TEXTS / each < 400 ? TEXTS / each : 400;
    char *text = malloc(w->size + 1u);
    if (text == NULL)
        bench_fail("out of memory");
    memset(text, 'x', w->size);
    text[w->size] = '\0';
    Bench__Texts in = BENCH__TEXTS__INIT;
    in.text = text;
    in.value = each;
    silo_open(w->workers);
    int64_t start = bench_now_ns();
    for (int64_t i = 0; i < calls; i++) {
        if (i == calls / 10)
            start = bench_now_ns();
        silo_submit(driver_repeat_method(), "pair", &in.base);
        silo_wait();
    }
    ret_sample->value = (double)(bench_now_ns() - start) / (double)((calls - calls / 10) * each);
    silo_close();
    free(text);
}

void local_flood(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    int64_t each = MESSAGES / w->size;
    silo_open(w->workers);
    int64_t start = 0;
    for (int run = 0; run < 2; run++) {
        start = bench_now_ns();
        for (uint32_t i = 0; i < w->size; i++)
            drive(driver_flood_method(), bench_keys[i], run == 0 ? each / 10 : each);
        silo_wait();
    }
    ret_sample->value = (double)each * w->size / ((double)(bench_now_ns() - start) / 1e9);
    silo_close();
}

void local_ring(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    silo_open(w->workers);
    int64_t start = 0;
    for (int run = 0; run < 2; run++) {
        start = bench_now_ns();
        drive(link_hop_method(), bench_keys[0], run == 0 ? 2 * BENCH_MEMBERS : HOPS);
        actors_wait_for_token();
    }
    ret_sample->value = (double)(bench_now_ns() - start) / HOPS;
    silo_wait();
    silo_close();
}

void local_fanout(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    silo_open(w->workers);
    drive(driver_publish_method(), "publisher", 20);
    silo_wait();
    int64_t start = bench_now_ns();
    drive(driver_publish_method(), "publisher", PUBLISHES);
    silo_wait();
    ret_sample->value = (double)(bench_now_ns() - start) / 1e3 / PUBLISHES;
    silo_close();
}

/* Calls a million actors for the first time; values: ns each, and bytes each beyond state and key. */
static void crowd(double *values)
{
    silo_open(1);
    drive(driver_round_trips_method(), "first", 1000);
    silo_wait();
    uint64_t before = bench_resident();
    int64_t start = bench_now_ns();
    drive(driver_create_method(), "creator", BENCH_CROWD);
    silo_wait();
    values[0] = (double)(bench_now_ns() - start) / BENCH_CROWD;
    values[1] = (double)(bench_resident() - before) / BENCH_CROWD - (double)sizeof(Bench__Number) -
                (double)(sizeof(bench_keys[0]) - 1);
}

void local_create(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    double values[2];
    (void)w;
    bench_apart(crowd, values, 2);
    ret_sample->value = values[0];
}

void local_idle(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    double values[2];
    (void)w;
    bench_apart(crowd, values, 2);
    ret_sample->value = values[1];
}
