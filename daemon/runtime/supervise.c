/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parents and their children: spawning, orders, and what follows a failure.
 *
 * The tree is linked through the extras of its activations, all under one lock of the runtime that is held for a few
 * instructions: activations outside of it never take it. An activation is linked from qk_spawn() until it has ended, so
 * whoever finds it in the tree under the lock may leave it an order; everything else is done by the worker that holds
 * the activation, when it comes across the order (ending.c).
 */
#include "runtime/frames.h"
#include "runtime/supervise.h"

#include <stdio.h>
#include <stdlib.h>

static struct qk_extras *extras_of(const struct qk_act *act)
{
    return qk_act_extras(act);
}

static void lock(struct qk_worker *w)
{
    qk_spin_lock(&w->rt->super_lock);
}

static void unlock(struct qk_worker *w)
{
    qk_spin_unlock(&w->rt->super_lock);
}

/* ---- orders */

void qk_super_order(struct qk_worker *w, struct qk_act *act, enum qk_order order)
{
    atomic_fetch_or_explicit(&extras_of(act)->orders, (uint32_t)order, memory_order_release);
    if (qk_mailbox_order(&act->mailbox))
        qk_worker_schedule(w, act, false);
}

void qk_super_look(struct qk_worker *w, struct qk_rt_type *type, const char *key, uint32_t key_len)
{
    struct qk_act *act = qk_act_locate(w, type, key, key_len, false);
    if (act == NULL || extras_of(act) == NULL)
        return;
    lock(w);
    if (!extras_of(act)->gone)
        qk_super_order(w, act, QK_ORDER_LOOK);
    unlock(w);
}

/* ---- the tree */

/* Under the lock. */
static void link_child(struct qk_act *parent, struct qk_act *child)
{
    struct qk_extras *p = extras_of(parent), *c = extras_of(child);
    c->parent = parent;
    c->prev = p->last;
    c->next = NULL;
    if (p->last != NULL)
        extras_of(p->last)->next = child;
    else
        p->first = child;
    p->last = child;
    p->n_children++;
}

/* Under the lock. */
static void unlink_child(struct qk_act *child)
{
    struct qk_extras *c = extras_of(child), *p = extras_of(c->parent);
    if (c->prev != NULL)
        extras_of(c->prev)->next = c->next;
    else
        p->first = c->next;
    if (c->next != NULL)
        extras_of(c->next)->prev = c->prev;
    else
        p->last = c->prev;
    p->n_children--;
    c->parent = c->prev = c->next = NULL;
}

bool qk_super_has_parent(struct qk_worker *w, const struct qk_act *act)
{
    const struct qk_extras *x = extras_of(act);
    if (x == NULL)
        return false;
    lock(w);
    bool has = x->parent != NULL;
    unlock(w);
    return has;
}

bool qk_super_has_children(struct qk_worker *w, const struct qk_act *act)
{
    lock(w);
    bool has = extras_of(act)->first != NULL;
    unlock(w);
    return has;
}

bool qk_super_stop_last(struct qk_worker *w, struct qk_act *act)
{
    lock(w);
    struct qk_act *last = extras_of(act)->last;
    if (last != NULL)
        qk_super_order(w, last, QK_ORDER_STOP);
    unlock(w);
    return last != NULL;
}

void qk_super_gone(struct qk_worker *w, struct qk_act *act)
{
    struct qk_extras *x = extras_of(act);
    lock(w);
    x->gone = true;
    if (x->parent != NULL) {
        struct qk_act *parent = x->parent;
        unlink_child(act);
        qk_super_order(w, parent, QK_ORDER_LOOK);
    }
    while (x->first != NULL) { /* where it could not wait for them: they go on without a parent */
        struct qk_act *child = x->first;
        unlink_child(child);
        qk_super_order(w, child, QK_ORDER_LOOK);
    }
    unlock(w);
    qk_watchers_tell(w, act, QK_WATCH_ENDED);
}

void qk_super_finish(struct qk_extras *extras)
{
    qk_watchers_finish(extras);
    free(extras->text);
    free(extras->child_text);
}

/* Whether `above` is `act` or a parent of it, at any distance. Under the lock. */
static bool is_above(const struct qk_act *above, const struct qk_act *act)
{
    while (act != NULL && act != above)
        act = extras_of(act) != NULL ? extras_of(act)->parent : NULL;
    return act != NULL;
}

bool qk_super_would_wait(struct qk_worker *w, const struct qk_act *act, const struct qk_msg *msg)
{
    for (unsigned i = 0; i < msg->chain_len; i++) {
        /* What was found stays in memory until this worker's next round. */
        const struct qk_act *other = qk_act_by_hash(w->rt, msg->chain[i]);
        if (other == NULL)
            continue;
        lock(w);
        bool related = is_above(other, act) || is_above(act, other);
        unlock(w);
        if (related)
            return true;
    }
    return false;
}

/* ---- what follows a failure */

/* Makes the failure of a child its parent's. Under the lock. */
static void escalate(struct qk_worker *w, const struct qk_act *child)
{
    struct qk_extras *c = extras_of(child);
    struct qk_extras *p = extras_of(c->parent);
    c->escalated = true;
    size_t size = strlen(child->type->desc->name) + child->key_len + (c->text != NULL ? strlen(c->text) : 0) + 4;
    free(p->child_text);
    p->child_text = malloc(size);
    p->child_status = c->status;
    if (p->child_text != NULL)
        snprintf(p->child_text, size, "%s/%s: %s", child->type->desc->name, qk_act_key(child),
                 c->text != NULL ? c->text : "");
    qk_super_order(w, c->parent, QK_ORDER_FAIL);
}

/* Carries out what a parent says of a failed child. Under the lock. */
static void answer(struct qk_worker *w, struct qk_act *child, int directive)
{
    struct qk_extras *c = extras_of(child);
    const struct qk_type *d = c->parent->type->desc;
    if (directive < 0)
        directive = QK_ESCALATE;
    if (directive == QK_DIRECTIVE_DEFAULT || directive > QK_ESCALATE)
        directive = d->directive != QK_DIRECTIVE_DEFAULT ? (int)d->directive : QK_RESTART;
    if (directive == QK_RESTART && c->exhausted)
        directive = QK_ESCALATE;
    c->answered = true;
    if (directive == QK_ESCALATE) {
        escalate(w, child);
        return;
    }
    if (directive == QK_RESUME) {
        qk_super_order(w, child, QK_ORDER_RESUME);
        return;
    }
    enum qk_order order = directive == QK_STOP ? QK_ORDER_STOP : QK_ORDER_RESTART;
    struct qk_act *until = d->strategy == QK_ONE_FOR_ALL ? extras_of(c->parent)->first : child;
    struct qk_act *each = d->strategy == QK_ONE_FOR_ONE ? child : extras_of(c->parent)->last;
    for (;; each = extras_of(each)->prev) {
        extras_of(each)->answered = true; /* one that has failed too need not be asked about */
        qk_super_order(w, each, order);
        if (each == until)
            return;
    }
}

static struct qk_msg *make_notice(struct qk_worker *w, const struct qk_act *act, uint64_t serial)
{
    const struct qk_extras *x = extras_of(act);
    const char *text = x->text != NULL ? x->text : "";
    size_t text_size = strlen(text) + 1;
    struct qk_msg *msg = qk_notice_create(w, act->type, qk_act_key(act), act->key_len, text_size);
    if (msg == NULL)
        return NULL;
    struct qk_notice *n = msg->notice;
    char *bytes = (char *)(n + 1);
    n->serial = serial;
    n->failure = (struct qk_failure){.abi = QK_ABI_HEAD(struct qk_failure),
                                     .type_id = act->type->id,
                                     .type = act->type->desc->name,
                                     .ref = {bytes, act->key_len},
                                     .kind = x->kind,
                                     .status = x->status,
                                     .failures = x->failures,
                                     .text = memcpy(bytes + act->key_len + 1, text, text_size)};
    return msg;
}

bool qk_super_ask(struct qk_worker *w, struct qk_act *act)
{
    struct qk_extras *x = extras_of(act);
    lock(w);
    uint64_t serial = ++w->rt->super_serial;
    x->serial = serial;
    x->answered = x->escalated = x->shared = false;
    bool hook = x->parent != NULL && x->parent->type->desc->on_child_failure != NULL;
    /* A parent that ends has its children end, and answers for none of them. */
    bool ends = x->parent != NULL && atomic_load_explicit(&x->parent->phase, memory_order_acquire) >= QK_PHASE_STOPPING;
    if (x->parent != NULL && !hook && !ends)
        answer(w, act, QK_DIRECTIVE_DEFAULT);
    unlock(w);
    if (ends)
        return false;
    if (!hook)
        return true;
    struct qk_msg *msg = make_notice(w, act, serial);
    lock(w);
    struct qk_act *parent = x->parent;
    if (parent != NULL && msg == NULL)
        answer(w, act, QK_DIRECTIVE_DEFAULT);
    unlock(w);
    /* If the parent ends just now, it orders this one to look again. */
    if (parent != NULL && msg != NULL)
        qk_notice_post(w, parent, msg);
    else if (msg != NULL)
        qk_msg_destroy(w, msg);
    return false;
}

void qk_super_settled(struct qk_worker *w, struct qk_act *act)
{
    struct qk_extras *x = extras_of(act);
    lock(w);
    char *text = x->child_text;
    x->child_text = NULL;
    x->answered = true;
    x->escalated = x->shared = false;
    unlock(w);
    free(text);
}

char *qk_super_take_failure(struct qk_worker *w, struct qk_act *act, int *ret_status)
{
    struct qk_extras *x = extras_of(act);
    lock(w);
    char *text = x->child_text;
    *ret_status = x->child_status;
    x->child_text = NULL;
    for (struct qk_act *c = x->first; c != NULL; c = extras_of(c)->next) {
        extras_of(c)->shared = extras_of(c)->shared || extras_of(c)->escalated;
        extras_of(c)->escalated = false;
    }
    unlock(w);
    return text;
}

void qk_super_resumed(struct qk_worker *w, struct qk_act *act)
{
    lock(w);
    for (struct qk_act *c = extras_of(act)->first; c != NULL; c = extras_of(c)->next) {
        if (extras_of(c)->shared)
            qk_super_order(w, c, QK_ORDER_RESUME);
        extras_of(c)->shared = false;
    }
    unlock(w);
}

/* The failed child that a notice is about. Under the lock. */
static struct qk_act *asking(const struct qk_act *parent, uint64_t serial)
{
    for (struct qk_act *c = extras_of(parent)->last; c != NULL; c = extras_of(c)->prev) {
        if (extras_of(c)->serial == serial && !extras_of(c)->answered)
            return c;
    }
    return NULL;
}

bool qk_super_begin_notice(struct qk_worker *w, struct qk_act *act, const struct qk_msg *msg)
{
    if (msg->notice->serial == 0)
        return true;
    lock(w);
    bool asks = asking(act, msg->notice->serial) != NULL;
    unlock(w);
    return asks;
}

void qk_super_end_notice(struct qk_worker *w, struct qk_act *act, const struct qk_msg *msg, int directive)
{
    if (msg->notice->serial == 0)
        return;
    lock(w);
    struct qk_act *child = asking(act, msg->notice->serial);
    if (child != NULL)
        answer(w, child, directive);
    unlock(w);
}

void qk_super_spoil_notice(struct qk_worker *w, struct qk_act *act, const struct qk_msg *msg)
{
    if (msg->notice->serial == 0)
        return;
    lock(w);
    struct qk_act *child = asking(act, msg->notice->serial);
    if (child != NULL)
        extras_of(child)->answered = extras_of(child)->shared = true;
    unlock(w);
}

/* ---- what a turn may do */

static int link_new(struct qk_turn_state *t, struct qk_act *child, const char **ret_why)
{
    struct qk_extras *c = extras_of(child), *p = extras_of(t->act);
    uint8_t phase = atomic_load_explicit(&child->phase, memory_order_acquire);
    if (c->parent == t->act)
        return 0;
    *ret_why = "the actor is another's child";
    if (c->parent != NULL)
        return QK_EEXISTS;
    *ret_why = "the actor is this one, or one above it";
    if (is_above(child, t->act))
        return QK_EINVALID;
    *ret_why = "an activation has 16,384 children at most";
    if (p->n_children >= QK_CHILDREN_MAX)
        return QK_EOVERLOADED;
    *ret_why = "the actor ends just now, or has failed";
    if (phase > QK_PHASE_LIVE)
        return QK_ESTATE;
    link_child(t->act, child);
    qk_super_order(t->worker, child, QK_ORDER_ACTIVATE);
    return 0;
}

int qk_super_spawn(struct qk_turn_state *t, uint64_t type_id, struct qk_ref ref, const char **ret_why)
{
    struct qk_worker *w = t->worker;
    *ret_why = "a key has 1 to 512 bytes";
    if (ref.key == NULL || ref.key_len == 0 || ref.key_len > QK_KEY_MAX)
        return QK_EINVALID;
    struct qk_rt_type *type = qk_types_find(&w->rt->types, type_id);
    *ret_why = "no plugin that is loaded has this actor type";
    if (type == NULL && qk_remote_has_type(w->rt, type_id)) {
        *ret_why = "its plugin runs in another process: an actor can't have a child there";
        return QK_EINVALID;
    }
    if (type == NULL)
        return QK_ENOTFOUND;
    *ret_why = "the activation ends";
    if (t->what == QK_TURN_DEACTIVATE)
        return QK_ESTATE;
    for (;;) {
        struct qk_act *child = qk_act_locate(w, type, ref.key, ref.key_len, true);
        if (child == NULL) {
            *ret_why = qk_act_refusal(w);
            return QK_ENOMEMORY;
        }
        *ret_why = "out of memory";
        if (qk_act_need_extras(child) == NULL || qk_act_need_extras(t->act) == NULL)
            return QK_ENOMEMORY;
        lock(w);
        /* What is out of the table is marked as gone a moment later; the look-up then finds another. */
        bool dead =
            extras_of(child)->gone || atomic_load_explicit(&child->phase, memory_order_acquire) == QK_PHASE_DEAD;
        int rc = dead ? 0 : link_new(t, child, ret_why);
        unlock(w);
        if (!dead)
            return rc;
    }
}

/* The actor, if it is a child of the turn's activation. Under the lock. */
static struct qk_act *child_of(const struct qk_turn_state *t, uint64_t type_id, struct qk_ref ref)
{
    const struct qk_extras *x = extras_of(t->act);
    for (struct qk_act *c = x != NULL ? x->first : NULL; c != NULL; c = extras_of(c)->next) {
        if (c->type->id == type_id && c->key_len == ref.key_len && memcmp(qk_act_key(c), ref.key, ref.key_len) == 0)
            return c;
    }
    return NULL;
}

int qk_super_stop_child(struct qk_turn_state *t, uint64_t type_id, struct qk_ref ref)
{
    lock(t->worker);
    struct qk_act *child = child_of(t, type_id, ref);
    if (child != NULL)
        qk_super_order(t->worker, child, QK_ORDER_STOP);
    unlock(t->worker);
    return child != NULL ? 0 : QK_ENOTFOUND;
}

static uint32_t state_of_child(struct qk_act *act)
{
    switch ((enum qk_phase)atomic_load_explicit(&act->phase, memory_order_acquire)) {
    case QK_PHASE_NEW:
    case QK_PHASE_ACTIVATING:
        return QK_CHILD_BEGINS;
    case QK_PHASE_LIVE:
        return QK_CHILD_LIVE;
    case QK_PHASE_FAILED:
        return QK_CHILD_FAILED;
    case QK_PHASE_WAITING:
        return QK_CHILD_WAITING;
    default:
        return QK_CHILD_ENDS;
    }
}

int qk_super_children(struct qk_turn_state *t, struct qk_child **ret_children)
{
    const struct qk_extras *x = extras_of(t->act);
    size_t n = 0, bytes = 0;
    lock(t->worker);
    for (struct qk_act *c = x != NULL ? x->first : NULL; c != NULL; c = extras_of(c)->next) {
        n++;
        bytes += c->key_len + 1u;
    }
    unlock(t->worker);
    struct qk_child *list = qk_arena_alloc(&t->arena, (n + 1) * sizeof(*list));
    char *keys = qk_arena_alloc(&t->arena, bytes + 1);
    if (list == NULL || keys == NULL)
        return QK_ENOMEMORY;
    int count = 0;
    lock(t->worker);
    /* Only this activation's turns add children, so what is there now was there before. */
    for (struct qk_act *c = x != NULL ? x->first : NULL; c != NULL; c = extras_of(c)->next) {
        memcpy(keys, qk_act_key(c), c->key_len + 1u);
        list[count++] = (struct qk_child){
            .type_id = c->type->id, .type = c->type->desc->name, .ref = {keys, c->key_len}, .state = state_of_child(c)};
        keys += c->key_len + 1u;
    }
    unlock(t->worker);
    *ret_children = list;
    return count;
}
