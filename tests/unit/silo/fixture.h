/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A silo with two workers whose control loop the test's own thread runs, and a log that the test reads. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include "actors.h"
#include "peer.h"
#include "silo/silo.h"

extern char fx_dir[64], fx_path[100];
extern struct qk_loop *fx_control;
extern struct qk_silo *fx_silo;
extern bool fx_stopped;
extern int fx_lines, fx_dropped, fx_long_turns;          /* log lines: all, QK0615, QK0610 */
extern int fx_stuck, fx_stuck_jobs;                      /* QK0616, QK0617 */
extern char fx_actor[128], fx_method[64], fx_text[4096]; /* of the last line that had one */

/* Fixtures of a test case. */
void fx_setup(void);
void fx_teardown(void);

/* Fills in the configuration that the tests use. */
void fx_config(struct qk_silo_config *config);

/* Starts a silo with the actors of actors.h; `tune` (may be NULL) changes its configuration. */
void fx_start(void (*tune)(struct qk_silo_config *config));

/* Begins to stop; waits for the end of it; frees, and checks that nothing is left. */
void fx_begin_stop(void);
void fx_end_stop(void);

/* Runs the control loop for a moment. */
void fx_pump(void *arg);

/* Connects a client. */
void fx_open(struct peer *p);

/* Sends a call whose request is a number. */
void fx_call(struct peer *p, uint64_t id, enum silo_method which, const char *key, int64_t value, bool one_way);

/* Calls and waits for the reply, which must be the next: its status. */
int32_t fx_ask(struct peer *p, enum silo_method which, const char *key, int64_t value, int64_t *ret_value);

#endif
