/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The silo's end of a ring whose other end wrote what it liked: the input is what lies in the ring, behind one byte for
 * how many calls the silo has made (whose numbers the input may guess) and one that moves the writer's index. */
#include "fuzz.h"
#include <quark/status.h>
#include "transport/channel.h"
#include "transport/flat.h"

#define ACCEPTS                                                                                                   \
    (1u << QK_PORT_CALL | 1u << QK_PORT_SEND | 1u << QK_PORT_CANCEL | 1u << QK_PORT_REPLY | 1u << QK_PORT_STORE | \
     1u << QK_PORT_LOG | 1u << QK_PORT_READY | 1u << QK_PORT_REFUSE)

static void check(const struct qk_port_frame *frame)
{
    HOLDS((ACCEPTS & 1u << frame->kind) != 0);
    HOLDS(qk_port_frame_size(frame) == frame->capacity);
    HOLDS(frame->payload_len <= 4u << 20 && frame->key_len <= QK_FLAT_KEY_MAX && frame->chain_len <= 64);
    HOLDS(frame->sender_len == 0 || strlen(qk_port_frame_sender(frame)) == frame->sender_len - 1);
    if (qk_flat_is_answer(frame->kind))
        HOLDS(frame->origin == (void *)0x10 && frame->call_id >= 1 && frame->call_id <= 255);
    else
        HOLDS(frame->origin == (void *)0x20);
}

static void free_all(struct qk_port_frame *chain)
{
    while (chain != NULL) {
        struct qk_port_frame *next = chain->next;
        qk_port_frame_destroy(chain);
        chain = next;
    }
}

static unsigned ask(struct qk_channel *channel, unsigned calls)
{
    for (unsigned i = 1; i <= calls; i++) {
        struct qk_port_frame *refused, *call = qk_port_frame_create(1);
        call->kind = i % 3 == 0 ? QK_PORT_SEND : QK_PORT_CALL;
        call->origin = (void *)0x10;
        call->call_id = i;
        call->key_len = 1;
        call->bytes[0] = 'k';
        qk_channel_send(channel, call, &refused);
        HOLDS(refused == NULL);
    }
    return calls;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qk_pair pair;
    struct qk_channel *channel;
    if (size < 2 || size - 2 > QK_RING_BYTES_MIN || qk_pair_create(QK_RING_BYTES_MIN, &pair) < 0)
        return 0;
    const struct qk_channel_config config = {.pair = &pair,
                                             .origin = (void *)0x20,
                                             .accepts = ACCEPTS,
                                             .questions_max = 1000,
                                             .asked_max = 4,
                                             .waiting_max = 1000,
                                             .waiting_bytes_max = 1u << 20};
    HOLDS(qk_channel_create(&config, &channel) == 0);
    unsigned answers = 0, calls = ask(channel, data[0]);
    memcpy(pair.in.shared->bytes, data + 2, size - 2);
    atomic_store(&pair.in.shared->tail, ((size - 2) & ~(size_t)7) + (data[1] == 0 ? 0 : (uint64_t)(int8_t)data[1]));
    int n = 1;
    for (unsigned rounds = 0; n > 0 && rounds < 10000; rounds++) {
        struct qk_port_frame *chain;
        const char *text;
        n = qk_channel_receive(channel, 8, &chain, &text);
        HOLDS(n >= 0 || n == QK_EPROTOCOL);
        HOLDS((n < 0) == (*text != 0));
        for (struct qk_port_frame *f = chain; f != NULL; f = f->next) {
            check(f);
            answers += qk_flat_is_answer(f->kind) != 0;
        }
        free_all(chain);
    }
    HOLDS(qk_channel_pending(channel) + answers == calls);
    free_all(qk_channel_abandon(channel, QK_ECRASHED, "gone"));
    HOLDS(qk_channel_pending(channel) == 0);
    qk_channel_destroy(channel);
    qk_pair_finish(&pair);
    return 0;
}
