/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plugin that was built against the headers of an earlier release is loaded and works. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
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

struct number {
    ProtobufCMessage base;
    int64_t value;
    int unit;
};

START_TEST(test_old_plugin_of_1_0_is_loaded)
{
    struct qk_plugin_info info;
    fixture_put(f, "v1_0", "old.so");
    fixture_scan(f, 1, 0);
    ck_assert(fixture_find(f, "old.so", &info));
    ck_assert_str_eq(info.abi, "1.0");
    ck_assert_uint_eq(info.plugin->n_types, 1);
    const struct qk_type *type = info.plugin->types[0];
    ck_assert_uint_eq(type->n_methods, 2);
    ck_assert_str_eq(type->methods[1].name, "Add");
    struct number state = {.value = 40}, request = {.value = 2}, reply = {.value = 0};
    ck_assert_int_eq(type->methods[1].handler(NULL, &state, &request.base, &reply.base), 0);
    ck_assert_int_eq(reply.value, 42);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("old");
    TCase *tc = tcase_create("old");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_old_plugin_of_1_0_is_loaded);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
