/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a connection: buffers, writing, reading, cutting into frames.
 *
 * A failed write does not end the connection, since the silo's last replies may still be unread; reading does, at its
 * end. Nothing here runs a callback or ends a call.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

int qk_buffer_init(struct qk_client_buffer *buffer)
{
    uint8_t *bytes = malloc(QK_CLIENT_BUFFER_SIZE);
    if (bytes == NULL)
        return -ENOMEM;
    *buffer = (struct qk_client_buffer){.bytes = bytes, .capacity = QK_CLIENT_BUFFER_SIZE};
    return 0;
}

void qk_buffer_finish(struct qk_client_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct qk_client_buffer){0};
}

/* An empty buffer begins anew; one that a large frame has stretched gives the memory back. */
static void reset(struct qk_client_buffer *buffer)
{
    buffer->start = buffer->end = 0;
    if (buffer->capacity <= 4 * QK_CLIENT_BUFFER_SIZE)
        return;
    uint8_t *bytes = realloc(buffer->bytes, QK_CLIENT_BUFFER_SIZE);
    if (bytes != NULL) {
        buffer->bytes = bytes;
        buffer->capacity = QK_CLIENT_BUFFER_SIZE;
    }
}

int qk_buffer_reserve(struct qk_client_buffer *buffer, size_t size)
{
    if (buffer->capacity - buffer->end >= size)
        return 0;
    size_t pending = qk_buffer_pending(buffer);
    /* Moving costs no more than has been consumed since the last move. */
    if (buffer->capacity - pending >= size && buffer->start >= pending) {
        memmove(buffer->bytes, buffer->bytes + buffer->start, pending);
    } else {
        size_t capacity = buffer->capacity;
        while (capacity - pending < size || pending > capacity / 2)
            capacity *= 2;
        uint8_t *bytes = malloc(capacity);
        if (bytes == NULL)
            return -ENOMEM;
        memcpy(bytes, buffer->bytes + buffer->start, pending);
        free(buffer->bytes);
        buffer->bytes = bytes;
        buffer->capacity = capacity;
    }
    buffer->start = 0;
    buffer->end = pending;
    return 0;
}

void qk_conn_flush(struct qk_client *client)
{
    struct qk_client_buffer *out = &client->out;
    while (qk_buffer_pending(out) != 0 && !client->write_failed) {
        ssize_t n = send(client->fd, out->bytes + out->start, qk_buffer_pending(out), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n < 0) {
            client->write_failed = true;
            return;
        }
        out->start += (size_t)n;
        client->written += (uint64_t)n;
    }
    if (qk_buffer_pending(out) == 0 && out->end != 0)
        reset(out);
}

int64_t qk_conn_read(struct qk_client *client)
{
    struct qk_client_buffer *in = &client->in;
    if (qk_buffer_pending(in) == 0)
        reset(in);
    size_t want = 1;
    if (qk_buffer_pending(in) >= QK_FRAME_HEAD) {
        /* qk_conn_next() has passed the sizes. */
        const uint8_t *frame = in->bytes + in->start;
        want = QK_FRAME_HEAD + (size_t)qk_codec_u32(frame) + qk_codec_u32(frame + 4) - qk_buffer_pending(in);
    } else if (in->capacity - in->end < QK_FRAME_HEAD) {
        want = QK_FRAME_HEAD;
    }
    int rc = qk_buffer_reserve(in, want);
    if (rc < 0)
        return qk_client_refuse(client, rc, "no memory for a reply of %zu bytes", want);
    ssize_t n;
    do {
        n = recv(client->fd, in->bytes + in->end, in->capacity - in->end, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        in->end += (size_t)n;
        return n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && !client->write_failed)
        return 0;
    const char *where = qk_buffer_pending(in) != 0 ? ", in the middle of a reply" : "";
    if (n == 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == ECONNRESET)
        return qk_client_refuse(client, QK_EDISCONNECTED, "the silo closed the connection%s", where);
    return qk_client_refuse(client, QK_EDISCONNECTED, "the connection broke%s: %s", where, strerror(errno));
}

int qk_conn_next(struct qk_client *client, struct qk_incoming *ret_in, const uint8_t **ret_payload, size_t *ret_size)
{
    struct qk_client_buffer *in = &client->in;
    size_t pending = qk_buffer_pending(in);
    if (pending < QK_FRAME_HEAD)
        return 0;
    const uint8_t *frame = in->bytes + in->start;
    size_t envelope = qk_codec_u32(frame);
    size_t payload = qk_codec_u32(frame + 4);
    if (envelope == 0 || envelope > QK_ENVELOPE_MAX || payload > QK_PAYLOAD_MAX)
        return qk_client_refuse(client, QK_EPROTOCOL,
                                "the silo sent a frame of %zu and %zu bytes; %d and %d are the most: is that a silo's "
                                "socket?",
                                envelope, payload, QK_ENVELOPE_MAX, QK_PAYLOAD_MAX);
    if (pending - QK_FRAME_HEAD < envelope + payload)
        return 0;
    if (!qk_codec_read(frame + QK_FRAME_HEAD, envelope, ret_in))
        return qk_client_refuse(client, QK_EPROTOCOL, "the silo sent an envelope that does not parse");
    *ret_payload = frame + QK_FRAME_HEAD + envelope;
    *ret_size = payload;
    in->start += QK_FRAME_HEAD + envelope + payload;
    return 1;
}

int qk_conn_wait(struct qk_client *client, int64_t wait_ms)
{
    assert(client->fd >= 0);
    bool writes = qk_buffer_pending(&client->out) != 0 && !client->write_failed;
    struct pollfd p = {.fd = client->fd, .events = (short)(POLLIN | (writes ? POLLOUT : 0))};
    int rc = poll(&p, 1, wait_ms < 0 ? -1 : wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms);
    return rc < 0 ? -errno : rc;
}

void qk_conn_close(struct qk_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->write_failed = client->going_away = false;
    client->abandoned = 0;
    reset(&client->in);
    reset(&client->out);
}
