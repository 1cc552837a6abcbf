/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening plugin files: who may have written them, and a private copy that nobody can change any more. */
#ifndef QK_PLUGIN_FILE_H
#define QK_PLUGIN_FILE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include "plugin/refusal.h"

/* What tells one state of a file from another without reading it. */
struct qk_file_stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    mode_t mode;
    uid_t uid;
    struct timespec modified;
    struct timespec changed;
};

void qk_file_stamp(const struct stat *st, struct qk_file_stamp *ret_stamp);
bool qk_file_same_stamp(const struct qk_file_stamp *a, const struct qk_file_stamp *b);

/* Whether the file or directory belongs to root or `user` and nobody else may write to it: 0, or QK_EINVALID with the
 * reason and the command that mends it. */
int qk_file_check_trust(const struct stat *st, const char *path, uid_t user, struct qk_refusal *refusal);

/*
 * Opens the file `name` of the directory without following a link, checks its kind, size and trust, and copies it into
 * memory that is sealed against every change. `path` is for messages. 0 with a descriptor of the copy, which becomes
 * the caller's, and its size; or QK_EINVALID with the reason.
 */
int qk_file_copy(int dir_fd, const char *name, const char *path, uid_t user, int *ret_copy, size_t *ret_size,
                 struct qk_refusal *refusal);

/* The copy's bytes in memory, read only, until munmap(); NULL with the reason. */
const void *qk_file_map(int copy, size_t size, struct qk_refusal *refusal);

#endif
