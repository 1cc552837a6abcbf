/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of a test silo. Versions are counted over all actors and never used twice, so that an activation that has
 * missed a change always notices.
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* The status of one operation, which is done where that is 0. */
static int operate(struct qk_test_store *store, struct qk_test_record *record, const struct qk_port_frame *frame)
{
    if (frame->store == QK_STORE_READ)
        return 0;
    if (frame->version != record->version)
        return QK_ECONFLICT;
    if (frame->store == QK_STORE_WRITE)
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

struct qk_port_frame *qk_test_store_answer(struct qk_test_store *store, struct qk_port_frame *frame)
{
    struct qk_test_record *record =
        qk_test_store_find(store, frame->type_id, qk_port_frame_key(frame), frame->key_len, true);
    char text[128] = "";
    store->operations++;
    bool fails = is_to_fail(store);
    int status = fails && !store->done ? store->status : operate(store, record, frame);
    if (status == QK_ECONFLICT && !fails)
        snprintf(text, sizeof(text), "version %llu is stored, and %llu was expected",
                 (unsigned long long)record->version, (unsigned long long)frame->version);
    if (fails) {
        status = store->status;
        snprintf(text, sizeof(text), "the test has the store fail");
    }
    bool brings = status == 0 && frame->store == QK_STORE_READ && record->version != 0;
    uint32_t size = brings ? record->size : 0, text_len = (uint32_t)strlen(text);
    struct qk_port_frame *answer = qk_port_frame_create((size_t)text_len + size);
    if (answer == NULL) {
        fprintf(stderr, "qk_test: out of memory\n");
        abort();
    }
    answer->kind = QK_PORT_STORED;
    answer->origin = frame->origin;
    answer->call_id = frame->call_id;
    answer->status = status;
    answer->version = record->version;
    answer->text_len = text_len;
    answer->payload_len = size;
    memcpy(answer->bytes, text, text_len);
    if (size > 0)
        memcpy(answer->bytes + text_len, record->bytes + record->key_len, size);
    qk_port_frame_destroy(frame);
    return answer;
}
