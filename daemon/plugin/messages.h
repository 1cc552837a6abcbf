/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checks protobuf-c's descriptors of messages as a plugin carries them. Used by descriptor.c only. */
#ifndef QK_PLUGIN_MESSAGES_H
#define QK_PLUGIN_MESSAGES_H

#include <stdbool.h>
#include <protobuf-c/protobuf-c.h>
#include "plugin/descriptor.h"

/* The messages and enumerations that were reached, each once. */
struct qk_messages {
    const struct qk_memory *memory;
    struct {
        const void *desc;
        bool is_enum;
    } seen[QK_DESCRIPTOR_MESSAGES_MAX];
    unsigned n_seen;
    unsigned n_checked;
};

/* Whether `size` bytes at `at` may be read, and `at` is a multiple of `align`. */
bool qk_memory_has(const struct qk_memory *memory, const void *at, size_t size, size_t align);

/* Whether `s` is a zero-terminated string of 1 to QK_DESCRIPTOR_NAME_MAX visible ASCII characters. */
bool qk_memory_has_name(const struct qk_memory *memory, const char *s);

/* Adds a message to those that are to be checked; false when there are too many. NULL can't be read and is found
 * out by qk_messages_check(). */
bool qk_messages_add(struct qk_messages *messages, const ProtobufCMessageDescriptor *desc);

/* Checks all that were added and all that they reach. NULL, or what is wrong; *ret_name is then the name of the
 * message,
 * "" when it has none that can be read. */
const char *qk_messages_check(struct qk_messages *messages, const char **ret_name);

#endif
