/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The set of plugin files and what the rest of the silo sees of it. */
#include "plugin/plugins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "plugin/set.h"

static int copy_dirs(struct qk_plugins *set, const char *const *dirs)
{
    while (dirs[set->n_dirs] != NULL)
        set->n_dirs++;
    set->dirs = calloc(set->n_dirs + 1, sizeof(*set->dirs));
    if (set->dirs == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < set->n_dirs; i++) {
        set->dirs[i] = strdup(dirs[i]);
        if (set->dirs[i] == NULL)
            return -ENOMEM;
    }
    return 0;
}

int qk_plugins_create(const struct qk_plugins_config *config, struct qk_plugins **ret_plugins)
{
    struct qk_plugins *set = calloc(1, sizeof(*set));
    if (set == NULL)
        return -ENOMEM;
    set->runtime = config->runtime;
    set->wall_ms = config->wall_ms;
    set->clock_arg = config->clock_arg;
    set->admit = config->admit;
    set->withdraw = config->withdraw;
    set->admit_arg = config->admit_arg;
    set->hosts = *config;
    set->user = geteuid();
    int rc = copy_dirs(set, config->dirs);
    if (rc == 0) {
        int watched = qk_dirwatch_create(set->n_dirs, &set->watch);
        if (watched == -ENOMEM)
            rc = watched;
        else if (watched < 0)
            qk_log_write(QK_LOG_WARNING, NULL, NULL,
                         "the plugin directories can't be watched (%s): new plugins are found by a reload only",
                         strerror(-watched));
    }
    if (rc < 0) {
        qk_plugins_destroy(set);
        return rc;
    }
    *ret_plugins = set;
    return 0;
}

static void destroy_entry(struct qk_plugin_entry *entry)
{
    qk_unload(&entry->loaded);
    if (entry->kept >= 0)
        close(entry->kept);
    free(entry->path);
    free(entry->reason);
    free(entry);
}

void qk_plugins_destroy(struct qk_plugins *set)
{
    if (set == NULL)
        return;
    while (set->n_loaded > 0)
        qk_unload(&set->in_order[--set->n_loaded]->loaded);
    for (size_t i = 0; i < set->n_entries; i++)
        destroy_entry(set->entries[i]);
    for (unsigned i = 0; set->dirs != NULL && i < set->n_dirs; i++)
        free(set->dirs[i]);
    qk_dirwatch_destroy(set->watch);
    free(set->entries);
    free(set->in_order);
    free(set->dirs);
    free(set);
}

/* Where `path` stands or belongs. */
static size_t place_of(const struct qk_plugins *set, const char *path)
{
    size_t low = 0, high = set->n_entries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(set->entries[middle]->path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct qk_plugin_entry *qk_plugins_find_entry(const struct qk_plugins *set, const char *path)
{
    size_t at = place_of(set, path);
    return at < set->n_entries && strcmp(set->entries[at]->path, path) == 0 ? set->entries[at] : NULL;
}

/* Room for one more in both lists, so that a plugin that was loaded can always be noted. */
static int grow(struct qk_plugins *set)
{
    if (set->n_entries < set->entries_room)
        return 0;
    size_t room = set->entries_room != 0 ? set->entries_room * 2 : 16;
    struct qk_plugin_entry **entries = reallocarray(set->entries, room, sizeof(*entries));
    if (entries == NULL)
        return -ENOMEM;
    set->entries = entries;
    struct qk_plugin_entry **in_order = reallocarray(set->in_order, room, sizeof(*in_order));
    if (in_order == NULL)
        return -ENOMEM;
    set->in_order = in_order;
    set->entries_room = room;
    return 0;
}

struct qk_plugin_entry *qk_plugins_add_entry(struct qk_plugins *set, const char *path)
{
    struct qk_plugin_entry *entry = calloc(1, sizeof(*entry));
    char *copy = strdup(path);
    if (entry == NULL || copy == NULL || grow(set) < 0) {
        free(entry);
        free(copy);
        return NULL;
    }
    entry->path = copy;
    entry->state = QK_PLUGIN_REFUSED;
    entry->code = "";
    entry->loaded.copy = entry->kept = -1;
    size_t at = place_of(set, path);
    memmove(&set->entries[at + 1], &set->entries[at], (set->n_entries - at) * sizeof(*set->entries));
    set->entries[at] = entry;
    set->n_entries++;
    return entry;
}

void qk_plugins_remove_entry(struct qk_plugins *set, size_t index)
{
    destroy_entry(set->entries[index]);
    set->n_entries--;
    memmove(&set->entries[index], &set->entries[index + 1], (set->n_entries - index) * sizeof(*set->entries));
}

int qk_plugins_watch_fd(const struct qk_plugins *set)
{
    return set->watch != NULL ? qk_dirwatch_fd(set->watch) : -1;
}

bool qk_plugins_take_events(struct qk_plugins *set)
{
    return set->watch != NULL && qk_dirwatch_take(set->watch);
}

void qk_plugins_visit(const struct qk_plugins *set, void (*visit)(void *arg, const struct qk_plugin_info *info),
                      void *arg)
{
    for (size_t i = 0; i < set->n_entries; i++) {
        const struct qk_plugin_entry *e = set->entries[i];
        struct qk_plugin_info info = {
            .file = e->path,
            .state = e->state,
            .name = e->note.name,
            .version = e->note.version,
            .abi = e->abi,
            .code = e->code,
            .reason = e->reason != NULL ? e->reason : "",
            .loaded_ms = e->loaded_ms,
            .plugin = qk_plugins_descriptor(e),
            .host = e->host,
        };
        visit(arg, &info);
    }
}

const struct qk_plugin *qk_plugins_find_type(const struct qk_plugins *set, const char *type)
{
    for (size_t i = 0; i < set->n_loaded; i++) {
        const struct qk_plugin *plugin = qk_plugins_descriptor(set->in_order[i]);
        for (uint64_t k = 0; k < plugin->n_types; k++) {
            if (strcmp(plugin->types[k]->name, type) == 0)
                return plugin;
        }
    }
    return NULL;
}
