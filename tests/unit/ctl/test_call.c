/* SPDX-License-Identifier: GPL-3.0-or-later */
/* quarkctl call: the request that goes out, the reply that is shown, and what each failure says and returns. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "ctl/ctl.h"
#include "fake.h"

START_TEST(test_call_sends_the_request)
{
    fake.reply = (struct qk_reply){.text = "", .data = (const uint8_t *)"\x08\x05", .size = 2};
    expect_run(0, "{\"value\": 5}\n", "", "call", "every/a/b", "Do", "{\"anInt32\": 3}");
    ck_assert_uint_eq(fake.target.type_id, 77);
    ck_assert_uint_eq(fake.target.method_id, 11);
    ck_assert_uint_eq(fake.target.timeout_ms, 1500);
    ck_assert(!fake.target.one_way);
    ck_assert_str_eq(fake.key, "a/b");
    ck_assert_uint_eq(fake.request_size, 2);
    ck_assert_mem_eq(fake.request, "\x18\x03", 2);
    ck_assert_str_eq(fake.socket, "/run/test.sock");
    expect_run(0, "{\"value\": 5}\n", "", "call", "every/a", "Do", "--socket", "/other", "--timeout", "20ms");
    ck_assert_uint_eq(fake.target.timeout_ms, 20);
    ck_assert_str_eq(fake.socket, "/other");
}
END_TEST

START_TEST(test_call_sets_the_context)
{
    fake.reply = (struct qk_reply){.text = "", .data = (const uint8_t *)"\x08\x05", .size = 2};
    expect_run(0, "{\"value\": 5}\n", "", "call", "every/a", "Do", "--meta", "tenant=7", "-m", "x=a=b", "--traceparent",
               "00-1");
    ck_assert_str_eq(fake.context, "tenant=7;x=a=b;traceparent=00-1;");
    fake.calls = 0;
    expect_run(2, "",
               "error[QK0403]: `tenant` is not an entry of a context\n"
               "     = help: write --meta NAME=VALUE, for example --meta tenant=7\n",
               "call", "every/a", "Do", "--meta", "tenant");
    fake.context_status = QK_EINVALID;
    fake.error = "why not";
    expect_run(2, "", "error[QK0403]: `t=7` can't be an entry of the context\n     = note: why not\n", "call",
               "every/a", "Do", "--meta", "t=7");
    expect_run(2, "", "error[QK0403]: `00` is no traceparent\n     = note: why not\n", "call", "every/a", "Do",
               "--traceparent", "00");
    ck_assert_uint_eq(fake.calls, 0);
}
END_TEST

START_TEST(test_call_shows_what_it_caused)
{
    static const struct qk_client_span spans[] = {
        {0, 1, 3, 0, 0, 1, "every", "a", "Do", 1, 0, 1200, 34000, 2500000},
        {1, 1, 3, 1, QK_APP(7), 1, "every", "b", "Do", 2, 100, 900, 1000, 0},
        {1, 2, 2, 1, 0, 2, "every", "\"c", "Watch", 3, 200, 900, 1000, 0},
        {2, 1, 3, 0, QK_ETIMEDOUT, 1, "every", "d", "Do", 4, 300, 900, 1000, 0},
        {3, 3, 1, 0, 0, 1, "every", "e", "Do", 5, 400, 900, 0, 0},
    };
    fake.reply = (struct qk_reply){.text = "", .data = (const uint8_t *)"\x08\x05", .size = 2};
    fake.spans = spans;
    fake.n_spans = 5;
    fake.left_out = 2;
    expect_run(0,
               "{\"value\": 5}\n"
               "CALL                     QUEUED     RUN SUSPENDED STATUS       WORKER\n"
               "every/a Do               1.2 us 34.0 us    2.5 ms 0                 0\n"
               "|- every/b Do            900 ns  1.0 us      0 ns app 7             1\n"
               "|  `- every/d Do         900 ns  1.0 us      0 ns QK_ETIMEDOUT      0\n"
               "`- every/\"c Watch (sent) 900 ns  1.0 us      0 ns open              1\n"
               "   `- every/e Do (timer) 900 ns    0 ns      0 ns waits        \n"
               "2 more were left out\n",
               "", "call", "every/a", "Do", "--trace");
    ck_assert(fake.record);
    fake.n_spans = 3;
    expect_run(0,
               "{\"value\":5}\n"
               "{\"traceId\":\"0123456789abcdef0123456789abcdef\",\"leftOut\":2,\"spans\":["
               "{\"parent\":0,\"id\":\"0000000000000001\",\"type\":\"every\",\"key\":\"a\",\"method\":\"Do\","
               "\"kind\":\"call\",\"state\":\"ended\",\"status\":0,\"worker\":0,\"startNs\":0,\"queuedNs\":1200,"
               "\"runNs\":34000,\"suspendedNs\":2500000},"
               "{\"parent\":1,\"id\":\"0000000000000002\",\"type\":\"every\",\"key\":\"b\",\"method\":\"Do\","
               "\"kind\":\"call\",\"state\":\"ended\",\"status\":-2007,\"worker\":1,\"startNs\":100,\"queuedNs\":900,"
               "\"runNs\":1000,\"suspendedNs\":0},"
               "{\"parent\":1,\"id\":\"0000000000000003\",\"type\":\"every\",\"key\":\"\\\"c\",\"method\":\"Watch\","
               "\"kind\":\"send\",\"state\":\"open\",\"status\":0,\"worker\":1,\"startNs\":200,\"queuedNs\":900,"
               "\"runNs\":1000,\"suspendedNs\":0}]}\n",
               "", "call", "every/a", "Do", "--trace", "--json");
    expect_run(2, "", "error[QK0403]: --trace does not go together with --raw\n", "call", "every/a", "Do", "--trace",
               "--raw");
    fake.n_spans = 1;
    expect_run(0,
               "CALL       QUEUED     RUN SUSPENDED STATUS WORKER\n"
               "every/a Do 1.2 us 34.0 us    2.5 ms 0           0\n"
               "2 more were left out\n",
               "", "call", "every/a", "Watch", "--trace");
}
END_TEST

START_TEST(test_call_forms_of_the_reply)
{
    fake.reply = (struct qk_reply){.text = "", .data = (const uint8_t *)"\x08\x05", .size = 2};
    expect_run(0, "\x08\x05", "", "call", "every/a", "Do", "--raw");
    expect_run(0, "{\"value\":5}\n", "", "call", "every/a", "Do", "--json");
    fake.reply = (struct qk_reply){.text = ""};
    expect_run(0, "", "", "call", "every/a", "Watch");
    ck_assert(fake.target.one_way);
    fake.reply = (struct qk_reply){.text = "", .data = (const uint8_t *)"\x08", .size = 1};
    expect_run(1, "",
               "error[QK0527]: the reply of Do is not a `quark.every.Inner`\n"
               "     = help: `--raw` writes the bytes as they came\n",
               "call", "every/a", "Do");
}
END_TEST

START_TEST(test_call_mistakes_reach_no_actor)
{
    expect_run(
        2, "",
        "error[QK0502]: `quark.every.Scalars` has no field `anInt23`\n  --> request:1:2\n     |\n"
        "   1 | {\"anInt23\": 3}\n     |  ^^^^^^^^^ did you mean `anInt32`?\n"
        "     = help: its fields are a_double, a_float, an_int32, an_int64, a_uint32, a_uint64, a_sint32, a_sint64, "
        "a_fixed32, a_fixed64, a_sfixed32, a_sfixed64, a_bool, a_string, some_bytes, color, inner, renamed\n",
        "call", "every/a", "Do", "{\"anInt23\": 3}");
    expect_run(5, "",
               "error[QK0421]: actor type `every` has no method `do`\n     = note: did you mean `Do`?\n"
               "     = help: its methods are Watch, Do\n",
               "call", "every/a", "do");
    expect_run(5, "",
               "error[QK0420]: the silo has no actor type `evry`\n     = note: did you mean `every`?\n"
               "     = help: `quarkctl types` lists the types, `quarkctl plugins` the files that bring them\n",
               "call", "evry/a", "Do");
    expect_run(2, "",
               "error[QK0406]: `every` is not the address of an actor\n"
               "     = help: write TYPE/KEY, for example counter/alice; a key has 1 to 512 bytes\n",
               "call", "every", "Do");
    expect_run(2, "", NULL, "call", "every/", "Do");
    expect_run(2, "", NULL, "call", "/a", "Do");
    expect_run(2, "", NULL, "call", "every/\xff", "Do");
    ck_assert_uint_eq(fake.calls, 0);
}
END_TEST

static void expect_failure(int status, const char *text, bool may_have_run, int exit_code, const char *err)
{
    fake.reply = (struct qk_reply){.status = status, .text = text, .may_have_run = may_have_run};
    expect_run(exit_code, "", err, "call", "every/a", "Do");
}

START_TEST(test_call_failures_say_who_and_what_to_do)
{
    expect_failure(QK_APP(7), "no money", true, 1,
                   "error[QK0520]: every/a Do: no money\n"
                   "     = note: refused by the actor with status 7 of the application; the method ran\n");
    expect_failure(QK_ETIMEDOUT, "no reply within 1500 ms", true, 7,
                   "error[QK0521]: every/a Do: no reply within 1500 ms\n"
                   "     = note: refused by the silo with status QK_ETIMEDOUT; the method may have run\n"
                   "     = help: wait longer with --timeout; look at the actor's state before you try again\n");
    expect_failure(QK_EOVERLOADED, "", false, 8,
                   "error[QK0522]: every/a Do: the actor's mailbox is full\n"
                   "     = note: refused by the silo with status QK_EOVERLOADED; the method did not run\n"
                   "     = help: try again a little later, or give the type a larger mailbox\n");
    expect_failure(QK_EDISCONNECTED, "the silo closed the connection", true, 3,
                   "error[QK0525]: every/a Do: the silo closed the connection\n"
                   "     = note: refused by the client with status QK_EDISCONNECTED; the method may have run\n"
                   "     = help: `quarkctl status` shows whether the silo is back\n");
    expect_failure(-ENOSPC, "disk\x1b[2J full", true, 1,
                   "error[QK0526]: every/a Do: disk [2J full\n"
                   "     = note: refused by the actor with status ENOSPC; the method may have run\n");
}
END_TEST

START_TEST(test_call_exit_codes)
{
    static const struct {
        int status;
        int exit_code;
    } cases[] = {
        {0, 0},
        {3, 0},
        {QK_APP(1), 1},
        {QK_EREENTRANT, 1},
        {QK_ECRASHED, 1},
        {QK_EACTIVATE, 1},
        {-EIO, 1},
        {QK_EUNAVAILABLE, 3},
        {QK_EDISCONNECTED, 3},
        {QK_EVERSION, 3},
        {-ECONNREFUSED, 3},
        {-ENOENT, 3},
        {QK_EDENIED, 4},
        {-EACCES, 4},
        {QK_ENOTFOUND, 5},
        {QK_ETIMEDOUT, 7},
        {QK_EOVERLOADED, 8},
        {QK_ENOMEMORY, 8},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_int_eq(qk_exit_of(cases[i].status), cases[i].exit_code);
}
END_TEST

START_TEST(test_call_unreachable)
{
    fake.connect_status = -ENOENT;
    expect_run(
        3, "",
        "error[QK0410]: no silo answers at /run/test.sock\n     = note: ENOENT: No such file or directory\n"
        "     = help: see that a silo listens there: `quarkd --dev` prints its socket, `systemctl status quarkd` "
        "tells of the system's\n",
        "call", "every/a", "Do");
    fake.connect_status = QK_EDENIED;
    fake.error = "user nobody may not call";
    expect_run(4, "",
               "error[QK0411]: the silo at /run/test.sock does not let this user in\n"
               "     = note: QK_EDENIED: user nobody may not call\n"
               "     = help: `socket.users` and `socket.groups` in the configuration say who may; so does the socket's "
               "mode\n",
               "call", "every/a", "Do");
    fake.connect_status = QK_ETIMEDOUT;
    expect_run(3, "", NULL, "call", "every/a", "Do");
    fake.connect_status = 0;
    fake.admin_status = QK_ETIMEDOUT;
    expect_run(7, "", NULL, "reload");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("call");
    TCase *tc = tcase_create("call");
    tcase_add_checked_fixture(tc, fake_setup, NULL);
    tcase_add_test(tc, test_call_sends_the_request);
    tcase_add_test(tc, test_call_sets_the_context);
    tcase_add_test(tc, test_call_shows_what_it_caused);
    tcase_add_test(tc, test_call_forms_of_the_reply);
    tcase_add_test(tc, test_call_mistakes_reach_no_actor);
    tcase_add_test(tc, test_call_failures_say_who_and_what_to_do);
    tcase_add_test(tc, test_call_exit_codes);
    tcase_add_test(tc, test_call_unreachable);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
