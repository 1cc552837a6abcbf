/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stored state, timers and turns that interleave, as generated code has them, in a test silo. */
#include "every.h"
#include "every.quark-test.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct qk_test *silo;
static char text[100];

static void setup(void)
{
    silo = qk_test_create(&every_thing_plugin);
    ck_assert_ptr_nonnull(silo);
    every_tick[0] = '\0';
}

static void teardown(void)
{
    ck_assert_int_eq(qk_test_destroy(silo), 0);
}

/* Copies what a reply says. */
static int told(int rc, Test__EveryThing__Text *rep)
{
    if (rc >= 0)
        snprintf(text, sizeof(text), "%s", rep->text);
    test__every_thing__text__free_unpacked(rep, NULL);
    return rc;
}

static int write_as(int (*fn)(struct qk_test *, struct qk_ref, const Test__EveryThing__Text *,
                              Test__EveryThing__Text **),
                    const char *words)
{
    Test__EveryThing__Text req = TEST__EVERY_THING__TEXT__INIT;
    Test__EveryThing__Text *rep = NULL;
    req.text = (char *)words;
    int rc = fn(silo, qk_ref("b"), &req, &rep);
    return told(rc, rep);
}

static int book_write_it(const char *words)
{
    return write_as(book_write_test_ask, words);
}

static int ask(int (*fn)(struct qk_test *, struct qk_ref, const Test__EveryThing__None *, Test__EveryThing__Text **))
{
    const Test__EveryThing__None req = TEST__EVERY_THING__NONE__INIT;
    Test__EveryThing__Text *rep = NULL;
    int rc = fn(silo, qk_ref("b"), &req, &rep);
    return told(rc, rep);
}

static int order(int (*fn)(struct qk_test *, struct qk_ref, const Test__EveryThing__None *, Test__EveryThing__None **))
{
    const Test__EveryThing__None req = TEST__EVERY_THING__NONE__INIT;
    return fn(silo, qk_ref("b"), &req, NULL);
}

static void end_book(void)
{
    ck_assert_int_eq(qk_test_deactivate(silo, &book_type, qk_ref("b")), 0);
}

START_TEST(test_stored_state_outlives_activations)
{
    ck_assert_int_eq(book_write_it("once"), 0);
    end_book();
    ck_assert_int_eq(ask(book_read_test_ask), 0);
    ck_assert_str_eq(text, "once, 0 notes");
    ck_assert_int_eq(order(book_erase_test_ask), 0);
    ck_assert_int_eq(ask(book_read_test_ask), 0);
    ck_assert_str_eq(text, ", 0 notes");
    end_book();
    ck_assert_int_eq(ask(book_read_test_ask), 0);
    ck_assert_str_eq(text, ", 0 notes");
    ck_assert_int_eq(book_write_it("twice"), 0);
    ck_assert_uint_eq(qk_test_store_operations(silo), 6); /* three loads, two saves, one clear */
}
END_TEST

START_TEST(test_stored_state_is_read_and_put_by_the_test)
{
    Test__EveryThing__Outer__State state = TEST__EVERY_THING__OUTER__STATE__INIT;
    Test__EveryThing__Outer__State *stored = &state;
    ck_assert_int_eq(book_test_stored(silo, qk_ref("b"), &stored), QK_ENOTFOUND);
    ck_assert_ptr_null(stored);
    state.text = "put";
    state.notes = 7;
    ck_assert_int_eq(book_test_store(silo, qk_ref("b"), &state), 0);
    ck_assert_int_eq(ask(book_read_test_ask), 0);
    ck_assert_str_eq(text, "put, 7 notes");
    /* Behind the back of an actor that is active: it notices when it saves. */
    state.notes = 8;
    ck_assert_int_eq(book_test_store(silo, qk_ref("b"), &state), 0);
    ck_assert_int_eq(book_write_it("mine"), QK_ECONFLICT);
    ck_assert_str_eq(qk_test_error(silo), "not written: version 2 is stored, and 1 was expected");
    ck_assert_int_eq(ask(book_again_test_ask), 0);
    ck_assert_str_eq(text, "put, 8 notes");
    ck_assert_int_eq(book_write_it("mine"), 0);
    ck_assert_int_eq(book_test_stored(silo, qk_ref("b"), &stored), 0);
    ck_assert_str_eq(stored->text, "mine");
    ck_assert_uint_eq(stored->notes, 8);
    protobuf_c_message_free_unpacked(&stored->base, NULL);
    ck_assert_int_eq(book_test_store(silo, qk_ref("b"), NULL), 0);
    ck_assert_int_eq(book_test_stored(silo, qk_ref("b"), &stored), QK_ENOTFOUND);
    ck_assert_int_eq(book_write_it("mine"), QK_ECONFLICT);
    ck_assert_int_eq(book_test_store(silo, qk_ref(""), &state), QK_EINVALID);
    ck_assert_int_eq(qk_test_store(silo, &keeper_type, qk_ref("k"), &state.base), QK_EINVALID);
    ck_assert_ptr_nonnull(strstr(qk_test_error(silo), "names no `store`"));
}
END_TEST

START_TEST(test_stored_operations_fail_on_demand)
{
    ck_assert_int_eq(book_write_it("first"), 0);
    qk_test_store_fail(silo, 1, 2, -ENOSPC, false);
    ck_assert_int_eq(book_write_it("second"), 0);
    ck_assert_int_eq(book_write_it("third"), -ENOSPC);
    ck_assert_str_eq(qk_test_error(silo), "not written: the test has the store fail");
    ck_assert_int_eq(book_write_it("fourth"), -ENOSPC);
    end_book();
    ck_assert_int_eq(ask(book_read_test_ask), 0);
    ck_assert_str_eq(text, "second, 0 notes");
    /* A load that fails fails the call; the next tries again. */
    end_book();
    qk_test_store_fail(silo, 0, 1, QK_EUNAVAILABLE, false);
    ck_assert_int_eq(ask(book_read_test_ask), QK_EACTIVATE);
    ck_assert_int_eq(ask(book_read_test_ask), 0);
    ck_assert_str_eq(text, "second, 0 notes");
    /* The answer of a save is lost: it is stored, and the activation does not know of it. */
    qk_test_store_fail(silo, 0, 1, QK_EUNAVAILABLE, true);
    ck_assert_int_eq(book_write_it("fifth"), QK_EUNAVAILABLE);
    ck_assert_int_eq(book_write_it("sixth"), QK_ECONFLICT);
    end_book();
    ck_assert_int_eq(ask(book_read_test_ask), 0);
    ck_assert_str_eq(text, "fifth, 0 notes");
}
END_TEST

START_TEST(test_stored_state_may_be_loaded_late)
{
    Test__EveryThing__Text req = TEST__EVERY_THING__TEXT__INIT;
    req.text = "kept";
    ck_assert_int_eq(drawer_put_test_ask(silo, qk_ref("b"), &req, NULL), 0);
    ck_assert_uint_eq(qk_test_store_operations(silo), 1);
    ck_assert_int_eq(qk_test_deactivate(silo, &drawer_type, qk_ref("b")), 0);
    ck_assert_int_eq(ask(drawer_look_test_ask), 0);
    ck_assert_str_eq(text, ", 0 notes");
    ck_assert_int_eq(ask(drawer_fetch_test_ask), 0);
    ck_assert_str_eq(text, "kept, 0 notes");
    /* Another type has another state under the same key. */
    Test__EveryThing__Outer__State *stored;
    ck_assert_int_eq(book_test_stored(silo, qk_ref("b"), &stored), QK_ENOTFOUND);
}
END_TEST

static int begin_ticks(char *period)
{
    Test__EveryThing__Text req = TEST__EVERY_THING__TEXT__INIT;
    req.text = period;
    return book_begin_test_ask(silo, qk_ref("b"), &req, NULL);
}

START_TEST(test_stored_timers_tick_as_the_clock_advances)
{
    ck_assert_int_eq(begin_ticks("1000"), 0);
    ck_assert_int_eq(ask(book_read_test_ask), 0);
    ck_assert_str_eq(text, ", 0 notes");
    qk_test_advance(silo, 999);
    ck_assert_str_eq(every_tick, "");
    qk_test_advance(silo, 1);
    ck_assert_str_eq(every_tick, "1000 by timer at 1577836801000");
    qk_test_advance(silo, 9500);
    ck_assert_int_eq(ask(book_read_test_ask), 0);
    ck_assert_str_eq(text, ", 10 notes");
    ck_assert_str_eq(every_tick, "1000 by timer at 1577836810000");
    ck_assert_int_eq(order(book_stop_test_ask), 0);
    qk_test_advance(silo, 5000);
    ck_assert_int_eq(ask(book_read_test_ask), 0);
    ck_assert_str_eq(text, ", 10 notes");
    ck_assert_int_eq(order(book_stop_test_ask), QK_ENOTFOUND);
    ck_assert_int_eq(begin_ticks("-1"), QK_EINVALID);
    ck_assert_int_eq(order(book_stop_test_ask), QK_ENOTFOUND);
}
END_TEST

START_TEST(test_stored_timers_keep_an_actor_and_end_with_it)
{
    ck_assert_int_eq(begin_ticks("60000"), 0);
    qk_test_advance(silo, 3600000);
    ck_assert_uint_eq(qk_test_activations(silo), 1); /* the silo's idle age is 15 minutes */
    ck_assert_int_eq(order(book_stop_test_ask), 0);
    ck_assert_int_eq(begin_ticks("1000"), 0);
    end_book();
    every_tick[0] = '\0';
    qk_test_advance(silo, 5000);
    ck_assert_str_eq(every_tick, "");
    ck_assert_uint_eq(qk_test_activations(silo), 0);
}
END_TEST

/* The book waits for the asker, which writes into the book: allowed to the method that says so, in this chain only. */
START_TEST(test_stored_turns_interleave_where_a_method_says_so)
{
    ck_assert_int_eq(write_as(book_dictate_test_ask, "dictated"), 1);
    ck_assert_str_eq(text, "dictated, 1 notes");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stored");
    TCase *tc = tcase_create("stored");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_stored_state_outlives_activations);
    tcase_add_test(tc, test_stored_state_is_read_and_put_by_the_test);
    tcase_add_test(tc, test_stored_operations_fail_on_demand);
    tcase_add_test(tc, test_stored_state_may_be_loaded_late);
    tcase_add_test(tc, test_stored_timers_tick_as_the_clock_advances);
    tcase_add_test(tc, test_stored_timers_keep_an_actor_and_end_with_it);
    tcase_add_test(tc, test_stored_turns_interleave_where_a_method_says_so);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
