/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Builds descriptors without functions out of a manifest, so that everything that asks what a plugin has can be told in
 * the same way as of a plugin that is loaded here. */
#include "hosts/internal.h"

#include <host.pb-c.h>
#include <string.h>
#include "base/fnv.h"
#include "wire/check.h"

#define NAME_MAX_BYTES 512

static bool is_name(const char *text)
{
    size_t n = strnlen(text, NAME_MAX_BYTES + 1);
    if (n == 0 || n > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    }
    return true;
}

static const char *text_or_null(const char *text)
{
    return *text != 0 ? text : NULL;
}

static const ProtobufCMessageDescriptor *make_message(struct qk_arena *arena, const char *name)
{
    ProtobufCMessageDescriptor *desc = qk_arena_alloc(arena, sizeof(*desc));
    if (desc != NULL)
        *desc = (ProtobufCMessageDescriptor){.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC, .name = name};
    return desc;
}

static int damaged(struct qk_refusal *refusal, const char *what)
{
    return qk_refuse(refusal, QK_PLUGIN_DAMAGED, "its process describes it in a way that can't be true: %s", what);
}

static int no_memory(struct qk_refusal *refusal)
{
    return qk_refuse(refusal, QK_PLUGIN_RESOURCES, "no memory for the plugin's description");
}

static int fill_methods(struct qk_arena *arena, const Quark__Host__Type *t, struct qk_type *type,
                        struct qk_refusal *refusal)
{
    struct qk_method *methods = qk_arena_alloc(arena, (t->n_methods + 1) * sizeof(*methods));
    if (methods == NULL)
        return no_memory(refusal);
    for (size_t i = 0; i < t->n_methods; i++) {
        const Quark__Host__Method *m = t->methods[i];
        if (!is_name(m->name) || !is_name(m->request) || !is_name(m->reply) ||
            (i > 0 && m->id <= t->methods[i - 1]->id))
            return damaged(refusal, "a method has no name, or is out of order");
        methods[i] = (struct qk_method){.id = m->id,
                                        .flags = m->flags,
                                        .deadline_ms = m->deadline_ms,
                                        .type_id = type->id,
                                        .name = m->name,
                                        .request = make_message(arena, m->request),
                                        .reply = make_message(arena, m->reply)};
        if (methods[i].request == NULL || methods[i].reply == NULL)
            return no_memory(refusal);
    }
    type->methods = methods;
    type->n_methods = (uint32_t)t->n_methods;
    return 0;
}

static int fill_type(struct qk_arena *arena, const Quark__Host__Type *t, struct qk_type *type,
                     struct qk_refusal *refusal)
{
    if (!is_name(t->name) || !is_name(t->service) || t->n_methods > QK_TYPE_METHODS_MAX ||
        t->mailbox_max > QK_MAILBOX_LIMIT || (*t->store != 0 && !is_name(t->store)) ||
        (*t->state != 0 && !is_name(t->state)) || (*t->event != 0 && !is_name(t->event)))
        return damaged(refusal, "a type has no name, or too many methods");
    *type = (struct qk_type){.abi = QK_ABI_HEAD(struct qk_type),
                             .id = qk_fnv64(t->name),
                             .name = t->name,
                             .service = t->service,
                             .store = text_or_null(t->store),
                             .placement = t->placement,
                             .flags = t->flags,
                             .mailbox_max = t->mailbox_max,
                             .idle_ms = t->idle_ms};
    if (*t->state != 0 && (type->state = make_message(arena, t->state)) == NULL)
        return no_memory(refusal);
    if (*t->event != 0 && (type->event = make_message(arena, t->event)) == NULL)
        return no_memory(refusal);
    return fill_methods(arena, t, type, refusal);
}

static int fill(struct qk_arena *arena, const Quark__Host__Manifest *m, const char *name, const struct qk_plugin **ret,
                struct qk_refusal *refusal)
{
    if (strcmp(m->name, name) != 0 || !is_name(m->version) || m->n_types > QK_PLUGIN_TYPES_MAX ||
        m->schema.len > QK_SCHEMA_MAX)
        return damaged(refusal, "its name is another than its note says, or it has too many types");
    struct qk_plugin *plugin = qk_arena_alloc(arena, sizeof(*plugin));
    const struct qk_type **list = qk_arena_alloc(arena, (m->n_types + 1) * sizeof(*list));
    struct qk_type *types = qk_arena_alloc(arena, (m->n_types + 1) * sizeof(*types));
    if (plugin == NULL || list == NULL || types == NULL)
        return no_memory(refusal);
    for (size_t i = 0; i < m->n_types; i++) {
        int rc = fill_type(arena, m->types[i], &types[i], refusal);
        if (rc < 0)
            return rc;
        for (size_t k = 0; k < i; k++) {
            if (types[k].id == types[i].id)
                return damaged(refusal, "it has a type twice");
        }
        list[i] = &types[i];
    }
    *plugin = (struct qk_plugin){.abi = QK_ABI_HEAD(struct qk_plugin),
                                 .name = m->name,
                                 .version = m->version,
                                 .types = list,
                                 .n_types = m->n_types,
                                 .schema = m->schema.len != 0 ? m->schema.data : NULL,
                                 .schema_len = m->schema.len};
    *ret = plugin;
    return 0;
}

int qk_shadow_make(const struct qk_port_frame *frame, const char *name, struct qk_shadow *ret_shadow,
                   struct qk_refusal *refusal)
{
    struct qk_shadow shadow = {.plugin = NULL};
    ProtobufCMessage *message;
    qk_arena_init(&shadow.arena, 2 * QK_MESSAGE_ARENA_MAX);
    int rc = qk_wire_unpack(&quark__host__manifest__descriptor, qk_port_frame_payload(frame), frame->payload_len,
                            &shadow.arena, &message);
    rc = rc < 0 ? damaged(refusal, "it does not parse")
                : fill(&shadow.arena, (const Quark__Host__Manifest *)message, name, &shadow.plugin, refusal);
    if (rc < 0)
        qk_arena_finish(&shadow.arena);
    else
        *ret_shadow = shadow;
    return rc;
}
