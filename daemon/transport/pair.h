/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * @file
 * The memory that a silo shares with one host process: a ring each way, a board, and the bells that wake a sleeper.
 *
 * The silo makes it, sealed against a change of its size, and hands the descriptors of memory and bell to the host,
 * which maps the same bytes. A host sleeps on a word of that memory and is woken by a futex call, which never waits,
 * whatever a host does to the word. A silo sleeps among its sockets, so its bell is an eventfd. The silo neither reads
 * nor writes that, since both could be made to wait by who shares the descriptor: it watches for the edge.
 */
#ifndef QK_TRANSPORT_PAIR_H
#define QK_TRANSPORT_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "transport/board.h"
#include "transport/ring.h"

/* Descriptors 3 and 4 of a host. */
#define QK_PAIR_MEMORY_FD 3
#define QK_PAIR_BELL_FD   4

struct qk_pair {
    bool is_host;
    void *memory;
    size_t size;
    size_t ring_bytes;
    int memory_fd;
    int bell_fd;
    struct qk_board *board;
    struct qk_ring_writer out;
    struct qk_ring_reader in;
    struct qk_ring_head *out_shared; /* where the other side's sleep is seen */
    atomic_bool woken;               /* of a host: qk_pair_wake_self() came before the wait that it is to end */
};

/* The silo's side, with rings of `ring_bytes` each. 0 or -errno. */
int qk_pair_create(size_t ring_bytes, struct qk_pair *ret_pair);

/* The host's side of what these descriptors are of; they become the pair's. 0; -errno; QK_EVERSION where the other side
 * is of another build; QK_EINVALID where the memory is not such a one. */
int qk_pair_attach(int memory_fd, int bell_fd, struct qk_pair *ret_pair);

/* Unmaps and closes. What was never made (all zero) is fine. */
void qk_pair_finish(struct qk_pair *pair);

/* Wakes the other side, whether it sleeps or not. Any thread. */
void qk_pair_wake(struct qk_pair *pair);

/* The host's reader sleeps until there is something to read, qk_pair_wake_self() or the other side's wake, at most
 * timeout_ns (-1: for ever). It may return early. */
void qk_pair_wait(struct qk_pair *pair, int64_t timeout_ns);

/* Ends a qk_pair_wait() of the host's own. Any thread of the host. */
void qk_pair_wake_self(struct qk_pair *pair);

#endif
