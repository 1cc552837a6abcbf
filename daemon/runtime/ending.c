/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How activations begin, fail and end.
 *
 *   LIVE, FAILED --> STOPPING --> DEACTIVATING --> DEAD               it ends
 *                                        \-------> NEW, WAITING       it begins anew: the same memory and mailbox
 *
 * STOPPING is left out where there are no children, DEACTIVATING where there is no hook to run. An activation that has
 * failed rests in FAILED until its parent has answered; what comes meanwhile is put aside, and so in STOPPING. WAITING
 * lasts until the back-off is over: messages to a child are put aside, those to an actor without a parent are refused.
 *
 * All of this runs on the worker that holds the activation. Others leave orders (supervise.c).
 */
#include "runtime/frames.h"
#include "runtime/state.h"
#include "runtime/supervise.h"

#include <stdio.h>
#include <stdlib.h>

#define RESTART_MAX       5
#define RESTART_WINDOW_MS 60000
#define BACKOFF_MS        100
#define BACKOFF_MAX_MS    30000

/* A back-off of a child in a worker's wheel. It names the actor, which may have gone when it is due. */
struct qk_wake {
    struct qk_deadline deadline; /* first */
    struct qk_wake *next;
    struct qk_wake **link;
    struct qk_rt_type *type;
    uint32_t key_len;
    char key[];
};

static enum qk_phase phase_of(const struct qk_act *act)
{
    return (enum qk_phase)atomic_load_explicit(&((struct qk_act *)act)->phase, memory_order_relaxed);
}

static bool stopping(const struct qk_worker *w)
{
    return qk_runtime_phase(w->rt) >= QK_RUNTIME_STOPPING;
}

/* ---- messages that can't be turns now */

static void drop(struct qk_worker *w, struct qk_act *act, struct qk_msg *msg, int status, const char *text)
{
    act->done++;
    if (msg->kind == QK_MSG_TICK && !qk_timers_begin(w, msg))
        qk_timers_drop(w, msg);
    else
        qk_msg_fail(w, msg, status, text);
}

static struct qk_msg *take(struct qk_act *act)
{
    if (act->batch == NULL)
        act->batch = qk_mailbox_take(&act->mailbox);
    struct qk_link *link = act->batch;
    if (link != NULL)
        act->batch = link->next;
    return (struct qk_msg *)link;
}

static enum qk_next rest(struct qk_worker *w, struct qk_act *act)
{
    act->left = 0;
    return qk_turn_rest(w, act) ? QK_LEAVE : QK_AGAIN;
}

/* Puts aside what waits, but for what would keep this very activation from going on; then rests. */
static enum qk_next hold(struct qk_worker *w, struct qk_act *act)
{
    struct qk_msg *msg;
    while ((msg = take(act)) != NULL) {
        if (msg->chain_len > 0 && qk_super_would_wait(w, act, msg))
            drop(w, act, msg, QK_EUNAVAILABLE,
                 "the actor fails or ends, and waits for one that waits for this call to be over");
        else
            qk_chain_defer(act, &msg->link);
    }
    return rest(w, act);
}

/* Fails everything that waits with one text. */
static void fail_waiting(struct qk_worker *w, struct qk_act *act, int status, const char *text)
{
    struct qk_msg *msg;
    qk_chain_undefer(act);
    while ((msg = take(act)) != NULL)
        drop(w, act, msg, status, msg->kind == QK_MSG_TICK ? "" : qk_msg_keep_text(msg, text));
}

/* ---- the end */

/* Takes an activation whose end is over out of memory. What still waits goes to the next activation, or fails. */
static enum qk_next bury(struct qk_worker *w, struct qk_act *act, enum qk_goal goal)
{
    struct qk_act *successor = NULL;
    bool passes_on = !stopping(w) && goal == QK_GOAL_END;
    qk_chain_undefer(act);
    struct qk_link *link = qk_act_unlink(w, act, passes_on ? &successor : NULL);
    if (qk_act_extras(act) != NULL)
        qk_super_gone(w, act);
    while (link != NULL) {
        struct qk_msg *msg = (struct qk_msg *)link;
        link = link->next;
        if (stopping(w))
            qk_msg_fail(w, msg, QK_EUNAVAILABLE, "the silo stops");
        else if (goal == QK_GOAL_STOP)
            qk_msg_fail(w, msg, QK_EUNAVAILABLE, "the actor was stopped by its parent");
        else
            qk_msg_fail(w, msg, QK_ENOMEMORY, "the silo has no memory for another activation");
    }
    if (successor != NULL)
        qk_worker_schedule(w, successor, false);
    qk_call_wake_waiters(w, act, UINT32_MAX);
    if (act->ender != NULL)
        qk_frames_reply(w, act->ender, 0, "", NULL, true);
    act->ender = NULL;
    qk_act_retire(w, act);
    return QK_LEAVE;
}

/* Runs on_deactivate where that is due, once there are no children left. */
static enum qk_next deactivate(struct qk_worker *w, struct qk_act *act, bool lived)
{
    const struct qk_extras *x = qk_act_extras(act);
    if (x != NULL) /* others may have asked for other ends meanwhile */
        act->ending = x->reason;
    qk_turn_settle(w, act);
    qk_timers_end_all(w, act);
    if (!lived || act->type->desc->on_deactivate == NULL)
        return qk_ending_finish(w, act);
    qk_act_move(act, QK_PHASE_DEACTIVATING);
    return qk_turn_hook(w, act, QK_TURN_DEACTIVATE);
}

/* Begins to end an activation that has extras: its children first. */
static enum qk_next begin_end(struct qk_worker *w, struct qk_act *act, enum qk_goal goal,
                              enum qk_deactivate_reason reason)
{
    struct qk_extras *x = qk_act_extras(act);
    x->todo &= ~(uint32_t)(QK_ORDER_RESTART | QK_ORDER_STOP | QK_ORDER_SHUTDOWN | QK_ORDER_RESUME | QK_ORDER_FAIL);
    qk_super_settled(w, act);
    x->goal = (uint8_t)goal;
    x->reason = (uint8_t)reason;
    if (!qk_super_stop_last(w, act))
        return deactivate(w, act, x->lived);
    qk_act_move(act, QK_PHASE_STOPPING);
    return QK_AGAIN;
}

/* ---- beginning anew */

static void wake_free(struct qk_wake *wake)
{
    *wake->link = wake->next;
    if (wake->next != NULL)
        wake->next->link = wake->link;
    free(wake);
}

/* Has the activation look again when its back-off is over; false without memory. */
static bool wake_later(struct qk_worker *w, const struct qk_act *act, int64_t until_ns)
{
    struct qk_wake *wake = malloc(sizeof(*wake) + act->key_len);
    if (wake == NULL)
        return false;
    *wake = (struct qk_wake){.deadline = {.kind = QK_DEADLINE_WAKE},
                             .next = w->back_offs,
                             .link = &w->back_offs,
                             .type = act->type,
                             .key_len = act->key_len};
    memcpy(wake->key, qk_act_key(act), act->key_len);
    if (w->back_offs != NULL)
        w->back_offs->link = &wake->next;
    w->back_offs = wake;
    qk_wheel_start(&w->wheel, &wake->deadline.timer, until_ns / QK_TICK_NS + 1);
    return true;
}

void qk_ending_woken(struct qk_worker *w, struct qk_deadline *deadline)
{
    struct qk_wake *wake = (struct qk_wake *)deadline;
    qk_super_look(w, wake->type, wake->key, wake->key_len);
    wake_free(wake);
}

void qk_ending_wakes_finish(struct qk_worker *w)
{
    while (w->back_offs != NULL)
        wake_free(w->back_offs);
}

/* Drops notices of children, which have all ended. */
static void drop_notices(struct qk_worker *w, struct qk_act *act)
{
    struct qk_link *rest = NULL, **last = &rest;
    struct qk_msg *msg;
    qk_chain_undefer(act);
    while ((msg = take(act)) != NULL) {
        if (msg->kind == QK_MSG_NOTICE && msg->notice->serial != 0) {
            drop(w, act, msg, QK_ECANCELLED, "");
        } else {
            msg->link.next = NULL;
            *last = &msg->link;
            last = &msg->link.next;
        }
    }
    act->batch = rest;
}

/* The old life is over, the same actor begins a new one. */
static enum qk_next begin_anew(struct qk_worker *w, struct qk_act *act)
{
    struct qk_extras *x = qk_act_extras(act);
    bool child = qk_super_has_parent(w, act);
    act->ending = 0;
    qk_act_renew(act);
    drop_notices(w, act);
    x->todo = child ? QK_ORDER_ACTIVATE : 0;
    x->asked = x->lived = false;
    bool waits = x->until_ns > w->now_ns && (!child || wake_later(w, act, x->until_ns));
    qk_act_move(act, waits ? QK_PHASE_WAITING : QK_PHASE_NEW);
    return QK_AGAIN;
}

enum qk_next qk_ending_finish(struct qk_worker *w, struct qk_act *act)
{
    const struct qk_extras *x = qk_act_extras(act);
    if (x == NULL)
        return bury(w, act, QK_GOAL_END);
    qk_services_end_scope(w, act);
    if (x->goal != QK_GOAL_RESTART || act->ender != NULL || stopping(w))
        return bury(w, act, (enum qk_goal)x->goal == QK_GOAL_STOP ? QK_GOAL_STOP : QK_GOAL_END);
    return begin_anew(w, act);
}

/* ---- activation */

enum qk_next qk_ending_activate(struct qk_worker *w, struct qk_act *act, bool anyway)
{
    if (act->batch == NULL)
        act->batch = qk_mailbox_take(&act->mailbox);
    if (act->batch == NULL && !anyway)
        return QK_GO_ON;
    if (stopping(w)) /* it never began, so it needs no hook to end */
        return bury(w, act, QK_GOAL_END);
    bool hook = act->type->begins;
    qk_act_move(act, hook ? QK_PHASE_ACTIVATING : QK_PHASE_LIVE);
    return hook ? qk_turn_hook(w, act, QK_TURN_ACTIVATE) : QK_GO_ON;
}

enum qk_next qk_ending_activated(struct qk_worker *w, struct qk_act *act, int status, const char *text, bool loading)
{
    if (status >= 0) {
        act->used = true; /* its age counts from here on, however long it has taken to begin */
        qk_act_move(act, QK_PHASE_LIVE);
        return QK_GO_ON;
    }
    char full[QK_ERROR_TEXT_MAX + 1];
    snprintf(full, sizeof(full), "%s/%s could not be activated (status %d)%s%s", act->type->desc->name, qk_act_key(act),
             status, *text != '\0' ? ": " : "", text);
    qk_count(&w->failures, 1);
    fail_waiting(w, act, QK_EACTIVATE, full);
    qk_turn_settle(w, act);
    /* Where the state could not be had, the next call tries again. */
    if ((loading && !qk_super_has_parent(w, act)) || qk_act_need_extras(act) == NULL)
        return bury(w, act, QK_GOAL_END);
    qk_ending_fail(w, act, QK_FAILURE_ACTIVATE, status, text);
    return QK_AGAIN;
}

/* ---- failures */

/* Counts a failure, and reckons how long its restart has to wait. */
static void count_failure(struct qk_worker *w, const struct qk_act *act, struct qk_extras *x)
{
    const struct qk_type *d = act->type->desc;
    int64_t window_ns = (d->restart_window_ms != 0 ? d->restart_window_ms : RESTART_WINDOW_MS) * INT64_C(1000000);
    int64_t delay_ms = d->backoff_ms != 0 ? d->backoff_ms : BACKOFF_MS;
    int64_t most_ms = d->backoff_max_ms != 0 ? d->backoff_max_ms : BACKOFF_MAX_MS;
    if (x->failures == 0 || w->now_ns - x->window_ns > window_ns) {
        x->failures = 0;
        x->window_ns = w->now_ns;
    }
    x->failures++;
    for (uint32_t i = 2; i < x->failures && delay_ms < most_ms; i++)
        delay_ms *= 2;
    x->exhausted = x->failures > (d->restart_max != 0 ? d->restart_max : RESTART_MAX);
    if (x->exhausted || delay_ms > most_ms)
        delay_ms = most_ms;
    x->until_ns = x->failures > 1 ? w->now_ns + delay_ms * 1000000 : 0;
}

void qk_ending_fail(struct qk_worker *w, struct qk_act *act, enum qk_failure_kind kind, int status, const char *text)
{
    struct qk_extras *x = qk_act_need_extras(act);
    qk_runtime_log(w->rt, QK_LOG_WARNING, act, 0, "the actor has failed: %s", text);
    if (x == NULL) { /* without memory to wait for an answer: it ends */
        act->ending = QK_DEACTIVATE_FAILED;
        qk_turn_doom_all(w, act);
        return;
    }
    qk_spin_lock(&w->rt->super_lock);
    count_failure(w, act, x);
    qk_spin_unlock(&w->rt->super_lock);
    free(x->text);
    x->text = strdup(text);
    x->kind = (uint8_t)kind;
    x->status = status;
    x->lived = kind != QK_FAILURE_ACTIVATE;
    x->asked = false;
    act->ending = 0;
    qk_act_move(act, QK_PHASE_FAILED);
    qk_turn_doom_all(w, act);
    qk_watchers_tell(w, act, QK_WATCH_FAILED);
}

static const char *reason_of(const struct qk_extras *x)
{
    return x->text != NULL && x->text[0] != '\0' ? x->text : "no reason given";
}

/* An actor without a parent begins anew by itself. */
static enum qk_next restart_root(struct qk_worker *w, struct qk_act *act, struct qk_extras *x)
{
    if (x->exhausted)
        qk_runtime_log(w->rt, QK_LOG_ERROR, act, 0, "failed %u times within its window; it rests for %lld ms: %s",
                       x->failures, (long long)((x->until_ns - w->now_ns) / 1000000), reason_of(x));
    return begin_end(w, act, QK_GOAL_RESTART, QK_DEACTIVATE_FAILED);
}

/* A child's failure that was not answered for has become its own. */
static void fail_for_child(struct qk_worker *w, struct qk_act *act)
{
    int status;
    char *text = qk_super_take_failure(w, act, &status);
    qk_ending_fail(w, act, QK_FAILURE_ESCALATED, status < 0 ? status : QK_ECRASHED, text != NULL ? text : "");
    free(text);
}

/* ---- what each phase demands */

static bool takes(struct qk_extras *x, enum qk_order order)
{
    bool there = (x->todo & (uint32_t)order) != 0;
    x->todo &= ~(uint32_t)order;
    return there;
}

static enum qk_next step_new(struct qk_worker *w, struct qk_act *act, struct qk_extras *x)
{
    bool stop = takes(x, QK_ORDER_STOP), shutdown = takes(x, QK_ORDER_SHUTDOWN), begin = takes(x, QK_ORDER_ACTIVATE);
    x->todo = 0;
    if (stop || shutdown)
        return bury(w, act, stop ? QK_GOAL_STOP : QK_GOAL_END);
    return begin ? qk_ending_activate(w, act, true) : QK_GO_ON;
}

static enum qk_next step_live(struct qk_worker *w, struct qk_act *act, struct qk_extras *x)
{
    x->lived = true;
    if (takes(x, QK_ORDER_STOP))
        return begin_end(w, act, QK_GOAL_STOP, QK_DEACTIVATE_STOPPED);
    if (takes(x, QK_ORDER_SHUTDOWN))
        return begin_end(w, act, QK_GOAL_END, QK_DEACTIVATE_SHUTDOWN);
    if (takes(x, QK_ORDER_FAIL)) {
        x->todo &= ~(uint32_t)QK_ORDER_RESTART;
        fail_for_child(w, act);
        return QK_AGAIN;
    }
    if (takes(x, QK_ORDER_RESTART)) {
        x->until_ns = 0;
        return begin_end(w, act, QK_GOAL_RESTART, QK_DEACTIVATE_RESTART);
    }
    x->todo = 0;
    return QK_GO_ON;
}

static enum qk_next step_failed(struct qk_worker *w, struct qk_act *act, struct qk_extras *x)
{
    if (takes(x, QK_ORDER_STOP))
        return begin_end(w, act, QK_GOAL_STOP, QK_DEACTIVATE_FAILED);
    if (takes(x, QK_ORDER_SHUTDOWN) || act->ender != NULL || stopping(w))
        return begin_end(w, act, QK_GOAL_END, QK_DEACTIVATE_FAILED);
    act->ending = 0;
    bool resume = takes(x, QK_ORDER_RESUME);
    if (takes(x, QK_ORDER_RESTART) || (resume && (x->kind == QK_FAILURE_ACTIVATE || qk_journal_is_spoilt(act))))
        return begin_end(w, act, QK_GOAL_RESTART, QK_DEACTIVATE_FAILED);
    if (resume) {
        x->failures--; /* what is bounded is restarts */
        qk_act_move(act, QK_PHASE_LIVE);
        qk_super_resumed(w, act);
        qk_chain_undefer(act);
        return QK_AGAIN;
    }
    x->todo &= QK_ORDER_FAIL; /* should it go on, that comes next */
    if (!x->asked && qk_super_has_parent(w, act)) {
        x->asked = true;
        if (!qk_super_ask(w, act))
            return QK_AGAIN;
        /* Its turn comes after that of the siblings that were told before it. */
        qk_turn_settle(w, act);
        qk_queue_push(w, act, false);
        return QK_LEAVE;
    }
    if (!qk_super_has_parent(w, act))
        return restart_root(w, act, x);
    return hold(w, act);
}

static enum qk_next step_stopping(struct qk_worker *w, struct qk_act *act, struct qk_extras *x)
{
    if (takes(x, QK_ORDER_STOP))
        x->goal = QK_GOAL_STOP;
    if (takes(x, QK_ORDER_SHUTDOWN) || act->ender != NULL)
        x->goal = x->goal == QK_GOAL_STOP ? QK_GOAL_STOP : QK_GOAL_END;
    x->todo = 0;
    if (qk_super_stop_last(w, act))
        return hold(w, act);
    return deactivate(w, act, x->lived);
}

/* Refuses what has come to an actor that rests after its failure. */
static void refuse_waiting(struct qk_worker *w, struct qk_act *act, const struct qk_extras *x)
{
    char text[QK_ERROR_TEXT_MAX + 1];
    long long left_ms = (x->until_ns - w->now_ns + 999999) / 1000000;
    snprintf(text, sizeof(text), "%s/%s has failed and takes calls again in %lld ms: %s", act->type->desc->name,
             qk_act_key(act), left_ms, reason_of(x));
    fail_waiting(w, act, x->kind == QK_FAILURE_ACTIVATE ? QK_EACTIVATE : QK_ECRASHED, text);
}

static enum qk_next step_waiting(struct qk_worker *w, struct qk_act *act, struct qk_extras *x)
{
    bool stop = takes(x, QK_ORDER_STOP);
    bool end = takes(x, QK_ORDER_SHUTDOWN) || act->ender != NULL || stopping(w);
    bool child = qk_super_has_parent(w, act);
    if (stop || end)
        return bury(w, act, stop ? QK_GOAL_STOP : QK_GOAL_END);
    x->todo = child ? QK_ORDER_ACTIVATE : 0;
    qk_worker_read_clock(w);
    if (w->now_ns >= x->until_ns) {
        if (act->ending == QK_DEACTIVATE_IDLE)
            return bury(w, act, QK_GOAL_END);
        qk_act_move(act, QK_PHASE_NEW);
        qk_chain_undefer(act);
        return QK_AGAIN;
    }
    act->ending = 0;
    if (child)
        return hold(w, act);
    refuse_waiting(w, act, x);
    return rest(w, act);
}

enum qk_next qk_ending_step(struct qk_worker *w, struct qk_act *act)
{
    struct qk_extras *x = qk_act_extras(act);
    enum qk_phase phase = phase_of(act);
    if (qk_unlikely(atomic_load_explicit(&x->orders, memory_order_relaxed) != 0))
        x->todo |= atomic_exchange_explicit(&x->orders, 0, memory_order_acq_rel);
    if (qk_unlikely((x->todo & QK_ORDER_ACTIVATE) != 0) && act->ending == QK_DEACTIVATE_IDLE) {
        act->ending = 0; /* it is wanted after all */
        act->used = true;
    }
    if (phase == QK_PHASE_LIVE)
        x->todo &= ~(uint32_t)(QK_ORDER_ACTIVATE | QK_ORDER_LOOK | QK_ORDER_RESUME);
    if (qk_likely(x->todo == 0 && (phase == QK_PHASE_LIVE || phase == QK_PHASE_NEW)))
        return QK_GO_ON;
    if (act->n_turns > 0) /* turns that are suspended end first, and no other begins */
        return hold(w, act);
    switch (phase) {
    case QK_PHASE_NEW:
        return step_new(w, act, x);
    case QK_PHASE_LIVE:
        return step_live(w, act, x);
    case QK_PHASE_FAILED:
        return step_failed(w, act, x);
    case QK_PHASE_STOPPING:
        return step_stopping(w, act, x);
    case QK_PHASE_WAITING:
        return step_waiting(w, act, x);
    default:
        return QK_GO_ON;
    }
}

enum qk_next qk_ending_look(struct qk_worker *w, struct qk_act *act)
{
    bool parent = qk_act_extras(act) != NULL && qk_super_has_children(w, act);
    if (act->ending == QK_DEACTIVATE_IDLE) {
        if (act->batch == NULL)
            act->batch = qk_mailbox_take(&act->mailbox);
        if (act->batch != NULL || parent) { /* it is wanted after all */
            act->ending = 0;
            return QK_GO_ON;
        }
    }
    qk_chain_undefer(act);
    struct qk_extras *x = qk_act_extras(act);
    if (x != NULL) {
        x->lived = phase_of(act) != QK_PHASE_NEW;
        return begin_end(w, act, QK_GOAL_END, (enum qk_deactivate_reason)act->ending);
    }
    return deactivate(w, act, phase_of(act) != QK_PHASE_NEW);
}
