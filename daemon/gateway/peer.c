/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who is at the other end of a connection, as the kernel saw it when it connected, and whether they may call. */
#include "gateway/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <quark/status.h>

#define GROUPS_FEW 64
#define GROUPS_MAX 65536 /* the kernel's bound of supplementary groups */

static bool has_gid(const struct qk_gateway *gw, gid_t gid)
{
    for (size_t i = 0; i < gw->n_gids; i++) {
        if (gw->gids[i] == gid)
            return true;
    }
    return false;
}

static bool has_uid(const struct qk_gateway *gw, uid_t uid)
{
    for (size_t i = 0; i < gw->n_uids; i++) {
        if (gw->uids[i] == uid)
            return true;
    }
    return false;
}

/* Whether one of the peer's supplementary groups is allowed. */
static bool has_group(const struct qk_gateway *gw, int fd)
{
    gid_t few[GROUPS_FEW];
    gid_t *groups = few;
    socklen_t size = sizeof(few);
    int rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size);
    if (rc < 0 && errno == ERANGE && size <= GROUPS_MAX * sizeof(gid_t)) {
        groups = malloc(size);
        if (groups == NULL)
            return false;
        rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size);
    }
    bool found = false;
    for (size_t i = 0; rc == 0 && !found && i < size / sizeof(gid_t); i++)
        found = has_gid(gw, groups[i]);
    if (groups != few)
        free(groups);
    return found;
}

int qk_peer_check(struct qk_gateway *gw, int fd, uid_t *ret_uid, pid_t *ret_pid)
{
    struct ucred cred;
    socklen_t size = sizeof(cred);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
        return -errno;
    *ret_uid = cred.uid;
    *ret_pid = cred.pid;
    if (!gw->config.listed_only && (cred.uid == 0 || cred.uid == geteuid()))
        return 0;
    pthread_mutex_lock(&gw->access_lock);
    bool allowed = has_uid(gw, cred.uid) || has_gid(gw, cred.gid) || (gw->n_gids != 0 && has_group(gw, fd));
    pthread_mutex_unlock(&gw->access_lock);
    return allowed ? 0 : QK_EDENIED;
}
