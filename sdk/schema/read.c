/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to messages. yyjson parses the text without recursion; walking over its values recurses as deep as the message,
 * at most QK_MESSAGE_DEPTH_MAX.
 */
#include "schema/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/limits.h"
#include "schema/reader.h"
#include "schema/scalar.h"
#include <quark/status.h>

static int read_integer(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val, const char *s,
                        size_t size, void *member)
{
    bool is64 = qk_field_size(f->type) == 8, range, negative = false;
    bool is_unsigned = f->type == PROTOBUF_C_TYPE_UINT32 || f->type == PROTOBUF_C_TYPE_FIXED32 ||
                       f->type == PROTOBUF_C_TYPE_UINT64 || f->type == PROTOBUF_C_TYPE_FIXED64;
    uint64_t magnitude = 0;
    const char *name = is_unsigned ? (is64 ? "uint64" : "uint32") : (is64 ? "int64" : "int32");
    bool integer = qk_scalar_integer(s, size, &negative, &magnitude, &range);
    if (!integer && !range)
        return qk_reader_fail(r, val, "QK0503", "expected an integer", "`%s` takes an integer", f->name);
    uint64_t max =
        is_unsigned ? (is64 ? UINT64_MAX : UINT32_MAX) : (uint64_t)(is64 ? INT64_MAX : INT32_MAX) + (negative ? 1 : 0);
    if (!integer || magnitude > max || (is_unsigned && negative)) {
        char label[64];
        snprintf(label, sizeof(label), "a%s %s can't hold this", name[0] == 'i' ? "n" : "", name);
        return qk_reader_fail(r, val, "QK0504", label, "the number is out of the range of `%s`", f->name);
    }
    uint64_t value = negative ? 0 - magnitude : magnitude;
    if (is64)
        memcpy(member, &value, 8);
    else
        *(uint32_t *)member = (uint32_t)value;
    return 0;
}

static int read_real(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val, void *member)
{
    const char *s;
    size_t size;
    bool range = false;
    double value;
    if (!qk_reader_number(val, &s, &size))
        return qk_reader_wrong_kind(r, val, f->name, "a number");
    bool ok = qk_scalar_double(s, size, &value, &range);
    if (!ok && !range)
        return qk_reader_fail(r, val, "QK0503", "expected a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
                              "`%s` takes a number", f->name);
    if (ok && f->type == PROTOBUF_C_TYPE_FLOAT && isfinite(value) && isinf((float)value))
        range = true;
    if (range)
        return qk_reader_fail(r, val, "QK0504", "too large", "the number is out of the range of `%s`", f->name);
    if (f->type == PROTOBUF_C_TYPE_FLOAT)
        *(float *)member = (float)value;
    else
        *(double *)member = value;
    return 0;
}

int qk_read_string(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val, const char *s, size_t size,
                   char **ret_string)
{
    if (memchr(s, 0, size) != NULL)
        return qk_reader_fail(r, val, "QK0507", "holds \\u0000", "`%s` can't hold a zero character", f->name);
    char *copy = qk_arena_alloc(r->arena, size + 1);
    if (copy == NULL)
        return qk_reader_too_big(r, val);
    memcpy(copy, s, size);
    copy[size] = '\0';
    *ret_string = copy;
    return 0;
}

static int read_bytes(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val,
                      ProtobufCBinaryData *bytes)
{
    if (!yyjson_is_str(val))
        return qk_reader_wrong_kind(r, val, f->name, "a string in base64");
    size_t size = yyjson_get_len(val);
    bytes->len = 0;
    bytes->data = qk_arena_alloc(r->arena, size + 1);
    if (bytes->data == NULL)
        return qk_reader_too_big(r, val);
    if (!qk_scalar_base64(yyjson_get_str(val), size, bytes->data, &bytes->len))
        return qk_reader_fail(r, val, "QK0507", "not base64", "`%s` holds bytes, which are written in base64", f->name);
    return 0;
}

static int read_enum(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val, void *member)
{
    if (yyjson_is_null(val) && qk_known_null(f)) {
        *(uint32_t *)member = 0;
        return 0;
    }
    if (yyjson_is_raw(val)) {
        ProtobufCFieldDescriptor number = *f;
        number.type = PROTOBUF_C_TYPE_INT32;
        return read_integer(r, &number, val, yyjson_get_raw(val), yyjson_get_len(val), member);
    }
    if (!yyjson_is_str(val))
        return qk_reader_wrong_kind(r, val, f->name, "the name of a value, or its number");
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value_by_name(f->descriptor, yyjson_get_str(val));
    if (v == NULL)
        return qk_reader_unknown_enum(r, f, val, yyjson_get_str(val));
    *(int *)member = v->value;
    return 0;
}

int qk_read_value(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val, void *member)
{
    const char *s;
    size_t size;
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        if (!yyjson_is_bool(val))
            return qk_reader_wrong_kind(r, val, f->name, "true or false");
        *(protobuf_c_boolean *)member = yyjson_get_bool(val);
        return 0;
    case PROTOBUF_C_TYPE_STRING:
        if (!yyjson_is_str(val))
            return qk_reader_wrong_kind(r, val, f->name, "a string");
        return qk_read_string(r, f, val, yyjson_get_str(val), yyjson_get_len(val), member);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(r, f, val, member);
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(r, f, val, member);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return read_real(r, f, val, member);
    case PROTOBUF_C_TYPE_MESSAGE:
        return qk_read_message(r, f->descriptor, val, member);
    default:
        if (!qk_reader_number(val, &s, &size))
            return qk_reader_wrong_kind(r, val, f->name, "an integer");
        return read_integer(r, f, val, s, size, member);
    }
}

/* Whether null is a value of a field, and not its absence. */
static bool takes_null(const ProtobufCFieldDescriptor *f)
{
    return qk_known_null(f) || (f->type == PROTOBUF_C_TYPE_MESSAGE && qk_known_kind(f->descriptor) == QK_KNOWN_VALUE);
}

int qk_read_array(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val, ProtobufCMessage *m)
{
    if (!yyjson_is_arr(val))
        return qk_reader_wrong_kind(r, val, f->name, "an array");
    size_t n = yyjson_arr_size(val), size = qk_field_size(f->type);
    uint8_t *array = n <= QK_MESSAGE_ARENA_MAX ? qk_arena_alloc(r->arena, n * size + 1) : NULL;
    if (array == NULL)
        return qk_reader_too_big(r, val);
    memset(array, 0, n * size);
    size_t i, max;
    yyjson_val *element;
    yyjson_arr_foreach(val, i, max, element)
    {
        if (yyjson_is_null(element) && !takes_null(f))
            return qk_reader_wrong_kind(r, element, f->name, "no null among its elements");
        int rc = qk_read_value(r, f, element, array + i * size);
        if (rc < 0)
            return rc;
    }
    *(size_t *)(void *)((uint8_t *)m + f->quantifier_offset) = n;
    *(void **)qk_field_member(f, m) = n != 0 ? array : NULL;
    return 0;
}

/* Keys of maps are strings in JSON, whatever their type. */
static int read_key(struct qk_reader *r, const ProtobufCFieldDescriptor *map, const ProtobufCFieldDescriptor *f,
                    yyjson_val *key, void *member)
{
    const char *s = yyjson_get_str(key);
    size_t size = yyjson_get_len(key);
    if (f->type == PROTOBUF_C_TYPE_STRING)
        return qk_read_string(r, map, key, s, size, member);
    if (f->type == PROTOBUF_C_TYPE_BOOL) {
        if (strcmp(s, "true") != 0 && strcmp(s, "false") != 0)
            return qk_reader_fail(r, key, "QK0503", "expected \"true\" or \"false\"", "a key of `%s` is true or false",
                                  map->name);
        *(protobuf_c_boolean *)member = *s == 't';
        return 0;
    }
    ProtobufCFieldDescriptor named = *f;
    named.name = map->name;
    return read_integer(r, &named, key, s, size, member);
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(yyjson_get_str(*(yyjson_val *const *)a), yyjson_get_str(*(yyjson_val *const *)b));
}

/* Refuses an object that has a name twice. */
static int check_names(struct qk_reader *r, yyjson_val *object)
{
    size_t n = yyjson_obj_size(object), i = 0;
    yyjson_val **keys = n <= QK_JSON_TEXT_MAX ? malloc((n + 1) * sizeof(*keys)) : NULL;
    if (keys == NULL)
        return qk_reader_too_big(r, object);
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;)
        keys[i++] = key;
    qsort(keys, n, sizeof(*keys), compare_words);
    int rc = 0;
    for (i = 1; rc == 0 && i < n; i++) {
        if (compare_words(&keys[i - 1], &keys[i]) == 0)
            rc = qk_reader_fail(r, keys[i - 1] > keys[i] ? keys[i - 1] : keys[i], "QK0506", "here again",
                                "`%.80s` is given twice", yyjson_get_str(keys[i]));
    }
    free(keys);
    return rc;
}

static int read_entry(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *key, yyjson_val *val,
                      ProtobufCMessage **ret_entry)
{
    const ProtobufCMessageDescriptor *desc = f->descriptor;
    ProtobufCMessage *entry = qk_message_new(desc, r->arena);
    if (entry == NULL)
        return qk_reader_too_big(r, key);
    int rc = read_key(r, f, &desc->fields[0], key, qk_field_member(&desc->fields[0], entry));
    if (rc < 0)
        return rc;
    if (yyjson_is_null(val) && !takes_null(&desc->fields[1]))
        return qk_reader_wrong_kind(r, val, f->name, "no null among its values");
    ProtobufCFieldDescriptor named = desc->fields[1];
    named.name = f->name;
    rc = qk_read_value(r, &named, val, qk_field_member(&desc->fields[1], entry));
    if (rc < 0)
        return rc;
    qk_field_set_present(&desc->fields[0], entry);
    qk_field_set_present(&desc->fields[1], entry);
    *ret_entry = entry;
    return 0;
}

int qk_read_map(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val, ProtobufCMessage *m)
{
    if (!yyjson_is_obj(val))
        return qk_reader_wrong_kind(r, val, f->name, "an object");
    size_t n = yyjson_obj_size(val), i = 0;
    ProtobufCMessage **array = n <= QK_MESSAGE_ARENA_MAX ? qk_arena_alloc(r->arena, n * sizeof(*array) + 1) : NULL;
    if (array == NULL)
        return qk_reader_too_big(r, val);
    if (++r->depth > QK_MESSAGE_DEPTH_MAX)
        return qk_reader_too_deep(r, val);
    int rc = check_names(r, val);
    yyjson_obj_iter iter = yyjson_obj_iter_with(val);
    for (yyjson_val *key; rc == 0 && (key = yyjson_obj_iter_next(&iter)) != NULL; i++)
        rc = read_entry(r, f, key, yyjson_obj_iter_get_val(key), &array[i]);
    r->depth--;
    if (rc < 0)
        return rc;
    *(size_t *)(void *)((uint8_t *)m + f->quantifier_offset) = n;
    *(void **)qk_field_member(f, m) = n != 0 ? array : NULL;
    return 0;
}

/* The member of a oneof that has been chosen already, or NULL. */
static const ProtobufCFieldDescriptor *chosen(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m)
{
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
        return NULL;
    uint32_t which = *(const uint32_t *)(const void *)((const uint8_t *)m + f->quantifier_offset);
    return which != 0 ? protobuf_c_message_descriptor_get_field(m->descriptor, which) : NULL;
}

static int read_field(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *key, yyjson_val *val,
                      ProtobufCMessage *m)
{
    if (yyjson_is_null(val) && (f->label == PROTOBUF_C_LABEL_REPEATED || !takes_null(f)))
        return 0;
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return qk_schema_is_map(f) ? qk_read_map(r, f, val, m) : qk_read_array(r, f, val, m);
    const ProtobufCFieldDescriptor *other = chosen(f, m);
    if (other != NULL) {
        char label[120];
        const char *oneof = qk_schema_oneof(m->descriptor, f);
        snprintf(label, sizeof(label), "only one of `%s` may be given", *oneof != '\0' ? oneof : "the oneof");
        return qk_reader_fail(r, key, "QK0506", label, "`%s` is given together with `%s`", f->name, other->name);
    }
    int rc = qk_read_value(r, f, val, qk_field_member(f, m));
    if (rc < 0)
        return rc;
    qk_field_set_present(f, m);
    return 0;
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *desc, const char *name)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(desc, name);
    char buf[256];
    for (unsigned i = 0; f == NULL && i < desc->n_fields; i++) {
        if (strcmp(qk_schema_json_name(desc, &desc->fields[i], buf, sizeof(buf)), name) == 0)
            f = &desc->fields[i];
    }
    return f;
}

int qk_read_fields(struct qk_reader *r, yyjson_val *val, const char *skip, ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *desc = m->descriptor;
    uint8_t *seen = qk_arena_alloc(r->arena, desc->n_fields + 1);
    if (seen == NULL)
        return qk_reader_too_big(r, val);
    memset(seen, 0, desc->n_fields + 1);
    yyjson_obj_iter iter = yyjson_obj_iter_with(val);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        const char *name = yyjson_get_str(key);
        const ProtobufCFieldDescriptor *f = find_field(desc, name);
        if (skip != NULL && strcmp(name, skip) == 0)
            continue;
        if (f == NULL && r->options->ignore_unknown)
            continue;
        if (f == NULL)
            return qk_reader_unknown_field(r, desc, key);
        if (seen[f - desc->fields])
            return qk_reader_fail(r, key, "QK0506", "here again", "`%s` is given twice", f->name);
        seen[f - desc->fields] = 1;
        int rc = read_field(r, f, key, yyjson_obj_iter_get_val(key), m);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int qk_read_message(struct qk_reader *r, const ProtobufCMessageDescriptor *desc, yyjson_val *val,
                    ProtobufCMessage **ret_message)
{
    enum qk_known kind = qk_known_kind(desc);
    if (kind == QK_KNOWN_NONE && !yyjson_is_obj(val))
        return qk_reader_wrong_kind(r, val, desc->name, "an object");
    if (r->depth == QK_MESSAGE_DEPTH_MAX)
        return qk_reader_too_deep(r, val);
    ProtobufCMessage *m = qk_message_new(desc, r->arena);
    if (m == NULL)
        return qk_reader_too_big(r, val);
    r->depth++;
    int rc = kind == QK_KNOWN_NONE ? qk_read_fields(r, val, NULL, m) : qk_read_known(r, kind, val, m);
    r->depth--;
    if (rc < 0)
        return rc;
    *ret_message = m;
    return 0;
}

/* yyjson's own words, where they help. */
static int bad_text(struct qk_reader *r, const yyjson_read_err *err)
{
    size_t at = err->pos < r->size ? err->pos : r->size;
    if (err->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        snprintf(r->error->message, sizeof(r->error->message), "out of memory");
        return QK_ETOOBIG;
    }
    r->error->code = "QK0501";
    snprintf(r->error->message, sizeof(r->error->message), "%s",
             at == r->size ? "the JSON text ends too early" : "the request is not valid JSON");
    snprintf(r->error->label, sizeof(r->error->label), "%s", at == r->size ? "here" : err->msg);
    snprintf(r->error->help, sizeof(r->error->help),
             "in a shell put the text in single quotes: '{\"name\": \"value\"}'");
    qk_reader_set_place(r, at, 1);
    return QK_EINVALID;
}

int qk_json_parse(const ProtobufCMessageDescriptor *desc, const char *text, size_t size,
                  const struct qk_json_options *options, struct qk_arena *arena, struct qk_json_error *ret_error,
                  ProtobufCMessage **ret_message)
{
    static const struct qk_json_options none;
    *ret_error = (struct qk_json_error){.code = "QK0508"};
    if (size > QK_JSON_TEXT_MAX) {
        snprintf(ret_error->message, sizeof(ret_error->message), "the JSON text is larger than %d MiB",
                 QK_JSON_TEXT_MAX >> 20);
        return QK_ETOOBIG;
    }
    struct qk_reader r = {
        .text = text, .size = size, .options = options != NULL ? options : &none, .arena = arena, .error = ret_error};
    yyjson_read_err err;
    /* Without YYJSON_READ_INSITU the text is not written to. */
    r.doc = yyjson_read_opts((char *)(uintptr_t)text, size, YYJSON_READ_NUMBER_AS_RAW, NULL, &err);
    if (r.doc == NULL)
        return bad_text(&r, &err);
    int rc = qk_read_message(&r, desc, yyjson_doc_get_root(r.doc), ret_message);
    yyjson_doc_free(r.doc);
    return rc;
}

void qk_json_diagnose(const struct qk_json_error *error, const char *file, const char *text, size_t size,
                      struct qk_diag *ret_diag)
{
    *ret_diag = (struct qk_diag){.code = error->code,
                                 .message = error->message,
                                 .file = error->line > 0 ? file : NULL,
                                 .line = error->line,
                                 .column = error->column,
                                 .width = error->width,
                                 .source = error->line > 0 ? text : NULL,
                                 .source_size = size,
                                 .label = error->label[0] != '\0' ? error->label : NULL,
                                 .help = error->help[0] != '\0' ? error->help : NULL};
}
