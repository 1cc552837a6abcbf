/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Plugins as the build makes them: what is loaded, what is refused and why, and what must not have run by then. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include "fixture.h"

static struct fixture fixture;
static struct fixture *const f = &fixture;

static void setup(void)
{
    static const char *const dirs[] = {"", NULL};
    fixture_init(f, dirs);
}

static void teardown(void)
{
    fixture_finish(f);
}

START_TEST(test_load_good_is_registered)
{
    struct qk_plugin_info info;
    fixture_put(f, "good", "libtally.so");
    fixture_scan(f, 1, 0);
    ck_assert(fixture_find(f, "libtally.so", &info));
    ck_assert_int_eq(info.state, QK_PLUGIN_LOADED);
    ck_assert_str_eq(info.name, "tally");
    ck_assert_str_eq(info.version, "1.0");
    ck_assert_str_eq(info.abi, "1.0");
    ck_assert_str_eq(info.code, "");
    ck_assert_str_eq(info.reason, "");
    ck_assert_int_eq(info.loaded_ms, 1234567);
    ck_assert_str_eq(getenv("QUARK_TEST_RAN"), "tally");
    ck_assert_ptr_eq(qk_plugins_find_type(f->set, "tally"), info.plugin);
    ck_assert_ptr_null(qk_plugins_find_type(f->set, "teller"));
    fixture_scan(f, 0, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("load");
    TCase *tc = tcase_create("load");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_load_good_is_registered);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
