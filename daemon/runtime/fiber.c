/* SPDX-License-Identifier: Apache-2.0 */
/* Switching between stacks, for x86-64 and aarch64, and the mapping of stacks with guard pages. */
#include "runtime/fiber.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What qk_switch_stack() takes off a new stack: where to go on and the frame pointer; then a return address of zero. */
#if defined(__x86_64__)
enum { SAVED_WORDS = 3, ENTRY_WORD = 0 };
#else
enum { SAVED_WORDS = 2, ENTRY_WORD = 1 };
#endif

void qk_context_make(struct qk_context *context, void *low, void *high, void (*entry)(void *context))
{
    memset(context, 0, sizeof(*context));
    uintptr_t top = (uintptr_t)high & ~(uintptr_t)15;
    void **frame = (void **)(top - SAVED_WORDS * sizeof(void *));
    memset(frame, 0, SAVED_WORDS * sizeof(void *));
    memcpy(&frame[ENTRY_WORD], &entry, sizeof(entry));
    context->sp = frame;
    (void)low;
#ifdef QK_ASAN
    context->bottom = low;
    context->size = (size_t)((uint8_t *)high - (uint8_t *)low);
#endif
#ifdef QK_TSAN
    context->tsan = __tsan_create_fiber(0);
#endif
}

void qk_context_finish(struct qk_context *context)
{
#ifdef QK_TSAN
    __tsan_destroy_fiber(context->tsan);
#endif
    (void)context;
}

void qk_context_renew(struct qk_context *context, void *low, void *high, void (*entry)(void *context))
{
    qk_context_finish(context);
#ifdef QK_ASAN
    __asan_unpoison_memory_region(low, (size_t)((uint8_t *)high - (uint8_t *)low));
#endif
    qk_context_make(context, low, high, entry);
}

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static int guard(void *page, size_t size)
{
    /* Linux 6.13: a guard without a mapping of its own, so that their number is not bounded by vm.max_map_count. */
    if (madvise(page, size, MADV_GUARD_INSTALL) == 0)
        return 0;
    return mprotect(page, size, PROT_NONE);
}

struct qk_stacks *qk_stacks_create(size_t size, unsigned count)
{
    struct qk_stacks *stacks = malloc(sizeof(*stacks));
    if (stacks == NULL)
        return NULL;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    stacks->next = NULL;
    stacks->bytes = size * count;
    stacks->base =
        mmap(NULL, stacks->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks->base == MAP_FAILED) {
        free(stacks);
        return NULL;
    }
    madvise(stacks->base, stacks->bytes, MADV_NOHUGEPAGE);
    for (unsigned i = 0; i < count; i++) {
        if (guard(stacks->base + i * size, page) != 0) {
            munmap(stacks->base, stacks->bytes);
            free(stacks);
            return NULL;
        }
    }
    return stacks;
}

void qk_stacks_destroy(struct qk_stacks *stacks)
{
    while (stacks != NULL) {
        struct qk_stacks *next = stacks->next;
        munmap(stacks->base, stacks->bytes);
        free(stacks);
        stacks = next;
    }
}
