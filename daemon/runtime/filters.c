/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call filters: functions of plugins around handlers (incoming) and around the calls that handlers make (outgoing).
 *
 * Each type has one set, made when plugins are registered: those of the silo in the order of registration, then the
 * type's own. A type without filters has no set, and its turns and calls pay one test. A set is replaced and never
 * changed; old ones stay until the runtime ends, since turns may be inside.
 */
#include "runtime/filters.h"

#include <stdio.h>
#include <stdlib.h>
#include "runtime/context.h"

struct qk_filter_set {
    struct qk_filter_set *older; /* of all that were made */
    uint32_t n_incoming;
    uint32_t n_outgoing;
    qk_filter_fn fns[]; /* incoming, then outgoing */
};

/* ---- registering */

const char *qk_filters_wrong(const struct qk_filter *const *filters, uint64_t n)
{
    if (n > QK_FILTERS_MAX)
        return "it has more than 16 filters";
    if (n > 0 && filters == NULL)
        return "its filters are missing";
    for (uint64_t i = 0; i < n; i++) {
        const struct qk_filter *f = filters[i];
        if (f == NULL || f->abi.major != QK_ABI_MAJOR || f->abi.size < sizeof(*f) || f->name == NULL ||
            (f->incoming == NULL && f->outgoing == NULL))
            return "a filter has no name, no function, or is of another interface";
    }
    return NULL;
}

static void add(struct qk_filter_set *set, const struct qk_filter *f, bool incoming)
{
    qk_filter_fn fn = incoming ? f->incoming : f->outgoing;
    if (fn == NULL)
        return;
    set->fns[set->n_incoming + set->n_outgoing] = fn;
    if (incoming)
        set->n_incoming++;
    else
        set->n_outgoing++;
}

int qk_filters_make(struct qk_types *types, const struct qk_type *type, const struct qk_filter *const *silo,
                    uint32_t n_silo, struct qk_filter_set **ret_set)
{
    uint64_t n = types->n_filters + n_silo + type->n_filters;
    *ret_set = NULL;
    if (n == 0)
        return 0;
    struct qk_filter_set *set = calloc(1, sizeof(*set) + 2 * n * sizeof(set->fns[0]));
    if (set == NULL)
        return -ENOMEM;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < types->n_filters; i++)
            add(set, types->filters[i], pass == 0);
        for (uint32_t i = 0; i < n_silo; i++)
            add(set, silo[i], pass == 0);
        for (uint64_t i = 0; i < type->n_filters; i++)
            add(set, type->filters[i], pass == 0);
    }
    set->older = types->filter_sets;
    types->filter_sets = set;
    *ret_set = set;
    return 0;
}

void qk_filters_finish(struct qk_types *types)
{
    while (types->filter_sets != NULL) {
        struct qk_filter_set *set = types->filter_sets;
        types->filter_sets = set->older;
        free(set);
    }
}

/* ---- running */

/* One run through a set, on the fiber's stack. */
struct chain {
    struct qk_filtered pub; /* what filters see; first */
    const qk_filter_fn *fns;
    uint32_t n;
    uint32_t at;      /* the filter that runs */
    uint32_t reached; /* how far it has come: n is behind the last */
    int status;       /* of the handler or the call */
    bool incoming;
    /* Of an outgoing one. */
    int64_t timeout_ms;
    ProtobufCMessage *ret_reply;
    struct qk_pending **ret_pending;
};

static int call_through(struct qk_turn_state *t, struct chain *c)
{
    const struct qk_host *host = t->pub.host;
    switch ((enum qk_filtered_kind)c->pub.kind) {
    case QK_FILTERED_CALL:
        return host->call(&t->pub, c->pub.method, c->pub.to, c->timeout_ms, c->pub.request, c->ret_reply);
    case QK_FILTERED_BEGIN:
        return host->begin(&t->pub, c->pub.method, c->pub.to, c->timeout_ms, c->pub.request, c->ret_pending);
    default:
        return host->send(&t->pub, c->pub.method, c->pub.to, c->pub.request);
    }
}

/* Behind the last filter. */
static int arrive(struct qk_turn_state *t, struct chain *c)
{
    if (c->incoming) {
        void *self = t->act->type->desc->state != NULL ? t->act->body : NULL;
        c->status = t->method->desc->handler(&t->pub, self, t->request, t->reply);
        c->pub.reply = c->status >= 0 ? t->reply : NULL;
    } else {
        c->status = call_through(t, c);
        c->pub.reply = c->status >= 0 ? c->ret_reply : NULL;
    }
    return c->status;
}

static int run(struct qk_turn_state *t, struct chain *c, uint32_t step)
{
    c->reached = step;
    if (step == c->n)
        return arrive(t, c);
    uint32_t before = c->at;
    c->at = step;
    int rc = c->fns[step](&t->pub, &c->pub);
    c->at = before;
    if (rc < 0)
        return rc;
    if (c->reached != c->n) {
        t->fail_status = QK_ESTATE;
        t->fail_text = "a filter has neither gone on nor refused";
        return QK_ESTATE;
    }
    return c->status < 0 ? c->status : rc; /* there is no reply that it could make good for */
}

int qk_filters_next(struct qk_turn_state *t, struct qk_filtered *filtered)
{
    struct chain *c = (struct chain *)filtered;
    uint32_t step = c->at + 1;
    if (step <= c->reached)
        return QK_ESTATE; /* once for each */
    return run(t, c, step);
}

bool qk_filters_incoming(struct qk_turn_state *t)
{
    const struct qk_filter_set *set = atomic_load_explicit(&t->act->type->filters, memory_order_acquire);
    if (set->n_incoming == 0)
        return false;
    const struct qk_msg *msg = t->msg;
    bool sent = msg->kind == QK_MSG_SEND || (msg->kind == QK_MSG_FRAME && msg->one_way);
    struct chain c = {
        .pub = {.abi = QK_ABI_HEAD(struct qk_filtered),
                .kind = msg->kind == QK_MSG_TICK ? QK_FILTERED_TICK
                        : sent                   ? QK_FILTERED_SEND
                                                 : QK_FILTERED_CALL,
                .type = t->act->type->desc->name,
                .method = t->method->desc,
                .to = {qk_act_key(t->act), t->act->key_len},
                .request = t->request},
        .fns = set->fns,
        .n = set->n_incoming,
        .incoming = true,
    };
    t->status = run(t, &c, 0);
    return true;
}

bool qk_filters_outgoing(struct qk_turn_state *t, const struct qk_outgoing *o, int *ret_status)
{
    const struct qk_filter_set *set = atomic_load_explicit(&t->act->type->filters, memory_order_acquire);
    if (set->n_outgoing == 0 || t->filtering)
        return false;
    const struct qk_rt_type *type = qk_types_find(&t->worker->rt->types, o->method->type_id);
    struct chain c = {
        .pub = {.abi = QK_ABI_HEAD(struct qk_filtered),
                .kind = o->kind,
                .type = type != NULL ? type->desc->name : "",
                .method = o->method,
                .to = o->to,
                .request = o->request},
        .fns = set->fns + set->n_incoming,
        .n = set->n_outgoing,
        .timeout_ms = o->timeout_ms,
        .ret_reply = o->ret_reply,
        .ret_pending = o->ret_pending,
    };
    /* What filters set is for this call only; what they fail with is the call's error, not the turn's. */
    const char *fail_text = t->fail_text;
    int32_t fail_status = t->fail_status;
    struct qk_baggage *before = t->passes;
    t->fail_text = NULL;
    t->before = before != NULL ? qk_baggage_ref(before) : NULL;
    t->filtering = true;
    int rc = run(t, &c, 0);
    t->filtering = false;
    if (t->passes != NULL)
        qk_baggage_unref(t->passes);
    t->passes = t->before;
    t->before = NULL;
    if (rc < 0 && t->fail_text != NULL && t->fail_status == rc)
        t->error_text = t->fail_text;
    t->fail_text = fail_text;
    t->fail_status = fail_status;
    *ret_status = rc;
    return true;
}
