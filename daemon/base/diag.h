/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a mistake in something that a person wrote (a configuration, a .proto file, a JSON text, a command line) is
 * shown: what, where with the line itself, why, and what to type. Any thread.
 *
 *   error[QK0210]: unknown key `isolaton`
 *     --> /etc/quark/conf.d/counter.conf:3:1
 *      |
 *    3 | isolaton = "none"
 *      | ^^^^^^^^ did you mean `isolation`?
 *      = help: `quarkctl config keys` lists what may stand here
 */
#ifndef QK_BASE_DIAG_H
#define QK_BASE_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct qk_diag {
    bool warning;        /* else an error */
    const char *code;    /* of the catalogue, or NULL */
    const char *message; /* lower case, without a full stop */
    const char *file;    /* NULL: no place is shown */
    int line;            /* from 1; 0: not known */
    int column;          /* from 1, in bytes; 0: not known, no marks */
    int width;           /* bytes to mark; 0 is 1 */
    const char *source;  /* the whole text of the file, for the window; NULL: no window */
    size_t source_size;
    const char *label; /* beside the marks; NULL: none */
    const char *help;  /* NULL: none. Lines after a newline are indented below the first */
};

/* Writes it, with a newline at the end; `color`: with escape sequences. */
void qk_diag_write(FILE *to, const struct qk_diag *diag, bool color);

/* Whether `to` is a terminal whose user has not asked for no colors (NO_COLOR, TERM=dumb). */
bool qk_diag_wants_color(FILE *to);

/* The word of `words` (the list ends with NULL) that someone who typed `word` may have meant: within a third of its
 * length in edits (insertion, deletion, change, swap of neighbours). NULL when none is near.
 * Source: R. Lowrance, R. A. Wagner, "An Extension of the String-to-String Correction Problem", JACM 1975. */
const char *qk_suggest(const char *word, const char *const *words);

#endif
