/* SPDX-License-Identifier: Apache-2.0 */
/* Packs and unpacks the spans of a recorded call. */
#include "wire/spans.h"

#include <stdlib.h>
#include <string.h>
#include <wire.pb-c.h>
#include "base/limits.h"
#include "wire/check.h"
#include <quark/status.h>

#define TAG_SPANS    (1u << 3 | 2u)
#define TAG_LEFT_OUT (2u << 3)
#define TAG_TRACE_ID (3u << 3 | 2u)

static uint8_t *put_varint(uint8_t *to, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *to++ = (uint8_t)(v | 0x80);
    *to++ = (uint8_t)v;
    return to;
}

uint8_t *qk_spans_put(uint8_t *to, const struct qk_span *span)
{
    char type[QK_SPAN_NAME_MAX + 1] = "", method[QK_SPAN_NAME_MAX + 1] = "";
    Quark__Wire__Span s = QUARK__WIRE__SPAN__INIT;
    strncat(type, span->type, QK_SPAN_NAME_MAX);
    strncat(method, span->method, QK_SPAN_NAME_MAX);
    s.parent = span->parent;
    s.kind = span->kind;
    s.state = span->state;
    s.status = span->status;
    s.type = type;
    s.key.data = (uint8_t *)span->key;
    s.key.len = span->key_len;
    s.method = method;
    s.id = span->id;
    s.start_ns = span->start_ns;
    s.queued_ns = span->queued_ns;
    s.run_ns = span->run_ns;
    s.suspended_ns = span->suspended_ns;
    s.worker = span->worker;
    *to++ = TAG_SPANS;
    to = put_varint(to, quark__wire__span__get_packed_size(&s));
    return to + quark__wire__span__pack(&s, to);
}

uint8_t *qk_spans_put_end(uint8_t *to, uint64_t left_out, const uint8_t trace_id[16])
{
    if (left_out != 0) {
        *to++ = TAG_LEFT_OUT;
        to = put_varint(to, left_out);
    }
    *to++ = TAG_TRACE_ID;
    *to++ = 16;
    memcpy(to, trace_id, 16);
    return to + 16;
}

static void visit_one(const Quark__Wire__Span *s, char *key, void (*visit)(void *arg, const struct qk_span *span),
                      void *arg)
{
    if (s->key.len != 0)
        memcpy(key, s->key.data, s->key.len);
    key[s->key.len] = '\0';
    struct qk_span span = {
        .parent = s->parent,
        .kind = s->kind,
        .state = s->state,
        .worker = s->worker,
        .status = s->status,
        .key_len = (uint32_t)s->key.len,
        .type = s->type,
        .method = s->method,
        .key = key,
        .id = s->id,
        .start_ns = s->start_ns,
        .queued_ns = s->queued_ns,
        .run_ns = s->run_ns,
        .suspended_ns = s->suspended_ns,
    };
    visit(arg, &span);
}

int qk_spans_visit(const uint8_t *data, size_t size, void (*visit)(void *arg, const struct qk_span *span), void *arg,
                   uint64_t *ret_left_out, uint8_t ret_trace_id[16])
{
    char key[512 + 1]; /* of QK_KEY_MAX bytes */
    struct qk_arena arena;
    ProtobufCMessage *message;
    int rc = QK_EPROTOCOL;
    qk_arena_init(&arena, QK_MESSAGE_ARENA_MAX);
    if (qk_wire_unpack(&quark__wire__spans__descriptor, data, size, &arena, &message) == 0) {
        const Quark__Wire__Spans *spans = (const Quark__Wire__Spans *)message;
        rc = spans->trace_id.len == 16 ? 0 : QK_EPROTOCOL;
        for (size_t i = 0; rc == 0 && i < spans->n_spans; i++) {
            if (spans->spans[i]->parent > i || spans->spans[i]->key.len >= sizeof(key))
                rc = QK_EPROTOCOL;
        }
        for (size_t i = 0; rc == 0 && i < spans->n_spans; i++)
            visit_one(spans->spans[i], key, visit, arg);
        if (rc == 0) {
            *ret_left_out = spans->left_out;
            memcpy(ret_trace_id, spans->trace_id.data, 16);
        }
    }
    qk_arena_finish(&arena);
    return rc;
}
