/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Durations and sizes: what is read, what is refused, how they are written. */
#include "main/units.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

static const struct {
    const struct qk_unit *units;
    const char *text;
    int rc;
    int64_t value;
    const char *written;
} cases[] = {
    {qk_duration_units, "10s", 0, INT64_C(10000000000), "10s"},
    {qk_duration_units, "1500ms", 0, INT64_C(1500000000), "1500ms"},
    {qk_duration_units, "120s", 0, INT64_C(120000000000), "2min"},
    {qk_duration_units, "24h", 0, INT64_C(86400000000000), "1d"},
    {qk_duration_units, "20 us", 0, 20000, "20us"},
    {qk_duration_units, "0s", 0, 0, "0us"},
    {qk_duration_units, "10", -ENOENT, 0, NULL},
    {qk_duration_units, "10sec", -ENOENT, 0, NULL},
    {qk_duration_units, "s", -EINVAL, 0, NULL},
    {qk_duration_units, "-1s", -EINVAL, 0, NULL},
    {qk_duration_units, "", -EINVAL, 0, NULL},
    {qk_duration_units, "9223372036854775808us", -ERANGE, 0, NULL},
    {qk_duration_units, "9223372036854775807s", -ERANGE, 0, NULL},
    {qk_size_units, "64KiB", 0, 65536, "64KiB"},
    {qk_size_units, "1024B", 0, 1024, "1KiB"},
    {qk_size_units, "1000B", 0, 1000, "1000B"},
    {qk_size_units, "3GiB", 0, INT64_C(3221225472), "3GiB"},
    {qk_size_units, "64kib", -ENOENT, 0, NULL},
};

START_TEST(test_units_parse_and_format)
{
    int64_t value = 0;
    const char *unit;
    ck_assert_int_eq(qk_unit_parse(cases[_i].units, cases[_i].text, &value, &unit), cases[_i].rc);
    ck_assert_int_eq(value, cases[_i].value);
    if (cases[_i].rc == 0) {
        char text[QK_UNIT_TEXT_MAX];
        qk_unit_format(cases[_i].units, value, text);
        ck_assert_str_eq(text, cases[_i].written);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("units");
    TCase *tcase = tcase_create("units");
    tcase_add_loop_test(tcase, test_units_parse_and_format, 0, sizeof(cases) / sizeof(cases[0]));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
