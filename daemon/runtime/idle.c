/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idle collection: each worker goes through its share of the table's shards, a few at a time, and claims activations
 * that have rested for longer than their type says; on request, when memory is short, those that have rested for longer
 * than the request says. When the runtime stops it claims every one that rests.
 */
#include "runtime/supervise.h"

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

static bool is_old(const struct qk_worker *w, const struct qk_act *act, uint32_t age_ms)
{
    uint32_t now_ms = (uint32_t)(w->now_ns / 1000000);
    uint32_t used_ms = atomic_load_explicit(&((struct qk_act *)act)->used_ms, memory_order_relaxed);
    return (int32_t)(now_ms - used_ms) >= 0 && now_ms - used_ms >= age_ms;
}

enum why { WHY_IDLE, WHY_MEMORY, WHY_STOP };

/* Whether an activation is to end, if it rests. */
static bool is_due(struct qk_worker *w, const struct qk_act *act, enum why why)
{
    struct qk_runtime *rt = w->rt;
    switch (why) {
    case WHY_IDLE:
        return is_old(w, act, act->type->idle_ms);
    case WHY_MEMORY:
        return atomic_load_explicit(&rt->collect_left, memory_order_relaxed) > 0 &&
               is_old(w, act, atomic_load_explicit(&rt->collect_age_ms, memory_order_relaxed));
    case WHY_STOP:
        return true;
    }
    return false;
}

static bool sweep_shard(struct qk_worker *w, struct qk_shard *shard, enum why why)
{
    /* A look without the lock: what is missed now is seen the next time. */
    if (atomic_load_explicit(&shard->count, memory_order_relaxed) == 0)
        return false;
    uint32_t claimed = 0;
    qk_spin_lock(&shard->lock);
    for (uint32_t i = 0; i <= shard->mask; i++) {
        struct qk_act *act = shard->slots[i].act;
        if (act == NULL || !is_due(w, act, why))
            continue;
        if (!qk_mailbox_claim(&act->mailbox)) {
            /* One that has failed, or waits for its children, may rest with messages. */
            struct qk_extras *extras = why == WHY_STOP ? qk_act_extras(act) : NULL;
            if (extras != NULL && !extras->told) {
                extras->told = true;
                qk_super_order(w, act, QK_ORDER_SHUTDOWN);
                claimed++;
            }
            continue;
        }
        act->ending = why == WHY_STOP ? QK_DEACTIVATE_SHUTDOWN : QK_DEACTIVATE_IDLE;
        qk_queue_push(w, act, false);
        claimed++;
        if (why == WHY_MEMORY)
            atomic_fetch_sub_explicit(&w->rt->collect_left, 1, memory_order_relaxed);
    }
    qk_spin_unlock(&shard->lock);
    if (why == WHY_MEMORY && claimed > 0) {
        atomic_fetch_add(&w->rt->collect_claimed, claimed);
        atomic_fetch_add(&w->rt->collected, claimed);
    }
    return claimed > 0;
}

/* ---- collecting because memory is short */

bool qk_runtime_collect(struct qk_runtime *rt, uint32_t age_ms, uint64_t max)
{
    if (atomic_load(&rt->collect_workers) != 0 || qk_runtime_phase(rt) >= QK_RUNTIME_STOPPING)
        return false;
    atomic_store(&rt->collect_age_ms, age_ms);
    atomic_store(&rt->collect_left, max < INT64_MAX ? (int64_t)max : INT64_MAX);
    atomic_store(&rt->collect_claimed, 0);
    atomic_store(&rt->collect_workers, rt->n_workers);
    atomic_fetch_add(&rt->collect_number, 1);
    for (uint32_t i = 0; i < rt->n_workers; i++)
        qk_worker_kick(NULL, rt->workers[i]);
    return true;
}

bool qk_runtime_collected(const struct qk_runtime *rt, uint64_t *ret_claimed)
{
    struct qk_runtime *r = (struct qk_runtime *)rt;
    bool over = atomic_load(&r->collect_workers) == 0;
    *ret_claimed = atomic_load(&r->collect_claimed);
    return over;
}

bool qk_idle_must_collect(const struct qk_worker *w)
{
    return w->collect_shards != 0 || atomic_load(&w->rt->collect_number) != w->collect_number;
}

/* Goes through one shard a round, so that turns are hardly held up. True while there is more to do. */
static bool collect(struct qk_worker *w)
{
    struct qk_runtime *rt = w->rt;
    uint32_t number = atomic_load_explicit(&rt->collect_number, memory_order_acquire);
    if (qk_likely(number == w->collect_number && w->collect_shards == 0))
        return false;
    if (number != w->collect_number) {
        w->collect_number = number;
        w->collect_shards = shards_of(w);
    }
    uint32_t shard = --w->collect_shards * rt->n_workers + w->index;
    if (shard < QK_SHARDS)
        sweep_shard(w, &rt->shards[shard], WHY_MEMORY);
    if (w->collect_shards == 0)
        atomic_fetch_sub(&rt->collect_workers, 1);
    return true;
}

bool qk_idle_sweep(struct qk_worker *w, bool rests)
{
    struct qk_runtime *rt = w->rt;
    bool collected = collect(w);
    bool stopping = qk_runtime_phase(rt) >= QK_RUNTIME_STOPPING;
    /* A stop sweeps everything, so it does that only when what the last sweep claimed has been worked off. */
    if (qk_likely(stopping ? !rests : w->now_ns < w->sweep_ns))
        return collected;
    uint32_t n = shards_of(w);
    if (!stopping) {
        int64_t interval = sweep_interval(w, &n);
        w->sweep_ns = w->now_ns + interval;
    }
    bool claimed = collected;
    for (; n > 0; n--) {
        uint32_t shard = w->sweep_shard * rt->n_workers + w->index;
        if (shard < QK_SHARDS)
            claimed |= sweep_shard(w, &rt->shards[shard], stopping ? WHY_STOP : WHY_IDLE);
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
