/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Compares what is known of the plugin files at two moments. */
#include "main/outcome.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugin/plugins.h"

void qk_names_finish(struct qk_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct qk_names){0};
}

/* Takes over `name`, which may be NULL. */
static void add(struct qk_names *names, char *name)
{
    char **more = name != NULL ? realloc(names->names, (names->n + 1) * sizeof(*more)) : NULL;
    if (more == NULL) {
        free(name);
        return;
    }
    names->names = more;
    more[names->n++] = name;
}

/* What tells one outcome of a file from another; malloc's. */
static char *outcome_of(const struct qk_plugin_info *info)
{
    char *text;
    int n = asprintf(&text, "%s: %s", info->file, info->state == QK_PLUGIN_LOADED ? "loaded" : info->reason);
    return n < 0 ? NULL : text;
}

static void read_one(void *arg, const struct qk_plugin_info *info)
{
    add(arg, outcome_of(info));
}

struct qk_names qk_outcome_read(struct qk_silo *silo)
{
    struct qk_names names = {0};
    qk_silo_visit_plugins(silo, read_one, &names);
    return names;
}

struct comparison {
    const struct qk_names *before;
    struct qk_names loaded;
    struct qk_names refused;
};

static void compare_one(void *arg, const struct qk_plugin_info *info)
{
    struct comparison *c = arg;
    char *outcome = outcome_of(info);
    for (size_t i = 0; outcome != NULL && i < c->before->n; i++) {
        if (strcmp(c->before->names[i], outcome) == 0) {
            free(outcome);
            return;
        }
    }
    if (info->state != QK_PLUGIN_LOADED) {
        add(&c->refused, outcome);
        return;
    }
    free(outcome);
    char *text;
    add(&c->loaded, asprintf(&text, "%s %s", info->name, info->version) < 0 ? NULL : text);
}

void qk_outcome_compare(struct qk_silo *silo, const struct qk_names *before, struct qk_names *ret_loaded,
                        struct qk_names *ret_refused)
{
    struct comparison c = {.before = before};
    qk_silo_visit_plugins(silo, compare_one, &c);
    *ret_loaded = c.loaded;
    *ret_refused = c.refused;
}
