/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stored state of activations: loading, saving and clearing it through the port.
 *
 * A handler asks on its fiber and is suspended; its worker then packs the state on a stack of its own, since packing
 * and unpacking go as deep as the message does. The answer enters the runtime anywhere and is handed to that worker.
 * The version of what is stored lies behind the state. The operations of one activation, which several of its turns may
 * want where they interleave, go out one after another: each expects the version that the one before has left.
 */
#include "runtime/internal.h"

#include <stdlib.h>
#include "wire/check.h"
#include "wire/message.h"

static struct qk_stored *stored_of(const struct qk_act *act)
{
    return (struct qk_stored *)(void *)(act->body + act->type->state_size - sizeof(struct qk_stored));
}

static int fail(struct qk_turn_state *t, int status, const char *text)
{
    t->error_text = text;
    return status;
}

int qk_state_run(struct qk_turn_state *t, uint32_t operation)
{
    if (!t->act->type->stored)
        return fail(t, QK_EINVALID, "the state of this actor type is not stored: its declaration names no `store`");
    if (operation < QK_STATE_LOAD || operation > QK_STATE_CLEAR)
        return fail(t, QK_EINVALID, "unknown operation on stored state");
    struct qk_state_wait wait = {.memo.kind = QK_MEMO_STORED, .fiber = t->fiber, .operation = operation};
    t->fiber->state = &wait;
    while (!wait.done)
        qk_turn_suspend(t->fiber);
    t->fiber->state = NULL;
    return wait.status;
}

/* Ends the first operation of its activation; its turn goes on. */
static void finish(struct qk_worker *w, struct qk_state_wait *wait, int status, const char *text)
{
    stored_of(wait->fiber->turn.act)->first = wait->next;
    wait->status = status;
    wait->done = true;
    wait->fiber->turn.error_text = text;
    qk_worker_ready(w, wait->fiber);
}

/* Sends the first operation of its activation out; false where that failed, and it has ended. */
static bool start(struct qk_worker *w, struct qk_state_wait *wait)
{
    static const uint32_t kinds[] = {
        [QK_STATE_LOAD] = QK_STORE_READ, [QK_STATE_SAVE] = QK_STORE_WRITE, [QK_STATE_CLEAR] = QK_STORE_CLEAR};
    const struct qk_act *act = wait->fiber->turn.act;
    const ProtobufCMessage *state = (const ProtobufCMessage *)(const void *)act->body;
    size_t size = wait->operation == QK_STATE_SAVE ? protobuf_c_message_get_packed_size(state) : 0;
    if (size > QK_PAYLOAD_MAX) {
        finish(w, wait, QK_ETOOBIG, "the state is larger than 4 MiB");
        return false;
    }
    struct qk_port_frame *frame = qk_port_frame_create(act->key_len + size);
    if (frame == NULL) {
        finish(w, wait, QK_ENOMEMORY, "out of memory");
        return false;
    }
    frame->kind = QK_PORT_STORE;
    frame->store = kinds[wait->operation];
    frame->origin = wait;
    frame->type_id = act->type->id;
    frame->request_id = wait->fiber->turn.request_id;
    frame->version = stored_of(act)->version;
    frame->key_len = act->key_len;
    frame->payload_len = (uint32_t)size;
    memcpy(frame->bytes, qk_act_key(act), act->key_len);
    if (size > 0)
        protobuf_c_message_pack(state, frame->bytes + act->key_len);
    atomic_fetch_add_explicit(&wait->fiber->turn.worker->storing, 1, memory_order_relaxed);
    qk_frames_out(w, frame);
    return true;
}

static void start_next(struct qk_worker *w, struct qk_stored *stored)
{
    while (stored->first != NULL && !start(w, stored->first))
        ;
}

void qk_state_send(struct qk_worker *w, struct qk_fiber *fiber)
{
    struct qk_state_wait *wait = fiber->state;
    struct qk_stored *stored = stored_of(fiber->turn.act);
    struct qk_state_wait **last = &stored->first;
    wait->sent = true;
    while (*last != NULL)
        last = &(*last)->next;
    *last = wait;
    if (stored->first == wait)
        start_next(w, stored);
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
    stored_of(act)->version = frame->version;
    return 0;
}

void qk_state_told(struct qk_worker *w, struct qk_memo *memo)
{
    struct qk_state_wait *wait = (struct qk_state_wait *)memo;
    struct qk_port_frame *frame = wait->frame;
    struct qk_turn_state *t = &wait->fiber->turn;
    atomic_fetch_sub_explicit(&w->storing, 1, memory_order_relaxed);
    int status = frame->status < 0 ? frame->status : 0;
    const char *text = "";
    if (status < 0) {
        char *copy = qk_arena_alloc(&t->arena, frame->text_len + 1);
        if (copy != NULL) {
            memcpy(copy, qk_port_frame_text(frame), frame->text_len);
            copy[frame->text_len] = '\0';
            text = copy;
        }
    } else if (wait->operation == QK_STATE_SAVE) {
        stored_of(t->act)->version = frame->version;
    } else {
        status = replace(t->act, frame);
        if (status < 0)
            text = "what is stored is not a message of the state's type, or is beyond the limits";
    }
    qk_port_frame_destroy(frame);
    struct qk_stored *stored = stored_of(t->act);
    finish(w, wait, status, text);
    start_next(w, stored);
}
