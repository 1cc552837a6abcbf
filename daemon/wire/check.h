/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks bytes against a message's descriptor before protobuf-c sees them: protobuf-c recurses as deep as the bytes say
 * and takes many times their size. Any thread; qk_wire_check() does not recurse, unpacking does: never on a fiber.
 */
#ifndef QK_WIRE_CHECK_H
#define QK_WIRE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <protobuf-c/protobuf-c.h>
#include "base/arena.h"

/*
 * Whether the bytes are a message of the type within the limits: QK_MESSAGE_DEPTH_MAX levels, QK_MESSAGE_FIELDS_MAX
 * fields, QK_MESSAGE_ARENA_MAX bytes unpacked, strings in UTF-8, no groups. The upper bound of the unpacked size, 0 or
 * more, or QK_EINVALID or QK_ETOOBIG.
 */
int64_t qk_wire_check(const ProtobufCMessageDescriptor *desc, const uint8_t *data, size_t size);

/* Checks, then unpacks into the arena. 0, QK_EINVALID, QK_ETOOBIG (also past the arena's limit). */
int qk_wire_unpack(const ProtobufCMessageDescriptor *desc, const uint8_t *data, size_t size, struct qk_arena *arena,
                   ProtobufCMessage **ret_message);

/* An allocator of protobuf-c's that takes from the arena and frees nothing. */
ProtobufCAllocator qk_wire_allocator(struct qk_arena *arena);

/* Whether `size` bytes are valid UTF-8 (no surrogates, no overlong forms). */
bool qk_wire_is_utf8(const uint8_t *s, size_t size);

#endif
