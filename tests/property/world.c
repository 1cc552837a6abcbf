/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The records of one run of the property test and the checks on them. */
#include "world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
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
    /* Only what the last run has used of the records, since they are many. */
    size_t used = atomic_load(&world.n_calls) + 1;
    used = used < WORLD_CALLS_MAX ? used : WORLD_CALLS_MAX;
    memset(&world, 0, offsetof(struct world, calls) + used * sizeof(world.calls[0]));
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

bool world_spend(void)
{
    uint32_t left = atomic_load(&world.budget);
    do {
        if (left == 0)
            return false;
    } while (!atomic_compare_exchange_weak(&world.budget, &left, left - 1));
    return true;
}

bool world_new_call(bool is_frame, uint32_t *ret_call)
{
    if (!is_frame && !world_spend())
        return false;
    uint32_t call = atomic_fetch_add(&world.n_calls, 1);
    if (call >= WORLD_CALLS_MAX)
        return false;
    world.calls[call].is_frame = is_frame;
    *ret_call = call;
    return true;
}

void world_resume(uint32_t actor)
{
    world_check(!atomic_load_explicit(&world.actors[actor].failed, memory_order_relaxed),
                "a turn of actor %u went on after another had failed", actor);
    uint32_t others = atomic_fetch_add_explicit(&world.actors[actor].running, 1, memory_order_relaxed);
    world_check(others == 0, "two turns of actor %u run at a time", actor);
}

void world_pause(uint32_t actor)
{
    atomic_fetch_sub_explicit(&world.actors[actor].running, 1, memory_order_relaxed);
}

/* Its turns from before have ended without a word, and so have their calls. */
static void unwind(uint32_t actor)
{
    struct world_actor *a = &world.actors[actor];
    for (uint32_t call = a->open; call != 0; call = world.calls[call].next_open) {
        if (atomic_load(&world.calls[call].ended) == 0)
            world_ended(call, QK_ECRASHED, true);
    }
    a->open = 0;
    for (uint32_t i = 0; i < WORLD_TIMERS; i++) {
        if (a->timers[i].runs)
            a->timers[i].last_ns = world.now_ns(NULL);
        a->timers[i].runs = false;
    }
    memset(a->waits, 0, sizeof(a->waits));
    atomic_store(&a->readers, 0);
    atomic_store(&a->running, 0);
    atomic_store(&a->turns, 0);
}

static void check_overlap(uint32_t actor, enum world_how how, uint64_t chain, uint32_t others, uint32_t readers)
{
    if (others == 0 || how == WORLD_ALWAYS)
        return;
    if (how == WORLD_READS)
        world_check(others == readers, "a turn of actor %u that reads began before one that does not had ended", actor);
    else if (how == WORLD_CHAIN)
        world_check((chain & (WORLD_BIT(actor) | WORLD_INEXACT)) != 0,
                    "a turn of actor %u began while another waited, in no chain with it", actor);
    else
        world_broken("a turn of actor %u began before another had ended", actor);
}

void world_enter(uint32_t actor, enum world_how how, uint64_t chain)
{
    struct world_actor *a = &world.actors[actor];
    if (atomic_exchange(&a->failed, false))
        unwind(actor);
    uint32_t others = atomic_fetch_add_explicit(&a->turns, 1, memory_order_relaxed);
    check_overlap(actor, how, chain, others, atomic_load_explicit(&a->readers, memory_order_relaxed));
    if (how == WORLD_READS)
        atomic_fetch_add_explicit(&a->readers, 1, memory_order_relaxed);
    world_resume(actor);
    a->entered++;
    world_trace(actor, a->entered);
}

void world_leave(uint32_t actor, enum world_how how)
{
    struct world_actor *a = &world.actors[actor];
    world_pause(actor);
    if (how == WORLD_READS)
        atomic_fetch_sub_explicit(&a->readers, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&a->turns, 1, memory_order_relaxed);
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

void world_failed(uint32_t actor)
{
    atomic_store(&world.actors[actor].failed, true);
}

void world_activated(uint32_t actor)
{
    uint32_t before = atomic_exchange_explicit(&world.actors[actor].active, 1, memory_order_relaxed);
    world_check(before == 0, "actor %u was activated twice", actor);
}

void world_too_late(uint32_t actor)
{
    struct world_actor *a = &world.actors[actor];
    world_check(atomic_exchange(&a->active, 0) == 1, "actor %u was not active", actor);
    a->late = false;
    free(a->local);
}

void world_deactivated(uint32_t actor)
{
    uint32_t before = atomic_exchange_explicit(&world.actors[actor].active, 0, memory_order_relaxed);
    world_check(before == 1, "on_deactivate of actor %u without on_activate", actor);
}

/* What only a turn that has run to its end can have said. */
static bool is_answer(int status)
{
    return status >= 0 || qk_is_app(status);
}

void world_ended(uint32_t call, int status, bool may_have_run)
{
    struct world_call *c = &world.calls[call];
    atomic_store(&c->status, status);
    uint32_t before = atomic_fetch_add(&c->ended, 1);
    world_check(c->is_frame || !is_answer(status) || !atomic_load(&c->felt),
                "call %u ended with %s although its turn was told that nobody waits", call, qk_status_name(status));
    world_check(before == 0, "call %u ended twice, now with %s", call, qk_status_name(status));
    world_trace(call, (uint64_t)(int64_t)status);
    if (!may_have_run) {
        atomic_store(&c->never, true);
        world_check(atomic_load(&c->ran) == 0, "call %u ended with %s (it did not run) but ran", call,
                    qk_status_name(status));
    }
}

void world_felt(uint32_t call)
{
    struct world_call *c = &world.calls[call];
    atomic_store(&c->felt, true);
    world_check(atomic_load(&c->ended) == 0 || !is_answer(atomic_load(&c->status)),
                "the turn of call %u was told that nobody waits although its caller got its answer", call);
}

bool world_is_gone(uint32_t call)
{
    struct world_call *c = &world.calls[call];
    return atomic_load(&c->gone) || atomic_load(&world.clients[c->client].gone);
}

static void replace_wait(uint32_t actor, uint32_t from, uint32_t to)
{
    uint32_t *waits = world.actors[actor].waits;
    for (int i = 0; i < WORLD_WAITS; i++) {
        if (waits[i] == from) {
            waits[i] = to;
            return;
        }
    }
}

static bool is_given_up(uint32_t call)
{
    const struct world_call *c = &world.calls[call];
    return c->is_frame ? world_is_gone(call) : atomic_load(&c->ended) != 0 && !atomic_load(&c->left);
}

void world_wait(uint32_t actor, uint32_t call)
{
    if (call != 0 && !is_given_up(call))
        replace_wait(actor, 0, call);
}

void world_go_on(uint32_t actor, uint32_t call)
{
    if (call != 0)
        replace_wait(actor, call, 0);
}

void world_check_waits(void)
{
    for (uint32_t i = 0; i < WORLD_ACTORS; i++) {
        const struct world_actor *a = &world.actors[i];
        for (uint32_t k = 0; k < WORLD_WAITS && !atomic_load(&a->failed); k++)
            world_check(a->waits[k] == 0 || !is_given_up(a->waits[k]),
                        "a turn of actor %u waits, although nobody waits for call %u any more", i, a->waits[k]);
    }
}

void world_finish(int left)
{
    for (uint32_t i = 0; i < WORLD_ACTORS; i++) {
        if (!atomic_load(&world.actors[i].failed))
            continue;
        unwind(i);
        if (world.actors[i].late)
            world_too_late(i);
    }
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
    world_check(atomic_load(&world.instances) == 0, "%u instances of services were never destroyed",
                atomic_load(&world.instances));
}
