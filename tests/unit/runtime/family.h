/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Actors that do what a text tells them, for the tests of supervision, and the story of what their hooks saw. */
#ifndef FAMILY_H
#define FAMILY_H

#include "harness.h"

/*
 * Types: plain (no hook for failures), one, all and rest (by strategy, with a hook), all_plain and rest_plain
 * (without), open (turns interleave always), kept (stored state, not loaded before the first turn), loaded (loaded
 * before), brief (collected when a second old), hasty (turns and hooks may take 100 ms; stored, not loaded before),
 * hasty_open (the same, but loaded before, and turns interleave always).
 *
 * A call carries steps that are separated by ";": panic WHY, fail N, add N, get, yield, save, quit, children,
 * spend MS (the clock moves on meanwhile), offload MS (likewise, on a thread of others), cancelled (tells it),
 * many N (spawns N actors of the type plain), strange (spawns one of no type), spawn A, stop A, watch A, unwatch A,
 * call A STEPS, send A STEPS, tick MS STEPS, where A is type/key. In the STEPS of a call, "," stands for ";".
 */
extern const struct qk_plugin family_plugin;

/* What hooks do, by number of times; each counts down. */
extern struct family_plan {
    int answer; /* of on_child_failure: enum qk_directive */
    struct family_answer {
        const char *key; /* NULL: the list ends */
        int answer;
        bool panics;
    } answers[4];            /* of the actors with these keys, instead */
    int bad_activations;     /* on_activate fails, of actors whose key begins with "bad"; panics: with "torn" */
    int bad_deactivations;   /* on_deactivate panics */
    int bad_answers;         /* on_child_failure panics */
    int slow_ends;           /* on_deactivate takes a second */
    const char *in_failure;  /* steps of on_child_failure, before it answers */
    const char *in_activate; /* steps of on_activate of actors with the key "top" */
} family_plan;

void family_begin(struct harness *h);
void family_end(struct harness *h);

/* Runs steps and gives the status; the reply, or the error's text, in family_text. */
int family_do(const char *who, const char *steps);
extern char family_text[2048];

/* Hands them in without waiting. */
void family_start(const char *who, const char *steps, uint64_t id);

/* Asks from outside that the activation end. */
void family_end_request(const char *who, uint64_t id);

/* The status of the next reply, whose id must be `id`; text as family_do(). 1: there is none. */
int family_reply(uint64_t id);

/* What the hooks saw since the last look, a line each, without the last newline. */
const char *family_story(void);

/* Answers the operation on stored state that waits the longest. */
void family_store(int status);
int family_stores(void);

#define story_is(text) ck_assert_str_eq(family_story(), text)

#endif
