/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for messages: each worker carves blocks of a few sizes out of slabs of its own. A block that another worker
 * frees goes back to its owner, a batch at a time, so that a flood in one direction does not move memory with it.
 */
#include "runtime/context.h"

#include <stdlib.h>
#include <string.h>

static const uint32_t class_bytes[QK_MSG_CLASSES] = {320, 384, 512, 1024, 4096};

#define LARGE      QK_MSG_CLASSES /* from malloc */
#define SLAB_BYTES (64 * 1024)
#define OWED_MAX   64

struct slab {
    struct slab *next;
};

static unsigned class_of(size_t bytes)
{
    for (unsigned c = 0; c < QK_MSG_CLASSES; c++) {
        if (bytes <= class_bytes[c])
            return c;
    }
    return LARGE;
}

static void put_free(struct qk_pool *pool, struct qk_msg *msg)
{
    msg->link.next = (struct qk_link *)pool->free[msg->size_class];
    pool->free[msg->size_class] = msg;
}

/* Blocks that others have given back. */
static void collect_returned(struct qk_pool *pool)
{
    struct qk_msg *msg = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    while (msg != NULL) {
        struct qk_msg *next = (struct qk_msg *)msg->link.next;
        put_free(pool, msg);
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
    for (size_t at = QK_CACHE_LINE; at + class_bytes[c] <= SLAB_BYTES; at += class_bytes[c]) {
        struct qk_msg *msg = (struct qk_msg *)(slab + at);
        msg->size_class = (uint8_t)c;
        msg->owner = w;
        put_free(pool, msg);
    }
    return true;
}

struct qk_msg *qk_msg_create(struct qk_worker *w, enum qk_msg_kind kind, size_t extra)
{
    size_t bytes = ((sizeof(struct qk_msg) + 15) & ~(size_t)15) + extra;
    unsigned c = class_of(bytes);
    struct qk_msg *msg;
    if (qk_unlikely(c == LARGE)) {
        msg = malloc(bytes);
        if (msg == NULL)
            return NULL;
        msg->size_class = LARGE;
        msg->owner = w;
    } else {
        if (qk_unlikely(w->pool.free[c] == NULL) && !refill(w, c))
            return NULL;
        msg = w->pool.free[c];
        w->pool.free[c] = (struct qk_msg *)msg->link.next;
    }
    msg->kind = (uint8_t)kind;
    /* In the order of the struct: the compiler makes few wide stores of it. memset() would be a slow instruction. */
    atomic_store_explicit(&msg->life, QK_LIFE_PENDING, memory_order_relaxed);
    msg->status = 0;
    msg->one_way = msg->foreign = msg->may_have_run = msg->out_of_memory = false;
    msg->finished = msg->told = false;
    msg->chain_len = 0;
    msg->reply_size = 0;
    msg->cost_ns = 0;
    msg->runner = NULL;
    msg->home = NULL;
    msg->pending = NULL;
    msg->deadline.timer.next = NULL;
    msg->deadline.kind = QK_DEADLINE_CALL;
    msg->baggage = NULL;
    msg->frame = NULL;
    msg->remote = NULL;
    msg->acknowledge = NULL;
    msg->request = msg->reply = NULL;
    msg->text = "";
    msg->sender = "client";
    qk_arena_init(&msg->arena, QK_TURN_ARENA_MAX);
    qk_count(&w->pool.made, 1);
    return msg;
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

void qk_msg_destroy(struct qk_worker *w, struct qk_msg *msg)
{
    if (qk_unlikely(msg->arena.chunks != NULL))
        qk_arena_finish(&msg->arena);
    if (qk_unlikely(msg->baggage != NULL))
        qk_baggage_unref(msg->baggage);
    struct qk_pool *pool = &w->pool;
    qk_count(&pool->freed, 1);
    if (qk_unlikely(msg->size_class == LARGE)) {
        free(msg);
        return;
    }
    if (qk_likely(msg->owner == w)) {
        put_free(pool, msg);
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
