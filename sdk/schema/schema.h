/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message types at run time: protobuf-c descriptors built from a serialised google.protobuf.FileDescriptorSet, imports
 * included, as a plugin carries it. A schema does not change once it is made; any thread may read it.
 *
 * The descriptors work with protobuf_c_message_pack(), _unpack() and qk_wire_unpack(). They have no message_init
 * function: make messages with qk_message_new(). Groups are refused; extensions and default values of proto2 are not
 * looked at. `optional` of proto3 is supported.
 */
#ifndef QK_SCHEMA_SCHEMA_H
#define QK_SCHEMA_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <protobuf-c/protobuf-c.h>
#include "base/arena.h"

struct qk_schema;

struct qk_schema_method {
    const char *name;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *reply;
    bool streaming; /* either way */
};

struct qk_schema_service {
    const char *name; /* full name */
    unsigned n_methods;
    const struct qk_schema_method *methods; /* in the order of the file */
};

/*
 * Builds the descriptors. The bytes are copied and may be anything: 0; QK_EINVALID (not a consistent set), QK_ETOOBIG
 * (past QK_SCHEMA_MAX or the limits of a message), -ENOMEM. On an error `error` says in one line what is wrong. The
 * caller owns the schema and ends it with qk_schema_destroy().
 */
int qk_schema_create(const uint8_t *data, size_t size, char *error, size_t error_size, struct qk_schema **ret_schema);

/* Every descriptor goes with it. NULL is fine. */
void qk_schema_destroy(struct qk_schema *schema);

/* By full name, with or without the leading dot; NULL when there is none. */
const ProtobufCMessageDescriptor *qk_schema_message(const struct qk_schema *schema, const char *name);
const ProtobufCEnumDescriptor *qk_schema_enum(const struct qk_schema *schema, const char *name);
const struct qk_schema_service *qk_schema_service(const struct qk_schema *schema, const char *name);

/* A method of a service by its name; NULL when there is none. */
const struct qk_schema_method *qk_schema_method(const struct qk_schema_service *service, const char *name);

/* An empty message in the arena, of any descriptor, built or generated; NULL past the arena's limit. */
ProtobufCMessage *qk_message_new(const ProtobufCMessageDescriptor *desc, struct qk_arena *arena);

/* Whether a message is the entry of a map (key = 1, value = 2). Of generated descriptors this is told by the shape and
 * by the name, which protoc derives from that of the field: `field` is the one that holds the entries. */
bool qk_schema_is_map(const ProtobufCFieldDescriptor *field);

/* Name of the oneof that a field belongs to; "" when none, or where the descriptor was generated. */
const char *qk_schema_oneof(const ProtobufCMessageDescriptor *desc, const ProtobufCFieldDescriptor *field);

/* The name that a field has in JSON; written to `buf` unless the schema holds it. */
const char *qk_schema_json_name(const ProtobufCMessageDescriptor *desc, const ProtobufCFieldDescriptor *field,
                                char *buf, size_t buf_size);

#endif
