/* SPDX-License-Identifier: Apache-2.0 */
/* Switching between stacks, for x86-64 and aarch64, and the mapping of stacks with guard pages. */
#include "runtime/fiber.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef QK_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef QK_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/*
 * Saves the registers that a function must keep, stores the stack pointer at *from_sp, takes `to_sp`, restores, and
 * goes on there. `arg` is what a new fiber finds as its argument. The control words of the floating-point units are not
 * touched (the actor ABI forbids to change them). Leaving by a jump rather than a return keeps the return predictor out
 * of it: it would be wrong every time.
 */
void qk_switch_stack(void **from_sp, void *to_sp, void *arg);

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl qk_switch_stack\n"
        ".hidden qk_switch_stack\n"
        ".type qk_switch_stack,@function\n"
        ".p2align 4\n"
        "qk_switch_stack:\n"
        "    .cfi_startproc\n"
        "    pushq %rbp\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset rbp, 0\n"
        "    pushq %rbx\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset rbx, 0\n"
        "    pushq %r12\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r12, 0\n"
        "    pushq %r13\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r13, 0\n"
        "    pushq %r14\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r14, 0\n"
        "    pushq %r15\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r15, 0\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    movq %rdx, %rdi\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    .cfi_def_cfa rsp, 8\n"
        "    popq %rcx\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_register rip, rcx\n"
        "    jmpq *%rcx\n"
        "    .cfi_endproc\n"
        ".size qk_switch_stack, .-qk_switch_stack\n");
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl qk_switch_stack\n"
        ".hidden qk_switch_stack\n"
        ".type qk_switch_stack,%function\n"
        ".p2align 4\n"
        "qk_switch_stack:\n"
        "    stp x29, x30, [sp, #-160]!\n"
        "    stp x19, x20, [sp, #16]\n"
        "    stp x21, x22, [sp, #32]\n"
        "    stp x23, x24, [sp, #48]\n"
        "    stp x25, x26, [sp, #64]\n"
        "    stp x27, x28, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    mov x0, x2\n"
        "    ldp x19, x20, [sp, #16]\n"
        "    ldp x21, x22, [sp, #32]\n"
        "    ldp x23, x24, [sp, #48]\n"
        "    ldp x25, x26, [sp, #64]\n"
        "    ldp x27, x28, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    ldp x29, x30, [sp], #160\n"
        "    br x30\n"
        ".size qk_switch_stack, .-qk_switch_stack\n");
#else
#error "Quark switches fibers on x86-64 and aarch64"
#endif

#if defined(__x86_64__)
enum { SAVED_WORDS = 8, RETURN_WORD = 6 }; /* six registers, the entry, and a return address of zero */
#else
enum { SAVED_WORDS = 20, RETURN_WORD = 1 };
#endif

void qk_context_make(struct qk_context *context, void *low, void *high, void (*entry)(void *context))
{
    memset(context, 0, sizeof(*context));
    uintptr_t top = (uintptr_t)high & ~(uintptr_t)15;
    void **frame = (void **)(top - SAVED_WORDS * sizeof(void *));
    memset(frame, 0, SAVED_WORDS * sizeof(void *));
    memcpy(&frame[RETURN_WORD], &entry, sizeof(entry));
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

void qk_context_switch(struct qk_context *from, struct qk_context *to)
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

void qk_context_leave(struct qk_context *from, struct qk_context *to)
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

void qk_context_renew(struct qk_context *context, void *low, void *high, void (*entry)(void *context))
{
    qk_context_finish(context);
#ifdef QK_ASAN
    __asan_unpoison_memory_region(low, (size_t)((uint8_t *)high - (uint8_t *)low));
#endif
    qk_context_make(context, low, high, entry);
}

void qk_context_begin(struct qk_context *from)
{
#ifdef QK_ASAN
    __sanitizer_finish_switch_fiber(NULL, &from->bottom, &from->size);
#endif
    (void)from;
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
