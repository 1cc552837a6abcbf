/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scans and events: order, files that come, change, go and are being written, directories that come and go. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "base/limits.h"
#include "fixture.h"

static struct fixture fixture;
static struct fixture *const f = &fixture;

static void setup(void)
{
    static const char *const dirs[] = {"", "late/deep", NULL};
    fixture_init(f, dirs);
    fixture_scan(f, 0, 0); /* from here on changes are seen */
}

static void teardown(void)
{
    fixture_finish(f);
}

static void count(void *arg, const struct qk_plugin_info *info)
{
    (void)info;
    ++*(unsigned *)arg;
}

static unsigned listed(void)
{
    unsigned n = 0;
    qk_plugins_visit(f->set, count, &n);
    return n;
}

static void expect_loaded(const char *name, const char *code)
{
    struct qk_plugin_info info;
    ck_assert(fixture_find(f, name, &info));
    ck_assert_int_eq(info.state, QK_PLUGIN_LOADED);
    ck_assert_str_eq(info.code, code);
    ck_assert_int_eq(info.reason[0] == 0, code[0] == 0);
    ck_assert_ptr_nonnull(info.plugin);
}

START_TEST(test_scan_file_moved_in_is_loaded)
{
    ck_assert(!qk_plugins_take_events(f->set));
    fixture_put(f, "good", "x.so");
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 1, 0);
    expect_loaded("x.so", "");
    fixture_scan(f, 0, 0);
    ck_assert(!qk_plugins_take_events(f->set));
}
END_TEST

START_TEST(test_scan_file_being_written_is_left)
{
    size_t size;
    uint8_t *bytes = fixture_read("good", &size);
    int fd = open(fixture_path(f, "x.so"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    qk_plugins_take_events(f->set);
    fixture_scan(f, 0, 0); /* made, and still empty */
    ck_assert_uint_eq(listed(), 0);
    ck_assert_int_eq(write(fd, bytes, size / 2), (ssize_t)(size / 2));
    ck_assert(!qk_plugins_take_events(f->set));
    fixture_scan(f, 0, 0);
    ck_assert_int_eq(write(fd, bytes + size / 2, size - size / 2), (ssize_t)(size - size / 2));
    ck_assert_int_eq(close(fd), 0);
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 1, 0);
    free(bytes);
}
END_TEST

START_TEST(test_scan_empty_file_that_was_closed_is_refused)
{
    fixture_write(f, "x.so", "", 0);
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 0, 1);
    fixture_expect_refused(f, "x.so", "QK0304", "empty");
}
END_TEST

START_TEST(test_scan_other_names_are_ignored)
{
    static const char *const names[] = {".x.so", "x.so.tmp", "#x.so", "~x.so", "x", ".so", "x.so.dpkg-new", "a\nb.so"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        fixture_write(f, names[i], "?", 1);
    ck_assert(!qk_plugins_take_events(f->set));
    fixture_scan(f, 0, 0);
    ck_assert_uint_eq(listed(), 0);
}
END_TEST

START_TEST(test_scan_refused_file_is_tried_again_when_it_changes)
{
    fixture_write(f, "x.so", "?", 1);
    fixture_scan(f, 0, 1);
    fixture_scan(f, 0, 0);
    ck_assert_uint_eq(fixture_logged("QK0301"), 1);
    fixture_put(f, "good", "x.so");
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 1, 0);
    expect_loaded("x.so", "");
}
END_TEST

START_TEST(test_scan_refused_file_that_goes_is_forgotten)
{
    fixture_write(f, "x.so", "?", 1);
    fixture_scan(f, 0, 1);
    qk_plugins_take_events(f->set);
    ck_assert_int_eq(unlink(fixture_path(f, "x.so")), 0);
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 0, 0);
    ck_assert_uint_eq(listed(), 0);
}
END_TEST

START_TEST(test_scan_loaded_plugin_stays_when_its_file_changes_or_goes)
{
    fixture_put(f, "good", "x.so");
    fixture_scan(f, 1, 0);
    fixture_put(f, "other", "x.so");
    fixture_scan(f, 0, 0);
    expect_loaded("x.so", "QK0316");
    ck_assert_uint_eq(fixture_logged("QK0316"), 1);
    ck_assert_ptr_null(qk_plugins_find_type(f->set, "other"));
    fixture_put(f, "good", "x.so"); /* the same bytes in another file */
    fixture_scan(f, 0, 0);
    expect_loaded("x.so", "");
    ck_assert_int_eq(chmod(fixture_path(f, "x.so"), 0666), 0);
    fixture_scan(f, 0, 0);
    expect_loaded("x.so", "QK0308");
    ck_assert_int_eq(rename(fixture_path(f, "x.so"), fixture_path(f, "away")), 0);
    fixture_scan(f, 0, 0);
    expect_loaded("x.so", "QK0317");
    fixture_scan(f, 0, 0);
    ck_assert_uint_eq(fixture_logged("QK0317"), 1);
    ck_assert_int_eq(rename(fixture_path(f, "away"), fixture_path(f, "x.so")), 0);
    ck_assert_int_eq(chmod(fixture_path(f, "x.so"), 0644), 0);
    fixture_scan(f, 0, 0);
    expect_loaded("x.so", "");
    ck_assert_ptr_nonnull(qk_plugins_find_type(f->set, "tally"));
}
END_TEST

START_TEST(test_scan_order_is_that_of_directories_then_names)
{
    ck_assert_int_eq(mkdir(fixture_path(f, "late"), 0755), 0);
    ck_assert_int_eq(mkdir(fixture_path(f, "late/deep"), 0755), 0);
    fixture_put(f, "rival", "late/deep/a.so");
    fixture_put(f, "good", "z.so");
    fixture_scan(f, 1, 1);
    expect_loaded("z.so", "");
    fixture_expect_refused(f, "late/deep/a.so", "QK0307", "from plugin tally");
}
END_TEST

START_TEST(test_scan_directory_that_comes_later_is_watched)
{
    ck_assert_int_eq(mkdir(fixture_path(f, "late"), 0755), 0);
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 0, 0);
    ck_assert_int_eq(mkdir(fixture_path(f, "late/deep"), 0755), 0);
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 0, 0);
    fixture_put(f, "good", "late/deep/x.so");
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 1, 0);
    expect_loaded("late/deep/x.so", "");
}
END_TEST

START_TEST(test_scan_directory_moved_in_with_its_files_is_read)
{
    ck_assert_int_eq(mkdir(fixture_path(f, "made"), 0755), 0);
    ck_assert_int_eq(mkdir(fixture_path(f, "made/deep"), 0755), 0);
    fixture_put(f, "good", "made/deep/x.so");
    ck_assert(!qk_plugins_take_events(f->set));
    ck_assert_int_eq(rename(fixture_path(f, "made"), fixture_path(f, "late")), 0);
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 1, 0);
    /* Away again: the plugin stays, and the name is waited for once more. */
    ck_assert_int_eq(rename(fixture_path(f, "late/deep"), fixture_path(f, "late/gone")), 0);
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 0, 0);
    expect_loaded("late/deep/x.so", "QK0317");
    ck_assert_int_eq(mkdir(fixture_path(f, "late/deep"), 0755), 0);
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 0, 0);
    fixture_put(f, "other", "late/deep/y.so");
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 1, 0);
}
END_TEST

START_TEST(test_scan_directory_by_two_names_is_read_once)
{
    ck_assert_int_eq(mkdir(fixture_path(f, "late"), 0755), 0);
    ck_assert_int_eq(symlink("..", fixture_path(f, "late/deep")), 0);
    fixture_put(f, "good", "x.so");
    fixture_scan(f, 1, 0);
    ck_assert_uint_eq(listed(), 1);
}
END_TEST

START_TEST(test_scan_lost_events_end_in_a_full_look)
{
    unsigned queue;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    ck_assert_int_eq(fscanf(file, "%u", &queue), 1);
    fclose(file);
    for (unsigned i = 0; i <= queue; i++)
        fixture_write(f, i % 2 == 0 ? "a.txt" : "b.txt", "", 0);
    fixture_put(f, "good", "x.so"); /* of this nothing is heard */
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 1, 0);
    fixture_put(f, "other", "y.so");
    ck_assert(fixture_await_events(f));
    fixture_scan(f, 1, 0);
}
END_TEST

START_TEST(test_scan_number_of_files_has_a_limit)
{
    char name[32];
    for (unsigned i = 0; i < QK_PLUGINS_MAX; i++) {
        snprintf(name, sizeof(name), "x%04u.so", i);
        fixture_write(f, name, "?", 1);
    }
    fixture_scan(f, 0, QK_PLUGINS_MAX);
    ck_assert_uint_eq(fixture_logged("QK0311"), 0);
    fixture_put(f, "good", "y.so");
    fixture_scan(f, 0, 1);
    ck_assert_uint_eq(fixture_logged("QK0311"), 1);
    fixture_scan(f, 0, 1);
    ck_assert_uint_eq(fixture_logged("QK0311"), 0);
    ck_assert_uint_eq(listed(), QK_PLUGINS_MAX);
    ck_assert_int_eq(unlink(fixture_path(f, "x0000.so")), 0);
    fixture_scan(f, 1, 0);
    expect_loaded("y.so", "");
}
END_TEST

/* Without a watch files are found all the same, when somebody asks. */
START_TEST(test_scan_works_without_a_watch)
{
    struct rlimit limit, none;
    struct qk_plugins_changes changes;
    const char *dirs[] = {f->dir, fixture_path(f, "late"), NULL};
    struct qk_plugins_config config = {.runtime = f->rt, .dirs = dirs, .wall_ms = fixture_wall_ms};
    qk_plugins_destroy(f->set);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    int rc = qk_plugins_create(&config, &f->set);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(qk_plugins_watch_fd(f->set), -1);
    ck_assert(!qk_plugins_take_events(f->set));
    fixture_put(f, "good", "x.so");
    ck_assert_int_eq(qk_plugins_scan(f->set, &changes), 0);
    ck_assert_uint_eq(changes.loaded, 1);
}
END_TEST

/* A directory that can't be read takes nothing away that was known of it, and keeps nothing else from being read. */
START_TEST(test_scan_unreadable_directory_is_an_error_of_its_own)
{
    struct rlimit limit, none;
    struct qk_plugins_changes changes;
    fixture_write(f, "x.so", "?", 1);
    fixture_scan(f, 0, 1);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    int rc = qk_plugins_scan(f->set, &changes);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(rc, -EMFILE);
    ck_assert_uint_eq(listed(), 1);
    fixture_scan(f, 0, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scan");
    TCase *tc = tcase_create("scan");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_scan_file_moved_in_is_loaded);
    tcase_add_test(tc, test_scan_file_being_written_is_left);
    tcase_add_test(tc, test_scan_empty_file_that_was_closed_is_refused);
    tcase_add_test(tc, test_scan_other_names_are_ignored);
    tcase_add_test(tc, test_scan_refused_file_is_tried_again_when_it_changes);
    tcase_add_test(tc, test_scan_refused_file_that_goes_is_forgotten);
    tcase_add_test(tc, test_scan_loaded_plugin_stays_when_its_file_changes_or_goes);
    tcase_add_test(tc, test_scan_order_is_that_of_directories_then_names);
    tcase_add_test(tc, test_scan_directory_that_comes_later_is_watched);
    tcase_add_test(tc, test_scan_directory_moved_in_with_its_files_is_read);
    tcase_add_test(tc, test_scan_directory_by_two_names_is_read_once);
    tcase_add_test(tc, test_scan_lost_events_end_in_a_full_look);
    tcase_add_test(tc, test_scan_number_of_files_has_a_limit);
    tcase_add_test(tc, test_scan_works_without_a_watch);
    tcase_add_test(tc, test_scan_unreadable_directory_is_an_error_of_its_own);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
