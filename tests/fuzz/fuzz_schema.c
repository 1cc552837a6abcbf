/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plugin's schema: the descriptors built from it can be used. */
#include "fuzz.h"
#include <quark/status.h>
#include "base/limits.h"
#include "schema/json.h"
#include "schema/schema.h"
#include "wire/check.h"

static void use(const struct qk_schema *schema, const ProtobufCMessageDescriptor *desc)
{
    static const uint8_t bytes[] = {8, 1, 18, 0, 26, 1, 'x', 32, 5};
    struct qk_json_options options = {.schema = schema, .layout = QK_JSON_COMPACT, .emit_defaults = true};
    struct qk_json_error error;
    struct qk_arena arena;
    ProtobufCMessage *message;
    qk_arena_init(&arena, 1 << 20);
    int rc = qk_wire_unpack(desc, bytes, sizeof(bytes), &arena, &message);
    if (rc < 0)
        message = qk_message_new(desc, &arena);
    if (message != NULL) {
        char *text;
        size_t size;
        rc = qk_json_print(message, &options, &error, &text, &size);
        if (rc == 0)
            free(text);
    }
    qk_arena_finish(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"f.A", "f.B", "f.A.C", "f.D"};
    struct qk_schema *schema;
    char error[256] = "";
    int rc = qk_schema_create(data, size, error, sizeof(error), &schema);
    HOLDS(rc <= 0);
    HOLDS(rc == 0 || error[0] != 0);
    if (rc < 0)
        return 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const ProtobufCMessageDescriptor *desc = qk_schema_message(schema, names[i]);
        if (desc != NULL)
            use(schema, desc);
    }
    const struct qk_schema_service *service = qk_schema_service(schema, "f.S");
    for (unsigned i = 0; service != NULL && i < service->n_methods; i++) {
        use(schema, service->methods[i].request);
        use(schema, service->methods[i].reply);
    }
    qk_schema_destroy(schema);
    return 0;
}
