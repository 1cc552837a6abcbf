/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Turns on one thread: calls, errors, deadlines, mailboxes, the life of activations. */
#include "actors.h"
#include "harness.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "rt.pb-c.h"

static struct harness h;

static void setup(void)
{
    actors_activated = actors_deactivated = actors_last_reason = actors_overlaps = actors_fail_activation = 0;
    harness_init(&h, &actors_plugin, NULL);
}

static void teardown(void)
{
    harness_finish(&h);
    ck_assert_int_eq(actors_activated, actors_fail_activation ? actors_activated : actors_deactivated);
}

/* Calls a Number method. */
static int call(int method, const char *key, int64_t value, int64_t *ret_value)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = value;
    ProtobufCMessage *out = NULL;
    int rc = harness_call(&h, actors_method(method), key, &in.base, &out);
    if (out != NULL) {
        if (ret_value != NULL)
            *ret_value = ((Rt__Number *)out)->value;
        protobuf_c_message_free_unpacked(out, NULL);
    }
    return rc;
}

START_TEST(test_turns_call_keeps_state)
{
    int64_t v;
    ck_assert_int_eq(call(M_ADD, "a", 5, &v), 0);
    ck_assert_int_eq(v, 5);
    ck_assert_int_eq(call(M_ADD, "a", 6, &v), 0);
    ck_assert_int_eq(v, 11);
    ck_assert_int_eq(call(M_GET, "b", 0, &v), 0);
    ck_assert_int_eq(v, 0);
    ck_assert_int_eq(actors_activated, 2);
}
END_TEST

START_TEST(test_turns_relay_suspends_and_resumes)
{
    int64_t v;
    for (int i = 1; i <= 100; i++) {
        ck_assert_int_eq(call(M_RELAY, "r", 1, &v), 0);
        ck_assert_int_eq(v, i);
    }
    ck_assert_int_eq(actors_overlaps, 0);
}
END_TEST

START_TEST(test_turns_deep_messages_are_copied)
{
    Rt__Text in = RT__TEXT__INIT;
    int64_t numbers[] = {1, 2, 3};
    in.text = "hello";
    in.numbers = numbers;
    in.n_numbers = 3;
    ProtobufCMessage *out;
    ck_assert_int_eq(harness_call(&h, actors_method(M_ECHO), "relay-echo", &in.base, &out), 0);
    ck_assert_str_eq(((Rt__Text *)out)->text, "hello");
    ck_assert_int_eq(((Rt__Text *)out)->numbers[2], 3);
    protobuf_c_message_free_unpacked(out, NULL);
}
END_TEST

START_TEST(test_turns_errors_carry_their_text)
{
    ck_assert_int_eq(call(M_FAIL, "x", 0, NULL), QK_APP(7));
    ck_assert_str_eq(harness_text, "no luck today");
    ck_assert_int_eq(call(M_FAIL, "x", 1, NULL), QK_APP(7));
    ck_assert_str_eq(harness_text, "passed on: no luck today");
    ck_assert_int_eq(call(M_SELF, "x", 1, NULL), QK_EREENTRANT);
}
END_TEST

START_TEST(test_turns_unknown_method_and_bad_request_are_refused)
{
    struct qk_method m = *actors_method(M_ADD);
    m.id = 12345;
    Rt__Number in = RT__NUMBER__INIT;
    ck_assert_int_eq(harness_call(&h, &m, "a", &in.base, NULL), QK_ENOTFOUND);
    m.type_id = 1;
    ck_assert_int_eq(harness_call(&h, &m, "a", &in.base, NULL), QK_ENOTFOUND);
    Rt__Text text = RT__TEXT__INIT;
    text.text = "not a number";
    ck_assert_int_eq(harness_call(&h, actors_method(M_ADD), "a", &text.base, NULL), QK_EINVALID);
    ck_assert_int_eq(call(M_ADD, "", 1, NULL), QK_EINVALID);
}
END_TEST

START_TEST(test_turns_deadline_passes_in_the_mailbox)
{
    Rt__Number in = RT__NUMBER__INIT;
    harness_submit(&h, QK_PORT_CALL, actors_method(M_SLOW), "s", &in.base, 1, 50);
    harness_submit(&h, QK_PORT_CALL, actors_method(M_ADD), "s", &in.base, 2, 20);
    for (int i = 0; i < 10; i++)
        qk_runtime_step(h.rt);
    harness_advance(&h, 100);
    struct qk_port_frame *f = harness_reply(&h);
    ck_assert_int_eq(f->call_id, 1);
    ck_assert_int_eq(f->status, 0);
    qk_port_frame_destroy(f);
    f = harness_reply(&h);
    ck_assert_int_eq(f->status, QK_ETIMEDOUT);
    ck_assert_int_eq(f->may_have_run, 0);
    qk_port_frame_destroy(f);
}
END_TEST

START_TEST(test_turns_full_mailbox_refuses_frames)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = 1;
    for (uint64_t i = 1; i <= 9; i++)
        harness_submit(&h, QK_PORT_CALL, actors_method(M_ADD), "a", &in.base, i, 0);
    harness_run(&h);
    int refused = 0;
    for (int i = 1; i <= 9; i++) {
        struct qk_port_frame *f = harness_reply(&h);
        if (f->status == QK_EOVERLOADED) {
            ck_assert_int_eq(f->call_id, 9);
            refused++;
        }
        qk_port_frame_destroy(f);
    }
    ck_assert_int_eq(refused, 1);
}
END_TEST

START_TEST(test_turns_full_mailbox_makes_a_local_sender_wait)
{
    int64_t v;
    ck_assert_int_eq(call(M_FLOOD, "f", 1000, &v), 0);
    harness_run(&h);
    ck_assert_int_eq(call(M_GET, "target", 0, &v), 0);
    ck_assert_int_eq(v, 1000);
}
END_TEST

START_TEST(test_turns_parallel_calls)
{
    int64_t v;
    ck_assert_int_eq(call(M_PARALLEL, "p", 50, &v), 0);
    ck_assert_int_eq(v, 50);
    ck_assert_int_eq(call(M_PARALLEL, "p", 50, &v), 0);
    ck_assert_int_eq(v, 100);
}
END_TEST

START_TEST(test_turns_deactivation_on_request_and_by_age)
{
    int64_t v;
    ck_assert_int_eq(call(M_ADD, "a", 5, &v), 0);
    ck_assert_int_eq(call(M_QUIT, "a", 0, NULL), 0);
    harness_run(&h);
    ck_assert_int_eq(actors_last_reason, QK_DEACTIVATE_REQUESTED);
    ck_assert_int_eq(call(M_GET, "a", 0, &v), 0);
    ck_assert_int_eq(v, 0);
    for (int i = 0; i < 100 && actors_deactivated < 2; i++)
        harness_advance(&h, 500);
    ck_assert_int_eq(actors_deactivated, 2);
    ck_assert_int_eq(actors_last_reason, QK_DEACTIVATE_IDLE);
}
END_TEST

START_TEST(test_turns_messages_behind_a_deactivation_reach_the_next_activation)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = 4;
    harness_submit(&h, QK_PORT_CALL, actors_method(M_ADD), "a", &in.base, 1, 0);
    harness_submit(&h, QK_PORT_CALL, actors_method(M_QUIT), "a", &in.base, 2, 0);
    harness_submit(&h, QK_PORT_CALL, actors_method(M_ADD), "a", &in.base, 3, 0);
    harness_submit(&h, QK_PORT_CALL, actors_method(M_ADD), "a", &in.base, 4, 0);
    harness_run(&h);
    for (uint64_t i = 1; i <= 4; i++) {
        struct qk_port_frame *f = harness_reply(&h);
        ck_assert_int_eq(f->call_id, i);
        ck_assert_int_eq(f->status, 0);
        if (i == 4)
            ck_assert_int_eq(qk_port_frame_payload(f)[1], 8);
        qk_port_frame_destroy(f);
    }
}
END_TEST

START_TEST(test_turns_failed_activation_fails_the_calls)
{
    actors_fail_activation = 1;
    ck_assert_int_eq(call(M_ADD, "a", 1, NULL), QK_EACTIVATE);
    ck_assert_ptr_nonnull(strstr(harness_text, "the tape is torn"));
    actors_fail_activation = 0;
    int64_t v;
    ck_assert_int_eq(call(M_ADD, "a", 1, &v), 0);
    actors_activated = 1;
}
END_TEST

START_TEST(test_turns_context_names_self_and_caller)
{
    Rt__Text in = RT__TEXT__INIT;
    ProtobufCMessage *out;
    ck_assert_int_eq(harness_call(&h, actors_method(M_NOTE), "me", &in.base, &out), 0);
    ck_assert_str_eq(((Rt__Text *)out)->text, "me from client");
    protobuf_c_message_free_unpacked(out, NULL);
}
END_TEST

START_TEST(test_turns_sends_are_acknowledged_once)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = 3;
    harness_submit(&h, QK_PORT_SEND, actors_method(M_ADD), "a", &in.base, 77, 0);
    harness_run(&h);
    struct qk_port_frame *f = harness_reply(&h);
    ck_assert_int_eq(f->status, 0);
    ck_assert_int_eq(f->call_id, 77);
    ck_assert_int_eq(f->payload_len, 0);
    qk_port_frame_destroy(f);
    ck_assert_ptr_null(harness_reply(&h));
    int64_t v;
    ck_assert_int_eq(call(M_GET, "a", 0, &v), 0);
    ck_assert_int_eq(v, 3);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("turns");
    TCase *c = tcase_create("turns");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_turns_call_keeps_state);
    tcase_add_test(c, test_turns_relay_suspends_and_resumes);
    tcase_add_test(c, test_turns_deep_messages_are_copied);
    tcase_add_test(c, test_turns_errors_carry_their_text);
    tcase_add_test(c, test_turns_unknown_method_and_bad_request_are_refused);
    tcase_add_test(c, test_turns_deadline_passes_in_the_mailbox);
    tcase_add_test(c, test_turns_full_mailbox_refuses_frames);
    tcase_add_test(c, test_turns_full_mailbox_makes_a_local_sender_wait);
    tcase_add_test(c, test_turns_parallel_calls);
    tcase_add_test(c, test_turns_deactivation_on_request_and_by_age);
    tcase_add_test(c, test_turns_messages_behind_a_deactivation_reach_the_next_activation);
    tcase_add_test(c, test_turns_failed_activation_fails_the_calls);
    tcase_add_test(c, test_turns_context_names_self_and_caller);
    tcase_add_test(c, test_turns_sends_are_acknowledged_once);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
