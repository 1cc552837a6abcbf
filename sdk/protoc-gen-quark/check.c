/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold between types, between methods and between the C names that come out of them. */
#include "gen.h"

#include <stdlib.h>
#include <string.h>
#include <quark/abi.h>
#include "base/limits.h"

/* ---- ids ---- */

static int by_id(const void *a, const void *b)
{
    const struct gen_method *x = *(const struct gen_method *const *)a, *y = *(const struct gen_method *const *)b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x < y ? -1 : x > y; /* one array: in the order of the .proto */
}

static void check_method_ids(struct gen *g, struct gen_type *t)
{
    t->by_id = gen_alloc(g, (t->n_methods + 1) * sizeof(*t->by_id));
    for (uint32_t i = 0; i < t->n_methods; i++)
        t->by_id[i] = &t->methods[i];
    qsort(t->by_id, t->n_methods, sizeof(*t->by_id), by_id);
    for (uint32_t i = 0; i < t->n_methods; i++) {
        t->methods[t->by_id[i] - t->methods].index = i;
        if (i == 0 || t->by_id[i]->id != t->by_id[i - 1]->id)
            continue;
        const struct gen_method *a = t->by_id[i - 1], *b = t->by_id[i];
        if (a->id_chosen && !b->id_chosen) {
            const struct gen_method *chosen = a;
            a = b;
            b = chosen;
        }
        struct gen_path options = gen_path_of(&b->path, IN_METHOD_OPTIONS, EXT_METHOD);
        struct gen_path name = gen_path_of(&b->path, IN_ANY_NAME, -1);
        gen_report(g,
                   &(struct gen_mistake){.code = "QK0103",
                                         .file = t->file,
                                         .path = b->id_chosen ? &options : &name,
                                         .needle = b->id_chosen ? gen_format(g, "%u", b->id) : NULL,
                                         .help =
                                             "give one of them another id: option (quark.method) = { id: 1 };\n"
                                             "change the one that nobody calls yet, for callers know methods by id"},
                   "`%s` and `%s` have the same id %u%s", a->pb->name, b->pb->name, b->id,
                   a->id_chosen || b->id_chosen ? "" : ", the hash of both names");
    }
}

static void check_types(struct gen *g)
{
    for (const struct gen_type *b = g->types; b != NULL; b = b->next) {
        const struct gen_type *a = g->types;
        while (a != b && a->id != b->id)
            a = a->next;
        if (a == b)
            continue;
        struct gen_path path = gen_path_of(&b->path, IN_ANY_NAME, -1);
        const PbLocation *l = gen_location(a->file, &a->path);
        const char *first = gen_format(g, "%s:%d", a->file->pb->name, l != NULL ? l->span[0] + 1 : 1);
        bool same = strcmp(a->name, b->name) == 0;
        gen_report(
            g,
            &(struct gen_mistake){.code = "QK0104",
                                  .file = b->file,
                                  .path = &path,
                                  .help = "name one of them otherwise: option (quark.actor) = { name: \"...\" };"},
            same ? "`%s` and `%s` (%s) are both named `%s`" : "the names of `%s` and `%s` (%s, `%s`) have one hash",
            b->service, a->service, first, a->name);
    }
}

/* ---- C names ---- */

/* A C name and what it comes from. */
struct name {
    const char *text;
    struct gen_file *file;
    struct gen_path path;
    const char *origin;
    size_t order;
};

struct names {
    struct name *all;
    size_t n, capacity;
};

static void add_name(struct gen *g, struct names *names, const char *text, struct gen_file *file,
                     const struct gen_path *path, const char *origin)
{
    if (names->n == names->capacity) {
        size_t capacity = names->capacity * 2 + 64;
        struct name *all = gen_alloc(g, capacity * sizeof(*all));
        if (names->n > 0)
            memcpy(all, names->all, names->n * sizeof(*all));
        names->all = all;
        names->capacity = capacity;
    }
    names->all[names->n] =
        (struct name){.text = text, .file = file, .path = *path, .origin = origin, .order = names->n};
    names->n++;
}

static int by_text(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int c = strcmp(x->text, y->text);
    return c != 0 ? c : x->order < y->order ? -1 : x->order > y->order;
}

static int by_order(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Reports the first clash of each origin, in the order of the .proto. */
static void check_names(struct gen *g, struct names *names, const char *code, const char *help)
{
    if (names->n == 0)
        return;
    qsort(names->all, names->n, sizeof(*names->all), by_text);
    struct names clashes = {0};
    for (size_t i = 1; i < names->n; i++) {
        const struct name *a = &names->all[i - 1], *b = &names->all[i];
        if (strcmp(a->text, b->text) != 0 || a->origin == b->origin)
            continue;
        const char *what = gen_format(g, "%s and %s both become `%s` in C", a->origin, b->origin, a->text);
        add_name(g, &clashes, what, b->file, &b->path, b->origin);
        clashes.all[clashes.n - 1].order = b->order;
    }
    if (clashes.n > 0)
        qsort(clashes.all, clashes.n, sizeof(*clashes.all), by_order);
    for (size_t i = 0; i < clashes.n; i++) {
        const struct name *c = &clashes.all[i];
        if (i == 0 || c->origin != clashes.all[i - 1].origin)
            gen_report(g, &(struct gen_mistake){.code = code, .file = c->file, .path = &c->path, .help = help}, "%s",
                       c->text);
    }
}

static const char *const method_suffixes[] = {
    "",           "_entry", "_call",   "_call_within", "_begin",      "_begin_within", "_await",
    "_pending",   "_send",  "_method", "_ask",         "_ask_within", "_ask_begin",    "_ask_begin_within",
    "_ask_reply", "_tell",  "_remote", "_timer",       "_test_ask",   "_test_tell",
};

static void check_c_names(struct gen *g)
{
    static const char *const type_suffixes[] = {"_type",
                                                "_methods",
                                                "_on_activate",
                                                "_on_deactivate",
                                                "_activate_entry",
                                                "_deactivate_entry",
                                                "_on_child_failure",
                                                "_on_watched",
                                                "_child_failure_entry",
                                                "_watched_entry",
                                                "_spawn",
                                                "_stop_child",
                                                "_begin_watch",
                                                "_end_watch"};
    static const char *const store_suffixes[] = {"_load", "_save", "_clear", "_test_stored", "_test_store"};
    static const char *const journal_suffixes[] = {"_apply",        "_apply_entry",   "_append",     "_append_all",
                                                   "_position",     "_replay",        "_replay_fn",  "_replay_to",
                                                   "_replay_entry", "_test_position", "_test_event", "_test_append"};
    struct names names = {0};
    const char *plugin = g->params.plugin;
    static const struct gen_path nowhere;
    if (plugin != NULL)
        add_name(g, &names, gen_format(g, "%s_plugin", gen_underscored(g, plugin)), NULL, &nowhere, "the plugin");
    size_t n_filters;
    const char *const *filters = gen_filters_of(g, NULL, &n_filters);
    for (size_t i = 0; i < n_filters; i++)
        add_name(g, &names, gen_format(g, "%s_filter", filters[i]), NULL, &nowhere,
                 gen_format(g, "the filter `%s`", filters[i]));
    for (struct gen_type *t = g->types; t != NULL; t = t->next) {
        struct gen_path name = gen_path_of(&t->path, IN_ANY_NAME, -1);
        const char *origin = gen_format(g, "the service `%s`", t->pb->name);
        for (size_t i = 0; i < sizeof(type_suffixes) / sizeof(type_suffixes[0]); i++)
            add_name(g, &names, gen_format(g, "%s%s", t->prefix, type_suffixes[i]), t->file, &name, origin);
        origin = gen_format(g, "the stored state of `%s`", t->pb->name);
        for (size_t i = 0; t->store != NULL && i < sizeof(store_suffixes) / sizeof(store_suffixes[0]); i++)
            add_name(g, &names, gen_format(g, "%s%s", t->prefix, store_suffixes[i]), t->file, &name, origin);
        origin = gen_format(g, "the journal of `%s`", t->pb->name);
        for (size_t i = 0; t->event_name != NULL && i < sizeof(journal_suffixes) / sizeof(journal_suffixes[0]); i++)
            add_name(g, &names, gen_format(g, "%s%s", t->prefix, journal_suffixes[i]), t->file, &name, origin);
        for (uint32_t k = 0; k < t->n_methods; k++) {
            const struct gen_method *m = &t->methods[k];
            name = gen_path_of(&m->path, IN_ANY_NAME, -1);
            origin = gen_format(g, "the rpc `%s.%s`", t->pb->name, m->pb->name);
            const char *handler = gen_format(g, "%s_%s", t->prefix, m->snake);
            for (size_t i = 0; i < sizeof(method_suffixes) / sizeof(method_suffixes[0]); i++)
                add_name(g, &names, gen_format(g, "%s%s", handler, method_suffixes[i]), t->file, &name, origin);
            if (gen_is_reserved(handler) || strstr(handler, "__") != NULL || handler[strlen(handler) - 1] == '_')
                gen_report(g,
                           &(struct gen_mistake){
                               .code = "QK0111",
                               .file = t->file,
                               .path = &name,
                               .help = "rename the rpc, or set: option (quark.actor) = { prefix: \"...\" };"},
                           "`%s`, the handler of `%s`, is a name that C or C++ keeps for itself", handler, m->pb->name);
        }
    }
    check_names(g, &names, "QK0111", "rename one, or set: option (quark.actor) = { prefix: \"...\" };");
}

/* ---- messages ---- */

static char *lower(struct gen *g, const char *text)
{
    char *to = gen_format(g, "%s", text);
    for (char *c = to; *c != '\0'; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    return to;
}

/* The members that protoc-c makes of a message: two of one name do not compile, which the C compiler would say of a
 * file that the author never wrote. */
static void check_members(struct gen *g, const struct gen_message *m)
{
    struct names names = {0};
    add_name(g, &names, "base", m->file, &m->path, "the head of every message");
    for (size_t i = 0; i < m->pb->n_field; i++) {
        const PbField *f = m->pb->field[i];
        struct gen_path path = gen_path_of(&m->path, IN_MESSAGE_FIELD, (int)i);
        path = gen_path_of(&path, IN_ANY_NAME, -1);
        const char *member = lower(g, f->name), *origin = gen_format(g, "the field `%s`", f->name);
        add_name(g, &names, member, m->file, &path, origin);
        if (f->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED)
            add_name(g, &names, gen_format(g, "n_%s", member), m->file, &path,
                     gen_format(g, "the count of the repeated field `%s`", f->name));
        if (f->proto3_optional)
            gen_report(g,
                       &(struct gen_mistake){
                           .code = "QK0106",
                           .file = m->file,
                           .path = &path,
                           .help = gen_format(g,
                                              "drop `optional` (a field that is not set reads as its zero), or write\n"
                                              "oneof %s_or_none { ... } around it to tell the two apart",
                                              f->name)},
                       "protoc-c does not know proto3 `optional`, which the field `%s` has", f->name);
    }
    for (size_t i = 0; i < m->pb->n_oneof_decl; i++) {
        const char *name = m->pb->oneof_decl[i]->name;
        struct gen_path path = gen_path_of(&m->path, IN_MESSAGE_ONEOF, (int)i);
        if (*name != '_')
            add_name(g, &names, gen_format(g, "%s_case", gen_c_lower(g, NULL, NULL, name)), m->file, &path,
                     gen_format(g, "the case of the oneof `%s`", name));
    }
    check_names(g, &names, "QK0112", "rename the field");
}

/* Oldest first: the list of messages has the newest in front. */
static void check_messages(struct gen *g)
{
    size_t n = 0;
    for (const struct gen_message *m = g->messages; m != NULL; m = m->next)
        n++;
    const struct gen_message **all = gen_alloc(g, (n + 1) * sizeof(*all));
    size_t at = n;
    for (const struct gen_message *m = g->messages; m != NULL; m = m->next)
        all[--at] = m;
    for (size_t i = 0; i < n; i++) {
        if (all[i]->file->generate)
            check_members(g, all[i]);
    }
}

static void check_counts(struct gen *g)
{
    for (struct gen_type *t = g->types; t != NULL; t = t->next) {
        if (t->n_methods > QK_TYPE_METHODS_MAX)
            gen_report(g,
                       &(struct gen_mistake){
                           .code = "QK0117", .file = t->file, .path = &t->path, .help = "make it several actor types"},
                       "`%s` has %u methods, and %d is the most", t->pb->name, t->n_methods, QK_TYPE_METHODS_MAX);
    }
    if (g->n_types > QK_PLUGIN_TYPES_MAX)
        gen_report(g, &(struct gen_mistake){.code = "QK0117", .help = "make it several plugins"},
                   "there are %zu actor types, and a plugin has at most %d", g->n_types, QK_PLUGIN_TYPES_MAX);
    size_t schema;
    gen_schema(g, &schema);
    if (schema > QK_SCHEMA_MAX && g->params.plugin != NULL)
        gen_report(g, &(struct gen_mistake){.code = "QK0119", .help = "make it several plugins, or import less"},
                   "the descriptors of the messages take %zu bytes, and a plugin carries at most %d", schema,
                   QK_SCHEMA_MAX);
    if (g->n_types == 0 && g->params.plugin != NULL)
        gen_report(g,
                   &(struct gen_mistake){.code = "QK0116",
                                         .help =
                                             "a service becomes an actor type with: import \"quark/options.proto\";\n"
                                             "and, inside the service, option (quark.actor) = {};"},
                   "plugin `%s` has no actor type: none of its services is one", g->params.plugin);
}

void gen_check(struct gen *g)
{
    for (struct gen_type *t = g->types; t != NULL; t = t->next)
        check_method_ids(g, t);
    check_types(g);
    check_c_names(g);
    check_messages(g);
    check_counts(g);
}
