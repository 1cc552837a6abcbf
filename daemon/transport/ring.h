/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * @file
 * A ring of bytes in shared memory: one process writes records, another reads them.
 *
 * Either side may be hostile to the other. What the other side writes is one index and one flag: an index is checked
 * against one's own before it is used, and one's own index is kept in private memory and only ever published. A record
 * is copied out before anything in it is looked at. The memory holds no lock and no pointer; nothing in it can make
 * these functions wait, fail an assertion or touch memory outside the ring.
 *
 * Writing and reading take no system call. Whether the other side has to be woken is what qk_ring_publish() and
 * qk_ring_release() return; how it is woken is its owner's affair (pair.h).
 */
#ifndef QK_TRANSPORT_RING_H
#define QK_TRANSPORT_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QK_RING_BYTES_MIN  (64 << 10) /* of a ring; a power of two */
#define QK_RING_BYTES_MAX  (64 << 20)
#define QK_RING_RECORD_MAX (16 << 10) /* bytes of one record */

/* As it lies in shared memory, in front of its bytes. Two cache lines apart, since lines are fetched in pairs. */
struct qk_ring_head {
    _Alignas(128) _Atomic uint64_t tail; /* the writer's: bytes written since the beginning */
    _Atomic uint32_t starved;            /* 1: the writer waits for room; the reader takes it back */
    _Alignas(128) _Atomic uint64_t head; /* the reader's: bytes read since the beginning */
    _Atomic uint32_t sleeping;           /* 1: the reader sleeps, or is about to; the writer takes it back */
    _Alignas(128) uint8_t bytes[];
};

/* What a ring with so many bytes takes in memory. */
static inline size_t qk_ring_size(size_t bytes)
{
    return sizeof(struct qk_ring_head) + bytes;
}

struct qk_ring_writer {
    struct qk_ring_head *shared;
    uint64_t size;
    uint64_t tail; /* beyond what is published */
    uint64_t head; /* the reader's, as last seen */
};

struct qk_ring_reader {
    struct qk_ring_head *shared;
    uint64_t size;
    uint64_t head;   /* beyond what is released */
    uint64_t tail;   /* the writer's, as last seen */
    uint64_t record; /* where the bytes of the record that is being read begin, and how many are left */
    uint32_t left;
};

/* A piece of a record to be written. */
struct qk_ring_piece {
    const void *bytes;
    size_t size;
};

/* Over memory of qk_ring_size(size) bytes that was zero; `size` is a power of two within the bounds. */
void qk_ring_writer_init(struct qk_ring_writer *writer, struct qk_ring_head *shared, size_t size);
void qk_ring_reader_init(struct qk_ring_reader *reader, struct qk_ring_head *shared, size_t size);

/* ---- the writer; one thread at a time */

/* Appends a record of the pieces, with a tag that means nothing here. Not seen by the reader before qk_ring_publish().
 * 0; -EAGAIN when there is no room; QK_ETOOBIG past QK_RING_RECORD_MAX; QK_EPROTOCOL when the reader's index is
 * impossible. */
int qk_ring_put(struct qk_ring_writer *writer, uint32_t tag, const struct qk_ring_piece *pieces, unsigned n_pieces);

/* Shows the reader what was put. True when it sleeps and is to be woken: it is told to one publisher only. */
bool qk_ring_publish(struct qk_ring_writer *writer);

/* After -EAGAIN: asks to be woken when there is room. False when there is some meanwhile. */
bool qk_ring_starve(struct qk_ring_writer *writer);

/* Bytes that the reader has not released, as far as is known. 0 where its index is impossible. */
uint64_t qk_ring_unread(struct qk_ring_writer *writer);

/* Whether the reader has released everything that was put, and all of it was published. */
bool qk_ring_is_read(const struct qk_ring_writer *writer);

/* ---- the reader; one thread at a time */

/* Whether there is something to read; cheap. */
static inline bool qk_ring_is_empty(const struct qk_ring_reader *reader)
{
    return reader->head == reader->tail &&
           atomic_load_explicit(&reader->shared->tail, memory_order_acquire) == reader->tail;
}

/* Goes to the next record: 1 with its tag and size, 0 when there is none, QK_EPROTOCOL when the writer's index or the
 * record's size is impossible. */
int qk_ring_next(struct qk_ring_reader *reader, uint32_t *ret_tag, uint32_t *ret_size);

/* Copies the next `n` bytes of the record, at most what is left of it. They are the writer's to change until
 * then, and nobody's afterwards. */
void qk_ring_copy(struct qk_ring_reader *reader, void *to, size_t n);

/* Gives the room of all records gone past back to the writer. True when it waits for room and is to be woken. */
bool qk_ring_release(struct qk_ring_reader *reader);

/* Announces that the reader is about to sleep: the writer's next qk_ring_publish() says so. False when there is
 * something to read already, and nothing was announced. */
bool qk_ring_doze(struct qk_ring_reader *reader);

/* The reader is awake. */
void qk_ring_rouse(struct qk_ring_reader *reader);

#endif
