/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers: stacks of their own that a worker switches to and from. A fiber stays with the worker that made it.
 */
#ifndef QK_RUNTIME_FIBER_H
#define QK_RUNTIME_FIBER_H

#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define QK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QK_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define QK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QK_TSAN 1
#endif
#endif

/* One side of a switch: where a stack stands while it is not running. */
struct qk_context {
    void *sp;
#ifdef QK_ASAN
    void *fake;
    const void *bottom;
    size_t size;
#endif
#ifdef QK_TSAN
    void *tsan;
#endif
};

/* Makes `context` a stack of [low, high) that begins in `entry`, which finds `context` as its argument and never
 * returns. */
void qk_context_make(struct qk_context *context, void *low, void *high, void (*entry)(void *context));

/* Ends what the sanitizers keep for a context that was made. */
void qk_context_finish(struct qk_context *context);

/* Saves where the thread stands in `from` and goes on in `to`. Returns when something switches back to `from`. */
void qk_context_switch(struct qk_context *from, struct qk_context *to);

/* Goes on in `to` and never comes back: what stands on the stack is not run any more. qk_context_renew() then makes the
 * stack new. */
void qk_context_leave(struct qk_context *from, struct qk_context *to) __attribute__((noreturn));
void qk_context_renew(struct qk_context *context, void *low, void *high, void (*entry)(void *context));

/* Called first in a new fiber, with the context it was switched from. */
void qk_context_begin(struct qk_context *from);

/* A region of stacks, each `size` bytes with a guard page at its low end. */
struct qk_stacks {
    struct qk_stacks *next;
    uint8_t *base;
    size_t bytes;
};

/* Maps `count` stacks of `size` bytes (a multiple of the page). Memory is taken page by page as it is used. NULL
 * without memory. */
struct qk_stacks *qk_stacks_create(size_t size, unsigned count);

/* Unmaps the region and all that follow it. */
void qk_stacks_destroy(struct qk_stacks *stacks);

#endif
