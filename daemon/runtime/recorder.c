/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recording what one call causes: each message that is sent on its behalf is a span, which its turn fills in.
 *
 * A recorder lives as long as a block of context names it. It takes spans until its call is answered; then it gives
 * them away and its memory back, and whatever still runs for the call is recorded no more. The answer waits a moment
 * for what was sent one way on the call's behalf: whoever ends the last of it sends the answer, or a timer of the
 * worker that holds it back does.
 */
#include "runtime/context.h"
#include "runtime/frames.h"

#include <stdlib.h>
#include "wire/spans.h"

#define CHUNK  64
#define CHUNKS (QK_TRACE_SPANS_MAX / CHUNK)

/* A span while it is recorded; times on the runtime's clock. */
struct record {
    struct qk_span span; /* names that stay, and the key in the arena */
    int64_t sent_ns;
    int64_t begun_ns;
    int64_t ended_ns;
    int64_t run_ns;
    bool suspended; /* once, at least */
};

struct qk_recorder {
    atomic_uint refs;
    struct qk_spin lock; /* of what follows */
    bool closed;
    uint32_t n;
    uint32_t open;              /* of these, how many have not ended */
    struct qk_port_frame *held; /* the answer, when it waits for them */
    uint64_t left_out;
    struct record *chunks[CHUNKS]; /* in the arena */
    struct qk_arena arena;
    uint8_t trace_id[16];
    /* Of the worker that has held it back. */
    struct qk_worker *home;
    struct qk_deadline deadline;
    struct qk_recorder *next;
    struct qk_recorder **link;
};

#define MARGIN_NS (10 * (int64_t)1000000) /* so much earlier than its deadline an answer goes out */

static int64_t now_of(const struct qk_worker *w)
{
    return w->rt->config.now_ns(w->rt->config.clock_arg);
}

struct qk_recorder *qk_recorder_create(struct qk_runtime *rt, int *ret_status)
{
    if (atomic_fetch_add(&rt->recorders, 1) >= QK_TRACES_MAX) {
        atomic_fetch_sub(&rt->recorders, 1);
        *ret_status = QK_EOVERLOADED;
        return NULL;
    }
    struct qk_recorder *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        atomic_fetch_sub(&rt->recorders, 1);
        *ret_status = QK_ENOMEMORY;
        return NULL;
    }
    atomic_init(&r->refs, 1);
    qk_arena_init(&r->arena, QK_TRACE_BYTES_MAX);
    return r;
}

struct qk_recorder *qk_recorder_ref(struct qk_recorder *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void qk_recorder_unref(struct qk_recorder *r)
{
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    qk_arena_finish(&r->arena);
    free(r);
}

/* The span with this number, from 1; NULL when it was left out, or all is over. Under the lock. */
static struct record *record_at(struct qk_recorder *r, uint32_t number)
{
    if (r->closed || number == 0)
        return NULL;
    return &r->chunks[(number - 1) / CHUNK][(number - 1) % CHUNK];
}

static struct record *make(struct qk_recorder *r, const char *key, uint32_t key_len)
{
    if (r->n == QK_TRACE_SPANS_MAX)
        return NULL;
    struct record **chunk = &r->chunks[r->n / CHUNK];
    if (*chunk == NULL)
        *chunk = qk_arena_alloc(&r->arena, CHUNK * sizeof(**chunk));
    char *copy = *chunk != NULL ? qk_arena_alloc(&r->arena, key_len + 1u) : NULL;
    if (copy == NULL)
        return NULL;
    memcpy(copy, key, key_len);
    struct record *record = &(*chunk)[r->n % CHUNK];
    *record = (struct record){.span = {.key = copy, .key_len = key_len, .state = QK_SPAN_WAITS}};
    r->n++;
    r->open++;
    return record;
}

uint32_t qk_recorder_add(struct qk_worker *w, struct qk_recorder *r, const struct qk_span *span)
{
    uint32_t number = 0;
    int64_t now = now_of(w);
    qk_spin_lock(&r->lock);
    struct record *record = r->closed ? NULL : make(r, span->key, span->key_len);
    if (record != NULL) {
        const char *key = record->span.key;
        record->span = *span;
        record->span.key = key;
        record->sent_ns = now;
        number = r->n;
    } else if (!r->closed) {
        r->left_out++;
    }
    qk_spin_unlock(&r->lock);
    return number;
}

void qk_recorder_begin(struct qk_worker *w, struct qk_turn_state *t)
{
    struct qk_recorder *r = t->baggage->recorder;
    int64_t now = now_of(w);
    qk_spin_lock(&r->lock);
    struct record *record = record_at(r, t->baggage->number);
    if (record != NULL) {
        record->begun_ns = now;
        record->span.state = QK_SPAN_RUNS;
        record->span.worker = w->index;
    }
    t->recorded = record != NULL;
    qk_spin_unlock(&r->lock);
}

void qk_recorder_ran(struct qk_worker *w, struct qk_turn_state *t)
{
    struct qk_recorder *r = t->baggage->recorder;
    int64_t now = now_of(w);
    qk_spin_lock(&r->lock);
    struct record *record = record_at(r, t->baggage->number);
    if (record != NULL) {
        record->run_ns += now - t->entered_ns;
        record->suspended |= !t->fiber->finished;
    }
    qk_spin_unlock(&r->lock);
}

void qk_recorder_enter(struct qk_worker *w, struct qk_turn_state *t)
{
    t->entered_ns = now_of(w);
}

/* The span as it goes out, at the time `now`. */
static struct qk_span as_of(const struct record *record, int64_t first_ns, int64_t now)
{
    struct qk_span span = record->span;
    int64_t end = record->span.state == QK_SPAN_ENDED ? record->ended_ns : now;
    int64_t begun = record->begun_ns != 0 ? record->begun_ns : end;
    int64_t away = record->suspended ? end - begun - record->run_ns : 0;
    span.start_ns = (uint64_t)(record->sent_ns - first_ns);
    span.queued_ns = (uint64_t)(begun - record->sent_ns);
    span.run_ns = (uint64_t)record->run_ns;
    span.suspended_ns = away > 0 ? (uint64_t)away : 0;
    return span;
}

void qk_recorder_name(struct qk_recorder *r, const uint8_t trace_id[16])
{
    memcpy(r->trace_id, trace_id, sizeof(r->trace_id));
}

/* Ends the recording. What it has as a quark.wire.Spans, to be freed; NULL without memory, or the second time. */
static uint8_t *close_recording(struct qk_worker *w, struct qk_recorder *r, size_t *ret_size)
{
    qk_spin_lock(&r->lock);
    bool closed = r->closed;
    r->closed = true;
    qk_spin_unlock(&r->lock);
    if (closed)
        return NULL;
    /* From here on nobody else looks at the spans. */
    atomic_fetch_sub(&w->rt->recorders, 1);
    int64_t now = now_of(w);
    size_t room = QK_SPANS_END_MAX + r->n * (size_t)QK_SPAN_PACKED_MAX;
    for (uint32_t i = 0; i < r->n; i++)
        room += r->chunks[i / CHUNK][i % CHUNK].span.key_len;
    uint8_t *bytes = malloc(room), *at = bytes;
    for (uint32_t i = 0; bytes != NULL && i < r->n; i++) {
        struct qk_span span = as_of(&r->chunks[i / CHUNK][i % CHUNK], r->chunks[0][0].sent_ns, now);
        at = qk_spans_put(at, &span);
    }
    if (bytes != NULL)
        *ret_size = (size_t)(qk_spans_put_end(at, r->left_out, r->trace_id) - bytes);
    qk_arena_finish(&r->arena);
    return bytes;
}

/* The worker holds nothing back for it any more. */
static void let_go(struct qk_worker *w, struct qk_recorder *r)
{
    qk_wheel_cancel(&w->wheel, &r->deadline.timer);
    *r->link = r->next;
    if (r->next != NULL)
        r->next->link = r->link;
    r->link = NULL;
    qk_recorder_unref(r);
}

/* Sends the answer. The caller has a reference. */
static void send_answer(struct qk_worker *w, struct qk_recorder *r, struct qk_port_frame *reply)
{
    size_t size = 0;
    uint8_t *bytes = close_recording(w, r, &size);
    if (bytes != NULL)
        reply = qk_frames_add_spans(reply, bytes, size);
    free(bytes);
    qk_frames_out(w, reply);
    if (r->home == w && r->link != NULL)
        let_go(w, r);
}

void qk_recorder_answer(struct qk_worker *w, struct qk_recorder *r, struct qk_port_frame *reply, int64_t deadline_ns)
{
    int64_t until_ns = w->now_ns + QK_TRACE_WAIT_MS * (int64_t)1000000;
    if (until_ns > deadline_ns - MARGIN_NS)
        until_ns = deadline_ns - MARGIN_NS;
    bool may_wait = until_ns > w->now_ns && qk_runtime_phase(w->rt) == QK_RUNTIME_RUNNING;
    qk_spin_lock(&r->lock);
    bool waits = may_wait && r->open > 0 && !r->closed;
    if (waits) {
        r->home = w;
        r->held = reply;
    }
    qk_spin_unlock(&r->lock);
    if (!waits) {
        send_answer(w, r, reply);
        return;
    }
    qk_recorder_ref(r);
    r->next = w->holds;
    r->link = &w->holds;
    if (r->next != NULL)
        r->next->link = &r->next;
    w->holds = r;
    r->deadline = (struct qk_deadline){.kind = QK_DEADLINE_TRACE};
    qk_wheel_start(&w->wheel, &r->deadline.timer, until_ns / QK_TICK_NS + 1);
}

/* Sends what is still held back, on the worker that does so. */
static void release(struct qk_worker *w, struct qk_recorder *r)
{
    qk_spin_lock(&r->lock);
    struct qk_port_frame *reply = r->held;
    r->held = NULL;
    qk_spin_unlock(&r->lock);
    if (reply != NULL)
        send_answer(w, r, reply);
    else
        let_go(w, r);
}

void qk_recorder_due(struct qk_worker *w, struct qk_deadline *deadline)
{
    release(w, (struct qk_recorder *)((uint8_t *)deadline - offsetof(struct qk_recorder, deadline)));
}

void qk_recorder_release_all(struct qk_worker *w)
{
    while (w->holds != NULL)
        release(w, w->holds);
}

void qk_recorder_end(struct qk_worker *w, const struct qk_baggage *b, int status)
{
    struct qk_recorder *r = b->recorder;
    int64_t now = now_of(w);
    struct qk_port_frame *reply = NULL;
    qk_spin_lock(&r->lock);
    struct record *record = record_at(r, b->number);
    if (record != NULL && record->span.state != QK_SPAN_ENDED) {
        record->span.state = QK_SPAN_ENDED;
        record->span.status = status;
        record->ended_ns = now;
        /* On a fiber nothing is packed: there the turn that is recorded as the sender ends later. */
        if (--r->open == 0 && w->running == NULL) {
            reply = r->held;
            r->held = NULL;
        }
    }
    qk_spin_unlock(&r->lock);
    if (reply != NULL)
        send_answer(w, r, reply);
}
