/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Durations and sizes as people write them: "10s", "64MiB". Any thread. */
#ifndef QK_MAIN_UNITS_H
#define QK_MAIN_UNITS_H

#include <stddef.h>
#include <stdint.h>

struct qk_unit {
    const char *name;
    int64_t factor;
};

/* From the smallest to the largest; each ends with a NULL name. */
extern const struct qk_unit qk_duration_units[]; /* to nanoseconds */
extern const struct qk_unit qk_size_units[];     /* to bytes */

#define QK_UNIT_TEXT_MAX 32

/* Reads a whole number and its unit. 0; -EINVAL: no number in front; -ENOENT: no unit, or one that there is not
 * (ret_unit points to it inside `text`); -ERANGE: does not fit. */
int qk_unit_parse(const struct qk_unit *units, const char *text, int64_t *ret_value, const char **ret_unit);

/* In the largest unit that gives a whole number. */
void qk_unit_format(const struct qk_unit *units, int64_t value, char ret_text[QK_UNIT_TEXT_MAX]);

#endif
