/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Children that go inside and try things. */
#ifndef TEST_HOST_CHILD_H
#define TEST_HOST_CHILD_H

#include <stdbool.h>
#include <sys/types.h>
#include "host/sandbox.h"

/* Where a child is when it tries. */
enum stage {
    OUTSIDE, /* as a control: what is refused inside must work here, or the test proves nothing */
    ENTERED, /* before the plugin is loaded */
    CLOSED,  /* afterwards */
    THREAD,  /* in a thread that was started afterwards */
    STAGES
};

extern const char *const stage_names[STAGES];

/* Ends a child with a line on standard error. For what can't be an assertion of Check, which is the parent's. */
_Noreturn void give_up(const char *what, int rc);

/* Inside with `spec` and this process as the parent; ends the child when that fails. */
void go_inside(struct qk_sandbox_spec spec, enum stage stage);

/* Runs `fn` in a child at that stage and returns its wait status. The child's exit status is what `fn` returns: 0 when
 * it could do what it tried, else an errno. */
int run_child(const struct qk_sandbox_spec *spec, enum stage stage, int (*fn)(void));

/* "exit status 13 (Permission denied)", "signal SYS". */
const char *describe(int status);

/* Whether this kernel and this build have all of the walls; where they don't, children go inside as far as they can. */
extern bool walls;

/* A user that nobody else is, and a directory of its own in `home`, with a file `secret` of its own. */
void begin_tests(void);
void end_tests(void);
extern char home[128];
extern char secret[160];
extern char granted[160]; /* a directory below home that default_spec() grants for writing */
extern pid_t victim;      /* a process of the same user outside */

struct qk_sandbox_spec default_spec(void);

#endif
