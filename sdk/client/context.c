/* SPDX-License-Identifier: Apache-2.0 */
/* The context that goes out with calls: entries of the client's, and of its next call; and recordings that come back.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "wire/spans.h"

struct qk_client_entry {
    size_t name_len;
    size_t value_len;
    char bytes[]; /* name, zero, value, zero */
};

static const char *name_of(const struct qk_client_entry *e)
{
    return e->bytes;
}

static const char *value_of(const struct qk_client_entry *e)
{
    return e->bytes + e->name_len + 1;
}

static bool is_parent(const struct qk_client_entry *e)
{
    return strcmp(name_of(e), QK_CONTEXT_TRACEPARENT) == 0;
}

static unsigned find(const struct qk_client_context *context, const char *name)
{
    unsigned i = 0;
    while (i < context->n && strcmp(name_of(context->entries[i]), name) != 0)
        i++;
    return i;
}

void qk_client_context_finish(struct qk_client_context *context)
{
    for (unsigned i = 0; i < context->n; i++)
        free(context->entries[i]);
    context->n = 0;
}

static struct qk_client_entry *make(const char *name, size_t name_len, const char *value, size_t value_len)
{
    struct qk_client_entry *e = malloc(sizeof(*e) + name_len + value_len + 2);
    if (e == NULL)
        return NULL;
    e->name_len = name_len;
    e->value_len = value_len;
    memcpy(e->bytes, name, name_len + 1);
    memcpy(e->bytes + name_len + 1, value, value_len + 1);
    return e;
}

/* Whether the entries without the one at `index`, and with `size` bytes more, are within the bounds. */
static const char *beyond(const struct qk_client_context *context, unsigned index, bool parent, size_t size)
{
    size_t n = parent ? 0 : 1, bytes = parent ? 0 : size;
    for (unsigned i = 0; i < context->n; i++) {
        const struct qk_client_entry *e = context->entries[i];
        if (i == index || is_parent(e))
            continue;
        n++;
        bytes += e->name_len + e->value_len;
    }
    return qk_context_beyond(n, bytes);
}

static int set(struct qk_client *client, struct qk_client_context *context, const char *name, const char *value)
{
    size_t name_len = name != NULL ? strlen(name) : 0, value_len = value != NULL ? strlen(value) : 0;
    struct qk_trace trace;
    const char *why = qk_context_wrong(name, name_len, value, value_len);
    bool parent = why == NULL && strcmp(name, QK_CONTEXT_TRACEPARENT) == 0;
    if (parent && value != NULL && !qk_trace_parse(value, value_len, &trace))
        why = QK_CONTEXT_WRONG_PARENT;
    if (why != NULL)
        return qk_client_refuse(client, QK_EINVALID, "%s", why);
    unsigned i = find(context, name);
    struct qk_client_entry *e = NULL;
    if (value != NULL) {
        why = beyond(context, i, parent, name_len + value_len);
        if (why != NULL)
            return qk_client_refuse(client, QK_ETOOBIG, "%s", why);
        e = make(name, name_len, value, value_len);
        if (e == NULL)
            return qk_client_refuse(client, -ENOMEM, "no memory for a context entry");
    }
    if (i < context->n) {
        free(context->entries[i]);
        context->entries[i] = context->entries[--context->n];
    }
    if (e != NULL)
        context->entries[context->n++] = e;
    return 0;
}

int qk_client_set_context(struct qk_client *client, const char *name, const char *value)
{
    return set(client, &client->context, name, value);
}

int qk_client_add_context(struct qk_client *client, const char *name, const char *value)
{
    if (value == NULL)
        return qk_client_refuse(client, QK_EINVALID, "a context entry of one call has a value");
    return set(client, &client->next_context, name, value);
}

static uint8_t *put(uint8_t *to, const struct qk_client_entry *e)
{
    if (is_parent(e))
        return qk_context_put_parent(to, value_of(e), e->value_len);
    return qk_context_put_entry(to, name_of(e), e->name_len, value_of(e), e->value_len);
}

int qk_client_context_pack(struct qk_client *client, uint8_t *to, size_t *ret_size)
{
    const struct qk_client_context *all = &client->context, *next = &client->next_context;
    size_t n = 0, bytes = 0;
    uint8_t *at = to;
    for (unsigned i = 0; i < next->n + all->n; i++) {
        const struct qk_client_entry *e = i < next->n ? next->entries[i] : all->entries[i - next->n];
        if (i >= next->n && find(next, name_of(e)) < next->n)
            continue;
        if (!is_parent(e)) {
            n++;
            bytes += e->name_len + e->value_len;
        }
        const char *why = qk_context_beyond(n, bytes);
        if (why != NULL)
            return qk_client_refuse(client, QK_ETOOBIG, "%s: the client's and this call's together have more", why);
        at = put(at, e);
    }
    if (client->record_next)
        at = qk_context_put_record(at);
    *ret_size = (size_t)(at - to);
    return 0;
}

/* ---- recordings */

void qk_client_drop_spans(struct qk_client *client)
{
    free(client->spans);
    client->spans = NULL;
    client->spans_size = 0;
    client->spans_id = 0;
}

void qk_client_record(struct qk_client *client)
{
    client->record_next = true;
}

struct visit {
    void (*visit)(void *arg, const struct qk_client_span *span);
    void *arg;
};

static void visit_span(void *arg, const struct qk_span *s)
{
    const struct visit *v = arg;
    struct qk_client_span span = {
        .parent = s->parent,
        .kind = (enum qk_client_span_kind)s->kind,
        .state = (enum qk_client_span_state)s->state,
        .worker = s->worker,
        .status = s->status,
        .key_len = s->key_len,
        .type = s->type,
        .key = s->key,
        .method = s->method,
        .id = s->id,
        .start_ns = s->start_ns,
        .queued_ns = s->queued_ns,
        .run_ns = s->run_ns,
        .suspended_ns = s->suspended_ns,
    };
    v->visit(v->arg, &span);
}

int qk_client_visit_spans(struct qk_client *client, void (*visit)(void *arg, const struct qk_client_span *span),
                          void *arg, struct qk_client_recording *ret_recording)
{
    struct visit v = {visit, arg};
    uint8_t id[16];
    uint64_t left_out;
    if (client->spans_id == 0)
        return qk_client_refuse(client, QK_ENOTFOUND, "there is no recording of the call whose reply came last");
    int rc = qk_spans_visit(client->spans, client->spans_size, visit_span, &v, &left_out, id);
    if (rc < 0)
        return qk_client_refuse(client, rc, "the recording that the silo sent does not parse");
    if (ret_recording != NULL) {
        ret_recording->left_out = left_out;
        for (unsigned i = 0; i < 16; i++)
            snprintf(ret_recording->trace_id + 2 * i, 3, "%02x", id[i]);
    }
    return 0;
}
