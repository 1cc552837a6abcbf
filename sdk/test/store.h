/* SPDX-License-Identifier: Apache-2.0 */
/* The store of a test silo: what its actors have saved, in memory, with failures on demand. One thread. */
#ifndef QK_TEST_STORE_H
#define QK_TEST_STORE_H

#include <stdbool.h>
#include <quark/abi.h>
#include "runtime/port.h"

/* What one actor has stored. */
struct qk_test_record {
    struct qk_test_record *next;
    uint64_t type_id;
    uint64_t version; /* 0: nothing is stored */
    uint32_t key_len;
    uint32_t size;
    uint8_t *bytes;               /* the key, then the state */
    struct qk_test_event *events; /* the one of position p at p - 1 */
    uint64_t n_events;
};

struct qk_test_event {
    uint8_t *bytes;
    uint32_t size;
};

/* Zeroed memory is an empty store. */
struct qk_test_store {
    struct qk_test_record *records;
    uint64_t last_version;
    uint64_t operations; /* asked for so far */
    uint64_t skip, fail; /* this many go on well, then this many fail */
    int status;          /* with this */
    bool done;           /* having been done all the same */
};

void qk_test_store_finish(struct qk_test_store *store);

/* The record of an actor, made where `make` and there is none; NULL without it. */
struct qk_test_record *qk_test_store_find(struct qk_test_store *store, uint64_t type_id, const char *key,
                                          uint32_t key_len, bool make);

/* Replaces what is stored. */
void qk_test_store_write(struct qk_test_store *store, struct qk_test_record *record, const uint8_t *state,
                         uint32_t size);

/* Adds an event to the journal. */
void qk_test_store_append(struct qk_test_record *record, const uint8_t *bytes, uint32_t size);

/* Does what a QK_PORT_STORE asks for and consumes it; the answer, to be submitted. */
struct qk_port_frame *qk_test_store_answer(struct qk_test_store *store, struct qk_port_frame *frame);

#endif
