/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A whole silo over a real socket, with several workers: calls, long turns, the end. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <quark/actor.h>
#include "fixture.h"
#include "rt.pb-c.h"
#include "wire/spans.h"

/* ---- starting and calling */

START_TEST(test_silo_answers_calls)
{
    struct peer p;
    struct qk_silo_status status;
    int64_t value = 0;
    fx_start(NULL);
    fx_open(&p);
    ck_assert_int_eq(fx_ask(&p, S_ADD, "a", 2, &value), 0);
    ck_assert_int_eq(fx_ask(&p, S_ADD, "a", 3, &value), 0);
    ck_assert_int_eq(value, 5);
    ck_assert_int_eq(fx_ask(&p, S_RELAY, "b", 4, &value), 0);
    ck_assert_int_eq(value, 4);
    ck_assert_int_eq(fx_ask(&p, S_FAIL, "b", 4, &value), QK_APP(7));
    qk_silo_get_status(fx_silo, &status);
    ck_assert_uint_eq(status.clients, 1);
    ck_assert_uint_eq(status.activations, 3);
    ck_assert_uint_eq(status.in_flight, 0);
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
    ck_assert_int_eq(atomic_load(&silo_activated), 3);
}
END_TEST

static void count_span(void *arg, const struct qk_span *span)
{
    (void)span;
    (*(int *)arg)++;
}

/* The recording comes as a frame of its own, right before the reply. */
START_TEST(test_silo_records_a_call)
{
    struct peer p;
    struct peer_frame f;
    uint8_t bytes[1024], request[16], id[16];
    uint64_t left_out;
    int n = 0;
    Rt__Number in = RT__NUMBER__INIT;
    Quark__Wire__Envelope envelope = QUARK__WIRE__ENVELOPE__INIT;
    Quark__Wire__Call call = QUARK__WIRE__CALL__INIT;
    Quark__Wire__Context context = QUARK__WIRE__CONTEXT__INIT;
    const struct qk_method *m = silo_method(S_RELAY);
    fx_start(NULL);
    fx_open(&p);
    in.value = 4;
    envelope.body_case = QUARK__WIRE__ENVELOPE__BODY_CALL;
    envelope.call = &call;
    call.id = 9;
    call.type_id = m->type_id;
    call.method_id = m->id;
    call.key.data = (uint8_t *)"a";
    call.key.len = 1;
    call.context = &context;
    context.record = true;
    ck_assert(peer_send(&p, bytes, peer_frame(bytes, &envelope, request, rt__number__pack(&in, request))));
    ck_assert(peer_receive(&p, &f));
    ck_assert_int_eq(f.envelope->body_case, QUARK__WIRE__ENVELOPE__BODY_TRACE);
    ck_assert_uint_eq(f.envelope->trace->id, 9);
    ck_assert_int_eq(qk_spans_visit(f.payload, f.payload_len, count_span, &n, &left_out, id), 0);
    ck_assert_int_eq(n, 2);
    peer_free(&f);
    int32_t status;
    ck_assert_uint_eq(peer_reply(&p, &status, &f), 9);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_ne(f.payload_len, 0);
    peer_free(&f);
    /* A context past its bounds has its call refused, and the connection goes on. */
    context.traceparent = "00-1";
    ck_assert(peer_send(&p, bytes, peer_frame(bytes, &envelope, NULL, 0)));
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 9);
    ck_assert_int_eq(status, QK_EINVALID);
    ck_assert_int_eq(fx_ask(&p, S_GET, "hub", 0, NULL), 0);
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

#define CLIENTS 4
#define CALLS   4000
#define BURST   100

/* Calls of many clients at a time, each to actors of its own and to a common one. */
START_TEST(test_silo_answers_many_clients)
{
    struct peer p[CLIENTS];
    fx_start(NULL);
    for (int c = 0; c < CLIENTS; c++)
        fx_open(&p[c]);
    for (int i = 0; i < CALLS; i++) {
        for (int c = 0; c < CLIENTS; c++) {
            char key[32];
            snprintf(key, sizeof(key), "c%d-%d", c, i % 50);
            fx_call(&p[c], (uint64_t)i + 1, i % 10 == 0 ? S_RELAY : S_ADD, key, 1, i % 7 == 0);
        }
        if (i % BURST != BURST - 1)
            continue;
        for (int c = 0; c < CLIENTS * BURST; c++) {
            int32_t status;
            peer_reply(&p[c / BURST], &status, NULL);
            ck_assert_int_eq(status, 0);
        }
    }
    for (int c = 0; c < CLIENTS; c++)
        peer_close(&p[c]);
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

START_TEST(test_silo_refuses_to_start)
{
    struct qk_silo_config config;
    struct qk_silo *second;
    const char *code = "";
    char text[256] = "";
    fx_start(NULL);
    fx_config(&config);
    ck_assert_int_eq(qk_silo_start(&config, fx_control, &second, &code, text, sizeof(text)), -EADDRINUSE);
    ck_assert_str_eq(code, "QK0601");
    config.socket_path = "/nowhere/at/all";
    ck_assert_int_lt(qk_silo_start(&config, fx_control, &second, &code, text, sizeof(text)), 0);
    ck_assert_str_eq(code, "QK0603");
    fx_config(&config);
    config.budget = 0;
    ck_assert_int_lt(qk_silo_start(&config, fx_control, &second, &code, text, sizeof(text)), 0);
    ck_assert_str_eq(code, "QK0607");
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

static void pin(struct qk_silo_config *config)
{
    config->pin_workers = true;
    config->workers = 0;
}

START_TEST(test_silo_starts_pinned_workers)
{
    struct peer p;
    fx_start(pin);
    fx_open(&p);
    ck_assert_int_eq(fx_ask(&p, S_ADD, "a", 2, NULL), 0);
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

START_TEST(test_silo_survives_a_client_that_dies)
{
    struct peer p;
    fx_start(NULL);
    fx_open(&p);
    for (uint64_t id = 1; id <= 1000; id++)
        fx_call(&p, id, S_RELAY, "r", 1, false);
    peer_close(&p);
    fx_open(&p);
    ck_assert_int_eq(fx_ask(&p, S_ADD, "a", 2, NULL), 0);
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

START_TEST(test_silo_applies_a_configuration)
{
    struct peer p, q;
    struct qk_silo_config config;
    struct qk_silo_reload reload;
    fx_start(NULL);
    fx_open(&p);
    fx_config(&config);
    config.clients_max = 1;
    qk_silo_apply(fx_silo, &config, &reload);
    ck_assert_uint_eq(reload.plugins_loaded + reload.plugins_refused, 0);
    peer_open(&q, fx_path, fx_pump, NULL);
    peer_expect_go_away(&q, QK_EUNAVAILABLE);
    peer_close(&q);
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

/* ---- turns that take too long */

static void short_turns(struct qk_silo_config *config)
{
    config->long_turn_ms = 5;
}

static void start_spinning(struct peer *p)
{
    atomic_store(&silo_spin, true);
    fx_call(p, 99, S_SPIN, "spinner", 0, false);
    while (!atomic_load(&silo_spinning))
        fx_pump(NULL);
}

START_TEST(test_silo_reports_a_long_turn_and_goes_on)
{
    struct peer p;
    int32_t status;
    fx_start(short_turns);
    fx_open(&p);
    start_spinning(&p);
    for (int i = 0; i < 100; i++) { /* the other worker serves */
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        ck_assert_int_eq(fx_ask(&p, S_ADD, key, 1, NULL), 0);
    }
    while (fx_long_turns == 0)
        fx_pump(NULL);
    ck_assert_str_eq(fx_actor, SILO_TYPE "/spinner");
    ck_assert_str_eq(fx_method, "Spin");
    atomic_store(&silo_spin, false);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 99);
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

START_TEST(test_silo_tells_the_watchdog_who_is_stuck)
{
    struct peer p;
    char stuck[256] = "";
    fx_start(short_turns);
    fx_open(&p);
    for (int i = 0; i < 3; i++) { /* at rest all of them live */
        fx_ask(&p, S_ADD, "a", 1, NULL);
        while (!qk_silo_is_alive(fx_silo, stuck, sizeof(stuck))) /* one that had no processor since can't be told */
            fx_pump(NULL);
        ck_assert_int_eq(fx_ask(&p, S_ADD, "a", 1, NULL), 0);
        ck_assert_int_eq(fx_ask(&p, S_ADD, "b", 1, NULL), 0);
    }
    start_spinning(&p);
    while (fx_long_turns == 0)
        fx_pump(NULL);
    qk_silo_is_alive(fx_silo, stuck, sizeof(stuck)); /* what it did before counts once */
    ck_assert(!qk_silo_is_alive(fx_silo, stuck, sizeof(stuck)));
    ck_assert_ptr_nonnull(strstr(stuck, SILO_TYPE "/spinner"));
    atomic_store(&silo_spin, false);
    int32_t status;
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 99);
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

/* ---- the end */

START_TEST(test_silo_finishes_what_runs)
{
    struct peer p;
    int32_t status;
    bool seen[501] = {false};
    int n_ok = 0, n_refused = 0;
    fx_start(NULL);
    fx_open(&p);
    for (uint64_t id = 1; id <= 500; id++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", (int)(id % 20));
        fx_call(&p, id, S_RELAY, key, 1, false);
    }
    ck_assert_int_eq(fx_stopped, false);
    fx_begin_stop();
    for (int n = 0; n < 500;) { /* each call is answered once, and GoAway comes in between */
        struct peer_frame f;
        ck_assert(peer_receive(&p, &f));
        if (f.envelope->body_case == QUARK__WIRE__ENVELOPE__BODY_REPLY) {
            uint64_t id = f.envelope->reply->id;
            status = f.envelope->reply->status;
            ck_assert(id >= 1 && id <= 500 && !seen[id]);
            ck_assert(status == 0 || status == QK_EUNAVAILABLE);
            seen[id] = true;
            n++;
            if (status == 0)
                n_ok++;
            else
                n_refused++;
        } else {
            ck_assert_int_eq(f.envelope->body_case, QUARK__WIRE__ENVELOPE__BODY_GO_AWAY);
        }
        peer_free(&f);
    }
    ck_assert_int_eq(n_ok + n_refused, 500);
    peer_close(&p);
    fx_end_stop();
}
END_TEST

static void short_drain(struct qk_silo_config *config)
{
    config->drain_ms = 20;
}

/* A turn that would wait for a minute is told to end. */
START_TEST(test_silo_cancels_what_does_not_end)
{
    struct peer p;
    int32_t status;
    struct peer_frame f;
    fx_start(short_drain);
    fx_open(&p);
    fx_call(&p, 1, S_WAIT, "w", 0, false);
    ck_assert_int_eq(fx_ask(&p, S_ADD, "a", 1, NULL), 0);
    fx_begin_stop();
    ck_assert(peer_receive(&p, &f));
    ck_assert_int_eq(f.envelope->body_case, QUARK__WIRE__ENVELOPE__BODY_GO_AWAY);
    peer_free(&f);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 1);
    ck_assert_int_lt(status, 0);
    fx_end_stop();
    peer_expect_end(&p);
    peer_close(&p);
}
END_TEST

START_TEST(test_silo_ends_the_wait_when_asked_again)
{
    struct peer p;
    int32_t status;
    struct peer_frame f;
    fx_start(NULL);
    fx_open(&p);
    fx_call(&p, 1, S_WAIT, "w", 0, false);
    ck_assert_int_eq(fx_ask(&p, S_ADD, "a", 1, NULL), 0);
    fx_begin_stop();
    ck_assert(peer_receive(&p, &f));
    peer_free(&f);
    ck_assert(!fx_stopped);
    qk_silo_stop(fx_silo, NULL, NULL);
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 1);
    ck_assert_int_lt(status, 0);
    fx_end_stop();
    peer_close(&p);
}
END_TEST

/* A turn that never gives its thread back: the silo says so and ends without it. */
START_TEST(test_silo_gives_up_a_worker_that_does_not_end)
{
    struct peer p;
    fx_start(short_drain);
    fx_open(&p);
    start_spinning(&p);
    fx_begin_stop();
    while (!fx_stopped)
        qk_loop_poll(fx_control, -1);
    ck_assert_int_eq(fx_stuck, 1);
    ck_assert_int_eq(qk_silo_destroy(fx_silo), QK_ESTATE);
    peer_remove_dir(fx_dir);
    _exit(3); /* as its owner has to */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("silo");
    TCase *tc = tcase_create("silo");
    tcase_add_checked_fixture(tc, fx_setup, fx_teardown);
    tcase_add_test(tc, test_silo_answers_calls);
    tcase_add_test(tc, test_silo_records_a_call);
    tcase_add_test(tc, test_silo_answers_many_clients);
    tcase_add_test(tc, test_silo_refuses_to_start);
    tcase_add_test(tc, test_silo_starts_pinned_workers);
    tcase_add_test(tc, test_silo_survives_a_client_that_dies);
    tcase_add_test(tc, test_silo_applies_a_configuration);
    tcase_add_test(tc, test_silo_reports_a_long_turn_and_goes_on);
    tcase_add_test(tc, test_silo_tells_the_watchdog_who_is_stuck);
    tcase_add_test(tc, test_silo_finishes_what_runs);
    tcase_add_test(tc, test_silo_cancels_what_does_not_end);
    tcase_add_test(tc, test_silo_ends_the_wait_when_asked_again);
    suite_add_tcase(suite, tc);
    TCase *stuck = tcase_create("stuck");
    tcase_add_checked_fixture(stuck, fx_setup, fx_teardown);
    tcase_add_exit_test(stuck, test_silo_gives_up_a_worker_that_does_not_end, 3);
    suite_add_tcase(suite, stuck);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
