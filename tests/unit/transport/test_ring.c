/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <quark/status.h>
#include "two_sides.h"

static int put(struct qk_ring_writer *w, uint32_t tag, const void *bytes, size_t size)
{
    struct qk_ring_piece pieces[2] = {{bytes, size / 3}, {(const uint8_t *)bytes + size / 3, size - size / 3}};
    return qk_ring_put(w, tag, pieces, 2);
}

static void expect(struct qk_ring_reader *r, uint32_t tag, const void *bytes, size_t size)
{
    uint32_t got_tag, got_size;
    uint8_t got[QK_RING_RECORD_MAX];
    ck_assert_int_eq(qk_ring_next(r, &got_tag, &got_size), 1);
    ck_assert_uint_eq(got_tag, tag);
    ck_assert_uint_eq(got_size, size);
    qk_ring_copy(r, got, size / 2);
    qk_ring_copy(r, got + size / 2, size - size / 2);
    ck_assert_mem_eq(got, bytes, size);
}

static void expect_nothing(struct qk_ring_reader *r)
{
    uint32_t tag, size;
    ck_assert_int_eq(qk_ring_next(r, &tag, &size), 0);
    ck_assert(qk_ring_is_empty(r));
}

START_TEST(test_ring_carries_records_round_its_end)
{
    struct two_sides t;
    uint8_t bytes[QK_RING_RECORD_MAX];
    two_pairs_open(&t, QK_RING_BYTES_MIN);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 13);
    for (unsigned i = 0; i < 400; i++) { /* sizes of every remainder, so that heads and bytes meet the end everywhere */
        size_t size = i % 5 == 0 ? QK_RING_RECORD_MAX - i % 8 : i * 37 % 900;
        expect_nothing(&t.host_pair.in);
        ck_assert_int_eq(put(&t.silo_pair.out, i, bytes, size), 0);
        ck_assert_int_eq(put(&t.silo_pair.out, i + 1, bytes + 5, size / 2), 0);
        expect_nothing(&t.host_pair.in);
        ck_assert(!qk_ring_publish(&t.silo_pair.out));
        expect(&t.host_pair.in, i, bytes, size);
        expect(&t.host_pair.in, i + 1, bytes + 5, size / 2);
        qk_ring_release(&t.host_pair.in);
    }
    two_sides_close(&t);
}
END_TEST

START_TEST(test_ring_is_full_and_has_room_again)
{
    struct two_sides t;
    static const uint8_t bytes[QK_RING_RECORD_MAX + 1];
    two_pairs_open(&t, QK_RING_BYTES_MIN);
    struct qk_ring_writer *w = &t.silo_pair.out;
    struct qk_ring_reader *r = &t.host_pair.in;
    ck_assert_int_eq(put(w, 1, bytes, QK_RING_RECORD_MAX + 1), QK_ETOOBIG);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(put(w, 1, bytes, QK_RING_RECORD_MAX), 0);
    ck_assert_int_eq(put(w, 2, bytes, QK_RING_RECORD_MAX), -EAGAIN);
    /* Exactly what is left: three heads and this one are taken off. */
    ck_assert_int_eq(put(w, 3, bytes, QK_RING_RECORD_MAX - 4 * 8), 0);
    ck_assert_int_eq(put(w, 4, bytes, 0), -EAGAIN);
    ck_assert_uint_eq(qk_ring_unread(w), QK_RING_BYTES_MIN);
    qk_ring_publish(w);
    ck_assert(qk_ring_starve(w));
    expect(r, 1, bytes, QK_RING_RECORD_MAX);
    ck_assert(qk_ring_release(r)); /* told once */
    ck_assert(!qk_ring_release(r));
    ck_assert_int_eq(put(w, 2, bytes, QK_RING_RECORD_MAX), 0);
    ck_assert_int_eq(put(w, 4, bytes, 0), -EAGAIN);
    expect(r, 1, bytes, QK_RING_RECORD_MAX);
    qk_ring_release(r);
    ck_assert(!qk_ring_starve(w)); /* there is room already */
    two_sides_close(&t);
}
END_TEST

START_TEST(test_ring_knows_who_sleeps)
{
    struct two_sides t;
    two_pairs_open(&t, QK_RING_BYTES_MIN);
    struct qk_ring_writer *w = &t.silo_pair.out;
    struct qk_ring_reader *r = &t.host_pair.in;
    ck_assert_int_eq(put(w, 1, "x", 1), 0);
    ck_assert(!qk_ring_publish(w));
    ck_assert(!qk_ring_doze(r)); /* there is something */
    expect(r, 1, "x", 1);
    ck_assert(qk_ring_doze(r));
    ck_assert_int_eq(put(w, 1, "y", 1), 0);
    ck_assert(qk_ring_publish(w));
    ck_assert(!qk_ring_publish(w)); /* told once */
    qk_ring_rouse(r);
    expect(r, 1, "y", 1);
    two_sides_close(&t);
}
END_TEST

/* The indices that the other side may pretend to have. */
START_TEST(test_ring_refuses_impossible_indices)
{
    static const uint64_t lies[] = {1, 8, 24, QK_RING_BYTES_MIN + 8, UINT64_MAX, UINT64_MAX - 7, 1ull << 63};
    static const uint8_t bytes[QK_RING_RECORD_MAX];
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct two_sides t;
        uint32_t tag, size;
        two_pairs_open(&t, QK_RING_BYTES_MIN);
        /* The reader pretends to have read more than was written. */
        for (unsigned k = 0; k < 3; k++)
            ck_assert_int_eq(put(&t.silo_pair.out, 1, bytes, QK_RING_RECORD_MAX), 0);
        qk_ring_publish(&t.silo_pair.out);
        atomic_store(&t.silo_pair.out_shared->head, lies[i] + 3 * (QK_RING_RECORD_MAX + 8));
        if (lies[i] < 1ull << 63) { /* the others are behind what was written, as they should be */
            ck_assert_int_eq(put(&t.silo_pair.out, 1, bytes, QK_RING_RECORD_MAX), QK_EPROTOCOL);
            ck_assert_uint_eq(qk_ring_unread(&t.silo_pair.out), 0);
        }
        /* The writer pretends to have written what can't be there: more than fits, or half a head. The bytes are zero:
         * records of no bytes. */
        atomic_store(&t.silo_pair.in.shared->tail, lies[i]);
        int rc, n = 0;
        while ((rc = qk_ring_next(&t.silo_pair.in, &tag, &size)) == 1)
            n++;
        ck_assert_int_eq(rc, lies[i] == 8 || lies[i] == 24 ? 0 : QK_EPROTOCOL);
        ck_assert_int_eq(n, rc == 0 ? (int)lies[i] / 8 : 0);
        two_sides_close(&t);
    }
}
END_TEST

START_TEST(test_ring_refuses_impossible_sizes)
{
    static const uint32_t lies[] = {17, 24, QK_RING_RECORD_MAX + 1, UINT32_MAX, UINT32_MAX - 7, 1u << 31};
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct two_sides t;
        uint32_t tag, size;
        two_pairs_open(&t, QK_RING_BYTES_MIN);
        ck_assert_int_eq(put(&t.host_pair.out, 1, "0123456789abcdef", 16), 0);
        qk_ring_publish(&t.host_pair.out);
        memcpy(t.silo_pair.in.shared->bytes, &lies[i], sizeof(lies[i]));
        ck_assert_int_eq(qk_ring_next(&t.silo_pair.in, &tag, &size), QK_EPROTOCOL);
        two_sides_close(&t);
    }
}
END_TEST

/* ---- pairs */

START_TEST(test_pair_is_sealed)
{
    struct two_sides t;
    two_pairs_open(&t, QK_RING_BYTES_MIN);
    ck_assert_int_lt(ftruncate(t.host_pair.memory_fd, 0), 0);
    ck_assert_int_lt(ftruncate(t.host_pair.memory_fd, (off_t)t.host_pair.size + 1), 0);
    two_sides_close(&t);
}
END_TEST

START_TEST(test_pair_attaches_to_its_own_kind_only)
{
    struct two_sides t;
    struct qk_pair other;
    two_pairs_open(&t, QK_RING_BYTES_MIN);
    uint64_t *front = t.silo_pair.memory;
    front[0] ^= 1;
    ck_assert_int_eq(qk_pair_attach(t.silo_pair.memory_fd, -1, &other), QK_EVERSION);
    front[0] ^= 1;
    front[1] *= 2;
    ck_assert_int_eq(qk_pair_attach(t.silo_pair.memory_fd, -1, &other), QK_EINVALID);
    front[1] = 3;
    ck_assert_int_eq(qk_pair_attach(t.silo_pair.memory_fd, -1, &other), QK_EINVALID);
    ck_assert_int_eq(qk_pair_attach(-1, -1, &other), -EBADF);
    two_sides_close(&t);
}
END_TEST

/* A ball goes to and fro between a host that sleeps on its word and a silo that waits for its bell; a lost wake-up
 * would leave both asleep. */
#define ROUNDS 2000

static void *host_main(void *arg)
{
    struct two_sides *t = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        while (qk_ring_is_empty(&t->host_pair.in))
            qk_pair_wait(&t->host_pair, -1);
        expect(&t->host_pair.in, i, &i, sizeof(i));
        qk_ring_release(&t->host_pair.in);
        put(&t->host_pair.out, i, &i, sizeof(i));
        if (qk_ring_publish(&t->host_pair.out))
            qk_pair_wake(&t->host_pair);
    }
    return NULL;
}

static void await_bell(struct two_sides *t)
{
    uint64_t n;
    struct pollfd fd = {.fd = t->silo_pair.bell_fd, .events = POLLIN};
    if (qk_ring_doze(&t->silo_pair.in)) {
        ck_assert_int_eq(poll(&fd, 1, -1), 1);
        ck_assert_int_eq(read(t->silo_pair.bell_fd, &n, sizeof(n)), sizeof(n));
    }
    qk_ring_rouse(&t->silo_pair.in);
}

START_TEST(test_pair_loses_no_wakeup)
{
    struct two_sides t;
    pthread_t host;
    two_pairs_open(&t, QK_RING_BYTES_MIN);
    ck_assert_int_eq(pthread_create(&host, NULL, host_main, &t), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        put(&t.silo_pair.out, i, &i, sizeof(i));
        if (qk_ring_publish(&t.silo_pair.out))
            qk_pair_wake(&t.silo_pair);
        while (qk_ring_is_empty(&t.silo_pair.in))
            await_bell(&t);
        expect(&t.silo_pair.in, i, &i, sizeof(i));
        qk_ring_release(&t.silo_pair.in);
    }
    pthread_join(host, NULL);
    two_sides_close(&t);
}
END_TEST

START_TEST(test_pair_keeps_a_wakeup_of_its_own)
{
    struct two_sides t;
    two_pairs_open(&t, QK_RING_BYTES_MIN);
    qk_pair_wake_self(&t.host_pair);
    qk_pair_wait(&t.host_pair, -1); /* returns at once */
    qk_pair_wait(&t.host_pair, 1000);
    put(&t.silo_pair.out, 1, "", 0);
    qk_ring_publish(&t.silo_pair.out);
    qk_pair_wait(&t.host_pair, -1);
    two_sides_close(&t);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ring");
    TCase *tc = tcase_create("ring");
    tcase_add_test(tc, test_ring_carries_records_round_its_end);
    tcase_add_test(tc, test_ring_is_full_and_has_room_again);
    tcase_add_test(tc, test_ring_knows_who_sleeps);
    tcase_add_test(tc, test_ring_refuses_impossible_indices);
    tcase_add_test(tc, test_ring_refuses_impossible_sizes);
    tcase_add_test(tc, test_pair_is_sealed);
    tcase_add_test(tc, test_pair_attaches_to_its_own_kind_only);
    tcase_add_test(tc, test_pair_loses_no_wakeup);
    tcase_add_test(tc, test_pair_keeps_a_wakeup_of_its_own);
    suite_add_tcase(s, tc);
    return s;
}

RUN_SUITE(suite)
