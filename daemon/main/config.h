/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * @file
 * The configuration: a value for every key of the table, with the place where it was set.
 *
 * quarkd.conf is read first, then the files NAME.conf of the directory conf.d beside it, in the order of their names;
 * a later file wins. A configuration either has no mistake at all or is not used. One thread at a time.
 */
#ifndef QK_MAIN_CONFIG_H
#define QK_MAIN_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "main/keys.h"
#include "main/report.h"
#include "main/scan.h"

struct qk_value {
    int64_t number; /* of an integer, boolean, duration, size, mode or level */
    char *text;     /* of a name or path */
    char **list;    /* of a list; ends with NULL */
    size_t n_list;
    char *file;             /* where it was set; NULL: it is the default */
    struct qk_mark where;   /* of the value */
    struct qk_mark *places; /* of the elements of a list */
};

/* A file that was read. */
struct qk_source {
    char *path;
    char *text;
    size_t size;
};

struct qk_config {
    struct qk_value values[QK_KEYS];
    struct qk_source *sources; /* in the order in which they were read */
    size_t n_sources;
};

/* Every key has its default. 0 or -ENOMEM. */
int qk_config_create(struct qk_config **ret_config);

/* Reads `path` and what is in conf.d beside it. 0; -EINVAL when there were mistakes, all of them reported; -ENOENT,
 * -EACCES or another -errno when a file can't be read, reported too; -ENOMEM. */
int qk_config_load(const char *path, struct qk_report *report, struct qk_config **ret_config);

/* Reads one text into `config`; takes over `text`, which was made with malloc, in every case. Opens no file. 0, -EINVAL
 * with its mistakes reported, -ENOMEM. */
int qk_config_read_text(struct qk_config *config, const char *path, char *text, size_t size, struct qk_report *report);

/* NULL is fine. */
void qk_config_destroy(struct qk_config *config);

/* Fills in the place of a value, with the window when its file was read: `element` of a list, or -1 for all of it. */
void qk_config_place(const struct qk_config *config, enum qk_key_id id, int element, struct qk_diag *diag);

bool qk_value_equal(const struct qk_value *a, const struct qk_value *b);
void qk_value_finish(struct qk_value *value);

/* As a file would write it. */
void qk_value_write(FILE *to, enum qk_key_type type, const struct qk_value *value);

/* The same as a string made with malloc; NULL without memory. */
char *qk_value_string(enum qk_key_type type, const struct qk_value *value);

/* Every value with its origin. */
void qk_config_show(FILE *to, const struct qk_config *config);

/* The names of log levels, ending with NULL, and the level of each. */
extern const char *const qk_level_names[];

/* Of isolation, by their numbers: where plugins run. */
extern const char *const qk_isolation_names[];
int qk_level_value(const char *name); /* -1: no such level */

#endif
