/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes quark.wire.Context, and holds its members to the rules. */
#include "wire/context.h"

#include <string.h>
#include "base/limits.h"
#include "wire/check.h"
#include <quark/status.h>

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

#define TAG(number, type) ((number) << 3 | (type))
#define NUMBER_MAX        ((1u << 29) - 1)

/* ---- reading */

static bool read_varint(struct qk_context_reader *r, uint64_t *ret_value)
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

/* A tag or a length: at most five bytes, as qk_wire_check() has it. */
static bool read_short_varint(struct qk_context_reader *r, uint64_t *ret_value)
{
    const uint8_t *from = r->at;
    return read_varint(r, ret_value) && r->at - from <= 5;
}

static bool read_bytes(struct qk_context_reader *r, struct qk_context_reader *ret_inner)
{
    uint64_t len;
    if (!read_short_varint(r, &len) || len > (uint64_t)(r->end - r->at))
        return false;
    *ret_inner = (struct qk_context_reader){r->at, r->at + len};
    r->at += len;
    return true;
}

static bool read_string(struct qk_context_reader *r, const char **ret_text, uint32_t *ret_len)
{
    struct qk_context_reader s;
    if (!read_bytes(r, &s))
        return false;
    size_t len = (size_t)(s.end - s.at);
    *ret_text = (const char *)s.at;
    *ret_len = (uint32_t)len;
    return qk_wire_is_utf8(s.at, len) && memchr(s.at, 0, len) == NULL;
}

/* Passes over a member that this version does not know: its number is above `known`. */
static bool skip(struct qk_context_reader *r, uint64_t tag, unsigned known)
{
    uint64_t number = tag >> 3, value;
    struct qk_context_reader inner;
    if (number <= known || number > NUMBER_MAX)
        return false;
    size_t size = (tag & 7) == FIXED64 ? 8 : 4;
    switch (tag & 7) {
    case VARINT:
        return read_varint(r, &value);
    case BYTES:
        return read_bytes(r, &inner);
    case FIXED64:
    case FIXED32:
        if ((size_t)(r->end - r->at) < size)
            return false;
        r->at += size;
        return true;
    default:
        return false;
    }
}

static bool read_entry(struct qk_context_reader *r, struct qk_context_item *ret_item)
{
    *ret_item = (struct qk_context_item){.kind = QK_CONTEXT_ENTRY, .name = "", .value = ""};
    while (r->at < r->end) {
        uint64_t tag;
        if (!read_short_varint(r, &tag))
            return false;
        bool ok;
        if (tag == TAG(1, BYTES))
            ok = read_string(r, &ret_item->name, &ret_item->name_len);
        else if (tag == TAG(2, BYTES))
            ok = read_string(r, &ret_item->value, &ret_item->value_len);
        else
            ok = skip(r, tag, 2);
        if (!ok)
            return false;
    }
    return true;
}

int qk_context_next(struct qk_context_reader *reader, struct qk_context_item *ret_item)
{
    while (reader->at < reader->end) {
        uint64_t tag;
        struct qk_context_reader inner;
        if (!read_short_varint(reader, &tag))
            return QK_EPROTOCOL;
        if (tag == TAG(1, BYTES)) {
            *ret_item = (struct qk_context_item){.kind = QK_CONTEXT_PARENT, .name = ""};
            return read_string(reader, &ret_item->value, &ret_item->value_len) ? 1 : QK_EPROTOCOL;
        }
        if (tag == TAG(2, BYTES))
            return read_bytes(reader, &inner) && read_entry(&inner, ret_item) ? 1 : QK_EPROTOCOL;
        if (tag == TAG(3, VARINT)) {
            uint64_t flag;
            if (!read_varint(reader, &flag))
                return QK_EPROTOCOL;
            *ret_item = (struct qk_context_item){.kind = QK_CONTEXT_RECORD, .name = "", .value = "", .flag = flag != 0};
            return 1;
        }
        if (!skip(reader, tag, 3))
            return QK_EPROTOCOL;
    }
    return 0;
}

bool qk_context_parses(const uint8_t *data, size_t size)
{
    struct qk_context_reader r = {data, data + size};
    struct qk_context_item item;
    int rc;
    while ((rc = qk_context_next(&r, &item)) > 0) {
    }
    return rc == 0;
}

/* ---- writing */

static size_t varint_size(size_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

static uint8_t *put_varint(uint8_t *to, size_t v)
{
    for (; v >= 0x80; v >>= 7)
        *to++ = (uint8_t)(v | 0x80);
    *to++ = (uint8_t)v;
    return to;
}

static size_t string_size(size_t len)
{
    return len != 0 ? 1 + varint_size(len) + len : 0;
}

static uint8_t *put_string(uint8_t *to, unsigned field, const char *text, size_t len)
{
    if (len == 0)
        return to;
    *to++ = (uint8_t)TAG(field, BYTES);
    to = put_varint(to, len);
    return (uint8_t *)memcpy(to, text, len) + len;
}

size_t qk_context_entry_size(size_t name_len, size_t value_len)
{
    size_t body = string_size(name_len) + string_size(value_len);
    return 1 + varint_size(body) + body;
}

uint8_t *qk_context_put_entry(uint8_t *to, const char *name, size_t name_len, const char *value, size_t value_len)
{
    *to++ = (uint8_t)TAG(2, BYTES);
    to = put_varint(to, string_size(name_len) + string_size(value_len));
    to = put_string(to, 1, name, name_len);
    return put_string(to, 2, value, value_len);
}

size_t qk_context_parent_size(size_t value_len)
{
    return string_size(value_len);
}

uint8_t *qk_context_put_parent(uint8_t *to, const char *value, size_t value_len)
{
    return put_string(to, 1, value, value_len);
}

uint8_t *qk_context_put_record(uint8_t *to)
{
    *to++ = (uint8_t)TAG(3, VARINT);
    *to++ = 1;
    return to;
}

/* ---- rules */

const char *qk_context_wrong(const char *name, size_t name_len, const char *value, size_t value_len)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    if (name_len == 0 || name_len > QK_CONTEXT_NAME_MAX)
        return "the name of a context entry has 1 to 64 bytes";
    for (size_t i = 0; i < name_len; i++) {
        if (name[i] == '\0' || strchr(letters, name[i]) == NULL)
            return "the name of a context entry has the letters a-z, 0-9, '-', '_' and '.' only";
    }
    if (value_len > QK_CONTEXT_BYTES_MAX)
        return qk_context_beyond(0, value_len);
    for (size_t i = 0; i < value_len; i++) {
        if ((uint8_t)value[i] < 0x20 || value[i] == 0x7f)
            return "the value of a context entry has a control character";
    }
    if (!qk_wire_is_utf8((const uint8_t *)value, value_len))
        return "the value of a context entry is not UTF-8";
    return NULL;
}

const char *qk_context_beyond(size_t entries, size_t bytes)
{
    if (entries > QK_CONTEXT_ENTRIES_MAX)
        return "a context has 32 entries at most";
    if (bytes > QK_CONTEXT_BYTES_MAX)
        return "the names and values of a context have 4,096 bytes at most";
    return NULL;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads `n` bytes as pairs of digits; false when there is something else, or all are 0 and `not_zero`. */
static bool read_hex(const char *text, size_t n, bool not_zero, uint8_t *ret_bytes)
{
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret_bytes[i] = (uint8_t)(high << 4 | low);
        any |= ret_bytes[i];
    }
    return !not_zero || any != 0;
}

bool qk_trace_parse(const char *text, size_t len, struct qk_trace *ret_trace)
{
    struct qk_trace trace = {.span = 0};
    uint8_t version, span[8];
    if (len < QK_TRACEPARENT_LEN || text[2] != '-' || text[35] != '-' || text[52] != '-' ||
        !read_hex(text, 1, false, &version) || version == 0xff || !read_hex(text + 3, 16, true, trace.id) ||
        !read_hex(text + 36, 8, true, span) || !read_hex(text + 53, 1, false, &trace.flags))
        return false;
    if (version == 0 ? len != QK_TRACEPARENT_LEN : len > QK_TRACEPARENT_LEN && text[QK_TRACEPARENT_LEN] != '-')
        return false;
    for (unsigned i = 0; i < 8; i++)
        trace.span = trace.span << 8 | span[i];
    trace.flags &= QK_TRACE_SAMPLED; /* the other bits mean nothing in version 00, which is what goes on from here */
    *ret_trace = trace;
    return true;
}

static char *put_hex(char *to, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *to++ = digits[bytes[i] >> 4];
        *to++ = digits[bytes[i] & 15];
    }
    return to;
}

void qk_trace_format(const struct qk_trace *trace, char *ret_text)
{
    uint8_t span[8];
    for (unsigned i = 0; i < 8; i++)
        span[i] = (uint8_t)(trace->span >> (56 - 8 * i));
    memcpy(ret_text, "00-", 3);
    char *at = put_hex(ret_text + 3, trace->id, sizeof(trace->id));
    *at++ = '-';
    at = put_hex(at, span, sizeof(span));
    *at++ = '-';
    at = put_hex(at, &trace->flags, 1);
    *at = '\0';
}
