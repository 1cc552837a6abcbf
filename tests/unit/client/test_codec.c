/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client's own codec against protobuf-c: what it writes, what it reads, and that it accepts nothing more. */
#include "codec.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <wire.pb-c.h>
#include "base/limits.h"
#include "wire/check.h"
#include "wire/context.h"

static Quark__Wire__Envelope *parse(const uint8_t *frame, size_t n, size_t payload)
{
    ck_assert_uint_eq(qk_codec_u32(frame), n - QK_FRAME_HEAD);
    ck_assert_uint_eq(qk_codec_u32(frame + 4), payload);
    ck_assert_int_ge(qk_wire_check(&quark__wire__envelope__descriptor, frame + QK_FRAME_HEAD, n - QK_FRAME_HEAD), 0);
    Quark__Wire__Envelope *e = quark__wire__envelope__unpack(NULL, n - QK_FRAME_HEAD, frame + QK_FRAME_HEAD);
    ck_assert_ptr_nonnull(e);
    return e;
}

static void check_call(uint64_t id, uint32_t key_len, uint32_t timeout_ms, bool one_way)
{
    uint8_t *frame = malloc(QK_CODEC_HEAD_MAX);
    char key[QK_KEY_MAX];
    memset(key, 'k', sizeof(key));
    struct qk_call_target target = {
        .type_id = id * 0x9e3779b97f4a7c15ull,
        .method_id = 0xfedcba98,
        .ref = {key, key_len},
        .one_way = one_way,
    };
    size_t n = qk_codec_call(frame, id, &target, timeout_ms, NULL, 0, 77);
    ck_assert_uint_le(n, QK_CODEC_HEAD_MAX);
    Quark__Wire__Envelope *e = parse(frame, n, 77);
    ck_assert_int_eq(e->body_case, QUARK__WIRE__ENVELOPE__BODY_CALL);
    ck_assert_uint_eq(e->call->id, id);
    ck_assert_uint_eq(e->call->type_id, target.type_id);
    ck_assert_uint_eq(e->call->method_id, target.method_id);
    ck_assert_uint_eq(e->call->key.len, key_len);
    ck_assert_mem_eq(e->call->key.data, key, key_len);
    ck_assert_uint_eq(e->call->timeout_ms, timeout_ms);
    ck_assert_int_eq(e->call->one_way, one_way);
    ck_assert_uint_eq(quark__wire__envelope__get_packed_size(e), n - QK_FRAME_HEAD);
    quark__wire__envelope__free_unpacked(e, NULL);
    free(frame);
}

START_TEST(test_codec_writes_calls_that_protobuf_reads)
{
    static const uint32_t lengths[] = {1,   2,   90,  91,  92,  93,  94,  95,  96,  97,  98,  99,  100, 101,
                                       102, 103, 104, 105, 106, 107, 108, 109, 110, 127, 128, 511, 512};
    for (unsigned bits = 0; bits < 64; bits++) {
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            check_call(1ull << bits, lengths[i], 0, false);
            check_call((1ull << bits) | (1ull << bits >> 1), lengths[i], 1u << bits % 32, true);
        }
    }
    check_call(UINT64_MAX, QK_KEY_MAX, UINT32_MAX, true);
}
END_TEST

START_TEST(test_codec_writes_contexts_that_protobuf_reads)
{
    static const size_t lengths[] = {0, 1, 100, 119, 120, 121, 127, 128, 3000, 4000};
    uint8_t *frame = malloc(QK_CODEC_HEAD_MAX + QK_CONTEXT_PACKED_MAX), context[QK_CONTEXT_PACKED_MAX];
    char value[4001];
    struct qk_call_target target = {.type_id = 1, .method_id = 2, .ref = {"key", 3}};
    memset(value, 'v', sizeof(value));
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        uint8_t *end = qk_context_put_parent(context, value, 55);
        ck_assert_uint_eq((size_t)(end - context), qk_context_parent_size(55));
        end = qk_context_put_entry(end, "name", 4, value, lengths[i]);
        ck_assert_uint_eq((size_t)(end - context), qk_context_parent_size(55) + qk_context_entry_size(4, lengths[i]));
        size_t n = qk_codec_call(frame, 7, &target, 5, context, (size_t)(end - context), 77);
        ck_assert_uint_le(n, QK_CODEC_HEAD_MAX + (size_t)(end - context));
        Quark__Wire__Envelope *e = parse(frame, n, 77);
        ck_assert_uint_eq(strlen(e->call->context->traceparent), 55);
        ck_assert_uint_eq(e->call->context->n_entries, 1);
        ck_assert_str_eq(e->call->context->entries[0]->name, "name");
        ck_assert_uint_eq(strlen(e->call->context->entries[0]->value), lengths[i]);
        ck_assert_uint_eq(quark__wire__envelope__get_packed_size(e), n - QK_FRAME_HEAD);
        quark__wire__envelope__free_unpacked(e, NULL);
    }
    free(frame);
}
END_TEST

START_TEST(test_codec_writes_the_other_frames)
{
    uint8_t frame[QK_CODEC_HEAD_MAX];
    char name[QK_CODEC_NAME_MAX + 20];
    size_t n = qk_codec_hello(frame, "shell");
    Quark__Wire__Envelope *e = parse(frame, n, 0);
    ck_assert_int_eq(e->body_case, QUARK__WIRE__ENVELOPE__BODY_HELLO);
    ck_assert_uint_eq(e->hello->version_major, QK_PROTOCOL_MAJOR);
    ck_assert_uint_eq(e->hello->version_minor, QK_PROTOCOL_MINOR);
    ck_assert_str_eq(e->hello->name, "shell");
    quark__wire__envelope__free_unpacked(e, NULL);

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    e = parse(frame, qk_codec_hello(frame, name), 0);
    ck_assert_uint_eq(strlen(e->hello->name), QK_CODEC_NAME_MAX);
    quark__wire__envelope__free_unpacked(e, NULL);
    e = parse(frame, qk_codec_hello(frame, "\xff"), 0);
    ck_assert_str_eq(e->hello->name, "");
    quark__wire__envelope__free_unpacked(e, NULL);

    e = parse(frame, qk_codec_admin(frame, 0x123456789, 5), 5);
    ck_assert_int_eq(e->body_case, QUARK__WIRE__ENVELOPE__BODY_ADMIN);
    ck_assert_uint_eq(e->admin->id, 0x123456789);
    quark__wire__envelope__free_unpacked(e, NULL);
    e = parse(frame, qk_codec_cancel(frame, UINT64_MAX), 0);
    ck_assert_int_eq(e->body_case, QUARK__WIRE__ENVELOPE__BODY_CANCEL);
    ck_assert_uint_eq(e->cancel->id, UINT64_MAX);
    quark__wire__envelope__free_unpacked(e, NULL);
}
END_TEST

static uint64_t state;

static uint64_t draw(void)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return state >> 20;
}

static uint64_t draw_wide(void)
{
    uint64_t bits = draw() << 32 ^ draw() ^ draw() << 50;
    return bits >> draw() % 64;
}

/* What protobuf-c reads in the bytes must be what the codec read. */
static void compare(const uint8_t *bytes, size_t size, const struct qk_incoming *in)
{
    ck_assert_int_ge(qk_wire_check(&quark__wire__envelope__descriptor, bytes, size), 0);
    Quark__Wire__Envelope *e = quark__wire__envelope__unpack(NULL, size, bytes);
    ck_assert_ptr_nonnull(e);
    ck_assert_int_eq((int)e->body_case, (int)in->kind);
    const char *text = "";
    if (in->kind == QK_INCOMING_REPLY) {
        ck_assert_uint_eq(e->reply->id, in->id);
        ck_assert_int_eq(e->reply->status, in->status);
        ck_assert_int_eq(e->reply->may_have_run, in->may_have_run);
        text = e->reply->text;
    } else if (in->kind == QK_INCOMING_WELCOME) {
        ck_assert_uint_eq(e->welcome->version_major, in->major);
        ck_assert_uint_eq(e->welcome->version_minor, in->minor);
        ck_assert_uint_eq(e->welcome->payload_max, in->payload_max);
        ck_assert_uint_eq(e->welcome->in_flight_max, in->in_flight_max);
        text = e->welcome->silo;
    } else if (in->kind == QK_INCOMING_TRACE) {
        ck_assert_uint_eq(e->trace->id, in->id);
    } else {
        ck_assert_int_eq(e->go_away->status, in->status);
        text = e->go_away->text;
    }
    ck_assert_uint_eq(strlen(text), in->text_len);
    ck_assert_mem_eq(text, in->text, in->text_len);
    quark__wire__envelope__free_unpacked(e, NULL);
}

static size_t make(uint8_t *bytes)
{
    static const char *const texts[] = {"", "no", "gr\xc3\xbc\xc3\x9f",
                                        "a text that is somewhat longer than the others"};
    Quark__Wire__Reply reply = QUARK__WIRE__REPLY__INIT;
    Quark__Wire__Welcome welcome = QUARK__WIRE__WELCOME__INIT;
    Quark__Wire__GoAway away = QUARK__WIRE__GO_AWAY__INIT;
    Quark__Wire__Envelope e = QUARK__WIRE__ENVELOPE__INIT;
    char *text = (char *)texts[draw() % 4];
    Quark__Wire__Trace trace = QUARK__WIRE__TRACE__INIT;
    switch (draw() % 5) {
    case 2:
        e.body_case = QUARK__WIRE__ENVELOPE__BODY_TRACE;
        e.trace = &trace;
        trace.id = draw_wide();
        break;
    case 0:
        e.body_case = QUARK__WIRE__ENVELOPE__BODY_WELCOME;
        e.welcome = &welcome;
        welcome.version_major = (uint32_t)draw_wide();
        welcome.version_minor = (uint32_t)draw_wide();
        welcome.payload_max = (uint32_t)draw_wide();
        welcome.in_flight_max = (uint32_t)draw_wide();
        welcome.silo = text;
        break;
    case 1:
        e.body_case = QUARK__WIRE__ENVELOPE__BODY_GO_AWAY;
        e.go_away = &away;
        away.status = (int32_t)draw_wide();
        away.text = text;
        break;
    default:
        e.body_case = QUARK__WIRE__ENVELOPE__BODY_REPLY;
        e.reply = &reply;
        reply.id = draw_wide();
        reply.status = (int32_t)draw_wide();
        reply.may_have_run = draw() % 2;
        reply.text = text;
    }
    return quark__wire__envelope__pack(&e, bytes);
}

START_TEST(test_codec_reads_what_protobuf_writes)
{
    uint8_t bytes[256];
    struct qk_incoming in;
    state = 1;
    for (int i = 0; i < 20000; i++) {
        size_t size = make(bytes);
        ck_assert(qk_codec_read(bytes, size, &in));
        compare(bytes, size, &in);
    }
}
END_TEST

START_TEST(test_codec_accepts_nothing_that_the_check_refuses)
{
    struct qk_incoming in;
    int accepted = 0;
    state = 2;
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[256];
        size_t size = make(bytes);
        for (uint64_t n = draw() % 4 + 1; n > 0; n--) {
            if (draw() % 8 == 0)
                size = draw() % (size + 1);
            else if (size != 0)
                bytes[draw() % size] = (uint8_t)draw();
        }
        /* In a block of its own size, so that the address sanitizer sees a step too far. */
        uint8_t *copy = malloc(size + (size == 0));
        memcpy(copy, bytes, size);
        if (qk_codec_read(copy, size, &in)) {
            accepted++;
            compare(copy, size, &in);
        }
        free(copy);
    }
    ck_assert_int_gt(accepted, 1000);
}
END_TEST

static bool reads(const char *bytes, size_t size)
{
    struct qk_incoming in;
    return qk_codec_read((const uint8_t *)bytes, size, &in);
}

START_TEST(test_codec_refuses)
{
    ck_assert(!reads("", 0));
    ck_assert(!reads("\x22\x00\x22\x00", 4));         /* two replies */
    ck_assert(!reads("\x22\x00\x3a\x00", 4));         /* a reply and a GoAway */
    ck_assert(!reads("\x1a\x02\x08\x01", 4));         /* a call */
    ck_assert(!reads("\x0a\x02\x08\x01", 4));         /* a Hello */
    ck_assert(!reads("\x20\x01", 2));                 /* a reply as a number */
    ck_assert(!reads("\x22\x01\x08", 3));             /* no number behind its tag */
    ck_assert(!reads("\x22\x02\x0a\x00", 4));         /* an id as text */
    ck_assert(!reads("\x22\x02\x18\x01", 4));         /* text as a number */
    ck_assert(!reads("\x22\x03\x1a\x01\x00", 5));     /* a zero in the text */
    ck_assert(!reads("\x22\x04\x1a\x02\xc0\x80", 6)); /* no UTF-8 */
    ck_assert(!reads("\x22\x05\x08\x01", 4));         /* shorter than it says */
    ck_assert(!reads("\x22\x01\x0b", 3));             /* a group */
    ck_assert(!reads("\x22\x02\x00\x01", 4));         /* field 0 */
    ck_assert(!reads("\x22\x00\x00\x01", 4));
    ck_assert(!reads("\x22\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 13)); /* 65 bits */
    ck_assert(!reads("\x4d\x01\x02\x03\x04", 5));                                  /* no body that we know */
}
END_TEST

START_TEST(test_codec_passes_over_what_it_does_not_know)
{
    struct qk_incoming in;
    static const char bytes[] = "\x4d\x01\x02\x03\x04"                 /* member 9 of the envelope, 4 bytes */
                                "\x22\x15\x08\x05\x30\x07"             /* id 5, member 6 */
                                "\x3a\x03xyz"                          /* member 7 */
                                "\x41\x01\x02\x03\x04\x05\x06\x07\x08" /* member 8, 8 bytes */
                                "\x8a\x01\x00"                         /* member 17 */
                                "\x92\x01\x01z";                       /* member 18 of the envelope */
    ck_assert(qk_codec_read((const uint8_t *)bytes, sizeof(bytes) - 1, &in));
    ck_assert_int_eq(in.kind, QK_INCOMING_REPLY);
    ck_assert_uint_eq(in.id, 5);
    compare((const uint8_t *)bytes, sizeof(bytes) - 1, &in);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client codec");
    TCase *tc = tcase_create("codec");
    tcase_add_test(tc, test_codec_writes_calls_that_protobuf_reads);
    tcase_add_test(tc, test_codec_writes_contexts_that_protobuf_reads);
    tcase_add_test(tc, test_codec_writes_the_other_frames);
    tcase_add_test(tc, test_codec_reads_what_protobuf_writes);
    tcase_add_test(tc, test_codec_accepts_nothing_that_the_check_refuses);
    tcase_add_test(tc, test_codec_refuses);
    tcase_add_test(tc, test_codec_passes_over_what_it_does_not_know);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
