/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that read JSON share: the reader, its errors, and the functions that call each other across files.
 * Functions that return int give 0, or QK_EINVALID or QK_ETOOBIG with the reader's error filled in.
 */
#ifndef QK_SCHEMA_READER_H
#define QK_SCHEMA_READER_H

#include <yyjson.h>
#include "schema/field.h"
#include "schema/json.h"

struct qk_reader {
    const char *text;
    size_t size;
    yyjson_doc *doc;
    const struct qk_json_options *options;
    struct qk_arena *arena;
    struct qk_json_error *error;
    unsigned depth;
};

/* Notes an error at a value: what stands beside the marks, and the sentence. QK_EINVALID. */
int qk_reader_fail(struct qk_reader *r, const yyjson_val *val, const char *code, const char *label, const char *format,
                   ...) __attribute__((format(printf, 5, 6)));

/* The same for what occurs often; QK_ETOOBIG of the first two. */
int qk_reader_too_big(struct qk_reader *r, const yyjson_val *val);
int qk_reader_too_deep(struct qk_reader *r, const yyjson_val *val);
int qk_reader_wrong_kind(struct qk_reader *r, yyjson_val *val, const char *where, const char *expected);
int qk_reader_unknown_enum(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val, const char *name);
int qk_reader_unknown_field(struct qk_reader *r, const ProtobufCMessageDescriptor *desc, yyjson_val *key);

/* Sets the error's line, column and width. */
void qk_reader_set_place(struct qk_reader *r, size_t at, size_t width);

/* Text of a number, or of a string that may hold one. */
bool qk_reader_number(yyjson_val *val, const char **ret_text, size_t *ret_size);

/* read.c: a value of a field's type (one element of a repeated field), the fields of an object but for the name `skip`
 * (NULL: none), repeated fields, maps, whole messages. */
int qk_read_value(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val, void *member);
int qk_read_string(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val, const char *s, size_t size,
                   char **ret_string);
int qk_read_fields(struct qk_reader *r, yyjson_val *val, const char *skip, ProtobufCMessage *m);
int qk_read_array(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val, ProtobufCMessage *m);
int qk_read_map(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val, ProtobufCMessage *m);
int qk_read_message(struct qk_reader *r, const ProtobufCMessageDescriptor *desc, yyjson_val *val,
                    ProtobufCMessage **ret_message);

/* read_known.c: a well-known type, which is not QK_KNOWN_NONE. */
int qk_read_known(struct qk_reader *r, enum qk_known kind, yyjson_val *val, ProtobufCMessage *m);

#endif
