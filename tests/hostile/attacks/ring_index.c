/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Says that the ring holds more than it has room for. */
#include "hostile.h"

#include <errno.h>
#include <unistd.h>
#include "transport/pair.h"

int attack(struct qk_turn *t)
{
    (void)t;
    struct qk_pair pair;
    if (qk_pair_attach(dup(QK_PAIR_MEMORY_FD), dup(QK_PAIR_BELL_FD), &pair) < 0)
        return -EBADF;
    atomic_store(&pair.out_shared->tail, atomic_load(&pair.out_shared->tail) + pair.ring_bytes + 8);
    atomic_store(&pair.in.shared->head, UINT64_MAX / 2);
    qk_pair_wake(&pair);
    return 0;
}
