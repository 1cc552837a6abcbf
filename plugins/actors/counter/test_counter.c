/* SPDX-License-Identifier: Apache-2.0 */
/* Runs counter in a test silo: no daemon, no threads, and a clock that only the test moves. */
#include "counter.quark-test.h"

#include <check.h>
#include <stdlib.h>

static struct qk_test *silo;

static void setup(void)
{
    silo = qk_test_create(&quark_plugin);
    ck_assert_ptr_nonnull(silo);
}

static void teardown(void)
{
    ck_assert_int_eq(qk_test_destroy(silo), 0);
}

static int increment(const char *key, uint32_t by, uint32_t *ret_count)
{
    Counter__IncrementRequest req = COUNTER__INCREMENT_REQUEST__INIT;
    Counter__CountReply *rep = NULL;
    req.by = by;
    int rc = counter_increment_test_ask(silo, qk_ref(key), &req, &rep);
    if (rc >= 0) {
        *ret_count = rep->count;
        counter__count_reply__free_unpacked(rep, NULL);
    }
    return rc;
}

START_TEST(test_counts_for_each_key)
{
    uint32_t count = 0;
    ck_assert_int_eq(increment("alice", 0, &count), 0);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(increment("alice", 41, &count), 0);
    ck_assert_uint_eq(count, 42);
    ck_assert_int_eq(increment("bob", 0, &count), 0);
    ck_assert_uint_eq(count, 1);
}
END_TEST

START_TEST(test_refuses_to_overflow)
{
    uint32_t count = 0;
    ck_assert_int_eq(increment("alice", UINT32_MAX, &count), 0);
    ck_assert_int_eq(increment("alice", 1, &count), QK_APP(1));
    ck_assert_str_eq(qk_test_error(silo), "can't add 1: the count is 4294967295 and can't pass 4294967295");
}
END_TEST

START_TEST(test_keeps_the_count)
{
    uint32_t count = 0;
    ck_assert_int_eq(increment("alice", 2, &count), 0);
    ck_assert_int_eq(qk_test_deactivate(silo, &counter_type, qk_ref("alice")), 0);
    ck_assert_int_eq(increment("alice", 3, &count), 0);
    ck_assert_uint_eq(count, 5);
    qk_test_store_fail(silo, 0, 1, QK_EUNAVAILABLE, false);
    ck_assert_int_eq(increment("alice", 1, &count), QK_EUNAVAILABLE);
    ck_assert_int_eq(increment("alice", 1, &count), 0);
    ck_assert_uint_eq(count, 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("counter");
    TCase *tc = tcase_create("counter");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_counts_for_each_key);
    tcase_add_test(tc, test_refuses_to_overflow);
    tcase_add_test(tc, test_keeps_the_count);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
