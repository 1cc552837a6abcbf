/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime as a whole: configuration, making, stopping and freeing it. */
#include "runtime/supervise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIBERS_MAX 1000000

void qk_runtime_config_init(struct qk_runtime_config *config)
{
    *config = (struct qk_runtime_config){
        .default_timeout_ms = 10000,
        .mailbox_max = 1024,
        .idle_ms = 900000,
        .budget = 64,
        .fiber_stack_bytes = 65536,
        .fibers_max = FIBERS_MAX,
        .spin_ns = 20000,
    };
}

static bool is_valid(const struct qk_runtime_config *c)
{
    long page = sysconf(_SC_PAGESIZE);
    return c->now_ns != NULL && c->wall_ms != NULL && c->deliver != NULL && c->workers <= QK_WORKERS_MAX &&
           c->default_timeout_ms > 0 && c->mailbox_max > 0 && c->mailbox_max <= QK_MAILBOX_LIMIT && c->idle_ms > 0 &&
           c->budget > 0 && c->budget <= 255 && c->fiber_stack_bytes >= 16384 &&
           c->fiber_stack_bytes % (unsigned long)page == 0;
}

static void worker_destroy(struct qk_worker *w)
{
    if (w == NULL)
        return;
    qk_pool_finish(&w->pool);
    qk_arena_finish(&w->scratch);
    void *slab = w->act_slabs;
    while (slab != NULL) {
        void *next = *(void **)slab;
        free(slab);
        slab = next;
    }
    free(w->sights);
    free(w->cache);
    free(w->counts);
    free(w);
}

static struct qk_worker *worker_create(struct qk_runtime *rt, uint32_t index)
{
    struct qk_worker *w = aligned_alloc(QK_CACHE_LINE, (sizeof(*w) + QK_CACHE_LINE - 1) & ~(size_t)(QK_CACHE_LINE - 1));
    if (w == NULL)
        return NULL;
    memset(w, 0, sizeof(*w));
    w->rt = rt;
    w->index = index;
    w->cache = calloc(QK_CACHE_SLOTS, sizeof(*w->cache));
    w->counts = calloc(QK_TYPES_MAX, sizeof(*w->counts));
    w->sights = calloc(rt->n_workers, sizeof(*w->sights));
    if (w->cache == NULL || w->counts == NULL || w->sights == NULL) {
        worker_destroy(w);
        return NULL;
    }
    w->note = rt->config.note != NULL ? rt->config.note(rt->config.note_arg, index) : NULL;
    w->now_ns = rt->config.now_ns(rt->config.clock_arg);
    w->spans = rt->config.seed ^ (uint64_t)index << 56;
    qk_wheel_init(&w->wheel, w->now_ns / QK_TICK_NS);
    qk_arena_init(&w->scratch, QK_PAYLOAD_MAX + 4096);
    atomic_store(&w->seen, UINT64_MAX);
    return w;
}

static int make_parts(struct qk_runtime *rt)
{
    rt->watched = calloc(rt->n_workers, sizeof(*rt->watched));
    rt->workers = calloc(rt->n_workers, sizeof(struct qk_worker *));
    if (rt->watched == NULL || rt->workers == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < rt->n_workers; i++) {
        rt->workers[i] = worker_create(rt, i);
        if (rt->workers[i] == NULL)
            return -ENOMEM;
    }
    return qk_table_init(rt->shards);
}

static void free_parts(struct qk_runtime *rt)
{
    if (rt->workers != NULL)
        qk_deadlock_finish(rt);
    pthread_mutex_destroy(&rt->edges_lock);
    for (uint32_t i = 0; rt->workers != NULL && i < rt->n_workers; i++)
        worker_destroy(rt->workers[i]);
    qk_table_finish(rt->shards);
    qk_services_finish(&rt->services);
    qk_types_finish(&rt->types);
    free(rt->watched);
    free(rt->workers);
    free(rt);
}

int qk_runtime_create(const struct qk_runtime_config *config, struct qk_runtime **ret_runtime)
{
    if (!is_valid(config))
        return QK_EINVALID;
    struct qk_runtime *rt =
        aligned_alloc(QK_CACHE_LINE, (sizeof(*rt) + QK_CACHE_LINE - 1) & ~(size_t)(QK_CACHE_LINE - 1));
    if (rt == NULL)
        return -ENOMEM;
    memset(rt, 0, sizeof(*rt));
    rt->config = *config;
    if (config->fibers_max == 0)
        rt->config.fibers_max = FIBERS_MAX;
    rt->n_workers = config->workers != 0 ? config->workers : 1;
    atomic_store(&rt->idle_min_ms, config->idle_ms);
    atomic_store(&rt->request_ids, config->first_request_id != 0 ? config->first_request_id : 1);
    atomic_store(&rt->watch_seen, UINT64_MAX);
    pthread_mutex_init(&rt->edges_lock, NULL);
    int rc = qk_types_init(&rt->types);
    if (rc == 0)
        rc = qk_services_init(&rt->services);
    if (rc == 0)
        rc = make_parts(rt);
    if (rc < 0) {
        free_parts(rt);
        return rc;
    }
    *ret_runtime = rt;
    return 0;
}

int qk_runtime_destroy(struct qk_runtime *rt)
{
    if (rt == NULL)
        return 0;
    uint64_t left = (uint64_t)atomic_load(&rt->activations) + qk_runtime_busy(rt);
    for (uint32_t i = 0; i < rt->n_workers; i++)
        qk_worker_take_memos(rt->workers[i]);
    for (uint32_t i = 0; i < rt->n_workers; i++) {
        left += atomic_load(&rt->workers[i]->n_suspended);
        qk_act_reclaim(rt->workers[i]);
        for (struct qk_act *act = rt->workers[i]->retired; act != NULL; act = act->queue_next)
            left++;
        qk_fiber_pool_finish(rt->workers[i]);
        qk_ending_wakes_finish(rt->workers[i]);
    }
    struct qk_port_frame *frame = atomic_load(&rt->posted);
    while (frame != NULL) {
        struct qk_port_frame *next = frame->next;
        qk_port_frame_destroy(frame);
        frame = next;
        left++;
    }
    free_parts(rt);
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

void qk_runtime_set_memory(struct qk_runtime *rt, enum qk_memory_level level)
{
    atomic_store(&rt->memory, level);
}

void qk_runtime_drain(struct qk_runtime *rt)
{
    unsigned running = QK_RUNTIME_RUNNING;
    atomic_compare_exchange_strong(&rt->phase, &running, QK_RUNTIME_DRAINING);
}

void qk_runtime_stop(struct qk_runtime *rt, int64_t deadline_ns)
{
    atomic_store(&rt->stop_ns, deadline_ns);
    qk_runtime_drain(rt);
    unsigned draining = QK_RUNTIME_DRAINING;
    atomic_compare_exchange_strong(&rt->phase, &draining, QK_RUNTIME_STOPPING);
    for (uint32_t i = 0; i < rt->n_workers; i++)
        qk_worker_kick(NULL, rt->workers[i]);
}

void qk_runtime_log(struct qk_runtime *rt, enum qk_log_level level, const struct qk_act *act, uint64_t request_id,
                    const char *format, ...)
{
    if (rt->config.log == NULL)
        return;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    rt->config.log(rt->config.log_arg, level, act != NULL ? act->type->desc->name : NULL,
                   act != NULL ? qk_act_key(act) : NULL, request_id, text);
}
