/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers what quarkctl asks of the daemon itself: reload, and the configuration. */
#include <admin.pb-c.h>
#include <errno.h>
#include <quark/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "main/internal.h"
#include "wire/check.h"

#define ARENA_BYTES (1 << 20) /* more than every key with its texts */

struct answer {
    struct qk_daemon *daemon;
    struct qk_reload reload;
    struct qk_arena arena;
    Quark__Admin__AdminReply reply;
    char *text;
    size_t text_size;
};

static char *keep(struct answer *a, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = qk_arena_alloc(&a->arena, size);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

static size_t name_keys(const bool flags[QK_KEYS], char **ret_names)
{
    size_t n = 0;
    for (int i = 0; i < QK_KEYS; i++) {
        if (flags[i])
            ret_names[n++] = (char *)qk_keys[i].dotted;
    }
    return n;
}

static int answer_reload(struct answer *a, Quark__Admin__ReloadReply *reply, char **names)
{
    const struct qk_reload *reload = &a->reload;
    int rc = qk_daemon_reload(a->daemon, &a->reload, a->text, a->text_size);
    if (rc < 0)
        return rc == -ESHUTDOWN ? QK_EUNAVAILABLE : QK_EINVALID;
    quark__admin__reload_reply__init(reply);
    reply->changed = names;
    reply->n_changed = name_keys(reload->changed, reply->changed);
    reply->restart_needed = names + reply->n_changed;
    reply->n_restart_needed = name_keys(reload->restart, reply->restart_needed);
    reply->plugins_loaded = reload->loaded.names;
    reply->n_plugins_loaded = reload->loaded.n;
    reply->plugins_refused = reload->refused.names;
    reply->n_plugins_refused = reload->refused.n;
    a->reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_RELOAD;
    a->reply.reload = reply;
    return 0;
}

/* The names that tools know, where several of ours are one of theirs. */
static const char *tool_type(enum qk_key_type type)
{
    switch (type) {
    case QK_KEY_PATHS:
    case QK_KEY_USERS:
    case QK_KEY_GROUPS:
    case QK_KEY_NAMES:
    case QK_KEY_GRANTS:
        return "list";
    case QK_KEY_INTEGER:
    case QK_KEY_BOOLEAN:
    case QK_KEY_DURATION:
    case QK_KEY_SIZE:
        return qk_key_type_name(type);
    default:
        return "string";
    }
}

static int answer_key(struct answer *a, enum qk_key_id id, Quark__Admin__ConfigKey *ret_key)
{
    const struct qk_key *key = &qk_keys[id];
    const struct qk_value *value = &a->daemon->settings.config->values[id];
    char origin[4096 + 16] = "";
    if (value->file != NULL && value->where.line > 0)
        snprintf(origin, sizeof(origin), "%s:%d", value->file, value->where.line);
    else if (value->file != NULL)
        snprintf(origin, sizeof(origin), "%s", value->file);
    char *text = qk_value_string(key->type, value);
    quark__admin__config_key__init(ret_key);
    ret_key->key = (char *)key->dotted;
    ret_key->value = text != NULL ? keep(a, text) : NULL;
    ret_key->origin = keep(a, origin);
    ret_key->default_value = (char *)key->value;
    ret_key->description = (char *)key->text;
    ret_key->type = (char *)tool_type(key->type);
    ret_key->live = key->live;
    free(text);
    return ret_key->value != NULL && ret_key->origin != NULL ? 0 : -ENOMEM;
}

static int answer_config(struct answer *a, const char *prefix, Quark__Admin__ConfigReply *reply,
                         Quark__Admin__ConfigKey *keys, Quark__Admin__ConfigKey **list)
{
    quark__admin__config_reply__init(reply);
    reply->keys = list;
    for (int i = 0; i < QK_KEYS; i++) {
        if (strncmp(qk_keys[i].dotted, prefix, strlen(prefix)) != 0)
            continue;
        int rc = answer_key(a, (enum qk_key_id)i, &keys[i]);
        if (rc < 0)
            return rc;
        list[reply->n_keys++] = &keys[i];
    }
    a->reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_CONFIG;
    a->reply.config = reply;
    return 0;
}

static int pack(struct answer *a, uint8_t **ret_reply, size_t *ret_size)
{
    size_t size = quark__admin__admin_reply__get_packed_size(&a->reply);
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    if (bytes == NULL)
        return -ENOMEM;
    *ret_size = quark__admin__admin_reply__pack(&a->reply, bytes);
    *ret_reply = bytes;
    return 0;
}

static int serve(void *arg, const uint8_t *bytes, size_t size, uint8_t **ret_reply, size_t *ret_size, char *ret_text,
                 size_t text_size)
{
    struct answer a = {.daemon = arg, .text = ret_text, .text_size = text_size};
    quark__admin__admin_reply__init(&a.reply);
    qk_arena_init(&a.arena, ARENA_BYTES);
    union {
        Quark__Admin__ReloadReply reload;
        Quark__Admin__ConfigReply config;
    } body;
    Quark__Admin__ConfigKey keys[QK_KEYS];
    Quark__Admin__ConfigKey *list[QK_KEYS];
    char *names[2 * QK_KEYS];
    ProtobufCMessage *message;
    int rc = qk_wire_unpack(&quark__admin__admin_request__descriptor, bytes, size, &a.arena, &message);
    if (rc == 0) {
        const Quark__Admin__AdminRequest *request = (const Quark__Admin__AdminRequest *)message;
        if (request->body_case == QUARK__ADMIN__ADMIN_REQUEST__BODY_RELOAD)
            rc = answer_reload(&a, &body.reload, names);
        else if (request->body_case == QUARK__ADMIN__ADMIN_REQUEST__BODY_CONFIG)
            rc = answer_config(&a, request->config->prefix, &body.config, keys, list);
        else
            rc = QK_ENOTFOUND;
    }
    if (rc == 0)
        rc = pack(&a, ret_reply, ret_size);
    qk_reload_finish(&a.reload);
    qk_arena_finish(&a.arena);
    return rc == -ENOMEM ? QK_ENOMEMORY : rc;
}

struct qk_silo_admin qk_daemon_admin(struct qk_daemon *d)
{
    return (struct qk_silo_admin){.serve = serve, .arg = d};
}
