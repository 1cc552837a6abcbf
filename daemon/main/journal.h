/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where log lines go: to the journal with their fields, to a terminal with time and color, or to standard error as it
 * is. */
#ifndef QK_MAIN_JOURNAL_H
#define QK_MAIN_JOURNAL_H

#include <stdbool.h>

/* Looks at what standard error is and chooses. Once, before other threads start. */
void qk_journal_open(void);

/* Whether standard error is the journal. */
bool qk_journal_is_open(void);

#endif
