/* SPDX-License-Identifier: Apache-2.0 */
/* Words and their ranking in a test silo. */
#include "words.quark-test.h"

#include <check.h>
#include <stdio.h>

static struct qk_test *silo;

static void setup(void)
{
    silo = qk_test_create(&words_plugin);
    ck_assert_ptr_nonnull(silo);
}

static void teardown(void)
{
    ck_assert_int_eq(qk_test_destroy(silo), 0);
}

static int add(const char *word, uint32_t count, uint32_t *ret_count)
{
    Words__AddRequest req = WORDS__ADD_REQUEST__INIT;
    Words__Count *rep = NULL;
    req.count = count;
    int rc = word_add_test_ask(silo, qk_ref(word), &req, &rep);
    if (rc >= 0) {
        *ret_count = rep->count;
        words__count__free_unpacked(rep, NULL);
    }
    return rc;
}

START_TEST(test_words_are_counted_apart)
{
    uint32_t count = 0;
    ck_assert_int_eq(add("the", 0, &count), 0);
    ck_assert_int_eq(add("the", 0, &count), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_int_eq(add("licence", 7, &count), 0);
    ck_assert_uint_eq(count, 7);
    ck_assert_uint_eq(qk_test_activations(silo), 2);
    ck_assert_int_eq(add("the", UINT32_MAX, &count), QK_APP(1));
    ck_assert_str_eq(qk_test_error(silo), "the count of `the` is full");
}
END_TEST

/* More words than the ranking asks at a time, and some of one count. */
START_TEST(test_words_ranking_puts_the_most_frequent_first)
{
    enum { WORDS = 700 };
    static char text[WORDS][8];
    char *words[WORDS];
    uint64_t total = 0;
    for (uint32_t i = 0; i < WORDS; i++) {
        uint32_t count;
        snprintf(text[i], sizeof(text[i]), "w%03u", i);
        words[i] = text[i];
        ck_assert_int_eq(add(words[i], 1 + i / 2, &count), 0);
        total += count;
    }
    Words__TopRequest req = WORDS__TOP_REQUEST__INIT;
    Words__TopReply *rep = NULL;
    req.limit = 3;
    req.words = words;
    req.n_words = WORDS;
    ck_assert_msg(ranking_top_test_ask(silo, qk_ref("r"), &req, &rep) == 0, "%s", qk_test_error(silo));
    ck_assert_uint_eq(rep->n_top, 3);
    ck_assert_str_eq(rep->top[0]->word, "w698");
    ck_assert_str_eq(rep->top[1]->word, "w699");
    ck_assert_str_eq(rep->top[2]->word, "w696");
    ck_assert_uint_eq(rep->top[2]->count, 349);
    ck_assert_uint_eq(rep->total, total);
    words__top_reply__free_unpacked(rep, NULL);
}
END_TEST

START_TEST(test_words_ranking_of_nothing_is_empty)
{
    Words__TopRequest req = WORDS__TOP_REQUEST__INIT;
    Words__TopReply *rep = NULL;
    ck_assert_int_eq(ranking_top_test_ask(silo, qk_ref("r"), &req, &rep), 0);
    ck_assert_uint_eq(rep->n_top, 0);
    words__top_reply__free_unpacked(rep, NULL);
    char *words[] = {"known", ""};
    req.words = words;
    req.n_words = 2;
    ck_assert_int_eq(ranking_top_test_ask(silo, qk_ref("r"), &req, NULL), QK_EINVALID);
    ck_assert_str_eq(qk_test_error(silo), "can't ask for ``: a key has 1 to 512 bytes");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("words");
    TCase *tc = tcase_create("words");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_words_are_counted_apart);
    tcase_add_test(tc, test_words_ranking_puts_the_most_frequent_first);
    tcase_add_test(tc, test_words_ranking_of_nothing_is_empty);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
