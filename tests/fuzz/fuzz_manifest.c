/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the process of a plugin says that the plugin has: descriptors that anybody may follow, or a reason. */
#include "fuzz.h"
#include "hosts/internal.h"

static void follow(const struct qk_type *type)
{
    HOLDS(strlen(type->name) > 0 && strlen(type->service) > 0);
    HOLDS(type->state == NULL || strlen(type->state->name) > 0);
    HOLDS(type->store == NULL || strlen(type->store) > 0);
    for (uint32_t i = 0; i < type->n_methods; i++) {
        const struct qk_method *m = &type->methods[i];
        HOLDS(strlen(m->name) > 0 && strlen(m->request->name) > 0 && strlen(m->reply->name) > 0);
        HOLDS(m->type_id == type->id && m->handler == NULL);
        HOLDS(i == 0 || m->id > type->methods[i - 1].id);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qk_shadow shadow;
    struct qk_refusal refusal = {.code = NULL};
    if (size > 1 << 16)
        return 0;
    struct qk_port_frame *frame = qk_port_frame_create(size);
    HOLDS(frame != NULL);
    frame->payload_len = (uint32_t)size;
    memcpy(frame->bytes, data, size);
    if (qk_shadow_make(frame, "fuzz", &shadow, &refusal) < 0) {
        HOLDS(refusal.code != NULL && refusal.text[0] != 0);
    } else {
        HOLDS(strcmp(shadow.plugin->name, "fuzz") == 0 && shadow.plugin->n_types <= QK_PLUGIN_TYPES_MAX);
        for (uint64_t i = 0; i < shadow.plugin->n_types; i++)
            follow(shadow.plugin->types[i]);
        qk_arena_finish(&shadow.arena);
    }
    qk_port_frame_destroy(frame);
    return 0;
}
