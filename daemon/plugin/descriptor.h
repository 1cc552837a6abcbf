/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checks what a plugin declares, once it is in memory and before anybody uses it. Pure functions; any thread. */
#ifndef QK_PLUGIN_DESCRIPTOR_H
#define QK_PLUGIN_DESCRIPTOR_H

#include <stddef.h>
#include <quark/abi.h>
#include "plugin/note.h"
#include "plugin/refusal.h"

#define QK_DESCRIPTOR_NAME_MAX     512  /* bytes of a type's, service's, method's, message's or field's name */
#define QK_DESCRIPTOR_MESSAGES_MAX 4096 /* messages and enumerations that one plugin's methods and states reach */
#define QK_DESCRIPTOR_FIELDS_MAX   8192 /* fields of one message, values of one enumeration */

/* What may be read: how many bytes from `at` on, 0 when none. */
struct qk_memory {
    size_t (*extent)(void *arg, const void *at);
    void *arg;
};

/*
 * Follows every pointer of the descriptor, each only after the memory that it names is known to be readable. Whether
 * the types fit into a runtime (ids, methods in order, names taken) the runtime judges. 0, or QK_EINVALID with the
 * reason.
 */
int qk_descriptor_check(const struct qk_plugin *plugin, const struct qk_note_info *note, const struct qk_memory *memory,
                        struct qk_refusal *refusal);

#endif
