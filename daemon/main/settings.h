/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the command line and the files to what the silo is given; the same way at the start and at a reload. The control
 * thread only. */
#ifndef QK_MAIN_SETTINGS_H
#define QK_MAIN_SETTINGS_H

#include "main/config.h"
#include "main/options.h"
#include "main/world.h"
#include "silo/silo.h"

struct qk_settings {
    struct qk_config *config;
    struct qk_accounts accounts;
    const char **files; /* that were read; ends with NULL */
    char name[65];
    char host_program[4096];
    struct qk_silo_config silo; /* points into what is above */
};

/* Reads everything, checks it, and looks at the machine. 0; -EINVAL, -ENOENT, -EACCES, -ENOMEM and the like, reported.
 */
int qk_settings_read(const struct qk_options *options, struct qk_report *report, struct qk_settings *ret_settings);

/* Reads without looking at the machine. As qk_settings_read(). */
int qk_settings_read_config(const struct qk_options *options, struct qk_report *report, struct qk_config **ret_config);

void qk_settings_finish(struct qk_settings *settings);

/*
 * Makes `fresh` what holds after a reload: where keys differ that need a restart it gets the value of `running`, which
 * gets the other and is to be finished after. `ret_changed` and `ret_restart` say of each key whether it now has
 * another value, and whether it would.
 */
void qk_settings_merge(struct qk_settings *running, struct qk_settings *fresh, bool ret_changed[QK_KEYS],
                       bool ret_restart[QK_KEYS]);

#endif
