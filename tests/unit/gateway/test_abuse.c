/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections over a real socket: what clients do wrong, late or not at all, and who may not. */
#include <check.h>
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/limits.h"
#include "loop/clock.h"
#include "side.h"
#include <quark/status.h>

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
    side_create();
    for (int i = 0; i < 5; i++) {
        struct peer p;
        side_open_peer(&p);
        send_raw(&p, sizes[i][0], sizes[i][1], "", 0);
        peer_expect_go_away(&p, QK_EPROTOCOL);
        peer_close(&p);
    }
    ck_assert_uint_eq(side_stats().broken, 5);
    ck_assert_uint_eq(side.n_lines, 5);
    ck_assert_str_eq(side.last_code, "QK0612");
    side_wait_for_clients(0);
}
END_TEST

START_TEST(test_gateway_ends_garbage_and_answers_what_came_before)
{
    struct peer p;
    int32_t status;
    side_create();
    side_open_peer(&p);
    side_call(&p, 1);
    send_raw(&p, 4, 0, "\xff\xff\xff\xff", 4);
    side_call(&p, 2);
    side_wait_for_calls(1);
    peer_expect_go_away(&p, QK_EPROTOCOL);
    peer_close(&p);
    side_open_peer(&p); /* others go on */
    side_call(&p, 3);
    side_wait_for_calls(2);
    side_answer_all();
    ck_assert_uint_eq(peer_reply(&p, &status, NULL), 3);
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_wants_hello_first_and_once)
{
    struct peer p;
    side_create();
    peer_open(&p, side.path, side_pump, NULL);
    side_call(&p, 1);
    peer_expect_go_away(&p, QK_EPROTOCOL);
    peer_close(&p);
    side_open_peer(&p);
    peer_hello(&p, 1);
    peer_expect_go_away(&p, QK_EPROTOCOL);
    peer_close(&p);
    ck_assert_uint_eq(side.n_calls, 0);
}
END_TEST

START_TEST(test_gateway_refuses_another_version)
{
    struct peer p;
    side_create();
    peer_open(&p, side.path, side_pump, NULL);
    peer_hello(&p, 2);
    peer_expect_go_away(&p, QK_EVERSION);
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_refuses_an_id_of_zero)
{
    struct peer p;
    side_create();
    side_open_peer(&p);
    side_call(&p, 0);
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
    side_create();
    side_open_peer(&p);
    memset(longest, 'k', sizeof(longest));
    longest[QK_KEY_MAX + 1] = 0;
    for (int i = 0; i < 3; i++) {
        peer_call(&p, 7, 1, 1, bad[i], NULL, 0, false);
        ck_assert_uint_eq(peer_reply(&p, &status, NULL), 7);
        ck_assert_int_eq(status, QK_EINVALID);
    }
    longest[QK_KEY_MAX] = 0;
    peer_call(&p, 8, 1, 1, longest, NULL, 0, false);
    side_wait_for_calls(1);
    ck_assert_uint_eq(side.calls->key_len, QK_KEY_MAX);
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_survives_cut_frames)
{
    side_create();
    for (size_t cut = 1; cut < 40; cut += 3) {
        struct peer p;
        uint8_t bytes[64];
        memset(bytes, 8, sizeof(bytes));
        side_open_peer(&p);
        bytes[0] = 20;
        bytes[1] = bytes[2] = bytes[3] = bytes[6] = bytes[7] = 0;
        peer_send(&p, bytes, cut < 28 ? cut : 27);
        peer_close(&p);
    }
    side_wait_for_clients(0);
    ck_assert_uint_eq(side.n_calls, 0);
}
END_TEST

/* ---- the late and the slow */

START_TEST(test_gateway_closes_who_says_nothing)
{
    struct peer p;
    side.config.hello_ms = 1;
    side_create();
    peer_open(&p, side.path, side_pump, NULL);
    peer_expect_go_away(&p, QK_ETIMEDOUT);
    peer_close(&p);
    side_wait_for_clients(0);
}
END_TEST

START_TEST(test_gateway_stops_reading_at_the_bound_of_calls)
{
    struct peer p;
    int32_t status;
    side.config.in_flight_max = 10;
    side_create();
    side_open_peer(&p);
    for (uint64_t id = 1; id <= 200; id++)
        side_call(&p, id);
    for (int i = 0; i < 20; i++)
        side_pump(NULL);
    ck_assert_uint_eq(side.n_calls, 10);
    for (uint64_t id = 1; id <= 200; id++) {
        while (side.n_calls == 0)
            side_pump(NULL);
        ck_assert_uint_le(side_stats().in_flight, 10);
        side_answer(0, "", 0);
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
        qk_loop_poll(side.loop, 0);
        while (side.calls != NULL)
            side_answer(0, "", 10000);
        idle++;
    }
    return sent;
}

START_TEST(test_gateway_stops_reading_who_does_not_read)
{
    struct peer p;
    int32_t status;
    side.config.output_max = 1 << 20;
    side_create();
    side_open_peer(&p);
    unsigned sent = fill_up(&p);
    ck_assert_uint_gt(sent, 100);
    ck_assert_uint_eq(side_stats().cut, 0);
    for (unsigned i = 0; i < sent; i++) { /* it reads after all: nothing is lost */
        while (side.calls != NULL)
            side_answer(0, "", 100);
        peer_reply(&p, &status, NULL);
    }
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_cuts_off_who_never_reads)
{
    struct peer p;
    side.config.output_max = 1 << 20;
    side.config.stall_ms = 20;
    side_create();
    side_open_peer(&p);
    fill_up(&p);
    while (side_stats().clients != 0)
        side_pump(NULL);
    ck_assert_uint_eq(side_stats().cut, 1);
    ck_assert_str_eq(side.last_code, "QK0613");
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_cuts_off_at_the_bound_of_unread_replies)
{
    struct peer p;
    side.config.unread_max = 3 << 20;
    side_create();
    side_open_peer(&p);
    side_call(&p, 1);
    side_call(&p, 2);
    side_wait_for_calls(2);
    side_answer(0, "", 2 << 20);
    ck_assert_uint_eq(side_stats().clients, 1);
    side_answer(0, "", 2 << 20);
    side_wait_for_clients(0);
    ck_assert_uint_eq(side_stats().cut, 1);
    peer_close(&p);
}
END_TEST

/* ---- too many, and the forbidden */

START_TEST(test_gateway_bounds_the_number_of_clients)
{
    struct peer p[4];
    side.config.clients_max = 3;
    side_create();
    for (int i = 0; i < 3; i++)
        side_open_peer(&p[i]);
    peer_open(&p[3], side.path, side_pump, NULL);
    peer_expect_go_away(&p[3], QK_EUNAVAILABLE);
    peer_close(&p[3]);
    peer_close(&p[0]);
    side_wait_for_clients(2);
    side_open_peer(&p[0]);
    ck_assert_uint_eq(side_stats().refused, 1);
    for (int i = 0; i < 3; i++)
        peer_close(&p[i]);
}
END_TEST

START_TEST(test_gateway_bounds_connections_that_went_with_calls)
{
    side.config.clients_max = 2;
    side_create();
    for (int i = 0; i < 8; i++) { /* four for each client that may be there */
        struct peer p;
        side_open_peer(&p);
        side_call(&p, 1);
        side_wait_for_calls((unsigned)i + 1);
        peer_close(&p);
        side_wait_for_clients(0);
    }
    struct peer p;
    peer_open(&p, side.path, side_pump, NULL);
    peer_expect_go_away(&p, QK_EUNAVAILABLE);
    peer_close(&p);
    side_answer_all();
    side_open_peer(&p);
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_refuses_who_may_not_call)
{
    struct peer p;
    uid_t me = geteuid(), other = me + 1;
    gid_t group = getegid();
    struct qk_gateway_access access = {.uids = &other, .n_uids = 1};
    side.config.listed_only = true;
    side_create();
    peer_open(&p, side.path, side_pump, NULL);
    peer_expect_go_away(&p, QK_EDENIED);
    peer_close(&p);
    ck_assert_str_eq(side.last_code, "QK0611");
    ck_assert_int_eq(qk_gateway_set_access(side.gw, &access, 10), 0);
    peer_open(&p, side.path, side_pump, NULL);
    peer_expect_go_away(&p, QK_EDENIED);
    peer_close(&p);
    access = (struct qk_gateway_access){.uids = &me, .n_uids = 1};
    ck_assert_int_eq(qk_gateway_set_access(side.gw, &access, 10), 0);
    side_open_peer(&p);
    peer_close(&p);
    access = (struct qk_gateway_access){.gids = &group, .n_gids = 1};
    ck_assert_int_eq(qk_gateway_set_access(side.gw, &access, 10), 0);
    side_open_peer(&p);
    peer_close(&p);
    ck_assert_uint_eq(side_stats().refused, 2);
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
    side.config.listed_only = true;
    side.config.access = access;
    side_create();
    for (int i = 0; i < 128; i++)
        groups[i] = (gid_t)(60000 + i);
    ck_assert_int_eq(setgroups(128, groups), 0);
    peer_open(&p, side.path, side_pump, NULL);
    peer_expect_go_away(&p, QK_EDENIED);
    peer_close(&p);
    groups[100] = wanted;
    ck_assert_int_eq(setgroups(128, groups), 0);
    side_open_peer(&p);
    peer_close(&p);
    ck_assert_int_eq(setgroups((size_t)n_before, before), 0);
}
END_TEST

START_TEST(test_gateway_waits_for_descriptors)
{
    struct peer p;
    struct rlimit before, none;
    side_create();
    side_pump(NULL);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    peer_open(&p, side.path, side_pump, NULL);
    int lowest = dup(p.fd);
    ck_assert_int_ge(lowest, 0);
    close(lowest);
    none = before;
    none.rlim_cur = (rlim_t)lowest;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 50 && side.n_lines == 0; i++)
        side_pump(NULL);
    int polls = 0;
    for (int i = 0; i < 1000; i++)
        polls += qk_loop_poll(side.loop, 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_uint_ge(side.n_lines, 1);
    ck_assert_str_eq(side.last_code, "QK0614");
    ck_assert_int_lt(polls, 500); /* it does not spin */
    peer_greet(&p);
    peer_close(&p);
}
END_TEST

START_TEST(test_gateway_bounds_its_log_lines)
{
    int64_t start = qk_clock_now_ns(NULL) / 1000000000;
    side.config.listed_only = true;
    side_create();
    for (int i = 0; i < 50; i++) {
        struct peer p;
        peer_open(&p, side.path, side_pump, NULL);
        peer_expect_go_away(&p, QK_EDENIED);
        peer_close(&p);
    }
    int64_t seconds = qk_clock_now_ns(NULL) / 1000000000 - start + 1;
    ck_assert_int_le(side.n_lines, 11 * seconds);
    ck_assert_uint_eq(side_stats().refused, 50);
}
END_TEST

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
    Suite *suite = suite_create("gateway-abuse");
    TCase *cases[] = {wrong(), slow(), forbidden()};
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
