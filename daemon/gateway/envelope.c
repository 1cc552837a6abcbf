/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads and writes the envelopes of frames. */
#include "gateway/envelope.h"

#include <stdbool.h>
#include <string.h>
#include "base/cpu.h"
#include "base/limits.h"
#include "wire/check.h"
#include "wire/context.h"
#include <quark/status.h>

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

#define TAG(number, type) ((number) << 3 | (type))
#define NUMBER_MAX        ((1u << 29) - 1)

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

/* ---- reading */

static bool read_long_varint(struct reader *r, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        uint8_t b = *r->at++;
        value |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *ret_value = value;
            return shift < 63 || b <= 1;
        }
    }
    return false;
}

static inline bool read_varint(struct reader *r, uint64_t *ret_value)
{
    if (qk_likely(r->at < r->end && *r->at < 0x80)) {
        *ret_value = *r->at++;
        return true;
    }
    return read_long_varint(r, ret_value);
}

/* A tag or a length: at most five bytes, as qk_wire_check() has it. */
static inline bool read_short_varint(struct reader *r, uint64_t *ret_value)
{
    const uint8_t *from = r->at;
    return read_varint(r, ret_value) && r->at - from <= 5;
}

static inline bool read_u32(struct reader *r, uint32_t *ret_value)
{
    uint64_t value;
    if (!read_varint(r, &value))
        return false;
    *ret_value = (uint32_t)value; /* as protobuf has it: the upper half is cut */
    return true;
}

static inline bool read_fixed32(struct reader *r, uint32_t *ret_value)
{
    if (r->end - r->at < 4)
        return false;
    *ret_value = qk_get32(r->at);
    r->at += 4;
    return true;
}

static inline bool read_fixed64(struct reader *r, uint64_t *ret_value)
{
    if (r->end - r->at < 8)
        return false;
    *ret_value = (uint64_t)qk_get32(r->at) | (uint64_t)qk_get32(r->at + 4) << 32;
    r->at += 8;
    return true;
}

static inline bool read_bytes(struct reader *r, const uint8_t **ret_bytes, uint32_t *ret_len)
{
    uint64_t len;
    if (!read_short_varint(r, &len) || len > (uint64_t)(r->end - r->at))
        return false;
    *ret_bytes = r->at;
    *ret_len = (uint32_t)len;
    r->at += len;
    return true;
}

/* Passes over a member that this version does not know: its number is above `known`. */
static bool skip(struct reader *r, uint64_t tag, unsigned known)
{
    uint64_t number = tag >> 3, value;
    const uint8_t *bytes;
    uint32_t len;
    if (number <= known || number > NUMBER_MAX)
        return false;
    switch (tag & 7) {
    case VARINT:
        return read_varint(r, &value);
    case FIXED64:
        return read_fixed64(r, &value);
    case FIXED32:
        return read_fixed32(r, &len);
    case BYTES:
        return read_bytes(r, &bytes, &len);
    default:
        return false;
    }
}

static bool parse_hello(struct reader *r, struct qk_envelope *e)
{
    while (r->at < r->end) {
        uint64_t tag;
        bool ok = read_short_varint(r, &tag);
        if (!ok)
            return false;
        switch (tag) {
        case TAG(1, VARINT):
            ok = read_u32(r, &e->version_major);
            break;
        case TAG(2, VARINT):
            ok = read_u32(r, &e->version_minor);
            break;
        case TAG(3, BYTES):
            ok = read_bytes(r, &e->bytes, &e->bytes_len) && qk_wire_is_utf8(e->bytes, e->bytes_len) &&
                 memchr(e->bytes, 0, e->bytes_len) == NULL;
            break;
        default:
            ok = skip(r, tag, 3);
        }
        if (!ok)
            return false;
    }
    return true;
}

static bool parse_call(struct reader *r, struct qk_envelope *e)
{
    while (r->at < r->end) {
        uint64_t tag, flag;
        bool ok = read_short_varint(r, &tag);
        if (!ok)
            return false;
        switch (tag) {
        case TAG(1, VARINT):
            ok = read_varint(r, &e->id);
            break;
        case TAG(2, FIXED64):
            ok = read_fixed64(r, &e->type_id);
            break;
        case TAG(3, FIXED32):
            ok = read_fixed32(r, &e->method_id);
            break;
        case TAG(4, BYTES):
            ok = read_bytes(r, &e->bytes, &e->bytes_len);
            break;
        case TAG(5, VARINT):
            ok = read_u32(r, &e->timeout_ms);
            break;
        case TAG(6, VARINT):
            ok = read_varint(r, &flag);
            e->one_way = ok && flag != 0;
            break;
        case TAG(7, VARINT):
            ok = read_varint(r, &e->request_id);
            break;
        case TAG(8, BYTES): /* once: a parser would merge two of them */
            ok = e->context == NULL && read_bytes(r, &e->context, &e->context_len) &&
                 qk_context_parses(e->context, e->context_len);
            break;
        default:
            ok = skip(r, tag, 8);
        }
        if (!ok)
            return false;
    }
    return true;
}

/* Cancel and Admin: an id and nothing else. */
static bool parse_id(struct reader *r, struct qk_envelope *e)
{
    while (r->at < r->end) {
        uint64_t tag;
        if (!read_short_varint(r, &tag) || !(tag == TAG(1, VARINT) ? read_varint(r, &e->id) : skip(r, tag, 1)))
            return false;
    }
    return true;
}

static bool parse_body(enum qk_envelope_kind kind, struct reader *body, struct qk_envelope *e)
{
    e->kind = kind;
    switch (kind) {
    case QK_ENVELOPE_HELLO:
        return parse_hello(body, e);
    case QK_ENVELOPE_CALL:
        return parse_call(body, e);
    case QK_ENVELOPE_CANCEL:
    case QK_ENVELOPE_ADMIN:
        return parse_id(body, e);
    case QK_ENVELOPE_WELCOME:
    case QK_ENVELOPE_REPLY:
    case QK_ENVELOPE_GO_AWAY:
    case QK_ENVELOPE_TRACE:
        break;
    }
    return false;
}

int qk_envelope_parse(const uint8_t *data, size_t size, struct qk_envelope *ret_envelope)
{
    struct reader r = {data, data + size};
    *ret_envelope = (struct qk_envelope){.kind = 0};
    if (size > QK_ENVELOPE_MAX)
        return QK_EPROTOCOL;
    while (r.at < r.end) {
        uint64_t tag;
        if (!read_short_varint(&r, &tag))
            return QK_EPROTOCOL;
        if (tag >> 3 >= QK_ENVELOPE_HELLO && tag >> 3 <= QK_ENVELOPE_TRACE) {
            struct reader body;
            uint32_t len;
            if ((tag & 7) != BYTES || ret_envelope->kind != 0 || !read_bytes(&r, &body.at, &len))
                return QK_EPROTOCOL;
            body.end = body.at + len;
            if (!parse_body((enum qk_envelope_kind)(tag >> 3), &body, ret_envelope))
                return QK_EPROTOCOL;
        } else if (!skip(&r, tag, QK_ENVELOPE_TRACE)) {
            return QK_EPROTOCOL;
        }
    }
    return ret_envelope->kind != 0 ? 0 : QK_EPROTOCOL;
}

/* ---- writing */

static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

/* Numbers that are 0 are left out, as proto3 has it. */
static inline uint8_t *put_number(uint8_t *p, unsigned field, uint64_t v)
{
    if (v == 0)
        return p;
    *p++ = (uint8_t)TAG(field, VARINT);
    return put_varint(p, v);
}

static inline uint8_t *put_text(uint8_t *p, unsigned field, const char *text, size_t len)
{
    if (len == 0)
        return p;
    *p++ = (uint8_t)TAG(field, BYTES);
    p = put_varint(p, len);
    return (uint8_t *)memcpy(p, text, len) + len;
}

static inline uint64_t zigzag(int32_t v)
{
    return (uint32_t)v << 1 ^ (uint32_t)(v >> 31);
}

/* What a body's length takes: it is written before the body, so room for the longest is kept. */
#define LENGTH_BYTES 2

static inline uint8_t *begin_body(uint8_t *to)
{
    return to + QK_FRAME_HEAD + 1 + LENGTH_BYTES;
}

/* Writes head, tag and length in front of a body that ends at `end`. The length takes two bytes always: a varint may
 * have zero bits on top. */
static inline size_t end_body(uint8_t *to, uint8_t *end, enum qk_envelope_kind kind, uint32_t payload_len)
{
    size_t body = (size_t)(end - begin_body(to));
    qk_put32(to, (uint32_t)(body + 1 + LENGTH_BYTES));
    qk_put32(to + 4, payload_len);
    to[8] = (uint8_t)TAG(kind, BYTES);
    to[9] = (uint8_t)(body | 0x80);
    to[10] = (uint8_t)(body >> 7);
    return (size_t)(end - to);
}

_Static_assert(QK_ENVELOPE_ROOM + QK_ERROR_TEXT_MAX < 1 << 14, "two bytes hold the length of every body");

size_t qk_envelope_put_welcome(uint8_t *to, const char *silo, uint32_t payload_max, uint32_t in_flight_max)
{
    uint8_t *p = put_number(begin_body(to), 1, QK_PROTOCOL_MAJOR);
    p = put_number(p, 2, QK_PROTOCOL_MINOR);
    p = put_text(p, 3, silo, strnlen(silo, QK_ERROR_TEXT_MAX));
    p = put_number(p, 4, payload_max);
    p = put_number(p, 5, in_flight_max);
    return end_body(to, p, QK_ENVELOPE_WELCOME, 0);
}

size_t qk_envelope_put_reply(uint8_t *to, uint64_t id, int32_t status, const char *text, size_t text_len,
                             int may_have_run, uint32_t payload_len)
{
    uint8_t *p = put_number(begin_body(to), 1, id);
    p = put_number(p, 2, zigzag(status));
    p = put_text(p, 3, text, text_len);
    p = put_number(p, 4, may_have_run != 0);
    return end_body(to, p, QK_ENVELOPE_REPLY, payload_len);
}

size_t qk_envelope_put_trace(uint8_t *to, uint64_t id, uint32_t payload_len)
{
    return end_body(to, put_number(begin_body(to), 1, id), QK_ENVELOPE_TRACE, payload_len);
}

size_t qk_envelope_put_go_away(uint8_t *to, int32_t status, const char *text)
{
    uint8_t *p = put_number(begin_body(to), 1, zigzag(status));
    p = put_text(p, 2, text, strnlen(text, QK_ERROR_TEXT_MAX));
    return end_body(to, p, QK_ENVELOPE_GO_AWAY, 0);
}
