/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas. Failure mode: an allocation past the limit or without memory gives NULL and changes nothing. */
#include "base/arena.h"

#include <stdlib.h>

_Static_assert(QK_ARENA_HEAD % QK_ARENA_ALIGN == 0, "what follows the head of a chunk is aligned");

static void free_chunks(struct qk_arena_chunk *chunk)
{
    while (chunk != NULL) {
        struct qk_arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void qk_arena_finish(struct qk_arena *arena)
{
    free_chunks(arena->chunks);
    qk_arena_init(arena, arena->limit);
}

void qk_arena_empty(struct qk_arena *arena)
{
    struct qk_arena_chunk *keep = arena->chunks;
    if (keep->size > QK_ARENA_CHUNK - QK_ARENA_HEAD) {
        qk_arena_finish(arena);
        return;
    }
    free_chunks(keep->next);
    keep->next = NULL;
    arena->used = keep->size;
    arena->at = (uint8_t *)keep + QK_ARENA_HEAD;
    arena->end = arena->at + keep->size;
}

void qk_arena_adopt(struct qk_arena *into, struct qk_arena *from)
{
    if (from->chunks == NULL)
        return;
    struct qk_arena_chunk *last = from->chunks;
    while (last->next != NULL)
        last = last->next;
    if (into->chunks == NULL) {
        size_t limit = into->limit;
        *into = *from;
        into->limit = limit;
    } else {
        /* Behind the newest chunk of `into`, which stays the one that is being filled. */
        last->next = into->chunks->next;
        into->chunks->next = from->chunks;
        into->used += from->used;
    }
    qk_arena_init(from, from->limit);
}

void *qk_arena_grow(struct qk_arena *arena, size_t size)
{
    if (size > arena->limit)
        return NULL;
    size_t need = (size + QK_ARENA_ALIGN - 1) & ~(size_t)(QK_ARENA_ALIGN - 1);
    size_t body = need > QK_ARENA_CHUNK - QK_ARENA_HEAD ? need : QK_ARENA_CHUNK - QK_ARENA_HEAD;
    size_t left = arena->limit > arena->used ? arena->limit - arena->used : 0; /* what was adopted may be past it */
    if (body > left) {
        if (need > left)
            return NULL;
        body = need;
    }
    struct qk_arena_chunk *chunk = malloc(QK_ARENA_HEAD + body);
    if (chunk == NULL)
        return NULL;
    chunk->size = body;
    arena->used += body;
    uint8_t *start = (uint8_t *)chunk + QK_ARENA_HEAD;
    if (arena->chunks != NULL && body - need < (size_t)(arena->end - arena->at)) {
        /* A large piece: what is left of the current chunk stays in use. */
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
        return start;
    }
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->at = start + need;
    arena->end = start + body;
    return start;
}
