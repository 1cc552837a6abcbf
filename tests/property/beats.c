/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Timers of the property test: that ticks come, one at a time, never early, never after the end. */
#include <string.h>
#include "base/status.h"
#include "nodes.h"
#include "run.h"

#define NS_PER_MS 1000000ll

void beats_clear(uint32_t actor)
{
    memset(world.actors[actor].timers, 0, sizeof(world.actors[actor].timers));
}

static struct world_timer *choose(struct run *r, bool armed)
{
    struct world_timer *timers = world.actors[r->actor].timers;
    uint32_t first = run_below(r, WORLD_TIMERS);
    for (uint32_t i = 0; i < WORLD_TIMERS; i++) {
        struct world_timer *tm = &timers[(first + i) % WORLD_TIMERS];
        if ((tm->state != WORLD_TIMER_NONE) == armed)
            return tm;
    }
    return NULL;
}

void beats_start(struct run *r)
{
    struct world_actor *a = &world.actors[r->actor];
    struct world_timer *tm = choose(r, false);
    if (tm == NULL || atomic_load(&world.closing) || !world_spend())
        return;
    int64_t due_ms = run_below(r, 30), period_ms = run_below(r, 2) == 0 ? 0 : 1 + run_below(r, 12);
    uint64_t numbers[3];
    Prop__Beat in = PROP__BEAT__INIT;
    in.seed = world_random(&r->random);
    in.actor = r->actor;
    in.slot = (uint32_t)(tm - a->timers);
    in.serial = ++a->serial;
    in.n_numbers = run_below(r, 3);
    in.numbers = numbers;
    for (size_t i = 0; i < in.n_numbers; i++)
        numbers[i] = in.serial + i;
    struct world_timer made = {.state = WORLD_TIMER_ARMED,
                               .keeps_active = run_below(r, 2) == 0,
                               .serial = in.serial,
                               .period_ns = period_ms * NS_PER_MS,
                               .ticks_max = 1 + run_below(r, 30)};
    /* Behind the clock of the worker, which has looked at it some time ago, when there are threads. */
    made.first_ns = world.plan.workers == 0 ? world.now_ns(NULL) + due_ms * NS_PER_MS : 0;
    int rc = qk_timer_start(r->turn, node_method(r->actor, NODE_BEAT), due_ms, period_ms,
                            made.keeps_active ? QK_TIMER_KEEPS_ACTIVE : 0, &in.base, &made.id);
    world_check(rc == (r->ends ? QK_ESTATE : 0), "a timer of actor %u could not be started: %s", r->actor,
                qk_status_name(rc));
    if (rc == 0)
        *tm = made;
}

void beats_cancel(struct run *r)
{
    struct world_timer *tm = choose(r, true);
    if (tm == NULL)
        return;
    int rc = qk_timer_cancel(r->turn, tm->id);
    bool there = tm->state == WORLD_TIMER_ARMED;
    world_check(rc == 0 || (!there && rc == QK_ENOTFOUND), "a timer of actor %u could not be cancelled: %s", r->actor,
                qk_status_name(rc));
    world_check(qk_timer_cancel(r->turn, tm->id) == QK_ENOTFOUND, "a timer of actor %u was cancelled twice", r->actor);
    *tm = (struct world_timer){0};
}

static void check_beat(const struct run *r, const Prop__Beat *in)
{
    const struct world_actor *a = &world.actors[r->actor];
    world_check(in->actor == r->actor && in->slot < WORLD_TIMERS, "a tick came to another actor");
    const struct world_timer *tm = &a->timers[in->slot];
    world_check(tm->state != WORLD_TIMER_NONE && tm->serial == in->serial, "a timer of actor %u ticked after its end",
                r->actor);
    world_check(tm->state == WORLD_TIMER_ARMED, "a timer of actor %u that ticks once ticked twice", r->actor);
    world_check(!tm->runs, "a timer of actor %u ticked before its last tick was over", r->actor);
    world_check(tm->first_ns == 0 || world.now_ns(NULL) >= tm->first_ns + tm->ticks * tm->period_ns,
                "a timer of actor %u ticked early", r->actor);
    world_check(atomic_load(&a->active) == 1, "a timer of actor %u ticked before it was active", r->actor);
    for (size_t i = 0; i < in->n_numbers; i++)
        world_check(in->numbers[i] == in->serial + i, "what a timer of actor %u sent is damaged", r->actor);
}

/* The tick is over; the timer may have been cancelled meanwhile, and another have taken its place. */
static void end_beat(uint32_t actor, uint32_t slot, uint64_t serial)
{
    struct world_timer *tm = &world.actors[actor].timers[slot];
    if (tm->state == WORLD_TIMER_NONE || tm->serial != serial)
        return;
    tm->runs = false;
    tm->last_ns = world.now_ns(NULL);
    if (tm->state == WORLD_TIMER_LAST)
        *tm = (struct world_timer){0};
}

int beats_on_beat(qk_turn *t, void *self, const ProtobufCMessage *request, ProtobufCMessage *reply)
{
    const Prop__Beat *in = (const Prop__Beat *)request;
    uint32_t slot = in->slot;
    uint64_t serial = in->serial;
    struct run r = run_begin(t, self, in->seed, WORLD_ALONE);
    r.depth = 1;
    r.random += world.actors[r.actor].entered;
    check_beat(&r, in);
    struct world_timer *tm = &world.actors[r.actor].timers[slot];
    tm->runs = true;
    tm->ticks++;
    if (tm->keeps_active)
        world.actors[r.actor].used_ns = world.now_ns(NULL);
    if (tm->period_ns == 0)
        tm->state = WORLD_TIMER_LAST;
    if (tm->state == WORLD_TIMER_ARMED && (tm->ticks >= tm->ticks_max || atomic_load(&world.closing))) {
        world_check(qk_timer_cancel(t, tm->id) == 0, "actor %u can't cancel the timer that ticks", r.actor);
        *tm = (struct world_timer){0};
    }
    calls_check_cancelled(&r);
    if (run_below(&r, 4) == 0 && world_spend())
        run_act(&r);
    if (run_below(&r, 40) == 0) {
        end_beat(r.actor, slot, serial);
        run_maybe_panic(&r, 1);
    }
    ((Prop__Tock *)reply)->check = serial;
    end_beat(r.actor, slot, serial);
    run_leave(&r);
    return run_below(&r, 8) == 0 ? QK_APP(1) : 0;
}
