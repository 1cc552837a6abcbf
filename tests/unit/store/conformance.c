/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The promises of store/store.h, one case each, and a random walk beside a model of them. */
#include "conformance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quark/abi.h>
#include <quark/status.h>

static const struct conformance_provider *provider;

static void open_store(void)
{
    conf_store = provider->open(conf_config());
}

static void close_store(void)
{
    qk_store_close(conf_store);
    conf_store = NULL;
}

/* What a durable store has, it has after it was closed. */
static void open_again(void)
{
    if (!provider->durable)
        return;
    close_store();
    open_store();
}

static void setup(void)
{
    if (provider->setup != NULL)
        provider->setup();
    open_store();
}

static void teardown(void)
{
    close_store();
    if (provider->teardown != NULL)
        provider->teardown();
}

/* ---- states */

START_TEST(test_store_reads_what_was_written)
{
    uint64_t v1, v2;
    static const uint8_t bytes[] = {0, 1, 2, 0, 255};
    conf_expect("a", 0, NULL, 0);
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", 0, bytes, sizeof(bytes), &v1), 0);
    ck_assert_uint_gt(v1, 0);
    conf_expect("a", v1, bytes, sizeof(bytes));
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", v1, "x", 1, &v2), 0);
    ck_assert_uint_gt(v2, v1);
    open_again();
    conf_expect("a", v2, "x", 1);
    conf_expect("A", 0, NULL, 0);
    conf_expect("aa", 0, NULL, 0);
}
END_TEST

START_TEST(test_store_keeps_a_state_of_no_bytes)
{
    uint64_t v;
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", 0, NULL, 0, &v), 0);
    conf_expect("a", v, NULL, 0);
    open_again();
    conf_expect("a", v, NULL, 0);
}
END_TEST

START_TEST(test_store_refuses_another_version)
{
    uint64_t v, said;
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", 1, "x", 1, &said), QK_ECONFLICT);
    ck_assert_uint_eq(said, 0);
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", 0, "x", 1, &v), 0);
    const uint64_t others[] = {0, v + 1, v - 1, UINT64_MAX, INT64_MAX};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", others[i], "y", 1, &said), QK_ECONFLICT);
        ck_assert_uint_eq(said, v);
        ck_assert_int_eq(conf_do(QK_OP_CLEAR, "a", others[i], NULL, 0, &said), QK_ECONFLICT);
        ck_assert_uint_eq(said, v);
    }
    conf_expect("a", v, "x", 1);
}
END_TEST

START_TEST(test_store_never_gives_a_version_twice)
{
    uint64_t v, last = 0;
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", 0, "x", 1, &v), 0);
        ck_assert_uint_gt(v, last);
        ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", v, "x", 1, &last), 0);
        ck_assert_uint_gt(last, v);
        ck_assert_int_eq(conf_do(QK_OP_CLEAR, "a", last, NULL, 0, &v), 0);
        ck_assert_uint_eq(v, 0);
        conf_expect("a", 0, NULL, 0);
        if (i % 5 == 0)
            open_again();
    }
    ck_assert_int_eq(conf_do(QK_OP_CLEAR, "a", 0, NULL, 0, &v), 0);
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", last, "x", 1, &v), QK_ECONFLICT);
}
END_TEST

START_TEST(test_store_keeps_a_chain_in_order)
{
    struct conf_op ops[5];
    uint64_t v;
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", 0, "0", 1, &v), 0);
    conf_init(&ops[0], QK_OP_WRITE, "a", v, "1", 1);
    conf_init(&ops[1], QK_OP_WRITE, "a", v, "2", 1); /* fails, and its neighbours don't */
    conf_init(&ops[2], QK_OP_WRITE, "b", 0, "3", 1);
    conf_init(&ops[3], QK_OP_WRITE, "b", 0, "4", 1);
    conf_init(&ops[4], QK_OP_CLEAR, "c", 0, NULL, 0);
    conf_run(ops, 5);
    ck_assert_int_eq(ops[0].op.status, 0);
    ck_assert_int_eq(ops[1].op.status, QK_ECONFLICT);
    ck_assert_uint_eq(ops[1].op.version, ops[0].op.version);
    ck_assert_int_eq(ops[2].op.status, 0);
    ck_assert_int_eq(ops[3].op.status, QK_ECONFLICT);
    ck_assert_int_eq(ops[4].op.status, 0);
    conf_expect("a", ops[0].op.version, "1", 1);
    conf_expect("b", ops[2].op.version, "3", 1);
    conf_free(ops, 5);
}
END_TEST

START_TEST(test_store_holds_its_bounds)
{
    static char key[QK_KEY_MAX + 1];
    static char type[QK_STORE_TYPE_MAX + 1];
    struct conf_op o;
    memset(key, 'k', sizeof(key));
    memset(type, 't', sizeof(type));
    uint8_t *large = calloc(1, QK_PAYLOAD_MAX + 1);
    ck_assert_ptr_nonnull(large);
    large[QK_PAYLOAD_MAX - 1] = 7;
    uint64_t v;
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "large", 0, large, QK_PAYLOAD_MAX, &v), 0);
    conf_expect("large", v, large, QK_PAYLOAD_MAX);
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "larger", 0, large, QK_PAYLOAD_MAX + 1, &v), QK_EINVALID);
    free(large);
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "", 0, "x", 1, &v), QK_EINVALID);
    ck_assert_int_eq(conf_do((enum qk_store_kind)0, "a", 0, "x", 1, &v), QK_EINVALID);
    ck_assert_int_eq(conf_do((enum qk_store_kind)7, "a", 0, "x", 1, &v), QK_EINVALID);
    for (unsigned i = 0; i < 4; i++) {
        conf_init(&o, QK_OP_WRITE, "a", 0, "x", 1);
        o.op.type = type;
        o.op.type_len = (uint32_t)(QK_STORE_TYPE_MAX + (i == 1));
        conf_run(&o, 1);
        ck_assert_int_eq(o.op.status, i == 0 ? 0 : i == 1 ? QK_EINVALID : QK_ECONFLICT);
        conf_free(&o, 1);
    }
    for (unsigned more = 0; more < 2; more++) {
        conf_init(&o, QK_OP_REPLAY, "a", (uint64_t)INT64_MAX + more, NULL, 0);
        conf_run(&o, 1);
        ck_assert_int_eq(o.op.status, more == 0 ? 0 : QK_EINVALID);
        ck_assert_uint_eq(o.records, 0);
        conf_free(&o, 1);
        conf_init(&o, QK_OP_SCAN, "a", 0, NULL, 0);
        o.op.limit = QK_STORE_LIMIT_MAX + more;
        conf_run(&o, 1);
        ck_assert_int_eq(o.op.status, more == 0 ? 0 : QK_EINVALID);
        conf_free(&o, 1);
    }
}
END_TEST

START_TEST(test_store_scans_in_order)
{
    char key[16];
    struct conf_op o;
    for (int i = 24; i >= 0; i--) {
        snprintf(key, sizeof(key), "k%02d", i);
        ck_assert_int_eq(conf_do(QK_OP_WRITE, key, 0, "x", 1, NULL), 0);
    }
    ck_assert_int_eq(conf_do(QK_OP_APPEND, "k0", 0, NULL, 0, NULL), QK_EINVALID); /* no events */
    char after[16] = "";
    for (int seen = 0; seen < 25;) {
        conf_init(&o, QK_OP_SCAN, after, 0, NULL, 0);
        conf_run(&o, 1);
        ck_assert_int_eq(o.op.status, 0);
        ck_assert_uint_eq(o.records, seen < 20 ? 10 : 5);
        ck_assert_int_eq(o.op.more, seen < 15);
        for (unsigned i = 0; i < o.records; i++) {
            snprintf(key, sizeof(key), "k%02d", seen++);
            ck_assert_str_eq(o.keys[i], key);
            ck_assert_uint_gt(o.versions[i], 0);
        }
        memcpy(after, key, sizeof(after));
        conf_free(&o, 1);
    }
    conf_init(&o, QK_OP_SCAN, "", 0, NULL, 0);
    o.op.type = "u"; /* a type of which nothing is stored */
    conf_run(&o, 1);
    ck_assert_uint_eq(o.records, 0);
    conf_free(&o, 1);
}
END_TEST

/* ---- journals */

static int append(const char *key, uint64_t expected, const struct qk_store_event *events, uint32_t n,
                  uint64_t *ret_position)
{
    struct conf_op o;
    conf_init(&o, QK_OP_APPEND, key, expected, NULL, 0);
    o.op.events = events;
    o.op.n_events = n;
    conf_run(&o, 1);
    *ret_position = o.op.version;
    int status = o.op.status;
    conf_free(&o, 1);
    return status;
}

START_TEST(test_store_appends_and_replays)
{
    static const struct qk_store_event events[] = {{"one", 3}, {"", 0}, {"three", 5}};
    uint64_t at;
    ck_assert_int_eq(append("a", 0, events, 3, &at), 0);
    ck_assert_uint_eq(at, 3);
    ck_assert_int_eq(append("a", 0, events, 1, &at), QK_ECONFLICT);
    ck_assert_uint_eq(at, 3);
    ck_assert_int_eq(append("a", 4, events, 1, &at), QK_ECONFLICT);
    open_again();
    for (uint64_t i = 3; i < 15; i++)
        ck_assert_int_eq(append("a", i, events, 1, &at), 0);
    conf_expect("a", 0, NULL, 0); /* a journal is no state */
    struct conf_op o;
    conf_init(&o, QK_OP_REPLAY, "a", 2, NULL, 0);
    conf_run(&o, 1);
    ck_assert_int_eq(o.op.status, 0);
    ck_assert_uint_eq(o.op.version, 12);
    ck_assert(o.op.more);
    ck_assert_uint_eq(o.versions[0], 3);
    ck_assert_uint_eq(o.records, 10);
    conf_free(&o, 1);
    for (uint64_t from = 12; from < 17; from += 2) {
        conf_init(&o, QK_OP_REPLAY, "a", from, NULL, 0);
        conf_run(&o, 1);
        ck_assert_int_eq(o.op.status, 0);
        ck_assert_uint_eq(o.op.version, from < 15 ? 15 : from);
        ck_assert(!o.op.more);
        ck_assert_uint_eq(o.records, from < 15 ? 15 - from : 0);
        conf_free(&o, 1);
    }
    conf_init(&o, QK_OP_REPLAY, "a", 0, NULL, 0);
    o.op.limit = 3;
    conf_run(&o, 1);
    ck_assert_uint_eq(o.got_size, 5);
    ck_assert_int_eq(memcmp(o.got, "three", 5), 0);
    conf_free(&o, 1);
}
END_TEST

START_TEST(test_store_bounds_the_bytes_of_a_replay)
{
    static const struct qk_store_event events[] = {{"12345", 5}, {"", 0}, {"123", 3}, {"1234567890", 10}, {"1", 1}};
    static const struct {
        uint64_t from;
        size_t size;
        uint64_t last;
    } rows[] = {{0, 0, 5}, {0, 1, 1}, {0, 7, 2}, {0, 8, 3}, {0, 17, 3}, {0, 18, 4}, {0, 19, 5}, {3, 5, 4}, {4, 1, 5}};
    uint64_t at;
    ck_assert_int_eq(append("a", 0, events, 5, &at), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct conf_op o;
        conf_init(&o, QK_OP_REPLAY, "a", rows[i].from, NULL, 0);
        o.op.size = rows[i].size;
        conf_run(&o, 1);
        ck_assert_int_eq(o.op.status, 0);
        ck_assert_uint_eq(o.op.version, rows[i].last);
        ck_assert_uint_eq(o.records, rows[i].last - rows[i].from);
        ck_assert_int_eq(o.op.more, rows[i].last < 5);
        conf_free(&o, 1);
    }
}
END_TEST

/* ---- a random walk beside a model */

#define KEYS       8
#define STEPS      200
#define SIZE_MAX_1 9000

struct model {
    uint64_t version;
    uint64_t greatest; /* that was ever given */
    uint32_t seed;     /* of the bytes */
    uint64_t position; /* of the journal */
};

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

static size_t fill(uint32_t seed, uint8_t bytes[SIZE_MAX_1])
{
    size_t size = seed % SIZE_MAX_1;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(seed * 31 + i * 7);
    return size;
}

/* One operation's answer, judged and taken over. */
static void judge(struct model *m, const struct conf_op *o, uint32_t seed)
{
    uint64_t stored = o->op.kind == QK_OP_APPEND ? m->position : m->version;
    if (o->op.status == QK_ECONFLICT) {
        ck_assert_uint_ne(o->op.expected, stored);
        ck_assert_uint_eq(o->op.version, stored);
        return;
    }
    if (o->op.status < 0) {
        ck_assert_msg(provider->fail_every != NULL, "%s", o->op.text);
        return;
    }
    ck_assert_uint_eq(o->op.expected, stored);
    if (o->op.kind == QK_OP_APPEND) {
        m->position += o->op.n_events;
        ck_assert_uint_eq(o->op.version, m->position);
    } else if (o->op.kind == QK_OP_WRITE) {
        ck_assert_uint_gt(o->op.version, m->greatest);
        m->version = m->greatest = o->op.version;
        m->seed = seed;
    } else {
        m->version = 0;
    }
}

static void check_model(struct model models[KEYS])
{
    static uint8_t bytes[SIZE_MAX_1];
    for (unsigned i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%u", i);
        size_t size = fill(models[i].seed, bytes);
        conf_expect(key, models[i].version, bytes, size);
        struct conf_op o;
        conf_init(&o, QK_OP_REPLAY, key, 0, NULL, 0);
        o.op.limit = QK_STORE_LIMIT_MAX;
        conf_run(&o, 1);
        ck_assert_int_eq(o.op.status, 0);
        ck_assert_uint_eq(o.op.version, models[i].position);
        ck_assert_uint_eq(o.records, models[i].position);
        conf_free(&o, 1);
    }
}

static void step(struct model models[KEYS])
{
    static const struct qk_store_event events[] = {{"e", 1}, {"vent", 4}};
    static uint8_t bytes[SIZE_MAX_1];
    struct conf_op ops[CONF_OPS];
    struct model guess[KEYS];
    uint32_t seeds[CONF_OPS], n = 1 + random_below(20);
    unsigned which[CONF_OPS];
    memcpy(guess, models, sizeof(guess));
    for (uint32_t i = 0; i < n; i++) {
        char key[16];
        unsigned k = which[i] = random_below(KEYS);
        uint32_t what = random_below(10);
        enum qk_store_kind kind = what < 6 ? QK_OP_WRITE : what < 8 ? QK_OP_CLEAR : QK_OP_APPEND;
        uint64_t expected = kind == QK_OP_APPEND ? guess[k].position : guess[k].version;
        if (random_below(8) == 0)
            expected += random_below(3);
        seeds[i] = random_below(1000000);
        snprintf(key, sizeof(key), "k%u", k);
        conf_init(&ops[i], kind, key, expected, bytes, kind == QK_OP_WRITE ? fill(seeds[i], bytes) : 0);
        ops[i].op.events = events;
        ops[i].op.n_events = 1 + random_below(2);
        if (kind == QK_OP_APPEND)
            guess[k].position += ops[i].op.n_events;
    }
    conf_run(ops, n);
    for (uint32_t i = 0; i < n; i++)
        judge(&models[which[i]], &ops[i], seeds[i]);
    conf_free(ops, n);
}

static void walk(unsigned fail_every)
{
    struct model models[KEYS] = {0};
    random_state = 77 + fail_every;
    for (int i = 0; i < STEPS; i++) {
        if (fail_every != 0)
            provider->fail_every(fail_every);
        step(models);
        if (fail_every != 0)
            provider->fail_every(0);
        if (i % 20 == 0)
            check_model(models);
        if (i % 100 == 0 && fail_every == 0) {
            open_again();
            check_model(models);
        }
    }
    check_model(models);
    open_again();
    if (provider->durable)
        check_model(models);
}

START_TEST(test_store_walks_beside_a_model)
{
    walk(0);
}
END_TEST

START_TEST(test_store_changes_nothing_when_it_fails)
{
    static const unsigned every[] = {1, 2, 3, 5, 7, 11, 17, 29, 53, 101};
    if (provider->fail_every != NULL)
        walk(every[_i]);
}
END_TEST

/* ---- counts */

START_TEST(test_store_counts)
{
    struct qk_store_stats s;
    uint64_t v;
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", 0, "x", 1, &v), 0);
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", 0, "x", 1, &v), QK_ECONFLICT);
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "", 0, "x", 1, &v), QK_EINVALID);
    conf_expect("b", 0, NULL, 0);
    qk_store_get_stats(conf_store, &s);
    ck_assert_uint_eq(s.writes, 3);
    ck_assert_uint_eq(s.reads, 1);
    ck_assert_uint_eq(s.conflicts, 1);
    ck_assert_uint_eq(s.errors, 1);
    ck_assert_uint_eq(s.commits, provider->durable ? 1 : 0);
    ck_assert_str_eq(qk_store_name(conf_store), "tested");
}
END_TEST

TCase *conformance_case(const struct conformance_provider *tested)
{
    TCase *c = tcase_create("conformance");
    provider = tested;
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_store_reads_what_was_written);
    tcase_add_test(c, test_store_keeps_a_state_of_no_bytes);
    tcase_add_test(c, test_store_refuses_another_version);
    tcase_add_test(c, test_store_never_gives_a_version_twice);
    tcase_add_test(c, test_store_keeps_a_chain_in_order);
    tcase_add_test(c, test_store_holds_its_bounds);
    tcase_add_test(c, test_store_scans_in_order);
    tcase_add_test(c, test_store_appends_and_replays);
    tcase_add_test(c, test_store_bounds_the_bytes_of_a_replay);
    tcase_add_test(c, test_store_walks_beside_a_model);
    tcase_add_loop_test(c, test_store_changes_nothing_when_it_fails, 0, 10);
    tcase_add_test(c, test_store_counts);
    return c;
}
