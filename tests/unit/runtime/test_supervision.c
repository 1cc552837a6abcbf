/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Failures in every state of an activation, and what parents and watchers make of them. */
#include "family.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/limits.h"

static struct harness h;

static void begin(void)
{
    family_begin(&h);
}

static void end(void)
{
    family_end(&h);
}

/* ---- actors without a parent */

START_TEST(test_supervision_panic_ends_the_turn_and_begins_anew)
{
    ck_assert_int_eq(family_do("plain/a", "add 3;get"), 0);
    ck_assert_str_eq(family_text, "3");
    ck_assert_int_eq(family_do("plain/a", "add 4;panic it is broken"), QK_ECRASHED);
    ck_assert_str_eq(family_text, "it is broken");
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    ck_assert_str_eq(family_text, "0");
    story_is("+a\n-a failed\n+a");
}
END_TEST

START_TEST(test_supervision_panic_keeps_the_mailbox)
{
    family_start("plain/a", "add 1;panic once", 1);
    family_start("plain/a", "add 2;get", 2);
    family_start("plain/a", "get", 3);
    harness_run(&h);
    ck_assert_int_eq(family_reply(1), QK_ECRASHED);
    ck_assert_int_eq(family_reply(2), 0);
    ck_assert_str_eq(family_text, "2");
    ck_assert_int_eq(family_reply(3), 0);
    ck_assert_str_eq(family_text, "2");
}
END_TEST

START_TEST(test_supervision_application_errors_are_no_failures)
{
    ck_assert_int_eq(family_do("plain/a", "add 5;fail 3"), QK_APP(3));
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    ck_assert_str_eq(family_text, "5");
    story_is("+a");
}
END_TEST

START_TEST(test_supervision_root_rests_between_failures)
{
    ck_assert_int_eq(family_do("plain/a", "panic 1"), QK_ECRASHED);
    ck_assert_int_eq(family_do("plain/a", "panic 2"), QK_ECRASHED);
    ck_assert_int_eq(family_do("plain/a", "get"), QK_ECRASHED);
    ck_assert_str_eq(family_text, "plain/a has failed and takes calls again in 100 ms: 2");
    harness_advance(&h, 99);
    ck_assert_int_eq(family_do("plain/a", "get"), QK_ECRASHED);
    harness_advance(&h, 1);
    ck_assert_int_eq(family_do("plain/a", "panic 3"), QK_ECRASHED);
    harness_advance(&h, 199);
    ck_assert_int_eq(family_do("plain/a", "get"), QK_ECRASHED);
    harness_advance(&h, 1);
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    /* Past the limit it rests for the longest. */
    ck_assert_int_eq(family_do("plain/a", "panic 4"), QK_ECRASHED);
    harness_advance(&h, 999);
    ck_assert_int_eq(family_do("plain/a", "get"), QK_ECRASHED);
    harness_advance(&h, 1);
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    /* A new window begins. */
    harness_advance(&h, 10001);
    ck_assert_int_eq(family_do("plain/a", "panic 5"), QK_ECRASHED);
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
}
END_TEST

START_TEST(test_supervision_root_rests_after_failed_activations)
{
    family_plan.bad_activations = 2;
    ck_assert_int_eq(family_do("plain/bad", "get"), QK_EACTIVATE);
    ck_assert_str_eq(family_text, "plain/bad could not be activated (status -2009): not today");
    ck_assert_int_eq(family_do("plain/bad", "get"), QK_EACTIVATE);
    ck_assert_int_eq(family_do("plain/bad", "get"), QK_EACTIVATE);
    ck_assert_str_eq(family_text, "plain/bad has failed and takes calls again in 100 ms: not today");
    harness_advance(&h, 100);
    ck_assert_int_eq(family_do("plain/bad", "get"), 0);
    story_is("+bad\n+bad\n+bad");
}
END_TEST

START_TEST(test_supervision_panic_while_activating)
{
    family_plan.in_activate = "panic too early";
    ck_assert_int_eq(family_do("plain/top", "get"), QK_EACTIVATE);
    ck_assert_str_eq(family_text, "plain/top could not be activated (status -1007): too early");
    family_plan.in_activate = NULL;
    ck_assert_int_eq(family_do("plain/top", "get"), 0);
    story_is("+top\n+top");
}
END_TEST

START_TEST(test_supervision_panic_while_deactivating)
{
    family_plan.bad_deactivations = 1;
    ck_assert_int_eq(family_do("plain/a", "add 1;quit"), 0);
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    ck_assert_str_eq(family_text, "0");
    story_is("+a\n-a requested\n+a");
}
END_TEST

START_TEST(test_supervision_panic_with_calls_begun_and_after_waiting)
{
    ck_assert_int_eq(family_do("plain/a", "call plain/b add 1;yield;panic later"), QK_ECRASHED);
    ck_assert_int_eq(family_do("plain/b", "get"), 0);
    ck_assert_str_eq(family_text, "1");
    /* What panicked in a call that it made itself fails its caller like any error. */
    ck_assert_int_eq(family_do("plain/c", "call plain/b panic there"), QK_ECRASHED);
    ck_assert_str_eq(family_text, "there");
}
END_TEST

START_TEST(test_supervision_panic_after_saving)
{
    family_start("kept/k", "add 1;save;panic after", 1);
    family_start("kept/k", "get", 2);
    harness_run(&h);
    ck_assert_int_eq(family_stores(), 1);
    family_store(0);
    ck_assert_int_eq(family_reply(1), QK_ECRASHED);
    ck_assert_int_eq(family_reply(2), 0);
    ck_assert_str_eq(family_text, "0");
}
END_TEST

START_TEST(test_supervision_panic_ends_turns_that_interleave)
{
    family_start("open/o", "add 1;call kept/k save,get;get", 1); /* waits in a call */
    harness_run(&h);
    family_start("open/o", "panic now", 2);
    family_start("open/o", "get", 3);
    harness_run(&h);
    ck_assert_int_eq(family_reply(2), QK_ECRASHED);
    ck_assert_str_eq(family_text, "now");
    ck_assert_int_eq(family_reply(1), QK_ECRASHED);
    ck_assert_str_eq(family_text, "another turn of the activation has failed");
    ck_assert_int_eq(family_reply(3), 0);
    ck_assert_str_eq(family_text, "0");
    story_is("+o\n+k\n-o failed\n+o");
}
END_TEST

START_TEST(test_supervision_timers_end_with_the_life)
{
    ck_assert_int_eq(family_do("plain/a", "tick 50 add 1;panic x"), QK_ECRASHED);
    harness_advance(&h, 100);
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    ck_assert_str_eq(family_text, "0");
}
END_TEST

START_TEST(test_supervision_load_that_fails_is_tried_again)
{
    for (int i = 0; i < 3; i++) {
        family_start("loaded/l", "get", 1);
        harness_run(&h);
        family_store(i < 2 ? QK_EUNAVAILABLE : 0);
        ck_assert_int_eq(family_reply(1), i < 2 ? QK_EACTIVATE : 0);
    }
}
END_TEST

/* ---- children */

START_TEST(test_supervision_spawn_and_list)
{
    ck_assert_int_eq(family_do("one/p", "spawn plain/a;spawn one/b;spawn plain/a"), 0);
    story_is("+p\n+a\n+b");
    ck_assert_int_eq(family_do("one/p", "children"), 0);
    ck_assert_str_eq(family_text, "plain/a:live one/b:live");
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    ck_assert_int_eq(family_do("plain/q", "spawn plain/a"), QK_EEXISTS);
    ck_assert_int_eq(family_do("one/b", "spawn one/p"), QK_EINVALID);
    ck_assert_int_eq(family_do("one/p", "spawn one/p"), QK_EINVALID);
    ck_assert_int_eq(family_do("one/p", "stop plain/nobody"), QK_ENOTFOUND);
    ck_assert_int_eq(family_do("one/p", "stop plain/a"), 0);
    ck_assert_int_eq(family_do("one/p", "children"), 0);
    ck_assert_str_eq(family_text, "one/b:live");
    /* One that ends by itself is no child any more, and can be adopted. */
    ck_assert_int_eq(family_do("one/b", "quit"), 0);
    ck_assert_int_eq(family_do("one/p", "children"), 0);
    ck_assert_str_eq(family_text, "");
    ck_assert_int_eq(family_do("one/b", "get"), 0);
    ck_assert_int_eq(family_do("one/p", "spawn one/b"), 0);
}
END_TEST

START_TEST(test_supervision_restart_by_default)
{
    ck_assert_int_eq(family_do("plain/p", "spawn plain/a;spawn plain/b"), 0);
    ck_assert_int_eq(family_do("plain/b", "add 2"), 0);
    family_story();
    family_start("plain/a", "add 1;panic x", 1);
    family_start("plain/a", "get", 2);
    harness_run(&h);
    ck_assert_int_eq(family_reply(1), QK_ECRASHED);
    ck_assert_int_eq(family_reply(2), 0);
    ck_assert_str_eq(family_text, "0");
    story_is("-a failed\n+a");
    ck_assert_int_eq(family_do("plain/b", "get"), 0);
    ck_assert_str_eq(family_text, "2");
    ck_assert_int_eq(family_do("plain/p", "children"), 0);
    ck_assert_str_eq(family_text, "plain/a:live plain/b:live");
}
END_TEST

START_TEST(test_supervision_answers)
{
    ck_assert_int_eq(family_do("one/p", "spawn plain/a;spawn plain/b"), 0);
    ck_assert_int_eq(family_do("plain/a", "add 1"), 0);
    family_story();
    family_plan.answer = QK_RESUME;
    ck_assert_int_eq(family_do("plain/a", "add 1;panic x"), QK_ECRASHED);
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    ck_assert_str_eq(family_text, "2");
    story_is("p: plain/a panic 1: x");
    family_plan.answer = QK_RESTART;
    ck_assert_int_eq(family_do("plain/a", "add 1;panic y"), QK_ECRASHED);
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    ck_assert_str_eq(family_text, "0");
    story_is("p: plain/a panic 1: y\n-a failed\n+a");
    family_plan.answer = QK_STOP;
    family_start("plain/a", "panic z", 1);
    family_start("plain/a", "get", 2);
    harness_run(&h);
    ck_assert_int_eq(family_reply(1), QK_ECRASHED);
    ck_assert_int_eq(family_reply(2), QK_EUNAVAILABLE);
    story_is("p: plain/a panic 2: z\n-a failed");
    ck_assert_int_eq(family_do("one/p", "children"), 0);
    ck_assert_str_eq(family_text, "plain/b:live");
    family_plan.answer = QK_ESCALATE;
    ck_assert_int_eq(family_do("plain/b", "panic w"), QK_ECRASHED);
    story_is("p: plain/b panic 1: w\n-b failed\n-p failed");
    ck_assert_int_eq(family_do("one/p", "children"), 0);
    ck_assert_str_eq(family_text, "");
}
END_TEST

START_TEST(test_supervision_one_for_all)
{
    ck_assert_int_eq(family_do("all/p", "spawn plain/a;spawn plain/b;spawn plain/c"), 0);
    family_story();
    ck_assert_int_eq(family_do("plain/b", "panic x"), QK_ECRASHED);
    story_is("p: plain/b panic 1: x\n-c restart\n+c\n-b failed\n+b\n-a restart\n+a");
    family_plan.answer = QK_STOP;
    ck_assert_int_eq(family_do("plain/a", "panic y"), QK_ECRASHED);
    story_is("p: plain/a panic 1: y\n-c stopped\n-b stopped\n-a failed");
}
END_TEST

START_TEST(test_supervision_rest_for_one)
{
    ck_assert_int_eq(family_do("rest_plain/p", "spawn plain/a;spawn plain/b;spawn plain/c"), 0);
    family_story();
    ck_assert_int_eq(family_do("plain/b", "panic x"), QK_ECRASHED);
    story_is("-c restart\n+c\n-b failed\n+b");
    ck_assert_int_eq(family_do("all_plain/q", "spawn plain/d;spawn plain/e"), 0);
    family_story();
    ck_assert_int_eq(family_do("plain/d", "panic x"), QK_ECRASHED);
    story_is("-e restart\n+e\n-d failed\n+d");
}
END_TEST

START_TEST(test_supervision_grandchildren_end_first)
{
    ck_assert_int_eq(family_do("one/p", "spawn one/a;call one/a spawn plain/x,spawn plain/y"), 0);
    ck_assert_int_eq(family_do("one/p", "spawn one/b;call one/b spawn plain/z"), 0);
    family_story();
    ck_assert_int_eq(family_do("one/a", "panic q"), QK_ECRASHED);
    story_is("p: one/a panic 1: q\n-y stopped\n-x stopped\n-a failed\n+a");
    ck_assert_int_eq(family_do("one/a", "spawn plain/x"), 0);
    ck_assert_int_eq(family_do("one/p", "quit"), 0);
    story_is("+x\n-z stopped\n-b stopped\n-x stopped\n-a stopped\n-p requested");
}
END_TEST

START_TEST(test_supervision_limit_escalates)
{
    ck_assert_int_eq(family_do("one/g", "spawn plain/p;call plain/p spawn plain/a"), 0);
    family_story();
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(family_do("plain/a", "panic x"), QK_ECRASHED);
        harness_advance(&h, 1000);
    }
    story_is("-a failed\n+a\n-a failed\n+a\n-a failed\n+a");
    ck_assert_int_eq(family_do("plain/a", "panic x"), QK_ECRASHED);
    story_is("g: plain/p escalated 1: plain/a: x\n-a failed\n-p failed\n+p");
    ck_assert_int_eq(family_do("plain/p", "children"), 0);
    ck_assert_str_eq(family_text, "");
}
END_TEST

START_TEST(test_supervision_child_waits_for_its_back_off)
{
    ck_assert_int_eq(family_do("plain/p", "spawn plain/a"), 0);
    ck_assert_int_eq(family_do("plain/a", "panic 1"), QK_ECRASHED);
    ck_assert_int_eq(family_do("plain/a", "panic 2"), QK_ECRASHED);
    ck_assert_int_eq(family_do("plain/p", "children"), 0);
    ck_assert_str_eq(family_text, "plain/a:waits");
    family_start("plain/a", "get", 5);
    harness_run(&h);
    ck_assert_int_eq(family_reply(5), 1);
    harness_advance(&h, 50);
    ck_assert_int_eq(family_reply(5), 1);
    harness_advance(&h, 52);
    ck_assert_int_eq(family_reply(5), 0);
    /* A parent that ends does not wait for it. */
    ck_assert_int_eq(family_do("plain/a", "panic 3"), QK_ECRASHED);
    family_start("plain/a", "get", 6);
    family_start("plain/p", "quit", 7);
    harness_run(&h);
    ck_assert_int_eq(family_reply(7), 0);
    ck_assert_int_eq(family_reply(6), QK_EUNAVAILABLE);
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
}
END_TEST

START_TEST(test_supervision_child_that_can_not_be_activated)
{
    family_plan.bad_activations = 1;
    ck_assert_int_eq(family_do("one/p", "spawn plain/bad"), 0);
    story_is("+p\n+bad\np: plain/bad activate 1: not today\n+bad");
    ck_assert_int_eq(family_do("plain/bad", "get"), 0);
    family_plan.bad_activations = 1;
    family_plan.answer = QK_RESUME; /* of what never lived: a restart */
    ck_assert_int_eq(family_do("one/p", "stop plain/bad;spawn plain/c"), 0);
    ck_assert_int_eq(family_do("one/p", "spawn plain/bad2"), 0);
    ck_assert_int_eq(family_do("plain/bad2", "get"), 0);
    story_is("-bad stopped\n+c\n+bad2\np: plain/bad2 activate 1: not today\n+bad2");
}
END_TEST

START_TEST(test_supervision_parent_that_spawns_in_on_activate)
{
    family_plan.in_activate = "spawn plain/a;spawn plain/b";
    ck_assert_int_eq(family_do("plain/top", "children"), 0);
    ck_assert_str_eq(family_text, "plain/a:begins plain/b:begins");
    ck_assert_int_eq(family_do("plain/top", "panic x"), QK_ECRASHED);
    ck_assert_int_eq(family_do("plain/top", "children"), 0);
    ck_assert_str_eq(family_text, "plain/a:begins plain/b:begins");
    story_is("+top\n+a\n+b\n-b stopped\n-a stopped\n-top failed\n+top\n+a\n+b");
}
END_TEST

START_TEST(test_supervision_parent_that_fails_while_it_answers)
{
    ck_assert_int_eq(family_do("one/p", "spawn plain/a;spawn plain/b"), 0);
    family_story();
    family_plan.bad_answers = 1;
    ck_assert_int_eq(family_do("plain/a", "panic x"), QK_ECRASHED);
    story_is("p: plain/a panic 1: x\n-b stopped\n-a failed\n-p failed");
    ck_assert_int_eq(family_do("one/p", "children"), 0);
    ck_assert_str_eq(family_text, "");
}
END_TEST

START_TEST(test_supervision_parent_that_goes_on_after_its_answer_failed)
{
    ck_assert_int_eq(family_do("one/g", "spawn one/p;call one/p spawn plain/a"), 0);
    ck_assert_int_eq(family_do("plain/a", "add 5"), 0);
    family_story();
    family_plan.bad_answers = 1;
    family_plan.answer = QK_RESUME;
    ck_assert_int_eq(family_do("plain/a", "panic x"), QK_ECRASHED);
    story_is("p: plain/a panic 1: x\ng: one/p panic 1: no answer");
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    ck_assert_str_eq(family_text, "5");
}
END_TEST

/* Wears out the restarts of plain/a, so that its next failure escalates to plain/p, a child of one/g. */
static void wear_out(void)
{
    ck_assert_int_eq(family_do("one/g", "spawn plain/p;call plain/p spawn plain/a"), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(family_do("plain/a", "panic x"), QK_ECRASHED);
        harness_advance(&h, 1000);
    }
    ck_assert_int_eq(family_do("plain/a", "add 5"), 0);
    family_story();
    family_plan.answer = QK_RESUME;
}

START_TEST(test_supervision_parent_that_goes_on_after_an_escalation)
{
    wear_out();
    ck_assert_int_eq(family_do("plain/a", "panic y"), QK_ECRASHED);
    story_is("g: plain/p escalated 1: plain/a: y");
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    ck_assert_str_eq(family_text, "5");
}
END_TEST

START_TEST(test_supervision_escalation_to_one_that_has_failed_itself)
{
    wear_out();
    family_start("plain/p", "yield;yield;yield;panic q", 1);
    family_start("plain/a", "panic y", 2);
    harness_run(&h);
    ck_assert_int_eq(family_reply(2), QK_ECRASHED);
    ck_assert_int_eq(family_reply(1), QK_ECRASHED);
    story_is("g: plain/p panic 1: q\ng: plain/p escalated 1: plain/a: y");
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    ck_assert_str_eq(family_text, "5");
}
END_TEST

START_TEST(test_supervision_parent_that_calls_its_failed_child)
{
    ck_assert_int_eq(family_do("one/p", "spawn plain/a"), 0);
    family_story();
    family_plan.in_failure = "call plain/a get";
    ck_assert_int_eq(family_do("plain/a", "panic x"), QK_ECRASHED);
    story_is("p: plain/a panic 1: x\nstatus -1005\n-a failed\n+a");
    family_plan.in_failure = NULL;
    /* The parent waits for what the child will not do before the parent has answered. */
    ck_assert_int_eq(family_do("one/p", "send plain/a panic y;call plain/a get"), QK_EUNAVAILABLE);
    harness_advance(&h, 200);
    ck_assert_int_eq(family_do("one/p", "call plain/a get"), 0);
}
END_TEST

START_TEST(test_supervision_child_that_calls_its_ending_parent)
{
    ck_assert_int_eq(family_do("one/p", "spawn plain/a"), 0);
    family_start("kept/k", "save", 1);
    harness_run(&h);
    /* The child waits for k, then for its parent, which meanwhile waits for the child to end. */
    family_start("plain/a", "call kept/k get;call one/p get", 2);
    harness_run(&h);
    family_start("one/p", "quit", 3);
    harness_run(&h);
    ck_assert_int_eq(family_reply(3), 0);
    family_store(0);
    ck_assert_int_eq(family_reply(1), 0);
    ck_assert_int_eq(family_reply(2), QK_EUNAVAILABLE);
    ck_assert_int_eq(family_do("one/p", "children"), 0);
    ck_assert_str_eq(family_text, "");
}
END_TEST

START_TEST(test_supervision_parent_with_children_is_not_collected)
{
    ck_assert_int_eq(family_do("brief/p", "spawn brief/a"), 0);
    for (int i = 0; i < 500; i++) {
        harness_advance(&h, 10);
        if (i % 50 == 0)
            ck_assert_int_eq(family_do("brief/a", "get"), 0);
    }
    story_is("+p\n+a");
    for (int i = 0; i < 300; i++)
        harness_advance(&h, 10);
    story_is("-a idle\n-p idle");
}
END_TEST

START_TEST(test_supervision_siblings_that_fail_while_their_parent_waits)
{
    ck_assert_int_eq(family_do("all/p", "spawn plain/a;spawn plain/b"), 0);
    family_start("all/p", "send plain/a panic 1;send plain/b panic 2;call kept/k save", 1);
    harness_run(&h);
    family_story();
    family_store(0);
    ck_assert_int_eq(family_reply(1), 0);
    /* One answer was for both, so what the other's failure said is out of date. */
    story_is("p: plain/a panic 1: 1\n-b failed\n+b\n-a failed\n+a");
    ck_assert_int_eq(family_do("all/p", "children"), 0);
    ck_assert_str_eq(family_text, "plain/a:live plain/b:live");
}
END_TEST

START_TEST(test_supervision_child_that_fails_while_its_parent_ends)
{
    ck_assert_int_eq(family_do("one/p", "spawn kept/k;spawn plain/a"), 0);
    family_start("kept/k", "save;panic late", 1);
    family_start("one/p", "quit", 2);
    harness_run(&h);
    ck_assert_int_eq(family_reply(2), 0);
    story_is("+p\n+k\n+a\n-a stopped");
    family_store(0);
    ck_assert_int_eq(family_reply(1), QK_ECRASHED);
    story_is("-k failed\n-p requested");
}
END_TEST

START_TEST(test_supervision_parent_whose_turns_interleave)
{
    ck_assert_int_eq(family_do("open/o", "spawn plain/a"), 0);
    family_start("open/o", "call kept/k save;get", 1);
    harness_run(&h);
    family_start("open/o", "add 1;panic x", 2);
    harness_run(&h);
    ck_assert_int_eq(family_reply(2), QK_ECRASHED);
    ck_assert_int_eq(family_reply(1), QK_ECRASHED);
    story_is("+o\n+a\n+k\n-a stopped\n-o failed");
    ck_assert_int_eq(family_do("open/o", "get"), 0);
    ck_assert_str_eq(family_text, "0");
}
END_TEST

START_TEST(test_supervision_ends_on_request_once)
{
    ck_assert_int_eq(family_do("one/p", "spawn kept/k"), 0);
    family_start("kept/k", "save", 1);
    harness_run(&h);
    family_end_request("one/p", 2);
    harness_run(&h);
    family_end_request("one/p", 3);
    harness_run(&h);
    ck_assert_int_eq(family_reply(3), QK_ESTATE);
    family_store(0);
    ck_assert_int_eq(family_reply(1), 0);
    ck_assert_int_eq(family_reply(2), 0);
    story_is("+p\n+k\n-k stopped\n-p requested");
}
END_TEST

START_TEST(test_supervision_bounds)
{
    char steps[64];
    ck_assert_int_eq(family_do("plain/p", "strange"), QK_ENOTFOUND);
    snprintf(steps, sizeof(steps), "many %d", QK_CHILDREN_MAX);
    ck_assert_int_eq(family_do("plain/p", steps), 0);
    ck_assert_int_eq(family_do("plain/p", "spawn plain/more"), QK_EOVERLOADED);
    ck_assert_int_eq(family_do("plain/p", "stop plain/m7"), 0);
    ck_assert_int_eq(family_do("plain/p", "spawn plain/more"), 0);
    for (int i = 0; i <= QK_WATCHERS_MAX; i++) {
        snprintf(steps, sizeof(steps), "one/w%d", i);
        ck_assert_int_eq(family_do(steps, "watch plain/more"), i < QK_WATCHERS_MAX ? 0 : QK_EOVERLOADED);
    }
    ck_assert_int_eq(family_do("one/w5", "unwatch plain/more"), 0);
    ck_assert_int_eq(family_do("one/w1024", "watch plain/more"), 0);
}
END_TEST

/* ---- watching */

START_TEST(test_supervision_watch)
{
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    ck_assert_int_eq(family_do("one/w", "watch plain/a;watch plain/a"), 0);
    family_story();
    ck_assert_int_eq(family_do("plain/a", "panic x"), QK_ECRASHED);
    story_is("-a failed\nw sees plain/a failed: x");
    ck_assert_int_eq(family_do("plain/a", "quit"), 0);
    story_is("+a\n-a requested\nw sees plain/a ended");
    ck_assert_int_eq(family_do("plain/a", "quit"), 0);
    story_is("+a\n-a requested");
    /* One that never lived, and one that is not watched any more. */
    ck_assert_int_eq(family_do("one/w", "watch plain/never"), 0);
    story_is("w sees plain/never absent");
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    ck_assert_int_eq(family_do("one/w", "watch plain/a;unwatch plain/a"), 0);
    ck_assert_int_eq(family_do("one/w", "unwatch plain/a"), QK_ENOTFOUND);
    ck_assert_int_eq(family_do("plain/a", "quit"), 0);
    story_is("+a\n-a requested");
    ck_assert_int_eq(family_do("plain/a", "watch one/w"), QK_ESTATE);
    ck_assert_int_eq(family_do("one/w", "watch one/w"), QK_EINVALID);
}
END_TEST

START_TEST(test_supervision_watcher_that_has_gone)
{
    ck_assert_int_eq(family_do("plain/a", "get"), 0);
    ck_assert_int_eq(family_do("one/w", "watch plain/a"), 0);
    ck_assert_int_eq(family_do("one/w", "quit"), 0);
    ck_assert_int_eq(family_do("plain/a", "quit"), 0);
    story_is("+a\n+w\n-w requested\n-a requested");
}
END_TEST

/* ---- the end of the silo */

START_TEST(test_supervision_stop_in_every_state)
{
    family_plan.answer = QK_RESTART;
    ck_assert_int_eq(family_do("one/p", "spawn plain/a;spawn plain/b;spawn kept/k"), 0);
    ck_assert_int_eq(family_do("plain/a", "panic 1"), QK_ECRASHED);
    ck_assert_int_eq(family_do("plain/a", "panic 2"), QK_ECRASHED);
    family_start("plain/a", "get", 1);                       /* waits for the back-off */
    family_start("kept/k", "save", 2);                       /* suspended */
    family_start("one/p", "stop kept/k;call kept/k get", 3); /* the parent waits for it */
    family_start("plain/b", "panic x", 4);                   /* failed: the parent can't answer now */
    harness_run(&h);
    ck_assert_int_eq(family_reply(4), QK_ECRASHED);
    ck_assert_int_eq(family_do("plain/r", "panic 1"), QK_ECRASHED);
    ck_assert_int_eq(family_do("plain/r", "panic 2"), QK_ECRASHED); /* rests */
    ck_assert_int_eq(family_reply(1), 1);
    story_is("+p\n+a\n+b\n+k\np: plain/a panic 1: 1\n-a failed\n+a\np: plain/a panic 2: 2\n-a failed\n+r\n-r "
             "failed\n+r\n-r failed");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("supervision");
    TCase *t = tcase_create("supervision");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, test_supervision_panic_ends_the_turn_and_begins_anew);
    tcase_add_test(t, test_supervision_panic_keeps_the_mailbox);
    tcase_add_test(t, test_supervision_application_errors_are_no_failures);
    tcase_add_test(t, test_supervision_root_rests_between_failures);
    tcase_add_test(t, test_supervision_root_rests_after_failed_activations);
    tcase_add_test(t, test_supervision_panic_while_activating);
    tcase_add_test(t, test_supervision_panic_while_deactivating);
    tcase_add_test(t, test_supervision_panic_with_calls_begun_and_after_waiting);
    tcase_add_test(t, test_supervision_panic_after_saving);
    tcase_add_test(t, test_supervision_panic_ends_turns_that_interleave);
    tcase_add_test(t, test_supervision_timers_end_with_the_life);
    tcase_add_test(t, test_supervision_load_that_fails_is_tried_again);
    tcase_add_test(t, test_supervision_spawn_and_list);
    tcase_add_test(t, test_supervision_restart_by_default);
    tcase_add_test(t, test_supervision_answers);
    tcase_add_test(t, test_supervision_one_for_all);
    tcase_add_test(t, test_supervision_rest_for_one);
    tcase_add_test(t, test_supervision_grandchildren_end_first);
    tcase_add_test(t, test_supervision_limit_escalates);
    tcase_add_test(t, test_supervision_child_waits_for_its_back_off);
    tcase_add_test(t, test_supervision_child_that_can_not_be_activated);
    tcase_add_test(t, test_supervision_parent_that_spawns_in_on_activate);
    tcase_add_test(t, test_supervision_parent_that_fails_while_it_answers);
    tcase_add_test(t, test_supervision_parent_that_goes_on_after_its_answer_failed);
    tcase_add_test(t, test_supervision_parent_that_goes_on_after_an_escalation);
    tcase_add_test(t, test_supervision_escalation_to_one_that_has_failed_itself);
    tcase_add_test(t, test_supervision_parent_that_calls_its_failed_child);
    tcase_add_test(t, test_supervision_child_that_calls_its_ending_parent);
    tcase_add_test(t, test_supervision_parent_with_children_is_not_collected);
    tcase_add_test(t, test_supervision_siblings_that_fail_while_their_parent_waits);
    tcase_add_test(t, test_supervision_child_that_fails_while_its_parent_ends);
    tcase_add_test(t, test_supervision_parent_whose_turns_interleave);
    tcase_add_test(t, test_supervision_ends_on_request_once);
    tcase_add_test(t, test_supervision_bounds);
    tcase_add_test(t, test_supervision_watch);
    tcase_add_test(t, test_supervision_watcher_that_has_gone);
    tcase_add_test(t, test_supervision_stop_in_every_state);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
