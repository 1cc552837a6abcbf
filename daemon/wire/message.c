/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over protobuf-c messages by their descriptors: flat test, deep copy, clearing, comparison of layouts. */
#include "wire/message.h"

#include <stdlib.h>
#include <string.h>
#include "base/limits.h"
#include <quark/status.h>

static bool holds_pointer(const ProtobufCFieldDescriptor *f)
{
    return f->label == PROTOBUF_C_LABEL_REPEATED || f->type == PROTOBUF_C_TYPE_STRING ||
           f->type == PROTOBUF_C_TYPE_BYTES || f->type == PROTOBUF_C_TYPE_MESSAGE;
}

bool qk_message_is_flat(const ProtobufCMessageDescriptor *desc)
{
    for (unsigned i = 0; i < desc->n_fields; i++) {
        if (holds_pointer(&desc->fields[i]))
            return false;
    }
    return true;
}

static size_t element_size(ProtobufCType type)
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

/* A member of a oneof counts only where the case says so. */
static bool is_chosen(const ProtobufCFieldDescriptor *f, const ProtobufCMessage *m)
{
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0)
        return true;
    uint32_t which;
    memcpy(&which, (const uint8_t *)m + f->quantifier_offset, sizeof(which));
    return which == f->id;
}

static int copy_message(const ProtobufCMessageDescriptor *desc, const ProtobufCMessage *from, ProtobufCMessage *to,
                        struct qk_arena *arena, unsigned depth);

static void *copy_bytes(const void *from, size_t size, struct qk_arena *arena)
{
    void *to = qk_arena_alloc(arena, size != 0 ? size : 1);
    if (to != NULL && size != 0)
        memcpy(to, from, size);
    return to;
}

/* Replaces the pointer in one element, which has been copied as it is. */
static int copy_element(const ProtobufCFieldDescriptor *f, void *element, struct qk_arena *arena, unsigned depth)
{
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        char **s = element;
        if (*s == NULL || *s == (const char *)f->default_value || *s == protobuf_c_empty_string)
            return 0;
        *s = copy_bytes(*s, strlen(*s) + 1, arena);
        return *s != NULL ? 0 : QK_ETOOBIG;
    }
    if (f->type == PROTOBUF_C_TYPE_BYTES) {
        ProtobufCBinaryData *b = element;
        if (b->len == 0 || b->data == NULL) {
            *b = (ProtobufCBinaryData){0, NULL};
            return 0;
        }
        b->data = copy_bytes(b->data, b->len, arena);
        return b->data != NULL ? 0 : QK_ETOOBIG;
    }
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        ProtobufCMessage **m = element;
        if (*m == NULL)
            return 0;
        const ProtobufCMessageDescriptor *desc = f->descriptor;
        ProtobufCMessage *to = qk_arena_alloc(arena, desc->sizeof_message);
        if (to == NULL)
            return QK_ETOOBIG;
        int rc = copy_message(desc, *m, to, arena, depth + 1);
        *m = to;
        return rc;
    }
    return 0;
}

static int copy_repeated(const ProtobufCFieldDescriptor *f, ProtobufCMessage *to, struct qk_arena *arena,
                         unsigned depth)
{
    size_t n;
    memcpy(&n, (uint8_t *)to + f->quantifier_offset, sizeof(n));
    void **array = (void **)((uint8_t *)to + f->offset);
    if (n == 0) {
        *array = NULL;
        return 0;
    }
    if (*array == NULL)
        return QK_EINVALID;
    size_t size = element_size(f->type);
    if (n > QK_TURN_ARENA_MAX / size)
        return QK_ETOOBIG;
    *array = copy_bytes(*array, n * size, arena);
    if (*array == NULL)
        return QK_ETOOBIG;
    for (size_t i = 0; i < n; i++) {
        int rc = copy_element(f, (uint8_t *)*array + i * size, arena, depth);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int copy_unknown(ProtobufCMessage *to, struct qk_arena *arena)
{
    if (to->n_unknown_fields == 0) {
        to->unknown_fields = NULL;
        return 0;
    }
    size_t size = to->n_unknown_fields * sizeof(ProtobufCMessageUnknownField);
    to->unknown_fields = copy_bytes(to->unknown_fields, size, arena);
    if (to->unknown_fields == NULL)
        return QK_ETOOBIG;
    for (unsigned i = 0; i < to->n_unknown_fields; i++) {
        ProtobufCMessageUnknownField *u = &to->unknown_fields[i];
        u->data = copy_bytes(u->data, u->len, arena);
        if (u->data == NULL)
            return QK_ETOOBIG;
    }
    return 0;
}

static int copy_message(const ProtobufCMessageDescriptor *desc, const ProtobufCMessage *from, ProtobufCMessage *to,
                        struct qk_arena *arena, unsigned depth)
{
    if (depth > QK_MESSAGE_DEPTH_MAX)
        return QK_ETOOBIG;
    memcpy(to, from, desc->sizeof_message);
    to->descriptor = desc;
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        if (!holds_pointer(f) || !is_chosen(f, from))
            continue;
        int rc = f->label == PROTOBUF_C_LABEL_REPEATED ? copy_repeated(f, to, arena, depth)
                                                       : copy_element(f, (uint8_t *)to + f->offset, arena, depth);
        if (rc < 0)
            return rc;
    }
    return copy_unknown(to, arena);
}

int qk_message_copy(const ProtobufCMessageDescriptor *desc, const ProtobufCMessage *from, ProtobufCMessage *to,
                    struct qk_arena *arena)
{
    return copy_message(desc, from, to, arena, 1);
}

static void clear_element(const ProtobufCFieldDescriptor *f, void *element)
{
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        char *s = *(char **)element;
        if (s != (const char *)f->default_value && s != protobuf_c_empty_string)
            free(s);
    } else if (f->type == PROTOBUF_C_TYPE_BYTES) {
        free(((ProtobufCBinaryData *)element)->data);
    } else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        ProtobufCMessage *m = *(ProtobufCMessage **)element;
        if (m != NULL) {
            qk_message_clear(f->descriptor, m);
            free(m);
        }
    }
}

void qk_message_clear(const ProtobufCMessageDescriptor *desc, ProtobufCMessage *message)
{
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        if (!holds_pointer(f) || !is_chosen(f, message))
            continue;
        uint8_t *member = (uint8_t *)message + f->offset;
        if (f->label != PROTOBUF_C_LABEL_REPEATED) {
            clear_element(f, member);
            continue;
        }
        size_t n;
        memcpy(&n, (uint8_t *)message + f->quantifier_offset, sizeof(n));
        uint8_t *array = *(uint8_t **)member;
        for (size_t k = 0; array != NULL && k < n; k++)
            clear_element(f, array + k * element_size(f->type));
        free(array);
    }
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        free(message->unknown_fields[i].data);
    free(message->unknown_fields);
    desc->message_init(message);
}

/* The pairs that are being compared, innermost first: a pair inside itself repeats what is being compared anyway. */
struct pair {
    const ProtobufCMessageDescriptor *a;
    const ProtobufCMessageDescriptor *b;
    const struct pair *outer;
};

static bool same_layout(const ProtobufCMessageDescriptor *a, const ProtobufCMessageDescriptor *b,
                        const struct pair *outer)
{
    if (a == b)
        return true;
    for (const struct pair *p = outer; p != NULL; p = p->outer) {
        if (p->a == a && p->b == b)
            return true;
    }
    if (a->sizeof_message != b->sizeof_message || a->n_fields != b->n_fields || strcmp(a->name, b->name) != 0)
        return false;
    struct pair self = {a, b, outer};
    for (unsigned i = 0; i < a->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &a->fields[i];
        const ProtobufCFieldDescriptor *g = &b->fields[i];
        if (f->id != g->id || f->label != g->label || f->type != g->type || f->offset != g->offset ||
            f->quantifier_offset != g->quantifier_offset || f->flags != g->flags)
            return false;
        if (f->type == PROTOBUF_C_TYPE_MESSAGE && !same_layout(f->descriptor, g->descriptor, &self))
            return false;
    }
    return true;
}

bool qk_message_same_layout(const ProtobufCMessageDescriptor *a, const ProtobufCMessageDescriptor *b)
{
    return same_layout(a, b, NULL);
}
