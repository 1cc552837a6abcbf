/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which way a frame goes. There are five ends: clients (the gateway), the runtime of the silo itself, the processes of
 * isolated plugins, the stores, and the control thread, which asks on behalf of administrators. What asks carries in
 * `origin` whose it is, and its answer the same:
 *
 *   highest bit set       a plugin's process
 *   the next one set      an actor of the silo's own runtime
 *   lowest bit set        the control thread
 *   none of them          a client, by the number of its connection
 */
#include "silo/internal.h"

#include <stdlib.h>

#define HOST    (UINT64_C(1) << 63)
#define RUNTIME (UINT64_C(1) << 62)

static bool is_of(const struct qk_port_frame *frame, uint64_t mark)
{
    return ((uintptr_t)frame->origin & mark) != 0;
}

/* Frames on their way to one end. */
struct sheaf {
    struct qk_port_frame *first;
    struct qk_port_frame **last;
};

static void put(struct sheaf *sheaf, struct qk_port_frame *frame)
{
    if (sheaf->first == NULL)
        sheaf->last = &sheaf->first;
    *sheaf->last = frame;
    sheaf->last = &frame->next;
    frame->next = NULL;
}

/* What is left once stores and hosts have taken theirs. */
static void part(struct qk_silo *silo, struct qk_port_frame *chain, struct sheaf *runtime, struct sheaf *clients)
{
    bool stopping = atomic_load_explicit(&silo->state, memory_order_relaxed) >= QK_SILO_STOPPING;
    while (chain != NULL) {
        struct qk_port_frame *frame = chain;
        chain = frame->next;
        if (frame->kind == QK_PORT_REPLY && !is_of(frame, HOST | RUNTIME)) {
            put(clients, frame);
        } else if (frame->kind == QK_PORT_REPLY && is_of(frame, RUNTIME)) {
            frame->origin = (void *)((uintptr_t)frame->origin & ~RUNTIME);
            put(runtime, frame);
        } else if (frame->kind == QK_PORT_CANCEL && (stopping || is_of(frame, RUNTIME))) {
            /* When the runtime stops, nobody may be left to take it, and it would change nothing. Its own it knows. */
            qk_port_frame_destroy(frame);
        } else if (is_of(frame, HOST) && (frame->kind == QK_PORT_REPLY || frame->kind == QK_PORT_STORED)) {
            qk_port_frame_destroy(frame); /* there are no hosts any more */
        } else {
            put(runtime, frame);
        }
    }
}

void qk_silo_route(void *arg, struct qk_port_frame *chain)
{
    struct qk_silo *silo = arg;
    struct sheaf runtime = {0}, clients = {0};
    chain = qk_stores_take(silo->stores, chain);
    chain = qk_hosts_take(silo->hosts, chain);
    part(silo, chain, &runtime, &clients);
    if (runtime.first != NULL)
        qk_runtime_submit(silo->rt, runtime.first);
    chain = clients.first;
    if (chain != NULL && atomic_load_explicit(&silo->own_questions, memory_order_relaxed) != 0)
        chain = qk_silo_take_own(silo, chain);
    if (chain != NULL)
        qk_gateway_deliver(silo->gw, chain);
}

void qk_silo_on_deliver(void *arg, struct qk_port_frame *chain)
{
    for (struct qk_port_frame *frame = chain; frame != NULL; frame = frame->next) {
        if (frame->kind == QK_PORT_CALL || frame->kind == QK_PORT_SEND || frame->kind == QK_PORT_CANCEL)
            frame->origin = (void *)((uintptr_t)frame->origin | RUNTIME);
    }
    qk_silo_route(arg, chain);
}
