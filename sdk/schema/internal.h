/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share about built descriptors. */
#ifndef QK_SCHEMA_INTERNAL_H
#define QK_SCHEMA_INTERNAL_H

#include <google/protobuf/descriptor.pb-c.h>
#include "base/limits.h"
#include "schema/schema.h"

/* What a built field knows beyond its descriptor, whose reserved2 points here. */
struct qk_schema_field {
    const char *json_name;
    const char *oneof; /* "" when it is in none */
};

struct qk_schema_message {
    ProtobufCMessageDescriptor desc; /* first: its reserved1 is &qk_schema_mark */
    const Google__Protobuf__DescriptorProto *proto;
    bool proto3;
    bool map_entry;
};

struct qk_schema_enum {
    ProtobufCEnumDescriptor desc;
    const Google__Protobuf__EnumDescriptorProto *proto;
};

/* Sorted by name once all are collected. */
struct qk_schema {
    struct qk_arena arena;
    struct qk_schema_message **messages;
    struct qk_schema_enum **enums;
    struct qk_schema_service **services;
    unsigned n_messages;
    unsigned n_enums;
    unsigned n_services;
};

/* A schema that is being built. */
struct qk_build {
    struct qk_schema *schema;
    Google__Protobuf__FileDescriptorSet *set;
    char *error;
    size_t error_size;
};

extern char qk_schema_mark;

/* Writes the reason and returns QK_EINVALID. */
int qk_build_fail(struct qk_build *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether `s` is a name: letters, digits and underscores; with `dots`, dots too. Names reach terminals. */
bool qk_schema_is_name(const char *s, bool dots);

/* Zeroed memory of the schema's arena, or NULL. */
void *qk_build_alloc(struct qk_build *b, size_t size);

/* Field and value tables of what has been collected. 0, QK_EINVALID, QK_ETOOBIG. */
int qk_build_message(struct qk_build *b, struct qk_schema_message *m);
int qk_build_enum(struct qk_build *b, struct qk_schema_enum *e);

/* Makes the look-up table of numbers, which ascend: `numbers[i]` has the index i. */
int qk_build_ranges(struct qk_build *b, const int *numbers, unsigned n, unsigned *ret_n,
                    const ProtobufCIntRange **ret_ranges);

/* lowerCamelCase of a field's name; cut to the buffer. */
void qk_schema_camel(const char *name, char *buf, size_t buf_size);

#endif
