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

#ifdef QK_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef QK_TSAN
#include <sanitizer/tsan_interface.h>
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

/* Makes a stack that was left for good new. */
void qk_context_renew(struct qk_context *context, void *low, void *high, void (*entry)(void *context));

/* Registers that only some processors have, where the compiler may use them. */
#if defined(__AVX512F__)
#define QK_WIDE_REGISTERS                                                                                         \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", \
        "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#elif defined(__ARM_FEATURE_SVE)
#define QK_WIDE_REGISTERS \
    , "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15", "ffr"
#else
#define QK_WIDE_REGISTERS
#endif

/* Where indirect jumps have to end at a mark. */
#if defined(__CET__) && (__CET__ & 1) != 0
#define QK_LANDING "endbr64\n\t"
#else
#define QK_LANDING ""
#endif

/*
 * Stores the stack pointer at *from_sp, takes `to_sp`, and goes on where that stack stands; `arg` is what a new fiber
 * finds as its argument. The compiler saves what it needs of the registers; the control words of the floating-point
 * units are not touched (the actor ABI forbids to change them).
 *
 * It is compiled into its callers, and leaves by a jump: the processor predicts where a function returns to from the
 * calls before it, which were another stack's, so that every return between here and the next call is a wrong guess.
 */
#define QK_INLINE static inline __attribute__((always_inline))

QK_INLINE void qk_switch_stack(void **from_sp, void *to_sp, void *arg)
{
#if defined(__x86_64__)
    /* The 128 bytes below the stack pointer may be the caller's. */
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "pushq %%rbp\n\t"
                     "leaq 1f(%%rip), %%rcx\n\t"
                     "pushq %%rcx\n\t"
                     "movq %%rsp, (%%rdx)\n\t"
                     "movq %%rsi, %%rsp\n\t"
                     "popq %%rcx\n\t"
                     "popq %%rbp\n\t"
                     "jmpq *%%rcx\n"
                     "1:\n\t" QK_LANDING "leaq 128(%%rsp), %%rsp"
                     : "+d"(from_sp), "+S"(to_sp), "+D"(arg)
                     :
                     : "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1",
                       "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
                       "xmm13", "xmm14", "xmm15", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "st", "st(1)",
                       "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "cc", "memory" QK_WIDE_REGISTERS);
#elif defined(__aarch64__)
    register void **from __asm__("x1") = from_sp;
    register void *to __asm__("x2") = to_sp;
    register void *first __asm__("x0") = arg;
    __asm__ volatile("adr x16, 1f\n\t"
                     "stp x29, x16, [sp, #-16]!\n\t"
                     "mov x9, sp\n\t"
                     "str x9, [x1]\n\t"
                     "mov sp, x2\n\t"
                     "ldp x29, x16, [sp], #16\n\t"
                     "br x16\n"
                     "1:\n\t"
                     "hint #36" /* bti j: where branches have to end at such a mark */
                     : "+r"(from), "+r"(to), "+r"(first)
                     :
                     : "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
                       "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "v0", "v1",
                       "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16",
                       "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",
                       "v31", "cc", "memory" QK_WIDE_REGISTERS);
#else
#error "Quark switches fibers on x86-64 and aarch64"
#endif
}

/* Saves where the thread stands in `from` and goes on in `to`. Returns when something switches back to `from`. */
QK_INLINE void qk_context_switch(struct qk_context *from, struct qk_context *to)
{
#ifdef QK_TSAN
    from->tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
#ifdef QK_ASAN
    __sanitizer_start_switch_fiber(&from->fake, to->bottom, to->size);
#endif
    qk_switch_stack(&from->sp, to->sp, to);
#ifdef QK_ASAN
    __sanitizer_finish_switch_fiber(from->fake, NULL, NULL);
#endif
}

/* Goes on in `to` and never comes back: what stands on the stack is not run any more. qk_context_renew() then makes the
 * stack new. */
__attribute__((noreturn)) QK_INLINE void qk_context_leave(struct qk_context *from, struct qk_context *to)
{
#ifdef QK_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
#ifdef QK_ASAN
    __sanitizer_start_switch_fiber(NULL, to->bottom, to->size);
#endif
    qk_switch_stack(&from->sp, to->sp, to);
    __builtin_unreachable();
}

/* Called first in a new fiber, with the context it was switched from. */
QK_INLINE void qk_context_begin(struct qk_context *from)
{
#ifdef QK_ASAN
    __sanitizer_finish_switch_fiber(NULL, &from->bottom, &from->size);
#endif
    (void)from;
}

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
