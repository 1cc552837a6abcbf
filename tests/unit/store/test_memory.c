/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The provider "memory": the common suite, and its bound. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "conformance.h"

static struct qk_store *open_memory(const struct qk_store_config *config)
{
    struct qk_store *store;
    ck_assert_int_eq(qk_store_open_memory(config, 64u << 20, &store), 0);
    return store;
}

START_TEST(test_memory_is_bounded)
{
    static char bytes[1000];
    char key[16];
    uint64_t version = 0;
    int n = 0, status;
    ck_assert_int_eq(qk_store_open_memory(conf_config(), 100000, &conf_store), 0);
    do {
        snprintf(key, sizeof(key), "%d", n);
        status = conf_do(QK_OP_WRITE, key, 0, bytes, sizeof(bytes), &version);
    } while (status == 0 && ++n < 1000);
    ck_assert_int_eq(status, -ENOSPC);
    ck_assert_int_gt(n, 60);
    ck_assert_int_lt(n, 100);
    conf_expect(key, 0, NULL, 0);
    /* Full it still takes what needs no more, and again what has been given back. */
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "0", 1, bytes, sizeof(bytes), &version), 0);
    ck_assert_int_eq(conf_do(QK_OP_CLEAR, "0", version, NULL, 0, NULL), 0);
    ck_assert_int_eq(conf_do(QK_OP_WRITE, key, 0, bytes, 500, &version), 0);
    struct conf_op o;
    conf_init(&o, QK_OP_APPEND, "1", 0, NULL, 0);
    const struct qk_store_event large = {malloc(200000), 200000};
    o.op.events = &large;
    o.op.n_events = 1;
    conf_run(&o, 1);
    ck_assert_int_eq(o.op.status, -ENOSPC);
    conf_free(&o, 1);
    free((void *)large.bytes);
    qk_store_close(conf_store);
}
END_TEST

int main(void)
{
    static const struct conformance_provider provider = {.open = open_memory};
    Suite *s = suite_create("memory");
    TCase *c = tcase_create("memory");
    tcase_add_test(c, test_memory_is_bounded);
    suite_add_tcase(s, conformance_case(&provider));
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
