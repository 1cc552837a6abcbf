/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Checks protobuf-c's descriptors: every array within readable memory, every offset within its message, every index
 * within its array. What passes here can be unpacked into, packed and copied.
 */
#include "plugin/messages.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_SIZE_MAX (1u << 20)

bool qk_memory_has(const struct qk_memory *memory, const void *at, size_t size, size_t align)
{
    return (uintptr_t)at % align == 0 && memory->extent(memory->arg, at) >= size;
}

bool qk_memory_has_name(const struct qk_memory *memory, const char *s)
{
    size_t room = memory->extent(memory->arg, s);
    if (room > QK_DESCRIPTOR_NAME_MAX + 1)
        room = QK_DESCRIPTOR_NAME_MAX + 1;
    for (size_t i = 0; i < room; i++) {
        if (s[i] == 0)
            return i > 0;
        if (s[i] <= ' ' || s[i] > '~')
            return false;
    }
    return false;
}

static bool is_array(const struct qk_memory *memory, const void *at, size_t count, size_t size, size_t align)
{
    return count == 0 || (count <= QK_DESCRIPTOR_FIELDS_MAX && qk_memory_has(memory, at, count * size, align));
}

static bool add(struct qk_messages *messages, const void *desc, bool is_enum)
{
    for (unsigned i = 0; i < messages->n_seen; i++) {
        if (messages->seen[i].desc == desc && messages->seen[i].is_enum == is_enum)
            return true;
    }
    if (messages->n_seen == QK_DESCRIPTOR_MESSAGES_MAX)
        return false;
    messages->seen[messages->n_seen].desc = desc;
    messages->seen[messages->n_seen++].is_enum = is_enum;
    return true;
}

bool qk_messages_add(struct qk_messages *messages, const ProtobufCMessageDescriptor *desc)
{
    return add(messages, desc, false);
}

/* Ranges of numbers in an array, each with the index of its first member; one more entry ends them. */
static bool are_ranges(const struct qk_memory *memory, const ProtobufCIntRange *ranges, unsigned n_ranges, unsigned n)
{
    if (n == 0)
        return n_ranges == 0;
    if (n_ranges == 0 || n_ranges > n || !is_array(memory, ranges, (size_t)n_ranges + 1, sizeof(*ranges), sizeof(int)))
        return false;
    for (unsigned i = 0; i < n_ranges; i++) {
        uint64_t length = (uint64_t)ranges[i + 1].orig_index - ranges[i].orig_index;
        if (ranges[i + 1].orig_index <= ranges[i].orig_index || ranges[i].start_value > INT32_MAX - (int64_t)length)
            return false;
        if (i + 1 < n_ranges && ranges[i].start_value + (int64_t)length > ranges[i + 1].start_value)
            return false;
    }
    return ranges[0].orig_index == 0 && ranges[n_ranges].orig_index == n;
}

static size_t size_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return 8;
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

static bool is_member(const ProtobufCMessageDescriptor *d, size_t offset, size_t size)
{
    return offset >= sizeof(ProtobufCMessage) && offset <= d->sizeof_message && size <= d->sizeof_message - offset &&
           offset % (size < sizeof(void *) ? size : sizeof(void *)) == 0;
}

/* How many bytes the flag "has", the number of a oneof's member or the count of a repeated field takes; 0: none. */
static size_t quantifier_size(const ProtobufCFieldDescriptor *f)
{
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return sizeof(size_t);
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        return sizeof(uint32_t);
    bool has = f->label == PROTOBUF_C_LABEL_OPTIONAL && f->type != PROTOBUF_C_TYPE_STRING &&
               f->type != PROTOBUF_C_TYPE_MESSAGE;
    /* Unpacking writes there whatever the type, unless it is 0. */
    return has || f->quantifier_offset != 0 ? sizeof(protobuf_c_boolean) : 0;
}

static size_t field_size(const ProtobufCFieldDescriptor *f)
{
    return f->label == PROTOBUF_C_LABEL_REPEATED ? sizeof(void *) : size_of(f->type);
}

/* Notes that the bytes belong to `owner`; false when some belong to another. */
static bool claim(uint32_t *owners, size_t offset, size_t size, uint32_t owner)
{
    for (size_t i = offset; i < offset + size; i++) {
        if (owners[i] != 0 && owners[i] != owner)
            return false;
        owners[i] = owner;
    }
    return true;
}

/* Whether no two fields share memory, but for those of one oneof, whose number stands in one place. */
static bool are_apart(const ProtobufCMessageDescriptor *d, uint32_t *owners)
{
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        bool chosen = f->label != PROTOBUF_C_LABEL_REPEATED && (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
        uint32_t value = chosen ? 0x40000000u + f->quantifier_offset : i + 1;
        uint32_t quantifier = chosen ? 0x80000000u + f->quantifier_offset : i + 1;
        if (!claim(owners, f->offset, field_size(f), value) ||
            !claim(owners, f->quantifier_offset, quantifier_size(f), quantifier))
            return false;
    }
    return true;
}

static bool is_default(const struct qk_memory *memory, const ProtobufCFieldDescriptor *f)
{
    if (f->default_value == NULL)
        return true;
    if (f->type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *b = f->default_value;
        return qk_memory_has(memory, b, sizeof(*b), sizeof(void *)) &&
               (b->len == 0 || memory->extent(memory->arg, b->data) >= b->len);
    }
    if (f->type != PROTOBUF_C_TYPE_STRING)
        return memory->extent(memory->arg, f->default_value) >= size_of(f->type);
    size_t room = memory->extent(memory->arg, f->default_value);
    return room > 0 && memchr(f->default_value, 0, room < MESSAGE_SIZE_MAX ? room : MESSAGE_SIZE_MAX) != NULL;
}

static const char *check_field(struct qk_messages *m, const ProtobufCMessageDescriptor *d,
                               const ProtobufCFieldDescriptor *f)
{
    if (!qk_memory_has_name(m->memory, f->name))
        return "a field without a name";
    if (f->id == 0 || f->label > PROTOBUF_C_LABEL_NONE || f->type > PROTOBUF_C_TYPE_MESSAGE)
        return "a field of an unknown kind";
    if (!is_member(d, f->offset, field_size(f)) ||
        (quantifier_size(f) > 0 && !is_member(d, f->quantifier_offset, quantifier_size(f))))
        return "a field that lies outside the message";
    if (!is_default(m->memory, f))
        return "a default value that can't be read";
    bool is_enum = f->type == PROTOBUF_C_TYPE_ENUM;
    if ((f->type == PROTOBUF_C_TYPE_MESSAGE || is_enum) && !add(m, f->descriptor, is_enum))
        return "too many messages within one another";
    return NULL;
}

/* Whether the index of numbers finds each field under its own number. */
static bool are_in_order(const ProtobufCMessageDescriptor *d)
{
    for (unsigned r = 0; r < d->n_field_ranges; r++) {
        const ProtobufCIntRange *range = &d->field_ranges[r];
        for (unsigned i = range[0].orig_index; i < range[1].orig_index; i++) {
            if (d->fields[i].id != (uint32_t)range->start_value + (i - range->orig_index))
                return false;
        }
    }
    return true;
}

static const char *check_fields(struct qk_messages *m, const ProtobufCMessageDescriptor *d)
{
    for (unsigned i = 0; i < d->n_fields; i++) {
        if (d->fields_sorted_by_name[i] >= d->n_fields)
            return "an index of names that is not one";
        const char *wrong = check_field(m, d, &d->fields[i]);
        if (wrong != NULL)
            return wrong;
    }
    if (!are_in_order(d))
        return "an index of numbers that is not one";
    uint32_t *owners = calloc(d->sizeof_message, sizeof(*owners));
    if (owners == NULL)
        return "no memory to check it";
    bool apart = are_apart(d, owners);
    free(owners);
    return apart ? NULL : "fields that overlap";
}

static const char *check_message(struct qk_messages *m, const ProtobufCMessageDescriptor *d)
{
    if (!qk_memory_has(m->memory, d, sizeof(*d), sizeof(void *)) || d->magic != PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC)
        return "no descriptor of a message";
    if (!qk_memory_has_name(m->memory, d->name))
        return "a message without a name";
    if (d->sizeof_message < sizeof(ProtobufCMessage) || d->sizeof_message > MESSAGE_SIZE_MAX)
        return "an impossible size";
    /* Unpacking looks at the first field even where there is none, unless the pointer is NULL. */
    size_t n = d->n_fields == 0 && d->fields != NULL ? 1 : d->n_fields;
    if (!is_array(m->memory, d->fields, n, sizeof(*d->fields), sizeof(void *)))
        return "fields that can't be read";
    if (!is_array(m->memory, d->fields_sorted_by_name, d->n_fields, sizeof(unsigned), sizeof(unsigned)))
        return "an index of names that can't be read";
    if (!are_ranges(m->memory, d->field_ranges, d->n_field_ranges, d->n_fields))
        return "an index of numbers that is not one";
    if (d->message_init != NULL && m->memory->extent(m->memory->arg, (const void *)(uintptr_t)d->message_init) == 0)
        return "a function that is nowhere";
    return check_fields(m, d);
}

static const char *check_enum(struct qk_messages *m, const ProtobufCEnumDescriptor *d)
{
    if (!qk_memory_has(m->memory, d, sizeof(*d), sizeof(void *)) || d->magic != PROTOBUF_C__ENUM_DESCRIPTOR_MAGIC ||
        !qk_memory_has_name(m->memory, d->name))
        return "an enumeration without a name";
    if (!is_array(m->memory, d->values, d->n_values, sizeof(*d->values), sizeof(void *)) ||
        !is_array(m->memory, d->values_by_name, d->n_value_names, sizeof(*d->values_by_name), sizeof(void *)) ||
        !are_ranges(m->memory, d->value_ranges, d->n_value_ranges, d->n_values))
        return "values that can't be read";
    for (unsigned i = 0; i < d->n_values; i++) {
        if (!qk_memory_has_name(m->memory, d->values[i].name))
            return "a value without a name";
    }
    for (unsigned i = 0; i < d->n_value_names; i++) {
        if (!qk_memory_has_name(m->memory, d->values_by_name[i].name) || d->values_by_name[i].index >= d->n_values)
            return "a value without a name";
    }
    return NULL;
}

const char *qk_messages_check(struct qk_messages *messages, const char **ret_name)
{
    for (; messages->n_checked < messages->n_seen; messages->n_checked++) {
        const void *desc = messages->seen[messages->n_checked].desc;
        bool is_enum = messages->seen[messages->n_checked].is_enum;
        const char *wrong = is_enum ? check_enum(messages, desc) : check_message(messages, desc);
        if (wrong != NULL) {
            const ProtobufCMessageDescriptor *d = desc; /* both kinds begin with a mark and the name */
            *ret_name = qk_memory_has(messages->memory, d, 2 * sizeof(void *), sizeof(void *)) &&
                                qk_memory_has_name(messages->memory, d->name)
                            ? d->name
                            : "";
            return wrong;
        }
    }
    return NULL;
}
