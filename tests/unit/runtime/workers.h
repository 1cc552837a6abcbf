/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A runtime whose workers run on threads, for the tests that are about more than one; and a count of its answers. Time
 * only guards against a run that hangs. */
#ifndef WORKERS_H
#define WORKERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include "base/park.h"
#include "runtime/runtime.h"

#define WORKERS_MAX     8
#define WORKERS_HANG_NS 100000000000ll

struct workers {
    struct qk_runtime *rt;
    uint32_t n;
    pthread_t threads[WORKERS_MAX];
};

/* The clock of the machine. */
int64_t workers_now_ns(void *arg);
int64_t workers_wall_ms(void *arg);

/* Answers since workers_start(), and those that are errors; woken with each. */
extern atomic_int workers_replies, workers_failures;
extern struct qk_park workers_park;

/* Counts an answer and frees it. */
void workers_count(struct qk_port_frame *frame);

/* `n` workers, that clock, deadlines that do not pass, and answers that are counted. */
void workers_configure(struct qk_runtime_config *ret_config, uint32_t n);
void workers_start(struct workers *w, const struct qk_runtime_config *config, const struct qk_plugin *plugin);

/* Stops at once, or at `deadline_ns`; the runtime is left, for its end to be looked at. */
void workers_join(struct workers *w, int64_t deadline_ns);

/* The same, and nothing is left of the runtime. */
void workers_stop(struct workers *w);

/* Waits until there are so many answers, and lets the runtime be watched meanwhile: `on_stall` hears of turns that hold
 * their thread for `stall_ns`. */
void workers_watch(struct workers *w, int replies, int64_t stall_ns,
                   void (*on_stall)(void *arg, const struct qk_stall *stall));
void workers_wait(struct workers *w, int replies);

/* Hands a call without a payload in. */
void workers_call(struct workers *w, const struct qk_method *method, const char *key);

#endif
