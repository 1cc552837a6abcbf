/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instances of services: made when they are first asked for, destroyed when their scope ends.
 *
 * A turn and an activation have a list of theirs, which only who runs the turn or holds the activation touches;
 * singletons are made under one lock, which their create functions can't suspend with. Create functions run on the
 * fiber of the turn that asked. Destroy functions run on the worker's own stack, so that they do so too when the turn
 * has left its stack for good, and see nothing of the turn.
 */
#include "runtime/supervise.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/status.h"

/* ---- errors */

static int __attribute__((format(printf, 3, 4))) fail(struct qk_turn_state *t, int status, const char *format, ...)
{
    char *text = qk_arena_alloc(&t->arena, QK_ERROR_TEXT_MAX + 1);
    va_list args;
    va_start(args, format);
    if (text != NULL)
        vsnprintf(text, QK_ERROR_TEXT_MAX + 1, format, args);
    va_end(args);
    t->error_text = t->fail_text = text != NULL ? text : "";
    t->fail_status = status;
    return status;
}

static int could_not(struct qk_turn_state *t, const struct qk_rt_service *s, int status)
{
    const char *why = t->fail_text != NULL && t->fail_status == status ? t->fail_text : t->error_text;
    return fail(t, status, "the service %s/%s could not be made: %s", s->plugin->name, s->copy.name,
                *why != '\0' ? why : qk_status_text(status));
}

static int cannot_wait(qk_turn *turn)
{
    struct qk_turn_state *t = (struct qk_turn_state *)turn;
    const struct qk_rt_service *s = t->creating;
    t->error_text = s->copy.lifetime == QK_SINGLETON
                        ? "the create function of a singleton can't wait: others wait for it"
                        : "the create function of a scoped service can't wait in an actor type whose turns interleave";
    return QK_ESTATE;
}

static int still_call(qk_turn *t, const struct qk_method *m, struct qk_ref to, int64_t timeout_ms,
                      const ProtobufCMessage *request, ProtobufCMessage *ret_reply)
{
    (void)m, (void)to, (void)timeout_ms, (void)request, (void)ret_reply;
    return cannot_wait(t);
}

static int still_begin(qk_turn *t, const struct qk_method *m, struct qk_ref to, int64_t timeout_ms,
                       const ProtobufCMessage *request, struct qk_pending **ret_pending)
{
    (void)m, (void)to, (void)timeout_ms, (void)request, (void)ret_pending;
    return cannot_wait(t);
}

static int still_await(qk_turn *t, struct qk_pending *pending, ProtobufCMessage *ret_reply)
{
    (void)pending, (void)ret_reply;
    return cannot_wait(t);
}

static int still_send(qk_turn *t, const struct qk_method *m, struct qk_ref to, const ProtobufCMessage *request)
{
    (void)m, (void)to, (void)request;
    return cannot_wait(t);
}

static int still_state(qk_turn *t, uint32_t operation)
{
    (void)operation;
    return cannot_wait(t);
}

static int still_append(qk_turn *t, const ProtobufCMessage *events, uint32_t n_events)
{
    (void)events, (void)n_events;
    return cannot_wait(t);
}

static int still_replay(qk_turn *t, uint64_t from, qk_event_fn fn, void *arg)
{
    (void)from, (void)fn, (void)arg;
    return cannot_wait(t);
}

static int still_offload(qk_turn *t, void (*fn)(void *arg), void *arg)
{
    (void)fn, (void)arg;
    return cannot_wait(t);
}

/* ---- making */

static int acquire(struct qk_turn_state *t, struct qk_rt_service *s, void **ret_instance);

static bool find_in(const struct qk_instance *list, const struct qk_rt_service *s, void **ret_instance)
{
    for (; list != NULL; list = list->next) {
        if (list->service == s) {
            *ret_instance = list->instance;
            return true;
        }
    }
    return false;
}

/* Whether there is an instance in the scope of the turn. */
static bool find_instance(const struct qk_turn_state *t, struct qk_rt_service *s, void **ret_instance)
{
    if (s->substituted) {
        *ret_instance = s->substitute;
        return true;
    }
    if (s->copy.lifetime == QK_TRANSIENT)
        return find_in(t->services, s, ret_instance);
    if (s->copy.lifetime == QK_SCOPED) {
        const struct qk_extras *x = qk_act_extras(t->act);
        return x != NULL && find_in(x->services, s, ret_instance);
    }
    void *single = atomic_load_explicit(&s->single, memory_order_acquire);
    if (single == NULL)
        return false;
    *ret_instance = single;
    return true;
}

static int call_create(struct qk_turn_state *t, const struct qk_rt_service *s, void **ret_instance)
{
    const struct qk_rt_service *outer = t->creating;
    const struct qk_host *host = t->pub.host;
    const char *fail_text = t->fail_text;
    int fail_status = t->fail_status;
    bool still = s->copy.lifetime == QK_SINGLETON || (s->copy.lifetime == QK_SCOPED && t->act->type->interleaves);
    void *instance = NULL;
    t->creating = s;
    t->fail_text = NULL;
    t->error_text = "";
    if (still)
        t->pub.host = &t->worker->rt->services.still;
    int rc = s->copy.create(&t->pub, &instance);
    t->pub.host = host;
    t->creating = outer;
    if (rc < 0)
        return rc;
    if (instance == NULL)
        return fail(t, QK_EINVALID, "its create function has returned success and no instance");
    t->fail_text = fail_text;
    t->fail_status = fail_status;
    *ret_instance = instance;
    return 0;
}

/* Puts an instance into its scope, as the newest; false without memory. */
static bool keep(struct qk_turn_state *t, struct qk_rt_service *s, void *instance)
{
    if (s->copy.lifetime == QK_SINGLETON) {
        struct qk_services *services = &t->worker->rt->services;
        s->older = services->newest;
        services->newest = s;
        atomic_store_explicit(&s->single, instance, memory_order_release);
        return true;
    }
    struct qk_instance *node = malloc(sizeof(*node));
    struct qk_extras *x = s->copy.lifetime == QK_SCOPED ? qk_act_need_extras(t->act) : NULL;
    if (node == NULL || (s->copy.lifetime == QK_SCOPED && x == NULL)) {
        free(node);
        return false;
    }
    struct qk_instance **list = x != NULL ? &x->services : &t->services;
    *node = (struct qk_instance){.next = *list, .service = s, .instance = instance};
    *list = node;
    return true;
}

static int make(struct qk_turn_state *t, struct qk_rt_service *s, void **ret_instance)
{
    void *instance = NULL;
    int rc = 0;
    for (uint32_t i = 0; rc >= 0 && i < s->n_needs; i++) {
        void *need;
        rc = acquire(t, s->needs[i], &need);
    }
    if (rc >= 0)
        rc = call_create(t, s, &instance);
    if (rc >= 0 && !keep(t, s, instance)) {
        if (s->copy.destroy != NULL)
            s->copy.destroy(instance);
        rc = fail(t, QK_ENOMEMORY, "out of memory");
    }
    if (rc < 0)
        return could_not(t, s, rc);
    atomic_store_explicit(&s->made, true, memory_order_relaxed);
    *ret_instance = instance;
    return 0;
}

void qk_services_unlock(struct qk_turn_state *t)
{
    if (!t->services_locked)
        return;
    t->services_locked = false;
    pthread_mutex_unlock(&t->worker->rt->services.lock);
}

static int make_singleton(struct qk_turn_state *t, struct qk_rt_service *s, void **ret_instance)
{
    if (t->services_locked) /* what needs it is being made */
        return make(t, s, ret_instance);
    pthread_mutex_lock(&t->worker->rt->services.lock);
    t->services_locked = true;
    int rc = find_instance(t, s, ret_instance) ? 0 : make(t, s, ret_instance);
    qk_services_unlock(t);
    return rc;
}

/* The needs of services are no circle and end after QK_SERVICE_DEPTH_MAX, so this does. */
static int acquire(struct qk_turn_state *t, struct qk_rt_service *s, void **ret_instance)
{
    if (find_instance(t, s, ret_instance))
        return 0;
    return s->copy.lifetime == QK_SINGLETON ? make_singleton(t, s, ret_instance) : make(t, s, ret_instance);
}

/* ---- asking */

static struct qk_rt_service *look_up(struct qk_worker *w, const struct qk_service *asked)
{
    struct qk_service_seen *seen = &w->services_seen[((uintptr_t)asked >> 4) % QK_SERVICES_SEEN];
    if (qk_likely(seen->asked == asked))
        return seen->found;
    struct qk_rt_service *found = qk_services_find(&w->rt->services, asked);
    if (found != NULL)
        *seen = (struct qk_service_seen){.asked = asked, .found = found};
    return found;
}

static bool says_that_it_needs(const struct qk_rt_service *s, const struct qk_rt_service *other)
{
    for (uint32_t i = 0; i < s->n_needs; i++) {
        if (s->needs[i] == other)
            return true;
    }
    return false;
}

int qk_services_get(struct qk_turn_state *t, const struct qk_service *asked, void **ret_instance)
{
    struct qk_rt_service *s = look_up(t->worker, asked);
    if (s == NULL && asked->plugin != NULL)
        return fail(t, QK_ENOTFOUND, "no plugin that is loaded has the service %s/%s", asked->plugin, asked->name);
    if (s == NULL)
        return fail(t, QK_ENOTFOUND,
                    "the service %s is not in the list of its plugin: name it in QK_SERVICES(), and that list to the "
                    "generator with --quark_opt=services=LIST",
                    asked->name);
    if (qk_unlikely(t->creating != NULL) && !says_that_it_needs(t->creating, s))
        return fail(t, QK_EINVALID, "the service %s/%s uses %s/%s and does not say so in its `needs`",
                    t->creating->plugin->name, t->creating->copy.name, s->plugin->name, s->copy.name);
    return acquire(t, s, ret_instance);
}

/* ---- ends */

static void destroy_list(struct qk_worker *w, struct qk_act *act, struct qk_instance *list)
{
    /* Whoever watches the worker finds a destroy function that does not return as it finds a turn. */
    atomic_store_explicit(&w->turn_act, act, memory_order_relaxed);
    atomic_store_explicit(&w->turn_method, "the end of its services", memory_order_relaxed);
    qk_count(&w->turn_number, 1);
    while (list != NULL) {
        struct qk_instance *node = list;
        list = node->next;
        if (node->service->copy.destroy != NULL)
            node->service->copy.destroy(node->instance);
        free(node);
    }
    atomic_store_explicit(&w->turn_act, NULL, memory_order_relaxed);
}

void qk_services_end_turn(struct qk_worker *w, struct qk_turn_state *t)
{
    struct qk_instance *list = t->services;
    t->services = NULL;
    destroy_list(w, t->act, list);
}

void qk_services_end_scope(struct qk_worker *w, struct qk_act *act)
{
    struct qk_extras *x = qk_act_extras(act);
    struct qk_instance *list = x->services;
    x->services = NULL;
    if (list != NULL)
        destroy_list(w, act, list);
}

int qk_services_init(struct qk_services *services)
{
    services->still = qk_host_table;
    services->still.call = still_call;
    services->still.begin = still_begin;
    services->still.await = still_await;
    services->still.send = still_send;
    services->still.state = still_state;
    services->still.append = still_append;
    services->still.replay = still_replay;
    services->still.offload = still_offload;
    services->still.yield = cannot_wait;
    return -pthread_mutex_init(&services->lock, NULL);
}

void qk_services_finish(struct qk_services *services)
{
    for (struct qk_rt_service *s = services->newest; s != NULL; s = s->older) {
        if (s->copy.destroy != NULL)
            s->copy.destroy(atomic_load(&s->single));
    }
    unsigned n = atomic_load(&services->count);
    for (unsigned i = 0; i < n; i++) {
        free(services->all[i]->needs);
        free(services->all[i]);
    }
    pthread_mutex_destroy(&services->lock);
}

/* ---- substitutes */

int qk_runtime_substitute(struct qk_runtime *rt, const char *name, void *instance, char *text, size_t text_size)
{
    struct qk_services *services = &rt->services;
    const char *slash = strchr(name, '/'), *own = slash != NULL ? slash + 1 : name;
    struct qk_rt_service *found = NULL;
    unsigned n = atomic_load_explicit(&services->count, memory_order_acquire);
    for (unsigned i = 0; i < n; i++) {
        struct qk_rt_service *s = services->all[i];
        size_t len = strlen(s->plugin->name);
        if (strcmp(s->copy.name, own) != 0 ||
            (slash != NULL && (len != (size_t)(slash - name) || memcmp(s->plugin->name, name, len) != 0)))
            continue;
        if (found != NULL) {
            snprintf(text, text_size, "the plugins %s and %s both have a service %s: write PLUGIN/%s",
                     found->plugin->name, s->plugin->name, own, own);
            return QK_EINVALID;
        }
        found = s;
    }
    if (found == NULL) {
        snprintf(text, text_size, "no plugin that is loaded has the service %s", name);
        return QK_ENOTFOUND;
    }
    if (atomic_load_explicit(&found->made, memory_order_relaxed)) {
        snprintf(text, text_size, "the service %s has been used already", name);
        return QK_ESTATE;
    }
    found->substitute = instance;
    found->substituted = true;
    return 0;
}
