/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * @file
 * The gateway: the silo's Unix socket and the connections of its clients, as docs/protocol.md describes them.
 *
 * It lives on a loop whose owner decides which thread is inside. Calls leave it through `submit`, inside the loop, a
 * chain for each time that a connection was readable; replies come in through qk_gateway_deliver() on any thread and go
 * to the socket from there, without the loop.
 */
#ifndef QK_GATEWAY_GATEWAY_H
#define QK_GATEWAY_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <quark/abi.h>
#include "loop/loop.h"
#include "runtime/port.h"

struct qk_gateway;

/* Who may connect besides root and the daemon's own user. */
struct qk_gateway_access {
    const uid_t *uids;
    size_t n_uids;
    const gid_t *gids; /* also as a supplementary group of the peer */
    size_t n_gids;
};

struct qk_gateway_config {
    const char *silo; /* its name, for Welcome */
    const char *socket_path;
    mode_t socket_mode;
    gid_t socket_gid; /* (gid_t)-1: left as it is */
    int socket_fd;    /* already listening: taken over on success; -1: the gateway makes the socket */
    struct qk_gateway_access access;
    bool listed_only; /* not even root and the daemon's own user, unless listed: for tests */
    uint32_t clients_max;
    uint32_t in_flight_max; /* calls of one connection */
    uint32_t output_max;    /* bytes of unread replies at which a connection is not read any further */
    uint32_t unread_max;    /* bytes of unread replies at which it is cut off */
    uint32_t hello_ms;      /* how long a connection may take for its Hello */
    uint32_t stall_ms;      /* how long one that is not read any further may go without taking a byte */
    /* Takes calls (QK_PORT_CALL, QK_PORT_SEND), each to be answered through qk_gateway_deliver(), and QK_PORT_CANCEL;
     * inside the loop. The lowest bit of `origin` is 0. */
    void (*submit)(void *arg, struct qk_port_frame *chain);
    /* Takes an administrative request: a frame with a payload whose kind means nothing; inside the loop. Answered
     * likewise, by the same frame or another with its origin and call_id. */
    void (*admin)(void *arg, struct qk_port_frame *frame);
    /* One line for the log; inside the loop. `code` is one of the catalogue's, or NULL. */
    void (*log)(void *arg, enum qk_log_level level, const char *code, const char *text);
    void *arg;
};

/* The bounds of base/limits.h, mode 0660, no descriptor, nobody else allowed. */
void qk_gateway_config_init(struct qk_gateway_config *config);

/* Listens. The strings and lists stay the caller's. 0, or a negative errno or QK_E*, with a code of
 * base/errors/daemon.def in ret_code and the reason in ret_text. While nobody is inside the loop. */
int qk_gateway_create(const struct qk_gateway_config *config, struct qk_loop *loop, struct qk_gateway **ret_gateway,
                      const char **ret_code, char *ret_text, size_t text_size);

/* Closes every connection, stops listening and removes the socket that it made. How many answers never came: 0 unless
 * something leaked. While nobody is inside the loop and nobody delivers. NULL is fine. */
int qk_gateway_destroy(struct qk_gateway *gateway);

/* Sends replies and frees their frames. Any thread, several at a time. */
void qk_gateway_deliver(struct qk_gateway *gateway, struct qk_port_frame *chain);

/* Tells the clients that the silo stops; calls that come later are refused with QK_EUNAVAILABLE, administrative
 * requests are still served. Any thread. */
void qk_gateway_drain(struct qk_gateway *gateway);

/* Whether every reply has been written, or its client is gone. While nobody is inside the loop. */
bool qk_gateway_is_flushed(struct qk_gateway *gateway);

/* Changes who may connect, and how many: for connections to come. 0 or -ENOMEM. Any thread. */
int qk_gateway_set_access(struct qk_gateway *gateway, const struct qk_gateway_access *access, uint32_t clients_max);

struct qk_gateway_stats {
    uint32_t clients;
    uint64_t calls;     /* calls and sends since the start */
    uint64_t in_flight; /* not yet answered, administrative requests included */
    uint64_t refused;   /* connections refused: not allowed, or too many */
    uint64_t broken;    /* connections that were ended because they broke the protocol */
    uint64_t cut;       /* connections cut off because they did not read */
};
/* Any thread. */
void qk_gateway_get_stats(struct qk_gateway *gateway, struct qk_gateway_stats *ret_stats);

#endif
