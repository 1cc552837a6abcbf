/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The envelopes of frames, read and written by hand: calls come by the hundred thousand a second, and a general parser
 * costs more than the call. What is read here is what qk_wire_check() would let pass, and no more: a test holds the two
 * against each other. Any thread.
 */
#ifndef QK_GATEWAY_ENVELOPE_H
#define QK_GATEWAY_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#define QK_FRAME_HEAD 8 /* bytes in front of the envelope: its size and the payload's */

/* The numbers are those of the members of quark.wire.Envelope. */
enum qk_envelope_kind {
    QK_ENVELOPE_HELLO = 1,
    QK_ENVELOPE_WELCOME = 2,
    QK_ENVELOPE_CALL = 3,
    QK_ENVELOPE_REPLY = 4,
    QK_ENVELOPE_CANCEL = 5,
    QK_ENVELOPE_ADMIN = 6,
    QK_ENVELOPE_GO_AWAY = 7,
    QK_ENVELOPE_TRACE = 8,
};

/* The members of all kinds that a client sends, side by side; those of other kinds are 0. `bytes` points into the
 * envelope: the key of a call, the name of a Hello. So does `context`, a quark.wire.Context that parses. */
struct qk_envelope {
    enum qk_envelope_kind kind;
    uint32_t version_major;
    uint32_t version_minor;
    uint32_t method_id;
    uint32_t timeout_ms;
    uint32_t one_way;
    uint32_t bytes_len;
    uint32_t context_len;
    const uint8_t *bytes;
    const uint8_t *context;
    uint64_t id;
    uint64_t type_id;
    uint64_t request_id;
};

/* Reads one envelope. Members that this version does not know are passed over. 0, or QK_EPROTOCOL: it does not parse,
 * has not exactly one member of the oneof, or is of a kind that only a silo sends. */
int qk_envelope_parse(const uint8_t *data, size_t size, struct qk_envelope *ret_envelope);

/* Room for any of the following, head included, but for the text. */
#define QK_ENVELOPE_ROOM 64

/* Each writes a whole frame but for its payload, and returns its size in bytes. `text` and `name` are at most
 * QK_ERROR_TEXT_MAX bytes; `to` has QK_ENVELOPE_ROOM bytes and as many more. */
size_t qk_envelope_put_welcome(uint8_t *to, const char *silo, uint32_t payload_max, uint32_t in_flight_max);
size_t qk_envelope_put_reply(uint8_t *to, uint64_t id, int32_t status, const char *text, size_t text_len,
                             int may_have_run, uint32_t payload_len);
size_t qk_envelope_put_trace(uint8_t *to, uint64_t id, uint32_t payload_len);
size_t qk_envelope_put_go_away(uint8_t *to, int32_t status, const char *text);

/* Little-endian numbers of a frame's head. */
static inline uint32_t qk_get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void qk_put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

/* The version of the protocol. */
#define QK_PROTOCOL_MAJOR 1
#define QK_PROTOCOL_MINOR 0

#endif
