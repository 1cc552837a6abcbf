/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a connection: the socket, the greeting, and what to tell the user when it fails.
 *
 * An attempt that failed is not repeated before a time that doubles with each failure, so that a program which calls in
 * a loop does not hammer a silo that is starting.
 */
#include "internal.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#define WHERE_TO_LOOK "`systemctl status quarkd` and `journalctl -u quarkd` say more"

static void user_name(uid_t uid, char *ret_name, size_t size)
{
    struct passwd entry, *found = NULL;
    char buffer[4096];
    if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found != NULL)
        snprintf(ret_name, size, "%s", found->pw_name);
    else
        snprintf(ret_name, size, "#%u", (unsigned)uid);
}

static void group_name(gid_t gid, char *ret_name, size_t size)
{
    struct group entry, *found = NULL;
    char buffer[4096];
    if (getgrgid_r(gid, &entry, buffer, sizeof(buffer), &found) == 0 && found != NULL)
        snprintf(ret_name, size, "%s", found->gr_name);
    else
        snprintf(ret_name, size, "#%u", (unsigned)gid);
}

/* The socket, or the directory around it, is closed to this user: which group opens it? */
static int refuse_permission(struct qk_client *client)
{
    const char *path = client->socket_path;
    char user[64], group[64], parent[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    user_name(geteuid(), user, sizeof(user));
    struct stat st;
    const char *what = path;
    if (stat(path, &st) != 0) {
        snprintf(parent, sizeof(parent), "%s", path);
        char *slash = strrchr(parent, '/');
        if (slash != NULL)
            *slash = '\0';
        what = parent;
        if (slash == NULL || stat(parent, &st) != 0)
            return qk_client_refuse(client, -EACCES, "user %s may not reach %s; ask whoever administers the silo", user,
                                    path);
    }
    group_name(st.st_gid, group, sizeof(group));
    return qk_client_refuse(client, -EACCES,
                            "user %s may not use %s, which belongs to group %s: `sudo usermod -aG %s %s`, then log in "
                            "again",
                            user, what, group, group, user);
}

/* The kernel refused: why, and what can be done. */
static int refuse_connect(struct qk_client *client, int error)
{
    const char *path = client->socket_path;
    struct stat st;
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return qk_client_refuse(client, -error,
                                "no silo listens at %s: there is no such socket. Is quarkd running? `systemctl start "
                                "quarkd`, or `quarkd --dev` and QUARK_SOCKET set to the path that it prints",
                                path);
    case ECONNREFUSED:
        if (stat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
            return qk_client_refuse(client, -error, "%s is not a socket: name the silo's, by QUARK_SOCKET for example",
                                    path);
        return qk_client_refuse(client, -error, "nobody listens at %s any more: the silo stopped or died; %s", path,
                                WHERE_TO_LOOK);
    case EACCES:
    case EPERM:
        return refuse_permission(client);
    case EPROTOTYPE:
        return qk_client_refuse(client, -error, "%s is a socket of another kind, not a silo's", path);
    case EAGAIN:
        return qk_client_refuse(
            client, QK_ETIMEDOUT,
            "the silo at %s did not accept a connection within %u ms: it is overloaded or hangs; %s", path,
            client->options.connect_timeout_ms, WHERE_TO_LOOK);
    default:
        return qk_client_refuse(client, -error, "can't connect to %s: %s", path, strerror(error));
    }
}

static int open_socket(struct qk_client *client, int64_t deadline_ms)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(client->socket_path) >= sizeof(address.sun_path))
        return qk_client_refuse(client, -ENAMETOOLONG,
                                "the path of a socket has at most %zu bytes, this one has %zu: %s",
                                sizeof(address.sun_path) - 1, strlen(client->socket_path), client->socket_path);
    strcpy(address.sun_path, client->socket_path);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        return qk_client_refuse(client, -errno, "can't make a socket: %s", strerror(errno));
    for (;;) {
        /* Blocking: connect() waits for a place in the silo's backlog, which poll() can't. */
        int64_t left = deadline_ms - client->now_ms(client->now_arg);
        if (left <= 0)
            return refuse_connect(client, EAGAIN);
        struct timeval limit = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
        if (setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0)
            return qk_client_refuse(client, -errno, "can't bound the time to connect: %s", strerror(errno));
        if (connect(client->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
            return 0;
        if (errno != EINTR)
            return refuse_connect(client, errno);
    }
}

static int on_welcome(struct qk_client *client, const struct qk_incoming *in)
{
    if (in->major != QK_PROTOCOL_MAJOR)
        return qk_client_refuse(client, QK_EVERSION,
                                "the silo at %s speaks version %u.%u of the protocol, this program %d.%d: update the "
                                "older of the two",
                                client->socket_path, in->major, in->minor, QK_PROTOCOL_MAJOR, QK_PROTOCOL_MINOR);
    qk_client_keep_text(client->silo, sizeof(client->silo), in->text, in->text_len);
    client->payload_max = in->payload_max != 0 && in->payload_max < QK_PAYLOAD_MAX ? in->payload_max : QK_PAYLOAD_MAX;
    client->in_flight_max = client->options.in_flight_max;
    if (in->in_flight_max != 0 && in->in_flight_max < client->in_flight_max)
        client->in_flight_max = in->in_flight_max;
    return 0;
}

static int on_go_away(struct qk_client *client, const struct qk_incoming *in)
{
    if (in->status >= 0)
        return qk_client_refuse(client, QK_EPROTOCOL, "the silo at %s refused the connection without an error",
                                client->socket_path);
    const char *advice = in->status == QK_EVERSION ? ": update the older of silo and program" : "";
    return qk_client_refuse(client, in->status, "the silo at %s refused the connection: %.*s%s", client->socket_path,
                            in->text_len != 0 ? (int)in->text_len : (int)strlen(qk_status_text(in->status)),
                            in->text_len != 0 ? in->text : qk_status_text(in->status), advice);
}

/* The silo's answer to the Hello. */
static int greet(struct qk_client *client, int64_t deadline_ms)
{
    for (;;) {
        struct qk_incoming in;
        const uint8_t *payload;
        size_t size;
        int rc = qk_conn_next(client, &in, &payload, &size);
        if (rc < 0)
            return rc;
        if (rc > 0 && in.kind == QK_INCOMING_WELCOME)
            return on_welcome(client, &in);
        if (rc > 0 && in.kind == QK_INCOMING_GO_AWAY)
            return on_go_away(client, &in);
        if (rc > 0)
            return qk_client_refuse(client, QK_EPROTOCOL, "the silo at %s replied before it was asked",
                                    client->socket_path);
        int64_t left = deadline_ms - client->now_ms(client->now_arg);
        qk_conn_flush(client);
        int ready = left > 0 ? qk_conn_wait(client, left) : 0;
        if (ready == 0)
            return qk_client_refuse(client, QK_ETIMEDOUT, "the silo at %s did not answer within %u ms: it hangs; %s",
                                    client->socket_path, client->options.connect_timeout_ms, WHERE_TO_LOOK);
        if (ready < 0 && ready != -EINTR)
            return qk_client_refuse(client, ready, "can't wait for the silo: %s", strerror(-ready));
        int64_t n = ready > 0 ? qk_conn_read(client) : 0;
        if (n == QK_EDISCONNECTED)
            return qk_client_refuse(client, QK_EDISCONNECTED,
                                    "the silo at %s closed the connection without a word: it stops or has died; %s",
                                    client->socket_path, WHERE_TO_LOOK);
        if (n < 0)
            return (int)n;
    }
}

static int attempt(struct qk_client *client, int64_t now)
{
    int64_t deadline = now + client->options.connect_timeout_ms;
    int rc = open_socket(client, deadline);
    if (rc < 0)
        return rc;
    client->queued = client->written = 0;
    client->in_flight_max = client->options.in_flight_max;
    rc = qk_buffer_reserve(&client->out, QK_CODEC_HEAD_MAX);
    if (rc < 0)
        return qk_client_refuse(client, rc, "no memory to connect");
    size_t n = qk_codec_hello(client->out.bytes + client->out.end, client->name);
    client->out.end += n;
    client->queued += n;
    return greet(client, deadline);
}

/* Half to one and a half times the back-off, so that clients of a silo that restarts don't come all at once. */
static int64_t spread(struct qk_client *client)
{
    client->jitter = client->jitter * 6364136223846793005ull + 1442695040888963407ull;
    return client->back_off_ms / 2 + (int64_t)((client->jitter >> 33) % client->back_off_ms);
}

int qk_connect(struct qk_client *client, bool now)
{
    int64_t at = client->now_ms(client->now_arg);
    if (!now && client->back_off_ms != 0 && at < client->retry_ms)
        return qk_client_refuse(client, client->failed_status,
                                "%s (tried %" PRId64 " ms ago; the next attempt is in %" PRId64 " ms)",
                                client->failed_text, at - client->failed_ms, client->retry_ms - at);
    int rc = attempt(client, at);
    if (rc >= 0) {
        client->back_off_ms = 0;
        client->active_ms = at;
        return 0;
    }
    qk_conn_close(client);
    client->failed_ms = client->now_ms(client->now_arg);
    client->back_off_ms = client->back_off_ms == 0                           ? QK_CLIENT_BACK_OFF_MS
                          : client->back_off_ms * 2 < QK_CLIENT_BACK_OFF_MAX ? client->back_off_ms * 2
                                                                             : QK_CLIENT_BACK_OFF_MAX;
    client->retry_ms = client->failed_ms + spread(client);
    client->failed_status = rc;
    qk_client_keep_text(client->failed_text, sizeof(client->failed_text), client->error, strlen(client->error));
    return rc;
}
