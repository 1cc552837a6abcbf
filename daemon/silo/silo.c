/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ties the runtime, the gateway, the plugins and the workers together: starting, reloading, freeing. */
#include "silo/silo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/log.h"
#include "loop/clock.h"
#include "silo/answers.h"
#include "silo/internal.h"

#define NS_PER_MS 1000000

void qk_silo_config_init(struct qk_silo_config *config)
{
    struct qk_runtime_config rt;
    struct qk_gateway_config gw;
    qk_runtime_config_init(&rt);
    qk_gateway_config_init(&gw);
    *config = (struct qk_silo_config){
        .version = "",
        .socket_mode = gw.socket_mode,
        .socket_gid = gw.socket_gid,
        .socket_fd = gw.socket_fd,
        .default_timeout_ms = rt.default_timeout_ms,
        .mailbox_max = rt.mailbox_max,
        .idle_ms = rt.idle_ms,
        .budget = rt.budget,
        .fiber_stack_bytes = rt.fiber_stack_bytes,
        .spin_ns = rt.spin_ns,
        .long_turn_ms = 200,
        .drain_ms = 10000,
        .clients_max = gw.clients_max,
        .offload_threads = 16,
        .offload_queue = 1024,
        .memory_store_bytes = 64u << 20,
        .host_program = "quark-host",
        .stuck_ms = 10000,
        .grants = {.memory_max = 4ull << 30, .files_max = 1024},
    };
}

/* ---- what the parts call */

/* Sockets and the rings of plugins' processes. The bells of those ring only while nobody looks. */
static int on_poll(void *arg, int64_t timeout_ns)
{
    struct qk_silo *silo = arg;
    int n = qk_hosts_poll(silo->hosts);
    if (n > 0 || timeout_ns == 0)
        return n + qk_loop_poll(silo->loop, 0);
    n = qk_loop_poll(silo->loop, qk_hosts_doze(silo->hosts) ? timeout_ns : 0);
    qk_hosts_rouse(silo->hosts);
    return n + qk_hosts_poll(silo->hosts);
}

static void on_wake(void *arg)
{
    qk_loop_wake(((struct qk_silo *)arg)->loop);
}

static void on_runtime_log(void *arg, enum qk_log_level level, const char *type, const char *key, uint64_t request_id,
                           const char *text)
{
    qk_lines_put(((struct qk_silo *)arg)->lines, level, NULL, type, key, request_id, text);
}

static void on_hosts_log(void *arg, enum qk_log_level level, const char *code, const char *type, const char *key,
                         uint64_t request_id, const char *text)
{
    qk_lines_put(((struct qk_silo *)arg)->lines, level, code, type, key, request_id, text);
}

static bool expects(void *arg)
{
    return qk_hosts_expect(((struct qk_silo *)arg)->hosts);
}

static bool is_elsewhere(void *arg, uint64_t type_id)
{
    return qk_hosts_find_type(((struct qk_silo *)arg)->hosts, type_id) != NULL;
}

static void on_gateway_log(void *arg, enum qk_log_level level, const char *code, const char *text)
{
    qk_lines_put(((struct qk_silo *)arg)->lines, level, code, NULL, NULL, 0, text);
}

static void on_ping(void *arg)
{
    atomic_store(&((struct qk_silo *)arg)->pinged, false);
}

static void on_plugins_changed(void *arg, unsigned events)
{
    (void)events;
    struct qk_silo *silo = arg;
    struct qk_plugins_changes changes;
    if (qk_plugins_take_events(silo->plugins))
        qk_plugins_scan(silo->plugins, &changes); /* each outcome is logged there */
}

/* ---- starting */

struct reason {
    const char **code;
    char *text;
    size_t size;
};

static int fail(struct reason *reason, int rc, const char *what)
{
    *reason->code = "QK0607";
    snprintf(reason->text, reason->size, "%s: %s", what,
             rc == QK_EINVALID ? "a setting is out of bounds" : strerror(-rc));
    return rc;
}

/* A list that ends with NULL, of a list that may be NULL. */
static char **copy_list(const char *const *list)
{
    size_t n = 0;
    while (list != NULL && list[n] != NULL)
        n++;
    char **copy = calloc(n + 1, sizeof(*copy));
    for (size_t i = 0; copy != NULL && i < n; i++)
        copy[i] = strdup(list[i]); /* NULL ends it early: the plugin is then as the others are */
    return copy;
}

static int copy_config(struct qk_silo *silo, const struct qk_silo_config *config)
{
    size_t n = 0;
    while (config->config_files != NULL && config->config_files[n] != NULL)
        n++;
    silo->name = strdup(config->name);
    silo->version = strdup(config->version);
    silo->socket_path = strdup(config->socket_path != NULL ? config->socket_path : "");
    silo->config_files = calloc(n + 1, sizeof(char *));
    if (silo->name == NULL || silo->version == NULL || silo->socket_path == NULL || silo->config_files == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        silo->config_files[i] = strdup(config->config_files[i]);
        if (silo->config_files[i] == NULL)
            return -ENOMEM;
    }
    silo->isolate = config->isolate;
    if ((silo->isolated = copy_list(config->isolated)) == NULL ||
        (silo->not_isolated = copy_list(config->not_isolated)) == NULL)
        return -ENOMEM;
    silo->long_turn_ms = config->long_turn_ms;
    silo->drain_ms = config->drain_ms;
    silo->pin_workers = config->pin_workers;
    silo->n_workers = config->workers != 0 ? config->workers : qk_silo_count_cpus();
    silo->workers = calloc(silo->n_workers, sizeof(*silo->workers));
    return silo->workers != NULL ? 0 : -ENOMEM;
}

/* What runs plugins in processes of their own does so as the silo itself would. */
static int make_hosts(struct qk_silo *silo, const struct qk_silo_config *config, const struct qk_runtime_config *rt)
{
    struct qk_hosts_config hosts;
    qk_hosts_config_init(&hosts);
    hosts.control = silo->control;
    hosts.loop = silo->loop;
    hosts.program = config->host_program;
    hosts.runtime = *rt;
    hosts.long_turn_ms = config->long_turn_ms;
    hosts.offload_threads = config->offload_threads;
    hosts.offload_queue = config->offload_queue;
    hosts.stuck_ms = config->stuck_ms;
    hosts.best_effort = config->best_effort;
    hosts.grants = config->grants;
    hosts.route = qk_silo_route;
    hosts.log = on_hosts_log;
    hosts.arg = silo;
    return qk_hosts_create(&hosts, &silo->hosts);
}

static int make_runtime(struct qk_silo *silo, const struct qk_silo_config *config)
{
    struct qk_runtime_config rt;
    qk_runtime_config_init(&rt);
    rt.workers = silo->n_workers;
    rt.now_ns = qk_clock_now_ns;
    rt.wall_ms = qk_clock_wall_ms;
    rt.poller = (struct qk_poller){.poll = on_poll, .wake = on_wake, .arg = silo};
    rt.deliver = qk_silo_on_deliver;
    rt.deliver_arg = silo;
    rt.offload = qk_crew_take;
    rt.offload_arg = silo->crew;
    rt.log = on_runtime_log;
    rt.log_arg = silo;
    rt.expects = expects;
    rt.expects_arg = silo;
    rt.elsewhere = is_elsewhere;
    rt.elsewhere_arg = silo;
    rt.default_timeout_ms = config->default_timeout_ms;
    rt.mailbox_max = config->mailbox_max;
    rt.idle_ms = config->idle_ms;
    rt.budget = config->budget;
    rt.fiber_stack_bytes = config->fiber_stack_bytes;
    rt.activations_max = config->activations_max;
    rt.spin_ns = config->spin_ns;
    if (getrandom(&rt.seed, sizeof(rt.seed), 0) != (ssize_t)sizeof(rt.seed))
        rt.seed = (uint64_t)qk_clock_now_ns(NULL);
    int rc = make_hosts(silo, config, &rt);
    if (rc == 0)
        rc = qk_runtime_create(&rt, &silo->rt);
    if (rc == 0) {
        qk_crew_set_runtime(silo->crew, silo->rt);
        qk_stores_set_answer(silo->stores, qk_silo_route, silo);
    }
    return rc;
}

static int make_gateway(struct qk_silo *silo, const struct qk_silo_config *config, struct reason *reason)
{
    struct qk_gateway_config gw;
    qk_gateway_config_init(&gw);
    gw.silo = config->name;
    gw.socket_path = config->socket_path;
    gw.socket_mode = config->socket_mode;
    gw.socket_gid = config->socket_gid;
    gw.socket_fd = config->socket_fd;
    gw.access =
        (struct qk_gateway_access){config->allow_uids, config->n_allow_uids, config->allow_gids, config->n_allow_gids};
    gw.clients_max = config->clients_max;
    gw.submit = qk_silo_route;
    gw.admin = qk_silo_on_admin;
    gw.log = on_gateway_log;
    gw.arg = silo;
    return qk_gateway_create(&gw, silo->loop, &silo->gw, reason->code, reason->text, reason->size);
}

/* Whoever runs a plugin, its types may be nobody else's. */
static int on_admit(void *arg, const struct qk_plugin *plugin, const char **ret_code, char *text, size_t text_size)
{
    struct qk_silo *silo = arg;
    for (uint64_t i = 0; i < plugin->n_types; i++) {
        if (!qk_silo_has_type(silo, plugin->types[i]->name))
            continue;
        *ret_code = QK_PLUGIN_TYPE_TAKEN;
        snprintf(text, text_size, "actor type %s is already there, from another plugin", plugin->types[i]->name);
        return QK_EEXISTS;
    }
    return qk_stores_admit(silo->stores, plugin, ret_code, text, text_size);
}

static bool is_in(char *const *list, const char *name)
{
    while (*list != NULL && strcmp(*list, name) != 0)
        list++;
    return *list != NULL;
}

static bool isolates(void *arg, const char *name)
{
    const struct qk_silo *silo = arg;
    return silo->isolate ? !is_in(silo->not_isolated, name) : is_in(silo->isolated, name);
}

static int host_plugin(void *arg, int copy, size_t size, const char *file, const struct qk_note_info *note,
                       void **ret_host, const struct qk_plugin **ret_plugin, struct qk_refusal *refusal)
{
    struct qk_hosted *hosted = NULL;
    int rc = qk_hosts_start(((struct qk_silo *)arg)->hosts, copy, size, file, note, &hosted, ret_plugin, refusal);
    *ret_host = hosted;
    return rc;
}

static void open_host(void *arg, void *host)
{
    (void)arg;
    qk_hosts_open(host);
}

static void drop_host(void *arg, void *host)
{
    (void)arg;
    qk_hosts_drop(host);
}

static void on_withdraw(void *arg)
{
    qk_stores_withdraw(((struct qk_silo *)arg)->stores);
}

static int make_plugins(struct qk_silo *silo, const struct qk_silo_config *config)
{
    static const char *const none[] = {NULL};
    struct qk_plugins_config plugins = {.runtime = silo->rt,
                                        .dirs = config->plugin_dirs != NULL ? config->plugin_dirs : none,
                                        .wall_ms = qk_clock_wall_ms,
                                        .admit = on_admit,
                                        .withdraw = on_withdraw,
                                        .admit_arg = silo,
                                        .isolates = isolates,
                                        .host = host_plugin,
                                        .open = open_host,
                                        .drop = drop_host,
                                        .host_arg = silo};
    struct qk_plugins_changes changes;
    int rc = qk_plugins_create(&plugins, &silo->plugins);
    if (rc < 0)
        return rc;
    qk_plugins_scan(silo->plugins, &changes); /* what can't be read is logged there, and is no reason not to start */
    int fd = qk_plugins_watch_fd(silo->plugins);
    return fd < 0 ? 0
                  : qk_watch_create(silo->control, fd, QK_WATCH_READ, on_plugins_changed, silo, &silo->plugins_watch);
}

static int make_parts(struct qk_silo *silo, const struct qk_silo_config *config, struct reason *reason)
{
    int rc = copy_config(silo, config);
    if (rc < 0)
        return fail(reason, rc, "the silo can't be made");
    if ((rc = qk_lines_create(silo->control, &silo->lines)) < 0 || (rc = qk_loop_create(&silo->loop)) < 0 ||
        (rc = qk_timer_create(silo->control, qk_silo_watch, silo, &silo->watch_timer)) < 0 ||
        (rc = qk_timer_create(silo->control, qk_silo_on_stop_timer, silo, &silo->stop_timer)) < 0)
        return fail(reason, rc, "the silo's loops can't be made");
    const struct qk_stores_config stores = {config->sqlite_path, config->memory_store_bytes};
    if ((rc = qk_stores_create(&stores, &silo->stores)) < 0 ||
        (rc = qk_crew_create(config->offload_threads, config->offload_queue, &silo->crew)) < 0 ||
        (rc = make_runtime(silo, config)) < 0)
        return fail(reason, rc, "the runtime can't be made");
    rc = qk_memory_init(&silo->memory, silo->control, silo->rt, config->memory_measure, config->memory_arg);
    if (rc < 0)
        return fail(reason, rc, "the silo's timers can't be made");
    /* The socket first: that it is taken should be known before any plugin's code runs. */
    if ((rc = make_gateway(silo, config, reason)) < 0)
        return rc;
    if ((rc = make_plugins(silo, config)) < 0)
        return fail(reason, rc, "the plugin directories can't be watched");
    return 0;
}

static void free_list(char **list)
{
    for (char **at = list; at != NULL && *at != NULL; at++)
        free(*at);
    free(list);
}

/* Frees what there is; the workers have ended. How much was left. */
static int free_parts(struct qk_silo *silo)
{
    int left = 0;
    if (silo->gw != NULL)
        qk_silo_refuse_admin(silo);
    qk_watch_destroy(silo->plugins_watch);
    qk_timer_destroy(silo->watch_timer);
    qk_timer_destroy(silo->stop_timer);
    qk_memory_finish(&silo->memory);
    qk_loop_unpost(silo->control, &silo->admin_task);
    qk_crew_destroy(silo->crew);
    qk_stores_close(silo->stores); /* the last answers go to the runtime */
    left += qk_runtime_destroy(silo->rt);
    left += qk_gateway_destroy(silo->gw);
    qk_plugins_destroy(silo->plugins);
    qk_hosts_destroy(silo->hosts);
    qk_stores_destroy(silo->stores);
    qk_loop_destroy(silo->loop);
    qk_lines_destroy(silo->lines);
    pthread_mutex_destroy(&silo->admin_lock);
    for (char **file = silo->config_files; file != NULL && *file != NULL; file++)
        free(*file);
    free(silo->config_files);
    free_list(silo->isolated);
    free_list(silo->not_isolated);
    free(silo->workers);
    free(silo->socket_path);
    free(silo->version);
    free(silo->name);
    free(silo);
    return left;
}

int qk_silo_start(const struct qk_silo_config *config, struct qk_loop *control, struct qk_silo **ret_silo,
                  const char **ret_code, char *ret_text, size_t text_size)
{
    struct reason reason = {ret_code, ret_text, text_size};
    struct qk_silo *silo = calloc(1, sizeof(*silo));
    if (silo == NULL)
        return fail(&reason, -ENOMEM, "the silo can't be made");
    silo->control = control;
    silo->started_ns = qk_clock_now_ns(NULL);
    silo->ping = (struct qk_task){.fn = on_ping, .arg = silo};
    silo->admin_task = (struct qk_task){.fn = qk_silo_on_admin_task, .arg = silo};
    silo->admin_last = &silo->admin_first;
    pthread_mutex_init(&silo->admin_lock, NULL);
    int rc = make_parts(silo, config, &reason);
    if (rc == 0 && (rc = qk_silo_start_workers(silo)) < 0) {
        fail(&reason, rc, "the workers can't be started");
        if (silo->n_started != 0) {
            qk_runtime_stop(silo->rt, qk_clock_now_ns(NULL));
            qk_silo_join_workers(silo);
        }
    }
    if (rc < 0) {
        free_parts(silo);
        return rc;
    }
    atomic_store(&silo->state, QK_SILO_RUNNING);
    qk_memory_set_budget(&silo->memory, config->memory_budget);
    qk_silo_watch(silo);
    *ret_silo = silo;
    return 0;
}

int qk_silo_destroy(struct qk_silo *silo)
{
    if (silo == NULL)
        return 0;
    return silo->stuck ? QK_ESTATE : free_parts(silo);
}

/* ---- while it runs */

int qk_silo_add_plugin(struct qk_silo *silo, const struct qk_plugin *plugin, char *ret_text, size_t text_size)
{
    const char *code;
    int rc = qk_stores_admit(silo->stores, plugin, &code, ret_text, text_size);
    if (rc == 0 && (rc = qk_runtime_add_plugin(silo->rt, plugin, ret_text, text_size)) < 0)
        qk_stores_withdraw(silo->stores);
    return rc;
}

void qk_silo_apply(struct qk_silo *silo, const struct qk_silo_config *config, struct qk_silo_reload *ret_reload)
{
    struct qk_gateway_access access = {config->allow_uids, config->n_allow_uids, config->allow_gids,
                                       config->n_allow_gids};
    struct qk_plugins_changes changes = {0};
    silo->long_turn_ms = config->long_turn_ms;
    silo->drain_ms = config->drain_ms;
    qk_memory_set_budget(&silo->memory, config->memory_budget);
    if (qk_gateway_set_access(silo->gw, &access, config->clients_max) < 0)
        qk_log_write(QK_LOG_ERROR, NULL, NULL, "who may call was not changed: out of memory");
    qk_plugins_scan(silo->plugins, &changes);
    *ret_reload = (struct qk_silo_reload){.plugins_loaded = changes.loaded, .plugins_refused = changes.refused};
}

void qk_silo_visit_plugins(struct qk_silo *silo, void (*visit)(void *arg, const struct qk_plugin_info *info), void *arg)
{
    qk_plugins_visit(silo->plugins, visit, arg);
}

static void count_plugin(void *arg, const struct qk_plugin_info *info)
{
    struct qk_silo_status *status = arg;
    if (info->state == QK_PLUGIN_LOADED)
        status->plugins++;
    else
        status->plugins_refused++;
}

void qk_silo_get_status(struct qk_silo *silo, struct qk_silo_status *ret_status)
{
    struct qk_runtime_stats rt;
    struct qk_gateway_stats gw;
    qk_runtime_stats(silo->rt, &rt);
    qk_hosts_add_stats(silo->hosts, &rt);
    qk_gateway_get_stats(silo->gw, &gw);
    *ret_status = (struct qk_silo_status){
        .activations = rt.activations, .turns = rt.turns, .in_flight = gw.in_flight, .clients = gw.clients};
    qk_plugins_visit(silo->plugins, count_plugin, ret_status);
}
