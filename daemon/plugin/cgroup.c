/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Control groups, version 2: directories that are made, and small files that are written to. */
#include "plugin/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define FILE_MAX  4096
#define PERIOD_US 100000u /* over which a share of a processor is reckoned */

struct qk_cgroups {
    int dir;
    unsigned controllers;
};

struct qk_cgroup {
    struct qk_cgroups *groups;
    int dir;
    char name[QK_CGROUP_NAME_MAX + 8];
};

static const struct {
    const char *name;
    unsigned bit;
} controllers[] = {{"memory", QK_CGROUP_MEMORY}, {"cpu", QK_CGROUP_CPU}, {"pids", QK_CGROUP_TASKS}};
#define N_CONTROLLERS (sizeof(controllers) / sizeof(controllers[0]))

static __attribute__((format(printf, 4, 5))) int refuse(char *why, size_t size, int rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, size, format, args);
    va_end(args);
    return rc;
}

/* ---- files */

static int write_file(int dir, const char *name, const char *text)
{
    int file = openat(dir, name, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    ssize_t n = write(file, text, strlen(text));
    int rc = n < 0 ? -errno : 0;
    close(file);
    return rc;
}

/* The beginning of a file, with a zero at its end. */
static int read_file(int dir, const char *name, char text[static FILE_MAX])
{
    int file = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    size_t used = 0;
    ssize_t n = 0;
    while (used < FILE_MAX - 1 && (n = read(file, text + used, FILE_MAX - 1 - used)) > 0)
        used += (size_t)n;
    int rc = n < 0 ? -errno : 0;
    close(file);
    text[used] = 0;
    return rc;
}

/* The number behind `key` at the beginning of a line, or the first one where the key is empty; 0 when it isn't there.
 */
static uint64_t read_number(int dir, const char *name, const char *key)
{
    char text[FILE_MAX];
    size_t n = strlen(key);
    if (read_file(dir, name, text) < 0)
        return 0;
    for (char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, n) == 0 && (n == 0 || line[n] == ' '))
            return strtoull(line + n, NULL, 10);
    }
    return 0;
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        if ((at == text || at[-1] == ' ') && (at[n] == 0 || at[n] == ' ' || at[n] == '\n'))
            return true;
    }
    return false;
}

/* ---- the delegated group */

/* Where the unified hierarchy is mounted, and which part of it. Of "36 35 98:0 /ROOT /POINT rw - cgroup2 none rw". */
static int find_mount(char root[static PATH_MAX], char point[static PATH_MAX])
{
    char *line = NULL;
    size_t size = 0;
    int rc = -ENOTSUP;
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (mounts == NULL)
        return -errno;
    while (rc != 0 && getline(&line, &size, mounts) > 0) {
        if (strstr(line, " - cgroup2 ") != NULL && strlen(line) < PATH_MAX &&
            sscanf(line, "%*s %*s %*s %s %s", root, point) == 2)
            rc = 0;
    }
    free(line);
    fclose(mounts);
    return rc;
}

/* The daemon's own group: of "0::/system.slice/quarkd.service". */
static int find_own(char path[static PATH_MAX])
{
    char root[PATH_MAX], point[PATH_MAX], text[FILE_MAX];
    int rc = find_mount(root, point);
    if (rc == 0)
        rc = read_file(AT_FDCWD, "/proc/self/cgroup", text);
    if (rc < 0)
        return rc;
    char *own = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (own == NULL)
        return -ENOTSUP;
    own = strchr(own, '/');
    if (own == NULL)
        return -ENOTSUP;
    own[strcspn(own, "\n")] = 0;
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(own, root, n) != 0 || (own[n] != 0 && own[n] != '/'))
        return -ENOTSUP;
    return snprintf(path, PATH_MAX, "%s%s", point, own + n) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* The service manager's mark: without it the group is somebody else's to arrange. */
static bool is_delegated(const char *path)
{
    static const char *const marks[] = {"user.delegate", "trusted.delegate"};
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        char value = 0;
        if (getxattr(path, marks[i], &value, 1) == 1 && value == '1')
            return true;
    }
    return false;
}

int qk_cgroups_create(struct qk_cgroups **ret_groups, char *why, size_t size)
{
    char path[PATH_MAX];
    int rc = find_own(path);
    if (rc < 0)
        return refuse(why, size, rc, "this process is in no control group of the unified hierarchy");
    if (!is_delegated(path))
        return refuse(why, size, -ENOTSUP, "the control group %s is not delegated (Delegate= of the unit)", path);
    return qk_cgroups_create_at(path, ret_groups, why, size);
}

/* Turns on those controllers that this group has. */
static int turn_on(struct qk_cgroups *groups, char *why, size_t size)
{
    char has[FILE_MAX], want[32];
    int rc = read_file(groups->dir, "cgroup.controllers", has);
    if (rc < 0)
        return refuse(why, size, rc, "the control group can't be read: %s", strerror(-rc));
    for (size_t i = 0; i < N_CONTROLLERS; i++) {
        if (!has_word(has, controllers[i].name))
            continue;
        snprintf(want, sizeof(want), "+%s", controllers[i].name);
        rc = write_file(groups->dir, "cgroup.subtree_control", want);
        if (rc < 0)
            return refuse(why, size, rc, "%s can't be bounded in control groups: %s", controllers[i].name,
                          strerror(-rc));
        groups->controllers |= controllers[i].bit;
    }
    return 0;
}

int qk_cgroups_create_at(const char *path, struct qk_cgroups **ret_groups, char *why, size_t size)
{
    struct qk_cgroups *groups = calloc(1, sizeof(*groups));
    if (groups == NULL)
        return refuse(why, size, -ENOMEM, "no memory");
    groups->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = groups->dir < 0 ? -errno : 0;
    if (rc == 0 && mkdirat(groups->dir, "silo", 0755) != 0 && errno != EEXIST)
        rc = -errno;
    if (rc == 0)
        rc = write_file(groups->dir, "silo/cgroup.procs", "0");
    if (rc < 0)
        (void)refuse(why, size, rc, "the control group %s can't be taken into use: %s%s", path, strerror(-rc),
                     rc == -EROFS ? " (ProtectControlGroups= of the unit)" : "");
    else
        rc = turn_on(groups, why, size);
    if (rc < 0)
        qk_cgroups_destroy(groups);
    else
        *ret_groups = groups;
    return rc;
}

void qk_cgroups_destroy(struct qk_cgroups *groups)
{
    if (groups == NULL)
        return;
    if (groups->dir >= 0)
        close(groups->dir);
    free(groups);
}

unsigned qk_cgroups_controllers(const struct qk_cgroups *groups)
{
    return groups->controllers;
}

/* ---- one group */

static void release(struct qk_cgroup *group)
{
    if (group->dir >= 0)
        close(group->dir);
    free(group);
}

static bool is_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
    return n > 0 && n <= QK_CGROUP_NAME_MAX && name[n] == 0;
}

static int write_bound(const struct qk_cgroup *group, const char *file, uint64_t bound)
{
    char text[32] = "max";
    if (bound > 0)
        snprintf(text, sizeof(text), "%" PRIu64, bound);
    return write_file(group->dir, file, text);
}

static int bound_memory(const struct qk_cgroup *group, uint64_t bytes)
{
    int rc = write_bound(group, "memory.max", bytes);
    if (rc < 0 || bytes == 0)
        return rc;
    /* Not by way of the swap either; where there is none the file may be missing. All of a host dies, or none. */
    rc = write_file(group->dir, "memory.swap.max", "0");
    if (rc == 0 || rc == -ENOENT)
        rc = write_file(group->dir, "memory.oom.group", "1");
    return rc == -ENOENT ? 0 : rc;
}

static int bound_cpu(const struct qk_cgroup *group, uint32_t percent)
{
    char text[64];
    if (percent == 0)
        return write_file(group->dir, "cpu.max", "max");
    snprintf(text, sizeof(text), "%" PRIu64 " %u", (uint64_t)percent * (PERIOD_US / 100), PERIOD_US);
    return write_file(group->dir, "cpu.max", text);
}

int qk_cgroup_limit(struct qk_cgroup *group, const struct qk_cgroup_limits *limits)
{
    int rc = 0;
    if ((group->groups->controllers & QK_CGROUP_MEMORY) != 0)
        rc = bound_memory(group, limits->memory_max);
    if (rc == 0 && (group->groups->controllers & QK_CGROUP_CPU) != 0)
        rc = bound_cpu(group, limits->cpu_percent);
    if (rc == 0 && (group->groups->controllers & QK_CGROUP_TASKS) != 0)
        rc = write_bound(group, "pids.max", limits->tasks_max);
    return rc;
}

/* Makes the directory, or takes over an empty one of a daemon that was before us. */
static int make_directory(struct qk_cgroup *group)
{
    char processes[FILE_MAX];
    bool made = mkdirat(group->groups->dir, group->name, 0755) == 0;
    if (!made && errno != EEXIST)
        return -errno;
    group->dir = openat(group->groups->dir, group->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group->dir < 0)
        return -errno;
    int rc = made ? 0 : read_file(group->dir, "cgroup.procs", processes);
    return rc == 0 && !made && processes[0] != 0 ? -EEXIST : rc;
}

int qk_cgroup_create(struct qk_cgroups *groups, const char *name, const struct qk_cgroup_limits *limits,
                     struct qk_cgroup **ret_group)
{
    if (!is_name(name))
        return -EINVAL;
    struct qk_cgroup *group = calloc(1, sizeof(*group));
    if (group == NULL)
        return -ENOMEM;
    group->groups = groups;
    group->dir = -1;
    snprintf(group->name, sizeof(group->name), "host-%s", name);
    int rc = make_directory(group);
    if (rc < 0) {
        release(group);
        return rc;
    }
    rc = qk_cgroup_limit(group, limits);
    if (rc < 0)
        (void)qk_cgroup_remove(group);
    else
        *ret_group = group;
    return rc;
}

int qk_cgroup_descriptor(const struct qk_cgroup *group)
{
    return group->dir;
}

int qk_cgroup_add(struct qk_cgroup *group, pid_t pid)
{
    char text[32];
    snprintf(text, sizeof(text), "%d", (int)pid);
    return write_file(group->dir, "cgroup.procs", text);
}

void qk_cgroup_usage(const struct qk_cgroup *group, struct qk_cgroup_usage *ret_usage)
{
    *ret_usage = (struct qk_cgroup_usage){
        .memory = read_number(group->dir, "memory.current", ""),
        .cpu_us = read_number(group->dir, "cpu.stat", "usage_usec"),
        .tasks = read_number(group->dir, "pids.current", ""),
        .oom_kills = read_number(group->dir, "memory.events", "oom_kill"),
    };
}

int qk_cgroup_kill(struct qk_cgroup *group)
{
    return write_file(group->dir, "cgroup.kill", "1");
}

int qk_cgroup_remove(struct qk_cgroup *group)
{
    if (group == NULL)
        return 0;
    if (unlinkat(group->groups->dir, group->name, AT_REMOVEDIR) != 0 && errno == EBUSY)
        return -EBUSY;
    release(group);
    return 0;
}
