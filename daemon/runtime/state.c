/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stored state of activations: loading, saving and clearing it through the port.
 *
 * A handler asks on its fiber and is suspended; its worker then packs the state on a stack of its own, since packing
 * and unpacking go as deep as the message does. The answer enters the runtime anywhere and is handed to that worker.
 * The version of what is stored lies behind the state.
 */
#include "runtime/internal.h"

#include <stdlib.h>
#include "wire/check.h"
#include "wire/message.h"

static uint64_t *version_of(const struct qk_act *act)
{
    return (uint64_t *)(void *)(act->body + act->type->state_size - sizeof(uint64_t));
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

static void finish(struct qk_worker *w, struct qk_state_wait *wait, int status, const char *text)
{
    wait->status = status;
    wait->done = true;
    wait->fiber->turn.error_text = text;
    qk_worker_ready(w, wait->fiber);
}

void qk_state_send(struct qk_worker *w, struct qk_fiber *fiber)
{
    static const uint32_t kinds[] = {
        [QK_STATE_LOAD] = QK_STORE_READ, [QK_STATE_SAVE] = QK_STORE_WRITE, [QK_STATE_CLEAR] = QK_STORE_CLEAR};
    struct qk_state_wait *wait = fiber->state;
    const struct qk_act *act = fiber->turn.act;
    const ProtobufCMessage *state = (const ProtobufCMessage *)(const void *)act->body;
    wait->sent = true;
    size_t size = wait->operation == QK_STATE_SAVE ? protobuf_c_message_get_packed_size(state) : 0;
    if (size > QK_PAYLOAD_MAX) {
        finish(w, wait, QK_ETOOBIG, "the state is larger than 4 MiB");
        return;
    }
    struct qk_port_frame *frame = qk_port_frame_create(act->key_len + size);
    if (frame == NULL) {
        finish(w, wait, QK_ENOMEMORY, "out of memory");
        return;
    }
    frame->kind = QK_PORT_STORE;
    frame->store = kinds[wait->operation];
    frame->origin = wait;
    frame->type_id = act->type->id;
    frame->request_id = fiber->turn.request_id;
    frame->version = *version_of(act);
    frame->key_len = act->key_len;
    frame->payload_len = (uint32_t)size;
    memcpy(frame->bytes, qk_act_key(act), act->key_len);
    if (size > 0)
        protobuf_c_message_pack(state, frame->bytes + act->key_len);
    qk_frames_out(w, frame);
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
    *version_of(act) = frame->version;
    return 0;
}

void qk_state_told(struct qk_worker *w, struct qk_memo *memo)
{
    struct qk_state_wait *wait = (struct qk_state_wait *)memo;
    struct qk_port_frame *frame = wait->frame;
    struct qk_turn_state *t = &wait->fiber->turn;
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
        *version_of(t->act) = frame->version;
    } else {
        status = replace(t->act, frame);
        if (status < 0)
            text = "what is stored is not a message of the state's type, or is beyond the limits";
    }
    qk_port_frame_destroy(frame);
    finish(w, wait, status, text);
}
