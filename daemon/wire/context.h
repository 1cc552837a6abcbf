/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The context of a call as bytes: quark.wire.Context, read and written by hand, and the rules for what may be in it.
 * What is read here is what qk_wire_check() would let pass, and no more. Any thread, also on fibers.
 */
#ifndef QK_WIRE_CONTEXT_H
#define QK_WIRE_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names that mean something. The trace's parent is no entry: it changes from turn to turn. */
#define QK_CONTEXT_TRACEPARENT "traceparent"
#define QK_CONTEXT_TRACESTATE  "tracestate"
#define QK_CONTEXT_CORRELATION "correlation-id"

#define QK_TRACEPARENT_LEN 55

enum qk_context_kind {
    QK_CONTEXT_ENTRY = 1, /* name and value */
    QK_CONTEXT_PARENT,    /* value */
    QK_CONTEXT_RECORD,    /* flag */
};

/* One member of a context. The bytes lie in the context's and have no zero behind them. */
struct qk_context_item {
    enum qk_context_kind kind;
    uint32_t name_len;
    uint32_t value_len;
    const char *name;
    const char *value;
    bool flag;
};

struct qk_context_reader {
    const uint8_t *at;
    const uint8_t *end;
};

/* The next member: 1, 0 at the end, QK_EPROTOCOL where the bytes are damaged. */
int qk_context_next(struct qk_context_reader *reader, struct qk_context_item *ret_item);

/* Whether the bytes parse to the end; not whether the rules below are kept. */
bool qk_context_parses(const uint8_t *data, size_t size);

/* What an entry adds to a context, and its traceparent; each writes as many bytes as the _size function says, and
 * returns the place behind them. */
size_t qk_context_entry_size(size_t name_len, size_t value_len);
uint8_t *qk_context_put_entry(uint8_t *to, const char *name, size_t name_len, const char *value, size_t value_len);
size_t qk_context_parent_size(size_t value_len);
uint8_t *qk_context_put_parent(uint8_t *to, const char *value, size_t value_len);

/* Asks for a recording; two bytes. */
uint8_t *qk_context_put_record(uint8_t *to);

/* The most bytes that a context within the bounds takes. */
#define QK_CONTEXT_PACKED_MAX (QK_CONTEXT_BYTES_MAX + QK_CONTEXT_ENTRIES_MAX * 9 + 2 + QK_TRACEPARENT_LEN + 2)

/* What is wrong with an entry by itself, as a sentence without a full stop; NULL: nothing. */
const char *qk_context_wrong(const char *name, size_t name_len, const char *value, size_t value_len);

/* Why the bounds of a whole context are passed; NULL: they are not. `bytes` counts names and values. */
const char *qk_context_beyond(size_t entries, size_t bytes);

/* A traceparent taken apart. */
struct qk_trace {
    uint8_t id[16];
    uint64_t span;
    uint8_t flags; /* 1: sampled */
};

#define QK_TRACE_SAMPLED 1u

#define QK_CONTEXT_WRONG_PARENT \
    "a traceparent is 00-<32 hex digits>-<16 hex digits>-<2 hex digits> in lower case, the first two not all zero"

/* False when the text is no traceparent. One of a later version is read as far as this one knows it. */
bool qk_trace_parse(const char *text, size_t len, struct qk_trace *ret_trace);

/* Writes QK_TRACEPARENT_LEN bytes and a zero. */
void qk_trace_format(const struct qk_trace *trace, char *ret_text);

#endif
