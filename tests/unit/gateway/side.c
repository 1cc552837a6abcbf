/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "side.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

struct side side;

static void on_submit(void *arg, struct qk_port_frame *chain)
{
    (void)arg;
    side.n_chains++;
    while (chain != NULL) {
        struct qk_port_frame *f = chain;
        chain = f->next;
        f->next = NULL;
        if (f->kind == QK_PORT_CANCEL) {
            side.n_cancels++;
            side.last_cancel = f->call_id;
            qk_port_frame_destroy(f);
            continue;
        }
        side.n_calls++;
        *side.calls_last = f;
        side.calls_last = &f->next;
    }
}

static void on_admin(void *arg, struct qk_port_frame *frame)
{
    (void)arg;
    frame->next = side.admins;
    side.admins = frame;
}

static void on_log(void *arg, enum qk_log_level level, const char *code, const char *text)
{
    (void)arg, (void)level;
    ck_assert_str_ne(text, "");
    side.n_lines++;
    snprintf(side.last_code, sizeof(side.last_code), "%s", code != NULL ? code : "");
}

void side_pump(void *arg)
{
    (void)arg;
    qk_loop_poll(side.loop, 1000000);
}

struct qk_port_frame *side_take_call(void)
{
    struct qk_port_frame *f = side.calls;
    if (f == NULL)
        ck_abort_msg("no call has come");
    side.calls = f->next;
    if (side.calls == NULL)
        side.calls_last = &side.calls;
    side.n_calls--;
    f->next = NULL;
    return f;
}

void side_wait_for_calls(unsigned n)
{
    for (int i = 0; side.n_calls < n && i < 10000; i++)
        side_pump(NULL);
    ck_assert_uint_eq(side.n_calls, n);
}

struct qk_port_frame *side_to_reply(struct qk_port_frame *call, int status, const char *text, size_t payload_len)
{
    struct qk_port_frame *f = qk_port_frame_create(strlen(text) + payload_len);
    if (f == NULL)
        ck_abort_msg("out of memory");
    f->kind = QK_PORT_REPLY;
    f->origin = call->origin;
    f->call_id = call->call_id;
    f->status = status;
    f->text_len = (uint32_t)strlen(text);
    f->payload_len = (uint32_t)payload_len;
    memcpy(f->bytes, text, f->text_len);
    memset(f->bytes + f->text_len, 'p', payload_len);
    qk_port_frame_destroy(call);
    return f;
}

void side_answer(int status, const char *text, size_t payload_len)
{
    qk_gateway_deliver(side.gw, side_to_reply(side_take_call(), status, text, payload_len));
}

void side_answer_all(void)
{
    struct qk_port_frame *chain = NULL, **last = &chain;
    while (side.calls != NULL) {
        *last = side_to_reply(side_take_call(), 0, "", 10);
        last = &(*last)->next;
    }
    qk_gateway_deliver(side.gw, chain);
}

void side_create(void)
{
    const char *code;
    char text[256];
    ck_assert_int_eq(qk_gateway_create(&side.config, side.loop, &side.gw, &code, text, sizeof(text)), 0);
}

void side_setup(void)
{
    peer_make_dir(side.dir);
    snprintf(side.path, sizeof(side.path), "%s/s", side.dir);
    ck_assert_int_eq(qk_loop_create(&side.loop), 0);
    qk_gateway_config_init(&side.config);
    side.config.silo = "test";
    side.config.socket_path = side.path;
    side.config.submit = on_submit;
    side.config.admin = on_admin;
    side.config.log = on_log;
    side.gw = NULL;
    side.calls = side.admins = NULL;
    side.calls_last = &side.calls;
    side.n_calls = side.n_chains = side.n_cancels = side.n_lines = 0;
    side.last_code[0] = 0;
}

void side_teardown(void)
{
    if (side.gw != NULL) {
        if (side.calls != NULL)
            side_answer_all();
        ck_assert_int_eq(qk_gateway_destroy(side.gw), 0);
    }
    qk_loop_destroy(side.loop);
    peer_remove_dir(side.dir);
}

void side_open_peer(struct peer *p)
{
    peer_open(p, side.path, side_pump, NULL);
    peer_greet(p);
}

void side_call(struct peer *p, uint64_t id)
{
    peer_call(p, id, 11, 22, "key", "payload", 7, false);
}

struct qk_gateway_stats side_stats(void)
{
    struct qk_gateway_stats s;
    qk_gateway_get_stats(side.gw, &s);
    return s;
}

void side_wait_for_clients(uint32_t n)
{
    for (int i = 0; side_stats().clients != n && i < 10000; i++)
        side_pump(NULL);
    ck_assert_uint_eq(side_stats().clients, n);
}
