/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The listening socket: made, found left over, handed over, and removed. */
#include "gateway/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <quark/status.h>

struct reason {
    const char **code;
    char *text;
    size_t size;
};

static int fail(struct reason *reason, int rc, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int fail(struct reason *reason, int rc, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reason->text, reason->size, format, args);
    va_end(args);
    *reason->code = code;
    return rc;
}

static int fail_for_errno(struct reason *reason, int error, const char *what, const char *path)
{
    const char *code = "QK0606";
    if (error == ENOENT || error == ENOTDIR)
        code = "QK0603";
    else if (error == EACCES || error == EPERM || error == EROFS)
        code = "QK0604";
    return fail(reason, -error, code, "%s %s: %s", what, path, strerror(error));
}

/* Clears a socket that nobody listens on out of the way. */
static int remove_stale(const struct sockaddr_un *address, struct reason *reason)
{
    const char *path = address->sun_path;
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : fail_for_errno(reason, errno, "can't look at", path);
    if (!S_ISSOCK(st.st_mode))
        return fail(reason, -EEXIST, "QK0605", "%s exists and is no socket", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail_for_errno(reason, errno, "can't make a socket for", path);
    int error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
    struct ucred listener = {0};
    socklen_t size = sizeof(listener);
    if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &size) < 0)
        listener.pid = 0;
    close(fd);
    if (error == EACCES)
        return fail_for_errno(reason, error, "can't tell whether somebody listens on", path);
    if (listener.pid > 0)
        return fail(reason, -EADDRINUSE, "QK0601", "process %d listens on %s already", (int)listener.pid, path);
    if (error != ECONNREFUSED && error != ENOENT)
        return fail(reason, -EADDRINUSE, "QK0601", "another process listens on %s", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return fail_for_errno(reason, errno, "can't remove the socket that was left over at", path);
    return 0;
}

static int bind_to(int fd, const struct sockaddr_un *address, struct reason *reason)
{
    const char *path = address->sun_path;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
            return 0;
        if (errno != EADDRINUSE)
            return fail_for_errno(reason, errno, "can't make the socket", path);
        int rc = remove_stale(address, reason);
        if (rc < 0)
            return rc;
    }
    return fail(reason, -EADDRINUSE, "QK0601", "another process keeps taking %s", path);
}

/* Sets who may open the file before anyone can connect, and remembers which file it is. */
static int prepare_file(struct qk_gateway *gw, const char *path, struct reason *reason)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return fail_for_errno(reason, errno, "can't look at", path);
    gw->path_dev = st.st_dev;
    gw->path_ino = st.st_ino;
    if (gw->config.socket_gid != (gid_t)-1 && chown(path, (uid_t)-1, gw->config.socket_gid) < 0) {
        return fail(reason, -errno, "QK0604", "can't give %s to the group %u: %s", path,
                    (unsigned)gw->config.socket_gid, strerror(errno));
    }
    if (chmod(path, gw->config.socket_mode & 0777) < 0)
        return fail_for_errno(reason, errno, "can't set the mode of", path);
    return 0;
}

static int make_socket(struct qk_gateway *gw, struct reason *reason)
{
    const char *path = gw->config.socket_path;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(address.sun_path)) {
        return fail(reason, -ENAMETOOLONG, "QK0602", "the socket path has %zu bytes, and may have 1 to %zu: %s", len,
                    sizeof(address.sun_path) - 1, path);
    }
    memcpy(address.sun_path, path, len);
    gw->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (gw->listen_fd < 0)
        return fail_for_errno(reason, errno, "can't make a socket for", path);
    int rc = bind_to(gw->listen_fd, &address, reason);
    if (rc < 0)
        return rc;
    gw->path = strdup(path); /* from here on it is ours to remove */
    if (gw->path == NULL) {
        unlink(path);
        return fail(reason, -ENOMEM, "QK0607", "out of memory");
    }
    rc = prepare_file(gw, path, reason);
    if (rc == 0 && listen(gw->listen_fd, SOMAXCONN) < 0)
        rc = fail_for_errno(reason, errno, "can't listen on", path);
    return rc;
}

static int int_option(int fd, int option)
{
    int value = 0;
    socklen_t size = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

/* A socket that the service manager made. */
static int take_socket(struct qk_gateway *gw, struct reason *reason)
{
    int fd = gw->config.socket_fd;
    if (int_option(fd, SO_DOMAIN) != AF_UNIX || int_option(fd, SO_TYPE) != SOCK_STREAM ||
        int_option(fd, SO_ACCEPTCONN) != 1)
        return fail(reason, QK_EINVALID, "QK0606", "descriptor %d is no listening Unix stream socket", fd);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return fail(reason, -errno, "QK0606", "descriptor %d can't be set up: %s", fd, strerror(errno));
    gw->listen_fd = fd;
    return 0;
}

int qk_listen_open(struct qk_gateway *gw, const char **ret_code, char *ret_text, size_t text_size)
{
    struct reason reason = {ret_code, ret_text, text_size};
    return gw->config.socket_fd >= 0 ? take_socket(gw, &reason) : make_socket(gw, &reason);
}

void qk_listen_close(struct qk_gateway *gw)
{
    struct stat st;
    if (gw->path != NULL && lstat(gw->path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_dev == gw->path_dev &&
        st.st_ino == gw->path_ino)
        unlink(gw->path);
    free(gw->path);
    gw->path = NULL;
    if (gw->listen_fd >= 0)
        close(gw->listen_fd);
    gw->listen_fd = -1;
}
