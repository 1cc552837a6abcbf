/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Puts configuration, command line and machine together. */
#include "main/settings.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "main/dev.h"
#include "main/machine.h"

#define MEMORY_PERCENT 80 /* of what the machine allows, where the configuration says nothing */

static int set_origin(struct qk_value *value, const char *option)
{
    free(value->file);
    value->file = strdup(option);
    value->where = (struct qk_mark){0};
    return value->file != NULL ? 0 : -ENOMEM;
}

static int override_socket(struct qk_config *config, const char *path, struct qk_report *report)
{
    struct qk_value *value = &config->values[QK_KEY_SOCKET_PATH];
    if (strlen(path) > QK_SOCKET_PATH_MAX) { /* with the current directory in front */
        const struct qk_diag diag = {
            .code = "QK0215", .message = "the path of a socket may have 107 bytes at most", .file = "--socket"};
        qk_report_add(report, &diag);
        return -EINVAL;
    }
    char *text = strdup(path);
    if (text == NULL)
        return -ENOMEM;
    free(value->text);
    value->text = text;
    return set_origin(value, "--socket");
}

/* Adds to the configured directories. */
static int override_plugins(struct qk_config *config, const struct qk_options *options)
{
    struct qk_value *value = &config->values[QK_KEY_PLUGINS_DIRECTORIES];
    size_t n = value->n_list + options->n_plugins;
    char **list = realloc(value->list, (n + 1) * sizeof(*list));
    if (list == NULL)
        return -ENOMEM;
    value->list = list;
    struct qk_mark *places = realloc(value->places, (n + 1) * sizeof(*places));
    if (places == NULL)
        return -ENOMEM;
    value->places = places;
    for (size_t i = 0; i < options->n_plugins; i++) {
        places[value->n_list] = (struct qk_mark){0};
        list[value->n_list] = strdup(options->plugins[i]);
        if (list[value->n_list] == NULL)
            return -ENOMEM;
        list[++value->n_list] = NULL;
    }
    return options->n_plugins > 0 ? set_origin(value, "--plugins") : 0;
}

static int override_isolation(struct qk_config *config)
{
    struct qk_value *value = &config->values[QK_KEY_PLUGINS_ISOLATION];
    value->number = 1; /* "process", of qk_isolation_names */
    return set_origin(value, "--isolate");
}

int qk_settings_read_config(const struct qk_options *options, struct qk_report *report, struct qk_config **ret_config)
{
    struct qk_config *config = NULL;
    int rc = options->dev ? qk_dev_config(report, &config) : qk_config_load(options->config, report, &config);
    if (rc == 0 && options->socket != NULL)
        rc = override_socket(config, options->socket, report);
    if (rc == 0)
        rc = override_plugins(config, options);
    if (rc == 0 && options->isolate)
        rc = override_isolation(config);
    if (rc < 0) {
        qk_config_destroy(config);
        return rc;
    }
    *ret_config = config;
    return 0;
}

/* The machine's name where none is configured; what may not stand in a name becomes a dash. */
static void choose_name(const struct qk_config *config, char *ret_name, size_t size)
{
    const char *name = config->values[QK_KEY_SILO_NAME].text;
    snprintf(ret_name, size, "%s", name);
    if (*name == '\0' && (gethostname(ret_name, size) < 0 || *ret_name == '\0'))
        snprintf(ret_name, size, "quark");
    ret_name[size - 1] = '\0';
    for (char *at = ret_name; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && *at != '.' && *at != '-' && *at != '_')
            *at = '-';
    }
}

static uint32_t milliseconds(const struct qk_config *config, enum qk_key_id id)
{
    return (uint32_t)(config->values[id].number / 1000000);
}

static uint32_t whole_pages(int64_t size)
{
    int64_t page = sysconf(_SC_PAGESIZE);
    return (uint32_t)((size + page - 1) / page * page);
}

static int list_files(struct qk_settings *s)
{
    size_t n = 0;
    s->files = calloc(s->config->n_sources + 1, sizeof(*s->files));
    for (size_t i = 0; s->files != NULL && i < s->config->n_sources; i++) {
        if (s->config->sources[i].path != NULL)
            s->files[n++] = s->config->sources[i].path;
    }
    return s->files != NULL ? 0 : -ENOMEM;
}

/* quark-host as it is installed, or as it lies beside a daemon that was built and not installed. */
static const char *choose_host_program(char *path, size_t size)
{
    static const char *const beside[] = {"/quark-host", "/../host/quark-host"};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    for (size_t i = 0; n > 0 && i < sizeof(beside) / sizeof(beside[0]); i++) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        if (slash == NULL || (size_t)snprintf(path, size, "%.*s%s", (int)(slash - self), self, beside[i]) >= size)
            continue;
        if (access(path, X_OK) == 0)
            return path;
    }
    return QK_HOST_PROGRAM;
}

/* The bounds of the table keep every number within its type here. */
static void fill_in(struct qk_settings *s)
{
    const struct qk_config *c = s->config;
    choose_name(c, s->name, sizeof(s->name));
    qk_silo_config_init(&s->silo);
    s->silo.name = s->name;
    s->silo.version = QK_VERSION;
    s->silo.config_files = s->files;
    s->silo.socket_path = c->values[QK_KEY_SOCKET_PATH].text;
    s->silo.socket_mode = (mode_t)c->values[QK_KEY_SOCKET_MODE].number;
    s->silo.socket_gid = s->accounts.socket_gid;
    s->silo.allow_uids = s->accounts.uids;
    s->silo.n_allow_uids = s->accounts.n_uids;
    s->silo.allow_gids = s->accounts.gids;
    s->silo.n_allow_gids = s->accounts.n_gids;
    s->silo.plugin_dirs = (const char *const *)c->values[QK_KEY_PLUGINS_DIRECTORIES].list;
    s->silo.host_program = choose_host_program(s->host_program, sizeof(s->host_program));
    s->silo.isolate = c->values[QK_KEY_PLUGINS_ISOLATION].number != 0;
    s->silo.isolated = (const char *const *)c->values[QK_KEY_PLUGINS_ISOLATED].list;
    s->silo.not_isolated = (const char *const *)c->values[QK_KEY_PLUGINS_NOT_ISOLATED].list;
    s->silo.best_effort = c->values[QK_KEY_PLUGINS_BEST_EFFORT].number != 0;
    s->silo.grants.memory_max = (uint64_t)c->values[QK_KEY_PLUGINS_MEMORY].number;
    s->silo.grants.files_max = (uint32_t)c->values[QK_KEY_PLUGINS_OPEN_FILES].number;
    s->silo.grants.read = (const char *const *)c->values[QK_KEY_PLUGINS_READ].list;
    s->silo.grants.write = (const char *const *)c->values[QK_KEY_PLUGINS_WRITE].list;
    s->silo.grants.devices = (const char *const *)c->values[QK_KEY_PLUGINS_DEVICES].list;
    s->silo.grants.network = (const char *const *)c->values[QK_KEY_PLUGINS_NETWORK].list;
    s->silo.stuck_ms = milliseconds(c, QK_KEY_PLUGINS_STUCK);
    s->silo.workers = (uint32_t)c->values[QK_KEY_RUNTIME_WORKERS].number;
    s->silo.pin_workers = c->values[QK_KEY_RUNTIME_PIN_WORKERS].number != 0;
    s->silo.default_timeout_ms = milliseconds(c, QK_KEY_RUNTIME_TIMEOUT);
    s->silo.mailbox_max = (uint32_t)c->values[QK_KEY_RUNTIME_MAILBOX].number;
    s->silo.idle_ms = milliseconds(c, QK_KEY_RUNTIME_IDLE_AGE);
    s->silo.budget = (uint32_t)c->values[QK_KEY_RUNTIME_BUDGET].number;
    s->silo.fiber_stack_bytes = whole_pages(c->values[QK_KEY_RUNTIME_STACK_SIZE].number);
    s->silo.activations_max = (uint64_t)c->values[QK_KEY_RUNTIME_ACTIVATIONS_MAX].number;
    s->silo.spin_ns = c->values[QK_KEY_RUNTIME_SPIN].number;
    s->silo.memory_budget = (uint64_t)c->values[QK_KEY_RUNTIME_MEMORY].number;
    if (s->silo.memory_budget == 0)
        s->silo.memory_budget = qk_machine_memory("") / 100 * MEMORY_PERCENT;
    s->silo.offload_threads = (uint32_t)c->values[QK_KEY_RUNTIME_OFFLOAD_THREADS].number;
    s->silo.offload_queue = (uint32_t)c->values[QK_KEY_RUNTIME_OFFLOAD_QUEUE].number;
    s->silo.long_turn_ms = milliseconds(c, QK_KEY_RUNTIME_LONG_TURN);
    s->silo.sqlite_path = c->values[QK_KEY_STORES_SQLITE_PATH].text;
    s->silo.memory_store_bytes = (uint64_t)c->values[QK_KEY_STORES_MEMORY_BYTES].number;
    s->silo.drain_ms = milliseconds(c, QK_KEY_SILO_DRAIN_TIMEOUT);
    s->silo.clients_max = (uint32_t)c->values[QK_KEY_SOCKET_CLIENTS_MAX].number;
}

int qk_settings_read(const struct qk_options *options, struct qk_report *report, struct qk_settings *ret_settings)
{
    struct qk_settings s = {0};
    int rc = qk_settings_read_config(options, report, &s.config);
    if (rc < 0)
        return rc;
    rc = qk_accounts_resolve(s.config, report, &s.accounts);
    qk_world_check_dirs(s.config, report);
    if (rc == 0 && report->errors > 0)
        rc = -EINVAL;
    if (rc == 0)
        rc = list_files(&s);
    if (rc < 0) {
        qk_settings_finish(&s);
        return rc;
    }
    *ret_settings = s;
    fill_in(ret_settings);
    return 0;
}

void qk_settings_finish(struct qk_settings *settings)
{
    free(settings->files);
    qk_accounts_finish(&settings->accounts);
    qk_config_destroy(settings->config);
    *settings = (struct qk_settings){0};
}

void qk_settings_merge(struct qk_settings *running, struct qk_settings *fresh, bool ret_changed[QK_KEYS],
                       bool ret_restart[QK_KEYS])
{
    for (int i = 0; i < QK_KEYS; i++) {
        struct qk_value *old = &running->config->values[i];
        struct qk_value *new = &fresh->config->values[i];
        bool differs = !qk_value_equal(old, new);
        ret_changed[i] = differs && qk_keys[i].live;
        ret_restart[i] = differs && !qk_keys[i].live;
        if (ret_restart[i]) {
            struct qk_value held = *old;
            *old = *new;
            *new = held;
        }
    }
    fill_in(fresh);
}
