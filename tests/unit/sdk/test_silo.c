/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The test silo, and generated code in it: a plugin of two files with all that the generator knows. */
#include "every.h"
#include "every.quark-test.h"
#include "other.quark-test.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quark/plugin.h>

#define BEGIN_MS INT64_C(1577836800000) /* the wall clock of a test silo at its beginning */

static struct qk_test *silo;

static void setup(void)
{
    every_reason = every_activated = 0;
    silo = qk_test_create(&quark_plugin);
    ck_assert_ptr_nonnull(silo);
}

static void teardown(void)
{
    ck_assert_int_eq(qk_test_destroy(silo), 0);
}

typedef int (*text_fn)(struct qk_test *test, struct qk_ref to, const Test__EveryThing__Text *req,
                       Test__EveryThing__Text **ret_rep);

/* Asks with a text; what comes back is copied to `ret_text` (100 bytes). */
static int ask(text_fn fn, const char *key, const char *text, char *ret_text)
{
    Test__EveryThing__Text req = TEST__EVERY_THING__TEXT__INIT;
    Test__EveryThing__Text *rep = NULL;
    req.text = (char *)text;
    int rc = fn(silo, qk_ref(key), &req, &rep);
    if (rc < 0) {
        ck_assert_ptr_null(rep);
        return rc;
    }
    snprintf(ret_text, 100, "%s", rep->text);
    test__every_thing__text__free_unpacked(rep, NULL);
    return rc;
}

static char *noted(const char *key)
{
    static char text[100];
    Test__EveryThing__None req = TEST__EVERY_THING__NONE__INIT;
    Test__EveryThing__Text *rep = NULL;
    ck_assert_int_eq(keeper_noted_test_ask(silo, qk_ref(key), &req, &rep), 0);
    snprintf(text, sizeof(text), "%s", rep->text);
    test__every_thing__text__free_unpacked(rep, NULL);
    return text;
}

START_TEST(test_silo_runs_generated_code)
{
    char text[100];
    ck_assert_int_eq(ask(keeper_put_text_test_ask, "k", "hello", text), 5);
    ck_assert_str_eq(text, "hello");
    ck_assert_str_eq(qk_test_error(silo), "");
    ck_assert_int_eq(ask(asker_relay_test_ask, "a", "through", text), 7);
    ck_assert_str_eq(text, "through");
    ck_assert_int_eq(ask(asker_both_test_ask, "a", "me", text), 0);
    ck_assert_str_eq(text, "me and me");
    ck_assert_int_eq(every_activated, 4);
    ck_assert_uint_eq(qk_test_activations(silo), 5);
}
END_TEST

/* Maps, enums and oneofs through two calls. */
START_TEST(test_silo_carries_whole_messages)
{
    Test__EveryThing__Text req = TEST__EVERY_THING__TEXT__INIT;
    Test__EveryThing__Text *rep = NULL;
    Test__EveryThing__Text__CountsEntry entry = TEST__EVERY_THING__TEXT__COUNTS_ENTRY__INIT;
    Test__EveryThing__Text__CountsEntry *counts[] = {&entry};
    entry.key = "apples";
    entry.value = 3;
    req.text = "t";
    req.kind = TEST__EVERY_THING__TEXT__KIND__LARGE;
    req.counts = counts;
    req.n_counts = 1;
    req.tail_case = TEST__EVERY_THING__TEXT__TAIL_WORD;
    req.word = "tail";
    ck_assert_int_eq(asker_relay_test_ask(silo, qk_ref("a"), &req, &rep), 1);
    ck_assert_int_eq(rep->kind, TEST__EVERY_THING__TEXT__KIND__LARGE);
    ck_assert_uint_eq(rep->n_counts, 1);
    ck_assert_str_eq(rep->counts[0]->key, "apples");
    ck_assert_int_eq(rep->counts[0]->value, 3);
    ck_assert_int_eq(rep->tail_case, TEST__EVERY_THING__TEXT__TAIL_WORD);
    ck_assert_str_eq(rep->word, "tail");
    test__every_thing__text__free_unpacked(rep, NULL);
}
END_TEST

START_TEST(test_silo_tells_one_way)
{
    char text[100];
    Test__EveryThing__Text req = TEST__EVERY_THING__TEXT__INIT;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(keeper_note_test_tell(silo, qk_ref("k"), &req), 0);
    ck_assert_str_eq(noted("k"), "3 notes");
    req.text = "sent";
    ck_assert_int_eq(asker_tell_test_tell(silo, qk_ref("a"), &req), 0);
    ck_assert_str_eq(noted("kept"), "1 notes");
    /* What an actor sent on the way has run when the next call comes. */
    ck_assert_int_eq(ask(keeper_put_text_test_ask, "kept", "", text), 0);
}
END_TEST

START_TEST(test_silo_time_stands_still_while_work_goes_on)
{
    ShortName__Shared req = SHORT_NAME__SHARED__INIT;
    req.value = 1;
    for (int i = 0; i < 2; i++) {
        Test__EveryThing__Text *rep = NULL;
        ck_assert_int_eq(keeper_get_v2_test_ask(silo, qk_ref("k"), &req, &rep), 0);
        char want[100];
        snprintf(want, sizeof(want), "at %lld, 250 left", (long long)(BEGIN_MS + i * 1500));
        ck_assert_str_eq(rep->text, want);
        test__every_thing__text__free_unpacked(rep, NULL);
        qk_test_advance(silo, 1500);
    }
}
END_TEST

/* Neither a turn that spins nor a call that comes back to its caller holds the test up. */
START_TEST(test_silo_ends_what_would_wait_for_ever)
{
    ShortName__Shared req = SHORT_NAME__SHARED__INIT;
    char text[100];
    ck_assert_int_eq(keeper_get_v2_test_ask(silo, qk_ref("k"), &req, NULL),
                     0); /* its own turn went past the deadline */
    ck_assert_int_eq(ask(asker_relay_test_ask, "a", "ring", text), QK_EREENTRANT);
    ck_assert_msg(strncmp(qk_test_error(silo), "relayed: relayed: ", 18) == 0, "%s", qk_test_error(silo));
}
END_TEST

START_TEST(test_silo_ends_activations)
{
    char text[100];
    ck_assert_int_eq(ask(keeper_put_text_test_ask, "k", "x", text), 1);
    ck_assert_int_eq(qk_test_deactivate(silo, &keeper_type, qk_ref("k")), 0);
    ck_assert_int_eq(every_reason, QK_DEACTIVATE_REQUESTED);
    ck_assert_uint_eq(qk_test_activations(silo), 0);
    ck_assert_int_eq(qk_test_deactivate(silo, &keeper_type, qk_ref("k")), QK_ENOTFOUND);
    ck_assert_str_eq(noted("k"), "0 notes");
    qk_test_advance(silo, 59000);
    ck_assert_uint_eq(qk_test_activations(silo), 1);
    qk_test_advance(silo, 30000);
    ck_assert_uint_eq(qk_test_activations(silo), 0);
    ck_assert_int_eq(every_reason, QK_DEACTIVATE_IDLE);
    ck_assert_int_eq(ask(keeper_put_text_test_ask, "k", "x", text), 1);
    teardown();
    ck_assert_int_eq(every_reason, QK_DEACTIVATE_SHUTDOWN);
    setup();
}
END_TEST

START_TEST(test_silo_says_what_is_wrong)
{
    char text[100];
    static char long_key[QK_KEY_MAX + 2];
    memset(long_key, 'k', QK_KEY_MAX + 1);
    ck_assert_int_eq(ask(keeper_put_text_test_ask, "broken", "x", text), QK_EACTIVATE);
    ck_assert_msg(strstr(qk_test_error(silo), "the tape is torn") != NULL, "%s", qk_test_error(silo));
    ck_assert_int_eq(ask(keeper_put_text_test_ask, "", "x", text), QK_EINVALID);
    ck_assert_int_eq(ask(keeper_put_text_test_ask, "\xff", "x", text), QK_EINVALID);
    ck_assert_str_eq(qk_test_error(silo), "a key has 1 to 512 bytes of UTF-8");
    ck_assert_int_eq(ask(keeper_put_text_test_ask, long_key, "x", text), QK_EINVALID);
    long_key[QK_KEY_MAX] = '\0';
    ck_assert_int_eq(ask(keeper_put_text_test_ask, long_key, "x", text), 1);
    enum { TOO_MUCH = 5 << 20 };
    char *large = malloc(TOO_MUCH);
    memset(large, 'x', TOO_MUCH);
    large[TOO_MUCH - 1] = '\0';
    ck_assert_int_eq(ask(keeper_put_text_test_ask, "k", large, text), QK_ETOOBIG);
    free(large);
    struct qk_method other = *keeper_noted_method();
    other.id++;
    Test__EveryThing__None none = TEST__EVERY_THING__NONE__INIT;
    ck_assert_int_eq(qk_test_ask(silo, &other, qk_ref("k"), &none.base, NULL), QK_ENOTFOUND);
}
END_TEST

static int raise_child(const char *key)
{
    Test__EveryThing__Text req = TEST__EVERY_THING__TEXT__INIT;
    req.text = (char *)key;
    return parent_raise_test_ask(silo, qk_ref("p"), &req, NULL);
}

static char *tale(void)
{
    static char text[100];
    const Test__EveryThing__None req = TEST__EVERY_THING__NONE__INIT;
    Test__EveryThing__Text *rep = NULL;
    ck_assert_int_eq(parent_tale_test_ask(silo, qk_ref("p"), &req, &rep), 0);
    snprintf(text, sizeof(text), "%s", rep->text);
    test__every_thing__text__free_unpacked(rep, NULL);
    return text;
}

START_TEST(test_silo_supervises)
{
    char text[100];
    ck_assert_int_eq(raise_child("c"), 0);
    ck_assert_int_eq(ask(child_cry_test_ask, "c", "", text), 0);
    ck_assert_str_eq(text, ", 1 notes");
    ck_assert_int_eq(ask(child_cry_test_ask, "c", "again", text), QK_ECRASHED);
    ck_assert_str_eq(tale(), "again, 1 notes");
    ck_assert_int_eq(ask(child_cry_test_ask, "c", "", text), 0);
    ck_assert_str_eq(text, ", 1 notes"); /* anew */
    ck_assert_uint_eq(qk_test_activations(silo), 2);
    ck_assert_int_eq(ask(child_cry_test_ask, "c", "enough", text), QK_ECRASHED);
    ck_assert_str_eq(tale(), "enough, 102 notes");
    ck_assert_uint_eq(qk_test_activations(silo), 1);
    Test__EveryThing__Text req = TEST__EVERY_THING__TEXT__INIT;
    req.text = "d";
    ck_assert_int_eq(raise_child("d"), 0);
    ck_assert_int_eq(parent_let_go_test_ask(silo, qk_ref("p"), &req, NULL), 0);
    ck_assert_str_eq(tale(), "enough, 102 notes");
    ck_assert_uint_eq(qk_test_activations(silo), 1);
    ck_assert_int_eq(parent_let_go_test_ask(silo, qk_ref("p"), &req, NULL), QK_ENOTFOUND);
}
END_TEST

START_TEST(test_silo_refuses_bad_plugins)
{
    ck_assert_int_eq(qk_test_add_plugin(silo, &quark_plugin), QK_EEXISTS);
    ck_assert_msg(strstr(qk_test_error(silo), "already there") != NULL, "%s", qk_test_error(silo));
    struct qk_plugin newer = every_thing_plugin;
    newer.abi.major++;
    ck_assert_int_eq(qk_test_add_plugin(silo, &newer), QK_EVERSION);
    ck_assert_ptr_null(qk_test_create(&newer));
    ck_assert_int_eq(qk_test_destroy(NULL), 0);
}
END_TEST

START_TEST(test_silo_plugin_describes_itself)
{
    ck_assert_ptr_eq(quark_plugin.types, every_thing_plugin.types);
    ck_assert_str_eq(quark_plugin.name, "every-thing");
    ck_assert_str_eq(quark_plugin.version, "1.0~rc1");
    ck_assert_uint_eq(quark_plugin.n_types, 8);
    ck_assert_uint_eq(silent_type.n_methods, 0);
    ck_assert_uint_eq(keeper_type.idle_ms, 60000);
    ck_assert_uint_eq(keeper_type.mailbox_max, 16);
    ck_assert_uint_eq(keeper_type.placement, QK_PLACE_PREFER_LOCAL);
    ck_assert_ptr_eq(keeper_type.state, &test__every_thing__outer__state__descriptor);
    ck_assert_ptr_null(asker_type.state);
    ck_assert_str_eq(keeper_get_v2_method()->name, "getV2");
    ck_assert_uint_eq(keeper_get_v2_method()->id, 7);
    ck_assert_uint_eq(keeper_get_v2_method()->deadline_ms, 250);
    ck_assert_uint_eq(keeper_get_v2_method()->limit_ms, 2500);
    ck_assert_uint_eq(keeper_get_v2_method()->flags, QK_METHOD_READ_ONLY);
    ck_assert_uint_eq(keeper_note_method()->flags, QK_METHOD_ONE_WAY);
    ck_assert_ptr_eq(keeper_note_method()->request, &test__every_thing__text__descriptor);
    ck_assert_ptr_null(keeper_type.store);
    ck_assert_uint_eq(keeper_type.flags, 0);
    ck_assert_str_eq(book_type.store, "sqlite");
    ck_assert_uint_eq(book_type.flags, QK_TYPE_INTERLEAVE_READS);
    ck_assert_uint_eq(book_take_method()->flags, QK_METHOD_INTERLEAVE_CHAIN);
    ck_assert_str_eq(drawer_type.store, "memory-2");
    ck_assert_uint_eq(drawer_type.flags, QK_TYPE_INTERLEAVE_ALWAYS | QK_TYPE_LAZY_STATE | QK_TYPE_REFUSE_WHEN_FULL);
    ck_assert_uint_eq(drawer_look_method()->flags, QK_METHOD_INTERLEAVE_ALWAYS);
    ck_assert_uint_eq(parent_type.directive, QK_STOP);
    ck_assert_uint_eq(parent_type.strategy, QK_REST_FOR_ONE);
    ck_assert_uint_eq(child_type.directive, QK_DIRECTIVE_DEFAULT);
    ck_assert_uint_eq(child_type.restart_max, 2);
    ck_assert_uint_eq(child_type.restart_window_ms, 5000);
    ck_assert_uint_eq(child_type.backoff_ms, 20);
    ck_assert_uint_eq(child_type.backoff_max_ms, 40);
    ck_assert_uint_eq(child_type.limit_ms, 5000);
    ck_assert_ptr_null(child_type.on_child_failure);
    ck_assert_ptr_null(child_type.on_watched);
    for (uint32_t i = 1; i < keeper_type.n_methods; i++)
        ck_assert_uint_lt(keeper_methods[i - 1].id, keeper_methods[i].id);
    ck_assert_uint_gt(quark_plugin.schema_len, 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("silo");
    TCase *tc = tcase_create("silo");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_silo_runs_generated_code);
    tcase_add_test(tc, test_silo_carries_whole_messages);
    tcase_add_test(tc, test_silo_tells_one_way);
    tcase_add_test(tc, test_silo_time_stands_still_while_work_goes_on);
    tcase_add_test(tc, test_silo_ends_what_would_wait_for_ever);
    tcase_add_test(tc, test_silo_ends_activations);
    tcase_add_test(tc, test_silo_says_what_is_wrong);
    tcase_add_test(tc, test_silo_supervises);
    tcase_add_test(tc, test_silo_refuses_bad_plugins);
    tcase_add_test(tc, test_silo_plugin_describes_itself);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
