/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The harness of the runtime's unit tests. */
#include "harness.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char harness_text[2048];

static int64_t now_ns(void *arg)
{
    return ((struct harness *)arg)->now_ns;
}

static int64_t wall_ms(void *arg)
{
    return ((struct harness *)arg)->now_ns / 1000000;
}

static void deliver(void *arg, struct qk_port_frame *chain)
{
    struct harness *h = arg;
    while (chain != NULL) {
        struct qk_port_frame *f = chain;
        chain = f->next;
        f->next = NULL;
        if (f->kind == QK_PORT_STORE) {
            ck_assert_ptr_nonnull(h->on_store);
            h->on_store(h, f);
            continue;
        }
        *h->last = f;
        h->last = &f->next;
    }
}

void harness_configure(struct harness *h, struct qk_runtime_config *config)
{
    qk_runtime_config_init(config);
    config->now_ns = now_ns;
    config->wall_ms = wall_ms;
    config->clock_arg = h;
    config->deliver = deliver;
    config->deliver_arg = h;
}

void harness_init(struct harness *h, const struct qk_plugin *plugin, void (*tune)(struct qk_runtime_config *config))
{
    *h = (struct harness){.now_ns = 1000000000};
    h->last = &h->replies;
    struct qk_runtime_config config;
    harness_configure(h, &config);
    if (tune != NULL)
        tune(&config);
    ck_assert_int_eq(qk_runtime_create(&config, &h->rt), 0);
    char text[256] = "";
    ck_assert_msg(qk_runtime_add_plugin(h->rt, plugin, text, sizeof(text)) == 0, "%s", text);
}

void harness_finish(struct harness *h)
{
    qk_runtime_stop(h->rt, h->now_ns);
    harness_run(h);
    harness_advance(h, 20);
    struct qk_port_frame *f;
    while ((f = harness_reply(h)) != NULL)
        qk_port_frame_destroy(f);
    ck_assert_int_eq(qk_runtime_destroy(h->rt), 0);
}

void harness_run(struct harness *h)
{
    while (qk_runtime_step(h->rt)) {
    }
}

void harness_advance(struct harness *h, int64_t ms)
{
    h->now_ns += ms * 1000000;
    harness_run(h);
}

void harness_submit(struct harness *h, enum qk_port_kind kind, const struct qk_method *m, const char *key,
                    const ProtobufCMessage *request, uint64_t id, int64_t timeout_ms)
{
    size_t size = request != NULL ? protobuf_c_message_get_packed_size(request) : 0;
    size_t key_len = strlen(key);
    struct qk_port_frame *f = qk_port_frame_create(key_len + size);
    f->kind = kind;
    f->call_id = id;
    f->type_id = m->type_id;
    f->method_id = m->id;
    f->deadline_ns = timeout_ms != 0 ? h->now_ns + timeout_ms * 1000000 : 0;
    f->key_len = (uint32_t)key_len;
    f->payload_len = (uint32_t)size;
    memcpy(f->bytes, key, key_len);
    if (size != 0)
        protobuf_c_message_pack(request, f->bytes + key_len);
    qk_runtime_submit(h->rt, f);
}

struct qk_port_frame *harness_reply(struct harness *h)
{
    struct qk_port_frame *f = h->replies;
    if (f == NULL)
        return NULL;
    h->replies = f->next;
    if (h->replies == NULL)
        h->last = &h->replies;
    return f;
}

int harness_call(struct harness *h, const struct qk_method *m, const char *key, const ProtobufCMessage *request,
                 ProtobufCMessage **ret_reply)
{
    harness_submit(h, QK_PORT_CALL, m, key, request, 1, 0);
    for (int i = 0; i < 1000 && h->replies == NULL; i++) {
        harness_run(h);
        int64_t next = qk_runtime_next_deadline(h->rt);
        if (h->replies == NULL && next != INT64_MAX && next > h->now_ns)
            h->now_ns = next;
    }
    struct qk_port_frame *f = harness_reply(h);
    ck_assert_ptr_nonnull(f);
    int status = f->status;
    snprintf(harness_text, sizeof(harness_text), "%.*s", (int)f->text_len, qk_port_frame_text(f));
    if (ret_reply != NULL)
        *ret_reply =
            status >= 0 ? protobuf_c_message_unpack(m->reply, NULL, f->payload_len, qk_port_frame_payload(f)) : NULL;
    qk_port_frame_destroy(f);
    return status;
}
