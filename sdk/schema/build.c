/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of built descriptors: lays a message out in memory as protobuf-c expects it and makes the look-up tables
 * by number and by name. Whatever the file set says wrong ends in QK_EINVALID with a reason.
 */
#include "schema/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quark/status.h>

#define FIELD_NUMBER_MAX ((1 << 29) - 1)
#define TYPE(name)       GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_##name
#define LABEL(name)      GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_##name

static const struct {
    int proto;
    ProtobufCType type;
    unsigned size;
} types[] = {
    {TYPE(DOUBLE), PROTOBUF_C_TYPE_DOUBLE, 8},
    {TYPE(FLOAT), PROTOBUF_C_TYPE_FLOAT, 4},
    {TYPE(INT64), PROTOBUF_C_TYPE_INT64, 8},
    {TYPE(UINT64), PROTOBUF_C_TYPE_UINT64, 8},
    {TYPE(INT32), PROTOBUF_C_TYPE_INT32, 4},
    {TYPE(FIXED64), PROTOBUF_C_TYPE_FIXED64, 8},
    {TYPE(FIXED32), PROTOBUF_C_TYPE_FIXED32, 4},
    {TYPE(BOOL), PROTOBUF_C_TYPE_BOOL, sizeof(protobuf_c_boolean)},
    {TYPE(STRING), PROTOBUF_C_TYPE_STRING, sizeof(char *)},
    {TYPE(MESSAGE), PROTOBUF_C_TYPE_MESSAGE, sizeof(void *)},
    {TYPE(BYTES), PROTOBUF_C_TYPE_BYTES, sizeof(ProtobufCBinaryData)},
    {TYPE(UINT32), PROTOBUF_C_TYPE_UINT32, 4},
    {TYPE(ENUM), PROTOBUF_C_TYPE_ENUM, 4},
    {TYPE(SFIXED32), PROTOBUF_C_TYPE_SFIXED32, 4},
    {TYPE(SFIXED64), PROTOBUF_C_TYPE_SFIXED64, 8},
    {TYPE(SINT32), PROTOBUF_C_TYPE_SINT32, 4},
    {TYPE(SINT64), PROTOBUF_C_TYPE_SINT64, 8},
};

void qk_schema_camel(const char *name, char *buf, size_t buf_size)
{
    size_t n = 0;
    bool raise = false;
    for (; *name != '\0' && n + 1 < buf_size; name++) {
        if (*name == '_') {
            raise = true;
            continue;
        }
        buf[n++] = (char)(raise && *name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name);
        raise = false;
    }
    buf[n] = '\0';
}

int qk_build_ranges(struct qk_build *b, const int *numbers, unsigned n, unsigned *ret_n,
                    const ProtobufCIntRange **ret_ranges)
{
    ProtobufCIntRange *ranges = qk_build_alloc(b, (n + 1) * sizeof(*ranges));
    if (ranges == NULL)
        return QK_ETOOBIG;
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++) {
        if (i == 0 || (int64_t)numbers[i] != (int64_t)numbers[i - 1] + 1)
            ranges[count++] = (ProtobufCIntRange){numbers[i], i};
    }
    ranges[count] = (ProtobufCIntRange){0, n};
    *ret_n = count;
    *ret_ranges = ranges;
    return 0;
}

static int compare_values(const void *a, const void *b)
{
    const ProtobufCEnumValue *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    /* Of aliases the first one declared stays: c_name holds the place in the file for as long as this sorts. */
    return x->c_name < y->c_name ? -1 : 1;
}

static int compare_value_names(const void *a, const void *b)
{
    return strcmp(((const ProtobufCEnumValueIndex *)a)->name, ((const ProtobufCEnumValueIndex *)b)->name);
}

static unsigned value_index(const ProtobufCEnumValue *values, unsigned n, int number)
{
    unsigned low = 0, high = n;
    while (high - low > 1) {
        unsigned middle = low + (high - low) / 2;
        if (values[middle].value <= number)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int index_values(struct qk_build *b, struct qk_schema_enum *e, const ProtobufCEnumValue *values, unsigned n)
{
    unsigned total = (unsigned)e->proto->n_value;
    ProtobufCEnumValueIndex *names = qk_build_alloc(b, total * sizeof(*names));
    int *numbers = qk_build_alloc(b, n * sizeof(*numbers));
    if (names == NULL || numbers == NULL)
        return QK_ETOOBIG;
    for (unsigned i = 0; i < total; i++) {
        const Google__Protobuf__EnumValueDescriptorProto *v = e->proto->value[i];
        names[i] = (ProtobufCEnumValueIndex){v->name, value_index(values, n, v->number)};
    }
    qsort(names, total, sizeof(*names), compare_value_names);
    for (unsigned i = 1; i < total; i++) {
        if (strcmp(names[i - 1].name, names[i].name) == 0)
            return qk_build_fail(b, "enum `%s` has two values called `%s`", e->desc.name, names[i].name);
    }
    for (unsigned i = 0; i < n; i++)
        numbers[i] = values[i].value;
    e->desc.n_value_names = total;
    e->desc.values_by_name = names;
    return qk_build_ranges(b, numbers, n, &e->desc.n_value_ranges, &e->desc.value_ranges);
}

int qk_build_enum(struct qk_build *b, struct qk_schema_enum *e)
{
    unsigned total = (unsigned)e->proto->n_value, n = 0;
    if (total == 0)
        return qk_build_fail(b, "enum `%s` has no values", e->desc.name);
    ProtobufCEnumValue *values = qk_build_alloc(b, total * sizeof(*values));
    char *places = qk_build_alloc(b, total);
    if (values == NULL || places == NULL)
        return QK_ETOOBIG;
    for (unsigned i = 0; i < total; i++) {
        const Google__Protobuf__EnumValueDescriptorProto *v = e->proto->value[i];
        if (!qk_schema_is_name(v->name, false))
            return qk_build_fail(b, "a value of enum `%s` has no valid name", e->desc.name);
        values[i] = (ProtobufCEnumValue){v->name, places + i, v->number};
    }
    qsort(values, total, sizeof(*values), compare_values);
    for (unsigned i = 0; i < total; i++) {
        if (n == 0 || values[n - 1].value != values[i].value)
            values[n++] = (ProtobufCEnumValue){values[i].name, values[i].name, values[i].value};
    }
    e->desc.n_values = n;
    e->desc.values = values;
    return index_values(b, e, values, n);
}

static size_t align(size_t at, size_t to)
{
    return (at + to - 1) & ~(to - 1);
}

/* The members of a oneof share their memory; in front of it stands the number of the chosen one. */
struct oneof {
    unsigned case_offset;
    unsigned offset;
};

static bool in_oneof(const Google__Protobuf__FieldDescriptorProto *p)
{
    return p->has_oneof_index && !p->proto3_optional;
}

static int describe_field(struct qk_build *b, struct qk_schema_message *m,
                          const Google__Protobuf__FieldDescriptorProto *p, ProtobufCFieldDescriptor *f,
                          unsigned *ret_size)
{
    unsigned t = 0, n = sizeof(types) / sizeof(types[0]);
    while (t < n && types[t].proto != (int)p->type)
        t++;
    if (!qk_schema_is_name(p->name, false) || p->number < 1 || p->number > FIELD_NUMBER_MAX)
        return qk_build_fail(b, "a field of `%s` has no valid name or number", m->desc.name);
    if (!p->has_type || t == n)
        return qk_build_fail(b, "field `%s` of `%s` has a type that is not supported", p->name, m->desc.name);
    *f = (ProtobufCFieldDescriptor){.name = p->name, .id = (uint32_t)p->number, .type = types[t].type};
    *ret_size = types[t].size;
    if (f->type == PROTOBUF_C_TYPE_MESSAGE && p->type_name != NULL)
        f->descriptor = qk_schema_message(b->schema, p->type_name);
    if (f->type == PROTOBUF_C_TYPE_ENUM && p->type_name != NULL)
        f->descriptor = qk_schema_enum(b->schema, p->type_name);
    if ((f->type == PROTOBUF_C_TYPE_MESSAGE || f->type == PROTOBUF_C_TYPE_ENUM) && f->descriptor == NULL)
        return qk_build_fail(b, "field `%s` of `%s` names a type that is not in the set", p->name, m->desc.name);
    bool number =
        f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_BYTES && f->type != PROTOBUF_C_TYPE_MESSAGE;
    if (p->label == LABEL(REPEATED)) {
        f->label = PROTOBUF_C_LABEL_REPEATED;
        bool packed = p->options != NULL && p->options->has_packed ? p->options->packed : m->proto3;
        f->flags = number && packed ? PROTOBUF_C_FIELD_FLAG_PACKED : 0;
    } else if (p->label == LABEL(REQUIRED)) {
        f->label = PROTOBUF_C_LABEL_REQUIRED;
    } else {
        f->label = m->proto3 && !p->proto3_optional ? PROTOBUF_C_LABEL_NONE : PROTOBUF_C_LABEL_OPTIONAL;
    }
    if (f->label == PROTOBUF_C_LABEL_NONE && f->type == PROTOBUF_C_TYPE_STRING && !in_oneof(p))
        f->default_value = protobuf_c_empty_string;
    return 0;
}

static int describe_extra(struct qk_build *b, struct qk_schema_message *m,
                          const Google__Protobuf__FieldDescriptorProto *p, ProtobufCFieldDescriptor *f)
{
    struct qk_schema_field *extra = qk_build_alloc(b, sizeof(*extra));
    size_t size = strlen(p->name) + 1;
    char *camel = qk_build_alloc(b, size);
    if (extra == NULL || camel == NULL)
        return QK_ETOOBIG;
    qk_schema_camel(p->name, camel, size);
    extra->json_name = p->json_name != NULL && p->json_name[0] != '\0' ? p->json_name : camel;
    extra->oneof = "";
    if (in_oneof(p)) {
        if (p->oneof_index < 0 || (size_t)p->oneof_index >= m->proto->n_oneof_decl || p->label == LABEL(REPEATED) ||
            p->label == LABEL(REQUIRED))
            return qk_build_fail(b, "field `%s` of `%s` is in no valid oneof", p->name, m->desc.name);
        const char *name = m->proto->oneof_decl[p->oneof_index]->name;
        extra->oneof = name != NULL ? name : "";
        f->flags |= PROTOBUF_C_FIELD_FLAG_ONEOF;
    }
    f->reserved2 = extra;
    return 0;
}

/* Gives a field its place behind `at`; the end of the message so far. */
static size_t place_field(const Google__Protobuf__FieldDescriptorProto *p, ProtobufCFieldDescriptor *f, unsigned size,
                          struct oneof *oneofs, size_t at)
{
    if (in_oneof(p)) {
        struct oneof *o = &oneofs[p->oneof_index];
        if (o->offset == 0) {
            o->offset = (unsigned)align(at, 8);
            o->case_offset = o->offset + (unsigned)sizeof(ProtobufCBinaryData);
            at = o->case_offset + sizeof(uint32_t);
        }
        f->offset = o->offset;
        f->quantifier_offset = o->case_offset;
        return at;
    }
    bool pointer = f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        at = align(at, sizeof(size_t));
        f->quantifier_offset = (unsigned)at;
        at += sizeof(size_t);
        size = sizeof(void *);
    } else if (f->label == PROTOBUF_C_LABEL_OPTIONAL && !pointer) {
        at = align(at, sizeof(protobuf_c_boolean));
        f->quantifier_offset = (unsigned)at;
        at += sizeof(protobuf_c_boolean);
    }
    at = align(at, size < 8 ? size : 8);
    f->offset = (unsigned)at;
    return at + size;
}

static int compare_protos(const void *a, const void *b)
{
    int x = (*(Google__Protobuf__FieldDescriptorProto *const *)a)->number;
    int y = (*(Google__Protobuf__FieldDescriptorProto *const *)b)->number;
    return x < y ? -1 : x > y;
}

static int compare_field_names(const void *a, const void *b, void *fields)
{
    const ProtobufCFieldDescriptor *f = fields;
    return strcmp(f[*(const unsigned *)a].name, f[*(const unsigned *)b].name);
}

static int index_fields(struct qk_build *b, struct qk_schema_message *m, ProtobufCFieldDescriptor *fields)
{
    unsigned n = m->desc.n_fields;
    unsigned *by_name = qk_build_alloc(b, n * sizeof(*by_name));
    int *numbers = qk_build_alloc(b, n * sizeof(*numbers));
    if (by_name == NULL || numbers == NULL)
        return QK_ETOOBIG;
    for (unsigned i = 0; i < n; i++) {
        by_name[i] = i;
        numbers[i] = (int)fields[i].id;
        if (i > 0 && numbers[i] == numbers[i - 1])
            return qk_build_fail(b, "two fields of `%s` have the number %d", m->desc.name, numbers[i]);
    }
    qsort_r(by_name, n, sizeof(*by_name), compare_field_names, fields);
    for (unsigned i = 1; i < n; i++) {
        if (strcmp(fields[by_name[i - 1]].name, fields[by_name[i]].name) == 0)
            return qk_build_fail(b, "two fields of `%s` are called `%s`", m->desc.name, fields[by_name[i]].name);
    }
    m->desc.fields_sorted_by_name = by_name;
    return qk_build_ranges(b, numbers, n, &m->desc.n_field_ranges, &m->desc.field_ranges);
}

/* The code that reads maps relies on what an entry looks like. */
static int check_map_entry(struct qk_build *b, const struct qk_schema_message *m)
{
    const ProtobufCMessageDescriptor *d = &m->desc;
    if (!m->map_entry)
        return 0;
    bool shape = d->n_fields == 2 && d->fields[0].id == 1 && d->fields[1].id == 2 &&
                 d->fields[0].label != PROTOBUF_C_LABEL_REPEATED && d->fields[1].label != PROTOBUF_C_LABEL_REPEATED &&
                 ((d->fields[0].flags | d->fields[1].flags) & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0;
    ProtobufCType key = shape ? d->fields[0].type : PROTOBUF_C_TYPE_BYTES;
    if (!shape || key == PROTOBUF_C_TYPE_BYTES || key == PROTOBUF_C_TYPE_MESSAGE || key == PROTOBUF_C_TYPE_ENUM ||
        key == PROTOBUF_C_TYPE_FLOAT || key == PROTOBUF_C_TYPE_DOUBLE)
        return qk_build_fail(b, "`%s` is called the entry of a map but is none", d->name);
    return 0;
}

int qk_build_message(struct qk_build *b, struct qk_schema_message *m)
{
    unsigned n = (unsigned)m->proto->n_field;
    ProtobufCFieldDescriptor *fields = qk_build_alloc(b, n * sizeof(*fields));
    struct oneof *oneofs = qk_build_alloc(b, m->proto->n_oneof_decl * sizeof(*oneofs));
    if (fields == NULL || oneofs == NULL)
        return QK_ETOOBIG;
    if (n != 0)
        qsort(m->proto->field, n, sizeof(m->proto->field[0]), compare_protos);
    size_t at = sizeof(ProtobufCMessage);
    for (unsigned i = 0; i < n; i++) {
        const Google__Protobuf__FieldDescriptorProto *p = m->proto->field[i];
        unsigned size = 0;
        int rc = describe_field(b, m, p, &fields[i], &size);
        if (rc == 0)
            rc = describe_extra(b, m, p, &fields[i]);
        if (rc < 0)
            return rc;
        at = place_field(p, &fields[i], size, oneofs, at);
    }
    m->desc.sizeof_message = align(at, 8);
    m->desc.n_fields = n;
    m->desc.fields = fields;
    int rc = index_fields(b, m, fields);
    return rc < 0 ? rc : check_map_entry(b, m);
}

/* Questions about fields, whether their descriptor was built here or generated. */

static bool is_built(const ProtobufCMessageDescriptor *desc)
{
    return desc->reserved1 == &qk_schema_mark;
}

bool qk_schema_is_map(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *d = field->descriptor;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label != PROTOBUF_C_LABEL_REPEATED)
        return false;
    if (is_built(d))
        return ((const struct qk_schema_message *)d)->map_entry;
    if (d->n_fields != 2 || d->fields[0].id != 1 || d->fields[1].id != 2 || strcmp(d->fields[0].name, "key") != 0 ||
        strcmp(d->fields[1].name, "value") != 0)
        return false;
    char camel[256];
    qk_schema_camel(field->name, camel, sizeof(camel));
    size_t n = strlen(camel);
    if (camel[0] >= 'a' && camel[0] <= 'z')
        camel[0] = (char)(camel[0] - 'a' + 'A');
    return strncmp(d->short_name, camel, n) == 0 && strcmp(d->short_name + n, "Entry") == 0;
}

const char *qk_schema_oneof(const ProtobufCMessageDescriptor *desc, const ProtobufCFieldDescriptor *field)
{
    return is_built(desc) ? ((const struct qk_schema_field *)field->reserved2)->oneof : "";
}

const char *qk_schema_json_name(const ProtobufCMessageDescriptor *desc, const ProtobufCFieldDescriptor *field,
                                char *buf, size_t buf_size)
{
    if (is_built(desc))
        return ((const struct qk_schema_field *)field->reserved2)->json_name;
    qk_schema_camel(field->name, buf, buf_size);
    return buf;
}

ProtobufCMessage *qk_message_new(const ProtobufCMessageDescriptor *desc, struct qk_arena *arena)
{
    ProtobufCMessage *message = qk_arena_alloc(arena, desc->sizeof_message);
    if (message == NULL)
        return NULL;
    if (desc->message_init != NULL) {
        desc->message_init(message);
        return message;
    }
    memset(message, 0, desc->sizeof_message);
    message->descriptor = desc;
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        if (f->default_value != NULL)
            memcpy((uint8_t *)message + f->offset, &f->default_value, sizeof(void *));
    }
    return message;
}
