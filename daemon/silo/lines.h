/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Log lines of workers on their way to the log: they wait in a bounded queue that the control thread empties, so that
 * no actor waits for the journal. */
#ifndef QK_SILO_LINES_H
#define QK_SILO_LINES_H

#include <stdint.h>
#include <quark/abi.h>
#include "loop/loop.h"

struct qk_lines;

/* Empties itself inside `control`. 0 or -ENOMEM. */
int qk_lines_create(struct qk_loop *control, struct qk_lines **ret_lines);

/* Writes what waits, then frees. On the control thread, when nobody puts lines any more. NULL is fine. */
void qk_lines_destroy(struct qk_lines *lines);

/* Puts one line: of an actor (`type` and `key`), or of the silo (`type` NULL). `code` may be NULL, request_id 0. When
 * too much waits the line is dropped and counted. Any thread, also on a fiber. */
void qk_lines_put(struct qk_lines *lines, enum qk_log_level level, const char *code, const char *type, const char *key,
                  uint64_t request_id, const char *text);

#endif
