/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names of status codes, and the hashes that ids are made with. */
#include "base/status.h"

#include <check.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "base/hash.h"

START_TEST(test_status_every_code_has_name_and_text)
{
#define CHECK(name, value, text, retry, ran)              \
    ck_assert_str_eq(qk_status_name(name), #name);        \
    ck_assert_str_eq(qk_status_text(name), text);         \
    ck_assert_int_eq(qk_status_retry_helps(name), retry); \
    ck_assert_int_eq(qk_status_may_have_run(name), ran);  \
    ck_assert_int_eq(name, value);
    QK_STATUS_MAP(CHECK)
#undef CHECK
}
END_TEST

START_TEST(test_status_codes_lie_apart)
{
    static const int codes[] = {
#define CODE(name, value, text, retry, ran) value,
        QK_STATUS_MAP(CODE)
#undef CODE
    };
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        ck_assert(!qk_is_app(codes[i]));
        ck_assert_int_lt(codes[i], -200); /* below every errno */
        for (size_t k = 0; k < i; k++)
            ck_assert_int_ne(codes[i], codes[k]);
    }
    ck_assert(qk_is_app(QK_APP(1)));
    ck_assert(qk_is_app(QK_APP(QK_APP_COUNT)));
    ck_assert(!qk_is_app(QK_APP(0)));
    ck_assert(!qk_is_app(QK_APP(QK_APP_COUNT + 1)));
}
END_TEST

START_TEST(test_status_others_have_a_name_too)
{
    ck_assert_str_eq(qk_status_name(-ENOENT), "ENOENT");
    ck_assert_ptr_nonnull(strstr(qk_status_name(QK_APP(5)), "application"));
    static const int odd[] = {0, 1, INT_MAX, INT_MIN, INT_MIN + 1, -99999, -1500};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        ck_assert_ptr_nonnull(qk_status_name(odd[i]));
        ck_assert_ptr_nonnull(qk_status_text(odd[i]));
        (void)qk_status_retry_helps(odd[i]);
        (void)qk_status_may_have_run(odd[i]);
    }
}
END_TEST

/* Values of the reference implementation: ids on the wire must never change. */
START_TEST(test_status_fnv_is_fnv)
{
    ck_assert_uint_eq(qk_fnv32(""), 0x811c9dc5u);
    ck_assert_uint_eq(qk_fnv32("a"), 0xe40c292cu);
    ck_assert_uint_eq(qk_fnv32("foobar"), 0xbf9cf968u);
    ck_assert_uint_eq(qk_fnv64(""), 0xcbf29ce484222325ull);
    ck_assert_uint_eq(qk_fnv64("a"), 0xaf63dc4c8601ec8cull);
    ck_assert_uint_eq(qk_fnv64("foobar"), 0x85944171f73967e8ull);
}
END_TEST

START_TEST(test_status_hash_depends_on_all)
{
    ck_assert_uint_eq(qk_hash("key", 3, 1), qk_hash("key", 3, 1));
    ck_assert_uint_ne(qk_hash("key", 3, 1), qk_hash("key", 3, 2));
    ck_assert_uint_ne(qk_hash("key", 3, 1), qk_hash("key", 2, 1));
    ck_assert_uint_ne(qk_hash("kex", 3, 1), qk_hash("key", 3, 1));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("status");
    TCase *c = tcase_create("status");
    tcase_add_test(c, test_status_every_code_has_name_and_text);
    tcase_add_test(c, test_status_codes_lie_apart);
    tcase_add_test(c, test_status_others_have_a_name_too);
    tcase_add_test(c, test_status_fnv_is_fnv);
    tcase_add_test(c, test_status_hash_depends_on_all);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
