/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hierarchical timing wheel: starting and cancelling a timer are a few instructions whatever their number. What is
 * started waits in a list until the wheel moves on, and only then gets its place: most deadlines are cancelled before.
 * One thread at a time. Time is in ticks of the owner's choice.
 * Source: G. Varghese, T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987.
 */
#ifndef QK_BASE_WHEEL_H
#define QK_BASE_WHEEL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QK_WHEEL_BITS   6
#define QK_WHEEL_SLOTS  (1 << QK_WHEEL_BITS)
#define QK_WHEEL_LEVELS 6 /* 2^36 ticks: two years of milliseconds; what lies further waits in the last level */

struct qk_timer {
    struct qk_timer *next; /* NULL: not started */
    struct qk_timer *prev;
    int64_t expiry; /* tick */
};

struct qk_wheel {
    int64_t now; /* the last tick handled */
    uint64_t count;
    uint64_t occupied[QK_WHEEL_LEVELS]; /* a bit for each slot that may hold timers */
    struct qk_timer slots[QK_WHEEL_LEVELS][QK_WHEEL_SLOTS];
    struct qk_timer due;
    struct qk_timer fresh; /* started since the wheel last moved */
};

/* An empty wheel at tick `now`. */
void qk_wheel_init(struct qk_wheel *wheel, int64_t now);

static inline void qk_timer_init(struct qk_timer *timer)
{
    timer->next = timer->prev = NULL;
}

static inline bool qk_timer_is_started(const struct qk_timer *timer)
{
    return timer->next != NULL;
}

/* Starts a timer that is not started; an expiry at or before now is due with the next qk_wheel_advance(). */
static inline void qk_wheel_start(struct qk_wheel *wheel, struct qk_timer *timer, int64_t expiry)
{
    assert(!qk_timer_is_started(timer));
    timer->expiry = expiry;
    timer->prev = wheel->fresh.prev;
    timer->next = &wheel->fresh;
    wheel->fresh.prev->next = timer;
    wheel->fresh.prev = timer;
    wheel->count++;
}

/* As qk_wheel_start(), for a timer that is likely to stay: it gets its place at once rather than by a second touch of
 * its memory, which may be cold by then. */
void qk_wheel_place(struct qk_wheel *wheel, struct qk_timer *timer, int64_t expiry);

/* Takes a timer out, whether it is started or not. */
static inline void qk_wheel_cancel(struct qk_wheel *wheel, struct qk_timer *timer)
{
    if (!qk_timer_is_started(timer))
        return;
    /* The slot's bit stays set; the next advance over it clears it. */
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
    timer->next = timer->prev = NULL;
    wheel->count--;
}

/* Moves the wheel on to `now`; what is due then comes out of qk_wheel_pop(). A `now` before the last one is ignored. */
void qk_wheel_advance(struct qk_wheel *wheel, int64_t now);

/* A timer that is due, no longer started; NULL when there is none. */
struct qk_timer *qk_wheel_pop(struct qk_wheel *wheel);

/* A tick at or before the earliest expiry, never before `now`; INT64_MAX when the wheel is empty. */
int64_t qk_wheel_next(struct qk_wheel *wheel);

#endif
