/* SPDX-License-Identifier: Apache-2.0 */
/* Fibers that wait until there is room in a full mailbox: in order, each until its deadline. */
#include "runtime/waits.h"

static struct qk_spin *stripe_of(struct qk_runtime *rt, const struct qk_act *act)
{
    return &rt->stripes[((uintptr_t)act / sizeof(*act)) % QK_STRIPES];
}

void qk_call_wake_waiters(struct qk_worker *w, struct qk_act *act, uint32_t room)
{
    struct qk_spin *lock = stripe_of(w->rt, act);
    struct qk_waiter *woken = NULL;
    struct qk_waiter **last = &woken;
    qk_spin_lock(lock);
    for (; room > 0 && act->waiters != NULL; room--) {
        struct qk_waiter *waiter = act->waiters;
        act->waiters = waiter->next;
        waiter->linked = false;
        waiter->next = NULL;
        *last = waiter;
        last = &waiter->next;
    }
    if (act->waiters == NULL)
        atomic_fetch_and_explicit(&act->mailbox, ~QK_MAILBOX_WAITERS, memory_order_relaxed);
    qk_spin_unlock(lock);
    while (woken != NULL) {
        struct qk_waiter *next = woken->next;
        qk_worker_wake_fiber(w, woken->fiber);
        woken = next;
    }
}

/* Takes a waiter off its list; false when someone has just woken it. */
static bool withdraw(struct qk_runtime *rt, struct qk_waiter *waiter, struct qk_act *act)
{
    struct qk_spin *lock = stripe_of(rt, act);
    qk_spin_lock(lock);
    bool there = waiter->linked;
    for (struct qk_waiter **at = &act->waiters; there && *at != NULL; at = &(*at)->next) {
        if (*at == waiter) {
            *at = waiter->next;
            break;
        }
    }
    waiter->linked = false;
    qk_spin_unlock(lock);
    return there;
}

bool qk_call_waits_for_room(struct qk_worker *w, struct qk_waiter *waiter, uint64_t *ret_hash)
{
    struct qk_spin *lock = stripe_of(w->rt, waiter->act);
    qk_spin_lock(lock);
    bool waits = waiter->linked;
    if (waits)
        *ret_hash = waiter->act->hash;
    qk_spin_unlock(lock);
    return waits;
}

/* Marks the mailbox as waited for if it is still full. */
static bool mark_waited(struct qk_act *act, uint32_t max)
{
    uint64_t word = atomic_load_explicit(&act->mailbox, memory_order_relaxed);
    do {
        if ((word & QK_MAILBOX_CLOSED) != 0 || qk_mailbox_count(word) < max)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&act->mailbox, &word, word | QK_MAILBOX_WAITERS,
                                                    memory_order_acq_rel, memory_order_relaxed));
    return true;
}

/* Ends a wait for room early. */
bool qk_room_end_wait(struct qk_worker *w, struct qk_waiter *waiter, int status)
{
    if (!withdraw(w->rt, waiter, waiter->act))
        return false;
    waiter->status = status;
    qk_waits_over(waiter->fiber);
    qk_worker_ready(w, waiter->fiber);
    return true;
}

/* Suspends until there may be room. 0, QK_ETIMEDOUT or QK_ECANCELLED. */
int qk_room_wait(struct qk_turn_state *t, struct qk_act *act, int64_t deadline_ns)
{
    struct qk_worker *w = t->worker;
    struct qk_waiter waiter = {.fiber = t->fiber, .act = act, .deadline = {.kind = QK_DEADLINE_ROOM}};
    struct qk_spin *lock = stripe_of(w->rt, act);
    qk_spin_lock(lock);
    if (!mark_waited(act, act->type->mailbox_max)) {
        qk_spin_unlock(lock);
        return 0;
    }
    struct qk_waiter **last = &act->waiters;
    while (*last != NULL)
        last = &(*last)->next;
    *last = &waiter;
    waiter.linked = true;
    qk_spin_unlock(lock);
    qk_wheel_start(&w->wheel, &waiter.deadline.timer, deadline_ns / QK_TICK_NS + 1);
    t->fiber->waiter = &waiter;
    qk_waits_begin(t);
    if (qk_unlikely(qk_cancel_watch(t)))
        qk_room_end_wait(t->worker, &waiter, QK_ECANCELLED);
    qk_turn_suspend(t->fiber);
    qk_waits_end(t);
    t->fiber->waiter = NULL;
    qk_wheel_cancel(&t->worker->wheel, &waiter.deadline.timer);
    if (waiter.status < 0)
        t->error_text = waiter.text != NULL ? waiter.text : "the deadline passed while the actor's mailbox was full";
    return waiter.status;
}
