/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The memory budget: how much the process uses is measured now and then, and what the runtime takes on depends on it.
 *
 *   from 80 % of the budget   no actor becomes active that is not; those unused for longest end, until 75 %
 *   from 90 %                 no calls from outside either, until 85 %
 *
 * The control thread only.
 */
#ifndef QK_SILO_MEMORY_H
#define QK_SILO_MEMORY_H

#include <stdint.h>
#include "loop/loop.h"
#include "runtime/runtime.h"

struct qk_memory {
    struct qk_runtime *rt;
    struct qk_timer *timer;
    int64_t (*measure)(void *arg); /* bytes in use; less than 0: unknown */
    void *measure_arg;
    uint64_t budget; /* 0: none */
    enum qk_memory_level level;
    uint64_t age_ms;    /* of what was last collected */
    uint64_t asked;     /* to be collected at most; 0: nothing under way */
    uint64_t collected; /* since the level was left last */
    bool returned;      /* what was freed has been given back */
};

/* `measure` NULL: the resident memory of the process. 0 or -ENOMEM. */
int qk_memory_init(struct qk_memory *memory, struct qk_loop *control, struct qk_runtime *rt,
                   int64_t (*measure)(void *arg), void *measure_arg);
void qk_memory_finish(struct qk_memory *memory);

/* Puts a budget in force, and measures. */
void qk_memory_set_budget(struct qk_memory *memory, uint64_t budget);

/* No more measuring. */
void qk_memory_end(struct qk_memory *memory);

/* "plenty", "short" or "full". */
const char *qk_memory_name(const struct qk_memory *memory);

/* Bytes of the process that are resident; less than 0 when the kernel does not say. Any thread. */
int64_t qk_memory_resident(void);

#endif
