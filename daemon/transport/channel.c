/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames in, frames out. One lock in private memory covers the writer, what waits for room and the questions; the
 * reader needs it only to match answers with questions, once for all frames of a round.
 */
#include "transport/channel.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <quark/status.h>
#include "transport/flat.h"
#include "transport/questions.h"

#define PIECE_BYTES      (8 << 10) /* of a large frame; others wait for a few of these at most */
#define LANES            256
#define LOGS_WAITING_MAX 4096 /* frames that wait, beyond which log lines are dropped */

enum tag { TAG_FRAME = 1, TAG_FIRST = 2, TAG_MORE = 3 };

/* Frames that wait for room; `call_id` holds the number that goes out with them. */
struct line {
    struct qk_port_frame *first;
    struct qk_port_frame **last;
};

struct qk_channel {
    struct qk_channel_config config;
    struct qk_pair *pair;
    pthread_mutex_t lock;
    struct qk_questions questions;
    struct line small;
    struct line large;
    size_t large_sent;     /* bytes of the first large frame that are in the ring already */
    uint32_t lanes[LANES]; /* large frames that wait, by the actors that they are for */
    uint32_t waiting;      /* frames in both lines */
    size_t waiting_bytes;
    uint32_t asked; /* of the other side, unanswered */
    bool closed;    /* by qk_channel_abandon() */
    int closed_status;
    const char *closed_text;
    atomic_bool broken;  /* the other side's index was impossible: nothing goes out any more */
    atomic_bool stuck;   /* something waits for room */
    atomic_bool choked;  /* far too much does */
    atomic_uint pending; /* unanswered questions of this side */
    /* The reader's. */
    struct qk_port_frame *coming; /* a large frame, as far as it has come */
    size_t come;
};

int qk_channel_create(const struct qk_channel_config *config, struct qk_channel **ret_channel)
{
    struct qk_channel *ch = calloc(1, sizeof(*ch));
    if (ch == NULL)
        return -ENOMEM;
    ch->config = *config;
    ch->pair = config->pair;
    ch->small.last = &ch->small.first;
    ch->large.last = &ch->large.first;
    qk_questions_init(&ch->questions, config->questions_max);
    pthread_mutex_init(&ch->lock, NULL);
    *ret_channel = ch;
    return 0;
}

static void free_chain(struct qk_port_frame *frame)
{
    while (frame != NULL) {
        struct qk_port_frame *next = frame->next;
        qk_port_frame_destroy(frame);
        frame = next;
    }
}

void qk_channel_destroy(struct qk_channel *ch)
{
    if (ch == NULL)
        return;
    free_chain(ch->small.first);
    free_chain(ch->large.first);
    qk_port_frame_destroy(ch->coming);
    qk_questions_finish(&ch->questions);
    pthread_mutex_destroy(&ch->lock);
    free(ch);
}

/* ---- sending; under the lock */

static void put_in_line(struct line *line, struct qk_port_frame *frame)
{
    frame->next = NULL;
    *line->last = frame;
    line->last = &frame->next;
}

static struct qk_port_frame *take_from_line(struct line *line)
{
    struct qk_port_frame *frame = line->first;
    line->first = frame->next;
    if (line->first == NULL)
        line->last = &line->first;
    return frame;
}

static uint32_t *lane_of(struct qk_channel *ch, const struct qk_port_frame *frame)
{
    uint64_t hash = frame->type_id;
    for (uint32_t i = 0; i < frame->key_len; i++)
        hash = (hash ^ frame->bytes[i]) * UINT64_C(0x100000001b3);
    return &ch->lanes[(hash ^ hash >> 32) % LANES];
}

static bool is_for_actor(const struct qk_port_frame *frame)
{
    return frame->kind == QK_PORT_CALL || frame->kind == QK_PORT_SEND;
}

static bool is_large(const struct qk_port_frame *frame)
{
    return sizeof(struct qk_flat) + qk_port_frame_size(frame) > QK_RING_RECORD_MAX;
}

/* Whether a frame has to go behind the large ones that wait: so that none overtakes another on its way to an actor, and
 * a cancellation not what it cancels. */
static bool goes_behind(struct qk_channel *ch, const struct qk_port_frame *frame)
{
    if (ch->large.first == NULL)
        return is_large(frame);
    return is_large(frame) || frame->kind == QK_PORT_CANCEL || (is_for_actor(frame) && *lane_of(ch, frame) != 0);
}

static int put_whole(struct qk_channel *ch, const struct qk_port_frame *frame)
{
    struct qk_flat flat;
    qk_flat_from_frame(frame, frame->call_id, &flat);
    const struct qk_ring_piece pieces[] = {{&flat, sizeof(flat)}, {frame->bytes, qk_port_frame_size(frame)}};
    return qk_ring_put(&ch->pair->out, TAG_FRAME, pieces, 2);
}

/* The next piece of the first large frame. 1 when that was the last. */
static int put_piece(struct qk_channel *ch, const struct qk_port_frame *frame)
{
    struct qk_flat flat;
    size_t left = qk_port_frame_size(frame) - ch->large_sent, n = left < PIECE_BYTES ? left : PIECE_BYTES;
    bool first = ch->large_sent == 0;
    qk_flat_from_frame(frame, frame->call_id, &flat);
    const struct qk_ring_piece pieces[] = {{&flat, sizeof(flat)}, {frame->bytes + ch->large_sent, n}};
    int rc = qk_ring_put(&ch->pair->out, first ? TAG_FIRST : TAG_MORE, pieces + !first, 1 + first);
    if (rc < 0)
        return rc;
    ch->large_sent += n;
    return n == left;
}

static void drop_waiting(struct qk_channel *ch, struct line *line)
{
    struct qk_port_frame *frame = take_from_line(line);
    ch->waiting--;
    ch->waiting_bytes -= qk_port_frame_size(frame);
    if (line == &ch->large) {
        ch->large_sent = 0;
        if (is_for_actor(frame))
            --*lane_of(ch, frame);
    }
    qk_port_frame_destroy(frame);
}

/* Small frames first, then pieces of large ones while the ring is nearly empty. 0, -EAGAIN, QK_EPROTOCOL. */
static int push_once(struct qk_channel *ch)
{
    int rc = 0;
    while (ch->small.first != NULL && (rc = put_whole(ch, ch->small.first)) == 0)
        drop_waiting(ch, &ch->small);
    while (rc == 0 && ch->large.first != NULL) {
        if (qk_ring_unread(&ch->pair->out) > ch->pair->ring_bytes / 4)
            return -EAGAIN;
        /* What only stays behind a large one goes whole. */
        rc = is_large(ch->large.first) ? put_piece(ch, ch->large.first) : put_whole(ch, ch->large.first);
        if (rc == 1 || (rc == 0 && !is_large(ch->large.first)))
            drop_waiting(ch, &ch->large);
        if (rc == 1)
            rc = 0;
    }
    return rc;
}

/* Writes what waits as far as it goes; the other side tells when there is room again. */
static void push(struct qk_channel *ch)
{
    int rc = -EAGAIN;
    while (ch->waiting != 0 && !ch->broken && !ch->closed) {
        rc = push_once(ch);
        if (rc == QK_EPROTOCOL)
            ch->broken = true;
        else if (rc == -EAGAIN && qk_ring_starve(&ch->pair->out))
            break;
    }
    bool choked = ch->waiting / 2 > ch->config.waiting_max || ch->waiting_bytes / 2 > ch->config.waiting_bytes_max;
    atomic_store_explicit(&ch->stuck, ch->waiting != 0 && !ch->broken, memory_order_relaxed);
    atomic_store_explicit(&ch->choked, choked, memory_order_relaxed);
}

/* At the end of what may have changed it, under the lock. */
static void note_pending(struct qk_channel *ch)
{
    atomic_store_explicit(&ch->pending, ch->questions.count, memory_order_relaxed);
}

static bool publish(struct qk_channel *ch)
{
    return !ch->broken && !ch->closed && qk_ring_publish(&ch->pair->out);
}

/* ---- questions */

/* Numbers a question; false where it is refused. */
static bool number(struct qk_channel *ch, struct qk_port_frame *frame)
{
    const struct qk_question question = {
        .origin = frame->origin, .call_id = frame->call_id, .type_id = frame->type_id, .kind = (uint8_t)frame->kind};
    if (ch->closed || ch->broken || ch->waiting >= ch->config.waiting_max ||
        ch->waiting_bytes >= ch->config.waiting_bytes_max)
        return false;
    uint64_t id = qk_questions_add(&ch->questions, &question);
    frame->call_id = id;
    if (id == 0)
        frame->call_id = question.call_id;
    return id != 0;
}

static struct qk_port_frame *refusal(struct qk_channel *ch, struct qk_port_frame *frame)
{
    return ch->closed
               ? qk_flat_answer(frame, ch->closed_status, ch->closed_text, false)
               : qk_flat_answer(frame, QK_EOVERLOADED, "more waits for this plugin's process than it takes", false);
}

static void pass_on(struct qk_channel *ch, struct qk_port_frame *frame)
{
    if (!goes_behind(ch, frame) && ch->small.first == NULL && !ch->broken && !ch->closed) {
        int rc = put_whole(ch, frame);
        if (rc == 0) {
            qk_port_frame_destroy(frame);
            return;
        }
        ch->broken = rc == QK_EPROTOCOL;
    }
    if (ch->broken || ch->closed) {
        qk_port_frame_destroy(frame); /* its question is answered when the channel is abandoned */
        return;
    }
    bool behind = goes_behind(ch, frame);
    if (behind && is_for_actor(frame))
        ++*lane_of(ch, frame);
    ch->waiting++;
    ch->waiting_bytes += qk_port_frame_size(frame);
    put_in_line(behind ? &ch->large : &ch->small, frame);
}

/* A cancellation of everything that an origin asked: one for each. */
static void cancel_all(struct qk_channel *ch, const void *origin)
{
    struct qk_question q;
    uint32_t at = 0;
    uint64_t id;
    while ((id = qk_questions_each(&ch->questions, &at, &q)) != 0) {
        struct qk_port_frame *frame = q.origin == origin && q.kind == QK_PORT_CALL ? qk_port_frame_create(0) : NULL;
        if (frame == NULL)
            continue;
        frame->kind = QK_PORT_CANCEL;
        frame->call_id = id;
        pass_on(ch, frame);
    }
}

static void cancel(struct qk_channel *ch, struct qk_port_frame *frame)
{
    if (frame->call_id == 0) {
        cancel_all(ch, frame->origin);
    } else {
        frame->call_id = qk_questions_find(&ch->questions, frame->origin, frame->call_id);
        if (frame->call_id != 0) {
            pass_on(ch, frame);
            return;
        }
    }
    qk_port_frame_destroy(frame);
}

static void send_one(struct qk_channel *ch, struct qk_port_frame *frame, struct qk_port_frame ***refused)
{
    if (frame->kind == QK_PORT_CANCEL) {
        cancel(ch, frame);
        return;
    }
    if (qk_flat_is_question(frame->kind) && !number(ch, frame)) {
        **refused = refusal(ch, frame);
        *refused = &(**refused)->next;
        return;
    }
    if (qk_flat_is_answer(frame->kind) && ch->asked != 0)
        ch->asked--;
    if (frame->kind == QK_PORT_LOG && (ch->waiting >= ch->config.waiting_max || ch->waiting >= LOGS_WAITING_MAX)) {
        qk_port_frame_destroy(frame);
        return;
    }
    pass_on(ch, frame);
}

/* The end of what sends: as much as there is room for becomes visible to the other side. */
static void push_and_unlock(struct qk_channel *ch)
{
    push(ch);
    bool wake = publish(ch);
    note_pending(ch);
    pthread_mutex_unlock(&ch->lock);
    if (wake)
        qk_pair_wake(ch->pair);
}

void qk_channel_send(struct qk_channel *ch, struct qk_port_frame *chain, struct qk_port_frame **ret_refused)
{
    struct qk_port_frame **refused = ret_refused;
    *ret_refused = NULL;
    pthread_mutex_lock(&ch->lock);
    push(ch);
    while (chain != NULL) {
        struct qk_port_frame *frame = chain;
        chain = frame->next;
        send_one(ch, frame, &refused);
    }
    push_and_unlock(ch);
}

void qk_channel_flush(struct qk_channel *ch)
{
    if (!atomic_load_explicit(&ch->stuck, memory_order_relaxed))
        return;
    pthread_mutex_lock(&ch->lock);
    push_and_unlock(ch);
}

bool qk_channel_is_idle(const struct qk_channel *ch)
{
    return qk_ring_is_empty(&ch->pair->in) &&
           !atomic_load_explicit(&((struct qk_channel *)ch)->stuck, memory_order_relaxed);
}

uint32_t qk_channel_pending(const struct qk_channel *ch)
{
    return atomic_load_explicit(&((struct qk_channel *)ch)->pending, memory_order_relaxed);
}

/* ---- receiving */

static int broke(const char **ret_text, const char *text)
{
    *ret_text = text;
    return QK_EPROTOCOL;
}

/* Reads the head of a frame and makes room for it. */
static int begin_frame(struct qk_channel *ch, uint32_t size, struct qk_port_frame **ret_frame, const char **ret_text)
{
    struct qk_flat flat;
    if (size < sizeof(flat))
        return broke(ret_text, "a frame is shorter than its head");
    qk_ring_copy(&ch->pair->in, &flat, sizeof(flat));
    int64_t bytes = qk_flat_check(&flat, ch->config.accepts);
    if (bytes < 0)
        return broke(ret_text, "the head of a frame is out of bounds");
    struct qk_port_frame *frame = qk_port_frame_create((size_t)bytes);
    if (frame == NULL)
        return -ENOMEM;
    qk_flat_to_frame(&flat, frame);
    *ret_frame = frame;
    return 0;
}

static int end_frame(struct qk_port_frame *frame, struct qk_port_frame ***last, const char **ret_text)
{
    if (qk_flat_check_bytes(frame) < 0) {
        qk_port_frame_destroy(frame);
        return broke(ret_text, "a frame's key or sender is malformed");
    }
    **last = frame;
    *last = &frame->next;
    return 1;
}

static int take_whole(struct qk_channel *ch, uint32_t size, struct qk_port_frame ***last, const char **ret_text)
{
    struct qk_port_frame *frame;
    int rc = begin_frame(ch, size, &frame, ret_text);
    if (rc < 0)
        return rc;
    if (size - sizeof(struct qk_flat) != frame->capacity) {
        qk_port_frame_destroy(frame);
        return broke(ret_text, "the lengths of a frame do not add up");
    }
    qk_ring_copy(&ch->pair->in, frame->bytes, frame->capacity);
    return end_frame(frame, last, ret_text);
}

/* A piece of a large frame. 1 when the frame is whole. */
static int take_piece(struct qk_channel *ch, uint32_t tag, uint32_t size, struct qk_port_frame ***last,
                      const char **ret_text)
{
    if ((tag == TAG_FIRST) != (ch->coming == NULL))
        return broke(ret_text, "pieces of large frames are mixed up");
    if (tag == TAG_FIRST) {
        int rc = begin_frame(ch, size, &ch->coming, ret_text);
        if (rc < 0)
            return rc;
        size -= (uint32_t)sizeof(struct qk_flat);
        ch->come = 0;
    }
    struct qk_port_frame *frame = ch->coming;
    if (size == 0 || size > frame->capacity - ch->come)
        return broke(ret_text, "a piece of a large frame is empty or too long");
    qk_ring_copy(&ch->pair->in, frame->bytes + ch->come, size);
    ch->come += size;
    if (ch->come < frame->capacity)
        return 0;
    ch->coming = NULL;
    return end_frame(frame, last, ret_text);
}

/* Takes records until there are `max` frames. How many, or what went wrong. */
static int take_records(struct qk_channel *ch, unsigned max, struct qk_port_frame ***last, const char **ret_text)
{
    int n = 0;
    for (unsigned records = 0; n < (int)max && records < 4 * max; records++) {
        uint32_t tag, size;
        int rc = qk_ring_next(&ch->pair->in, &tag, &size);
        if (rc < 0)
            return broke(ret_text, "the index of its ring or the size of a record is impossible");
        if (rc == 0)
            break;
        if (tag == TAG_FRAME)
            rc = take_whole(ch, size, last, ret_text);
        else if (tag == TAG_FIRST || tag == TAG_MORE)
            rc = take_piece(ch, tag, size, last, ret_text);
        else
            rc = broke(ret_text, "a record has an unknown tag");
        if (rc < 0)
            return rc;
        n += rc;
    }
    return n;
}

/* Gives an answer back to who asked; false when nobody did. */
static bool resolve(struct qk_channel *ch, struct qk_port_frame *frame)
{
    struct qk_question q;
    if (!qk_questions_take(&ch->questions, frame->call_id, &q) ||
        (q.kind == QK_PORT_STORE) != (frame->kind == QK_PORT_STORED))
        return false;
    frame->origin = q.origin;
    frame->call_id = q.call_id;
    frame->type_id = q.type_id;
    return true;
}

/* Whether there is room for one question more from the other side; else it is answered at once. */
static bool admit(struct qk_channel *ch, struct qk_port_frame *frame)
{
    frame->origin = ch->config.origin;
    if (ch->asked < ch->config.asked_max) {
        ch->asked++;
        return true;
    }
    pass_on(ch, qk_flat_answer(frame, QK_EOVERLOADED, "this plugin waits for more answers than it may", false));
    return false;
}

/* Matches what has come with what was asked. Frames that break the rules end the chain there. */
static int match_all(struct qk_channel *ch, struct qk_port_frame **chain, const char **ret_text)
{
    int n = 0;
    while (*chain != NULL) {
        struct qk_port_frame *frame = *chain, *next = frame->next;
        if (qk_flat_is_answer(frame->kind) && !resolve(ch, frame)) {
            *chain = NULL;
            free_chain(frame);
            return broke(ret_text, "an answer to nothing that was asked");
        }
        if (!qk_flat_is_answer(frame->kind))
            frame->origin = ch->config.origin;
        if (qk_flat_is_question(frame->kind)) {
            frame->next = NULL;
            if (!admit(ch, frame)) {
                *chain = next;
                continue;
            }
            frame->next = next;
        }
        chain = &frame->next;
        n++;
    }
    return n;
}

int qk_channel_receive(struct qk_channel *ch, unsigned max, struct qk_port_frame **ret_chain, const char **ret_text)
{
    struct qk_port_frame **last = ret_chain;
    *ret_chain = NULL;
    *ret_text = "";
    qk_channel_flush(ch);
    if (atomic_load_explicit(&ch->broken, memory_order_relaxed))
        return broke(ret_text, "the index of the ring that it reads is impossible");
    /* Who does not take what it asked for is not asked what else it wants. */
    if (qk_ring_is_empty(&ch->pair->in) || atomic_load_explicit(&ch->choked, memory_order_relaxed))
        return 0;
    int rc = take_records(ch, max, &last, ret_text);
    bool wake = qk_ring_release(&ch->pair->in);
    if (*ret_chain != NULL) {
        pthread_mutex_lock(&ch->lock);
        uint64_t before = ch->pair->out.tail;
        int matched = match_all(ch, ret_chain, ret_text);
        rc = rc < 0 ? rc : matched;
        if (ch->waiting != 0 || ch->pair->out.tail != before) {
            push(ch);
            wake = publish(ch) || wake;
        }
        note_pending(ch);
        pthread_mutex_unlock(&ch->lock);
    }
    if (wake)
        qk_pair_wake(ch->pair);
    return rc;
}

/* ---- the end */

/* Questions that never got into the ring: nobody can have begun with them. */
static struct qk_port_frame *give_back_waiting(struct qk_channel *ch, struct line *line, struct qk_port_frame *chain)
{
    bool begun = line == &ch->large && ch->large_sent != 0;
    for (; line->first != NULL; begun = false) {
        struct qk_port_frame *frame = take_from_line(line);
        struct qk_question q;
        if (!qk_flat_is_question(frame->kind) || begun || !qk_questions_take(&ch->questions, frame->call_id, &q)) {
            qk_port_frame_destroy(frame);
            continue;
        }
        frame->origin = q.origin;
        frame->call_id = q.call_id;
        frame = qk_flat_answer(frame, ch->closed_status, ch->closed_text, false);
        frame->next = chain;
        chain = frame;
    }
    return chain;
}

struct qk_port_frame *qk_channel_abandon(struct qk_channel *ch, int status, const char *text)
{
    struct qk_question q;
    uint32_t at = 0;
    uint64_t id;
    pthread_mutex_lock(&ch->lock);
    ch->closed = true;
    ch->closed_status = status;
    ch->closed_text = text;
    struct qk_port_frame *chain = give_back_waiting(ch, &ch->small, NULL);
    chain = give_back_waiting(ch, &ch->large, chain);
    ch->waiting = 0;
    ch->waiting_bytes = ch->large_sent = 0;
    memset(ch->lanes, 0, sizeof(ch->lanes));
    atomic_store_explicit(&ch->stuck, false, memory_order_relaxed);
    size_t len = strlen(text);
    while ((id = qk_questions_each(&ch->questions, &at, &q)) != 0) {
        struct qk_port_frame *frame = qk_port_frame_create(len);
        if (frame == NULL)
            continue; /* its caller's deadline ends it */
        qk_questions_take(&ch->questions, id, &q);
        frame->kind = q.kind;
        frame->origin = q.origin;
        frame->call_id = q.call_id;
        frame->type_id = q.type_id;
        frame = qk_flat_answer(frame, status, text, true);
        frame->next = chain;
        chain = frame;
    }
    note_pending(ch);
    pthread_mutex_unlock(&ch->lock);
    return chain;
}
