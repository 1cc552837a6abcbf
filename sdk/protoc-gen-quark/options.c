/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our options in the descriptors: protobuf-c does not know them and keeps them as unknown fields, length in front. An
 * option set member by member comes as several of them, which mean the same as one put together.
 */
#include "gen.h"

#include <string.h>
#include "wire/check.h"

/* Steps over the length that stands before the bytes. */
static size_t prefix_size(const ProtobufCMessageUnknownField *f)
{
    size_t n = 0;
    while (n < f->len && (f->data[n] & 0x80) != 0)
        n++;
    return n < f->len ? n + 1 : f->len;
}

ProtobufCMessage *gen_option(struct gen *g, const ProtobufCMessage *options, int number,
                             const ProtobufCMessageDescriptor *desc)
{
    if (options == NULL)
        return NULL;
    size_t size = 0;
    bool found = false;
    for (unsigned i = 0; i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *f = &options->unknown_fields[i];
        if (f->tag == (uint32_t)number && f->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
            size += f->len - prefix_size(f);
            found = true;
        }
    }
    if (!found)
        return NULL;
    uint8_t *bytes = gen_alloc(g, size + 1), *at = bytes;
    for (unsigned i = 0; i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *f = &options->unknown_fields[i];
        if (f->tag == (uint32_t)number && f->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
            size_t skip = prefix_size(f);
            memcpy(at, f->data + skip, f->len - skip);
            at += f->len - skip;
        }
    }
    ProtobufCMessage *message;
    return qk_wire_unpack(desc, bytes, size, &g->arena, &message) == 0 ? message : NULL;
}
