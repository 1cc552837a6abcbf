/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking after the workers from a thread that no actor can hold up: finds turns that hold their worker, sees to queued
 * work behind them, and polls when no worker can.
 */
#include "runtime/frames.h"

#include <string.h>
#include <unistd.h>

#define POLL_LATE_NS 2000000

/* Fills in the report of a turn that still runs; false when it has just ended. */
static bool describe(struct qk_runtime *rt, struct qk_worker *w, uint64_t turn, struct qk_stall *stall)
{
    /* While this thread counts as one that may hold activations, what it finds stays in memory. */
    atomic_store(&rt->watch_seen, atomic_load(&rt->epoch));
    struct qk_act *act = atomic_load(&w->turn_act);
    const char *method = atomic_load(&w->turn_method);
    bool same = act != NULL && atomic_load(&w->turn_number) == turn;
    if (same) {
        stall->worker = w->index;
        stall->turn = turn;
        stall->type = act->type->desc->name;
        stall->method = method;
        memcpy(stall->key, qk_act_key(act), act->key_len + 1u);
    }
    atomic_store(&rt->watch_seen, UINT64_MAX);
    return same;
}

static void watch_worker(struct qk_runtime *rt, uint32_t index, int64_t now_ns, int64_t stall_ns,
                         void (*on_stall)(void *arg, const struct qk_stall *stall), void *arg)
{
    struct qk_worker *w = rt->workers[index];
    struct qk_watched *seen = &rt->watched[index];
    uint64_t turn = atomic_load(&w->turn_number);
    if (atomic_load(&w->turn_act) == NULL || turn != seen->turn) {
        *seen = (struct qk_watched){.turn = turn, .since_ns = now_ns, .report_ns = now_ns + stall_ns};
        return;
    }
    if (now_ns < seen->report_ns)
        return;
    struct qk_stall stall = {.held_ns = now_ns - seen->since_ns};
    if (!describe(rt, w, turn, &stall))
        return;
    seen->report_ns = now_ns + stall.held_ns;
    atomic_fetch_add(&rt->long_turns, 1);
    if (on_stall != NULL)
        on_stall(arg, &stall);
}

static void poll_instead(struct qk_runtime *rt, int64_t now_ns)
{
    const struct qk_poller *poller = &rt->config.poller;
    if (poller->poll == NULL || now_ns - atomic_load(&rt->polled_ns) < POLL_LATE_NS || atomic_load(&rt->driver))
        return;
    if (atomic_load(&rt->parked) > 0) { /* a worker that sleeps can do it */
        qk_runtime_kick_one(rt, NULL);
        return;
    }
    if (atomic_exchange(&rt->driver, true))
        return;
    poller->poll(poller->arg, 0);
    atomic_store(&rt->polled_ns, now_ns);
    atomic_store(&rt->driver, false);
    /* Who fell asleep meanwhile found the poller taken and sleeps beside it; one of them has to poll from now on. */
    qk_runtime_kick_one(rt, NULL);
}

bool qk_runtime_watch(struct qk_runtime *rt, int64_t stall_ns,
                      void (*on_stall)(void *arg, const struct qk_stall *stall), void *arg)
{
    int64_t now_ns = rt->config.now_ns(rt->config.clock_arg);
    bool active = false;
    bool queued = atomic_load(&rt->queue_count) != 0 || atomic_load(&rt->posted) != NULL;
    for (uint32_t i = 0; i < rt->n_workers; i++) {
        watch_worker(rt, i, now_ns, stall_ns, on_stall, arg);
        bool held = now_ns - rt->watched[i].since_ns > QK_STEAL_CALLED_NS;
        if (held)
            qk_frames_deliver(rt->workers[i]);
        queued = queued || qk_queue_depth(rt->workers[i]) > 0 || (held && qk_queue_called_depth(rt->workers[i]) > 0);
        active = active || !atomic_load(&rt->workers[i]->parked);
    }
    if (queued)
        qk_runtime_kick_one(rt, NULL);
    if (active)
        poll_instead(rt, now_ns);
    return active;
}

void qk_runtime_pulse(const struct qk_runtime *rt, uint32_t index, struct qk_worker_pulse *ret_pulse)
{
    struct qk_worker *w = rt->workers[index];
    ret_pulse->loops = atomic_load(&w->loops);
    ret_pulse->parked = atomic_load(&w->parked);
}

bool qk_runtime_turn_here(const void *address, struct qk_turn_here *ret_here)
{
    struct qk_worker *w = qk_worker_current();
    struct qk_act *act = w != NULL ? atomic_load(&w->turn_act) : NULL;
    if (act == NULL || w->running == NULL)
        return false;
    /* The fiber lies at the high end of its stack, the guard at the low end, and both ends between pages. */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t high = ((uintptr_t)w->running + sizeof(*w->running) + page - 1) & ~(page - 1);
    uintptr_t low = high - w->rt->config.fiber_stack_bytes;
    ret_here->type = act->type->desc->name;
    ret_here->key = qk_act_key(act);
    ret_here->method = atomic_load(&w->turn_method);
    ret_here->stack_bytes = w->rt->config.fiber_stack_bytes;
    ret_here->stack_used_up = (uintptr_t)address >= low && (uintptr_t)address < low + page;
    return true;
}

struct qk_port_note *qk_runtime_note_here(void)
{
    struct qk_worker *w = qk_worker_current();
    return w != NULL && w->running != NULL ? w->note : NULL;
}
