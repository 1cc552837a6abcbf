/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walks over messages by their descriptors. */
#include "wire/message.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <quark/status.h>
#include "base/limits.h"
#include "wt.pb-c.h"

static char *copy_of(const char *text)
{
    char *copy = strdup(text);
    ck_assert_ptr_nonnull(copy);
    return copy;
}

static Wt__Leaf *make_leaf(int64_t number, const char *text)
{
    Wt__Leaf *leaf = malloc(sizeof(*leaf));
    ck_assert_ptr_nonnull(leaf);
    wt__leaf__init(leaf);
    leaf->number = number;
    leaf->text = copy_of(text);
    return leaf;
}

/* A message on which everything hangs that can, all made with malloc. */
static void fill(Wt__All *m)
{
    wt__all__init(m);
    m->i32 = 7;
    m->text = copy_of("text");
    m->data.data = (uint8_t *)copy_of("data");
    m->data.len = 4;
    m->leaf = make_leaf(1, "leaf");
    m->numbers = malloc(2 * sizeof(int64_t));
    m->numbers[0] = 1, m->numbers[1] = 2;
    m->n_numbers = 2;
    m->texts = malloc(2 * sizeof(char *));
    m->texts[0] = copy_of("first"), m->texts[1] = copy_of("");
    m->n_texts = 2;
    m->blobs = malloc(sizeof(ProtobufCBinaryData));
    m->blobs[0] = (ProtobufCBinaryData){3, (uint8_t *)copy_of("abc")};
    m->n_blobs = 1;
    m->leaves = malloc(sizeof(Wt__Leaf *));
    m->leaves[0] = make_leaf(2, "listed");
    m->n_leaves = 1;
    m->choice_case = WT__ALL__CHOICE_SAID;
    m->said = copy_of("said");
    m->base.unknown_fields = malloc(sizeof(ProtobufCMessageUnknownField));
    m->base.unknown_fields[0] =
        (ProtobufCMessageUnknownField){1000, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, 2, (uint8_t *)copy_of("\x01x")};
    m->base.n_unknown_fields = 1;
}

START_TEST(test_message_flat)
{
    ck_assert(qk_message_is_flat(&wt__flat__descriptor));
    ck_assert(!qk_message_is_flat(&wt__leaf__descriptor));
    ck_assert(!qk_message_is_flat(&wt__nest__descriptor));
}
END_TEST

START_TEST(test_message_copy_shares_nothing)
{
    Wt__All m, copy;
    struct qk_arena arena;
    uint8_t before[512], after[512];
    fill(&m);
    qk_arena_init(&arena, 1 << 20);
    size_t size = wt__all__pack(&m, before);
    ck_assert_int_eq(qk_message_copy(&wt__all__descriptor, &m.base, &copy.base, &arena), 0);
    /* Spoil the original: the copy must not see it. */
    memset(m.text, 'z', strlen(m.text));
    memset(m.data.data, 'z', m.data.len);
    memset(m.leaf->text, 'z', strlen(m.leaf->text));
    m.numbers[0] = 99;
    memset(m.texts[0], 'z', strlen(m.texts[0]));
    m.blobs[0].data[0] = 'z';
    m.leaves[0]->number = 99;
    memset(m.said, 'z', strlen(m.said));
    m.base.unknown_fields[0].data[1] = 'z';
    ck_assert_uint_eq(wt__all__pack(&copy, after), size);
    ck_assert_mem_eq(before, after, size);
    qk_message_clear(&wt__all__descriptor, &m.base);
    ck_assert_uint_eq(wt__all__pack(&copy, after), size);
    ck_assert_mem_eq(before, after, size);
    qk_arena_finish(&arena);
}
END_TEST

/* The reply of a handler is copied to where it lies already. */
START_TEST(test_message_copy_in_place)
{
    Wt__All m, original;
    struct qk_arena arena;
    uint8_t before[512], after[512];
    fill(&m);
    original = m;
    qk_arena_init(&arena, 1 << 20);
    size_t size = wt__all__pack(&m, before);
    ck_assert_int_eq(qk_message_copy(&wt__all__descriptor, &m.base, &m.base, &arena), 0);
    qk_message_clear(&wt__all__descriptor, &original.base);
    ck_assert_uint_eq(wt__all__pack(&m, after), size);
    ck_assert_mem_eq(before, after, size);
    qk_arena_finish(&arena);
}
END_TEST

START_TEST(test_message_copy_of_an_unset_choice)
{
    Wt__All m = WT__ALL__INIT, copy;
    struct qk_arena arena;
    qk_arena_init(&arena, 1 << 20);
    m.said = (char *)(uintptr_t)8; /* not chosen: never looked at */
    m.choice_case = WT__ALL__CHOICE_COUNTED;
    m.counted = 5;
    ck_assert_int_eq(qk_message_copy(&wt__all__descriptor, &m.base, &copy.base, &arena), 0);
    ck_assert_uint_eq(copy.counted, 5);
    qk_message_clear(&wt__all__descriptor, &copy.base);
    qk_arena_finish(&arena);
}
END_TEST

START_TEST(test_message_copy_depth)
{
    static Wt__Nest levels[QK_MESSAGE_DEPTH_MAX + 1];
    static Wt__Nest *inside[QK_MESSAGE_DEPTH_MAX + 1];
    Wt__Nest copy;
    struct qk_arena arena;
    for (int i = 0; i <= QK_MESSAGE_DEPTH_MAX; i++) {
        wt__nest__init(&levels[i]);
        if (i > 0) {
            inside[i] = &levels[i - 1];
            levels[i].inside = &inside[i];
            levels[i].n_inside = 1;
        }
    }
    qk_arena_init(&arena, 1 << 20);
    ck_assert_int_eq(qk_message_copy(&wt__nest__descriptor, &levels[QK_MESSAGE_DEPTH_MAX - 1].base, &copy.base, &arena),
                     0);
    ck_assert_int_eq(qk_message_copy(&wt__nest__descriptor, &levels[QK_MESSAGE_DEPTH_MAX].base, &copy.base, &arena),
                     QK_ETOOBIG);
    /* A message inside itself ends there too. */
    inside[1] = &levels[1];
    ck_assert_int_eq(qk_message_copy(&wt__nest__descriptor, &levels[1].base, &copy.base, &arena), QK_ETOOBIG);
    qk_arena_finish(&arena);
}
END_TEST

START_TEST(test_message_copy_bounds)
{
    Wt__All m = WT__ALL__INIT, copy;
    struct qk_arena arena;
    char text[5000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    m.text = text;
    qk_arena_init(&arena, 1000);
    ck_assert_int_eq(qk_message_copy(&wt__all__descriptor, &m.base, &copy.base, &arena), QK_ETOOBIG);
    m.text = "short";
    m.n_numbers = 3; /* and no array */
    ck_assert_int_eq(qk_message_copy(&wt__all__descriptor, &m.base, &copy.base, &arena), QK_EINVALID);
    int64_t one = 1;
    m.numbers = &one;
    m.n_numbers = SIZE_MAX / 4;
    ck_assert_int_eq(qk_message_copy(&wt__all__descriptor, &m.base, &copy.base, &arena), QK_ETOOBIG);
    qk_arena_finish(&arena);
}
END_TEST

START_TEST(test_message_clear_leaves_a_new_message)
{
    Wt__All m, fresh = WT__ALL__INIT;
    fill(&m);
    qk_message_clear(&wt__all__descriptor, &m.base);
    ck_assert_mem_eq(&m, &fresh, sizeof(m));
    qk_message_clear(&wt__all__descriptor, &m.base); /* again: nothing hangs on it */
    ck_assert_mem_eq(&m, &fresh, sizeof(m));
}
END_TEST

/* Descriptors of another plugin's, which was built from the same .proto or from a changed one. */
START_TEST(test_message_layout)
{
    ProtobufCFieldDescriptor fields[2];
    ProtobufCMessageDescriptor other = wt__leaf__descriptor;
    memcpy(fields, wt__leaf__descriptor.fields, sizeof(fields));
    other.fields = fields;
    ck_assert(qk_message_same_layout(&wt__leaf__descriptor, &other));
    ck_assert(qk_message_same_layout(&wt__nest__descriptor, &wt__nest__descriptor));
    ck_assert(!qk_message_same_layout(&wt__leaf__descriptor, &wt__nest__descriptor));
    fields[1].id = 3;
    ck_assert(!qk_message_same_layout(&wt__leaf__descriptor, &other));
    fields[1] = wt__leaf__descriptor.fields[1];
    fields[0].type = PROTOBUF_C_TYPE_SINT64;
    ck_assert(!qk_message_same_layout(&wt__leaf__descriptor, &other));
    fields[0] = wt__leaf__descriptor.fields[0];
    fields[0].offset += 8;
    ck_assert(!qk_message_same_layout(&wt__leaf__descriptor, &other));
    fields[0] = wt__leaf__descriptor.fields[0];
    other.sizeof_message += 8;
    ck_assert(!qk_message_same_layout(&wt__leaf__descriptor, &other));
    other = wt__leaf__descriptor;
    other.name = "wt.Other";
    ck_assert(!qk_message_same_layout(&wt__leaf__descriptor, &other));
}
END_TEST

/* A message that holds itself: the comparison comes to an end. */
START_TEST(test_message_layout_of_what_holds_itself)
{
    ProtobufCFieldDescriptor field = wt__nest__descriptor.fields[0];
    ProtobufCMessageDescriptor other = wt__nest__descriptor;
    field.descriptor = &other;
    other.fields = &field;
    ck_assert(qk_message_same_layout(&wt__nest__descriptor, &other));
    ck_assert(qk_message_same_layout(&other, &wt__nest__descriptor));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("message");
    TCase *c = tcase_create("message");
    tcase_add_test(c, test_message_flat);
    tcase_add_test(c, test_message_copy_shares_nothing);
    tcase_add_test(c, test_message_copy_in_place);
    tcase_add_test(c, test_message_copy_of_an_unset_choice);
    tcase_add_test(c, test_message_copy_depth);
    tcase_add_test(c, test_message_copy_bounds);
    tcase_add_test(c, test_message_clear_leaves_a_new_message);
    tcase_add_test(c, test_message_layout);
    tcase_add_test(c, test_message_layout_of_what_holds_itself);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
