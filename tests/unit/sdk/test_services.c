/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Services of a plugin that the generator was told of, in a test silo. */
#include "every.h"
#include "every.quark-test.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct qk_test *silo;

static void setup(void)
{
    every_inks = every_inks_fail = 0;
    silo = qk_test_create(&every_thing_plugin);
    ck_assert_ptr_nonnull(silo);
}

static void teardown(void)
{
    ck_assert_int_eq(qk_test_destroy(silo), 0);
    ck_assert_int_eq(every_inks, 0);
}

static int noted(const char *want)
{
    const Test__EveryThing__None req = TEST__EVERY_THING__NONE__INIT;
    Test__EveryThing__Text *rep = NULL;
    int rc = keeper_noted_test_ask(silo, qk_ref("k"), &req, &rep);
    if (rc >= 0)
        ck_assert_str_eq(rep->text, want);
    test__every_thing__text__free_unpacked(rep, NULL);
    return rc;
}

START_TEST(test_services_live_as_long_as_the_activation)
{
    ck_assert_int_eq(noted("0 notes"), 0);
    ck_assert_int_eq(noted("0 notes"), 0);
    ck_assert_int_eq(every_inks, 1);
    ck_assert_int_eq(qk_test_deactivate(silo, &keeper_type, qk_ref("k")), 0);
    ck_assert_int_eq(every_inks, 0);
    ck_assert_int_eq(noted("0 notes"), 0);
}
END_TEST

START_TEST(test_services_a_test_puts_its_own_in_their_place)
{
    struct every_ink red = {" in red"};
    ck_assert_int_eq(qk_test_substitute(silo, "ikn", &red), QK_ENOTFOUND);
    ck_assert_str_eq(qk_test_error(silo), "no plugin that is loaded has the service ikn");
    ck_assert_int_eq(qk_test_substitute(silo, "ink", &red), 0);
    ck_assert_int_eq(noted("0 notes in red"), 0);
    ck_assert_int_eq(every_inks, 0);
}
END_TEST

START_TEST(test_services_substituted_after_the_first_use)
{
    struct every_ink red = {" in red"};
    ck_assert_int_eq(noted("0 notes"), 0);
    ck_assert_int_eq(qk_test_substitute(silo, "every-thing/ink", &red), QK_ESTATE);
}
END_TEST

START_TEST(test_services_that_fail_tell_the_caller)
{
    every_inks_fail = 1;
    ck_assert_int_eq(noted(""), QK_APP(5));
    ck_assert_str_eq(qk_test_error(silo), "the service every-thing/ink could not be made: the bottle is empty");
    every_inks_fail = 0;
    ck_assert_int_eq(noted("0 notes"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("services");
    TCase *tc = tcase_create("services");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_services_live_as_long_as_the_activation);
    tcase_add_test(tc, test_services_a_test_puts_its_own_in_their_place);
    tcase_add_test(tc, test_services_substituted_after_the_first_use);
    tcase_add_test(tc, test_services_that_fail_tell_the_caller);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
