/* SPDX-License-Identifier: Apache-2.0 */
/* One run of the generator: reads the request, has the model built and checked, and writes what was made of it. */
#include "gen.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/limits.h"
#include "wire/check.h"
#include <quark/status.h>

#define PROGRAM    "protoc-gen-quark"
#define MEMORY_MAX ((size_t)512 << 20)

void *gen_alloc(struct gen *g, size_t size)
{
    void *p = qk_arena_alloc(&g->arena, size);
    if (p == NULL) {
        fprintf(stderr, PROGRAM ": out of memory\n");
        exit(1);
    }
    return memset(p, 0, size);
}

char *gen_format(struct gen *g, const char *format, ...)
{
    assert(format != NULL);
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = gen_alloc(g, (size_t)(n > 0 ? n : 0) + 1);
    vsnprintf(text, (size_t)(n > 0 ? n : 0) + 1, format, again);
    va_end(again);
    return text;
}

static FILE *text_open(char **ret_text, size_t *ret_size)
{
    FILE *f = open_memstream(ret_text, ret_size);
    if (f == NULL) {
        fprintf(stderr, PROGRAM ": out of memory\n");
        exit(1);
    }
    return f;
}

/* Made with malloc; NULL when it can't be read, which has been said. */
static uint8_t *read_all(FILE *in, FILE *errors, size_t *ret_size)
{
    size_t size = 0, room = 65536;
    uint8_t *bytes = malloc(room);
    while (bytes != NULL) {
        size_t n = fread(bytes + size, 1, room - size, in);
        size += n;
        if (n == 0 || size > QK_PAYLOAD_MAX)
            break;
        if (size < room)
            continue;
        uint8_t *more = realloc(bytes, room * 2);
        if (more == NULL)
            free(bytes);
        bytes = more;
        room *= 2;
    }
    if (bytes == NULL || ferror(in)) {
        fprintf(errors, PROGRAM ": can't read the request: %s\n", strerror(errno));
        free(bytes);
        return NULL;
    }
    *ret_size = size;
    return bytes;
}

static bool message_is_complete(const PbMessage *m)
{
    bool ok = m->name != NULL;
    for (size_t i = 0; i < m->n_field; i++)
        ok = ok && m->field[i]->name != NULL;
    for (size_t i = 0; i < m->n_oneof_decl; i++)
        ok = ok && m->oneof_decl[i]->name != NULL;
    for (size_t i = 0; i < m->n_nested_type; i++)
        ok = ok && message_is_complete(m->nested_type[i]);
    return ok;
}

/* protoc always sends names; what does not is no protoc. */
static bool is_complete(const PbRequest *request)
{
    bool ok = true;
    for (size_t i = 0; i < request->n_proto_file; i++) {
        const PbFile *f = request->proto_file[i];
        ok = ok && f->name != NULL;
        for (size_t k = 0; k < f->n_message_type; k++)
            ok = ok && message_is_complete(f->message_type[k]);
        for (size_t k = 0; k < f->n_service; k++) {
            ok = ok && f->service[k]->name != NULL;
            for (size_t j = 0; j < f->service[k]->n_method; j++) {
                const PbMethod *m = f->service[k]->method[j];
                ok = ok && m->name != NULL && m->input_type != NULL && m->output_type != NULL;
            }
        }
    }
    return ok;
}

/* NULL when it is none, which has been said. */
static PbRequest *read_request(struct gen *g, FILE *in, FILE *errors)
{
    size_t size;
    uint8_t *bytes = read_all(in, errors, &size);
    ProtobufCMessage *message;
    if (bytes == NULL)
        return NULL;
    int rc = qk_wire_unpack(&google__protobuf__compiler__code_generator_request__descriptor, bytes, size, &g->arena,
                            &message);
    free(bytes);
    if (rc == QK_ETOOBIG)
        fprintf(errors,
                PROGRAM ": the .proto files and their imports are too large: %d bytes and %d fields of\n"
                        "descriptors are the most; split them\n",
                QK_PAYLOAD_MAX, QK_MESSAGE_FIELDS_MAX);
    else if (rc < 0 || !is_complete((PbRequest *)message))
        fprintf(errors, PROGRAM ": what came on standard input is no request of protoc's; `" PROGRAM
                                " --help` says how to run it\n");
    else
        return (PbRequest *)message;
    return NULL;
}

struct output {
    const char *suffix;
    void (*emit)(struct gen *g, const struct gen_file *file, FILE *out);
};

static const struct output outputs[] = {
    {".quark.h", gen_emit_header},
    {".quark.c", gen_emit_source},
    {".quark-client.h", gen_emit_client},
    {".quark-test.h", gen_emit_test},
};
#define N_OUTPUTS (sizeof(outputs) / sizeof(outputs[0]))

typedef Google__Protobuf__Compiler__CodeGeneratorResponse PbResponse;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse__File PbOutput;

#define COLUMNS 120

/* Breaks long lines of code behind a comma. Comments stay as their author wrote them. */
static void put_wrapped(const char *text, FILE *out)
{
    for (const char *line = text; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        bool comment = strncmp(line, "/*", 2) == 0 || strncmp(line, " *", 2) == 0;
        size_t indent = 0;
        while (!comment && indent + n > COLUMNS) {
            size_t at = COLUMNS - indent;
            while (at > 0 && !(line[at - 1] == ',' && line[at] == ' '))
                at--;
            if (at == 0)
                break;
            fprintf(out, "%*s%.*s\n", (int)indent, "", (int)at, line);
            line += at + 1;
            n -= at + 1;
            indent = 8;
        }
        fprintf(out, "%*s%.*s\n", (int)indent, "", (int)n, line);
        line += n + (line[n] == '\n');
    }
}

static void emit_file(struct gen *g, const struct gen_file *file, PbResponse *response)
{
    for (size_t i = 0; i < N_OUTPUTS; i++) {
        PbOutput *to = gen_alloc(g, sizeof(*to));
        google__protobuf__compiler__code_generator_response__file__init(to);
        char *text = NULL;
        size_t size = 0;
        FILE *out = text_open(&text, &size);
        outputs[i].emit(g, file, out);
        fclose(out);
        out = text_open(&to->content, &size);
        put_wrapped(text, out);
        fclose(out);
        free(text);
        to->name = gen_format(g, "%s%s", file->stem, outputs[i].suffix);
        response->file[response->n_file++] = to;
    }
}

static int write_response(struct gen *g, const PbResponse *response, FILE *out, FILE *errors)
{
    size_t size = google__protobuf__compiler__code_generator_response__get_packed_size(response);
    uint8_t *bytes = gen_alloc(g, size + 1);
    google__protobuf__compiler__code_generator_response__pack(response, bytes);
    if (fwrite(bytes, 1, size, out) == size && fflush(out) == 0)
        return 0;
    fprintf(errors, PROGRAM ": can't write the response: %s\n", strerror(errno));
    return 1;
}

static int generate(struct gen *g, FILE *in, FILE *out, FILE *errors)
{
    PbResponse response = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__INIT;
    /* Said so that proto3 `optional` comes through to our own message about it. */
    response.has_supported_features = 1;
    response.supported_features = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__FEATURE__FEATURE_PROTO3_OPTIONAL;
    char *mistakes = NULL;
    size_t size = 0;
    g->report = text_open(&mistakes, &size);
    g->request = read_request(g, in, errors);
    if (g->request == NULL) {
        fclose(g->report);
        free(mistakes);
        return 1;
    }
    gen_params_parse(g, g->request->parameter);
    gen_model_build(g);
    gen_check(g);
    fclose(g->report);
    response.file = gen_alloc(g, (g->request->n_proto_file + 1) * N_OUTPUTS * sizeof(*response.file));
    if (g->mistakes > 0)
        response.error = gen_format(g, "%u mistake%s:\n%.*s", g->mistakes, g->mistakes > 1 ? "s" : "",
                                    (int)(size > 0 ? size - 1 : 0), mistakes);
    for (size_t i = 0; i < g->request->n_proto_file && g->mistakes == 0; i++) {
        if (g->files[i].generate)
            emit_file(g, &g->files[i], &response);
    }
    int rc = write_response(g, &response, out, errors);
    for (size_t i = 0; i < response.n_file; i++)
        free(response.file[i]->content);
    free(mistakes);
    return rc;
}

int gen_run(FILE *in, FILE *out, FILE *errors)
{
    struct gen g = {0};
    qk_arena_init(&g.arena, MEMORY_MAX);
    int rc = generate(&g, in, out, errors);
    qk_arena_finish(&g.arena);
    return rc;
}
