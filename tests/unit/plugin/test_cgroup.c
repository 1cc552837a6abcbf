/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Control groups for plugins. What is written where is looked at in a directory that only looks like a group, since not
 * every machine gives its controllers to the unified hierarchy; what the kernel does is tried in a real one, where the
 * test has the rights for that.
 */
#include "plugin/cgroup.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char top[64];
static char why[256];

/* ---- a directory that looks like one */

static void put(const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/%s", top, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static const char *got(const char *name)
{
    static char text[256];
    char path[300];
    snprintf(path, sizeof(path), "%s/%s", top, name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return NULL;
    text[fread(text, 1, sizeof(text) - 1, file)] = 0;
    fclose(file);
    return text;
}

static void make_dir(const char *name)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/%s", top, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void begin(void)
{
    snprintf(top, sizeof(top), "/tmp/quark-cgroup.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    make_dir("silo");
    put("silo/cgroup.procs", "");
    put("cgroup.controllers", "cpuset cpu io memory hugetlb pids\n");
    put("cgroup.subtree_control", "");
}

static void end(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", top);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(test_cgroup_takes_the_group_into_use)
{
    struct qk_cgroups *groups;
    ck_assert_int_eq(qk_cgroups_create_at(top, &groups, why, sizeof(why)), 0);
    ck_assert_str_eq(got("silo/cgroup.procs"), "0");
    ck_assert_ptr_nonnull(strstr(got("cgroup.subtree_control"), "+"));
    ck_assert_uint_eq(qk_cgroups_controllers(groups), QK_CGROUP_MEMORY | QK_CGROUP_CPU | QK_CGROUP_TASKS);
    qk_cgroups_destroy(groups);
}
END_TEST

START_TEST(test_cgroup_uses_what_there_is)
{
    static const struct {
        const char *has;
        unsigned want;
    } cases[] = {{"", 0},
                 {"hugetlb\n", 0},
                 {"cpuset\n", 0},
                 {"pids", QK_CGROUP_TASKS},
                 {"cpuset cpu\n", QK_CGROUP_CPU},
                 {"memory pids\n", QK_CGROUP_MEMORY | QK_CGROUP_TASKS}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct qk_cgroups *groups;
        put("cgroup.controllers", cases[i].has);
        ck_assert_int_eq(qk_cgroups_create_at(top, &groups, why, sizeof(why)), 0);
        ck_assert_uint_eq(qk_cgroups_controllers(groups), cases[i].want);
        qk_cgroups_destroy(groups);
    }
}
END_TEST

START_TEST(test_cgroup_is_refused_with_the_reason)
{
    struct qk_cgroups *groups;
    ck_assert_int_eq(qk_cgroups_create_at("/nowhere", &groups, why, sizeof(why)), -ENOENT);
    ck_assert_str_eq(why, "the control group /nowhere can't be taken into use: No such file or directory");
    char path[100];
    snprintf(path, sizeof(path), "%s/cgroup.subtree_control", top);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(qk_cgroups_create_at(top, &groups, why, sizeof(why)), -ENOENT);
    ck_assert_str_eq(why, "memory can't be bounded in control groups: No such file or directory");
}
END_TEST

START_TEST(test_cgroup_names)
{
    static const char *const bad[] = {"", "a/b", "../x", "a b", "\n"};
    char longest[QK_CGROUP_NAME_MAX + 2];
    struct qk_cgroups *groups;
    struct qk_cgroup *group;
    const struct qk_cgroup_limits none = {0};
    put("cgroup.controllers", "");
    ck_assert_int_eq(qk_cgroups_create_at(top, &groups, why, sizeof(why)), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_int_eq(qk_cgroup_create(groups, bad[i], &none, &group), -EINVAL);
    memset(longest, 'x', sizeof(longest));
    longest[QK_CGROUP_NAME_MAX + 1] = 0;
    ck_assert_int_eq(qk_cgroup_create(groups, longest, &none, &group), -EINVAL);
    ck_assert_int_eq(qk_cgroup_create(groups, longest + 1, &none, &group), 0);
    ck_assert_int_eq(qk_cgroup_remove(group), 0);
    ck_assert_int_eq(qk_cgroup_create(groups, longest + 1, &none, &group), 0);
    ck_assert_int_eq(qk_cgroup_remove(group), 0);
    ck_assert_int_eq(qk_cgroup_remove(NULL), 0);
    qk_cgroups_destroy(groups);
}
END_TEST

/* The kernel fills a new group with its files; here it is one that was left over. */
static void leave_group(const char *processes)
{
    static const char *const files[] = {"memory.max", "memory.swap.max", "memory.oom.group",
                                        "cpu.max",    "pids.max",        "cgroup.kill"};
    make_dir("host-counter.1");
    put("host-counter.1/cgroup.procs", processes);
    put("host-counter.1/memory.current", "1048576\n");
    put("host-counter.1/memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 1\n");
    put("host-counter.1/cpu.stat", "usage_usec 12345\nuser_usec 12000\n");
    put("host-counter.1/pids.current", "7\n");
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char name[100];
        snprintf(name, sizeof(name), "host-counter.1/%s", files[i]);
        put(name, "");
    }
}

START_TEST(test_cgroup_limits)
{
    struct qk_cgroups *groups;
    struct qk_cgroup *group;
    struct qk_cgroup_usage usage;
    leave_group("");
    ck_assert_int_eq(qk_cgroups_create_at(top, &groups, why, sizeof(why)), 0);
    const struct qk_cgroup_limits limits = {.memory_max = 64 << 20, .cpu_percent = 150, .tasks_max = 40};
    ck_assert_int_eq(qk_cgroup_create(groups, "counter.1", &limits, &group), 0);
    ck_assert_str_eq(got("host-counter.1/memory.max"), "67108864");
    ck_assert_str_eq(got("host-counter.1/memory.swap.max"), "0");
    ck_assert_str_eq(got("host-counter.1/memory.oom.group"), "1");
    ck_assert_str_eq(got("host-counter.1/cpu.max"), "150000 100000");
    ck_assert_str_eq(got("host-counter.1/pids.max"), "40");
    ck_assert_int_eq(qk_cgroup_add(group, 4711), 0);
    ck_assert_str_eq(got("host-counter.1/cgroup.procs"), "4711");
    ck_assert_int_eq(qk_cgroup_kill(group), 0);
    ck_assert_str_eq(got("host-counter.1/cgroup.kill"), "1");
    qk_cgroup_usage(group, &usage);
    ck_assert_uint_eq(usage.memory, 1 << 20);
    ck_assert_uint_eq(usage.cpu_us, 12345);
    ck_assert_uint_eq(usage.tasks, 7);
    ck_assert_uint_eq(usage.oom_kills, 2);
    char path[100];
    snprintf(path, sizeof(path), "%s/host-counter.1", top);
    ck_assert_int_eq(access(path, F_OK), 0);
    (void)qk_cgroup_remove(group); /* real files keep it there */
    qk_cgroups_destroy(groups);
}
END_TEST

START_TEST(test_cgroup_without_bounds)
{
    struct qk_cgroups *groups;
    struct qk_cgroup *group;
    leave_group("");
    put("host-counter.1/memory.swap.max", "7");
    ck_assert_int_eq(qk_cgroups_create_at(top, &groups, why, sizeof(why)), 0);
    ck_assert_int_eq(qk_cgroup_create(groups, "counter.1", &(struct qk_cgroup_limits){0}, &group), 0);
    ck_assert_str_eq(got("host-counter.1/memory.max"), "max");
    ck_assert_str_eq(got("host-counter.1/memory.swap.max"), "7");
    ck_assert_str_eq(got("host-counter.1/cpu.max"), "max");
    ck_assert_str_eq(got("host-counter.1/pids.max"), "max");
    (void)qk_cgroup_remove(group);
    qk_cgroups_destroy(groups);
}
END_TEST

/* A limit that can't be set is an error, and nothing is left over; a group with processes is nobody's to take. */
START_TEST(test_cgroup_create_fails_whole)
{
    struct qk_cgroups *groups;
    struct qk_cgroup *group;
    char path[100];
    ck_assert_int_eq(qk_cgroups_create_at(top, &groups, why, sizeof(why)), 0);
    ck_assert_int_eq(qk_cgroup_create(groups, "x", &(struct qk_cgroup_limits){.tasks_max = 1}, &group), -ENOENT);
    snprintf(path, sizeof(path), "%s/host-x", top);
    ck_assert(access(path, F_OK) < 0 && errno == ENOENT);
    leave_group("1\n");
    ck_assert_int_eq(qk_cgroup_create(groups, "counter.1", &(struct qk_cgroup_limits){0}, &group), -EEXIST);
    qk_cgroups_destroy(groups);
}
END_TEST

/* Without a service manager's mark the group belongs to somebody else. */
START_TEST(test_cgroup_leaves_alone_what_is_not_delegated)
{
    struct qk_cgroups *groups;
    ck_assert_int_eq(qk_cgroups_create(&groups, why, sizeof(why)), -ENOTSUP);
    ck_assert(strstr(why, "is not delegated") != NULL || strstr(why, "no control group") != NULL);
}
END_TEST

/* ---- a real one */

/* A group at the top of the unified hierarchy, made by root. */
static bool make_real(void)
{
    static const char *const points[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s/cgroup.controllers", points[i]);
        snprintf(top, sizeof(top), "%s/quark-test-%d", points[i], (int)getpid());
        if (access(path, F_OK) == 0 && mkdir(top, 0755) == 0)
            return true;
    }
    fprintf(stderr, "not all is tested: no real control group can be made here\n");
    return false;
}

/* In a child, which is what moves into the group `silo`. Returns the line of the first mistake. */
static int try_real(void)
{
#define MUST(condition) \
    if (!(condition))   \
    return __LINE__ % 256
    struct qk_cgroups *groups;
    struct qk_cgroup *group;
    int alive[2];
    char byte;
    MUST(qk_cgroups_create_at(top, &groups, why, sizeof(why)) == 0);
    MUST(qk_cgroup_create(groups, "real", &(struct qk_cgroup_limits){.tasks_max = 10}, &group) == 0);
    MUST(pipe(alive) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(alive[0]);
        for (;;)
            pause();
    }
    close(alive[1]);
    MUST(qk_cgroup_add(group, pid) == 0 && qk_cgroup_descriptor(group) >= 0);
    MUST(qk_cgroup_remove(group) == -EBUSY);
    MUST(qk_cgroup_kill(group) == 0 && read(alive[0], &byte, 1) == 0);
    int status;
    MUST(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    MUST(qk_cgroup_remove(group) == 0);
    qk_cgroups_destroy(groups);
    return 0;
}

START_TEST(test_cgroup_real)
{
    char path[100];
    int status;
    if (!make_real())
        return;
    pid_t pid = fork();
    if (pid == 0)
        _exit(try_real());
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    snprintf(path, sizeof(path), "%s/silo", top);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(rmdir(top), 0);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "line %d (modulo 256): %s", WEXITSTATUS(status), why);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cgroup");
    TCase *tcase = tcase_create("looks"), *real = tcase_create("real");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, test_cgroup_takes_the_group_into_use);
    tcase_add_test(tcase, test_cgroup_uses_what_there_is);
    tcase_add_test(tcase, test_cgroup_is_refused_with_the_reason);
    tcase_add_test(tcase, test_cgroup_names);
    tcase_add_test(tcase, test_cgroup_limits);
    tcase_add_test(tcase, test_cgroup_without_bounds);
    tcase_add_test(tcase, test_cgroup_create_fails_whole);
    tcase_add_test(tcase, test_cgroup_leaves_alone_what_is_not_delegated);
    suite_add_tcase(suite, tcase);
    tcase_add_test(real, test_cgroup_real);
    suite_add_tcase(suite, real);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
