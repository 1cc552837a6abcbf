/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journals: states that are made of events.
 *
 *   load     reads the snapshot, then the events behind it page by page; folds them into a state of its own, which
 *            becomes the activation's when all are in. Until then other turns see the old one
 *   append   stores the events, folds them, and now and then stores the state as a snapshot
 *   replay   reads pages and hands the events out; changes nothing
 *
 * The author's function that folds an event runs on the fiber; packing, checking and unpacking on the worker's own
 * stack, one step at a time (state.c). Load and append keep other operations of the activation waiting from their first
 * step to their last, so that journal, state and position change together. What is folded at an append are the bytes
 * that were stored, unpacked again: what can't be read back is never stored, and a load comes to the same state.
 *
 * A snapshot only shortens loading. One that was not written, or not for long, costs nothing but further events to
 * fold; nothing is ever taken out of the journal.
 */
#include "runtime/state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "wire/check.h"
#include "wire/message.h"

#define PAGE_EVENTS 256
#define ARENA_MAX   (2 * QK_MESSAGE_ARENA_MAX) /* what a page's events take is bounded by half of it */
#define TEXT_MAX    256

/* The text of an error, in the turn's arena. */
static const char *say(struct qk_turn_state *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static const char *say(struct qk_turn_state *t, const char *format, ...)
{
    char *text = qk_arena_alloc(&t->arena, TEXT_MAX);
    if (text == NULL)
        return "";
    va_list args;
    va_start(args, format);
    vsnprintf(text, TEXT_MAX, format, args);
    va_end(args);
    return text;
}

static int fail(struct qk_turn_state *t, int status, const char *text)
{
    t->error_text = text;
    return status;
}

/* "the event at position 7 of ledger/alice ..." */
static const char *say_event(struct qk_turn_state *t, uint64_t position, const char *what)
{
    return say(t, "the event at position %" PRIu64 " of %.64s/%.100s %s", position, t->act->type->desc->name,
               qk_act_key(t->act), what);
}

/* ---- pages */

static struct qk_page *page_open(struct qk_turn_state *t)
{
    struct qk_page *page = calloc(1, sizeof(*page));
    if (page == NULL)
        return NULL;
    qk_arena_init(&page->arena, ARENA_MAX);
    page->next = t->pages;
    t->pages = page;
    return page;
}

/* The newest of the turn: operations inside one another end in reverse order. */
static void page_close(struct qk_turn_state *t)
{
    struct qk_page *page = t->pages;
    t->pages = page->next;
    qk_arena_finish(&page->arena);
    free(page);
}

void qk_journal_unwind(struct qk_turn_state *t)
{
    while (t->pages != NULL)
        page_close(t);
}

static int page_begin(struct qk_page *page, uint64_t first, uint32_t max)
{
    qk_arena_reset(&page->arena);
    page->bytes = 0;
    page->first = first;
    page->n = 0;
    page->events = qk_arena_alloc(&page->arena, ((size_t)max + 1) * sizeof(ProtobufCMessage *));
    return page->events != NULL ? 0 : QK_ENOMEMORY;
}

/* Puts an event from its bytes behind the others. QK_EINVALID, QK_ETOOBIG: it is none, or beyond the limits;
 * QK_EOVERLOADED: the page is full. */
static int page_add(struct qk_page *page, const ProtobufCMessageDescriptor *desc, const uint8_t *bytes, size_t size)
{
    int64_t bound = qk_wire_check(desc, bytes, size);
    if (bound < 0)
        return (int)bound;
    if (page->n > 0 && page->bytes + (size_t)bound > QK_MESSAGE_ARENA_MAX)
        return QK_EOVERLOADED;
    ProtobufCAllocator allocator = qk_wire_allocator(&page->arena);
    ProtobufCMessage *event = protobuf_c_message_unpack(desc, &allocator, size, bytes);
    if (event == NULL)
        return QK_ENOMEMORY;
    page->bytes += (size_t)bound;
    page->events[page->n++] = event;
    return 0;
}

/* Folds a page into a state, and counts on; on the fiber. Also for a turn whose activation has failed: should that go
 * on, its state has to be what is stored. */
static int fold(struct qk_turn_state *t, struct qk_journal_work *work, void *state)
{
    const struct qk_page *page = work->page;
    for (uint32_t i = 0; i < page->n; i++) {
        int rc = t->act->type->desc->apply(state, page->events[i]);
        if (rc < 0) {
            char what[64];
            snprintf(what, sizeof(what), "can't be applied to the state (status %d)", rc);
            return fail(t, rc, say_event(t, page->first + i, what));
        }
        work->position = page->first + i;
    }
    return 0;
}

/* ---- steps, on the worker's stack */

/* Packs the events behind their heads, and unpacks them again into the page. */
static int pack_events(struct qk_state_wait *wait, struct qk_port_frame *frame, const char **ret_text)
{
    struct qk_journal_work *work = wait->work;
    const ProtobufCMessageDescriptor *desc = wait->fiber->turn.act->type->desc->event;
    uint8_t *at = frame->bytes + frame->key_len;
    int rc = page_begin(work->page, work->position + 1, work->n_events);
    for (uint32_t i = 0; i < work->n_events && rc == 0; i++) {
        const ProtobufCMessage *event =
            (const ProtobufCMessage *)(const void *)((const uint8_t *)work->events + i * desc->sizeof_message);
        size_t size = protobuf_c_message_get_packed_size(event);
        at = qk_port_event_put(at, 0, (uint32_t)size);
        protobuf_c_message_pack(event, at);
        rc = page_add(work->page, desc, at, size);
        at += size;
    }
    if (rc == QK_EINVALID)
        *ret_text = "an event is no message that could be read again: it has text that is not UTF-8, or is too deep";
    else if (rc == QK_ETOOBIG || rc == QK_EOVERLOADED)
        *ret_text = "the events are beyond the limits of a message";
    return rc == QK_EOVERLOADED ? QK_ETOOBIG : rc;
}

static int ask_append(struct qk_state_wait *wait, struct qk_port_frame **ret_frame, const char **ret_text)
{
    const struct qk_journal_work *work = wait->work;
    const struct qk_act *act = wait->fiber->turn.act;
    const ProtobufCMessageDescriptor *desc = act->type->desc->event;
    if (work->position != qk_journal_of(act)->position) {
        *ret_text = "another turn of the activation has appended meanwhile";
        return QK_ECONFLICT;
    }
    size_t sum = 0;
    for (uint32_t i = 0; i < work->n_events && sum <= QK_PAYLOAD_MAX; i++)
        sum += sizeof(struct qk_port_event) +
               protobuf_c_message_get_packed_size(
                   (const ProtobufCMessage *)(const void *)((const uint8_t *)work->events + i * desc->sizeof_message));
    if (sum > QK_PAYLOAD_MAX) {
        *ret_text = "the events together are larger than 4 MiB";
        return QK_ETOOBIG;
    }
    *ret_frame = qk_state_frame(act, QK_STORE_APPEND, sum);
    if (*ret_frame == NULL)
        return QK_ENOMEMORY;
    (*ret_frame)->version = work->position;
    (*ret_frame)->count = work->n_events;
    return pack_events(wait, *ret_frame, ret_text);
}

/* A snapshot that could not be read would be worse than none. */
static int ask_snapshot(const struct qk_state_wait *wait, struct qk_port_frame **ret_frame, const char **ret_text)
{
    const struct qk_act *act = wait->fiber->turn.act;
    const ProtobufCMessage *state = (const ProtobufCMessage *)(const void *)act->body;
    size_t size = protobuf_c_message_get_packed_size(state);
    if (size > QK_PAYLOAD_MAX - QK_SNAPSHOT_HEAD) {
        *ret_text = "the state is larger than 4 MiB";
        return QK_ETOOBIG;
    }
    *ret_frame = qk_state_frame(act, QK_STORE_WRITE, QK_SNAPSHOT_HEAD + size);
    if (*ret_frame == NULL)
        return QK_ENOMEMORY;
    uint8_t *at = (*ret_frame)->bytes + act->key_len;
    qk_port_snapshot_put(at, wait->work->position);
    protobuf_c_message_pack(state, at + QK_SNAPSHOT_HEAD);
    int64_t bound = qk_wire_check(act->type->desc->state, at + QK_SNAPSHOT_HEAD, size);
    if (bound < 0)
        *ret_text = "the state is no message that could be read again, or is beyond the limits";
    return bound < 0 ? (int)bound : 0;
}

int qk_journal_ask(struct qk_state_wait *wait, struct qk_port_frame **ret_frame, const char **ret_text)
{
    const struct qk_act *act = wait->fiber->turn.act;
    *ret_text = "out of memory";
    if (wait->step == QK_STEP_APPEND)
        return ask_append(wait, ret_frame, ret_text);
    if (wait->step == QK_STEP_SNAPSHOT_WRITE)
        return ask_snapshot(wait, ret_frame, ret_text);
    *ret_frame = qk_state_frame(act, wait->step == QK_STEP_REPLAY ? QK_STORE_REPLAY : QK_STORE_READ, 0);
    if (*ret_frame == NULL)
        return QK_ENOMEMORY;
    if (wait->step == QK_STEP_REPLAY) {
        (*ret_frame)->version = wait->work->position;
        (*ret_frame)->count = PAGE_EVENTS;
    }
    return 0;
}

/* Makes the state that the events are folded into. */
static int take_snapshot(struct qk_state_wait *wait, const struct qk_port_frame *frame, const char **ret_text)
{
    struct qk_journal_work *work = wait->work;
    const ProtobufCMessageDescriptor *desc = wait->fiber->turn.act->type->desc->state;
    work->version = frame->version;
    if (frame->version == 0) {
        work->state = malloc(desc->sizeof_message);
        if (work->state == NULL)
            return QK_ENOMEMORY;
        desc->message_init(work->state);
        return 0;
    }
    const uint8_t *bytes = qk_port_frame_payload(frame);
    size_t head = qk_port_snapshot_head(bytes, frame->payload_len, &work->snapshot);
    int64_t bound = qk_wire_check(desc, bytes + head, frame->payload_len - head);
    if (bound >= 0)
        work->state = protobuf_c_message_unpack(desc, NULL, frame->payload_len - head, bytes + head);
    if (work->state == NULL) {
        *ret_text = say(&wait->fiber->turn,
                        "the snapshot of %.64s/%.100s at position %" PRIu64
                        " is not a message of the state's type, or is beyond the limits",
                        wait->fiber->turn.act->type->desc->name, qk_act_key(wait->fiber->turn.act), work->snapshot);
        return bound < 0 ? (int)bound : QK_EINVALID;
    }
    work->position = work->snapshot;
    return 0;
}

/* One event of a page that was read. One that is wrong ends the page where others stand before it: its turn comes with
 * the next. */
static int take_event(struct qk_state_wait *wait, const struct qk_port_event *event, const uint8_t *bytes,
                      const char **ret_text)
{
    struct qk_turn_state *t = &wait->fiber->turn;
    struct qk_page *page = wait->work->page;
    uint64_t position = page->first + page->n;
    int rc = event->position == position ? page_add(page, t->act->type->desc->event, bytes, event->size) : -EBADMSG;
    if (rc < 0 && page->n == 0 && rc != QK_ENOMEMORY)
        *ret_text = say_event(t, position,
                              rc == -EBADMSG ? "is missing from the journal"
                                             : "is not a message of the events' type, or is beyond the limits");
    return rc;
}

static int take_page(struct qk_state_wait *wait, const struct qk_port_frame *frame, const char **ret_text)
{
    struct qk_journal_work *work = wait->work;
    const uint8_t *at = qk_port_frame_payload(frame), *end = at + frame->payload_len, *bytes;
    struct qk_port_event event;
    int rc = page_begin(work->page, work->position + 1, frame->count);
    work->more = frame->more != 0;
    while (rc == 0 && work->page->n < frame->count && (bytes = qk_port_event_next(&at, end, &event)) != NULL)
        rc = take_event(wait, &event, bytes, ret_text);
    if (rc < 0 && rc != QK_ENOMEMORY && work->page->n > 0) {
        work->more = true;
        rc = 0;
    }
    work->more = work->more && work->page->n > 0; /* where nothing came, nothing will */
    return rc;
}

int qk_journal_take(struct qk_state_wait *wait, const struct qk_port_frame *frame, const char **ret_text)
{
    struct qk_stored *stored = qk_stored_of(wait->fiber->turn.act);
    /* After a conflict too: the next snapshot takes the place of one that somebody else has written. */
    if (wait->step == QK_STEP_SNAPSHOT_WRITE && (frame->status >= 0 || frame->status == QK_ECONFLICT))
        stored->version = frame->version;
    if (frame->status < 0)
        return frame->status;
    *ret_text = "out of memory";
    if (wait->step == QK_STEP_SNAPSHOT_READ)
        return take_snapshot(wait, frame, ret_text);
    return wait->step == QK_STEP_REPLAY ? take_page(wait, frame, ret_text) : 0;
}

void qk_journal_finish(struct qk_state_wait *wait)
{
    struct qk_journal_work *work = wait->work;
    struct qk_act *act = wait->fiber->turn.act;
    const ProtobufCMessageDescriptor *desc = act->type->desc->state;
    if (work->state == NULL)
        return;
    if (work->folded) {
        /* What hangs on the message moves; only the struct itself is freed. */
        ProtobufCMessage *state = (ProtobufCMessage *)(void *)act->body;
        qk_message_clear(desc, state);
        memcpy(state, work->state, desc->sizeof_message);
        qk_stored_of(act)->version = work->version;
        *qk_journal_of(act) =
            (struct qk_journal){.position = work->position, .snapshot = work->snapshot, .loaded = true};
    } else {
        qk_message_clear(desc, work->state);
    }
    free(work->state);
}

/* ---- operations, on the fiber */

static int no_journal(struct qk_turn_state *t)
{
    return fail(t, QK_EINVALID, "this actor type has no journal: its declaration names no `event`");
}

int qk_journal_load(struct qk_turn_state *t)
{
    struct qk_journal_work work = {.page = page_open(t), .more = true};
    struct qk_state_wait wait = {.fiber = t->fiber, .work = &work, .keeps = true};
    if (work.page == NULL)
        return fail(t, QK_ENOMEMORY, "out of memory");
    int rc = qk_state_step(&wait, QK_STEP_SNAPSHOT_READ);
    while (rc == 0 && work.more && !t->doomed) {
        rc = qk_state_step(&wait, QK_STEP_REPLAY);
        if (rc == 0)
            rc = fold(t, &work, work.state);
    }
    work.folded = rc == 0 && !t->doomed;
    page_close(t);
    qk_state_step(&wait, QK_STEP_FINISH);
    return rc;
}

/* Stores the state as well, where it is time to. */
static void snapshot(struct qk_turn_state *t, struct qk_state_wait *wait)
{
    struct qk_journal *journal = qk_journal_of(t->act);
    uint32_t every = t->act->type->desc->snapshot_every;
    if (journal->position - journal->snapshot < (every != 0 ? every : QK_SNAPSHOT_EVERY))
        return;
    journal->snapshot = journal->position;
    int rc = qk_state_step(wait, QK_STEP_SNAPSHOT_WRITE);
    if (rc < 0 && rc != QK_ECONFLICT)
        qk_runtime_log(t->worker->rt, QK_LOG_WARNING, t->act, t->request_id,
                       "the snapshot at position %" PRIu64 " could not be stored (status %d): %s", journal->position,
                       rc, t->error_text);
}

/* What is wrong with what is to be appended; 0 when nothing is. */
static int check_append(struct qk_turn_state *t, const ProtobufCMessage *events, uint32_t n)
{
    const struct qk_act *act = t->act;
    if (!act->type->journaled)
        return no_journal(t);
    if (n < 1 || n > QK_EVENTS_MAX)
        return fail(t, QK_EINVALID, "an append has 1 to 1,024 events");
    if (qk_journal_of(act)->loaded == 0)
        return fail(t, QK_ESTATE, "the state has not been loaded yet, so it is not known where the journal ends");
    const ProtobufCMessageDescriptor *desc = act->type->desc->event;
    for (uint32_t i = 0; i < n; i++) {
        const void *event = (const uint8_t *)events + i * desc->sizeof_message;
        if (((const ProtobufCMessage *)event)->descriptor != desc)
            return fail(t, QK_EINVALID, "a message is not of the events' type, or was not initialised");
    }
    return 0;
}

int qk_journal_append(struct qk_turn_state *t, const ProtobufCMessage *events, uint32_t n)
{
    int rc = check_append(t, events, n);
    if (rc < 0)
        return rc;
    struct qk_journal *journal = qk_journal_of(t->act);
    struct qk_journal_work work = {
        .page = page_open(t), .events = events, .n_events = n, .position = journal->position};
    struct qk_state_wait wait = {.fiber = t->fiber, .work = &work, .keeps = true};
    if (work.page == NULL)
        return fail(t, QK_ENOMEMORY, "out of memory");
    rc = qk_state_step(&wait, QK_STEP_APPEND);
    bool stored = rc == 0;
    if (stored)
        rc = fold(t, &work, t->act->body);
    if (stored && rc == 0) {
        journal->position = work.position;
        if (!t->doomed)
            snapshot(t, &wait);
        t->error_text = "";
    } else if (stored) {
        journal->spoilt = true;
    }
    page_close(t);
    qk_state_step(&wait, QK_STEP_FINISH);
    if (stored && rc < 0) /* the state is not what the journal says */
        qk_turn_unwind(t, QK_FAILURE_PANIC, QK_ECRASHED, t->error_text);
    return rc;
}

uint64_t qk_journal_position(const struct qk_turn_state *t)
{
    return t->act->type->journaled ? qk_journal_of(t->act)->position : 0;
}

bool qk_journal_is_spoilt(const struct qk_act *act)
{
    return act->type->journaled && qk_journal_of(act)->spoilt;
}

static bool is_cut_short(const struct qk_turn_state *t)
{
    struct qk_runtime *rt = t->worker->rt;
    return qk_runtime_phase(rt) >= QK_RUNTIME_STOPPING && t->worker->now_ns >= atomic_load(&rt->stop_ns);
}

int qk_journal_replay(struct qk_turn_state *t, uint64_t from, qk_event_fn fn, void *arg)
{
    if (!t->act->type->journaled)
        return no_journal(t);
    if (fn == NULL)
        return fail(t, QK_EINVALID, "there is no function to take the events");
    struct qk_journal_work work = {.page = page_open(t), .more = true, .position = from > 0 ? from - 1 : 0};
    if (work.position > INT64_MAX) /* which no store gets to */
        work.position = INT64_MAX;
    struct qk_state_wait wait = {.fiber = t->fiber, .work = &work};
    if (work.page == NULL)
        return fail(t, QK_ENOMEMORY, "out of memory");
    int rc = 0;
    while (rc == 0 && work.more) {
        rc = is_cut_short(t) ? fail(t, QK_ECANCELLED, "the silo stops") : qk_state_step(&wait, QK_STEP_REPLAY);
        for (uint32_t i = 0; rc == 0 && i < work.page->n && !t->doomed; i++) {
            rc = fn(arg, work.page->first + i, work.page->events[i]);
            work.position = work.page->first + i;
        }
        if (t->doomed || (t->limit_ms != 0 && qk_limit_has_passed(t)))
            break; /* it does not go back to the handler */
    }
    page_close(t);
    return rc;
}
