/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Submits operations to a store and waits for their answers. */
#include "conformance.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct qk_store *conf_store;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;

static void on_done(void *arg, struct qk_store_op *chain)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    while (chain != NULL) {
        struct conf_op *o = (struct conf_op *)chain;
        chain = chain->next;
        ck_assert(!o->answered);
        ck_assert_int_eq(o->op.status < 0, o->op.text[0] != '\0');
        o->answered = true;
    }
    pthread_cond_broadcast(&answered);
    pthread_mutex_unlock(&lock);
}

const struct qk_store_config *conf_config(void)
{
    static const struct qk_store_config config = {.name = "tested", .done = on_done};
    return &config;
}

static void on_record(struct qk_store_op *op, const struct qk_store_record *record)
{
    struct conf_op *o = (struct conf_op *)op;
    if (o->records < 16) {
        o->versions[o->records] = record->version;
        ck_assert_uint_lt(record->key_len, sizeof(o->keys[0]));
        if (record->key_len != 0)
            memcpy(o->keys[o->records], record->key, record->key_len);
    }
    o->records++;
    free(o->got);
    o->got = malloc(record->size + 1);
    ck_assert_ptr_nonnull(o->got);
    if (record->size != 0)
        memcpy(o->got, record->bytes, record->size);
    o->got_size = record->size;
}

void conf_init(struct conf_op *o, enum qk_store_kind kind, const char *key, uint64_t expected, const void *bytes,
               size_t size)
{
    *o = (struct conf_op){0};
    strncpy(o->key, key, sizeof(o->key) - 1);
    o->bytes = malloc(size + 1);
    ck_assert_ptr_nonnull(o->bytes);
    if (size != 0)
        memcpy(o->bytes, bytes, size);
    o->op = (struct qk_store_op){
        .kind = kind,
        .type = "t",
        .type_len = 1,
        .key_len = (uint32_t)strlen(o->key),
        .expected = expected,
        .bytes = o->bytes,
        .size = size,
        .limit = 10,
        .record = on_record,
    };
}

void conf_run(struct conf_op *ops, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ops[i].op.key = ops[i].key;
        ops[i].op.next = i + 1 < n ? &ops[i + 1].op : NULL;
    }
    qk_store_submit(conf_store, &ops[0].op);
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n; i++) {
        while (!ops[i].answered)
            pthread_cond_wait(&answered, &lock);
    }
    pthread_mutex_unlock(&lock);
}

void conf_free(struct conf_op *ops, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(ops[i].bytes);
        free(ops[i].got);
    }
}

int conf_do(enum qk_store_kind kind, const char *key, uint64_t expected, const void *bytes, size_t size,
            uint64_t *ret_version)
{
    struct conf_op o;
    conf_init(&o, kind, key, expected, bytes, size);
    conf_run(&o, 1);
    if (ret_version != NULL)
        *ret_version = o.op.version;
    int status = o.op.status;
    conf_free(&o, 1);
    return status;
}

void conf_expect(const char *key, uint64_t version, const void *bytes, size_t size)
{
    struct conf_op o;
    conf_init(&o, QK_OP_READ, key, 0, NULL, 0);
    conf_run(&o, 1);
    ck_assert_msg(o.op.status == 0, "%s: %s", key, o.op.text);
    ck_assert_uint_eq(o.op.version, version);
    ck_assert_uint_eq(o.records, version != 0);
    if (version != 0) {
        ck_assert_uint_eq(o.versions[0], version);
        ck_assert_uint_eq(o.got_size, size);
        ck_assert(size == 0 || memcmp(o.got, bytes, size) == 0);
    }
    conf_free(&o, 1);
}
