/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a plugin file says of itself in its ELF note, read before any of its code can run. Pure functions; any thread.
 */
#ifndef QK_PLUGIN_NOTE_H
#define QK_PLUGIN_NOTE_H

#include <stddef.h>
#include <stdint.h>
#include <quark/abi.h>
#include "plugin/refusal.h"

struct qk_note_info {
    uint16_t abi_major;
    uint16_t abi_minor;
    char name[QK_NOTE_NAME_MAX];       /* "" where the note is of another interface and may be laid out otherwise */
    char version[QK_NOTE_VERSION_MAX]; /* likewise */
};

/* Checks the file's bounds, finds the one note of ours in its PT_NOTE segments and reads it. Whether its interface is
 * ours is not judged. 0, or QK_EINVALID with the reason. */
int qk_note_read(const uint8_t *bytes, size_t size, struct qk_note_info *ret_note, struct qk_refusal *refusal);

/* Whether a plugin of this interface can be loaded here: 0, or QK_EINVALID with the reason. */
int qk_note_check_abi(uint16_t major, uint16_t minor, struct qk_refusal *refusal);

#endif
