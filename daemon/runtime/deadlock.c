/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds actors that wait for one another on behalf of different requests, which no single call chain shows.
 *
 * Now and then each worker writes down what its turns wait for (waits.c). Taken together are the waits that one moment
 * of the common order of looks saw: begun by then, and seen again since. Of these a turn can't go on before
 *
 *   one other turn ends    it handles the message whose reply is waited for; or it is the only turn that its activation
 *                          may have, and the message waits there, or there is no room
 *   all turns of an activation end    which has put the message aside until then
 *   any turn of an activation ends    whose mailbox is full of what may not begin before that
 *
 * What may go on some other way is struck out, then what may go on because of that, and so forth. The turns that are
 * left wait for one another and will for ever; each cycle among them is broken by ending its youngest wait with
 * QK_EDEADLOCK. Before that it is made sure that all of them still wait as they did, for deadlines and cancellations
 * end waits too.
 */
#include "runtime/waits.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK_NS    (250 * (int64_t)QK_TICK_NS)
#define LOAD_SHARE 20 /* looking takes at most one in so many of a worker's time */
#define NONE       UINT32_MAX

enum need { MAY_GO_ON = 0, NEEDS_ONE, NEEDS_ALL, NEEDS_ANY };

struct turn {
    struct qk_wait wait;
    uint8_t need;
    bool left;         /* not struck out */
    uint32_t of;       /* the turn that it needs, or the first one of the activation's that it needs */
    uint32_t first;    /* of its activation's */
    uint32_t next;     /* that needs the same */
    uint32_t needs_me; /* turns that need this one; and, of the first one, those that need all or any */
    uint32_t needs_all;
    uint32_t needs_any;
    uint32_t n;      /* of the first one: how many there are */
    uint32_t n_left; /* and how many of these are left */
    uint32_t mark;   /* of the walk that came here first; 0: none yet */
    bool witness;
};

/* All that is known at one moment. The lists are in order. */
struct view {
    struct qk_waits lists; /* waits in the order of `from`, asides of `msg`, crowds of `hash` */
    struct turn *turns;    /* one for each wait, in the same order */
    uint32_t *by_own;      /* those that handle a message, in the order of that */
    uint32_t n, n_own;
    uint32_t *stack;
};

struct witness {
    const struct qk_fiber *fiber;
    uint64_t number;
};

struct qk_verdict {
    struct qk_memo memo; /* first */
    struct qk_fiber *fiber;
    uint64_t number; /* of the wait */
    char text[QK_ERROR_TEXT_MAX];
    uint32_t n;
    struct witness witnesses[]; /* the waits because of which it is for ever */
};

int64_t qk_deadlock_next(const struct qk_worker *w)
{
    return w->look_ns;
}

bool qk_deadlock_must_look(const struct qk_worker *w)
{
    return w->suspended != NULL || (w->waits != NULL && w->waits->n_waits != 0);
}

/* ---- the view */

static int by_from(const void *a, const void *b)
{
    const struct qk_wait *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

static int by_msg(const void *a, const void *b)
{
    const struct qk_aside *x = a, *y = b;
    return x->msg < y->msg ? -1 : x->msg > y->msg;
}

static int by_hash(const void *a, const void *b)
{
    const struct qk_crowd *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

struct owned {
    const struct qk_msg *own;
    uint32_t turn;
};

static int by_own(const void *a, const void *b)
{
    const struct owned *x = a, *y = b;
    return x->own < y->own ? -1 : x->own > y->own;
}

/* Lists the turns that handle a message. */
static bool index_messages(struct view *v)
{
    struct owned *list = malloc(v->n * sizeof(*list));
    if (list == NULL)
        return false;
    for (uint32_t i = 0; i < v->n; i++) {
        if (v->turns[i].wait.own != NULL)
            list[v->n_own++] = (struct owned){v->turns[i].wait.own, i};
    }
    qsort(list, v->n_own, sizeof(*list), by_own);
    for (uint32_t i = 0; i < v->n_own; i++)
        v->by_own[i] = list[i].turn;
    free(list);
    return true;
}

static bool build(struct view *v)
{
    struct qk_waits *l = &v->lists;
    v->n = (uint32_t)l->n_waits;
    v->turns = calloc(v->n, sizeof(*v->turns));
    v->by_own = malloc(v->n * sizeof(*v->by_own));
    v->stack = malloc(v->n * sizeof(*v->stack));
    if (v->turns == NULL || v->by_own == NULL || v->stack == NULL)
        return false;
    qsort(l->waits, l->n_waits, sizeof(*l->waits), by_from);
    if (l->n_asides != 0)
        qsort(l->asides, l->n_asides, sizeof(*l->asides), by_msg);
    if (l->n_crowds != 0)
        qsort(l->crowds, l->n_crowds, sizeof(*l->crowds), by_hash);
    for (uint32_t i = 0; i < v->n; i++) {
        struct turn *t = &v->turns[i];
        *t = (struct turn){
            .wait = l->waits[i], .left = true, .next = NONE, .needs_me = NONE, .needs_all = NONE, .needs_any = NONE};
        t->first = i > 0 && t[-1].wait.from == t->wait.from ? t[-1].first : i;
        v->turns[t->first].n++;
        v->turns[t->first].n_left++;
    }
    return index_messages(v);
}

static void finish(struct view *v)
{
    qk_waits_finish(&v->lists);
    free(v->turns);
    free(v->by_own);
    free(v->stack);
}

/* ---- looking things up */

/* The first turn of an activation. */
static uint32_t turns_of(const struct view *v, uint64_t hash)
{
    struct qk_wait key = {.from = hash};
    const struct qk_wait *found = bsearch(&key, v->lists.waits, v->n, sizeof(key), by_from);
    return found != NULL ? v->turns[found - v->lists.waits].first : NONE;
}

/* The turn that handles a message. */
static uint32_t handler_of(const struct view *v, const struct qk_msg *msg)
{
    uint32_t low = 0, high = v->n_own;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (v->turns[v->by_own[middle]].wait.own < msg)
            low = middle + 1;
        else
            high = middle;
    }
    return low < v->n_own && v->turns[v->by_own[low]].wait.own == msg ? v->by_own[low] : NONE;
}

static const struct qk_aside *aside_of(const struct view *v, const struct qk_msg *msg)
{
    struct qk_aside key = {.msg = msg};
    return v->lists.n_asides != 0 ? bsearch(&key, v->lists.asides, v->lists.n_asides, sizeof(key), by_msg) : NULL;
}

static const struct qk_crowd *crowd_of(const struct view *v, uint64_t hash)
{
    struct qk_crowd key = {.hash = hash};
    return v->lists.n_crowds != 0 ? bsearch(&key, v->lists.crowds, v->lists.n_crowds, sizeof(key), by_hash) : NULL;
}

/* ---- what a turn needs */

/* Of an activation that has but one turn at a time. */
static enum need need_only(const struct view *v, uint32_t first, uint32_t *ret_of)
{
    *ret_of = first;
    return first != NONE && v->turns[first].wait.alone && v->turns[first].n == 1 ? NEEDS_ONE : MAY_GO_ON;
}

static enum need need_reply(const struct view *v, const struct qk_wait *wait, uint32_t *ret_of)
{
    *ret_of = handler_of(v, wait->awaits);
    if (*ret_of != NONE)
        return NEEDS_ONE;
    const struct qk_aside *aside = aside_of(v, wait->awaits);
    if (aside == NULL)
        return need_only(v, turns_of(v, wait->to), ret_of);
    *ret_of = turns_of(v, aside->hash);
    return *ret_of != NONE ? NEEDS_ALL : MAY_GO_ON;
}

static enum need need_room(const struct view *v, const struct qk_wait *wait, uint32_t *ret_of)
{
    uint32_t first = *ret_of = turns_of(v, wait->to);
    if (first == NONE || v->turns[first].wait.alone)
        return need_only(v, first, ret_of);
    /* The wait was seen after the activation was, so nothing has made room up to then; and from then on nothing can but
     * one of its turns, all of which are known. */
    const struct qk_crowd *crowd = crowd_of(v, wait->to);
    bool stuck = crowd != NULL && crowd->stuck && crowd->n_turns == v->turns[first].n && crowd->look <= wait->last;
    return stuck ? NEEDS_ANY : MAY_GO_ON;
}

static void link_needs(struct view *v)
{
    for (uint32_t i = 0; i < v->n; i++) {
        struct turn *t = &v->turns[i];
        t->need = (uint8_t)(t->wait.awaits != NULL ? need_reply(v, &t->wait, &t->of) : need_room(v, &t->wait, &t->of));
        if (t->need == MAY_GO_ON)
            continue;
        struct turn *of = &v->turns[t->of];
        uint32_t *list = t->need == NEEDS_ONE ? &of->needs_me : t->need == NEEDS_ALL ? &of->needs_all : &of->needs_any;
        t->next = *list;
        *list = i;
    }
}

/* ---- striking out */

/* Strikes out a list of turns; they are looked at later. */
static void strike(struct view *v, uint32_t list, uint32_t *n_stack)
{
    for (; list != NONE; list = v->turns[list].next) {
        if (!v->turns[list].left)
            continue;
        v->turns[list].left = false;
        v->stack[(*n_stack)++] = list;
    }
}

/* Leaves only turns that can't go on before others of them do. */
static void strike_out(struct view *v)
{
    uint32_t n_stack = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        if (v->turns[i].need == MAY_GO_ON) {
            v->turns[i].left = false;
            v->stack[n_stack++] = i;
        }
    }
    while (n_stack > 0) {
        const struct turn *t = &v->turns[v->stack[--n_stack]];
        struct turn *first = &v->turns[t->first];
        strike(v, t->needs_me, &n_stack);
        strike(v, first->needs_any, &n_stack);
        if (--first->n_left == 0) /* who needs all of them waits for ever as long as one does */
            strike(v, first->needs_all, &n_stack);
    }
}

/* ---- cycles */

/* A turn that is left and that this one can't go on before. */
static struct turn *follow(const struct view *v, const struct turn *t)
{
    struct turn *of = &v->turns[t->of];
    while (!of->left) /* among those of an activation there is one */
        of++;
    return of;
}

static void add_witness(struct view *v, struct turn *t, uint32_t *n_stack)
{
    if (t->witness)
        return;
    t->witness = true;
    v->stack[(*n_stack)++] = (uint32_t)(t - v->turns);
}

/* Gathers in the stack all waits because of which those of a cycle are for ever; how many. */
static uint32_t gather_witnesses(struct view *v, struct turn *first)
{
    uint32_t n = 0;
    add_witness(v, first, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct turn *t = &v->turns[v->stack[i]];
        add_witness(v, follow(v, t), &n);
        for (uint32_t k = 0; t->need == NEEDS_ANY && k < v->turns[t->of].n; k++)
            add_witness(v, &v->turns[t->of + k], &n);
    }
    for (uint32_t i = 0; i < n; i++)
        v->turns[v->stack[i]].witness = false;
    return n;
}

static const struct turn *youngest_of(const struct view *v, const struct turn *first)
{
    const struct turn *youngest = first;
    for (const struct turn *t = follow(v, first); t != first; t = follow(v, t)) {
        if (t->wait.since_ns > youngest->wait.since_ns)
            youngest = t;
    }
    return youngest;
}

/* Names the members of a cycle, as many as fit. */
static void describe(struct qk_runtime *rt, const struct view *v, const struct turn *first, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, "these wait for one another: ");
    const struct turn *t = first;
    do {
        at += qk_chain_append_name(rt, t->wait.from, text + at, size - at);
        if (at < size)
            at += (size_t)snprintf(text + at, size - at, " -> ");
        if (at >= size)
            at = size - 1;
        t = follow(v, t);
    } while (t != first);
    qk_chain_append_name(rt, first->wait.from, text + at, size - at);
}

/* Tells the worker of the youngest wait to end it. `first` is any turn of the cycle. */
static void convict(struct qk_worker *w, struct view *v, struct turn *first)
{
    uint32_t n = gather_witnesses(v, first);
    struct qk_verdict *verdict = malloc(sizeof(*verdict) + n * sizeof(verdict->witnesses[0]));
    if (verdict == NULL)
        return;
    const struct qk_wait *youngest = &youngest_of(v, first)->wait;
    verdict->memo.kind = QK_MEMO_DEADLOCK;
    verdict->fiber = youngest->fiber;
    verdict->number = youngest->number;
    verdict->n = n;
    for (uint32_t i = 0; i < n; i++) {
        const struct qk_wait *wait = &v->turns[v->stack[i]].wait;
        verdict->witnesses[i] = (struct witness){wait->fiber, wait->number};
    }
    describe(w->rt, v, first, verdict->text, sizeof(verdict->text));
    qk_worker_tell(w, youngest->worker, &verdict->memo);
}

/* Each turn that is left leads to another, so following from each finds a cycle wherever there is one. */
static void find_cycles(struct qk_worker *w, struct view *v)
{
    for (uint32_t i = 0; i < v->n; i++) {
        struct turn *t = &v->turns[i];
        while (t->left && t->mark == 0) {
            t->mark = i + 1;
            t = follow(v, t);
        }
        if (t->left && t->mark == i + 1)
            convict(w, v, t);
    }
}

/* ---- looks */

/* A worker that should have looked again long ago, and is held by a turn, holds up nobody else. */
static bool is_fresh(const struct qk_worker *w, const struct qk_waits *waits)
{
    return waits != NULL && waits->n_waits != 0 && waits->fresh_until >= w->now_ns;
}

/* Takes together what all workers have written down and what the look that is the oldest of their last ones saw. */
static bool gather(struct qk_worker *w, struct qk_waits *all)
{
    const struct qk_runtime *rt = w->rt;
    uint64_t by = UINT64_MAX;
    for (uint32_t i = 0; i < rt->n_workers; i++) {
        const struct qk_waits *from = rt->workers[i]->waits;
        if (is_fresh(w, from) && from->look < by)
            by = from->look;
    }
    bool ok = true;
    for (uint32_t i = 0; ok && i < rt->n_workers; i++) {
        const struct qk_waits *from = rt->workers[i]->waits;
        if (is_fresh(w, from))
            ok = qk_waits_gather(all, from, by);
    }
    return ok;
}

void qk_deadlock_look(struct qk_worker *w)
{
    struct qk_runtime *rt = w->rt;
    struct view v = {.n = 0};
    if (w->look_pause_ns == 0)
        w->look_pause_ns = LOOK_NS;
    pthread_mutex_lock(&rt->edges_lock);
    qk_worker_take_replies(w);
    qk_waits_write_down(w, ++rt->looks);
    bool some = w->waits != NULL && w->waits->n_waits != 0 && gather(w, &v.lists) && v.lists.n_waits != 0;
    pthread_mutex_unlock(&rt->edges_lock);
    if (some && build(&v)) {
        link_needs(&v);
        strike_out(&v);
        find_cycles(w, &v);
    }
    finish(&v);
    int64_t began_ns = w->now_ns;
    qk_worker_read_clock(w);
    int64_t pause = (w->now_ns - began_ns) * LOAD_SHARE;
    w->look_pause_ns = pause > LOOK_NS ? pause : LOOK_NS;
    w->look_ns = w->now_ns + w->look_pause_ns;
}

/* Whether all waits are still those that the verdict was about. The memory of a fiber stays a fiber's. */
static bool still_holds(const struct qk_verdict *verdict)
{
    for (uint32_t i = 0; i < verdict->n; i++) {
        const struct witness *witness = &verdict->witnesses[i];
        if (atomic_load_explicit(&((struct qk_fiber *)witness->fiber)->wait, memory_order_relaxed) != witness->number)
            return false;
    }
    return true;
}

void qk_deadlock_told(struct qk_worker *w, struct qk_memo *memo)
{
    struct qk_verdict *verdict = (struct qk_verdict *)memo;
    struct qk_fiber *f = verdict->fiber;
    if (f->suspended && still_holds(verdict)) {
        size_t size = strlen(verdict->text) + 1;
        char *text = qk_arena_alloc(&f->turn.arena, size);
        if (text != NULL)
            memcpy(text, verdict->text, size);
        if (qk_call_interrupt(w, f, QK_EDEADLOCK, text != NULL ? text : "")) {
            atomic_fetch_add_explicit(&w->rt->deadlocks, 1, memory_order_relaxed);
            qk_runtime_log(w->rt, QK_LOG_WARNING, f->turn.act, f->turn.request_id, "%s", verdict->text);
        }
    }
    free(verdict);
}

void qk_deadlock_finish(struct qk_runtime *rt)
{
    for (uint32_t i = 0; i < rt->n_workers; i++) {
        struct qk_worker *w = rt->workers[i];
        if (w == NULL || w->waits == NULL)
            continue;
        qk_waits_finish(w->waits);
        free(w->waits);
        w->waits = NULL;
    }
}
