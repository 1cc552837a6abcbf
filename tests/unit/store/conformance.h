/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every provider of stores must pass. A provider's own program fills in the struct and adds the cases. */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <check.h>
#include <stdbool.h>
#include "store/store.h"

struct conformance_provider {
    /* Opens the store; the first time in a run it is empty, later (durable ones only) it is as it was when closed. */
    struct qk_store *(*open)(const struct qk_store_config *config);
    /* Before and after each case; may be NULL. */
    void (*setup)(void);
    void (*teardown)(void);
    /* From now on every kth operation of the system fails; 0: none. NULL: there is no way to do that. */
    void (*fail_every)(unsigned k);
    bool durable;
};

/* The cases, for `provider`, which stays. */
TCase *conformance_case(const struct conformance_provider *provider);

/* ---- a store at work, for the tests of one provider too */

/* Operations and their bytes, answered when conf_run() returns. */
#define CONF_OPS 64

struct conf_op {
    struct qk_store_op op; /* first */
    char key[16];
    uint8_t *bytes; /* on the heap; freed by conf_free() */
    uint8_t *got;   /* what a read gave last, on the heap; likewise */
    size_t got_size;
    uint64_t versions[16]; /* of the first records */
    char keys[16][16];
    unsigned records;
    bool answered;
};

extern struct qk_store *conf_store;
const struct qk_store_config *conf_config(void);

/* An operation on the state of an actor of the type "t"; the bytes are copied. */
void conf_init(struct conf_op *o, enum qk_store_kind kind, const char *key, uint64_t expected, const void *bytes,
               size_t size);
/* Submits the operations as one chain and waits for the answers. */
void conf_run(struct conf_op *ops, size_t n);
void conf_free(struct conf_op *ops, size_t n);

/* One operation, with its status and version. */
int conf_do(enum qk_store_kind kind, const char *key, uint64_t expected, const void *bytes, size_t size,
            uint64_t *ret_version);
/* Expects the state, or none where version is 0. */
void conf_expect(const char *key, uint64_t version, const void *bytes, size_t size);

#endif
