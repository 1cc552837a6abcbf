/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who is to blame for the end of a process, as far as its last notes can be believed. */
#include "house.h"

static struct qk_hosts hosts;
static struct qk_hosted hosted;
static struct qk_board *board;

static void setup(void)
{
    house_make(&hosts, &hosted);
    board = calloc(1, sizeof(*board));
}

static void teardown(void)
{
    free(board);
}

static void write_note(unsigned worker, enum qk_port_turn turn, const char *type, const char *key)
{
    struct qk_port_note *note = &board->workers[worker].note;
    note->type_id = qk_fnv64(type);
    note->method_id = 7;
    note->key_len = (uint32_t)strlen(key);
    memcpy(note->key, key, note->key_len);
    atomic_store(&note->turn, turn);
}

static bool is_refused(const char *type, const char *key)
{
    char text[256];
    struct qk_port_frame *f = qk_port_frame_create(strlen(key));
    f->type_id = qk_fnv64(type);
    f->key_len = (uint32_t)strlen(key);
    memcpy(f->bytes, key, f->key_len);
    bool refused = qk_blame_refuses(&hosted, f, text, sizeof(text));
    qk_port_frame_destroy(f);
    return refused;
}

START_TEST(test_blame_falls_on_who_did_it)
{
    char text[768];
    write_note(0, QK_PORT_TURN_RUNS, "chair", "innocent");
    write_note(3, QK_PORT_TURN_CRASHES, "chair", "guilty");
    for (int i = 0; i < 3; i++) {
        ck_assert(!is_refused("chair", "guilty"));
        qk_blame_note(&hosted, board, false, text, sizeof(text));
        ck_assert_str_eq(text, "Sit of chair/guilty");
    }
    ck_assert(is_refused("chair", "guilty"));
    ck_assert(!is_refused("table", "guilty"));
    ck_assert(!is_refused("chair", "innocent"));
    ck_assert_ptr_nonnull(strstr(logged, "quarantine"));
    ck_assert_uint_eq(atomic_load(&hosted.blame.quarantined), 1);
}
END_TEST

START_TEST(test_blame_is_shared_where_it_is_not_certain)
{
    char text[768];
    for (int i = 0; i < 5; i++) {
        write_note(0, QK_PORT_TURN_RUNS, "chair", "always");
        write_note(1, QK_PORT_TURN_RUNS, "table", i % 2 == 0 ? "even" : "odd");
        qk_blame_note(&hosted, board, false, text, sizeof(text));
        ck_assert(!is_refused("chair", "always"));
    }
    qk_blame_note(&hosted, board, false, text, sizeof(text));
    ck_assert(is_refused("chair", "always"));
    ck_assert(!is_refused("table", "even"));
}
END_TEST

START_TEST(test_blame_is_not_for_an_end_that_was_asked_for)
{
    char text[768];
    write_note(0, QK_PORT_TURN_CRASHES, "chair", "a");
    for (int i = 0; i < 10; i++)
        qk_blame_note(&hosted, board, true, text, sizeof(text));
    ck_assert(!is_refused("chair", "a"));
}
END_TEST

/* A process may write anything: nobody else's actors, nothing that is none. */
START_TEST(test_blame_believes_no_nonsense)
{
    char text[768];
    write_note(0, QK_PORT_TURN_CRASHES, "counter", "a"); /* of another plugin */
    write_note(1, QK_PORT_TURN_CRASHES, "chair", "a");
    board->workers[1].note.key_len = UINT32_MAX;
    write_note(2, QK_PORT_TURN_CRASHES, "chair", "");
    write_note(3, (enum qk_port_turn)77, "chair", "b");
    write_note(4, QK_PORT_TURN_NONE, "chair", "c");
    for (int i = 0; i < 10; i++)
        qk_blame_note(&hosted, board, false, text, sizeof(text));
    ck_assert_str_eq(text, "");
    ck_assert_uint_eq(hosted.blame.n, 0);
}
END_TEST

/* More actors than there is room for: the least suspicious make room. */
START_TEST(test_blame_has_a_bound)
{
    char text[768], key[16];
    for (int i = 0; i < 3 * QK_BLAME_ACTORS; i++) {
        snprintf(key, sizeof(key), "%d", i);
        write_note(0, QK_PORT_TURN_CRASHES, "chair", i % 3 == 0 ? "steady" : key);
        qk_blame_note(&hosted, board, false, text, sizeof(text));
    }
    ck_assert_uint_eq(hosted.blame.n, QK_BLAME_ACTORS);
    ck_assert(is_refused("chair", "steady"));
    ck_assert_uint_eq(atomic_load(&hosted.blame.quarantined), 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("blame");
    TCase *tc = tcase_create("blame");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_blame_falls_on_who_did_it);
    tcase_add_test(tc, test_blame_is_shared_where_it_is_not_certain);
    tcase_add_test(tc, test_blame_is_not_for_an_end_that_was_asked_for);
    tcase_add_test(tc, test_blame_believes_no_nonsense);
    tcase_add_test(tc, test_blame_has_a_bound);
    suite_add_tcase(s, tc);
    return s;
}

RUN_SUITE(suite)
