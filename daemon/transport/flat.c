/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between frames in memory and frames in a ring. */
#include "transport/flat.h"

#include <stdbool.h>
#include <string.h>
#include <quark/abi.h>
#include <quark/status.h>
#include "base/limits.h"

void qk_flat_from_frame(const struct qk_port_frame *f, uint64_t id, struct qk_flat *ret_flat)
{
    *ret_flat = (struct qk_flat){.kind = (uint8_t)f->kind,
                                 .store = (uint8_t)f->store,
                                 .may_have_run = f->may_have_run != 0,
                                 .more = f->more != 0,
                                 .status = f->status,
                                 .id = id,
                                 .type_id = f->type_id,
                                 .request_id = f->request_id,
                                 .deadline_ns = f->deadline_ns,
                                 .version = f->version,
                                 .method_id = f->method_id,
                                 .key_len = f->key_len,
                                 .text_len = f->text_len,
                                 .payload_len = f->payload_len,
                                 .context_len = f->context_len,
                                 .sender_len = f->sender_len,
                                 .chain_len = f->chain_len,
                                 .count = f->count};
}

int64_t qk_flat_check(const struct qk_flat *flat, uint32_t accepts)
{
    if (flat->kind == 0 || flat->kind >= QK_PORT_KINDS || (accepts & 1u << flat->kind) == 0)
        return QK_EPROTOCOL;
    if (flat->key_len > QK_FLAT_KEY_MAX || flat->text_len > QK_FLAT_TEXT_MAX || flat->payload_len > QK_PAYLOAD_MAX ||
        flat->context_len > QK_PAYLOAD_MAX || flat->sender_len > QK_FLAT_SENDER_MAX || flat->chain_len > QK_CHAIN_MAX)
        return QK_EPROTOCOL;
    if (flat->kind == QK_PORT_STORE && (flat->store < QK_STORE_READ || flat->store > QK_STORE_REPLAY))
        return QK_EPROTOCOL;
    if (flat->count > QK_EVENTS_MAX)
        return QK_EPROTOCOL;
    bool numbered = qk_flat_is_question(flat->kind) || qk_flat_is_answer(flat->kind) || flat->kind == QK_PORT_CANCEL;
    if (numbered && flat->id == 0)
        return QK_EPROTOCOL;
    if (qk_flat_is_answer(flat->kind) && (flat->key_len | flat->sender_len | flat->chain_len) != 0)
        return QK_EPROTOCOL;
    return (int64_t)flat->key_len + flat->text_len + flat->payload_len + flat->context_len + flat->sender_len +
           (int64_t)flat->chain_len * (int64_t)sizeof(uint64_t);
}

void qk_flat_to_frame(const struct qk_flat *flat, struct qk_port_frame *frame)
{
    frame->next = NULL;
    frame->kind = (enum qk_port_kind)flat->kind;
    frame->status = flat->status;
    frame->call_id = flat->id;
    frame->type_id = flat->type_id;
    frame->request_id = flat->request_id;
    frame->deadline_ns = flat->deadline_ns;
    frame->version = flat->version;
    frame->store = flat->store;
    frame->method_id = flat->method_id;
    frame->may_have_run = flat->may_have_run != 0;
    frame->more = flat->more != 0;
    frame->count = flat->count;
    frame->key_len = flat->key_len;
    frame->text_len = flat->text_len;
    frame->payload_len = flat->payload_len;
    frame->context_len = flat->context_len;
    frame->sender_len = flat->sender_len;
    frame->chain_len = flat->chain_len;
}

int qk_flat_check_bytes(const struct qk_port_frame *f)
{
    bool names_actor =
        f->kind == QK_PORT_CALL || f->kind == QK_PORT_SEND || f->kind == QK_PORT_STORE || f->kind == QK_PORT_DEACTIVATE;
    if (names_actor && f->key_len == 0)
        return QK_EPROTOCOL;
    const char *sender = qk_port_frame_sender(f);
    if (f->sender_len != 0 && memchr(sender, 0, f->sender_len) != sender + f->sender_len - 1)
        return QK_EPROTOCOL;
    return 0;
}

struct qk_port_frame *qk_flat_answer(struct qk_port_frame *frame, int status, const char *text, bool may_have_run)
{
    size_t len = strlen(text);
    struct qk_port_frame *larger = len > frame->capacity ? qk_port_frame_create(len) : NULL;
    if (larger != NULL) {
        larger->kind = frame->kind;
        larger->origin = frame->origin;
        larger->call_id = frame->call_id;
        larger->type_id = frame->type_id;
        larger->store = frame->store;
        qk_port_frame_destroy(frame);
        frame = larger;
    }
    if (len > frame->capacity)
        len = frame->capacity;
    frame->next = NULL;
    frame->kind = frame->kind == QK_PORT_STORE ? QK_PORT_STORED : QK_PORT_REPLY;
    frame->status = status;
    frame->may_have_run = may_have_run;
    frame->key_len = frame->payload_len = frame->context_len = frame->sender_len = frame->chain_len = 0;
    frame->text_len = (uint32_t)len;
    memcpy(frame->bytes, text, len);
    return frame;
}
