/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The end of a connection, well-behaved or not: every call ends once, and the next one connects again. */
#include "silo.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "internal.h"

static struct silo silo;
static struct qk_client *client;
static struct frame frame;

static void setup(void)
{
    silo_open(&silo);
    client = silo_connected(&silo);
}

static void teardown(void)
{
    silo_end_client(client);
    silo_close(&silo);
}

static uint64_t next_call(void)
{
    ck_assert(silo_read(silo.fd, &frame));
    ck_assert_int_eq(frame.envelope->body_case, QUARK__WIRE__ENVELOPE__BODY_CALL);
    uint64_t id = frame.envelope->call->id;
    frame_free(&frame);
    return id;
}

/* The next connection works. */
static void check_reconnects(void)
{
    struct seen seen = {0};
    int before = silo.accepted;
    silo_run(&silo, silo_accept);
    begin(client, "k", &seen);
    silo_join(&silo);
    ck_assert_int_eq(silo.accepted, before + 1);
    poll_now(client);
    silo_reply(silo.fd, next_call(), 0, "", false, NULL, 0);
    ck_assert_int_eq(poll_now(client), 1);
    ck_assert(seen.calls == 1 && seen.status == 0);
}

static int order;

struct ordered {
    struct seen seen;
    int at;
};

static void seen_in_order(void *arg, const struct qk_reply *reply)
{
    struct ordered *o = arg;
    seen_reply(&o->seen, reply);
    o->at = order++;
}

START_TEST(test_loss_in_the_middle_of_a_thousand_calls)
{
    struct ordered *calls = calloc(2000, sizeof(*calls));
    struct qk_call_target target = target_of("k");
    order = 0;
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, seen_in_order, &calls[i]), 0);
    poll_now(client);
    for (int i = 0; i < 300; i++) {
        silo_reply(silo.fd, next_call(), 0, "", false, NULL, 0);
        ck_assert_int_eq(poll_now(client), 1);
    }
    for (int i = 1000; i < 2000; i++)
        ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, seen_in_order, &calls[i]), 0);
    silo_hang_up(&silo);
    ck_assert_int_eq(qk_client_poll(client, -1), QK_EDISCONNECTED);
    ck_assert_ptr_nonnull(strstr(qk_client_error(client), "1700 calls in flight"));
    ck_assert_uint_eq(qk_client_in_flight(client), 0);
    ck_assert_int_eq(qk_client_fd(client), -1);
    for (int i = 0; i < 2000; i++) {
        ck_assert_int_eq(calls[i].seen.calls, 1);
        ck_assert_int_eq(calls[i].at, i);
        ck_assert_int_eq(calls[i].seen.status, i < 300 ? 0 : QK_EDISCONNECTED);
        ck_assert_int_eq(calls[i].seen.may_have_run, i >= 300 && i < 1000);
    }
    free(calls);
    check_reconnects();
}
END_TEST

START_TEST(test_loss_replies_before_the_end_still_count)
{
    struct seen first = {0}, second = {0};
    begin(client, "k", &first);
    poll_now(client);
    silo_reply(silo.fd, next_call(), 0, "", false, "r", 1);
    silo_hang_up(&silo);
    begin(client, "k", &second);
    poll_now(client); /* what it writes meets a closed socket */
    ck_assert(first.calls == 1 && first.status == 0 && first.first == 'r');
    if (second.calls == 0)
        ck_assert_int_eq(poll_now(client), QK_EDISCONNECTED);
    ck_assert(second.calls == 1 && second.status == QK_EDISCONNECTED && !second.may_have_run);
}
END_TEST

START_TEST(test_loss_while_idle_is_not_noticed_by_the_next_call)
{
    silo_hang_up(&silo);
    silo.now_ms += 60000;
    check_reconnects();
}
END_TEST

START_TEST(test_loss_in_the_middle_of_a_reply)
{
    struct seen seen = {0};
    begin(client, "k", &seen);
    poll_now(client);
    uint8_t *bytes;
    size_t n = reply_bytes(next_call(), 0, "", false, "payload", 7, &bytes);
    silo_write(silo.fd, bytes, n - 1);
    free(bytes);
    silo_hang_up(&silo);
    int rc = 0;
    while (rc == 0)
        rc = qk_client_poll(client, -1);
    ck_assert_int_eq(rc, QK_EDISCONNECTED);
    ck_assert_ptr_nonnull(strstr(seen.text, "in the middle of a reply"));
    ck_assert(seen.calls == 1 && seen.may_have_run);
}
END_TEST

START_TEST(test_loss_going_away_answers_what_is_in_flight)
{
    struct seen first = {0}, second = {0};
    struct qk_call_target target = target_of("k");
    begin(client, "k", &first);
    begin(client, "k", &second);
    poll_now(client);
    uint64_t one = next_call(), two = next_call();
    silo_go_away(silo.fd, QK_EUNAVAILABLE, "it stops");
    poll_now(client);
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, seen_reply, &first), QK_EUNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(qk_client_error(client), "it stops"));
    ck_assert_int_eq(qk_client_connect(client), QK_EUNAVAILABLE);
    silo_reply(silo.fd, one, 0, "", false, NULL, 0);
    silo_reply(silo.fd, two, 0, "", false, NULL, 0);
    ck_assert_int_eq(poll_now(client), 2);
    ck_assert(first.calls == 1 && first.status == 0 && second.status == 0);
    check_reconnects();
}
END_TEST

START_TEST(test_loss_going_away_says_why)
{
    struct seen seen = {0};
    begin(client, "k", &seen);
    poll_now(client);
    next_call();
    silo_go_away(silo.fd, QK_EUNAVAILABLE, "it stops");
    silo_hang_up(&silo);
    int rc = 0;
    while (rc == 0)
        rc = qk_client_poll(client, -1);
    ck_assert_int_eq(rc, QK_EDISCONNECTED);
    ck_assert_int_eq(seen.status, QK_EDISCONNECTED);
    ck_assert_ptr_nonnull(strstr(seen.text, "it stops"));
}
END_TEST

static const struct {
    const char *bytes;
    size_t size;
    const char *text;
} breaches[] = {
    {"\0\0\0\0\0\0\0\0", 8, "frame of 0 and 0 bytes"},
    {"\x01\x20\0\0\0\0\0\0", 8, "frame of 8193"},
    {"\x01\0\0\0\x01\0\x40\0", 8, "frame of 1 and 4194305"},
    {"\xff\xff\xff\xff\xff\xff\xff\xff", 8, "frame of"},
    {"SSH-2.0-OpenSSH", 15, "is that a silo's socket?"},
    {"\x01\0\0\0\0\0\0\0\x08", 9, "does not parse"},
    {"\x04\0\0\0\0\0\0\0\x1a\x02\x08\x01", 12, "does not parse"},
    {"\x04\0\0\0\0\0\0\0\x12\x02\x08\x01", 12, "second Welcome"},
    {"\x04\0\0\0\0\0\0\0\x22\x02\x08\x63", 12, "not in flight"},
    {"\x02\0\0\0\0\0\0\0\x22\0", 10, "not in flight"},
    {"\x0b\0\0\0\0\0\0\0\x22\x09\x08\xff\xff\xff\xff\xff\xff\xff\x7f", 19, "not in flight"},
};

START_TEST(test_loss_by_a_breach)
{
    struct seen seen = {0};
    for (int i = 0; i < 10; i++)
        begin(client, "k", &seen);
    poll_now(client);
    silo_write(silo.fd, breaches[_i].bytes, breaches[_i].size);
    ck_assert_int_eq(poll_now(client), QK_EPROTOCOL);
    ck_assert_msg(strstr(qk_client_error(client), breaches[_i].text) != NULL, "%s", qk_client_error(client));
    ck_assert(seen.calls == 10 && seen.status == QK_EDISCONNECTED && seen.may_have_run);
    check_reconnects();
}
END_TEST

START_TEST(test_loss_by_random_bytes)
{
    uint64_t state = 11;
    struct seen seen = {0};
    for (int round = 0; round < 300; round++) {
        seen.calls = 0;
        if (qk_client_fd(client) < 0) {
            silo_run(&silo, silo_accept);
            ck_assert_int_eq(qk_client_connect(client), 0);
            silo_join(&silo);
        }
        begin(client, "k", &seen);
        poll_now(client);
        uint8_t *bytes;
        size_t n = reply_bytes(next_call(), QK_APP(3), "refused", true, "payload", 7, &bytes);
        for (int flips = 0; flips <= round % 3; flips++) {
            state = state * 6364136223846793005ull + 1442695040888963407ull;
            /* The sizes stay small: what is longer than the bytes that follow would only wait. */
            size_t at = round % 2 == 0 ? 8 + (state >> 33) % (n - 8) : (state >> 33) % 8;
            bytes[at] = (uint8_t)(state >> 40);
        }
        silo_write(silo.fd, bytes, n);
        free(bytes);
        silo_hang_up(&silo);
        int rc = 0;
        while (qk_client_fd(client) >= 0 && rc >= 0)
            rc = qk_client_poll(client, -1);
        ck_assert_int_eq(seen.calls, 1);
        ck_assert_uint_eq(qk_client_in_flight(client), 0);
        ck_assert_uint_le(client->in.capacity, 4 * QK_CLIENT_BUFFER_SIZE);
    }
}
END_TEST

static struct seen after;

static void begin_elsewhere(void *arg, const struct qk_reply *reply)
{
    int *left = arg;
    ck_assert_int_eq(reply->status, QK_EDISCONNECTED);
    if ((*left)-- == 10)
        begin(client, "again", &after);
    /* The text of the lost calls is not the new connection's. */
    ck_assert_ptr_nonnull(strstr(reply->text, "closed the connection"));
}

START_TEST(test_loss_callbacks_may_call_again)
{
    int left = 10;
    struct qk_call_target target = target_of("k");
    after = (struct seen){0};
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, begin_elsewhere, &left), 0);
    silo_hang_up(&silo);
    silo_run(&silo, silo_accept);
    ck_assert_int_eq(poll_now(client), QK_EDISCONNECTED);
    silo_join(&silo);
    ck_assert_int_eq(left, 0);
    ck_assert_int_eq(after.calls, 0);
    ck_assert_uint_eq(qk_client_in_flight(client), 1);
    poll_now(client);
    silo_reply(silo.fd, next_call(), 0, "", false, NULL, 0);
    ck_assert_int_eq(poll_now(client), 1);
    ck_assert(after.calls == 1 && after.status == 0);
}
END_TEST

static void destroy_inside(void *arg, const struct qk_reply *reply)
{
    (void)arg;
    ck_assert_int_eq(reply->status, QK_EDISCONNECTED);
    qk_client_destroy(client);
}

START_TEST(test_loss_callback_destroys_the_client)
{
    struct seen seen = {0};
    struct qk_call_target target = target_of("k");
    begin(client, "k", &seen);
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, destroy_inside, NULL), 0);
    for (int i = 0; i < 10; i++)
        begin(client, "k", &seen);
    silo_hang_up(&silo);
    ck_assert_int_eq(poll_now(client), QK_ECANCELLED);
    client = NULL;
    ck_assert_int_eq(seen.calls, 11);
    ck_assert_int_eq(seen.status, QK_ECANCELLED);
}
END_TEST

static void accept_and_hang_up(struct silo *s)
{
    silo_accept(s);
    struct frame f;
    if (silo_read(s->fd, &f))
        frame_free(&f);
    silo_hang_up(s);
}

START_TEST(test_loss_of_a_waiting_call)
{
    struct qk_call_target target = target_of("k");
    struct qk_reply reply;
    silo_hang_up(&silo);
    silo.now_ms++;
    silo_run(&silo, accept_and_hang_up);
    ck_assert_int_eq(qk_client_call(client, &target, NULL, 0, &reply), QK_EDISCONNECTED);
    silo_join(&silo);
    ck_assert(reply.may_have_run);
    ck_assert_str_eq(reply.text, qk_client_error(client));
    ck_assert_ptr_nonnull(strstr(reply.text, "closed the connection"));
    check_reconnects();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client loss");
    TCase *tc = tcase_create("loss");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_loss_in_the_middle_of_a_thousand_calls);
    tcase_add_test(tc, test_loss_replies_before_the_end_still_count);
    tcase_add_test(tc, test_loss_while_idle_is_not_noticed_by_the_next_call);
    tcase_add_test(tc, test_loss_in_the_middle_of_a_reply);
    tcase_add_test(tc, test_loss_going_away_answers_what_is_in_flight);
    tcase_add_test(tc, test_loss_going_away_says_why);
    tcase_add_loop_test(tc, test_loss_by_a_breach, 0, sizeof(breaches) / sizeof(breaches[0]));
    tcase_add_test(tc, test_loss_by_random_bytes);
    tcase_add_test(tc, test_loss_callbacks_may_call_again);
    tcase_add_test(tc, test_loss_callback_destroys_the_client);
    tcase_add_test(tc, test_loss_of_a_waiting_call);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
