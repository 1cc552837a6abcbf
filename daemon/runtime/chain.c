/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call chains, and turns of one activation that interleave.
 *
 * A call carries the hashes of the activations that wait for it, so a call that would wait for itself is seen before it
 * is sent. Where a type lets turns interleave, its activations stay with one worker, which begins further turns while
 * others are suspended: at any moment at most one of them runs. What may not begin yet is put aside in order.
 */
#include "runtime/internal.h"

#include <stdio.h>

bool qk_chain_has(const struct qk_msg *msg, const struct qk_act *act)
{
    for (unsigned i = 0; i < msg->chain_len; i++) {
        if (msg->chain[i] == act->hash)
            return true;
    }
    return false;
}

bool qk_chain_may_return(const struct qk_msg *msg, const struct qk_act *act)
{
    uint8_t interleave = msg->method->interleave;
    if ((interleave & (QK_INTERLEAVE_CHAIN | QK_INTERLEAVE_ALWAYS)) != 0)
        return true;
    /* Its turn in this chain is one of those that are counted, so the count can't miss it. */
    return (interleave & QK_INTERLEAVE_READS) != 0 &&
           atomic_load_explicit(&((struct qk_act *)act)->exclusive, memory_order_relaxed) == 0;
}

/* Appends the name of the activation with this hash; it waits, so it is in the table unless it was abandoned. */
size_t qk_chain_append_name(struct qk_runtime *rt, uint64_t hash, char *text, size_t size)
{
    struct qk_shard *shard = &rt->shards[hash >> 56];
    int n = 0;
    qk_spin_lock(&shard->lock);
    uint32_t i = (uint32_t)hash & shard->mask;
    while (shard->slots[i].act != NULL && shard->slots[i].hash != hash)
        i = (i + 1) & shard->mask;
    const struct qk_act *act = shard->slots[i].act;
    if (act != NULL)
        n = snprintf(text, size, "%s/%s", act->type->desc->name, qk_act_key(act));
    else
        n = snprintf(text, size, "(ended, or in another process)");
    qk_spin_unlock(&shard->lock);
    if (n < 0)
        return 0;
    return (size_t)n < size ? (size_t)n : size - 1;
}

void qk_chain_describe(struct qk_runtime *rt, const struct qk_msg *msg, const struct qk_act *last, char *ret_text,
                       size_t size)
{
    size_t at = 0;
    for (unsigned i = 0; i <= msg->chain_len && at < size; i++) {
        if (i > 0)
            at += (size_t)snprintf(ret_text + at, size - at, " -> ");
        if (at < size)
            at += qk_chain_append_name(rt, i < msg->chain_len ? msg->chain[i] : last->hash, ret_text + at, size - at);
    }
}

/* Whether a message may begin a turn while others of the activation wait. */
static bool may_interleave(const struct qk_act *act, const struct qk_msg *msg)
{
    if (act->ending != 0 || msg->kind == QK_MSG_TICK || msg->kind == QK_MSG_NOTICE)
        return false;
    uint8_t interleave = msg->method->interleave;
    if ((interleave & QK_INTERLEAVE_ALWAYS) != 0)
        return true;
    if ((interleave & QK_INTERLEAVE_CHAIN) != 0 && qk_chain_has(msg, act))
        return true;
    return (interleave & QK_INTERLEAVE_READS) != 0 &&
           atomic_load_explicit(&((struct qk_act *)act)->exclusive, memory_order_relaxed) == 0;
}

void qk_chain_defer(struct qk_act *act, struct qk_link *link)
{
    link->next = NULL;
    if (act->deferred == NULL)
        act->deferred = link;
    else
        *act->deferred_last = link;
    act->deferred_last = &link->next;
}

struct qk_msg *qk_chain_next(struct qk_act *act)
{
    if (act->n_turns == 0 && act->deferred != NULL)
        qk_chain_undefer(act);
    for (;;) {
        if (act->batch == NULL)
            act->batch = qk_mailbox_take(&act->mailbox);
        struct qk_link *link = act->batch;
        if (link == NULL)
            return NULL;
        act->batch = link->next;
        if (act->n_turns == 0 || may_interleave(act, (struct qk_msg *)link))
            return (struct qk_msg *)link;
        qk_chain_defer(act, link);
    }
}

void qk_chain_undefer(struct qk_act *act)
{
    if (act->deferred == NULL)
        return;
    *act->deferred_last = act->batch;
    act->batch = act->deferred;
    act->deferred = NULL;
}

static bool is_exclusive(const struct qk_rt_method *method)
{
    return (method->interleave & QK_INTERLEAVE_READS) == 0;
}

void qk_chain_enter(struct qk_act *act, const struct qk_rt_method *method)
{
    act->n_turns++;
    if (is_exclusive(method))
        atomic_fetch_add_explicit(&act->exclusive, 1, memory_order_relaxed);
}

void qk_chain_leave(struct qk_act *act, const struct qk_rt_method *method)
{
    act->n_turns--;
    if (is_exclusive(method))
        atomic_fetch_sub_explicit(&act->exclusive, 1, memory_order_relaxed);
}
