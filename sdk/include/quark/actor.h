/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What an actor's handler may do. Generated code includes this file.
 *
 * Every function here is called with the turn that the handler was given, on the thread that runs it, and not after
 * the handler has returned. Functions marked "suspends" put the turn's fiber to sleep and free the thread; no other
 * turn of the same activation runs meanwhile. Keep no pointer to a thread-local variable across such a call.
 */
#ifndef QUARK_ACTOR_H
#define QUARK_ACTOR_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <quark/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* the function and the struct of one name are meant */
#endif

/** Reference to the actor with the key `key`, a C string that stays the caller's. */
static inline struct qk_ref qk_ref(const char *key)
{
    struct qk_ref r;
    r.key = key;
    r.key_len = key != NULL ? (uint32_t)strlen(key) : 0;
    return r;
}

#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/** Reference to the actor whose key is `len` bytes at `key`. */
static inline struct qk_ref qk_ref_bytes(const char *key, size_t len)
{
    struct qk_ref r;
    r.key = key;
    r.key_len = len > UINT32_MAX ? UINT32_MAX : (uint32_t)len;
    return r;
}

/** Memory from the turn's arena, `size` bytes, zeroed, aligned for any type. It goes when the turn ends; never free
 *  it. NULL when the turn has used QK_TURN_ARENA_MAX. */
static inline void *qk_alloc(qk_turn *t, size_t size)
{
    return t->host->alloc(t, size);
}

/** A copy of the C string `s` in the turn's arena; NULL as qk_alloc(). */
static inline char *qk_strdup(qk_turn *t, const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = (char *)t->host->alloc(t, n);
    return copy != NULL ? (char *)memcpy(copy, s, n) : NULL;
}

/**
 * Puts a copy of `value` (NULL: "") into a string member of the state and frees what was there.
 *
 * Members of the state belong to the activation and are made with malloc; an empty string is a constant that must not
 * be freed, which this function knows. Returns 0, or -ENOMEM with the member as it was. Any thread.
 */
static inline int qk_set_string(char **member, const char *value)
{
    size_t n = value != NULL ? strlen(value) + 1 : 1;
    char *copy = (char *)malloc(n);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, value != NULL ? value : "", n);
    if (*member != (char *)protobuf_c_empty_string)
        free(*member);
    *member = copy;
    return 0;
}

/** Sets the message that travels with the error `status` and returns `status`: `return qk_fail(t, QK_APP(1), ...)`.
 *  The text is cut at QK_ERROR_TEXT_MAX bytes. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline int
qk_fail(qk_turn *t, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    status = t->host->vfail(t, status, format, args);
    va_end(args);
    return status;
}

/** The message that came with the last call of this turn that failed; "" when none did. Valid until the next call. */
static inline const char *qk_error(qk_turn *t)
{
    return t->host->error(t);
}

/** The actor's own key. Valid until the turn ends; followed by a zero byte. */
static inline struct qk_ref qk_self(qk_turn *t)
{
    return t->host->self(t);
}

/** Who sent this message: "type/key" of an actor, "client" for a call from outside. Valid until the turn ends. */
static inline const char *qk_caller(qk_turn *t)
{
    return t->host->caller(t);
}

/** Wall-clock time of the host in milliseconds since 1970, as a test may have set it. */
static inline int64_t qk_now_ms(qk_turn *t)
{
    return t->host->now_ms(t);
}

/** Milliseconds until the deadline of this turn's message; 0 when it has passed. */
static inline int64_t qk_remaining_ms(qk_turn *t)
{
    return t->host->remaining_ms(t);
}

/** Whether nobody wants the outcome of this turn any more: its caller has given up, its client has gone, or its
 * deadline has passed. A call that the turn waits in then ends with QK_ECANCELLED at once; what it sends one way still
 * arrives, so a handler can put right what it has begun. A long turn that never suspends asks now and then. */
static inline bool qk_cancelled(qk_turn *t)
{
    return t->host->cancelled(t) != 0;
}

/** Id of the outermost request that this turn works for; the same in every call made on its way. */
static inline uint64_t qk_request_id(qk_turn *t)
{
    return t->host->request_id(t);
}

/**
 * An entry of the context that this turn works in, NULL when there is none: what a client or a caller has set, and what
 * this turn has set itself. It travels with every call, send and timer that is made on the way. Valid until the turn
 * sets another entry or ends. The names `correlation-id`, `tracestate` and `traceparent` mean what they do elsewhere;
 * of the last see qk_traceparent().
 */
static inline const char *qk_context(qk_turn *t, const char *name)
{
    return t->host->context(t, name);
}

/**
 * Sets an entry of the context for the calls, sends and timers that this turn makes from here on; `value` NULL takes it
 * out. Whoever called this turn does not see it.
 *
 * @param name 1 to 64 of a-z, 0-9, '-', '_' and '.'
 * @param value UTF-8 without control characters; of `traceparent` one as W3C Trace Context has it
 * @return 0; QK_EINVALID, QK_ETOOBIG (more than 32 entries, or 4,096 bytes of names and values), QK_ENOMEMORY; text in
 *         qk_error(), and the context as it was
 */
static inline int qk_set_context(qk_turn *t, const char *name, const char *value)
{
    return t->host->set_context(t, name, value);
}

/** This turn as a span of its trace, to be the parent of others: 00-<trace>-<span>-<flags>; NULL when the request is
 *  not traced. Valid until the turn ends. */
static inline const char *qk_traceparent(qk_turn *t)
{
    return t->host->context(t, "traceparent");
}

/** The correlation id that came with the request; NULL when it has none. */
static inline const char *qk_correlation_id(qk_turn *t)
{
    return t->host->context(t, "correlation-id");
}

/**
 * Defines a call filter, once, in a .c file: `.incoming`, `.outgoing` or both, functions as QK_FILTER_DEFINE(tenant,
 * .incoming = check_tenant). A type that names it in its .proto, option (quark.actor) = { filters: "tenant" }, has its
 * turns and calls filtered; a plugin that is generated with --quark_opt=filter=tenant those of the whole silo. Without
 * the generator it is `tenant_filter` in the list of a struct qk_type or qk_plugin.
 */
#define QK_FILTER_DEFINE(name_, ...) \
    const struct qk_filter name_##_filter = {.abi = QK_ABI_HEAD(struct qk_filter), .name = #name_, __VA_ARGS__}

/**
 * In a filter: goes on with the next filter, and at last with the handler or the call; once. A filter may look at the
 * request before and at the reply after; may refuse with a status less than 0 (qk_fail() gives it a text) without going
 * on; and may turn success into an error. What an outgoing filter sets in the context is for that call only, and the
 * calls that it makes itself are not filtered.
 *
 * @return 0 or more as the handler returned, or the error; QK_ESTATE the second time
 */
static inline int qk_next(qk_turn *t, struct qk_filtered *f)
{
    return t->host->next(t, f);
}

/** A pointer of the author's own for each activation, NULL at first; what it points to is released in on_deactivate. */
static inline void **qk_local(qk_turn *t)
{
    return t->host->local(t);
}

/**
 * Suspends: loads, saves or clears the stored state of this activation, which is the message `self` of its handlers.
 * Generated functions (`account_save`) wrap it. An operation under way is neither cut short by the deadline of the turn
 * nor by its caller's giving up.
 *
 * QK_STATE_SAVE returns 0 once the state is durable. Each save, load and clear leaves the version with the activation,
 * and a save or clear fails with QK_ECONFLICT, changing nothing, when the stored version is another: then somebody else
 * has written, and a load brings what he wrote. QK_STATE_LOAD replaces the members of `self`; where nothing is stored
 * they are as in a new activation, which is also what QK_STATE_CLEAR leaves. Where the type has a journal the state is
 * loaded with all events that are behind it, and neither saved nor cleared: see qk_append().
 *
 * @return 0; QK_ECONFLICT, QK_EUNAVAILABLE (the provider can't be reached), QK_ETOOBIG (more than 4 MiB),
 *         QK_EINVALID (the type has no `store`, or the stored bytes are no message of its state's type), QK_ENOMEMORY,
 *         -ENOSPC and other errors of the provider's; text in qk_error()
 */
static inline int qk_state(qk_turn *t, enum qk_state_operation operation)
{
    return t->host->state(t, (uint32_t)operation);
}

/**
 * Suspends: adds events to the journal of this activation, all or none, and then has the type's `apply` fold them into
 * the state. Generated functions (`ledger_append`) wrap it with the type of the events.
 *
 * They are added behind the last event that this activation knows, qk_position(): QK_ECONFLICT says that somebody else
 * has written meanwhile, or another turn of this activation where they interleave. 0 says that they are durable and in
 * the state. Whatever else comes back, neither journal nor state have changed, but for -EIO: then the events may turn
 * out to be there. After an error of which a handler knows no better, qk_deactivate() has the next message find what is
 * stored; qk_state() with QK_STATE_LOAD brings it at once.
 *
 * Now and then, as the type's `snapshot_every` says, the state is stored too. That it could not be is only logged: the
 * events alone are the truth. Where `apply` fails for an event that has just been stored, the activation fails as in
 * qk_panic(), and does not come back here.
 *
 * @param events the first of an array of `n_events` messages of the type's event; stay the caller's
 * @param n_events 1 to QK_EVENTS_MAX
 * @return 0; QK_ECONFLICT; QK_ETOOBIG (more than 4 MiB together), QK_EINVALID (the type has no journal, a message is of
 *         another type or could not be read again: text that is not UTF-8, too deep), QK_ESTATE (the state has not been
 *         loaded yet, of a type that does so lazily), and as qk_state(); text in qk_error()
 */
static inline int qk_append(qk_turn *t, const ProtobufCMessage *events, uint32_t n_events)
{
    return t->host->append(t, events, n_events);
}

/** Position in the journal of the last event that is in the state: 0 before the first, or while it is not loaded. */
static inline uint64_t qk_position(qk_turn *t)
{
    return t->host->position(t);
}

/**
 * Suspends: reads the journal of this activation from position `from` (0 and 1: from its beginning) to its end, event
 * by event, with the state as it is. It takes memory for a page of events at a time, however many there are. `fn` runs
 * in the turn and may do what a handler may.
 *
 * @return 0; what `fn` returned where that was not 0; QK_EINVALID (the type has no journal, or an event is damaged),
 *         -EBADMSG (events are missing), QK_ECANCELLED (the silo stops) and as qk_state(); text in qk_error()
 */
static inline int qk_replay(qk_turn *t, uint64_t from, qk_event_fn fn, void *arg)
{
    return t->host->replay(t, from, fn, arg);
}

/**
 * Starts a timer of this activation: when it is due the method `m` of the activation's own type is called with a copy
 * of `request`, as a turn of its own; nobody gets its reply. The first tick comes `due_ms` from now, never early, then
 * one each `period_ms` (0: only the first). Now is when the turn last got its thread: what it has computed since then
 * is part of the time. A tick waits for the turn that runs, and a timer whose tick still waits or
 * runs does not tick again; beats missed meanwhile are left out. However long a tick has waited, its deadline counts
 * from the beginning of its turn. Timers end with the activation.
 *
 * @param flags enum qk_timer_flags
 * @param ret_id NULL where not wanted; for qk_timer_cancel(), in any turn of this activation
 * @return 0; QK_EINVALID (another type's method, a negative time), QK_EOVERLOADED (16,384 timers), QK_ESTATE (in
 *         on_deactivate), QK_ENOMEMORY, QK_ETOOBIG; text in qk_error()
 */
static inline int qk_timer_start(qk_turn *t, const struct qk_method *m, int64_t due_ms, int64_t period_ms,
                                 uint32_t flags, const ProtobufCMessage *request, uint64_t *ret_id)
{
    return t->host->timer_start(t, m, due_ms, period_ms, flags, request, ret_id);
}

/** Ends a timer; a tick that waits in the mailbox is dropped. 0, or QK_ENOTFOUND when it is over. */
static inline int qk_timer_cancel(qk_turn *t, uint64_t id)
{
    return t->host->timer_cancel(t, id);
}

/** Asks that the activation end after this turn (messages that wait activate it anew). */
static inline void qk_deactivate(qk_turn *t)
{
    t->host->deactivate(t);
}

/** Suspends: lets other activations of the thread run before the handler goes on. 0, or QK_ECANCELLED when the silo
 *  stops. */
static inline int qk_yield(qk_turn *t)
{
    return t->host->yield(t);
}

/** Writes to the host's log with the actor's name and the request id. The text is cut at QK_LOG_TEXT_MAX bytes. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline void
qk_log(qk_turn *t, enum qk_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    t->host->vlog(t, level, format, args);
    va_end(args);
}

/**
 * Suspends until the reply of a call comes. Generated proxies (`counter_add_call`) wrap it with the right types.
 *
 * @param m the method; static data of the caller's plugin
 * @param to the actor; its bytes may go once the function returns
 * @param timeout_ms how long to wait, from when the turn last got its thread; 0: what is left of the turn's deadline or
 * the method's default, the shorter
 * @param request stays the caller's; copied
 * @param ret_reply written on success only; its strings and sub-messages lie in the turn's arena. NULL: not wanted
 * @return 0 or more as the handler returned; QK_ETIMEDOUT, QK_ENOTFOUND, QK_EOVERLOADED, QK_EUNAVAILABLE, QK_EINVALID,
 *         QK_ETOOBIG, QK_EACTIVATE, QK_ENOMEMORY or what the handler failed with; text in qk_error()
 */
static inline int qk_call(qk_turn *t, const struct qk_method *m, struct qk_ref to, int64_t timeout_ms,
                          const ProtobufCMessage *request, ProtobufCMessage *ret_reply)
{
    return t->host->call(t, m, to, timeout_ms, request, ret_reply);
}

/** Starts a call without waiting for its reply (it suspends only while the callee's mailbox is full). The pending call
 *  belongs to the turn: qk_await() ends it, or the turn's end abandons it. Parameters and errors as qk_call(). */
static inline int qk_begin(qk_turn *t, const struct qk_method *m, struct qk_ref to, int64_t timeout_ms,
                           const ProtobufCMessage *request, struct qk_pending **ret_pending)
{
    return t->host->begin(t, m, to, timeout_ms, request, ret_pending);
}

/** Suspends until the reply of a begun call comes; ends the pending call in every case. Returns as qk_call(). */
static inline int qk_await(qk_turn *t, struct qk_pending *pending, ProtobufCMessage *ret_reply)
{
    return t->host->await(t, pending, ret_reply);
}

/** Sends a message that nobody answers. 0: the message is in the mailbox (suspends while that is full); else as
 *  qk_call(). Messages of one sender to one actor arrive in the order they were sent. */
static inline int qk_send(qk_turn *t, const struct qk_method *m, struct qk_ref to, const ProtobufCMessage *request)
{
    return t->host->send(t, m, to, request);
}

/**
 * Suspends while fn(arg) runs on a thread that may block: for a library without another way than to wait, a slow file,
 * a long computation. `fn` gets no turn and must not use one; what it needs and what comes of it lies behind `arg`,
 * which may be on the handler's stack or in the turn's arena, since the handler goes on only when `fn` has returned.
 * The state of the activation is safe to use there too: none of its turns runs meanwhile, unless the type lets turns
 * interleave.
 *
 * A function that runs is never cut short: neither the deadline of the turn nor its caller's giving up ends it, so give
 * what it waits for a time limit of its own (qk_remaining_ms() before the call says how much is left). A silo that
 * stops waits for it as for a turn, at most for the drain time.
 *
 * At most `runtime.offload_threads` functions run at a time, and `runtime.offload_queue` more wait. In the test silo
 * (quark/test.h) the function runs at once, on the test's own thread.
 *
 * @return 0 when `fn` has run; else it has not: QK_EOVERLOADED (too many wait), QK_ECANCELLED (the silo stops),
 *         QK_EINVALID (no function), -EAGAIN and the like (the machine gives no thread); text in qk_error()
 */
static inline int qk_offload(qk_turn *t, void (*fn)(void *arg), void *arg)
{
    return t->host->offload(t, fn, arg);
}

/**
 * Says that this activation has failed, and ends the turn at once. It does not return.
 *
 * The caller of this turn gets QK_ECRASHED with the text. What the turn has from its arena goes, the calls that it has
 * begun are abandoned, and timers that it has started stay until the activation ends. Nothing of the author's that is
 * on the stack runs any more: what the turn has from malloc and has noted nowhere else is lost, and a mutex of the
 * author's stays locked. Keep such things where `self` or qk_local() lead to them, and release them in on_deactivate,
 * which runs with QK_DEACTIVATE_FAILED. What happens to the activation then says its parent, see qk_spawn(); one
 * without a parent begins anew, at most `restart_max` times in a window without a pause that its callers notice.
 *
 * In on_deactivate it only ends the hook. The text is cut at QK_ERROR_TEXT_MAX bytes.
 */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3), noreturn))
#endif
static inline void
qk_panic(qk_turn *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    t->host->vpanic(t, format, args);
    va_end(args);
    abort(); /* the line above does not return */
}

/**
 * Makes the actor a child of this activation, and activates it if it is not active. Generated functions
 * (`counter_spawn`) wrap it with the type. The child is called like any actor. It does not wait: an on_activate that
 * fails is a failure of the child's.
 *
 * A child's failure goes to the hook on_child_failure of the parent's type, which answers for it. Children end before
 * their parent does, the one that was spawned last first; a parent with children is not collected as idle. A child that
 * ends by itself leaves its parent.
 *
 * @return 0, also when it is a child already; QK_ENOTFOUND (no such type), QK_EINVALID (the key, or the actor is this
 *         one or above it), QK_EEXISTS (another's child), QK_ESTATE (in on_deactivate, or the actor ends just now),
 *         QK_EOVERLOADED (QK_CHILDREN_MAX), QK_ENOMEMORY; text in qk_error()
 */
static inline int qk_spawn(qk_turn *t, uint64_t type_id, struct qk_ref child)
{
    return t->host->spawn(t, type_id, child);
}

/** Ends a child when its turn is over, its own children first; what waits in its mailbox fails with QK_EUNAVAILABLE. It
 *  does not wait. 0, or QK_ENOTFOUND when it is no child of this activation. */
static inline int qk_stop_child(qk_turn *t, uint64_t type_id, struct qk_ref child)
{
    return t->host->stop_child(t, type_id, child);
}

/** The children of this activation, in the order in which they were spawned: how many, or QK_ENOMEMORY. The list is in
 *  the turn's arena. */
static inline int qk_children(qk_turn *t, struct qk_child **ret_children)
{
    return t->host->children(t, ret_children);
}

/**
 * Has the hook on_watched of this actor's type called when the actor `who` fails (each time) or ends (once, then the
 * watch is over). One that is not active now is reported as QK_WATCH_ABSENT, and not activated. A watch belongs to the
 * actor that asked, and what comes while that is not active is dropped. Watching twice is watching once.
 *
 * @return 0; QK_ENOTFOUND (no such type), QK_EINVALID (the key, or this actor itself), QK_ESTATE (the type has no
 *         on_watched), QK_EOVERLOADED (QK_WATCHERS_MAX watch it), QK_ENOMEMORY; text in qk_error()
 */
static inline int qk_watch(qk_turn *t, uint64_t type_id, struct qk_ref who)
{
    return t->host->watch(t, type_id, who);
}

/** Ends a watch; an event that waits in the mailbox still comes. 0, or QK_ENOTFOUND when there is none. */
static inline int qk_unwatch(qk_turn *t, uint64_t type_id, struct qk_ref who)
{
    return t->host->unwatch(t, type_id, who);
}

#ifdef __cplusplus
}
#endif

#endif
