/* SPDX-License-Identifier: Apache-2.0 */
/* What tools ask: the list of actors by request and reply, everything that is a figure on the board. */
#include <admin.pb-c.h>
#include <stdlib.h>
#include <string.h>
#include "host/host.h"
#include "wire/check.h"

#define LISTING_BYTES (QK_PAYLOAD_MAX - (64 << 10))
#define ACTOR_BYTES   64
#define ACTORS_MAX    ((QK_MESSAGE_FIELDS_MAX - 100) / 7)

/* ---- actors */

struct listing {
    struct qk_arena arena;
    const Quark__Admin__ActorsRequest *request;
    size_t prefix_len;
    size_t limit;
    size_t bytes;
    uint64_t total;
    Quark__Admin__Actor **actors;
    size_t n;
    bool failed;
};

static bool add(struct listing *l, const struct qk_activation_info *info)
{
    Quark__Admin__Actor *a = qk_arena_alloc(&l->arena, sizeof(*a));
    char *key = qk_arena_alloc(&l->arena, info->key_len + 1);
    if (a == NULL || key == NULL)
        return false;
    quark__admin__actor__init(a);
    memcpy(key, info->key, info->key_len);
    key[info->key_len] = 0;
    for (uint32_t i = 0; i < info->key_len && !qk_wire_is_utf8((const uint8_t *)key, info->key_len); i++)
        key[i] = (key[i] & 0x80) != 0 ? '?' : key[i];
    a->type = (char *)info->type->name;
    a->key = key;
    a->state = (char *)info->state;
    a->mailbox = info->mailbox;
    a->turns = info->turns;
    a->idle_ms = info->idle_ms > 0 ? (uint64_t)info->idle_ms : 0;
    l->actors[l->n++] = a;
    return true;
}

static bool visit(void *arg, const struct qk_activation_info *info)
{
    struct listing *l = arg;
    if (*l->request->type != 0 && strcmp(l->request->type, info->type->name) != 0)
        return true;
    if (info->key_len < l->prefix_len || memcmp(info->key, l->request->key_prefix, l->prefix_len) != 0)
        return true;
    l->total++;
    size_t bytes = ACTOR_BYTES + info->key_len + strlen(info->type->name);
    if (l->n >= l->limit || l->bytes + bytes > LISTING_BYTES)
        return true;
    l->bytes += bytes;
    l->failed = !add(l, info);
    return !l->failed;
}

static struct qk_port_frame *reply_with(const struct qk_port_frame *query, int status, const ProtobufCMessage *message)
{
    size_t size = message != NULL ? protobuf_c_message_get_packed_size(message) : 0;
    struct qk_port_frame *frame = qk_port_frame_create(size);
    if (frame == NULL)
        return NULL;
    frame->kind = QK_PORT_REPLY;
    frame->call_id = query->call_id;
    frame->status = status;
    frame->payload_len = (uint32_t)size;
    if (message != NULL)
        protobuf_c_message_pack(message, frame->bytes);
    return frame;
}

static struct qk_port_frame *list(struct qk_host_process *host, const struct qk_port_frame *query,
                                  const Quark__Admin__ActorsRequest *request)
{
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    Quark__Admin__ActorsReply actors = QUARK__ADMIN__ACTORS_REPLY__INIT;
    struct listing l = {.request = request, .prefix_len = strlen(request->key_prefix), .limit = request->limit};
    if (l.limit > ACTORS_MAX)
        l.limit = ACTORS_MAX;
    qk_arena_init(&l.arena, 4 * QK_MESSAGE_ARENA_MAX);
    l.actors = qk_arena_alloc(&l.arena, (l.limit + 1) * sizeof(*l.actors));
    if (l.actors != NULL)
        qk_runtime_visit_activations(host->rt, visit, &l);
    bool failed = l.actors == NULL || l.failed;
    actors.actors = l.actors;
    actors.n_actors = l.n;
    actors.total = l.total;
    reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_ACTORS;
    reply.actors = &actors;
    struct qk_port_frame *frame = reply_with(query, failed ? QK_ENOMEMORY : 0, failed ? NULL : &reply.base);
    qk_arena_finish(&l.arena);
    return frame;
}

struct qk_port_frame *qk_host_answer(struct qk_host_process *host, struct qk_port_frame *query)
{
    struct qk_arena arena;
    ProtobufCMessage *message;
    struct qk_port_frame *frame;
    qk_arena_init(&arena, QK_MESSAGE_ARENA_MAX);
    int rc = qk_wire_unpack(&quark__admin__admin_request__descriptor, qk_port_frame_payload(query), query->payload_len,
                            &arena, &message);
    const Quark__Admin__AdminRequest *request = (const Quark__Admin__AdminRequest *)message;
    if (rc == 0 && request->body_case == QUARK__ADMIN__ADMIN_REQUEST__BODY_ACTORS)
        frame = list(host, query, request->actors);
    else
        frame = reply_with(query, rc < 0 ? rc : QK_EINVALID, NULL);
    qk_arena_finish(&arena);
    qk_port_frame_destroy(query);
    return frame;
}

/* ---- figures */

static void publish_type(void *arg, const struct qk_type_stats *stats)
{
    struct qk_board_type **at = arg, *b = (*at)++;
    atomic_store_explicit(&b->activations, stats->activations, memory_order_relaxed);
    atomic_store_explicit(&b->turns, stats->turns, memory_order_relaxed);
    atomic_store_explicit(&b->failures, stats->failures, memory_order_relaxed);
    atomic_store_explicit(&b->turn_ns, stats->turn_ns, memory_order_relaxed);
    atomic_store_explicit(&b->turn_samples, stats->turn_samples, memory_order_relaxed);
    atomic_store_explicit(&b->mailbox_wait_ns, stats->mailbox_wait_ns, memory_order_relaxed);
}

void qk_host_publish(struct qk_host_process *host)
{
    struct qk_board *board = host->pair.board;
    struct qk_board_type *types = board->types;
    struct qk_runtime_stats stats;
    qk_runtime_visit_types(host->rt, publish_type, &types);
    qk_runtime_stats(host->rt, &stats);
    atomic_store_explicit(&board->suspended, stats.fibers_suspended, memory_order_relaxed);
    for (uint32_t i = 0; i < host->n_workers; i++) {
        struct qk_worker_stats s;
        qk_runtime_worker_stats(host->rt, i, &s);
        atomic_store_explicit(&board->workers[i].turns, s.turns, memory_order_relaxed);
        atomic_store_explicit(&board->workers[i].busy_ns, s.busy_ns, memory_order_relaxed);
        atomic_store_explicit(&board->workers[i].steals, s.steals, memory_order_relaxed);
        atomic_store_explicit(&board->workers[i].parks, s.parks, memory_order_relaxed);
        atomic_store_explicit(&board->workers[i].runnable, s.runnable, memory_order_relaxed);
    }
}
