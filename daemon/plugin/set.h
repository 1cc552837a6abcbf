/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The set of plugin files, shared by plugins.c (the front door) and scan.c (what a scan does). */
#ifndef QK_PLUGIN_SET_H
#define QK_PLUGIN_SET_H

#include "plugin/dirwatch.h"
#include "plugin/file.h"
#include "plugin/load.h"
#include "plugin/plugins.h"

/* One file that was looked at. */
struct qk_plugin_entry {
    char *path;
    enum qk_plugin_state state;
    struct qk_note_info note;
    char abi[16];
    const char *code;
    char *reason; /* NULL: none */
    int64_t loaded_ms;
    struct qk_loaded loaded;
    void *host;                     /* of a plugin in a process of its own, */
    const struct qk_plugin *hosted; /* which says that it has this; NULL */
    int kept;                       /* its file's bytes; -1: none */
    size_t kept_size;
    struct qk_file_stamp stamp;     /* as it was when it was last looked at */
    struct qk_file_stamp dir_stamp; /* likewise of its directory: only owner and mode count */
    bool seen;                      /* by the scan that runs */
};

struct qk_plugins {
    struct qk_runtime *runtime;
    int64_t (*wall_ms)(void *arg);
    void *clock_arg;
    int (*admit)(void *arg, const struct qk_plugin *plugin, const char **ret_code, char *text, size_t text_size);
    void (*withdraw)(void *arg);
    void *admit_arg;
    struct qk_plugins_config hosts; /* its last members only */
    struct qk_dirwatch *watch;      /* NULL: changes can't be watched */
    uid_t user;                     /* whose files are trusted besides root's */
    unsigned n_dirs;
    char **dirs;
    struct qk_plugin_entry **entries; /* ordered by path */
    size_t n_entries;
    size_t entries_room;
    struct qk_plugin_entry **in_order; /* of loading; unloading goes the other way */
    size_t n_loaded;
    bool told_unwatched; /* each complaint once, not at every scan */
    bool told_too_many;
};

/* What a plugin that is loaded has, wherever it runs; NULL. */
static inline const struct qk_plugin *qk_plugins_descriptor(const struct qk_plugin_entry *entry)
{
    return entry->hosted != NULL ? entry->hosted : entry->loaded.plugin;
}

/* The entry of that path; NULL when there is none. */
struct qk_plugin_entry *qk_plugins_find_entry(const struct qk_plugins *set, const char *path);

/* A new entry in its place; NULL without memory. */
struct qk_plugin_entry *qk_plugins_add_entry(struct qk_plugins *set, const char *path);

/* Removes the entry at `index`, which is not loaded. */
void qk_plugins_remove_entry(struct qk_plugins *set, size_t index);

#endif
