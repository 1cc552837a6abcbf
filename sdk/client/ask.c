/* SPDX-License-Identifier: Apache-2.0 */
/* Calls with protobuf-c messages, for generated proxies: packed straight into the output, checked before unpacking. */
#include "internal.h"

#include <string.h>
#include "wire/check.h"

static struct qk_call_target target_of(const struct qk_method *m, struct qk_ref to, uint32_t timeout_ms)
{
    return (struct qk_call_target){
        .type_id = m->type_id,
        .method_id = m->id,
        .timeout_ms = timeout_ms != 0 ? timeout_ms : m->deadline_ms,
        .ref = to,
    };
}

static int start(struct qk_client *client, const struct qk_call_target *target, const ProtobufCMessage *request,
                 qk_reply_fn on_reply, void *arg)
{
    size_t size = request != NULL ? protobuf_c_message_get_packed_size(request) : 0;
    uint8_t *payload;
    int rc = qk_client_start(client, target, target->timeout_ms, size, on_reply, arg, &payload);
    if (rc >= 0 && size != 0)
        protobuf_c_message_pack(request, payload);
    return rc;
}

static int ask(struct qk_client *client, const struct qk_call_target *target, const ProtobufCMessage *request,
               struct qk_reply *ret_reply)
{
    int rc = qk_client_enter(client);
    if (rc < 0)
        return rc;
    struct qk_client_waiter waiter;
    waiter.done = false;
    rc = start(client, target, request, qk_client_on_waited, &waiter);
    return qk_client_wait(client, &waiter, rc, ret_reply);
}

ProtobufCMessage *qk_client_unpack(const ProtobufCMessageDescriptor *type, const struct qk_reply *reply)
{
    if (reply->status < 0 || qk_wire_check(type, reply->data, reply->size) < 0)
        return NULL;
    return protobuf_c_message_unpack(type, NULL, reply->size, reply->data);
}

int qk_client_ask(struct qk_client *client, const struct qk_method *m, struct qk_ref to, uint32_t timeout_ms,
                  const ProtobufCMessage *request, ProtobufCMessage **ret_reply)
{
    struct qk_call_target target = target_of(m, to, timeout_ms);
    struct qk_reply reply;
    int rc = ask(client, &target, request, &reply);
    if (rc < 0 || ret_reply == NULL)
        return rc;
    ProtobufCMessage *message = qk_client_unpack(m->reply, &reply);
    if (message == NULL)
        return qk_client_refuse(client, QK_EPROTOCOL,
                                "the reply of method %s does not parse as %s: were actor and program built from the "
                                "same .proto?",
                                m->name, m->reply->name);
    *ret_reply = message;
    return rc;
}

int qk_client_ask_begin(struct qk_client *client, const struct qk_method *m, struct qk_ref to, uint32_t timeout_ms,
                        const ProtobufCMessage *request, qk_reply_fn on_reply, void *arg)
{
    struct qk_call_target target = target_of(m, to, timeout_ms);
    int rc = start(client, &target, request, on_reply, arg);
    if (rc >= 0)
        qk_client_started(client);
    return rc;
}

int qk_client_tell(struct qk_client *client, const struct qk_method *m, struct qk_ref to,
                   const ProtobufCMessage *request)
{
    struct qk_call_target target = target_of(m, to, 0);
    target.one_way = true;
    struct qk_reply reply;
    return ask(client, &target, request, &reply);
}
