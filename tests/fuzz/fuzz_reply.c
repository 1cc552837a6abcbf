/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client's reader of what a silo sends, against the general one. */
#include "fuzz.h"
#include <wire.pb-c.h>
#include "base/limits.h"
#include "wire/check.h"
#include "../../sdk/client/codec.h"

static void compare(const struct qk_incoming *in, const Quark__Wire__Envelope *pb)
{
    const char *text = NULL;
    HOLDS((int)in->kind == (int)pb->body_case);
    if (in->kind == QK_INCOMING_WELCOME) {
        HOLDS(in->major == pb->welcome->version_major && in->minor == pb->welcome->version_minor);
        HOLDS(in->payload_max == pb->welcome->payload_max && in->in_flight_max == pb->welcome->in_flight_max);
        text = pb->welcome->silo;
    } else if (in->kind == QK_INCOMING_REPLY) {
        HOLDS(in->id == pb->reply->id && in->status == pb->reply->status);
        HOLDS(in->may_have_run == (pb->reply->may_have_run != 0));
        text = pb->reply->text;
    } else if (in->kind == QK_INCOMING_TRACE) {
        HOLDS(in->id == pb->trace->id);
        text = "";
    } else {
        HOLDS(in->kind == QK_INCOMING_GO_AWAY && in->status == pb->go_away->status);
        text = pb->go_away->text;
    }
    HOLDS(in->text_len == strlen(text) && memcmp(in->text_len > 0 ? in->text : "", text, in->text_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qk_incoming in;
    if (size > QK_ENVELOPE_MAX || !qk_codec_read(data, size, &in))
        return 0;
    struct qk_arena arena;
    ProtobufCMessage *message;
    qk_arena_init(&arena, QK_MESSAGE_ARENA_MAX);
    HOLDS(qk_wire_unpack(&quark__wire__envelope__descriptor, data, size, &arena, &message) == 0);
    compare(&in, (const Quark__Wire__Envelope *)message);
    qk_arena_finish(&arena);
    return 0;
}
