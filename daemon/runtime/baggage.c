/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Context: what a request carries along to everything that is done for it.
 *
 * A block is made once and never changes; messages, turns and timers hold references. Most requests carry none, and
 * then none of this runs. A turn passes on the block that it was given; where the request is traced, or the handler
 * sets something, the turn makes a block of its own with its first call, and passes that on.
 */
#include "runtime/context.h"

#include <stdlib.h>
#include "wire/spans.h"

void qk_baggage_unref(struct qk_baggage *b)
{
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (b->recorder != NULL)
        qk_recorder_unref(b->recorder);
    free(b);
}

struct qk_baggage *qk_baggage_ref(struct qk_baggage *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

/* An empty block with room for `room` bytes; NULL without memory. */
static struct qk_baggage *create(size_t room)
{
    struct qk_baggage *b = malloc(sizeof(*b) + room);
    if (b == NULL)
        return NULL;
    *b = (struct qk_baggage){.n_entries = 0};
    atomic_init(&b->refs, 1);
    return b;
}

static void put(struct qk_baggage *b, const char *name, size_t name_len, const char *value, size_t value_len)
{
    char *at = b->bytes + b->size;
    memcpy(at, name, name_len);
    at[name_len] = '\0';
    memcpy(at + name_len + 1, value, value_len);
    at[name_len + 1 + value_len] = '\0';
    b->size += (uint32_t)(name_len + value_len + 2);
    b->n_entries++;
}

/* The value of an entry; NULL when there is none. */
static const char *find(const struct qk_baggage *b, const char *name)
{
    const char *at = b->bytes;
    for (uint32_t i = 0; i < b->n_entries; i++) {
        const char *value = at + strlen(at) + 1;
        if (strcmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

/* ---- what comes in */

/* Takes one member into the block; NULL, or what is wrong with it. */
static const char *take(struct qk_baggage *b, const struct qk_context_item *item)
{
    if (item->kind == QK_CONTEXT_PARENT) {
        if (item->value_len == 0)
            return NULL;
        b->traced = qk_trace_parse(item->value, item->value_len, &b->trace);
        return b->traced ? NULL : QK_CONTEXT_WRONG_PARENT;
    }
    if (item->kind == QK_CONTEXT_RECORD) {
        b->record = item->flag;
        return NULL;
    }
    const char *why = qk_context_wrong(item->name, item->name_len, item->value, item->value_len);
    if (why != NULL)
        return why;
    char name[QK_CONTEXT_NAME_MAX + 1];
    memcpy(name, item->name, item->name_len);
    name[item->name_len] = '\0';
    if (strcmp(name, QK_CONTEXT_TRACEPARENT) == 0)
        return "traceparent is a member of its own in a context, and no entry";
    if (find(b, name) != NULL)
        return "a context has two entries of one name";
    /* The zeros are not counted. */
    why = qk_context_beyond(b->n_entries + 1, b->size - 2 * b->n_entries + item->name_len + item->value_len);
    if (why == NULL)
        put(b, item->name, item->name_len, item->value, item->value_len);
    return why;
}

int qk_baggage_parse(const uint8_t *data, size_t size, struct qk_baggage **ret_baggage, const char **ret_why)
{
    struct qk_context_reader r = {data, data + size};
    struct qk_context_item item;
    struct qk_baggage *b = create(size); /* an entry takes fewer bytes here than in the message */
    *ret_why = "out of memory";
    if (b == NULL)
        return QK_ENOMEMORY;
    int rc;
    while ((rc = qk_context_next(&r, &item)) > 0) {
        *ret_why = take(b, &item);
        if (*ret_why != NULL) {
            rc = QK_EINVALID;
            break;
        }
    }
    if (rc == QK_EPROTOCOL)
        *ret_why = "the context does not parse";
    if (rc < 0 || (b->n_entries == 0 && !b->traced && !b->record)) {
        free(b);
        b = NULL;
    }
    if (rc == 0)
        *ret_baggage = b;
    return rc < 0 ? QK_EINVALID : 0;
}

/* ---- what goes out */

size_t qk_baggage_packed_size(const struct qk_baggage *b)
{
    const char *at = b->bytes;
    size_t size = b->traced ? qk_context_parent_size(QK_TRACEPARENT_LEN) : 0;
    for (uint32_t i = 0; i < b->n_entries; i++) {
        size_t name_len = strlen(at), value_len = strlen(at + name_len + 1);
        size += qk_context_entry_size(name_len, value_len);
        at += name_len + value_len + 2;
    }
    return size;
}

void qk_baggage_pack(const struct qk_baggage *b, uint8_t *to)
{
    const char *at = b->bytes;
    char parent[QK_TRACEPARENT_LEN + 1];
    if (b->traced) {
        qk_trace_format(&b->trace, parent);
        to = qk_context_put_parent(to, parent, QK_TRACEPARENT_LEN);
    }
    for (uint32_t i = 0; i < b->n_entries; i++) {
        size_t name_len = strlen(at), value_len = strlen(at + name_len + 1);
        to = qk_context_put_entry(to, at, name_len, at + name_len + 1, value_len);
        at += name_len + value_len + 2;
    }
}

/* ---- what goes on */

/* The next number of a splitmix64 generator; not 0. */
static uint64_t next_span(struct qk_worker *w)
{
    uint64_t z;
    do {
        z = w->spans += 0x9e3779b97f4a7c15ull;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        z ^= z >> 31;
    } while (z == 0);
    return z;
}

static uint64_t span_of(struct qk_turn_state *t)
{
    if (t->span == 0)
        t->span = t->baggage->own != 0 ? t->baggage->own : next_span(t->worker);
    return t->span;
}

/* A copy to be changed; NULL without memory. */
static struct qk_baggage *copy(const struct qk_baggage *from)
{
    struct qk_baggage *b = create(from->size);
    if (b == NULL)
        return NULL;
    memcpy(b->bytes, from->bytes, from->size);
    b->size = from->size;
    b->n_entries = from->n_entries;
    b->traced = from->traced;
    b->trace = from->trace;
    b->number = from->number;
    if (from->recorder != NULL)
        b->recorder = qk_recorder_ref(from->recorder);
    return b;
}

/* What the turn passes on from here; NULL without memory. The turn keeps the reference. */
static struct qk_baggage *outgoing(struct qk_turn_state *t)
{
    if (t->passes != NULL)
        return t->passes;
    const struct qk_baggage *from = t->baggage;
    if (!from->traced) {
        t->passes = qk_baggage_ref(t->baggage);
        return t->passes;
    }
    struct qk_baggage *b = copy(from);
    if (b != NULL)
        b->trace.span = span_of(t);
    t->passes = b;
    return b;
}

int qk_baggage_pass(struct qk_turn_state *t, struct qk_baggage **ret_baggage)
{
    struct qk_baggage *b = outgoing(t);
    if (b == NULL)
        return QK_ENOMEMORY;
    *ret_baggage = qk_baggage_ref(b);
    return 0;
}

struct qk_baggage *qk_baggage_fork(struct qk_worker *w, struct qk_baggage *from, const struct qk_msg *msg,
                                   const char *key, uint32_t key_len)
{
    static const uint32_t kinds[] = {[QK_MSG_CALL] = QK_SPAN_CALL,
                                     [QK_MSG_SEND] = QK_SPAN_SEND,
                                     [QK_MSG_FRAME] = QK_SPAN_CALL,
                                     [QK_MSG_TICK] = QK_SPAN_TICK};
    struct qk_baggage *b = from->recorder != NULL ? copy(from) : NULL;
    if (b == NULL)
        return qk_baggage_ref(from);
    b->own = next_span(w);
    struct qk_span span = {.parent = from->number,
                           .kind = kinds[msg->kind],
                           .state = QK_SPAN_WAITS,
                           .type = msg->type != NULL ? msg->type->desc->name : "another process",
                           .method = msg->called->name,
                           .key = key,
                           .key_len = key_len,
                           .id = b->own};
    b->number = qk_recorder_add(w, b->recorder, &span);
    return b;
}

int qk_baggage_send(struct qk_turn_state *t, struct qk_msg *msg, struct qk_ref to)
{
    struct qk_baggage *b = outgoing(t);
    if (b == NULL)
        return QK_ENOMEMORY;
    msg->baggage = qk_baggage_fork(t->worker, b, msg, to.key, to.key_len);
    return 0;
}

int qk_baggage_record(struct qk_worker *w, const struct qk_msg *msg, const char *key, uint32_t key_len,
                      const char **ret_why)
{
    struct qk_baggage *b = msg->baggage;
    int rc = 0;
    b->recorder = qk_recorder_create(w->rt, &rc);
    *ret_why = rc == QK_EOVERLOADED ? "64 calls are being recorded already" : "out of memory";
    if (rc < 0)
        return rc;
    if (!b->traced) {
        uint64_t id[2] = {next_span(w), next_span(w)};
        memcpy(b->trace.id, id, sizeof(id));
        b->trace.flags = QK_TRACE_SAMPLED;
        b->traced = true;
    }
    b->own = next_span(w);
    qk_recorder_name(b->recorder, b->trace.id);
    struct qk_span span = {.kind = msg->frame->kind == QK_PORT_SEND ? QK_SPAN_SEND : QK_SPAN_CALL,
                           .state = QK_SPAN_WAITS,
                           .type = msg->type->desc->name,
                           .method = msg->method->desc->name,
                           .key = key,
                           .key_len = key_len,
                           .id = b->own};
    b->number = qk_recorder_add(w, b->recorder, &span);
    return 0;
}

void qk_baggage_leave(struct qk_turn_state *t)
{
    if (t->passes != NULL)
        qk_baggage_unref(t->passes);
    if (t->before != NULL)
        qk_baggage_unref(t->before);
    t->passes = t->before = t->baggage = NULL;
}

/* ---- what a handler sees and sets */

static const char *traceparent(struct qk_turn_state *t)
{
    const struct qk_baggage *from = t->passes != NULL ? t->passes : t->baggage;
    if (!from->traced)
        return NULL;
    struct qk_trace trace = from->trace;
    if (t->passes == NULL)
        trace.span = span_of(t);
    char *text = qk_arena_alloc(&t->arena, QK_TRACEPARENT_LEN + 1);
    if (text != NULL)
        qk_trace_format(&trace, text);
    return text;
}

const char *qk_baggage_get(struct qk_turn_state *t, const char *name)
{
    const struct qk_baggage *from = t->passes != NULL ? t->passes : t->baggage;
    if (from == NULL || name == NULL)
        return NULL;
    return strcmp(name, QK_CONTEXT_TRACEPARENT) == 0 ? traceparent(t) : find(from, name);
}

/* Copies the entries but the one with this name. */
static void copy_others(struct qk_baggage *b, const struct qk_baggage *from, const char *name)
{
    const char *at = from->bytes;
    for (uint32_t i = 0; i < from->n_entries; i++) {
        const char *value = at + strlen(at) + 1;
        size_t value_len = strlen(value);
        if (strcmp(at, name) != 0)
            put(b, at, (size_t)(value - at - 1), value, value_len);
        at = value + value_len + 1;
    }
}

/* Makes the block with the entry set, or without it. */
static int change(const struct qk_baggage *from, const char *name, const char *value, struct qk_baggage **ret_baggage,
                  const char **ret_why)
{
    size_t name_len = strlen(name), value_len = value != NULL ? strlen(value) : 0;
    bool is_parent = strcmp(name, QK_CONTEXT_TRACEPARENT) == 0;
    struct qk_trace trace = {.span = 0};
    *ret_why = qk_context_wrong(name, name_len, value != NULL ? value : "", value_len);
    if (*ret_why == NULL && is_parent && value != NULL && !qk_trace_parse(value, value_len, &trace))
        *ret_why = QK_CONTEXT_WRONG_PARENT;
    if (*ret_why != NULL)
        return QK_EINVALID;
    struct qk_baggage *b = create((from != NULL ? from->size : 0) + name_len + value_len + 2);
    *ret_why = "out of memory";
    if (b == NULL)
        return QK_ENOMEMORY;
    if (from != NULL) {
        copy_others(b, from, name);
        b->traced = from->traced;
        b->trace = from->trace;
        b->number = from->number;
        if (from->recorder != NULL)
            b->recorder = qk_recorder_ref(from->recorder);
    }
    if (is_parent) {
        b->traced = value != NULL;
        b->trace = trace;
    } else if (value != NULL) {
        put(b, name, name_len, value, value_len);
    }
    *ret_why = qk_context_beyond(b->n_entries, b->size - 2 * b->n_entries);
    if (*ret_why != NULL) {
        qk_baggage_unref(b);
        return QK_ETOOBIG;
    }
    *ret_baggage = b;
    return 0;
}

int qk_baggage_set(struct qk_turn_state *t, const char *name, const char *value, const char **ret_why)
{
    struct qk_baggage *b, *from = NULL;
    *ret_why = "the name of a context entry has 1 to 64 bytes";
    if (name == NULL)
        return QK_EINVALID;
    *ret_why = "out of memory";
    if (t->baggage != NULL || t->passes != NULL) {
        from = outgoing(t);
        if (from == NULL)
            return QK_ENOMEMORY;
    }
    int rc = change(from, name, value, &b, ret_why);
    if (rc < 0)
        return rc;
    if (t->passes != NULL)
        qk_baggage_unref(t->passes);
    t->passes = b;
    return 0;
}
