/* SPDX-License-Identifier: Apache-2.0 */
/* What the turns of a worker wait for, written down now and then (waits.c) for deadlock.c. */
#ifndef QK_RUNTIME_WAITS_H
#define QK_RUNTIME_WAITS_H

#include "runtime/internal.h"

/* The turn waits from now on for what its fiber says, until qk_waits_end(). On the fiber. */
static inline void qk_waits_begin(struct qk_turn_state *t)
{
    t->waits_ns = t->worker->now_ns;
    qk_count(&t->fiber->wait, 1);
}

static inline void qk_waits_end(struct qk_turn_state *t)
{
    qk_count(&t->fiber->wait, 1);
}

/* What a fiber waits for has been taken from it: a verdict that counts on its waiting is void. */
static inline void qk_waits_over(struct qk_fiber *fiber)
{
    qk_count(&fiber->wait, 2);
}

/* A turn that has waited for long. */
struct qk_wait {
    uint64_t from;               /* hash of its activation */
    uint64_t to;                 /* of the activation that it waits for */
    const struct qk_msg *own;    /* the message that it handles; NULL: it is a hook's */
    const struct qk_msg *awaits; /* whose reply it waits for; NULL: it waits for room */
    struct qk_worker *worker;
    struct qk_fiber *fiber;
    uint64_t number; /* of the wait, among the fiber's */
    uint64_t first;  /* look that found it first */
    uint64_t last;   /* and last */
    int64_t since_ns;
    bool alone; /* no other turn of its activation begins before this one ends */
};

/* A call that was put aside until all turns of an activation have ended. */
struct qk_aside {
    const struct qk_msg *msg;
    uint64_t hash; /* of the activation */
};

/* An activation whose turns interleave. */
struct qk_crowd {
    uint64_t hash;
    uint64_t look;    /* that found it so */
    uint32_t n_turns; /* begun and not over */
    bool stuck;       /* its mailbox is full, and nothing in it may begin before one of them ends */
};

/* Lists that grow. */
struct qk_waits {
    struct qk_wait *waits;
    struct qk_aside *asides;
    struct qk_crowd *crowds;
    size_t n_waits, n_asides, n_crowds;
    size_t room_waits, room_asides, room_crowds;
    uint64_t look;       /* the last one of the worker */
    int64_t fresh_until; /* then it should long have looked again */
};

/* Writes down what the worker's turns wait for, as the look with this number. Under the edges_lock, on the worker's
 * stack. */
void qk_waits_write_down(struct qk_worker *w, uint64_t look);

/* Adds to `all` what another worker has written down of what began by the look `by`. False without memory. */
bool qk_waits_gather(struct qk_waits *all, const struct qk_waits *from, uint64_t by);

void qk_waits_finish(struct qk_waits *waits);

#endif
