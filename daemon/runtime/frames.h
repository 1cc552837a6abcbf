/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the port (frames.c), and calls to actors that other runtimes have (remote.c). */
#ifndef QK_RUNTIME_FRAMES_H
#define QK_RUNTIME_FRAMES_H

#include "runtime/internal.h"

/* Puts a frame into the worker's outbox. */
void qk_frames_out(struct qk_worker *w, struct qk_port_frame *frame);

void qk_frames_accept(struct qk_worker *w, struct qk_port_frame *chain);

/* Turns a frame into its reply and puts it into the worker's outbox. */
void qk_frames_reply(struct qk_worker *w, struct qk_port_frame *frame, int status, const char *text,
                     const ProtobufCMessage *reply, bool may_have_run);
/* Says that a one-way message of the port is in its mailbox; with the recording that it asked for, in `recorded` (NULL:
 * none). */
void qk_frames_acknowledge(struct qk_worker *w, struct qk_port_frame *ack, struct qk_baggage *recorded,
                           int64_t deadline_ns);

/* Answers a message of the port, with the recording that it asked for. */
void qk_frames_answer(struct qk_worker *w, struct qk_msg *msg, int status, const char *text,
                      const ProtobufCMessage *reply, bool may_have_run);
void qk_frames_deliver(struct qk_worker *w);

/* Puts the bytes of a recording behind a reply; the frame to use from then on. */
struct qk_port_frame *qk_frames_add_spans(struct qk_port_frame *reply, const uint8_t *spans, size_t spans_len);

/* ---- calls to other runtimes (remote.c) */

/* Lies at the beginning of such a message's block; the message has neither type nor method. */
struct qk_remote {
    uint64_t call_id;
    int64_t deadline_ns; /* of the turn, where that is not the call's */
    bool one_way;        /* answered once it is in the mailbox */
    uint16_t key_len;
    char key[];
};

/* Whether another runtime has a type that this one has not. Any thread. */
bool qk_remote_has_type(const struct qk_runtime *rt, uint64_t type_id);

/* Makes a message such a call: `at` has room in its block for the key and what is known besides. */
void qk_remote_address(struct qk_worker *w, struct qk_msg *msg, void *at, struct qk_ref to);

/* Has the call sent as soon as the fiber gives up the thread. On the fiber. */
void qk_remote_post(struct qk_turn_state *t, struct qk_msg *msg);

/* Sends what the fiber that has just given up the thread has called. On the worker's stack. */
void qk_remote_send(struct qk_worker *w);

/* The caller gives up; before the message is abandoned. On its worker. */
void qk_remote_cancel(struct qk_worker *w, const struct qk_msg *msg);

/* A reply has come into the runtime. Any worker, on its own stack. */
void qk_remote_answer(struct qk_worker *w, struct qk_port_frame *frame);

#endif
