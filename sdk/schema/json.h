/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as JSON text and back, by the proto3 JSON rules, for any protobuf-c descriptor, generated or built from a
 * schema. The text may come from anybody. Any thread with a whole stack; not a fiber.
 *
 * Supported: names in lowerCamelCase and as in the .proto, 64-bit integers as numbers and strings, both alphabets of
 * base64, enums by name or number, NaN and the infinities, maps, oneofs, `optional`, Timestamp, Duration, the wrappers,
 * Empty, Struct, Value, ListValue, FieldMask, and Any where options.schema knows its type. Not supported: a zero
 * character in a string (C's strings end there), groups, extensions.
 */
#ifndef QK_SCHEMA_JSON_H
#define QK_SCHEMA_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <protobuf-c/protobuf-c.h>
#include "base/arena.h"
#include "base/diag.h"
#include "schema/schema.h"

#define QK_JSON_TEXT_MAX (16 << 20) /* bytes of a text to parse */
#define QK_JSON_WIDTH    80         /* columns that QK_JSON_FIT keeps to */

enum qk_json_layout {
    QK_JSON_FIT = 0,  /* one line where it fits in QK_JSON_WIDTH, else indented */
    QK_JSON_LINE,     /* one line, with blanks behind commas and colons */
    QK_JSON_COMPACT,  /* one line without blanks */
    QK_JSON_INDENTED, /* two blanks a level */
};

struct qk_json_options {
    const struct qk_schema *schema; /* where Any finds its types; NULL: Any is refused */
    enum qk_json_layout layout;
    bool ignore_unknown;   /* reading: fields that the message does not have */
    bool original_names;   /* writing: as in the .proto */
    bool enums_as_numbers; /* writing */
    bool emit_defaults;    /* writing: fields without presence, repeated fields and maps also when empty */
};

/* What is wrong with a text, and where. */
struct qk_json_error {
    const char *code; /* QK05xx */
    int line;         /* from 1; 0: of no place in the text */
    int column;
    int width;
    char message[240];
    char label[120]; /* beside the marks; may be "" */
    char help[400];  /* may be "" */
};

/*
 * Parses a text into a message in the arena. 0; QK_EINVALID, QK_ETOOBIG with `ret_error` filled in. `options` NULL:
 * none set.
 */
int qk_json_parse(const ProtobufCMessageDescriptor *desc, const char *text, size_t size,
                  const struct qk_json_options *options, struct qk_arena *arena, struct qk_json_error *ret_error,
                  ProtobufCMessage **ret_message);

/*
 * Prints a message, without a newline at the end, into memory made with malloc (with a zero behind it that is not
 * counted). 0; -ENOMEM; QK_EINVALID, QK_ETOOBIG with `ret_error` filled in: what the JSON form can't express.
 */
int qk_json_print(const ProtobufCMessage *message, const struct qk_json_options *options,
                  struct qk_json_error *ret_error, char **ret_text, size_t *ret_size);

/* Makes a diagnostic of an error; `file` names the text. It points into `error` and `text`. */
void qk_json_diagnose(const struct qk_json_error *error, const char *file, const char *text, size_t size,
                      struct qk_diag *ret_diag);

#endif
