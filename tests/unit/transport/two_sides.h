/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Both sides of a pair, and a channel on each, in one process. */
#ifndef TWO_SIDES_H
#define TWO_SIDES_H

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "transport/channel.h"
#include "transport/flat.h"

#define KINDS_TO_HOST \
    (1u << QK_PORT_CALL | 1u << QK_PORT_SEND | 1u << QK_PORT_CANCEL | 1u << QK_PORT_REPLY | 1u << QK_PORT_STORED)
#define KINDS_TO_SILO                                                                                             \
    (1u << QK_PORT_CALL | 1u << QK_PORT_SEND | 1u << QK_PORT_CANCEL | 1u << QK_PORT_REPLY | 1u << QK_PORT_STORE | \
     1u << QK_PORT_LOG)

static void *const silo_asks = (void *)0x51;
static void *const host_asks = (void *)0x4051;

struct two_sides {
    struct qk_pair silo_pair;
    struct qk_pair host_pair;
    struct qk_channel *silo;
    struct qk_channel *host;
};

static inline void two_pairs_open(struct two_sides *t, size_t ring_bytes)
{
    memset(t, 0, sizeof(*t));
    ck_assert_int_eq(qk_pair_create(ring_bytes, &t->silo_pair), 0);
    int memory = fcntl(t->silo_pair.memory_fd, F_DUPFD_CLOEXEC, 3),
        bell = fcntl(t->silo_pair.bell_fd, F_DUPFD_CLOEXEC, 3);
    ck_assert_int_eq(qk_pair_attach(memory, bell, &t->host_pair), 0);
}

/* The silo's queue is bounded, the host's is not, as they are in earnest. */
static inline void two_sides_open(struct two_sides *t, size_t ring_bytes, uint32_t waiting_max, uint32_t asked_max)
{
    two_pairs_open(t, ring_bytes);
    struct qk_channel_config config = {.pair = &t->silo_pair,
                                       .origin = host_asks,
                                       .accepts = KINDS_TO_SILO,
                                       .questions_max = 100000,
                                       .asked_max = asked_max,
                                       .waiting_max = waiting_max,
                                       .waiting_bytes_max = 16u << 20};
    ck_assert_int_eq(qk_channel_create(&config, &t->silo), 0);
    config.pair = &t->host_pair;
    config.origin = silo_asks;
    config.accepts = KINDS_TO_HOST;
    config.asked_max = config.waiting_max = UINT32_MAX;
    config.waiting_bytes_max = SIZE_MAX;
    ck_assert_int_eq(qk_channel_create(&config, &t->host), 0);
}

static inline void two_sides_close(struct two_sides *t)
{
    qk_channel_destroy(t->host);
    qk_channel_destroy(t->silo);
    qk_pair_finish(&t->host_pair);
    qk_pair_finish(&t->silo_pair);
}

static inline struct qk_port_frame *make_frame(enum qk_port_kind kind, void *origin, uint64_t call_id, const char *key,
                                               size_t payload)
{
    size_t key_len = strlen(key);
    struct qk_port_frame *frame = qk_port_frame_create(key_len + payload);
    frame->kind = kind;
    frame->origin = origin;
    frame->call_id = call_id;
    frame->type_id = 7;
    frame->key_len = (uint32_t)key_len;
    frame->payload_len = (uint32_t)payload;
    memcpy(frame->bytes, key, key_len);
    for (size_t i = 0; i < payload; i++)
        frame->bytes[key_len + i] = (uint8_t)(call_id * 31 + i * 7);
    return frame;
}

static inline void check_payload(const struct qk_port_frame *frame, uint64_t call_id, size_t payload)
{
    ck_assert_uint_eq(frame->payload_len, payload);
    size_t wrong = 0;
    for (size_t i = 0; i < payload; i++)
        wrong += qk_port_frame_payload(frame)[i] != (uint8_t)(call_id * 31 + i * 7);
    ck_assert_uint_eq(wrong, 0);
}

static inline void send_ok(struct qk_channel *channel, struct qk_port_frame *chain)
{
    struct qk_port_frame *refused;
    qk_channel_send(channel, chain, &refused);
    ck_assert_ptr_null(refused);
}

/* Turns a call that was received into its reply. */
static inline struct qk_port_frame *into_reply(struct qk_port_frame *frame, int status)
{
    frame->kind = QK_PORT_REPLY;
    frame->status = status;
    frame->key_len = frame->payload_len = frame->sender_len = frame->chain_len = 0;
    return frame;
}

static inline struct qk_port_frame *receive_one(struct qk_channel *channel)
{
    struct qk_port_frame *frame;
    const char *text;
    ck_assert_int_eq(qk_channel_receive(channel, 1, &frame, &text), 1);
    ck_assert_ptr_null(frame->next);
    return frame;
}

static inline void receive_none(struct qk_channel *channel)
{
    struct qk_port_frame *frame;
    const char *text;
    ck_assert_int_eq(qk_channel_receive(channel, 100, &frame, &text), 0);
    ck_assert_ptr_null(frame);
}

#define RUN_SUITE(NAME)                                   \
    int main(void)                                        \
    {                                                     \
        SRunner *runner = srunner_create(NAME());         \
        srunner_run_all(runner, CK_NORMAL);               \
        int failed = srunner_ntests_failed(runner);       \
        srunner_free(runner);                             \
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE; \
    }

#endif
