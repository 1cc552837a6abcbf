/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls: waiting and not waiting, replies in any order and in pieces, bounds, time-outs, what callbacks may do. */
#include "silo.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "internal.h"
#include "wire/spans.h"

#define PARENT "00-0123456789abcdef0123456789abcdef-00000000000000aa-01"

static struct silo silo;
static struct qk_client *client;
static struct frame frame;

static void setup(void)
{
    silo_open(&silo);
    client = silo_connected(&silo);
}

static void setup_echo(void)
{
    silo_open(&silo);
    client = silo_client(&silo);
    silo_run(&silo, silo_echo);
    ck_assert_int_eq(qk_client_connect(client), 0);
}

static void teardown(void)
{
    silo_end_client(client);
    silo_close(&silo);
}

static void teardown_echo(void)
{
    silo_end_client(client);
    silo_join(&silo);
    silo_close(&silo);
}

/* The id of the next frame, which must be a call. */
static uint64_t next_call(void)
{
    ck_assert(silo_read(silo.fd, &frame));
    ck_assert_int_eq(frame.envelope->body_case, QUARK__WIRE__ENVELOPE__BODY_CALL);
    uint64_t id = frame.envelope->call->id;
    frame_free(&frame);
    return id;
}

START_TEST(test_calls_wait_for_the_reply)
{
    struct qk_call_target target = target_of("alice");
    struct qk_reply reply;
    ck_assert_int_eq(qk_client_call(client, &target, (const uint8_t *)"hello", 5, &reply), 0);
    ck_assert_uint_eq(reply.size, 5);
    ck_assert_mem_eq(reply.data, "hello", 5);
    ck_assert_str_eq(reply.text, "");
    ck_assert_int_eq(qk_client_call(client, &target, NULL, 0, NULL), 0);
    ck_assert_int_eq(qk_client_admin(client, (const uint8_t *)"status", 6, 0, &reply), 0);
    ck_assert_mem_eq(reply.data, "status", 6);
}
END_TEST

/* The context of the next call, which must have one. */
static void expect_context(const char *parent, const char *text)
{
    char got[512] = "";
    size_t n = 0;
    ck_assert(silo_read(silo.fd, &frame));
    const Quark__Wire__Context *c = frame.envelope->call->context;
    for (size_t i = 0; c != NULL && i < c->n_entries; i++)
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s=%s;", c->entries[i]->name, c->entries[i]->value);
    ck_assert_str_eq(got, text);
    ck_assert_str_eq(c != NULL ? c->traceparent : "", parent);
    frame_free(&frame);
}

START_TEST(test_calls_carry_context)
{
    struct seen seen = {0};
    ck_assert_int_eq(qk_client_set_context(client, "tenant", "7"), 0);
    ck_assert_int_eq(qk_client_set_context(client, "correlation-id", "c"), 0);
    ck_assert_int_eq(qk_client_add_context(client, "tenant", "8"), 0);
    ck_assert_int_eq(qk_client_add_context(client, "traceparent", PARENT), 0);
    begin(client, "a", &seen);
    begin(client, "b", &seen);
    ck_assert_int_eq(qk_client_set_context(client, "tenant", NULL), 0);
    begin(client, "c", &seen);
    ck_assert_int_eq(qk_client_set_context(client, "correlation-id", NULL), 0);
    begin(client, "d", &seen);
    poll_now(client);
    expect_context(PARENT, "tenant=8;correlation-id=c;");
    expect_context("", "tenant=7;correlation-id=c;");
    expect_context("", "correlation-id=c;");
    expect_context("", "");
}
END_TEST

static void add_method(void *arg, const struct qk_client_span *span)
{
    char *text = arg;
    size_t n = strlen(text);
    snprintf(text + n, 64 - n, "%u %s/%s %s;", span->parent, span->type, span->key, span->method);
}

/* Sends a recording of two spans, the second caused by `parent`. */
static void send_trace(uint64_t id, uint32_t parent)
{
    Quark__Wire__Envelope envelope = QUARK__WIRE__ENVELOPE__INIT;
    Quark__Wire__Trace trace = QUARK__WIRE__TRACE__INIT;
    uint8_t bytes[256], *end = bytes;
    struct qk_span span = {.type = "t", .key = "a", .key_len = 1, .method = "M"};
    end = qk_spans_put(end, &span);
    span.parent = parent;
    end = qk_spans_put(end, &span);
    end = qk_spans_put_end(end, 3, (const uint8_t *)"0123456789abcdef");
    envelope.body_case = QUARK__WIRE__ENVELOPE__BODY_TRACE;
    envelope.trace = &trace;
    trace.id = id;
    silo_send(silo.fd, &envelope, bytes, (size_t)(end - bytes));
}

START_TEST(test_calls_are_recorded)
{
    struct seen seen = {0};
    char text[64] = "";
    struct qk_client_recording recording;
    qk_client_record(client);
    begin(client, "a", &seen);
    begin(client, "b", &seen);
    poll_now(client);
    ck_assert(silo_read(silo.fd, &frame));
    uint64_t id = frame.envelope->call->id;
    ck_assert(frame.envelope->call->context->record);
    frame_free(&frame);
    ck_assert(silo_read(silo.fd, &frame));
    uint64_t second = frame.envelope->call->id;
    ck_assert_ptr_null(frame.envelope->call->context);
    frame_free(&frame);
    ck_assert_int_eq(qk_client_visit_spans(client, add_method, text, &recording), QK_ENOTFOUND);
    send_trace(id, 1);
    silo_reply(silo.fd, id, 0, "", false, NULL, 0);
    ck_assert_int_eq(qk_client_poll(client, -1), 1);
    ck_assert_int_eq(qk_client_visit_spans(client, add_method, text, &recording), 0);
    ck_assert_str_eq(text, "0 t/a M;1 t/a M;");
    ck_assert_uint_eq(recording.left_out, 3);
    ck_assert_str_eq(recording.trace_id, "30313233343536373839616263646566");
    /* It goes with the next reply. */
    silo_reply(silo.fd, second, 0, "", false, NULL, 0);
    ck_assert_int_eq(qk_client_poll(client, -1), 1);
    ck_assert_int_eq(qk_client_visit_spans(client, add_method, text, NULL), QK_ENOTFOUND);
    /* A child before its parent; then a recording of nothing that is in flight. */
    qk_client_record(client);
    begin(client, "a", &seen);
    poll_now(client);
    id = next_call();
    send_trace(id, 2);
    silo_reply(silo.fd, id, 0, "", false, NULL, 0);
    ck_assert_int_eq(qk_client_poll(client, -1), 1);
    ck_assert_int_eq(qk_client_visit_spans(client, add_method, text, NULL), QK_EPROTOCOL);
    send_trace(id, 1);
    ck_assert_int_eq(qk_client_poll(client, -1), QK_EPROTOCOL);
}
END_TEST

START_TEST(test_calls_bound_context)
{
    char name[16], value[QK_CONTEXT_BYTES_MAX + 1];
    struct qk_call_target target = target_of("a");
    ck_assert_int_eq(qk_client_set_context(client, "Tenant", "7"), QK_EINVALID);
    ck_assert_int_eq(qk_client_set_context(client, "traceparent", "7"), QK_EINVALID);
    ck_assert_str_eq(qk_client_error(client), QK_CONTEXT_WRONG_PARENT);
    ck_assert_int_eq(qk_client_set_context(client, NULL, "7"), QK_EINVALID);
    ck_assert_int_eq(qk_client_add_context(client, "tenant", NULL), QK_EINVALID);
    for (int i = 0; i < QK_CONTEXT_ENTRIES_MAX; i++) {
        snprintf(name, sizeof(name), "e%d", i);
        ck_assert_int_eq(qk_client_set_context(client, name, ""), 0);
    }
    ck_assert_int_eq(qk_client_set_context(client, "more", ""), QK_ETOOBIG);
    ck_assert_int_eq(qk_client_set_context(client, "traceparent", PARENT), 0);
    ck_assert_int_eq(qk_client_add_context(client, "more", ""), 0);
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, NULL, NULL), QK_ETOOBIG);
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, NULL, NULL), 0); /* that one is through */
    memset(value, 'v', sizeof(value));
    value[QK_CONTEXT_BYTES_MAX] = '\0';
    ck_assert_int_eq(qk_client_add_context(client, "x", value), QK_ETOOBIG);
    ck_assert_int_eq(qk_client_add_context(client, "x", value + 1), 0);
}
END_TEST

START_TEST(test_calls_of_every_size)
{
    struct qk_call_target target = target_of("alice");
    uint8_t *bytes = malloc(QK_PAYLOAD_MAX + 1);
    for (size_t i = 0; i <= QK_PAYLOAD_MAX; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    struct qk_reply reply;
    static const size_t sizes[] = {1, 4095, 65536, 262135, 262144, 1 << 20, QK_PAYLOAD_MAX, 3, QK_PAYLOAD_MAX - 1};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        ck_assert_int_eq(qk_client_call(client, &target, bytes, sizes[i], &reply), 0);
        ck_assert_uint_eq(reply.size, sizes[i]);
        ck_assert_int_eq(memcmp(reply.data, bytes, sizes[i]), 0);
    }
    ck_assert_int_eq(qk_client_call(client, &target, bytes, QK_PAYLOAD_MAX + 1, &reply), QK_ETOOBIG);
    ck_assert(!reply.may_have_run);
    free(bytes);
}
END_TEST

START_TEST(test_calls_a_thousand_in_flight)
{
    struct seen *seen = calloc(1000, sizeof(*seen));
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 1000; i++)
            begin(client, "counter", &seen[i]);
        ck_assert_uint_eq(qk_client_in_flight(client), 1000);
        ck_assert_int_eq(qk_client_drain(client, -1), 0);
    }
    for (int i = 0; i < 1000; i++)
        ck_assert(seen[i].calls == 20 && seen[i].status == 0 && seen[i].first == 'c');
    free(seen);
}
END_TEST

START_TEST(test_calls_say_what_they_ask)
{
    struct seen seen = {0};
    struct qk_call_target target = target_of("gr\xc3\xbc\xc3\x9f");
    target.one_way = true;
    target.timeout_ms = 1234;
    ck_assert_int_eq(qk_client_begin(client, &target, (const uint8_t *)"xy", 2, seen_reply, &seen), 0);
    ck_assert(qk_client_wants_write(client));
    ck_assert_int_eq(poll_now(client), 0);
    ck_assert(!qk_client_wants_write(client));
    ck_assert(silo_read(silo.fd, &frame));
    Quark__Wire__Call *call = frame.envelope->call;
    ck_assert_uint_eq(call->type_id, target.type_id);
    ck_assert_uint_eq(call->method_id, target.method_id);
    ck_assert_uint_eq(call->timeout_ms, 1234);
    ck_assert(call->one_way);
    ck_assert_uint_ne(call->id, 0);
    ck_assert_uint_eq(call->key.len, 6);
    ck_assert_mem_eq(frame.payload, "xy", 2);
    frame_free(&frame);
    begin(client, "k", &seen);
    poll_now(client);
    ck_assert(silo_read(silo.fd, &frame));
    ck_assert_uint_eq(frame.envelope->call->timeout_ms, 10000);
    frame_free(&frame);
}
END_TEST

START_TEST(test_calls_replies_in_any_order)
{
    struct seen seen[5] = {{0}};
    uint64_t ids[5];
    static const int order[] = {3, 0, 4, 2, 1};
    for (int i = 0; i < 5; i++)
        begin(client, "k", &seen[i]);
    poll_now(client);
    for (int i = 0; i < 5; i++)
        ids[i] = next_call();
    for (int i = 0; i < 5; i++) {
        uint8_t byte = (uint8_t)order[i];
        silo_reply(silo.fd, ids[order[i]], order[i], "", false, &byte, 1);
        ck_assert_int_eq(qk_client_poll(client, -1), 1);
        ck_assert_int_eq(seen[order[i]].calls, 1);
        ck_assert_int_eq(seen[order[i]].status, order[i]);
        ck_assert_int_eq(seen[order[i]].first, order[i]);
    }
    ck_assert_uint_eq(qk_client_in_flight(client), 0);
}
END_TEST

START_TEST(test_calls_errors_have_texts)
{
    struct seen seen = {0};
    begin(client, "a", &seen);
    begin(client, "b", &seen);
    poll_now(client);
    uint64_t first = next_call(), second = next_call();
    silo_reply(silo.fd, first, QK_APP(7), "the account is empty", true, NULL, 0);
    ck_assert_int_eq(qk_client_poll(client, -1), 1);
    ck_assert_int_eq(seen.status, QK_APP(7));
    ck_assert_str_eq(seen.text, "the account is empty");
    ck_assert(seen.may_have_run);
    silo_reply(silo.fd, second, QK_EOVERLOADED, "", false, NULL, 0);
    ck_assert_int_eq(qk_client_poll(client, -1), 1);
    ck_assert_str_eq(seen.text, qk_status_text(QK_EOVERLOADED));
    ck_assert(!seen.may_have_run);
}
END_TEST

START_TEST(test_calls_longest_text)
{
    static char text[4080];
    memset(text, 't', sizeof(text) - 1);
    struct seen seen = {0};
    begin(client, "a", &seen);
    poll_now(client);
    silo_reply(silo.fd, next_call(), QK_APP(1), text, false, NULL, 0);
    ck_assert_int_eq(qk_client_poll(client, -1), 1);
    ck_assert_uint_eq(strlen(client->reply_text), sizeof(text) - 1);
}
END_TEST

/* Every cut of the bytes of three replies. */
START_TEST(test_calls_replies_in_pieces)
{
    size_t total = 1;
    for (size_t cut = 0; cut < total; cut++) {
        struct seen seen[3] = {{0}};
        uint8_t all[512];
        total = 0;
        for (int i = 0; i < 3; i++)
            begin(client, "k", &seen[i]);
        poll_now(client);
        for (int i = 0; i < 3; i++) {
            uint8_t *bytes;
            size_t n = reply_bytes(next_call(), i == 1 ? QK_APP(1) : 0, i == 1 ? "no" : "", false, "0123456789",
                                   (size_t)i * 5, &bytes);
            memcpy(all + total, bytes, n);
            total += n;
            free(bytes);
        }
        silo_write(silo.fd, all, cut);
        poll_now(client);
        silo_write(silo.fd, all + cut, total - cut);
        poll_now(client);
        ck_assert(seen[0].calls == 1 && seen[0].size == 0);
        ck_assert(seen[1].calls == 1 && seen[1].status == QK_APP(1) && strcmp(seen[1].text, "no") == 0);
        ck_assert(seen[2].calls == 1 && seen[2].size == 10 && seen[2].first == '0');
    }
}
END_TEST

START_TEST(test_calls_invalid_keys)
{
    char key[QK_KEY_MAX + 1];
    memset(key, 'k', sizeof(key));
    struct qk_call_target target = target_of("");
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, NULL, NULL), QK_EINVALID);
    target.ref = qk_ref(NULL);
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, NULL, NULL), QK_EINVALID);
    target.ref = qk_ref("\xed\xa0\x80");
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, NULL, NULL), QK_EINVALID);
    ck_assert_str_eq(qk_client_error(client), "the key is not UTF-8 without a zero byte");
    target.ref = qk_ref_bytes("a\0b", 3);
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, NULL, NULL), QK_EINVALID);
    target.ref = qk_ref_bytes(key, QK_KEY_MAX + 1);
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, NULL, NULL), QK_EINVALID);
    target.ref = qk_ref_bytes(key, QK_KEY_MAX);
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, NULL, NULL), 0);
    ck_assert_uint_eq(qk_client_in_flight(client), 1);
}
END_TEST

START_TEST(test_calls_bound_in_flight)
{
    static struct seen seen;
    struct qk_call_target target = target_of("k");
    seen.calls = 0;
    for (int i = 0; i < QK_CLIENT_CALLS_MAX; i++)
        begin(client, "k", &seen);
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, seen_reply, &seen), QK_EOVERLOADED);
    ck_assert_uint_eq(qk_client_in_flight(client), QK_CLIENT_CALLS_MAX);
    silo_reply(silo.fd, next_call(), 0, "", false, NULL, 0);
    ck_assert_int_eq(qk_client_poll(client, -1), 1);
    begin(client, "k", &seen);
    ck_assert_int_eq(seen.calls, 1);
}
END_TEST

START_TEST(test_calls_bound_of_the_silo)
{
    struct seen seen = {0};
    struct qk_call_target target = target_of("k");
    qk_client_destroy(client);
    silo.in_flight_max = 3;
    client = silo_connected(&silo);
    for (int i = 0; i < 3; i++)
        begin(client, "k", &seen);
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, seen_reply, &seen), QK_EOVERLOADED);
}
END_TEST

static int read_and_answer;

static void answer_all(struct silo *s)
{
    while (read_and_answer-- > 0) {
        struct frame f;
        if (!silo_read(s->fd, &f))
            abort();
        silo_reply(s->fd, f.envelope->call->id, 0, "", false, NULL, 0);
        frame_free(&f);
    }
}

START_TEST(test_calls_silo_that_does_not_read)
{
    struct seen seen = {0};
    struct qk_call_target target = target_of("k");
    uint8_t *megabyte = calloc(1, 1 << 20);
    int begun = 0, rc;
    while ((rc = qk_client_begin(client, &target, megabyte, 1 << 20, seen_reply, &seen)) == 0)
        begun++;
    ck_assert_int_eq(rc, QK_EOVERLOADED);
    ck_assert_int_ge(begun, QK_CLIENT_PENDING_MAX >> 20);
    ck_assert_int_le(begun, (QK_CLIENT_PENDING_MAX >> 20) + 8);
    ck_assert_uint_le(qk_buffer_pending(&client->out), QK_CLIENT_PENDING_MAX);
    ck_assert_uint_le(client->out.capacity, 4 * QK_CLIENT_PENDING_MAX);
    read_and_answer = begun;
    silo_run(&silo, answer_all);
    ck_assert_int_eq(qk_client_drain(client, -1), 0);
    silo_join(&silo);
    ck_assert_int_eq(seen.calls, begun);
    ck_assert_uint_le(client->out.capacity, 4 * QK_CLIENT_BUFFER_SIZE);
    free(megabyte);
}
END_TEST

START_TEST(test_calls_time_out_here_too)
{
    struct seen seen = {0}, later = {0};
    begin(client, "k", &seen);
    poll_now(client);
    uint64_t id = next_call();
    silo.now_ms += 10000;
    begin(client, "k", &later);
    ck_assert_int_eq(poll_now(client), 0);
    silo.now_ms += QK_CLIENT_GRACE_MS - 1;
    ck_assert_int_eq(poll_now(client), 0);
    silo.now_ms++;
    ck_assert_int_eq(poll_now(client), 1);
    ck_assert_int_eq(seen.calls, 1);
    ck_assert_int_eq(seen.status, QK_ETIMEDOUT);
    ck_assert(seen.may_have_run);
    ck_assert_int_eq(later.calls, 0);
    poll_now(client);
    next_call();
    ck_assert(silo_read(silo.fd, &frame));
    ck_assert_int_eq(frame.envelope->body_case, QUARK__WIRE__ENVELOPE__BODY_CANCEL);
    ck_assert_uint_eq(frame.envelope->cancel->id, id);
    frame_free(&frame);
    /* The silo may still reply, once. */
    silo_reply(silo.fd, id, 0, "", false, NULL, 0);
    ck_assert_int_eq(poll_now(client), 0);
    ck_assert_int_eq(seen.calls, 1);
    silo_reply(silo.fd, id, 0, "", false, NULL, 0);
    ck_assert_int_eq(poll_now(client), QK_EPROTOCOL);
    ck_assert_int_eq(later.status, QK_EDISCONNECTED);
}
END_TEST

START_TEST(test_calls_late_reply_is_not_the_next_calls)
{
    struct seen first = {0}, second = {0};
    struct qk_call_target target = target_of("k");
    target.timeout_ms = 5;
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, seen_reply, &first), 0);
    poll_now(client);
    uint64_t id = next_call();
    silo.now_ms += 5 + QK_CLIENT_GRACE_MS;
    ck_assert_int_eq(poll_now(client), 1);
    begin(client, "k", &second); /* in the same slot */
    silo_reply(silo.fd, id, 0, "", false, "old", 3);
    ck_assert_int_eq(poll_now(client), 0);
    ck_assert_int_eq(second.calls, 0);
    ck_assert_uint_eq(qk_client_in_flight(client), 1);
}
END_TEST

START_TEST(test_calls_unsent_ones_time_out_as_not_run)
{
    struct seen seen = {0};
    uint8_t *megabyte = calloc(1, 1 << 20);
    struct qk_call_target target = target_of("k");
    target.timeout_ms = 5;
    ck_assert_int_eq(qk_client_begin(client, &target, megabyte, 1 << 20, seen_reply, &seen), 0);
    silo.now_ms += 5 + QK_CLIENT_GRACE_MS;
    ck_assert_int_eq(poll_now(client), 1);
    ck_assert_int_eq(seen.status, QK_ETIMEDOUT);
    ck_assert(!seen.may_have_run);
    free(megabyte);
}
END_TEST

START_TEST(test_calls_drain_times_out)
{
    struct seen seen = {0};
    begin(client, "k", &seen);
    ck_assert_int_eq(qk_client_drain(client, 0), QK_ETIMEDOUT);
    ck_assert_uint_eq(qk_client_in_flight(client), 1);
    ck_assert_ptr_nonnull(strstr(qk_client_error(client), "1 call"));
}
END_TEST

/* What callbacks may do. */

struct again {
    int left;
    int waits;
};

static void begin_again(void *arg, const struct qk_reply *reply)
{
    struct again *again = arg;
    struct qk_call_target target = target_of("again");
    ck_assert_int_eq(reply->status, 0);
    again->waits += qk_client_call(client, &target, NULL, 0, NULL) == QK_ESTATE;
    again->waits += qk_client_poll(client, 0) == QK_ESTATE;
    again->waits += qk_client_drain(client, 0) == QK_ESTATE;
    again->waits += qk_client_connect(client) == QK_ESTATE;
    if (again->left-- > 0)
        ck_assert_int_eq(qk_client_begin(client, &target, reply->data, reply->size, begin_again, again), 0);
}

START_TEST(test_calls_callbacks_begin_calls_but_do_not_wait)
{
    struct again again = {.left = 100};
    struct qk_call_target target = target_of("again");
    ck_assert_int_eq(qk_client_begin(client, &target, (const uint8_t *)"x", 1, begin_again, &again), 0);
    ck_assert_int_eq(qk_client_drain(client, -1), 0);
    ck_assert_int_eq(again.left, -1);
    ck_assert_int_eq(again.waits, 101 * 4);
}
END_TEST

START_TEST(test_calls_waiting_lets_the_others_proceed)
{
    struct again again = {.left = 3};
    struct seen seen = {0};
    struct qk_call_target target = target_of("again");
    struct qk_reply reply;
    ck_assert_int_eq(qk_client_begin(client, &target, (const uint8_t *)"x", 1, begin_again, &again), 0);
    begin(client, "k", &seen);
    ck_assert_int_eq(qk_client_call(client, &target, (const uint8_t *)"mine", 4, &reply), 0);
    ck_assert_mem_eq(reply.data, "mine", 4);
    ck_assert_int_eq(seen.calls, 1);
    ck_assert_int_eq(qk_client_drain(client, -1), 0);
    ck_assert_int_eq(again.left, -1);
}
END_TEST

static struct seen cancelled;

static void destroy_inside(void *arg, const struct qk_reply *reply)
{
    (void)arg;
    (void)reply;
    qk_client_destroy(client);
    struct qk_call_target target = target_of("k");
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, NULL, NULL), QK_ECANCELLED);
    qk_client_destroy(client);
}

START_TEST(test_calls_callback_destroys_the_client)
{
    struct qk_call_target target = target_of("k");
    struct qk_reply reply = {0};
    cancelled = (struct seen){0};
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, destroy_inside, NULL), 0);
    for (int i = 0; i < 10; i++)
        begin(client, "k", &cancelled);
    if (_i == 0)
        ck_assert_int_eq(qk_client_drain(client, -1), QK_ECANCELLED);
    else
        ck_assert_int_eq(qk_client_call(client, &target, NULL, 0, &reply), QK_ECANCELLED);
    client = NULL;
    ck_assert_int_eq(cancelled.calls, 10);
    ck_assert_int_eq(cancelled.status, QK_ECANCELLED);
}
END_TEST

START_TEST(test_calls_destroy_ends_each)
{
    struct seen *seen = calloc(2000, sizeof(*seen));
    for (int i = 0; i < 1000; i++)
        begin(client, "k", &seen[i]);
    poll_now(client);
    for (int i = 1000; i < 2000; i++)
        begin(client, "k", &seen[i]);
    qk_client_destroy(client);
    client = NULL;
    for (int i = 0; i < 2000; i++) {
        ck_assert(seen[i].calls == 1 && seen[i].status == QK_ECANCELLED);
        ck_assert_int_eq(seen[i].may_have_run, i < 1000);
    }
    free(seen);
}
END_TEST

/* Proxies. */

static const struct qk_method method = {
    .id = 5,
    .type_id = 6,
    .deadline_ms = 700,
    .name = "Echo",
    .request = &quark__wire__go_away__descriptor,
    .reply = &quark__wire__go_away__descriptor,
};

START_TEST(test_calls_with_messages)
{
    Quark__Wire__GoAway in = QUARK__WIRE__GO_AWAY__INIT;
    in.status = -5;
    in.text = (char *)"packed and unpacked";
    ProtobufCMessage *out = NULL;
    ck_assert_int_eq(qk_client_ask(client, &method, qk_ref("k"), 0, &in.base, &out), 0);
    ck_assert_str_eq(((Quark__Wire__GoAway *)out)->text, in.text);
    quark__wire__go_away__free_unpacked((Quark__Wire__GoAway *)out, NULL);
    ck_assert_int_eq(qk_client_ask(client, &method, qk_ref("k"), 0, &in.base, NULL), 0);
    ck_assert_int_eq(qk_client_ask(client, &method, qk_ref("k"), 0, NULL, &out), 0);
    ck_assert_int_eq(((Quark__Wire__GoAway *)out)->status, 0);
    quark__wire__go_away__free_unpacked((Quark__Wire__GoAway *)out, NULL);
    ck_assert_int_eq(qk_client_tell(client, &method, qk_ref("k"), &in.base), 0);
    struct seen seen = {0};
    ck_assert_int_eq(qk_client_ask_begin(client, &method, qk_ref("k"), 0, &in.base, seen_reply, &seen), 0);
    ck_assert_int_eq(qk_client_drain(client, -1), 0);
    ck_assert_uint_eq(seen.size, quark__wire__go_away__get_packed_size(&in));
}
END_TEST

START_TEST(test_calls_with_a_reply_of_another_type)
{
    struct qk_method other = method;
    other.reply = &quark__wire__envelope__descriptor;
    Quark__Wire__GoAway in = QUARK__WIRE__GO_AWAY__INIT;
    in.status = -5;
    ProtobufCMessage *out = NULL;
    ck_assert_int_eq(qk_client_ask(client, &other, qk_ref("k"), 0, &in.base, &out), QK_EPROTOCOL);
    ck_assert_ptr_null(out);
    ck_assert_ptr_nonnull(strstr(qk_client_error(client), "quark.wire.Envelope"));
}
END_TEST

START_TEST(test_calls_with_messages_take_the_methods_deadline)
{
    struct seen seen = {0};
    ck_assert_int_eq(qk_client_ask_begin(client, &method, qk_ref("k"), 0, NULL, seen_reply, &seen), 0);
    ck_assert_int_eq(qk_client_ask_begin(client, &method, qk_ref("k"), 9, NULL, seen_reply, &seen), 0);
    poll_now(client);
    ck_assert(silo_read(silo.fd, &frame));
    ck_assert_uint_eq(frame.envelope->call->timeout_ms, 700);
    frame_free(&frame);
    ck_assert(silo_read(silo.fd, &frame));
    ck_assert_uint_eq(frame.envelope->call->timeout_ms, 9);
    frame_free(&frame);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client calls");
    TCase *tc = tcase_create("step by step");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_calls_say_what_they_ask);
    tcase_add_test(tc, test_calls_carry_context);
    tcase_add_test(tc, test_calls_are_recorded);
    tcase_add_test(tc, test_calls_bound_context);
    tcase_add_test(tc, test_calls_replies_in_any_order);
    tcase_add_test(tc, test_calls_errors_have_texts);
    tcase_add_test(tc, test_calls_longest_text);
    tcase_add_test(tc, test_calls_replies_in_pieces);
    tcase_add_test(tc, test_calls_invalid_keys);
    tcase_add_test(tc, test_calls_bound_in_flight);
    tcase_add_test(tc, test_calls_bound_of_the_silo);
    tcase_add_test(tc, test_calls_silo_that_does_not_read);
    tcase_add_test(tc, test_calls_time_out_here_too);
    tcase_add_test(tc, test_calls_late_reply_is_not_the_next_calls);
    tcase_add_test(tc, test_calls_unsent_ones_time_out_as_not_run);
    tcase_add_test(tc, test_calls_drain_times_out);
    tcase_add_test(tc, test_calls_destroy_ends_each);
    tcase_add_test(tc, test_calls_with_messages_take_the_methods_deadline);
    suite_add_tcase(suite, tc);
    tc = tcase_create("echo");
    tcase_add_checked_fixture(tc, setup_echo, teardown_echo);
    tcase_add_test(tc, test_calls_wait_for_the_reply);
    tcase_add_test(tc, test_calls_of_every_size);
    tcase_add_test(tc, test_calls_a_thousand_in_flight);
    tcase_add_test(tc, test_calls_callbacks_begin_calls_but_do_not_wait);
    tcase_add_test(tc, test_calls_waiting_lets_the_others_proceed);
    tcase_add_loop_test(tc, test_calls_callback_destroys_the_client, 0, 2);
    tcase_add_test(tc, test_calls_with_messages);
    tcase_add_test(tc, test_calls_with_a_reply_of_another_type);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
