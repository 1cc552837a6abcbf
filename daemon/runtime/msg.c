/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for messages: each worker carves blocks of a few sizes out of slabs of its own. A block that another worker
 * frees goes back to its owner, a batch at a time, so that a flood in one direction does not move memory with it.
 */
#include "runtime/context.h"

#include <stdlib.h>
#include <string.h>

#define SLAB_BYTES (64 * 1024)
#define OWED_MAX   64

struct slab {
    struct slab *next;
};

/* Blocks that others have given back. */
static void collect_returned(struct qk_pool *pool)
{
    struct qk_msg *msg = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    while (msg != NULL) {
        struct qk_msg *next = (struct qk_msg *)msg->link.next;
        qk_pool_put(pool, msg);
        msg = next;
    }
}

static bool refill(struct qk_worker *w, unsigned c)
{
    struct qk_pool *pool = &w->pool;
    collect_returned(pool);
    if (pool->free[c] != NULL)
        return true;
    uint8_t *slab = aligned_alloc(QK_CACHE_LINE, SLAB_BYTES);
    if (slab == NULL)
        return false;
    ((struct slab *)slab)->next = pool->slabs;
    pool->slabs = slab;
    for (size_t at = QK_CACHE_LINE; at + qk_msg_class_bytes[c] <= SLAB_BYTES; at += qk_msg_class_bytes[c]) {
        struct qk_msg *msg = (struct qk_msg *)(slab + at);
        msg->size_class = (uint8_t)c;
        msg->owner = w;
        qk_pool_put(pool, msg);
    }
    return true;
}

struct qk_msg *qk_pool_refill(struct qk_worker *w, size_t bytes)
{
    unsigned c = qk_msg_class(bytes);
    if (c == QK_MSG_LARGE) {
        struct qk_msg *msg = malloc(bytes);
        if (msg == NULL)
            return NULL;
        msg->size_class = QK_MSG_LARGE;
        msg->owner = w;
        return msg;
    }
    if (w->pool.free[c] == NULL && !refill(w, c))
        return NULL;
    return qk_pool_take(&w->pool, c);
}

struct qk_msg *qk_msg_create(struct qk_worker *w, enum qk_msg_kind kind, size_t extra)
{
    return qk_msg_make(w, kind, extra);
}

void qk_pool_flush(struct qk_worker *w)
{
    struct qk_pool *pool = &w->pool;
    if (pool->owed == NULL)
        return;
    _Atomic(struct qk_msg *) *returned = &pool->debtor->pool.returned;
    struct qk_msg *head = atomic_load_explicit(returned, memory_order_relaxed);
    do {
        pool->owed_last->link.next = (struct qk_link *)head;
    } while (!atomic_compare_exchange_weak_explicit(returned, &head, pool->owed, memory_order_release,
                                                    memory_order_relaxed));
    pool->owed = pool->owed_last = NULL;
    pool->n_owed = 0;
}

void qk_msg_give_back(struct qk_worker *w, struct qk_msg *msg)
{
    if (msg->arena.chunks != NULL)
        qk_arena_finish(&msg->arena);
    if (msg->baggage != NULL)
        qk_baggage_unref(msg->baggage);
    struct qk_pool *pool = &w->pool;
    qk_count(&pool->freed, 1);
    if (msg->size_class == QK_MSG_LARGE) {
        free(msg);
        return;
    }
    if (msg->owner == w) {
        qk_pool_put(pool, msg);
        return;
    }
    if (pool->owed != NULL && (pool->debtor != msg->owner || pool->n_owed >= OWED_MAX))
        qk_pool_flush(w);
    pool->debtor = msg->owner;
    msg->link.next = (struct qk_link *)pool->owed;
    if (pool->owed == NULL)
        pool->owed_last = msg;
    pool->owed = msg;
    pool->n_owed++;
}

void qk_pool_finish(struct qk_pool *pool)
{
    struct slab *slab = pool->slabs;
    while (slab != NULL) {
        struct slab *next = slab->next;
        free(slab);
        slab = next;
    }
    pool->slabs = NULL;
}
