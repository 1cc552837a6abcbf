/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a thread to sleep until another wakes it: one token, kept if the wake-up comes first. */
#ifndef QK_BASE_PARK_H
#define QK_BASE_PARK_H

#include <stdatomic.h>
#include <stdint.h>

struct qk_park {
    atomic_uint state; /* 0: nothing, 1: a token waits, 2: the owner sleeps */
};

/* Sleeps until qk_park_wake() was or is called, at most timeout_ns (-1: for ever). The owner's thread only. */
void qk_park_wait(struct qk_park *park, int64_t timeout_ns);

/* Leaves a token and wakes the owner if it sleeps. Any thread. */
void qk_park_wake(struct qk_park *park);

#endif
