/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A set of plugins over a directory of the test's own, with a runtime that the test drives. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stdbool.h>
#include <sys/types.h>
#include "plugin/plugins.h"

#define FIXTURE_PATH_MAX 512

struct fixture {
    char dir[64]; /* what mkdtemp() made; its owner and mode are right */
    struct qk_runtime *rt;
    struct qk_plugins *set;
};

/* Makes the directory, the runtime, and the set over `dirs` (names below the directory, "" for itself; NULL ends). */
void fixture_init(struct fixture *f, const char *const *dirs);
void fixture_finish(struct fixture *f);

/* Path of `name` in the directory; good until the eighth next call. */
const char *fixture_path(const struct fixture *f, const char *name);

/* Copies the plugin that the build made of plug.c under the name `variant` to the directory as `name`, as a whole: it
 * is written elsewhere and moved. */
void fixture_put(const struct fixture *f, const char *variant, const char *name);

/* Writes bytes to a file of the directory, in place. */
void fixture_write(const struct fixture *f, const char *name, const void *bytes, size_t size);

/* Reads the built plugin `variant`; the caller frees. */
uint8_t *fixture_read(const char *variant, size_t *ret_size);

/* Scans, and fails the test unless so many files were loaded and refused. */
void fixture_scan(struct fixture *f, unsigned loaded, unsigned refused);

/* What is known of the file `name`: copied, the strings are the set's. False when it is not listed. */
bool fixture_find(const struct fixture *f, const char *name, struct qk_plugin_info *ret_info);

/* Fails the test unless the file is listed as refused with that code and a reason that has `words` in it. */
void fixture_expect_refused(const struct fixture *f, const char *name, const char *code, const char *words);

/* Waits for events and takes them; false when none comes within ten seconds. */
bool fixture_await_events(struct fixture *f);

/* The clock of the set: 1234567. */
int64_t fixture_wall_ms(void *arg);

/* How many lines with that code were logged since the last call; NULL: without a code. */
unsigned fixture_logged(const char *code);

#endif
