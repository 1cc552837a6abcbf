/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hand-written reader and writer of envelopes against the generated ones. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <wire.pb-c.h>
#include "base/limits.h"
#include "gateway/envelope.h"
#include "wire/check.h"
#include "wire/context.h"
#include <quark/status.h>

static uint64_t rng = 88172645463325252ull;

static uint32_t next(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)((rng >> 11) % below);
}

/* With a context where the id is odd. */
static size_t pack_call(uint8_t *to, uint64_t id, const char *key)
{
    Quark__Wire__Envelope e = QUARK__WIRE__ENVELOPE__INIT;
    Quark__Wire__Call call = QUARK__WIRE__CALL__INIT;
    call.id = id;
    call.type_id = 0x0123456789abcdefull;
    call.method_id = 0xfedcba98;
    call.key.data = (uint8_t *)key;
    call.key.len = strlen(key);
    call.timeout_ms = 4000000000u;
    call.one_way = true;
    call.request_id = UINT64_MAX;
    Quark__Wire__Context context = QUARK__WIRE__CONTEXT__INIT;
    Quark__Wire__ContextEntry entry = QUARK__WIRE__CONTEXT_ENTRY__INIT, *entries[] = {&entry};
    context.traceparent = "00-1";
    context.n_entries = 1;
    context.entries = entries;
    entry.name = "tenant";
    entry.value = "7";
    if (id % 2 == 1)
        call.context = &context;
    e.body_case = QUARK__WIRE__ENVELOPE__BODY_CALL;
    e.call = &call;
    return quark__wire__envelope__pack(&e, to);
}

START_TEST(test_envelope_reads_a_call)
{
    uint8_t bytes[256];
    struct qk_envelope e;
    size_t n = pack_call(bytes, 1ull << 63, "alice");
    ck_assert_int_eq(qk_envelope_parse(bytes, n, &e), 0);
    ck_assert_int_eq(e.kind, QK_ENVELOPE_CALL);
    ck_assert_uint_eq(e.id, 1ull << 63);
    ck_assert_uint_eq(e.type_id, 0x0123456789abcdefull);
    ck_assert_uint_eq(e.method_id, 0xfedcba98);
    ck_assert_uint_eq(e.timeout_ms, 4000000000u);
    ck_assert_uint_eq(e.one_way, 1);
    ck_assert_uint_eq(e.request_id, UINT64_MAX);
    ck_assert_uint_eq(e.bytes_len, 5);
    ck_assert_mem_eq(e.bytes, "alice", 5);
    ck_assert_uint_eq(e.context_len, 0);
    n = pack_call(bytes, 7, "alice");
    ck_assert_int_eq(qk_envelope_parse(bytes, n, &e), 0);
    ck_assert_uint_eq(e.context_len, 19);
    ck_assert_mem_eq(e.context,
                     "\x0a\x04"
                     "00-1"
                     "\x12\x0b\x0a\x06"
                     "tenant"
                     "\x12\x01"
                     "7",
                     19);
}
END_TEST

START_TEST(test_envelope_refuses_every_cut)
{
    uint8_t bytes[256];
    struct qk_envelope e;
    size_t n = pack_call(bytes, 7, "alice");
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(qk_envelope_parse(bytes, i, &e), QK_EPROTOCOL);
}
END_TEST

START_TEST(test_envelope_refuses_two_bodies)
{
    uint8_t bytes[512];
    struct qk_envelope e;
    size_t n = pack_call(bytes, 7, "alice");
    n += pack_call(bytes + n, 8, "bob");
    ck_assert_int_eq(qk_envelope_parse(bytes, n, &e), QK_EPROTOCOL);
}
END_TEST

START_TEST(test_envelope_refuses_what_a_silo_sends)
{
    uint8_t frame[QK_ENVELOPE_ROOM + QK_ERROR_TEXT_MAX];
    struct qk_envelope e;
    size_t n = qk_envelope_put_reply(frame, 1, 0, "", 0, 1, 0);
    ck_assert_int_eq(qk_envelope_parse(frame + QK_FRAME_HEAD, n - QK_FRAME_HEAD, &e), QK_EPROTOCOL);
    n = qk_envelope_put_welcome(frame, "silo", 1, 1);
    ck_assert_int_eq(qk_envelope_parse(frame + QK_FRAME_HEAD, n - QK_FRAME_HEAD, &e), QK_EPROTOCOL);
    n = qk_envelope_put_trace(frame, 1, 5);
    ck_assert_int_eq(qk_envelope_parse(frame + QK_FRAME_HEAD, n - QK_FRAME_HEAD, &e), QK_EPROTOCOL);
    n = qk_envelope_put_go_away(frame, -1, "bye");
    ck_assert_int_eq(qk_envelope_parse(frame + QK_FRAME_HEAD, n - QK_FRAME_HEAD, &e), QK_EPROTOCOL);
}
END_TEST

START_TEST(test_envelope_bounds_its_size)
{
    uint8_t *bytes = calloc(1, QK_ENVELOPE_MAX + 16);
    struct qk_envelope e;
    ck_assert_ptr_nonnull(bytes);
    size_t n = pack_call(bytes, 7, "alice");
    /* Filled up with a member that nobody knows: field 9, bytes. */
    size_t room = QK_ENVELOPE_MAX - n - 3;
    bytes[n] = 9 << 3 | 2;
    bytes[n + 1] = (uint8_t)(room | 0x80);
    bytes[n + 2] = (uint8_t)(room >> 7);
    ck_assert_int_eq(qk_envelope_parse(bytes, QK_ENVELOPE_MAX, &e), 0);
    room++;
    bytes[n + 1] = (uint8_t)(room | 0x80);
    bytes[n + 2] = (uint8_t)(room >> 7);
    ck_assert_int_eq(qk_envelope_parse(bytes, QK_ENVELOPE_MAX + 1, &e), QK_EPROTOCOL);
    free(bytes);
}
END_TEST

static void compare_contexts(const Quark__Wire__Context *m, const struct qk_envelope *e)
{
    struct qk_context_reader r = {e->context, e->context + e->context_len};
    struct qk_context_item item;
    const char *parent = "";
    size_t parent_len = 0, n = 0;
    if (m == NULL) {
        ck_assert_uint_eq(e->context_len, 0);
        return;
    }
    while (qk_context_next(&r, &item) > 0) {
        if (item.kind == QK_CONTEXT_PARENT) {
            parent = item.value;
            parent_len = item.value_len;
            continue;
        }
        ck_assert_uint_lt(n, m->n_entries);
        ck_assert_uint_eq(strlen(m->entries[n]->name), item.name_len);
        ck_assert_mem_eq(m->entries[n]->name, item.name, item.name_len);
        ck_assert_uint_eq(strlen(m->entries[n]->value), item.value_len);
        ck_assert_mem_eq(m->entries[n]->value, item.value, item.value_len);
        n++;
    }
    ck_assert_uint_eq(n, m->n_entries);
    ck_assert_uint_eq(strlen(m->traceparent), parent_len);
    ck_assert_mem_eq(m->traceparent, parent, parent_len);
}

/* What the reader takes the checker takes too, and the generated code reads the same out of it. */
static bool compare_with_generated(const uint8_t *bytes, size_t n)
{
    struct qk_envelope e;
    if (qk_envelope_parse(bytes, n, &e) < 0)
        return false;
    ck_assert_int_ge(qk_wire_check(&quark__wire__envelope__descriptor, bytes, n), 0);
    Quark__Wire__Envelope *m = quark__wire__envelope__unpack(NULL, n, bytes);
    ck_assert_ptr_nonnull(m);
    ck_assert_int_eq((int)m->body_case, (int)e.kind);
    switch (e.kind) {
    case QK_ENVELOPE_HELLO:
        ck_assert_uint_eq(m->hello->version_major, e.version_major);
        ck_assert_uint_eq(m->hello->version_minor, e.version_minor);
        ck_assert_uint_eq(strlen(m->hello->name), e.bytes_len);
        break;
    case QK_ENVELOPE_CALL:
        ck_assert_uint_eq(m->call->id, e.id);
        ck_assert_uint_eq(m->call->type_id, e.type_id);
        ck_assert_uint_eq(m->call->method_id, e.method_id);
        ck_assert_uint_eq(m->call->timeout_ms, e.timeout_ms);
        ck_assert_uint_eq(m->call->request_id, e.request_id);
        ck_assert_uint_eq(m->call->one_way != 0, e.one_way);
        ck_assert_uint_eq(m->call->key.len, e.bytes_len);
        if (e.bytes_len != 0)
            ck_assert_mem_eq(m->call->key.data, e.bytes, e.bytes_len);
        compare_contexts(m->call->context, &e);
        break;
    case QK_ENVELOPE_ADMIN:
        ck_assert_uint_eq(m->admin->id, e.id);
        break;
    case QK_ENVELOPE_CANCEL:
        ck_assert_uint_eq(m->cancel->id, e.id);
        break;
    default:
        ck_abort_msg("a kind that a silo sends");
    }
    quark__wire__envelope__free_unpacked(m, NULL);
    return true;
}

START_TEST(test_envelope_is_as_strict_as_the_check)
{
    uint8_t bytes[300];
    unsigned taken = 0;
    for (int i = 0; i < 50000; i++) {
        size_t n = pack_call(bytes, next(1000), "key");
        if (i % 4 == 1) { /* one of the other kinds */
            static const uint8_t others[][12] = {{10, 6, 8, 1, 16, 2, 26, 0}, {42, 2, 8, 9}, {50, 2, 8, 9}};
            static const size_t sizes[] = {8, 4, 4};
            unsigned k = next(3);
            memcpy(bytes, others[k], n = sizes[k]);
        }
        for (uint32_t k = next(4); k > 0; k--)
            bytes[next((uint32_t)n)] = (uint8_t)(next(3) == 0 ? next(256) : 1u << next(8));
        if (next(8) == 0)
            n = next((uint32_t)n + 1);
        taken += compare_with_generated(bytes, n);
    }
    ck_assert_uint_gt(taken, 10000);
}
END_TEST

START_TEST(test_envelope_writes_what_generated_code_reads)
{
    static const int32_t statuses[] = {0, 1, -1, -1001, -3000, INT32_MAX, INT32_MIN};
    static const uint64_t ids[] = {1, 127, 128, 1u << 31, UINT64_MAX};
    char text[QK_ERROR_TEXT_MAX + 1];
    uint8_t frame[QK_ENVELOPE_ROOM + QK_ERROR_TEXT_MAX];
    memset(text, 'x', sizeof(text));
    for (unsigned s = 0; s < 7; s++) {
        for (unsigned i = 0; i < 5; i++) {
            size_t len = i * 256;
            size_t n = qk_envelope_put_reply(frame, ids[i], statuses[s], text, len, (int)(i & 1), 12345);
            ck_assert_uint_eq(qk_get32(frame), n - QK_FRAME_HEAD);
            ck_assert_uint_eq(qk_get32(frame + 4), 12345);
            Quark__Wire__Envelope *m = quark__wire__envelope__unpack(NULL, n - QK_FRAME_HEAD, frame + QK_FRAME_HEAD);
            ck_assert_ptr_nonnull(m);
            ck_assert_int_eq(m->body_case, QUARK__WIRE__ENVELOPE__BODY_REPLY);
            ck_assert_uint_eq(m->reply->id, ids[i]);
            ck_assert_int_eq(m->reply->status, statuses[s]);
            ck_assert_uint_eq(strlen(m->reply->text), len);
            ck_assert_int_eq(m->reply->may_have_run, (int)(i & 1));
            quark__wire__envelope__free_unpacked(m, NULL);
        }
    }
}
END_TEST

START_TEST(test_envelope_cuts_long_names)
{
    char name[QK_ERROR_TEXT_MAX * 2];
    uint8_t frame[QK_ENVELOPE_ROOM + QK_ERROR_TEXT_MAX];
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = 0;
    size_t n = qk_envelope_put_welcome(frame, name, UINT32_MAX, UINT32_MAX);
    ck_assert_uint_le(n, sizeof(frame));
    Quark__Wire__Envelope *m = quark__wire__envelope__unpack(NULL, n - QK_FRAME_HEAD, frame + QK_FRAME_HEAD);
    ck_assert_ptr_nonnull(m);
    ck_assert_uint_eq(strlen(m->welcome->silo), QK_ERROR_TEXT_MAX);
    ck_assert_uint_eq(m->welcome->in_flight_max, UINT32_MAX);
    quark__wire__envelope__free_unpacked(m, NULL);
    n = qk_envelope_put_go_away(frame, INT32_MIN, name);
    ck_assert_uint_le(n, sizeof(frame));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("envelope");
    TCase *tc = tcase_create("envelope");
    tcase_add_test(tc, test_envelope_reads_a_call);
    tcase_add_test(tc, test_envelope_refuses_every_cut);
    tcase_add_test(tc, test_envelope_refuses_two_bodies);
    tcase_add_test(tc, test_envelope_refuses_what_a_silo_sends);
    tcase_add_test(tc, test_envelope_bounds_its_size);
    tcase_add_test(tc, test_envelope_is_as_strict_as_the_check);
    tcase_add_test(tc, test_envelope_writes_what_generated_code_reads);
    tcase_add_test(tc, test_envelope_cuts_long_names);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
