/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stored state of activations: loading, saving and clearing it through the port.
 *
 * A handler asks on its fiber and is suspended; its worker then packs the state on a stack of its own, since packing
 * and unpacking go as deep as the message does. The answer enters the runtime anywhere and is handed to that worker.
 * The version of what is stored lies behind the state. The operations of one activation, which several of its turns may
 * want where they interleave, go out one after another: each expects the version that the one before has left. Those on
 * a journal (journal.c) take several steps, with the fiber's work in between, and keep their place until the last.
 */
#include "runtime/state.h"
#include "runtime/frames.h"

#include <stdlib.h>
#include "wire/check.h"
#include "wire/message.h"

static int fail(struct qk_turn_state *t, int status, const char *text)
{
    t->error_text = text;
    return status;
}

int qk_state_step(struct qk_state_wait *wait, enum qk_state_step step)
{
    struct qk_fiber *fiber = wait->fiber;
    wait->memo.kind = QK_MEMO_STORED;
    wait->step = step;
    wait->sent = wait->asked = wait->done = false;
    fiber->state = wait;
    fiber->asks = true;
    while (!wait->done)
        qk_turn_suspend(fiber);
    fiber->state = NULL;
    return wait->status;
}

int qk_state_run(struct qk_turn_state *t, uint32_t operation)
{
    if (!t->act->type->stored)
        return fail(t, QK_EINVALID, "the state of this actor type is not stored: its declaration names no `store`");
    if (operation < QK_STATE_LOAD || operation > QK_STATE_CLEAR)
        return fail(t, QK_EINVALID, "unknown operation on stored state");
    if (t->act->type->journaled && operation != QK_STATE_LOAD)
        return fail(t, QK_EINVALID, "the state of this actor type is made of its events: append one instead");
    if (t->act->type->journaled)
        return qk_journal_load(t);
    struct qk_state_wait wait = {.fiber = t->fiber};
    return qk_state_step(&wait, (enum qk_state_step)operation);
}

/* Ends a step of the first operation of its activation, and the operation unless it keeps its place; its turn goes on.
 */
static void finish(struct qk_worker *w, struct qk_state_wait *wait, int status, const char *text)
{
    if (!wait->keeps)
        qk_stored_of(wait->fiber->turn.act)->first = wait->next;
    wait->status = status;
    wait->done = true;
    wait->fiber->turn.error_text = text;
    qk_worker_ready(w, wait->fiber);
}

struct qk_port_frame *qk_state_frame(const struct qk_act *act, enum qk_port_store store, size_t size)
{
    struct qk_port_frame *frame = qk_port_frame_create(act->key_len + size);
    if (frame == NULL)
        return NULL;
    frame->kind = QK_PORT_STORE;
    frame->store = store;
    frame->type_id = act->type->id;
    frame->version = qk_stored_of(act)->version;
    frame->key_len = act->key_len;
    frame->payload_len = (uint32_t)size;
    memcpy(frame->bytes, qk_act_key(act), act->key_len);
    return frame;
}

static int ask(const struct qk_state_wait *wait, struct qk_port_frame **ret_frame, const char **ret_text)
{
    static const enum qk_port_store kinds[] = {
        [QK_STEP_LOAD] = QK_STORE_READ, [QK_STEP_SAVE] = QK_STORE_WRITE, [QK_STEP_CLEAR] = QK_STORE_CLEAR};
    const struct qk_act *act = wait->fiber->turn.act;
    const ProtobufCMessage *state = (const ProtobufCMessage *)(const void *)act->body;
    size_t size = wait->step == QK_STEP_SAVE ? protobuf_c_message_get_packed_size(state) : 0;
    if (size > QK_PAYLOAD_MAX) {
        *ret_text = "the state is larger than 4 MiB";
        return QK_ETOOBIG;
    }
    *ret_frame = qk_state_frame(act, kinds[wait->step], size);
    if (*ret_frame == NULL) {
        *ret_text = "out of memory";
        return QK_ENOMEMORY;
    }
    if (size > 0)
        protobuf_c_message_pack(state, (*ret_frame)->bytes + act->key_len);
    return 0;
}

/* Sends the first operation of its activation out, or ends it where that fails. */
static void start(struct qk_worker *w, struct qk_state_wait *wait)
{
    struct qk_turn_state *t = &wait->fiber->turn;
    struct qk_port_frame *frame = NULL;
    const char *text = "";
    wait->asked = true;
    if (wait->step == QK_STEP_FINISH) {
        wait->keeps = false;
        qk_journal_finish(wait);
        finish(w, wait, 0, t->error_text);
        return;
    }
    int rc = wait->work != NULL ? qk_journal_ask(wait, &frame, &text) : ask(wait, &frame, &text);
    if (rc < 0) {
        qk_port_frame_destroy(frame);
        finish(w, wait, rc, text);
        return;
    }
    frame->origin = wait;
    frame->request_id = t->request_id;
    atomic_fetch_add_explicit(&t->worker->storing, 1, memory_order_relaxed);
    qk_frames_out(w, frame);
}

/* Begins what can begin. */
static void go_on(struct qk_worker *w, const struct qk_stored *stored)
{
    while (stored->first != NULL && !stored->first->asked)
        start(w, stored->first);
}

void qk_state_send(struct qk_worker *w, struct qk_fiber *fiber)
{
    struct qk_state_wait *wait = fiber->state;
    struct qk_stored *stored = qk_stored_of(fiber->turn.act);
    struct qk_state_wait **last = &stored->first;
    wait->sent = true;
    if (*last != wait) { /* else it goes on with its next step */
        while (*last != NULL)
            last = &(*last)->next;
        wait->next = NULL;
        *last = wait;
    }
    go_on(w, stored);
}

void qk_state_answer(struct qk_worker *w, struct qk_port_frame *frame)
{
    struct qk_state_wait *wait = frame->origin;
    wait->frame = frame;
    qk_worker_tell(w, wait->fiber->turn.worker, &wait->memo);
}

/* Puts what was read in the place of the state. */
static int replace(struct qk_act *act, const struct qk_port_frame *frame)
{
    const ProtobufCMessageDescriptor *desc = act->type->desc->state;
    ProtobufCMessage *read = NULL;
    if (frame->version != 0) {
        int64_t bound = qk_wire_check(desc, qk_port_frame_payload(frame), frame->payload_len);
        if (bound < 0)
            return (int)bound;
        read = protobuf_c_message_unpack(desc, NULL, frame->payload_len, qk_port_frame_payload(frame));
        if (read == NULL)
            return QK_EINVALID;
    }
    ProtobufCMessage *state = (ProtobufCMessage *)(void *)act->body;
    qk_message_clear(desc, state);
    if (read != NULL) {
        /* What hangs on the message moves; only the struct itself is freed. */
        memcpy(state, read, desc->sizeof_message);
        free(read);
    }
    qk_stored_of(act)->version = frame->version;
    return 0;
}

static int take(const struct qk_state_wait *wait, const struct qk_port_frame *frame, const char **ret_text)
{
    struct qk_act *act = wait->fiber->turn.act;
    if (wait->step == QK_STEP_SAVE) {
        qk_stored_of(act)->version = frame->version;
        return 0;
    }
    int rc = replace(act, frame);
    if (rc < 0)
        *ret_text = "what is stored is not a message of the state's type, or is beyond the limits";
    return rc;
}

/* The text of an answer, where the turn can have it. */
static const char *keep_text(struct qk_turn_state *t, const struct qk_port_frame *frame)
{
    char *copy = qk_arena_alloc(&t->arena, frame->text_len + 1);
    if (copy == NULL)
        return "";
    memcpy(copy, qk_port_frame_text(frame), frame->text_len);
    copy[frame->text_len] = '\0';
    return copy;
}

void qk_state_told(struct qk_worker *w, struct qk_memo *memo)
{
    struct qk_state_wait *wait = (struct qk_state_wait *)memo;
    struct qk_port_frame *frame = wait->frame;
    struct qk_turn_state *t = &wait->fiber->turn;
    struct qk_stored *stored = qk_stored_of(t->act);
    atomic_fetch_sub_explicit(&w->storing, 1, memory_order_relaxed);
    const char *text = frame->status < 0 ? keep_text(t, frame) : "";
    int status = frame->status < 0 ? frame->status : 0;
    if (wait->work != NULL)
        status = qk_journal_take(wait, frame, &text);
    else if (status == 0)
        status = take(wait, frame, &text);
    qk_port_frame_destroy(frame);
    finish(w, wait, status, text);
    go_on(w, stored);
}
