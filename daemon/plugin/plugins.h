/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * @file
 * The plugins of a silo: finding their files, checking them before any of their code can run, loading them and
 * registering their actor types with the runtime.
 *
 * All functions are for one thread at a time: the control thread's. Nothing here is called from a worker.
 */
#ifndef QK_PLUGIN_PLUGINS_H
#define QK_PLUGIN_PLUGINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <quark/abi.h>
#include "plugin/note.h"
#include "plugin/refusal.h"
#include "runtime/runtime.h"

struct qk_plugins;

struct qk_plugins_config {
    struct qk_runtime *runtime;
    const char *const *dirs; /* absolute paths, the list ends with NULL; one that is missing is no error */
    int64_t (*wall_ms)(void *arg);
    void *clock_arg;
    /* Asked before the types of a plugin are registered: 0, or a negative status with a code of base/errors/plugin.def
     * and the reason. `withdraw` follows when the runtime then does not take the types. NULL: nobody is asked. */
    int (*admit)(void *arg, const struct qk_plugin *plugin, const char **ret_code, char *text, size_t text_size);
    void (*withdraw)(void *arg);
    void *admit_arg;
    /* Of plugins that run in processes of their own; `isolates` NULL: none does. Whether the plugin of this name does;
     * has its process load the copy, which it takes over in every case: 0 with what it says it has, or QK_EINVALID with
     * the reason; has its actors be called from now on, or ends it before that. */
    bool (*isolates)(void *arg, const char *name);
    int (*host)(void *arg, int copy, size_t size, const char *file, const struct qk_note_info *note, void **ret_host,
                const struct qk_plugin **ret_plugin, struct qk_refusal *refusal);
    void (*open)(void *arg, void *host);
    void (*drop)(void *arg, void *host);
    void *host_arg;
};

enum qk_plugin_state {
    QK_PLUGIN_LOADED = 1,
    QK_PLUGIN_REFUSED = 2,
};

/* What is known of one file. The strings belong to the set and stay until it is scanned again. */
struct qk_plugin_info {
    const char *file; /* absolute path */
    enum qk_plugin_state state;
    const char *name;               /* "" when the note could not be read */
    const char *version;            /* likewise */
    const char *abi;                /* "1.0"; likewise */
    const char *code;               /* of base/errors/plugin.def; "" when loaded */
    const char *reason;             /* why it was refused, one line; "" when loaded */
    int64_t loaded_ms;              /* wall-clock */
    const struct qk_plugin *plugin; /* the descriptor in force; NULL when refused */
    void *host;                     /* of one in a process of its own; NULL */
};

/* A set without plugins that watches its directories. The strings of the configuration are copied. 0 or -errno. */
int qk_plugins_create(const struct qk_plugins_config *config, struct qk_plugins **ret_plugins);

/* After the runtime is destroyed: unloads everything. NULL is fine. */
void qk_plugins_destroy(struct qk_plugins *plugins);

/* What a scan did. */
struct qk_plugins_changes {
    uint32_t loaded;
    uint32_t refused;
};

/*
 * Looks at every file NAME.so of the directories that is new or has changed, in the order of their names, and loads it
 * or says why not; each outcome is logged once. A file that is being written is left until it is closed or moved to
 * its place. A loaded plugin whose file has changed or gone stays as it is (its file is listed with the reason).
 * 0 or -errno when a directory that exists can't be read; the others are scanned all the same.
 */
int qk_plugins_scan(struct qk_plugins *plugins, struct qk_plugins_changes *ret_changes);

/* The descriptor that becomes readable when a directory has changed; -1 when nothing can be watched. */
int qk_plugins_watch_fd(const struct qk_plugins *plugins);

/* To be called then: reads what happened; true when a scan is due. */
bool qk_plugins_take_events(struct qk_plugins *plugins);

/* Calls `visit` for every file that was looked at, ordered by path. */
void qk_plugins_visit(const struct qk_plugins *plugins, void (*visit)(void *arg, const struct qk_plugin_info *info),
                      void *arg);

/* The loaded plugin that has the actor type `type`; NULL when none has. */
const struct qk_plugin *qk_plugins_find_type(const struct qk_plugins *plugins, const char *type);

#endif
