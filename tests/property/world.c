/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The records of one run of the property test and the checks on them. */
#include "world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/status.h"

struct world world;

void world_broken(const char *format, ...)
{
    const struct world_plan *p = &world.plan;
    va_list args;
    fprintf(stderr, "property broken: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n  seed %" PRIu64 ", %u workers; run it again: prop_runtime --workers %u --seed %" PRIu64 "\n",
            p->seed, p->workers, p->workers, p->seed);
    abort();
}

void world_begin(const struct world_plan *plan)
{
    memset(&world, 0, sizeof(world));
    world.plan = *plan;
    atomic_store(&world.n_calls, 1);
    atomic_store(&world.budget, plan->calls);
}

uint64_t world_random(uint64_t *state)
{
    return world_mix(*state += 0x9e3779b97f4a7c15ull, 0);
}

uint32_t world_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)((world_random(state) >> 32) * bound >> 32);
}

uint64_t world_mix(uint64_t a, uint64_t b)
{
    uint64_t z = a ^ (b * 0xd6e8feb86659fd93ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

void world_trace(uint64_t a, uint64_t b)
{
    atomic_fetch_add_explicit(&world.events, 1, memory_order_relaxed);
    if (world.plan.workers == 0)
        world.trace = world_mix(world.trace + a, b);
}

bool world_new_call(bool is_frame, uint32_t *ret_call)
{
    if (!is_frame) {
        uint32_t left = atomic_load(&world.budget);
        do {
            if (left == 0)
                return false;
        } while (!atomic_compare_exchange_weak(&world.budget, &left, left - 1));
    }
    uint32_t call = atomic_fetch_add(&world.n_calls, 1);
    if (call >= WORLD_CALLS_MAX)
        return false;
    world.calls[call].is_frame = is_frame;
    *ret_call = call;
    return true;
}

void world_resume(uint32_t actor)
{
    uint32_t others = atomic_fetch_add_explicit(&world.actors[actor].running, 1, memory_order_relaxed);
    world_check(others == 0, "two turns of actor %u run at a time", actor);
}

void world_pause(uint32_t actor)
{
    atomic_fetch_sub_explicit(&world.actors[actor].running, 1, memory_order_relaxed);
}

void world_enter(uint32_t actor, bool alone)
{
    struct world_actor *a = &world.actors[actor];
    uint32_t others = atomic_fetch_add_explicit(&a->turns, 1, memory_order_relaxed);
    world_check(others == 0 || !alone, "a turn of actor %u began before another had ended", actor);
    world_resume(actor);
    a->entered++;
    world_trace(actor, a->entered);
}

void world_leave(uint32_t actor)
{
    world_pause(actor);
    atomic_fetch_sub_explicit(&world.actors[actor].turns, 1, memory_order_relaxed);
}

void world_message(uint32_t actor, uint32_t sender, uint64_t sequence, uint32_t call, bool in_order)
{
    struct world_actor *a = &world.actors[actor];
    world_check(atomic_load_explicit(&a->active, memory_order_relaxed) == 1, "a turn of actor %u, which is not active",
                actor);
    world_check(sender < WORLD_SENDERS && call > 0 && call < WORLD_CALLS_MAX, "actor %u got a damaged message", actor);
    world_check(!in_order || sequence > a->seen[sender],
                "actor %u got message %" PRIu64 " of sender %u after message %" PRIu64, actor, sequence, sender,
                a->seen[sender]);
    a->seen[sender] = sequence;
    uint32_t before = atomic_fetch_add(&world.calls[call].ran, 1);
    world_check(before == 0, "call %u of sender %u ran twice", call, sender);
    world_check(!atomic_load(&world.calls[call].never), "call %u ran although its caller was told that it did not",
                call);
}

void world_opened(uint32_t actor, uint32_t call)
{
    world.calls[call].next_open = world.actors[actor].open;
    world.actors[actor].open = call;
}

void world_unwound(uint32_t actor)
{
    struct world_actor *a = &world.actors[actor];
    for (uint32_t call = a->open; call != 0; call = world.calls[call].next_open) {
        if (atomic_load(&world.calls[call].ended) == 0)
            world_ended(call, QK_ECRASHED, true);
    }
    a->open = 0;
    atomic_store(&a->turns, 0);
}

void world_activated(uint32_t actor)
{
    uint32_t before = atomic_exchange_explicit(&world.actors[actor].active, 1, memory_order_relaxed);
    world_check(before == 0, "actor %u was activated twice", actor);
}

void world_deactivated(uint32_t actor)
{
    uint32_t before = atomic_exchange_explicit(&world.actors[actor].active, 0, memory_order_relaxed);
    world_check(before == 1, "on_deactivate of actor %u without on_activate", actor);
}

void world_ended(uint32_t call, int status, bool may_have_run)
{
    struct world_call *c = &world.calls[call];
    uint32_t before = atomic_fetch_add(&c->ended, 1);
    world_check(before == 0, "call %u ended twice, now with %s", call, qk_status_name(status));
    world_trace(call, (uint64_t)(int64_t)status);
    if (!may_have_run) {
        atomic_store(&c->never, true);
        world_check(atomic_load(&c->ran) == 0, "call %u ended with %s (it did not run) but ran", call,
                    qk_status_name(status));
    }
}

void world_finish(int left)
{
    uint32_t n = atomic_load(&world.n_calls);
    uint32_t unanswered = 0;
    for (uint32_t i = 1; i < n && i < WORLD_CALLS_MAX; i++) {
        const struct world_call *c = &world.calls[i];
        if (c->is_frame && atomic_load(&c->ended) == 0)
            unanswered++;
        else
            world_check(atomic_load(&c->ended) == 1, "call %u never ended", i);
    }
    /* A frame may come too late only where the silo stops while others still submit; it is counted as left over. */
    world_check(unanswered == (uint32_t)left, "%d things leaked, %u frames without a reply", left, unanswered);
    world_check(unanswered == 0 || world.plan.hard, "%u frames without a reply", unanswered);
    for (uint32_t i = 0; i < WORLD_ACTORS; i++) {
        world_check(atomic_load(&world.actors[i].turns) == 0, "a turn of actor %u never ended", i);
        world_check(atomic_load(&world.actors[i].active) == 0, "actor %u was never deactivated", i);
    }
}
