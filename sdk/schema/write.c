/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to JSON. Recurses as deep as the message, at most QK_MESSAGE_DEPTH_MAX. What JSON can't express (an Any of
 * an unknown type, a date of year 10,000, bytes in a string that are not UTF-8) ends the printing with the reason.
 */
#include "schema/json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/limits.h"
#include "schema/field.h"
#include "schema/scalar.h"
#include "schema/text.h"
#include "wire/check.h"
#include <quark/status.h>

struct writer {
    struct qk_json_text text;
    const struct qk_json_options *options;
    struct qk_json_error *error;
    struct qk_arena arena; /* what Any holds, unpacked */
    unsigned depth;
};

static int write_message(struct writer *w, const ProtobufCMessage *m);

static int fail(struct writer *w, const char *what, const char *where)
{
    snprintf(w->error->message, sizeof(w->error->message), "`%s` %s", where, what);
    return QK_EINVALID;
}

static int write_string(struct writer *w, const char *s, const char *where)
{
    size_t size = s != NULL ? strlen(s) : 0;
    if (!qk_wire_is_utf8((const uint8_t *)s, size))
        return fail(w, "holds bytes that are not UTF-8", where);
    qk_json_text_string(&w->text, s != NULL ? s : "", size);
    return 0;
}

static int write_bytes(struct writer *w, const ProtobufCBinaryData *b)
{
    if (b->len > QK_MESSAGE_ARENA_MAX)
        return QK_ETOOBIG;
    char *buf = malloc((b->len + 2) / 3 * 4 + 2);
    if (buf == NULL)
        return -ENOMEM;
    buf[0] = '"';
    size_t n = b->data != NULL ? qk_scalar_print_base64(b->data, b->len, buf + 1) : 0;
    buf[n + 1] = '"';
    qk_json_text_raw(&w->text, buf, n + 2);
    free(buf);
    return 0;
}

static void write_enum(struct writer *w, const ProtobufCFieldDescriptor *f, int number)
{
    char buf[16];
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(f->descriptor, number);
    if (qk_known_null(f)) {
        qk_json_text_raw(&w->text, "null", 4);
    } else if (v != NULL && !w->options->enums_as_numbers) {
        qk_json_text_string(&w->text, v->name, strlen(v->name));
    } else {
        snprintf(buf, sizeof(buf), "%d", number);
        qk_json_text_raw(&w->text, buf, strlen(buf));
    }
}

/* The text of a number or a bool; 64-bit integers get quotes. False for other types. */
static bool print_number(ProtobufCType type, const void *value, char *buf, size_t size)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        snprintf(buf, size, "%" PRId32, *(const int32_t *)value);
        return true;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        snprintf(buf, size, "%" PRIu32, *(const uint32_t *)value);
        return true;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        snprintf(buf, size, "\"%" PRId64 "\"", *(const int64_t *)value);
        return true;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        snprintf(buf, size, "\"%" PRIu64 "\"", *(const uint64_t *)value);
        return true;
    case PROTOBUF_C_TYPE_FLOAT:
        qk_scalar_print_float(*(const float *)value, buf);
        return true;
    case PROTOBUF_C_TYPE_DOUBLE:
        qk_scalar_print_double(*(const double *)value, buf);
        return true;
    case PROTOBUF_C_TYPE_BOOL:
        snprintf(buf, size, "%s", *(const protobuf_c_boolean *)value ? "true" : "false");
        return true;
    default:
        return false;
    }
}

static int write_value(struct writer *w, const ProtobufCFieldDescriptor *f, const void *value)
{
    char buf[40];
    if (print_number(f->type, value, buf, sizeof(buf))) {
        qk_json_text_raw(&w->text, buf, strlen(buf));
        return 0;
    }
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        return write_string(w, *(char *const *)value, f->name);
    case PROTOBUF_C_TYPE_BYTES:
        return write_bytes(w, value);
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(w, f, *(const int *)value);
        return 0;
    default:
        return write_message(w, *(ProtobufCMessage *const *)value);
    }
}

static int write_array(struct writer *w, const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m)
{
    size_t n = qk_field_count(f, m), size = qk_field_size(f->type);
    const uint8_t *array = *(uint8_t *const *)qk_field_member(f, m);
    qk_json_text_open(&w->text, '[');
    for (size_t i = 0; i < n; i++) {
        int rc = write_value(w, f, array + i * size);
        if (rc < 0)
            return rc;
    }
    qk_json_text_close(&w->text, ']');
    return 0;
}

/* Keys of maps in their natural order. */
static int compare_keys(const ProtobufCFieldDescriptor *key, const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    const void *p = qk_field_member(key, a), *q = qk_field_member(key, b);
    switch (key->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = *(char *const *)p, *t = *(char *const *)q;
        return strcmp(s != NULL ? s : "", t != NULL ? t : "");
    }
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return (*(const int64_t *)p > *(const int64_t *)q) - (*(const int64_t *)p < *(const int64_t *)q);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return (*(const uint64_t *)p > *(const uint64_t *)q) - (*(const uint64_t *)p < *(const uint64_t *)q);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return (*(const uint32_t *)p > *(const uint32_t *)q) - (*(const uint32_t *)p < *(const uint32_t *)q);
    default:
        return (*(const int32_t *)p > *(const int32_t *)q) - (*(const int32_t *)p < *(const int32_t *)q);
    }
}

/* Maps come as entries, of which the last one with a key counts. */
static int compare_entries(const void *a, const void *b, void *key_field)
{
    const ProtobufCMessage *const *x = *(const ProtobufCMessage *const *const *)a;
    const ProtobufCMessage *const *y = *(const ProtobufCMessage *const *const *)b;
    int order = compare_keys(key_field, *x, *y);
    return order != 0 ? order : x < y ? -1 : x > y;
}

static int write_entry(struct writer *w, const ProtobufCMessageDescriptor *entry, const ProtobufCMessage *m)
{
    char buf[40];
    const ProtobufCFieldDescriptor *key = &entry->fields[0], *value = &entry->fields[1];
    const void *k = qk_field_member(key, m), *v = qk_field_member(value, m);
    if (key->type == PROTOBUF_C_TYPE_STRING) {
        const char *s = *(char *const *)k;
        if (s != NULL && !qk_wire_is_utf8((const uint8_t *)s, strlen(s)))
            return fail(w, "holds bytes that are not UTF-8", entry->name);
        qk_json_text_key(&w->text, s != NULL ? s : "");
    } else if (print_number(key->type, k, buf, sizeof(buf))) {
        size_t n = strlen(buf);
        if (buf[0] == '"')
            buf[n - 1] = '\0';
        qk_json_text_key(&w->text, buf + (buf[0] == '"'));
    } else {
        return fail(w, "is a map with keys of a type that can't be one", entry->name);
    }
    if (value->type != PROTOBUF_C_TYPE_MESSAGE || *(void *const *)v != NULL)
        return write_value(w, value, v);
    ProtobufCMessage *empty = qk_message_new(value->descriptor, &w->arena);
    return empty != NULL ? write_message(w, empty) : QK_ETOOBIG;
}

static int write_map(struct writer *w, const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *entry = f->descriptor;
    size_t n = qk_field_count(f, m);
    const ProtobufCMessage **array = *(const ProtobufCMessage ***)qk_field_member(f, m);
    const ProtobufCMessage ***sorted = malloc((n + 1) * sizeof(*sorted));
    if (sorted == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        sorted[i] = &array[i];
    qsort_r(sorted, n, sizeof(*sorted), compare_entries, (void *)(uintptr_t)&entry->fields[0]);
    int rc = ++w->depth > QK_MESSAGE_DEPTH_MAX ? QK_ETOOBIG : 0;
    qk_json_text_open(&w->text, '{');
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (i + 1 == n || compare_keys(&entry->fields[0], *sorted[i], *sorted[i + 1]) != 0)
            rc = write_entry(w, entry, *sorted[i]);
    }
    qk_json_text_close(&w->text, '}');
    w->depth--;
    free(sorted);
    return rc;
}

static int write_fields(struct writer *w, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *desc = m->descriptor;
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED;
        bool defaults = repeated || (f->label == PROTOBUF_C_LABEL_NONE && f->type != PROTOBUF_C_TYPE_MESSAGE &&
                                     (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0);
        if (!qk_field_present(f, m) && !(defaults && w->options->emit_defaults))
            continue;
        char buf[256];
        qk_json_text_key(&w->text,
                         w->options->original_names ? f->name : qk_schema_json_name(desc, f, buf, sizeof(buf)));
        int rc = !repeated             ? write_value(w, f, qk_field_member(f, m))
                 : qk_schema_is_map(f) ? write_map(w, f, m)
                                       : write_array(w, f, m);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int write_time(struct writer *w, const ProtobufCMessage *m, enum qk_known kind)
{
    char buf[64];
    int64_t seconds = *(int64_t *)qk_field_member(&m->descriptor->fields[0], m);
    int32_t nanos = *(int32_t *)qk_field_member(&m->descriptor->fields[1], m);
    bool ok = kind == QK_KNOWN_TIMESTAMP ? qk_scalar_print_timestamp(seconds, nanos, buf, sizeof(buf))
                                         : qk_scalar_print_duration(seconds, nanos, buf, sizeof(buf));
    if (!ok)
        return fail(w, "holds seconds or nanoseconds past its bounds", m->descriptor->name);
    qk_json_text_string(&w->text, buf, strlen(buf));
    return 0;
}

static int write_mask(struct writer *w, const ProtobufCMessage *m)
{
    const ProtobufCFieldDescriptor *f = &m->descriptor->fields[0];
    char **paths = *(char ***)qk_field_member(f, m);
    size_t n = qk_field_count(f, m), room = 1, size = 0;
    for (size_t i = 0; i < n; i++)
        room += strlen(paths[i]) + 1;
    char *joined = malloc(room);
    if (joined == NULL)
        return -ENOMEM;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t part;
        if (i > 0)
            joined[size++] = ',';
        if (!qk_scalar_mask_to_json(paths[i], strlen(paths[i]), joined + size, &part))
            rc = fail(w, "holds a path that has no form in JSON", m->descriptor->name);
        else
            size += part;
    }
    joined[size] = '\0';
    if (rc == 0)
        rc = write_string(w, joined, m->descriptor->name);
    free(joined);
    return rc;
}

static int write_any(struct writer *w, const ProtobufCMessage *m)
{
    const char *url = *(char **)qk_field_member(&m->descriptor->fields[0], m);
    const ProtobufCBinaryData *bytes = qk_field_member(&m->descriptor->fields[1], m);
    const char *slash = url != NULL ? strrchr(url, '/') : NULL;
    if (url == NULL || (*url == '\0' && bytes->len == 0)) {
        qk_json_text_open(&w->text, '{');
        qk_json_text_close(&w->text, '}');
        return 0;
    }
    const ProtobufCMessageDescriptor *desc =
        slash != NULL && w->options->schema != NULL ? qk_schema_message(w->options->schema, slash + 1) : NULL;
    ProtobufCMessage *inner;
    if (desc == NULL)
        return fail(w, "is the type of an Any and is not known here", url);
    if (qk_wire_unpack(desc, bytes->data, bytes->len, &w->arena, &inner) < 0)
        return fail(w, "is the type of an Any that does not hold one", url);
    qk_json_text_open(&w->text, '{');
    qk_json_text_key(&w->text, "@type");
    int rc = write_string(w, url, "@type");
    if (rc == 0 && qk_known_kind(desc) != QK_KNOWN_NONE) {
        qk_json_text_key(&w->text, "value");
        rc = write_message(w, inner);
    } else if (rc == 0) {
        rc = write_fields(w, inner);
    }
    qk_json_text_close(&w->text, '}');
    return rc;
}

static int write_dynamic(struct writer *w, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *desc = m->descriptor;
    for (unsigned i = 1; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        if (!qk_field_present(f, m))
            continue;
        if (f->type == PROTOBUF_C_TYPE_DOUBLE && !isfinite(*(double *)qk_field_member(f, m)))
            return fail(w, "holds a number that is not finite", desc->name);
        return write_value(w, f, qk_field_member(f, m));
    }
    qk_json_text_raw(&w->text, "null", 4);
    return 0;
}

static int write_known(struct writer *w, const ProtobufCMessage *m, enum qk_known kind)
{
    const ProtobufCFieldDescriptor *first = m->descriptor->fields;
    switch (kind) {
    case QK_KNOWN_TIMESTAMP:
    case QK_KNOWN_DURATION:
        return write_time(w, m, kind);
    case QK_KNOWN_WRAPPER:
        return write_value(w, first, qk_field_member(first, m));
    case QK_KNOWN_STRUCT:
        return write_map(w, first, m);
    case QK_KNOWN_LIST:
        return write_array(w, first, m);
    case QK_KNOWN_MASK:
        return write_mask(w, m);
    case QK_KNOWN_ANY:
        return write_any(w, m);
    default:
        return write_dynamic(w, m);
    }
}

static int write_message(struct writer *w, const ProtobufCMessage *m)
{
    if (++w->depth > QK_MESSAGE_DEPTH_MAX) {
        snprintf(w->error->message, sizeof(w->error->message), "the message is deeper than %d levels",
                 QK_MESSAGE_DEPTH_MAX);
        return QK_ETOOBIG;
    }
    enum qk_known kind = qk_known_kind(m->descriptor);
    int rc;
    if (kind == QK_KNOWN_NONE) {
        qk_json_text_open(&w->text, '{');
        rc = write_fields(w, m);
        qk_json_text_close(&w->text, '}');
    } else {
        rc = write_known(w, m, kind);
    }
    w->depth--;
    return rc;
}

/* Columns, not bytes. */
static size_t width_of(const char *s, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

int qk_json_print(const ProtobufCMessage *message, const struct qk_json_options *options,
                  struct qk_json_error *ret_error, char **ret_text, size_t *ret_size)
{
    static const struct qk_json_options none;
    options = options != NULL ? options : &none;
    *ret_error = (struct qk_json_error){.code = "QK0509"};
    struct writer w = {.options = options, .error = ret_error};
    w.text.layout = options->layout == QK_JSON_FIT ? QK_JSON_LINE : options->layout;
    qk_arena_init(&w.arena, 2 * QK_MESSAGE_ARENA_MAX);
    int rc = write_message(&w, message);
    if (rc == 0 && options->layout == QK_JSON_FIT && width_of(w.text.data, w.text.size) > QK_JSON_WIDTH) {
        free(w.text.data);
        w.text = (struct qk_json_text){.layout = QK_JSON_INDENTED};
        rc = write_message(&w, message);
    }
    qk_arena_finish(&w.arena);
    if (rc == 0 && w.text.failed)
        rc = -ENOMEM;
    if (rc < 0) {
        if (ret_error->message[0] == '\0')
            snprintf(ret_error->message, sizeof(ret_error->message), "%s",
                     rc == -ENOMEM ? "out of memory" : "the message is larger than the limit");
        free(w.text.data);
        return rc;
    }
    *ret_text = w.text.data;
    *ret_size = w.text.size;
    return 0;
}
