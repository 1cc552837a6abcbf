/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of the port: calls from outside become messages, what comes of them becomes reply frames that are gathered and
 * delivered once a round. Everything here runs on a worker's own stack.
 */
#include "runtime/context.h"
#include "runtime/frames.h"

#include <stdlib.h>
#include <string.h>

void qk_frames_out(struct qk_worker *w, struct qk_port_frame *frame)
{
    struct qk_port_frame *head = atomic_load_explicit(&w->out, memory_order_relaxed);
    do {
        frame->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&w->out, &head, frame, memory_order_release, memory_order_relaxed));
}

void qk_frames_deliver(struct qk_worker *w)
{
    if (atomic_load_explicit(&w->out, memory_order_relaxed) == NULL)
        return;
    struct qk_port_frame *newest = atomic_exchange_explicit(&w->out, NULL, memory_order_acquire);
    struct qk_port_frame *chain = NULL;
    while (newest != NULL) {
        struct qk_port_frame *next = newest->next;
        newest->next = chain;
        chain = newest;
        newest = next;
    }
    if (chain != NULL)
        w->rt->config.deliver(w->rt->config.deliver_arg, chain);
}

/* A frame for a reply of `size` bytes: the call's own where they fit. NULL without memory. */
static struct qk_port_frame *room_for(struct qk_port_frame *frame, size_t size)
{
    if (size <= frame->capacity)
        return frame;
    struct qk_port_frame *larger = qk_port_frame_create(size);
    if (larger == NULL)
        return NULL;
    larger->origin = frame->origin;
    larger->call_id = frame->call_id;
    larger->type_id = frame->type_id;
    larger->method_id = frame->method_id;
    larger->request_id = frame->request_id;
    qk_port_frame_destroy(frame);
    return larger;
}

/* Turns a frame into its reply; the frame to use from then on. */
static struct qk_port_frame *make_reply(struct qk_port_frame *frame, int status, const char *text,
                                        const ProtobufCMessage *reply, bool may_have_run)
{
    size_t payload = reply != NULL ? protobuf_c_message_get_packed_size(reply) : 0;
    if (payload > QK_PAYLOAD_MAX) {
        status = QK_ETOOBIG;
        text = "the reply is larger than a frame may be";
        payload = 0;
    }
    size_t text_len = strnlen(text, QK_ERROR_TEXT_MAX);
    struct qk_port_frame *larger = room_for(frame, payload + text_len);
    if (larger == NULL) {
        status = QK_ENOMEMORY;
        payload = text_len = 0;
    } else {
        frame = larger;
    }
    frame->kind = QK_PORT_REPLY;
    frame->status = status;
    frame->may_have_run = may_have_run;
    frame->key_len = 0;
    frame->text_len = (uint32_t)text_len;
    frame->payload_len = (uint32_t)payload;
    frame->context_len = 0;
    frame->sender_len = frame->chain_len = 0;
    memcpy(frame->bytes, text, text_len);
    if (payload != 0)
        protobuf_c_message_pack(reply, frame->bytes + text_len);
    return frame;
}

struct qk_port_frame *qk_frames_add_spans(struct qk_port_frame *reply, const uint8_t *spans, size_t spans_len)
{
    size_t size = reply->text_len + reply->payload_len;
    if (size + spans_len > reply->capacity) {
        struct qk_port_frame *larger = qk_port_frame_create(size + spans_len);
        if (larger == NULL)
            return reply;
        uint32_t capacity = larger->capacity;
        *larger = *reply;
        larger->capacity = capacity;
        memcpy(larger->bytes, reply->bytes, size);
        qk_port_frame_destroy(reply);
        reply = larger;
    }
    memcpy(reply->bytes + size, spans, spans_len);
    reply->context_len = (uint32_t)spans_len;
    return reply;
}

void qk_frames_reply(struct qk_worker *w, struct qk_port_frame *frame, int status, const char *text,
                     const ProtobufCMessage *reply, bool may_have_run)
{
    qk_frames_out(w, make_reply(frame, status, text, reply, may_have_run));
}

void qk_frames_acknowledge(struct qk_worker *w, struct qk_port_frame *ack, struct qk_baggage *recorded,
                           int64_t deadline_ns)
{
    if (qk_likely(recorded == NULL)) {
        qk_frames_reply(w, ack, 0, "", NULL, true);
        return;
    }
    qk_recorder_answer(w, recorded->recorder, make_reply(ack, 0, "", NULL, true), deadline_ns);
    qk_baggage_unref(recorded);
}

void qk_frames_answer(struct qk_worker *w, struct qk_msg *msg, int status, const char *text,
                      const ProtobufCMessage *reply, bool may_have_run)
{
    struct qk_port_frame *frame = make_reply(msg->frame, status, text, reply, may_have_run);
    if (qk_unlikely(msg->baggage != NULL) && msg->baggage->recorder != NULL)
        qk_recorder_answer(w, msg->baggage->recorder, frame, msg->deadline_ns);
    else
        qk_frames_out(w, frame);
}

static void refuse(struct qk_worker *w, struct qk_port_frame *frame, int status, const char *text)
{
    qk_frames_reply(w, frame, status, text, NULL, false);
}

/* Who calls, and who waits for it. A copy: the reply, which may name the caller, goes where the frame's bytes are. */
static void sign(struct qk_msg *msg, const struct qk_port_frame *frame)
{
    uint64_t *chain = qk_msg_extra(msg);
    char *sender = (char *)(chain + frame->chain_len);
    memcpy(chain, qk_port_frame_chain(frame), frame->chain_len * sizeof(*chain));
    memcpy(sender, qk_port_frame_sender(frame), frame->sender_len);
    msg->chain = chain;
    msg->chain_len = (uint8_t)frame->chain_len;
    msg->sender = sender;
}

static void accept_call(struct qk_worker *w, struct qk_port_frame *frame)
{
    struct qk_runtime *rt = w->rt;
    if (frame->key_len == 0 || frame->key_len > QK_KEY_MAX) {
        refuse(w, frame, QK_EINVALID, "a key has 1 to 512 bytes");
        return;
    }
    bool outside = frame->sender_len == 0; /* else it is of an actor that another runtime has */
    if (qk_runtime_phase(rt) >= (outside ? QK_RUNTIME_DRAINING : QK_RUNTIME_STOPPING)) {
        refuse(w, frame, QK_EUNAVAILABLE, "the silo stops");
        return;
    }
    if (qk_unlikely(outside && atomic_load_explicit(&rt->memory, memory_order_relaxed) == QK_MEMORY_FULL)) {
        qk_count(&w->refused, 1);
        refuse(w, frame, QK_EOVERLOADED,
               "the silo is short of memory (runtime.memory) and takes no calls from outside for now");
        return;
    }
    struct qk_rt_type *type = qk_types_find(&rt->types, frame->type_id);
    const struct qk_rt_method *method = type != NULL ? qk_type_method(type, frame->method_id) : NULL;
    if (method == NULL) {
        refuse(w, frame, QK_ENOTFOUND,
               type == NULL ? "no plugin that is loaded has this actor type"
                            : "the loaded version of this actor type has no such method");
        return;
    }
    struct qk_msg *msg = qk_msg_create(w, QK_MSG_FRAME, frame->chain_len * sizeof(uint64_t) + frame->sender_len);
    if (msg == NULL) {
        refuse(w, frame, QK_ENOMEMORY, "out of memory");
        return;
    }
    msg->type = type;
    msg->method = method;
    msg->called = method->desc;
    msg->frame = frame;
    if (!outside)
        sign(msg, frame);
    const char *why;
    int rc = frame->context_len == 0
                 ? 0
                 : qk_baggage_parse(qk_port_frame_context(frame), frame->context_len, &msg->baggage, &why);
    if (qk_unlikely(rc < 0)) {
        qk_msg_fail(w, msg, rc, why);
        return;
    }
    if (qk_unlikely(msg->baggage != NULL) && msg->baggage->record &&
        (rc = qk_baggage_record(w, msg, qk_port_frame_key(frame), frame->key_len, &why)) < 0) {
        qk_msg_fail(w, msg, rc, why);
        return;
    }
    msg->request_id = frame->request_id;
    if (msg->request_id == 0)
        msg->request_id = atomic_fetch_add_explicit(&rt->request_ids, 1, memory_order_relaxed);
    msg->sent_ns = w->now_ns;
    uint32_t timeout_ms = method->desc->deadline_ms != 0 ? method->desc->deadline_ms : rt->config.default_timeout_ms;
    msg->deadline_ns = frame->deadline_ns != 0 ? frame->deadline_ns : w->now_ns + (int64_t)timeout_ms * 1000000;
    qk_count(&w->frames_in, 1);
    if (frame->kind == QK_PORT_SEND) {
        /* Answered once it is in the mailbox, by a frame of its own: the payload is still needed then. */
        struct qk_port_frame *ack = qk_port_frame_create(0);
        if (ack == NULL) {
            qk_msg_fail(w, msg, QK_ENOMEMORY, "out of memory");
            return;
        }
        ack->origin = frame->origin;
        ack->call_id = frame->call_id;
        msg->acknowledge = ack;
    }
    qk_msg_dispatch(w, msg, qk_port_frame_key(frame), frame->key_len);
}

static void accept_deactivate(struct qk_worker *w, struct qk_port_frame *frame)
{
    struct qk_rt_type *type = qk_types_find(&w->rt->types, frame->type_id);
    struct qk_act *act = type != NULL ? qk_act_locate(w, type, qk_port_frame_key(frame), frame->key_len, false) : NULL;
    if (act == NULL) {
        refuse(w, frame, QK_ENOTFOUND,
               type == NULL ? "no plugin that is loaded has this actor type" : "the actor is not active");
        return;
    }
    if (!qk_mailbox_claim(&act->mailbox)) {
        refuse(w, frame, QK_ESTATE, "the actor is at work; try again when it rests");
        return;
    }
    if (act->ender != NULL) /* it waits for its children */
        refuse(w, frame, QK_ESTATE, "the actor ends already");
    else
        act->ender = frame;
    act->ending = QK_DEACTIVATE_REQUESTED;
    qk_worker_schedule(w, act, false);
}

void qk_frames_accept(struct qk_worker *w, struct qk_port_frame *chain)
{
    qk_load_look(w);
    while (chain != NULL) {
        struct qk_port_frame *frame = chain;
        chain = frame->next;
        switch (frame->kind) {
        case QK_PORT_CALL:
        case QK_PORT_SEND:
            accept_call(w, frame);
            break;
        case QK_PORT_DEACTIVATE:
            accept_deactivate(w, frame);
            break;
        case QK_PORT_CANCEL:
            qk_cancel_origin(w, frame->origin, frame->call_id);
            qk_port_frame_destroy(frame);
            break;
        case QK_PORT_STORED:
            qk_state_answer(w, frame);
            break;
        case QK_PORT_REPLY:
            qk_remote_answer(w, frame);
            break;
        default: /* nothing that comes in */
            qk_port_frame_destroy(frame);
            break;
        }
    }
}
