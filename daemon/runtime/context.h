/* SPDX-License-Identifier: Apache-2.0 */
/* What travels with calls (baggage.c), and recordings of them (recorder.c). */
#ifndef QK_RUNTIME_CONTEXT_H
#define QK_RUNTIME_CONTEXT_H

#include "runtime/internal.h"

/* A block: never changed once others can see it. */
struct qk_baggage {
    atomic_uint refs;
    uint32_t n_entries;
    uint32_t size;                /* of the bytes: names and values, a zero behind each */
    uint32_t number;              /* of the message's span in the recording; 0: left out */
    struct qk_recorder *recorder; /* NULL: the request is not recorded */
    uint64_t own;                 /* span of the message's turn, where that is drawn already; else 0 */
    bool traced;
    bool record;           /* a recording is asked for */
    struct qk_trace trace; /* its span is the sender's */
    char bytes[];
};

/* Makes a block from a quark.wire.Context; NULL where that is empty. 0, QK_EINVALID, QK_ENOMEMORY; why not. */
int qk_baggage_parse(const uint8_t *data, size_t size, struct qk_baggage **ret_baggage, const char **ret_why);

/* As a quark.wire.Context, without the wish for a recording: how many bytes, and the bytes. */
size_t qk_baggage_packed_size(const struct qk_baggage *b);
void qk_baggage_pack(const struct qk_baggage *b, uint8_t *to);

struct qk_baggage *qk_baggage_ref(struct qk_baggage *b);
void qk_baggage_unref(struct qk_baggage *b);

/* Whether the turn has something to pass on; then a reference to that, for a message or a timer. On the fiber. */
static inline bool qk_baggage_has(const struct qk_turn_state *t)
{
    return t->baggage != NULL || t->passes != NULL;
}
int qk_baggage_pass(struct qk_turn_state *t, struct qk_baggage **ret_baggage);

/* Gives a message what the turn passes on, and a span of its own where the request is recorded. */
int qk_baggage_send(struct qk_turn_state *t, struct qk_msg *msg, struct qk_ref to);

/* The block of one message that is sent on behalf of `from`, with a span of its own in the recording. Without memory it
 * is `from` itself. A reference. */
struct qk_baggage *qk_baggage_fork(struct qk_worker *w, struct qk_baggage *from, const struct qk_msg *msg,
                                   const char *key, uint32_t key_len);

/* Begins the recording that a call from outside asks for, in its block, which nobody else has yet. 0, QK_EOVERLOADED,
 * QK_ENOMEMORY; why not. */
int qk_baggage_record(struct qk_worker *w, const struct qk_msg *msg, const char *key, uint32_t key_len,
                      const char **ret_why);

/* The turn ends. */
void qk_baggage_leave(struct qk_turn_state *t);

/* The value of an entry, or the traceparent with the turn's own span; NULL when there is none. On the fiber. */
const char *qk_baggage_get(struct qk_turn_state *t, const char *name);

/* Sets an entry (value NULL: takes it out) for what the turn does from here on. 0, QK_EINVALID, QK_ETOOBIG,
 * QK_ENOMEMORY; why not. On the fiber. */
int qk_baggage_set(struct qk_turn_state *t, const char *name, const char *value, const char **ret_why);

/* ---- recordings (recorder.c) */

struct qk_span;

struct qk_recorder *qk_recorder_create(struct qk_runtime *rt, int *ret_status);
struct qk_recorder *qk_recorder_ref(struct qk_recorder *r);
void qk_recorder_unref(struct qk_recorder *r);

/* Notes a message that is sent now; its number, 0 when it is left out. */
uint32_t qk_recorder_add(struct qk_worker *w, struct qk_recorder *r, const struct qk_span *span);

/* The turn of a message with a recording begins; gets the thread; gives it up. */
void qk_recorder_begin(struct qk_worker *w, struct qk_turn_state *t);
void qk_recorder_enter(struct qk_worker *w, struct qk_turn_state *t);
void qk_recorder_ran(struct qk_worker *w, struct qk_turn_state *t);

/* The message has ended, with or without a turn. */
void qk_recorder_end(struct qk_worker *w, const struct qk_baggage *b, int status);

/* The trace that it is of. */
void qk_recorder_name(struct qk_recorder *r, const uint8_t trace_id[16]);

/* Ends the recording with a reply, which then goes out with the spans behind it: once everything that was sent has
 * ended, or after QK_TRACE_WAIT_MS or shortly before the deadline. Takes the frame. On the worker's stack. */
void qk_recorder_answer(struct qk_worker *w, struct qk_recorder *r, struct qk_port_frame *reply, int64_t deadline_ns);
void qk_recorder_due(struct qk_worker *w, struct qk_deadline *deadline);

/* Holds nothing back any more: the runtime stops. */
void qk_recorder_release_all(struct qk_worker *w);

#endif
