/* SPDX-License-Identifier: Apache-2.0 */
/* The fibers of a worker: made many at a time, kept for the next turn, bounded in number. */
#include "runtime/internal.h"

#define FIBERS_PER_MAP 32

static bool make_fibers(struct qk_worker *w)
{
    size_t size = w->rt->config.fiber_stack_bytes;
    uint64_t share = w->rt->config.fibers_max / w->rt->n_workers + 1; /* a worker runs one turn even at the bound */
    if (w->n_fibers >= share)
        return false;
    unsigned count = share - w->n_fibers < FIBERS_PER_MAP ? (unsigned)(share - w->n_fibers) : FIBERS_PER_MAP;
    struct qk_stacks *stacks = qk_stacks_create(size, count);
    if (stacks == NULL)
        return false;
    stacks->next = w->stacks;
    w->stacks = stacks;
    w->n_fibers += count;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *low = stacks->base + i * size;
        struct qk_fiber *fiber = (struct qk_fiber *)((uintptr_t)(low + size - sizeof(*fiber)) & ~(uintptr_t)63);
        memset(fiber, 0, sizeof(*fiber));
        fiber->low = low;
        qk_context_make(&fiber->context, low, fiber, qk_turn_fiber_main);
        qk_arena_init(&fiber->turn.arena, QK_TURN_ARENA_MAX);
        fiber->next = w->free_fibers;
        w->free_fibers = fiber;
    }
    return true;
}

struct qk_fiber *qk_fiber_more(struct qk_worker *w)
{
    return make_fibers(w) ? qk_fiber_get(w) : NULL;
}

void qk_fiber_pool_finish(struct qk_worker *w)
{
    for (struct qk_fiber *f = w->free_fibers; f != NULL; f = f->next) {
        qk_arena_finish(&f->turn.arena);
        qk_context_finish(&f->context);
    }
    qk_stacks_destroy(w->stacks);
    w->free_fibers = NULL;
    w->stacks = NULL;
}
