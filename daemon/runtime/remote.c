/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to actors that another runtime has, in another process: the request goes out through the port, the reply comes
 * back through it.
 *
 * Seen from the caller such a call is like any other: its message has two owners, the caller and, in the place of a
 * callee, the port, which answers every call once, whatever comes of it. Requests are packed on the worker's stack,
 * when the fiber has given up the thread; replies are unpacked there too, as those of a foreign layout are.
 */
#include "runtime/context.h"
#include "runtime/frames.h"

#include <stdlib.h>
#include "base/hash.h"

bool qk_remote_has_type(const struct qk_runtime *rt, uint64_t type_id)
{
    return rt->config.elsewhere != NULL && qk_types_find(&rt->types, type_id) == NULL &&
           rt->config.elsewhere(rt->config.elsewhere_arg, type_id);
}

void qk_remote_address(struct qk_worker *w, struct qk_msg *msg, void *at, struct qk_ref to)
{
    struct qk_remote *remote = at;
    remote->call_id = ++w->outgoing_ids;
    remote->one_way = false;
    remote->deadline_ns = 0;
    remote->key_len = (uint16_t)to.key_len;
    memcpy(remote->key, to.key, to.key_len);
    msg->remote = remote;
}

void qk_remote_post(struct qk_turn_state *t, struct qk_msg *msg)
{
    struct qk_worker *w = t->worker;
    struct qk_remote *remote = msg->remote;
    msg->target = qk_hash(remote->key, remote->key_len, w->rt->config.seed ^ msg->called->type_id);
    msg->link.next = NULL;
    if (w->outgoing == NULL)
        w->outgoing = msg;
    else
        w->outgoing_last->link.next = (struct qk_link *)msg;
    w->outgoing_last = msg;
    t->fiber->asks = true;
}

/* ---- out */

/* The frame of a call, whole; NULL where it can't be made, and the message has failed. */
static struct qk_port_frame *pack(struct qk_worker *w, struct qk_msg *msg)
{
    const struct qk_remote *remote = msg->remote;
    size_t payload = protobuf_c_message_get_packed_size(msg->request), sender = strlen(msg->sender) + 1;
    size_t context = msg->baggage != NULL ? qk_baggage_packed_size(msg->baggage) : 0;
    size_t chain_len = remote->one_way ? 0 : msg->chain_len;
    if (payload > QK_PAYLOAD_MAX) {
        qk_msg_fail(w, msg, QK_ETOOBIG, "the request is larger than a frame may be");
        return NULL;
    }
    struct qk_port_frame *f =
        qk_port_frame_create(remote->key_len + payload + context + sender + chain_len * sizeof(uint64_t));
    if (f == NULL) {
        qk_msg_fail(w, msg, QK_ENOMEMORY, "out of memory");
        return NULL;
    }
    f->kind = remote->one_way ? QK_PORT_SEND : QK_PORT_CALL;
    f->origin = msg;
    f->call_id = remote->call_id;
    f->type_id = msg->called->type_id;
    f->method_id = msg->called->id;
    f->request_id = msg->request_id;
    f->deadline_ns = remote->deadline_ns != 0 ? remote->deadline_ns : msg->deadline_ns;
    f->key_len = remote->key_len;
    f->payload_len = (uint32_t)payload;
    f->context_len = (uint32_t)context;
    f->sender_len = (uint32_t)sender;
    f->chain_len = (uint32_t)chain_len;
    memcpy(f->bytes, remote->key, remote->key_len);
    protobuf_c_message_pack(msg->request, f->bytes + remote->key_len);
    if (context != 0)
        qk_baggage_pack(msg->baggage, f->bytes + remote->key_len + payload);
    memcpy(f->bytes + remote->key_len + payload + context, msg->sender, sender);
    if (chain_len != 0)
        memcpy((uint8_t *)qk_port_frame_chain(f), msg->chain, chain_len * sizeof(uint64_t));
    return f;
}

void qk_remote_send(struct qk_worker *w)
{
    struct qk_msg *msg = w->outgoing;
    w->outgoing = NULL;
    while (msg != NULL) {
        struct qk_msg *next = (struct qk_msg *)msg->link.next;
        if (atomic_load_explicit(&msg->life, memory_order_relaxed) == QK_LIFE_ABANDONED) {
            qk_msg_destroy(w, msg); /* before it was sent, on this worker */
        } else {
            struct qk_port_frame *frame = pack(w, msg);
            if (frame != NULL)
                qk_frames_out(w, frame);
        }
        msg = next;
    }
}

void qk_remote_cancel(struct qk_worker *w, const struct qk_msg *msg)
{
    struct qk_port_frame *frame = qk_port_frame_create(0);
    if (frame == NULL)
        return; /* the turn goes on; its reply finds nobody */
    frame->kind = QK_PORT_CANCEL;
    frame->origin = (void *)(uintptr_t)msg;
    frame->call_id = msg->remote->call_id;
    frame->type_id = msg->called->type_id;
    qk_frames_out(w, frame);
}

/* ---- in */

/* Moves the reply's bytes into the message, where the caller's worker unpacks them. */
static int keep_payload(struct qk_msg *msg, const struct qk_port_frame *frame)
{
    uint8_t *bytes = qk_arena_alloc(&msg->arena, frame->payload_len + 1);
    if (bytes == NULL)
        return QK_ENOMEMORY;
    memcpy(bytes, qk_port_frame_payload(frame), frame->payload_len);
    msg->reply = (ProtobufCMessage *)bytes;
    msg->reply_size = frame->payload_len;
    return 0;
}

static const char *keep_text(struct qk_msg *msg, const struct qk_port_frame *frame)
{
    char *text = qk_arena_alloc(&msg->arena, frame->text_len + 1);
    if (text == NULL)
        return "";
    memcpy(text, qk_port_frame_text(frame), frame->text_len);
    text[frame->text_len] = '\0';
    return text;
}

void qk_remote_answer(struct qk_worker *w, struct qk_port_frame *frame)
{
    struct qk_msg *msg = frame->origin;
    msg->status = frame->status;
    msg->may_have_run = frame->may_have_run != 0;
    if (frame->status < 0) {
        msg->text = frame->text_len != 0 ? keep_text(msg, frame) : "";
    } else if (keep_payload(msg, frame) < 0) {
        msg->status = QK_ENOMEMORY;
        msg->text = "out of memory";
    }
    if (qk_unlikely(msg->baggage != NULL) && msg->baggage->recorder != NULL)
        qk_recorder_end(w, msg->baggage, msg->status);
    qk_port_frame_destroy(frame);
    qk_msg_complete(w, msg);
}
