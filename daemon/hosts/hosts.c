/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The set of isolated plugins, and which type is whose. What is listed stays until the end: workers look without a
 * lock. */
#include "hosts/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"

void qk_hosts_config_init(struct qk_hosts_config *config)
{
    *config = (struct qk_hosts_config){
        .long_turn_ms = 200,
        .offload_threads = 16,
        .offload_queue = 1024,
        .confined = true,
        .start_ms = 5000,
        .stuck_ms = 10000,
    };
    qk_runtime_config_init(&config->runtime);
    config->runtime.workers = 1;
}

int qk_hosts_create(const struct qk_hosts_config *config, struct qk_hosts **ret_hosts)
{
    struct qk_hosts *hosts = calloc(1, sizeof(*hosts));
    if (hosts == NULL)
        return -ENOMEM;
    hosts->config = *config;
    hosts->program = strdup(config->program != NULL ? config->program : "");
    hosts->config.grants = (struct qk_grants){0};
    if (hosts->program == NULL || qk_grants_copy(&config->grants, &hosts->config.grants) < 0 ||
        qk_timer_create(config->control, qk_process_look, hosts, &hosts->look) < 0) {
        qk_hosts_destroy(hosts);
        return -ENOMEM;
    }
    *ret_hosts = hosts;
    return 0;
}

static void destroy_hosted(struct qk_hosted *hosted)
{
    qk_process_discard(hosted);
    qk_timer_destroy(hosted->pause);
    if (hosted->shadow.plugin != NULL)
        qk_arena_finish(&hosted->shadow.arena);
    if (hosted->copy >= 0)
        close(hosted->copy);
    pthread_mutex_destroy(&hosted->send_lock);
    pthread_mutex_destroy(&hosted->read_lock);
    pthread_mutex_destroy(&hosted->blame.lock);
    free(hosted->name);
    free(hosted->file);
    free(hosted);
}

void qk_hosts_destroy(struct qk_hosts *hosts)
{
    if (hosts == NULL)
        return;
    while (qk_loop_poll(hosts->config.loop, 0) > 0) /* memory of processes that have ended */
        ;
    for (unsigned i = 0; i < QK_HOSTS_BUCKETS; i++) {
        struct qk_hosted_type *t = atomic_load(&hosts->types[i]);
        while (t != NULL) {
            struct qk_hosted_type *next = t->next;
            free(t);
            t = next;
        }
    }
    unsigned count = atomic_load(&hosts->count);
    for (unsigned i = 0; i < count; i++)
        destroy_hosted(atomic_load(&hosts->list[i]));
    if (hosts->look != NULL)
        qk_timer_destroy(hosts->look);
    free(hosts->program);
    qk_grants_finish(&hosts->config.grants);
    free(hosts);
}

/* ---- a plugin */

static struct qk_hosted *make_hosted(struct qk_hosts *hosts, int copy, size_t size, const char *file, const char *name)
{
    struct qk_hosted *hosted = calloc(1, sizeof(*hosted));
    if (hosted == NULL)
        return NULL;
    hosted->hosts = hosts;
    hosted->index = atomic_load(&hosts->count);
    hosted->pidfd = hosted->copy = -1;
    hosted->size = size;
    hosted->name = strdup(name);
    hosted->file = strdup(file);
    pthread_mutex_init(&hosted->send_lock, NULL);
    pthread_mutex_init(&hosted->read_lock, NULL);
    pthread_mutex_init(&hosted->blame.lock, NULL);
    if (hosted->name == NULL || hosted->file == NULL ||
        qk_timer_create(hosts->config.control, qk_process_on_pause, hosted, &hosted->pause) < 0) {
        destroy_hosted(hosted);
        return NULL;
    }
    hosted->copy = copy;
    return hosted;
}

int qk_hosts_start(struct qk_hosts *hosts, int copy, size_t size, const char *file, const struct qk_note_info *note,
                   struct qk_hosted **ret_hosted, const struct qk_plugin **ret_plugin, struct qk_refusal *refusal)
{
    struct qk_port_frame *manifest = NULL;
    bool full = atomic_load(&hosts->count) == QK_HOSTS_MAX;
    struct qk_hosted *hosted = full ? NULL : make_hosted(hosts, copy, size, file, note->name);
    if (hosted == NULL) {
        close(copy);
        return full ? qk_refuse(refusal, QK_PLUGIN_TOO_MANY, "no more than %d plugins run in processes of their own",
                                QK_HOSTS_MAX)
                    : qk_refuse(refusal, QK_PLUGIN_RESOURCES, "no memory for the plugin's process");
    }
    int rc = qk_process_start(hosted);
    if (rc < 0)
        rc = qk_refuse(refusal, QK_PLUGIN_RESOURCES, "its process can't be started (%s): %s", hosts->program,
                       strerror(-rc));
    else
        rc = qk_process_await(hosted, &manifest, refusal);
    if (rc == 0)
        rc = qk_shadow_make(manifest, note->name, &hosted->shadow, refusal);
    qk_port_frame_destroy(manifest);
    if (rc < 0) {
        destroy_hosted(hosted);
        return rc;
    }
    *ret_hosted = hosted;
    *ret_plugin = hosted->shadow.plugin;
    return 0;
}

void qk_hosts_drop(struct qk_hosted *hosted)
{
    if (!hosted->open)
        destroy_hosted(hosted);
}

void qk_hosts_open(struct qk_hosted *hosted)
{
    struct qk_hosts *hosts = hosted->hosts;
    const struct qk_plugin *plugin = hosted->shadow.plugin;
    hosted->open = true;
    atomic_store_explicit(&hosts->list[hosted->index], hosted, memory_order_release);
    atomic_store_explicit(&hosts->count, hosted->index + 1, memory_order_release);
    for (uint64_t i = 0; i < plugin->n_types; i++) {
        struct qk_hosted_type *t = calloc(1, sizeof(*t));
        if (t == NULL) {
            qk_log_write(QK_LOG_ERROR, NULL, NULL, "no memory for the type %s", plugin->types[i]->name);
            continue;
        }
        _Atomic(struct qk_hosted_type *) *bucket = &hosts->types[plugin->types[i]->id % QK_HOSTS_BUCKETS];
        *t = (struct qk_hosted_type){.next = atomic_load(bucket), .type = plugin->types[i], .hosted = hosted};
        atomic_store_explicit(bucket, t, memory_order_release);
    }
    if (qk_process_watch(hosted) < 0)
        qk_process_kill(hosted, "no memory to watch it");
    qk_process_look(hosts);
}

unsigned qk_hosts_count(const struct qk_hosts *hosts)
{
    return atomic_load_explicit(&((struct qk_hosts *)hosts)->count, memory_order_acquire);
}

/* ---- the end */

void qk_hosts_drain(struct qk_hosts *hosts)
{
    const struct qk_port_frame frame = {.kind = QK_PORT_DRAIN};
    hosts->draining = true;
    qk_hosts_tell_all(hosts, &frame);
}

uint64_t qk_hosts_pending(struct qk_hosts *hosts)
{
    uint64_t n = 0;
    unsigned count = atomic_load(&hosts->count);
    for (unsigned i = 0; i < count; i++) {
        struct qk_hosted *hosted = atomic_load(&hosts->list[i]);
        pthread_mutex_lock(&hosted->send_lock);
        n += hosted->run != NULL ? qk_channel_pending(hosted->run->channel) : 0;
        pthread_mutex_unlock(&hosted->send_lock);
    }
    return n;
}

void qk_hosts_stop(struct qk_hosts *hosts, int64_t deadline_ns)
{
    const struct qk_port_frame frame = {.kind = QK_PORT_STOP, .deadline_ns = deadline_ns};
    bool again = hosts->stop_ns != 0;
    hosts->stop_ns = deadline_ns > 0 ? deadline_ns : 1;
    unsigned count = atomic_load(&hosts->count);
    for (unsigned i = 0; i < count && !again; i++) {
        struct qk_hosted *hosted = atomic_load(&hosts->list[i]);
        qk_timer_disarm(hosted->pause);
        if (hosted->pidfd < 0)
            atomic_store(&hosted->state, QK_HOSTED_ENDED);
    }
    qk_hosts_tell_all(hosts, &frame);
}

bool qk_hosts_have_ended(const struct qk_hosts *hosts)
{
    unsigned count = atomic_load(&((struct qk_hosts *)hosts)->count);
    for (unsigned i = 0; i < count; i++) {
        struct qk_hosted *hosted = atomic_load(&((struct qk_hosts *)hosts)->list[i]);
        if (atomic_load(&hosted->state) != QK_HOSTED_ENDED)
            return false;
    }
    return true;
}

/* ---- what tools show */

static void visit_board(struct qk_hosted *hosted, void (*visit)(void *arg, const struct qk_type_stats *stats),
                        void *arg)
{
    const struct qk_plugin *plugin = hosted->shadow.plugin;
    const struct qk_runtime_config *config = &hosted->hosts->config.runtime;
    pthread_mutex_lock(&hosted->read_lock);
    for (uint64_t i = 0; i < plugin->n_types; i++) {
        const struct qk_type *type = plugin->types[i];
        struct qk_type_stats stats = {.type = type,
                                      .plugin = plugin,
                                      .mailbox_max = type->mailbox_max != 0 ? type->mailbox_max : config->mailbox_max,
                                      .idle_ms = type->idle_ms != 0 ? type->idle_ms : config->idle_ms};
        if (hosted->run != NULL) {
            struct qk_board_type *b = &hosted->run->pair.board->types[i];
            stats.activations = atomic_load_explicit(&b->activations, memory_order_relaxed);
            stats.turns = atomic_load_explicit(&b->turns, memory_order_relaxed);
            stats.failures = atomic_load_explicit(&b->failures, memory_order_relaxed);
            stats.turn_ns = atomic_load_explicit(&b->turn_ns, memory_order_relaxed);
            stats.turn_samples = atomic_load_explicit(&b->turn_samples, memory_order_relaxed);
            stats.mailbox_wait_ns = atomic_load_explicit(&b->mailbox_wait_ns, memory_order_relaxed);
        }
        visit(arg, &stats);
    }
    pthread_mutex_unlock(&hosted->read_lock);
}

void qk_hosts_visit_types(struct qk_hosts *hosts, void (*visit)(void *arg, const struct qk_type_stats *stats),
                          void *arg)
{
    unsigned count = atomic_load(&hosts->count);
    for (unsigned i = 0; i < count; i++)
        visit_board(atomic_load(&hosts->list[i]), visit, arg);
}

static void add_type(void *arg, const struct qk_type_stats *type)
{
    struct qk_runtime_stats *stats = arg;
    stats->activations += type->activations;
    stats->turns += type->turns;
    stats->failures += type->failures;
}

void qk_hosts_add_stats(struct qk_hosts *hosts, struct qk_runtime_stats *stats)
{
    qk_hosts_visit_types(hosts, add_type, stats);
}

void qk_hosted_get_info(const struct qk_hosted *hosted, struct qk_hosted_info *ret_info)
{
    static const char *const names[] = {[QK_HOSTED_STARTING] = "starting",
                                        [QK_HOSTED_RUNNING] = "running",
                                        [QK_HOSTED_WAITING] = "waiting",
                                        [QK_HOSTED_ENDED] = "ended"};
    *ret_info = (struct qk_hosted_info){
        .pid = hosted->pid,
        .restarts = hosted->restarts,
        .quarantined = atomic_load(&((struct qk_hosted *)hosted)->blame.quarantined),
        .state = names[atomic_load(&((struct qk_hosted *)hosted)->state)],
    };
}
