/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading the frames of the client protocol without an intermediate message. */
#include "codec.h"

#include <string.h>
#include "base/limits.h"
#include "wire/check.h"

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

enum body { HELLO = 1, CALL = 3, CANCEL = 5, ADMIN = 6 };

static uint8_t *put_u32(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)v;
    at[1] = (uint8_t)(v >> 8);
    at[2] = (uint8_t)(v >> 16);
    at[3] = (uint8_t)(v >> 24);
    return at + 4;
}

static uint8_t *put_varint(uint8_t *at, uint64_t v)
{
    while (v >= 0x80) {
        *at++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *at++ = (uint8_t)v;
    return at;
}

static uint8_t *put_tag(uint8_t *at, unsigned field, enum wire_type wire)
{
    *at = (uint8_t)(field << 3 | wire);
    return at + 1;
}

static uint8_t *put_number(uint8_t *at, unsigned field, uint64_t v)
{
    return v == 0 ? at : put_varint(put_tag(at, field, VARINT), v);
}

static uint8_t *put_bytes(uint8_t *at, unsigned field, const void *bytes, size_t size)
{
    at = put_varint(put_tag(at, field, BYTES), size);
    memcpy(at, bytes, size);
    return at + size;
}

/* The sizes and the envelope around a body of `body_size` bytes; where the body goes. */
static uint8_t *put_head(uint8_t *at, enum body body, size_t body_size, size_t payload)
{
    size_t envelope = body_size + (body_size < 0x80 ? 2 : 3);
    at = put_u32(at, (uint32_t)envelope);
    at = put_u32(at, (uint32_t)payload);
    return put_varint(put_tag(at, body, BYTES), body_size);
}

static size_t varint_size(uint64_t v)
{
    return (size_t)(63 - __builtin_clzll(v | 1)) / 7 + 1;
}

size_t qk_codec_call(uint8_t *at, uint64_t id, const struct qk_call_target *target, uint32_t timeout_ms,
                     const uint8_t *context, size_t context_len, size_t payload)
{
    uint32_t key_len = target->ref.key_len;
    size_t body = 1 + varint_size(id) + 9 + 5 + 1 + varint_size(key_len) + key_len +
                  (timeout_ms != 0 ? 1 + varint_size(timeout_ms) : 0) + (target->one_way ? 2 : 0) +
                  (context_len != 0 ? 1 + varint_size(context_len) + context_len : 0);
    uint8_t *to = put_head(at, CALL, body, payload);
    to = put_varint(put_tag(to, 1, VARINT), id);
    to = put_tag(to, 2, FIXED64);
    to = put_u32(to, (uint32_t)target->type_id);
    to = put_u32(to, (uint32_t)(target->type_id >> 32));
    to = put_u32(put_tag(to, 3, FIXED32), target->method_id);
    to = put_bytes(to, 4, target->ref.key, key_len);
    to = put_number(to, 5, timeout_ms);
    to = put_number(to, 6, target->one_way);
    if (context_len != 0)
        to = put_bytes(to, 8, context, context_len);
    return (size_t)(to - at);
}

static size_t put_id_only(uint8_t *at, enum body body, uint64_t id, size_t payload)
{
    uint8_t *to = put_head(at, body, 1 + varint_size(id), payload);
    return (size_t)(put_varint(put_tag(to, 1, VARINT), id) - at);
}

size_t qk_codec_admin(uint8_t *at, uint64_t id, size_t payload)
{
    return put_id_only(at, ADMIN, id, payload);
}

size_t qk_codec_cancel(uint8_t *at, uint64_t id)
{
    return put_id_only(at, CANCEL, id, 0);
}

size_t qk_codec_hello(uint8_t *at, const char *name)
{
    size_t name_len = strnlen(name, QK_CODEC_NAME_MAX);
    if (!qk_wire_is_utf8((const uint8_t *)name, name_len))
        name_len = 0;
    size_t body = 2 + (name_len != 0 ? 1 + varint_size(name_len) + name_len : 0);
    uint8_t *to = put_head(at, HELLO, body, 0);
    to = put_number(to, 1, QK_PROTOCOL_MAJOR);
    to = put_number(to, 2, QK_PROTOCOL_MINOR);
    if (name_len != 0)
        to = put_bytes(to, 3, name, name_len);
    return (size_t)(to - at);
}

_Static_assert(QK_PROTOCOL_MAJOR != 0 && QK_PROTOCOL_MAJOR < 128 && QK_PROTOCOL_MINOR == 0,
               "qk_codec_hello() counts two bytes for the version");

/* Reading. */

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

static bool get_varint(struct reader *r, uint64_t *ret_value)
{
    if (r->at < r->end && *r->at < 0x80) {
        *ret_value = *r->at++;
        return true;
    }
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

/* A tag or a length: at most five bytes, as qk_wire_check() has it. */
static bool get_short_varint(struct reader *r, uint64_t *ret_value)
{
    const uint8_t *from = r->at;
    return get_varint(r, ret_value) && r->at - from <= 5;
}

static bool get_tag(struct reader *r, uint32_t *ret_field, unsigned *ret_wire)
{
    uint64_t tag;
    if (!get_short_varint(r, &tag) || tag >> 3 == 0 || tag >> 3 > (1u << 29) - 1)
        return false;
    *ret_field = (uint32_t)(tag >> 3);
    *ret_wire = (unsigned)tag & 7;
    return true;
}

static bool get_bytes(struct reader *r, struct reader *ret_inner)
{
    uint64_t size;
    if (!get_short_varint(r, &size) || size > (uint64_t)(r->end - r->at))
        return false;
    *ret_inner = (struct reader){r->at, r->at + size};
    r->at += size;
    return true;
}

/* Passes over a member that this version does not know. */
static bool skip(struct reader *r, unsigned wire)
{
    uint64_t ignored;
    struct reader inner;
    switch (wire) {
    case VARINT:
        return get_varint(r, &ignored);
    case BYTES:
        return get_bytes(r, &inner);
    case FIXED64:
    case FIXED32: {
        size_t size = wire == FIXED64 ? 8 : 4;
        if ((size_t)(r->end - r->at) < size)
            return false;
        r->at += size;
        return true;
    }
    default:
        return false;
    }
}

#define FIELDS 9 /* one more than the highest number that a body uses */

/* Which members of a body are numbers and which text, a bit for each. */
struct shape {
    uint16_t numbers;
    uint16_t texts;
};

static const struct shape shapes[FIELDS] = {
    [QK_INCOMING_WELCOME] = {.numbers = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5, .texts = 1 << 3},
    [QK_INCOMING_REPLY] = {.numbers = 1 << 1 | 1 << 2 | 1 << 4, .texts = 1 << 3},
    [QK_INCOMING_GO_AWAY] = {.numbers = 1 << 1, .texts = 1 << 2},
    [QK_INCOMING_TRACE] = {.numbers = 1 << 1},
};

struct members {
    uint64_t numbers[FIELDS];
    struct reader text;
};

static bool read_body(struct reader *r, const struct shape *shape, struct members *ret_members)
{
    while (r->at < r->end) {
        uint32_t field;
        unsigned wire;
        if (!get_tag(r, &field, &wire))
            return false;
        unsigned bit = field < FIELDS ? 1u << field : 0;
        if ((shape->numbers & bit) != 0) {
            if (wire != VARINT || !get_varint(r, &ret_members->numbers[field]))
                return false;
        } else if ((shape->texts & bit) != 0) {
            struct reader *text = &ret_members->text;
            if (wire != BYTES || !get_bytes(r, text))
                return false;
            size_t size = (size_t)(text->end - text->at);
            if (!qk_wire_is_utf8(text->at, size) || memchr(text->at, 0, size) != NULL)
                return false;
        } else if (!skip(r, wire)) {
            return false;
        }
    }
    return true;
}

static int32_t from_zigzag(uint64_t v)
{
    uint32_t low = (uint32_t)v;
    return (int32_t)(low >> 1 ^ (0 - (low & 1)));
}

static void fill(enum qk_incoming_kind kind, const struct members *m, struct qk_incoming *ret_in)
{
    ret_in->kind = kind;
    ret_in->text = (const char *)m->text.at;
    ret_in->text_len = (uint32_t)(m->text.end - m->text.at);
    switch (kind) {
    case QK_INCOMING_WELCOME:
        ret_in->major = (uint32_t)m->numbers[1];
        ret_in->minor = (uint32_t)m->numbers[2];
        ret_in->payload_max = (uint32_t)m->numbers[4];
        ret_in->in_flight_max = (uint32_t)m->numbers[5];
        break;
    case QK_INCOMING_REPLY:
        ret_in->id = m->numbers[1];
        ret_in->status = from_zigzag(m->numbers[2]);
        ret_in->may_have_run = m->numbers[4] != 0;
        break;
    case QK_INCOMING_GO_AWAY:
        ret_in->status = from_zigzag(m->numbers[1]);
        break;
    case QK_INCOMING_TRACE:
        ret_in->id = m->numbers[1];
        break;
    }
}

bool qk_codec_read(const uint8_t *envelope, size_t size, struct qk_incoming *ret_in)
{
    struct reader r = {envelope, envelope + size};
    struct members members = {.text = {envelope, envelope}};
    unsigned kind = 0;
    while (r.at < r.end) {
        uint32_t field;
        unsigned wire;
        if (!get_tag(&r, &field, &wire))
            return false;
        if (field >= FIELDS) {
            if (!skip(&r, wire))
                return false;
            continue;
        }
        struct reader body;
        if (kind != 0 || shapes[field].numbers == 0 || wire != BYTES || !get_bytes(&r, &body) ||
            !read_body(&body, &shapes[field], &members))
            return false;
        kind = field;
    }
    if (kind == 0)
        return false;
    *ret_in = (struct qk_incoming){0};
    fill((enum qk_incoming_kind)kind, &members, ret_in);
    return true;
}
