/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue of what can go wrong and what to do about it, from the tables in base/errors/. Any thread. */
#ifndef QK_BASE_ERRORS_H
#define QK_BASE_ERRORS_H

#include <stddef.h>

/* `quarkctl explain CODE` prints an entry, and the manual lists all of them. */
struct qk_error {
    const char *code;    /* "QK0210"; the first two digits are the area */
    const char *title;   /* lower case, without a full stop: "unknown configuration key" */
    const char *explain; /* what it means and how one gets there, in sentences */
    const char *fix;     /* what to do, in sentences or commands */
};

/* NULL when there is no such code. Upper and lower case are the same. */
const struct qk_error *qk_error_find(const char *code);

/* All entries, ordered by code. */
const struct qk_error *qk_error_all(size_t *ret_count);

#endif
