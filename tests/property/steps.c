/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A world on one thread, with a clock that moves as the seed says: the same seed gives the same run. */
#include "drive.h"

#define NS_PER_MS 1000000ll

static struct qk_runtime *rt;
static int64_t clock_ns;

static int64_t now_ns(void *arg)
{
    (void)arg;
    return clock_ns;
}

static int64_t wall_ms(void *arg)
{
    (void)arg;
    return clock_ns / NS_PER_MS;
}

static void deliver(void *arg, struct qk_port_frame *chain)
{
    (void)arg;
    drive_deliver(chain, NULL, NULL);
}

/* Lets one submitter that has frames left submit some; false when none has. */
static bool submit(struct submitter *submitters, uint64_t *random)
{
    uint32_t first = world_below(random, WORLD_SUBMITTERS);
    for (uint32_t i = 0; i < WORLD_SUBMITTERS; i++) {
        struct submitter *s = &submitters[(first + i) % WORLD_SUBMITTERS];
        struct qk_port_frame *chain = submitter_chain(s, 6, clock_ns);
        if (chain != NULL) {
            qk_runtime_submit(rt, chain);
            return true;
        }
    }
    return false;
}

/* Jumps to when something is due. */
static void jump(uint64_t *random)
{
    int64_t next = qk_runtime_next_deadline(rt);
    world_check(next != INT64_MAX, "%d frames have no reply and nothing is due", atomic_load(&world.in_flight));
    if (next > clock_ns)
        clock_ns = next;
    if (world_below(random, 4) == 0)
        clock_ns += world_below(random, 3 * NS_PER_MS);
}

/* Runs until everything has ended, or, where the stop is hard, until some frames have been submitted. */
static void run_load(struct submitter *submitters, uint64_t *random)
{
    unsigned idle = 0;
    uint32_t enough = world.plan.hard ? world_below(random, world.plan.frames * WORLD_SUBMITTERS) : UINT32_MAX;
    for (uint32_t rounds = 0;; rounds++) {
        if (rounds >= enough)
            return;
        if (world_below(random, 3) == 0)
            submit(submitters, random);
        if (world_below(random, 64) == 0)
            drive_visit(rt);
        if (qk_runtime_step(rt)) {
            idle = 0;
            if (world_below(random, 8) == 0)
                clock_ns += world_below(random, NS_PER_MS / 2);
            continue;
        }
        if (submit(submitters, random))
            continue;
        if (atomic_load(&world.in_flight) == 0 && qk_runtime_busy(rt) == 0)
            return;
        jump(random);
        world_check(++idle < 100000, "%d frames have no reply and %u things go on for ever",
                    atomic_load(&world.in_flight), (unsigned)qk_runtime_busy(rt));
    }
}

/* Whatever is not called for long enough leaves memory. */
static void check_collection(void)
{
    atomic_store(&world.budget, 0); /* no hook wakes another actor any more */
    for (int i = 0; i < 1000; i++) {
        clock_ns += 10 * NS_PER_MS;
        for (int k = 0; k < 1000 && qk_runtime_step(rt); k++) {
        }
    }
    struct qk_runtime_stats stats;
    qk_runtime_stats(rt, &stats);
    world_check(stats.activations == 0, "%u activations were never collected", (unsigned)stats.activations);
}

static void stop(struct submitter *submitters, uint64_t *random)
{
    if (world.plan.drain)
        qk_runtime_drain(rt);
    if (world.plan.drain && world_below(random, 2) == 0)
        submit(submitters, random);
    qk_runtime_stop(rt, clock_ns + world.plan.grace_ns);
    int64_t until = clock_ns + world.plan.grace_ns + 100 * NS_PER_MS;
    while (clock_ns < until) {
        if (world_below(random, 4) == 0)
            submit(submitters, random);
        for (int k = 0; k < 1000 && qk_runtime_step(rt); k++) {
        }
        clock_ns += NS_PER_MS;
    }
    while (submit(submitters, random)) {
    }
    while (qk_runtime_step(rt)) {
    }
    world_check(atomic_load(&world.in_flight) == 0, "%d frames have no reply", atomic_load(&world.in_flight));
}

void drive_steps(void)
{
    uint64_t random = world_mix(world.plan.seed, 23);
    struct submitter submitters[WORLD_SUBMITTERS];
    struct qk_runtime_config config;
    clock_ns = 1000 * NS_PER_MS;
    drive_configure(&config);
    config.now_ns = now_ns;
    config.wall_ms = wall_ms;
    config.deliver = deliver;
    world_check(qk_runtime_create(&config, &rt) == 0, "the runtime could not be made");
    drive_register(rt);
    for (uint32_t i = 0; i < WORLD_SUBMITTERS; i++)
        submitter_init(&submitters[i], i);
    run_load(submitters, &random);
    if (!world.plan.hard && world_below(&random, 8) == 0)
        check_collection();
    stop(submitters, &random);
    world_finish(qk_runtime_destroy(rt));
}
