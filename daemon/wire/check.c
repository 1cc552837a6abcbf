/* SPDX-License-Identifier: Apache-2.0 */
/* The check of message bytes, with a stack of its own in place of recursion, and unpacking behind it. */
#include "wire/check.h"

#include <stdbool.h>
#include <string.h>
#include "base/limits.h"
#include <quark/status.h>

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* protobuf-c keeps a record for each member while it unpacks, in slabs that double. */
#define SCANNED_BYTES 96

struct level {
    const ProtobufCMessageDescriptor *desc;
    const uint8_t *end;
};

struct check {
    const uint8_t *at;
    struct level levels[QK_MESSAGE_DEPTH_MAX];
    unsigned depth; /* levels in use */
    unsigned fields;
    uint64_t unpacked;
};

bool qk_wire_is_utf8(const uint8_t *s, size_t size)
{
    size_t i = 0;
    while (i < size) {
        uint64_t eight;
        while (i + 8 <= size && (memcpy(&eight, s + i, 8), (eight & 0x8080808080808080ull) == 0))
            i += 8;
        if (i == size)
            return true;
        uint8_t c = s[i++];
        if (c < 0x80)
            continue;
        unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        if (c < 0xc2 || c > 0xf4 || more > size - i)
            return false;
        uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (s[i] < low || s[i] > high)
            return false;
        for (unsigned k = 1; k < more; k++) {
            if ((s[i + k] & 0xc0) != 0x80)
                return false;
        }
        i += more;
    }
    return true;
}

static bool read_varint(struct check *c, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && c->at < end; shift += 7) {
        uint8_t b = *c->at++;
        value |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *ret_value = value;
            return shift < 63 || b <= 1;
        }
    }
    return false;
}

/* A tag or a length: protobuf-c reads five bytes of one and no more. */
static bool read_short_varint(struct check *c, const uint8_t *end, uint64_t *ret_value)
{
    const uint8_t *from = c->at;
    return read_varint(c, end, ret_value) && c->at - from <= 5;
}

static enum wire_type expected_wire(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return FIXED32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return BYTES;
    default:
        return VARINT;
    }
}

static int add(struct check *c, uint64_t bytes)
{
    c->unpacked += (bytes + QK_ARENA_ALIGN - 1) & ~(uint64_t)(QK_ARENA_ALIGN - 1);
    return c->unpacked <= QK_MESSAGE_ARENA_MAX ? 0 : QK_ETOOBIG;
}

static int enter(struct check *c, const ProtobufCMessageDescriptor *desc, const uint8_t *end)
{
    if (c->depth == QK_MESSAGE_DEPTH_MAX)
        return QK_ETOOBIG;
    c->levels[c->depth++] = (struct level){desc, end};
    return add(c, desc->sizeof_message);
}

/* A run of packed numbers: each must end where the run ends. */
static int check_packed(struct check *c, const ProtobufCFieldDescriptor *f, const uint8_t *end)
{
    enum wire_type w = expected_wire(f->type);
    size_t size = (size_t)(end - c->at);
    uint64_t n = 0;
    if (w == VARINT) {
        uint64_t ignored;
        for (; c->at < end; n++) {
            if (!read_varint(c, end, &ignored))
                return QK_EINVALID;
        }
    } else {
        n = size / (w == FIXED64 ? 8 : 4);
        if (size % (w == FIXED64 ? 8 : 4) != 0)
            return QK_EINVALID;
        c->at = end;
    }
    return add(c, n * 8);
}

static int check_bytes(struct check *c, const ProtobufCFieldDescriptor *f, const uint8_t *end)
{
    uint64_t length;
    if (!read_short_varint(c, end, &length) || length > (uint64_t)(end - c->at))
        return QK_EINVALID;
    const uint8_t *stop = c->at + length;
    if (f == NULL || f->type == PROTOBUF_C_TYPE_BYTES || f->type == PROTOBUF_C_TYPE_STRING) {
        if (f != NULL && f->type == PROTOBUF_C_TYPE_STRING && !qk_wire_is_utf8(c->at, length))
            return QK_EINVALID;
        if (f != NULL && f->type == PROTOBUF_C_TYPE_STRING && memchr(c->at, 0, length) != NULL)
            return QK_EINVALID; /* a C string would end there */
        c->at = stop;
        return add(c, length + 1);
    }
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return enter(c, f->descriptor, stop);
    if (f->label != PROTOBUF_C_LABEL_REPEATED)
        return QK_EINVALID;
    return check_packed(c, f, stop);
}

static int check_member(struct check *c)
{
    const struct level *top = &c->levels[c->depth - 1];
    const uint8_t *end = top->end;
    uint64_t tag, ignored;
    if (!read_short_varint(c, end, &tag) || tag >> 3 == 0 || tag >> 3 > (1u << 29) - 1)
        return QK_EINVALID;
    if (++c->fields > QK_MESSAGE_FIELDS_MAX)
        return QK_ETOOBIG;
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(top->desc, (unsigned)(tag >> 3));
    enum wire_type w = (enum wire_type)(tag & 7);
    if (f != NULL && w != expected_wire(f->type) && !(w == BYTES && f->label == PROTOBUF_C_LABEL_REPEATED))
        return QK_EINVALID;
    uint64_t extra = SCANNED_BYTES + (f == NULL ? sizeof(ProtobufCMessageUnknownField) : sizeof(ProtobufCBinaryData));
    int rc = add(c, extra);
    if (rc < 0)
        return rc;
    switch (w) {
    case VARINT:
        return read_varint(c, end, &ignored) ? (f == NULL ? add(c, 10) : 0) : QK_EINVALID;
    case FIXED64:
        if (end - c->at < 8)
            return QK_EINVALID;
        c->at += 8;
        return add(c, 8);
    case FIXED32:
        if (end - c->at < 4)
            return QK_EINVALID;
        c->at += 4;
        return add(c, 4);
    case BYTES:
        return check_bytes(c, f, end);
    default:
        return QK_EINVALID;
    }
}

int64_t qk_wire_check(const ProtobufCMessageDescriptor *desc, const uint8_t *data, size_t size)
{
    if (size > QK_PAYLOAD_MAX)
        return QK_ETOOBIG;
    static const uint8_t nothing[1];
    struct check c = {.at = size != 0 ? data : nothing};
    int rc = enter(&c, desc, c.at + size);
    while (rc >= 0 && c.depth > 0) {
        if (c.at == c.levels[c.depth - 1].end)
            c.depth--;
        else
            rc = check_member(&c);
    }
    return rc < 0 ? rc : (int64_t)c.unpacked;
}

static void *arena_alloc(void *data, size_t size)
{
    return qk_arena_alloc(data, size);
}

static void arena_free(void *data, void *pointer)
{
    (void)data;
    (void)pointer;
}

ProtobufCAllocator qk_wire_allocator(struct qk_arena *arena)
{
    return (ProtobufCAllocator){arena_alloc, arena_free, arena};
}

int qk_wire_unpack(const ProtobufCMessageDescriptor *desc, const uint8_t *data, size_t size, struct qk_arena *arena,
                   ProtobufCMessage **ret_message)
{
    int64_t need = qk_wire_check(desc, data, size);
    if (need < 0)
        return (int)need;
    ProtobufCAllocator allocator = qk_wire_allocator(arena);
    ProtobufCMessage *message = protobuf_c_message_unpack(desc, &allocator, size, data);
    if (message == NULL)
        return arena->used + (size_t)need > arena->limit ? QK_ETOOBIG : QK_EINVALID;
    *ret_message = message;
    return 0;
}
