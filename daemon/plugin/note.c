/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds the note among a file's notes and reads it. */
#include "plugin/note.h"

#include <stdbool.h>
#include <string.h>
#include "plugin/image.h"

#define OWNER_SIZE 6 /* "Quark" and its zero */
#define DESC_SIZE  (sizeof(struct qk_note) - offsetof(struct qk_note, abi_major))

struct found {
    const uint8_t *desc; /* NULL: none yet */
    uint32_t size;
};

/* Walks the notes of one segment. Sizes are 32 bits wide and sums 64, so that nothing can wrap. */
static int search_segment(const uint8_t *at, uint64_t size, uint64_t align, struct found *found,
                          struct qk_refusal *refusal)
{
    while (size > 0) {
        uint32_t head[3]; /* size of the owner's name, size of the description, type */
        if (size < sizeof(head))
            return qk_refuse(refusal, QK_PLUGIN_DAMAGED, "the file is damaged: its notes end in the middle of one");
        memcpy(head, at, sizeof(head));
        uint64_t desc = (sizeof(head) + (uint64_t)head[0] + align - 1) / align * align;
        if (desc > size || head[1] > size - desc)
            return qk_refuse(refusal, QK_PLUGIN_DAMAGED, "the file is damaged: a note reaches beyond its segment");
        if (head[0] == OWNER_SIZE && head[2] == QK_NOTE_TYPE && memcmp(at + sizeof(head), QK_NOTE_OWNER, 6) == 0) {
            if (found->desc != NULL)
                return qk_refuse(refusal, QK_PLUGIN_DAMAGED,
                                 "the file carries two Quark notes: two plugins were linked "
                                 "into one");
            found->desc = at + desc;
            found->size = head[1];
        }
        uint64_t next = (desc + head[1] + align - 1) / align * align;
        if (next >= size)
            break; /* the padding of the last one may be missing */
        at += next;
        size -= next;
    }
    return 0;
}

static bool is_name(const char *s, size_t room)
{
    size_t n = strnlen(s, room);
    if (n == 0 || n == room || s[0] < 'a' || s[0] > 'z')
        return false;
    for (size_t i = 0; i < n; i++) {
        bool word = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9');
        if (!word && s[i] != '_' && s[i] != '-')
            return false;
    }
    return true;
}

static bool is_version(const char *s, size_t room)
{
    size_t n = strnlen(s, room);
    if (n == 0 || n == room)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] <= ' ' || s[i] > '~')
            return false;
    }
    return true;
}

static int read_desc(const struct found *found, struct qk_note_info *ret_note, struct qk_refusal *refusal)
{
    struct qk_note note;
    if (found->size < 4)
        return qk_refuse(refusal, QK_PLUGIN_DAMAGED, "the Quark note is damaged: it has %u bytes", found->size);
    memset(&note, 0, sizeof(note));
    memcpy((uint8_t *)&note + offsetof(struct qk_note, abi_major), found->desc,
           found->size < DESC_SIZE ? found->size : DESC_SIZE);
    struct qk_note_info info = {.abi_major = note.abi_major, .abi_minor = note.abi_minor};
    bool named = is_name(note.name, sizeof(note.name)), versioned = is_version(note.version, sizeof(note.version));
    if (note.abi_major == QK_ABI_MAJOR && note.abi_minor <= QK_ABI_MINOR) {
        if (found->size != DESC_SIZE || note.flags != 0)
            return qk_refuse(refusal, QK_PLUGIN_DAMAGED,
                             "the Quark note is damaged: it has %u bytes, not %zu, or flags", found->size, DESC_SIZE);
        if (!named)
            return qk_refuse(
                refusal, QK_PLUGIN_BAD_NAME,
                "the plugin calls itself \"%.*s\": a name is a lower-case letter, then lower-case letters, "
                "digits, _ and -, %d at most",
                (int)strnlen(note.name, sizeof(note.name)), note.name, QK_NOTE_NAME_MAX - 1);
        if (!versioned)
            return qk_refuse(refusal, QK_PLUGIN_DAMAGED,
                             "the Quark note is damaged: its version is empty, too long or not plain text");
    }
    if (named && versioned) {
        memcpy(info.name, note.name, sizeof(info.name));
        memcpy(info.version, note.version, sizeof(info.version));
    }
    *ret_note = info;
    return 0;
}

int qk_note_read(const uint8_t *bytes, size_t size, struct qk_note_info *ret_note, struct qk_refusal *refusal)
{
    struct qk_image image;
    struct found found = {0};
    int rc = qk_image_check(bytes, size, &image, refusal);
    for (unsigned i = 0; rc == 0 && i < image.n_segments; i++) {
        const Elf64_Phdr *p = &image.segments[i];
        if (p->p_type == PT_NOTE)
            rc = search_segment(bytes + p->p_offset, p->p_filesz, p->p_align == 8 ? 8 : 4, &found, refusal);
    }
    if (rc < 0)
        return rc;
    if (found.desc == NULL)
        return qk_refuse(refusal, QK_PLUGIN_NO_NOTE,
                         "a shared object, but not a Quark plugin: it carries no Quark note");
    return read_desc(&found, ret_note, refusal);
}

int qk_note_check_abi(uint16_t major, uint16_t minor, struct qk_refusal *refusal)
{
    if (major == QK_ABI_MAJOR && minor <= QK_ABI_MINOR)
        return 0;
    bool newer = major > QK_ABI_MAJOR || (major == QK_ABI_MAJOR && minor > QK_ABI_MINOR);
    return qk_refuse(refusal, QK_PLUGIN_ABI,
                     "built for plugin interface %u.%u, which is %s than this silo's %d.%d: build it again with this "
                     "silo's SDK%s",
                     major, minor, newer ? "newer" : "older", QK_ABI_MAJOR, QK_ABI_MINOR,
                     newer ? ", or install a newer quarkd" : "");
}
