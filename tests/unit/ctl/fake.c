/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client library of the tests: no connection, answers from `fake`. */
#include "fake.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/limits.h"
#include "ctl/ctl.h"

struct fake fake;

struct qk_client {
    uint8_t *admin; /* the answer last given */
};

static uint8_t schema_bytes[QK_SCHEMA_MAX];
static size_t schema_size;

void fake_setup(void)
{
    fake = (struct fake){.error = ""};
    setenv("QUARK_SOCKET", "/run/test.sock", 1);
    FILE *file = fopen(getenv("QK_TEST_SET"), "re");
    ck_assert_ptr_nonnull(file);
    schema_size = fread(schema_bytes, 1, sizeof(schema_bytes), file);
    fclose(file);
}

void qk_client_options_init(struct qk_client_options *options)
{
    *options = (struct qk_client_options){.size = sizeof(*options)};
}

int qk_client_create(const struct qk_client_options *options, struct qk_client **ret_client)
{
    snprintf(fake.socket, sizeof(fake.socket), "%s", options->socket_path);
    *ret_client = calloc(1, sizeof(**ret_client));
    return 0;
}

void qk_client_destroy(struct qk_client *client)
{
    if (client != NULL)
        free(client->admin);
    free(client);
}

int qk_client_connect(struct qk_client *client)
{
    (void)client;
    return fake.connect_status;
}

const char *qk_client_error(const struct qk_client *client)
{
    (void)client;
    return fake.error;
}

int qk_client_call(struct qk_client *client, const struct qk_call_target *target, const uint8_t *request, size_t size,
                   struct qk_reply *ret_reply)
{
    (void)client;
    fake.calls++;
    fake.target = *target;
    snprintf(fake.key, sizeof(fake.key), "%.*s", (int)target->ref.key_len, target->ref.key);
    ck_assert_uint_le(size, sizeof(fake.request));
    memcpy(fake.request, request, size);
    fake.request_size = size;
    *ret_reply = fake.reply;
    return fake.reply.status;
}

int qk_client_set_context(struct qk_client *client, const char *name, const char *value)
{
    (void)client;
    size_t n = strlen(fake.context);
    if (fake.context_status == 0)
        snprintf(fake.context + n, sizeof(fake.context) - n, "%s=%s;", name, value);
    return fake.context_status;
}

void qk_client_record(struct qk_client *client)
{
    (void)client;
    fake.record = true;
}

int qk_client_visit_spans(struct qk_client *client, void (*visit)(void *arg, const struct qk_client_span *span),
                          void *arg, struct qk_client_recording *ret_recording)
{
    (void)client;
    for (unsigned i = 0; i < fake.n_spans; i++)
        visit(arg, &fake.spans[i]);
    *ret_recording = (struct qk_client_recording){"0123456789abcdef0123456789abcdef", fake.left_out};
    return fake.spans != NULL ? 0 : QK_ENOTFOUND;
}

/* The actor type that every test has. */
static int answer_schema(const Quark__Admin__SchemaRequest *request, Quark__Admin__AdminReply *reply,
                         struct qk_client *client, struct qk_reply *ret_reply)
{
    Quark__Admin__SchemaReply schema = QUARK__ADMIN__SCHEMA_REPLY__INIT;
    Quark__Admin__Type type = QUARK__ADMIN__TYPE__INIT;
    Quark__Admin__Method go = QUARK__ADMIN__METHOD__INIT, tell = QUARK__ADMIN__METHOD__INIT, *methods[] = {&tell, &go};
    if (strcmp(request->type, "every") != 0)
        return QK_ENOTFOUND;
    go.name = "Do";
    go.id = 11;
    go.request = "quark.every.Scalars";
    go.reply = "quark.every.Inner";
    go.read_only = true;
    go.deadline_ms = 1500;
    tell.name = "Watch";
    tell.id = 12;
    tell.request = "quark.every.Choice";
    tell.reply = "google.protobuf.Empty";
    tell.one_way = true;
    type.name = "every";
    type.id = 77;
    type.service = "quark.every.Every";
    type.n_methods = 2;
    type.methods = methods;
    schema.type = &type;
    schema.files = (ProtobufCBinaryData){schema_size, schema_bytes};
    reply->body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_SCHEMA;
    reply->schema = &schema;
    client->admin = malloc(protobuf_c_message_get_packed_size(&reply->base));
    ret_reply->data = client->admin;
    ret_reply->size = protobuf_c_message_pack(&reply->base, client->admin);
    return 0;
}

static void answer_types(Quark__Admin__AdminReply *reply, struct qk_client *client, struct qk_reply *ret_reply)
{
    Quark__Admin__TypesReply types = QUARK__ADMIN__TYPES_REPLY__INIT;
    Quark__Admin__Type type = QUARK__ADMIN__TYPE__INIT, *list[] = {&type};
    Quark__Admin__Method go = QUARK__ADMIN__METHOD__INIT, *methods[] = {&go};
    go.name = "Do";
    type.name = "every";
    type.plugin = "plug";
    type.placement = "hash";
    type.service = "quark.every.Every";
    type.idle_ms = 90000;
    type.mailbox_max = 64;
    type.turns = 1234567890123;
    type.n_methods = 1;
    type.methods = methods;
    types.n_types = 1;
    types.types = list;
    reply->body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_TYPES;
    reply->types = &types;
    client->admin = malloc(protobuf_c_message_get_packed_size(&reply->base));
    ret_reply->data = client->admin;
    ret_reply->size = protobuf_c_message_pack(&reply->base, client->admin);
}

int qk_client_admin(struct qk_client *client, const uint8_t *request, size_t size, uint32_t timeout_ms,
                    struct qk_reply *ret_reply)
{
    (void)timeout_ms;
    if (fake.admin_status < 0)
        return fake.admin_status;
    free(client->admin);
    client->admin = NULL;
    int rc = 0;
    Quark__Admin__AdminRequest *r = quark__admin__admin_request__unpack(NULL, size, request);
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    ck_assert_ptr_nonnull(r);
    if (fake.admin != NULL) {
        client->admin = malloc(protobuf_c_message_get_packed_size(&fake.admin->base) + 1);
        ret_reply->data = client->admin;
        ret_reply->size = protobuf_c_message_pack(&fake.admin->base, client->admin);
    } else if (r->body_case == QUARK__ADMIN__ADMIN_REQUEST__BODY_SCHEMA) {
        rc = answer_schema(r->schema, &reply, client, ret_reply);
    } else {
        answer_types(&reply, client, ret_reply);
    }
    quark__admin__admin_request__free_unpacked(r, NULL);
    return rc;
}

struct run run_ctl(const char *first, ...)
{
    char *argv[16] = {"quarkctl"};
    int argc = 1;
    size_t out_size, err_size;
    struct run run = {0};
    va_list args;
    va_start(args, first);
    for (const char *a = first; a != NULL && argc < 15; a = va_arg(args, const char *))
        argv[argc++] = (char *)(uintptr_t)a;
    va_end(args);
    FILE *out = open_memstream(&run.out, &out_size), *err = open_memstream(&run.err, &err_size);
    ck_assert(out != NULL && err != NULL);
    run.exit_code = qk_ctl_main(argc, argv, out, err);
    fclose(out);
    fclose(err);
    return run;
}

void run_finish(struct run *run)
{
    free(run->out);
    free(run->err);
}
