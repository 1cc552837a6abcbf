/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns that take longer than their method or type allows: such a turn has failed, as one that panics has.
 *
 * No thread is taken from code that does not give it back. So the limit is looked at where a turn goes back to its
 * author's code from the host, and at its end; and a turn that is suspended when its limit passes is woken by a timer
 * for it. Turns without a limit pay one test at each of these places.
 */
#include "runtime/internal.h"

#include <stdio.h>

void qk_limit_begin(struct qk_turn_state *t, uint32_t limit_ms)
{
    if (qk_likely(limit_ms == 0))
        return;
    const struct qk_runtime_config *config = &t->worker->rt->config;
    t->limit_ms = limit_ms;
    t->limit_ns = config->now_ns(config->clock_arg) + (int64_t)limit_ms * 1000000;
    t->limit = (struct qk_deadline){.kind = QK_DEADLINE_LIMIT};
}

bool qk_limit_has_passed(const struct qk_turn_state *t)
{
    const struct qk_runtime_config *config = &t->worker->rt->config;
    return config->now_ns(config->clock_arg) >= t->limit_ns;
}

void qk_limit_watch(struct qk_turn_state *t)
{
    if (!qk_timer_is_started(&t->limit.timer))
        qk_wheel_start(&t->worker->wheel, &t->limit.timer, t->limit_ns / QK_TICK_NS + 1);
}

void qk_limit_due(struct qk_worker *w, struct qk_deadline *deadline)
{
    struct qk_turn_state *t = (struct qk_turn_state *)((uint8_t *)deadline - offsetof(struct qk_turn_state, limit));
    /* What it waits for from a store or a thread of others ends by itself: it can't be called back. */
    if (t->fiber->suspended)
        qk_call_interrupt(w, t->fiber, QK_ETIMEDOUT, "the turn has taken too long");
}

static const char *describe(struct qk_turn_state *t)
{
    enum { ROOM = 80 };
    char *text = qk_arena_alloc(&t->arena, ROOM);
    if (text == NULL)
        return "the turn took longer than it may";
    snprintf(text, ROOM, "the turn took longer than the %u ms that it may take", t->limit_ms);
    return text;
}

void qk_limit_unwind(struct qk_turn_state *t)
{
    qk_turn_unwind(t, QK_FAILURE_TIMEOUT, QK_ETIMEDOUT, describe(t));
}

void qk_limit_end(struct qk_turn_state *t)
{
    qk_wheel_cancel(&t->worker->wheel, &t->limit.timer);
    if (t->unwound || !qk_limit_has_passed(t))
        return;
    t->failure = QK_FAILURE_TIMEOUT;
    t->status = t->fail_status = QK_ETIMEDOUT;
    t->fail_text = describe(t);
}
