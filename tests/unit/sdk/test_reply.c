/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What generated code of a program makes of a reply: an actor's bytes are believed only after a check. */
#include "every.quark-client.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "base/limits.h"

/* Trees inside one another, from the inside out, so that the innermost is empty. */
static size_t nest(uint8_t *to, size_t room, unsigned depth)
{
    uint8_t *at = to + room;
    size_t size = 0;
    for (unsigned i = 0; i < depth; i++) {
        uint8_t head[8];
        size_t n = 0;
        head[n++] = 0x0a; /* field 1, a length in front */
        for (size_t left = size;; left >>= 7) {
            head[n++] = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
            if (left <= 0x7f)
                break;
        }
        at -= n;
        memcpy(at, head, n);
        size += n;
    }
    memmove(to, at, size);
    return size;
}

START_TEST(test_reply_is_unpacked)
{
    uint8_t bytes[256];
    struct qk_reply reply = {.status = 3, .text = "", .data = bytes};
    reply.size = nest(bytes, sizeof(bytes), 3);
    Test__EveryThing__Tree *tree = asker_grow_ask_reply(&reply);
    ck_assert_ptr_nonnull(tree);
    ck_assert_uint_eq(tree->n_branches, 1);
    ck_assert_uint_eq(tree->branches[0]->branches[0]->n_branches, 1);
    test__every_thing__tree__free_unpacked(tree, NULL);
    reply.size = 0;
    tree = asker_grow_ask_reply(&reply);
    ck_assert_ptr_nonnull(tree);
    test__every_thing__tree__free_unpacked(tree, NULL);
}
END_TEST

START_TEST(test_reply_is_checked_first)
{
    enum { ROOM = 1 << 20 };
    uint8_t *bytes = malloc(ROOM);
    struct qk_reply reply = {.status = 0, .text = "", .data = bytes};
    reply.size = nest(bytes, ROOM, QK_MESSAGE_DEPTH_MAX - 1);
    Test__EveryThing__Tree *tree = asker_grow_ask_reply(&reply);
    ck_assert_ptr_nonnull(tree);
    test__every_thing__tree__free_unpacked(tree, NULL);
    reply.size = nest(bytes, ROOM, QK_MESSAGE_DEPTH_MAX + 1);
    ck_assert_ptr_null(asker_grow_ask_reply(&reply));
    reply.size = nest(bytes, ROOM, 200000); /* protobuf-c would use up the stack */
    ck_assert_uint_gt(reply.size, 400000);
    ck_assert_ptr_null(asker_grow_ask_reply(&reply));
    memcpy(bytes, "\x0a\x05", 2); /* cut short */
    reply.size = 2;
    ck_assert_ptr_null(asker_grow_ask_reply(&reply));
    free(bytes);
}
END_TEST

START_TEST(test_reply_of_an_error_is_none)
{
    const struct qk_reply reply = {.status = QK_APP(1), .text = "no"};
    ck_assert_ptr_null(asker_grow_ask_reply(&reply));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reply");
    TCase *tc = tcase_create("reply");
    tcase_add_test(tc, test_reply_is_unpacked);
    tcase_add_test(tc, test_reply_is_checked_first);
    tcase_add_test(tc, test_reply_of_an_error_is_none);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
