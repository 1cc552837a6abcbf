/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between processors: the cache line and the pause in a spinning loop. */
#ifndef QK_BASE_CPU_H
#define QK_BASE_CPU_H

#define QK_CACHE_LINE 64

#define QK_CACHE_ALIGNED __attribute__((aligned(QK_CACHE_LINE)))
#define qk_likely(x)     __builtin_expect(!!(x), 1)
#define qk_unlikely(x)   __builtin_expect(!!(x), 0)

/* Tells the core that this is a loop that waits for another core. */
static inline void qk_cpu_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

#endif
