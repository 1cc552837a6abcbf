/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the model from what protoc sent: files, messages, actor types and their methods, each checked for itself. */
#include "gen.h"

#include <string.h>
#include <quark/abi.h>
#include <pb_c.pb-c.h>
#include "base/diag.h"
#include "base/fnv.h"

static bool is_set(const char *text)
{
    return text != NULL && *text != '\0';
}

static const char *full_name(struct gen *g, const char *scope, const char *name)
{
    return is_set(scope) ? gen_format(g, "%s.%s", scope, name) : name;
}

/* ---- files and messages ---- */

static void add_message(struct gen *g, struct gen_file *file, const PbMessage *pb, const char *scope,
                        struct gen_path path)
{
    struct gen_message *m = gen_alloc(g, sizeof(*m));
    m->file = file;
    m->pb = pb;
    m->path = path;
    m->full_name = full_name(g, scope, pb->name);
    m->c_type = gen_c_type(g, file->package, file->pb->package, m->full_name);
    m->c_desc = gen_format(g, "%s__descriptor", gen_c_lower(g, file->package, file->pb->package, m->full_name));
    m->next = g->messages;
    g->messages = m;
    for (size_t i = 0; i < pb->n_nested_type; i++)
        add_message(g, file, pb->nested_type[i], m->full_name, gen_path_of(&path, IN_MESSAGE_NESTED, (int)i));
}

/* What protoc-c's own option of the file says of the package: field 6 of ProtobufCFileOptions. */
static const char *c_package(struct gen *g, const PbFile *pb)
{
    ProtobufCMessage *options = pb->options != NULL ? &pb->options->base : NULL;
    ProtobufCMessage *pb_c = gen_option(g, options, EXT_PB_C, &quark__pb_cfile_options__descriptor);
    const char *package = pb_c != NULL ? ((Quark__PbCFileOptions *)pb_c)->c_package : NULL;
    return is_set(package) ? package : NULL;
}

static void add_file(struct gen *g, struct gen_file *file, const PbFile *pb)
{
    file->pb = pb;
    for (size_t i = 0; i < g->request->n_file_to_generate; i++)
        file->generate |= strcmp(g->request->file_to_generate[i], pb->name) == 0;
    size_t n = strlen(pb->name);
    bool proto = n > 6 && strcmp(pb->name + n - 6, ".proto") == 0;
    file->stem = gen_format(g, "%.*s", (int)(proto ? n - 6 : n), pb->name);
    file->package = c_package(g, pb);
    for (size_t i = 0; i < pb->n_message_type; i++)
        add_message(g, file, pb->message_type[i], pb->package, gen_path_of(NULL, IN_FILE_MESSAGE, (int)i));
}

static struct gen_file *find_file(const struct gen *g, const char *name)
{
    for (size_t i = 0; i < g->request->n_proto_file; i++) {
        if (strcmp(g->files[i].pb->name, name) == 0)
            return &g->files[i];
    }
    return NULL;
}

static const struct gen_message *find_message(const struct gen *g, const char *name)
{
    for (const struct gen_message *m = g->messages; m != NULL; m = m->next) {
        if (strcmp(m->full_name, name) == 0)
            return m;
    }
    return NULL;
}

/* Marks a file and what it imports. The request lists every file behind what it imports, so one pass from the end
 * reaches all without recursion. */
static unsigned mark_imports(struct gen *g, struct gen_file *file)
{
    static unsigned last;
    unsigned mark = ++last;
    file->mark = mark;
    for (size_t i = g->request->n_proto_file; i-- > 0;) {
        const struct gen_file *f = &g->files[i];
        for (size_t k = 0; f->mark == mark && k < f->pb->n_dependency; k++) {
            struct gen_file *import = find_file(g, f->pb->dependency[k]);
            if (import != NULL)
                import->mark = mark;
        }
    }
    return mark;
}

/* ---- types ---- */

struct gen_path gen_option_path(const struct gen_path *of, int options, int extension, int member)
{
    struct gen_path path = gen_path_of(of, options, extension);
    return gen_path_of(&path, member, -1);
}

/* The message that `name` means in the scope of the service: as protobuf looks names up, from the inside out. */
static const struct gen_message *resolve(struct gen *g, const char *scope, const char *name)
{
    if (*name == '.')
        return find_message(g, name + 1);
    char *at = gen_format(g, "%s", scope != NULL ? scope : "");
    for (;;) {
        const struct gen_message *m = find_message(g, full_name(g, at, name));
        if (m != NULL || *at == '\0')
            return m;
        char *dot = strrchr(at, '.');
        *(dot != NULL ? dot : at) = '\0';
    }
}

static const char *suggest_message(struct gen *g, const struct gen_file *file, const char *name, unsigned mark)
{
    size_t n = 0, package = strlen(is_set(file->pb->package) ? file->pb->package : "");
    for (const struct gen_message *m = g->messages; m != NULL; m = m->next)
        n++;
    const char **words = gen_alloc(g, (n + 1) * sizeof(*words));
    n = 0;
    for (const struct gen_message *m = g->messages; m != NULL; m = m->next) {
        bool inside =
            package > 0 && strncmp(m->full_name, file->pb->package, package) == 0 && m->full_name[package] == '.';
        if (m->file->mark == mark)
            words[n++] = inside ? m->full_name + package + 1 : m->full_name;
    }
    words[n] = NULL;
    return qk_suggest(name, words);
}

const struct gen_message *gen_named_message(struct gen *g, const struct gen_type *t, int member, const char *name,
                                            const struct gen_words *words)
{
    unsigned mark = mark_imports(g, t->file);
    struct gen_path path = gen_option_path(&t->path, IN_SERVICE_OPTIONS, EXT_ACTOR, member);
    struct gen_mistake mistake = {
        .code = words->code, .file = t->file, .path = &path, .needle = gen_format(g, "\"%s\"", name)};
    const struct gen_message *m = resolve(g, t->file->pb->package, name);
    if (m != NULL && m->file->mark != mark) {
        mistake.help = gen_format(g, "add: import \"%s\";", m->file->pb->name);
        gen_report(g, &mistake, "the %s message `%s` is in a file that is not imported", words->member, name);
    } else if (m == NULL) {
        const char *near = suggest_message(g, t->file, name, mark);
        mistake.label = near != NULL ? gen_format(g, "did you mean `%s`?", near) : NULL;
        mistake.help = gen_format(g, "declare `message %s { ... }`, or leave `%s` out where the actor has none", name,
                                  words->member);
        gen_report(g, &mistake, "there is no message `%s` for %s of `%s`", name, words->meaning, t->pb->name);
    }
    return m;
}

static void set_state(struct gen *g, struct gen_type *t, const char *state)
{
    static const struct gen_words words = {"QK0102", "state", "the state"};
    t->has_state = is_set(state);
    if (t->has_state)
        t->state = gen_named_message(g, t, 2, state, &words);
}

static void set_names(struct gen *g, struct gen_type *t, const Quark__ActorOptions *o)
{
    t->name = is_set(o->name) ? o->name : gen_snake(g, t->pb->name);
    t->prefix = is_set(o->prefix) ? o->prefix : gen_snake(g, t->pb->name);
    t->id = qk_fnv64(t->name);
    if (!gen_is_name(t->name, QK_NOTE_NAME_MAX - 1, true)) {
        struct gen_path path = is_set(o->name) ? gen_option_path(&t->path, IN_SERVICE_OPTIONS, EXT_ACTOR, 1)
                                               : gen_path_of(&t->path, IN_ANY_NAME, -1);
        gen_report(g,
                   &(struct gen_mistake){
                       .code = "QK0108",
                       .file = t->file,
                       .path = &path,
                       .needle = is_set(o->name) ? gen_format(g, "\"%s\"", o->name) : NULL,
                       .help = "a name is made of a-z, 0-9, - and _, begins with a letter and has at most 63 bytes;\n"
                               "set it with: option (quark.actor) = { name: \"...\" };"},
                   "`%s` can't be the name of an actor type", t->name);
    }
    size_t n = strlen(t->prefix);
    if (!gen_is_name(t->prefix, 63, false) || strstr(t->prefix, "__") != NULL || (n > 0 && t->prefix[n - 1] == '_') ||
        strcmp(t->prefix, "qk") == 0 || strcmp(t->prefix, "quark") == 0) {
        struct gen_path path = is_set(o->prefix) ? gen_option_path(&t->path, IN_SERVICE_OPTIONS, EXT_ACTOR, 8)
                                                 : gen_path_of(&t->path, IN_ANY_NAME, -1);
        gen_report(g,
                   &(struct gen_mistake){
                       .code = "QK0109",
                       .file = t->file,
                       .path = &path,
                       .needle = is_set(o->prefix) ? gen_format(g, "\"%s\"", o->prefix) : NULL,
                       .help = "a prefix is made of a-z, 0-9 and single underscores inside, and is not qk or quark;\n"
                               "set it with: option (quark.actor) = { prefix: \"...\" };"},
                   "`%s` can't be the prefix of C names", t->prefix);
    }
}

/* ---- methods ---- */

static const struct gen_message *message_of(struct gen *g, const char *name)
{
    return find_message(g, *name == '.' ? name + 1 : name);
}

static void check_method(struct gen *g, const struct gen_method *m)
{
    struct gen_file *file = m->type->file;
    if (m->request == NULL || m->reply == NULL) {
        gen_report(g,
                   &(struct gen_mistake){.code = "QK0118",
                                         .file = file,
                                         .path = &m->path,
                                         .help = "protoc sends all that a file imports: is it protoc that runs this?"},
                   "the request lacks the message `%s` of `%s`",
                   m->request == NULL ? m->pb->input_type : m->pb->output_type, m->pb->name);
        return;
    }
    if (m->pb->client_streaming || m->pb->server_streaming) {
        struct gen_path path = gen_path_of(&m->path, m->pb->client_streaming ? IN_METHOD_INPUT : IN_METHOD_OUTPUT, -1);
        gen_report(g,
                   &(struct gen_mistake){.code = "QK0105",
                                         .file = file,
                                         .path = &path,
                                         .help = "a call has one request and one reply: drop `stream`, and put what "
                                                 "belongs together into a repeated field"},
                   "the rpc `%s` streams its %s", m->pb->name, m->pb->client_streaming ? "request" : "reply");
    }
    if (m->one_way && m->reply->pb->n_field > 0) {
        struct gen_path path = gen_path_of(&m->path, IN_METHOD_OUTPUT, -1);
        gen_report(g,
                   &(struct gen_mistake){.code = "QK0107",
                                         .file = file,
                                         .path = &path,
                                         .label = "nobody will see these fields",
                                         .help = "return a message without fields, or drop `one_way`"},
                   "the one-way rpc `%s` returns `%s`, which has fields", m->pb->name, m->reply->full_name);
    }
}

static void add_method(struct gen *g, struct gen_type *t, uint32_t index)
{
    struct gen_method *m = &t->methods[index];
    m->type = t;
    m->pb = t->pb->method[index];
    m->path = gen_path_of(&t->path, IN_SERVICE_METHOD, (int)index);
    m->snake = gen_snake(g, m->pb->name);
    m->request = message_of(g, m->pb->input_type);
    m->reply = message_of(g, m->pb->output_type);
    ProtobufCMessage *options = m->pb->options != NULL ? &m->pb->options->base : NULL;
    const Quark__MethodOptions *o =
        (const Quark__MethodOptions *)gen_option(g, options, EXT_METHOD, &quark__method_options__descriptor);
    if (o != NULL) {
        m->id = o->id;
        gen_traits_set_method(g, m, o);
    }
    m->id_chosen = m->id != 0;
    if (!m->id_chosen)
        m->id = qk_fnv32(m->pb->name);
    check_method(g, m);
}

/* A service without our option is some other program's; options of ours on its methods are a mistake. */
static void check_other_service(struct gen *g, struct gen_file *file, const PbService *pb, const struct gen_path *path)
{
    for (size_t i = 0; i < pb->n_method; i++) {
        ProtobufCMessage *options = pb->method[i]->options != NULL ? &pb->method[i]->options->base : NULL;
        if (gen_option(g, options, EXT_METHOD, &quark__method_options__descriptor) == NULL)
            continue;
        struct gen_path method = gen_path_of(path, IN_SERVICE_METHOD, (int)i);
        struct gen_path at = gen_path_of(&method, IN_METHOD_OPTIONS, EXT_METHOD);
        gen_report(
            g,
            &(struct gen_mistake){.code = "QK0113",
                                  .file = file,
                                  .path = &at,
                                  .help = gen_format(g, "write in service %s: option (quark.actor) = {};", pb->name)},
            "`%s` is a method of `%s`, which is no actor type", pb->method[i]->name, pb->name);
    }
}

static struct gen_type *make_type(struct gen *g, struct gen_file *file, const PbService *pb, struct gen_path path,
                                  const Quark__ActorOptions *o)
{
    struct gen_type *t = gen_alloc(g, sizeof(*t));
    t->file = file;
    t->pb = pb;
    t->path = path;
    t->service = full_name(g, file->pb->package, pb->name);
    set_names(g, t, o);
    set_state(g, t, o->state);
    gen_traits_set(g, t, o);
    t->n_methods = (uint32_t)pb->n_method;
    t->methods = gen_alloc(g, (pb->n_method + 1) * sizeof(*t->methods));
    for (uint32_t i = 0; i < t->n_methods; i++)
        add_method(g, t, i);
    gen_traits_check(g, t);
    return t;
}

void gen_model_build(struct gen *g)
{
    g->files = gen_alloc(g, (g->request->n_proto_file + 1) * sizeof(*g->files));
    for (size_t i = 0; i < g->request->n_proto_file; i++)
        add_file(g, &g->files[i], g->request->proto_file[i]);
    struct gen_type **end = &g->types;
    for (size_t i = 0; i < g->request->n_proto_file; i++) {
        struct gen_file *file = &g->files[i];
        for (size_t k = 0; file->generate && k < file->pb->n_service; k++) {
            const PbService *pb = file->pb->service[k];
            struct gen_path path = gen_path_of(NULL, IN_FILE_SERVICE, (int)k);
            ProtobufCMessage *options = pb->options != NULL ? &pb->options->base : NULL;
            const Quark__ActorOptions *o =
                (const Quark__ActorOptions *)gen_option(g, options, EXT_ACTOR, &quark__actor_options__descriptor);
            if (o == NULL) {
                check_other_service(g, file, pb, &path);
                continue;
            }
            *end = make_type(g, file, pb, path, o);
            end = &(*end)->next;
            g->n_types++;
        }
    }
}
