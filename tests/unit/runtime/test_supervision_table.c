/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every failure, in every state of the parent, with every answer and every strategy, held against what
 * docs/supervision.md says of it.
 *
 * A family of five: g has the child p, and p has a, b and c, of which b fails. What becomes of each is a letter: '='
 * it goes on with its state, 'r' it begins anew, 'x' it ends.
 */
#include "family.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How b fails. */
static const struct failure {
    const char *name;
    const char *who;   /* b */
    const char *steps; /* that bring it about; NULL: its activation fails */
    const char *kind;  /* as its parent hears it */
    int status;        /* of the call that carries the steps */
} failures[] = {
    {"panic", "plain/b", "panic x", "panic", QK_ECRASHED},
    {"panic after a wait", "plain/b", "yield;panic x", "panic", QK_ECRASHED},
    {"panic with a call begun", "plain/b", "send plain/other get;panic x", "panic", QK_ECRASHED},
    {"panic while another turn waits", "open/b", "panic x", "panic", QK_ECRASHED},
    {"turn that takes too long", "hasty/b", "spend 200;yield", "timeout", QK_ETIMEDOUT},
    {"turn that took too long", "hasty/b", "spend 200", "timeout", QK_ETIMEDOUT},
    {"child that escalates", "one/b", "call plain/x panic x", "escalated", QK_ECRASHED},
    {"panic over a child's failure", "one/b", "call plain/x panic x", "panic", QK_ECRASHED},
    {"on_activate that fails", "plain/bad", NULL, "activate", 0},
    {"on_activate that panics", "plain/torn", NULL, "activate", 0},
    {"state that can't be loaded", "loaded/b", NULL, "activate", 0},
};
enum { OPEN = 3, ESCALATED = 6, OVER_CHILD = 7, BAD = 8, TORN = 9, LOADED = 10, N_FAILURES = 11 };

/* What p answers, and g where p fails over it. */
static const struct answer {
    const char *name;
    int p;
    int g;          /* 0: there is none */
    bool no_hook;   /* p's type has none */
    bool panics;    /* the hook does */
    const char *is; /* of p; of b; of those whom the strategy means too; of the others */
} answers[] = {
    {"resume", QK_RESUME, 0, false, false, "===="},
    {"restart", QK_RESTART, 0, false, false, "=rr="},
    {"stop", QK_STOP, 0, false, false, "=xx="},
    {"default", QK_DIRECTIVE_DEFAULT, 0, false, false, "=rr="},
    {"nonsense", 99, 0, false, false, "=rr="},
    {"no hook", 0, 0, true, false, "=rr="},
    {"escalate at the root", QK_ESCALATE, 0, false, false, "xxxx"},
    {"less than 0 at the root", -5, 0, false, false, "xxxx"},
    {"panic at the root", QK_RESTART, 0, false, true, "xxxx"},
    {"escalate, then resume", QK_ESCALATE, QK_RESUME, false, false, "===="},
    {"escalate, then restart", QK_ESCALATE, QK_RESTART, false, false, "rxxx"},
    {"escalate, then stop", QK_ESCALATE, QK_STOP, false, false, "xxxx"},
    {"escalate, then escalate", QK_ESCALATE, QK_ESCALATE, false, false, "xxxx"},
    {"panic, then resume", QK_RESTART, QK_RESUME, false, true, "===="},
    {"panic, then restart", QK_RESUME, QK_RESTART, false, true, "rxxx"},
    {"panic, then stop", QK_RESUME, QK_STOP, false, true, "xxxx"},
};

/* What p does meanwhile, and how often b has failed before. */
enum state { RESTS, WAITS, HAS_FAILED, ENDS, AGAIN, WORN_OUT };
static const struct {
    const char *name;
    unsigned before; /* failures of b */
} states[] = {
    [RESTS] = {"while its parent rests", 0},
    [WAITS] = {"while its parent waits in a turn", 0},
    [HAS_FAILED] = {"while its parent has failed itself", 0},
    [ENDS] = {"while its parent ends", 0},
    [AGAIN] = {"for the second time", 1},
    [WORN_OUT] = {"after as many restarts as it may have", 3},
};

static const char *const strategies[] = {"one", "all", "rest"};
enum { ONE_FOR_ONE, ONE_FOR_ALL, REST_FOR_ONE };

/* One line of the table. */
struct row {
    const struct failure *failure;
    const struct answer *answer;
    enum state state;
    int strategy;
    char p[32];
    char text[256]; /* its name, for messages */
};

static struct harness h;
static char story[16384];

static bool is(const struct row *r, int which)
{
    return r->failure == &failures[which];
}

static bool lived(const struct row *r)
{
    return r->failure->steps != NULL;
}

static const char *key_of(const char *who)
{
    return strchr(who, '/') + 1;
}

static void remember(void)
{
    const char *more = family_story();
    size_t at = strlen(story);
    snprintf(story + at, sizeof(story) - at, "%s\n", more);
}

/* ---- the family, and the failure */

static void do_it(const struct row *r, const char *who, const char *steps)
{
    int rc = family_do(who, steps);
    ck_assert_msg(rc == 0, "%s: %s %s: %d %s", r->text, who, steps, rc, family_text);
}

static void plan_answers(const struct row *r, int answer, bool panics)
{
    struct family_answer *a = family_plan.answers;
    a[0] = (struct family_answer){"p", answer, panics};
    if (is(r, ESCALATED) || is(r, OVER_CHILD))
        a[1] = (struct family_answer){"b", QK_ESCALATE, is(r, OVER_CHILD)};
}

/* Lets b fail and begin anew. */
static void wear(const struct row *r)
{
    plan_answers(r, QK_RESTART, false);
    for (unsigned i = 0; i < states[r->state].before; i++) {
        if (is(r, ESCALATED) || is(r, OVER_CHILD))
            do_it(r, r->failure->who, "spawn plain/x");
        ck_assert_int_eq(family_do(r->failure->who, r->failure->steps), r->failure->status);
        harness_advance(&h, 1000);
    }
}

static void raise_family(const struct row *r)
{
    char steps[256];
    /* c waits for a store where it has to be slow to end. */
    const char *c = r->state == ENDS ? "kept/c" : "plain/c";
    snprintf(steps, sizeof(steps), "spawn plain/a;spawn %s;spawn %s", r->failure->who, c);
    if (r->answer->g != 0 || r->state == HAS_FAILED) {
        snprintf(steps + 128, 128, "spawn %s", r->p);
        do_it(r, "one/g", steps + 128);
    }
    if (!lived(r)) /* it fails as soon as it is there */
        return;
    do_it(r, r->p, steps);
    wear(r);
    if (is(r, ESCALATED) || is(r, OVER_CHILD))
        do_it(r, r->failure->who, "spawn plain/x");
    do_it(r, "plain/a", "add 5");
    do_it(r, r->failure->who, "add 5");
    do_it(r, c, "add 5");
}

/* Gets p, and g where that matters, into the state. */
static void prepare(const struct row *r)
{
    family_plan.answer = r->state == HAS_FAILED ? QK_RESUME : r->answer->g;
    if (r->state == WAITS)
        family_start(r->p, "call kept/k save", 1);
    if (r->state == ENDS) {
        family_start("kept/c", "save", 1);
        harness_run(&h);
        family_start(r->p, "quit", 2);
    }
    if (r->state == HAS_FAILED) { /* g answers when the save is over */
        family_start("one/g", "call kept/k save", 1);
        harness_run(&h);
        family_start(r->p, "panic own", 2);
    }
    if (is(r, OPEN))
        family_start("open/b", "call kept/k2 save", 3);
    harness_run(&h);
}

static void bring_about(const struct row *r)
{
    char steps[256];
    plan_answers(r, r->answer->p, r->answer->panics);
    if (lived(r)) {
        family_start(r->failure->who, r->failure->steps, 10);
        family_start(r->failure->who, "get", 11); /* waits behind it */
    } else {
        family_plan.bad_activations = is(r, BAD) || is(r, TORN) ? 1 : 0;
        snprintf(steps, sizeof(steps), "spawn plain/a;spawn %s;spawn plain/c", r->failure->who);
        family_start(r->p, steps, 10);
    }
    harness_run(&h);
    if (is(r, LOADED))
        family_store(QK_EUNAVAILABLE);
    while (family_stores() > 0)
        family_store(0);
    harness_advance(&h, 110); /* past its back-off */
    remember();
}

/* ---- what is to become of each */

static char fate(const struct row *r, const char *who)
{
    const char *is_ = r->answer->is;
    if (r->state == WORN_OUT && is_[1] == 'r')
        is_ = "xxxx"; /* it may not begin anew, so p has failed too */
    bool meant = r->strategy == ONE_FOR_ALL || (r->strategy == REST_FOR_ONE && who[0] == 'c');
    if (r->state == ENDS)
        return 'x';
    if (who[0] == 'p')
        return is_[0];
    if (who[0] == 'b') /* what never lived has nothing to go on with */
        return is_[1] == '=' && !lived(r) ? 'r' : is_[1];
    if (is_[0] != '=')
        return is_[3];
    return meant ? is_[2] : is_[3];
}

/* The lines of the story that are about one actor: begins and ends. */
static void lines_of(const char *key, char *ret, size_t size)
{
    char copy[sizeof(story)];
    size_t n = strlen(key);
    memcpy(copy, story, sizeof(story));
    ret[0] = '\0';
    for (char *save, *line = strtok_r(copy, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        if ((line[0] == '+' || line[0] == '-') && strncmp(line + 1, key, n) == 0 &&
            (line[n + 1] == '\0' || line[n + 1] == ' '))
            snprintf(ret + strlen(ret), size - strlen(ret), "%s%s", ret[0] != '\0' ? " " : "", line);
    }
}

static void check_life(const struct row *r, const char *key, const char *letter, const char *why, bool begins)
{
    char want[128], got[256];
    char what = fate(r, letter);
    bool failed = letter[0] == 'b';
    size_t n = 0;
    want[0] = '\0';
    /* Without a hook the answer is there before the youngest has begun. */
    bool once = begins && what == 'r' && letter[0] == 'c' && r->answer->no_hook && !is(r, LOADED);
    if (begins && !once)
        n += (size_t)snprintf(want, sizeof(want), "+%s ", key);
    if (what != '=' && !once && (!failed || lived(r)))
        n += (size_t)snprintf(want + n, sizeof(want) - n, "-%s %s ", key, why);
    if (what == 'r')
        n += (size_t)snprintf(want + n, sizeof(want) - n, "+%s ", key);
    if (n > 0)
        want[n - 1] = '\0';
    lines_of(key, got, sizeof(got));
    ck_assert_msg(strcmp(want, got) == 0, "%s: of %s came \"%s\", not \"%s\"\n%s", r->text, key, got, want, story);
}

static const char *why_of(const struct row *r, const char *letter)
{
    bool parents = fate(r, "p") != '=';
    if (letter[0] == 'p')
        return r->state == ENDS ? "requested" : "failed";
    if (letter[0] == 'b')
        return "failed";
    return parents || r->answer->p == QK_STOP ? "stopped" : "restart";
}

/* What p was told of b, if it was to be told. */
static void check_notice(const struct row *r)
{
    char want[128];
    const char *p = key_of(r->p);
    snprintf(want, sizeof(want), "%s: %s %s %u: ", p, r->failure->who, r->failure->kind, states[r->state].before + 1);
    bool told = !r->answer->no_hook && r->state != ENDS;
    ck_assert_msg((strstr(story, want) != NULL) == told, "%s: it was %stold \"%s\"\n%s", r->text, told ? "not " : "",
                  want, story);
    ck_assert_msg(!told || strstr(strstr(story, want) + 1, want) == NULL, "%s: it was told twice\n%s", r->text, story);
}

/* The call that failed, and the one that waited behind it. */
static void check_calls(const struct row *r)
{
    struct qk_port_frame *f;
    int first = 1, second = 1;
    while ((f = harness_reply(&h)) != NULL) {
        first = f->call_id == 10 ? f->status : first;
        second = f->call_id == 11 ? f->status : second;
        qk_port_frame_destroy(f);
    }
    if (!lived(r))
        return;
    /* Turns that interleave, and those before the failure of another, do not wait behind it. */
    bool before = is(r, OPEN) || is(r, ESCALATED) || is(r, OVER_CHILD);
    char b = fate(r, "b");
    ck_assert_msg(first == r->failure->status, "%s: the call that failed ended with %d", r->text, first);
    ck_assert_msg(before || second == (b == 'x' ? QK_EUNAVAILABLE : 0), "%s: the call that waited ended with %d",
                  r->text, second);
}

/* That who goes on has the state it had, and who has begun anew a new one. */
static void check_state(const struct row *r, const char *who, const char *letter)
{
    char what = fate(r, letter);
    if (what == 'x' || (what == '=' && !lived(r)))
        return;
    int rc = family_do(who, "get");
    ck_assert_msg(rc == 0 && strcmp(family_text, what == '=' ? "5" : "0") == 0, "%s: %s has %d, %s", r->text, who, rc,
                  family_text);
}

static void check_children(const struct row *r)
{
    char want[128];
    const char *of[] = {"plain/a", r->failure->who, "plain/c"}, *letters[] = {"a", "b", "c"};
    want[0] = '\0';
    for (int i = 0; i < 3; i++) {
        if (fate(r, letters[i]) != 'x')
            snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s%s:live", want[0] != '\0' ? " " : "", of[i]);
    }
    if (fate(r, "p") == 'x')
        return;
    ck_assert_int_eq(family_do(r->p, "children"), 0);
    ck_assert_msg(strcmp(family_text, want) == 0, "%s: the children are \"%s\", not \"%s\"", r->text, family_text,
                  want);
}

static void check(const struct row *r)
{
    bool new_family = !lived(r);
    check_notice(r);
    check_life(r, "a", "a", why_of(r, "a"), new_family);
    check_life(r, "c", "c", why_of(r, "c"), new_family);
    /* One that can't be loaded never gets as far as its hook. */
    check_life(r, key_of(r->failure->who), "b", why_of(r, "b"), new_family && !is(r, LOADED));
    check_life(r, key_of(r->p), "p", why_of(r, "p"), new_family && r->answer->g == 0);
    check_calls(r);
    check_state(r, "plain/a", "a");
    check_state(r, r->failure->who, "b");
    check_state(r, "plain/c", "c");
    check_children(r);
}

/* ---- the table */

static void run(int failure, int answer, enum state state, int strategy)
{
    struct row r = {.failure = &failures[failure], .answer = &answers[answer], .state = state, .strategy = strategy};
    static const char *const without[] = {"plain", "all_plain", "rest_plain"};
    snprintf(r.p, sizeof(r.p), "%s/p", r.answer->no_hook ? without[strategy] : strategies[strategy]);
    snprintf(r.text, sizeof(r.text), "%s, %s, one for %s, %s", r.failure->name, r.answer->name, strategies[strategy],
             states[state].name);
    story[0] = '\0';
    family_begin(&h);
    raise_family(&r);
    prepare(&r);
    family_story();
    bring_about(&r);
    check(&r);
    family_end(&h);
}

static void run_all(enum state state)
{
    for (int f = 0; f < N_FAILURES; f++) {
        for (size_t a = 0; a < sizeof(answers) / sizeof(answers[0]); a++) {
            /* A parent that waits or ends does not spawn meanwhile, and one that is spawned has not failed before. */
            if (state != RESTS && failures[f].steps == NULL)
                continue;
            if (state == HAS_FAILED && answers[a].is[0] != '=') /* g lets it go on */
                continue;
            for (int s = ONE_FOR_ONE; s <= REST_FOR_ONE; s++)
                run(f, (int)a, state, s);
        }
    }
}

START_TEST(test_supervision_table_parent_rests)
{
    run_all(RESTS);
}
END_TEST

START_TEST(test_supervision_table_parent_waits)
{
    run_all(WAITS);
}
END_TEST

START_TEST(test_supervision_table_parent_has_failed)
{
    run_all(HAS_FAILED);
}
END_TEST

START_TEST(test_supervision_table_parent_ends)
{
    run_all(ENDS);
}
END_TEST

START_TEST(test_supervision_table_second_failure)
{
    run_all(AGAIN);
}
END_TEST

START_TEST(test_supervision_table_restarts_are_used_up)
{
    run_all(WORN_OUT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("supervision table");
    TCase *t = tcase_create("table");
    tcase_add_test(t, test_supervision_table_parent_rests);
    tcase_add_test(t, test_supervision_table_parent_waits);
    tcase_add_test(t, test_supervision_table_parent_has_failed);
    tcase_add_test(t, test_supervision_table_parent_ends);
    tcase_add_test(t, test_supervision_table_second_failure);
    tcase_add_test(t, test_supervision_table_restarts_are_used_up);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
