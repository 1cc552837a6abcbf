/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The property test of the runtime: random graphs of actors that call, send, await, yield, time out, fail, panic,
 * spawn, stop and watch one another, start timers, load and save their state in a store with faults, use services,
 * offload work, refuse to be activated and deactivate, for clients that go away now and then; from a seed, on 0 (step
 * by step), 1, 2, 8 or any other number of workers.
 *
 *   prop_runtime --workers 0 --count 300     300 seeds, the same every time
 *   prop_runtime --workers 0 --seed 42       one seed
 *   prop_runtime --workers 8 --from 1000 --count 100000
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "drive.h"

static struct world_plan make_plan(uint64_t seed, uint32_t workers)
{
    uint64_t random = world_mix(seed, workers);
    struct world_plan plan = {.seed = seed, .workers = workers};
    bool long_run = world_below(&random, 20) == 0;
    plan.frames = 20 + world_below(&random, long_run ? 1500 : 150);
    plan.calls = world_below(&random, long_run ? 20000 : 2000);
    plan.activations_max = world_below(&random, 6) == 0 ? 4 + world_below(&random, 16) : 0;
    plan.family = world_below(&random, 3) != 0;
    plan.patient = workers == 0 ? world_below(&random, 3) == 0 : world_below(&random, 20) == 0;
    if (workers > 0 && plan.patient) { /* deadlines that nothing else ends take their time */
        plan.frames %= 40;
        plan.calls %= 200;
    }
    plan.poller = world_below(&random, 2) == 0;
    plan.drain = world_below(&random, 2) == 0;
    plan.hard = world_below(&random, 3) == 0;
    plan.store_fault = world_below(&random, 3) == 0 ? 0 : 2 + world_below(&random, 9);
    plan.store_bytes = world_below(&random, 8) == 0 ? 2000 : 1 << 20;
    plan.slow = world_below(&random, 2) == 0;
    plan.strangers = world_below(&random, 3) == 0;
    plan.offload = world_below(&random, 4) != 0;
    plan.tight = world_below(&random, 6) == 0;
    plan.grace_ns = world_below(&random, 2) == 0 ? 0 : world_below(&random, 30000000);
    return plan;
}

static void run(uint64_t seed, uint32_t workers)
{
    struct world_plan plan = make_plan(seed, workers);
    world_begin(&plan);
    if (workers == 0)
        drive_steps();
    else
        drive_threads();
}

/* Step by step, a seed decides everything. */
static void run_twice(uint64_t seed)
{
    run(seed, 0);
    uint64_t trace = world.trace;
    run(seed, 0);
    world_check(trace == world.trace, "two runs of one seed differ");
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 0);
    if (end == text || *end != '\0') {
        fprintf(stderr, "prop_runtime: \"%s\" is no number\n", text);
        exit(2);
    }
    return n;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"workers", required_argument, NULL, 'w'}, {"seed", required_argument, NULL, 's'},
        {"from", required_argument, NULL, 'f'},    {"count", required_argument, NULL, 'n'},
        {"verbose", no_argument, NULL, 'v'},       {0}};
    uint64_t from = 1, count = 300;
    uint32_t workers = 0;
    bool verbose = false;
    int c;
    while ((c = getopt_long(argc, argv, "w:s:f:n:v", options, NULL)) != -1) {
        switch (c) {
        case 'w':
            workers = (uint32_t)number(optarg);
            break;
        case 's':
            from = number(optarg);
            count = 1;
            break;
        case 'f':
            from = number(optarg);
            break;
        case 'n':
            count = number(optarg);
            break;
        case 'v':
            verbose = true;
            break;
        default:
            fprintf(stderr, "usage: prop_runtime [--workers N] [--seed N | --from N --count N] [--verbose]\n");
            return 2;
        }
    }
    for (uint64_t seed = from; seed < from + count; seed++) {
        if (workers == 0 && seed % 8 == 0)
            run_twice(seed);
        else
            run(seed, workers);
        if (verbose)
            printf("seed %" PRIu64 ": %llu events, %u calls\n", seed, atomic_load(&world.events),
                   atomic_load(&world.n_calls));
    }
    return 0;
}
