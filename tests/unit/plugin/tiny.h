/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The smallest shared object that carries a note: all that is checked before loading, as one struct to spoil. */
#ifndef TINY_H
#define TINY_H

#include <elf.h>
#include <stddef.h>
#include <string.h>
#include <quark/abi.h>

#if defined(__aarch64__)
#define TINY_MACHINE EM_AARCH64
#else
#define TINY_MACHINE EM_X86_64
#endif

struct tiny {
    Elf64_Ehdr header;
    Elf64_Phdr load;
    Elf64_Phdr dynamic;
    Elf64_Phdr notes;
    Elf64_Dyn entries[2];
    struct qk_note note;
    uint32_t pad;
    Elf64_Shdr section;
};

static inline void tiny_init(struct tiny *t)
{
    memset(t, 0, sizeof(*t));
    memcpy(t->header.e_ident, ELFMAG, SELFMAG);
    t->header.e_ident[EI_CLASS] = ELFCLASS64;
    t->header.e_ident[EI_DATA] = ELFDATA2LSB;
    t->header.e_ident[EI_VERSION] = EV_CURRENT;
    t->header.e_type = ET_DYN;
    t->header.e_machine = TINY_MACHINE;
    t->header.e_version = EV_CURRENT;
    t->header.e_ehsize = sizeof(Elf64_Ehdr);
    t->header.e_phentsize = sizeof(Elf64_Phdr);
    t->header.e_phnum = 3;
    t->header.e_phoff = offsetof(struct tiny, load);
    t->header.e_shentsize = sizeof(Elf64_Shdr);
    t->header.e_shnum = 1;
    t->header.e_shoff = offsetof(struct tiny, section);
    t->load = (Elf64_Phdr){.p_type = PT_LOAD,
                           .p_flags = PF_R,
                           .p_filesz = offsetof(struct tiny, section),
                           .p_memsz = offsetof(struct tiny, section),
                           .p_align = 4096};
    t->dynamic = (Elf64_Phdr){.p_type = PT_DYNAMIC,
                              .p_offset = offsetof(struct tiny, entries),
                              .p_vaddr = offsetof(struct tiny, entries),
                              .p_filesz = sizeof(t->entries),
                              .p_memsz = sizeof(t->entries),
                              .p_align = 8};
    t->notes = (Elf64_Phdr){.p_type = PT_NOTE,
                            .p_offset = offsetof(struct tiny, note),
                            .p_vaddr = offsetof(struct tiny, note),
                            .p_filesz = sizeof(t->note),
                            .p_memsz = sizeof(t->note),
                            .p_align = 4};
    t->entries[0].d_tag = DT_SONAME;
    t->note = (struct qk_note){6, sizeof(struct qk_note) - 20, QK_NOTE_TYPE, "Quark", 1, 0, 0, "tiny", "1"};
}

#endif
