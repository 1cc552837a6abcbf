/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spans of a recorded call as bytes: quark.wire.Spans. Any thread; packing and unpacking never on a fiber.
 */
#ifndef QK_WIRE_SPANS_H
#define QK_WIRE_SPANS_H

#include <stddef.h>
#include <stdint.h>

enum qk_span_kind { QK_SPAN_CALL = 1, QK_SPAN_SEND = 2, QK_SPAN_TICK = 3 };
enum qk_span_state { QK_SPAN_WAITS = 1, QK_SPAN_RUNS = 2, QK_SPAN_ENDED = 3 };

/* One message, and the turn that handled it. */
struct qk_span {
    uint32_t parent; /* number of the one that caused it, from 1; 0: the call itself */
    uint32_t kind;
    uint32_t state;
    uint32_t worker;
    int32_t status;
    uint32_t key_len;
    const char *type;
    const char *method;
    const char *key;
    uint64_t id;
    uint64_t start_ns; /* when it was sent, since the first one */
    uint64_t queued_ns;
    uint64_t run_ns;
    uint64_t suspended_ns;
};

/* Of a type's or a method's name so many bytes are kept. */
#define QK_SPAN_NAME_MAX 128

/* Bytes that a span takes at most, its key aside. */
#define QK_SPAN_PACKED_MAX (2 * QK_SPAN_NAME_MAX + 160)

/* Writes one span; the place behind it. */
uint8_t *qk_spans_put(uint8_t *to, const struct qk_span *span);

/* What stands behind the spans: QK_SPANS_END_MAX bytes at most. */
#define QK_SPANS_END_MAX 32
uint8_t *qk_spans_put_end(uint8_t *to, uint64_t left_out, const uint8_t trace_id[16]);

/* Calls `visit` for each span, in order; keys have a zero behind them. 0, or QK_EPROTOCOL: the bytes do not parse, or a
 * parent does not stand before its child. */
int qk_spans_visit(const uint8_t *data, size_t size, void (*visit)(void *arg, const struct qk_span *span), void *arg,
                   uint64_t *ret_left_out, uint8_t ret_trace_id[16]);

#endif
