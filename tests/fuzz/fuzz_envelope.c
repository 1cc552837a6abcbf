/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two readers of envelopes that are written by hand, against the general one: they accept nothing that it refuses,
 * and find the same in what all accept. */
#include "fuzz.h"
#include <wire.pb-c.h>
#include "base/limits.h"
#include "gateway/envelope.h"
#include "wire/check.h"
#include "wire/context.h"
#include <quark/status.h>

static void compare_contexts(const struct qk_envelope *e, const Quark__Wire__Context *pb)
{
    struct qk_context_reader r = {e->context, e->context + e->context_len};
    struct qk_context_item item;
    size_t n = 0, parent_len = 0;
    bool record = false;
    HOLDS(pb != NULL || e->context_len == 0);
    while (qk_context_next(&r, &item) > 0) {
        if (item.kind == QK_CONTEXT_PARENT) {
            parent_len = item.value_len;
            continue;
        }
        if (item.kind == QK_CONTEXT_RECORD) {
            record = item.flag;
            continue;
        }
        HOLDS(n < pb->n_entries);
        HOLDS(item.name_len == strlen(pb->entries[n]->name) && item.value_len == strlen(pb->entries[n]->value));
        HOLDS(memcmp(item.name, pb->entries[n]->name, item.name_len) == 0);
        HOLDS(memcmp(item.value, pb->entries[n]->value, item.value_len) == 0);
        n++;
    }
    HOLDS(pb == NULL || (n == pb->n_entries && parent_len == strlen(pb->traceparent)));
    HOLDS(pb == NULL || record == pb->record);
}

static void compare(const struct qk_envelope *e, const Quark__Wire__Envelope *pb)
{
    HOLDS((int)e->kind == (int)pb->body_case);
    if (e->kind == QK_ENVELOPE_HELLO) {
        HOLDS(e->version_major == pb->hello->version_major && e->version_minor == pb->hello->version_minor);
        HOLDS(e->bytes_len == strlen(pb->hello->name) &&
              memcmp(e->bytes_len > 0 ? (const void *)e->bytes : "", pb->hello->name, e->bytes_len) == 0);
    } else if (e->kind == QK_ENVELOPE_CALL) {
        const Quark__Wire__Call *c = pb->call;
        HOLDS(e->id == c->id && e->type_id == c->type_id && e->method_id == c->method_id);
        HOLDS(e->timeout_ms == c->timeout_ms && (e->one_way != 0) == c->one_way && e->request_id == c->request_id);
        HOLDS(e->bytes_len == c->key.len && memcmp(e->bytes_len > 0 ? (const void *)e->bytes : "",
                                                   c->key.len > 0 ? (const void *)c->key.data : "", c->key.len) == 0);
        compare_contexts(e, c->context);
    } else if (e->kind == QK_ENVELOPE_CANCEL) {
        HOLDS(e->id == pb->cancel->id);
    } else {
        HOLDS(e->kind == QK_ENVELOPE_ADMIN && e->id == pb->admin->id);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qk_envelope envelope;
    if (size > QK_ENVELOPE_MAX)
        return 0;
    int rc = qk_envelope_parse(data, size, &envelope);
    HOLDS(rc == 0 || rc == QK_EPROTOCOL);
    if (rc < 0)
        return 0;
    struct qk_arena arena;
    ProtobufCMessage *message;
    qk_arena_init(&arena, QK_MESSAGE_ARENA_MAX);
    HOLDS(qk_wire_unpack(&quark__wire__envelope__descriptor, data, size, &arena, &message) == 0);
    compare(&envelope, (const Quark__Wire__Envelope *)message);
    qk_arena_finish(&arena);
    return 0;
}
