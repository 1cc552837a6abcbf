/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes the seeds that are images of C structs, into the corpus folders below the directory that is named. */
#include <errno.h>
#include <sys/stat.h>
#include "fuzz.h"
#include "../unit/plugin/described.h"
#include "../unit/plugin/tiny.h"

static const char *top;

static void write_seed(const char *target, const char *name, const void *bytes, size_t size)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", top, target);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/%s/%s", top, target, name);
    FILE *file = fopen(path, "we");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
}

static void write_notes(void)
{
    struct tiny t;
    tiny_init(&t);
    write_seed("note", "whole", &t, sizeof(t));
    write_seed("note", "cut", &t, sizeof(t) - 40);
    t.header.e_shoff = 0;
    write_seed("note", "stripped", &t, sizeof(t));
    t.note.type = 3;
    write_seed("note", "without", &t, sizeof(t));
    tiny_init(&t);
    t.note.abi_major = 2;
    t.note.name[0] = 'X';
    write_seed("note", "newer", &t, sizeof(t));
    tiny_init(&t);
    t.entries[0] = (Elf64_Dyn){.d_tag = DT_FLAGS_1, .d_un.d_val = DF_1_PIE};
    write_seed("note", "program", &t, sizeof(t));
    tiny_init(&t);
    t.header.e_type = ET_REL;
    write_seed("note", "object", &t, sizeof(t));
    tiny_init(&t);
    t.notes.p_align = 8;
    t.note.desc_size = 4;
    write_seed("note", "short", &t, sizeof(t));
}

/* Addresses within the block as fuzz_descriptor.c reads them. */
static void write_described(const char *name, const struct described *d)
{
    uint64_t words[sizeof(*d) / 8];
    uintptr_t begin = (uintptr_t)d;
    memcpy(words, d, sizeof(words));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (words[i] >= begin && words[i] < begin + sizeof(*d))
            words[i] = 0x5155000000000000ull + (words[i] - begin);
    }
    write_seed("descriptor", name, words, sizeof(words));
}

static void write_descriptors(void)
{
    static struct described d;
    described_init(&d);
    write_described("whole", &d);
    d.total.message_init = NULL;
    d.methods[1].request = &d.total;
    write_described("plain", &d);
    d.plugin.n_types = 0;
    write_described("empty", &d);
    described_init(&d);
    d.number_fields[1].type = PROTOBUF_C_TYPE_MESSAGE;
    d.number_fields[1].offset = offsetof(struct described_number, value);
    d.number_fields[1].descriptor = &d.number;
    write_described("recursive", &d);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    top = argv[1];
    write_notes();
    write_descriptors();
    return 0;
}
