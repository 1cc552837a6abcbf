/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known of the plugin files before and after a reload, so that the answer can say what it did. The control
 * thread only. */
#ifndef QK_MAIN_OUTCOME_H
#define QK_MAIN_OUTCOME_H

#include <stddef.h>
#include "silo/silo.h"

/* Lines of text; all zero: none. Without memory some are missing. */
struct qk_names {
    char **names;
    size_t n;
};

void qk_names_finish(struct qk_names *names);

/* How each file fared, one line for each. */
struct qk_names qk_outcome_read(struct qk_silo *silo);

/* The plugins that are loaded now and were not, and the files that are refused now for a reason that is new. */
void qk_outcome_compare(struct qk_silo *silo, const struct qk_names *before, struct qk_names *ret_loaded,
                        struct qk_names *ret_refused);

#endif
