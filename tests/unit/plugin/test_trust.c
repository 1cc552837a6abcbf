/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Owners, modes and kinds of files: what is refused says the command that mends it, and mending it is enough. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include "base/limits.h"
#include "fixture.h"
#include "plugin/file.h"

static struct fixture fixture;
static struct fixture *const f = &fixture;

static void setup(void)
{
    static const char *const dirs[] = {"", NULL};
    fixture_init(f, dirs);
    fixture_scan(f, 0, 0); /* from here on changes are seen */
}

static void teardown(void)
{
    fixture_finish(f);
}

static const char *path_in(const char *format, const char *name)
{
    static char text[FIXTURE_PATH_MAX * 2];
    snprintf(text, sizeof(text), format, fixture_path(f, name));
    return text;
}

START_TEST(test_trust_writable_file_is_refused_until_mended)
{
    static const mode_t modes[] = {0664, 0646, 0666, 0777, 02775};
    fixture_put(f, "good", "x.so");
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        ck_assert_int_eq(chmod(fixture_path(f, "x.so"), modes[i]), 0);
        ck_assert(fixture_await_events(f));
        fixture_scan(f, 0, 1);
        fixture_expect_refused(f, "x.so", "QK0308", path_in("chmod go-w '%s'", "x.so"));
    }
    ck_assert_ptr_null(getenv("QUARK_TEST_RAN"));
    ck_assert_int_eq(chmod(fixture_path(f, "x.so"), 0755), 0);
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 1, 0);
}
END_TEST

START_TEST(test_trust_writable_directory_is_refused_until_mended)
{
    fixture_put(f, "good", "x.so");
    ck_assert_int_eq(chmod(f->dir, 0777), 0);
    fixture_scan(f, 0, 1);
    fixture_expect_refused(f, "x.so", "QK0308",
                           "its directory may be written to by others (mode 0777): chmod go-w '/tmp/");
    fixture_scan(f, 0, 0);
    ck_assert_int_eq(chmod(f->dir, 0755), 0);
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 1, 0);
}
END_TEST

/* Without being root nobody can give a file away: the check is asked about owners that stand in a struct. */
START_TEST(test_trust_owner_is_root_or_the_user)
{
    struct qk_refusal refusal;
    struct stat st = {.st_mode = S_IFREG | 0644, .st_uid = 0};
    ck_assert_int_eq(qk_file_check_trust(&st, "/p/x.so", 77, &refusal), 0);
    st.st_uid = 77;
    ck_assert_int_eq(qk_file_check_trust(&st, "/p/x.so", 77, &refusal), 0);
    st.st_uid = 78;
    ck_assert_int_eq(qk_file_check_trust(&st, "/p/x.so", 77, &refusal), QK_EINVALID);
    ck_assert_str_eq(refusal.code, "QK0309");
    ck_assert_str_eq(refusal.text, "the file belongs to user 78, who is neither root nor the user of quarkd: chown "
                                   "root:root '/p/x.so'");
    st.st_mode = S_IFDIR | 0755;
    ck_assert_int_eq(qk_file_check_trust(&st, "/p", 77, &refusal), QK_EINVALID);
    ck_assert_ptr_nonnull(strstr(refusal.text, "its directory belongs to user 78"));
}
END_TEST

/* The bits that let group and others write, alone and together, and none of the rest. */
START_TEST(test_trust_modes)
{
    for (mode_t mode = 0; mode <= 07777; mode++) {
        struct qk_refusal refusal;
        struct stat st = {.st_mode = S_IFREG | mode};
        ck_assert_int_eq(qk_file_check_trust(&st, "/x.so", 0, &refusal), (mode & 022) != 0 ? QK_EINVALID : 0);
    }
}
END_TEST

START_TEST(test_trust_other_kinds_of_files_are_refused)
{
    fixture_put(f, "good", "real");
    ck_assert_int_eq(symlink(fixture_path(f, "real"), fixture_path(f, "link.so")), 0);
    ck_assert_int_eq(symlink("nowhere", fixture_path(f, "dangling.so")), 0);
    ck_assert_int_eq(mkdir(fixture_path(f, "dir.so"), 0755), 0);
    ck_assert_int_eq(mkfifo(fixture_path(f, "pipe.so"), 0644), 0);
    fixture_scan(f, 0, 4);
    fixture_expect_refused(f, "link.so", "QK0318", "symbolic link");
    fixture_expect_refused(f, "dangling.so", "QK0318", "symbolic link");
    fixture_expect_refused(f, "dir.so", "QK0318", "directory");
    fixture_expect_refused(f, "pipe.so", "QK0318", "pipe");
}
END_TEST

START_TEST(test_trust_size_has_a_limit)
{
    fixture_write(f, "x.so", "", 0);
    ck_assert_int_eq(truncate(fixture_path(f, "x.so"), (off_t)QK_PLUGIN_FILE_MAX + 1), 0);
    fixture_scan(f, 0, 1);
    fixture_expect_refused(f, "x.so", "QK0310", "268435457 bytes");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trust");
    TCase *tc = tcase_create("trust");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_trust_writable_file_is_refused_until_mended);
    tcase_add_test(tc, test_trust_writable_directory_is_refused_until_mended);
    tcase_add_test(tc, test_trust_owner_is_root_or_the_user);
    tcase_add_test(tc, test_trust_modes);
    tcase_add_test(tc, test_trust_other_kinds_of_files_are_refused);
    tcase_add_test(tc, test_trust_size_has_a_limit);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
