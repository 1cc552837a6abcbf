/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who runs when: the budget of an activation, and turns that yield. */
#include "actors.h"
#include "harness.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include "rt.pb-c.h"

static struct harness h;

static void submit(int method, const char *key, uint64_t id, int64_t timeout_ms)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = 1;
    harness_submit(&h, QK_PORT_CALL, actors_method(method), key, &in.base, id, timeout_ms);
}

/* The id of the next reply, 0 when there is none. */
static uint64_t next_reply(int *ret_status)
{
    struct qk_port_frame *f = harness_reply(&h);
    if (f == NULL)
        return 0;
    uint64_t id = f->call_id;
    *ret_status = f->status;
    qk_port_frame_destroy(f);
    return id;
}

static void small_budget(struct qk_runtime_config *config)
{
    config->budget = 2;
}

START_TEST(test_fairness_budget_lets_others_in_between)
{
    int status;
    harness_init(&h, &actors_plugin, small_budget);
    for (uint64_t i = 1; i <= 6; i++)
        submit(M_ADD, "a", i, 0);
    for (uint64_t i = 101; i <= 106; i++)
        submit(M_ADD, "b", i, 0);
    harness_run(&h);
    static const uint64_t order[] = {1, 2, 101, 102, 3, 4, 103, 104, 5, 6, 105, 106};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        ck_assert_uint_eq(next_reply(&status), order[i]);
        ck_assert_int_eq(status, 0);
    }
    harness_finish(&h);
}
END_TEST

/* A turn that yields for ever must not keep waiting what another turn calls. */
START_TEST(test_fairness_yield_lets_calls_go_on)
{
    int status;
    harness_init(&h, &actors_plugin, NULL);
    submit(M_SLOW, "slow", 1, 1000);
    for (int i = 0; i < 3; i++)
        qk_runtime_step(h.rt);
    for (uint64_t i = 2; i < 50; i++) {
        submit(M_RELAY, "relay", i, 0);
        qk_runtime_step(h.rt);
        ck_assert_uint_eq(next_reply(&status), i);
        ck_assert_int_eq(status, 0);
    }
    h.now_ns += 2000000000;
    harness_run(&h);
    ck_assert_uint_eq(next_reply(&status), 1);
    harness_finish(&h);
}
END_TEST

START_TEST(test_fairness_yielding_turns_take_turns_with_the_busy)
{
    int status;
    harness_init(&h, &actors_plugin, NULL);
    for (uint64_t i = 1; i <= 200; i++) {
        char key[16];
        snprintf(key, sizeof(key), "slow-%u", (unsigned)i);
        submit(M_SLOW, key, i, 1000);
    }
    submit(M_FLOOD, "flood", 1000, 0);
    for (int i = 0; i < 10; i++)
        qk_runtime_step(h.rt);
    ck_assert_uint_eq(next_reply(&status), 1000);
    h.now_ns += 2000000000;
    harness_run(&h);
    for (uint64_t i = 1; i <= 200; i++)
        ck_assert_uint_ne(next_reply(&status), 0);
    harness_finish(&h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fairness");
    TCase *c = tcase_create("fairness");
    tcase_add_test(c, test_fairness_budget_lets_others_in_between);
    tcase_add_test(c, test_fairness_yield_lets_calls_go_on);
    tcase_add_test(c, test_fairness_yielding_turns_take_turns_with_the_busy);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
