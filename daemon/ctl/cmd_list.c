/* SPDX-License-Identifier: GPL-3.0-or-later */
/* actors, plugins, services, status: lists and figures of the silo. */
#include "ctl/ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_MAX    1000000
#define COUNT(array) ((unsigned)(sizeof(array) / sizeof((array)[0])))

static const struct qk_column actor_columns[] = {
    {"TYPE", false, QK_FIT_NONE},   {"KEY", false, QK_FIT_CUT},   {"STATE", false, QK_FIT_NONE},
    {"MAILBOX", true, QK_FIT_NONE}, {"TURNS", true, QK_FIT_NONE}, {"IDLE", true, QK_FIT_NONE},
};
const char *const qk_columns_actors[] = {"TYPE", "KEY", "STATE", "MAILBOX", "TURNS", "IDLE", NULL};

static const struct qk_column plugin_columns[] = {
    {"PLUGIN", false, QK_FIT_NONE}, {"VERSION", false, QK_FIT_NONE}, {"STATE", false, QK_FIT_NONE},
    {"TYPES", false, QK_FIT_NONE},  {"ABI", false, QK_FIT_NONE},     {"ISOLATION", false, QK_FIT_NONE},
    {"PID", true, QK_FIT_NONE},     {"RESTARTS", true, QK_FIT_NONE}, {"CODE", false, QK_FIT_NONE},
    {"FILE", false, QK_FIT_NONE},   {"REASON", false, QK_FIT_WRAP},
};
const char *const qk_columns_plugins[] = {"PLUGIN", "VERSION",  "STATE", "TYPES", "ABI",    "ISOLATION",
                                          "PID",    "RESTARTS", "CODE",  "FILE",  "REASON", NULL};

static const struct qk_column service_columns[] = {{"SERVICE", false, QK_FIT_NONE},
                                                   {"PLUGIN", false, QK_FIT_NONE},
                                                   {"LIFETIME", false, QK_FIT_NONE},
                                                   {"NEEDS", false, QK_FIT_WRAP}};
const char *const qk_columns_services[] = {"SERVICE", "PLUGIN", "LIFETIME", "NEEDS", NULL};

static const struct qk_column status_columns[] = {{"WHAT", false, QK_FIT_NONE}, {"VALUE", false, QK_FIT_NONE}};
const char *const qk_columns_status[] = {"WHAT", "VALUE", NULL};

int qk_number_option(struct qk_ctl *ctl, enum qk_option_id id, uint64_t min, uint64_t max, uint64_t *ret_number)
{
    const char *text = ctl->args.options[id];
    char *end, help[80];
    if (text == NULL)
        return QK_EXIT_OK;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    snprintf(help, sizeof(help), "write a number from %" PRIu64 " to %" PRIu64, min, max);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < min || value > max)
        return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0403", NULL, help, "`--%s` does not take `%.40s`",
                           qk_options[id].name, text);
    *ret_number = value;
    return QK_EXIT_OK;
}

int qk_cmd_actors(struct qk_ctl *ctl)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__ActorsRequest actors = QUARK__ADMIN__ACTORS_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    if (ctl->args.argc > 0) {
        const char *given = ctl->args.argv[0], *slash = strchr(given, '/');
        size_t size = slash != NULL ? (size_t)(slash - given) : strlen(given);
        actors.type = qk_arena_alloc(&ctl->arena, size + 1);
        if (actors.type == NULL)
            return qk_ctl_fail(ctl, QK_EXIT_FAILED, NULL, NULL, NULL, "out of memory");
        memcpy(actors.type, given, size);
        actors.type[size] = '\0';
        actors.key_prefix = slash != NULL ? (char *)(uintptr_t)(slash + 1) : actors.key_prefix;
    }
    uint64_t limit = 0;
    int rc = qk_number_option(ctl, QK_OPT_LIMIT, 1, LIMIT_MAX, &limit);
    if (rc != QK_EXIT_OK)
        return rc;
    actors.limit = (uint32_t)limit;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_ACTORS;
    request.actors = &actors;
    rc = qk_session_ask(ctl, &request, &reply);
    if (rc == QK_ENOTFOUND && *actors.type != '\0')
        return qk_type_missing(ctl, actors.type);
    if (rc < 0)
        return qk_session_fail(ctl, rc);
    const Quark__Admin__ActorsReply *list = reply->actors;
    if (qk_ctl_has(ctl, QK_OPT_JSON))
        return qk_print_json(ctl, &list->base, NULL, QK_JSON_FIT);
    struct qk_table table;
    qk_table_init(&table, actor_columns, COUNT(actor_columns));
    for (size_t i = 0; i < list->n_actors; i++) {
        const Quark__Admin__Actor *a = list->actors[i];
        char idle[32];
        qk_table_row(&table);
        qk_table_set(&table, 0, "%s", a->type);
        qk_table_set(&table, 1, "%s", a->key);
        qk_table_set(&table, 2, "%s", a->state);
        qk_table_set(&table, 3, "%u", a->mailbox);
        qk_table_set(&table, 4, "%" PRIu64, a->turns);
        qk_table_set(&table, 5, "%s", qk_print_ms(a->idle_ms, idle));
    }
    rc = qk_table_print(ctl, &table);
    qk_table_finish(&table);
    /* A reply has a bound of its own. */
    if (rc == QK_EXIT_OK && list->total > list->n_actors)
        fprintf(ctl->err, "%zu of %" PRIu64 " shown; %s\n", list->n_actors, list->total,
                list->n_actors < actors.limit ? "one reply holds no more: name a TYPE/PREFIX" : "--limit N shows more");
    return rc;
}

static int ask_for_plugins(struct qk_ctl *ctl, const Quark__Admin__AdminReply **ret_reply)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__PluginsRequest plugins = QUARK__ADMIN__PLUGINS_REQUEST__INIT;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_PLUGINS;
    request.plugins = &plugins;
    return qk_session_admin(ctl, &request, ret_reply);
}

static void put_service(struct qk_table *table, const Quark__Admin__Service *s)
{
    char needs[512] = "";
    size_t n = 0;
    for (size_t k = 0; k < s->n_needs && n < sizeof(needs) - 1; k++)
        n += (size_t)snprintf(needs + n, sizeof(needs) - n, "%s%s", k > 0 ? ", " : "", s->needs[k]);
    qk_table_row(table);
    qk_table_set(table, 0, "%s", s->name);
    qk_table_set(table, 1, "%s", s->plugin);
    qk_table_set(table, 2, "%s", s->lifetime);
    qk_table_set(table, 3, "%s", *needs != '\0' ? needs : "-");
}

int qk_cmd_services(struct qk_ctl *ctl)
{
    Quark__Admin__ServicesReply all = QUARK__ADMIN__SERVICES_REPLY__INIT;
    const Quark__Admin__AdminReply *reply;
    int rc = ask_for_plugins(ctl, &reply);
    if (rc != QK_EXIT_OK)
        return rc;
    for (size_t i = 0; i < reply->plugins->n_plugins; i++)
        all.n_services += reply->plugins->plugins[i]->n_services;
    all.services = qk_arena_alloc(&ctl->arena, (all.n_services + 1) * sizeof(Quark__Admin__Service *));
    if (all.services == NULL)
        return qk_ctl_fail(ctl, QK_EXIT_FAILED, NULL, NULL, NULL, "out of memory");
    struct qk_table table;
    qk_table_init(&table, service_columns, COUNT(service_columns));
    size_t n = 0;
    for (size_t i = 0; i < reply->plugins->n_plugins; i++) {
        const Quark__Admin__Plugin *p = reply->plugins->plugins[i];
        for (size_t k = 0; k < p->n_services; k++) {
            all.services[n++] = p->services[k];
            put_service(&table, p->services[k]);
        }
    }
    rc = qk_ctl_has(ctl, QK_OPT_JSON) ? qk_print_json(ctl, &all.base, NULL, QK_JSON_FIT) : qk_table_print(ctl, &table);
    qk_table_finish(&table);
    return rc;
}

/* Where it runs; what its process does where that is not simply to run. */
static void put_process(struct qk_table *table, const Quark__Admin__Plugin *p)
{
    bool apart = strcmp(p->isolation, "process") == 0;
    qk_table_set(table, 5, "%s", *p->isolation != '\0' ? p->isolation : "-");
    if (apart && p->pid != 0)
        qk_table_set(table, 6, "%" PRIu32, p->pid);
    else
        qk_table_set(table, 6, "%s", apart ? p->process : "-");
    if (apart)
        qk_table_set(table, 7, "%" PRIu32, p->restarts);
    else
        qk_table_set(table, 7, "-");
}

int qk_cmd_plugins(struct qk_ctl *ctl)
{
    const Quark__Admin__AdminReply *reply;
    int rc = ask_for_plugins(ctl, &reply);
    if (rc != QK_EXIT_OK)
        return rc;
    if (qk_ctl_has(ctl, QK_OPT_JSON))
        return qk_print_json(ctl, &reply->plugins->base, NULL, QK_JSON_FIT);
    struct qk_table table;
    qk_table_init(&table, plugin_columns, COUNT(plugin_columns));
    for (size_t i = 0; i < reply->plugins->n_plugins; i++) {
        const Quark__Admin__Plugin *p = reply->plugins->plugins[i];
        char types[256] = "";
        size_t n = 0;
        for (size_t k = 0; k < p->n_types && n < sizeof(types) - 1; k++)
            n += (size_t)snprintf(types + n, sizeof(types) - n, "%s%s", k > 0 ? "," : "", p->types[k]);
        qk_table_row(&table);
        qk_table_set(&table, 0, "%s", *p->name != '\0' ? p->name : "-");
        qk_table_set(&table, 1, "%s", *p->version != '\0' ? p->version : "-");
        qk_table_set(&table, 2, "%s", p->state);
        qk_table_set(&table, 3, "%s", *types != '\0' ? types : "-");
        qk_table_set(&table, 4, "%s", *p->abi != '\0' ? p->abi : "-");
        put_process(&table, p);
        qk_table_set(&table, 8, "%s", *p->code != '\0' ? p->code : "-");
        qk_table_set(&table, 9, "%s", p->file);
        qk_table_set(&table, 10, "%s", p->reason);
    }
    rc = qk_table_print(ctl, &table);
    qk_table_finish(&table);
    return rc;
}

static void add_figure(struct qk_table *table, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void add_figure(struct qk_table *table, const char *name, const char *format, ...)
{
    char buf[512];
    va_list args;
    va_start(args, format);
    vsnprintf(buf, sizeof(buf), format, args);
    va_end(args);
    qk_table_row(table);
    qk_table_set(table, 0, "%s", name);
    qk_table_set(table, 1, "%s", buf);
}

static void add_store(struct qk_table *table, const Quark__Admin__Store *s)
{
    char name[64], mean[32], most[32];
    snprintf(name, sizeof(name), "store %.40s", s->name);
    add_figure(table, name, "%" PRIu64 " loads, %" PRIu64 " saves, %" PRIu64 " conflicts, %" PRIu64 " errors", s->reads,
               s->writes, s->conflicts, s->errors);
    if (s->commits != 0)
        add_figure(table, name, "%" PRIu64 " commits, %s each, %s at most", s->commits,
                   qk_print_ns(s->commit_ns / s->commits, mean), qk_print_ns(s->commit_max_ns, most));
}

static void fill_status(struct qk_table *table, const Quark__Admin__StatusReply *s)
{
    char buf[32];
    add_figure(table, "silo", "%s", s->silo);
    add_figure(table, "state", "%s", s->state);
    add_figure(table, "version", "%s", s->version);
    add_figure(table, "up", "%s", qk_print_ms(s->uptime_ms, buf));
    add_figure(table, "pid", "%u", s->pid);
    add_figure(table, "socket", "%s", s->socket);
    add_figure(table, "workers", "%u", s->workers);
    char budget[32];
    if (s->memory_budget != 0)
        add_figure(table, "memory", "%s of %s (%s)", qk_print_bytes(s->memory_bytes, buf),
                   qk_print_bytes(s->memory_budget, budget), s->memory_state);
    else
        add_figure(table, "memory", "%s", qk_print_bytes(s->memory_bytes, buf));
    add_figure(table, "actors", "%" PRIu64, s->activations);
    add_figure(table, "turns", "%" PRIu64, s->turns);
    add_figure(table, "failed", "%" PRIu64, s->failures);
    add_figure(table, "long turns", "%" PRIu64, s->long_turns);
    add_figure(table, "clients", "%u", s->clients);
    add_figure(table, "calls", "%" PRIu64 " (%" PRIu64 " in flight)", s->calls_in, s->in_flight);
    add_figure(table, "offloaded", "%u running, %u waiting, %" PRIu64 " refused", s->offload_running,
               s->offload_waiting, s->offload_refused);
    if (s->refused != 0 || s->collected != 0)
        add_figure(table, "overload", "%" PRIu64 " calls refused, %" PRIu64 " actors ended for memory", s->refused,
                   s->collected);
    add_figure(table, "plugins", "%u loaded, %u refused", s->plugins, s->plugins_refused);
    for (size_t i = 0; i < s->n_stores; i++)
        add_store(table, s->stores[i]);
    for (size_t i = 0; i < s->n_config_files; i++)
        add_figure(table, "configured by", "%s", s->config_files[i]);
}

int qk_cmd_status(struct qk_ctl *ctl)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__StatusRequest status = QUARK__ADMIN__STATUS_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_STATUS;
    request.status = &status;
    int rc = qk_session_admin(ctl, &request, &reply);
    if (rc != QK_EXIT_OK)
        return rc;
    if (qk_ctl_has(ctl, QK_OPT_JSON))
        return qk_print_json(ctl, &reply->status->base, NULL, QK_JSON_FIT);
    struct qk_table table;
    qk_table_init(&table, status_columns, COUNT(status_columns));
    fill_status(&table, reply->status);
    rc = qk_table_print(ctl, &table);
    qk_table_finish(&table);
    return rc;
}
