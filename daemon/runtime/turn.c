/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A turn from start to end: taking messages from the mailbox, running handlers and hooks on fibers, copying or packing
 * the reply, and handing it on.
 *
 * A worker that holds an activation's SCHEDULED bit is here alone. The handler runs on a fiber; everything else runs on
 * the worker's own stack, unpacking and packing above all. What a worker does from one switch of stacks to the next is
 * one function, so that few returns go wrong in the processor's prediction (fiber.h): the loop stands here for that.
 */
#include "runtime/filters.h"
#include "runtime/context.h"
#include "runtime/state.h"
#include "runtime/frames.h"
#include "runtime/supervise.h"

#include <stdio.h>
#include <string.h>
#include "wire/check.h"
#include "wire/message.h"

#define ROUND_RUNS 128 /* activations and fibers in a round */

/* ---- fibers */

static void run_handler(struct qk_turn_state *t)
{
    const struct qk_type *type = t->act->type->desc;
    void *self = type->state != NULL ? t->act->body : NULL;
    switch (t->what) {
    case QK_TURN_MESSAGE:
        if (qk_unlikely(t->method->limit_ms != 0))
            qk_limit_begin(t, t->method->limit_ms);
        if (qk_likely(!qk_filters_any(t)) || !qk_filters_incoming(t))
            t->status = t->method->desc->handler(&t->pub, self, t->request, t->reply);
        break;
    case QK_TURN_ACTIVATE:
        t->status =
            t->act->type->stored && (type->flags & QK_TYPE_LAZY_STATE) == 0 ? qk_state_run(t, QK_STATE_LOAD) : 0;
        if (t->status < 0) {
            t->loading = true;
            t->fail_text = t->error_text;
        } else if (type->on_activate != NULL) {
            qk_limit_begin(t, type->limit_ms);
            t->status = type->on_activate(&t->pub, self);
        }
        break;
    case QK_TURN_DEACTIVATE:
        qk_limit_begin(t, type->limit_ms);
        type->on_deactivate(&t->pub, self, (enum qk_deactivate_reason)t->act->ending);
        t->status = 0;
        break;
    case QK_TURN_NOTICE:
        qk_limit_begin(t, type->limit_ms);
        t->status = 0;
        if (t->msg->notice->serial != 0)
            t->status = type->on_child_failure(&t->pub, self, &t->msg->notice->failure);
        else
            type->on_watched(&t->pub, self, &t->msg->notice->event);
        break;
    }
}

void qk_turn_fiber_main(void *context)
{
    struct qk_fiber *fiber = (struct qk_fiber *)context;
    qk_context_begin(&fiber->turn.worker->context);
    for (;;) {
        run_handler(&fiber->turn);
        fiber->finished = true;
        qk_context_switch(&fiber->context, &fiber->turn.worker->context);
    }
}

static void take_from_suspended(struct qk_worker *w, struct qk_fiber *fiber)
{
    fiber->suspended = false;
    if (fiber->susp_prev != NULL)
        fiber->susp_prev->susp_next = fiber->susp_next;
    else
        w->suspended = fiber->susp_next;
    if (fiber->susp_next != NULL)
        fiber->susp_next->susp_prev = fiber->susp_prev;
    qk_count(&w->n_suspended, (uint64_t)-1);
}

/* ---- leaving a stack for good */

void qk_turn_unwind(struct qk_turn_state *t, uint32_t failure, int status, const char *text)
{
    qk_services_unlock(t);
    qk_journal_unwind(t);
    t->failure = failure;
    t->status = t->fail_status = status;
    t->fail_text = text;
    t->unwound = true;
    t->fiber->finished = true;
    qk_context_leave(&t->fiber->context, &t->worker->context);
}

void qk_turn_doom_all(struct qk_worker *w, const struct qk_act *act)
{
    struct qk_fiber *next;
    for (struct qk_fiber *f = w->suspended; f != NULL; f = next) {
        next = f->susp_next;
        if (f->turn.act != act || f->turn.what != QK_TURN_MESSAGE)
            continue;
        f->turn.doomed = true;
        qk_call_interrupt(w, f, QK_ECANCELLED, "the activation has failed");
    }
}

/* ---- the end of a message */

void qk_msg_complete(struct qk_worker *w, struct qk_msg *msg)
{
    switch (msg->kind) {
    case QK_MSG_SEND:
        qk_msg_destroy(w, msg);
        break;
    case QK_MSG_TICK:
        qk_timers_complete(w, msg);
        break;
    case QK_MSG_NOTICE:
        qk_msg_destroy(w, msg);
        break;
    case QK_MSG_FRAME:
        qk_load_unqueue(w, msg);
        if (msg->one_way)
            qk_port_frame_destroy(msg->frame);
        else if (msg->frame != NULL)
            qk_frames_answer(w, msg, msg->status, msg->text, msg->status >= 0 ? msg->reply : NULL, msg->may_have_run);
        qk_msg_destroy(w, msg);
        break;
    case QK_MSG_CALL:
        if (qk_msg_mark(w, msg, QK_LIFE_REPLIED))
            qk_worker_reply(w, msg);
        else if (msg->runner == NULL || msg->told)
            qk_msg_destroy(w, msg);
        else
            msg->finished = true; /* a memo about it is on its way */
        break;
    }
}

void qk_msg_fail(struct qk_worker *w, struct qk_msg *msg, int status, const char *text)
{
    msg->status = status;
    msg->text = text;
    msg->may_have_run = false;
    if (qk_unlikely(msg->baggage != NULL) && msg->baggage->recorder != NULL)
        qk_recorder_end(w, msg->baggage, status);
    qk_msg_complete(w, msg);
}

/* The call has come back, by way of another runtime, to an activation that waits for it. */
static void refuse_return(struct qk_worker *w, struct qk_msg *msg, const struct qk_act *act)
{
    static const char why[] = "the call would wait for itself: ";
    char text[QK_ERROR_TEXT_MAX];
    memcpy(text, why, sizeof(why));
    qk_chain_describe(w->rt, msg, act, text + sizeof(why) - 1, sizeof(text) - sizeof(why) + 1);
    qk_msg_fail(w, msg, QK_EREENTRANT, qk_msg_keep_text(msg, text));
}

void qk_msg_dispatch(struct qk_worker *w, struct qk_msg *msg, const char *key, uint32_t key_len)
{
    struct qk_rt_type *type = msg->type;
    struct qk_port_frame *ack = msg->acknowledge;
    int64_t deadline_ns = msg->deadline_ns;
    struct qk_baggage *recorded = NULL;
    if (qk_unlikely(ack != NULL && msg->baggage != NULL && msg->baggage->recorder != NULL))
        recorded = qk_baggage_ref(msg->baggage);
    msg->one_way = ack != NULL; /* before others can see it; taken back if it is refused */
    enum qk_push pushed = QK_PUSH_CLOSED;
    struct qk_act *act;
    bool hopeless = false, returns = false;
    while (pushed == QK_PUSH_CLOSED) {
        act = qk_act_locate(w, type, key, key_len, true);
        if (act == NULL)
            break;
        returns = qk_unlikely(msg->chain_len != 0) && qk_chain_has(msg, act) && !qk_chain_may_return(msg, act);
        if (qk_unlikely(returns))
            break;
        hopeless = qk_load_is_hopeless(w, msg, act);
        if (qk_unlikely(hopeless))
            break;
        pushed = qk_act_push(act, msg, type->mailbox_max);
    }
    if (pushed <= QK_PUSHED_SCHEDULE) {
        if (pushed == QK_PUSHED_SCHEDULE)
            qk_worker_schedule(w, act, false);
        if (ack != NULL)
            qk_frames_acknowledge(w, ack, recorded, deadline_ns);
        return;
    }
    if (recorded != NULL)
        qk_baggage_unref(recorded);
    qk_port_frame_destroy(ack);
    msg->one_way = false;
    if (pushed == QK_PUSH_FULL)
        qk_msg_fail(w, msg, QK_EOVERLOADED, "the actor's mailbox is full");
    else if (hopeless)
        qk_msg_fail(w, msg, QK_EOVERLOADED, "more waits than can be done before the deadline of the call");
    else if (returns)
        refuse_return(w, msg, act);
    else
        qk_msg_fail(w, msg, QK_ENOMEMORY, qk_act_refusal(w));
}

/* ---- the reply */

const char *qk_msg_keep_text(struct qk_msg *msg, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = qk_arena_alloc(&msg->arena, n);
    return copy != NULL ? memcpy(copy, text, n) : "";
}

/* Packs the reply for a caller whose struct has another layout. */
static int pack_foreign_reply(struct qk_msg *msg, const ProtobufCMessage *reply)
{
    size_t size = protobuf_c_message_get_packed_size(reply);
    if (size > QK_PAYLOAD_MAX)
        return QK_ETOOBIG;
    uint8_t *bytes = qk_arena_alloc(&msg->arena, size + 1);
    if (bytes == NULL)
        return QK_ENOMEMORY;
    protobuf_c_message_pack(reply, bytes);
    msg->reply = (ProtobufCMessage *)bytes;
    msg->reply_size = (uint32_t)size;
    return 0;
}

QK_INLINE void finish_reply(struct qk_worker *w, struct qk_turn_state *t)
{
    struct qk_msg *msg = t->msg;
    msg->status = t->status;
    msg->may_have_run = true;
    if (t->status < 0) {
        bool told = t->fail_text != NULL && t->fail_status == t->status;
        const char *text = told ? t->fail_text : "";
        if (msg->kind == QK_MSG_CALL || msg->kind == QK_MSG_FRAME)
            msg->text = *text != '\0' ? qk_msg_keep_text(msg, text) : "";
    } else if (msg->kind == QK_MSG_CALL) {
        const struct qk_rt_method *m = t->method;
        int rc = 0;
        if (msg->foreign)
            rc = pack_foreign_reply(msg, t->reply);
        else if (!m->flat_reply || t->reply->n_unknown_fields != 0)
            rc = qk_message_copy(m->desc->reply, t->reply, msg->reply, &msg->arena);
        if (rc < 0) {
            msg->status = rc;
            msg->text = "the reply could not be copied: too large, too deep, or without memory";
        }
    } else if (msg->kind == QK_MSG_FRAME && !msg->one_way) {
        /* Packed at once: the reply may point at the state or into the turn's arena. */
        qk_frames_answer(w, msg, t->status, "", t->reply, true);
        msg->frame = NULL;
    }
    qk_msg_complete(w, msg);
}

/* ---- starting a turn */

static int unpack_request(struct qk_turn_state *t, const uint8_t *data, size_t size)
{
    int rc = qk_wire_unpack(t->method->desc->request, data, size, &t->arena, &t->request);
    if (rc < 0)
        return rc;
    t->reply = qk_arena_alloc(&t->arena, t->method->desc->reply->sizeof_message);
    return t->reply != NULL ? 0 : QK_ENOMEMORY;
}

/* Another layout: through bytes, on this stack. */
static int convert_request(struct qk_worker *w, struct qk_turn_state *t)
{
    size_t size = protobuf_c_message_get_packed_size(t->msg->request);
    if (size > QK_PAYLOAD_MAX)
        return QK_ETOOBIG;
    qk_arena_reset(&w->scratch);
    uint8_t *bytes = qk_arena_alloc(&w->scratch, size + 1);
    if (bytes == NULL)
        return QK_ENOMEMORY;
    protobuf_c_message_pack(t->msg->request, bytes);
    return unpack_request(t, bytes, size);
}

static int prepare_message(struct qk_worker *w, struct qk_turn_state *t)
{
    struct qk_msg *msg = t->msg;
    int rc = 0;
    if (msg->kind == QK_MSG_FRAME) {
        struct qk_port_frame *f = msg->frame;
        rc = unpack_request(t, qk_port_frame_payload(f), f->payload_len);
    } else if (msg->foreign) {
        rc = convert_request(w, t);
    } else {
        t->request = msg->request;
        t->reply = msg->reply;
        if (t->reply == NULL) { /* sent: nobody wants it */
            size_t size = t->method->desc->reply->sizeof_message;
            t->reply =
                size <= sizeof(t->unwanted) ? (ProtobufCMessage *)(void *)t->unwanted : qk_arena_alloc(&t->arena, size);
            rc = t->reply != NULL ? 0 : QK_ENOMEMORY;
        }
    }
    if (rc == 0)
        t->method->desc->reply->message_init(t->reply);
    return rc;
}

static const char *hook_name(enum qk_turn_what what, const struct qk_msg *msg)
{
    if (what == QK_TURN_NOTICE)
        return msg->notice->serial != 0 ? "on_child_failure" : "on_watched";
    return what == QK_TURN_ACTIVATE ? "on_activate" : "on_deactivate";
}

QK_INLINE struct qk_fiber *begin_turn(struct qk_worker *w, struct qk_act *act, enum qk_turn_what what,
                                      struct qk_msg *msg)
{
    struct qk_fiber *fiber = qk_fiber_get(w);
    if (fiber == NULL)
        return NULL;
    struct qk_turn_state *t = &fiber->turn;
    t->pub.host = &qk_host_table;
    t->fiber = fiber;
    t->worker = w;
    t->act = act;
    t->msg = msg;
    t->what = what;
    t->name = what == QK_TURN_MESSAGE ? msg->method->desc->name : hook_name(what, msg);
    if (qk_likely(msg != NULL)) {
        t->method = msg->method;
        t->chain_len = msg->chain_len;
        t->chain = msg->chain;
        t->deadline_ns = msg->deadline_ns;
        t->request_id = msg->request_id;
        t->baggage = msg->baggage;
    } else {
        t->method = NULL;
        t->chain_len = 0;
        t->deadline_ns = w->now_ns + (int64_t)w->rt->config.default_timeout_ms * 1000000;
        t->request_id = 0;
        t->baggage = NULL;
    }
    t->error_text = "";
    /* In the order of the struct: the compiler makes few wide stores of it. */
    t->request = t->reply = NULL;
    t->pendings = NULL;
    t->started_ns = 0;
    t->fail_text = NULL;
    t->caller_text = NULL;
    t->passes = t->before = NULL;
    t->span = 0;
    t->services = NULL;
    t->pages = NULL;
    t->creating = NULL;
    t->status = t->fail_status = 0;
    t->limit_ms = t->failure = 0;
    t->services_locked = t->filtering = t->recorded = false;
    t->suspended_once = t->watched = t->cancelled = false;
    t->doomed = t->unwound = t->loading = false;
    fiber->waits_for = NULL;
    fiber->waiter = NULL;
    fiber->state = NULL;
    fiber->offload = NULL;
    fiber->suspended = fiber->finished = fiber->asks = false;
    return fiber;
}

/* Sends what a fiber has been suspended for. */
static void send_request(struct qk_worker *w, struct qk_fiber *fiber)
{
    fiber->asks = false;
    if (fiber->state != NULL && !fiber->state->sent)
        qk_state_send(w, fiber);
    if (fiber->offload != NULL && !fiber->offload->sent)
        qk_offload_send(w, fiber);
    if (w->outgoing != NULL)
        qk_remote_send(w);
}

/* Writes down whose turn it is. */
static void take_note(struct qk_port_note *note, const struct qk_turn_state *t)
{
    static const uint32_t hooks[] = {[QK_TURN_MESSAGE] = QK_PORT_HOOK_NONE,
                                     [QK_TURN_ACTIVATE] = QK_PORT_HOOK_ACTIVATE,
                                     [QK_TURN_DEACTIVATE] = QK_PORT_HOOK_DEACTIVATE,
                                     [QK_TURN_NOTICE] = QK_PORT_HOOK_NOTICE};
    note->hook = hooks[t->what];
    note->method_id = t->what == QK_TURN_MESSAGE ? t->method->desc->id : 0;
    note->type_id = t->act->type->id;
    note->key_len = t->act->key_len;
    memcpy(note->key, qk_act_key(t->act), t->act->key_len);
    atomic_store_explicit(&note->turn, QK_PORT_TURN_RUNS, memory_order_release);
}

/* Gives the thread to the fiber until it is suspended or done: true when done. */
QK_INLINE bool enter_fiber(struct qk_worker *w, struct qk_fiber *fiber)
{
    struct qk_turn_state *t = &fiber->turn;
    atomic_store_explicit(&w->turn_act, t->act, memory_order_relaxed);
    atomic_store_explicit(&w->turn_method, t->name, memory_order_relaxed);
    qk_count(&w->turn_number, 1);
    if (qk_unlikely(t->recorded))
        qk_recorder_enter(w, t);
    if (qk_unlikely(w->note != NULL))
        take_note(w->note, t);
    w->running = fiber;
    qk_context_switch(&w->context, &fiber->context);
    w->running = NULL;
    if (qk_unlikely(w->note != NULL))
        atomic_store_explicit(&w->note->turn, QK_PORT_TURN_NONE, memory_order_relaxed);
    if (qk_unlikely(t->recorded))
        qk_recorder_ran(w, t);
    if (qk_unlikely(fiber->asks))
        send_request(w, fiber);
    atomic_store_explicit(&w->turn_act, NULL, memory_order_relaxed);
    return fiber->finished;
}

/* ---- after a turn */

QK_INLINE void end_turn(struct qk_worker *w, struct qk_fiber *fiber)
{
    struct qk_turn_state *t = &fiber->turn;
    if (qk_unlikely(t->pendings != NULL))
        qk_call_abandon_all(t);
    if (qk_unlikely(t->services != NULL))
        qk_services_end_turn(w, t);
    if (qk_unlikely(qk_baggage_has(t)))
        qk_baggage_leave(t);
    qk_arena_reset(&t->arena);
    atomic_store_explicit(&t->act->fiber, NULL, memory_order_relaxed);
    if (qk_unlikely(t->unwound))
        qk_context_renew(&fiber->context, fiber->low, fiber, qk_turn_fiber_main);
    qk_fiber_put(w, fiber);
}

QK_INLINE void count_turn(struct qk_worker *w, struct qk_turn_state *t)
{
    struct qk_type_counts *c = &w->counts[t->act->type->index];
    qk_count(&c->turns, 1);
    qk_count(&w->turns, 1);
    atomic_store_explicit(&t->act->turns, atomic_load_explicit(&t->act->turns, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    if (t->status < 0) {
        qk_count(&c->failures, 1);
        qk_count(&w->failures, 1);
    }
    if (t->started_ns != 0 && !t->suspended_once) {
        qk_worker_read_clock(w);
        qk_load_learn(t->method, w->now_ns - t->started_ns);
        qk_count(&c->samples, 1);
        qk_count(&c->turn_ns, (uint64_t)(w->now_ns - t->started_ns));
        if (t->started_ns > t->msg->sent_ns)
            qk_count(&c->wait_ns, (uint64_t)(t->started_ns - t->msg->sent_ns));
    }
}

/* The text of a turn's error, which outlives the turn. */
static void copy_text(const struct qk_turn_state *t, char ret_text[QK_ERROR_TEXT_MAX + 1])
{
    ret_text[0] = '\0';
    if (t->status < 0 && t->fail_text != NULL)
        snprintf(ret_text, QK_ERROR_TEXT_MAX + 1, "%s", t->fail_text);
}

QK_INLINE void after_message(struct qk_worker *w, struct qk_fiber *fiber)
{
    struct qk_turn_state *t = &fiber->turn;
    struct qk_act *act = t->act;
    if (qk_unlikely(t->limit_ms != 0))
        qk_limit_end(t);
    count_turn(w, t);
    if (qk_unlikely(t->pendings != NULL))
        qk_call_abandon_all(t);
    if (qk_unlikely(act->type->interleaves)) {
        qk_chain_leave(act, t->method);
        /* It may have rested since the turn began. */
        act->used = act->used || t->msg->kind != QK_MSG_TICK || qk_timers_keeps_active(t->msg);
    }
    if (qk_unlikely(t->failure != 0) && !t->doomed) /* else the activation has failed already */
        qk_ending_fail(w, act, (enum qk_failure_kind)t->failure, t->status, t->fail_text);
    if (qk_unlikely(t->recorded))
        qk_recorder_end(w, t->baggage, t->status);
    finish_reply(w, t);
    act->done++;
    end_turn(w, fiber);
}

/* A notice, or a hook of the life cycle. */
static enum qk_next after_hook(struct qk_worker *w, struct qk_fiber *fiber)
{
    struct qk_turn_state *t = &fiber->turn;
    struct qk_act *act = t->act;
    struct qk_msg *msg = t->msg;
    enum qk_turn_what what = t->what;
    char text[QK_ERROR_TEXT_MAX + 1];
    if (qk_unlikely(t->limit_ms != 0))
        qk_limit_end(t);
    int status = t->status;
    enum qk_failure_kind failure = (enum qk_failure_kind)t->failure;
    bool loading = t->loading;
    copy_text(t, text);
    end_turn(w, fiber);
    if (what == QK_TURN_ACTIVATE)
        return qk_ending_activated(w, act, status, text, loading);
    if (what == QK_TURN_DEACTIVATE) {
        if (failure != 0)
            qk_runtime_log(w->rt, QK_LOG_ERROR, act, 0, "on_deactivate has failed: %s", text);
        return qk_ending_finish(w, act);
    }
    if (failure != 0) {
        qk_super_spoil_notice(w, act, msg);
        qk_ending_fail(w, act, failure, status, text);
    } else {
        qk_super_end_notice(w, act, msg, status);
    }
    act->done++;
    qk_msg_destroy(w, msg);
    return QK_GO_ON;
}

/* What follows a finished turn. */
QK_INLINE enum qk_next after_turn(struct qk_worker *w, struct qk_fiber *fiber)
{
    if (qk_unlikely(fiber->turn.what != QK_TURN_MESSAGE))
        return after_hook(w, fiber);
    after_message(w, fiber);
    return QK_GO_ON;
}

/* ---- running an activation */

void qk_turn_settle(struct qk_worker *w, struct qk_act *act)
{
    if (act->done == 0)
        return;
    uint64_t before = qk_mailbox_finish(&act->mailbox, act->done);
    if (qk_unlikely((before & QK_MAILBOX_WAITERS) != 0))
        qk_call_wake_waiters(w, act, act->done);
    act->done = 0;
}

static const char no_stack[] = "too many turns are suspended, or no memory is left for a stack";

/* Runs a fiber and what follows. */
QK_INLINE enum qk_next run_fiber(struct qk_worker *w, struct qk_act *act, struct qk_fiber *fiber)
{
    atomic_store_explicit(&act->fiber, fiber, memory_order_relaxed);
    bool interleaves = act->type->interleaves && fiber->turn.what == QK_TURN_MESSAGE;
    if (interleaves)
        qk_chain_enter(act, fiber->turn.method);
    if (!enter_fiber(w, fiber)) {
        if (qk_unlikely(fiber->turn.started_ns != 0)) { /* what follows later is not counted */
            qk_worker_read_clock(w);
            qk_load_learn(fiber->turn.method, w->now_ns - fiber->turn.started_ns);
        }
        qk_turn_settle(w, act);
        return interleaves ? QK_GO_ON : QK_LEAVE;
    }
    return after_turn(w, fiber);
}

enum qk_next qk_turn_hook(struct qk_worker *w, struct qk_act *act, enum qk_turn_what what)
{
    struct qk_fiber *fiber = begin_turn(w, act, what, (struct qk_msg *)act->batch);
    if (fiber == NULL) {
        if (what == QK_TURN_ACTIVATE)
            return qk_ending_activated(w, act, QK_ENOMEMORY, no_stack, true);
        return qk_ending_finish(w, act);
    }
    /* Only those who wait for an activation give it their time. */
    const struct qk_msg *msg = fiber->turn.msg;
    if (what == QK_TURN_DEACTIVATE || (msg != NULL && msg->kind == QK_MSG_NOTICE))
        fiber->turn.deadline_ns = w->now_ns + (int64_t)w->rt->config.default_timeout_ms * 1000000;
    fiber->turn.msg = NULL;
    return run_fiber(w, act, fiber);
}

/* Has the activation told what a notice says. It interleaves with nothing. */
static enum qk_next run_notice(struct qk_worker *w, struct qk_act *act, struct qk_msg *msg)
{
    act->used = true;
    struct qk_fiber *fiber = NULL;
    msg->deadline_ns = w->now_ns + (int64_t)w->rt->config.default_timeout_ms * 1000000;
    if (qk_runtime_phase(w->rt) < QK_RUNTIME_STOPPING && qk_super_begin_notice(w, act, msg)) {
        fiber = begin_turn(w, act, QK_TURN_NOTICE, msg);
        if (fiber == NULL)
            qk_super_end_notice(w, act, msg, QK_DIRECTIVE_DEFAULT);
    }
    if (fiber != NULL)
        return run_fiber(w, act, fiber);
    act->done++;
    qk_msg_destroy(w, msg);
    return QK_GO_ON;
}

static enum qk_next run_message(struct qk_worker *w, struct qk_act *act, struct qk_msg *msg)
{
    if (qk_unlikely(msg->kind == QK_MSG_NOTICE))
        return run_notice(w, act, msg);
    if (qk_unlikely(msg->kind == QK_MSG_TICK)) {
        act->used = act->used || qk_timers_keeps_active(msg);
        if (!qk_timers_begin(w, msg)) {
            qk_timers_drop(w, msg);
            act->done++;
            return QK_GO_ON;
        }
    } else {
        act->used = true;
        qk_load_unqueue(w, msg);
    }
    if (qk_unlikely(msg->kind == QK_MSG_CALL &&
                    atomic_load_explicit(&msg->life, memory_order_relaxed) == QK_LIFE_ABANDONED)) {
        qk_msg_fail(w, msg, QK_ECANCELLED, "");
        act->done++;
        return QK_GO_ON;
    }
    if (qk_unlikely(msg->deadline_ns <= w->now_ns)) {
        qk_msg_fail(w, msg, QK_ETIMEDOUT, "the deadline passed while the message waited");
        act->done++;
        return QK_GO_ON;
    }
    if (qk_unlikely(qk_runtime_phase(w->rt) >= QK_RUNTIME_STOPPING)) {
        qk_msg_fail(w, msg, QK_EUNAVAILABLE, "the silo stops");
        act->done++;
        return QK_GO_ON;
    }
    struct qk_fiber *fiber = begin_turn(w, act, QK_TURN_MESSAGE, msg);
    if (fiber == NULL) {
        qk_msg_fail(w, msg, QK_ENOMEMORY, no_stack);
        act->done++;
        return QK_GO_ON;
    }
    int rc = prepare_message(w, &fiber->turn);
    if (qk_unlikely(rc < 0)) {
        qk_msg_fail(w, msg, rc,
                    rc == QK_EINVALID ? "the request is not a valid message of the method's type"
                                      : "the request is too large");
        act->done++;
        end_turn(w, fiber);
        return QK_GO_ON;
    }
    if (qk_unlikely(msg->baggage != NULL) && msg->baggage->recorder != NULL)
        qk_recorder_begin(w, &fiber->turn);
    bool slow = atomic_load_explicit(&((struct qk_rt_method *)msg->method)->mean_ns, memory_order_relaxed) != 0;
    if (qk_unlikely(++w->tick % QK_SAMPLE_EVERY == 0 || slow)) {
        qk_worker_read_clock(w);
        fiber->turn.started_ns = w->now_ns;
    }
    return run_fiber(w, act, fiber);
}

bool qk_turn_rest(struct qk_worker *w, struct qk_act *act)
{
    uint64_t before;
    uint32_t done = act->done;
    act->done = 0;
    if (qk_likely(act->used))
        atomic_store_explicit(&act->used_ms, (uint32_t)(w->now_ns / 1000000), memory_order_relaxed);
    act->used = false;
    bool rests = qk_mailbox_rest(&act->mailbox, done, &before);
    if (qk_unlikely((before & QK_MAILBOX_WAITERS) != 0))
        qk_call_wake_waiters(w, act, done != 0 ? done : 1);
    return rests;
}

/* The next message to begin a turn with; NULL when none may. */
static struct qk_msg *next_message(struct qk_act *act)
{
    if (qk_unlikely(act->type->interleaves))
        return qk_chain_next(act);
    if (act->batch == NULL)
        act->batch = qk_mailbox_take(&act->mailbox);
    struct qk_link *link = act->batch;
    if (link != NULL)
        act->batch = link->next;
    return (struct qk_msg *)link;
}

void qk_turn_run(struct qk_worker *w, struct qk_act *act)
{
    bool ran = false;
    if (act->left == 0)
        act->left = (uint8_t)w->rt->config.budget;
    for (;;) {
        enum qk_next next = QK_GO_ON;
        if (qk_unlikely(qk_act_extras(act) != NULL))
            next = qk_ending_step(w, act);
        if (next == QK_GO_ON && qk_unlikely(act->ending != 0) && act->n_turns == 0)
            next = qk_ending_look(w, act);
        bool unborn = false; /* nothing has come for it, and what comes now is taken after another look at its phase */
        if (next == QK_GO_ON && qk_unlikely(atomic_load_explicit(&act->phase, memory_order_relaxed) == QK_PHASE_NEW)) {
            next = qk_ending_activate(w, act, false);
            unborn = next == QK_GO_ON && atomic_load_explicit(&act->phase, memory_order_relaxed) == QK_PHASE_NEW;
        }
        if (qk_unlikely(next == QK_LEAVE))
            return;
        if (qk_unlikely(next == QK_AGAIN))
            continue;
        if (act->left == 0 || (ran && qk_unlikely(w->now_ns >= w->round_until_ns))) {
            qk_turn_settle(w, act);
            qk_queue_push(w, act, false);
            return;
        }
        struct qk_msg *msg = qk_unlikely(unborn) ? NULL : next_message(act);
        if (msg == NULL) {
            act->left = 0;
            if (qk_turn_rest(w, act))
                return;
            act->left = (uint8_t)w->rt->config.budget;
            continue;
        }
        act->left--;
        ran = true;
        if (run_message(w, act, msg) == QK_LEAVE)
            return;
    }
}

/* Goes on with a suspended turn. */
QK_INLINE void resume(struct qk_worker *w, struct qk_fiber *fiber)
{
    struct qk_act *act = fiber->turn.act;
    bool interleaves = act->type->interleaves && fiber->turn.what == QK_TURN_MESSAGE;
    take_from_suspended(w, fiber);
    if (!enter_fiber(w, fiber) || after_turn(w, fiber) == QK_LEAVE)
        return;
    if (qk_unlikely(interleaves)) {
        /* The activation may rest meanwhile, or be queued on this worker: then the queue's turn will see to it. */
        uint64_t before = atomic_fetch_or_explicit(&act->mailbox, QK_MAILBOX_SCHEDULED, memory_order_acq_rel);
        if ((before & QK_MAILBOX_SCHEDULED) != 0) {
            qk_turn_settle(w, act);
            return;
        }
    }
    qk_turn_run(w, act);
}

/* ---- what a worker runs */

QK_INLINE bool resume_first(struct qk_worker *w, struct qk_fiber **head)
{
    struct qk_fiber *fiber = *head;
    if (fiber == NULL)
        return false;
    *head = fiber->next;
    resume(w, fiber);
    return true;
}

/* One thing to do: a fiber to go on with or an activation to run. False when there is none. */
QK_INLINE bool run_one(struct qk_worker *w, unsigned i)
{
    struct qk_act *act = NULL;
    if (qk_unlikely(i % 16 == 15)) { /* what only ever calls one another must not keep the rest waiting */
        if (i % 32 == 31)
            act = qk_queue_pop_waiting(w);
        else if (resume_first(w, &w->yielded_head))
            return true;
    }
    if (act == NULL && resume_first(w, &w->ready_head))
        return true;
    if (act == NULL && w->next != NULL) {
        act = w->next;
        w->next = NULL;
    }
    if (act == NULL)
        act = qk_queue_pop(w);
    if (act == NULL)
        return resume_first(w, &w->yielded_head);
    qk_turn_run(w, act);
    return true;
}

unsigned qk_turn_run_round(struct qk_worker *w)
{
    unsigned runs = 0;
    while (runs < ROUND_RUNS && w->now_ns < w->round_until_ns) {
        if (runs % 16 == 0)
            qk_worker_gather(w);
        if (!run_one(w, runs))
            break;
        runs++;
    }
    return runs;
}
