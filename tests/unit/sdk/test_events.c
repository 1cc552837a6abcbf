/* SPDX-License-Identifier: GPL-3.0-or-later */
/* States made of events, as generated code has them, in a test silo: the journal as the test sees it. */
#include "every.quark-test.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct qk_test *silo;
static char text[300];

static void setup(void)
{
    silo = qk_test_create(&every_thing_plugin);
    ck_assert_ptr_nonnull(silo);
}

static void teardown(void)
{
    ck_assert_int_eq(qk_test_destroy(silo), 0);
}

static int told(int rc, Test__EveryThing__Text *rep)
{
    if (rc >= 0)
        snprintf(text, sizeof(text), "%s", rep->text);
    test__every_thing__text__free_unpacked(rep, NULL);
    return rc;
}

static int say(int (*fn)(struct qk_test *, struct qk_ref, const Test__EveryThing__Text *, Test__EveryThing__Text **),
               const char *words)
{
    Test__EveryThing__Text req = TEST__EVERY_THING__TEXT__INIT;
    Test__EveryThing__Text *rep = NULL;
    req.text = (char *)(uintptr_t)words;
    int rc = fn(silo, qk_ref("d"), &req, &rep);
    return told(rc, rep);
}

static int enter(const char *words)
{
    return say(diary_enter_test_ask, words);
}

static int ask(int (*fn)(struct qk_test *, struct qk_ref, const Test__EveryThing__None *, Test__EveryThing__Text **))
{
    const Test__EveryThing__None req = TEST__EVERY_THING__NONE__INIT;
    Test__EveryThing__Text *rep = NULL;
    int rc = fn(silo, qk_ref("d"), &req, &rep);
    return told(rc, rep);
}

static void expect(const char *want)
{
    ck_assert_int_eq(ask(diary_open_test_ask), 0);
    ck_assert_str_eq(text, want);
}

static void forget(void)
{
    ck_assert_int_eq(qk_test_deactivate(silo, &diary_type, qk_ref("d")), 0);
}

START_TEST(test_events_make_the_state)
{
    ck_assert_int_eq(enter("one"), 0);
    ck_assert_str_eq(text, "one, 0 notes");
    ck_assert_int_eq(enter("5+two"), 0);
    ck_assert_str_eq(text, "two, 5 notes");
    ck_assert_uint_eq(diary_test_position(silo, qk_ref("d")), 3);
    forget();
    expect("two, 5 notes");
    ck_assert_int_eq(say(diary_recall_test_ask, "0"), 0);
    ck_assert_str_eq(text, "1 one, 2 notes, 3 two, 3 in all");
    ck_assert_int_eq(say(diary_recall_test_ask, "3"), 0);
    ck_assert_str_eq(text, "3 two, 3 in all");
    ck_assert_int_eq(enter("stop+more"), 0);
    ck_assert_int_eq(say(diary_recall_test_ask, "3"), 1);
    ck_assert_str_eq(text, "3 two, 4 stop, 5 in all");
}
END_TEST

START_TEST(test_events_are_read_by_the_test)
{
    Test__EveryThing__Entry *entry;
    Test__EveryThing__Outer__State *state;
    ck_assert_int_eq(diary_test_event(silo, qk_ref("d"), 1, &entry), QK_ENOTFOUND);
    ck_assert_ptr_null(entry);
    ck_assert_int_eq(enter("one+7"), 0);
    ck_assert_int_eq(diary_test_event(silo, qk_ref("d"), 1, &entry), 0);
    ck_assert_int_eq(entry->what_case, TEST__EVERY_THING__ENTRY__WHAT_TEXT);
    ck_assert_str_eq(entry->text, "one");
    test__every_thing__entry__free_unpacked(entry, NULL);
    ck_assert_int_eq(diary_test_event(silo, qk_ref("d"), 2, &entry), 0);
    ck_assert_uint_eq(entry->notes, 7);
    test__every_thing__entry__free_unpacked(entry, NULL);
    ck_assert_int_eq(diary_test_event(silo, qk_ref("d"), 3, &entry), QK_ENOTFOUND);
    ck_assert_int_eq(diary_test_event(silo, qk_ref("d"), 0, &entry), QK_ENOTFOUND);
    /* The snapshot comes with the third. */
    ck_assert_int_eq(diary_test_stored(silo, qk_ref("d"), &state), QK_ENOTFOUND);
    ck_assert_int_eq(enter("two"), 0);
    ck_assert_int_eq(diary_test_stored(silo, qk_ref("d"), &state), 0);
    ck_assert_str_eq(state->text, "two");
    ck_assert_uint_eq(state->notes, 7);
    ck_assert_uint_eq(state->base.n_unknown_fields, 0);
    protobuf_c_message_free_unpacked(&state->base, NULL);
    /* A journal is of the types that have one. */
    ck_assert_uint_eq(qk_test_position(silo, &book_type, qk_ref("d")), 0);
    ck_assert_ptr_nonnull(strstr(qk_test_error(silo), "names no `event`"));
    Test__EveryThing__Outer__State some = TEST__EVERY_THING__OUTER__STATE__INIT;
    ck_assert_int_eq(qk_test_store(silo, &diary_type, qk_ref("d"), &some.base), QK_EINVALID);
    /* Without its snapshot the state is the same. */
    ck_assert_int_eq(qk_test_store(silo, &diary_type, qk_ref("d"), NULL), 0);
    forget();
    expect("two, 7 notes");
}
END_TEST

START_TEST(test_events_are_put_by_the_test)
{
    Test__EveryThing__Entry entry = TEST__EVERY_THING__ENTRY__INIT;
    entry.what_case = TEST__EVERY_THING__ENTRY__WHAT_NOTES;
    entry.notes = 2;
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(diary_test_append(silo, qk_ref("d"), &entry), 0);
    expect(", 40 notes");
    ck_assert_int_eq(diary_test_append(silo, qk_ref("d"), &entry), 0);
    ck_assert_int_eq(enter("mine"), QK_ECONFLICT);
    ck_assert_str_eq(qk_test_error(silo), "not entered: position 21 is stored, and 20 was expected");
    expect(", 40 notes");
    ck_assert_int_eq(ask(diary_again_test_ask), 0);
    ck_assert_str_eq(text, ", 42 notes");
    ck_assert_int_eq(enter("mine"), 0);
    ck_assert_uint_eq(diary_test_position(silo, qk_ref("d")), 22);
}
END_TEST

/* A scenario is run once, and then with each operation of the store failing in turn: what was entered is there. */
START_TEST(test_events_outlive_every_failure)
{
    static const char *const words[] = {"1", "2+3", "4", "5+6", "7"};
    bool lost = _i % 2 != 0;
    for (uint64_t k = 0;; k++) {
        uint32_t sum = 0;
        qk_test_store_fail(silo, k, 1, QK_EUNAVAILABLE, lost);
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            const char *plus = strchr(words[i], '+');
            uint64_t before = diary_test_position(silo, qk_ref("d"));
            int rc = enter(words[i]);
            bool there = diary_test_position(silo, qk_ref("d")) != before;
            ck_assert(rc < 0 || there);
            ck_assert(rc == 0 || !there || lost);
            if (there)
                sum += (uint32_t)(atoi(words[i]) + (plus != NULL ? atoi(plus + 1) : 0));
            if (rc < 0 && qk_test_activations(silo) > 0)
                forget();
        }
        uint64_t operations = qk_test_store_operations(silo);
        qk_test_store_fail(silo, 0, 0, 0, false);
        char want[32];
        snprintf(want, sizeof(want), ", %u notes", sum);
        expect(want);
        if (qk_test_activations(silo) > 0)
            forget();
        expect(want);
        if (operations <= k) /* none has failed */
            break;
        ck_assert_int_eq(qk_test_destroy(silo), 0);
        setup();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("events");
    TCase *tc = tcase_create("events");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_events_make_the_state);
    tcase_add_test(tc, test_events_are_read_by_the_test);
    tcase_add_test(tc, test_events_are_put_by_the_test);
    tcase_add_loop_test(tc, test_events_outlive_every_failure, 0, 2);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
