/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of the kernel's own and the rights of root, for one process. */
#include "host/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* Lowers a limit for good. What it is already below stays. */
static int lower(int resource, const char *name, rlim_t bound, struct qk_why *why)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0)
        return qk_why_set(why, -errno, "the limit of %s can't be read: %s", name, strerror(errno));
    if (limit.rlim_max == RLIM_INFINITY || bound < limit.rlim_max)
        limit.rlim_max = bound;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit((__rlimit_resource_t)resource, &limit) != 0)
        return qk_why_set(why, -errno, "the limit of %s can't be set to %" PRIu64 ": %s", name,
                          (uint64_t)limit.rlim_max, strerror(errno));
    return 0;
}

/* Bytes of private memory that are mapped, as the kernel counts them for RLIMIT_DATA. */
static int mapped_now(uint64_t *ret_bytes)
{
    char text[128];
    unsigned long data;
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    ssize_t n = read(file, text, sizeof(text) - 1);
    close(file);
    text[n > 0 ? n : 0] = 0;
    if (sscanf(text, "%*u %*u %*u %*u %*u %lu", &data) != 1)
        return -EIO;
    *ret_bytes = (uint64_t)data * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

static int bound_memory_to(uint64_t more, struct qk_why *why)
{
    uint64_t now = 0;
    int rc = mapped_now(&now);
    if (rc < 0)
        return qk_why_set(why, rc, "the memory in use can't be read: %s", strerror(-rc));
    return lower(RLIMIT_DATA, "memory", now + more, why);
}

int qk_rights_limit(const struct qk_sandbox_spec *spec, bool bound_memory, struct qk_why *why)
{
    /* The memory of actors is nobody's to find on a disk, and a dump would hold up the news of the death. One byte: a
     * limit of 0 does not keep the kernel from feeding a program that collects dumps, this does. */
    int rc = lower(RLIMIT_CORE, "core dumps", 1, why);
    if (rc == 0)
        rc = lower(RLIMIT_MSGQUEUE, "message queues", 0, why);
    if (rc == 0)
        rc = lower(RLIMIT_NICE, "priorities", 0, why);
    if (rc == 0)
        rc = lower(RLIMIT_RTPRIO, "real-time priorities", 0, why);
    if (rc == 0 && spec->files_max > 0)
        rc = lower(RLIMIT_NOFILE, "open files", spec->files_max, why);
    if (rc == 0 && spec->tasks_max > 0)
        rc = lower(RLIMIT_NPROC, "threads", spec->tasks_max, why);
    /* Whoever started us may have stepped back further already. */
    if (rc == 0 && getpriority(PRIO_PROCESS, 0) < spec->nice && setpriority(PRIO_PROCESS, 0, spec->nice) != 0)
        rc = qk_why_set(why, -errno, "the priority can't be lowered to %d: %s", spec->nice, strerror(errno));
    if (rc == 0 && bound_memory && spec->memory_max > 0)
        rc = bound_memory_to(spec->memory_max, why);
    return rc;
}

static int drop_bounding_set(void)
{
    for (unsigned long capability = 0;; capability++) {
        int has = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
        if (has < 0)
            return 0; /* past the last one */
        if (has > 0 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM)
            return -errno;
    }
}

/* Not asked for where there is nothing to drop: a service's own filter may refuse the very question. */
static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct has[2] = {{0}, {0}}, none[2] = {{0}, {0}};
    if (syscall(SYS_capget, &header, has) != 0)
        return -errno;
    if (memcmp(has, none, sizeof(has)) == 0)
        return 0;
    return syscall(SYS_capset, &header, none) == 0 ? 0 : -errno;
}

/* Who has no capability can't drop from the bounding set either; no_new_privs makes both sets worthless. */
int qk_rights_drop(struct qk_why *why)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return qk_why_set(why, -errno, "no_new_privs can't be set: %s", strerror(errno));
    if (getgroups(0, NULL) > 0 && setgroups(0, NULL) != 0 && errno != EPERM)
        return qk_why_set(why, -errno, "supplementary groups can't be given up: %s", strerror(errno));
    int rc = drop_bounding_set();
    if (rc == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
        rc = -errno;
    if (rc == 0)
        rc = drop_capabilities();
    return rc == 0 ? 0 : qk_why_set(why, rc, "capabilities can't be given up: %s", strerror(-rc));
}
