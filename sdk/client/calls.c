/* SPDX-License-Identifier: Apache-2.0 */
/* The calls in flight: slots in chunks that never move, a free list, the order of their beginning, and their timers. */
#include "internal.h"

#include <assert.h>
#include <stdlib.h>

#define SLOT_BITS 16
#define SLOT_MASK ((1u << SLOT_BITS) - 1)

_Static_assert(QK_CLIENT_CALLS_MAX <= 1 << SLOT_BITS, "a slot's index has 16 bits in the id");
_Static_assert(sizeof(struct qk_client_call) == 64, "a call is one cache line");

static struct qk_client_call *at(const struct qk_calls *calls, uint32_t index)
{
    return &calls->chunks[index / QK_CLIENT_CALLS_CHUNK][index % QK_CLIENT_CALLS_CHUNK];
}

static uint32_t index_of(const struct qk_client_call *call)
{
    return (uint32_t)call->id & SLOT_MASK;
}

void qk_calls_init(struct qk_calls *calls, int64_t now_ms)
{
    calls->n_chunks = 0;
    calls->in_flight = 0;
    calls->free = QK_CALL_NONE;
    calls->live = calls->lost = (struct qk_call_list){QK_CALL_NONE, QK_CALL_NONE};
    qk_wheel_init(&calls->wheel, now_ms);
}

void qk_calls_finish(struct qk_calls *calls)
{
    assert(calls->in_flight == 0);
    for (uint32_t i = 0; i < calls->n_chunks; i++)
        free(calls->chunks[i]);
    calls->n_chunks = 0;
}

static bool grow(struct qk_calls *calls)
{
    if (calls->n_chunks == QK_CLIENT_CALLS_CHUNKS)
        return false;
    struct qk_client_call *chunk = aligned_alloc(64, QK_CLIENT_CALLS_CHUNK * sizeof(*chunk));
    if (chunk == NULL)
        return false;
    uint32_t first = calls->n_chunks * QK_CLIENT_CALLS_CHUNK;
    for (uint32_t i = 0; i < QK_CLIENT_CALLS_CHUNK; i++) {
        chunk[i] = (struct qk_client_call){.id = first + i, .next = first + i + 1};
        qk_timer_init(&chunk[i].timer);
    }
    chunk[QK_CLIENT_CALLS_CHUNK - 1].next = calls->free;
    calls->free = first;
    calls->chunks[calls->n_chunks++] = chunk;
    return true;
}

struct qk_client_call *qk_calls_take(struct qk_calls *calls, int64_t expiry_ms)
{
    if (calls->free == QK_CALL_NONE && !grow(calls))
        return NULL;
    uint32_t index = calls->free;
    struct qk_client_call *call = at(calls, index);
    calls->free = call->next;
    call->id += 1u << SLOT_BITS;
    call->next = QK_CALL_NONE;
    call->prev = calls->live.last;
    if (call->prev != QK_CALL_NONE)
        at(calls, call->prev)->next = index;
    else
        calls->live.first = index;
    calls->live.last = index;
    calls->in_flight++;
    qk_wheel_start(&calls->wheel, &call->timer, expiry_ms);
    return call;
}

struct qk_client_call *qk_calls_find(struct qk_calls *calls, uint64_t id)
{
    uint32_t index = (uint32_t)id & SLOT_MASK;
    if (index / QK_CLIENT_CALLS_CHUNK >= calls->n_chunks)
        return NULL;
    struct qk_client_call *call = at(calls, index);
    return call->id == id && call->on_reply != NULL ? call : NULL;
}

bool qk_calls_had(const struct qk_calls *calls, uint64_t id)
{
    uint32_t index = (uint32_t)id & SLOT_MASK;
    return index / QK_CLIENT_CALLS_CHUNK < calls->n_chunks && id > SLOT_MASK && id <= at(calls, index)->id;
}

static void give_back(struct qk_calls *calls, struct qk_client_call *call)
{
    call->on_reply = NULL;
    call->next = calls->free;
    calls->free = index_of(call);
    calls->in_flight--;
}

void qk_calls_release(struct qk_calls *calls, struct qk_client_call *call)
{
    qk_wheel_cancel(&calls->wheel, &call->timer);
    if (call->prev != QK_CALL_NONE)
        at(calls, call->prev)->next = call->next;
    else
        calls->live.first = call->next;
    if (call->next != QK_CALL_NONE)
        at(calls, call->next)->prev = call->prev;
    else
        calls->live.last = call->prev;
    give_back(calls, call);
}

void qk_calls_lose(struct qk_calls *calls, uint64_t written)
{
    for (uint32_t i = calls->live.first; i != QK_CALL_NONE; i = at(calls, i)->next) {
        struct qk_client_call *call = at(calls, i);
        qk_wheel_cancel(&calls->wheel, &call->timer);
        call->sent_at = call->sent_at <= written ? QK_CALL_SENT : QK_CALL_UNSENT;
    }
    if (calls->live.first == QK_CALL_NONE)
        return;
    if (calls->lost.first == QK_CALL_NONE) {
        calls->lost = calls->live;
    } else {
        at(calls, calls->lost.last)->next = calls->live.first;
        at(calls, calls->live.first)->prev = calls->lost.last;
        calls->lost.last = calls->live.last;
    }
    calls->live = (struct qk_call_list){QK_CALL_NONE, QK_CALL_NONE};
}

bool qk_calls_pop_lost(struct qk_calls *calls, struct qk_client_call *ret_call)
{
    uint32_t index = calls->lost.first;
    if (index == QK_CALL_NONE)
        return false;
    struct qk_client_call *call = at(calls, index);
    *ret_call = *call;
    calls->lost.first = call->next;
    if (call->next == QK_CALL_NONE)
        calls->lost.last = QK_CALL_NONE;
    else
        at(calls, call->next)->prev = QK_CALL_NONE;
    give_back(calls, call);
    return true;
}
