/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The gateway as a whole: accepting clients, looking after the slow ones, and the end. */
#include "gateway/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "gateway/envelope.h"
#include "loop/clock.h"
#include <quark/status.h>

#define ACCEPT_BATCH    64  /* connections accepted before others get their turn */
#define ACCEPT_PAUSE_MS 100 /* without descriptors */
#define LOG_LINES_MAX   10  /* in a second */
#define TICK_MIN_MS     5
#define TICK_MAX_MS     1000
#define NS_PER_MS       1000000

void qk_gateway_config_init(struct qk_gateway_config *config)
{
    *config = (struct qk_gateway_config){
        .silo = "",
        .socket_mode = 0660,
        .socket_gid = (gid_t)-1,
        .socket_fd = -1,
        .clients_max = QK_CLIENTS_MAX,
        .in_flight_max = QK_CLIENT_CALLS_MAX,
        .output_max = QK_CLIENT_OUTPUT_MAX,
        .unread_max = QK_CLIENT_UNREAD_MAX,
        .hello_ms = 5000,
        .stall_ms = 10000,
    };
}

/* ---- log lines */

void qk_gateway_say(struct qk_gateway *gw, enum qk_log_level level, const char *code, const char *format, ...)
{
    int64_t second = qk_clock_now_ns(NULL) / 1000000000;
    char text[256];
    if (second != gw->log_second) {
        if (gw->log_dropped != 0) {
            snprintf(text, sizeof(text), "%u more lines about clients were left out", gw->log_dropped);
            gw->config.log(gw->config.arg, QK_LOG_WARNING, NULL, text);
        }
        gw->log_second = second;
        gw->log_lines = gw->log_dropped = 0;
    }
    if (gw->log_lines >= LOG_LINES_MAX) {
        gw->log_dropped++;
        return;
    }
    gw->log_lines++;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    gw->config.log(gw->config.arg, level, code, text);
}

/* ---- time */

static int64_t tick_ms(const struct qk_gateway *gw)
{
    uint32_t ms = (gw->config.hello_ms < gw->config.stall_ms ? gw->config.hello_ms : gw->config.stall_ms) / 4;
    return ms < TICK_MIN_MS ? TICK_MIN_MS : ms > TICK_MAX_MS ? TICK_MAX_MS : ms;
}

void qk_gateway_tick_for(struct qk_gateway *gw, struct qk_conn *conn, bool on)
{
    if (conn->tick_counted == on)
        return;
    conn->tick_counted = on;
    if (!on) {
        gw->ticking--;
        return;
    }
    conn->since_ns = qk_clock_now_ns(NULL);
    conn->taken_seen = atomic_load_explicit(&conn->taken, memory_order_relaxed);
    if (gw->ticking++ == 0)
        qk_timer_arm(gw->tick_timer, tick_ms(gw) * NS_PER_MS);
}

static void on_tick(void *arg)
{
    struct qk_gateway *gw = arg;
    int64_t now_ns = qk_clock_now_ns(NULL);
    struct qk_conn *next;
    for (struct qk_conn *conn = gw->conns; conn != NULL; conn = next) {
        next = conn->next;
        if (!conn->tick_counted)
            continue;
        qk_conn_hold(conn);
        qk_conn_tick(conn, now_ns);
        qk_conn_drop(conn, QK_CONN_HOLD);
    }
    if (gw->ticking != 0)
        qk_timer_arm(gw->tick_timer, tick_ms(gw) * NS_PER_MS);
}

/* ---- accepting */

static void turn_away(struct qk_gateway *gw, int fd, int status, const char *text)
{
    uint8_t frame[QK_ENVELOPE_ROOM + QK_ERROR_TEXT_MAX];
    size_t size = qk_envelope_put_go_away(frame, status, text);
    ssize_t n = send(fd, frame, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)n; /* a new socket has room; one that is gone needs no reason */
    close(fd);
    atomic_fetch_add(&gw->refused, 1);
}

static void admit(struct qk_gateway *gw, int fd)
{
    uid_t uid = 0;
    pid_t pid = 0;
    char text[160];
    int rc = qk_peer_check(gw, fd, &uid, &pid);
    if (rc == QK_EDENIED) {
        qk_gateway_say(gw, QK_LOG_WARNING, "QK0611", "refused process %d: user %u may not call", (int)pid,
                       (unsigned)uid);
        snprintf(text, sizeof(text),
                 "the silo does not take calls of user %u: its `socket.users` and `socket.groups` say whose it takes",
                 (unsigned)uid);
        turn_away(gw, fd, rc, text);
        return;
    }
    if (rc < 0) {
        close(fd);
        return;
    }
    uint32_t max = atomic_load(&gw->clients_max);
    if (atomic_load(&gw->clients) >= max || atomic_load(&gw->conns_left) / QK_CONNS_PER_CLIENT >= max) {
        qk_gateway_say(gw, QK_LOG_WARNING, NULL, "refused process %d (user %u): %u clients are connected already",
                       (int)pid, (unsigned)uid, atomic_load(&gw->clients));
        snprintf(text, sizeof(text), "the silo takes no more clients: its `socket.clients_max` is %u", max);
        turn_away(gw, fd, QK_EUNAVAILABLE, text);
        return;
    }
    qk_conn_open(gw, fd, uid, pid);
}

static void on_acceptable(void *arg, unsigned events)
{
    (void)events;
    struct qk_gateway *gw = arg;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(gw->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            gw->accept_failed = false;
            admit(gw, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN) {
            if (!gw->accept_failed) {
                qk_gateway_say(gw, QK_LOG_ERROR, "QK0614", "can't accept a connection: %s; trying again every %d ms",
                               strerror(errno), ACCEPT_PAUSE_MS);
            }
            gw->accept_failed = true;
            qk_watch_set(gw->listen_watch, 0);
            qk_timer_arm(gw->accept_timer, (int64_t)ACCEPT_PAUSE_MS * NS_PER_MS);
        }
        return;
    }
}

static void on_accept_again(void *arg)
{
    struct qk_gateway *gw = arg;
    if (qk_watch_set(gw->listen_watch, QK_WATCH_READ) < 0)
        qk_timer_arm(gw->accept_timer, (int64_t)ACCEPT_PAUSE_MS * NS_PER_MS);
}

int qk_gateway_set_access(struct qk_gateway *gw, const struct qk_gateway_access *access, uint32_t clients_max)
{
    uid_t *uids = malloc((access->n_uids + 1) * sizeof(*uids));
    gid_t *gids = malloc((access->n_gids + 1) * sizeof(*gids));
    if (uids == NULL || gids == NULL) {
        free(uids);
        free(gids);
        return -ENOMEM;
    }
    if (access->n_uids != 0)
        memcpy(uids, access->uids, access->n_uids * sizeof(*uids));
    if (access->n_gids != 0)
        memcpy(gids, access->gids, access->n_gids * sizeof(*gids));
    pthread_mutex_lock(&gw->access_lock);
    uid_t *old_uids = gw->uids;
    gid_t *old_gids = gw->gids;
    gw->uids = uids;
    gw->n_uids = access->n_uids;
    gw->gids = gids;
    gw->n_gids = access->n_gids;
    pthread_mutex_unlock(&gw->access_lock);
    free(old_uids);
    free(old_gids);
    atomic_store(&gw->clients_max, clients_max < QK_CLIENTS_MAX ? clients_max : QK_CLIENTS_MAX);
    return 0;
}

/* ---- the end of the silo */

static void on_drain(void *arg)
{
    struct qk_gateway *gw = arg;
    struct qk_conn *next;
    for (struct qk_conn *conn = gw->conns; conn != NULL; conn = next) {
        next = conn->next;
        if (conn->state == QK_CONN_OPEN)
            qk_conn_send_go_away(conn, QK_EUNAVAILABLE, "the silo stops and takes no further calls");
    }
}

void qk_gateway_drain(struct qk_gateway *gw)
{
    if (!atomic_exchange(&gw->draining, true))
        qk_loop_post(gw->loop, &gw->drain_task);
}

bool qk_gateway_is_flushed(struct qk_gateway *gw)
{
    for (struct qk_conn *conn = gw->conns; conn != NULL; conn = conn->next) {
        if (atomic_load(&conn->unread) != 0)
            return false;
    }
    return true;
}

/* ---- making and freeing */

static int make_parts(struct qk_gateway *gw, const char **ret_code, char *ret_text, size_t text_size)
{
    *ret_code = "QK0607";
    snprintf(ret_text, text_size, "out of memory");
    gw->silo = strdup(gw->config.silo);
    gw->input = malloc(QK_INPUT_BYTES);
    if (gw->silo == NULL || gw->input == NULL || qk_slots_init(gw) < 0 ||
        qk_gateway_set_access(gw, &gw->config.access, gw->config.clients_max) < 0 ||
        qk_timer_create(gw->loop, on_tick, gw, &gw->tick_timer) < 0 ||
        qk_timer_create(gw->loop, on_accept_again, gw, &gw->accept_timer) < 0)
        return -ENOMEM;
    int rc = qk_listen_open(gw, ret_code, ret_text, text_size);
    if (rc < 0)
        return rc;
    rc = qk_watch_create(gw->loop, gw->listen_fd, QK_WATCH_READ, on_acceptable, gw, &gw->listen_watch);
    if (rc < 0) {
        *ret_code = "QK0606";
        snprintf(ret_text, text_size, "can't watch the socket %s: %s", gw->config.socket_path, strerror(-rc));
    }
    return rc;
}

int qk_gateway_create(const struct qk_gateway_config *config, struct qk_loop *loop, struct qk_gateway **ret_gateway,
                      const char **ret_code, char *ret_text, size_t text_size)
{
    struct qk_gateway *gw = calloc(1, sizeof(*gw));
    if (gw == NULL) {
        *ret_code = "QK0607";
        snprintf(ret_text, text_size, "out of memory");
        return -ENOMEM;
    }
    gw->config = *config;
    if (gw->config.clients_max > QK_CLIENTS_MAX)
        gw->config.clients_max = QK_CLIENTS_MAX;
    gw->loop = loop;
    gw->listen_fd = -1;
    gw->drain_task = (struct qk_task){.fn = on_drain, .arg = gw};
    pthread_mutex_init(&gw->access_lock, NULL);
    int rc = make_parts(gw, ret_code, ret_text, text_size);
    if (rc < 0) {
        if (gw->listen_fd == config->socket_fd)
            gw->listen_fd = -1; /* stays the caller's */
        qk_gateway_destroy(gw);
        return rc;
    }
    gw->config.socket_path = gw->config.silo = NULL; /* the caller's */
    gw->config.access = (struct qk_gateway_access){0};
    *ret_gateway = gw;
    return 0;
}

int qk_gateway_destroy(struct qk_gateway *gw)
{
    if (gw == NULL)
        return 0;
    gw->ending = true;
    while (gw->conns != NULL)
        qk_conn_close(gw->conns);
    while (qk_loop_poll(gw->loop, 0) > 0) {
        /* Posted tasks hold connections. */
    }
    qk_watch_destroy(gw->listen_watch);
    qk_timer_destroy(gw->accept_timer);
    qk_timer_destroy(gw->tick_timer);
    qk_listen_close(gw);
    pthread_mutex_destroy(&gw->access_lock);
    qk_slots_finish(gw);
    free(gw->uids);
    free(gw->gids);
    free(gw->silo);
    free(gw->input);
    uint64_t left = atomic_load(&gw->asked) - atomic_load(&gw->answered);
    free(gw);
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

void qk_gateway_get_stats(struct qk_gateway *gw, struct qk_gateway_stats *ret_stats)
{
    uint64_t answered = atomic_load(&gw->answered), asked = atomic_load(&gw->asked);
    *ret_stats = (struct qk_gateway_stats){
        .clients = atomic_load(&gw->clients),
        .calls = atomic_load(&gw->calls),
        .in_flight = asked > answered ? asked - answered : 0,
        .refused = atomic_load(&gw->refused),
        .broken = atomic_load(&gw->broken),
        .cut = atomic_load(&gw->cut),
    };
}
