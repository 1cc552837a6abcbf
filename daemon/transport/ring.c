/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Records in a ring: eight bytes of head (size, tag), then the bytes, padded to eight. Both wrap round at the end of
 * the ring. Indices count bytes and never wrap within the life of a host.
 */
#include "transport/ring.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <quark/status.h>

#define HEAD_BYTES 8

static uint64_t padded(uint64_t n)
{
    return (n + 7) & ~(uint64_t)7;
}

/* What was copied out of shared memory is what is looked at: the compiler may not read it there again. */
static void settle(void)
{
    __asm__ volatile("" ::: "memory");
}

static bool is_size(size_t size)
{
    return size >= QK_RING_BYTES_MIN && size <= QK_RING_BYTES_MAX && (size & (size - 1)) == 0;
}

void qk_ring_writer_init(struct qk_ring_writer *writer, struct qk_ring_head *shared, size_t size)
{
    assert(is_size(size));
    *writer = (struct qk_ring_writer){.shared = shared, .size = size};
}

void qk_ring_reader_init(struct qk_ring_reader *reader, struct qk_ring_head *shared, size_t size)
{
    assert(is_size(size));
    *reader = (struct qk_ring_reader){.shared = shared, .size = size};
}

/* ---- writing */

/* Looks where the reader is; false when it can't be there. */
static bool look_for_room(struct qk_ring_writer *w)
{
    uint64_t head = atomic_load_explicit(&w->shared->head, memory_order_acquire);
    if (head - w->head > w->tail - w->head) /* behind where it was, or past what was written */
        return false;
    w->head = head;
    return true;
}

static uint64_t write_at(struct qk_ring_writer *w, uint64_t at, const void *bytes, size_t n)
{
    size_t place = (size_t)(at & (w->size - 1)), first = (size_t)w->size - place;
    if (n == 0)
        return at;
    if (first > n)
        first = n;
    memcpy(w->shared->bytes + place, bytes, first);
    if (first < n)
        memcpy(w->shared->bytes, (const uint8_t *)bytes + first, n - first);
    return at + n;
}

int qk_ring_put(struct qk_ring_writer *w, uint32_t tag, const struct qk_ring_piece *pieces, unsigned n_pieces)
{
    size_t size = 0;
    for (unsigned i = 0; i < n_pieces; i++) {
        if (pieces[i].size > QK_RING_RECORD_MAX - size)
            return QK_ETOOBIG;
        size += pieces[i].size;
    }
    uint64_t need = HEAD_BYTES + padded(size);
    if (w->size - (w->tail - w->head) < need) {
        if (!look_for_room(w))
            return QK_EPROTOCOL;
        if (w->size - (w->tail - w->head) < need)
            return -EAGAIN;
    }
    const uint32_t head[2] = {(uint32_t)size, tag};
    uint64_t at = write_at(w, w->tail, head, sizeof(head));
    for (unsigned i = 0; i < n_pieces; i++)
        at = write_at(w, at, pieces[i].bytes, pieces[i].size);
    w->tail += need;
    return 0;
}

bool qk_ring_publish(struct qk_ring_writer *w)
{
    atomic_store_explicit(&w->shared->tail, w->tail, memory_order_release);
    /* Either the reader, which announces its sleep before it looks again, sees the new tail, or this sees that it
     * sleeps. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&w->shared->sleeping, memory_order_relaxed) == 0)
        return false;
    return atomic_exchange_explicit(&w->shared->sleeping, 0, memory_order_relaxed) != 0;
}

bool qk_ring_starve(struct qk_ring_writer *w)
{
    atomic_store_explicit(&w->shared->starved, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t head = atomic_load_explicit(&w->shared->head, memory_order_acquire);
    return head == w->head;
}

uint64_t qk_ring_unread(struct qk_ring_writer *w)
{
    return look_for_room(w) ? w->tail - w->head : 0;
}

bool qk_ring_is_read(const struct qk_ring_writer *w)
{
    return atomic_load_explicit(&w->shared->head, memory_order_acquire) == w->tail;
}

/* ---- reading */

static uint64_t read_at(struct qk_ring_reader *r, uint64_t at, void *to, size_t n)
{
    size_t place = (size_t)(at & (r->size - 1)), first = (size_t)r->size - place;
    if (n == 0)
        return at;
    if (first > n)
        first = n;
    memcpy(to, r->shared->bytes + place, first);
    if (first < n)
        memcpy((uint8_t *)to + first, r->shared->bytes, n - first);
    settle();
    return at + n;
}

int qk_ring_next(struct qk_ring_reader *r, uint32_t *ret_tag, uint32_t *ret_size)
{
    if (r->head == r->tail) {
        uint64_t tail = atomic_load_explicit(&r->shared->tail, memory_order_acquire);
        if (tail == r->head)
            return 0;
        if (tail - r->head > r->size || (tail & 7) != 0)
            return QK_EPROTOCOL;
        r->tail = tail;
    }
    uint32_t head[2];
    uint64_t there = r->tail - r->head;
    if (there < HEAD_BYTES)
        return QK_EPROTOCOL;
    r->record = read_at(r, r->head, head, sizeof(head));
    if (head[0] > QK_RING_RECORD_MAX || HEAD_BYTES + padded(head[0]) > there)
        return QK_EPROTOCOL;
    r->left = head[0];
    r->head += HEAD_BYTES + padded(head[0]);
    *ret_size = head[0];
    *ret_tag = head[1];
    return 1;
}

void qk_ring_copy(struct qk_ring_reader *r, void *to, size_t n)
{
    assert(n <= r->left);
    r->record = read_at(r, r->record, to, n);
    r->left -= (uint32_t)n;
}

bool qk_ring_release(struct qk_ring_reader *r)
{
    if (atomic_load_explicit(&r->shared->head, memory_order_relaxed) == r->head)
        return false;
    atomic_store_explicit(&r->shared->head, r->head, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&r->shared->starved, memory_order_relaxed) == 0)
        return false;
    return atomic_exchange_explicit(&r->shared->starved, 0, memory_order_relaxed) != 0;
}

bool qk_ring_doze(struct qk_ring_reader *r)
{
    atomic_store_explicit(&r->shared->sleeping, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (qk_ring_is_empty(r))
        return true;
    qk_ring_rouse(r);
    return false;
}

void qk_ring_rouse(struct qk_ring_reader *r)
{
    if (atomic_load_explicit(&r->shared->sleeping, memory_order_relaxed) != 0)
        atomic_store_explicit(&r->shared->sleeping, 0, memory_order_relaxed);
}
