/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that goes all at once: a chain of chunks, filled from the front. One thread at a time. */
#ifndef QK_BASE_ARENA_H
#define QK_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct qk_arena_chunk {
    struct qk_arena_chunk *next; /* the chunk filled before this one */
    size_t size;                 /* bytes behind the head */
};

struct qk_arena {
    uint8_t *at;
    uint8_t *end;
    struct qk_arena_chunk *chunks; /* newest first */
    size_t used;                   /* bytes of all chunks */
    size_t limit;                  /* bound of `used` */
};

#define QK_ARENA_CHUNK 4096
#define QK_ARENA_ALIGN 16
#define QK_ARENA_HEAD  sizeof(struct qk_arena_chunk) /* of a chunk, before its bytes */

/* An empty arena that will hold at most `limit` bytes; allocates nothing yet. */
static inline void qk_arena_init(struct qk_arena *arena, size_t limit)
{
    *arena = (struct qk_arena){.limit = limit};
}

/* Frees everything. */
void qk_arena_finish(struct qk_arena *arena);

/* What is left of qk_arena_reset() when the arena has been used. */
void qk_arena_empty(struct qk_arena *arena);

/* Empties the arena and keeps one chunk of ordinary size for the next use. */
static inline void qk_arena_reset(struct qk_arena *arena)
{
    const struct qk_arena_chunk *chunk = arena->chunks;
    bool unused = chunk == NULL || (arena->at == (const uint8_t *)chunk + QK_ARENA_HEAD && arena->used == chunk->size);
    if (!unused)
        qk_arena_empty(arena);
}

/* Moves the chunks of `from` into `into`, so that what lies in them lives as long as `into`. `from` is empty then. The
 * limit is not checked: the bytes were counted against the limit of `from`. */
void qk_arena_adopt(struct qk_arena *into, struct qk_arena *from);

/* The slow path of qk_arena_alloc(). */
void *qk_arena_grow(struct qk_arena *arena, size_t size);

/* `size` bytes aligned to QK_ARENA_ALIGN, not zeroed; NULL past the limit or without memory. */
static inline void *qk_arena_alloc(struct qk_arena *arena, size_t size)
{
    size_t need = (size + QK_ARENA_ALIGN - 1) & ~(size_t)(QK_ARENA_ALIGN - 1);
    if (need >= size && need <= (size_t)(arena->end - arena->at) && arena->at != NULL) {
        void *p = arena->at;
        arena->at += need;
        return p;
    }
    return qk_arena_grow(arena, size);
}

#endif
