/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cancelling: telling a turn that nobody waits for its outcome any more, whichever worker it is suspended on.
 *
 * A caller that gives up marks the message. A turn that has not begun is then dropped, one that runs sees the mark when
 * it asks. One that is suspended has left its worker's number in the message: the mark then goes there as a memo, and
 * the message is freed by whichever comes second, the memo or the end of the turn, both on that worker.
 */
#include "runtime/internal.h"

#include <stdlib.h>

struct qk_gone {
    struct qk_memo memo; /* first */
    const void *origin;
    uint64_t call_id; /* 0: all */
};

bool qk_cancel_watch(struct qk_turn_state *t)
{
    struct qk_msg *msg = t->msg;
    if (t->watched || msg == NULL || msg->kind != QK_MSG_CALL)
        return false;
    t->watched = true;
    if (qk_msg_mark(t->worker, msg, QK_LIFE_RUNNING + t->worker->index)) {
        msg->runner = t->fiber;
        return false;
    }
    t->cancelled = true;
    return true;
}

void qk_cancel_abandon(struct qk_worker *w, struct qk_msg *msg)
{
    unsigned was = atomic_exchange_explicit(&msg->life, QK_LIFE_ABANDONED, memory_order_acq_rel);
    if (was < QK_LIFE_RUNNING)
        return;
    msg->memo.kind = QK_MEMO_ABANDONED;
    qk_worker_tell(w, w->rt->workers[was - QK_LIFE_RUNNING], &msg->memo);
}

static void cancel_turn(struct qk_worker *w, struct qk_fiber *fiber, const char *text)
{
    fiber->turn.cancelled = true;
    if (fiber != w->running)
        qk_call_interrupt(w, fiber, QK_ECANCELLED, text);
}

void qk_cancel_origin(struct qk_worker *w, const void *origin, uint64_t call_id)
{
    for (uint32_t i = 0; i < w->rt->n_workers; i++) {
        struct qk_gone *gone = malloc(sizeof(*gone));
        if (gone == NULL)
            return; /* the turns go on; their replies find nobody */
        *gone = (struct qk_gone){.memo.kind = QK_MEMO_GONE, .origin = origin, .call_id = call_id};
        qk_worker_tell(w, w->rt->workers[i], &gone->memo);
    }
}

static bool is_of(const struct qk_fiber *fiber, const struct qk_gone *gone)
{
    const struct qk_msg *msg = fiber->turn.msg;
    return msg != NULL && msg->kind == QK_MSG_FRAME && msg->frame != NULL && msg->frame->origin == gone->origin &&
           (gone->call_id == 0 || msg->frame->call_id == gone->call_id) && !msg->one_way;
}

static void cancel_gone(struct qk_worker *w, const struct qk_gone *gone)
{
    static const char text[] = "the client has gone or no longer waits";
    struct qk_fiber *next;
    for (struct qk_fiber *f = w->suspended; f != NULL; f = next) {
        next = f->susp_next;
        if (is_of(f, gone))
            cancel_turn(w, f, text);
    }
    if (w->running != NULL && is_of(w->running, gone))
        cancel_turn(w, w->running, text);
}

void qk_cancel_told(struct qk_worker *w, struct qk_memo *memo)
{
    if (memo->kind == QK_MEMO_GONE) {
        cancel_gone(w, (struct qk_gone *)memo);
        free(memo);
        return;
    }
    struct qk_msg *msg = (struct qk_msg *)((uint8_t *)memo - offsetof(struct qk_msg, memo));
    if (msg->finished) {
        qk_msg_destroy(w, msg);
        return;
    }
    msg->told = true;
    cancel_turn(w, msg->runner, "the caller of this turn no longer waits");
}
