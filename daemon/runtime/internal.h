/* SPDX-License-Identifier: Apache-2.0 */
/* The structures that the files of the runtime share, and what each file offers the others. */
#ifndef QK_RUNTIME_INTERNAL_H
#define QK_RUNTIME_INTERNAL_H

#include <assert.h>
#include <stdatomic.h>
#include <pthread.h>
#include <string.h>
#include "base/arena.h"
#include "base/bytes.h"
#include "base/cpu.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/park.h"
#include "base/spin.h"
#include "base/wheel.h"
#include "runtime/act.h"
#include "runtime/fiber.h"
#include "runtime/mailbox.h"
#include "runtime/msg.h"
#include "runtime/runtime.h"
#include "runtime/services.h"
#include "runtime/timers.h"
#include "runtime/types.h"
#include "wire/context.h"

#define QK_RING_SLOTS      1024
#define QK_WORKERS_MAX     256
#define QK_TICK_NS         1000000 /* of the workers' wheels */
#define QK_STEAL_ONE_NS    100000  /* how long the only activation of another's queue must have stood still */
#define QK_STEAL_CALLED_NS 1000000 /* the same of one that a fiber there waits for */
#define QK_SAMPLE_EVERY    64      /* turns: how often one is timed */
#define QK_STRIPES         64      /* locks for fibers that wait for room */
#define QK_SLOW_NS         10000   /* turns of methods that take longer are all timed */

struct qk_worker;
struct qk_act;
struct qk_fiber;
struct qk_turn_state;
struct qk_baggage;
struct qk_recorder;

/* ---- fibers that wait for room in a mailbox (room.c) */

struct qk_waiter {
    struct qk_waiter *next;
    struct qk_fiber *fiber;
    struct qk_act *act;
    struct qk_deadline deadline;
    bool linked; /* in the activation's list; under the stripe's lock */
    int status;
    const char *text; /* why it ended; NULL: the deadline */
};

/* Suspends until there may be room. 0, QK_ETIMEDOUT or QK_ECANCELLED. On the fiber. */
int qk_room_wait(struct qk_turn_state *t, struct qk_act *act, int64_t deadline_ns);

/* Ends a wait early; false when there has just been room. On the fiber's worker. */
bool qk_room_end_wait(struct qk_worker *w, struct qk_waiter *waiter, int status);

/* ---- call chains and turns that interleave (chain.c) */

/* Whether the activation waits in the chain of a message. */
bool qk_chain_has(const struct qk_msg *msg, const struct qk_act *act);

/* Whether a call may be made to an activation that waits in its chain. Any worker. */
bool qk_chain_may_return(const struct qk_msg *msg, const struct qk_act *act);

/* Writes the name of the activation with this hash, cut to fit; how many bytes. */
size_t qk_chain_append_name(struct qk_runtime *rt, uint64_t hash, char *text, size_t size);

/* Writes "a/1 -> b/2 -> a/1". */
void qk_chain_describe(struct qk_runtime *rt, const struct qk_msg *msg, const struct qk_act *last, char *ret_text,
                       size_t size);

/* The next message that may begin a turn now; NULL when none may. Of a type that interleaves. */
struct qk_msg *qk_chain_next(struct qk_act *act);

/* A turn of a type that interleaves begins, or is over. */
void qk_chain_enter(struct qk_act *act, const struct qk_rt_method *method);
void qk_chain_leave(struct qk_act *act, const struct qk_rt_method *method);

/* Puts a message aside until the turns that wait are over, or qk_chain_undefer() is called. */
void qk_chain_defer(struct qk_act *act, struct qk_link *link);

/* Puts what was deferred before the rest again. */
void qk_chain_undefer(struct qk_act *act);

/* ---- turns (turn.c) */

enum qk_turn_what { QK_TURN_MESSAGE = 1, QK_TURN_ACTIVATE, QK_TURN_DEACTIVATE, QK_TURN_NOTICE };

/* What follows for who holds an activation. */
enum qk_next {
    QK_GO_ON,
    QK_AGAIN, /* look at its phase and orders again */
    QK_LEAVE, /* it is no longer ours, or not for now */
};

struct qk_pending {
    struct qk_msg *msg; /* NULL once it is over */
    struct qk_fiber *fiber;
    struct qk_pending *next; /* of the turn */
    struct qk_pending *prev;
    const struct qk_method *called;
    ProtobufCMessage *reply; /* unpacked for a foreign caller */
    const char *text;
    int32_t status;
    bool done;
    bool may_have_run;
};

struct qk_turn_state {
    qk_turn pub; /* what the handler sees; first */
    struct qk_fiber *fiber;
    struct qk_worker *worker;
    struct qk_act *act;
    struct qk_msg *msg; /* NULL: a hook that no message caused */
    const struct qk_rt_method *method;
    const char *name; /* of the method or the hook */
    enum qk_turn_what what;
    uint8_t chain_len;
    const uint64_t *chain; /* of the message that caused the turn */
    int64_t deadline_ns;
    int64_t limit_ns; /* when it will have taken too long; of limit_ms, where that is not 0 */
    struct qk_deadline limit;
    uint64_t request_id;
    struct qk_baggage *baggage; /* of the message that caused the turn; NULL: none */
    const char *error_text;     /* of the last call that failed */
    int64_t waits_ns;           /* since when it has waited for what it waits for */
    int64_t entered_ns;         /* when it got the thread, if it is recorded */
    struct qk_arena arena;
    uint64_t unwanted[16]; /* the reply of a message that was sent one way, where it fits */
    /* From here on a new turn is all zero. */
    ProtobufCMessage *request;
    ProtobufCMessage *reply;
    struct qk_pending *pendings;
    int64_t started_ns;    /* 0: not timed */
    const char *fail_text; /* set by qk_fail() */
    char *caller_text;
    struct qk_baggage *passes;            /* what it passes on, once it has; its reference */
    struct qk_baggage *before;            /* `passes` as it was before outgoing filters; a reference */
    uint64_t span;                        /* its id in the trace; 0: not drawn yet */
    struct qk_instance *services;         /* of the turn, newest first */
    struct qk_page *pages;                /* events that operations under way have in hand, newest first */
    const struct qk_rt_service *creating; /* what runs is its create function */
    int32_t status;
    int32_t fail_status;
    uint32_t limit_ms;
    uint32_t failure; /* enum qk_failure_kind that the turn is for its activation; 0: none, or that of another turn */
    bool services_locked; /* it makes a singleton */
    bool filtering;       /* outgoing filters run: what they call is not filtered */
    bool recorded;
    bool suspended_once;
    bool watched;   /* its message tells this worker when the caller gives up */
    bool cancelled; /* nobody wants the outcome */
    bool doomed;    /* the activation has failed: it ends where it would go on */
    bool unwound;   /* its stack was left for good */
    bool loading;   /* of QK_TURN_ACTIVATE: the state was not yet there */
};

/* Offloaded work that a fiber waits for; on its stack. */
struct qk_offload_wait {
    struct qk_memo memo; /* first */
    struct qk_job job;
    struct qk_fiber *fiber;
    bool sent;
    bool done;
};

/* At the high end of its stack. */
struct qk_fiber {
    struct qk_context context;
    struct qk_fiber *next;      /* in a list of the free, the ready or the woken */
    struct qk_fiber *susp_next; /* among the suspended of its worker */
    struct qk_fiber *susp_prev;
    struct qk_pending *waits_for;    /* awaits this call */
    struct qk_waiter *waiter;        /* or room in a mailbox */
    struct qk_state_wait *state;     /* or stored state */
    struct qk_offload_wait *offload; /* or offloaded work */
    void *low;                       /* the other end of the stack */
    _Atomic uint64_t wait; /* number of its wait for a reply or for room; odd while it waits. Written by its worker */
    uint64_t seen_wait;    /* the one that was written down last, and the look that saw it first */
    uint64_t seen_first;
    bool suspended;
    bool finished; /* the turn is over */
    bool asks;     /* `state`, `offload` or `outgoing` calls are to be sent once it gives up the thread */
    struct qk_turn_state turn;
};

/* Runs an activation that the worker holds until it rests, is suspended or has used its budget. */
void qk_turn_run(struct qk_worker *w, struct qk_act *act);

/* Runs activations and goes on with suspended turns until there is nothing more to run, or for long enough; how many.
 */
unsigned qk_turn_run_round(struct qk_worker *w);

/* The entry of a fiber. */
void qk_turn_fiber_main(void *context);

/* Suspends the fiber that runs; returns once qk_worker_ready() was called for it. On the fiber. */
QK_INLINE void qk_turn_suspend(struct qk_fiber *fiber);

/* Ends the turn that runs with a status and a text, and leaves its stack for good; `failure` is enum qk_failure_kind,
 * or 0 where the activation has failed already. On the fiber. */
void qk_turn_unwind(struct qk_turn_state *t, uint32_t failure, int status, const char *text) __attribute__((noreturn));

/* Has the suspended turns of an activation end where they would go on. On their worker. */
void qk_turn_doom_all(struct qk_worker *w, const struct qk_act *act);

/* Messages that are finished come off the count, and fibers that wait for room learn of it. */
void qk_turn_settle(struct qk_worker *w, struct qk_act *act);

/* Rests, unless something has come: true when the activation is at rest and no longer ours. */
bool qk_turn_rest(struct qk_worker *w, struct qk_act *act);

/* Runs a hook, and what follows. */
enum qk_next qk_turn_hook(struct qk_worker *w, struct qk_act *act, enum qk_turn_what what);

/* Keeps the text of an error with the message. */
const char *qk_msg_keep_text(struct qk_msg *msg, const char *text);

/* Ends a message with an error that no turn caused (its deadline passed, the silo stops, ...). */
void qk_msg_fail(struct qk_worker *w, struct qk_msg *msg, int status, const char *text);

/* Ends a message: the reply goes to where it is waited for. */
void qk_msg_complete(struct qk_worker *w, struct qk_msg *msg);

/* Puts a message into an actor's mailbox from the worker's own stack, where it can't wait. Fails the message otherwise.
 */
void qk_msg_dispatch(struct qk_worker *w, struct qk_msg *msg, const char *key, uint32_t key_len);

/* ---- calls (call.c) */

extern const struct qk_host qk_host_table;

/* A reply that has come to its caller's worker. */
void qk_call_arrived(struct qk_worker *w, struct qk_msg *msg);

/* The deadline of a pending call, or of a wait for room, has passed. */
void qk_call_expired(struct qk_worker *w, struct qk_deadline *deadline);

/* Ends what a suspended fiber waits for; false when it waits for nothing, or that has just come. */
bool qk_call_interrupt(struct qk_worker *w, struct qk_fiber *fiber, int status, const char *text);

/* Whether a waiter still waits; then for which activation. */
bool qk_call_waits_for_room(struct qk_worker *w, struct qk_waiter *waiter, uint64_t *ret_hash);

/* Lets go of calls that the turn began and did not await. */
void qk_call_abandon_all(struct qk_turn_state *t);

/* Wakes fibers that wait for room, at most `room`; all of them when it ends. */
void qk_call_wake_waiters(struct qk_worker *w, struct qk_act *act, uint32_t room);

/* ---- more than can be done in time (load.c) */

/* A turn held its thread for `ns`, or until it was suspended. */
void qk_load_learn(const struct qk_rt_method *method, int64_t ns);

/* Reckons up what waits, before frames are accepted. */
void qk_load_look(struct qk_worker *w);

/* Whether a frame would wait in the mailbox past its deadline; else counts it among those that wait. */
bool qk_load_is_hopeless(struct qk_worker *w, struct qk_msg *msg, const struct qk_act *act);

/* ---- turns that take too long (limit.c) */

/* What runs from now on may take so long; 0: however long it takes. On the fiber. */
void qk_limit_begin(struct qk_turn_state *t, uint32_t limit_ms);

/* The turn is about to be suspended: its wait ends when the limit passes. On the fiber; of a turn that has a limit. */
void qk_limit_watch(struct qk_turn_state *t);
void qk_limit_due(struct qk_worker *w, struct qk_deadline *deadline);
bool qk_limit_has_passed(const struct qk_turn_state *t);

/* Ends a turn that has taken too long; on the fiber, where it would go back to its author's code. */
void qk_limit_unwind(struct qk_turn_state *t) __attribute__((noreturn));

/* The turn is over: fails it if that took too long. On the worker's stack; of a turn that has a limit. */
void qk_limit_end(struct qk_turn_state *t);

/* ---- cancelling (cancel.c) */

/* Called before a turn is suspended: from then on its worker learns when its caller gives up. True when that has
 * happened already, and this wait is to end. */
bool qk_cancel_watch(struct qk_turn_state *t);

/* The caller gives up: the message is no longer its. */
void qk_cancel_abandon(struct qk_worker *w, struct qk_msg *msg);

/* The client of all calls of this origin, or of the one with this id, has gone. Any worker. */
void qk_cancel_origin(struct qk_worker *w, const void *origin, uint64_t call_id);
void qk_cancel_told(struct qk_worker *w, struct qk_memo *memo);

/* ---- finding actors that wait for one another (deadlock.c, waits.c) */

struct qk_waits; /* what the turns of one worker wait for */

/* Looks for a cycle if it is time. */
void qk_deadlock_look(struct qk_worker *w);
int64_t qk_deadlock_next(const struct qk_worker *w);
bool qk_deadlock_must_look(const struct qk_worker *w);
void qk_deadlock_told(struct qk_worker *w, struct qk_memo *memo);
void qk_deadlock_finish(struct qk_runtime *rt);

/* ---- stored state (state.c; state.h has the rest) */

/* On the fiber. */
int qk_state_run(struct qk_turn_state *t, uint32_t operation);

/* Sends what the fiber, which has just been suspended, asks for. On the worker's stack. */
void qk_state_send(struct qk_worker *w, struct qk_fiber *fiber);

/* An answer has come into the runtime; and to the worker of the fiber. */
void qk_state_answer(struct qk_worker *w, struct qk_port_frame *frame);
void qk_state_told(struct qk_worker *w, struct qk_memo *memo);

/* ---- offloaded work (offload.c) */

/* On the fiber. */
int qk_offload_run(struct qk_turn_state *t, void (*fn)(void *arg), void *arg);

/* Hands out what the fiber, which has just been suspended, wants done. On the worker's stack. */
void qk_offload_send(struct qk_worker *w, struct qk_fiber *fiber);
void qk_offload_told(struct qk_worker *w, struct qk_memo *memo);

/* ---- workers (worker.c, queue.c) */

struct qk_type_counts {
    _Atomic uint64_t turns;
    _Atomic uint64_t failures;
    _Atomic uint64_t turn_ns;
    _Atomic uint64_t samples;
    _Atomic uint64_t wait_ns;
    _Atomic int64_t activations; /* made less ended on this worker; the sum over workers counts */
};

/* A ring that its worker fills and empties at the two ends, and others steal from. */
struct qk_ring {
    _Atomic uint32_t head;
    uint8_t gap[QK_CACHE_LINE - 4];
    _Atomic uint32_t tail;
    _Atomic(struct qk_act *) slots[QK_RING_SLOTS];
};

/* What a worker remembers of another's rings between its looks. */
struct qk_sight {
    uint32_t heads[2];
    int64_t since_ns[2];
};

struct qk_worker {
    struct qk_runtime *rt;
    uint32_t index;
    uint32_t tick; /* runs since the clock was read */
    int64_t now_ns;
    struct qk_context context;
    struct qk_fiber *free_fibers;
    struct qk_fiber *ready_head; /* fibers to go on with */
    struct qk_fiber *ready_tail;
    struct qk_fiber *yielded_head; /* fibers that let the others go first */
    struct qk_fiber *yielded_tail;
    struct qk_fiber *suspended; /* all of them, newest first */
    struct qk_fiber *running;   /* NULL on the worker's own stack */
    int64_t look_ns;            /* when to look for deadlocks next */
    int64_t look_pause_ns;      /* how long it pauses between looks */
    uint32_t vain;              /* times that it waited awake for a store and went to sleep after all */
    struct qk_waits *waits;     /* as it wrote them down last; written under the runtime's edges_lock */
    struct qk_act *next;        /* the activation that a call has just woken: runs first */
    struct qk_act *pinned_head; /* runnable activations that may not be stolen */
    struct qk_act *pinned_tail;
    uint32_t next_run;
    int64_t round_until_ns; /* the round ends then */
    int64_t backlog_ns;     /* how long what waits takes the workers, as frames are accepted */
    struct qk_pool pool;
    struct qk_act *free_acts;
    struct qk_act *retired;
    struct qk_act *retired_last;
    int64_t sweep_ns; /* when to look for idle activations next */
    uint32_t sweep_shard;
    uint32_t collect_number; /* of the request that the worker knows */
    uint32_t collect_shards; /* that it still has to go through for it */
    uint32_t rng;
    uint64_t spans;    /* generator of span ids */
    uint64_t n_fibers; /* made */
    int64_t polled_ns;
    struct qk_act **cache;
    struct qk_target targets[QK_TARGETS];
    struct qk_service_seen services_seen[QK_SERVICES_SEEN];
    struct qk_type_counts *counts; /* by the type's index */
    struct qk_stacks *stacks;
    void *act_slabs;
    struct qk_wake *back_offs; /* in the wheel */
    struct qk_recorder *holds; /* that hold an answer back, in the wheel */
    struct qk_msg *outgoing;   /* calls to other runtimes that the turn which runs has made, in order */
    struct qk_msg *outgoing_last;
    uint64_t outgoing_ids;
    struct qk_port_note *note; /* what the worker is doing, for who outlives this process; NULL: nobody */
    struct qk_arena scratch;   /* for packing and unpacking */
    struct qk_wheel wheel;
    struct qk_sight *sights; /* of the workers, by index */
    struct qk_ring ring;     /* runnable activations */
    struct qk_ring called;   /* those that a fiber of this worker waits for */
    /* Written by others, or read by them. */
    _Atomic(struct qk_msg *) replies QK_CACHE_ALIGNED; /* come back to this worker's callers */
    _Atomic(struct qk_port_frame *) out;               /* replies for the port, newest first, gathered */
    _Atomic(struct qk_fiber *) woken;                  /* fibers that others have woken */
    _Atomic(struct qk_memo *) memos;
    _Atomic uint32_t storing;           /* fibers of its own that wait for a store */
    _Atomic(struct qk_act *) pinned_in; /* activations of this worker's that others have scheduled */
    atomic_bool parked;
    atomic_bool in_poll;
    struct qk_park park;
    _Atomic uint64_t seen; /* the epoch; UINT64_MAX: holds nothing */
    _Atomic uint64_t loops;
    _Atomic uint64_t turns;
    _Atomic uint64_t failures;
    _Atomic uint64_t busy_ns;
    _Atomic uint64_t steals;
    _Atomic uint64_t parks;
    _Atomic uint64_t wakes;
    _Atomic uint64_t frames_in;
    _Atomic uint64_t refused; /* calls, for want of memory or time */
    /* Frames that wait for their turn, by the time that they will take: accepted here, and no longer waiting. The sum
     * over workers counts. */
    _Atomic uint64_t queued_ns;
    _Atomic uint64_t unqueued_ns;
    _Atomic uint64_t acts_made; /* activations' memory, used or not */
    _Atomic uint64_t turn_number;
    _Atomic(struct qk_act *) turn_act;
    _Atomic(const char *) turn_method;
    _Atomic uint64_t n_suspended;
    char log_text[QK_LOG_TEXT_MAX + 1]; /* of the line that a turn writes; its worker only */
} QK_CACHE_ALIGNED;

/* What the watcher remembers of each worker between its looks. */
struct qk_watched {
    uint64_t turn;
    int64_t since_ns;
    int64_t report_ns;
};

struct qk_runtime {
    struct qk_runtime_config config;
    uint32_t n_workers; /* at least 1: the owner's thread drives it when config.workers is 0 */
    struct qk_worker **workers;
    struct qk_types types;
    struct qk_services services;
    struct qk_shard shards[QK_SHARDS];
    struct qk_spin stripes[QK_STRIPES];
    _Atomic uint64_t epoch;
    _Atomic int64_t activations;
    _Atomic uint32_t idle_min_ms; /* the smallest of all types */
    atomic_uint phase;            /* enum qk_runtime_phase */
    _Atomic int64_t stop_ns;
    atomic_uint spinning;
    atomic_uint parked;
    atomic_bool driver; /* someone is in the poller */
    _Atomic int64_t polled_ns;
    _Atomic uint64_t request_ids;
    _Atomic(struct qk_port_frame *) posted; /* frames of threads that are no workers, newest first */
    struct qk_spin post_lock;
    struct qk_spin queue_lock;
    struct qk_act *queue_head; /* what the rings had no room for */
    struct qk_act *queue_tail;
    _Atomic uint32_t queue_count;
    atomic_uint memory;          /* enum qk_memory_level */
    atomic_uint collect_number;  /* of the request to collect */
    atomic_uint collect_workers; /* that have not gone through their shards for it */
    _Atomic uint32_t collect_age_ms;
    _Atomic int64_t collect_left; /* activations that it may still claim */
    _Atomic uint64_t collect_claimed;
    _Atomic uint64_t collected;
    _Atomic uint64_t watch_seen; /* epoch of the watching thread */
    struct qk_watched *watched;
    _Atomic uint64_t long_turns;
    pthread_mutex_t edges_lock;
    uint64_t looks; /* for deadlocks, of all workers; under the edges_lock */
    _Atomic uint64_t deadlocks;
    struct qk_spin super_lock; /* parents, children and watchers */
    uint64_t super_serial;     /* the last one given; under the super_lock */
    atomic_uint recorders;     /* calls that are recorded */
};

/* The worker whose thread this is; NULL on others. Not to be kept across a suspension. */
struct qk_worker *qk_worker_current(void);

/* Puts a message into a mailbox unless `max` are in. On QK_PUSHED_SCHEDULE the caller has to schedule the activation.
 */
static inline enum qk_push qk_act_push(struct qk_act *act, struct qk_msg *msg, uint32_t max)
{
    enum qk_push pushed = qk_mailbox_push(&act->mailbox, &msg->link, max);
    if (pushed == QK_PUSHED_SCHEDULE)
        act->batch = &msg->link;
    return pushed;
}

/* Queues an activation that this worker has just scheduled; `called`: its caller suspends at once, so it runs next. */
void qk_worker_schedule(struct qk_worker *w, struct qk_act *act, bool called);

/* Queues a fiber of this worker to go on. */
void qk_worker_ready(struct qk_worker *w, struct qk_fiber *fiber);

/* Queues a fiber of this worker behind everything that can run. */
void qk_worker_yield(struct qk_worker *w, struct qk_fiber *fiber);

/* As qk_worker_ready(), from any worker. */
void qk_worker_wake_fiber(struct qk_worker *from, struct qk_fiber *fiber);

/* Gives a reply to the worker on which its caller waits. */
void qk_worker_reply(struct qk_worker *from, struct qk_msg *msg);

/* Leaves a memo for a worker. */
void qk_worker_tell(struct qk_worker *from, struct qk_worker *w, struct qk_memo *memo);

void qk_worker_take_memos(struct qk_worker *w);

/* Takes what others have left for this worker, memos too. */
void qk_worker_gather(struct qk_worker *w);

/* Takes the replies that have come. */
void qk_worker_take_replies(struct qk_worker *w);

/* Sees to it that a worker looks at what was left for it. */
void qk_worker_kick(struct qk_worker *from, struct qk_worker *w);
void qk_runtime_kick_one(struct qk_runtime *rt, struct qk_worker *from);
void qk_worker_read_clock(struct qk_worker *w);
bool qk_worker_round(struct qk_worker *w);

/* Queues a runnable activation; `called`: for a fiber of this worker that waits for it. */
void qk_queue_push(struct qk_worker *w, struct qk_act *act, bool called);
void qk_queue_take_pinned(struct qk_worker *w);
struct qk_act *qk_queue_pop(struct qk_worker *w);

/* The oldest of what nobody here waits for. */
struct qk_act *qk_queue_pop_waiting(struct qk_worker *w);

/* Whether another worker has something that it should not be left alone with. */
bool qk_queue_can_steal(struct qk_worker *w);
struct qk_act *qk_queue_steal(struct qk_worker *w);
uint32_t qk_queue_depth(const struct qk_worker *w);
uint32_t qk_queue_called_depth(const struct qk_worker *w);

struct qk_fiber *qk_fiber_more(struct qk_worker *w);

/* A fiber for a new turn; NULL at the bound, or without memory. */
static inline struct qk_fiber *qk_fiber_get(struct qk_worker *w)
{
    struct qk_fiber *fiber = w->free_fibers;
    if (qk_unlikely(fiber == NULL))
        return qk_fiber_more(w);
    w->free_fibers = fiber->next;
    return fiber;
}

static inline void qk_fiber_put(struct qk_worker *w, struct qk_fiber *fiber)
{
    fiber->next = w->free_fibers;
    w->free_fibers = fiber;
}

void qk_fiber_pool_finish(struct qk_worker *w);

/* ---- the end of activations (idle.c) */

/* Looks for idle activations if it is time; when the runtime stops and the worker has nothing else to do (`rests`),
 * claims every one that rests. True if it claimed any. */
bool qk_idle_sweep(struct qk_worker *w, bool rests);

/* Whether the worker has to look for activations to collect. */
bool qk_idle_must_collect(const struct qk_worker *w);
void qk_idle_plan(struct qk_worker *w);

/* ---- logging */
void qk_runtime_log(struct qk_runtime *rt, enum qk_log_level level, const struct qk_act *act, uint64_t request_id,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

static inline enum qk_runtime_phase qk_runtime_phase(const struct qk_runtime *rt)
{
    return (enum qk_runtime_phase)atomic_load_explicit(&((struct qk_runtime *)rt)->phase, memory_order_acquire);
}

/* A counter that one thread writes and others read. */
static inline void qk_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

QK_INLINE void qk_turn_suspend(struct qk_fiber *fiber)
{
    struct qk_worker *w = fiber->turn.worker;
    if (qk_unlikely(fiber->turn.limit_ms != 0))
        qk_limit_watch(&fiber->turn);
    fiber->suspended = true;
    fiber->turn.suspended_once = true;
    fiber->susp_prev = NULL;
    fiber->susp_next = w->suspended;
    if (w->suspended != NULL)
        w->suspended->susp_prev = fiber;
    w->suspended = fiber;
    qk_count(&w->n_suspended, 1);
    qk_context_switch(&fiber->context, &w->context);
}

/* As qk_msg_create(), in line: for what is done for every message. */
QK_INLINE struct qk_msg *qk_msg_make(struct qk_worker *w, enum qk_msg_kind kind, size_t extra)
{
    size_t bytes = ((sizeof(struct qk_msg) + 15) & ~(size_t)15) + extra;
    unsigned c = qk_msg_class(bytes);
    bool at_hand = c != QK_MSG_LARGE && w->pool.free[c] != NULL;
    struct qk_msg *msg = qk_likely(at_hand) ? qk_pool_take(&w->pool, c) : qk_pool_refill(w, bytes);
    if (qk_unlikely(msg == NULL))
        return NULL;
    msg->kind = (uint8_t)kind;
    /* In the order of the struct: the compiler makes few wide stores of it. memset() would be a slow instruction. */
    atomic_store_explicit(&msg->life, QK_LIFE_PENDING, memory_order_relaxed);
    msg->status = 0;
    msg->one_way = msg->foreign = msg->may_have_run = msg->out_of_memory = false;
    msg->finished = msg->told = false;
    msg->chain_len = 0;
    msg->reply_size = 0;
    msg->cost_ns = 0;
    msg->runner = NULL;
    msg->home = NULL;
    msg->pending = NULL;
    msg->deadline.timer.next = NULL;
    msg->deadline.kind = QK_DEADLINE_CALL;
    msg->baggage = NULL;
    msg->frame = NULL;
    msg->remote = NULL;
    msg->acknowledge = NULL;
    msg->request = msg->reply = NULL;
    msg->text = "";
    msg->sender = "client";
    qk_arena_init(&msg->arena, QK_TURN_ARENA_MAX);
    qk_count(&w->pool.made, 1);
    return msg;
}

static inline void qk_msg_destroy(struct qk_worker *w, struct qk_msg *msg)
{
    bool bare = msg->arena.chunks == NULL && msg->baggage == NULL;
    if (qk_unlikely(!bare || msg->owner != w || msg->size_class == QK_MSG_LARGE)) {
        qk_msg_give_back(w, msg);
        return;
    }
    qk_count(&w->pool.freed, 1);
    qk_pool_put(&w->pool, msg);
}

/* The first steps of qk_act_locate(), in line. */
static inline uint64_t qk_act_hash(struct qk_worker *w, const struct qk_rt_type *type, const char *key,
                                   uint32_t key_len)
{
    return qk_hash(key, key_len, w->rt->config.seed ^ type->id);
}

static inline struct qk_act *qk_act_cached(struct qk_worker *w, const struct qk_rt_type *type, const char *key,
                                           uint32_t key_len, uint64_t hash)
{
    struct qk_act *act = w->cache[hash & (QK_CACHE_SLOTS - 1)];
    if (act == NULL)
        return NULL;
    uint8_t phase = atomic_load_explicit(&act->phase, memory_order_acquire);
    bool there = phase != QK_PHASE_FREE && phase != QK_PHASE_DEAD && act->hash == hash;
    return there && qk_act_is(act, type, key, key_len) ? act : NULL;
}

/* As qk_types_look_up(), in line. Types stay once they are there, so only what was not found is looked for again. */
static inline const struct qk_target *qk_types_target(struct qk_worker *w, const struct qk_method *m)
{
    const struct qk_target *target = &w->targets[m->id % QK_TARGETS];
    return qk_likely(target->called == m) ? target : qk_types_look_up(w, m);
}

/* A frame waits no longer. */
static inline void qk_load_unqueue(struct qk_worker *w, struct qk_msg *msg)
{
    if (msg->cost_ns != 0)
        qk_count(&w->unqueued_ns, msg->cost_ns);
    msg->cost_ns = 0;
}

#endif
