/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of a JSON text and their places. yyjson keeps no positions: since its values stand in the order of the text,
 * that of a faulty one is found by counting tokens, once there is an error to tell.
 */
#include "schema/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/limits.h"
#include <quark/status.h>

/* Where the token with the number `index` lies: names of members count, brackets that close do not. */
static void locate(const char *text, size_t size, size_t index, size_t *ret_at, size_t *ret_size)
{
    size_t i = 0, n = 0;
    while (i < size) {
        size_t start = i;
        if (strchr(" \t\r\n,:]}", text[i]) != NULL) {
            i++;
            continue;
        }
        if (text[i] == '"') {
            for (i++; i < size && text[i] != '"'; i++)
                i += text[i] == '\\';
            i++;
        } else if (text[i] == '{' || text[i] == '[') {
            i++;
        } else {
            while (i < size && strchr(" \t\r\n,:]}", text[i]) == NULL)
                i++;
        }
        if (n++ == index) {
            *ret_at = start;
            *ret_size = i - start;
            return;
        }
    }
    *ret_at = size;
    *ret_size = 1;
}

void qk_reader_set_place(struct qk_reader *r, size_t at, size_t width)
{
    size_t line_start = 0;
    r->error->line = 1;
    for (size_t i = 0; i < at; i++) {
        if (r->text[i] == '\n') {
            r->error->line++;
            line_start = i + 1;
        }
    }
    r->error->column = (int)(at - line_start + 1);
    r->error->width = width > 60 ? 60 : (int)width;
}

/* Names come from the text, and the message may reach a terminal. */
static void clean(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 32 || *text == 127)
            *text = '?';
    }
}

int qk_reader_fail(struct qk_reader *r, const yyjson_val *val, const char *code, const char *label, const char *format,
                   ...)
{
    size_t at, width;
    va_list args;
    va_start(args, format);
    vsnprintf(r->error->message, sizeof(r->error->message), format, args);
    va_end(args);
    clean(r->error->message);
    locate(r->text, r->size, (size_t)(val - yyjson_doc_get_root(r->doc)), &at, &width);
    qk_reader_set_place(r, at, width);
    r->error->code = code;
    snprintf(r->error->label, sizeof(r->error->label), "%s", label);
    return QK_EINVALID;
}

int qk_reader_too_big(struct qk_reader *r, const yyjson_val *val)
{
    qk_reader_fail(r, val, "QK0508", "this is where it passes the limit",
                   "the message takes more than %d MiB in memory", QK_MESSAGE_ARENA_MAX >> 20);
    return QK_ETOOBIG;
}

static const char *kind_of(yyjson_val *val)
{
    switch (yyjson_get_type(val)) {
    case YYJSON_TYPE_RAW:
    case YYJSON_TYPE_NUM:
        return "a number";
    case YYJSON_TYPE_STR:
        return "a string";
    case YYJSON_TYPE_BOOL:
        return "true or false";
    case YYJSON_TYPE_ARR:
        return "an array";
    case YYJSON_TYPE_OBJ:
        return "an object";
    default:
        return "null";
    }
}

int qk_reader_wrong_kind(struct qk_reader *r, yyjson_val *val, const char *where, const char *expected)
{
    char label[120];
    snprintf(label, sizeof(label), "expected %s", expected);
    return qk_reader_fail(r, val, "QK0503", label, "`%s` takes %s, not %s", where, expected, kind_of(val));
}

int qk_reader_too_deep(struct qk_reader *r, const yyjson_val *val)
{
    qk_reader_fail(r, val, "QK0508", "one level too many", "the message is deeper than %d levels",
                   QK_MESSAGE_DEPTH_MAX);
    return QK_ETOOBIG;
}

int qk_reader_unknown_enum(struct qk_reader *r, const ProtobufCFieldDescriptor *f, yyjson_val *val, const char *name)
{
    const ProtobufCEnumDescriptor *desc = f->descriptor;
    const char **words = qk_arena_alloc(r->arena, (desc->n_value_names + 1) * sizeof(*words));
    if (words == NULL)
        return qk_reader_too_big(r, val);
    for (unsigned i = 0; i < desc->n_value_names; i++)
        words[i] = desc->values_by_name[i].name;
    words[desc->n_value_names] = NULL;
    const char *near = qk_suggest(name, words);
    char label[120] = "no such value";
    if (near != NULL)
        snprintf(label, sizeof(label), "did you mean `%s`?", near);
    qk_reader_fail(r, val, "QK0505", label, "`%s` of `%s` has no value `%.60s`", f->name, desc->name, name);
    size_t n = (size_t)snprintf(r->error->help, sizeof(r->error->help), "the values are");
    for (unsigned i = 0; i < desc->n_values && n < sizeof(r->error->help) - 80; i++)
        n += (size_t)snprintf(r->error->help + n, sizeof(r->error->help) - n, "%s %s", i > 0 ? "," : "",
                              desc->values[i].name);
    return QK_EINVALID;
}

int qk_reader_unknown_field(struct qk_reader *r, const ProtobufCMessageDescriptor *desc, yyjson_val *key)
{
    const char **words = qk_arena_alloc(r->arena, (2 * desc->n_fields + 1) * sizeof(*words));
    unsigned count = 0;
    for (unsigned i = 0; words != NULL && i < desc->n_fields; i++) {
        char buf[256];
        const char *json = qk_schema_json_name(desc, &desc->fields[i], buf, sizeof(buf));
        char *copy = qk_arena_alloc(r->arena, strlen(json) + 1);
        if (copy != NULL)
            words[count++] = strcpy(copy, json);
        words[count++] = desc->fields[i].name;
    }
    const char *near = NULL;
    if (words != NULL) {
        words[count] = NULL;
        near = qk_suggest(yyjson_get_str(key), words);
    }
    char label[120] = "no such field";
    if (near != NULL)
        snprintf(label, sizeof(label), "did you mean `%s`?", near);
    qk_reader_fail(r, key, "QK0502", label, "`%s` has no field `%.60s`", desc->name, yyjson_get_str(key));
    if (desc->n_fields == 0) {
        snprintf(r->error->help, sizeof(r->error->help), "`%s` has no fields: write {}", desc->name);
        return QK_EINVALID;
    }
    size_t n = (size_t)snprintf(r->error->help, sizeof(r->error->help), "%s",
                                desc->n_fields == 1 ? "its one field is" : "its fields are");
    for (unsigned i = 0; i < desc->n_fields && n < sizeof(r->error->help) - 80; i++)
        n += (size_t)snprintf(r->error->help + n, sizeof(r->error->help) - n, "%s %.60s", i > 0 ? "," : "",
                              desc->fields[i].name);
    return QK_EINVALID;
}

bool qk_reader_number(yyjson_val *val, const char **ret_text, size_t *ret_size)
{
    *ret_text = yyjson_is_raw(val) ? yyjson_get_raw(val) : yyjson_is_str(val) ? yyjson_get_str(val) : NULL;
    *ret_size = yyjson_get_len(val);
    return *ret_text != NULL;
}
