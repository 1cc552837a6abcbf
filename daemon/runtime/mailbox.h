/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mailbox: bounded, many producers, one consumer, in one word.
 *
 *   bits 48-63  messages in it, those that the owner has taken out and not yet finished included
 *   bits  4-47  the newest message; each points to the one before it
 *   bit   3     ORDERED: an order was left for the owner, who looks before it rests
 *   bit   2     SCHEDULED: the activation is in a queue or runs; who sets the bit must see to it
 *   bit   1     WAITERS: fibers wait for room
 *   bit   0     CLOSED: the activation ends; look the actor up again
 *
 * One compare-and-swap therefore links a message, keeps the bound exactly, and tells whether the pusher has to
 * schedule. Who finds nobody in charge is the owner from then on, and keeps the message in its hands: a call to an
 * actor that rests needs no other locked instruction than that and the one that gives SCHEDULED up. The owner takes the
 * whole list at once and turns it round. Any thread may push; the owner alone does the rest.
 */
#ifndef QK_RUNTIME_MAILBOX_H
#define QK_RUNTIME_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QK_MAILBOX_CLOSED    1ull
#define QK_MAILBOX_WAITERS   2ull
#define QK_MAILBOX_SCHEDULED 4ull
#define QK_MAILBOX_ORDERED   8ull
#define QK_MAILBOX_FLAGS     15ull
#define QK_MAILBOX_POINTER   0x0000fffffffffff0ull
#define QK_MAILBOX_ONE       (1ull << 48)
#define QK_MAILBOX_COUNT_MAX 65535u

/* What links a message into a mailbox; first member of the message. */
struct qk_link {
    struct qk_link *next;
};

enum qk_push {
    QK_PUSHED = 0,
    QK_PUSHED_SCHEDULE = 1, /* counted, not linked: the caller is the owner now, holds the message, and schedules */
    QK_PUSH_FULL = 2,
    QK_PUSH_CLOSED = 3,
};

static inline uint32_t qk_mailbox_count(uint64_t word)
{
    return (uint32_t)(word >> 48);
}

static inline struct qk_link *qk_mailbox_newest(uint64_t word)
{
    return (struct qk_link *)(uintptr_t)(word & QK_MAILBOX_POINTER);
}

/* Pushes one message unless `max` are in. */
static inline enum qk_push qk_mailbox_push(_Atomic uint64_t *mailbox, struct qk_link *link, uint32_t max)
{
    uint64_t word = atomic_load_explicit(mailbox, memory_order_relaxed);
    uint64_t next;
    do {
        if ((word & QK_MAILBOX_CLOSED) != 0)
            return QK_PUSH_CLOSED;
        if (qk_mailbox_count(word) >= max)
            return QK_PUSH_FULL;
        link->next = qk_mailbox_newest(word); /* none, where nobody is in charge */
        next = (word | QK_MAILBOX_SCHEDULED) + QK_MAILBOX_ONE;
        if ((word & QK_MAILBOX_SCHEDULED) != 0)
            next = (next & ~QK_MAILBOX_POINTER) | (uint64_t)(uintptr_t)link;
    } while (!atomic_compare_exchange_weak_explicit(mailbox, &word, next, memory_order_acq_rel, memory_order_relaxed));
    return (word & QK_MAILBOX_SCHEDULED) != 0 ? QK_PUSHED : QK_PUSHED_SCHEDULE;
}

/* Takes the list out, oldest first; NULL when nothing has come. The count stays. */
static inline struct qk_link *qk_mailbox_take(_Atomic uint64_t *mailbox)
{
    /* What comes just now is found when the owner wants to rest. */
    if (qk_mailbox_newest(atomic_load_explicit(mailbox, memory_order_relaxed)) == NULL)
        return NULL;
    uint64_t word = atomic_fetch_and_explicit(mailbox, ~QK_MAILBOX_POINTER, memory_order_acq_rel);
    struct qk_link *link = qk_mailbox_newest(word);
    struct qk_link *oldest = NULL;
    while (link != NULL) {
        struct qk_link *next = link->next;
        link->next = oldest;
        oldest = link;
        link = next;
    }
    return oldest;
}

/* Takes `done` finished messages off the count; the word as it was before. */
static inline uint64_t qk_mailbox_finish(_Atomic uint64_t *mailbox, uint32_t done)
{
    return atomic_fetch_sub_explicit(mailbox, done * QK_MAILBOX_ONE, memory_order_acq_rel);
}

/* Takes `done` off the count and, if nothing new has come, gives SCHEDULED up: true. Else false, and the owner goes on
 * after a look at its orders. `ret_before` is the word as it was. */
static inline bool qk_mailbox_rest(_Atomic uint64_t *mailbox, uint32_t done, uint64_t *ret_before)
{
    uint64_t word = atomic_load_explicit(mailbox, memory_order_relaxed);
    uint64_t next;
    do {
        next = word - done * QK_MAILBOX_ONE;
        if ((word & (QK_MAILBOX_POINTER | QK_MAILBOX_ORDERED)) == 0)
            next &= ~QK_MAILBOX_SCHEDULED;
        next &= ~QK_MAILBOX_ORDERED;
    } while (!atomic_compare_exchange_weak_explicit(mailbox, &word, next, memory_order_acq_rel, memory_order_relaxed));
    *ret_before = word;
    return (word & (QK_MAILBOX_POINTER | QK_MAILBOX_ORDERED)) == 0;
}

/* Leaves an order that was noted elsewhere: true when the caller now has to schedule the activation. Any thread, on an
 * activation that can't be closed meanwhile, or is SCHEDULED until it is. */
static inline bool qk_mailbox_order(_Atomic uint64_t *mailbox)
{
    return (atomic_fetch_or_explicit(mailbox, QK_MAILBOX_ORDERED | QK_MAILBOX_SCHEDULED, memory_order_acq_rel) &
            QK_MAILBOX_SCHEDULED) == 0;
}

/* Claims an activation that does nothing (no message, no flag): true when SCHEDULED is now the caller's. */
static inline bool qk_mailbox_claim(_Atomic uint64_t *mailbox)
{
    uint64_t idle = 0;
    return atomic_compare_exchange_strong_explicit(mailbox, &idle, QK_MAILBOX_SCHEDULED, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

#endif
