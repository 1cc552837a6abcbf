/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idle collection: each worker goes through its share of the table's shards, a few at a time, and claims activations
 * that have rested for longer than their type says. When the runtime stops it claims every one that rests.
 */
#include "runtime/internal.h"

#define SWEEP_TICK_NS (10 * QK_TICK_NS) /* no more often than this */

/* How many shards this worker looks after. */
static uint32_t shards_of(const struct qk_worker *w)
{
    return QK_SHARDS / w->rt->n_workers + 1;
}

/* All of a worker's shards are seen four times in the shortest idle age. */
static int64_t sweep_interval(const struct qk_worker *w, uint32_t *ret_shards)
{
    int64_t period = (int64_t)atomic_load_explicit(&w->rt->idle_min_ms, memory_order_relaxed) * 1000000 / 4;
    int64_t each = period / shards_of(w);
    uint32_t n = 1;
    if (each < SWEEP_TICK_NS) {
        n = each > 0 ? (uint32_t)(SWEEP_TICK_NS / each) + 1 : shards_of(w);
        each = SWEEP_TICK_NS;
    }
    *ret_shards = n < shards_of(w) ? n : shards_of(w);
    return each;
}

static bool is_old(const struct qk_worker *w, const struct qk_act *act)
{
    uint32_t now_ms = (uint32_t)(w->now_ns / 1000000);
    uint32_t used_ms = atomic_load_explicit(&((struct qk_act *)act)->used_ms, memory_order_relaxed);
    return (int32_t)(now_ms - used_ms) >= 0 && now_ms - used_ms >= act->type->idle_ms;
}

static bool sweep_shard(struct qk_worker *w, struct qk_shard *shard, bool stopping)
{
    /* A look without the lock: what is missed now is seen the next time. */
    if (atomic_load_explicit(&shard->count, memory_order_relaxed) == 0)
        return false;
    bool claimed = false;
    qk_spin_lock(&shard->lock);
    for (uint32_t i = 0; i <= shard->mask; i++) {
        struct qk_act *act = shard->slots[i].act;
        if (act == NULL || (!stopping && !is_old(w, act)) || !qk_mailbox_claim(&act->mailbox))
            continue;
        act->ending = stopping ? QK_DEACTIVATE_SHUTDOWN : QK_DEACTIVATE_IDLE;
        qk_queue_push(w, act, false);
        claimed = true;
    }
    qk_spin_unlock(&shard->lock);
    return claimed;
}

bool qk_idle_sweep(struct qk_worker *w, bool rests)
{
    struct qk_runtime *rt = w->rt;
    bool stopping = qk_runtime_phase(rt) >= QK_RUNTIME_STOPPING;
    /* A stop sweeps everything, so it does that only when what the last sweep claimed has been worked off. */
    if (qk_likely(stopping ? !rests : w->now_ns < w->sweep_ns))
        return false;
    uint32_t n = shards_of(w);
    if (!stopping) {
        int64_t interval = sweep_interval(w, &n);
        w->sweep_ns = w->now_ns + interval;
    }
    bool claimed = false;
    for (; n > 0; n--) {
        uint32_t shard = w->sweep_shard * rt->n_workers + w->index;
        if (shard < QK_SHARDS)
            claimed |= sweep_shard(w, &rt->shards[shard], stopping);
        w->sweep_shard = (w->sweep_shard + 1) % shards_of(w);
    }
    return claimed;
}

void qk_idle_plan(struct qk_worker *w)
{
    uint32_t n;
    int64_t latest = w->now_ns + sweep_interval(w, &n);
    if (w->sweep_ns > latest) /* a type with a shorter age has come */
        w->sweep_ns = latest;
}
