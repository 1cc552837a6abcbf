/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs one world from its first frame to the end of the runtime: step by step on one thread, or with threads. */
#ifndef DRIVE_H
#define DRIVE_H

#include "runtime/runtime.h"
#include "world.h"

#define SUBMITTER_RECENT 8

/* Where the frames of one submitter stand. */
struct submitter {
    uint32_t index;      /* below WORLD_SUBMITTERS */
    uint32_t clients[2]; /* those that it is */
    uint32_t n_clients;  /* that it has been */
    uint32_t left;
    uint64_t random;
    uint64_t sent[WORLD_ACTORS];
    uint32_t recent[SUBMITTER_RECENT]; /* calls; 0: none yet */
};

void submitter_init(struct submitter *s, uint32_t index);

/* A chain of at most `max` frames at random; NULL when the submitter has sent all of its frames. */
struct qk_port_frame *submitter_chain(struct submitter *s, uint32_t max, int64_t now_ns);

/* Checks a chain of replies and frees it; `answered` (may be NULL) learns of each. */
void drive_deliver(struct qk_port_frame *chain, void (*answered)(void *arg, uint32_t submitter), void *arg);

/* The configuration that the plan asks for, without clock and port. */
void drive_configure(struct qk_runtime_config *config);

/* Registers the plugin. */
void drive_register(struct qk_runtime *rt);

/* Checks what the tools would show. */
void drive_visit(struct qk_runtime *rt);

/* Lets memory be short, or not any more, where the plan says so. */
void drive_squeeze(struct qk_runtime *rt, uint64_t *random);

/* Without threads, when nothing can go on: no timer that is due is left, and no wait that has been given
 * up. */
void drive_check_rest(struct qk_runtime *rt);

/* The two ways to run world.plan. */
void drive_steps(void);
void drive_threads(void);

#endif
