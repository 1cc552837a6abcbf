/* SPDX-License-Identifier: Apache-2.0 */
/* What the tools show: sums over the workers' counters, and walks over types and activations. Any thread. */
#include "runtime/internal.h"

void qk_runtime_visit_types(struct qk_runtime *rt, void (*visit)(void *arg, const struct qk_type_stats *stats),
                            void *arg)
{
    unsigned n = atomic_load(&rt->types.count);
    for (unsigned i = 0; i < n; i++) {
        const struct qk_rt_type *type = atomic_load(&rt->types.in_order[i]);
        struct qk_type_stats s = {
            .type = type->desc, .plugin = type->plugin, .mailbox_max = type->mailbox_max, .idle_ms = type->idle_ms};
        int64_t activations = 0;
        for (uint32_t k = 0; k < rt->n_workers; k++) {
            struct qk_type_counts *c = &rt->workers[k]->counts[i];
            activations += atomic_load(&c->activations);
            s.turns += atomic_load(&c->turns);
            s.failures += atomic_load(&c->failures);
            s.turn_ns += atomic_load(&c->turn_ns);
            s.turn_samples += atomic_load(&c->samples);
            s.mailbox_wait_ns += atomic_load(&c->wait_ns);
        }
        s.activations = activations > 0 ? (uint64_t)activations : 0;
        visit(arg, &s);
    }
}

static const char *state_name(const struct qk_act *act)
{
    struct qk_act *a = (struct qk_act *)act;
    switch ((enum qk_phase)atomic_load(&a->phase)) {
    case QK_PHASE_NEW:
    case QK_PHASE_ACTIVATING:
        return "activating";
    case QK_PHASE_DEACTIVATING:
    case QK_PHASE_STOPPING:
        return "deactivating";
    case QK_PHASE_FAILED:
    case QK_PHASE_WAITING:
        return "failed";
    default:
        break;
    }
    if ((atomic_load(&a->mailbox) & QK_MAILBOX_SCHEDULED) == 0)
        return "idle";
    return atomic_load(&a->fiber) != NULL ? "running" : "queued";
}

void qk_runtime_visit_activations(struct qk_runtime *rt,
                                  bool (*visit)(void *arg, const struct qk_activation_info *info), void *arg)
{
    uint32_t now_ms = (uint32_t)(rt->config.now_ns(rt->config.clock_arg) / 1000000);
    for (unsigned s = 0; s < QK_SHARDS; s++) {
        struct qk_shard *shard = &rt->shards[s];
        bool go_on = true;
        qk_spin_lock(&shard->lock);
        for (uint32_t i = 0; go_on && i <= shard->mask; i++) {
            struct qk_act *act = shard->slots[i].act;
            if (act == NULL)
                continue;
            struct qk_activation_info info = {.type = act->type->desc,
                                              .key = qk_act_key(act),
                                              .key_len = act->key_len,
                                              .state = state_name(act),
                                              .mailbox = qk_mailbox_count(atomic_load(&act->mailbox)),
                                              .turns = atomic_load(&act->turns),
                                              .idle_ms = (int32_t)(now_ms - atomic_load(&act->used_ms))};
            if (info.idle_ms < 0)
                info.idle_ms = 0;
            go_on = visit(arg, &info);
        }
        qk_spin_unlock(&shard->lock);
        if (!go_on)
            return;
    }
}

void qk_runtime_worker_stats(const struct qk_runtime *rt, uint32_t index, struct qk_worker_stats *ret_stats)
{
    struct qk_worker *w = rt->workers[index];
    ret_stats->turns = atomic_load(&w->turns);
    ret_stats->busy_ns = atomic_load(&w->busy_ns);
    ret_stats->steals = atomic_load(&w->steals);
    ret_stats->parks = atomic_load(&w->parks);
    ret_stats->wakes = atomic_load(&w->wakes);
    ret_stats->runnable = qk_queue_depth(w) + qk_queue_called_depth(w);
}

void qk_runtime_stats(const struct qk_runtime *rt, struct qk_runtime_stats *ret_stats)
{
    struct qk_runtime *r = (struct qk_runtime *)rt;
    int64_t activations = atomic_load(&r->activations);
    *ret_stats = (struct qk_runtime_stats){.workers = rt->n_workers,
                                           .activations = activations > 0 ? (uint64_t)activations : 0,
                                           .long_turns = atomic_load(&r->long_turns),
                                           .collected = atomic_load(&r->collected)};
    uint64_t made = 0;
    for (uint32_t i = 0; i < rt->n_workers; i++) {
        struct qk_worker *w = rt->workers[i];
        ret_stats->turns += atomic_load(&w->turns);
        ret_stats->failures += atomic_load(&w->failures);
        ret_stats->frames_in += atomic_load(&w->frames_in);
        ret_stats->fibers_suspended += atomic_load(&w->n_suspended);
        ret_stats->refused += atomic_load(&w->refused);
        made += atomic_load(&w->acts_made);
    }
    if (made > ret_stats->activations)
        ret_stats->spare_bytes = (made - ret_stats->activations) * sizeof(struct qk_act);
}

uint64_t qk_runtime_busy(const struct qk_runtime *rt)
{
    uint64_t made = 0, freed = 0;
    for (uint32_t i = 0; i < rt->n_workers; i++) {
        freed += atomic_load(&rt->workers[i]->pool.freed);
        made += atomic_load(&rt->workers[i]->pool.made);
    }
    return made > freed ? made - freed : 0;
}
