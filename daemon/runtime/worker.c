/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: rounds of work, then a short search for more, then sleep.
 *
 * Waking a thread costs as much as hundreds of turns, so it is done seldom: a worker wakes another when a round ends
 * with work left over, or when a reply is for a worker that sleeps; never while some worker is looking for work anyway.
 * One of those that sleep does so in the poller, so that a request runs on the thread that the kernel wakes for it.
 */
#include "runtime/context.h"
#include "runtime/frames.h"
#include "runtime/supervise.h"

#include <string.h>
#include "wire/message.h"

#define ROUND_TIMERS   512     /* due timers in a round */
#define STORE_SPIN_NS  500000  /* how long a worker looks for work while a store owes one of its fibers an answer */
#define EXPECT_SPIN_NS 200000  /* the same while the owner expects something through the poller */
#define VAIN_MAX       16      /* such waits in vain, after which there are none */
#define VAIN_AGAIN     256     /* but for one in so many */
#define ROUND_NS       1000000 /* after that a round ends early: replies, timers and frames wait for its end */
#define POLL_EVERY_NS  50000   /* how often a busy worker looks into the poller */
#define BACKLOG        32      /* runnable activations that are worth waking another worker for at once */

static _Thread_local struct qk_worker *current;

__attribute__((noinline)) struct qk_worker *qk_worker_current(void)
{
    return current;
}

void qk_worker_read_clock(struct qk_worker *w)
{
    const struct qk_runtime_config *config = &w->rt->config;
    int64_t now = config->now_ns(config->clock_arg);
    if (now > w->now_ns)
        w->now_ns = now;
}

/* ---- waking */

void qk_worker_kick(struct qk_worker *from, struct qk_worker *w)
{
    if (!atomic_load(&w->parked) || !atomic_exchange(&w->parked, false))
        return;
    if (from != NULL)
        qk_count(&from->wakes, 1);
    qk_park_wake(&w->park);
    if (atomic_load(&w->in_poll))
        w->rt->config.poller.wake(w->rt->config.poller.arg);
}

void qk_runtime_kick_one(struct qk_runtime *rt, struct qk_worker *from)
{
    if (atomic_load(&rt->parked) == 0 || atomic_load(&rt->spinning) != 0)
        return;
    /* The one in the poller last: it is of use where it is. */
    for (int polls = 0; polls < 2; polls++) {
        for (uint32_t i = 0; i < rt->n_workers; i++) {
            struct qk_worker *w = rt->workers[i];
            if (atomic_load(&w->parked) && atomic_load(&w->in_poll) == (polls == 1)) {
                qk_worker_kick(from, w);
                return;
            }
        }
    }
}

void qk_worker_schedule(struct qk_worker *w, struct qk_act *act, bool called)
{
    if (called && !act->type->interleaves) {
        struct qk_act *displaced = w->next;
        w->next = act;
        if (displaced != NULL)
            qk_queue_push(w, displaced, true);
        return;
    }
    qk_queue_push(w, act, false);
    if (qk_unlikely(qk_queue_depth(w) >= BACKLOG) && w->rt->n_workers > 1)
        qk_runtime_kick_one(w->rt, w);
}

void qk_worker_ready(struct qk_worker *w, struct qk_fiber *fiber)
{
    fiber->next = NULL;
    if (w->ready_head == NULL)
        w->ready_head = fiber;
    else
        w->ready_tail->next = fiber;
    w->ready_tail = fiber;
}

void qk_worker_yield(struct qk_worker *w, struct qk_fiber *fiber)
{
    fiber->next = NULL;
    if (w->yielded_head == NULL)
        w->yielded_head = fiber;
    else
        w->yielded_tail->next = fiber;
    w->yielded_tail = fiber;
}

void qk_worker_wake_fiber(struct qk_worker *from, struct qk_fiber *fiber)
{
    struct qk_worker *w = fiber->turn.worker;
    if (w == from) {
        qk_worker_ready(w, fiber);
        return;
    }
    struct qk_fiber *head = atomic_load_explicit(&w->woken, memory_order_relaxed);
    do {
        fiber->next = head;
    } while (!atomic_compare_exchange_weak(&w->woken, &head, fiber));
    qk_worker_kick(from, w);
}

void qk_worker_reply(struct qk_worker *from, struct qk_msg *msg)
{
    struct qk_worker *w = msg->home;
    if (qk_likely(w == from)) {
        qk_call_arrived(w, msg);
        return;
    }
    struct qk_msg *head = atomic_load_explicit(&w->replies, memory_order_relaxed);
    do {
        msg->link.next = (struct qk_link *)head;
    } while (!atomic_compare_exchange_weak(&w->replies, &head, msg));
    qk_worker_kick(from, w);
}

void qk_worker_tell(struct qk_worker *from, struct qk_worker *w, struct qk_memo *memo)
{
    struct qk_memo *head = atomic_load_explicit(&w->memos, memory_order_relaxed);
    do {
        memo->next = head;
    } while (!atomic_compare_exchange_weak(&w->memos, &head, memo));
    if (w != from)
        qk_worker_kick(from, w);
}

/* ---- what others left */

void qk_worker_take_memos(struct qk_worker *w)
{
    if (qk_likely(atomic_load_explicit(&w->memos, memory_order_relaxed) == NULL))
        return;
    /* Their order does not matter. */
    struct qk_memo *memo = atomic_exchange(&w->memos, NULL);
    while (memo != NULL) {
        struct qk_memo *next = memo->next;
        if (memo->kind == QK_MEMO_DEADLOCK)
            qk_deadlock_told(w, memo);
        else if (memo->kind == QK_MEMO_STORED && w->running != NULL)
            qk_worker_tell(w, w, memo); /* it is unpacked on the worker's own stack: a fiber's may be too small */
        else if (memo->kind == QK_MEMO_STORED)
            qk_state_told(w, memo);
        else if (memo->kind == QK_MEMO_OFFLOADED)
            qk_offload_told(w, memo);
        else if (memo->kind == QK_MEMO_TIMER)
            qk_timers_told(w, memo);
        else
            qk_cancel_told(w, memo);
        memo = next;
    }
}

void qk_worker_take_replies(struct qk_worker *w)
{
    if (atomic_load_explicit(&w->replies, memory_order_relaxed) == NULL)
        return;
    struct qk_link *newest = (struct qk_link *)atomic_exchange(&w->replies, NULL);
    struct qk_link *oldest = NULL;
    while (newest != NULL) {
        struct qk_link *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct qk_msg *msg = (struct qk_msg *)oldest;
        oldest = oldest->next;
        qk_call_arrived(w, msg);
    }
}

static void take_woken(struct qk_worker *w)
{
    if (atomic_load_explicit(&w->woken, memory_order_relaxed) == NULL)
        return;
    struct qk_fiber *newest = atomic_exchange(&w->woken, NULL);
    struct qk_fiber *oldest = NULL;
    while (newest != NULL) {
        struct qk_fiber *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct qk_fiber *next = oldest->next;
        qk_worker_ready(w, oldest);
        oldest = next;
    }
}

void qk_worker_gather(struct qk_worker *w)
{
    qk_worker_take_replies(w);
    take_woken(w);
    qk_queue_take_pinned(w);
    qk_worker_take_memos(w);
}

/* Under the post lock. */
static void accept_posted(struct qk_worker *w)
{
    struct qk_port_frame *newest = atomic_exchange(&w->rt->posted, NULL);
    struct qk_port_frame *oldest = NULL;
    while (newest != NULL) {
        struct qk_port_frame *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    qk_frames_accept(w, oldest);
}

static void take_posted(struct qk_worker *w)
{
    struct qk_runtime *rt = w->rt;
    if (atomic_load_explicit(&rt->posted, memory_order_relaxed) == NULL || !qk_spin_try(&rt->post_lock))
        return;
    accept_posted(w);
    qk_spin_unlock(&rt->post_lock);
}

/* Handles what is due, but no more than a round can be expected to deal with: a million ticks at once would each take
 * memory for a message before the first of them is a turn. True when more is due. */
static bool fire_timers(struct qk_worker *w)
{
    qk_wheel_advance(&w->wheel, w->now_ns / QK_TICK_NS);
    for (unsigned n = 0; n < ROUND_TIMERS; n++) {
        struct qk_timer *timer = qk_wheel_pop(&w->wheel);
        if (timer == NULL)
            return false;
        struct qk_deadline *deadline = (struct qk_deadline *)timer;
        if (deadline->kind == QK_DEADLINE_TICK)
            qk_timers_due(w, deadline);
        else if (deadline->kind == QK_DEADLINE_WAKE)
            qk_ending_woken(w, deadline);
        else if (deadline->kind == QK_DEADLINE_LIMIT)
            qk_limit_due(w, deadline);
        else if (deadline->kind == QK_DEADLINE_TRACE)
            qk_recorder_due(w, deadline);
        else
            qk_call_expired(w, deadline);
    }
    return true;
}

static void online(struct qk_worker *w)
{
    uint64_t epoch = atomic_load(&w->rt->epoch);
    if (atomic_load_explicit(&w->seen, memory_order_relaxed) != epoch)
        atomic_store(&w->seen, epoch);
}

void qk_runtime_submit(struct qk_runtime *rt, struct qk_port_frame *chain)
{
    struct qk_worker *w = qk_worker_current();
    if (w != NULL && w->rt == rt && atomic_load_explicit(&w->in_poll, memory_order_relaxed)) {
        /* In the poller, on this worker's stack. What the watcher has polled in the workers' stead comes first. */
        online(w);
        qk_worker_read_clock(w);
        qk_spin_lock(&rt->post_lock);
        if (qk_unlikely(atomic_load_explicit(&rt->posted, memory_order_relaxed) != NULL))
            accept_posted(w);
        qk_frames_accept(w, chain);
        qk_spin_unlock(&rt->post_lock);
        return;
    }
    while (chain != NULL) {
        struct qk_port_frame *frame = chain;
        chain = frame->next;
        struct qk_port_frame *head = atomic_load_explicit(&rt->posted, memory_order_relaxed);
        do {
            frame->next = head;
        } while (!atomic_compare_exchange_weak(&rt->posted, &head, frame));
    }
    qk_runtime_kick_one(rt, NULL);
}

/* ---- the poller */

/* Looks into the poller if nobody is there. How many events; -1 if somebody is. */
static int poll_once(struct qk_worker *w, int64_t timeout_ns)
{
    struct qk_runtime *rt = w->rt;
    /* In order behind `parked`: the watcher looks there when it has given the poller back. */
    if (rt->config.poller.poll == NULL || atomic_load(&rt->driver) || atomic_exchange(&rt->driver, true))
        return -1;
    atomic_store(&w->in_poll, true);
    /* Who woke this worker before it could be seen here found no reason to wake the poller. */
    if (timeout_ns != 0 && !atomic_load(&w->parked))
        timeout_ns = 0;
    int n = rt->config.poller.poll(rt->config.poller.arg, timeout_ns);
    atomic_store(&w->in_poll, false);
    qk_worker_read_clock(w);
    w->polled_ns = w->now_ns;
    atomic_store_explicit(&rt->polled_ns, w->now_ns, memory_order_relaxed);
    atomic_store(&rt->driver, false);
    return n;
}

/* ---- rounds */

static void end_if_stopped(struct qk_worker *w);

bool qk_worker_round(struct qk_worker *w)
{
    online(w);
    qk_worker_read_clock(w);
    take_posted(w);
    bool more = fire_timers(w);
    qk_frames_deliver(w);                     /* what was refused as it came, above all */
    w->round_until_ns = w->now_ns + ROUND_NS; /* the clock is read now and then between turns */
    unsigned runs = qk_turn_run_round(w);
    qk_frames_deliver(w);
    qk_pool_flush(w);
    qk_act_reclaim(w);
    if (qk_unlikely(qk_deadlock_must_look(w)) && w->now_ns >= w->look_ns)
        qk_deadlock_look(w);
    bool swept = qk_idle_sweep(w, runs == 0);
    if (qk_unlikely(qk_runtime_phase(w->rt) >= QK_RUNTIME_STOPPING))
        end_if_stopped(w);
    if (runs != 0 && w->rt->n_workers > 1 && qk_queue_depth(w) > 1)
        qk_runtime_kick_one(w->rt, w);
    if (runs != 0 && w->now_ns - w->polled_ns > POLL_EVERY_NS)
        poll_once(w, 0);
    qk_count(&w->loops, 1);
    return runs != 0 || swept || more;
}

/* ---- the end */

static bool all_messages_gone(const struct qk_runtime *rt)
{
    uint64_t made = 0, freed = 0;
    for (uint32_t i = 0; i < rt->n_workers; i++)
        freed += atomic_load(&rt->workers[i]->pool.freed);
    for (uint32_t i = 0; i < rt->n_workers; i++)
        made += atomic_load(&rt->workers[i]->pool.made);
    return made == freed;
}

static void end_if_stopped(struct qk_worker *w)
{
    struct qk_runtime *rt = w->rt;
    if (qk_runtime_phase(rt) == QK_RUNTIME_STOPPED)
        return;
    qk_recorder_release_all(w);
    if (w->now_ns >= atomic_load(&rt->stop_ns)) {
        struct qk_fiber *next;
        for (struct qk_fiber *f = w->suspended; f != NULL; f = next) {
            next = f->susp_next;
            qk_call_interrupt(w, f, QK_ECANCELLED, "the silo stops");
        }
    }
    if (atomic_load(&rt->activations) != 0 || !all_messages_gone(rt) || atomic_load(&rt->posted) != NULL)
        return;
    atomic_store(&rt->phase, QK_RUNTIME_STOPPED);
    for (uint32_t i = 0; i < rt->n_workers; i++)
        qk_worker_kick(w, rt->workers[i]);
}

/* ---- looking for work, and sleeping */

static bool has_work(const struct qk_worker *w)
{
    struct qk_worker *v = (struct qk_worker *)w;
    if (v->ready_head != NULL || v->yielded_head != NULL || v->next != NULL || v->pinned_head != NULL ||
        atomic_load(&v->replies) != NULL || atomic_load(&v->woken) != NULL || atomic_load(&v->pinned_in) != NULL ||
        atomic_load(&v->memos) != NULL)
        return true;
    const struct qk_runtime *rt = w->rt;
    if (atomic_load(&((struct qk_runtime *)rt)->queue_count) != 0 ||
        atomic_load(&((struct qk_runtime *)rt)->posted) != NULL)
        return true;
    return qk_queue_depth(v) > 0 || qk_queue_called_depth(v) > 0 || qk_queue_can_steal(v) || qk_idle_must_collect(v);
}

/* Takes over what another worker has in its queue; it runs next. */
static bool steal(struct qk_worker *w)
{
    struct qk_act *act = qk_queue_steal(w);
    if (act == NULL)
        return false;
    qk_queue_push(w, act, false);
    return true;
}

/* What makes it worth to look for longer than usual, and how long. */
static int64_t prospect(const struct qk_worker *w)
{
    const struct qk_runtime *rt = w->rt;
    if (atomic_load_explicit(&((struct qk_worker *)w)->storing, memory_order_relaxed) != 0)
        return STORE_SPIN_NS;
    /* What comes through the poller one worker can await for all. */
    if (rt->config.expects != NULL && atomic_load(&((struct qk_runtime *)rt)->spinning) == 0 &&
        rt->config.expects(rt->config.expects_arg))
        return EXPECT_SPIN_NS;
    return 0;
}

/* How long to look. A store on a fast disk answers within a few hundred microseconds, and waking up would add a good
 * part of that to every save; so does another process that is at work. Where they prove slower, the processor is not
 * kept busy for it, but for a try now and then. */
static int64_t patience(struct qk_worker *w, bool *ret_longer)
{
    int64_t spin_ns = w->rt->config.spin_ns;
    /* A single worker's processor may be the one that the store needs. */
    int64_t longer = w->rt->n_workers > 1 ? prospect(w) : 0;
    *ret_longer = longer > spin_ns && (w->vain < VAIN_MAX || ++w->vain % VAIN_AGAIN == 0);
    return *ret_longer ? longer : spin_ns;
}

/* Looks for work for a little while. True when there is some. */
static bool search(struct qk_worker *w)
{
    struct qk_runtime *rt = w->rt;
    if (rt->config.spin_ns <= 0)
        return steal(w);
    bool found = false, longer;
    int64_t until = w->now_ns + patience(w, &longer);
    atomic_fetch_add(&rt->spinning, 1);
    while (!found) {
        found = steal(w) || has_work(w) || poll_once(w, 0) > 0;
        qk_worker_read_clock(w);
        if (w->now_ns >= until)
            break;
        for (int i = 0; i < 32 && !found; i++)
            qk_cpu_pause();
    }
    atomic_fetch_sub(&rt->spinning, 1);
    if (longer)
        w->vain = found ? 0 : w->vain + 1;
    return found;
}

static int64_t sleep_bound(struct qk_worker *w)
{
    if (qk_runtime_phase(w->rt) >= QK_RUNTIME_STOPPING)
        return QK_TICK_NS;
    int64_t next = INT64_MAX;
    int64_t tick = qk_wheel_next(&w->wheel);
    if (tick != INT64_MAX)
        next = tick * QK_TICK_NS;
    if (w->retired != NULL && w->now_ns + 10 * QK_TICK_NS < next)
        next = w->now_ns + 10 * QK_TICK_NS;
    if (qk_deadlock_must_look(w) && qk_deadlock_next(w) < next)
        next = qk_deadlock_next(w);
    for (uint32_t i = 0; i < w->rt->n_workers; i++) {
        if (qk_queue_depth(w->rt->workers[i]) > 0 && w->now_ns + QK_STEAL_ONE_NS < next)
            next = w->now_ns + QK_STEAL_ONE_NS;
    }
    if (w->sweep_ns < next && atomic_load(&w->rt->activations) > 0)
        next = w->sweep_ns;
    if (next == INT64_MAX)
        return -1;
    return next > w->now_ns ? next - w->now_ns : 0;
}

static void park(struct qk_worker *w)
{
    struct qk_runtime *rt = w->rt;
    qk_idle_plan(w);
    atomic_store(&w->seen, UINT64_MAX);
    atomic_fetch_add(&rt->parked, 1);
    atomic_store(&w->parked, true);
    if (!has_work(w)) {
        qk_count(&w->parks, 1);
        int64_t bound = sleep_bound(w);
        if (poll_once(w, bound) < 0)
            qk_park_wait(&w->park, bound);
    }
    atomic_store(&w->parked, false);
    atomic_fetch_sub(&rt->parked, 1);
    online(w);
}

void qk_runtime_worker_run(struct qk_runtime *rt, uint32_t index)
{
    struct qk_worker *w = rt->workers[index];
    current = w;
    while (qk_runtime_phase(rt) != QK_RUNTIME_STOPPED) {
        if (qk_worker_round(w))
            continue;
        if (qk_runtime_phase(rt) >= QK_RUNTIME_STOPPING || !search(w))
            park(w);
    }
    qk_recorder_release_all(w);
    qk_frames_deliver(w);
    qk_pool_flush(w);
    atomic_store(&w->seen, UINT64_MAX);
    current = NULL;
}

bool qk_runtime_step(struct qk_runtime *rt)
{
    struct qk_worker *w = rt->workers[0];
    struct qk_worker *outer = current;
    current = w;
    bool did = qk_worker_round(w) || atomic_load(&rt->posted) != NULL;
    current = outer;
    return did;
}

int64_t qk_runtime_next_deadline(const struct qk_runtime *rt)
{
    struct qk_worker *w = rt->workers[0];
    qk_idle_plan(w);
    int64_t bound = sleep_bound(w);
    return bound < 0 ? INT64_MAX : w->now_ns + bound;
}
