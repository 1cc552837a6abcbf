/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Listing actors where some are in other processes: each is asked, and whoever gets the last answer puts them together
 * with what the silo itself has. A process that ends meanwhile answers too, with an error, and its actors are missing.
 */
#include "silo/answers.h"

#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "silo/internal.h"
#include "wire/check.h"

#define ACTORS_DEFAULT 1000
#define LISTING_BYTES  (QK_PAYLOAD_MAX - (64 << 10))
#define ACTOR_BYTES    64 /* of an actor packed, beside its type and key */

struct qk_gathering {
    struct qk_silo *silo;
    struct qk_port_frame *request; /* which is answered in the end */
    uint8_t *own;                  /* the silo's own reply */
    size_t own_size;
    size_t limit;
    atomic_uint left; /* answers to come, and one for who asks */
    pthread_mutex_t lock;
    struct qk_port_frame *parts;
};

static const Quark__Admin__ActorsReply *unpack(struct qk_arena *arena, const uint8_t *bytes, size_t size)
{
    ProtobufCMessage *message;
    if (qk_wire_unpack(&quark__admin__admin_reply__descriptor, bytes, size, arena, &message) < 0)
        return NULL;
    const Quark__Admin__AdminReply *reply = (const Quark__Admin__AdminReply *)message;
    return reply->body_case == QUARK__ADMIN__ADMIN_REPLY__BODY_ACTORS ? reply->actors : NULL;
}

/* Puts the actors of one reply behind those that are there, as many as fit. */
static void append(struct qk_gathering *g, const Quark__Admin__ActorsReply *from, Quark__Admin__ActorsReply *to,
                   size_t *bytes)
{
    for (size_t i = 0; from != NULL && i < from->n_actors && to->n_actors < g->limit; i++) {
        Quark__Admin__Actor *actor = from->actors[i];
        *bytes += ACTOR_BYTES + strlen(actor->type) + strlen(actor->key);
        if (*bytes > LISTING_BYTES)
            break;
        to->actors[to->n_actors++] = actor;
    }
    if (from != NULL)
        to->total += from->total;
}

static void conclude(struct qk_gathering *g)
{
    struct qk_arena arena;
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    Quark__Admin__ActorsReply all = QUARK__ADMIN__ACTORS_REPLY__INIT;
    size_t bytes = 0;
    qk_arena_init(&arena, (QK_HOSTS_MAX + 1) * (size_t)QK_MESSAGE_ARENA_MAX);
    all.actors = qk_arena_alloc(&arena, (g->limit + 1) * sizeof(*all.actors));
    if (all.actors != NULL) {
        append(g, unpack(&arena, g->own, g->own_size), &all, &bytes);
        for (struct qk_port_frame *part = g->parts; part != NULL; part = part->next) {
            if (part->status >= 0)
                append(g, unpack(&arena, qk_port_frame_payload(part), part->payload_len), &all, &bytes);
        }
    }
    reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_ACTORS;
    reply.actors = &all;
    size_t size = quark__admin__admin_reply__get_packed_size(&reply);
    uint8_t *packed = all.actors != NULL ? malloc(size + 1) : NULL;
    if (packed != NULL)
        quark__admin__admin_reply__pack(&reply, packed);
    qk_silo_end_admin(g->silo, g->request, packed != NULL ? 0 : QK_ENOMEMORY, packed != NULL ? "" : "out of memory",
                      packed, packed != NULL ? size : 0);
    free(packed);
    qk_arena_finish(&arena);
    while (g->parts != NULL) {
        struct qk_port_frame *next = g->parts->next;
        qk_port_frame_destroy(g->parts);
        g->parts = next;
    }
    pthread_mutex_destroy(&g->lock);
    free(g->own);
    free(g);
}

static void let_go(struct qk_gathering *g, unsigned n)
{
    if (n != 0 && atomic_fetch_sub(&g->left, n) == n)
        conclude(g);
}

void qk_silo_gathered(struct qk_gathering *g, struct qk_port_frame *part)
{
    pthread_mutex_lock(&g->lock);
    part->next = g->parts;
    g->parts = part;
    pthread_mutex_unlock(&g->lock);
    atomic_fetch_sub(&g->silo->own_questions, 1);
    let_go(g, 1);
}

bool qk_silo_gather(struct qk_silo *silo, struct qk_port_frame *request, const Quark__Admin__ActorsRequest *what,
                    uint8_t *own, size_t own_size)
{
    struct qk_port_frame query = {.kind = QK_PORT_QUERY, .call_id = 1};
    struct qk_gathering *g = calloc(1, sizeof(*g));
    /* The same question, with the limit spelt out. */
    Quark__Admin__AdminRequest ask = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__ActorsRequest actors = *what;
    actors.limit = what->limit != 0 ? what->limit : ACTORS_DEFAULT;
    ask.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_ACTORS;
    ask.actors = &actors;
    size_t size = quark__admin__admin_request__get_packed_size(&ask);
    struct qk_port_frame *frame = qk_port_frame_create(size);
    if (g == NULL || frame == NULL) {
        free(g);
        qk_port_frame_destroy(frame);
        return false;
    }
    *g = (struct qk_gathering){
        .silo = silo, .request = request, .own = own, .own_size = own_size, .limit = actors.limit};
    pthread_mutex_init(&g->lock, NULL);
    query.origin = (void *)((uintptr_t)g | QK_SILO_GATHERING);
    query.payload_len = (uint32_t)size;
    query.capacity = frame->capacity;
    *frame = query;
    quark__admin__admin_request__pack(&ask, frame->bytes);
    /* More than there can be, so that none is the last before all are asked. */
    atomic_store(&g->left, QK_HOSTS_MAX + 1);
    atomic_fetch_add(&silo->own_questions, QK_HOSTS_MAX);
    unsigned asked = qk_hosts_tell_all(silo->hosts, frame);
    atomic_fetch_sub(&silo->own_questions, QK_HOSTS_MAX - asked);
    qk_port_frame_destroy(frame);
    let_go(g, QK_HOSTS_MAX + 1 - asked);
    return true;
}
