/* SPDX-License-Identifier: GPL-3.0-or-later */
/* deactivate, reload, config: what an administrator does to a silo, and what it was told to be. */
#include "ctl/ctl.h"

#include <string.h>
#include <quark/status.h>

static const struct qk_column show_columns[] = {
    {"KEY", false, QK_FIT_NONE}, {"VALUE", false, QK_FIT_NONE}, {"ORIGIN", false, QK_FIT_NONE}};
static const struct qk_column key_columns[] = {
    {"KEY", false, QK_FIT_NONE},    {"TYPE", false, QK_FIT_NONE}, {"DEFAULT", false, QK_FIT_NONE},
    {"RELOAD", false, QK_FIT_NONE}, {"TEXT", false, QK_FIT_WRAP},
};
const char *const qk_columns_config[] = {"KEY",    "VALUE", "ORIGIN", "; of keys: KEY", "TYPE", "DEFAULT",
                                         "RELOAD", "TEXT",  NULL};

int qk_cmd_deactivate(struct qk_ctl *ctl)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__DeactivateRequest deactivate = QUARK__ADMIN__DEACTIVATE_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    const char *type, *key;
    int rc = qk_address_split(ctl, ctl->args.argv[0], &type, &key);
    if (rc != QK_EXIT_OK)
        return rc;
    deactivate.type = (char *)(uintptr_t)type;
    deactivate.key = (char *)(uintptr_t)key;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_DEACTIVATE;
    request.deactivate = &deactivate;
    rc = qk_session_ask(ctl, &request, &reply);
    if (rc == QK_ENOTFOUND)
        return qk_type_missing(ctl, type);
    if (rc < 0)
        return qk_session_fail(ctl, rc);
    if (qk_ctl_has(ctl, QK_OPT_JSON))
        return qk_print_json(ctl, &reply->deactivate->base, NULL, QK_JSON_FIT);
    fprintf(ctl->err, reply->deactivate->was_active ? "%s is taken out of memory\n" : "%s was not in memory\n",
            ctl->args.argv[0]);
    return QK_EXIT_OK;
}

static void print_list(FILE *to, const char *title, char **items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fprintf(to, "%-16s ", i == 0 ? title : "");
        qk_put_clean(to, items[i]);
        fputc('\n', to);
    }
}

int qk_cmd_reload(struct qk_ctl *ctl)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__ReloadRequest reload = QUARK__ADMIN__RELOAD_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_RELOAD;
    request.reload = &reload;
    int rc = qk_session_ask(ctl, &request, &reply);
    if (rc == QK_EINVALID) {
        /* The daemon shows the mistake as `quarkd --check` does. */
        fprintf(ctl->err, "%s\n", qk_client_error(ctl->client));
        return qk_ctl_fail(ctl, QK_EXIT_CONFIG, "QK0430", NULL,
                           "mend it and look with `quarkd --check`, then reload again",
                           "nothing was changed: the configuration has a mistake");
    }
    if (rc < 0)
        return qk_session_fail(ctl, rc);
    const Quark__Admin__ReloadReply *r = reply->reload;
    if (qk_ctl_has(ctl, QK_OPT_JSON))
        return qk_print_json(ctl, &r->base, NULL, QK_JSON_FIT);
    print_list(ctl->out, "changed", r->changed, r->n_changed);
    print_list(ctl->out, "needs a restart", r->restart_needed, r->n_restart_needed);
    print_list(ctl->out, "plugins loaded", r->plugins_loaded, r->n_plugins_loaded);
    print_list(ctl->out, "plugins refused", r->plugins_refused, r->n_plugins_refused);
    if (r->n_changed + r->n_restart_needed + r->n_plugins_loaded + r->n_plugins_refused == 0)
        fprintf(ctl->err, "reloaded; nothing is different\n");
    return QK_EXIT_OK;
}

static int ask_config(struct qk_ctl *ctl, const char *prefix, const Quark__Admin__ConfigReply **ret_reply)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__ConfigRequest config = QUARK__ADMIN__CONFIG_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    if (prefix != NULL)
        config.prefix = (char *)(uintptr_t)prefix;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_CONFIG;
    request.config = &config;
    int rc = qk_session_admin(ctl, &request, &reply);
    if (rc == QK_EXIT_OK)
        *ret_reply = reply->config;
    return rc;
}

static void fill_config(struct qk_table *table, const Quark__Admin__ConfigReply *reply, bool keys)
{
    for (size_t i = 0; i < reply->n_keys; i++) {
        const Quark__Admin__ConfigKey *k = reply->keys[i];
        qk_table_row(table);
        qk_table_set(table, 0, "%s", k->key);
        if (keys) {
            qk_table_set(table, 1, "%s", k->type);
            qk_table_set(table, 2, "%s", k->default_value);
            qk_table_set(table, 3, "%s", k->live ? "live" : "restart");
            qk_table_set(table, 4, "%s", k->description);
        } else {
            qk_table_set(table, 1, "%s", k->value);
            qk_table_set(table, 2, "%s", *k->origin != '\0' ? k->origin : "default");
        }
    }
}

int qk_cmd_config(struct qk_ctl *ctl)
{
    static const char *const words[] = {"show", "keys", NULL};
    const Quark__Admin__ConfigReply *reply;
    bool keys = strcmp(ctl->args.argv[0], "keys") == 0;
    if (!keys && strcmp(ctl->args.argv[0], "show") != 0) {
        char label[64];
        const char *near = qk_suggest(ctl->args.argv[0], words);
        snprintf(label, sizeof(label), "did you mean `%s`?", near != NULL ? near : "");
        return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0404", near != NULL ? label : NULL,
                           "usage: quarkctl config show|keys [PREFIX]", "`quarkctl config` has no `%.60s`",
                           ctl->args.argv[0]);
    }
    int rc = ask_config(ctl, ctl->args.argc > 1 ? ctl->args.argv[1] : NULL, &reply);
    if (rc != QK_EXIT_OK)
        return rc;
    if (qk_ctl_has(ctl, QK_OPT_JSON))
        return qk_print_json(ctl, &reply->base, NULL, QK_JSON_FIT);
    if (reply->n_keys == 0)
        return qk_ctl_fail(ctl, QK_EXIT_NOT_FOUND, "QK0431", NULL, "`quarkctl config keys` lists all of them",
                           "no configuration key begins with `%.80s`", ctl->args.argc > 1 ? ctl->args.argv[1] : "");
    struct qk_table table;
    if (keys)
        qk_table_init(&table, key_columns, sizeof(key_columns) / sizeof(key_columns[0]));
    else
        qk_table_init(&table, show_columns, sizeof(show_columns) / sizeof(show_columns[0]));
    fill_config(&table, reply, keys);
    rc = qk_table_print(ctl, &table);
    qk_table_finish(&table);
    return rc;
}
