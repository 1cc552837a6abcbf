/* SPDX-License-Identifier: Apache-2.0 */
/* Services (services.c; service_graph.c registers them). */
#ifndef QK_RUNTIME_SERVICES_H
#define QK_RUNTIME_SERVICES_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/limits.h"
#include "runtime/runtime.h"

struct qk_act;
struct qk_turn_state;
struct qk_worker;

struct qk_rt_service {
    struct qk_service copy; /* what this runtime knows of the descriptor; the rest is zero */
    const struct qk_service *declared;
    const struct qk_plugin *plugin;
    struct qk_rt_service **needs;
    uint32_t n_needs;
    uint8_t mark;     /* of the search for circles */
    atomic_bool made; /* at least once */
    bool substituted; /* set before the first use */
    void *substitute;
    _Atomic(void *) single;      /* instance of a singleton; NULL: there is none yet */
    struct qk_rt_service *older; /* the singleton that was made before; under the lock */
};

struct qk_services {
    pthread_mutex_t lock; /* held while a singleton is made, and never across a suspension */
    struct qk_rt_service *newest;
    struct qk_host still; /* the host table of create functions that must not wait */
    atomic_uint count;
    struct qk_rt_service *all[QK_SERVICES_MAX];
};

/* An instance that a turn or an activation has. */
struct qk_instance {
    struct qk_instance *next;
    const struct qk_rt_service *service;
    void *instance;
};

/* A service that a worker has found before. */
struct qk_service_seen {
    const struct qk_service *asked;
    struct qk_rt_service *found;
};

#define QK_SERVICES_SEEN 64 /* remembered by a worker */

/* Services of a plugin that is about to be registered. */
struct qk_service_batch {
    struct qk_rt_service *made[QK_PLUGIN_SERVICES_MAX];
    uint32_t n;
};

int qk_services_init(struct qk_services *services);

/* Destroys the singletons, the newest first. Once no turn can run any more. */
void qk_services_finish(struct qk_services *services);

/* Checks the services of a plugin and makes them ready; then one of the two below. Under the lock of the types. */
int qk_services_prepare(struct qk_runtime *rt, const struct qk_plugin *plugin, struct qk_service_batch *ret_batch,
                        char *text, size_t size);
void qk_services_publish(struct qk_runtime *rt, const struct qk_service_batch *batch);
void qk_services_drop(const struct qk_service_batch *batch);

/* NULL: no plugin that is loaded has it. Any thread. */
struct qk_rt_service *qk_services_find(const struct qk_services *services, const struct qk_service *asked);

/* As in quark/service.h. On the fiber. */
int qk_services_get(struct qk_turn_state *t, const struct qk_service *asked, void **ret_instance);

/* Lets go of what a turn holds whose stack is about to be left. On the fiber. */
void qk_services_unlock(struct qk_turn_state *t);

/* Destroys what belongs to a turn, or to an activation. On the worker's own stack. */
void qk_services_end_turn(struct qk_worker *w, struct qk_turn_state *t);
void qk_services_end_scope(struct qk_worker *w, struct qk_act *act);

#endif
