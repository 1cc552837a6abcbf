/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The check of a file's bytes: whole files pass, and whatever is cut, spoiled or lying is refused without a crash. */
#include "plugin/note.h"

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fixture.h"
#include "tiny.h"

static struct tiny tiny;
static struct qk_note_info info;
static struct qk_refusal refusal;

static void setup(void)
{
    tiny_init(&tiny);
    refusal.code = NULL;
}

/* From a block of exactly that size, so that a sanitizer sees what reads past it. */
static int read_bytes(const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, bytes, size);
    int rc = qk_note_read(copy, size, &info, &refusal);
    free(copy);
    return rc;
}

static void expect_ok(void)
{
    ck_assert_msg(read_bytes(&tiny, sizeof(tiny)) == 0, "%s", refusal.text);
}

#define expect(code_, words)                                                                                           \
    do {                                                                                                               \
        ck_assert_int_eq(read_bytes(&tiny, sizeof(tiny)), QK_EINVALID);                                                \
        ck_assert_msg(strcmp(refusal.code, code_) == 0 && strstr(refusal.text, words) != NULL, "%s: %s", refusal.code, \
                      refusal.text);                                                                                   \
        setup();                                                                                                       \
    } while (0)

START_TEST(test_note_whole_file_is_read)
{
    expect_ok();
    ck_assert_str_eq(info.name, "tiny");
    ck_assert_str_eq(info.version, "1");
    ck_assert_uint_eq(info.abi_major, 1);
    ck_assert_uint_eq(info.abi_minor, 0);
    tiny.header.e_shoff = 0; /* stripped of its section table */
    tiny.header.e_shnum = 0;
    expect_ok();
}
END_TEST

START_TEST(test_note_cut_anywhere_is_truncated)
{
    for (size_t size = 0; size < sizeof(tiny); size++) {
        ck_assert_int_eq(read_bytes(&tiny, size), QK_EINVALID);
        ck_assert_msg(strcmp(refusal.code, QK_PLUGIN_TRUNCATED) == 0, "%zu: %s: %s", size, refusal.code, refusal.text);
    }
    size_t whole;
    uint8_t *bytes = fixture_read("good", &whole);
    for (size_t size = 0; size < whole; size++) {
        ck_assert_int_eq(qk_note_read(bytes, size, &info, &refusal), QK_EINVALID);
        ck_assert_msg(strcmp(refusal.code, QK_PLUGIN_TRUNCATED) == 0, "%zu: %s: %s", size, refusal.code, refusal.text);
    }
    ck_assert_int_eq(qk_note_read(bytes, whole, &info, &refusal), 0);
    free(bytes);
}
END_TEST

START_TEST(test_note_other_files_are_told_apart)
{
    static const char text[] = "#!/bin/sh\nexit 0\n";
    ck_assert_int_eq(read_bytes(text, sizeof(text)), QK_EINVALID);
    ck_assert_str_eq(refusal.code, QK_PLUGIN_NO_OBJECT);
    tiny.header.e_ident[EI_CLASS] = ELFCLASS32;
    expect(QK_PLUGIN_MACHINE, "32-bit");
    tiny.header.e_ident[EI_DATA] = ELFDATA2MSB;
    expect(QK_PLUGIN_MACHINE, "big-endian");
    tiny.header.e_machine = EM_RISCV;
    expect(QK_PLUGIN_MACHINE, "riscv");
    tiny.header.e_machine = 60000;
    expect(QK_PLUGIN_MACHINE, "unknown");
    tiny.header.e_type = ET_REL;
    expect(QK_PLUGIN_NO_OBJECT, "(.o)");
    tiny.header.e_type = ET_EXEC;
    expect(QK_PLUGIN_NO_OBJECT, "a program");
    tiny.header.e_type = ET_CORE;
    expect(QK_PLUGIN_NO_OBJECT, "core");
    tiny.header.e_type = 0xfe00;
    expect(QK_PLUGIN_NO_OBJECT, "another kind");
    tiny.entries[0] = (Elf64_Dyn){.d_tag = DT_FLAGS_1, .d_un.d_val = DF_1_PIE};
    expect(QK_PLUGIN_NO_OBJECT, "a program");
    tiny.dynamic.p_type = PT_NULL;
    expect(QK_PLUGIN_NO_OBJECT, "dynamic");
    tiny.header.e_ident[EI_OSABI] = ELFOSABI_FREEBSD;
    expect(QK_PLUGIN_DAMAGED, "system");
}
END_TEST

START_TEST(test_note_impossible_headers_are_damaged)
{
    tiny.header.e_phnum = 0;
    expect(QK_PLUGIN_DAMAGED, "segments");
    tiny.header.e_phnum = 129;
    expect(QK_PLUGIN_DAMAGED, "too many");
    tiny.header.e_phentsize = 32;
    expect(QK_PLUGIN_DAMAGED, "odd size");
    tiny.header.e_shentsize = 32;
    expect(QK_PLUGIN_DAMAGED, "section");
    tiny.load.p_type = PT_NULL;
    expect(QK_PLUGIN_DAMAGED, "nothing to load");
    tiny.load.p_memsz = tiny.load.p_filesz - 1;
    expect(QK_PLUGIN_DAMAGED, "larger");
    tiny.load.p_memsz = UINT64_C(5) << 30;
    expect(QK_PLUGIN_DAMAGED, "4 GiB");
    tiny.load.p_align = 4097;
    expect(QK_PLUGIN_DAMAGED, "aligned");
    tiny.load.p_vaddr = 8;
    expect(QK_PLUGIN_DAMAGED, "aligned");
    tiny.notes = tiny.load;
    expect(QK_PLUGIN_DAMAGED, "overlap");
    tiny.notes = tiny.dynamic;
    expect(QK_PLUGIN_DAMAGED, "two dynamic");
    tiny.dynamic.p_vaddr += 8;
    expect(QK_PLUGIN_DAMAGED, "where it is loaded");
    tiny.entries[1].d_tag = DT_DEBUG;
    expect(QK_PLUGIN_DAMAGED, "no end");
}
END_TEST

START_TEST(test_note_spoiled_notes_are_damaged)
{
    tiny.note.type = 2;
    expect(QK_PLUGIN_NO_NOTE, "no Quark note");
    memcpy(tiny.note.owner, "Quarx", 6);
    expect(QK_PLUGIN_NO_NOTE, "no Quark note");
    tiny.notes.p_filesz = 0;
    expect(QK_PLUGIN_NO_NOTE, "no Quark note");
    tiny.notes.p_type = PT_GNU_STACK;
    expect(QK_PLUGIN_NO_NOTE, "no Quark note");
    tiny.note.desc_size++;
    expect(QK_PLUGIN_DAMAGED, "beyond its segment");
    tiny.note.owner_size = UINT32_MAX;
    expect(QK_PLUGIN_DAMAGED, "beyond its segment");
    tiny.note.desc_size = 3;
    tiny.notes.p_filesz = 24;
    expect(QK_PLUGIN_DAMAGED, "3 bytes");
    tiny.note.desc_size = 100;
    tiny.notes.p_filesz = 120;
    expect(QK_PLUGIN_DAMAGED, "100 bytes");
    tiny.notes.p_filesz = 8;
    expect(QK_PLUGIN_DAMAGED, "middle of one");
    tiny.note.flags = 1;
    expect(QK_PLUGIN_DAMAGED, "flags");
    memset(tiny.note.version, 'v', sizeof(tiny.note.version));
    expect(QK_PLUGIN_DAMAGED, "version");
    tiny.note.version[0] = 0;
    expect(QK_PLUGIN_DAMAGED, "version");
    tiny.note.version[0] = '\n';
    expect(QK_PLUGIN_DAMAGED, "version");
}
END_TEST

START_TEST(test_note_two_of_ours_are_refused)
{
    struct {
        struct tiny tiny;
        struct qk_note more;
    } two = {.tiny = tiny, .more = tiny.note};
    two.tiny.dynamic.p_type = PT_DYNAMIC;
    two.tiny.notes.p_offset = offsetof(struct tiny, note);
    two.tiny.header.e_shoff = 0;
    /* The second follows the first where the section stood. */
    memcpy((uint8_t *)&two + offsetof(struct tiny, note) + sizeof(struct qk_note), &tiny.note, sizeof(tiny.note));
    two.tiny.notes.p_filesz = 2 * sizeof(struct qk_note);
    ck_assert_int_eq(read_bytes(&two, sizeof(two)), QK_EINVALID);
    ck_assert_msg(strstr(refusal.text, "two Quark notes") != NULL, "%s", refusal.text);
    /* One of somebody else's before ours is passed over. */
    two.tiny.note.type = 7;
    ck_assert_msg(read_bytes(&two, sizeof(two)) == 0, "%s", refusal.text);
    ck_assert_str_eq(info.name, "tiny");
}
END_TEST

START_TEST(test_note_names_follow_the_rule)
{
    static const char *const bad[] = {"", "1a", "_a", "Abc", "a b", "a/b", "a.b", "\xc3\xa4", "a\n"};
    static const char *const good[] = {"a", "a1", "a-b_c", "abcdefghijklmnopqrstuvwxyz"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(tiny.note.name, 0, sizeof(tiny.note.name));
        memcpy(tiny.note.name, bad[i], strlen(bad[i]));
        expect(QK_PLUGIN_BAD_NAME, "calls itself");
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        setup();
        memcpy(tiny.note.name, good[i], strlen(good[i]) + 1);
        expect_ok();
        ck_assert_str_eq(info.name, good[i]);
    }
    memset(tiny.note.name, 'a', QK_NOTE_NAME_MAX - 1); /* as long as may be */
    tiny.note.name[QK_NOTE_NAME_MAX - 1] = 0;
    expect_ok();
    tiny.note.name[QK_NOTE_NAME_MAX - 1] = 'a';
    expect(QK_PLUGIN_BAD_NAME, "63 at most");
}
END_TEST

START_TEST(test_note_other_interface_is_read_but_not_taken)
{
    tiny.note.abi_major = 2;
    tiny.note.flags = 9;
    expect_ok();
    ck_assert_uint_eq(info.abi_major, 2);
    ck_assert_str_eq(info.name, "tiny");
    ck_assert_int_eq(qk_note_check_abi(info.abi_major, info.abi_minor, &refusal), QK_EINVALID);
    ck_assert_str_eq(refusal.code, QK_PLUGIN_ABI);
    ck_assert_msg(strstr(refusal.text, "2.0, which is newer than this silo's 1.0") != NULL, "%s", refusal.text);
    tiny.note.name[0] = 'X'; /* laid out otherwise: then nothing is said of its name */
    expect_ok();
    ck_assert_str_eq(info.name, "");
    ck_assert_str_eq(info.version, "");
    ck_assert_int_eq(qk_note_check_abi(0, 9, &refusal), QK_EINVALID);
    ck_assert_msg(strstr(refusal.text, "0.9, which is older") != NULL, "%s", refusal.text);
    ck_assert_int_eq(qk_note_check_abi(1, 1, &refusal), QK_EINVALID);
    ck_assert_msg(strstr(refusal.text, "1.1, which is newer") != NULL, "%s", refusal.text);
    ck_assert_int_eq(qk_note_check_abi(1, 0, &refusal), 0);
}
END_TEST

/* Every field of the headers takes every extreme value. */
START_TEST(test_note_extreme_values_never_reach_outside)
{
    static const uint64_t values[] = {0,
                                      1,
                                      7,
                                      0x7f,
                                      0xff,
                                      0x1000,
                                      0x7fffffff,
                                      0xffffffff,
                                      UINT64_MAX,
                                      INT64_MAX,
                                      UINT64_MAX - 7,
                                      UINT64_MAX - 0xfff,
                                      sizeof(struct tiny),
                                      sizeof(struct tiny) - 1};
    static const size_t widths[] = {1, 2, 4, 8};
    unsigned passed = 0;
    for (size_t at = 0; at < sizeof(tiny); at++) {
        for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
            for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]) && at + widths[w] <= sizeof(tiny); w++) {
                struct tiny spoiled = tiny;
                memcpy((uint8_t *)&spoiled + at, &values[v], widths[w]);
                passed += read_bytes(&spoiled, sizeof(spoiled)) == 0;
            }
        }
    }
    ck_assert_uint_gt(passed, 0); /* what no loader looks at */
}
END_TEST

START_TEST(test_note_flipped_bits_never_reach_outside)
{
    size_t size;
    uint8_t *bytes = fixture_read("good", &size);
    Elf64_Ehdr header;
    memcpy(&header, bytes, sizeof(header));
    size_t head = header.e_phoff + header.e_phnum * sizeof(Elf64_Phdr) + 512;
    ck_assert_uint_lt(head, size);
    for (size_t bit = 0; bit < head * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int rc = qk_note_read(bytes, size, &info, &refusal);
        ck_assert(rc == 0 || (rc == QK_EINVALID && refusal.text[0] != 0));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("note");
    TCase *tc = tcase_create("note");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, test_note_whole_file_is_read);
    tcase_add_test(tc, test_note_cut_anywhere_is_truncated);
    tcase_add_test(tc, test_note_other_files_are_told_apart);
    tcase_add_test(tc, test_note_impossible_headers_are_damaged);
    tcase_add_test(tc, test_note_spoiled_notes_are_damaged);
    tcase_add_test(tc, test_note_two_of_ours_are_refused);
    tcase_add_test(tc, test_note_names_follow_the_rule);
    tcase_add_test(tc, test_note_other_interface_is_read_but_not_taken);
    tcase_add_test(tc, test_note_extreme_values_never_reach_outside);
    tcase_add_test(tc, test_note_flipped_bits_never_reach_outside);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
