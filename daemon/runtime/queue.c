/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues of runnable activations: each worker's ring, which others may steal from, and one common list for what the
 * rings have no room for.
 */
#include "runtime/internal.h"

static void push_common(struct qk_runtime *rt, struct qk_act *act)
{
    act->queue_next = NULL;
    qk_spin_lock(&rt->queue_lock);
    if (rt->queue_head == NULL)
        rt->queue_head = act;
    else
        rt->queue_tail->queue_next = act;
    rt->queue_tail = act;
    atomic_fetch_add_explicit(&rt->queue_count, 1, memory_order_relaxed);
    qk_spin_unlock(&rt->queue_lock);
}

static struct qk_act *pop_common(struct qk_runtime *rt)
{
    if (atomic_load_explicit(&rt->queue_count, memory_order_relaxed) == 0)
        return NULL;
    qk_spin_lock(&rt->queue_lock);
    struct qk_act *act = rt->queue_head;
    if (act != NULL) {
        rt->queue_head = act->queue_next;
        atomic_fetch_sub_explicit(&rt->queue_count, 1, memory_order_relaxed);
    }
    qk_spin_unlock(&rt->queue_lock);
    return act;
}

/* ---- activations that stay with their worker */

static struct qk_worker *home_of(const struct qk_worker *w, const struct qk_act *act)
{
    return w->rt->workers[(uint32_t)(act->hash >> 32) % w->rt->n_workers];
}

static void push_own(struct qk_worker *w, struct qk_act *act)
{
    act->queue_next = NULL;
    if (w->pinned_head == NULL)
        w->pinned_head = act;
    else
        w->pinned_tail->queue_next = act;
    w->pinned_tail = act;
}

static void push_pinned(struct qk_worker *w, struct qk_act *act)
{
    struct qk_worker *home = home_of(w, act);
    if (home == w) {
        push_own(w, act);
        return;
    }
    struct qk_act *head = atomic_load_explicit(&home->pinned_in, memory_order_relaxed);
    do {
        act->queue_next = head;
    } while (!atomic_compare_exchange_weak(&home->pinned_in, &head, act));
    qk_worker_kick(w, home);
}

void qk_queue_take_pinned(struct qk_worker *w)
{
    if (atomic_load_explicit(&w->pinned_in, memory_order_relaxed) == NULL)
        return;
    struct qk_act *newest = atomic_exchange(&w->pinned_in, NULL);
    struct qk_act *oldest = NULL;
    while (newest != NULL) {
        struct qk_act *next = newest->queue_next;
        newest->queue_next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct qk_act *next = oldest->queue_next;
        push_own(w, oldest);
        oldest = next;
    }
}

static struct qk_act *pop_pinned(struct qk_worker *w)
{
    struct qk_act *act = w->pinned_head;
    if (act != NULL)
        w->pinned_head = act->queue_next;
    return act;
}

void qk_queue_push(struct qk_worker *w, struct qk_act *act, bool called)
{
    if (qk_unlikely(act->type->interleaves)) {
        push_pinned(w, act);
        return;
    }
    struct qk_ring *ring = called ? &w->called : &w->ring;
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (tail - head >= QK_RING_SLOTS) {
        push_common(w->rt, act);
        return;
    }
    atomic_store_explicit(&ring->slots[tail % QK_RING_SLOTS], act, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
}

/* Takes the oldest of a ring; the owner and thieves alike. */
static struct qk_act *ring_pop(struct qk_ring *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    for (;;) {
        uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if ((int32_t)(tail - head) <= 0)
            return NULL;
        struct qk_act *act = atomic_load_explicit(&ring->slots[head % QK_RING_SLOTS], memory_order_relaxed);
        if (atomic_compare_exchange_weak_explicit(&ring->head, &head, head + 1, memory_order_acq_rel,
                                                  memory_order_acquire))
            return act;
    }
}

struct qk_act *qk_queue_pop(struct qk_worker *w)
{
    /* Now and then the common list first, so that nothing starves there. */
    if (qk_unlikely((++w->rng & 63) == 0)) {
        struct qk_act *act = pop_common(w->rt);
        if (act != NULL)
            return act;
    }
    struct qk_act *act = qk_unlikely(w->pinned_head != NULL) && (w->rng & 1) == 0 ? pop_pinned(w) : NULL;
    struct qk_ring *first = (w->rng & 1) == 0 ? &w->ring : &w->called;
    if (act == NULL)
        act = ring_pop(first);
    if (act == NULL)
        act = ring_pop(first == &w->ring ? &w->called : &w->ring);
    if (act == NULL)
        act = pop_common(w->rt);
    return act != NULL ? act : pop_pinned(w);
}

struct qk_act *qk_queue_pop_waiting(struct qk_worker *w)
{
    struct qk_act *act = ring_pop(&w->ring);
    if (act == NULL)
        act = pop_common(w->rt);
    return act != NULL ? act : pop_pinned(w);
}

static uint32_t depth_of(const struct qk_ring *ring)
{
    struct qk_ring *r = (struct qk_ring *)ring;
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    return (int32_t)(tail - head) > 0 ? tail - head : 0;
}

uint32_t qk_queue_depth(const struct qk_worker *w)
{
    return depth_of(&w->ring);
}

uint32_t qk_queue_called_depth(const struct qk_worker *w)
{
    return depth_of(&w->called);
}

/* Whether the head of another's ring has not moved for `patience_ns` of looking. */
static bool stands_still(struct qk_worker *w, const struct qk_worker *victim, bool called, int64_t patience_ns)
{
    struct qk_sight *sight = &w->sights[victim->index];
    struct qk_ring *ring = (struct qk_ring *)(called ? &victim->called : &victim->ring);
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (sight->since_ns[called] == 0 || sight->heads[called] != head) {
        sight->heads[called] = head;
        sight->since_ns[called] = w->now_ns;
        return false;
    }
    return w->now_ns - sight->since_ns[called] >= patience_ns;
}

/*
 * How many of a victim's activations may be taken; `ret_called` tells from which ring. A single one is left to its
 * worker for a while: it was most likely woken by what runs there, and shares cache lines with it. What a fiber waits
 * for is left for longer, for the fiber can't come along.
 */
static uint32_t stealable(struct qk_worker *w, const struct qk_worker *victim, bool *ret_called)
{
    uint32_t depth = qk_queue_depth(victim);
    *ret_called = false;
    if (depth >= 2)
        return depth / 2;
    if (depth == 1 && stands_still(w, victim, false, QK_STEAL_ONE_NS))
        return 1;
    *ret_called = true;
    return qk_queue_called_depth(victim) > 0 && stands_still(w, victim, true, QK_STEAL_CALLED_NS) ? 1 : 0;
}

bool qk_queue_can_steal(struct qk_worker *w)
{
    const struct qk_runtime *rt = w->rt;
    bool called;
    for (uint32_t k = 1; k < rt->n_workers; k++) {
        if (stealable(w, rt->workers[(w->index + k) % rt->n_workers], &called) > 0)
            return true;
    }
    return false;
}

struct qk_act *qk_queue_steal(struct qk_worker *w)
{
    struct qk_runtime *rt = w->rt;
    for (uint32_t k = 1; k < rt->n_workers; k++) {
        struct qk_worker *victim = rt->workers[(w->index + k) % rt->n_workers];
        bool called;
        uint32_t n = stealable(w, victim, &called);
        struct qk_ring *ring = called ? &victim->called : &victim->ring;
        struct qk_act *first = n > 0 ? ring_pop(ring) : NULL;
        if (first == NULL)
            continue;
        qk_count(&w->steals, 1);
        for (uint32_t i = 1; i < n && i < QK_RING_SLOTS / 2; i++) {
            struct qk_act *act = ring_pop(ring);
            if (act == NULL)
                break;
            qk_queue_push(w, act, false);
        }
        return first;
    }
    return NULL;
}
