/* SPDX-License-Identifier: Apache-2.0 */
/* Members of messages by their descriptors, and the well-known types by name and shape. */
#include "schema/field.h"

#include <string.h>

#define IS(known_, name_, ...)     \
    {                              \
#name_, QK_KNOWN_##known_, \
        {                          \
            __VA_ARGS__            \
        }                          \
    }
#define T(type) PROTOBUF_C_TYPE_##type

/* Types of the fields 1, 2, ... plus 1, so that 0 ends the list. */
static const struct {
    const char *name; /* behind google.protobuf. */
    enum qk_known kind;
    int types[7];
} known[] = {
    IS(TIMESTAMP, Timestamp, T(INT64) + 1, T(INT32) + 1),
    IS(DURATION, Duration, T(INT64) + 1, T(INT32) + 1),
    IS(WRAPPER, DoubleValue, T(DOUBLE) + 1),
    IS(WRAPPER, FloatValue, T(FLOAT) + 1),
    IS(WRAPPER, Int64Value, T(INT64) + 1),
    IS(WRAPPER, UInt64Value, T(UINT64) + 1),
    IS(WRAPPER, Int32Value, T(INT32) + 1),
    IS(WRAPPER, UInt32Value, T(UINT32) + 1),
    IS(WRAPPER, BoolValue, T(BOOL) + 1),
    IS(WRAPPER, StringValue, T(STRING) + 1),
    IS(WRAPPER, BytesValue, T(BYTES) + 1),
    IS(STRUCT, Struct, T(MESSAGE) + 1),
    IS(VALUE, Value, T(ENUM) + 1, T(DOUBLE) + 1, T(STRING) + 1, T(BOOL) + 1, T(MESSAGE) + 1, T(MESSAGE) + 1),
    IS(LIST, ListValue, T(MESSAGE) + 1),
    IS(MASK, FieldMask, T(STRING) + 1),
    IS(ANY, Any, T(STRING) + 1, T(BYTES) + 1),
};

static bool is_named(const void *descriptor, const char *name)
{
    const ProtobufCMessageDescriptor *desc = descriptor;
    return desc != NULL && strcmp(desc->name, name) == 0;
}

static bool has_shape(const ProtobufCMessageDescriptor *desc, const int *types, enum qk_known kind)
{
    bool repeated = kind == QK_KNOWN_STRUCT || kind == QK_KNOWN_LIST || kind == QK_KNOWN_MASK;
    bool oneof = kind == QK_KNOWN_VALUE;
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        if (i == 7 || f->id != i + 1 || (int)f->type + 1 != types[i] ||
            (f->label == PROTOBUF_C_LABEL_REPEATED) != repeated ||
            ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) != oneof)
            return false;
    }
    if (desc->n_fields == 0 || (desc->n_fields < 7 && types[desc->n_fields] != 0))
        return false;
    const ProtobufCFieldDescriptor *f = desc->fields;
    if (kind == QK_KNOWN_LIST)
        return is_named(f[0].descriptor, "google.protobuf.Value");
    if (kind == QK_KNOWN_VALUE)
        return is_named(f[4].descriptor, "google.protobuf.Struct") &&
               is_named(f[5].descriptor, "google.protobuf.ListValue");
    if (kind != QK_KNOWN_STRUCT)
        return true;
    const ProtobufCMessageDescriptor *entry = f[0].descriptor;
    return entry->n_fields == 2 && entry->fields[0].type == PROTOBUF_C_TYPE_STRING &&
           entry->fields[1].type == PROTOBUF_C_TYPE_MESSAGE &&
           is_named(entry->fields[1].descriptor, "google.protobuf.Value");
}

enum qk_known qk_known_kind(const ProtobufCMessageDescriptor *desc)
{
    static const char package[] = "google.protobuf.";
    if (strncmp(desc->name, package, sizeof(package) - 1) != 0)
        return QK_KNOWN_NONE;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(desc->name + sizeof(package) - 1, known[i].name) == 0)
            return has_shape(desc, known[i].types, known[i].kind) ? known[i].kind : QK_KNOWN_NONE;
    }
    return QK_KNOWN_NONE;
}

bool qk_known_null(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_ENUM &&
           strcmp(((const ProtobufCEnumDescriptor *)field->descriptor)->name, "google.protobuf.NullValue") == 0;
}

size_t qk_field_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

static bool is_zero(const ProtobufCFieldDescriptor *f, const void *member)
{
    static const uint8_t zero[8];
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        const char *s = *(char *const *)member;
        return s == NULL || *s == '\0';
    }
    if (f->type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *)member)->len == 0;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void *const *)member == NULL;
    return memcmp(member, zero, qk_field_size(f->type)) == 0;
}

bool qk_field_present(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m)
{
    const void *member = qk_field_member(f, m);
    const void *quantifier = (const uint8_t *)m + f->quantifier_offset;
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return qk_field_count(f, m) != 0;
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 && *(const uint32_t *)quantifier != f->id)
        return false;
    bool pointer = f->type == PROTOBUF_C_TYPE_MESSAGE || f->type == PROTOBUF_C_TYPE_STRING;
    if (pointer && *(void *const *)member == NULL)
        return false;
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 || f->label == PROTOBUF_C_LABEL_REQUIRED)
        return true;
    if (f->label == PROTOBUF_C_LABEL_OPTIONAL)
        return pointer ? *(void *const *)member != f->default_value : *(const protobuf_c_boolean *)quantifier != 0;
    return !is_zero(f, member);
}

void qk_field_set_present(const ProtobufCFieldDescriptor *f, ProtobufCMessage *m)
{
    uint8_t *quantifier = (uint8_t *)m + f->quantifier_offset;
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        *(uint32_t *)(void *)quantifier = f->id;
    else if (f->label == PROTOBUF_C_LABEL_OPTIONAL && f->type != PROTOBUF_C_TYPE_MESSAGE &&
             f->type != PROTOBUF_C_TYPE_STRING)
        *(protobuf_c_boolean *)(void *)quantifier = 1;
}
