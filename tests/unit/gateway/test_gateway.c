/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections over a real socket: what clients do right, wrong, late or not at all. */
#include <check.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/limits.h"
#include "gateway/gateway.h"
#include "loop/clock.h"
#include "loop/thread.h"
#include "peer.h"
#include <quark/status.h>

static char dir[64], path[100];
static struct qk_loop *loop;
static struct qk_gateway *gw;
static struct qk_gateway_config config;
static struct qk_port_frame *calls, **calls_last, *admins;
static unsigned n_calls, n_chains, n_cancels, n_lines;
static uint64_t last_cancel;
static char last_code[16];

static void on_submit(void *arg, struct qk_port_frame *chain)
{
    (void)arg;
    n_chains++;
    while (chain != NULL) {
        struct qk_port_frame *f = chain;
        chain = f->next;
        f->next = NULL;
        if (f->kind == QK_PORT_CANCEL) {
            n_cancels++;
            last_cancel = f->call_id;
            qk_port_frame_destroy(f);
            continue;
        }
        n_calls++;
        *calls_last = f;
        calls_last = &f->next;
    }
}

static void on_admin(void *arg, struct qk_port_frame *frame)
{
    (void)arg;
    frame->next = admins;
    admins = frame;
}

static void on_log(void *arg, enum qk_log_level level, const char *code, const char *text)
{
    (void)arg, (void)level;
    ck_assert_str_ne(text, "");
    n_lines++;
    snprintf(last_code, sizeof(last_code), "%s", code != NULL ? code : "");
}

static void pump(void *arg)
{
    (void)arg;
    qk_loop_poll(loop, 1000000);
}

static struct qk_port_frame *take_call(void)
{
    struct qk_port_frame *f = calls;
    ck_assert_ptr_nonnull(f);
    calls = f->next;
    if (calls == NULL)
        calls_last = &calls;
    n_calls--;
    f->next = NULL;
    return f;
}

static void wait_for_calls(unsigned n)
{
    for (int i = 0; n_calls < n && i < 10000; i++)
        pump(NULL);
    ck_assert_uint_eq(n_calls, n);
}

/* Turns a call into its reply with `payload_len` bytes. */
static struct qk_port_frame *to_reply(struct qk_port_frame *call, int status, const char *text, size_t payload_len)
{
    struct qk_port_frame *f = qk_port_frame_create(strlen(text) + payload_len);
    ck_assert_ptr_nonnull(f);
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

static void answer(int status, const char *text, size_t payload_len)
{
    qk_gateway_deliver(gw, to_reply(take_call(), status, text, payload_len));
}

static void answer_all(void)
{
    struct qk_port_frame *chain = NULL, **last = &chain;
    while (calls != NULL) {
        *last = to_reply(take_call(), 0, "", 10);
        last = &(*last)->next;
    }
    qk_gateway_deliver(gw, chain);
}

static void create(void)
{
    const char *code;
    char text[256];
    ck_assert_int_eq(qk_gateway_create(&config, loop, &gw, &code, text, sizeof(text)), 0);
}

static void setup(void)
{
    peer_make_dir(dir);
    snprintf(path, sizeof(path), "%s/s", dir);
    ck_assert_int_eq(qk_loop_create(&loop), 0);
    qk_gateway_config_init(&config);
    config.silo = "test";
    config.socket_path = path;
    config.submit = on_submit;
    config.admin = on_admin;
    config.log = on_log;
    gw = NULL;
    calls = admins = NULL;
    calls_last = &calls;
    n_calls = n_chains = n_cancels = n_lines = 0;
    last_code[0] = 0;
}

static void teardown(void)
{
    if (gw != NULL) {
        if (calls != NULL)
            answer_all();
        ck_assert_int_eq(qk_gateway_destroy(gw), 0);
    }
    qk_loop_destroy(loop);
    peer_remove_dir(dir);
}

static void open_peer(struct peer *p)
{
    peer_open(p, path, pump, NULL);
    peer_greet(p);
}

static void call(struct peer *p, uint64_t id)
{
    peer_call(p, id, 11, 22, "key", "payload", 7, false);
}

static struct qk_gateway_stats stats(void)
{
    struct qk_gateway_stats s;
    qk_gateway_get_stats(gw, &s);
    return s;
}

static void wait_for_clients(uint32_t n)
{
    for (int i = 0; stats().clients != n && i < 10000; i++)
        pump(NULL);
    ck_assert_uint_eq(stats().clients, n);
}

/* ---- the ordinary */

START_TEST(test_gateway_passes_a_call_and_its_reply)
{
    struct peer p;
    struct peer_frame f;
    int32_t status;
    create();
    open_peer(&p);
    call(&p, 5);
    wait_for_calls(1);
    ck_assert_int_eq(calls->kind, QK_PORT_CALL);
    ck_assert_uint_eq(calls->type_id, 11);
    ck_assert_uint_eq(calls->method_id, 22);
    ck_assert_int_eq(calls->deadline_ns, 0);
    ck_assert_uint_eq(calls->key_len, 3);
    ck_assert_mem_eq(qk_port_frame_key(calls), "key", 3);
    ck_assert_uint_eq(calls->payload_len, 7);
    ck_assert_mem_eq(qk_port_frame_payload(calls), "payload", 7);
    ck_assert_uint_eq(stats().in_flight, 1);
    answer(3, "", 100000);
    ck_assert_uint_eq(peer_reply(&p, &status, &f), 5);
    ck_assert_int_eq(status, 3);
    ck_assert_uint_eq(f.payload_len, 100000);
    peer_free(&f);
    ck_assert_uint_eq(stats().in_flight, 0);
    ck_assert_uint_eq(stats().calls, 1);
    peer_close(&p);
    wait_for_clients(0);
}
END_TEST

START_TEST(test_gateway_mends_the_text_of_an_error)
{
    struct peer p;
    struct peer_frame f;
    int32_t status;
    create();
    open_peer(&p);
    peer_call(&p, 5, 11, 22, "key", NULL, 0, true);
    wait_for_calls(1);
    ck_assert_int_eq(calls->kind, QK_PORT_SEND);
    answer(QK_EOVERLOADED, "bad \xc3 text", 0);
    peer_reply(&p, &status, &f);
    ck_assert_int_eq(status, QK_EOVERLOADED);
    ck_assert_str_eq(f.envelope->reply->text, "bad ? text");
    peer_free(&f);
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_hands_on_what_came_together_as_one_chain)
{
    struct peer p;
    create();
    open_peer(&p);
    for (uint64_t id = 1; id <= 100; id++)
        call(&p, id);
    wait_for_calls(100);
    ck_assert_uint_eq(n_chains, 1);
    for (uint64_t id = 1; id <= 100; id++) { /* in the order in which they were sent */
        ck_assert_uint_eq(calls->call_id, id);
        answer(0, "", 0);
    }
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_takes_frames_a_byte_at_a_time)
{
    struct peer p;
    struct peer_frame welcome;
    Quark__Wire__Envelope e = QUARK__WIRE__ENVELOPE__INIT;
    Quark__Wire__Hello hello = QUARK__WIRE__HELLO__INIT;
    uint8_t bytes[256];
    create();
    peer_open(&p, path, pump, NULL);
    hello.version_major = 1;
    e.body_case = QUARK__WIRE__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    size_t n = peer_frame(bytes, &e, NULL, 0);
    for (size_t i = 0; i < n; i++) {
        peer_send(&p, bytes + i, 1);
        pump(NULL);
    }
    ck_assert(peer_receive(&p, &welcome));
    peer_free(&welcome);
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_takes_the_largest_frame)
{
    struct peer p;
    int32_t status;
    uint8_t *payload = calloc(1, QK_PAYLOAD_MAX);
    ck_assert_ptr_nonnull(payload);
    create();
    open_peer(&p);
    for (size_t i = 0; i < QK_PAYLOAD_MAX; i += 1000)
        payload[i] = (uint8_t)(i / 1000);
    call(&p, 1);
    peer_call(&p, 2, 11, 22, "key", payload, QK_PAYLOAD_MAX, false);
    call(&p, 3);
    wait_for_calls(3);
    ck_assert_uint_eq(calls->next->payload_len, QK_PAYLOAD_MAX);
    ck_assert_mem_eq(qk_port_frame_payload(calls->next), payload, QK_PAYLOAD_MAX);
    answer(0, "", 0);
    answer(0, "", QK_PAYLOAD_MAX);
    answer(0, "", 0);
    for (uint64_t id = 1; id <= 3; id++)
        ck_assert_uint_eq(peer_reply(&p, &status, NULL), id);
    peer_close(&p);
    free(payload);
}
END_TEST

START_TEST(test_gateway_passes_administrative_requests)
{
    struct peer p;
    int32_t status;
    create();
    open_peer(&p);
    peer_admin(&p, 9, "what", 4);
    while (admins == NULL)
        pump(NULL);
    ck_assert_uint_eq(admins->payload_len, 4);
    ck_assert_uint_eq(stats().in_flight, 1);
    qk_gateway_deliver(gw, to_reply(admins, 0, "", 4));
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 9);
    peer_close(&p);
}
END_TEST

static void cancel(struct peer *p, uint64_t id)
{
    uint8_t bytes[64];
    Quark__Wire__Envelope e = QUARK__WIRE__ENVELOPE__INIT;
    Quark__Wire__Cancel c = QUARK__WIRE__CANCEL__INIT;
    c.id = id;
    e.body_case = QUARK__WIRE__ENVELOPE__BODY_CANCEL;
    e.cancel = &c;
    peer_send(p, bytes, peer_frame(bytes, &e, NULL, 0));
}

START_TEST(test_gateway_passes_a_cancel)
{
    struct peer p;
    int32_t status;
    create();
    open_peer(&p);
    cancel(&p, 3); /* nothing is in flight: not passed on */
    call(&p, 4);
    cancel(&p, 4);
    call(&p, 5);
    wait_for_calls(2);
    ck_assert_uint_eq(n_cancels, 1);
    ck_assert_uint_eq(last_cancel, 4);
    ck_assert_uint_eq(stats().in_flight, 2);
    answer_all();
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 4);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 5);
    peer_close(&p);
    wait_for_clients(0);
    ck_assert_uint_eq(n_cancels, 1);
}
END_TEST

START_TEST(test_gateway_bounds_cancels)
{
    struct peer p;
    int64_t start = qk_clock_now_ns(NULL) / 1000000000;
    create();
    open_peer(&p);
    call(&p, 1);
    for (int i = 0; i < 5000; i++)
        cancel(&p, 1);
    call(&p, 2);
    wait_for_calls(2);
    ck_assert_uint_ge(n_cancels, 1000);
    ck_assert_int_le(n_cancels, 1000 * (qk_clock_now_ns(NULL) / 1000000000 - start + 1));
    answer_all();
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_answers_after_a_half_close)
{
    struct peer p;
    int32_t status;
    create();
    open_peer(&p);
    call(&p, 1);
    call(&p, 2);
    shutdown(p.fd, SHUT_WR);
    wait_for_calls(2);
    answer(0, "", 0);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 1);
    answer(0, "", 0);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 2);
    peer_expect_end(&p);
    peer_close(&p);
    wait_for_clients(0);
}
END_TEST

START_TEST(test_gateway_drops_replies_of_a_client_that_went)
{
    struct peer p;
    create();
    open_peer(&p);
    for (uint64_t id = 1; id <= 1000; id++)
        call(&p, id);
    wait_for_calls(1000);
    peer_close(&p);
    wait_for_clients(0);
    ck_assert_uint_eq(stats().in_flight, 1000);
    ck_assert_uint_eq(n_cancels, 1); /* of all its calls */
    ck_assert_uint_eq(last_cancel, 0);
    answer_all();
    ck_assert_uint_eq(stats().in_flight, 0);
}
END_TEST

START_TEST(test_gateway_tells_clients_of_the_end)
{
    struct peer p;
    struct peer_frame f;
    int32_t status;
    create();
    open_peer(&p);
    call(&p, 1);
    wait_for_calls(1);
    qk_gateway_drain(gw);
    qk_gateway_drain(gw);
    ck_assert(peer_receive(&p, &f));
    ck_assert_int_eq(f.envelope->body_case, QUARK__WIRE__ENVELOPE__BODY_GO_AWAY);
    ck_assert_int_eq(f.envelope->go_away->status, QK_EUNAVAILABLE);
    peer_free(&f);
    call(&p, 2);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 2);
    ck_assert_int_eq(status, QK_EUNAVAILABLE);
    answer(0, "", 0);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 1);
    ck_assert_int_eq(status, 0);
    ck_assert(qk_gateway_is_flushed(gw));
    peer_close(&p);
}
END_TEST

/* ---- the wrong */

static void send_raw(struct peer *p, uint32_t envelope, uint32_t payload, const void *bytes, size_t size)
{
    uint8_t head[8] = {(uint8_t)envelope,         (uint8_t)(envelope >> 8), (uint8_t)(envelope >> 16),
                       (uint8_t)(envelope >> 24), (uint8_t)payload,         (uint8_t)(payload >> 8),
                       (uint8_t)(payload >> 16),  (uint8_t)(payload >> 24)};
    peer_send(p, head, sizeof(head));
    peer_send(p, bytes, size);
}

START_TEST(test_gateway_refuses_sizes_past_their_bounds)
{
    static const uint32_t sizes[][2] = {
        {0, 0}, {QK_ENVELOPE_MAX + 1, 0}, {1, QK_PAYLOAD_MAX + 1}, {UINT32_MAX, UINT32_MAX}, {UINT32_MAX, 0}};
    create();
    for (int i = 0; i < 5; i++) {
        struct peer p;
        open_peer(&p);
        send_raw(&p, sizes[i][0], sizes[i][1], "", 0);
        peer_expect_go_away(&p, QK_EPROTOCOL);
        peer_close(&p);
    }
    ck_assert_uint_eq(stats().broken, 5);
    ck_assert_uint_eq(n_lines, 5);
    ck_assert_str_eq(last_code, "QK0612");
    wait_for_clients(0);
}
END_TEST

START_TEST(test_gateway_ends_garbage_and_answers_what_came_before)
{
    struct peer p;
    int32_t status;
    create();
    open_peer(&p);
    call(&p, 1);
    send_raw(&p, 4, 0, "\xff\xff\xff\xff", 4);
    call(&p, 2);
    wait_for_calls(1);
    peer_expect_go_away(&p, QK_EPROTOCOL);
    peer_close(&p);
    open_peer(&p); /* others go on */
    call(&p, 3);
    wait_for_calls(2);
    answer_all();
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 3);
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_wants_hello_first_and_once)
{
    struct peer p;
    create();
    peer_open(&p, path, pump, NULL);
    call(&p, 1);
    peer_expect_go_away(&p, QK_EPROTOCOL);
    peer_close(&p);
    open_peer(&p);
    peer_hello(&p, 1);
    peer_expect_go_away(&p, QK_EPROTOCOL);
    peer_close(&p);
    ck_assert_uint_eq(n_calls, 0);
}
END_TEST

START_TEST(test_gateway_refuses_another_version)
{
    struct peer p;
    create();
    peer_open(&p, path, pump, NULL);
    peer_hello(&p, 2);
    peer_expect_go_away(&p, QK_EVERSION);
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_refuses_an_id_of_zero)
{
    struct peer p;
    create();
    open_peer(&p);
    call(&p, 0);
    peer_expect_go_away(&p, QK_EPROTOCOL);
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_refuses_bad_keys_with_a_reply)
{
    char longest[QK_KEY_MAX + 2];
    const char *bad[] = {"", "\xff", longest};
    struct peer p;
    int32_t status;
    create();
    open_peer(&p);
    memset(longest, 'k', sizeof(longest));
    longest[QK_KEY_MAX + 1] = 0;
    for (int i = 0; i < 3; i++) {
        peer_call(&p, 7, 1, 1, bad[i], NULL, 0, false);
        ck_assert_uint_eq(peer_reply(&p, &status, NULL), 7);
        ck_assert_int_eq(status, QK_EINVALID);
    }
    longest[QK_KEY_MAX] = 0;
    peer_call(&p, 8, 1, 1, longest, NULL, 0, false);
    wait_for_calls(1);
    ck_assert_uint_eq(calls->key_len, QK_KEY_MAX);
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_survives_cut_frames)
{
    create();
    for (size_t cut = 1; cut < 40; cut += 3) {
        struct peer p;
        uint8_t bytes[64];
        memset(bytes, 8, sizeof(bytes));
        open_peer(&p);
        bytes[0] = 20;
        bytes[1] = bytes[2] = bytes[3] = bytes[6] = bytes[7] = 0;
        peer_send(&p, bytes, cut < 28 ? cut : 27);
        peer_close(&p);
    }
    wait_for_clients(0);
    ck_assert_uint_eq(n_calls, 0);
}
END_TEST

/* ---- the late and the slow */

START_TEST(test_gateway_closes_who_says_nothing)
{
    struct peer p;
    config.hello_ms = 1;
    create();
    peer_open(&p, path, pump, NULL);
    peer_expect_go_away(&p, QK_ETIMEDOUT);
    peer_close(&p);
    wait_for_clients(0);
}
END_TEST

START_TEST(test_gateway_stops_reading_at_the_bound_of_calls)
{
    struct peer p;
    int32_t status;
    config.in_flight_max = 10;
    create();
    open_peer(&p);
    for (uint64_t id = 1; id <= 200; id++)
        call(&p, id);
    for (int i = 0; i < 20; i++)
        pump(NULL);
    ck_assert_uint_eq(n_calls, 10);
    for (uint64_t id = 1; id <= 200; id++) {
        while (n_calls == 0)
            pump(NULL);
        ck_assert_uint_le(stats().in_flight, 10);
        answer(0, "", 0);
        ck_assert_uint_eq(peer_reply(&p, &status, NULL), id);
    }
    peer_close(&p);
}
END_TEST

/* Sends calls until the silo takes no more of them. */
static unsigned fill_up(struct peer *p)
{
    uint8_t frame[256];
    Quark__Wire__Envelope e = QUARK__WIRE__ENVELOPE__INIT;
    Quark__Wire__Call c = QUARK__WIRE__CALL__INIT;
    c.id = 1;
    c.key.data = (uint8_t *)"k";
    c.key.len = 1;
    e.body_case = QUARK__WIRE__ENVELOPE__BODY_CALL;
    e.call = &c;
    size_t n = peer_frame(frame, &e, NULL, 0);
    unsigned sent = 0;
    for (int idle = 0; idle < 50;) {
        ssize_t rc = send(p->fd, frame, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (rc == (ssize_t)n) {
            sent++;
            idle = 0;
            continue;
        }
        if (rc >= 0 || errno != EAGAIN)
            break;
        qk_loop_poll(loop, 0);
        while (calls != NULL)
            answer(0, "", 10000);
        idle++;
    }
    return sent;
}

START_TEST(test_gateway_stops_reading_who_does_not_read)
{
    struct peer p;
    int32_t status;
    config.output_max = 1 << 20;
    create();
    open_peer(&p);
    unsigned sent = fill_up(&p);
    ck_assert_uint_gt(sent, 100);
    ck_assert_uint_eq(stats().cut, 0);
    for (unsigned i = 0; i < sent; i++) { /* it reads after all: nothing is lost */
        while (calls != NULL)
            answer(0, "", 100);
        peer_reply(&p, &status, NULL);
    }
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_cuts_off_who_never_reads)
{
    struct peer p;
    config.output_max = 1 << 20;
    config.stall_ms = 20;
    create();
    open_peer(&p);
    fill_up(&p);
    while (stats().clients != 0)
        pump(NULL);
    ck_assert_uint_eq(stats().cut, 1);
    ck_assert_str_eq(last_code, "QK0613");
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_cuts_off_at_the_bound_of_unread_replies)
{
    struct peer p;
    config.unread_max = 3 << 20;
    create();
    open_peer(&p);
    call(&p, 1);
    call(&p, 2);
    wait_for_calls(2);
    answer(0, "", 2 << 20);
    ck_assert_uint_eq(stats().clients, 1);
    answer(0, "", 2 << 20);
    wait_for_clients(0);
    ck_assert_uint_eq(stats().cut, 1);
    peer_close(&p);
}
END_TEST

/* ---- too many, and the forbidden */

START_TEST(test_gateway_bounds_the_number_of_clients)
{
    struct peer p[4];
    config.clients_max = 3;
    create();
    for (int i = 0; i < 3; i++)
        open_peer(&p[i]);
    peer_open(&p[3], path, pump, NULL);
    peer_expect_go_away(&p[3], QK_EUNAVAILABLE);
    peer_close(&p[3]);
    peer_close(&p[0]);
    wait_for_clients(2);
    open_peer(&p[0]);
    ck_assert_uint_eq(stats().refused, 1);
    for (int i = 0; i < 3; i++)
        peer_close(&p[i]);
}
END_TEST

START_TEST(test_gateway_bounds_connections_that_went_with_calls)
{
    config.clients_max = 2;
    create();
    for (int i = 0; i < 8; i++) { /* four for each client that may be there */
        struct peer p;
        open_peer(&p);
        call(&p, 1);
        wait_for_calls((unsigned)i + 1);
        peer_close(&p);
        wait_for_clients(0);
    }
    struct peer p;
    peer_open(&p, path, pump, NULL);
    peer_expect_go_away(&p, QK_EUNAVAILABLE);
    peer_close(&p);
    answer_all();
    open_peer(&p);
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_refuses_who_may_not_call)
{
    struct peer p;
    uid_t me = geteuid(), other = me + 1;
    gid_t group = getegid();
    struct qk_gateway_access access = {.uids = &other, .n_uids = 1};
    config.listed_only = true;
    create();
    peer_open(&p, path, pump, NULL);
    peer_expect_go_away(&p, QK_EDENIED);
    peer_close(&p);
    ck_assert_str_eq(last_code, "QK0611");
    ck_assert_int_eq(qk_gateway_set_access(gw, &access, 10), 0);
    peer_open(&p, path, pump, NULL);
    peer_expect_go_away(&p, QK_EDENIED);
    peer_close(&p);
    access = (struct qk_gateway_access){.uids = &me, .n_uids = 1};
    ck_assert_int_eq(qk_gateway_set_access(gw, &access, 10), 0);
    open_peer(&p);
    peer_close(&p);
    access = (struct qk_gateway_access){.gids = &group, .n_gids = 1};
    ck_assert_int_eq(qk_gateway_set_access(gw, &access, 10), 0);
    open_peer(&p);
    peer_close(&p);
    ck_assert_uint_eq(stats().refused, 2);
}
END_TEST

START_TEST(test_gateway_knows_supplementary_groups)
{
    struct peer p;
    gid_t groups[128], wanted = 54321, before[256];
    struct qk_gateway_access access = {.gids = &wanted, .n_gids = 1};
    if (geteuid() != 0)
        return; /* only root can be in a group of its choice */
    int n_before = getgroups(256, before);
    ck_assert_int_ge(n_before, 0);
    config.listed_only = true;
    config.access = access;
    create();
    for (int i = 0; i < 128; i++)
        groups[i] = (gid_t)(60000 + i);
    ck_assert_int_eq(setgroups(128, groups), 0);
    peer_open(&p, path, pump, NULL);
    peer_expect_go_away(&p, QK_EDENIED);
    peer_close(&p);
    groups[100] = wanted;
    ck_assert_int_eq(setgroups(128, groups), 0);
    open_peer(&p);
    peer_close(&p);
    ck_assert_int_eq(setgroups((size_t)n_before, before), 0);
}
END_TEST

START_TEST(test_gateway_waits_for_descriptors)
{
    struct peer p;
    struct rlimit before, none;
    create();
    pump(NULL);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    peer_open(&p, path, pump, NULL);
    int lowest = dup(p.fd);
    ck_assert_int_ge(lowest, 0);
    close(lowest);
    none = before;
    none.rlim_cur = (rlim_t)lowest;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 50 && n_lines == 0; i++)
        pump(NULL);
    int polls = 0;
    for (int i = 0; i < 1000; i++)
        polls += qk_loop_poll(loop, 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_uint_ge(n_lines, 1);
    ck_assert_str_eq(last_code, "QK0614");
    ck_assert_int_lt(polls, 500); /* it does not spin */
    peer_greet(&p);
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_bounds_its_log_lines)
{
    int64_t start = qk_clock_now_ns(NULL) / 1000000000;
    config.listed_only = true;
    create();
    for (int i = 0; i < 50; i++) {
        struct peer p;
        peer_open(&p, path, pump, NULL);
        peer_expect_go_away(&p, QK_EDENIED);
        peer_close(&p);
    }
    int64_t seconds = qk_clock_now_ns(NULL) / 1000000000 - start + 1;
    ck_assert_int_le(n_lines, 11 * seconds);
    ck_assert_uint_eq(stats().refused, 50);
}
END_TEST

/* ---- several threads */

#define THREADS    3
#define PER_THREAD 20000

static struct qk_port_frame *shares[THREADS];

static void deliver_share(void *arg)
{
    struct qk_port_frame *chain = *(struct qk_port_frame **)arg;
    while (chain != NULL) { /* in chains of a few, as workers do */
        struct qk_port_frame *part = chain;
        for (int i = 0; i < 16 && chain->next != NULL; i++)
            chain = chain->next;
        struct qk_port_frame *rest = chain->next;
        chain->next = NULL;
        chain = rest;
        qk_gateway_deliver(gw, part);
    }
}

START_TEST(test_gateway_delivers_from_several_threads)
{
    struct peer p[2];
    struct qk_thread *threads[THREADS];
    bool *seen[2];
    create();
    for (int c = 0; c < 2; c++) {
        open_peer(&p[c]);
        seen[c] = calloc(THREADS * PER_THREAD + 1, sizeof(bool));
        ck_assert_ptr_nonnull(seen[c]);
    }
    for (uint64_t id = 1; id <= THREADS * PER_THREAD / 2; id++) {
        call(&p[0], id);
        call(&p[1], id);
    }
    wait_for_calls(THREADS * PER_THREAD);
    for (int t = 0; t < THREADS; t++) {
        struct qk_port_frame **last = &shares[t];
        for (int i = 0; i < PER_THREAD; i++) {
            *last = to_reply(take_call(), 0, "", 20);
            last = &(*last)->next;
        }
    }
    for (int t = 0; t < THREADS; t++)
        ck_assert_int_eq(qk_thread_start("deliver", -1, deliver_share, &shares[t], &threads[t]), 0);
    for (int i = 0; i < THREADS * PER_THREAD; i++) {
        int c = i % 2;
        int32_t status;
        uint64_t id = peer_reply(&p[c], &status, NULL);
        ck_assert_uint_le(id, THREADS * PER_THREAD / 2);
        ck_assert(!seen[c][id]);
        seen[c][id] = true;
    }
    for (int t = 0; t < THREADS; t++)
        qk_thread_join(threads[t]);
    ck_assert_uint_eq(stats().in_flight, 0);
    for (int c = 0; c < 2; c++) {
        free(seen[c]);
        peer_close(&p[c]);
    }
}
END_TEST

static TCase *ordinary(void)
{
    TCase *tc = tcase_create("ordinary");
    tcase_add_test(tc, test_gateway_passes_a_call_and_its_reply);
    tcase_add_test(tc, test_gateway_mends_the_text_of_an_error);
    tcase_add_test(tc, test_gateway_hands_on_what_came_together_as_one_chain);
    tcase_add_test(tc, test_gateway_takes_frames_a_byte_at_a_time);
    tcase_add_test(tc, test_gateway_takes_the_largest_frame);
    tcase_add_test(tc, test_gateway_passes_administrative_requests);
    tcase_add_test(tc, test_gateway_passes_a_cancel);
    tcase_add_test(tc, test_gateway_bounds_cancels);
    tcase_add_test(tc, test_gateway_answers_after_a_half_close);
    tcase_add_test(tc, test_gateway_drops_replies_of_a_client_that_went);
    tcase_add_test(tc, test_gateway_tells_clients_of_the_end);
    tcase_add_test(tc, test_gateway_delivers_from_several_threads);
    return tc;
}

static TCase *wrong(void)
{
    TCase *tc = tcase_create("wrong");
    tcase_add_test(tc, test_gateway_refuses_sizes_past_their_bounds);
    tcase_add_test(tc, test_gateway_ends_garbage_and_answers_what_came_before);
    tcase_add_test(tc, test_gateway_wants_hello_first_and_once);
    tcase_add_test(tc, test_gateway_refuses_another_version);
    tcase_add_test(tc, test_gateway_refuses_an_id_of_zero);
    tcase_add_test(tc, test_gateway_refuses_bad_keys_with_a_reply);
    tcase_add_test(tc, test_gateway_survives_cut_frames);
    return tc;
}

static TCase *slow(void)
{
    TCase *tc = tcase_create("slow");
    tcase_add_test(tc, test_gateway_closes_who_says_nothing);
    tcase_add_test(tc, test_gateway_stops_reading_at_the_bound_of_calls);
    tcase_add_test(tc, test_gateway_stops_reading_who_does_not_read);
    tcase_add_test(tc, test_gateway_cuts_off_who_never_reads);
    tcase_add_test(tc, test_gateway_cuts_off_at_the_bound_of_unread_replies);
    return tc;
}

static TCase *forbidden(void)
{
    TCase *tc = tcase_create("forbidden");
    tcase_add_test(tc, test_gateway_bounds_the_number_of_clients);
    tcase_add_test(tc, test_gateway_bounds_connections_that_went_with_calls);
    tcase_add_test(tc, test_gateway_refuses_who_may_not_call);
    tcase_add_test(tc, test_gateway_knows_supplementary_groups);
    tcase_add_test(tc, test_gateway_waits_for_descriptors);
    tcase_add_test(tc, test_gateway_bounds_its_log_lines);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("gateway");
    TCase *cases[] = {ordinary(), wrong(), slow(), forbidden()};
    for (int i = 0; i < 4; i++) {
        tcase_add_checked_fixture(cases[i], setup, teardown);
        suite_add_tcase(suite, cases[i]);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
