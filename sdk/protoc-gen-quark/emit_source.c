/* SPDX-License-Identifier: Apache-2.0 */
/* NAME.quark.c: the tables of methods and types, and the plugin's descriptor with its note and its messages' schema. */
#include "gen.h"

#include <inttypes.h>
#include <string.h>

/* Handlers have types of their own; calling one through another type is not C, so each gets an entry of the type that
 * the table holds. */
static void put_entry(const struct gen_type *t, const struct gen_method *m, FILE *out)
{
    fprintf(out,
            "static int %s_%s_entry(qk_turn *t, void *self, const ProtobufCMessage *request, ProtobufCMessage *reply)\n"
            "{\n",
            t->prefix, m->snake);
    if (t->state == NULL)
        fputs("    (void)self;\n", out);
    if (m->one_way)
        fputs("    (void)reply;\n", out);
    fprintf(out, "    return %s_%s(t", t->prefix, m->snake);
    if (t->state != NULL)
        fprintf(out, ", (%s *)self", t->state->c_type);
    fprintf(out, ", (const %s *)request", m->request->c_type);
    if (!m->one_way)
        fprintf(out, ", (%s *)reply", m->reply->c_type);
    fputs(");\n}\n\n", out);
}

static void put_lifecycle(const struct gen_type *t, FILE *out)
{
    const char *unused = t->state == NULL ? "    (void)self;\n" : "";
    const char *self = t->state != NULL ? t->state->c_type : NULL;
    if (t->on_activate) {
        fprintf(out, "static int %s_activate_entry(qk_turn *t, void *self)\n{\n%s    return %s_on_activate(t",
                t->prefix, unused, t->prefix);
        if (self != NULL)
            fprintf(out, ", (%s *)self", self);
        fputs(");\n}\n\n", out);
    }
    if (t->on_deactivate) {
        fprintf(out,
                "static void %s_deactivate_entry(qk_turn *t, void *self, enum qk_deactivate_reason reason)\n{\n%s"
                "    %s_on_deactivate(t",
                t->prefix, unused, t->prefix);
        if (self != NULL)
            fprintf(out, ", (%s *)self", self);
        fputs(", reason);\n}\n\n", out);
    }
}

static void put_supervision(const struct gen_type *t, FILE *out)
{
    const char *unused = t->state == NULL ? "    (void)self;\n" : "";
    const char *self = t->state != NULL ? t->state->c_type : NULL;
    if (t->on_child_failure) {
        fprintf(out,
                "static int %s_child_failure_entry(qk_turn *t, void *self, const struct qk_failure *failure)\n{\n%s"
                "    return %s_on_child_failure(t",
                t->prefix, unused, t->prefix);
        if (self != NULL)
            fprintf(out, ", (%s *)self", self);
        fputs(", failure);\n}\n\n", out);
    }
    if (t->on_watched) {
        fprintf(out,
                "static void %s_watched_entry(qk_turn *t, void *self, const struct qk_watch_event *event)\n{\n%s"
                "    %s_on_watched(t",
                t->prefix, unused, t->prefix);
        if (self != NULL)
            fprintf(out, ", (%s *)self", self);
        fputs(", event);\n}\n\n", out);
    }
}

static void put_methods(struct gen *g, const struct gen_type *t, FILE *out)
{
    fprintf(out, "const struct qk_method %s_methods[%u] = {\n", t->prefix, t->n_methods > 0 ? t->n_methods : 1);
    for (uint32_t i = 0; i < t->n_methods; i++) {
        const struct gen_method *m = t->by_id[i];
        fprintf(out,
                "    {\n"
                "        .id = %" PRIu32 "u,\n"
                "        .flags = %s,\n"
                "        .deadline_ms = %" PRIu32 "u,\n"
                "        .limit_ms = %" PRIu32 "u,\n"
                "        .type_id = UINT64_C(0x%016" PRIx64 "),\n"
                "        .name = \"%s\",\n"
                "        .request = &%s,\n"
                "        .reply = &%s,\n"
                "        .handler = %s,\n"
                "    },\n",
                m->id, gen_method_flags(g, m), m->deadline_ms, m->limit_ms, t->id, m->pb->name, m->request->c_desc,
                m->reply->c_desc,
                g->params.plugin != NULL ? gen_format(g, "%s_%s_entry", t->prefix, m->snake) : "NULL");
    }
    if (t->n_methods == 0)
        fputs("    {.id = 0},\n", out);
    fputs("};\n\n", out);
}

static void put_type(struct gen *g, const struct gen_type *t, FILE *out)
{
    fprintf(out,
            "const struct qk_type %s_type = {\n"
            "    .abi = QK_ABI_HEAD(struct qk_type),\n"
            "    .id = UINT64_C(0x%016" PRIx64 "),\n"
            "    .name = \"%s\",\n"
            "    .service = \"%s\",\n"
            "    .state = %s,\n"
            "    .methods = %s_methods,\n"
            "    .n_methods = %" PRIu32 "u,\n"
            "    .mailbox_max = %" PRIu32 "u,\n"
            "    .idle_ms = %" PRIu32 "u,\n"
            "    .placement = %s,\n"
            "    .flags = %s,\n"
            "    .limit_ms = %" PRIu32 "u,\n"
            "    .on_activate = %s,\n"
            "    .on_deactivate = %s,\n"
            "    .store = %s,\n",
            t->prefix, t->id, t->name, t->service, t->state != NULL ? gen_format(g, "&%s", t->state->c_desc) : "NULL",
            t->prefix, t->n_methods, t->mailbox, t->idle_ms, gen_placement_word(t->placement), gen_type_flags(g, t),
            t->limit_ms, t->on_activate ? gen_format(g, "%s_activate_entry", t->prefix) : "NULL",
            t->on_deactivate ? gen_format(g, "%s_deactivate_entry", t->prefix) : "NULL",
            t->store != NULL ? gen_format(g, "\"%s\"", t->store) : "NULL");
    fprintf(out,
            "    .on_child_failure = %s,\n"
            "    .on_watched = %s,\n"
            "    .directive = %s,\n"
            "    .strategy = %s,\n"
            "    .restart_max = %" PRIu32 "u,\n"
            "    .restart_window_ms = %" PRIu32 "u,\n"
            "    .backoff_ms = %" PRIu32 "u,\n"
            "    .backoff_max_ms = %" PRIu32 "u,\n"
            "%s%s"
            "};\n\n",
            t->on_child_failure ? gen_format(g, "%s_child_failure_entry", t->prefix) : "NULL",
            t->on_watched ? gen_format(g, "%s_watched_entry", t->prefix) : "NULL", gen_directive_word(t->directive),
            gen_strategy_word(t->strategy), t->restart_max, t->restart_window_ms, t->backoff_ms, t->backoff_max_ms,
            gen_filters_list(g, (const char *const *)t->filters, t->n_filters), gen_journal_members(g, t));
}

/* The descriptors of all files, imports first and without the places in their sources. */
uint8_t *gen_schema(struct gen *g, size_t *ret_size)
{
    Google__Protobuf__FileDescriptorSet set = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_SET__INIT;
    set.n_file = g->request->n_proto_file;
    set.file = gen_alloc(g, (set.n_file + 1) * sizeof(*set.file));
    for (size_t i = 0; i < set.n_file; i++) {
        set.file[i] = gen_alloc(g, sizeof(**set.file));
        *set.file[i] = *g->request->proto_file[i];
        set.file[i]->source_code_info = NULL;
    }
    size_t size = google__protobuf__file_descriptor_set__get_packed_size(&set);
    uint8_t *bytes = gen_alloc(g, size + 1);
    google__protobuf__file_descriptor_set__pack(&set, bytes);
    *ret_size = size;
    return bytes;
}

static void put_schema(struct gen *g, FILE *out)
{
    size_t size;
    const uint8_t *bytes = gen_schema(g, &size);
    fprintf(out, "static const uint8_t schema[%zu] = {", size);
    for (size_t i = 0; i < size; i++)
        fprintf(out, "%s0x%02x,", i % 20 == 0 ? "\n    " : " ", bytes[i]);
    fputs("\n};\n\n", out);
}

static void put_plugin(struct gen *g, FILE *out)
{
    put_schema(g, out);
    fputs("static const struct qk_type *const types[] = {\n", out);
    for (const struct gen_type *t = g->types; t != NULL; t = t->next)
        fprintf(out, "    &%s_type,\n", t->prefix);
    const char *symbol = gen_underscored(g, g->params.plugin), *services = g->params.services;
    fputs("};\n\n", out);
    if (services != NULL)
        fprintf(out, "extern const struct qk_service *const %s[];\n\n", services);
    fprintf(out,
            "const struct qk_plugin %s_plugin = {\n"
            "    .abi = QK_ABI_HEAD(struct qk_plugin),\n"
            "    .name = \"%s\",\n"
            "    .version = \"%s\",\n"
            "    .types = types,\n"
            "    .n_types = %zu,\n"
            "    .schema = schema,\n"
            "    .schema_len = sizeof(schema),\n"
            "%s%s"
            "};\n\n"
            "/* The one symbol of a plugin. It is weak so that a test may link several plugins into one program. */\n"
            "QK_EXPORT extern const struct qk_plugin quark_plugin __attribute__((weak, alias(\"%s_plugin\")));\n\n"
            "QK_PLUGIN_NOTE(\"%s\", \"%s\");\n",
            symbol, g->params.plugin, g->params.version, g->n_types,
            services != NULL ? gen_format(g, "    .services = %s,\n", services) : "",
            gen_filters_list(g, g->params.filters, g->params.n_filters), symbol, g->params.plugin, g->params.version);
}

void gen_emit_source(struct gen *g, const struct gen_file *file, FILE *out)
{
    bool plugin = gen_has_plugin(g, file);
    fprintf(out, "/* Generated by protoc-gen-quark from %s: do not edit. */\n#include \"%s.quark.h\"\n", file->pb->name,
            file->stem);
    if (plugin) {
        fputs("\n#include <quark/plugin.h>\n", out);
        for (size_t i = 1; i < g->request->n_proto_file; i++) {
            const struct gen_file *other = &g->files[i];
            if (other->generate && other != file)
                fprintf(out, "#include \"%s.quark.h\"\n", other->stem);
        }
    }
    fputc('\n', out);
    for (const struct gen_type *t = g->types; t != NULL; t = t->next) {
        if (t->file != file)
            continue;
        for (uint32_t i = 0; i < t->n_methods && g->params.plugin != NULL; i++)
            put_entry(t, &t->methods[i], out);
        if (g->params.plugin != NULL) {
            put_lifecycle(t, out);
            put_supervision(t, out);
            gen_journal_entry(t, out);
        }
        put_methods(g, t, out);
        if (g->params.plugin != NULL)
            put_type(g, t, out);
    }
    if (plugin)
        put_plugin(g, out);
}
