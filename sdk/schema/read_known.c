/* SPDX-License-Identifier: Apache-2.0 */
/* The well-known types that have a JSON form of their own. */
#include "schema/reader.h"

#include <stdio.h>
#include <string.h>
#include "base/limits.h"
#include "schema/scalar.h"
#include <quark/status.h>

static int read_time(struct qk_reader *r, yyjson_val *val, bool timestamp, ProtobufCMessage *m)
{
    int64_t *seconds = qk_field_member(&m->descriptor->fields[0], m);
    int32_t *nanos = qk_field_member(&m->descriptor->fields[1], m);
    const char *form = timestamp ? "a time like \"2024-02-29T12:00:00.5Z\"" : "a length of time like \"1.5s\"";
    if (!yyjson_is_str(val))
        return qk_reader_wrong_kind(r, val, m->descriptor->name, form);
    const char *s = yyjson_get_str(val);
    size_t size = yyjson_get_len(val);
    if (!(timestamp ? qk_scalar_timestamp(s, size, seconds, nanos) : qk_scalar_duration(s, size, seconds, nanos)))
        return qk_reader_fail(r, val, "QK0507", timestamp ? "no valid time" : "no valid length of time",
                              "`%s` takes %s", m->descriptor->name, form);
    qk_field_set_present(&m->descriptor->fields[0], m);
    qk_field_set_present(&m->descriptor->fields[1], m);
    return 0;
}

static int read_mask(struct qk_reader *r, yyjson_val *val, ProtobufCMessage *m)
{
    const ProtobufCFieldDescriptor *f = &m->descriptor->fields[0];
    if (!yyjson_is_str(val))
        return qk_reader_wrong_kind(r, val, m->descriptor->name, "a string of paths with commas between");
    const char *s = yyjson_get_str(val), *end = s + yyjson_get_len(val);
    if (memchr(s, 0, (size_t)(end - s)) != NULL)
        return qk_reader_fail(r, val, "QK0507", "holds \\u0000", "`%s` can't hold a zero character",
                              m->descriptor->name);
    size_t n = 1;
    for (const char *p = s; p < end; p++)
        n += *p == ',';
    char **paths = qk_arena_alloc(r->arena, n * sizeof(*paths));
    size_t i = 0;
    /* An empty text is no path; else there is one more than commas, and it may be empty. */
    for (bool more = s < end; paths != NULL && more; i++) {
        const char *comma = memchr(s, ',', (size_t)(end - s));
        size_t size = (size_t)((comma != NULL ? comma : end) - s), out;
        paths[i] = qk_arena_alloc(r->arena, 2 * size + 1);
        if (paths[i] == NULL)
            return qk_reader_too_big(r, val);
        if (!qk_scalar_mask_from_json(s, size, paths[i], &out))
            return qk_reader_fail(r, val, "QK0507", "paths are in lowerCamelCase here",
                                  "a path of `%s` has an underscore", m->descriptor->name);
        paths[i][out] = '\0';
        more = comma != NULL;
        s += size + more;
    }
    if (paths == NULL)
        return qk_reader_too_big(r, val);
    *(size_t *)(void *)((uint8_t *)m + f->quantifier_offset) = i;
    *(void **)qk_field_member(f, m) = paths;
    return 0;
}

static int pack_any(struct qk_reader *r, yyjson_val *val, const ProtobufCMessage *inner, ProtobufCMessage *m)
{
    size_t size = protobuf_c_message_get_packed_size(inner);
    ProtobufCBinaryData *bytes = qk_field_member(&m->descriptor->fields[1], m);
    bytes->data = qk_arena_alloc(r->arena, size + 1);
    if (bytes->data == NULL)
        return qk_reader_too_big(r, val);
    bytes->len = protobuf_c_message_pack(inner, bytes->data);
    qk_field_set_present(&m->descriptor->fields[1], m);
    return 0;
}

static int read_any(struct qk_reader *r, yyjson_val *val, ProtobufCMessage *m)
{
    if (!yyjson_is_obj(val))
        return qk_reader_wrong_kind(r, val, m->descriptor->name, "an object with \"@type\"");
    if (yyjson_obj_size(val) == 0)
        return 0;
    yyjson_val *type = yyjson_obj_get(val, "@type");
    if (!yyjson_is_str(type))
        return qk_reader_fail(r, val, "QK0509", "\"@type\" is missing", "`%s` says in \"@type\" what it holds",
                              m->descriptor->name);
    const char *url = yyjson_get_str(type), *slash = strrchr(url, '/');
    const ProtobufCMessageDescriptor *desc =
        slash != NULL && r->options->schema != NULL ? qk_schema_message(r->options->schema, slash + 1) : NULL;
    if (desc == NULL) {
        qk_reader_fail(r, type, "QK0509", "not known here", "there is no message type `%.80s`",
                       slash != NULL ? slash + 1 : url);
        snprintf(r->error->help, sizeof(r->error->help),
                 "a type is written as type.googleapis.com/PACKAGE.MESSAGE, and must be in the files of the plugin");
        return QK_EINVALID;
    }
    int rc = qk_read_string(r, &m->descriptor->fields[0], type, url, yyjson_get_len(type),
                            qk_field_member(&m->descriptor->fields[0], m));
    ProtobufCMessage *inner = NULL;
    if (rc == 0 && qk_known_kind(desc) != QK_KNOWN_NONE) {
        yyjson_val *value = yyjson_obj_get(val, "value");
        if (value == NULL)
            return qk_reader_fail(r, val, "QK0509", "\"value\" is missing", "`%s` stands in \"value\" here",
                                  desc->name);
        rc = qk_read_message(r, desc, value, &inner);
    } else if (rc == 0) {
        inner = qk_message_new(desc, r->arena);
        rc = inner == NULL                         ? qk_reader_too_big(r, val)
             : r->depth + 1 > QK_MESSAGE_DEPTH_MAX ? qk_reader_too_deep(r, val)
                                                   : 0;
        r->depth++;
        if (rc == 0)
            rc = qk_read_fields(r, val, "@type", inner);
        r->depth--;
    }
    return rc < 0 ? rc : pack_any(r, val, inner, m);
}

/* google.protobuf.Value: the member of its oneof that fits the JSON value. */
static int read_dynamic(struct qk_reader *r, yyjson_val *val, ProtobufCMessage *m)
{
    unsigned i = yyjson_is_null(val)   ? 0
                 : yyjson_is_raw(val)  ? 1
                 : yyjson_is_str(val)  ? 2
                 : yyjson_is_bool(val) ? 3
                 : yyjson_is_obj(val)  ? 4
                                       : 5;
    const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
    int rc = i == 0 ? 0 : qk_read_value(r, f, val, qk_field_member(f, m));
    if (rc < 0)
        return rc;
    qk_field_set_present(f, m);
    return 0;
}

int qk_read_known(struct qk_reader *r, enum qk_known kind, yyjson_val *val, ProtobufCMessage *m)
{
    const ProtobufCFieldDescriptor *first = m->descriptor->fields;
    int rc;
    switch (kind) {
    case QK_KNOWN_TIMESTAMP:
    case QK_KNOWN_DURATION:
        return read_time(r, val, kind == QK_KNOWN_TIMESTAMP, m);
    case QK_KNOWN_WRAPPER:
        rc = qk_read_value(r, first, val, qk_field_member(first, m));
        if (rc == 0)
            qk_field_set_present(first, m);
        return rc;
    case QK_KNOWN_STRUCT:
        return qk_read_map(r, first, val, m);
    case QK_KNOWN_LIST:
        return qk_read_array(r, first, val, m);
    case QK_KNOWN_MASK:
        return read_mask(r, val, m);
    case QK_KNOWN_ANY:
        return read_any(r, val, m);
    default:
        return read_dynamic(r, val, m);
    }
}
