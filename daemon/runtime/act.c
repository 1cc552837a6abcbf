/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Activations: finding them, making them, taking them out of the table, and freeing them once no worker can hold a
 * pointer.
 *
 * A worker looks into its own cache of places first, which takes no lock, then into the table, whose shards have a spin
 * lock each. An activation's memory always stays an activation's, and it is used again only after every worker has gone
 * through a point where it holds none (quiescent-state based reclamation), so a stale place in a cache is seen by its
 * phase and key. Source: P. E. McKenney, J. D. Slingwine, "Read-Copy Update: Using Execution History to Solve
 * Concurrency Problems", 1998.
 */
#include "runtime/supervise.h"

#include <stdlib.h>
#include <string.h>
#include "wire/message.h"

#define ACTS_PER_SLAB 128

/* A slab; its activations are handed out one by one, so that memory is touched when it is first used. */
struct act_slab {
    struct act_slab *next;
    uint32_t used;
    struct qk_act acts[ACTS_PER_SLAB];
};

/* The moves that an activation may make. */
#define TO(phase) (1u << QK_PHASE_##phase)
static const uint16_t moves[QK_PHASES] = {
    [QK_PHASE_FREE] = TO(NEW),
    [QK_PHASE_NEW] = TO(ACTIVATING) | TO(LIVE) | TO(DEAD),
    [QK_PHASE_ACTIVATING] = TO(LIVE) | TO(FAILED) | TO(DEAD),
    [QK_PHASE_LIVE] = TO(FAILED) | TO(STOPPING) | TO(DEACTIVATING) | TO(WAITING) | TO(NEW) | TO(DEAD),
    [QK_PHASE_FAILED] = TO(LIVE) | TO(STOPPING) | TO(DEACTIVATING) | TO(WAITING) | TO(NEW) | TO(DEAD),
    [QK_PHASE_STOPPING] = TO(DEACTIVATING) | TO(WAITING) | TO(NEW) | TO(DEAD),
    [QK_PHASE_DEACTIVATING] = TO(WAITING) | TO(NEW) | TO(DEAD),
    [QK_PHASE_WAITING] = TO(NEW) | TO(DEAD),
    [QK_PHASE_DEAD] = TO(FREE),
};
#undef TO

void qk_act_move(struct qk_act *act, enum qk_phase to)
{
    enum qk_phase from = atomic_load_explicit(&act->phase, memory_order_relaxed);
    assert((moves[from] & (1u << to)) != 0);
    /* Whatever a phase begins or ends, no turn of the activation is left from before; but for one that fails. */
    assert(to == QK_PHASE_FAILED || act->n_turns == 0);
    assert(to != QK_PHASE_FAILED || qk_act_extras(act) != NULL);
    atomic_store_explicit(&act->phase, (uint8_t)to, memory_order_release);
}

static struct qk_act *take_memory(struct qk_worker *w)
{
    struct qk_act *act = w->free_acts;
    if (act != NULL) {
        w->free_acts = act->queue_next;
        return act;
    }
    struct act_slab *slab = w->act_slabs;
    if (slab == NULL || slab->used == ACTS_PER_SLAB) {
        slab = aligned_alloc(QK_CACHE_LINE, sizeof(*slab));
        if (slab == NULL)
            return NULL;
        slab->next = w->act_slabs;
        slab->used = 0;
        w->act_slabs = slab;
    }
    act = &slab->acts[slab->used++];
    qk_count(&w->acts_made, 1);
    atomic_store_explicit(&act->phase, QK_PHASE_FREE, memory_order_relaxed);
    return act;
}

static void init_body(struct qk_act *act)
{
    const struct qk_rt_type *type = act->type;
    if (type->desc->state != NULL)
        type->desc->state->message_init((ProtobufCMessage *)act->body);
    if (type->stored)
        memset(act->body + type->state_size - type->behind_size, 0, type->behind_size);
    act->local = NULL;
}

void qk_act_renew(struct qk_act *act)
{
    if (act->type->desc->state != NULL)
        qk_message_clear(act->type->desc->state, (ProtobufCMessage *)act->body);
    init_body(act);
}

struct qk_extras *qk_act_need_extras(struct qk_act *act)
{
    struct qk_extras *extras = qk_act_extras(act);
    if (extras != NULL)
        return extras;
    struct qk_extras *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return NULL;
    if (atomic_compare_exchange_strong_explicit(&act->extras, &extras, made, memory_order_acq_rel,
                                                memory_order_acquire))
        return made;
    free(made); /* another worker was first */
    return extras;
}

/* What an activation has in its mailbox from the beginning, for whoever made it to schedule. */
struct inheritance {
    struct qk_link *first; /* oldest first; NULL: nothing */
    uint32_t count;
};

/* All but the phase, which it is in once others may see it. */
static struct qk_act *make_act(struct qk_worker *w, struct qk_rt_type *type, const char *key, uint32_t key_len,
                               uint64_t hash, struct inheritance has)
{
    struct qk_act *act = take_memory(w);
    if (act == NULL)
        return NULL;
    uint8_t *body = malloc(type->state_size + key_len + 1);
    if (body == NULL) {
        act->queue_next = w->free_acts;
        w->free_acts = act;
        return NULL;
    }
    memcpy(body + type->state_size, key, key_len);
    body[type->state_size + key_len] = 0;
    act->batch = has.first;
    act->deferred = NULL;
    act->type = type;
    act->body = body;
    act->hash = hash;
    act->queue_next = NULL;
    init_body(act);
    act->waiters = NULL;
    atomic_store_explicit(&act->extras, NULL, memory_order_relaxed);
    act->ender = NULL;
    act->key_len = (uint16_t)key_len;
    act->done = 0;
    act->n_turns = 0;
    atomic_store_explicit(&act->exclusive, 0, memory_order_relaxed);
    act->ending = 0;
    act->left = 0;
    act->used = false;
    atomic_store_explicit(&act->fiber, NULL, memory_order_relaxed);
    atomic_store_explicit(&act->turns, 0, memory_order_relaxed);
    atomic_store_explicit(&act->used_ms, (uint32_t)(w->now_ns / 1000000), memory_order_relaxed);
    uint64_t mailbox = has.first != NULL ? has.count * QK_MAILBOX_ONE | QK_MAILBOX_SCHEDULED : 0;
    atomic_store_explicit(&act->mailbox, mailbox, memory_order_relaxed);
    return act;
}

static struct qk_shard *shard_of(struct qk_runtime *rt, uint64_t hash)
{
    return &rt->shards[hash >> 56];
}

/* Gives memory back that is no activation's any more. */
static void give_back(struct qk_worker *w, struct qk_act *act)
{
    if (act->type->desc->state != NULL)
        qk_message_clear(act->type->desc->state, (ProtobufCMessage *)act->body);
    free(act->body);
    act->body = NULL;
    act->queue_next = w->free_acts;
    w->free_acts = act;
}

static void release(struct qk_worker *w, struct qk_act *act)
{
    struct qk_extras *extras = qk_act_extras(act);
    if (qk_unlikely(extras != NULL)) {
        qk_super_finish(extras);
        free(extras);
        atomic_store_explicit(&act->extras, NULL, memory_order_relaxed);
    }
    qk_act_move(act, QK_PHASE_FREE);
    give_back(w, act);
}

/* A new activation in the table. A worker may know its memory from an earlier one of the same actor, and take it for
 * the place as soon as its phase says so: that comes last, when there is nothing more to be done to it. */
static struct qk_act *insert(struct qk_worker *w, struct qk_shard *shard, struct qk_rt_type *type, const char *key,
                             uint32_t key_len, uint64_t hash, struct inheritance has)
{
    struct qk_runtime *rt = w->rt;
    if (rt->config.activations_max != 0 &&
        (uint64_t)atomic_load_explicit(&rt->activations, memory_order_relaxed) >= rt->config.activations_max)
        return NULL;
    struct qk_act *act = make_act(w, type, key, key_len, hash, has);
    if (act == NULL)
        return NULL;
    if (!qk_table_add(shard, act)) {
        give_back(w, act);
        return NULL;
    }
    qk_act_move(act, QK_PHASE_NEW);
    atomic_fetch_add_explicit(&rt->activations, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->counts[type->index].activations, 1, memory_order_relaxed);
    return act;
}

struct qk_act *qk_act_locate(struct qk_worker *w, struct qk_rt_type *type, const char *key, uint32_t key_len, bool make)
{
    uint64_t hash = qk_act_hash(w, type, key, key_len);
    struct qk_act *act = qk_act_cached(w, type, key, key_len, hash);
    return act != NULL ? act : qk_act_look_up(w, type, key, key_len, hash, make);
}

struct qk_act *qk_act_look_up(struct qk_worker *w, struct qk_rt_type *type, const char *key, uint32_t key_len,
                              uint64_t hash, bool make)
{
    struct qk_act *act;
    struct qk_shard *shard = shard_of(w->rt, hash);
    qk_spin_lock(&shard->lock);
    act = qk_table_find(shard, type, key, key_len, hash);
    if (act == NULL && make && atomic_load_explicit(&w->rt->memory, memory_order_relaxed) == QK_MEMORY_PLENTY)
        act = insert(w, shard, type, key, key_len, hash, (struct inheritance){0});
    qk_spin_unlock(&shard->lock);
    if (act != NULL)
        w->cache[hash & (QK_CACHE_SLOTS - 1)] = act;
    return act;
}

const char *qk_act_refusal(struct qk_worker *w)
{
    qk_count(&w->refused, 1);
    return atomic_load_explicit(&w->rt->memory, memory_order_relaxed) != QK_MEMORY_PLENTY
               ? "the silo is short of memory (runtime.memory) and activates no further actors for now"
               : "the silo has no memory for another activation";
}

struct qk_act *qk_act_by_hash(struct qk_runtime *rt, uint64_t hash)
{
    struct qk_shard *shard = shard_of(rt, hash);
    qk_spin_lock(&shard->lock);
    uint32_t i = (uint32_t)hash & shard->mask;
    while (shard->slots[i].act != NULL && shard->slots[i].hash != hash)
        i = (i + 1) & shard->mask;
    struct qk_act *act = shard->slots[i].act;
    qk_spin_unlock(&shard->lock);
    return act;
}

/* What waits in a mailbox that was just closed, oldest first, and how much that is. Ticks
 * and notices end with the activation, so they come back by themselves. */
static struct qk_link *take_rest(struct qk_act *act, uint32_t *ret_count, struct qk_link **ret_own)
{
    struct qk_link *first = act->batch;
    struct qk_link **last = &first;
    while (*last != NULL)
        last = &(*last)->next;
    *last = qk_mailbox_take(&act->mailbox);
    act->batch = NULL;
    *ret_own = NULL;
    *ret_count = 0;
    for (last = &first; *last != NULL;) {
        struct qk_link *link = *last;
        uint8_t kind = ((struct qk_msg *)link)->kind;
        if (kind == QK_MSG_TICK || kind == QK_MSG_NOTICE) {
            *last = link->next;
            link->next = *ret_own;
            *ret_own = link;
        } else {
            last = &link->next;
            (*ret_count)++;
        }
    }
    return first;
}

struct qk_link *qk_act_unlink(struct qk_worker *w, struct qk_act *act, struct qk_act **ret_successor)
{
    struct qk_shard *shard = shard_of(w->rt, act->hash);
    struct qk_link *own;
    uint32_t count;
    qk_timers_end_all(w, act);
    qk_spin_lock(&shard->lock);
    qk_table_remove(shard, act);
    qk_act_move(act, QK_PHASE_DEAD);
    /* From here on pushers look the actor up again, and wait for the shard until it is gone. */
    atomic_fetch_or_explicit(&act->mailbox, QK_MAILBOX_CLOSED, memory_order_acq_rel);
    atomic_fetch_sub_explicit(&w->rt->activations, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&w->counts[act->type->index].activations, 1, memory_order_relaxed);
    struct qk_link *rest = take_rest(act, &count, &own);
    if (ret_successor != NULL && rest != NULL) {
        *ret_successor =
            insert(w, shard, act->type, qk_act_key(act), act->key_len, act->hash, (struct inheritance){rest, count});
        if (*ret_successor != NULL)
            rest = NULL;
    }
    qk_spin_unlock(&shard->lock);
    while (own != NULL) {
        struct qk_msg *msg = (struct qk_msg *)own;
        own = own->next;
        if (msg->kind == QK_MSG_TICK)
            qk_timers_drop(w, msg);
        else
            qk_msg_destroy(w, msg);
    }
    return rest;
}

void qk_act_retire(struct qk_worker *w, struct qk_act *act)
{
    act->stamp = atomic_fetch_add(&w->rt->epoch, 1) + 1;
    act->queue_next = NULL;
    if (w->retired == NULL)
        w->retired = act;
    else
        w->retired_last->queue_next = act;
    w->retired_last = act;
}

void qk_act_reclaim(struct qk_worker *w)
{
    if (qk_likely(w->retired == NULL))
        return;
    struct qk_runtime *rt = w->rt;
    uint64_t oldest = atomic_load(&rt->watch_seen);
    for (uint32_t i = 0; i < rt->n_workers; i++) {
        uint64_t seen = atomic_load(&rt->workers[i]->seen);
        if (seen < oldest)
            oldest = seen;
    }
    while (w->retired != NULL && w->retired->stamp <= oldest) {
        struct qk_act *act = w->retired;
        w->retired = act->queue_next;
        release(w, act);
    }
}
