/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A plugin's descriptor as it lies in memory. The input is the block of tests/unit/plugin/described.h in which an
 * address within the block is written as its distance from the beginning plus ADDRESS.
 */
#include <stdbool.h>
#include "fuzz.h"
#include "plugin/descriptor.h"
#include "wire/check.h"
#include "../unit/plugin/described.h"

#define ADDRESS 0x5155000000000000ull
#define LIMIT   (1u << 16)

struct block {
    size_t size;
    uint8_t *bytes;
};

static size_t extent(void *arg, const void *at)
{
    const struct block *b = arg;
    uintptr_t begin = (uintptr_t)b->bytes, p = (uintptr_t)at;
    return p >= begin && p - begin < b->size ? b->size - (p - begin) : 0;
}

static void relocate(struct block *b)
{
    for (size_t at = 0; at + 8 <= b->size; at += 8) {
        uint64_t word;
        memcpy(&word, b->bytes + at, 8);
        if ((word & 0xffff000000000000ull) != ADDRESS)
            continue;
        word = (uintptr_t)b->bytes + (word & 0xffffffffull);
        memcpy(b->bytes + at, &word, 8);
    }
}

/* Whether the block holds what could be a message with a function to initialise it: an address that is no code. */
static bool has_functions(const struct block *b)
{
    for (size_t at = 0; at + sizeof(ProtobufCMessageDescriptor) <= b->size; at += 8) {
        ProtobufCMessageDescriptor d;
        memcpy(&d, b->bytes + at, sizeof(d));
        if (d.magic == PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC && d.message_init != NULL)
            return true;
    }
    return false;
}

/* What passed the check can be used: unpacked into, packed and freed. */
static void use(const struct qk_plugin *plugin)
{
    static const uint8_t bytes[] = {8, 1, 16, 0, 42, 1, 'x'};
    for (uint64_t i = 0; i < plugin->n_types; i++) {
        const struct qk_type *type = plugin->types[i];
        for (uint32_t k = 0; k < type->n_methods; k++) {
            struct qk_arena arena;
            ProtobufCMessage *message;
            qk_arena_init(&arena, 1 << 20);
            if (qk_wire_unpack(type->methods[k].request, bytes, sizeof(bytes), &arena, &message) == 0) {
                uint8_t packed[256];
                if (protobuf_c_message_get_packed_size(message) <= sizeof(packed))
                    protobuf_c_message_pack(message, packed);
            }
            qk_arena_finish(&arena);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct qk_note_info note = DESCRIBED_NOTE;
    struct qk_refusal refusal = {.code = NULL};
    if (size > LIMIT)
        return 0;
    struct block block = {.size = size, .bytes = malloc(size > 0 ? size : 1)};
    if (size > 0)
        memcpy(block.bytes, data, size);
    relocate(&block);
    int rc = qk_descriptor_check((const struct qk_plugin *)block.bytes, &note, &(struct qk_memory){extent, &block},
                                 &refusal);
    HOLDS(rc == 0 || (rc == QK_EINVALID && refusal.code != NULL && refusal.text[0] != 0));
    if (rc == 0 && !has_functions(&block))
        use((const struct qk_plugin *)block.bytes);
    free(block.bytes);
    return 0;
}
