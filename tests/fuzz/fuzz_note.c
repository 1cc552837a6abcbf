/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plugin file's bytes. */
#include "fuzz.h"
#include "plugin/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qk_note_info note;
    struct qk_refusal refusal = {.code = NULL};
    int rc = qk_note_read(data, size, &note, &refusal);
    if (rc < 0) {
        HOLDS(rc == QK_EINVALID && refusal.code != NULL && refusal.text[0] != 0);
        return 0;
    }
    HOLDS(memchr(note.name, 0, sizeof(note.name)) != NULL && memchr(note.version, 0, sizeof(note.version)) != NULL);
    if (qk_note_check_abi(note.abi_major, note.abi_minor, &refusal) == 0)
        HOLDS(note.name[0] >= 'a' && note.name[0] <= 'z' && note.version[0] != 0);
    return 0;
}
