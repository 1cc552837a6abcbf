/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames of the client protocol as bytes: what a client sends is written straight into its output buffer, what a
 * silo sends is read in place. Reading accepts nothing that qk_wire_check() refuses. No state; any thread.
 */
#ifndef QK_CLIENT_CODEC_H
#define QK_CLIENT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <quark/client.h>

#define QK_PROTOCOL_MAJOR 1
#define QK_PROTOCOL_MINOR 0

#define QK_FRAME_HEAD 8 /* bytes of the two sizes */

/* No frame that is written here takes more bytes before its payload, but for the context. */
#define QK_CODEC_HEAD_MAX (QK_FRAME_HEAD + QK_KEY_MAX + 68)

/* The name in a Hello is cut to this. */
#define QK_CODEC_NAME_MAX 128

/* Writes the sizes and the envelope at `at`, where QK_CODEC_HEAD_MAX bytes are free, and as many as the context has;
 * how many were written. The payload follows them. The context is a packed quark.wire.Context, or empty. */
size_t qk_codec_call(uint8_t *at, uint64_t id, const struct qk_call_target *target, uint32_t timeout_ms,
                     const uint8_t *context, size_t context_len, size_t payload);
size_t qk_codec_admin(uint8_t *at, uint64_t id, size_t payload);
size_t qk_codec_cancel(uint8_t *at, uint64_t id);
size_t qk_codec_hello(uint8_t *at, const char *name);

enum qk_incoming_kind {
    QK_INCOMING_WELCOME = 2, /* the numbers are those of the envelope's members */
    QK_INCOMING_REPLY = 4,
    QK_INCOMING_GO_AWAY = 7,
    QK_INCOMING_TRACE = 8,
};

/* An envelope from a silo; the text lies in the envelope's bytes and has no zero behind it. */
struct qk_incoming {
    enum qk_incoming_kind kind;
    uint64_t id;
    int32_t status;
    bool may_have_run;
    uint32_t text_len;
    const char *text; /* of the error; of a Welcome, the silo's name */
    uint32_t major;
    uint32_t minor;
    uint32_t payload_max;
    uint32_t in_flight_max;
};

/* Reads an envelope; false where it is damaged, has no body, several, or one that only clients send. */
bool qk_codec_read(const uint8_t *envelope, size_t size, struct qk_incoming *ret_in);

static inline uint32_t qk_codec_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

#endif
