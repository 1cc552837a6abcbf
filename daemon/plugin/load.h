/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Brings one checked file into the process and takes its types into the runtime. The control thread only. */
#ifndef QK_PLUGIN_LOAD_H
#define QK_PLUGIN_LOAD_H

#include <sys/types.h>
#include <quark/abi.h>
#include "plugin/note.h"
#include "plugin/refusal.h"

struct qk_runtime;
struct link_map;

/* A plugin in the process. All zero but the descriptors of files, which are -1, when nothing is loaded. */
struct qk_loaded {
    void *handle;             /* of dlopen() */
    int copy;                 /* the sealed copy that it runs from; open as long as it is loaded */
    size_t size;              /* bytes of the copy */
    struct link_map *map;     /* the loader's note of it */
    char *loaders_name;       /* which stood in the note */
    struct qk_plugin *plugin; /* in our own layout, with its types; on the heap */
};

/* Links the copy into the process: from here on its constructors have run. `path` is the file that the copy was made
 * of: what debuggers and backtraces show. Takes the copy over in every case, since an object that was refused may stay
 * in the process. 0, or QK_EINVALID with the reason. */
int qk_load(int copy, size_t size, const char *path, const struct qk_note_info *note, struct qk_loaded *ret_loaded,
            struct qk_refusal *refusal);

/* The file that is being linked into the process right now, or NULL: whose constructors run. For a signal handler. */
const char *qk_load_running(void);

/* Registers its types. 0, or QK_EINVALID with the reason. After success it stays until the runtime is destroyed. */
int qk_load_register(const struct qk_loaded *loaded, struct qk_runtime *rt, struct qk_refusal *refusal);

/* Takes it out of the process and closes the copy. What was never loaded is fine. */
void qk_unload(struct qk_loaded *loaded);

#endif
