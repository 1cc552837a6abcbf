/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the property test's silo does for the runtime: it keeps stored state, in the memory store behind faults and
 * delays, and does offloaded work. A model beside the store says what every answer must be.
 */
#ifndef OUTSIDE_H
#define OUTSIDE_H

#include "runtime/runtime.h"
#include "world.h"

/* For the run of world.plan; world.now_ns is set. */
void outside_begin(struct qk_runtime *rt);
void outside_finish(void);

/* Takes an operation on stored state. Any thread. */
void outside_store(struct qk_port_frame *frame);

/* Takes offloaded work; of struct qk_runtime_config. Any thread. */
int outside_offload(void *arg, struct qk_job *job);

/* Does what is due; false when nothing is. */
bool outside_work(void);

/* When the next is due; INT64_MAX: nothing. */
int64_t outside_next(void);

/* Works until outside_quit(), on a thread of its own. */
void *outside_main(void *arg);
void outside_quit(void);

/* What came of the last operation on the state of an actor. */
struct outside_answer {
    uint32_t kind; /* enum qk_port_store */
    int status;
    uint64_t sum; /* of the state that is stored since, or was read; 0: none */
    bool fresh;   /* a read that nobody has asked about */
};
struct outside_answer outside_answered(uint32_t actor);

/* The actor begins anew and has not loaded its state. */
void outside_forget(uint32_t actor);

#endif
