/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing down what the turns of a worker wait for.
 *
 * A worker looks at its own turns, between turns, under one lock for all workers, so that the looks of all have one
 * order. What two looks of a worker have found without a change held all the time between them. Replies that have come
 * are taken first: a call that a look finds unanswered was unanswered whenever another worker looked before.
 */
#include "runtime/waits.h"

#include <stdlib.h>

#define AGE_NS (100 * (int64_t)QK_TICK_NS) /* waits that are worth a look */

static bool make_room(void **items, size_t *room, size_t count, size_t size)
{
    if (count < *room)
        return true;
    size_t more = *room != 0 ? *room * 2 : 64;
    void *list = realloc(*items, more * size);
    if (list == NULL)
        return false;
    *items = list;
    *room = more;
    return true;
}

static bool add_wait(struct qk_waits *to, const struct qk_wait *wait)
{
    if (!make_room((void **)&to->waits, &to->room_waits, to->n_waits, sizeof(*wait)))
        return false;
    to->waits[to->n_waits++] = *wait;
    return true;
}

static bool add_aside(struct qk_waits *to, struct qk_aside aside)
{
    if (!make_room((void **)&to->asides, &to->room_asides, to->n_asides, sizeof(aside)))
        return false;
    to->asides[to->n_asides++] = aside;
    return true;
}

static bool add_crowd(struct qk_waits *to, struct qk_crowd crowd)
{
    if (!make_room((void **)&to->crowds, &to->room_crowds, to->n_crowds, sizeof(crowd)))
        return false;
    to->crowds[to->n_crowds++] = crowd;
    return true;
}

/* Fills in what a suspended fiber waits for; false when it waits for nothing that could be part of a cycle. */
static bool describe(struct qk_worker *w, struct qk_fiber *f, uint64_t look, struct qk_wait *ret_wait)
{
    const struct qk_turn_state *t = &f->turn;
    const struct qk_pending *p = f->waits_for;
    *ret_wait = (struct qk_wait){.from = t->act->hash,
                                 .worker = w,
                                 .fiber = f,
                                 .number = atomic_load_explicit(&f->wait, memory_order_relaxed),
                                 .last = look,
                                 .since_ns = t->waits_ns,
                                 .own = t->what == QK_TURN_MESSAGE ? t->msg : NULL,
                                 .alone = !t->act->type->interleaves || t->what != QK_TURN_MESSAGE};
    if (f->waiter != NULL) {
        if (!qk_call_waits_for_room(w, f->waiter, &ret_wait->to))
            return false;
    } else {
        if (p == NULL || p->done || p->msg->type == NULL) /* another runtime has the actor */
            return false;
        ret_wait->awaits = p->msg;
        ret_wait->to = p->msg->target;
    }
    if (f->seen_wait != ret_wait->number) {
        f->seen_wait = ret_wait->number;
        f->seen_first = look;
    }
    ret_wait->first = f->seen_first;
    return true;
}

static int by_from(const void *a, const void *b)
{
    const struct qk_wait *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* Writes down an activation whose turns interleave, and the calls that it has put aside. It is this worker's, and does
 * not run. */
static bool note_crowd(struct qk_waits *to, const struct qk_act *act, uint64_t look)
{
    uint64_t word = atomic_load_explicit(&((struct qk_act *)act)->mailbox, memory_order_relaxed);
    bool rests = (word & (QK_MAILBOX_POINTER | QK_MAILBOX_SCHEDULED)) == 0; /* and then nothing is in the batch */
    struct qk_crowd crowd = {.hash = act->hash,
                             .look = look,
                             .n_turns = act->n_turns,
                             .stuck = rests && qk_mailbox_count(word) >= act->type->mailbox_max};
    if (!add_crowd(to, crowd))
        return false;
    for (const struct qk_link *link = act->deferred; link != NULL; link = link->next) {
        const struct qk_msg *msg = (const struct qk_msg *)link;
        if (msg->kind == QK_MSG_CALL && !add_aside(to, (struct qk_aside){msg, act->hash}))
            return false;
    }
    return true;
}

void qk_waits_write_down(struct qk_worker *w, uint64_t look)
{
    if (w->waits == NULL) {
        w->waits = calloc(1, sizeof(*w->waits));
        if (w->waits == NULL)
            return;
    }
    struct qk_waits *to = w->waits;
    to->n_waits = to->n_asides = to->n_crowds = 0;
    to->look = look;
    to->fresh_until = w->now_ns + 3 * w->look_pause_ns;
    for (struct qk_fiber *f = w->suspended; f != NULL; f = f->susp_next) {
        struct qk_wait wait;
        if (w->now_ns - f->turn.waits_ns < AGE_NS || !describe(w, f, look, &wait))
            continue;
        if (!add_wait(to, &wait))
            break; /* what was not written down is seen another time */
    }
    if (to->n_waits == 0)
        return;
    qsort(to->waits, to->n_waits, sizeof(*to->waits), by_from);
    for (size_t i = 0; i < to->n_waits; i++) {
        const struct qk_wait *wait = &to->waits[i];
        if (!wait->alone && (i == 0 || to->waits[i - 1].from != wait->from) &&
            !note_crowd(to, wait->fiber->turn.act, look))
            break;
    }
}

bool qk_waits_gather(struct qk_waits *all, const struct qk_waits *from, uint64_t by)
{
    bool ok = true;
    for (size_t i = 0; ok && i < from->n_waits; i++)
        ok = from->waits[i].first > by || add_wait(all, &from->waits[i]);
    for (size_t i = 0; ok && i < from->n_asides; i++)
        ok = add_aside(all, from->asides[i]);
    for (size_t i = 0; ok && i < from->n_crowds; i++)
        ok = add_crowd(all, from->crowds[i]);
    return ok;
}

void qk_waits_finish(struct qk_waits *waits)
{
    free(waits->waits);
    free(waits->asides);
    free(waits->crowds);
}
