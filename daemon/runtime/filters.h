/* SPDX-License-Identifier: Apache-2.0 */
/* Filters around handlers and calls (filters.c). */
#ifndef QK_RUNTIME_FILTERS_H
#define QK_RUNTIME_FILTERS_H

#include "runtime/internal.h"

/* What is wrong with a list of filters; NULL: nothing. */
const char *qk_filters_wrong(const struct qk_filter *const *filters, uint64_t n);

/* Makes the set of a type from those of the silo, `silo` besides, and its own; NULL where there are none. 0, -ENOMEM.
 * Under the lock. */
int qk_filters_make(struct qk_types *types, const struct qk_type *type, const struct qk_filter *const *silo,
                    uint32_t n_silo, struct qk_filter_set **ret_set);
void qk_filters_finish(struct qk_types *types);

/* A call as outgoing filters get it. */
struct qk_outgoing {
    enum qk_filtered_kind kind;
    const struct qk_method *method;
    struct qk_ref to;
    int64_t timeout_ms;
    const ProtobufCMessage *request;
    ProtobufCMessage *ret_reply;
    struct qk_pending **ret_pending;
};

/* On the fiber, of a type that has a set. Each runs its filters and what is behind them; false: there are none that
 * apply, and nothing was done. */
bool qk_filters_incoming(struct qk_turn_state *t);
bool qk_filters_outgoing(struct qk_turn_state *t, const struct qk_outgoing *o, int *ret_status);
int qk_filters_next(struct qk_turn_state *t, struct qk_filtered *filtered);

static inline bool qk_filters_any(const struct qk_turn_state *t)
{
    return atomic_load_explicit(&t->act->type->filters, memory_order_relaxed) != NULL;
}

#endif
