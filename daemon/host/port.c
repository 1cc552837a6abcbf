/* SPDX-License-Identifier: Apache-2.0 */
/* The port of the runtime in a host: an idle worker sleeps on the ring, as it does among sockets in a silo. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fnv.h"
#include "host/host.h"

#define FRAMES_MAX 256

/* Takes out what is for the process as a whole. */
static struct qk_port_frame *take_orders(struct qk_host_process *host, struct qk_port_frame *chain)
{
    struct qk_port_frame **at = &chain;
    bool some = false;
    while (*at != NULL) {
        struct qk_port_frame *frame = *at;
        if (frame->kind != QK_PORT_QUERY && frame->kind != QK_PORT_DRAIN && frame->kind != QK_PORT_STOP) {
            at = &frame->next;
            continue;
        }
        *at = frame->next;
        frame->next = NULL;
        pthread_mutex_lock(&host->lock);
        *host->orders_last = frame;
        host->orders_last = &frame->next;
        pthread_mutex_unlock(&host->lock);
        some = true;
    }
    if (some)
        qk_park_wake(&host->park);
    return chain;
}

static int receive(struct qk_host_process *host)
{
    struct qk_port_frame *chain;
    const char *text;
    int n = qk_channel_receive(host->channel, FRAMES_MAX, &chain, &text);
    if (n < 0)
        _exit(QK_HOST_EXIT_BROKEN); /* without a silo there is nothing to do */
    chain = take_orders(host, chain);
    if (chain != NULL)
        qk_runtime_submit(host->rt, chain);
    return n;
}

int qk_host_poll(void *arg, int64_t timeout_ns)
{
    struct qk_host_process *host = arg;
    int n = receive(host);
    if (n > 0 || timeout_ns == 0)
        return n;
    qk_pair_wait(&host->pair, timeout_ns);
    return receive(host);
}

void qk_host_wake(void *arg)
{
    qk_pair_wake_self(&((struct qk_host_process *)arg)->pair);
}

void qk_host_deliver(void *arg, struct qk_port_frame *chain)
{
    struct qk_host_process *host = arg;
    struct qk_port_frame *refused;
    qk_channel_send(host->channel, chain, &refused);
    if (refused != NULL)
        qk_runtime_submit(host->rt, refused);
}

void qk_host_send(struct qk_host_process *host, struct qk_port_frame *frame)
{
    struct qk_port_frame *refused;
    if (frame != NULL)
        qk_channel_send(host->channel, frame, &refused); /* none of them asks */
}

static struct qk_port_frame *log_frame(enum qk_log_level level, const char *type, const char *key, uint64_t request_id,
                                       const char *text)
{
    size_t key_len = type != NULL ? strnlen(key, QK_KEY_MAX) : 0, text_len = strnlen(text, QK_LOG_TEXT_MAX);
    struct qk_port_frame *frame = qk_port_frame_create(key_len + text_len);
    if (frame == NULL)
        return NULL;
    frame->kind = QK_PORT_LOG;
    frame->method_id = (uint32_t)level;
    frame->type_id = type != NULL ? qk_fnv64(type) : 0;
    frame->request_id = request_id;
    frame->key_len = (uint32_t)key_len;
    frame->text_len = (uint32_t)text_len;
    if (key_len != 0)
        memcpy(frame->bytes, key, key_len);
    memcpy(frame->bytes + key_len, text, text_len);
    return frame;
}

void qk_host_log(void *arg, enum qk_log_level level, const char *type, const char *key, uint64_t request_id,
                 const char *text)
{
    qk_host_send(arg, log_frame(level, type, key, request_id, text));
}

void qk_host_log_stall(struct qk_host_process *host, const char *type, const char *key, const char *text)
{
    struct qk_port_frame *frame = log_frame(QK_LOG_WARNING, type, key, 0, text);
    if (frame != NULL)
        frame->status = QK_PORT_LOG_STALL;
    qk_host_send(host, frame);
}
