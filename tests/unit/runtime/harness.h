/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A runtime on the test's own thread with a clock that the test moves, and an outbox that it reads. */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdbool.h>
#include <quark/actor.h>
#include "runtime/runtime.h"

struct harness {
    struct qk_runtime *rt;
    int64_t now_ns;
    struct qk_port_frame *replies; /* newest last */
    struct qk_port_frame **last;
    /* Takes the operations on stored state, and owns them; NULL: there must be none. */
    void (*on_store)(struct harness *h, struct qk_port_frame *frame);
};

/* Makes the runtime with one plugin; `tune` (may be NULL) changes the configuration before. */
void harness_init(struct harness *h, const struct qk_plugin *plugin, void (*tune)(struct qk_runtime_config *config));

/* The configuration that harness_init() begins with. */
void harness_configure(struct harness *h, struct qk_runtime_config *config);

/* Stops and frees; fails the test if anything is left over. */
void harness_finish(struct harness *h);

/* Runs until nothing can go on without time passing. */
void harness_run(struct harness *h);

/* Moves the clock and runs. */
void harness_advance(struct harness *h, int64_t ms);

/* Hands in a call (or a send) without running it. */
void harness_submit(struct harness *h, enum qk_port_kind kind, const struct qk_method *m, const char *key,
                    const ProtobufCMessage *request, uint64_t id, int64_t timeout_ms);

/* The next reply, which the caller destroys; NULL when there is none. */
struct qk_port_frame *harness_reply(struct harness *h);

/* Calls, runs, and unpacks the reply (NULL on an error); the status comes back. */
int harness_call(struct harness *h, const struct qk_method *m, const char *key, const ProtobufCMessage *request,
                 ProtobufCMessage **ret_reply);

/* The text of the last error that harness_call() saw. */
extern char harness_text[2048];

#endif
