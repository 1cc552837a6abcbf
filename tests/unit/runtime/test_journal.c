/* SPDX-License-Identifier: GPL-3.0-or-later */
/* States that are made of events: appending, snapshots, loading, replays, over a store that fails on demand. */
#include "events.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "rt.pb-c.h"

static void expect_count(int64_t want)
{
    int64_t v;
    ck_assert_int_eq(events_do(GET, &v), 0);
    ck_assert_int_eq(v, want);
}

static void expect_position(int64_t want)
{
    int64_t v;
    ck_assert_int_eq(events_do(POSITION, &v), 0);
    ck_assert_int_eq(v, want);
}

static void fail_operations(uint32_t skip, uint32_t n, int status, bool done)
{
    store.skip = skip;
    store.fail = n;
    store.status = status;
    store.done = done;
}

START_TEST(test_journal_events_make_the_state)
{
    int64_t v;
    expect_position(0);
    ck_assert_int_eq(events_add(7, &v), 0);
    ck_assert_int_eq(v, 7);
    ck_assert_int_eq(events_add(-2, &v), 0);
    ck_assert_int_eq(v, 5);
    expect_position(2);
    ck_assert_uint_eq(store.n, 2);
    ck_assert_uint_eq(store.writes, 0);
    events_forget();
    expect_count(5);
    expect_position(2);
}
END_TEST

START_TEST(test_journal_snapshot_comes_with_the_nth_event)
{
    int64_t v, count;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_uint_eq(store.writes, 0);
    ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_uint_eq(store.writes, 1);
    ck_assert_uint_eq(events_snapshot(&count), 3);
    ck_assert_int_eq(count, 3);
    /* Several at once count as what they are, and are not taken apart. */
    ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_int_eq(events_call(ADD_ALL, "x", (int64_t[]){1, 1, 1, 1, 1}, 5, &v), 0);
    ck_assert_int_eq(v, 9);
    ck_assert_uint_eq(store.writes, 2);
    ck_assert_uint_eq(events_snapshot(&count), 9);
    ck_assert_int_eq(events_add(1, &v), 0);
    events_forget();
    expect_count(10);
    ck_assert_uint_eq(store.replayed_behind, 9);
    /* What was counted before the end of the activation counts on. */
    ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_uint_eq(store.writes, 2);
    ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_uint_eq(store.writes, 3);
    ck_assert_uint_eq(store.n, 12); /* none has gone */
}
END_TEST

START_TEST(test_journal_snapshots_come_by_default)
{
    int64_t v;
    events_kind = RARE;
    for (int i = 0; i < 99; i++)
        ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_uint_eq(store.writes, 0);
    ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_uint_eq(store.writes, 1);
}
END_TEST

START_TEST(test_journal_conflict_changes_nothing)
{
    int64_t v;
    ck_assert_int_eq(events_add(1, &v), 0);
    events_append_behind("theirs", 10);
    ck_assert_int_eq(events_add(1, &v), QK_ECONFLICT);
    ck_assert_str_eq(harness_text, "2 is stored");
    expect_count(1);
    expect_position(1);
    ck_assert_uint_eq(store.n, 2);
    ck_assert_int_eq(events_add(1, &v), QK_ECONFLICT);
    ck_assert_int_eq(events_do(RELOAD, &v), 0);
    ck_assert_int_eq(v, 11);
    ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_int_eq(v, 12);
    events_append_behind("theirs", 100);
    ck_assert_int_eq(events_add(1, &v), QK_ECONFLICT);
    events_forget();
    expect_count(112);
}
END_TEST

START_TEST(test_journal_append_that_fails_changes_nothing)
{
    int64_t v;
    ck_assert_int_eq(events_add(1, &v), 0);
    fail_operations(0, 1, -ENOSPC, false);
    ck_assert_int_eq(events_add(1, &v), -ENOSPC);
    ck_assert_str_eq(harness_text, "no luck (1)");
    expect_count(1);
    ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_int_eq(v, 2);
    /* Stored, but the answer is lost: the activation learns of it at the next. */
    fail_operations(0, 1, -EIO, true);
    ck_assert_int_eq(events_add(1, &v), -EIO);
    expect_count(2);
    ck_assert_int_eq(events_add(1, &v), QK_ECONFLICT);
    events_forget();
    expect_count(3);
}
END_TEST

START_TEST(test_journal_does_without_a_snapshot)
{
    int64_t v, count;
    fail_operations(2 + 3, 1, -ENOSPC, false); /* behind the load and the appends */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_int_eq(v, 3);
    ck_assert_uint_eq(store.version, 0);
    expect_position(3);
    events_forget(); /* as when the silo had died in between */
    expect_count(3);
    /* It is due, so the next append brings it. */
    ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_uint_eq(events_snapshot(&count), 4);
    ck_assert_int_eq(count, 4);
    /* While the activation lives, it is tried every third event and not with each. */
    fail_operations(3, 1, -ENOSPC, false);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_uint_eq(events_snapshot(&count), 4);
    ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_uint_eq(events_snapshot(&count), 10);
    ck_assert_int_eq(count, 10);
}
END_TEST

START_TEST(test_journal_snapshot_of_another_is_replaced)
{
    int64_t v, count;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(events_add(1, &v), 0);
    store.version = 40; /* written behind this activation's back; it says what is true of some position */
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_uint_eq(store.version, 41);
    ck_assert_uint_eq(events_snapshot(&count), 6);
    /* And one whose answer was lost. */
    fail_operations(3, 1, QK_EUNAVAILABLE, true);
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_uint_eq(events_snapshot(&count), 15);
    events_forget();
    expect_count(15);
}
END_TEST

START_TEST(test_journal_load_that_fails_fails_the_call_and_is_tried_again)
{
    int64_t v;
    for (int i = 0; i < 300; i++)
        events_append_behind("", 1);
    for (uint32_t skip = 0; skip < 3; skip++) { /* the snapshot, the first page, the second */
        fail_operations(skip, 1, QK_EUNAVAILABLE, false);
        ck_assert_int_eq(events_do(GET, &v), QK_EACTIVATE);
        ck_assert_ptr_nonnull(strstr(harness_text, "no luck"));
    }
    expect_count(300);
    ck_assert_int_eq(events_add(1, &v), 0); /* and a snapshot, which was due */
    ck_assert_uint_eq(store.writes, 1);
    /* In a handler: the state stays as it was. */
    fail_operations(1, 1, QK_EUNAVAILABLE, false);
    ck_assert_int_eq(events_do(RELOAD, &v), QK_EUNAVAILABLE);
    expect_count(301);
    ck_assert_int_eq(events_add(1, &v), 0);
}
END_TEST

START_TEST(test_journal_damage_is_told_with_its_place)
{
    int64_t v;
    for (int i = 0; i < 4; i++)
        events_append_behind("", 1);
    events_put("\x0a\x05xy", 4); /* a text that is cut off */
    events_append_behind("", 1);
    ck_assert_int_eq(events_do(GET, &v), QK_EACTIVATE);
    ck_assert_ptr_nonnull(
        strstr(harness_text, "the event at position 5 of eager/a is not a message of the events' type"));
    events_kind = LAZY; /* what stands before it can be read all the same */
    ck_assert_int_eq(events_call(REPLAY, "", (int64_t[]){1, 0}, 2, &v), QK_EINVALID);
    ck_assert_ptr_nonnull(strstr(harness_text, "position 5 of lazy/a"));
    ck_assert_uint_eq(events_seen, 4);
    ck_assert_int_eq(events_call(REPLAY, "", (int64_t[]){6, 0}, 2, &v), 0);
    ck_assert_uint_eq(events_seen, 1);
    events_kind = EAGER;
    events_cut(4);
    events_append_behind("", 1);
    events_append_behind("", 1);
    store.missing = 3;
    ck_assert_int_eq(events_do(GET, &v), QK_EACTIVATE);
    ck_assert_ptr_nonnull(strstr(harness_text, "the event at position 3 of eager/a is missing"));
    store.missing = 0;
    expect_count(6);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(events_add(1, &v), 0);
    events_forget();
    store.state[QK_SNAPSHOT_HEAD] = 0xff;
    ck_assert_int_eq(events_do(GET, &v), QK_EACTIVATE);
    ck_assert_ptr_nonnull(strstr(harness_text, "the snapshot of eager/a at position"));
}
END_TEST

START_TEST(test_journal_apply_that_fails)
{
    int64_t v;
    ck_assert_int_eq(events_add(1, &v), 0);
    /* It is stored, so the activation can't go on; and no other can begin before the author has mended it. */
    ck_assert_int_eq(events_call(ADD, "poison", NULL, 0, &v), QK_ECRASHED);
    ck_assert_ptr_nonnull(strstr(harness_text, "the event at position 2 of eager/a can't be applied to the state"));
    ck_assert_uint_eq(store.n, 2);
    harness_run(&events_harness);
    ck_assert_int_eq(events_do(GET, &v), QK_EACTIVATE);
    ck_assert_ptr_nonnull(strstr(harness_text, "the event at position 2 of eager/a"));
    ck_assert_ptr_nonnull(strstr(harness_text, "status -2003"));
    events_cut(1);
    harness_advance(&events_harness, 60000);
    expect_count(1);
}
END_TEST

START_TEST(test_journal_is_read_in_pages)
{
    int64_t v;
    events_kind = RARE;
    for (int i = 1; i <= 1000; i++)
        events_append_behind("", i);
    expect_count(500500);
    ck_assert_uint_eq(store.replays, 4);
    store.replays = 0;
    ck_assert_int_eq(events_call(REPLAY, "", (int64_t[]){0, 0}, 2, &v), 0);
    ck_assert_int_eq(v, 500500);
    ck_assert_uint_eq(events_seen, 1000);
    ck_assert_uint_eq(store.replays, 4);
    static const struct {
        int64_t from, until;
        uint32_t seen;
    } rows[] = {{1, 0, 1000},  {2, 0, 999}, {1000, 0, 1},      {1001, 0, 0}, {5000, 0, 0},
                {700, 702, 3}, {1, 1, 1},   {INT64_MAX, 0, 0}, {-1, 0, 0},   {1, 256, 256}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int rc = events_call(REPLAY, "", &rows[i].from, 2, &v);
        ck_assert_int_eq(rc, rows[i].until != 0 ? QK_APP(7) : 0);
        ck_assert_uint_eq(events_seen, rows[i].seen);
        ck_assert(events_seen == 0 || events_first == (uint64_t)rows[i].from);
    }
    expect_count(500500); /* the state is as it was */
    expect_position(1000);
    /* Pages are bounded in bytes too. */
    static char text[200001];
    memset(text, 'x', sizeof(text) - 1);
    store.replays = 0;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(events_call(ADD, text, NULL, 0, &v), 0);
    ck_assert_int_eq(events_call(REPLAY, "", (int64_t[]){1001, 0}, 2, &v), 0);
    ck_assert_uint_eq(events_seen, 3);
    ck_assert_uint_eq(store.replays, 3);
}
END_TEST

/* An event of few bytes may take many times that: then a page is cut before its end. */
START_TEST(test_journal_pages_are_bounded_unpacked)
{
    int64_t v;
    static uint8_t bytes[60004] = {0x12, 0xe0, 0xd4, 0x03}; /* 60,000 numbers, of a byte each and eight in memory */
    events_kind = RARE;
    for (int i = 0; i < 100; i++)
        events_put(bytes, sizeof(bytes));
    expect_count(0);
    expect_position(100);
    ck_assert_int_eq(events_call(REPLAY, "", (int64_t[]){1, 0}, 2, &v), 0);
    ck_assert_uint_eq(events_seen, 100);
}
END_TEST

START_TEST(test_journal_replay_in_a_turn_that_does_more)
{
    int64_t v;
    for (int i = 0; i < 10; i++)
        events_append_behind("", 1);
    ck_assert_int_eq(events_call(REPLAY, "load", (int64_t[]){1, 0}, 2, &v), 0);
    ck_assert_uint_eq(events_seen, 10);
    ck_assert_int_eq(events_call(REPLAY, "panic", (int64_t[]){1, 0}, 2, &v), QK_ECRASHED);
    ck_assert_uint_eq(events_seen, 1);
    expect_count(10);
    fail_operations(0, 1, QK_EUNAVAILABLE, false);
    ck_assert_int_eq(events_call(REPLAY, "", (int64_t[]){1, 0}, 2, &v), QK_EUNAVAILABLE);
}
END_TEST

START_TEST(test_journal_takes_only_what_it_can_read_again)
{
    static const int want[] = {QK_EINVALID, QK_EINVALID, QK_EINVALID, QK_ETOOBIG, QK_EINVALID, QK_EINVALID};
    int64_t v;
    ck_assert_int_eq(events_add(4, &v), 0);
    for (int64_t i = 0; i < 6; i++) {
        ck_assert_int_eq(events_call(BAD, "", &i, 1, &v), want[i]);
        ck_assert_str_ne(harness_text, "");
    }
    expect_count(4);
    ck_assert_uint_eq(store.n, 1);
    ck_assert_uint_eq(store.appends, 1);
    int64_t good = 6; /* an event of nothing */
    ck_assert_int_eq(events_call(BAD, "", &good, 1, &v), 0);
    ck_assert_uint_eq(store.n, 2);
}
END_TEST

START_TEST(test_journal_lazy_state_is_loaded_on_demand)
{
    int64_t v;
    events_kind = LAZY;
    events_append_behind("", 5);
    ck_assert_int_eq(events_add(1, &v), QK_ESTATE);
    expect_position(0);
    ck_assert_uint_eq(store.reads + store.replays, 0);
    ck_assert_int_eq(events_do(RELOAD, &v), 0);
    ck_assert_int_eq(v, 5);
    ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_int_eq(v, 6);
}
END_TEST

START_TEST(test_journal_is_neither_saved_nor_cleared)
{
    int64_t v;
    ck_assert_int_eq(events_do(SAVE, &v), QK_EINVALID);
    ck_assert_ptr_nonnull(strstr(harness_text, "made of its events"));
    ck_assert_int_eq(events_do(CLEAR, &v), QK_EINVALID);
    events_kind = PLAIN;
    ck_assert_int_eq(events_add(1, &v), QK_EINVALID);
    ck_assert_ptr_nonnull(strstr(harness_text, "names no `event`"));
    ck_assert_int_eq(events_call(REPLAY, "", (int64_t[]){1, 0}, 2, &v), QK_EINVALID);
    expect_position(0);
    ck_assert_int_eq(events_do(SAVE, &v), 0);
}
END_TEST

/* A type that had a plain state gets a journal: what is stored is where the events begin. */
START_TEST(test_journal_begins_with_a_state_that_was_saved)
{
    int64_t v, count;
    memcpy(store.state, "\x08\x2a", 2); /* count: 42 */
    store.state_size = 2;
    store.version = 9;
    expect_count(42);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_uint_eq(events_snapshot(&count), 3);
    ck_assert_int_eq(count, 45);
    ck_assert_uint_eq(store.version, 10);
    events_forget();
    expect_count(45);
}
END_TEST

/* What comes over the port may be anything. */
START_TEST(test_journal_bytes_of_the_port_are_bounded)
{
    uint8_t bytes[64], *at = bytes;
    struct qk_port_event event;
    at = qk_port_event_put(at, 7, 3);
    memcpy(at, "abc", 3);
    at = qk_port_event_put(at + 3, 8, 0);
    const uint8_t *end = at, *from = bytes, *found = qk_port_event_next(&from, end, &event);
    ck_assert_uint_eq(event.position, 7);
    ck_assert_uint_eq(event.size, 3);
    ck_assert_int_eq(memcmp(found, "abc", 3), 0);
    found = qk_port_event_next(&from, end, &event);
    ck_assert_ptr_eq(found, end);
    ck_assert_uint_eq(event.position, 8);
    found = qk_port_event_next(&from, end, &event);
    ck_assert_ptr_null(found);
    for (size_t size = 0; size < 19; size++) { /* cut off */
        from = bytes;
        found = qk_port_event_next(&from, bytes + size, &event);
        ck_assert_ptr_null(found);
        ck_assert_ptr_eq(from, bytes);
    }
    qk_port_event_put(bytes, 1, UINT32_MAX);
    found = qk_port_event_next(&from, bytes + sizeof(bytes), &event);
    ck_assert_ptr_null(found);
    uint64_t position;
    qk_port_snapshot_put(bytes, UINT64_MAX - 5);
    size_t head = qk_port_snapshot_head(bytes, QK_SNAPSHOT_HEAD, &position);
    ck_assert_uint_eq(head, QK_SNAPSHOT_HEAD);
    ck_assert_uint_eq(position, UINT64_MAX - 5);
    for (size_t size = 0; size < QK_SNAPSHOT_HEAD; size++) {
        head = qk_port_snapshot_head(bytes, size, &position);
        ck_assert_uint_eq(head + position, 0);
    }
}
END_TEST

/* ---- turns that interleave */

static void submit(enum events_method method, uint64_t id)
{
    harness_submit(&events_harness, QK_PORT_CALL, events_method(method), "a", NULL, id, 0);
}

static int status_of(uint64_t id)
{
    struct qk_port_frame *f = harness_reply(&events_harness);
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(f->call_id, id);
    int status = f->status;
    qk_port_frame_destroy(f);
    return status;
}

/* Lets the store answer until nothing is under way. */
static void release_all(void)
{
    do
        harness_run(&events_harness);
    while (events_release());
}

START_TEST(test_journal_operations_of_one_activation_go_one_after_another)
{
    int64_t v;
    events_kind = MIXED;
    ck_assert_int_eq(events_add(1, &v), 0);
    store.hold = true;
    submit(ADD, 1);
    submit(ADD, 2); /* has checked itself against a state that is none any more when its turn comes */
    submit(RELOAD, 3);
    harness_run(&events_harness);
    ck_assert_uint_eq(store.appends, 1); /* of before */
    release_all();
    ck_assert_int_eq(status_of(1), 0);
    ck_assert_int_eq(status_of(2), QK_ECONFLICT);
    ck_assert_int_eq(status_of(3), 0);
    ck_assert_uint_eq(store.n, 2);
    store.hold = false;
    expect_position(2);
    ck_assert_int_eq(events_add(1, &v), 0);
}
END_TEST

START_TEST(test_journal_load_is_seen_whole_or_not_at_all)
{
    int64_t v;
    events_kind = MIXED;
    ck_assert_int_eq(events_add(1, &v), 0);
    for (int i = 0; i < 600; i++)
        events_append_behind("", 1);
    store.hold = true;
    submit(RELOAD, 1);
    harness_run(&events_harness);
    for (int step = 0; step < 3; step++) { /* the snapshot, and two pages of three */
        ck_assert(events_release());
        harness_run(&events_harness);
        submit(GET, 2);
        submit(ADD, 3); /* waits for the load, and then knows of no event that it brought */
        harness_run(&events_harness);
        struct qk_port_frame *f = harness_reply(&events_harness);
        ck_assert_ptr_nonnull(f);
        ck_assert_uint_eq(f->call_id, 2);
        ck_assert_uint_eq(f->payload_len, 2);
        ck_assert_uint_eq(qk_port_frame_payload(f)[1], 1);
        qk_port_frame_destroy(f);
    }
    release_all();
    ck_assert_int_eq(status_of(1), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(status_of(3), QK_ECONFLICT);
    store.hold = false;
    expect_count(601);
}
END_TEST

/* The activation ends, or fails, while a turn of it waits for the store: the one is put off until the turn is over, the
 * other ends the turn where it was. */
START_TEST(test_journal_operation_outlives_its_activation)
{
    static const enum events_method under_way[] = {ADD, RELOAD, REPLAY};
    static const int64_t numbers[] = {1, 0};
    enum events_method end = _i < 3 ? QUIT : PANIC;
    Rt__Text in = RT__TEXT__INIT;
    int64_t v;
    events_kind = MIXED;
    ck_assert_int_eq(events_add(1, &v), 0);
    in.n_numbers = 2;
    in.numbers = (int64_t *)(uintptr_t)numbers;
    events_seen = 0;
    store.hold = true;
    harness_submit(&events_harness, QK_PORT_CALL, events_method(under_way[_i % 3]), "a", &in.base, 1, 0);
    harness_run(&events_harness);
    submit(end, 2);
    harness_run(&events_harness);
    ck_assert_int_eq(status_of(2), end == QUIT ? 0 : QK_ECRASHED);
    release_all();
    ck_assert_int_eq(status_of(1), end == QUIT ? 0 : QK_ECRASHED);
    ck_assert_uint_eq(events_seen, _i == 2 ? 1 : 0);
    store.hold = false;
    expect_count(_i % 3 == 0 ? 2 : 1);
    expect_position(_i % 3 == 0 ? 2 : 1);
}
END_TEST

/* Two turns fail the activation at once: one with an event that can't be applied, when the other has just failed it. */
START_TEST(test_journal_apply_that_fails_in_an_activation_that_has_failed)
{
    Rt__Text in = RT__TEXT__INIT;
    int64_t v;
    events_kind = MIXED;
    ck_assert_int_eq(events_add(1, &v), 0);
    store.hold = true;
    in.text = "poison";
    harness_submit(&events_harness, QK_PORT_CALL, events_method(ADD), "a", &in.base, 1, 0);
    harness_run(&events_harness);
    in.text = "poisoned";
    harness_submit(&events_harness, QK_PORT_CALL, events_method(PANIC), "a", &in.base, 2, 0);
    qk_runtime_step(events_harness.rt); /* it does not rest before the event is there */
    ck_assert(events_release());
    release_all();
    ck_assert_int_eq(status_of(2), QK_ECRASHED);
    ck_assert_int_eq(status_of(1), QK_ECRASHED);
    store.hold = false;
    events_cut(1);
    harness_advance(&events_harness, 60000);
    expect_count(1);
}
END_TEST

/* ---- activations that go on after a failure */

static void adopt(void)
{
    Rt__Text in = RT__TEXT__INIT;
    in.text = "a";
    events_kind = LAZY;
    ck_assert_int_eq(harness_call(&events_harness, events_method(ADOPT), "p", &in.base, NULL), 0);
    harness_run(&events_harness);
    events_kind = MIXED;
}

/* Whatever was stored meanwhile is in the state then. */
START_TEST(test_journal_state_that_goes_on_is_the_fold)
{
    int64_t v;
    adopt();
    ck_assert_int_eq(events_add(1, &v), 0);
    store.hold = true;
    submit(ADD, 1);
    harness_run(&events_harness);
    submit(PANIC, 2);
    harness_run(&events_harness);
    ck_assert_int_eq(status_of(2), QK_ECRASHED);
    release_all();
    ck_assert_int_eq(status_of(1), QK_ECRASHED);
    store.hold = false;
    ck_assert_uint_eq(store.n, 2);
    expect_position(2);
    ck_assert_int_eq(events_add(5, &v), 0);
    ck_assert_int_eq(v, 6);
}
END_TEST

/* A state that is no fold of the journal does not go on, whatever the parent says. */
START_TEST(test_journal_spoilt_state_does_not_go_on)
{
    int64_t v;
    adopt();
    ck_assert_int_eq(events_add(1, &v), 0);
    ck_assert_int_eq(events_call(ADD, "poison", NULL, 0, &v), QK_ECRASHED);
    harness_run(&events_harness);
    ck_assert_int_eq(events_do(GET, &v), QK_EACTIVATE);
    ck_assert_ptr_nonnull(strstr(harness_text, "the event at position 2 of mixed/a"));
    events_cut(1);
    harness_advance(&events_harness, 60000);
    expect_count(1);
    ck_assert_int_eq(events_add(1, &v), 0);
    /* A failure of another kind is none of the state's. */
    ck_assert_int_eq(events_do(PANIC, &v), QK_ECRASHED);
    store.reads = 0;
    expect_count(2);
    ck_assert_uint_eq(store.reads, 0);
}
END_TEST

/* ---- a random walk beside a model */

static uint64_t random_state;

static uint32_t below(uint32_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % bound;
}

static int64_t sum_of_journal(void)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < store.n; i++) { /* one number of one byte, the last */
        sum += store.events[i].bytes[store.events[i].size - 1];
    }
    return sum;
}

/* Whatever fails, gets lost or comes from elsewhere: an append that returned 0 is there and in the state, one that
 * failed is not (or all of it is, where its answer was lost), and a new activation finds the fold of what is stored. */
START_TEST(test_journal_state_is_always_the_fold)
{
    random_state = (uint64_t)_i;
    events_kind = below(2) == 0 ? EAGER : RARE;
    for (int step = 0; step < 60; step++) {
        int64_t v = 0, numbers[5];
        uint32_t n = 1 + below(5), before = store.n;
        int64_t sum = sum_of_journal();
        for (uint32_t i = 0; i < n; i++)
            numbers[i] = 1 + below(100);
        if (below(3) == 0)
            fail_operations(below(4), 1 + below(2), -ENOSPC, below(2) == 0);
        if (below(12) == 0)
            events_append_behind("t", 1 + below(100));
        bool moved = store.n != before;
        int rc = below(4) == 0 ? events_do(RELOAD, &v) : events_call(ADD_ALL, "t", numbers, n, &v);
        if (rc == 0)
            ck_assert_int_eq(v, sum_of_journal());
        else if (!moved)
            ck_assert(store.n == before ? sum_of_journal() == sum : store.n == before + n);
        if (rc < 0 || below(6) == 0) {
            store.fail = 0;
            events_forget();
            expect_count(sum_of_journal());
            expect_position(store.n);
        }
    }
}
END_TEST

/* ---- turns that interleave, at random */

static void submit_number(enum events_method method, uint64_t id, const int64_t *numbers, size_t n)
{
    Rt__Text in = RT__TEXT__INIT;
    in.n_numbers = n;
    in.numbers = (int64_t *)(uintptr_t)numbers;
    harness_submit(&events_harness, QK_PORT_CALL, events_method(method), "a", &in.base, id, 0);
}

#define TURNS 8

/* What turns of one activation do at the same time, over a store that answers when it likes, with failures, lost
 * answers and turns that panic: each append that returned 0 is in the journal, each that failed is not, unless its
 * answer was lost, and the state is the fold. */
START_TEST(test_journal_turns_that_interleave_agree)
{
    static const enum events_method choices[] = {ADD, ADD, ADD, RELOAD, GET, REPLAY, QUIT, PANIC};
    random_state = (uint64_t)_i + 1000;
    events_kind = MIXED;
    uint32_t known = 0, doubtful = 0; /* events of appends that returned 0, or may have been stored */
    for (int round = 0; round < 25; round++) {
        enum events_method methods[TURNS];
        ck_assert_int_eq(events_do(RELOAD, NULL), 0);
        store.hold = true;
        if (below(3) == 0)
            fail_operations(below(6), 1 + below(2), -EIO, below(2) == 0);
        bool lossy = store.fail > 0 && store.done;
        for (uint64_t i = 0; i < TURNS; i++) {
            int64_t numbers[] = {1 + below(100), 0};
            methods[i] = choices[below(round % 3 == 0 ? 8 : 6)];
            submit_number(methods[i], i, numbers, methods[i] == REPLAY ? 2 : 1);
            if (below(2) == 0)
                harness_run(&events_harness);
            if (below(3) == 0)
                events_release();
        }
        release_all();
        harness_advance(&events_harness, 60000); /* past any back-off */
        release_all();
        struct qk_port_frame *f;
        unsigned replies = 0;
        while ((f = harness_reply(&events_harness)) != NULL) {
            bool added = methods[f->call_id] == ADD;
            known += added && f->status == 0;
            doubtful += added && (f->status == QK_ECRASHED || (lossy && f->status == -EIO));
            ck_assert(f->status == 0 || f->status == -EIO || f->status == QK_ECONFLICT || f->status == QK_ECRASHED ||
                      f->status == QK_EACTIVATE || f->status == QK_ESTATE || f->status == QK_ETIMEDOUT);
            qk_port_frame_destroy(f);
            replies++;
        }
        ck_assert_uint_eq(replies, TURNS);
        store.hold = false;
        store.fail = 0;
        ck_assert_uint_ge(store.n, known);
        ck_assert_uint_le(store.n, known + doubtful);
        int64_t v;
        ck_assert_int_eq(events_do(RELOAD, &v), 0);
        ck_assert_int_eq(v, sum_of_journal());
        expect_position(store.n);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal");
    TCase *c = tcase_create("journal");
    tcase_add_checked_fixture(c, events_setup, events_teardown);
    tcase_add_test(c, test_journal_events_make_the_state);
    tcase_add_test(c, test_journal_snapshot_comes_with_the_nth_event);
    tcase_add_test(c, test_journal_snapshots_come_by_default);
    tcase_add_test(c, test_journal_conflict_changes_nothing);
    tcase_add_test(c, test_journal_append_that_fails_changes_nothing);
    tcase_add_test(c, test_journal_does_without_a_snapshot);
    tcase_add_test(c, test_journal_snapshot_of_another_is_replaced);
    tcase_add_test(c, test_journal_load_that_fails_fails_the_call_and_is_tried_again);
    tcase_add_test(c, test_journal_damage_is_told_with_its_place);
    tcase_add_test(c, test_journal_apply_that_fails);
    tcase_add_test(c, test_journal_is_read_in_pages);
    tcase_add_test(c, test_journal_pages_are_bounded_unpacked);
    tcase_add_test(c, test_journal_replay_in_a_turn_that_does_more);
    tcase_add_test(c, test_journal_takes_only_what_it_can_read_again);
    tcase_add_test(c, test_journal_lazy_state_is_loaded_on_demand);
    tcase_add_test(c, test_journal_is_neither_saved_nor_cleared);
    tcase_add_test(c, test_journal_begins_with_a_state_that_was_saved);
    tcase_add_test(c, test_journal_bytes_of_the_port_are_bounded);
    tcase_add_test(c, test_journal_operations_of_one_activation_go_one_after_another);
    tcase_add_test(c, test_journal_load_is_seen_whole_or_not_at_all);
    tcase_add_loop_test(c, test_journal_operation_outlives_its_activation, 0, 6);
    tcase_add_test(c, test_journal_apply_that_fails_in_an_activation_that_has_failed);
    tcase_add_test(c, test_journal_state_that_goes_on_is_the_fold);
    tcase_add_test(c, test_journal_spoilt_state_does_not_go_on);
    tcase_add_loop_test(c, test_journal_state_is_always_the_fold, 0, 200);
    tcase_add_loop_test(c, test_journal_turns_that_interleave_agree, 0, 200);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
