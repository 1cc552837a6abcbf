/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * @file
 * A port over a pair of rings: frames go in on one side and come out on the other.
 *
 * What asks (calls, operations on stored state, ...) gets a number on its way out, and its origin back with the answer,
 * so that no pointer travels; an answer that nobody asked for ends the channel. Frames beyond QK_RING_RECORD_MAX go in
 * pieces, a few at a time, and the others pass them; but what is for an actor that such a frame is for stays behind it.
 * What the ring has no room for waits here, bounded: beyond that, questions are refused with QK_EOVERLOADED.
 *
 * Sending is for any thread; receiving for one at a time.
 */
#ifndef QK_TRANSPORT_CHANNEL_H
#define QK_TRANSPORT_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "runtime/port.h"
#include "transport/pair.h"

struct qk_channel;

struct qk_channel_config {
    struct qk_pair *pair;   /* the caller's; outlives the channel */
    void *origin;           /* of what the other side asks */
    uint32_t accepts;       /* kinds of frames that the other side may send: 1u << kind each */
    uint32_t questions_max; /* of this side, unanswered */
    uint32_t asked_max;     /* of the other side, unanswered; beyond that they are refused */
    uint32_t waiting_max;   /* frames that wait for room in the ring; at twice as many nothing is received either: one
                             * of the two sides must have no such bound */
    size_t waiting_bytes_max;
};

/* 0 or -ENOMEM. */
int qk_channel_create(const struct qk_channel_config *config, struct qk_channel **ret_channel);

/* Frees what waits; questions without an answer are forgotten. NULL is fine. */
void qk_channel_destroy(struct qk_channel *channel);

/*
 * Sends a chain of frames, in order, and owns them. Questions that can't be sent come back in ret_refused, turned into
 * their answers (status and text); everything else is sent or, where it is a log line too many, dropped. A
 * QK_PORT_CANCEL whose call is answered already is dropped too; one with call_id 0 is for all questions of its origin.
 * Wakes the other side if that sleeps.
 */
void qk_channel_send(struct qk_channel *channel, struct qk_port_frame *chain, struct qk_port_frame **ret_refused);

/* Sends what waits for room, as far as there is some. Call it whenever this side looks at its ring. Any thread. */
void qk_channel_flush(struct qk_channel *channel);

/*
 * Takes up to `max` frames that have come, oldest first: how many, 0 when there are none, or QK_EPROTOCOL where the
 * other side broke the rules (text says which; frames that came before are in the chain all the same). Answers carry
 * the origin and call_id of their questions; questions the configuration's origin and a call_id that the answer is to
 * carry. -ENOMEM.
 */
int qk_channel_receive(struct qk_channel *channel, unsigned max, struct qk_port_frame **ret_chain,
                       const char **ret_text);

/* Whether there is nothing to receive and nothing that waits for room. The receiving thread; cheap. */
bool qk_channel_is_idle(const struct qk_channel *channel);

/*
 * The other side is gone: every unanswered question comes back as its answer, with `status` and `text`, and what waits
 * is freed. `may_have_run` is set but for those that never got into the ring. Later questions are refused with the same
 * text. Any thread; nobody receives any more.
 */
struct qk_port_frame *qk_channel_abandon(struct qk_channel *channel, int status, const char *text);

/* Unanswered questions of this side. Any thread. */
uint32_t qk_channel_pending(const struct qk_channel *channel);

#endif
