/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Call filters that the .proto and the generator's parameters name, in a test silo. */
#include "every.h"
#include "every.quark-test.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct qk_test *silo;

static void setup(void)
{
    every_counted_in = every_counted_out = every_late = 0;
    silo = qk_test_create(&every_thing_plugin);
    ck_assert_ptr_nonnull(silo);
}

static void teardown(void)
{
    ck_assert_int_eq(qk_test_destroy(silo), 0);
}

static int put(const char *text)
{
    Test__EveryThing__Text req = TEST__EVERY_THING__TEXT__INIT, *rep = NULL;
    req.text = (char *)text;
    int rc = keeper_put_text_test_ask(silo, qk_ref("k"), &req, &rep);
    test__every_thing__text__free_unpacked(rep, NULL);
    return rc;
}

static int relay(const char *text)
{
    Test__EveryThing__Text req = TEST__EVERY_THING__TEXT__INIT, *rep = NULL;
    req.text = (char *)text;
    int rc = asker_relay_test_ask(silo, qk_ref("a"), &req, &rep);
    test__every_thing__text__free_unpacked(rep, NULL);
    return rc;
}

START_TEST(test_filters_of_a_type_and_of_the_silo)
{
    ck_assert_int_eq(put("hey"), 3);
    ck_assert_int_eq(every_counted_in, 2); /* once for the silo, once for the type */
    ck_assert_int_eq(put("damn"), QK_APP(6));
    ck_assert_str_eq(qk_test_error(silo), "damn is no word for keeper-2");
    ck_assert_int_eq(every_counted_in, 3); /* the type's own is inside what refused */
    ck_assert_int_eq(every_counted_out, 0);
}
END_TEST

START_TEST(test_filters_of_calls)
{
    ck_assert_int_ge(relay("hey"), 0);
    ck_assert_int_eq(every_counted_in, 3);
    ck_assert_int_eq(every_counted_out, 1); /* the asker has none of its own */
    every_late = 1;
    ck_assert_int_eq(relay("hey"), QK_EDENIED);
    ck_assert_str_eq(qk_test_error(silo), "relayed: PutText has closed");
    ck_assert_int_eq(put("hey"), 3);
}
END_TEST

START_TEST(test_filters_stand_in_the_tables)
{
    ck_assert_uint_eq(keeper_type.n_filters, 2);
    ck_assert_ptr_eq(keeper_type.filters[0], &polite_filter);
    ck_assert_ptr_eq(keeper_type.filters[1], &census_filter);
    ck_assert_uint_eq(asker_type.n_filters, 0);
    ck_assert_uint_eq(every_thing_plugin.n_filters, 2);
    ck_assert_ptr_eq(every_thing_plugin.filters[0], &census_filter);
    ck_assert_ptr_eq(every_thing_plugin.filters[1], &curfew_filter);
    ck_assert_str_eq(census_filter.name, "census");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("filters");
    TCase *t = tcase_create("filters");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_filters_of_a_type_and_of_the_silo);
    tcase_add_test(t, test_filters_of_calls);
    tcase_add_test(t, test_filters_stand_in_the_tables);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
