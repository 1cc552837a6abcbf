/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers of words and of their ranking. */
#include "words.quark.h"

#define IN_FLIGHT 256 /* words that are asked at a time */

int word_add(qk_turn *t, Words__WordState *self, const Words__AddRequest *req, Words__Count *rep)
{
    uint32_t count = req->count != 0 ? req->count : 1;
    if (count > UINT32_MAX - self->count)
        return qk_fail(t, QK_APP(1), "the count of `%s` is full", qk_self(t).key);
    self->count += count;
    rep->count = self->count;
    return 0;
}

int word_get(qk_turn *t, Words__WordState *self, const Words__GetRequest *req, Words__Count *rep)
{
    (void)t, (void)req;
    rep->count = self->count;
    return 0;
}

static int by_count(const void *a, const void *b)
{
    const Words__Ranked *x = *(Words__Ranked *const *)a, *y = *(Words__Ranked *const *)b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return strcmp(x->word, y->word);
}

/* Asks `n` words at once, then waits for each. */
static int ask(qk_turn *t, char *const *words, size_t n, Words__Ranked *ranked, uint64_t *total)
{
    struct word_get_pending pending[IN_FLIGHT];
    const Words__GetRequest req = WORDS__GET_REQUEST__INIT;
    for (size_t i = 0; i < n; i++) {
        int rc = word_get_begin(t, qk_ref(words[i]), &req, &pending[i]);
        if (rc < 0)
            return qk_fail(t, rc, "can't ask for `%s`: %s", words[i], qk_error(t));
    }
    for (size_t i = 0; i < n; i++) {
        Words__Count count;
        int rc = word_get_await(t, pending[i], &count);
        if (rc < 0)
            return qk_fail(t, rc, "no answer from `%s`: %s", words[i], qk_error(t));
        words__ranked__init(&ranked[i]);
        ranked[i].word = words[i];
        ranked[i].count = count.count;
        *total += count.count;
    }
    return 0;
}

int ranking_top(qk_turn *t, const Words__TopRequest *req, Words__TopReply *rep)
{
    size_t n = req->n_words;
    Words__Ranked *ranked = qk_alloc(t, n * sizeof(*ranked));
    Words__Ranked **order = qk_alloc(t, n * sizeof(*order));
    if (ranked == NULL || order == NULL)
        return QK_ENOMEMORY;
    for (size_t i = 0; i < n; i += IN_FLIGHT) {
        int rc = ask(t, req->words + i, n - i < IN_FLIGHT ? n - i : IN_FLIGHT, ranked + i, &rep->total);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < n; i++)
        order[i] = &ranked[i];
    qsort(order, n, sizeof(*order), by_count);
    rep->top = order;
    rep->n_top = n < req->limit ? n : req->limit;
    return 0;
}
