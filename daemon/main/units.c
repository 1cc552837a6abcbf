/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads and writes durations and sizes. */
#include "main/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct qk_unit qk_duration_units[] = {
    {"us", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"min", INT64_C(60) * 1000000000},
    {"h", INT64_C(3600) * 1000000000},
    {"d", INT64_C(86400) * 1000000000},
    {NULL, 0},
};

const struct qk_unit qk_size_units[] = {
    {"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024}, {NULL, 0},
};

int qk_unit_parse(const struct qk_unit *units, const char *text, int64_t *ret_value, const char **ret_unit)
{
    int64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *at - '0', &number))
            return -ERANGE;
    }
    if (at == text)
        return -EINVAL;
    while (*at == ' ')
        at++;
    *ret_unit = at;
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, at) != 0)
            continue;
        if (__builtin_mul_overflow(number, units->factor, &number))
            return -ERANGE;
        *ret_value = number;
        return 0;
    }
    return -ENOENT;
}

void qk_unit_format(const struct qk_unit *units, int64_t value, char ret_text[QK_UNIT_TEXT_MAX])
{
    const struct qk_unit *best = units;
    for (const struct qk_unit *u = units; u->name != NULL; u++) {
        if (value != 0 && value % u->factor == 0)
            best = u;
    }
    snprintf(ret_text, QK_UNIT_TEXT_MAX, "%" PRId64 "%s", value / best->factor, best->name);
}
