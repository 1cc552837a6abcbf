/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections over a real socket: what clients do right. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "base/limits.h"
#include "loop/clock.h"
#include "loop/thread.h"
#include "side.h"
#include <quark/status.h>

/* ---- the ordinary */

START_TEST(test_gateway_passes_a_call_and_its_reply)
{
    struct peer p;
    struct peer_frame f;
    int32_t status;
    side_create();
    side_open_peer(&p);
    side_call(&p, 5);
    side_wait_for_calls(1);
    ck_assert_int_eq(side.calls->kind, QK_PORT_CALL);
    ck_assert_uint_eq(side.calls->type_id, 11);
    ck_assert_uint_eq(side.calls->method_id, 22);
    ck_assert_int_eq(side.calls->deadline_ns, 0);
    ck_assert_uint_eq(side.calls->key_len, 3);
    ck_assert_mem_eq(qk_port_frame_key(side.calls), "key", 3);
    ck_assert_uint_eq(side.calls->payload_len, 7);
    ck_assert_mem_eq(qk_port_frame_payload(side.calls), "payload", 7);
    ck_assert_uint_eq(side_stats().in_flight, 1);
    side_answer(3, "", 100000);
    ck_assert_uint_eq(peer_reply(&p, &status, &f), 5);
    ck_assert_int_eq(status, 3);
    ck_assert_uint_eq(f.payload_len, 100000);
    peer_free(&f);
    ck_assert_uint_eq(side_stats().in_flight, 0);
    ck_assert_uint_eq(side_stats().calls, 1);
    peer_close(&p);
    side_wait_for_clients(0);
}
END_TEST

START_TEST(test_gateway_mends_the_text_of_an_error)
{
    struct peer p;
    struct peer_frame f;
    int32_t status;
    side_create();
    side_open_peer(&p);
    peer_call(&p, 5, 11, 22, "key", NULL, 0, true);
    side_wait_for_calls(1);
    ck_assert_int_eq(side.calls->kind, QK_PORT_SEND);
    side_answer(QK_EOVERLOADED, "bad \xc3 text", 0);
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
    side_create();
    side_open_peer(&p);
    for (uint64_t id = 1; id <= 100; id++)
        side_call(&p, id);
    side_wait_for_calls(100);
    ck_assert_uint_eq(side.n_chains, 1);
    for (uint64_t id = 1; id <= 100; id++) { /* in the order in which they were sent */
        ck_assert_uint_eq(side.calls->call_id, id);
        side_answer(0, "", 0);
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
    side_create();
    peer_open(&p, side.path, side_pump, NULL);
    hello.version_major = 1;
    e.body_case = QUARK__WIRE__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    size_t n = peer_frame(bytes, &e, NULL, 0);
    for (size_t i = 0; i < n; i++) {
        peer_send(&p, bytes + i, 1);
        side_pump(NULL);
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
    side_create();
    side_open_peer(&p);
    for (size_t i = 0; i < QK_PAYLOAD_MAX; i += 1000)
        payload[i] = (uint8_t)(i / 1000);
    side_call(&p, 1);
    peer_call(&p, 2, 11, 22, "key", payload, QK_PAYLOAD_MAX, false);
    side_call(&p, 3);
    side_wait_for_calls(3);
    ck_assert_uint_eq(side.calls->next->payload_len, QK_PAYLOAD_MAX);
    ck_assert_mem_eq(qk_port_frame_payload(side.calls->next), payload, QK_PAYLOAD_MAX);
    side_answer(0, "", 0);
    side_answer(0, "", QK_PAYLOAD_MAX);
    side_answer(0, "", 0);
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
    side_create();
    side_open_peer(&p);
    peer_admin(&p, 9, "what", 4);
    while (side.admins == NULL)
        side_pump(NULL);
    ck_assert_uint_eq(side.admins->payload_len, 4);
    ck_assert_uint_eq(side_stats().in_flight, 1);
    qk_gateway_deliver(side.gw, side_to_reply(side.admins, 0, "", 4));
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
    side_create();
    side_open_peer(&p);
    cancel(&p, 3); /* nothing is in flight: not passed on */
    side_call(&p, 4);
    cancel(&p, 4);
    side_call(&p, 5);
    side_wait_for_calls(2);
    ck_assert_uint_eq(side.n_cancels, 1);
    ck_assert_uint_eq(side.last_cancel, 4);
    ck_assert_uint_eq(side_stats().in_flight, 2);
    side_answer_all();
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 4);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 5);
    peer_close(&p);
    side_wait_for_clients(0);
    ck_assert_uint_eq(side.n_cancels, 1);
}
END_TEST

START_TEST(test_gateway_bounds_cancels)
{
    struct peer p;
    int64_t start = qk_clock_now_ns(NULL) / 1000000000;
    side_create();
    side_open_peer(&p);
    side_call(&p, 1);
    for (int i = 0; i < 5000; i++)
        cancel(&p, 1);
    side_call(&p, 2);
    side_wait_for_calls(2);
    ck_assert_uint_ge(side.n_cancels, 1000);
    ck_assert_int_le(side.n_cancels, 1000 * (qk_clock_now_ns(NULL) / 1000000000 - start + 1));
    side_answer_all();
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_answers_after_a_half_close)
{
    struct peer p;
    int32_t status;
    side_create();
    side_open_peer(&p);
    side_call(&p, 1);
    side_call(&p, 2);
    shutdown(p.fd, SHUT_WR);
    side_wait_for_calls(2);
    side_answer(0, "", 0);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 1);
    side_answer(0, "", 0);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 2);
    peer_expect_end(&p);
    peer_close(&p);
    side_wait_for_clients(0);
}
END_TEST

START_TEST(test_gateway_drops_replies_of_a_client_that_went)
{
    struct peer p;
    side_create();
    side_open_peer(&p);
    for (uint64_t id = 1; id <= 1000; id++)
        side_call(&p, id);
    side_wait_for_calls(1000);
    peer_close(&p);
    side_wait_for_clients(0);
    ck_assert_uint_eq(side_stats().in_flight, 1000);
    ck_assert_uint_eq(side.n_cancels, 1); /* of all its calls */
    ck_assert_uint_eq(side.last_cancel, 0);
    side_answer_all();
    ck_assert_uint_eq(side_stats().in_flight, 0);
}
END_TEST

START_TEST(test_gateway_tells_clients_of_the_end)
{
    struct peer p;
    struct peer_frame f;
    int32_t status;
    side_create();
    side_open_peer(&p);
    side_call(&p, 1);
    side_wait_for_calls(1);
    qk_gateway_drain(side.gw);
    qk_gateway_drain(side.gw);
    ck_assert(peer_receive(&p, &f));
    ck_assert_int_eq(f.envelope->body_case, QUARK__WIRE__ENVELOPE__BODY_GO_AWAY);
    ck_assert_int_eq(f.envelope->go_away->status, QK_EUNAVAILABLE);
    peer_free(&f);
    side_call(&p, 2);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 2);
    ck_assert_int_eq(status, QK_EUNAVAILABLE);
    side_answer(0, "", 0);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 1);
    ck_assert_int_eq(status, 0);
    ck_assert(qk_gateway_is_flushed(side.gw));
    peer_close(&p);
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
        qk_gateway_deliver(side.gw, part);
    }
}

START_TEST(test_gateway_delivers_from_several_threads)
{
    struct peer p[2];
    struct qk_thread *threads[THREADS];
    bool *seen[2];
    side_create();
    for (int c = 0; c < 2; c++) {
        side_open_peer(&p[c]);
        seen[c] = calloc(THREADS * PER_THREAD + 1, sizeof(bool));
        ck_assert_ptr_nonnull(seen[c]);
    }
    for (uint64_t id = 1; id <= THREADS * PER_THREAD / 2; id++) {
        side_call(&p[0], id);
        side_call(&p[1], id);
    }
    side_wait_for_calls(THREADS * PER_THREAD);
    for (int t = 0; t < THREADS; t++) {
        struct qk_port_frame **last = &shares[t];
        for (int i = 0; i < PER_THREAD; i++) {
            *last = side_to_reply(side_take_call(), 0, "", 20);
            last = &(*last)->next;
        }
    }
    for (int t = 0; t < THREADS; t++)
        ck_assert_int_eq(qk_thread_start("deliver", -1, deliver_share, &shares[t], &threads[t]), 0);
    for (int i = 0; i < THREADS * PER_THREAD; i++) {
        int c = i % 2;
        int32_t status;
        uint64_t id = peer_reply(&p[c], &status, NULL);
        if (id > THREADS * PER_THREAD / 2 || seen[c][id])
            ck_abort_msg("a reply that is not due");
        seen[c][id] = true;
    }
    for (int t = 0; t < THREADS; t++)
        qk_thread_join(threads[t]);
    ck_assert_uint_eq(side_stats().in_flight, 0);
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

int main(void)
{
    Suite *suite = suite_create("gateway");
    TCase *cases[] = {ordinary()};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tcase_add_checked_fixture(cases[i], side_setup, side_teardown);
        suite_add_tcase(suite, cases[i]);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
