/* SPDX-License-Identifier: Apache-2.0 */
/* The front of the client library: options, life and death of a client, calling, polling. */
#include "internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Coarse: read for each call, and no time-out needs better than a tick of the kernel. */
static int64_t monotonic_ms(void *arg)
{
    (void)arg;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void qk_client_options_init(struct qk_client_options *options)
{
    *options = (struct qk_client_options){
        .size = sizeof(*options),
        .connect_timeout_ms = 5000,
        .timeout_ms = 10000,
        .in_flight_max = QK_CLIENT_CALLS_MAX,
    };
}

/* The options with every default filled in, whatever version of the struct the program was built with. */
static int take_options(const struct qk_client_options *options, struct qk_client_options *ret_options)
{
    struct qk_client_options mine, given = {0};
    qk_client_options_init(&mine);
    if (options == NULL) {
        *ret_options = mine;
        return 0;
    }
    size_t size = options->size < sizeof(given) ? options->size : sizeof(given);
    if (size < offsetof(struct qk_client_options, in_flight_max) + sizeof(options->in_flight_max))
        return QK_EINVALID;
    memcpy(&given, options, size);
    given.size = sizeof(given);
    if (given.connect_timeout_ms == 0)
        given.connect_timeout_ms = mine.connect_timeout_ms;
    if (given.timeout_ms == 0)
        given.timeout_ms = mine.timeout_ms;
    if (given.in_flight_max == 0)
        given.in_flight_max = mine.in_flight_max;
    if (given.in_flight_max > QK_CLIENT_CALLS_MAX)
        return QK_EINVALID;
    *ret_options = given;
    return 0;
}

static void destroy(struct qk_client *client)
{
    qk_calls_finish(&client->calls);
    qk_buffer_finish(&client->in);
    qk_buffer_finish(&client->out);
    qk_client_context_finish(&client->context);
    qk_client_context_finish(&client->next_context);
    qk_client_drop_spans(client);
    free(client->socket_path);
    free(client->name);
    free(client);
}

int qk_client_create(const struct qk_client_options *options, struct qk_client **ret_client)
{
    struct qk_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return -ENOMEM;
    int rc = take_options(options, &client->options);
    if (rc < 0) {
        free(client);
        return rc;
    }
    client->fd = -1;
    client->payload_max = QK_PAYLOAD_MAX;
    client->in_flight_max = client->options.in_flight_max;
    qk_client_set_clock(client, monotonic_ms, NULL);
    const char *path = client->options.socket_path;
    if (path == NULL)
        path = secure_getenv("QUARK_SOCKET");
    if (path == NULL || path[0] == '\0')
        path = QK_SOCKET_PATH;
    const char *name = client->options.name != NULL ? client->options.name : program_invocation_short_name;
    client->socket_path = strdup(path);
    client->name = strdup(name != NULL ? name : "");
    client->jitter = (uint64_t)getpid() << 32 ^ (uint64_t)client->now_ms(NULL) ^ (uintptr_t)client;
    if (client->socket_path == NULL || client->name == NULL || qk_buffer_init(&client->in) < 0 ||
        qk_buffer_init(&client->out) < 0) {
        destroy(client);
        return -ENOMEM;
    }
    *ret_client = client;
    return 0;
}

void qk_client_set_clock(struct qk_client *client, int64_t (*now_ms)(void *arg), void *arg)
{
    client->now_ms = now_ms;
    client->now_arg = arg;
    qk_calls_init(&client->calls, now_ms(arg));
}

void qk_client_destroy(struct qk_client *client)
{
    if (client == NULL || client->doomed)
        return;
    client->doomed = true;
    qk_client_lose(client, QK_ECANCELLED, "the client was destroyed before the reply came");
    /* Inside a callback the function that runs it frees the client. */
    if (!client->entered)
        destroy(client);
}

int qk_client_enter(struct qk_client *client)
{
    if (client->callbacks != 0)
        return qk_client_refuse(
            client, QK_ESTATE,
            "a callback can't wait: begin a call there, or do it when qk_client_poll() has returned");
    client->entered = true;
    client->ran = 0;
    client->error[0] = '\0';
    return 0;
}

void qk_client_leave(struct qk_client *client)
{
    client->entered = false;
    if (client->doomed)
        destroy(client);
}

int qk_client_refuse(struct qk_client *client, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(client->error, sizeof(client->error), format, args);
    va_end(args);
    return status;
}

void qk_client_keep_text(char *to, size_t size, const char *text, size_t len)
{
    size_t n = len < size ? len : size - 1;
    while (n > 0 && n < len && ((uint8_t)text[n] & 0xc0) == 0x80)
        n--;
    memcpy(to, text, n);
    to[n] = '\0';
}

const char *qk_client_error(const struct qk_client *client)
{
    return client->error;
}

uint32_t qk_client_in_flight(const struct qk_client *client)
{
    return client->calls.in_flight;
}

int qk_client_fd(const struct qk_client *client)
{
    return client->fd;
}

bool qk_client_wants_write(const struct qk_client *client)
{
    return client->fd >= 0 && qk_buffer_pending(&client->out) != 0 && !client->write_failed;
}

int qk_client_connect(struct qk_client *client)
{
    int rc = qk_client_enter(client);
    if (rc < 0)
        return rc;
    rc = qk_client_be_connected(client);
    qk_client_leave(client);
    return rc;
}

int qk_client_poll(struct qk_client *client, int timeout_ms)
{
    int rc = qk_client_enter(client);
    if (rc < 0)
        return rc;
    rc = qk_client_pass(client, timeout_ms, NULL);
    if (client->doomed)
        rc = QK_ECANCELLED;
    else if (rc >= 0)
        rc = client->ran > INT32_MAX ? INT32_MAX : (int)client->ran;
    qk_client_leave(client);
    return rc;
}

int qk_client_drain(struct qk_client *client, int timeout_ms)
{
    int rc = qk_client_enter(client);
    if (rc < 0)
        return rc;
    int64_t now = client->now_ms(client->now_arg);
    int64_t end = timeout_ms < 0 ? INT64_MAX : now + timeout_ms;
    while (rc >= 0 && !client->doomed && client->calls.in_flight != 0) {
        rc = qk_client_pass(client, end == INT64_MAX ? -1 : end > now ? end - now : 0, NULL);
        now = client->now_ms(client->now_arg);
        if (rc >= 0 && now >= end && !client->doomed && client->calls.in_flight != 0)
            rc = qk_client_refuse(client, QK_ETIMEDOUT, "%u calls are still in flight after %d ms",
                                  client->calls.in_flight, timeout_ms);
    }
    if (client->doomed)
        rc = QK_ECANCELLED;
    qk_client_leave(client);
    return rc;
}

/* Where nobody wants to hear of the reply. */
static void on_unwanted(void *arg, const struct qk_reply *reply)
{
    (void)arg;
    (void)reply;
}

int qk_client_begin(struct qk_client *client, const struct qk_call_target *target, const uint8_t *request, size_t size,
                    qk_reply_fn on_reply, void *arg)
{
    uint8_t *payload;
    int rc = qk_client_start(client, target, target->timeout_ms, size, on_reply != NULL ? on_reply : on_unwanted, arg,
                             &payload);
    if (rc < 0)
        return rc;
    if (size != 0)
        memcpy(payload, request, size);
    qk_client_started(client);
    return 0;
}

void qk_client_on_waited(void *arg, const struct qk_reply *reply)
{
    struct qk_client_waiter *waiter = arg;
    waiter->done = true;
    waiter->reply = *reply;
    qk_client_keep_text(waiter->text, sizeof(waiter->text), reply->text, strlen(reply->text));
}

int qk_client_wait(struct qk_client *client, struct qk_client_waiter *waiter, int rc, struct qk_reply *ret_reply)
{
    /* An error of the connection ends the call too. */
    while (rc >= 0 && !waiter->done)
        qk_client_pass(client, -1, &waiter->done);
    struct qk_reply reply = {.status = rc, .data = (const uint8_t *)""};
    if (client->doomed) {
        reply.status = QK_ECANCELLED;
        reply.may_have_run = true;
        reply.text = "the client was destroyed before the call returned";
    } else {
        if (rc >= 0) {
            reply = waiter->reply;
            qk_client_refuse(client, 0, "%s", waiter->text);
        }
        reply.text = client->error;
    }
    if (ret_reply != NULL)
        *ret_reply = reply;
    qk_client_leave(client);
    return reply.status;
}

/* Calls, or asks as an administrator where there is no target. */
static int call(struct qk_client *client, const struct qk_call_target *target, uint32_t timeout_ms,
                const uint8_t *request, size_t size, struct qk_reply *ret_reply)
{
    int rc = qk_client_enter(client);
    if (rc < 0) {
        if (ret_reply != NULL)
            *ret_reply = (struct qk_reply){.status = rc, .text = client->error, .data = (const uint8_t *)""};
        return rc;
    }
    struct qk_client_waiter waiter;
    waiter.done = false;
    uint8_t *payload;
    rc = qk_client_start(client, target, timeout_ms, size, qk_client_on_waited, &waiter, &payload);
    if (rc >= 0 && size != 0)
        memcpy(payload, request, size);
    return qk_client_wait(client, &waiter, rc, ret_reply);
}

int qk_client_call(struct qk_client *client, const struct qk_call_target *target, const uint8_t *request, size_t size,
                   struct qk_reply *ret_reply)
{
    return call(client, target, target->timeout_ms, request, size, ret_reply);
}

int qk_client_admin(struct qk_client *client, const uint8_t *request, size_t size, uint32_t timeout_ms,
                    struct qk_reply *ret_reply)
{
    return call(client, NULL, timeout_ms, request, size, ret_reply);
}
