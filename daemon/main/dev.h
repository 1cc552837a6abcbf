/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `quarkd --dev`: running as whoever calls it, in directories of their own, without a configuration. */
#ifndef QK_MAIN_DEV_H
#define QK_MAIN_DEV_H

#include <stdio.h>
#include "main/config.h"

/* Makes the directories (state, plugins, socket) and a configuration that names them. 0; -EINVAL, -EACCES or another
 * -errno, reported; -ENOMEM. */
int qk_dev_config(struct qk_report *report, struct qk_config **ret_config);

/* Goes into the directory of the state, so that what the process leaves (a core file) is found there. 0 or -errno. */
int qk_dev_enter(void);

/* Says in three lines what is where, and what to type next. */
void qk_dev_greet(FILE *to, const struct qk_config *config);

#endif
