/* SPDX-License-Identifier: Apache-2.0 */
/* What the plugin has, as a message: built in an arena, packed into a frame. */
#include "host/host.h"

static char *text_of(const char *text)
{
    return text != NULL ? (char *)text : (char *)protobuf_c_empty_string;
}

static void *make_list(struct qk_arena *arena, size_t n, size_t struct_size)
{
    void **list = qk_arena_alloc(arena, n * sizeof(void *) + 1);
    char *structs = qk_arena_alloc(arena, n * struct_size + 1);
    if (list == NULL || structs == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++)
        list[i] = structs + i * struct_size;
    return list;
}

static bool fill_type(struct qk_arena *arena, const struct qk_type *type, Quark__Host__Type *t)
{
    quark__host__type__init(t);
    t->name = text_of(type->name);
    t->service = text_of(type->service);
    t->state = text_of(type->state != NULL ? type->state->name : NULL);
    t->store = text_of(type->store);
    t->event = text_of(type->event != NULL ? type->event->name : NULL);
    t->placement = type->placement;
    t->flags = type->flags;
    t->mailbox_max = type->mailbox_max;
    t->idle_ms = type->idle_ms;
    t->methods = make_list(arena, type->n_methods, sizeof(Quark__Host__Method));
    if (t->methods == NULL)
        return false;
    t->n_methods = type->n_methods;
    for (uint32_t i = 0; i < type->n_methods; i++) {
        const struct qk_method *method = &type->methods[i];
        Quark__Host__Method *m = t->methods[i];
        quark__host__method__init(m);
        m->name = text_of(method->name);
        m->id = method->id;
        m->request = text_of(method->request->name);
        m->reply = text_of(method->reply->name);
        m->flags = method->flags;
        m->deadline_ms = method->deadline_ms;
    }
    return true;
}

static struct qk_port_frame *pack(const Quark__Host__Manifest *manifest)
{
    size_t size = protobuf_c_message_get_packed_size(&manifest->base);
    struct qk_port_frame *frame = size <= QK_PAYLOAD_MAX ? qk_port_frame_create(size) : NULL;
    if (frame == NULL)
        return NULL;
    frame->kind = QK_PORT_READY;
    frame->payload_len = (uint32_t)size;
    protobuf_c_message_pack(&manifest->base, frame->bytes);
    return frame;
}

struct qk_port_frame *qk_host_manifest(const struct qk_plugin *plugin)
{
    struct qk_arena arena;
    struct qk_port_frame *frame = NULL;
    Quark__Host__Manifest manifest = QUARK__HOST__MANIFEST__INIT;
    qk_arena_init(&arena, 4 * QK_MESSAGE_ARENA_MAX);
    manifest.name = text_of(plugin->name);
    manifest.version = text_of(plugin->version);
    manifest.schema.data = (uint8_t *)plugin->schema;
    manifest.schema.len = plugin->schema != NULL ? plugin->schema_len : 0;
    manifest.types = make_list(&arena, plugin->n_types, sizeof(Quark__Host__Type));
    bool whole = manifest.types != NULL;
    for (uint64_t i = 0; whole && i < plugin->n_types; i++) {
        whole = fill_type(&arena, plugin->types[i], manifest.types[i]);
        manifest.n_types++;
    }
    if (whole)
        frame = pack(&manifest);
    qk_arena_finish(&arena);
    return frame;
}
