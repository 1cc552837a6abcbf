/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A world on one thread, with a clock that moves as the seed says: the same seed gives the same run. */
#include "drive.h"
#include "outside.h"

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

/* Lets the runtime and what is outside of it do one thing each; false when neither had any. */
static bool step(void)
{
    bool did = outside_work();
    return qk_runtime_step(rt) || did;
}

/* Jumps to when something is due. */
static void jump(uint64_t *random)
{
    int64_t next = qk_runtime_next_deadline(rt), outside = outside_next();
    next = outside < next ? outside : next;
    drive_check_rest(rt);
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
        if (world_below(random, 64) == 0) {
            drive_visit(rt);
            drive_squeeze(rt, random);
        }
        if (step()) {
            idle = 0;
            world_check(rounds < 5000000, "it goes on for ever");
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

static uint64_t activations(void)
{
    struct qk_runtime_stats stats;
    qk_runtime_stats(rt, &stats);
    return stats.activations;
}

/* Whatever is not called for long enough leaves memory. */
static void check_collection(void)
{
    atomic_store(&world.budget, 0); /* no hook wakes another actor any more */
    atomic_store(&world.closing, true);
    qk_runtime_set_memory(rt, QK_MEMORY_PLENTY);
    for (int i = 0; i < 2000 && activations() != 0; i++) {
        clock_ns += 10 * NS_PER_MS;
        for (int k = 0; k < 1000 && step(); k++) {
        }
    }
    world_check(activations() == 0, "%u activations were never collected", (unsigned)activations());
}

static void stop(struct submitter *submitters, uint64_t *random)
{
    if (world.plan.drain)
        qk_runtime_drain(rt);
    if (world.plan.drain && world_below(random, 2) == 0)
        submit(submitters, random);
    atomic_store(&world.stopping, true);
    qk_runtime_stop(rt, clock_ns + world.plan.grace_ns);
    int64_t until = clock_ns + world.plan.grace_ns + 100 * NS_PER_MS;
    int64_t guard = until + 60000 * NS_PER_MS;
    while (clock_ns < until || activations() != 0 || outside_next() != INT64_MAX) {
        if (world_below(random, 4) == 0)
            submit(submitters, random);
        for (int k = 0; k < 1000 && step(); k++) {
        }
        clock_ns += NS_PER_MS;
        world_check(clock_ns < guard, "the stop hangs: %u activations", (unsigned)activations());
    }
    while (submit(submitters, random)) {
    }
    while (step()) {
    }
    world_check(atomic_load(&world.in_flight) == 0, "%d frames have no reply", atomic_load(&world.in_flight));
}

void drive_steps(void)
{
    uint64_t random = world_mix(world.plan.seed, 23);
    struct submitter submitters[WORLD_SUBMITTERS];
    struct qk_runtime_config config;
    clock_ns = 1000 * NS_PER_MS;
    world.now_ns = now_ns;
    drive_configure(&config);
    config.now_ns = now_ns;
    config.wall_ms = wall_ms;
    config.deliver = deliver;
    world_check(qk_runtime_create(&config, &rt) == 0, "the runtime could not be made");
    drive_register(rt);
    outside_begin(rt);
    for (uint32_t i = 0; i < WORLD_SUBMITTERS; i++)
        submitter_init(&submitters[i], i);
    run_load(submitters, &random);
    if (!world.plan.hard && world_below(&random, 8) == 0)
        check_collection();
    stop(submitters, &random);
    outside_finish();
    world_finish(qk_runtime_destroy(rt));
}
