/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds actors that wait for one another on behalf of different requests, which no single call chain shows.
 *
 * Now and then each worker writes down which of its turns have waited for long, and for which activation. Each such
 * edge holds from the time the wait began to the time it was written down. A cycle of edges that all hold at one moment
 * is a deadlock: a turn that waits can't answer, and no activation in the cycle begins another turn meanwhile.
 * (Activations whose turns interleave are left out.) The youngest wait of a cycle ends with QK_EDEADLOCK.
 */
#include "runtime/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK_NS    (250 * (int64_t)QK_TICK_NS)
#define AGE_NS     (200 * (int64_t)QK_TICK_NS) /* waits that are worth a look */
#define LOAD_SHARE 20                          /* looking takes at most one in so many of a worker's time */
#define CYCLE_MAX  1024

struct edge {
    uint64_t from; /* hash of the activation that waits */
    uint64_t to;   /* of the one it waits for */
    int64_t since_ns;
    int64_t until_ns; /* when it was written down */
    struct qk_worker *worker;
    struct qk_fiber *fiber;
    uint32_t mark; /* of the walk that came here first; 0: none yet */
};

struct qk_edges {
    size_t count;
    size_t room;
    struct edge *list;
};

struct qk_verdict {
    struct qk_memo memo; /* first */
    struct qk_fiber *fiber;
    int64_t since_ns; /* tells whether it is the same wait */
    char text[QK_ERROR_TEXT_MAX];
};

int64_t qk_deadlock_next(const struct qk_worker *w)
{
    return w->look_ns;
}

static bool add(struct qk_edges *edges, struct edge edge)
{
    if (edges->count == edges->room) {
        size_t room = edges->room != 0 ? edges->room * 2 : 64;
        struct edge *list = realloc(edges->list, room * sizeof(*list));
        if (list == NULL)
            return false;
        edges->list = list;
        edges->room = room;
    }
    edges->list[edges->count++] = edge;
    return true;
}

/* The activation that a suspended fiber waits for; false when it waits for nothing that could be part of a cycle. */
static bool waits_for(struct qk_worker *w, const struct qk_fiber *f, uint64_t *ret_hash)
{
    if (f->turn.act->type->interleaves)
        return false;
    if (f->waiter != NULL)
        return qk_call_waits_for_room(w, f->waiter, ret_hash);
    const struct qk_pending *p = f->waits_for;
    if (p == NULL || p->done || p->msg->type == NULL || p->msg->type->interleaves)
        return false;
    *ret_hash = p->msg->target;
    return true;
}

/* Writes down this worker's long waits. */
static void write_down(struct qk_worker *w)
{
    if (w->edges == NULL) {
        w->edges = calloc(1, sizeof(*w->edges));
        if (w->edges == NULL)
            return;
    }
    w->edges->count = 0;
    for (struct qk_fiber *f = w->suspended; f != NULL; f = f->susp_next) {
        const struct qk_turn_state *t = &f->turn;
        uint64_t to;
        if (w->now_ns - t->waits_ns < AGE_NS || !waits_for(w, f, &to))
            continue;
        struct edge edge = {
            .from = t->act->hash, .to = to, .since_ns = t->waits_ns, .until_ns = w->now_ns, .worker = w, .fiber = f};
        if (!add(w->edges, edge))
            return; /* what was not written down is seen another time */
    }
}

static int by_from(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

static int by_from_newest_first(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;
    int order = by_from(a, b);
    return order != 0 ? order : (x->until_ns < y->until_ns) - (x->until_ns > y->until_ns);
}

/* Orders the edges for edge_from(). An activation that has moved may have an edge in the old list of another worker. */
static void sort(struct qk_edges *all)
{
    qsort(all->list, all->count, sizeof(*all->list), by_from_newest_first);
    size_t n = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (n == 0 || all->list[n - 1].from != all->list[i].from)
            all->list[n++] = all->list[i];
    }
    all->count = n;
}

static struct edge *edge_from(struct qk_edges *all, uint64_t hash)
{
    struct edge key = {.from = hash};
    return all->count != 0 ? bsearch(&key, all->list, all->count, sizeof(key), by_from) : NULL;
}

/* Tells the worker of the youngest wait to end it. `first` is any edge of the cycle. */
static void convict(struct qk_worker *w, struct qk_edges *all, struct edge *first)
{
    static const char why[] = "these wait for one another: ";
    struct qk_verdict *v = malloc(sizeof(*v));
    if (v == NULL)
        return;
    memcpy(v->text, why, sizeof(why));
    size_t at = sizeof(why) - 1;
    struct edge *youngest = first;
    struct edge *e = first;
    do {
        at += qk_chain_append_name(w->rt, e->from, v->text + at, sizeof(v->text) - at);
        if (at < sizeof(v->text))
            at += (size_t)snprintf(v->text + at, sizeof(v->text) - at, " -> ");
        if (at >= sizeof(v->text))
            at = sizeof(v->text) - 1;
        if (e->since_ns > youngest->since_ns)
            youngest = e;
        e = edge_from(all, e->to);
    } while (e != first);
    qk_chain_append_name(w->rt, first->from, v->text + at, sizeof(v->text) - at);
    v->memo.kind = QK_MEMO_DEADLOCK;
    v->fiber = youngest->fiber;
    v->since_ns = youngest->since_ns;
    qk_worker_tell(w, youngest->worker, &v->memo);
}

/* Whether all waits of a cycle overlap. */
static bool holds(struct qk_edges *all, const struct edge *first)
{
    int64_t since = first->since_ns, until = first->until_ns;
    unsigned n = 0;
    for (const struct edge *e = edge_from(all, first->to); e != first && n < CYCLE_MAX;
         e = edge_from(all, e->to), n++) {
        since = e->since_ns > since ? e->since_ns : since;
        until = e->until_ns < until ? e->until_ns : until;
    }
    return n < CYCLE_MAX && since <= until;
}

/* Each activation waits for one other at most, so following the edges from each finds every cycle. */
static void find_cycles(struct qk_worker *w, struct qk_edges *all)
{
    for (size_t i = 0; i < all->count; i++) {
        uint32_t walk = (uint32_t)i + 1;
        struct edge *e = &all->list[i];
        while (e != NULL && e->mark == 0) {
            e->mark = walk;
            e = edge_from(all, e->to);
        }
        if (e != NULL && e->mark == walk && holds(all, e))
            convict(w, all, e);
    }
}

void qk_deadlock_look(struct qk_worker *w)
{
    struct qk_runtime *rt = w->rt;
    struct qk_edges all = {0};
    pthread_mutex_lock(&rt->edges_lock);
    write_down(w);
    if (w->edges != NULL && w->edges->count > 0) {
        for (uint32_t i = 0; i < rt->n_workers; i++) {
            const struct qk_edges *from = rt->workers[i]->edges;
            for (size_t k = 0; from != NULL && k < from->count; k++) {
                if (!add(&all, from->list[k]))
                    break;
            }
        }
    }
    pthread_mutex_unlock(&rt->edges_lock);
    if (all.count > 1) {
        sort(&all);
        find_cycles(w, &all);
    }
    free(all.list);
    int64_t began_ns = w->now_ns;
    qk_worker_read_clock(w);
    int64_t pause = (w->now_ns - began_ns) * LOAD_SHARE;
    w->look_ns = w->now_ns + (pause > LOOK_NS ? pause : LOOK_NS);
}

void qk_deadlock_told(struct qk_worker *w, struct qk_memo *memo)
{
    struct qk_verdict *v = (struct qk_verdict *)memo;
    /* A fiber's memory stays a fiber's, so a verdict that comes too late finds another wait, or none. */
    struct qk_fiber *f = v->fiber;
    uint64_t to;
    if (f->suspended && f->turn.waits_ns == v->since_ns && waits_for(w, f, &to)) {
        char *text = qk_arena_alloc(&f->turn.arena, strlen(v->text) + 1);
        if (text != NULL)
            memcpy(text, v->text, strlen(v->text) + 1);
        if (qk_call_interrupt(w, f, QK_EDEADLOCK, text != NULL ? text : "")) {
            atomic_fetch_add_explicit(&w->rt->deadlocks, 1, memory_order_relaxed);
            qk_runtime_log(w->rt, QK_LOG_WARNING, f->turn.act, f->turn.request_id, "%s", v->text);
        }
    }
    free(v);
}

void qk_deadlock_finish(struct qk_runtime *rt)
{
    for (uint32_t i = 0; i < rt->n_workers; i++) {
        struct qk_worker *w = rt->workers[i];
        if (w != NULL && w->edges != NULL) {
            free(w->edges->list);
            free(w->edges);
            w->edges = NULL;
        }
    }
}
