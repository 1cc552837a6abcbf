/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <pthread.h>
#include <quark/abi.h>
#include <quark/status.h>
#include "two_sides.h"

#define CLIENT ((void *)0x10)

START_TEST(test_channel_carries_a_call_and_its_reply)
{
    struct two_sides t;
    two_sides_open(&t, QK_RING_BYTES_MIN, 100, 100);
    struct qk_port_frame *f = qk_port_frame_create(100);
    static const uint64_t chain[2] = {0x1122334455667788, 0x99aabbccddeeff00};
    *f = (struct qk_port_frame){.kind = QK_PORT_CALL,
                                .origin = CLIENT,
                                .call_id = 42,
                                .type_id = 7,
                                .method_id = 9,
                                .request_id = 11,
                                .deadline_ns = 12,
                                .key_len = 3,
                                .payload_len = 5,
                                .context_len = 2,
                                .sender_len = 4,
                                .chain_len = 2,
                                .capacity = 100};
    memcpy(f->bytes, "keyhelloctx/y", 14);
    memcpy(f->bytes + 14, chain, sizeof(chain));
    send_ok(t.silo, f);
    f = receive_one(t.host);
    ck_assert_int_eq(f->kind, QK_PORT_CALL);
    ck_assert_ptr_eq(f->origin, silo_asks);
    ck_assert_uint_eq(f->type_id, 7);
    ck_assert_uint_eq(f->method_id, 9);
    ck_assert_uint_eq(f->request_id, 11);
    ck_assert_int_eq(f->deadline_ns, 12);
    ck_assert_mem_eq(qk_port_frame_key(f), "key", 3);
    ck_assert_mem_eq(qk_port_frame_payload(f), "hello", 5);
    ck_assert_mem_eq(qk_port_frame_context(f), "ct", 2);
    ck_assert_str_eq(qk_port_frame_sender(f), "x/y");
    ck_assert_mem_eq(qk_port_frame_chain(f), chain, sizeof(chain));
    f = into_reply(f, QK_ECONFLICT);
    f->context_len = 0;
    f->text_len = 2;
    memcpy(f->bytes, "no", 2);
    send_ok(t.host, f);
    ck_assert_uint_eq(qk_channel_pending(t.silo), 1);
    f = receive_one(t.silo);
    ck_assert_int_eq(f->kind, QK_PORT_REPLY);
    ck_assert_int_eq(f->status, QK_ECONFLICT);
    ck_assert_ptr_eq(f->origin, CLIENT);
    ck_assert_uint_eq(f->call_id, 42);
    ck_assert_mem_eq(qk_port_frame_text(f), "no", 2);
    ck_assert_uint_eq(qk_channel_pending(t.silo), 0);
    qk_port_frame_destroy(f);
    two_sides_close(&t);
}
END_TEST

/* Of a large frame's pieces some go, then the small frames that come later, but not those for the same actor. */
START_TEST(test_channel_lets_small_frames_pass_large_ones)
{
    struct two_sides t;
    const size_t large = 4u << 20;
    two_sides_open(&t, QK_RING_BYTES_MIN, 100, 100);
    send_ok(t.silo, make_frame(QK_PORT_CALL, CLIENT, 1, "big", large));
    send_ok(t.silo, make_frame(QK_PORT_CALL, CLIENT, 2, "other", 10));
    send_ok(t.silo, make_frame(QK_PORT_CALL, CLIENT, 3, "big", 10));
    struct qk_port_frame *cancel = make_frame(QK_PORT_CANCEL, CLIENT, 1, "", 0);
    send_ok(t.silo, cancel);
    send_ok(t.silo, make_frame(QK_PORT_CALL, CLIENT, 4, "other", 10));
    static const uint64_t order[] = {2, 4, 1, 3};
    static const size_t sizes[] = {10, 10, 4u << 20, 10};
    uint64_t id_of_large = 0;
    for (unsigned i = 0, rounds = 0; i < 4; rounds++) {
        struct qk_port_frame *f;
        const char *text;
        ck_assert_uint_lt(rounds, 10000);
        int n = qk_channel_receive(t.host, 1, &f, &text);
        ck_assert_int_ge(n, 0);
        qk_channel_flush(t.silo);
        if (n == 0)
            continue;
        check_payload(f, order[i], sizes[i]);
        if (i == 2)
            id_of_large = f->call_id;
        i++;
        qk_port_frame_destroy(f);
    }
    cancel = receive_one(t.host);
    ck_assert_int_eq(cancel->kind, QK_PORT_CANCEL);
    ck_assert_uint_eq(cancel->call_id, id_of_large);
    qk_port_frame_destroy(cancel);
    receive_none(t.host);
    two_sides_close(&t);
}
END_TEST

/* A reader that does not read costs so many frames and no more; then it reads, and everything arrives in order. */
START_TEST(test_channel_bounds_what_waits)
{
    struct two_sides t;
    struct qk_port_frame *refused;
    unsigned sent = 0;
    two_sides_open(&t, QK_RING_BYTES_MIN, 50, 100);
    for (;; sent++) {
        ck_assert_uint_lt(sent, 1000);
        qk_channel_send(t.silo, make_frame(QK_PORT_CALL, CLIENT, sent, "k", 1000), &refused);
        if (refused != NULL)
            break;
    }
    ck_assert_int_eq(refused->kind, QK_PORT_REPLY);
    ck_assert_int_eq(refused->status, QK_EOVERLOADED);
    ck_assert_uint_eq(refused->call_id, sent);
    ck_assert_ptr_eq(refused->origin, CLIENT);
    ck_assert_uint_eq(refused->may_have_run, 0);
    ck_assert_uint_gt(refused->text_len, 0);
    qk_port_frame_destroy(refused);
    ck_assert_uint_eq(qk_channel_pending(t.silo), sent);
    ck_assert_uint_ge(sent, 50 + QK_RING_BYTES_MIN / 1200);
    for (unsigned i = 0; i < sent; i++) {
        struct qk_port_frame *f = receive_one(t.host);
        check_payload(f, i, 1000);
        send_ok(t.host, into_reply(f, 0));
        qk_channel_flush(t.silo);
    }
    for (unsigned i = 0; i < sent; i++) {
        struct qk_port_frame *f = receive_one(t.silo);
        ck_assert_uint_eq(f->call_id, i);
        qk_port_frame_destroy(f);
    }
    ck_assert_uint_eq(qk_channel_pending(t.silo), 0);
    two_sides_close(&t);
}
END_TEST

START_TEST(test_channel_bounds_what_the_other_side_asks)
{
    struct two_sides t;
    two_sides_open(&t, QK_RING_BYTES_MIN, 100, 3);
    for (unsigned i = 1; i <= 5; i++)
        send_ok(t.host, make_frame(QK_PORT_STORE, CLIENT, i, "k", 0));
    /* A store operation needs a kind of its own. */
    struct qk_port_frame *chain;
    const char *text;
    ck_assert_int_eq(qk_channel_receive(t.silo, 10, &chain, &text), QK_EPROTOCOL);
    ck_assert_ptr_null(chain);
    two_sides_close(&t);

    two_sides_open(&t, QK_RING_BYTES_MIN, 100, 3);
    for (unsigned i = 1; i <= 5; i++) {
        struct qk_port_frame *f = make_frame(QK_PORT_STORE, CLIENT, i, "k", 0);
        f->store = QK_STORE_REPLAY;
        f->count = i;
        send_ok(t.host, f);
    }
    ck_assert_int_eq(qk_channel_receive(t.silo, 10, &chain, &text), 3);
    for (unsigned i = 4; i <= 5; i++) {
        struct qk_port_frame *f = receive_one(t.host);
        ck_assert_int_eq(f->kind, QK_PORT_STORED);
        ck_assert_int_eq(f->status, QK_EOVERLOADED);
        ck_assert_uint_eq(f->call_id, i);
        qk_port_frame_destroy(f);
    }
    while (chain != NULL) {
        struct qk_port_frame *next = chain->next;
        ck_assert_uint_eq(chain->store, QK_STORE_REPLAY);
        chain->more = chain->count == 2;
        chain->kind = QK_PORT_STORED;
        chain->key_len = 0;
        send_ok(t.silo, (chain->next = NULL, chain));
        chain = next;
    }
    for (unsigned i = 1; i <= 3; i++) {
        struct qk_port_frame *f = receive_one(t.host);
        ck_assert_int_eq(f->status, 0);
        ck_assert_uint_eq(f->call_id, i);
        ck_assert_uint_eq(f->count, i);
        ck_assert_uint_eq(f->more, i == 2);
        qk_port_frame_destroy(f);
    }
    two_sides_close(&t);
}
END_TEST

START_TEST(test_channel_cancels_one_and_all_of_an_origin)
{
    struct two_sides t;
    void *other = (void *)0x20;
    two_sides_open(&t, QK_RING_BYTES_MIN, 100, 100);
    send_ok(t.silo, make_frame(QK_PORT_CALL, CLIENT, 1, "k", 0));
    send_ok(t.silo, make_frame(QK_PORT_CALL, other, 1, "k", 0));
    send_ok(t.silo, make_frame(QK_PORT_CALL, CLIENT, 2, "k", 0));
    uint64_t ids[3];
    for (unsigned i = 0; i < 3; i++) {
        struct qk_port_frame *f = receive_one(t.host);
        ids[i] = f->call_id;
        qk_port_frame_destroy(f);
    }
    send_ok(t.silo, make_frame(QK_PORT_CANCEL, CLIENT, 2, "", 0));
    send_ok(t.silo, make_frame(QK_PORT_CANCEL, CLIENT, 3, "", 0)); /* nothing was asked by that number */
    struct qk_port_frame *f = receive_one(t.host);
    ck_assert_uint_eq(f->call_id, ids[2]);
    ck_assert_ptr_eq(f->origin, silo_asks);
    qk_port_frame_destroy(f);
    receive_none(t.host);
    send_ok(t.silo, make_frame(QK_PORT_CANCEL, CLIENT, 0, "", 0));
    for (unsigned i = 0; i < 2; i++) {
        f = receive_one(t.host);
        ck_assert_int_eq(f->kind, QK_PORT_CANCEL);
        ck_assert(f->call_id == ids[0] || f->call_id == ids[2]);
        qk_port_frame_destroy(f);
    }
    receive_none(t.host);
    two_sides_close(&t);
}
END_TEST

START_TEST(test_channel_answers_everything_when_abandoned)
{
    struct two_sides t;
    struct qk_port_frame *refused;
    unsigned sent = 0, ran = 0, not_run = 0;
    two_sides_open(&t, QK_RING_BYTES_MIN, 50, 100);
    for (refused = NULL; refused == NULL; sent++)
        qk_channel_send(t.silo, make_frame(sent % 7 == 0 ? QK_PORT_SEND : QK_PORT_CALL, CLIENT, sent, "k", 1000),
                        &refused);
    sent--;
    qk_port_frame_destroy(refused);
    struct qk_port_frame *chain = qk_channel_abandon(t.silo, QK_ECRASHED, "it is gone");
    while (chain != NULL) {
        struct qk_port_frame *next = chain->next;
        ck_assert_int_eq(chain->kind, QK_PORT_REPLY);
        ck_assert_int_eq(chain->status, QK_ECRASHED);
        ck_assert_ptr_eq(chain->origin, CLIENT);
        ck_assert_mem_eq(qk_port_frame_text(chain), "it is gone", 10);
        ran += chain->may_have_run;
        not_run += !chain->may_have_run;
        qk_port_frame_destroy(chain);
        chain = next;
    }
    ck_assert_uint_eq(ran + not_run, sent);
    ck_assert_uint_eq(not_run, 50); /* those that waited */
    qk_channel_send(t.silo, make_frame(QK_PORT_CALL, CLIENT, 1, "k", 0), &refused);
    ck_assert_ptr_nonnull(refused);
    ck_assert_int_eq(refused->status, QK_ECRASHED);
    qk_port_frame_destroy(refused);
    two_sides_close(&t);
}
END_TEST

/* ---- what breaks the rules */

static void put_flat(struct qk_pair *pair, uint32_t tag, const struct qk_flat *flat, size_t extra)
{
    static const uint8_t zero[QK_RING_RECORD_MAX];
    struct qk_ring_piece pieces[] = {{flat, sizeof(*flat)}, {zero, extra}};
    ck_assert_int_eq(qk_ring_put(&pair->out, tag, pieces, 2), 0);
    qk_ring_publish(&pair->out);
}

static void breaks(const struct qk_flat *flat, uint32_t tag, size_t extra)
{
    struct two_sides t;
    struct qk_port_frame *chain;
    const char *text;
    two_sides_open(&t, QK_RING_BYTES_MIN, 100, 100);
    put_flat(&t.host_pair, tag, flat, extra);
    ck_assert_int_eq(qk_channel_receive(t.silo, 10, &chain, &text), QK_EPROTOCOL);
    ck_assert_ptr_null(chain);
    ck_assert_str_ne(text, "");
    two_sides_close(&t);
}

START_TEST(test_channel_refuses_forged_heads)
{
    struct qk_flat ok = {.kind = QK_PORT_CALL, .id = 1, .key_len = 1}, f = ok;
    breaks(&ok, 1, 2);
    breaks(&ok, 1, 0);
    breaks(&ok, 9, 1);
    breaks(&ok, 3, 1); /* more of nothing */
    f.kind = 0;
    breaks(&f, 1, 1);
    f.kind = QK_PORT_KINDS;
    breaks(&f, 1, 1);
    f.kind = 200;
    breaks(&f, 1, 1);
    f.kind = QK_PORT_STORED; /* not for the silo */
    breaks(&f, 1, 1);
    f = ok;
    f.id = 0;
    breaks(&f, 1, 1);
    f = ok;
    f.key_len = 0;
    breaks(&f, 1, 0);
    f.key_len = 513;
    breaks(&f, 1, 513);
    f = ok;
    f.payload_len = UINT32_MAX;
    breaks(&f, 1, 1);
    f.payload_len = (4u << 20) + 1;
    breaks(&f, 2, 1);
    f = ok;
    f.chain_len = 65;
    breaks(&f, 1, 1 + 65 * 8);
    f = ok;
    f.sender_len = 3; /* zeros before the end */
    breaks(&f, 1, 4);
    f = (struct qk_flat){.kind = QK_PORT_REPLY, .id = 77};
    breaks(&f, 1, 0); /* an answer to nothing */
    f = (struct qk_flat){.kind = QK_PORT_STORE, .id = 77, .store = QK_STORE_REPLAY + 1, .key_len = 1};
    breaks(&f, 1, 1);
    f.store = QK_STORE_APPEND;
    f.count = QK_EVENTS_MAX + 1;
    breaks(&f, 1, 1);
}
END_TEST

/* What came before is delivered; what comes after is not looked at. */
START_TEST(test_channel_delivers_up_to_the_breach)
{
    struct two_sides t;
    struct qk_port_frame *chain;
    const char *text;
    struct qk_flat call = {.kind = QK_PORT_CALL, .id = 5, .key_len = 1};
    struct qk_flat forged = {.kind = QK_PORT_REPLY, .id = 5};
    two_sides_open(&t, QK_RING_BYTES_MIN, 100, 100);
    put_flat(&t.host_pair, 1, &call, 1);
    put_flat(&t.host_pair, 1, &forged, 0);
    put_flat(&t.host_pair, 1, &call, 1);
    ck_assert_int_eq(qk_channel_receive(t.silo, 10, &chain, &text), QK_EPROTOCOL);
    ck_assert_ptr_nonnull(chain);
    ck_assert_ptr_null(chain->next);
    qk_port_frame_destroy(chain);
    two_sides_close(&t);
}
END_TEST

START_TEST(test_channel_takes_an_answer_once)
{
    struct two_sides t;
    struct qk_port_frame *chain;
    const char *text;
    two_sides_open(&t, QK_RING_BYTES_MIN, 100, 100);
    send_ok(t.silo, make_frame(QK_PORT_CALL, CLIENT, 1, "k", 0));
    struct qk_port_frame *f = receive_one(t.host);
    struct qk_flat reply = {.kind = QK_PORT_REPLY, .id = f->call_id};
    put_flat(&t.host_pair, 1, &reply, 0);
    put_flat(&t.host_pair, 1, &reply, 0);
    qk_port_frame_destroy(f);
    ck_assert_int_eq(qk_channel_receive(t.silo, 10, &chain, &text), QK_EPROTOCOL);
    ck_assert_ptr_nonnull(chain);
    ck_assert_ptr_null(chain->next);
    qk_port_frame_destroy(chain);
    two_sides_close(&t);
}
END_TEST

/* ---- two threads, each of which sleeps when it has nothing to do */

#define CALLS 20000

static void *echo_main(void *arg)
{
    struct two_sides *t = arg;
    for (unsigned done = 0; done < CALLS;) {
        struct qk_port_frame *chain;
        const char *text;
        int n = qk_channel_receive(t->host, 64, &chain, &text);
        ck_assert_int_ge(n, 0);
        for (struct qk_port_frame *f = chain; f != NULL; f = f->next) {
            f->kind = QK_PORT_REPLY;
            f->text_len = 0;
            memmove(f->bytes, f->bytes + f->key_len, f->payload_len);
            f->key_len = 0;
        }
        if (n > 0)
            send_ok(t->host, chain);
        else
            qk_pair_wait(&t->host_pair, 1000000);
        done += (unsigned)n;
    }
    while (!qk_channel_is_idle(t->host))
        qk_channel_flush(t->host);
    return NULL;
}

START_TEST(test_channel_echoes_between_threads)
{
    struct two_sides t;
    pthread_t host;
    static uint8_t seen[CALLS];
    unsigned sent = 0, got = 0;
    memset(seen, 0, sizeof(seen));
    two_sides_open(&t, QK_RING_BYTES_MIN, 2000, 100);
    ck_assert_int_eq(pthread_create(&host, NULL, echo_main, &t), 0);
    while (got < CALLS) {
        struct qk_port_frame *chain, *refused;
        const char *text;
        if (sent < CALLS && qk_channel_pending(t.silo) < 500) {
            size_t size = sent % 1000 == 0 ? 100000 : sent % 100;
            qk_channel_send(t.silo, make_frame(QK_PORT_CALL, CLIENT, sent, "k", size), &refused);
            ck_assert_ptr_null(refused);
            sent++;
        }
        ck_assert_int_ge(qk_channel_receive(t.silo, 64, &chain, &text), 0);
        while (chain != NULL) {
            struct qk_port_frame *next = chain->next;
            ck_assert_uint_lt(chain->call_id, CALLS);
            ck_assert_uint_eq(seen[chain->call_id]++, 0);
            check_payload(chain, chain->call_id, chain->call_id % 1000 == 0 ? 100000 : chain->call_id % 100);
            qk_port_frame_destroy(chain);
            chain = next;
            got++;
        }
    }
    pthread_join(host, NULL);
    two_sides_close(&t);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("channel");
    TCase *tc = tcase_create("channel");
    tcase_add_test(tc, test_channel_carries_a_call_and_its_reply);
    tcase_add_test(tc, test_channel_lets_small_frames_pass_large_ones);
    tcase_add_test(tc, test_channel_bounds_what_waits);
    tcase_add_test(tc, test_channel_bounds_what_the_other_side_asks);
    tcase_add_test(tc, test_channel_cancels_one_and_all_of_an_origin);
    tcase_add_test(tc, test_channel_answers_everything_when_abandoned);
    tcase_add_test(tc, test_channel_refuses_forged_heads);
    tcase_add_test(tc, test_channel_delivers_up_to_the_breach);
    tcase_add_test(tc, test_channel_takes_an_answer_once);
    tcase_add_test(tc, test_channel_echoes_between_threads);
    suite_add_tcase(s, tc);
    return s;
}

RUN_SUITE(suite)
