/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The check of message bytes, and what it promises: what passes can be unpacked within the bound that it gave. The
 * first byte of the input chooses the type. */
#include "fuzz.h"
#include <admin.pb-c.h>
#include <wire.pb-c.h>
#include <google/protobuf/descriptor.pb-c.h>
#include "base/limits.h"
#include "wire/check.h"
#include "wire/message.h"
#include <quark/status.h>

static const ProtobufCMessageDescriptor *const types[] = {
    &quark__wire__envelope__descriptor, &quark__admin__admin_request__descriptor,
    &quark__admin__admin_reply__descriptor,
    &google__protobuf__file_descriptor_set__descriptor, /* deep, and with every kind of field */
};

static uint8_t *pack(const ProtobufCMessage *message, size_t *ret_size)
{
    *ret_size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(*ret_size + 1);
    HOLDS(protobuf_c_message_pack(message, bytes) == *ret_size);
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const ProtobufCMessageDescriptor *type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
    int64_t need = qk_wire_check(type, data + 1, size - 1);
    HOLDS((need >= 0 && need <= QK_MESSAGE_ARENA_MAX) || need == QK_EINVALID || need == QK_ETOOBIG);
    struct qk_arena arena, other;
    ProtobufCMessage *message;
    qk_arena_init(&arena, QK_MESSAGE_ARENA_MAX);
    int rc = qk_wire_unpack(type, data + 1, size - 1, &arena, &message);
    HOLDS(need >= 0 || rc == need);
    /* A required field may be missing: only the last type has some. */
    HOLDS(rc == 0 || need < 0 || (rc == QK_EINVALID && type == types[3]));
    if (rc == 0) {
        HOLDS(protobuf_c_message_check(message));
        size_t n, m;
        uint8_t *bytes = pack(message, &n);
        qk_arena_init(&other, QK_MESSAGE_ARENA_MAX);
        ProtobufCMessage *copy = qk_arena_alloc(&other, type->sizeof_message);
        rc = qk_message_copy(type, message, copy, &other);
        HOLDS(rc == 0);
        uint8_t *again = pack(copy, &m);
        HOLDS(n == m && memcmp(bytes, again, n) == 0);
        free(again);
        free(bytes);
        qk_arena_finish(&other);
    }
    qk_arena_finish(&arena);
    return 0;
}
