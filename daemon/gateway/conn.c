/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A connection from its acceptance to its end, as the loop sees it.
 *
 *   GREETING --Hello--> OPEN --end of input--> ENDING --last reply--> CLOSED
 *   GREETING, OPEN --broken, late, wrong version--> LEAVING --GoAway written--> CLOSED
 *   any --peer gone, cut off--> CLOSED
 *
 * A closed connection stays in memory until its calls have ended; their replies are dropped.
 */
#include "gateway/internal.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "gateway/envelope.h"
#include "loop/clock.h"
#include <quark/status.h>

void qk_conn_move(struct qk_conn *conn, enum qk_conn_state to)
{
    static const uint8_t allowed[] = {
        [QK_CONN_GREETING] = 1 << QK_CONN_OPEN | 1 << QK_CONN_ENDING | 1 << QK_CONN_LEAVING | 1 << QK_CONN_CLOSED,
        [QK_CONN_OPEN] = 1 << QK_CONN_ENDING | 1 << QK_CONN_LEAVING | 1 << QK_CONN_CLOSED,
        [QK_CONN_ENDING] = 1 << QK_CONN_CLOSED,
        [QK_CONN_LEAVING] = 1 << QK_CONN_CLOSED,
        [QK_CONN_CLOSED] = 0,
    };
    assert((allowed[conn->state] & 1 << to) != 0);
    conn->state = to;
}

static bool is_blocked(struct qk_conn *conn, enum qk_conn_fault *ret_fault)
{
    qk_spin_lock(&conn->lock);
    bool blocked = conn->blocked;
    *ret_fault = conn->fault;
    qk_spin_unlock(&conn->lock);
    return blocked;
}

static size_t unread_bytes(struct qk_conn *conn)
{
    return atomic_load_explicit(&conn->unread, memory_order_relaxed);
}

/* ---- the beginning and the end */

static void on_ready(void *arg, unsigned events)
{
    struct qk_conn *conn = arg;
    qk_conn_hold(conn);
    if ((events & QK_WATCH_WRITE) != 0) {
        qk_spin_lock(&conn->lock);
        conn->blocked = false;
        qk_spin_unlock(&conn->lock);
        qk_conn_flush(conn);
        qk_conn_attend(conn);
    }
    if ((events & QK_WATCH_READ) != 0 && (conn->state == QK_CONN_GREETING || conn->state == QK_CONN_OPEN))
        qk_conn_read(conn);
    qk_conn_drop(conn, QK_CONN_HOLD);
}

void qk_conn_open(struct qk_gateway *gw, int fd, uid_t uid, pid_t pid)
{
    struct qk_conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL || qk_watch_create(gw->loop, fd, QK_WATCH_READ, on_ready, conn, &conn->watch) < 0 ||
        !qk_slots_take(gw, conn)) {
        qk_gateway_say(gw, QK_LOG_ERROR, "QK0614", "a client was turned away: no memory for its connection");
        if (conn != NULL)
            qk_watch_destroy(conn->watch);
        free(conn);
        close(fd);
        return;
    }
    conn->gw = gw;
    atomic_store(&conn->refs, QK_CONN_HOLD);
    conn->fd = fd;
    conn->uid = uid;
    conn->pid = pid;
    conn->state = QK_CONN_GREETING;
    conn->next = gw->conns;
    if (gw->conns != NULL)
        gw->conns->prev = conn;
    gw->conns = conn;
    atomic_fetch_add(&gw->clients, 1);
    atomic_fetch_add(&gw->conns_left, 1);
    qk_gateway_tick_for(gw, conn, true);
}

void qk_conn_close(struct qk_conn *conn)
{
    struct qk_gateway *gw = conn->gw;
    if (conn->state == QK_CONN_CLOSED)
        return;
    qk_conn_move(conn, QK_CONN_CLOSED);
    qk_gateway_tick_for(gw, conn, false);
    qk_watch_destroy(conn->watch);
    conn->watch = NULL;
    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        gw->conns = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    atomic_fetch_sub(&gw->clients, 1);
    qk_buffer_finish(&conn->in);
    qk_conn_shut(conn);
    if (qk_conn_in_flight(conn) != 0)
        qk_conn_cancel_all(conn);
    qk_conn_drop(conn, QK_CONN_HOLD);
}

void qk_conn_send_go_away(struct qk_conn *conn, int status, const char *text)
{
    uint8_t frame[QK_ENVELOPE_ROOM + QK_ERROR_TEXT_MAX];
    qk_conn_append(conn, frame, qk_envelope_put_go_away(frame, status, text));
    qk_conn_flush(conn);
}

void qk_conn_leave(struct qk_conn *conn, int status, const char *text)
{
    qk_conn_move(conn, QK_CONN_LEAVING);
    qk_buffer_finish(&conn->in);
    /* A thread that is in send() with a reply takes the GoAway along, and then has to say that it is gone. */
    atomic_store(&conn->waits, QK_WAIT_WRITTEN);
    qk_conn_send_go_away(conn, status, text);
    qk_conn_attend(conn);
}

void qk_conn_end_of_input(struct qk_conn *conn)
{
    /* Half closed, it may still read replies; closed, nobody is there. */
    struct pollfd p = {.fd = conn->fd, .events = 0};
    if (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0) {
        qk_conn_close(conn);
        return;
    }
    qk_conn_move(conn, QK_CONN_ENDING);
    qk_buffer_finish(&conn->in);
    atomic_store(&conn->waits, QK_WAIT_ENDED);
    qk_conn_attend(conn);
}

/* ---- looking after it */

static void cut_off(struct qk_conn *conn, const char *why)
{
    struct qk_gateway *gw = conn->gw;
    atomic_fetch_add(&gw->cut, 1);
    qk_gateway_say(gw, QK_LOG_WARNING, "QK0613",
                   "cut off the client of process %d (user %u): %s; %u calls were in flight", (int)conn->pid,
                   (unsigned)conn->uid, why, qk_conn_in_flight(conn));
    qk_conn_close(conn);
}

static void end_for_fault(struct qk_conn *conn, enum qk_conn_fault fault)
{
    char why[96];
    switch (fault) {
    case QK_FAULT_UNREAD:
        snprintf(why, sizeof(why), "it left more than %u bytes of replies unread", conn->gw->config.unread_max);
        cut_off(conn, why);
        break;
    case QK_FAULT_MEMORY:
        cut_off(conn, "there was no memory for a reply");
        break;
    case QK_FAULT_GONE:
    case QK_FAULT_NONE:
        qk_conn_close(conn);
        break;
    }
}

static bool is_over(struct qk_conn *conn)
{
    switch (conn->state) {
    case QK_CONN_ENDING:
        return qk_conn_in_flight(conn) == 0 && unread_bytes(conn) == 0;
    case QK_CONN_LEAVING:
        return unread_bytes(conn) == 0;
    default:
        return false;
    }
}

void qk_conn_attend(struct qk_conn *conn)
{
    enum qk_conn_fault fault;
    if (conn->state == QK_CONN_CLOSED)
        return;
    while (conn->full && qk_conn_has_room(conn)) {
        conn->full = false;
        atomic_store(&conn->waits, QK_WAIT_NOTHING);
        if (!qk_conn_resume(conn))
            return;
    }
    bool blocked = is_blocked(conn, &fault);
    if (fault != QK_FAULT_NONE) {
        end_for_fault(conn, fault);
        return;
    }
    if (is_over(conn)) {
        qk_conn_close(conn);
        return;
    }
    bool reads = (conn->state == QK_CONN_GREETING || conn->state == QK_CONN_OPEN) && !conn->full;
    if (qk_watch_set(conn->watch, (reads ? QK_WATCH_READ : 0u) | (blocked ? QK_WATCH_WRITE : 0u)) < 0) {
        cut_off(conn, "there was no memory to watch it");
        return;
    }
    qk_gateway_tick_for(conn->gw, conn, blocked || conn->state == QK_CONN_GREETING);
}

void qk_conn_tick(struct qk_conn *conn, int64_t now_ns)
{
    const struct qk_gateway_config *config = &conn->gw->config;
    int64_t age_ms = (now_ns - conn->since_ns) / 1000000;
    if (conn->state == QK_CONN_GREETING) {
        if (age_ms >= config->hello_ms)
            qk_conn_leave(conn, QK_ETIMEDOUT, "no Hello came in time: the silo closes the connection");
        return;
    }
    uint64_t taken = atomic_load_explicit(&conn->taken, memory_order_relaxed);
    if (taken != conn->taken_seen) {
        conn->taken_seen = taken;
        conn->since_ns = now_ns;
    } else if (age_ms >= config->stall_ms &&
               (conn->state != QK_CONN_OPEN || unread_bytes(conn) >= config->output_max)) {
        cut_off(conn, "it does not read its replies");
    }
}
