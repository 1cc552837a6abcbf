/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A table of places with a free list, and chains through them by who asked. */
#include "transport/questions.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 256

void qk_questions_init(struct qk_questions *q, uint32_t max)
{
    *q = (struct qk_questions){.max = max};
}

void qk_questions_finish(struct qk_questions *q)
{
    free(q->places);
    free(q->buckets);
    *q = (struct qk_questions){0};
}

static uint32_t *bucket_of(const struct qk_questions *q, const void *origin, uint64_t call_id)
{
    uint64_t mixed = ((uintptr_t)origin ^ call_id * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xff51afd7ed558ccd);
    return &q->buckets[(mixed >> 32) & (q->room - 1)];
}

static void link_place(struct qk_questions *q, uint32_t i)
{
    uint32_t *bucket = bucket_of(q, q->places[i].origin, q->places[i].call_id);
    q->places[i].next = *bucket;
    *bucket = i + 1;
}

static bool grow(struct qk_questions *q)
{
    uint32_t room = q->room != 0 ? q->room * 2 : ROOM_MIN;
    struct qk_question *places = realloc(q->places, room * sizeof(*places));
    if (places == NULL)
        return false;
    q->places = places;
    uint32_t *buckets = calloc(room, sizeof(*buckets));
    if (buckets == NULL)
        return false;
    memset(places + q->room, 0, (room - q->room) * sizeof(*places));
    free(q->buckets);
    q->buckets = buckets;
    uint32_t old = q->room;
    q->room = room;
    for (uint32_t i = 0; i < old; i++)
        link_place(q, i); /* all are taken, or it would not grow */
    for (uint32_t i = room; i-- > old;) {
        places[i].next = q->free;
        q->free = i + 1;
    }
    return true;
}

static uint64_t number_of(const struct qk_questions *q, uint32_t i)
{
    return (uint64_t)q->places[i].use << 32 | i;
}

uint64_t qk_questions_add(struct qk_questions *q, const struct qk_question *question)
{
    if (q->count >= q->max || (q->free == 0 && !grow(q)))
        return 0;
    uint32_t i = q->free - 1, use = q->places[i].use + 1;
    q->free = q->places[i].next;
    q->places[i] = *question;
    q->places[i].use = use;
    link_place(q, i);
    q->count++;
    return number_of(q, i);
}

bool qk_questions_take(struct qk_questions *q, uint64_t number, struct qk_question *ret_question)
{
    uint32_t i = (uint32_t)number;
    if (i >= q->room || (q->places[i].use & 1) == 0 || number_of(q, i) != number)
        return false;
    *ret_question = q->places[i];
    uint32_t *at = bucket_of(q, ret_question->origin, ret_question->call_id);
    while (*at != i + 1)
        at = &q->places[*at - 1].next;
    *at = q->places[i].next;
    q->places[i].use++;
    q->places[i].next = q->free;
    q->free = i + 1;
    q->count--;
    return true;
}

uint64_t qk_questions_find(const struct qk_questions *q, const void *origin, uint64_t call_id)
{
    if (q->room == 0)
        return 0;
    for (uint32_t at = *bucket_of(q, origin, call_id); at != 0; at = q->places[at - 1].next) {
        const struct qk_question *p = &q->places[at - 1];
        if (p->origin == origin && p->call_id == call_id)
            return number_of(q, at - 1);
    }
    return 0;
}

uint64_t qk_questions_each(const struct qk_questions *q, uint32_t *at, struct qk_question *ret_question)
{
    while (*at < q->room) {
        uint32_t i = (*at)++;
        if ((q->places[i].use & 1) == 0)
            continue;
        *ret_question = q->places[i];
        return number_of(q, i);
    }
    return 0;
}
