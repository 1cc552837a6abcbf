/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * __complete CURSOR WORD...: what may stand at the cursor, one word a line. Names come from the silo where there is
 * one; nothing is ever said of errors, since somebody is in the middle of a line.
 */
#include "ctl/ctl.h"

#include <stdlib.h>
#include <string.h>
#include "base/errors.h"

#define KEYS_MAX      200
#define COMPLETE_WAIT "1s"

struct complete {
    struct qk_ctl *ctl;
    const char *word; /* what is there of it */
};

/* Whether a shell takes the word as it is: others would need quotes, which completion can't put around them. */
static bool is_plain(const char *word)
{
    for (; *word != '\0'; word++) {
        if ((unsigned char)*word <= 32 || *word == 127 || strchr("\"'`$\\;&|<>()*?[]!~#{}", *word) != NULL)
            return false;
    }
    return true;
}

static void offer(struct complete *c, const char *prefix, const char *name, const char *suffix)
{
    char whole[QK_KEY_MAX + 256];
    snprintf(whole, sizeof(whole), "%s%s%s", prefix, name, suffix);
    if (strncmp(whole, c->word, strlen(c->word)) == 0 && is_plain(whole))
        fprintf(c->ctl->out, "%s\n", whole);
}

static void offer_types(struct complete *c, const char *suffix)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__TypesRequest types = QUARK__ADMIN__TYPES_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_TYPES;
    request.types = &types;
    if (qk_session_ask(c->ctl, &request, &reply) < 0)
        return;
    for (size_t i = 0; i < reply->types->n_types; i++)
        offer(c, "", reply->types->types[i]->name, suffix);
}

static void offer_methods(struct complete *c, const char *address)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__TypesRequest types = QUARK__ADMIN__TYPES_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    char name[256];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(address, "/"), address);
    types.name = name;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_TYPES;
    request.types = &types;
    if (qk_session_ask(c->ctl, &request, &reply) < 0)
        return;
    for (size_t i = 0; i < reply->types->n_types; i++) {
        const Quark__Admin__Type *t = reply->types->types[i];
        for (size_t k = 0; strcmp(t->name, name) == 0 && k < t->n_methods; k++)
            offer(c, "", t->methods[k]->name, "");
    }
}

/* Types until there is a slash, then keys of that type. */
static void offer_actors(struct complete *c)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__ActorsRequest actors = QUARK__ADMIN__ACTORS_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    const char *slash = strchr(c->word, '/');
    char type[256], prefix[258];
    if (slash == NULL) {
        offer_types(c, "/");
        return;
    }
    snprintf(type, sizeof(type), "%.*s", (int)(slash - c->word), c->word);
    snprintf(prefix, sizeof(prefix), "%s/", type);
    actors.type = type;
    actors.key_prefix = (char *)(uintptr_t)(slash + 1);
    actors.limit = KEYS_MAX;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_ACTORS;
    request.actors = &actors;
    if (qk_session_ask(c->ctl, &request, &reply) < 0)
        return;
    for (size_t i = 0; i < reply->actors->n_actors; i++)
        offer(c, prefix, reply->actors->actors[i]->key, "");
}

static void offer_keys(struct complete *c)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__ConfigRequest config = QUARK__ADMIN__CONFIG_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    config.prefix = (char *)(uintptr_t)c->word;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_CONFIG;
    request.config = &config;
    if (qk_session_ask(c->ctl, &request, &reply) < 0)
        return;
    for (size_t i = 0; i < reply->config->n_keys; i++)
        offer(c, "", reply->config->keys[i]->key, "");
}

static void offer_commands(struct complete *c)
{
    for (const struct qk_command *k = qk_commands; k->name != NULL; k++) {
        if (!k->hidden)
            offer(c, "", k->name, "");
    }
}

static void offer_options(struct complete *c, const struct qk_command *command)
{
    uint64_t mask =
        command != NULL ? command->options : 1ull << QK_OPT_SOCKET | 1ull << QK_OPT_HELP | 1ull << QK_OPT_VERSION;
    for (int i = 0; i < QK_OPT_COUNT; i++) {
        if ((mask & 1ull << i) != 0)
            offer(c, "--", qk_options[i].name, "");
    }
}

static void offer_argument(struct complete *c, enum qk_arg_kind kind, const char *first)
{
    size_t n;
    const struct qk_error *errors;
    switch (kind) {
    case QK_ARG_ACTOR:
    case QK_ARG_ACTORS:
        offer_actors(c);
        break;
    case QK_ARG_METHOD:
        offer_methods(c, first);
        break;
    case QK_ARG_TYPE:
        offer_types(c, "");
        break;
    case QK_ARG_CODE:
        errors = qk_error_all(&n);
        for (size_t i = 0; i < n; i++)
            offer(c, "", errors[i].code, "");
        break;
    case QK_ARG_COMMAND:
        offer_commands(c);
        break;
    case QK_ARG_SHELL:
        offer(c, "", "bash", "");
        break;
    case QK_ARG_CONFIG:
        offer(c, "", "show", "");
        offer(c, "", "keys", "");
        break;
    case QK_ARG_KEY:
        offer_keys(c);
        break;
    default:
        break;
    }
}

/* The column names of --output and --sort, in lower case, behind what stands before the last comma. */
static void offer_columns(struct complete *c, const struct qk_command *command)
{
    const char *comma = strrchr(c->word, ',');
    char prefix[256], name[64];
    snprintf(prefix, sizeof(prefix), "%.*s", comma != NULL ? (int)(comma + 1 - c->word) : 0, c->word);
    for (const char *const *p = command->columns; p != NULL && *p != NULL; p++) {
        const char *blank = strrchr(*p, ' ');
        snprintf(name, sizeof(name), "%s", blank != NULL ? blank + 1 : *p);
        for (char *s = name; *s != '\0'; s++)
            *s = *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s;
        offer(c, prefix, name, "");
    }
}

/* The option that the word before the cursor is and that wants a value there, or -1. */
static int pending_option(const char *word)
{
    for (int i = 0; i < QK_OPT_COUNT; i++) {
        const struct qk_option *o = &qk_options[i];
        bool letter = word[0] == '-' && word[1] == o->letter && word[2] == '\0';
        if (o->argument != NULL && (letter || (strncmp(word, "--", 2) == 0 && strcmp(word + 2, o->name) == 0)))
            return i;
    }
    return -1;
}

/* argv: quarkctl __complete CURSOR quarkctl WORD... */
static int complete(struct qk_ctl *ctl, int argc, char **argv)
{
    int cursor = argc > 2 ? atoi(argv[2]) : 0;
    char **words = argv + 3;
    int n = argc - 3;
    if (cursor < 1 || cursor > n)
        return QK_EXIT_OK;
    struct complete c = {ctl, cursor < n ? words[cursor] : ""};
    const struct qk_command *command = NULL;
    const char *first = "";
    unsigned position = 0;
    for (int i = 1; i < cursor; i++) {
        int option = pending_option(words[i]);
        if (option >= 0 && i + 1 < cursor) {
            i++;
            if (option == QK_OPT_SOCKET)
                ctl->args.options[QK_OPT_SOCKET] = words[i];
        } else if (words[i][0] != '-' && command == NULL) {
            command = qk_command_find(words[i]);
            if (command == NULL)
                return QK_EXIT_OK;
        } else if (words[i][0] != '-') {
            first = position == 0 ? words[i] : first;
            position++;
        }
    }
    int option = cursor > 1 ? pending_option(words[cursor - 1]) : -1;
    if (option == QK_OPT_OUTPUT || option == QK_OPT_SORT) {
        if (command != NULL)
            offer_columns(&c, command);
    } else if (option >= 0) {
        return QK_EXIT_OK; /* a path or a number: the shell's own completion */
    } else if (c.word[0] == '-') {
        offer_options(&c, command);
    } else if (command == NULL) {
        offer_commands(&c);
    } else if (position < QK_COMMAND_ARGS_MAX) {
        offer_argument(&c, command->kinds[position], first);
    }
    return QK_EXIT_OK;
}

int qk_cmd_complete(struct qk_ctl *ctl)
{
    ctl->args.options[QK_OPT_TIMEOUT] = COMPLETE_WAIT;
    return complete(ctl, ctl->argc, ctl->argv);
}
