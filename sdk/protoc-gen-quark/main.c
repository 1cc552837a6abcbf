/* SPDX-License-Identifier: Apache-2.0 */
/* protoc-gen-quark: makes actors' tables and proxies from a .proto file. protoc runs it and speaks to it over its
 * standard input and output. */
#include "gen.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <quark/abi.h>
#include "base/limits.h"
#include "wire/check.h"

#define PROGRAM    "protoc-gen-quark"
#define MEMORY_MAX ((size_t)512 << 20)

static const char help[] =
    "usage: protoc --quark_out=DIR [--quark_opt=plugin=NAME,version=VERSION] --c_out=DIR FILE.proto...\n"
    "\n"
    "Makes actor types from the services of a .proto file that import quark/options.proto and carry the option\n"
    "(quark.actor). protoc finds this program as `protoc-gen-quark` on the PATH, or where\n"
    "--plugin=protoc-gen-quark=PATH says. For each FILE.proto it writes, beside what protoc-c writes:\n"
    "\n"
    "  FILE.quark.h         handler prototypes, and proxies that handlers call\n"
    "  FILE.quark.c         tables of methods and types; in the first file the plugin's descriptor\n"
    "  FILE.quark-client.h  proxies for programs, over libquark-client\n"
    "  FILE.quark-test.h    proxies for tests in a test silo, over libquark-test\n"
    "\n"
    "Parameters (--quark_opt=NAME=VALUE, several with commas between):\n"
    "  plugin=NAME      make a plugin of this name; without it there are proxies only, to call actors of another "
    "plugin\n"
    "  version=VERSION  the plugin's version\n"
    "  root=DIR         where the .proto files lie, so that messages can show their lines\n"
    "\n"
    "Options:\n"
    "  --help           this text\n"
    "  --version        the version of this program and of the plugin interface\n"
    "\n"
    "Example:\n"
    "  protoc -I. -I\"$(pkg-config --variable=protodir quark-sdk)\" --quark_out=. \\\n"
    "    --quark_opt=plugin=counter,version=1.0 --c_out=. counter.proto\n";

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

static uint8_t *read_all(struct gen *g, size_t *ret_size)
{
    uint8_t *bytes = gen_alloc(g, QK_PAYLOAD_MAX + 1);
    size_t n = fread(bytes, 1, QK_PAYLOAD_MAX + 1, stdin);
    if (ferror(stdin)) {
        fprintf(stderr, PROGRAM ": can't read the request: %s\n", strerror(errno));
        exit(1);
    }
    *ret_size = n;
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

static PbRequest *read_request(struct gen *g)
{
    size_t size;
    uint8_t *bytes = read_all(g, &size);
    ProtobufCMessage *message;
    int rc = qk_wire_unpack(&google__protobuf__compiler__code_generator_request__descriptor, bytes, size, &g->arena,
                            &message);
    if (rc == QK_ETOOBIG)
        fprintf(stderr,
                PROGRAM ": the .proto files and their imports are too large: %d bytes and %d fields of\n"
                        "descriptors are the most; split them\n",
                QK_PAYLOAD_MAX, QK_MESSAGE_FIELDS_MAX);
    else if (rc < 0 || !is_complete((PbRequest *)message))
        fprintf(stderr, PROGRAM ": what came on standard input is no request of protoc's; `" PROGRAM
                                " --help` says how to run it\n");
    else
        return (PbRequest *)message;
    exit(1);
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

static int write_response(struct gen *g, const PbResponse *response)
{
    size_t size = google__protobuf__compiler__code_generator_response__get_packed_size(response);
    uint8_t *bytes = gen_alloc(g, size + 1);
    google__protobuf__compiler__code_generator_response__pack(response, bytes);
    if (fwrite(bytes, 1, size, stdout) == size && fflush(stdout) == 0)
        return 0;
    fprintf(stderr, PROGRAM ": can't write the response: %s\n", strerror(errno));
    return 1;
}

static int generate(struct gen *g)
{
    PbResponse response = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__INIT;
    /* Said so that proto3 `optional` comes through to our own message about it. */
    response.has_supported_features = 1;
    response.supported_features = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__FEATURE__FEATURE_PROTO3_OPTIONAL;
    char *mistakes = NULL;
    size_t size = 0;
    g->report = text_open(&mistakes, &size);
    g->request = read_request(g);
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
    int rc = write_response(g, &response);
    for (size_t i = 0; i < response.n_file; i++)
        free(response.file[i]->content);
    free(mistakes);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return fputs(help, stdout) < 0 || fflush(stdout) != 0;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf(PROGRAM " %s (plugin interface %d.%d)\n", QUARK_VERSION, QK_ABI_MAJOR, QK_ABI_MINOR);
        return fflush(stdout) != 0;
    }
    if (argc > 1 || isatty(STDIN_FILENO)) {
        fprintf(stderr, "%s\n",
                argc > 1 ? PROGRAM ": takes no arguments: protoc runs it and sends parameters with "
                                   "--quark_opt"
                         : PROGRAM ": protoc runs this program, not a person");
        fprintf(stderr, "`" PROGRAM " --help` says how\n");
        return 2;
    }
    struct gen g = {0};
    qk_arena_init(&g.arena, MEMORY_MAX);
    int rc = generate(&g);
    qk_arena_finish(&g.arena);
    return rc;
}
