/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What clients send: frames are read in place from one buffer that all connections share, since one thread at a time is
 * inside the loop. A connection keeps bytes of its own only of a frame that is not whole yet, or of frames that a bound
 * makes wait.
 */
#include "gateway/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "gateway/envelope.h"
#include "loop/clock.h"
#include "wire/check.h"
#include <quark/status.h>

/* A frame longer than this is read into memory of its own until it is whole, and not copied each time. */
#define LONG_FRAME (16 << 10)

#define NS_PER_SECOND 1000000000

_Static_assert(LONG_FRAME < QK_INPUT_BYTES && QK_FRAME_HEAD + QK_ENVELOPE_MAX + QK_PAYLOAD_MAX < QK_CLIENT_INPUT_MAX,
               "what waits to be parsed stays below its bound");

/* What one reading hands on. */
struct batch {
    struct qk_port_frame *head;
    struct qk_port_frame **last;
    uint32_t n;    /* calls among them */
    bool answered; /* something was answered at once */
    int64_t now_ns;
};

static void append(struct batch *batch, struct qk_port_frame *frame)
{
    *batch->last = frame;
    batch->last = &frame->next;
}

/* ---- one frame */

static void answer(struct qk_conn *conn, struct batch *batch, uint64_t id, int status, const char *text)
{
    qk_conn_answer(conn, id, status, text);
    batch->answered = true;
}

static struct qk_port_frame *make_frame(struct qk_conn *conn, const struct qk_envelope *e, const uint8_t *payload,
                                        uint32_t payload_len)
{
    struct qk_port_frame *f = qk_port_frame_create((size_t)e->bytes_len + payload_len + e->context_len);
    if (f == NULL)
        return NULL;
    f->origin = conn->origin;
    f->call_id = e->id;
    f->key_len = e->bytes_len;
    f->payload_len = payload_len;
    if (e->bytes_len != 0)
        memcpy(f->bytes, e->bytes, e->bytes_len);
    if (payload_len != 0)
        memcpy(f->bytes + e->bytes_len, payload, payload_len);
    f->context_len = e->context_len;
    if (qk_unlikely(e->context_len != 0))
        memcpy(f->bytes + e->bytes_len + payload_len, e->context, e->context_len);
    return f;
}

static bool is_key(const uint8_t *key, uint32_t len)
{
    return len >= 1 && len <= QK_KEY_MAX && qk_wire_is_utf8(key, len) && memchr(key, 0, len) == NULL;
}

static void on_call(struct qk_conn *conn, struct batch *batch, const struct qk_envelope *e, const uint8_t *payload,
                    uint32_t payload_len)
{
    struct qk_gateway *gw = conn->gw;
    if (qk_unlikely(!is_key(e->bytes, e->bytes_len))) {
        answer(conn, batch, e->id, QK_EINVALID, "a key is 1 to 512 bytes of UTF-8 without a zero byte");
        return;
    }
    if (qk_unlikely(atomic_load_explicit(&gw->draining, memory_order_relaxed))) {
        answer(conn, batch, e->id, QK_EUNAVAILABLE, "the silo stops and takes no further calls");
        return;
    }
    struct qk_port_frame *f = make_frame(conn, e, payload, payload_len);
    if (qk_unlikely(f == NULL)) {
        answer(conn, batch, e->id, QK_ENOMEMORY, "the silo has no memory for the call");
        return;
    }
    f->kind = e->one_way ? QK_PORT_SEND : QK_PORT_CALL;
    f->type_id = e->type_id;
    f->method_id = e->method_id;
    f->request_id = e->request_id;
    if (e->timeout_ms != 0) {
        if (batch->now_ns == 0)
            batch->now_ns = qk_clock_now_ns(NULL);
        f->deadline_ns = batch->now_ns + (int64_t)e->timeout_ms * 1000000;
    }
    append(batch, f);
    batch->n++;
}

/* The turn learns of it; its reply still comes, since a turn can't be taken back. Past the bound, or without memory,
 * the turn just goes on. */
static void on_cancel(struct qk_conn *conn, struct batch *batch, uint64_t id)
{
    struct qk_gateway *gw = conn->gw;
    if (batch->now_ns == 0)
        batch->now_ns = qk_clock_now_ns(NULL);
    if (batch->now_ns / NS_PER_SECOND != gw->cancel_second) {
        gw->cancel_second = batch->now_ns / NS_PER_SECOND;
        gw->cancels = 0;
    }
    if (gw->cancels >= QK_CANCELS_MAX || (qk_conn_in_flight(conn) == 0 && batch->n == 0))
        return;
    struct qk_port_frame *f = qk_port_frame_create(0);
    if (f == NULL)
        return;
    gw->cancels++;
    f->kind = QK_PORT_CANCEL;
    f->origin = conn->origin;
    f->call_id = id;
    append(batch, f);
}

void qk_conn_cancel_all(struct qk_conn *conn)
{
    struct qk_gateway *gw = conn->gw;
    struct qk_port_frame *f = gw->ending ? NULL : qk_port_frame_create(0);
    if (f == NULL)
        return;
    f->kind = QK_PORT_CANCEL;
    f->origin = conn->origin;
    gw->config.submit(gw->config.arg, f);
}

static void on_admin(struct qk_conn *conn, struct batch *batch, const struct qk_envelope *e, const uint8_t *payload,
                     uint32_t payload_len)
{
    struct qk_gateway *gw = conn->gw;
    struct qk_port_frame *f = make_frame(conn, e, payload, payload_len);
    if (f == NULL) {
        answer(conn, batch, e->id, QK_ENOMEMORY, "the silo has no memory for the request");
        return;
    }
    atomic_fetch_add(&conn->refs, 1);
    atomic_fetch_add_explicit(&gw->asked, 1, memory_order_relaxed);
    gw->config.admin(gw->config.arg, f);
}

/* NULL, or what is wrong with a Hello. */
static const char *on_hello(struct qk_conn *conn, const struct qk_envelope *e)
{
    struct qk_gateway *gw = conn->gw;
    if (e->version_major != QK_PROTOCOL_MAJOR)
        return "the silo speaks version 1 of the protocol: use a client library of that version";
    uint8_t frame[QK_ENVELOPE_ROOM + QK_ERROR_TEXT_MAX];
    qk_conn_append(conn, frame, qk_envelope_put_welcome(frame, gw->silo, QK_PAYLOAD_MAX, gw->config.in_flight_max));
    qk_conn_flush(conn);
    qk_conn_move(conn, QK_CONN_OPEN);
    return NULL;
}

/* 0, or the status and text with which the connection ends. */
static int handle_frame(struct qk_conn *conn, struct batch *batch, const uint8_t *frame, uint32_t envelope_len,
                        uint32_t payload_len, const char **ret_text)
{
    struct qk_envelope e;
    const uint8_t *payload = frame + QK_FRAME_HEAD + envelope_len;
    *ret_text = "the envelope of a frame does not parse";
    if (qk_envelope_parse(frame + QK_FRAME_HEAD, envelope_len, &e) < 0)
        return QK_EPROTOCOL;
    if (qk_unlikely(conn->state == QK_CONN_GREETING)) {
        *ret_text = "the first frame must be Hello";
        if (e.kind != QK_ENVELOPE_HELLO || payload_len != 0)
            return QK_EPROTOCOL;
        *ret_text = on_hello(conn, &e);
        return *ret_text == NULL ? 0 : QK_EVERSION;
    }
    *ret_text = "an id may not be 0";
    if (e.id == 0 && e.kind != QK_ENVELOPE_HELLO)
        return QK_EPROTOCOL;
    switch (e.kind) {
    case QK_ENVELOPE_CALL:
        on_call(conn, batch, &e, payload, payload_len);
        return 0;
    case QK_ENVELOPE_ADMIN:
        on_admin(conn, batch, &e, payload, payload_len);
        return 0;
    case QK_ENVELOPE_CANCEL:
        *ret_text = "a Cancel has no payload";
        if (payload_len != 0)
            return QK_EPROTOCOL;
        on_cancel(conn, batch, e.id);
        return 0;
    default:
        *ret_text = "a second Hello";
        return QK_EPROTOCOL;
    }
}

/* ---- many frames */

static void submit(struct qk_conn *conn, struct batch *batch)
{
    struct qk_gateway *gw = conn->gw;
    if (batch->head != NULL) {
        *batch->last = NULL;
        atomic_fetch_add(&conn->refs, batch->n);
        atomic_fetch_add_explicit(&gw->calls, batch->n, memory_order_relaxed);
        atomic_fetch_add_explicit(&gw->asked, batch->n, memory_order_relaxed);
        gw->config.submit(gw->config.arg, batch->head);
    }
    if (batch->answered)
        qk_conn_flush(conn);
}

static void end_broken(struct qk_conn *conn, int status, const char *text)
{
    struct qk_gateway *gw = conn->gw;
    atomic_fetch_add(&gw->broken, 1);
    qk_gateway_say(gw, QK_LOG_WARNING, "QK0612", "closed the connection of process %d (user %u): %s", (int)conn->pid,
                   (unsigned)conn->uid, text);
    qk_conn_leave(conn, status, text);
}

/* Hands on the whole frames among the bytes. Returns how many bytes they were, or less than 0 when the connection has
 * ended. Sets `full` when frames are left because of a bound. */
static ssize_t handle_frames(struct qk_conn *conn, const uint8_t *data, size_t len)
{
    struct batch batch = {.last = &batch.head};
    size_t used = 0;
    int rc = 0;
    const char *text = NULL;
    while (len - used >= QK_FRAME_HEAD) {
        uint32_t envelope_len = qk_get32(data + used);
        uint32_t payload_len = qk_get32(data + used + 4);
        if (qk_unlikely(envelope_len == 0 || envelope_len > QK_ENVELOPE_MAX || payload_len > QK_PAYLOAD_MAX)) {
            rc = QK_EPROTOCOL;
            text = "a frame is larger than its bounds, or has no envelope";
            break;
        }
        size_t size = QK_FRAME_HEAD + (size_t)envelope_len + payload_len;
        if (len - used < size)
            break;
        if (qk_unlikely(qk_conn_is_full(conn, batch.n))) {
            conn->full = true;
            break;
        }
        rc = handle_frame(conn, &batch, data + used, envelope_len, payload_len, &text);
        if (rc < 0)
            break;
        used += size;
    }
    submit(conn, &batch);
    if (rc < 0) {
        end_broken(conn, rc, text);
        return -1;
    }
    return (ssize_t)used;
}

/* Keeps the bytes from `at` on for later. False when the connection had to end. */
static bool keep(struct qk_conn *conn, const uint8_t *at, size_t len)
{
    struct qk_buffer *in = &conn->in;
    if (in->data != NULL && (uintptr_t)at - (uintptr_t)in->data <= in->len) {
        memmove(in->data, at, len);
        in->len = len;
    } else {
        in->len = 0;
        if (len != 0 && !qk_buffer_reserve(in, len)) {
            end_broken(conn, QK_ENOMEMORY, "the silo has no memory for what was sent");
            return false;
        }
        if (len != 0)
            memcpy(in->data, at, len);
        in->len = len;
    }
    if (len == 0 && in->cap > LONG_FRAME)
        qk_buffer_finish(in);
    return true;
}

/* False when the connection has ended. */
static bool handle_and_keep(struct qk_conn *conn, const uint8_t *data, size_t len)
{
    ssize_t used = handle_frames(conn, data, len);
    if (used < 0 || !keep(conn, data + used, len - (size_t)used))
        return false;
    if (conn->full)
        atomic_store(&conn->waits, QK_WAIT_ROOM); /* before anyone looks for room: what ends from now on calls back */
    return true;
}

bool qk_conn_resume(struct qk_conn *conn)
{
    return handle_and_keep(conn, conn->in.data, conn->in.len);
}

/* The size of the frame that the kept bytes begin, if it is a long one; else 0. */
static size_t long_frame(const struct qk_buffer *in)
{
    if (in->len < QK_FRAME_HEAD)
        return 0;
    size_t size = QK_FRAME_HEAD + (size_t)qk_get32(in->data) + qk_get32(in->data + 4); /* checked when it was kept */
    return size > LONG_FRAME ? size : 0;
}

void qk_conn_read(struct qk_conn *conn)
{
    struct qk_buffer *in = &conn->in;
    size_t whole = long_frame(in);
    uint8_t *data = conn->gw->input;
    size_t room = QK_INPUT_BYTES;
    if (whole != 0) {
        /* Memory grows with what has come, not with what is announced. */
        if (in->len == in->cap && !qk_buffer_reserve(in, 1)) {
            end_broken(conn, QK_ENOMEMORY, "the silo has no memory for what was sent");
            return;
        }
        data = in->data;
        room = whole < in->cap ? whole : in->cap;
    } else if (in->len != 0) {
        memcpy(data, in->data, in->len);
    }
    ssize_t n = recv(conn->fd, data + in->len, room - in->len, MSG_DONTWAIT);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            qk_conn_close(conn);
        return;
    }
    if (n == 0) {
        qk_conn_end_of_input(conn);
        return;
    }
    size_t len = in->len + (size_t)n;
    if (whole != 0) {
        in->len = len;
        if (len < whole)
            return;
    }
    if (handle_and_keep(conn, data, len) && (conn->full || conn->tick_counted))
        qk_conn_attend(conn);
}
