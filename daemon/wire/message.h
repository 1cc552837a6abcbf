/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages in memory: copying, clearing and comparing them by their descriptors. Any thread; the functions recurse at
 * most QK_MESSAGE_DEPTH_MAX deep with small frames, so that a fiber may call them.
 */
#ifndef QK_WIRE_MESSAGE_H
#define QK_WIRE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <protobuf-c/protobuf-c.h>
#include "base/arena.h"

/* Whether messages of this type hold no pointer, but for unknown fields: copying the struct copies the message. */
bool qk_message_is_flat(const ProtobufCMessageDescriptor *desc);

/*
 * Copies `from` to `to`, both structs of the type `desc`; what hangs on it is copied into the arena. 0, QK_ETOOBIG
 * (deeper than QK_MESSAGE_DEPTH_MAX, or the arena's limit), QK_EINVALID (a repeated field with a count and no array).
 * On an error `to` is not to be used.
 */
int qk_message_copy(const ProtobufCMessageDescriptor *desc, const ProtobufCMessage *from, ProtobufCMessage *to,
                    struct qk_arena *arena);

/* Frees what hangs on a message and was made with malloc; the struct itself stays and is initialised anew. */
void qk_message_clear(const ProtobufCMessageDescriptor *desc, ProtobufCMessage *message);

/* Whether structs of the two types have the same layout and meaning, so that one can be read as the other: two plugins
 * built from the same .proto have descriptors of their own. */
bool qk_message_same_layout(const ProtobufCMessageDescriptor *a, const ProtobufCMessageDescriptor *b);

#endif
