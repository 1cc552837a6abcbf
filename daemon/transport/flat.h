/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames of the port as they lie in a ring: a head of fixed size, then the frame's bytes. Pure functions; any thread.
 */
#ifndef QK_TRANSPORT_FLAT_H
#define QK_TRANSPORT_FLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "runtime/port.h"

#define QK_FLAT_TEXT_MAX   4096 /* bytes of a text: a log line's is the longest */
#define QK_FLAT_SENDER_MAX 1152 /* type, slash, key and zero */
#define QK_FLAT_KEY_MAX    512

/* Ids instead of pointers; every byte of it is set. */
struct qk_flat {
    uint8_t kind;
    uint8_t store;
    uint8_t may_have_run;
    uint8_t more;
    int32_t status;
    uint64_t id; /* of a question, as its asker numbers it: comes back in the answer */
    uint64_t type_id;
    uint64_t request_id;
    int64_t deadline_ns;
    uint64_t version;
    uint32_t method_id;
    uint32_t key_len;
    uint32_t text_len;
    uint32_t payload_len;
    uint32_t context_len;
    uint32_t sender_len;
    uint32_t chain_len;
    uint32_t count;
};

void qk_flat_from_frame(const struct qk_port_frame *frame, uint64_t id, struct qk_flat *ret_flat);

/* Whether a head from the other side can be true: its kind is one of `accepts` (a bit for each), every length is within
 * its bound. How many bytes follow it, or QK_EPROTOCOL. */
int64_t qk_flat_check(const struct qk_flat *flat, uint32_t accepts);

/* Everything but the bytes, the origin and the capacity. */
void qk_flat_to_frame(const struct qk_flat *flat, struct qk_port_frame *frame);

/* Whether a frame with its bytes is one that the other parts may see: a sender ends with its zero and has no other, a
 * key of whoever is called has the right length. 0 or QK_EPROTOCOL. */
int qk_flat_check_bytes(const struct qk_port_frame *frame);

/* Turns a question into its answer; the frame, or another in its place. */
struct qk_port_frame *qk_flat_answer(struct qk_port_frame *question, int status, const char *text, bool may_have_run);

/* What asks and gets an answer; what answers. */
static inline int qk_flat_is_question(unsigned kind)
{
    return kind == QK_PORT_CALL || kind == QK_PORT_SEND || kind == QK_PORT_DEACTIVATE || kind == QK_PORT_STORE ||
           kind == QK_PORT_QUERY;
}

static inline int qk_flat_is_answer(unsigned kind)
{
    return kind == QK_PORT_REPLY || kind == QK_PORT_STORED;
}

#endif
