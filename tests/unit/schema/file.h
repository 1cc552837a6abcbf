/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The schema that the tests use, read from the file that the environment names. */
#ifndef QK_TESTS_SCHEMA_FILE_H
#define QK_TESTS_SCHEMA_FILE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/limits.h"
#include "schema/schema.h"

static inline size_t read_set(uint8_t **ret_bytes)
{
    FILE *file = fopen(getenv("QK_TEST_SET"), "re");
    ck_assert_ptr_nonnull(file);
    *ret_bytes = malloc(QK_SCHEMA_MAX);
    size_t size = fread(*ret_bytes, 1, QK_SCHEMA_MAX, file);
    ck_assert_uint_gt(size, 0);
    fclose(file);
    return size;
}

static inline struct qk_schema *make_schema(void)
{
    uint8_t *bytes;
    char error[256];
    struct qk_schema *schema;
    size_t size = read_set(&bytes);
    ck_assert_int_eq(qk_schema_create(bytes, size, error, sizeof(error), &schema), 0);
    ck_assert_str_eq(error, "");
    free(bytes);
    return schema;
}

#endif
