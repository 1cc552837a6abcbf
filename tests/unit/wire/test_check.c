/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The check of message bytes: what it lets through unpacks, what is past a bound is refused. */
#include "wire/check.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <quark/status.h>
#include "base/limits.h"
#include "wt.pb-c.h"

static uint8_t buffer[QK_PAYLOAD_MAX + 16];

static int64_t check_all(const void *bytes, size_t size)
{
    return qk_wire_check(&wt__all__descriptor, bytes, size);
}

#define CHECK(bytes) check_all(bytes, sizeof(bytes) - 1)

START_TEST(test_check_takes_every_kind_of_field)
{
    Wt__Leaf leaf = WT__LEAF__INIT;
    Wt__Leaf *leaves[] = {&leaf, &leaf};
    Wt__All m = WT__ALL__INIT, inner = WT__ALL__INIT;
    int64_t numbers[] = {0, -1, INT64_MAX};
    uint32_t words[] = {1, 2};
    char *texts[] = {"a", ""};
    double reals[] = {1.5};
    protobuf_c_boolean flags[] = {1, 0, 1};
    uint8_t data[] = {0, 255};
    ProtobufCBinaryData blobs[] = {{2, data}, {0, NULL}};
    leaf.number = -7;
    leaf.text = "h\xc3\xa9";
    m.i32 = -1;
    m.s64 = INT64_MIN;
    m.f32 = 1;
    m.sf64 = -1;
    m.real = 1;
    m.precise = 2;
    m.flag = 1;
    m.colour = WT__COLOUR__RED;
    m.text = "text";
    m.data = (ProtobufCBinaryData){2, data};
    m.leaf = &leaf;
    m.numbers = numbers, m.n_numbers = 3;
    m.words = words, m.n_words = 2;
    m.texts = texts, m.n_texts = 2;
    m.blobs = blobs, m.n_blobs = 2;
    m.leaves = leaves, m.n_leaves = 2;
    m.choice_case = WT__ALL__CHOICE_SHOWN;
    m.shown = &leaf;
    m.reals = reals, m.n_reals = 1;
    m.flags = flags, m.n_flags = 3;
    m.inner = &inner;
    size_t size = wt__all__pack(&m, buffer);
    int64_t need = check_all(buffer, size);
    ck_assert_int_gt(need, 0);
    struct qk_arena arena;
    qk_arena_init(&arena, 1 << 20);
    ProtobufCMessage *got;
    ck_assert_int_eq(qk_wire_unpack(&wt__all__descriptor, buffer, size, &arena, &got), 0);
    const Wt__All *all = (const Wt__All *)got;
    ck_assert_int_eq(all->s64, INT64_MIN);
    ck_assert_str_eq(all->shown->text, "h\xc3\xa9");
    ck_assert_uint_eq(all->n_flags, 3);
    /* The bound that the check gives holds: an arena of that size would have been enough. */
    ck_assert_int_le((int64_t)arena.used, need + 2 * QK_ARENA_CHUNK);
    /* Cut anywhere but between two members, it is no message. */
    for (size_t cut = 0; cut < size; cut++) {
        int64_t rc = check_all(buffer, cut);
        ProtobufCMessage *part = rc >= 0 ? protobuf_c_message_unpack(&wt__all__descriptor, NULL, cut, buffer) : NULL;
        ck_assert(rc < 0 || part != NULL);
        if (part != NULL)
            protobuf_c_message_free_unpacked(part, NULL);
    }
    qk_arena_finish(&arena);
}
END_TEST

START_TEST(test_check_takes_nothing_for_an_empty_message)
{
    ck_assert_int_gt(check_all(NULL, 0), 0);
    ck_assert_int_gt(check_all("", 0), 0);
}
END_TEST

START_TEST(test_check_refuses_damaged_members)
{
    ck_assert_int_eq(CHECK("\x08"), QK_EINVALID);                                         /* no value */
    ck_assert_int_eq(CHECK("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), QK_EINVALID); /* more than 64 bits */
    ck_assert_int_gt(CHECK("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 0);
    ck_assert_int_eq(CHECK("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), QK_EINVALID);
    ck_assert_int_eq(CHECK("\x01\x00"), QK_EINVALID);             /* member 0 */
    ck_assert_int_eq(CHECK("\x0a\x00"), QK_EINVALID);             /* an int32 with a length */
    ck_assert_int_eq(CHECK("\x1d\x00\x00\x00"), QK_EINVALID);     /* half a fixed32 */
    ck_assert_int_eq(CHECK("\x21\x00\x00\x00\x00"), QK_EINVALID); /* half an sfixed64 */
    ck_assert_int_eq(CHECK("\x4a\x05hell"), QK_EINVALID);         /* a text longer than the rest */
    ck_assert_int_eq(CHECK("\x4a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), QK_EINVALID);
    ck_assert_int_eq(CHECK("\x4a\x02\xc3\x28"), QK_EINVALID); /* no UTF-8 */
    ck_assert_int_eq(CHECK("\x4a\x03"
                           "a\0b"),
                     QK_EINVALID); /* a zero in a text */
    ck_assert_int_gt(CHECK("\x52\x03"
                           "a\0b"),
                     0);                              /* but not in bytes */
    ck_assert_int_eq(CHECK("\x0b\x0c"), QK_EINVALID); /* a group */
    ck_assert_int_eq(CHECK("\x0e"), QK_EINVALID);     /* wire types 6 and 7 */
    ck_assert_int_eq(CHECK("\x0f"), QK_EINVALID);
    ck_assert_int_eq(CHECK("\x5a\x02\x12\x05"), QK_EINVALID);         /* past the end of a sub-message */
    ck_assert_int_eq(CHECK("\x62\x01\xff"), QK_EINVALID);             /* half a packed number */
    ck_assert_int_eq(CHECK("\x6a\x03\x01\x02\x03"), QK_EINVALID);     /* a packed fixed32 too short */
    ck_assert_int_gt(CHECK("\x60\x05\x62\x02\x01\x02"), 0);           /* a list both unpacked and packed */
    ck_assert_int_gt(CHECK("\xc2\x3e\x01x"), 0);                      /* member 1,000: unknown, kept */
    ck_assert_int_eq(CHECK("\xc2\x3e\x02x"), QK_EINVALID);            /* and damaged */
    ck_assert_int_eq(CHECK("\x80\x80\x80\x80\x10\x00"), QK_EINVALID); /* a member past 2^29 - 1 */
}
END_TEST

/* Messages inside messages, `levels` in all; where they begin in the buffer. */
static const uint8_t *nest(unsigned levels, size_t *ret_size)
{
    uint8_t *at = buffer + sizeof(buffer);
    size_t size = 0;
    for (unsigned i = 1; i < levels; i++) { /* from the inside out: a tag and a length before what is there */
        uint8_t length[10];
        unsigned n = 0;
        for (size_t rest = size; n == 0 || rest > 0; rest >>= 7)
            length[n++] = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
        at -= n;
        memcpy(at, length, n);
        *--at = 0x0a;
        size += n + 1;
    }
    *ret_size = size;
    return at;
}

START_TEST(test_check_depth)
{
    size_t size;
    const uint8_t *bytes = nest(QK_MESSAGE_DEPTH_MAX, &size);
    ck_assert_int_gt(qk_wire_check(&wt__nest__descriptor, bytes, size), 0);
    bytes = nest(QK_MESSAGE_DEPTH_MAX + 1, &size);
    ck_assert_int_eq(qk_wire_check(&wt__nest__descriptor, bytes, size), QK_ETOOBIG);
    bytes = nest(100000, &size);
    ck_assert_int_eq(qk_wire_check(&wt__nest__descriptor, bytes, size), QK_ETOOBIG);
}
END_TEST

START_TEST(test_check_fields)
{
    size_t size = 2 * (size_t)QK_MESSAGE_FIELDS_MAX;
    for (size_t i = 0; i < size; i += 2)
        memcpy(buffer + i, "\x08\x01", 2);
    ck_assert_int_gt(check_all(buffer, size), 0);
    memcpy(buffer + size, "\x08\x01", 2);
    ck_assert_int_eq(check_all(buffer, size + 2), QK_ETOOBIG);
}
END_TEST

START_TEST(test_check_size)
{
    /* One member of unknown bytes that fills the payload. */
    static const uint8_t head[] = {0xc2, 0x3e, 0xfa, 0xff, 0xff, 0x01};
    memset(buffer, 'x', sizeof(buffer));
    memcpy(buffer, head, sizeof(head));
    ck_assert_int_gt(check_all(buffer, QK_PAYLOAD_MAX), 0);
    ck_assert_int_eq(check_all(buffer, QK_PAYLOAD_MAX + 1), QK_ETOOBIG);
}
END_TEST

/* Empty sub-messages grow most: two bytes become a struct. */
START_TEST(test_check_growth)
{
    size_t n = 0;
    while (n + 3 <= 3 * (size_t)QK_MESSAGE_FIELDS_MAX) {
        memcpy(buffer + n, "\x82\x01\x00", 3); /* All.leaves, empty */
        n += 3;
    }
    int64_t rc = check_all(buffer, n);
    ck_assert(rc == QK_ETOOBIG || rc <= QK_MESSAGE_ARENA_MAX);
    size_t half = n / 3 / 4 * 3;
    rc = check_all(buffer, half);
    ck_assert_int_gt(rc, 0);
    struct qk_arena arena;
    qk_arena_init(&arena, QK_MESSAGE_ARENA_MAX);
    ProtobufCMessage *got;
    ck_assert_int_eq(qk_wire_unpack(&wt__all__descriptor, buffer, half, &arena, &got), 0);
    ck_assert_uint_eq(((Wt__All *)got)->n_leaves, half / 3);
    qk_arena_finish(&arena);
    qk_arena_init(&arena, 4096); /* one that can't hold it */
    ck_assert_int_eq(qk_wire_unpack(&wt__all__descriptor, buffer, half, &arena, &got), QK_ETOOBIG);
    qk_arena_finish(&arena);
}
END_TEST

/* Bytes at random: what passes the check unpacks within the bound that the check gave. */
START_TEST(test_check_agrees_with_unpacking)
{
    uint64_t state = 1;
    unsigned passed = 0;
    for (int round = 0; round < 200000; round++) {
        uint8_t bytes[24];
        size_t size = 0;
        for (; size < sizeof(bytes); size++) {
            state = state * 6364136223846793005ull + 1442695040888963407ull;
            if ((state >> 40) % 12 == 0)
                break;
            bytes[size] = (uint8_t)((state >> 33) % 3 == 0 ? state >> 50 : (state >> 50) & 0x1f);
        }
        int64_t need = check_all(bytes, size);
        if (need < 0)
            continue;
        passed++;
        struct qk_arena arena;
        qk_arena_init(&arena, (size_t)need + QK_ARENA_CHUNK);
        ProtobufCMessage *got;
        ck_assert_int_eq(qk_wire_unpack(&wt__all__descriptor, bytes, size, &arena, &got), 0);
        qk_arena_finish(&arena);
    }
    ck_assert_uint_gt(passed, 1000);
}
END_TEST

START_TEST(test_check_utf8)
{
    static const char *const good[] = {"",
                                       "plain",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "eight by\xe2\x82\xac",
                                       "longer than eight bytes, and then \xf0\x9f\x98\x80."};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2g",
                                      "\xe0\x9f\xbf",
                                      "\xe0\xa0",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xfe",
                                      "\xf0\x90\x80",
                                      "eight by\xff",
                                      "\xe2\x82g",
                                      "\xf0\x9f\x98g"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(qk_wire_is_utf8((const uint8_t *)good[i], strlen(good[i])), "good %zu", i);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!qk_wire_is_utf8((const uint8_t *)bad[i], strlen(bad[i])), "bad %zu", i);
    ck_assert(qk_wire_is_utf8((const uint8_t *)"a\0b", 3));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("check");
    TCase *c = tcase_create("check");
    tcase_add_test(c, test_check_takes_every_kind_of_field);
    tcase_add_test(c, test_check_takes_nothing_for_an_empty_message);
    tcase_add_test(c, test_check_refuses_damaged_members);
    tcase_add_test(c, test_check_depth);
    tcase_add_test(c, test_check_fields);
    tcase_add_test(c, test_check_size);
    tcase_add_test(c, test_check_growth);
    tcase_add_test(c, test_check_agrees_with_unpacking);
    tcase_add_test(c, test_check_utf8);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
