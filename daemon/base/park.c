/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeping and waking on a futex. */
#include "base/park.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void qk_park_wait(struct qk_park *park, int64_t timeout_ns)
{
    unsigned expected = 1;
    if (atomic_compare_exchange_strong(&park->state, &expected, 0))
        return;
    expected = 0;
    if (!atomic_compare_exchange_strong(&park->state, &expected, 2)) {
        atomic_store(&park->state, 0);
        return;
    }
    struct timespec ts = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    /* A spurious return is harmless: the owner looks for work again. */
    syscall(SYS_futex, &park->state, FUTEX_WAIT_PRIVATE, 2, timeout_ns < 0 ? NULL : &ts, NULL, 0);
    atomic_store(&park->state, 0);
}

void qk_park_wake(struct qk_park *park)
{
    if (atomic_exchange(&park->state, 1) == 2)
        syscall(SYS_futex, &park->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
