/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a handler may do: call, begin, await, send and the rest of the host table. These functions run on fibers, so
 * they do not pack or unpack, and they keep no pointer to anything of the thread's across a suspension.
 *
 * A call's message has two owners, caller and callee. Each marks it when it is through with it, by one exchange; the
 * second frees it. All of the caller's side happens on the worker on which its fiber lives.
 */
#include "runtime/filters.h"
#include "runtime/context.h"
#include "runtime/state.h"
#include "runtime/frames.h"
#include "runtime/supervise.h"
#include "runtime/waits.h"

#include <stdio.h>
#include <string.h>
#include "wire/check.h"
#include "wire/message.h"

static struct qk_turn_state *state_of(qk_turn *t)
{
    return (struct qk_turn_state *)t;
}

/* ---- sending a message to an actor */

static int refuse(struct qk_turn_state *t, int status, const char *text)
{
    t->error_text = text;
    return status;
}

static int refuse_return(struct qk_turn_state *t, const struct qk_msg *msg, const struct qk_act *act)
{
    static const char why[] = "the call would wait for itself: ";
    char *text = qk_arena_alloc(&t->arena, QK_ERROR_TEXT_MAX);
    if (text == NULL)
        return refuse(t, QK_EREENTRANT, "the call would wait for itself");
    memcpy(text, why, sizeof(why));
    qk_chain_describe(t->worker->rt, msg, act, text + sizeof(why) - 1, QK_ERROR_TEXT_MAX - sizeof(why) + 1);
    return refuse(t, QK_EREENTRANT, text);
}

/* The wait for room is over, and so is what it was for, since the same moment: the room is the next one's. */
static int leave_room(struct qk_turn_state *t, struct qk_rt_type *type, struct qk_ref to)
{
    struct qk_act *act = qk_act_locate(t->worker, type, to.key, to.key_len, false);
    if (act != NULL)
        qk_call_wake_waiters(t->worker, act, 1);
    return refuse(t, QK_ECANCELLED,
                  t->doomed ? "the activation has failed" : "nobody waits for the outcome of this turn any more");
}

/* Puts the message into the actor's mailbox, waiting for room; the message stays the caller's on an error. */
QK_INLINE int post(struct qk_turn_state *t, struct qk_msg *msg, struct qk_ref to, bool called)
{
    if (qk_unlikely(msg->remote != NULL)) {
        qk_remote_post(t, msg);
        return 0;
    }
    for (;;) {
        struct qk_worker *w = t->worker;
        uint64_t hash = qk_act_hash(w, msg->type, to.key, to.key_len);
        struct qk_act *act = qk_act_cached(w, msg->type, to.key, to.key_len, hash);
        if (qk_unlikely(act == NULL))
            act = qk_act_look_up(w, msg->type, to.key, to.key_len, hash, true);
        if (qk_unlikely(act == NULL))
            return refuse(t, QK_ENOMEMORY, qk_act_refusal(w));
        if (msg->kind == QK_MSG_CALL && qk_unlikely(qk_chain_has(msg, act)) && !qk_chain_may_return(msg, act))
            return refuse_return(t, msg, act);
        msg->target = act->hash;
        enum qk_push pushed = qk_act_push(act, msg, msg->type->mailbox_max);
        if (qk_likely(pushed <= QK_PUSHED_SCHEDULE)) {
            if (pushed == QK_PUSHED_SCHEDULE)
                qk_worker_schedule(w, act, called);
            return 0;
        }
        if (pushed == QK_PUSH_CLOSED)
            continue;
        if (act == t->act)
            return refuse(t, QK_EOVERLOADED, "the actor's own mailbox is full");
        if ((msg->type->desc->flags & QK_TYPE_REFUSE_WHEN_FULL) != 0)
            return refuse(t, QK_EOVERLOADED, "the actor's mailbox is full");
        bool cancelled = t->cancelled;
        int rc = qk_room_wait(t, act, msg->deadline_ns);
        if (rc < 0)
            return rc;
        if (qk_unlikely(t->doomed || t->cancelled != cancelled))
            return leave_room(t, msg->type, to);
    }
}

/* Copies the request into the message: the struct behind it, what hangs on it into its arena. */
static int copy_request(struct qk_msg *msg, const struct qk_method *m, const ProtobufCMessage *request, void *to)
{
    const ProtobufCMessageDescriptor *desc = m->request;
    if (request == NULL || request->descriptor != desc)
        return QK_EINVALID;
    msg->request = to;
    if (qk_likely(!msg->foreign && msg->method->flat_request && request->n_unknown_fields == 0)) {
        qk_bytes_copy(to, request, desc->sizeof_message);
        return 0;
    }
    return qk_message_copy(desc, request, msg->request, &msg->arena);
}

static size_t round16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

static int refuse_unknown(struct qk_turn_state *t, const struct qk_method *m)
{
    return refuse(t, QK_ENOTFOUND,
                  qk_types_find(&t->worker->rt->types, m->type_id) == NULL
                      ? "no plugin that is loaded has this actor type"
                      : "the loaded version of this actor type has no such method");
}

/* Makes the message of a call or a send; one to another runtime is a call, whatever it is. */
QK_INLINE int make_msg(struct qk_turn_state *t, enum qk_msg_kind kind, const struct qk_method *m, struct qk_ref to,
                       const ProtobufCMessage *request, struct qk_msg **ret_msg)
{
    if (qk_unlikely(to.key == NULL || to.key_len == 0 || to.key_len > QK_KEY_MAX))
        return refuse(t, QK_EINVALID, "a key has 1 to 512 bytes");
    const struct qk_target *target = qk_types_target(t->worker, m);
    bool remote = target == NULL && qk_remote_has_type(t->worker->rt, m->type_id);
    if (qk_unlikely(target == NULL && !remote))
        return refuse_unknown(t, m);
    if (qk_unlikely(remote))
        kind = QK_MSG_CALL;
    size_t request_size = round16(m->request->sizeof_message);
    size_t reply_size = round16(kind != QK_MSG_CALL ? 0
                                : remote            ? sizeof(struct qk_remote) + to.key_len
                                                    : target->method->desc->reply->sizeof_message);
    const struct qk_act *self = t->act;
    size_t name_len = self->type->name_len;
    unsigned chain_len = kind == QK_MSG_CALL ? t->chain_len + 1u : 0;
    if (qk_unlikely(chain_len > QK_CHAIN_MAX))
        return refuse(t, QK_ETOOBIG, "the call chain is longer than 64 actors that wait for one another");
    size_t chain_size = round16(chain_len * sizeof(uint64_t));
    struct qk_msg *msg =
        qk_msg_make(t->worker, kind, request_size + reply_size + chain_size + name_len + self->key_len + 2);
    if (msg == NULL)
        return refuse(t, QK_ENOMEMORY, "out of memory");
    msg->type = remote ? NULL : target->type;
    msg->method = remote ? NULL : target->method;
    msg->called = m;
    msg->foreign = remote || target->foreign;
    uint8_t *extra = qk_msg_extra(msg);
    int rc = copy_request(msg, m, request, extra);
    if (qk_unlikely(rc < 0)) {
        qk_msg_destroy(t->worker, msg);
        return refuse(t, rc,
                      rc == QK_EINVALID ? "the request is not an initialised message of the method's type"
                                        : "the request is too large or too deep");
    }
    if (qk_unlikely(remote))
        qk_remote_address(t->worker, msg, extra + request_size, to);
    else if (kind == QK_MSG_CALL)
        msg->reply = (ProtobufCMessage *)(extra + request_size);
    if (chain_len > 0) {
        uint64_t *chain = (uint64_t *)(extra + request_size + reply_size);
        if (chain_len > 1)
            qk_bytes_copy(chain, t->chain, (chain_len - 1) * sizeof(*chain));
        chain[chain_len - 1] = self->hash;
        msg->chain = chain;
        msg->chain_len = (uint8_t)chain_len;
    }
    char *sender = (char *)extra + request_size + reply_size + chain_size;
    qk_bytes_copy(sender, self->type->desc->name, name_len);
    sender[name_len] = '/';
    qk_bytes_copy(sender + name_len + 1, qk_act_key(self), self->key_len + 1u);
    msg->sender = sender;
    if (qk_unlikely(qk_baggage_has(t)) && (rc = qk_baggage_send(t, msg, to)) < 0) {
        qk_msg_destroy(t->worker, msg);
        return refuse(t, rc, "out of memory");
    }
    msg->request_id = t->request_id;
    msg->sent_ns = t->worker->now_ns;
    *ret_msg = msg;
    return 0;
}

/* A message that is recorded did not get into its mailbox. */
static void note_refusal(struct qk_turn_state *t, const struct qk_msg *msg, int status)
{
    if (msg->baggage != NULL && msg->baggage->recorder != NULL)
        qk_recorder_end(t->worker, msg->baggage, status);
}

/* The earliest of what the caller gave, what is left to the turn, and the method's or the silo's default. */
static int64_t deadline_for(const struct qk_turn_state *t, const struct qk_method *m, int64_t timeout_ms)
{
    const struct qk_worker *w = t->worker;
    if (timeout_ms <= 0)
        timeout_ms = m->deadline_ms != 0 ? m->deadline_ms : w->rt->config.default_timeout_ms;
    int64_t deadline = timeout_ms < INT64_MAX / 2000000 ? w->now_ns + timeout_ms * 1000000 : INT64_MAX;
    return deadline < t->deadline_ns ? deadline : t->deadline_ns;
}

/* A turn that has taken too long, or whose activation has failed meanwhile, ends where it would go back to its author's
 * code. */
static int leave(struct qk_turn_state *t, int rc)
{
    if (qk_unlikely(t->doomed))
        qk_turn_unwind(t, 0, QK_ECRASHED, "another turn of the activation has failed");
    if (qk_unlikely(t->limit_ms != 0) && qk_limit_has_passed(t))
        qk_limit_unwind(t);
    return rc;
}

/* ---- calls */

static void link_pending(struct qk_turn_state *t, struct qk_pending *p)
{
    p->prev = NULL;
    p->next = t->pendings;
    if (p->next != NULL)
        p->next->prev = p;
    t->pendings = p;
}

static void unlink_pending(struct qk_turn_state *t, struct qk_pending *p)
{
    if (p->prev != NULL)
        p->prev->next = p->next;
    else
        t->pendings = p->next;
    if (p->next != NULL)
        p->next->prev = p->prev;
}

/* Sends off the message of a call, which is freed where that fails. */
QK_INLINE int launch(struct qk_turn_state *t, struct qk_msg *msg, const struct qk_method *m, struct qk_ref to,
                     int64_t timeout_ms, struct qk_pending *p, bool suspends)
{
    *p = (struct qk_pending){.msg = msg, .fiber = t->fiber, .called = m, .text = ""};
    msg->deadline_ns = deadline_for(t, m, timeout_ms);
    msg->home = t->worker;
    msg->pending = p;
    int rc = post(t, msg, to, suspends);
    if (qk_unlikely(rc < 0)) {
        note_refusal(t, msg, rc);
        qk_msg_destroy(t->worker, msg);
        return rc;
    }
    /* Whoever answers already, the reply is taken by this worker, between turns. */
    qk_wheel_start(&t->worker->wheel, &msg->deadline.timer, msg->deadline_ns / QK_TICK_NS + 1);
    link_pending(t, p);
    return 0;
}

QK_INLINE int start_call(struct qk_turn_state *t, const struct qk_method *m, struct qk_ref to, int64_t timeout_ms,
                         const ProtobufCMessage *request, struct qk_pending *p, bool suspends)
{
    struct qk_msg *msg;
    int rc = make_msg(t, QK_MSG_CALL, m, to, request, &msg);
    return qk_likely(rc == 0) ? launch(t, msg, m, to, timeout_ms, p, suspends) : rc;
}

/* Ends a pending call from the caller's side with `status`, when its reply has not come. */
static void end_pending(struct qk_worker *w, struct qk_pending *p, int status, const char *text)
{
    struct qk_msg *msg = p->msg;
    qk_wheel_cancel(&w->wheel, &msg->deadline.timer);
    msg->pending = NULL;
    if (qk_unlikely(msg->remote != NULL))
        qk_remote_cancel(w, msg);
    /* If the reply is already on its way, this worker frees it when it comes: see qk_call_arrived(). */
    qk_cancel_abandon(w, msg);
    p->msg = NULL;
    p->status = status;
    p->text = text;
    p->may_have_run = true;
    p->done = true;
    if (p->fiber->waits_for == p)
        qk_waits_over(p->fiber);
}

QK_INLINE int finish_call(struct qk_turn_state *t, struct qk_pending *p, ProtobufCMessage *ret_reply)
{
    unlink_pending(t, p);
    int status = p->status;
    struct qk_msg *msg = p->msg;
    if (msg == NULL) {
        t->error_text = p->text;
        return status;
    }
    p->msg = NULL;
    /* Of a foreign reply only the bytes are there, which nobody needs any more. */
    if (qk_unlikely(msg->arena.chunks != NULL) && !(msg->foreign && status >= 0))
        qk_arena_adopt(&t->arena, &msg->arena);
    if (status >= 0 && ret_reply != NULL) {
        const ProtobufCMessageDescriptor *desc = p->called->reply;
        qk_bytes_copy(ret_reply, p->reply != NULL ? p->reply : msg->reply, desc->sizeof_message);
        ret_reply->descriptor = desc;
    } else if (status < 0) {
        t->error_text = *p->text != '\0' ? p->text : "";
    }
    qk_msg_destroy(t->worker, msg);
    return status;
}

QK_INLINE void wait_for_reply(struct qk_turn_state *t, struct qk_pending *p)
{
    if (qk_unlikely(p->done))
        return;
    t->fiber->waits_for = p;
    qk_waits_begin(t);
    if (qk_unlikely(qk_cancel_watch(t)))
        end_pending(t->worker, p, QK_ECANCELLED, "the caller of this turn no longer waits");
    while (!p->done)
        qk_turn_suspend(t->fiber);
    qk_waits_end(t);
    t->fiber->waits_for = NULL;
}

static int host_call(qk_turn *turn, const struct qk_method *m, struct qk_ref to, int64_t timeout_ms,
                     const ProtobufCMessage *request, ProtobufCMessage *ret_reply)
{
    struct qk_turn_state *t = state_of(turn);
    struct qk_pending p;
    int rc;
    if (qk_unlikely(qk_filters_any(t)) &&
        qk_filters_outgoing(t, &(struct qk_outgoing){QK_FILTERED_CALL, m, to, timeout_ms, request, ret_reply, NULL},
                            &rc))
        return rc;
    rc = start_call(t, m, to, timeout_ms, request, &p, true);
    if (qk_unlikely(rc < 0))
        return leave(t, rc);
    wait_for_reply(t, &p);
    return leave(t, finish_call(t, &p, ret_reply));
}

static int host_begin(qk_turn *turn, const struct qk_method *m, struct qk_ref to, int64_t timeout_ms,
                      const ProtobufCMessage *request, struct qk_pending **ret_pending)
{
    struct qk_turn_state *t = state_of(turn);
    int rc;
    if (qk_unlikely(qk_filters_any(t)) &&
        qk_filters_outgoing(t, &(struct qk_outgoing){QK_FILTERED_BEGIN, m, to, timeout_ms, request, NULL, ret_pending},
                            &rc))
        return rc;
    struct qk_pending *p = qk_arena_alloc(&t->arena, sizeof(*p));
    if (p == NULL)
        return refuse(t, QK_ENOMEMORY, "the turn's arena is full");
    rc = start_call(t, m, to, timeout_ms, request, p, false);
    if (rc == 0)
        *ret_pending = p;
    return leave(t, rc);
}

static int host_await(qk_turn *turn, struct qk_pending *p, ProtobufCMessage *ret_reply)
{
    struct qk_turn_state *t = state_of(turn);
    if (p == NULL || p->fiber != t->fiber)
        return refuse(t, QK_EINVALID, "that is no pending call of this turn");
    wait_for_reply(t, p);
    int rc = finish_call(t, p, ret_reply);
    p->fiber = NULL; /* awaited once */
    return leave(t, rc);
}

/* Nobody waits for the turn that a send causes, so that has a deadline of its own. */
static int64_t send_deadline(const struct qk_turn_state *t, const struct qk_method *m)
{
    int64_t timeout_ms = m->deadline_ms != 0 ? m->deadline_ms : t->worker->rt->config.default_timeout_ms;
    return t->worker->now_ns + timeout_ms * 1000000;
}

/* Sends to an actor that another runtime has: waits until it is in the mailbox there, or refused. */
static int send_away(struct qk_turn_state *t, struct qk_msg *msg, struct qk_ref to)
{
    struct qk_pending p;
    msg->remote->one_way = true;
    msg->remote->deadline_ns = send_deadline(t, msg->called);
    int rc = launch(t, msg, msg->called, to, 0, &p, true);
    if (rc < 0)
        return rc;
    wait_for_reply(t, &p);
    return finish_call(t, &p, NULL);
}

static int host_send(qk_turn *turn, const struct qk_method *m, struct qk_ref to, const ProtobufCMessage *request)
{
    struct qk_turn_state *t = state_of(turn);
    struct qk_msg *msg;
    int rc;
    if (qk_unlikely(qk_filters_any(t)) &&
        qk_filters_outgoing(t, &(struct qk_outgoing){QK_FILTERED_SEND, m, to, 0, request, NULL, NULL}, &rc))
        return rc;
    rc = make_msg(t, QK_MSG_SEND, m, to, request, &msg);
    if (qk_unlikely(rc < 0))
        return rc;
    if (qk_unlikely(msg->remote != NULL))
        return leave(t, send_away(t, msg, to));
    msg->deadline_ns = send_deadline(t, m);
    rc = post(t, msg, to, false);
    if (qk_unlikely(rc < 0)) {
        note_refusal(t, msg, rc);
        qk_msg_destroy(t->worker, msg);
    }
    return leave(t, rc);
}

void qk_call_abandon_all(struct qk_turn_state *t)
{
    while (t->pendings != NULL) {
        struct qk_pending *p = t->pendings;
        unlink_pending(t, p);
        struct qk_msg *msg = p->msg;
        if (msg == NULL)
            continue;
        if (p->done)
            qk_msg_destroy(t->worker, msg);
        else
            end_pending(t->worker, p, QK_ECANCELLED, "");
    }
}

/* ---- events on the caller's worker */

/* A foreign reply: unpacked into the turn's arena in the caller's layout. On the worker's stack. */
static void unpack_foreign(struct qk_msg *msg, struct qk_pending *p)
{
    struct qk_turn_state *t = &p->fiber->turn;
    ProtobufCMessage *reply = NULL;
    int rc = qk_wire_unpack(p->called->reply, (const uint8_t *)msg->reply, msg->reply_size, &t->arena, &reply);
    if (rc < 0) {
        p->status = rc;
        p->text = "the reply is of another version of the message";
    } else {
        p->reply = reply;
    }
}

void qk_call_arrived(struct qk_worker *w, struct qk_msg *msg)
{
    struct qk_pending *p = msg->pending;
    if (p == NULL) { /* the caller has let go */
        qk_msg_destroy(w, msg);
        return;
    }
    qk_wheel_cancel(&w->wheel, &msg->deadline.timer);
    p->status = msg->status;
    p->text = msg->text;
    p->may_have_run = msg->may_have_run;
    p->done = true;
    if (qk_unlikely(msg->foreign && msg->status >= 0))
        unpack_foreign(msg, p);
    if (p->fiber->waits_for == p)
        qk_worker_ready(w, p->fiber);
}

void qk_call_expired(struct qk_worker *w, struct qk_deadline *deadline)
{
    if (deadline->kind == QK_DEADLINE_ROOM) {
        qk_room_end_wait(w, (struct qk_waiter *)((uint8_t *)deadline - offsetof(struct qk_waiter, deadline)),
                         QK_ETIMEDOUT);
        return;
    }
    struct qk_msg *msg = (struct qk_msg *)((uint8_t *)deadline - offsetof(struct qk_msg, deadline));
    struct qk_pending *p = msg->pending;
    end_pending(w, p, QK_ETIMEDOUT, "the deadline passed before the reply came");
    if (p->fiber->waits_for == p)
        qk_worker_ready(w, p->fiber);
}

bool qk_call_interrupt(struct qk_worker *w, struct qk_fiber *fiber, int status, const char *text)
{
    if (fiber->waiter != NULL) {
        fiber->waiter->text = text;
        return qk_room_end_wait(w, fiber->waiter, status);
    }
    if (fiber->waits_for == NULL || fiber->waits_for->done)
        return false;
    end_pending(w, fiber->waits_for, status, text);
    qk_worker_ready(w, fiber);
    return true;
}

/* ---- the rest of the host table */

static void *host_alloc(qk_turn *turn, size_t size)
{
    void *p = qk_arena_alloc(&state_of(turn)->arena, size);
    return p != NULL ? memset(p, 0, size) : NULL;
}

static int host_vfail(qk_turn *turn, int status, const char *format, va_list args)
{
    struct qk_turn_state *t = state_of(turn);
    char *text = qk_arena_alloc(&t->arena, QK_ERROR_TEXT_MAX + 1);
    if (text != NULL)
        vsnprintf(text, QK_ERROR_TEXT_MAX + 1, format, args);
    t->fail_text = text;
    t->fail_status = status;
    return status;
}

static const char *host_error(qk_turn *turn)
{
    return state_of(turn)->error_text;
}

static struct qk_ref host_self(qk_turn *turn)
{
    const struct qk_act *act = state_of(turn)->act;
    return (struct qk_ref){qk_act_key(act), act->key_len};
}

static const char *host_caller(qk_turn *turn)
{
    const struct qk_msg *msg = state_of(turn)->msg;
    return msg != NULL ? msg->sender : "";
}

static int64_t host_now_ms(qk_turn *turn)
{
    const struct qk_runtime_config *config = &state_of(turn)->worker->rt->config;
    return config->wall_ms(config->clock_arg);
}

static int64_t host_remaining_ms(qk_turn *turn)
{
    const struct qk_turn_state *t = state_of(turn);
    const struct qk_runtime_config *config = &t->worker->rt->config;
    int64_t left = t->deadline_ns - config->now_ns(config->clock_arg);
    return left > 0 ? left / 1000000 : 0;
}

static int host_cancelled(qk_turn *turn)
{
    struct qk_turn_state *t = state_of(turn);
    const struct qk_runtime_config *config = &t->worker->rt->config;
    const struct qk_msg *msg = t->msg;
    qk_worker_take_memos(t->worker);
    if (msg != NULL && msg->kind == QK_MSG_CALL &&
        atomic_load_explicit(&((struct qk_msg *)msg)->life, memory_order_relaxed) == QK_LIFE_ABANDONED)
        t->cancelled = true;
    return t->cancelled || config->now_ns(config->clock_arg) >= t->deadline_ns ||
           (t->limit_ms != 0 && qk_limit_has_passed(t));
}

static int host_timer_start(qk_turn *turn, const struct qk_method *m, int64_t due_ms, int64_t period_ms, uint32_t flags,
                            const ProtobufCMessage *request, uint64_t *ret_id)
{
    const char *why;
    int rc = qk_timers_start(state_of(turn), m, due_ms, period_ms, flags, request, ret_id, &why);
    return rc < 0 ? refuse(state_of(turn), rc, why) : 0;
}

static int host_timer_cancel(qk_turn *turn, uint64_t id)
{
    return qk_timers_cancel(state_of(turn), id);
}

static int host_state(qk_turn *turn, uint32_t operation)
{
    return leave(state_of(turn), qk_state_run(state_of(turn), operation));
}

static int host_append(qk_turn *turn, const ProtobufCMessage *events, uint32_t n_events)
{
    return leave(state_of(turn), qk_journal_append(state_of(turn), events, n_events));
}

static uint64_t host_position(qk_turn *turn)
{
    return qk_journal_position(state_of(turn));
}

static int host_replay(qk_turn *turn, uint64_t from, qk_event_fn fn, void *arg)
{
    return leave(state_of(turn), qk_journal_replay(state_of(turn), from, fn, arg));
}

static int host_offload(qk_turn *turn, void (*fn)(void *arg), void *arg)
{
    return leave(state_of(turn), qk_offload_run(state_of(turn), fn, arg));
}

static uint64_t host_request_id(qk_turn *turn)
{
    return state_of(turn)->request_id;
}

static int host_next(qk_turn *turn, struct qk_filtered *filtered)
{
    return qk_filters_next(state_of(turn), filtered);
}

static const char *host_context(qk_turn *turn, const char *name)
{
    return qk_baggage_get(state_of(turn), name);
}

static int host_set_context(qk_turn *turn, const char *name, const char *value)
{
    const char *why;
    int rc = qk_baggage_set(state_of(turn), name, value, &why);
    return rc < 0 ? refuse(state_of(turn), rc, why) : 0;
}

static void **host_local(qk_turn *turn)
{
    return &state_of(turn)->act->local;
}

static void host_deactivate(qk_turn *turn)
{
    struct qk_turn_state *t = state_of(turn);
    if (t->what == QK_TURN_MESSAGE)
        t->act->ending = QK_DEACTIVATE_REQUESTED;
}

static int host_yield(qk_turn *turn)
{
    struct qk_turn_state *t = state_of(turn);
    if (qk_runtime_phase(t->worker->rt) >= QK_RUNTIME_STOPPING)
        return QK_ECANCELLED;
    qk_worker_yield(t->worker, t->fiber);
    qk_turn_suspend(t->fiber);
    return leave(t, 0);
}

static void host_vpanic(qk_turn *turn, const char *format, va_list args)
{
    struct qk_turn_state *t = state_of(turn);
    char *text = qk_arena_alloc(&t->arena, QK_ERROR_TEXT_MAX + 1);
    if (text != NULL)
        vsnprintf(text, QK_ERROR_TEXT_MAX + 1, format, args);
    qk_turn_unwind(t, QK_FAILURE_PANIC, QK_ECRASHED, text != NULL ? text : "");
}

static int host_spawn(qk_turn *turn, uint64_t type_id, struct qk_ref child)
{
    const char *why;
    int rc = qk_super_spawn(state_of(turn), type_id, child, &why);
    return rc < 0 ? refuse(state_of(turn), rc, why) : 0;
}

static int host_stop_child(qk_turn *turn, uint64_t type_id, struct qk_ref child)
{
    int rc = qk_super_stop_child(state_of(turn), type_id, child);
    return rc < 0 ? refuse(state_of(turn), rc, "that is no child of this activation") : 0;
}

static int host_children(qk_turn *turn, struct qk_child **ret_children)
{
    int rc = qk_super_children(state_of(turn), ret_children);
    return rc < 0 ? refuse(state_of(turn), rc, "the turn's arena is full") : rc;
}

static int host_watch(qk_turn *turn, uint64_t type_id, struct qk_ref who)
{
    const char *why;
    int rc = qk_super_watch(state_of(turn), type_id, who, &why);
    return rc < 0 ? refuse(state_of(turn), rc, why) : 0;
}

static int host_unwatch(qk_turn *turn, uint64_t type_id, struct qk_ref who)
{
    int rc = qk_super_unwatch(state_of(turn), type_id, who);
    return rc < 0 ? refuse(state_of(turn), rc, "this actor does not watch it") : 0;
}

static void host_vlog(qk_turn *turn, enum qk_log_level level, const char *format, va_list args)
{
    struct qk_turn_state *t = state_of(turn);
    const struct qk_runtime_config *config = &t->worker->rt->config;
    if (config->log == NULL)
        return;
    /* Too large for the stack of a turn; and in the arena every line would stay until the turn ends. */
    struct qk_worker *w = t->worker;
    vsnprintf(w->log_text, sizeof(w->log_text), format, args);
    config->log(config->log_arg, level, t->act->type->desc->name, qk_act_key(t->act), t->request_id, w->log_text);
}

static int host_service(qk_turn *turn, const struct qk_service *service, void **ret_instance)
{
    return qk_services_get(state_of(turn), service, ret_instance);
}

const struct qk_host qk_host_table = {
    .abi = QK_ABI_HEAD(struct qk_host),
    .call = host_call,
    .begin = host_begin,
    .await = host_await,
    .send = host_send,
    .alloc = host_alloc,
    .vfail = host_vfail,
    .error = host_error,
    .self = host_self,
    .caller = host_caller,
    .now_ms = host_now_ms,
    .remaining_ms = host_remaining_ms,
    .request_id = host_request_id,
    .local = host_local,
    .deactivate = host_deactivate,
    .yield = host_yield,
    .vlog = host_vlog,
    .cancelled = host_cancelled,
    .timer_start = host_timer_start,
    .timer_cancel = host_timer_cancel,
    .state = host_state,
    .offload = host_offload,
    .context = host_context,
    .set_context = host_set_context,
    .vpanic = host_vpanic,
    .spawn = host_spawn,
    .stop_child = host_stop_child,
    .children = host_children,
    .watch = host_watch,
    .unwatch = host_unwatch,
    .service = host_service,
    .next = host_next,
    .append = host_append,
    .position = host_position,
    .replay = host_replay,
};
