/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a configuration means on this machine: users and groups by number, and whether the places that it names are as
 * they must be. One thread at a time. */
#ifndef QK_MAIN_WORLD_H
#define QK_MAIN_WORLD_H

#include <sys/types.h>
#include "main/config.h"

/* Who may call. */
struct qk_accounts {
    gid_t socket_gid; /* of the socket; (gid_t)-1: the daemon's own */
    uid_t *uids;
    size_t n_uids;
    gid_t *gids;
    size_t n_gids;
};

/* 0; -EINVAL when a name is not known here (reported); -ENOMEM. */
int qk_accounts_resolve(const struct qk_config *config, struct qk_report *report, struct qk_accounts *ret_accounts);
void qk_accounts_finish(struct qk_accounts *accounts);

/* Warns of plugin directories that are missing. */
void qk_world_check_dirs(const struct qk_config *config, struct qk_report *report);

/* What only --check looks at, since the daemon says it anyway once it runs: the directory of the socket, who may write
 * to the plugin directories, and whether the files there are plugins. */
void qk_world_check(const struct qk_config *config, struct qk_report *report);

#endif
