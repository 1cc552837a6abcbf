/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The connection to the silo: which socket, asking administrative questions, and what to tell when it fails. */
#include "ctl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/limits.h"
#include "base/status.h"
#include "wire/check.h"

void qk_put_clean(FILE *to, const char *text)
{
    for (; *text != '\0'; text++)
        fputc((unsigned char)*text < 32 || *text == 127 ? '?' : *text, to);
}

/* Names and texts of actors must not move the reader's cursor. */
static void clean(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 32 || *text == 127)
            *text = ' ';
    }
}

int qk_ctl_fail(struct qk_ctl *ctl, int exit_code, const char *code, const char *note, const char *help,
                const char *format, ...)
{
    char message[QK_ERROR_TEXT_MAX + 256], label[QK_ERROR_TEXT_MAX + 256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    snprintf(label, sizeof(label), "%s", note != NULL ? note : "");
    clean(message);
    clean(label);
    struct qk_diag diag = {.code = code, .message = message, .label = note != NULL ? label : NULL, .help = help};
    qk_diag_write(ctl->err, &diag, ctl->color);
    return exit_code;
}

static bool try_socket(struct qk_ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool try_socket(struct qk_ctl *ctl, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(ctl->socket, sizeof(ctl->socket), format, args);
    va_end(args);
    return n > 0 && (size_t)n < sizeof(ctl->socket) && access(ctl->socket, F_OK) == 0;
}

void qk_session_choose_socket(struct qk_ctl *ctl)
{
    const char *given = ctl->args.options[QK_OPT_SOCKET];
    const char *variable = getenv("QUARK_SOCKET");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (given == NULL && variable != NULL && *variable != '\0')
        given = variable;
    if (given != NULL) {
        (void)try_socket(ctl, "%s", given);
        return;
    }
    if (try_socket(ctl, "%s", QK_SOCKET_PATH))
        return;
    /* Where `quarkd --dev` puts it, by the same rule. */
    bool has_runtime = runtime != NULL && *runtime != '\0';
    if (has_runtime ? try_socket(ctl, "%s/quark/quarkd.sock", runtime)
                    : try_socket(ctl, "/tmp/quark-%u/quarkd.sock", (unsigned)getuid()))
        return;
    (void)try_socket(ctl, "%s", QK_SOCKET_PATH);
}

static const char *own_hint(const struct qk_ctl *ctl)
{
    const char *variable = getenv("QUARK_SOCKET");
    return ctl->args.options[QK_OPT_SOCKET] != NULL || (variable != NULL && *variable != '\0')
               ? "see that a silo listens there: `quarkd --dev` prints its socket, `systemctl status quarkd` tells of "
                 "the system's"
               : "start one with `systemctl start quarkd`, or in the foreground with `quarkd --dev`;\n"
                 "a silo elsewhere is named with --socket PATH or $QUARK_SOCKET";
}

int qk_exit_of(int status)
{
    switch (status) {
    case QK_ETIMEDOUT:
        return QK_EXIT_TIMEOUT;
    case QK_EOVERLOADED:
    case QK_ENOMEMORY:
        return QK_EXIT_OVERLOADED;
    case QK_ENOTFOUND:
        return QK_EXIT_NOT_FOUND;
    case QK_EDENIED:
    case -EACCES:
    case -EPERM:
        return QK_EXIT_DENIED;
    case QK_EUNAVAILABLE:
    case QK_EDISCONNECTED:
    case QK_EVERSION:
    case -ENOENT:
    case -ECONNREFUSED:
    case -ECONNRESET:
    case -EPIPE:
    case -ETIMEDOUT:
    case -EAGAIN:
    case -ENOTSOCK:
        return QK_EXIT_UNREACHABLE;
    default:
        return status >= 0 ? QK_EXIT_OK : QK_EXIT_FAILED;
    }
}

const char *qk_part_of(int status)
{
    switch (status) {
    case QK_EDISCONNECTED:
    case QK_EPROTOCOL:
    case QK_EVERSION:
    case QK_ECANCELLED:
        return "client";
    case QK_ETIMEDOUT:
    case QK_EOVERLOADED:
    case QK_ENOTFOUND:
    case QK_EUNAVAILABLE:
    case QK_ETOOBIG:
    case QK_EDENIED:
    case QK_EINVALID:
    case QK_EREENTRANT:
    case QK_ENOMEMORY:
    case QK_ECRASHED:
        return "silo";
    default:
        return "actor";
    }
}

static uint32_t admin_timeout(const struct qk_ctl *ctl)
{
    uint32_t ms = QK_CTL_ADMIN_TIMEOUT_MS;
    if (qk_ctl_has(ctl, QK_OPT_TIMEOUT))
        (void)qk_args_duration(ctl->args.options[QK_OPT_TIMEOUT], &ms);
    return ms;
}

static int connect_client(struct qk_ctl *ctl)
{
    if (ctl->client != NULL)
        return 0;
    qk_session_choose_socket(ctl);
    struct qk_client_options options;
    qk_client_options_init(&options);
    options.socket_path = ctl->socket;
    options.name = "quarkctl";
    if (admin_timeout(ctl) < options.connect_timeout_ms)
        options.connect_timeout_ms = admin_timeout(ctl);
    int rc = qk_client_create(&options, &ctl->client);
    if (rc == 0)
        rc = qk_client_connect(ctl->client);
    ctl->connected = rc == 0;
    return rc;
}

int qk_session_ask(struct qk_ctl *ctl, const Quark__Admin__AdminRequest *request,
                   const Quark__Admin__AdminReply **ret_reply)
{
    int rc = connect_client(ctl);
    if (rc < 0)
        return rc;
    size_t size = protobuf_c_message_get_packed_size(&request->base);
    uint8_t *bytes = qk_arena_alloc(&ctl->arena, size + 1);
    if (bytes == NULL)
        return -ENOMEM;
    protobuf_c_message_pack(&request->base, bytes);
    struct qk_reply reply = {0};
    rc = qk_client_admin(ctl->client, bytes, size, admin_timeout(ctl), &reply);
    if (rc < 0)
        return rc;
    ProtobufCMessage *message;
    rc = qk_wire_unpack(&quark__admin__admin_reply__descriptor, reply.data, reply.size, &ctl->arena, &message);
    if (rc < 0)
        return QK_EPROTOCOL;
    const Quark__Admin__AdminReply *answer = (const Quark__Admin__AdminReply *)message;
    /* The members of both oneofs have the same numbers. */
    if ((int)answer->body_case != (int)request->body_case)
        return QK_EPROTOCOL;
    *ret_reply = answer;
    return 0;
}

int qk_session_fail(struct qk_ctl *ctl, int status)
{
    char note[QK_ERROR_TEXT_MAX + 64];
    const char *why = ctl->client != NULL ? qk_client_error(ctl->client) : "";
    /* Without a connection nothing was asked, so nothing can have run. */
    int exit_code = status == QK_ETIMEDOUT && !ctl->connected ? QK_EXIT_UNREACHABLE : qk_exit_of(status);
    /* Of an errno the system's words say enough; what the client adds to them stands in the help. */
    bool plain = status > QK_ETIMEDOUT || *why == '\0';
    snprintf(note, sizeof(note), "%s: %s", qk_status_name(status), plain ? qk_status_text(status) : why);
    if (exit_code == QK_EXIT_DENIED)
        return qk_ctl_fail(
            ctl, exit_code, "QK0411", note,
            "`socket.users` and `socket.groups` in the configuration say who may; so does the socket's mode",
            "the silo at %s does not let this user in", ctl->socket);
    if (!ctl->connected && (status == QK_EINVALID || status == -ENAMETOOLONG))
        return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0408", note, "a socket's path has 1 to 107 bytes",
                           "there can be no socket at %s", ctl->socket);
    if (exit_code == QK_EXIT_UNREACHABLE)
        return qk_ctl_fail(ctl, exit_code, "QK0410", note, own_hint(ctl), "no silo answers at %s", ctl->socket);
    if (exit_code == QK_EXIT_TIMEOUT)
        return qk_ctl_fail(ctl, exit_code, "QK0412", note,
                           "wait longer with --timeout; `quarkctl status` shows whether it is busy",
                           "the silo at %s did not answer in time", ctl->socket);
    return qk_ctl_fail(ctl, exit_code, "QK0413", note, NULL, "the silo at %s refused the request", ctl->socket);
}

int qk_session_admin(struct qk_ctl *ctl, const Quark__Admin__AdminRequest *request,
                     const Quark__Admin__AdminReply **ret_reply)
{
    int rc = qk_session_ask(ctl, request, ret_reply);
    return rc < 0 ? qk_session_fail(ctl, rc) : QK_EXIT_OK;
}
