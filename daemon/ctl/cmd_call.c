/* SPDX-License-Identifier: GPL-3.0-or-later */
/* call: JSON to the method's request, the call, its reply to JSON; and what an error means to the caller. */
#include "ctl/ctl.h"

#include <stdlib.h>
#include <string.h>
#include <quark/status.h>
#include "base/limits.h"
#include "base/status.h"
#include "wire/check.h"

/* A call that is being made. */
struct call {
    const char *address;
    const char *key;
    const Quark__Admin__Type *type;
    const Quark__Admin__Method *method;
    struct qk_schema *schema;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *reply;
    uint32_t timeout_ms; /* 0: the method's own, or the silo's */
};

static int no_method(struct qk_ctl *ctl, const struct call *call, const char *name)
{
    const Quark__Admin__Type *t = call->type;
    const char **words = qk_arena_alloc(&ctl->arena, (t->n_methods + 1) * sizeof(*words));
    char label[120] = "", help[400];
    size_t n = (size_t)snprintf(help, sizeof(help), "its methods are");
    for (size_t i = 0; i < t->n_methods && n < sizeof(help) - 80; i++)
        n += (size_t)snprintf(help + n, sizeof(help) - n, "%s %.60s", i > 0 ? "," : "", t->methods[i]->name);
    for (size_t i = 0; words != NULL && i < t->n_methods; i++)
        words[i] = t->methods[i]->name;
    if (words != NULL) {
        words[t->n_methods] = NULL;
        const char *near = qk_suggest(name, words);
        /* increment for Increment. */
        for (size_t i = 0; near == NULL && i < t->n_methods; i++)
            near = strcasecmp(words[i], name) == 0 ? words[i] : NULL;
        if (near != NULL)
            snprintf(label, sizeof(label), "did you mean `%.80s`?", near);
    }
    return qk_ctl_fail(ctl, QK_EXIT_NOT_FOUND, "QK0421", label[0] != '\0' ? label : NULL, help,
                       "actor type `%s` has no method `%.100s`", t->name, name);
}

static int find_method(struct qk_ctl *ctl, struct call *call, const char *name)
{
    for (size_t i = 0; i < call->type->n_methods; i++) {
        if (strcmp(call->type->methods[i]->name, name) == 0)
            call->method = call->type->methods[i];
    }
    if (call->method == NULL)
        return no_method(ctl, call, name);
    call->request = qk_schema_message(call->schema, call->method->request);
    call->reply = qk_schema_message(call->schema, call->method->reply);
    if (call->request == NULL || call->reply == NULL)
        return qk_ctl_fail(ctl, QK_EXIT_FAILED, "QK0422", NULL,
                           "build the plugin again with the SDK's protoc-gen-quark",
                           "the plugin of `%s` does not carry the messages of `%s`", call->type->name, name);
    return QK_EXIT_OK;
}

static int read_stdin(struct qk_ctl *ctl, char **ret_text, size_t *ret_size)
{
    size_t room = 1 << 16, size = 0;
    char *text = malloc(room);
    while (text != NULL) {
        size_t n = fread(text + size, 1, room - size, stdin);
        size += n;
        if (n == 0 || size > QK_JSON_TEXT_MAX)
            break;
        if (size == room) {
            char *more = realloc(text, room *= 2);
            if (more == NULL) {
                free(text);
                text = NULL;
                break;
            }
            text = more;
        }
    }
    if (text == NULL || ferror(stdin)) {
        free(text);
        return qk_ctl_fail(ctl, QK_EXIT_USAGE, NULL, NULL, NULL, "standard input could not be read");
    }
    *ret_text = text;
    *ret_size = size;
    return QK_EXIT_OK;
}

/* The request of the command line as bytes in the arena. */
static int make_request(struct qk_ctl *ctl, const struct call *call, uint8_t **ret_bytes, size_t *ret_size)
{
    const char *given = ctl->args.argc > 2 ? ctl->args.argv[2] : "{}";
    bool from_stdin = strcmp(given, "-") == 0;
    char *read = NULL;
    size_t size = strlen(given);
    if (from_stdin) {
        int rc = read_stdin(ctl, &read, &size);
        if (rc != QK_EXIT_OK)
            return rc;
    }
    const char *text = from_stdin ? read : given;
    struct qk_json_options options = {.schema = call->schema};
    struct qk_json_error error;
    ProtobufCMessage *message;
    int rc = qk_json_parse(call->request, text, size, &options, &ctl->arena, &error, &message);
    if (rc < 0) {
        struct qk_diag diag;
        qk_json_diagnose(&error, from_stdin ? "standard input" : "request", text, size, &diag);
        qk_diag_write(ctl->err, &diag, ctl->color);
        free(read);
        return QK_EXIT_USAGE;
    }
    free(read);
    *ret_size = protobuf_c_message_get_packed_size(message);
    *ret_bytes = qk_arena_alloc(&ctl->arena, *ret_size + 1);
    if (*ret_bytes == NULL || *ret_size > QK_PAYLOAD_MAX)
        return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0508", NULL, NULL, "the request is larger than %d MiB",
                           QK_PAYLOAD_MAX >> 20);
    protobuf_c_message_pack(message, *ret_bytes);
    return QK_EXIT_OK;
}

static const struct {
    int status;
    const char *code;
    const char *help;
} failures[] = {
    {QK_ETIMEDOUT, "QK0521", "wait longer with --timeout; look at the actor's state before you try again"},
    {QK_EOVERLOADED, "QK0522", "try again a little later, or give the type a larger mailbox"},
    {QK_ENOMEMORY, "QK0522", "try again a little later; `quarkctl top` shows what fills the silo"},
    {QK_EUNAVAILABLE, "QK0523",
     "try again later; `quarkctl status` shows whether the silo stops, `quarkctl plugins` what was started again"},
    {QK_EACTIVATE, "QK0524", "the daemon's journal has what its on_activate said: journalctl -u quarkd"},
    {QK_EDENIED, "QK0411", "`socket.users` and `socket.groups` in the configuration say who may"},
    {QK_ENOTFOUND, "QK0421", "`quarkctl types` lists what the silo has now"},
    {QK_EDISCONNECTED, "QK0525", "`quarkctl status` shows whether the silo is back"},
};

/* Tells of a call that failed: who refused it, why, whether it may have run, what can be done. */
static int call_failed(struct qk_ctl *ctl, const struct call *call, const struct qk_reply *reply)
{
    const char *code = qk_is_app(reply->status) ? "QK0520" : "QK0526", *help = NULL;
    char note[300];
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        if (failures[i].status == reply->status) {
            code = failures[i].code;
            help = failures[i].help;
        }
    }
    const char *text = reply->text != NULL && *reply->text != '\0' ? reply->text : qk_status_text(reply->status);
    size_t n = (size_t)snprintf(note, sizeof(note), "refused by the %s with status ", qk_part_of(reply->status));
    if (qk_is_app(reply->status))
        n += (size_t)snprintf(note + n, sizeof(note) - n, "%d of the application", QK_APP(0) - reply->status);
    else
        n += (size_t)snprintf(note + n, sizeof(note) - n, "%s", qk_status_name(reply->status));
    if (strcmp(qk_status_name(reply->status), "unknown") == 0)
        n += (size_t)snprintf(note + n, sizeof(note) - n, " (%d)", reply->status);
    snprintf(note + n, sizeof(note) - n, "; %s",
             qk_is_app(reply->status) ? "the method ran"
             : reply->may_have_run    ? "the method may have run"
                                      : "the method did not run");
    return qk_ctl_fail(ctl, qk_exit_of(reply->status), code, note, help, "%s %s: %s", call->address, call->method->name,
                       text);
}

static int print_reply(struct qk_ctl *ctl, const struct call *call, const struct qk_reply *reply)
{
    ProtobufCMessage *message;
    if (qk_ctl_has(ctl, QK_OPT_RAW)) {
        fwrite(reply->data, 1, reply->size, ctl->out);
        return QK_EXIT_OK;
    }
    if (call->method->one_way)
        return QK_EXIT_OK;
    if (qk_wire_unpack(call->reply, reply->data, reply->size, &ctl->arena, &message) < 0)
        return qk_ctl_fail(ctl, QK_EXIT_FAILED, "QK0527", NULL, "`--raw` writes the bytes as they came",
                           "the reply of %s is not a `%s`", call->method->name, call->reply->name);
    return qk_print_json(ctl, message, call->schema, qk_ctl_has(ctl, QK_OPT_JSON) ? QK_JSON_COMPACT : QK_JSON_FIT);
}

/* Sets what the command line says of the context. */
static int set_context(struct qk_ctl *ctl)
{
    const char *parent = ctl->args.options[QK_OPT_TRACEPARENT];
    for (unsigned i = 0; i < ctl->args.n_metas; i++) {
        const char *given = ctl->args.metas[i], *equals = strchr(given, '=');
        if (equals == NULL)
            return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0403", NULL,
                               "write --meta NAME=VALUE, for example --meta tenant=7",
                               "`%.100s` is not an entry of a context", given);
        char *name = qk_arena_alloc(&ctl->arena, (size_t)(equals - given) + 1);
        if (name == NULL)
            return qk_ctl_fail(ctl, QK_EXIT_FAILED, NULL, NULL, NULL, "out of memory");
        memcpy(name, given, (size_t)(equals - given));
        name[equals - given] = '\0';
        if (qk_client_set_context(ctl->client, name, equals + 1) < 0)
            return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0403", qk_client_error(ctl->client), NULL,
                               "`%.100s` can't be an entry of the context", given);
    }
    if (parent != NULL && qk_client_set_context(ctl->client, "traceparent", parent) < 0)
        return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0403", qk_client_error(ctl->client), NULL,
                           "`%.100s` is no traceparent", parent);
    return QK_EXIT_OK;
}

static int make_call(struct qk_ctl *ctl, const struct call *call)
{
    uint8_t *bytes;
    size_t size;
    int rc = make_request(ctl, call, &bytes, &size);
    if (rc == QK_EXIT_OK)
        rc = set_context(ctl);
    if (rc != QK_EXIT_OK)
        return rc;
    struct qk_call_target target = {
        .type_id = call->type->id,
        .method_id = call->method->id,
        .timeout_ms = call->timeout_ms != 0 ? call->timeout_ms : call->method->deadline_ms,
        .ref = {call->key, (uint32_t)strlen(call->key)},
        .one_way = call->method->one_way,
    };
    struct qk_reply reply = {0};
    bool traced = qk_ctl_has(ctl, QK_OPT_TRACE);
    if (traced && qk_ctl_has(ctl, QK_OPT_RAW))
        return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0403", NULL, NULL, "--trace does not go together with --raw");
    if (traced)
        qk_client_record(ctl->client);
    rc = qk_client_call(ctl->client, &target, bytes, size, &reply);
    reply.status = rc;
    int exit_code = rc < 0 ? call_failed(ctl, call, &reply) : print_reply(ctl, call, &reply);
    /* A call that failed before it was in the silo has caused nothing. */
    if (traced && (rc >= 0 || reply.may_have_run)) {
        int shown = qk_trace_print(ctl);
        exit_code = exit_code != QK_EXIT_OK ? exit_code : shown;
    }
    return exit_code;
}

int qk_cmd_call(struct qk_ctl *ctl)
{
    struct call call = {.address = ctl->args.argv[0]};
    const char *type;
    int rc = qk_address_split(ctl, call.address, &type, &call.key);
    if (rc != QK_EXIT_OK)
        return rc;
    if (!qk_wire_is_utf8((const uint8_t *)call.key, strlen(call.key)))
        return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0406", NULL, NULL, "the key is not valid UTF-8");
    if (qk_ctl_has(ctl, QK_OPT_TIMEOUT))
        (void)qk_args_duration(ctl->args.options[QK_OPT_TIMEOUT], &call.timeout_ms);
    rc = qk_type_get(ctl, type, &call.type, &call.schema);
    if (rc != QK_EXIT_OK)
        return rc;
    rc = find_method(ctl, &call, ctl->args.argv[1]);
    if (rc == QK_EXIT_OK)
        rc = make_call(ctl, &call);
    qk_schema_destroy(call.schema);
    return rc;
}
