/* SPDX-License-Identifier: Apache-2.0 */
/* Reaching into messages by their descriptors, and telling the well-known types apart. Any thread. */
#ifndef QK_SCHEMA_FIELD_H
#define QK_SCHEMA_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <protobuf-c/protobuf-c.h>

/* What JSON form a message has. */
enum qk_known {
    QK_KNOWN_NONE, /* an object with its fields */
    QK_KNOWN_TIMESTAMP,
    QK_KNOWN_DURATION,
    QK_KNOWN_WRAPPER, /* that of its one field */
    QK_KNOWN_STRUCT,
    QK_KNOWN_VALUE,
    QK_KNOWN_LIST,
    QK_KNOWN_MASK,
    QK_KNOWN_ANY,
};

/* By name and shape: a message that only has the name of a well-known one is an ordinary one. */
enum qk_known qk_known_kind(const ProtobufCMessageDescriptor *desc);

/* Whether an enum is google.protobuf.NullValue, which is null in JSON. */
bool qk_known_null(const ProtobufCFieldDescriptor *field);

/* The size of a value of the type in a struct or an array. */
size_t qk_field_size(ProtobufCType type);

static inline void *qk_field_member(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m)
{
    return (uint8_t *)(uintptr_t)m + f->offset;
}

static inline size_t qk_field_count(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m)
{
    return *(const size_t *)((const uint8_t *)m + f->quantifier_offset);
}

/* Whether a message has the field: for fields without presence, whether it differs from zero. */
bool qk_field_present(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m);

/* Marks a field that has been written as there: its has_ flag or the case of its oneof. */
void qk_field_set_present(const ProtobufCFieldDescriptor *f, ProtobufCMessage *m);

#endif
