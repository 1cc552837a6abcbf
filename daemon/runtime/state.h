/* SPDX-License-Identifier: Apache-2.0 */
/* Stored state and journals of activations: what waits for the store, and what lies behind a state (state.c,
 * journal.c).
 */
#ifndef QK_RUNTIME_STATE_H
#define QK_RUNTIME_STATE_H

#include "runtime/internal.h"

/* One request to the store, or several of them in a row. The first three are those of enum qk_state_operation. */
enum qk_state_step {
    QK_STEP_LOAD = QK_STATE_LOAD,
    QK_STEP_SAVE = QK_STATE_SAVE,
    QK_STEP_CLEAR = QK_STATE_CLEAR,
    QK_STEP_SNAPSHOT_READ = 16, /* those of journals */
    QK_STEP_SNAPSHOT_WRITE,
    QK_STEP_APPEND,
    QK_STEP_REPLAY,
    QK_STEP_FINISH, /* asks for nothing: ends an operation of several steps */
};

/* An operation on stored state that a fiber waits for; on its stack. */
struct qk_state_wait {
    struct qk_memo memo;        /* first */
    struct qk_state_wait *next; /* of the same activation, by a turn that interleaves */
    struct qk_fiber *fiber;
    struct qk_port_frame *frame;  /* the answer */
    struct qk_journal_work *work; /* of a journal */
    uint32_t step;                /* enum qk_state_step */
    bool keeps;                   /* no other operation of the activation begins before its QK_STEP_FINISH */
    bool sent;                    /* the worker knows of it */
    bool asked;                   /* and has begun with it */
    bool done;
    int status;
};

/* Lies at the end of what is behind the state of an activation whose type stores it. */
struct qk_stored {
    uint64_t version;            /* as the store last gave it */
    struct qk_state_wait *first; /* the operation under way, and those that wait until it is over */
};

/* Lies before that where the type has a journal. */
struct qk_journal {
    uint64_t position; /* of the last event that is in the state */
    uint64_t snapshot; /* of the last snapshot that was read, or written or tried */
    bool loaded;       /* else nothing can be appended */
    bool spoilt;       /* an event that is stored could not be folded: the state is none */
};

static inline struct qk_stored *qk_stored_of(const struct qk_act *act)
{
    return (struct qk_stored *)(void *)(act->body + act->type->state_size - sizeof(struct qk_stored));
}

static inline struct qk_journal *qk_journal_of(const struct qk_act *act)
{
    return (struct qk_journal *)(void *)qk_stored_of(act) - 1;
}

/* ---- state.c */

/* Has the worker do a step, and suspends until it is done. On the fiber. */
int qk_state_step(struct qk_state_wait *wait, enum qk_state_step step);

/* A frame that asks for something of the activation, with room for `size` bytes; NULL without memory. */
struct qk_port_frame *qk_state_frame(const struct qk_act *act, enum qk_port_store store, size_t size);

/* ---- events that have been unpacked (journal.c) */

struct qk_page {
    struct qk_page *next; /* of the turn */
    struct qk_arena arena;
    size_t bytes; /* that the events take at most */
    uint64_t first;
    uint32_t n;
    ProtobufCMessage **events;
};

/* What an operation on a journal needs beside its wait; on the fiber's stack. */
struct qk_journal_work {
    struct qk_page *page;
    const ProtobufCMessage *events; /* to be appended */
    uint32_t n_events;
    bool more;               /* further events are there */
    bool folded;             /* `state` is what the activation gets */
    uint64_t position;       /* of the last event that is done with */
    uint64_t snapshot;       /* of the one that was read */
    uint64_t version;        /* of it, for the store */
    ProtobufCMessage *state; /* being folded; made with malloc */
};

/* On the fiber. */
int qk_journal_load(struct qk_turn_state *t);
int qk_journal_append(struct qk_turn_state *t, const ProtobufCMessage *events, uint32_t n);
uint64_t qk_journal_position(const struct qk_turn_state *t);
int qk_journal_replay(struct qk_turn_state *t, uint64_t from, qk_event_fn fn, void *arg);

/* Whether the state can't go on after a failure. */
bool qk_journal_is_spoilt(const struct qk_act *act);

/* Frees what a turn that left its stack had of events. */
void qk_journal_unwind(struct qk_turn_state *t);

/* For state.c, on the worker's stack: makes the frame of a step, takes its answer in, ends the operation. Less than 0
 * with the text of the error. */
int qk_journal_ask(struct qk_state_wait *wait, struct qk_port_frame **ret_frame, const char **ret_text);
int qk_journal_take(struct qk_state_wait *wait, const struct qk_port_frame *frame, const char **ret_text);
void qk_journal_finish(struct qk_state_wait *wait);

#endif
