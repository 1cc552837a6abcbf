/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads with a name, all signals blocked, and a way to ask what they are doing. */
#ifndef QK_LOOP_THREAD_H
#define QK_LOOP_THREAD_H

#include <stddef.h>
#include <stdint.h>

struct qk_thread;

#define QK_BACKTRACE_MAX 48 /* frames */

/* Starts fn(arg) on a thread of its own, named at most 15 bytes, bound to processor `cpu` where that is not -1 (a
 * processor that may not be used is no error). 0 or -errno. */
int qk_thread_start(const char *name, int cpu, void (*fn)(void *arg), void *arg, struct qk_thread **ret_thread);

/* Waits for the end of the thread and frees it. NULL is fine. */
void qk_thread_join(struct qk_thread *thread);

/* The clock of the processor time of the calling thread, and what it shows: 0 once the thread has ended. Any thread. */
int qk_thread_cpu_clock(void);
int64_t qk_thread_cpu_ns(int clock);

/* Makes another thread say where it is, on a fiber too: sends it a real-time signal whose handler runs on a stack of
 * its own, and waits up to timeout_ms for the answer. How many frames; -ETIMEDOUT where the thread sits in the kernel
 * without taking signals, -ESRCH when it has ended. One asker at a time. */
int qk_thread_backtrace(struct qk_thread *thread, int timeout_ms, void *ret_frames[QK_BACKTRACE_MAX]);

/* Writes the frames as text, one line each: "  #0 function+0x12 (libcounter.so)". What didn't fit is cut. */
void qk_backtrace_format(void *const *frames, int n_frames, char *ret_text, size_t size);

#endif
