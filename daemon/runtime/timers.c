/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of activations. A tick is a message to the activation itself, so it is a turn like any other and overlaps
 * none; a periodic timer starts again when its tick is over, so it never queues twice.
 *
 *   ARMED    in the wheel of one worker, not always the one that runs the activation
 *   QUEUED   its tick waits in the mailbox
 *   RUNNING  its tick is a turn
 *   ENDED    cancelled, or the activation ends: whoever holds it next frees it
 *
 * Who ends an ARMED timer of another worker leaves that worker a memo. One that is due at the same moment is taken by
 * one exchange: of the two sides, the one that changed the state first leaves the timer to the other.
 */
#include "runtime/context.h"
#include "runtime/supervise.h"

#include <stdlib.h>
#include "wire/message.h"

enum state { FREE = 0, ARMED, QUEUED, RUNNING, ENDED };

struct qk_ticker {
    struct qk_deadline deadline; /* first; its expiry stays the beat when it is not in the wheel */
    struct qk_worker *worker;    /* whose wheel it is in */
    struct qk_act *act;
    const struct qk_rt_method *method;
    union {
        struct {
            int64_t period;
            uint64_t request_id;
        };
        struct qk_memo memo; /* once it has ended while in the wheel of another worker */
    };
    struct qk_baggage *baggage;   /* context of the turn that started it; NULL: none */
    struct qk_arena_chunk *hangs; /* on the request; NULL: nothing */
    uint32_t slot;
    _Atomic uint8_t state;
    bool keeps_active;
    max_align_t request[]; /* a copy of the struct */
};

/* A million of them are mostly written to cold memory. */
static_assert(sizeof(struct qk_ticker) == 96, "a timer and a small request take two cache lines");

struct qk_timer_slot {
    struct qk_ticker *ticker; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

/* The timers of one activation; its holder only. */
struct qk_timers {
    uint32_t count;
    uint32_t room;
    uint32_t free_slot; /* room: none */
    struct qk_timer_slot *slots;
};

static void ticker_free(struct qk_ticker *tm)
{
    if (qk_unlikely(tm->hangs != NULL)) {
        struct qk_arena arena = {.chunks = tm->hangs};
        qk_arena_finish(&arena);
    }
    if (tm->baggage != NULL)
        qk_baggage_unref(tm->baggage);
    free(tm);
}

/* ---- the slots of an activation */

static struct qk_timers *timers_of(const struct qk_act *act)
{
    const struct qk_extras *extras = qk_act_extras(act);
    return extras != NULL ? extras->timers : NULL;
}

static bool grow(struct qk_timers *timers)
{
    uint32_t room = timers->room != 0 ? timers->room * 2 : 4;
    struct qk_timer_slot *slots = realloc(timers->slots, room * sizeof(*slots));
    if (slots == NULL)
        return false;
    for (uint32_t i = timers->room; i < room; i++)
        slots[i] = (struct qk_timer_slot){.next_free = i + 1};
    timers->slots = slots;
    timers->free_slot = timers->room;
    timers->room = room;
    return true;
}

/* The timers of an activation, with room for one more; NULL without memory. */
static struct qk_timers *make_room(struct qk_act *act)
{
    struct qk_extras *extras = qk_act_need_extras(act);
    if (extras == NULL)
        return NULL;
    if (extras->timers == NULL)
        extras->timers = calloc(1, sizeof(*extras->timers));
    struct qk_timers *timers = extras->timers;
    return timers != NULL && (timers->free_slot != timers->room || grow(timers)) ? timers : NULL;
}

/* Gives the timer a slot, and its id. */
static uint64_t take_slot(struct qk_timers *timers, struct qk_ticker *tm)
{
    tm->slot = timers->free_slot;
    struct qk_timer_slot *slot = &timers->slots[tm->slot];
    timers->free_slot = slot->next_free;
    slot->ticker = tm;
    slot->generation++;
    timers->count++;
    return (uint64_t)slot->generation << 32 | tm->slot;
}

static void leave_slot(struct qk_act *act, const struct qk_ticker *tm)
{
    struct qk_timers *timers = timers_of(act);
    struct qk_timer_slot *slot = &timers->slots[tm->slot];
    slot->ticker = NULL;
    slot->next_free = timers->free_slot;
    timers->free_slot = tm->slot;
    timers->count--;
}

/* ---- starting */

static int make(struct qk_turn_state *t, const struct qk_rt_method *method, const ProtobufCMessage *request,
                struct qk_ticker **ret_ticker)
{
    const ProtobufCMessageDescriptor *desc = method->desc->request;
    struct qk_ticker *tm = malloc(sizeof(*tm) + desc->sizeof_message);
    if (tm == NULL)
        return QK_ENOMEMORY;
    qk_timer_init(&tm->deadline.timer);
    tm->deadline.kind = QK_DEADLINE_TICK;
    tm->baggage = NULL;
    tm->hangs = NULL;
    int rc = 0;
    if (qk_likely(method->flat_request && request->n_unknown_fields == 0)) {
        memcpy(tm->request, request, desc->sizeof_message);
    } else {
        struct qk_arena arena;
        qk_arena_init(&arena, QK_TURN_ARENA_MAX);
        rc = qk_message_copy(desc, request, (ProtobufCMessage *)tm->request, &arena);
        tm->hangs = arena.chunks;
    }
    if (rc == 0 && qk_unlikely(qk_baggage_has(t)))
        rc = qk_baggage_pass(t, &tm->baggage);
    if (rc < 0) {
        ticker_free(tm);
        return rc;
    }
    tm->method = method;
    tm->act = t->act;
    tm->request_id = t->request_id;
    *ret_ticker = tm;
    return 0;
}

static void arm(struct qk_worker *w, struct qk_ticker *tm, int64_t due)
{
    tm->worker = w;
    atomic_store_explicit(&tm->state, ARMED, memory_order_release);
    qk_wheel_place(&w->wheel, &tm->deadline.timer, due);
}

static int64_t to_ticks(int64_t ms)
{
    const int64_t each = QK_TICK_NS / 1000000;
    return ms < INT64_MAX / 4 ? ms / each : INT64_MAX / 4;
}

/* The activation's method; NULL where it is another type's. */
static const struct qk_rt_method *own_method(const struct qk_rt_type *type, const struct qk_method *m)
{
    uintptr_t place = (uintptr_t)m - (uintptr_t)type->desc->methods;
    if (qk_likely(place < type->desc->n_methods * sizeof(*m)))
        return &type->methods[place / sizeof(*m)];
    return m->type_id == type->id ? qk_type_method(type, m->id) : NULL;
}

int qk_timers_start(struct qk_turn_state *t, const struct qk_method *m, int64_t due_ms, int64_t period_ms,
                    uint32_t flags, const ProtobufCMessage *request, uint64_t *ret_id, const char **ret_why)
{
    struct qk_act *act = t->act;
    const struct qk_rt_method *method = own_method(act->type, m);
    *ret_why = "a timer calls a method of the actor's own type, with a request of the method's";
    if (method == NULL || request == NULL || request->descriptor != method->desc->request || due_ms < 0 ||
        period_ms < 0)
        return QK_EINVALID;
    *ret_why = "the activation ends";
    if (t->what == QK_TURN_DEACTIVATE)
        return QK_ESTATE;
    struct qk_timers *timers = timers_of(act);
    *ret_why = "an activation has 16,384 timers at most";
    if (timers != NULL && timers->count >= QK_TIMERS_MAX)
        return QK_EOVERLOADED;
    *ret_why = "out of memory, or the request is too large or too deep";
    if (qk_unlikely(timers == NULL || timers->free_slot == timers->room) && (timers = make_room(act)) == NULL)
        return QK_ENOMEMORY;
    struct qk_ticker *tm;
    int rc = make(t, method, request, &tm);
    if (rc < 0)
        return rc;
    struct qk_worker *w = t->worker;
    tm->keeps_active = (flags & QK_TIMER_KEEPS_ACTIVE) != 0;
    tm->period = period_ms > 0 ? to_ticks(period_ms) : 0;
    /* Rounded up, so that it is never early. */
    arm(w, tm, (w->now_ns + QK_TICK_NS - 1) / QK_TICK_NS + to_ticks(due_ms));
    uint64_t id = take_slot(timers, tm);
    if (ret_id != NULL)
        *ret_id = id;
    return 0;
}

/* ---- ending */

/* Ends a timer that has left its slot. */
static void end(struct qk_worker *w, struct qk_ticker *tm)
{
    if (atomic_exchange_explicit(&tm->state, ENDED, memory_order_acq_rel) != ARMED)
        return; /* its tick frees it */
    if (tm->worker == w) {
        qk_wheel_cancel(&w->wheel, &tm->deadline.timer);
        ticker_free(tm);
        return;
    }
    tm->memo.kind = QK_MEMO_TIMER;
    qk_worker_tell(w, tm->worker, &tm->memo);
}

int qk_timers_cancel(struct qk_turn_state *t, uint64_t id)
{
    const struct qk_timers *timers = timers_of(t->act);
    uint32_t slot = (uint32_t)id;
    if (timers == NULL || slot >= timers->room || timers->slots[slot].ticker == NULL ||
        timers->slots[slot].generation != (uint32_t)(id >> 32))
        return QK_ENOTFOUND;
    struct qk_ticker *tm = timers->slots[slot].ticker;
    leave_slot(t->act, tm);
    end(t->worker, tm);
    return 0;
}

void qk_timers_end_all(struct qk_worker *w, struct qk_act *act)
{
    struct qk_timers *timers = timers_of(act);
    if (qk_likely(timers == NULL))
        return;
    for (uint32_t i = 0; i < timers->room; i++) {
        if (timers->slots[i].ticker != NULL)
            end(w, timers->slots[i].ticker);
    }
    free(timers->slots);
    free(timers);
    qk_act_extras(act)->timers = NULL;
}

void qk_timers_told(struct qk_worker *w, struct qk_memo *memo)
{
    struct qk_ticker *tm = (struct qk_ticker *)((uint8_t *)memo - offsetof(struct qk_ticker, memo));
    qk_wheel_cancel(&w->wheel, &tm->deadline.timer);
    ticker_free(tm);
}

/* ---- ticks */

/* Without memory for its tick a timer is due again a little later; unless it has ended meanwhile, which was left to the
 * tick to see. */
static void try_again(struct qk_worker *w, struct qk_ticker *tm)
{
    uint8_t queued = QUEUED;
    qk_wheel_start(&w->wheel, &tm->deadline.timer, w->now_ns / QK_TICK_NS + 10);
    tm->worker = w;
    if (atomic_compare_exchange_strong_explicit(&tm->state, &queued, ARMED, memory_order_acq_rel, memory_order_acquire))
        return;
    qk_wheel_cancel(&w->wheel, &tm->deadline.timer);
    ticker_free(tm);
}

void qk_timers_due(struct qk_worker *w, struct qk_deadline *deadline)
{
    struct qk_ticker *tm = (struct qk_ticker *)deadline;
    uint8_t armed = ARMED;
    if (!atomic_compare_exchange_strong_explicit(&tm->state, &armed, QUEUED, memory_order_acq_rel,
                                                 memory_order_acquire))
        return; /* a memo that frees it is on its way */
    /* It was ARMED, so the activation is not yet gone; its memory stays until this worker's next round. */
    struct qk_act *act = tm->act;
    struct qk_msg *msg = qk_msg_create(w, QK_MSG_TICK, 0);
    if (msg == NULL) {
        try_again(w, tm);
        return;
    }
    msg->type = act->type;
    msg->method = tm->method;
    msg->called = tm->method->desc;
    msg->ticker = tm;
    msg->request = (ProtobufCMessage *)tm->request;
    msg->sender = "timer";
    if (tm->baggage != NULL)
        msg->baggage = qk_baggage_fork(w, tm->baggage, msg, qk_act_key(act), act->key_len);
    msg->request_id = tm->request_id;
    msg->sent_ns = w->now_ns;
    msg->deadline_ns = INT64_MAX; /* that of its turn counts from when that begins */
    /* Timers are bounded in number, so their ticks need no other bound. */
    enum qk_push pushed = qk_act_push(act, msg, QK_MAILBOX_COUNT_MAX);
    if (pushed == QK_PUSHED_SCHEDULE)
        qk_worker_schedule(w, act, false);
    if (pushed <= QK_PUSHED_SCHEDULE)
        return;
    /* The activation is gone, so whoever held it has ended the timer, and looks at it no more. */
    unsigned state = atomic_load_explicit(&tm->state, memory_order_acquire);
    assert(state == ENDED);
    qk_timers_drop(w, msg);
}

bool qk_timers_begin(struct qk_worker *w, struct qk_msg *msg)
{
    uint8_t queued = QUEUED;
    if (!atomic_compare_exchange_strong_explicit(&msg->ticker->state, &queued, RUNNING, memory_order_acq_rel,
                                                 memory_order_acquire))
        return false;
    /* However long it has waited, no other tick will come in its place. */
    uint32_t own_ms = msg->method->desc->deadline_ms;
    msg->deadline_ns = w->now_ns + (int64_t)(own_ms != 0 ? own_ms : w->rt->config.default_timeout_ms) * 1000000;
    return true;
}

bool qk_timers_keeps_active(const struct qk_msg *msg)
{
    return msg->ticker->keeps_active;
}

void qk_timers_drop(struct qk_worker *w, struct qk_msg *msg)
{
    if (qk_unlikely(msg->baggage != NULL) && msg->baggage->recorder != NULL)
        qk_recorder_end(w, msg->baggage, QK_ECANCELLED);
    ticker_free(msg->ticker);
    qk_msg_destroy(w, msg);
}

void qk_timers_complete(struct qk_worker *w, struct qk_msg *msg)
{
    struct qk_ticker *tm = msg->ticker;
    bool ended = atomic_load_explicit(&tm->state, memory_order_acquire) == ENDED;
    if (!ended && tm->period == 0) {
        leave_slot(tm->act, tm);
        ended = true;
    }
    if (ended) {
        qk_timers_drop(w, msg);
        return;
    }
    /* On the beat that it was started with, without making up for beats that were missed. */
    qk_worker_read_clock(w);
    int64_t now = w->now_ns / QK_TICK_NS;
    int64_t due = tm->deadline.timer.expiry + tm->period;
    if (due <= now)
        due += (now - due) / tm->period * tm->period + tm->period;
    qk_msg_destroy(w, msg);
    arm(w, tm, due);
}
