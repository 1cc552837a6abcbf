/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bounds of a shared object: header, segments and the dynamic section, each checked before it is believed. */
#include "plugin/image.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#else
#error "this machine's number in ELF files is not known here"
#endif

static const char *machine_name(unsigned machine)
{
    static const struct {
        unsigned machine;
        const char *name;
    } names[] = {
        {EM_386, "i386"},    {EM_ARM, "arm"},   {EM_X86_64, "x86-64"}, {EM_AARCH64, "aarch64"}, {EM_PPC64, "ppc"},
        {EM_RISCV, "riscv"}, {EM_S390, "s390"}, {EM_MIPS, "mips"},     {258, "loongarch"},      {EM_SPARCV9, "sparc"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].machine == machine)
            return names[i].name;
    }
    return "an unknown machine";
}

/* Whether `length` bytes at `offset` lie within `size` bytes. */
static bool is_within(uint64_t offset, uint64_t length, uint64_t size)
{
    return offset <= size && length <= size - offset;
}

static int truncated(struct qk_refusal *refusal, const char *what, uint64_t end, size_t size)
{
    return qk_refuse(refusal, QK_PLUGIN_TRUNCATED,
                     "the file is cut short: its %s should reach to byte %" PRIu64 ", but it has %zu bytes", what, end,
                     size);
}

static int damaged(struct qk_refusal *refusal, const char *what)
{
    return qk_refuse(refusal, QK_PLUGIN_DAMAGED, "the file is damaged: %s", what);
}

static int check_identity(const uint8_t *bytes, size_t size, Elf64_Ehdr *ret_header, struct qk_refusal *refusal)
{
    static const char *const kinds[] = {"a file without a kind", "an object file (.o) that is not linked yet",
                                        "a program", "a shared object", "a core dump"};
    if (size == 0)
        return qk_refuse(refusal, QK_PLUGIN_TRUNCATED, "the file is empty");
    if (memcmp(bytes, ELFMAG, size < SELFMAG ? size : SELFMAG) != 0)
        return qk_refuse(refusal, QK_PLUGIN_NO_OBJECT, "not a shared object: it does not begin as an ELF file does");
    if (size < sizeof(Elf64_Ehdr))
        return truncated(refusal, "header", sizeof(Elf64_Ehdr), size);
    memcpy(ret_header, bytes, sizeof(*ret_header));
    if (bytes[EI_CLASS] != ELFCLASS64 || bytes[EI_DATA] != ELFDATA2LSB)
        return qk_refuse(refusal, QK_PLUGIN_MACHINE, "built for another machine: a %s file, this silo runs on %s",
                         bytes[EI_CLASS] != ELFCLASS64 ? "32-bit" : "big-endian", machine_name(OUR_MACHINE));
    if (ret_header->e_machine != OUR_MACHINE)
        return qk_refuse(refusal, QK_PLUGIN_MACHINE, "built for another machine: %s, this silo runs on %s",
                         machine_name(ret_header->e_machine), machine_name(OUR_MACHINE));
    if (ret_header->e_type != ET_DYN)
        return qk_refuse(refusal, QK_PLUGIN_NO_OBJECT, "not a shared object but %s",
                         ret_header->e_type <= ET_CORE ? kinds[ret_header->e_type] : "another kind of ELF file");
    if (bytes[EI_VERSION] != EV_CURRENT || ret_header->e_version != EV_CURRENT ||
        (bytes[EI_OSABI] != ELFOSABI_SYSV && bytes[EI_OSABI] != ELFOSABI_GNU))
        return damaged(refusal, "its ELF version or its system is none that Linux loads");
    return 0;
}

/* The section table is not needed to load a file, and a strip may have removed it; but where it is it ends the file,
 * and a copy that was cut off shows there. */
static int check_sections(const Elf64_Ehdr *h, const uint8_t *bytes, size_t size, struct qk_refusal *refusal)
{
    if (h->e_shoff == 0)
        return 0;
    if (h->e_shentsize != sizeof(Elf64_Shdr))
        return damaged(refusal, "its section headers have an odd size");
    uint64_t n = h->e_shnum;
    if (!is_within(h->e_shoff, sizeof(Elf64_Shdr), size))
        return truncated(refusal, "section table", h->e_shoff + sizeof(Elf64_Shdr), size);
    if (n == 0) {
        Elf64_Shdr first;
        memcpy(&first, bytes + h->e_shoff, sizeof(first));
        n = first.sh_size;
    }
    if (n > size / sizeof(Elf64_Shdr) || !is_within(h->e_shoff, n * sizeof(Elf64_Shdr), size))
        return truncated(refusal, "section table", n <= UINT32_MAX ? h->e_shoff + n * sizeof(Elf64_Shdr) : UINT64_MAX,
                         size);
    return 0;
}

static bool is_power_of_two(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* What the loader maps: in order, aligned, no larger than the bound. */
static int check_load(const Elf64_Phdr *p, uint64_t *end, struct qk_refusal *refusal)
{
    if (p->p_filesz > p->p_memsz || p->p_vaddr > QK_IMAGE_MEMORY_MAX || p->p_memsz > QK_IMAGE_MEMORY_MAX - p->p_vaddr)
        return damaged(refusal, "a segment is larger in the file than in memory, or asks for more than 4 GiB");
    if (!is_power_of_two(p->p_align) || p->p_align < 4096 || p->p_align > QK_IMAGE_MEMORY_MAX ||
        (p->p_vaddr - p->p_offset) % p->p_align != 0)
        return damaged(refusal, "a segment is not aligned");
    if (p->p_vaddr < *end)
        return damaged(refusal, "its segments overlap or are out of order");
    *end = p->p_vaddr + p->p_memsz;
    return 0;
}

static int check_segments(struct qk_image *image, struct qk_refusal *refusal)
{
    uint64_t end = 0;
    unsigned loads = 0;
    for (unsigned i = 0; i < image->n_segments; i++) {
        const Elf64_Phdr *p = &image->segments[i];
        if (p->p_type == PT_NULL)
            continue;
        if (!is_within(p->p_offset, p->p_filesz, image->size))
            return truncated(refusal, "contents",
                             p->p_filesz <= UINT64_MAX - p->p_offset ? p->p_offset + p->p_filesz : UINT64_MAX,
                             image->size);
        if (p->p_type != PT_LOAD)
            continue;
        loads++;
        int rc = check_load(p, &end, refusal);
        if (rc < 0)
            return rc;
    }
    return loads > 0 ? 0 : damaged(refusal, "it has nothing to load");
}

/* Whether the bytes that segment `p` has in memory are bytes of the file that a PT_LOAD maps to that very place. */
static bool is_loaded(const struct qk_image *image, const Elf64_Phdr *p)
{
    for (unsigned i = 0; i < image->n_segments; i++) {
        const Elf64_Phdr *l = &image->segments[i];
        if (l->p_type == PT_LOAD && p->p_offset >= l->p_offset &&
            p->p_vaddr - l->p_vaddr == p->p_offset - l->p_offset &&
            is_within(p->p_offset - l->p_offset, p->p_filesz, l->p_filesz))
            return true;
    }
    return false;
}

/* The loader walks the dynamic section to its end mark and follows what it names. */
static int check_dynamic(const struct qk_image *image, struct qk_refusal *refusal)
{
    const Elf64_Phdr *dynamic = NULL;
    for (unsigned i = 0; i < image->n_segments; i++) {
        if (image->segments[i].p_type != PT_DYNAMIC)
            continue;
        if (dynamic != NULL)
            return damaged(refusal, "it has two dynamic sections");
        dynamic = &image->segments[i];
    }
    if (dynamic == NULL)
        return qk_refuse(refusal, QK_PLUGIN_NO_OBJECT, "not a shared object: it has no dynamic section");
    if (dynamic->p_vaddr % 8 != 0 || !is_loaded(image, dynamic))
        return damaged(refusal, "its dynamic section is not where it is loaded");
    for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= dynamic->p_filesz; at += sizeof(Elf64_Dyn)) {
        Elf64_Dyn entry;
        memcpy(&entry, image->bytes + dynamic->p_offset + at, sizeof(entry));
        if (entry.d_tag == DT_FLAGS_1 && (entry.d_un.d_val & DF_1_PIE) != 0)
            return qk_refuse(refusal, QK_PLUGIN_NO_OBJECT, "not a shared object but a program");
        if (entry.d_tag == DT_NULL)
            return 0;
    }
    return damaged(refusal, "its dynamic section has no end");
}

int qk_image_check(const uint8_t *bytes, size_t size, struct qk_image *ret_image, struct qk_refusal *refusal)
{
    Elf64_Ehdr header;
    int rc = check_identity(bytes, size, &header, refusal);
    if (rc < 0)
        return rc;
    if (header.e_ehsize != sizeof(Elf64_Ehdr) || header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 ||
        header.e_phnum > QK_IMAGE_SEGMENTS_MAX || header.e_phoff % 8 != 0)
        return damaged(refusal, "its header has an odd size, no segments, or too many of them");
    uint64_t table = (uint64_t)header.e_phnum * sizeof(Elf64_Phdr);
    if (!is_within(header.e_phoff, table, size))
        return truncated(refusal, "segment table",
                         header.e_phoff <= UINT64_MAX - table ? header.e_phoff + table : UINT64_MAX, size);
    rc = check_sections(&header, bytes, size, refusal);
    if (rc < 0)
        return rc;
    ret_image->bytes = bytes;
    ret_image->size = size;
    ret_image->n_segments = header.e_phnum;
    memcpy(ret_image->segments, bytes + header.e_phoff, table);
    rc = check_segments(ret_image, refusal);
    return rc < 0 ? rc : check_dynamic(ret_image, refusal);
}
