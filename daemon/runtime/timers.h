/* SPDX-License-Identifier: Apache-2.0 */
/* Timers of activations (timers.c). On the worker that holds the activation where nothing else is said. */
#ifndef QK_RUNTIME_TIMERS_H
#define QK_RUNTIME_TIMERS_H

#include <stdbool.h>
#include <stdint.h>
#include <quark/abi.h>

struct qk_act;
struct qk_deadline;
struct qk_memo;
struct qk_msg;
struct qk_turn_state;
struct qk_worker;

/* As qk_timer_start(); why not comes back too. On the fiber. */
int qk_timers_start(struct qk_turn_state *t, const struct qk_method *m, int64_t due_ms, int64_t period_ms,
                    uint32_t flags, const ProtobufCMessage *request, uint64_t *ret_id, const char **ret_why);
int qk_timers_cancel(struct qk_turn_state *t, uint64_t id);
void qk_timers_end_all(struct qk_worker *w, struct qk_act *act);

/* A timer of this worker's wheel is due, or another worker has ended it. */
void qk_timers_due(struct qk_worker *w, struct qk_deadline *deadline);
void qk_timers_told(struct qk_worker *w, struct qk_memo *memo);

/* The tick becomes a turn; false when its timer has ended, and the message is to be dropped. */
bool qk_timers_begin(struct qk_worker *w, struct qk_msg *msg);
bool qk_timers_keeps_active(const struct qk_msg *msg);

/* Frees the message of a tick and its timer, which has ended. Any worker. */
void qk_timers_drop(struct qk_worker *w, struct qk_msg *msg);

/* The turn of a tick is over. */
void qk_timers_complete(struct qk_worker *w, struct qk_msg *msg);

#endif
