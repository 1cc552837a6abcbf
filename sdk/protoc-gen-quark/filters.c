/* SPDX-License-Identifier: Apache-2.0 */
/* Call filters: types and the plugin name them, the author defines a struct `NAME_filter` for each. */
#include "gen.h"

#include <string.h>

enum { ACTOR_FILTERS = 22 }; /* in options.proto */

#define FILTER_NAME_MAX 63

static const char name_help[] =
    "a filter is that of QK_FILTER_DEFINE(NAME, ...): a-z, 0-9 and _, a letter first, at most "
    "63 bytes";

static bool is_among(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* Reports what is wrong with the names; `whose` has them. */
static void check(struct gen *g, struct gen_mistake m, const char *whose, const char *const *names, size_t n)
{
    bool quoted = m.file != NULL;
    for (size_t i = 0; i < n && i < QK_FILTERS_MAX; i++) {
        m.needle = quoted ? gen_format(g, "\"%s\"", names[i]) : NULL;
        m.help = name_help;
        if (!gen_is_name(names[i], FILTER_NAME_MAX, false))
            gen_report(g, &m, "`%s` can't be the name of a filter", names[i]);
        m.help = "each runs once around a call; name it where it is to run";
        if (is_among(names[i], names, i))
            gen_report(g, &m, "%s has the filter `%s` twice", whose, names[i]);
    }
    m.needle = NULL;
    m.help = "let one filter do what several do";
    if (n > QK_FILTERS_MAX)
        gen_report(g, &m, "%s has more than %d filters", whose, QK_FILTERS_MAX);
}

void gen_filters_set(struct gen *g, struct gen_type *t, const Quark__ActorOptions *o)
{
    struct gen_path path = gen_option_path(&t->path, IN_SERVICE_OPTIONS, EXT_ACTOR, ACTOR_FILTERS);
    t->filters = o->filters;
    t->n_filters = o->n_filters;
    check(g, (struct gen_mistake){.code = "QK0127", .file = t->file, .path = &path}, gen_format(g, "`%s`", t->pb->name),
          (const char *const *)t->filters, t->n_filters);
}

void gen_filters_check_params(struct gen *g)
{
    const struct gen_params *p = &g->params;
    check(g, (struct gen_mistake){.code = "QK0127"}, "the plugin", p->filters, p->n_filters);
    if (p->n_filters > 0 && p->plugin == NULL)
        gen_report(
            g,
            &(struct gen_mistake){.code = "QK0115", .help = "write --quark_opt=plugin=NAME,version=1.0,filter=FILTER"},
            "there is a filter but no plugin's name");
}

const char *const *gen_filters_of(struct gen *g, const struct gen_file *file, size_t *ret_count)
{
    const struct gen_params *p = &g->params;
    size_t room = p->n_filters, n = 0;
    for (const struct gen_type *t = g->types; t != NULL; t = t->next)
        room += t->n_filters;
    const char **all = gen_alloc(g, (room + 1) * sizeof(*all));
    for (size_t i = 0; i < p->n_filters && (file == NULL || gen_has_plugin(g, file)); i++) {
        if (!is_among(p->filters[i], all, n))
            all[n++] = p->filters[i];
    }
    for (const struct gen_type *t = g->types; t != NULL && p->plugin != NULL; t = t->next) {
        for (size_t i = 0; i < t->n_filters && (file == NULL || t->file == file); i++) {
            if (!is_among(t->filters[i], all, n))
                all[n++] = t->filters[i];
        }
    }
    *ret_count = n;
    return all;
}

void gen_filters_declare(struct gen *g, const struct gen_file *file, FILE *out)
{
    size_t n;
    const char *const *all = gen_filters_of(g, file, &n);
    if (n == 0)
        return;
    fputs("/* The call filters, which the author defines: QK_FILTER_DEFINE(NAME, ...). */\n", out);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "extern const struct qk_filter %s_filter;\n", all[i]);
    fputc('\n', out);
}

const char *gen_filters_list(struct gen *g, const char *const *names, size_t n)
{
    const char *list = "";
    for (size_t i = 0; i < n; i++)
        list = gen_format(g, "%s%s&%s_filter", list, i > 0 ? ", " : "", names[i]);
    return n == 0 ? ""
                  : gen_format(g,
                               "    .filters = (const struct qk_filter *const[]){%s},\n"
                               "    .n_filters = %zu,\n",
                               list, n);
}
