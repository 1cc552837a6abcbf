/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What moves a client on: calls into the output, replies out of the input, time-outs, and the end of a connection.
 *
 * A callback may begin calls and may destroy the client; a destroyed client is `doomed` and is freed by the outermost
 * function, so everything that runs callbacks looks at `doomed` behind each.
 */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "wire/check.h"

static int64_t now_ms(const struct qk_client *client)
{
    return client->now_ms(client->now_arg);
}

/* Runs the callback of a call whose slot is free again. */
static void answer(struct qk_client *client, qk_reply_fn on_reply, void *arg, const struct qk_reply *reply)
{
    client->callbacks++;
    client->ran++;
    on_reply(arg, reply);
    client->callbacks--;
}

void qk_client_lose(struct qk_client *client, int status, const char *text)
{
    qk_client_keep_text(client->loss_text, sizeof(client->loss_text), text, strlen(text));
    qk_calls_lose(&client->calls, client->written);
    qk_conn_close(client);
    struct qk_client_call call;
    while (qk_calls_pop_lost(&client->calls, &call)) {
        struct qk_reply reply = {.status = status, .text = client->loss_text, .data = (const uint8_t *)""};
        reply.may_have_run = call.sent_at == QK_CALL_SENT;
        answer(client, call.on_reply, call.arg, &reply);
    }
}

/* Ends the connection for the reason in `error`, which then says what became of the calls. */
static int lose_for(struct qk_client *client, int rc)
{
    char reason[QK_CLIENT_TEXT_MAX + QK_ERROR_TEXT_MAX + 32];
    snprintf(reason, sizeof(reason), "%s%s%s", client->error, client->going_away ? "; before, it said: " : "",
             client->going_away ? client->going_text : "");
    uint32_t lost = client->calls.in_flight;
    qk_client_lose(client, QK_EDISCONNECTED, reason);
    if (client->doomed)
        return rc;
    if (lost == 0)
        return qk_client_refuse(client, rc, "%s", reason);
    return qk_client_refuse(client, rc, "%s; %" PRIu32 " call%s in flight ended with that, nothing is sent again",
                            reason, lost, lost == 1 ? "" : "s");
}

static int on_reply_frame(struct qk_client *client, const struct qk_incoming *in, const uint8_t *payload, size_t size)
{
    struct qk_client_call *call = qk_calls_find(&client->calls, in->id);
    if (call == NULL) {
        if (client->abandoned == 0 || !qk_calls_had(&client->calls, in->id))
            return qk_client_refuse(client, QK_EPROTOCOL, "the silo replied to a call that is not in flight");
        client->abandoned--;
        return 0;
    }
    qk_reply_fn fn = call->on_reply;
    void *arg = call->arg;
    qk_calls_release(&client->calls, call);
    struct qk_reply reply = {.status = in->status, .text = "", .data = payload, .size = size};
    if (in->status < 0) {
        reply.may_have_run = in->may_have_run;
        reply.text = client->reply_text;
        qk_client_keep_text(client->reply_text, sizeof(client->reply_text), in->text, in->text_len);
        if (in->text_len == 0)
            snprintf(client->reply_text, sizeof(client->reply_text), "%s", qk_status_text(in->status));
    }
    answer(client, fn, arg, &reply);
    return 0;
}

/* Keeps the recording of a call until the next reply after its own. */
static int on_trace_frame(struct qk_client *client, const struct qk_incoming *in, const uint8_t *payload, size_t size)
{
    if (qk_calls_find(&client->calls, in->id) == NULL &&
        (client->abandoned == 0 || !qk_calls_had(&client->calls, in->id)))
        return qk_client_refuse(client, QK_EPROTOCOL, "the silo sent a recording of a call that is not in flight");
    qk_client_drop_spans(client);
    client->spans = malloc(size + 1);
    if (client->spans == NULL)
        return 0; /* the reply is what matters */
    memcpy(client->spans, payload, size);
    client->spans_size = size;
    client->spans_id = in->id;
    return 0;
}

static int on_frame(struct qk_client *client, const struct qk_incoming *in, const uint8_t *payload, size_t size)
{
    switch (in->kind) {
    case QK_INCOMING_TRACE:
        return on_trace_frame(client, in, payload, size);
    case QK_INCOMING_REPLY:
        if (client->spans_id != in->id)
            qk_client_drop_spans(client);
        return on_reply_frame(client, in, payload, size);
    case QK_INCOMING_GO_AWAY:
        client->going_away = true;
        qk_client_keep_text(client->going_text, sizeof(client->going_text), in->text, in->text_len);
        if (in->text_len == 0)
            snprintf(client->going_text, sizeof(client->going_text), "%s", qk_status_text(in->status));
        return 0;
    default:
        return qk_client_refuse(client, QK_EPROTOCOL, "the silo sent a second Welcome");
    }
}

static int take_frames(struct qk_client *client)
{
    struct qk_incoming in;
    const uint8_t *payload;
    size_t size;
    int rc;
    while ((rc = qk_conn_next(client, &in, &payload, &size)) > 0) {
        rc = on_frame(client, &in, payload, size);
        if (rc < 0 || client->doomed)
            break;
    }
    return rc < 0 ? rc : 0;
}

/* Reads once and takes what has come. */
static int take_in(struct qk_client *client, const bool *stop)
{
    int rc = take_frames(client);
    if (rc < 0 || client->doomed || (stop != NULL && *stop))
        return rc;
    int64_t n = qk_conn_read(client);
    return n > 0 ? take_frames(client) : (int)n;
}

/* Tells the silo that nobody waits for the reply any more, if there is room to say so. */
static void send_cancel(struct qk_client *client, uint64_t id)
{
    struct qk_client_buffer *out = &client->out;
    if (qk_buffer_pending(out) + QK_CODEC_HEAD_MAX > QK_CLIENT_PENDING_MAX ||
        qk_buffer_reserve(out, QK_CODEC_HEAD_MAX) < 0)
        return;
    size_t n = qk_codec_cancel(out->bytes + out->end, id);
    out->end += n;
    client->queued += n;
}

/* Ends the calls that the silo has not answered although it should have. */
static void expire(struct qk_client *client, int64_t now)
{
    qk_wheel_advance(&client->calls.wheel, now);
    struct qk_timer *timer;
    while (!client->doomed && (timer = qk_wheel_pop(&client->calls.wheel)) != NULL) {
        struct qk_client_call *call = (struct qk_client_call *)timer;
        qk_reply_fn fn = call->on_reply;
        void *arg = call->arg;
        struct qk_reply reply = {.status = QK_ETIMEDOUT,
                                 .text = "the silo sent no reply in time, not even that the call timed out: a turn "
                                         "holds its thread (its log names it, QK0610), or it hangs",
                                 .data = (const uint8_t *)"",
                                 .may_have_run = call->sent_at <= client->written};
        send_cancel(client, call->id);
        client->abandoned++;
        qk_calls_release(&client->calls, call);
        answer(client, fn, arg, &reply);
    }
}

int qk_client_pass(struct qk_client *client, int64_t wait_ms, const bool *stop)
{
    int64_t now = now_ms(client);
    int64_t end = wait_ms < 0 ? INT64_MAX : now + wait_ms;
    while (client->fd >= 0) {
        uint32_t ran = client->ran;
        qk_conn_flush(client);
        int rc = take_in(client, stop);
        if (client->doomed || (stop != NULL && *stop))
            return 0;
        if (rc < 0)
            return lose_for(client, rc);
        client->active_ms = now;
        expire(client, now);
        if (client->doomed || client->ran != ran || now >= end)
            return 0;
        int64_t until = qk_wheel_next(&client->calls.wheel);
        if (until > end)
            until = end;
        int64_t wait = until == INT64_MAX ? -1 : until > now ? until - now : 0;
        rc = qk_conn_wait(client, wait);
        if (rc == -EINTR)
            return 0;
        if (rc < 0)
            return lose_for(client, qk_client_refuse(client, rc, "can't wait for the silo: %s", strerror(-rc)));
        now = now_ms(client);
    }
    return 0;
}

/* A connection that takes calls. One that has been idle may have ended unseen: nothing has been sent on it, so that
 * making another is no retry. */
static int be_connected(struct qk_client *client, bool at_once)
{
    /* In a callback replies may still lie in the input buffer. */
    bool may_look = client->callbacks == 0 && client->calls.in_flight == 0;
    if (client->fd >= 0 && may_look && now_ms(client) != client->active_ms) {
        qk_conn_flush(client);
        int rc = take_in(client, NULL);
        if (rc < 0)
            lose_for(client, rc);
        client->active_ms = now_ms(client);
    }
    if (client->fd >= 0 && client->going_away) {
        if (!may_look)
            return qk_client_refuse(client, QK_EUNAVAILABLE,
                                    "silo %s takes no further calls on this connection: %s; the calls in flight are "
                                    "still answered, then the next call connects again",
                                    client->silo, client->going_text);
        qk_conn_close(client);
    }
    return client->fd >= 0 ? 0 : qk_connect(client, at_once);
}

static int check_target(struct qk_client *client, const struct qk_call_target *target, size_t size)
{
    const struct qk_ref *ref = &target->ref;
    if (ref->key == NULL || ref->key_len == 0 || ref->key_len > QK_KEY_MAX)
        return qk_client_refuse(client, QK_EINVALID, "a key has 1 to %d bytes, this one has %" PRIu32, QK_KEY_MAX,
                                ref->key == NULL ? 0 : ref->key_len);
    if (!qk_wire_is_utf8((const uint8_t *)ref->key, ref->key_len) || memchr(ref->key, 0, ref->key_len) != NULL)
        return qk_client_refuse(client, QK_EINVALID, "the key is not UTF-8 without a zero byte");
    if (size > client->payload_max)
        return qk_client_refuse(client, QK_ETOOBIG, "the request has %zu bytes; the silo takes %" PRIu32, size,
                                client->payload_max);
    return 0;
}

static int check_room(struct qk_client *client, size_t bytes)
{
    if (client->calls.in_flight >= client->in_flight_max)
        return qk_client_refuse(client, QK_EOVERLOADED,
                                "%" PRIu32 " calls are in flight, as many as this connection may have: run "
                                "qk_client_poll() until some are answered",
                                client->calls.in_flight);
    if (qk_buffer_pending(&client->out) + bytes > QK_CLIENT_PENDING_MAX) {
        qk_conn_flush(client);
        if (qk_buffer_pending(&client->out) + bytes > QK_CLIENT_PENDING_MAX)
            return qk_client_refuse(client, QK_EOVERLOADED,
                                    "%zu bytes wait for the silo, which does not read them: run qk_client_poll() until "
                                    "it does",
                                    qk_buffer_pending(&client->out));
    }
    if (qk_buffer_reserve(&client->out, bytes) < 0)
        return qk_client_refuse(client, -ENOMEM, "no memory for a request of %zu bytes", bytes);
    return 0;
}

int qk_client_start(struct qk_client *client, const struct qk_call_target *target, uint32_t timeout_ms, size_t size,
                    qk_reply_fn on_reply, void *arg, uint8_t **ret_payload)
{
    static const struct qk_call_target admin = {.ref = {"admin", 5}};
    if (client->doomed)
        return qk_client_refuse(client, QK_ECANCELLED, "the client is being destroyed");
    size_t context_len = 0;
    uint8_t context[QK_CONTEXT_PACKED_MAX];
    int rc = 0;
    if (target != NULL && (client->context.n + client->next_context.n != 0 || client->record_next)) {
        rc = qk_client_context_pack(client, context, &context_len);
        qk_client_context_finish(&client->next_context);
        client->record_next = false;
    }
    if (rc >= 0)
        rc = be_connected(client, false);
    if (rc >= 0)
        rc = check_target(client, target != NULL ? target : &admin, size);
    if (rc >= 0)
        rc = check_room(client, QK_CODEC_HEAD_MAX + context_len + size);
    if (rc < 0)
        return rc;
    if (timeout_ms == 0)
        timeout_ms = client->options.timeout_ms;
    struct qk_client_call *call = qk_calls_take(&client->calls, now_ms(client) + timeout_ms + QK_CLIENT_GRACE_MS);
    if (call == NULL)
        return qk_client_refuse(client, -ENOMEM, "no memory for a further call");
    struct qk_client_buffer *out = &client->out;
    uint8_t *frame = out->bytes + out->end;
    size_t head = target != NULL ? qk_codec_call(frame, call->id, target, timeout_ms, context, context_len, size)
                                 : qk_codec_admin(frame, call->id, size);
    out->end += head + size;
    client->queued += head + size;
    call->on_reply = on_reply;
    call->arg = arg;
    call->sent_at = client->queued;
    *ret_payload = frame + head;
    return 0;
}

void qk_client_started(struct qk_client *client)
{
    if (qk_buffer_pending(&client->out) >= QK_CLIENT_FLUSH_BYTES)
        qk_conn_flush(client);
}

int qk_client_be_connected(struct qk_client *client)
{
    return be_connected(client, true);
}
