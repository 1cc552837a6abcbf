/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Converts messages for the comparison with Google's implementation. usage: convert SCHEMA; lines on standard input:
 * "print TYPE HEX" answers "ok JSON", "parse TYPE JSON" answers "ok HEX"; else "error CODE MESSAGE".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include "base/limits.h"
#include "schema/json.h"
#include "wire/check.h"

static struct qk_schema *schema;

static void answer_error(const char *code, const char *message)
{
    printf("error %s %s\n", code, message);
}

static void print(const ProtobufCMessageDescriptor *desc, const char *hex, struct qk_arena *arena)
{
    size_t size = strlen(hex) / 2;
    uint8_t *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        sscanf(hex + 2 * i, "%2hhx", &bytes[i]);
    ProtobufCMessage *message;
    struct qk_json_options options = {.schema = schema, .layout = QK_JSON_COMPACT};
    struct qk_json_error error;
    char *text;
    size_t text_size;
    int rc = qk_wire_unpack(desc, bytes, size, arena, &message);
    free(bytes);
    if (rc < 0) {
        answer_error("unpack", "the bytes are refused");
    } else if (qk_json_print(message, &options, &error, &text, &text_size) < 0) {
        answer_error(error.code, error.message);
    } else {
        printf("ok %s\n", text);
        free(text);
    }
}

static void parse(const ProtobufCMessageDescriptor *desc, const char *json, struct qk_arena *arena)
{
    ProtobufCMessage *message;
    struct qk_json_options options = {.schema = schema};
    struct qk_json_error error;
    if (qk_json_parse(desc, json, strlen(json), &options, arena, &error, &message) < 0) {
        answer_error(error.code, error.message);
        return;
    }
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(size + 1);
    protobuf_c_message_pack(message, bytes);
    printf("ok ");
    for (size_t i = 0; i < size; i++)
        printf("%02x", bytes[i]);
    printf("\n");
    free(bytes);
}

static void serve(char *line)
{
    struct qk_arena arena;
    qk_arena_init(&arena, 2 * QK_MESSAGE_ARENA_MAX);
    char *type = strchr(line, ' ');
    char *rest = type != NULL ? strchr(type + 1, ' ') : NULL;
    if (rest == NULL) {
        answer_error("usage", line);
        return;
    }
    *type++ = '\0';
    *rest++ = '\0';
    const ProtobufCMessageDescriptor *desc = qk_schema_message(schema, type);
    if (desc == NULL)
        answer_error("type", type);
    else if (strcmp(line, "print") == 0)
        print(desc, rest, &arena);
    else
        parse(desc, rest, &arena);
    qk_arena_finish(&arena);
}

int main(int argc, char **argv)
{
    static uint8_t bytes[QK_SCHEMA_MAX];
    char error[256], *line = NULL;
    size_t room = 0;
    FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
    if (file == NULL)
        return 2;
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    if (qk_schema_create(bytes, size, error, sizeof(error), &schema) < 0) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
        line[n - 1] = '\0';
        serve(line);
        fflush(stdout);
    }
    free(line);
    qk_schema_destroy(schema);
    return 0;
}
