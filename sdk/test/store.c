/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of a test silo. Versions are counted over all actors and never used twice, so that an activation that has
 * missed a change always notices.
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/limits.h"

/* A test that has no memory left has no way on. */
static void *allocate(size_t size)
{
    void *memory = calloc(1, size + 1);
    if (memory == NULL) {
        fprintf(stderr, "qk_test: out of memory\n");
        abort();
    }
    return memory;
}

void qk_test_store_finish(struct qk_test_store *store)
{
    while (store->records != NULL) {
        struct qk_test_record *record = store->records;
        store->records = record->next;
        for (uint64_t i = 0; i < record->n_events; i++)
            free(record->events[i].bytes);
        free(record->events);
        free(record->bytes);
        free(record);
    }
}

struct qk_test_record *qk_test_store_find(struct qk_test_store *store, uint64_t type_id, const char *key,
                                          uint32_t key_len, bool make)
{
    for (struct qk_test_record *r = store->records; r != NULL; r = r->next) {
        if (r->type_id == type_id && r->key_len == key_len && memcmp(r->bytes, key, key_len) == 0)
            return r;
    }
    if (!make)
        return NULL;
    struct qk_test_record *record = allocate(sizeof(*record));
    record->type_id = type_id;
    record->key_len = key_len;
    record->bytes = allocate(key_len);
    memcpy(record->bytes, key, key_len);
    record->next = store->records;
    store->records = record;
    return record;
}

void qk_test_store_write(struct qk_test_store *store, struct qk_test_record *record, const uint8_t *state,
                         uint32_t size)
{
    uint8_t *bytes = allocate((size_t)record->key_len + size);
    memcpy(bytes, record->bytes, record->key_len);
    if (size > 0)
        memcpy(bytes + record->key_len, state, size);
    free(record->bytes);
    record->bytes = bytes;
    record->size = size;
    record->version = ++store->last_version;
}

void qk_test_store_append(struct qk_test_record *record, const uint8_t *bytes, uint32_t size)
{
    uint64_t n = record->n_events;
    if ((n & (n - 1)) == 0) { /* full: 0, 1, 2, 4, ... */
        struct qk_test_event *events = allocate((n != 0 ? 2 * n : 1) * sizeof(*events));
        if (n > 0)
            memcpy(events, record->events, n * sizeof(*events));
        free(record->events);
        record->events = events;
    }
    struct qk_test_event *event = &record->events[record->n_events++];
    *event = (struct qk_test_event){allocate(size), size};
    if (size > 0)
        memcpy(event->bytes, bytes, size);
}

static void append_all(struct qk_test_record *record, const struct qk_port_frame *frame)
{
    const uint8_t *at = qk_port_frame_payload(frame), *end = at + frame->payload_len, *bytes;
    struct qk_port_event event;
    while ((bytes = qk_port_event_next(&at, end, &event)) != NULL)
        qk_test_store_append(record, bytes, event.size);
}

/* What counts for an operation: the last position, or the version of the state. */
static uint64_t mark_of(const struct qk_test_record *record, const struct qk_port_frame *frame)
{
    return frame->store == QK_STORE_APPEND ? record->n_events : record->version;
}

/* The status of one operation, which is done where that is 0. */
static int operate(struct qk_test_store *store, struct qk_test_record *record, const struct qk_port_frame *frame)
{
    if (frame->store == QK_STORE_READ || frame->store == QK_STORE_REPLAY)
        return 0;
    if (frame->version != mark_of(record, frame))
        return QK_ECONFLICT;
    if (frame->store == QK_STORE_APPEND)
        append_all(record, frame);
    else if (frame->store == QK_STORE_WRITE)
        qk_test_store_write(store, record, qk_port_frame_payload(frame), frame->payload_len);
    else
        record->version = 0;
    return 0;
}

/* Whether it is the turn of a failure that the test has asked for. */
static bool is_to_fail(struct qk_test_store *store)
{
    if (store->skip > 0) {
        store->skip--;
        return false;
    }
    if (store->fail == 0)
        return false;
    store->fail--;
    return true;
}

/* A frame with the error's text and room for `size` bytes. */
static struct qk_port_frame *make_answer(const struct qk_port_frame *frame, int status, const char *text, size_t size)
{
    size_t text_len = strlen(text);
    struct qk_port_frame *answer = qk_port_frame_create(text_len + size);
    if (answer == NULL) {
        fprintf(stderr, "qk_test: out of memory\n");
        abort();
    }
    answer->kind = QK_PORT_STORED;
    answer->origin = frame->origin;
    answer->call_id = frame->call_id;
    answer->status = status;
    answer->text_len = (uint32_t)text_len;
    answer->payload_len = (uint32_t)size;
    memcpy(answer->bytes, text, text_len);
    return answer;
}

/* As many events as are asked for. */
static struct qk_port_frame *replay(const struct qk_test_record *record, const struct qk_port_frame *frame)
{
    size_t size = 0, given = 0;
    uint64_t from = frame->version < record->n_events ? frame->version : record->n_events, to = from;
    while (to < record->n_events && to - from < frame->count &&
           (to == from || given + record->events[to].size <= QK_PAGE_BYTES_MAX)) {
        given += record->events[to].size;
        size += sizeof(struct qk_port_event) + record->events[to++].size;
    }
    struct qk_port_frame *answer = make_answer(frame, 0, "", size);
    uint8_t *at = answer->bytes;
    for (uint64_t i = from; i < to; i++) {
        at = qk_port_event_put(at, i + 1, record->events[i].size);
        memcpy(at, record->events[i].bytes, record->events[i].size);
        at += record->events[i].size;
    }
    answer->count = (uint32_t)(to - from);
    answer->version = to;
    answer->more = to < record->n_events;
    return answer;
}

static struct qk_port_frame *read_state(const struct qk_test_record *record, const struct qk_port_frame *frame)
{
    uint32_t size = record->version != 0 ? record->size : 0;
    struct qk_port_frame *answer = make_answer(frame, 0, "", size);
    if (size > 0)
        memcpy(answer->bytes, record->bytes + record->key_len, size);
    answer->version = record->version;
    return answer;
}

struct qk_port_frame *qk_test_store_answer(struct qk_test_store *store, struct qk_port_frame *frame)
{
    struct qk_test_record *record =
        qk_test_store_find(store, frame->type_id, qk_port_frame_key(frame), frame->key_len, true);
    char text[128] = "";
    store->operations++;
    bool fails = is_to_fail(store);
    int status = fails && !store->done ? store->status : operate(store, record, frame);
    if (status == QK_ECONFLICT && !fails)
        snprintf(text, sizeof(text), "%s %llu is stored, and %llu was expected",
                 frame->store == QK_STORE_APPEND ? "position" : "version", (unsigned long long)mark_of(record, frame),
                 (unsigned long long)frame->version);
    if (fails) {
        status = store->status;
        snprintf(text, sizeof(text), "the test has the store fail");
    }
    struct qk_port_frame *answer;
    if (status == 0 && frame->store == QK_STORE_REPLAY) {
        answer = replay(record, frame);
    } else if (status == 0 && frame->store == QK_STORE_READ) {
        answer = read_state(record, frame);
    } else {
        answer = make_answer(frame, status, text, 0);
        answer->version = mark_of(record, frame);
    }
    qk_port_frame_destroy(frame);
    return answer;
}
