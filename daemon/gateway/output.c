/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Replies on their way out: any thread appends them to the connection's buffer and writes the buffer to the socket.
 *
 * One thread at a time is in send() for a connection, without the lock; what others append meanwhile it sends after.
 * Only when the socket is full does the loop have to do with it: it waits for room, then goes on.
 */
#include "gateway/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "gateway/envelope.h"
#include "wire/check.h"

/* ---- buffers */

bool qk_buffer_reserve(struct qk_buffer *buffer, size_t more)
{
    size_t need = buffer->len + more;
    if (qk_likely(need <= buffer->cap))
        return true;
    size_t cap = buffer->cap != 0 ? buffer->cap : 4096;
    while (cap < need)
        cap *= 2;
    uint8_t *data = realloc(buffer->data, cap);
    if (data == NULL)
        return false;
    buffer->data = data;
    buffer->cap = cap;
    return true;
}

void qk_buffer_finish(struct qk_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct qk_buffer){0};
}

/* ---- holding */

void qk_conn_hold(struct qk_conn *conn)
{
    atomic_fetch_add(&conn->refs, QK_CONN_HOLD);
}

void qk_conn_drop(struct qk_conn *conn, uint64_t refs)
{
    if (atomic_fetch_sub(&conn->refs, refs) != refs)
        return;
    qk_buffer_finish(&conn->out);
    qk_buffer_finish(&conn->wire);
    qk_buffer_finish(&conn->in);
    qk_slots_give_back(conn->gw, conn);
    atomic_fetch_sub(&conn->gw->conns_left, 1);
    free(conn);
}

static void on_called(void *arg)
{
    struct qk_conn *conn = arg;
    atomic_store(&conn->called, false);
    qk_conn_attend(conn);
    qk_conn_drop(conn, QK_CONN_HOLD);
}

void qk_conn_call(struct qk_conn *conn)
{
    if (atomic_exchange(&conn->called, true))
        return;
    qk_conn_hold(conn);
    conn->task = (struct qk_task){.fn = on_called, .arg = conn};
    qk_loop_post(conn->gw->loop, &conn->task);
}

/* ---- writing */

static void close_fd(struct qk_conn *conn)
{
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
}

/* Gives back what an empty buffer holds beyond the usual. */
static void trim(struct qk_buffer *buffer)
{
    if (buffer->len == 0 && buffer->cap > QK_BUFFER_KEEP)
        qk_buffer_finish(buffer);
}

static void set_fault(struct qk_conn *conn, enum qk_conn_fault fault)
{
    if (conn->fault == QK_FAULT_NONE)
        conn->fault = fault;
}

/* Takes the appended bytes as the next to be sent; false when there are none. Under the lock. */
static bool next_to_send(struct qk_conn *conn)
{
    if (conn->sent < conn->wire.len)
        return true;
    struct qk_buffer empty = conn->wire;
    empty.len = 0;
    conn->wire = conn->out;
    conn->out = empty;
    conn->sent = 0;
    return conn->wire.len != 0;
}

/* Sends until nothing is left (true), or the socket takes no more. Under the lock, which it gives up meanwhile. */
static bool send_all(struct qk_conn *conn)
{
    while (!conn->dead && next_to_send(conn)) {
        const uint8_t *from = conn->wire.data + conn->sent;
        size_t size = conn->wire.len - conn->sent;
        int fd = conn->fd;
        qk_spin_unlock(&conn->lock);
        ssize_t n = send(fd, from, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        int error = n < 0 ? errno : 0;
        qk_spin_lock(&conn->lock);
        if (conn->dead)
            break;
        if (n >= 0) {
            conn->sent += (size_t)n;
            atomic_fetch_sub_explicit(&conn->unread, (size_t)n, memory_order_relaxed);
            atomic_fetch_add_explicit(&conn->taken, (uint64_t)n, memory_order_relaxed);
        } else if (error == EAGAIN) {
            conn->blocked = true;
            return false;
        } else if (error != EINTR) {
            set_fault(conn, QK_FAULT_GONE);
            return false;
        }
    }
    return true;
}

void qk_conn_flush(struct qk_conn *conn)
{
    qk_spin_lock(&conn->lock);
    if (conn->sending || conn->blocked || conn->dead || conn->fault == QK_FAULT_GONE) {
        qk_spin_unlock(&conn->lock);
        return;
    }
    conn->sending = true;
    bool done = send_all(conn);
    conn->sending = false;
    if (conn->dead) {
        close_fd(conn);
        done = true;
    }
    trim(&conn->out);
    trim(&conn->wire);
    qk_spin_unlock(&conn->lock);
    if (!done)
        qk_conn_call(conn);
}

void qk_conn_shut(struct qk_conn *conn)
{
    qk_spin_lock(&conn->lock);
    conn->dead = true;
    if (!conn->sending) {
        close_fd(conn);
        qk_buffer_finish(&conn->wire);
    }
    qk_buffer_finish(&conn->out);
    atomic_store_explicit(&conn->unread, 0, memory_order_relaxed);
    qk_spin_unlock(&conn->lock);
}

/* ---- appending */

/* Room for `size` bytes at the end of the output; NULL when they are not to be sent. Under the lock. */
static uint8_t *make_room(struct qk_conn *conn, size_t size)
{
    if (conn->dead || conn->fault != QK_FAULT_NONE)
        return NULL;
    if (atomic_load_explicit(&conn->unread, memory_order_relaxed) + size > conn->gw->config.unread_max)
        conn->fault = QK_FAULT_UNREAD;
    else if (!qk_buffer_reserve(&conn->out, size))
        conn->fault = QK_FAULT_MEMORY;
    return conn->fault == QK_FAULT_NONE ? conn->out.data + conn->out.len : NULL;
}

static void made(struct qk_conn *conn, size_t size)
{
    conn->out.len += size;
    atomic_fetch_add_explicit(&conn->unread, size, memory_order_relaxed);
}

void qk_conn_append(struct qk_conn *conn, const uint8_t *bytes, size_t size)
{
    qk_spin_lock(&conn->lock);
    uint8_t *to = make_room(conn, size);
    if (to != NULL) {
        memcpy(to, bytes, size);
        made(conn, size);
    }
    bool failed = conn->fault != QK_FAULT_NONE;
    qk_spin_unlock(&conn->lock);
    if (failed)
        qk_conn_call(conn);
}

void qk_conn_answer(struct qk_conn *conn, uint64_t id, int status, const char *text)
{
    uint8_t frame[QK_ENVELOPE_ROOM + QK_ERROR_TEXT_MAX];
    size_t size = qk_envelope_put_reply(frame, id, status, text, strnlen(text, QK_ERROR_TEXT_MAX), 0, 0);
    qk_conn_append(conn, frame, size);
}

/* A handler's text may hold any bytes; a text that is no UTF-8 would make the client end the connection. */
static uint32_t clean_text(const char *text, uint32_t len, char *to)
{
    for (uint32_t i = 0; i < len; i++)
        to[i] = text[i] == 0 || (text[i] & 0x80) != 0 ? '?' : text[i];
    return len;
}

/* Appends one reply; false when it was dropped for a fault. Under the lock. */
static void append_reply(struct qk_conn *conn, const struct qk_port_frame *f)
{
    char cleaned[QK_ERROR_TEXT_MAX];
    const char *text = qk_port_frame_text(f);
    uint32_t text_len = f->text_len;
    if (qk_unlikely(text_len != 0)) {
        if (text_len > QK_ERROR_TEXT_MAX)
            text_len = QK_ERROR_TEXT_MAX;
        if (!qk_wire_is_utf8((const uint8_t *)text, text_len) || memchr(text, 0, text_len) != NULL) {
            text_len = clean_text(text, text_len, cleaned);
            text = cleaned;
        }
    }
    size_t trace = f->context_len != 0 ? QK_ENVELOPE_ROOM + (size_t)f->context_len : 0;
    uint8_t *to = make_room(conn, trace + QK_ENVELOPE_ROOM + text_len + f->payload_len);
    if (to == NULL)
        return;
    if (qk_unlikely(f->context_len != 0)) {
        size_t head = qk_envelope_put_trace(to, f->call_id, f->context_len);
        memcpy(to + head, qk_port_frame_context(f), f->context_len);
        made(conn, head + f->context_len);
        to += head + f->context_len;
    }
    size_t n = qk_envelope_put_reply(to, f->call_id, f->status, text, text_len, f->may_have_run != 0, f->payload_len);
    if (f->payload_len != 0)
        memcpy(to + n, qk_port_frame_payload(f), f->payload_len);
    made(conn, n + f->payload_len);
}

/* ---- delivering */

#define TOUCHED_MAX 32

struct touched {
    struct qk_conn *conn;
    uint32_t n; /* calls that ended */
};

/* Appends the frames at the head of the chain that are for one connection; the rest of the chain. */
static struct qk_port_frame *append_run(struct qk_port_frame *chain, struct touched *touched)
{
    struct qk_conn *conn = touched->conn;
    struct qk_port_frame *frame = chain, *next;
    uint32_t n = 0;
    qk_spin_lock(&conn->lock);
    for (; frame != NULL && frame->origin == conn->origin; frame = frame->next) {
        __builtin_prefetch(frame->next);
        append_reply(conn, frame);
        n++;
    }
    bool failed = conn->fault != QK_FAULT_NONE;
    qk_spin_unlock(&conn->lock);
    if (qk_unlikely(failed))
        qk_conn_call(conn);
    for (; chain != frame; chain = next) {
        next = chain->next;
        qk_port_frame_destroy(chain);
    }
    touched->n += n;
    return frame;
}

static struct touched *find(struct touched *touched, unsigned *n_touched, struct qk_conn *conn)
{
    for (unsigned i = *n_touched; i-- > 0;) {
        if (touched[i].conn == conn)
            return &touched[i];
    }
    if (*n_touched == TOUCHED_MAX)
        return NULL;
    touched[*n_touched] = (struct touched){.conn = conn};
    return &touched[(*n_touched)++];
}

static bool is_waited_for(struct qk_conn *conn)
{
    switch ((enum qk_conn_wait)atomic_load(&conn->waits)) {
    case QK_WAIT_NOTHING:
        break;
    case QK_WAIT_ROOM:
        return qk_conn_has_room(conn);
    case QK_WAIT_WRITTEN:
        return atomic_load(&conn->unread) == 0;
    case QK_WAIT_ENDED:
        return qk_conn_in_flight(conn) == 0;
    }
    return false;
}

/* Sends, and takes the ended calls off. */
static void settle(struct qk_gateway *gw, const struct touched *touched)
{
    struct qk_conn *conn = touched->conn;
    qk_conn_flush(conn);
    atomic_fetch_add_explicit(&gw->answered, touched->n, memory_order_relaxed);
    atomic_fetch_add(&conn->refs, QK_CONN_HOLD - touched->n);
    /* Seen here, or else the loop, which says first what it waits for, sees the calls gone. */
    if (qk_unlikely(is_waited_for(conn)))
        qk_conn_call(conn);
    qk_conn_drop(conn, QK_CONN_HOLD);
}

void qk_gateway_deliver(struct qk_gateway *gw, struct qk_port_frame *chain)
{
    struct touched touched[TOUCHED_MAX];
    unsigned n_touched = 0;
    while (chain != NULL) {
        struct touched *t = find(touched, &n_touched, qk_slots_find(gw, chain->origin));
        if (t != NULL) {
            chain = append_run(chain, t);
            continue;
        }
        for (unsigned i = 0; i < n_touched; i++)
            settle(gw, &touched[i]);
        n_touched = 0;
    }
    for (unsigned i = 0; i < n_touched; i++)
        settle(gw, &touched[i]);
}
