/* SPDX-License-Identifier: GPL-3.0-or-later */
/* quarkctl new: names, what is replaced, what is never overwritten. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ctl/ctl.h"
#include "fake.h"

static char dir[] = "/tmp/quark-new-XXXXXX";
static char templates[64], path[256];

static void write_file(const char *name, const char *text)
{
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void expect_file(const char *name, const char *text)
{
    char buf[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s", path);
    buf[fread(buf, 1, sizeof(buf) - 1, file)] = '\0';
    fclose(file);
    ck_assert_str_eq(buf, text);
}

static void make_dir(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void setup(void)
{
    fake_setup();
    strcpy(dir, "/tmp/quark-new-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    make_dir("t");
    make_dir("t/counter");
    make_dir("t/counter/src");
    write_file("t/counter/@NAME@.txt.in", "@NAME@ @name@ @Name@ @NAME_UPPER@ @SDK_VERSION@ @OUTDIR@ @ @@NAME@\n");
    write_file("t/counter/src/test_@name@.c.in", "int x;\n");
    snprintf(templates, sizeof(templates), "%s/t", dir);
    setenv("QUARK_TEMPLATES", templates, 1);
    ck_assert_int_eq(chdir(dir), 0);
}

static void teardown(void)
{
    char command[128];
    ck_assert_int_eq(chdir("/"), 0);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(test_new_writes_a_project)
{
    expect_run(0, "",
               "wrote 2 files to my-game2_room. Next:\n"
               "  cd my-game2_room && meson setup build && meson compile -C build && meson test -C build\n",
               "new", "my-game2_room");
    expect_file("my-game2_room/my-game2_room.txt",
                "my-game2_room my_game2_room MyGame2Room MY_GAME2_ROOM " QUARK_VERSION " @OUTDIR@ @ @my-game2_room\n");
    expect_file("my-game2_room/src/test_my_game2_room.c", "int x;\n");
}
END_TEST

START_TEST(test_new_overwrites_nothing)
{
    make_dir("taken");
    write_file("taken/file", "mine\n");
    expect_run(2, "",
               "error[QK0443]: `taken` is there already\n"
               "     = help: take another name, or another directory with --dir\n",
               "new", "taken");
    expect_file("taken/file", "mine\n");
    make_dir("empty");
    expect_run(0, "", NULL, "new", "taken", "--dir", "empty");
    expect_file("empty/src/test_taken.c", "int x;\n");
    expect_run(0, "", NULL, "new", "taken", "--dir", "a/b/c");
    expect_file("a/b/c/src/test_taken.c", "int x;\n");
    write_file("plain", "");
    expect_run(1, "", NULL, "new", "taken", "--dir", "plain/a");
    expect_run(2, "", NULL, "new", "taken", "--dir", "plain");
    expect_run(2, "", NULL, "new", "taken", "--dir", "");
}
END_TEST

START_TEST(test_new_names)
{
    static const char *const bad[] = {"",    "9a",  "A",     "a--b", "a_-b", "a-",       "a_",        "-a",
                                      "a b", "a/b", "quark", "test", "all",  "\xc3\xa4", "scan-build"};
    char longest[65];
    memset(longest, 'a', 64);
    longest[64] = '\0';
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_run(2, "", NULL, "new", "--dir", "x", "--", bad[i]);
    expect_run(2, "", NULL, "new", longest);
    longest[63] = '\0';
    expect_run(0, "", NULL, "new", longest);
    expect_run(0, "", NULL, "new", "a1-b2");
}
END_TEST

START_TEST(test_new_templates)
{
    char err[300];
    snprintf(
        err, sizeof(err),
        "error[QK0442]: there is no template `stream` in %s\n     = help: the templates are another, counter, zoo\n",
        templates);
    make_dir("t/zoo");
    make_dir("t/another");
    expect_run(5, "", err, "new", "a", "--template", "stream");
    expect_run(5, "", NULL, "new", "a", "--template", "../t/counter");
    expect_run(5, "", NULL, "new", "a", "--template", "..");
    setenv("QUARK_TEMPLATES", "/nonexistent", 1);
    expect_run(5, "",
               "error[QK0442]: there is no template `counter` in /nonexistent\n"
               "     = help: install the SDK (package quark-sdk), or name the directory of the templates in "
               "$QUARK_TEMPLATES\n",
               "new", "a");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("new");
    TCase *tc = tcase_create("new");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_new_writes_a_project);
    tcase_add_test(tc, test_new_overwrites_nothing);
    tcase_add_test(tc, test_new_names);
    tcase_add_test(tc, test_new_templates);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
