/* SPDX-License-Identifier: Apache-2.0 */
/* A lock for sections of a few instructions that never block. */
#ifndef QK_BASE_SPIN_H
#define QK_BASE_SPIN_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include "base/cpu.h"

struct qk_spin {
    atomic_uint held;
};

static inline bool qk_spin_try(struct qk_spin *lock)
{
    return atomic_load_explicit(&lock->held, memory_order_relaxed) == 0 &&
           atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) == 0;
}

static inline void qk_spin_lock(struct qk_spin *lock)
{
    unsigned spins = 0;
    while (!qk_spin_try(lock)) {
        /* The holder may have lost its processor: let it have ours. */
        if (++spins < 1000)
            qk_cpu_pause();
        else
            sched_yield();
    }
}

static inline void qk_spin_unlock(struct qk_spin *lock)
{
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}

#endif
