/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind `--quark_opt`: a list of NAME=VALUE with commas between. */
#include "gen.h"

#include <string.h>
#include <quark/abi.h>
#include "base/diag.h"

static const char *const keys[] = {"plugin", "version", "root", "services", "filter", NULL};

static void take(struct gen *g, const char *key, const char *value)
{
    if (strcmp(key, "plugin") == 0) {
        g->params.plugin = value;
    } else if (strcmp(key, "version") == 0) {
        g->params.version = value;
    } else if (strcmp(key, "root") == 0) {
        g->params.root = value;
    } else if (strcmp(key, "services") == 0) {
        g->params.services = value;
    } else if (strcmp(key, "filter") == 0) {
        if (g->params.n_filters <= QK_FILTERS_MAX)
            g->params.filters[g->params.n_filters++] = value;
    } else {
        const char *near = qk_suggest(key, keys);
        gen_report(g,
                   &(struct gen_mistake){.code = "QK0114",
                                         .label = near != NULL ? gen_format(g, "did you mean `%s`?", near) : NULL,
                                         .help = "`protoc-gen-quark --help` lists what --quark_opt takes"},
                   "unknown parameter `%s` of --quark_opt", key);
    }
}

static bool is_version(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n < QK_NOTE_VERSION_MAX &&
           strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.+~_-") == n;
}

/* The generated source has tables called `types` and `schema`. */
static bool is_list(const char *text)
{
    return gen_is_name(text, 63, false) && !gen_is_reserved(text) && strcmp(text, "types") != 0 &&
           strcmp(text, "schema") != 0;
}

static void check(struct gen *g)
{
    struct gen_params *p = &g->params;
    if (p->plugin != NULL && !gen_is_name(p->plugin, QK_NOTE_NAME_MAX - 1, true))
        gen_report(g,
                   &(struct gen_mistake){
                       .code = "QK0115",
                       .help = "a name is made of a-z, 0-9, - and _, begins with a letter and has at most 63 bytes"},
                   "`%s` can't be the name of a plugin", p->plugin);
    if (p->version != NULL && !is_version(p->version))
        gen_report(g,
                   &(struct gen_mistake){.code = "QK0115",
                                         .help = "a version is made of letters, digits and . + ~ _ - and has at most "
                                                 "31 bytes: version=1.0"},
                   "`%s` can't be the version of a plugin", p->version);
    if (p->plugin != NULL && p->version == NULL)
        gen_report(g, &(struct gen_mistake){.code = "QK0115", .help = "write --quark_opt=plugin=NAME,version=1.0"},
                   "plugin `%s` has no version", p->plugin);
    if (p->plugin == NULL && p->version != NULL)
        gen_report(g, &(struct gen_mistake){.code = "QK0115", .help = "write --quark_opt=plugin=NAME,version=1.0"},
                   "there is a version but no plugin's name");
    if (p->services != NULL && !is_list(p->services))
        gen_report(g,
                   &(struct gen_mistake){.code = "QK0115",
                                         .help = "it is the name in QK_SERVICES(my_services, ...): a-z, 0-9 and _, a "
                                                 "letter first, at most 63 bytes"},
                   "`%s` can't be the name of a list of services", p->services);
    else if (p->services != NULL && p->plugin == NULL)
        gen_report(
            g,
            &(struct gen_mistake){.code = "QK0115", .help = "write --quark_opt=plugin=NAME,version=1.0,services=LIST"},
            "there is a list of services but no plugin's name");
    gen_filters_check_params(g);
}

void gen_params_parse(struct gen *g, const char *text)
{
    char *rest = gen_format(g, "%s", text != NULL ? text : "");
    while (rest != NULL && *rest != '\0') {
        char *word = rest, *comma = strchr(rest, ',');
        rest = comma != NULL ? comma + 1 : NULL;
        if (comma != NULL)
            *comma = '\0';
        char *equals = strchr(word, '=');
        if (equals != NULL)
            *equals = '\0';
        if (*word != '\0')
            take(g, word, equals != NULL ? equals + 1 : "");
    }
    check(g);
}
