/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A JSON text, read into a message whose type the first byte chooses, printed, and read again. */
#include "fuzz.h"
#include <google/protobuf/descriptor.pb-c.h>
#include <quark/status.h>
#include "schema/json.h"

/* Messages of tests/unit/schema/every.proto, whose serialised form is the file FUZZ_EVERY_SET. */
static const char *const names[] = {"All", "Scalars", "Lists", "Maps", "Choice", "Presence", "Known", "Inner"};
#define N_NAMES (sizeof(names) / sizeof(names[0]))

static struct qk_schema *schema;

static void read_schema(void)
{
    static uint8_t bytes[1 << 20];
    char error[256] = "";
    FILE *file = fopen(FUZZ_EVERY_SET, "re");
    HOLDS(file != NULL);
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    HOLDS(qk_schema_create(bytes, size, error, sizeof(error), &schema) == 0);
}

/* The last one is generated code's. */
static const ProtobufCMessageDescriptor *choose_type(uint8_t byte)
{
    size_t which = byte % (N_NAMES + 1);
    if (which == N_NAMES)
        return &google__protobuf__field_descriptor_proto__descriptor;
    char name[64];
    snprintf(name, sizeof(name), "quark.every.%s", names[which]);
    return qk_schema_message(schema, name);
}

static char *print(const ProtobufCMessage *message, enum qk_json_layout layout, size_t *ret_size)
{
    struct qk_json_options options = {.schema = schema, .layout = layout};
    struct qk_json_error error;
    char *text;
    int rc = qk_json_print(message, &options, &error, &text, ret_size);
    return rc == 0 ? text : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (schema == NULL)
        read_schema();
    if (size == 0)
        return 0;
    const ProtobufCMessageDescriptor *type = choose_type(data[0]);
    HOLDS(type != NULL);
    struct qk_json_error error = {.code = NULL};
    const struct qk_json_options options = {.schema = schema};
    struct qk_arena arena, other;
    ProtobufCMessage *message, *again;
    qk_arena_init(&arena, 16 << 20);
    qk_arena_init(&other, 16 << 20);
    int rc = qk_json_parse(type, (const char *)data + 1, size - 1, &options, &arena, &error, &message);
    HOLDS(rc == 0 || ((rc == QK_EINVALID || rc == QK_ETOOBIG) && error.code != NULL && error.message[0] != 0));
    if (rc < 0) {
        struct qk_diag diag;
        qk_json_diagnose(&error, "request", (const char *)data + 1, size - 1, &diag);
    } else {
        size_t n, m;
        char *text = print(message, QK_JSON_FIT, &n);
        if (text != NULL) { /* a Timestamp out of range, say, has no JSON form */
            rc = qk_json_parse(type, text, n, &options, &other, &error, &again);
            HOLDS(rc == 0);
            char *text_again = print(again, QK_JSON_FIT, &m);
            HOLDS(text_again != NULL && n == m && memcmp(text, text_again, n) == 0);
            free(text_again);
            free(text);
        }
    }
    qk_arena_finish(&other);
    qk_arena_finish(&arena);
    return 0;
}
