/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Notices what changes in a few directories, also in ones that do not exist yet. One thread at a time. */
#ifndef QK_PLUGIN_DIRWATCH_H
#define QK_PLUGIN_DIRWATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct qk_dirwatch;

/* For `n_dirs` directories, none watched yet. 0, -ENOMEM, -EMFILE and what inotify_init1() fails with. */
int qk_dirwatch_create(unsigned n_dirs, struct qk_dirwatch **ret_watch);

/* NULL is fine. */
void qk_dirwatch_destroy(struct qk_dirwatch *watch);

/* Readable when something has happened. */
int qk_dirwatch_fd(const struct qk_dirwatch *watch);

/* Watches the open directory under the number `index` in place of what was watched there. 0 or -errno: -ENOSPC when the
 * user's watches are used up. */
int qk_dirwatch_arm(struct qk_dirwatch *watch, unsigned index, int dir_fd);

/* The directory `path` is not there: watches the nearest one above it for the step that is missing. 0, or 1 when that
 * step appeared meanwhile, or -errno. */
int qk_dirwatch_await(struct qk_dirwatch *watch, unsigned index, const char *path);

/* Reads what happened; true when something did that a look at the directories should follow. */
bool qk_dirwatch_take(struct qk_dirwatch *watch);

/* Whether the file `name`, now of that size, is being written: it was changed, or made and is still empty, and nobody
 * has closed it since. */
bool qk_dirwatch_is_written(const struct qk_dirwatch *watch, unsigned index, const char *name, off_t size);

/* Whether a file of that name is looked at: NAME.so, not hidden, without control characters. */
bool qk_dirwatch_wants(const char *name);

#endif
