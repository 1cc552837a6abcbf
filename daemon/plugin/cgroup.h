/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A control group for each process of a plugin, below the one that the service manager has delegated to the daemon
 * (Delegate= in the unit; only the unified hierarchy, version 2). Where there is none the daemon goes on with the
 * limits that each process has by itself, which bound less and count otherwise.
 *
 * The kernel wants processes in leaves only: taking the delegated group into use moves the daemon into a group `silo`
 * below it, beside which the groups of plugins stand. The control thread only.
 */
#ifndef QK_PLUGIN_CGROUP_H
#define QK_PLUGIN_CGROUP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define QK_CGROUP_NAME_MAX 128

/* What the kernel can bound here. */
enum qk_cgroup_controller {
    QK_CGROUP_MEMORY = 1 << 0,
    QK_CGROUP_CPU = 1 << 1,
    QK_CGROUP_TASKS = 1 << 2,
};

struct qk_cgroup_limits {
    uint64_t memory_max;  /* bytes, all that its processes cause, files in memory as well; past it they are killed */
    uint32_t cpu_percent; /* of one processor: 250 is two and a half */
    uint32_t tasks_max;   /* threads and processes */
};                        /* 0: no bound */

struct qk_cgroup_usage {
    uint64_t memory;    /* bytes */
    uint64_t cpu_us;    /* since the group was made */
    uint64_t tasks;     /* threads and processes */
    uint64_t oom_kills; /* processes that were killed for want of memory */
};                      /* 0 where the controller is not there */

struct qk_cgroups;
struct qk_cgroup;

/*
 * Takes the group that the daemon is in into use, when it was delegated. 0; or, with the reason in `why`, -ENOTSUP when
 * there is no unified hierarchy or no delegation, else a -errno. After an error other than -ENOTSUP the daemon may be
 * in the group `silo` already, which does no harm.
 */
int qk_cgroups_create(struct qk_cgroups **ret_groups, char *why, size_t why_size);

/* The same for the group whose directory is `path`, delegated or not. */
int qk_cgroups_create_at(const char *path, struct qk_cgroups **ret_groups, char *why, size_t why_size);

/* Groups that were made stay, and have to be removed before. NULL is fine. */
void qk_cgroups_destroy(struct qk_cgroups *groups);

/* Of enum qk_cgroup_controller: what limits will hold. The others are ignored where they are set. */
unsigned qk_cgroups_controllers(const struct qk_cgroups *groups);

/* Makes an empty group, `host-NAME`. 0; -EINVAL when the name has other characters than letters, digits, `.`, `-` and
 * `_` or is too long; -EEXIST; else a -errno. */
int qk_cgroup_create(struct qk_cgroups *groups, const char *name, const struct qk_cgroup_limits *limits,
                     struct qk_cgroup **ret_group);

/* Puts other limits in force, for the processes that are in it as well. 0 or -errno. */
int qk_cgroup_limit(struct qk_cgroup *group, const struct qk_cgroup_limits *limits);

/* The directory, for clone3() with CLONE_INTO_CGROUP. It stays the group's. */
int qk_cgroup_descriptor(const struct qk_cgroup *group);

/* Moves a process into it, with all its threads and children to come. 0 or -errno. */
int qk_cgroup_add(struct qk_cgroup *group, pid_t pid);

void qk_cgroup_usage(const struct qk_cgroup *group, struct qk_cgroup_usage *ret_usage);

/* Kills all that is in it, at once. Does not wait. 0, or -ENOENT before Linux 5.14, or -errno. */
int qk_cgroup_kill(struct qk_cgroup *group);

/* Takes the group away and frees it. -EBUSY when processes are in it, or dead ones that nobody has waited for: it is
 * still there then. NULL is fine. */
int qk_cgroup_remove(struct qk_cgroup *group);

#endif
