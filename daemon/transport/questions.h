/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Questions that were sent and wait for their answers. Each gets a number that says which place of the table it has and
 * how often the place was used, so that an answer with a number that was not given out, or given back, is known for
 * what it is. One thread at a time.
 */
#ifndef QK_TRANSPORT_QUESTIONS_H
#define QK_TRANSPORT_QUESTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct qk_question {
    void *origin; /* whose it is; comes back with the answer */
    uint64_t call_id;
    uint64_t type_id;
    uint32_t use;  /* of the place: odd while it is taken */
    uint32_t next; /* in its bucket or the free list; index + 1 */
    uint8_t kind;
};

struct qk_questions {
    struct qk_question *places;
    uint32_t *buckets; /* by origin and call_id; index + 1 */
    uint32_t room;     /* places, and as many buckets: a power of two */
    uint32_t max;
    uint32_t count;
    uint32_t free;
};

/* Holds `max` at most. */
void qk_questions_init(struct qk_questions *questions, uint32_t max);
void qk_questions_finish(struct qk_questions *questions);

/* Notes one; its number, never 0. 0 when there are `max` already or there is no memory. */
uint64_t qk_questions_add(struct qk_questions *questions, const struct qk_question *question);

/* Takes the one of this number; false when there is none. */
bool qk_questions_take(struct qk_questions *questions, uint64_t number, struct qk_question *ret_question);

/* The number of the question that (origin, call_id) asked; 0: it is answered, or was none. */
uint64_t qk_questions_find(const struct qk_questions *questions, const void *origin, uint64_t call_id);

/* The number of the first question from place `*at` on, which is moved behind it; 0 when there is none left. */
uint64_t qk_questions_each(const struct qk_questions *questions, uint32_t *at, struct qk_question *ret_question);

#endif
