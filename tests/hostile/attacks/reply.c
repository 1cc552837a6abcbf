/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers calls that were never its own. */
#include "hostile.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "transport/flat.h"
#include "transport/pair.h"

int attack(struct qk_turn *t)
{
    (void)t;
    struct qk_pair pair;
    struct qk_flat flat;
    struct qk_ring_piece piece = {&flat, sizeof(flat)};
    memset(&flat, 0, sizeof(flat));
    flat.kind = QK_PORT_REPLY;
    if (qk_pair_attach(dup(QK_PAIR_MEMORY_FD), dup(QK_PAIR_BELL_FD), &pair) < 0)
        return -EBADF;
    pair.out.tail = atomic_load(&pair.out_shared->tail);
    for (uint64_t id = 1; id < 200; id++) {
        flat.id = id << 32 | 7;
        (void)qk_ring_put(&pair.out, 0, &piece, 1);
    }
    (void)qk_ring_publish(&pair.out);
    qk_pair_wake(&pair);
    return 0;
}
