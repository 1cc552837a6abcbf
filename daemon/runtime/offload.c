/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocking work that a handler hands out: its fiber is suspended, a thread of the owner's runs the function, and the
 * end enters the runtime anywhere and is told to the worker of the fiber. A runtime whose owner has no threads for it
 * runs the function on the worker's own stack, between turns.
 */
#include "runtime/internal.h"

int qk_offload_run(struct qk_turn_state *t, void (*fn)(void *arg), void *arg)
{
    if (fn == NULL) {
        t->error_text = "there is no function to run";
        return QK_EINVALID;
    }
    struct qk_offload_wait wait = {.memo.kind = QK_MEMO_OFFLOADED, .job = {.fn = fn, .arg = arg}, .fiber = t->fiber};
    t->fiber->offload = &wait;
    t->fiber->asks = true;
    t->waits_ns = t->worker->now_ns;
    while (!wait.done)
        qk_turn_suspend(t->fiber);
    t->fiber->offload = NULL;
    if (wait.job.status == QK_EOVERLOADED)
        t->error_text = "too much offloaded work waits for a thread (runtime.offload_queue)";
    else if (wait.job.status == QK_ECANCELLED)
        t->error_text = "the silo stops";
    else if (wait.job.status < 0)
        t->error_text = "no thread could be had for the offloaded work";
    return wait.job.status;
}

static void finish(struct qk_worker *w, struct qk_offload_wait *wait)
{
    wait->done = true;
    qk_worker_ready(w, wait->fiber);
}

void qk_offload_send(struct qk_worker *w, struct qk_fiber *fiber)
{
    const struct qk_runtime_config *config = &w->rt->config;
    struct qk_offload_wait *wait = fiber->offload;
    wait->sent = true;
    if (config->offload != NULL) {
        struct qk_act *act = fiber->turn.act;
        wait->job.type = act->type->desc->name;
        wait->job.key = qk_act_key(act);
        int rc = config->offload(config->offload_arg, &wait->job);
        if (rc == 0)
            return; /* the owner's now: it may have come back already */
        wait->job.status = rc;
    } else {
        wait->job.fn(wait->job.arg);
        qk_worker_read_clock(w);
    }
    finish(w, wait);
}

void qk_runtime_offloaded(struct qk_runtime *rt, struct qk_job *job)
{
    (void)rt;
    struct qk_offload_wait *wait = (struct qk_offload_wait *)((uint8_t *)job - offsetof(struct qk_offload_wait, job));
    qk_worker_tell(NULL, wait->fiber->turn.worker, &wait->memo);
}

void qk_offload_told(struct qk_worker *w, struct qk_memo *memo)
{
    finish(w, (struct qk_offload_wait *)memo);
}
