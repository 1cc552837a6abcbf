/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which the walls go up. Each step still needs something that a later one takes away: files are opened
 * before Landlock, and the filter of system calls comes last.
 *
 * A build with sanitizers leaves out Landlock, the filters and the bound on memory, since the sanitizers map terabytes,
 * read files and start processes of their own. It says so where it is asked what is missing, and goes inside only where
 * that is good enough.
 */
#include "host/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include "host/filter.h"
#include "host/landlock.h"
#include "host/rights.h"
#include "host/why.h"

#ifndef QK_SANDBOX_SANITIZED
#define QK_SANDBOX_SANITIZED 0
#endif

/* Whether the filters were put together, so that there is something to close. */
static bool filtered;

static void start_why(struct qk_why *why)
{
    if (why->size > 0)
        why->text[0] = 0;
}

/* ---- what is missing */

static const char *landlock_lacking(int version)
{
    switch (version) {
    case -ENOSYS:
        return "the kernel has no Landlock (Linux 5.13, CONFIG_SECURITY_LANDLOCK)";
    case -EOPNOTSUPP:
        return "the kernel was started without Landlock (lsm= on its command line)";
    case -EPERM:
        return "a filter that the process is under refuses landlock_create_ruleset()";
    default:
        return version > 0 ? NULL : "Landlock does not answer";
    }
}

/* Both walls, as far as this kernel goes. `ret_version` is 0 without Landlock. */
static void find_lacking(struct qk_why *why, int *ret_version, bool *ret_filters)
{
    *ret_version = 0;
    *ret_filters = false;
    if (QK_SANDBOX_SANITIZED) {
        qk_why_add(why, "built with sanitizers, which Landlock, seccomp and a bound on memory would break");
        return;
    }
    int version = qk_landlock_version();
    if (landlock_lacking(version) == NULL)
        *ret_version = version;
    else
        qk_why_add(why, landlock_lacking(version));
    char text[QK_SANDBOX_WHY_MAX] = "";
    struct qk_why filters = {text, sizeof(text)};
    qk_filter_lacking(&filters);
    *ret_filters = text[0] == 0;
    if (text[0] != 0)
        qk_why_add(why, text);
}

int qk_sandbox_supported(char *text, size_t size)
{
    struct qk_why why = {text, size};
    int version;
    bool filters;
    start_why(&why);
    find_lacking(&why, &version, &filters);
    return version > 0 && filters ? 0 : -ENOSYS;
}

/* ---- steps */

/* What a thread does that is already there would go on outside. */
static int check_alone(struct qk_why *why)
{
    struct stat st;
    if (stat("/proc/self/task", &st) != 0)
        return qk_why_set(why, -errno, "the threads can't be counted: %s", strerror(errno));
    if (st.st_nlink > 3 && !QK_SANDBOX_SANITIZED)
        return qk_why_set(why, -EBUSY, "the process has %lu threads", (unsigned long)st.st_nlink - 2);
    return 0;
}

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return x < y ? -1 : x > y;
}

static void close_from_to(unsigned first, unsigned last)
{
    if (first > last || close_range(first, last, 0) == 0)
        return;
    long end = sysconf(_SC_OPEN_MAX);
    for (unsigned fd = first; fd <= last && (long)fd < end; fd++)
        close((int)fd);
}

static int fill_standard(const int *keep, size_t n)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return -errno;
    for (int fd = 0; fd <= 2; fd++) {
        if (bsearch(&fd, keep, n, sizeof(*keep), compare_ints) == NULL && fd != null && dup2(null, fd) < 0)
            return -errno;
    }
    if (null > 2)
        close(null);
    return 0;
}

static int close_descriptors(const struct qk_sandbox_spec *spec, struct qk_why *why)
{
    int *keep = malloc((spec->n_keep + 1) * sizeof(*keep));
    if (keep == NULL)
        return qk_why_set(why, -ENOMEM, "no memory");
    if (spec->n_keep > 0)
        memcpy(keep, spec->keep, spec->n_keep * sizeof(*keep));
    qsort(keep, spec->n_keep, sizeof(*keep), compare_ints);
    int rc = 0;
    for (size_t i = 0; i < spec->n_keep && rc == 0; i++) {
        if (fcntl(keep[i], F_GETFD) < 0)
            rc = qk_why_set(why, -errno, "the descriptor %d is not open", keep[i]);
    }
    if (rc == 0 && (rc = fill_standard(keep, spec->n_keep)) < 0)
        (void)qk_why_set(why, rc, "/dev/null can't be opened: %s", strerror(-rc));
    unsigned from = 3;
    for (size_t i = 0; i < spec->n_keep && rc == 0; i++) {
        unsigned fd = (unsigned)keep[i];
        if (fd > from)
            close_from_to(from, fd - 1);
        if (fd >= from)
            from = fd + 1;
    }
    if (rc == 0)
        close_from_to(from, ~0u);
    free(keep);
    return rc;
}

static int tie_to_parent(pid_t parent, struct qk_why *why)
{
    if (parent == 0)
        return 0;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return qk_why_set(why, -errno, "the end of the parent can't be watched: %s", strerror(errno));
    /* It may have died before the call. */
    return getppid() == parent ? 0 : qk_why_set(why, -ESRCH, "the parent is gone");
}

static int handle_violations(void (*handler)(int, siginfo_t *, void *), struct qk_why *why)
{
    struct sigaction action;
    sigset_t own;
    memset(&action, 0, sizeof(action));
    action.sa_flags = SA_ONSTACK | SA_SIGINFO;
    action.sa_sigaction = handler;
    if (handler == NULL) {
        action.sa_flags = 0;
        action.sa_handler = SIG_DFL;
    }
    sigfillset(&action.sa_mask);
    sigemptyset(&own);
    sigaddset(&own, SIGSYS);
    if (sigaction(SIGSYS, &action, NULL) != 0 || sigprocmask(SIG_UNBLOCK, &own, NULL) != 0)
        return qk_why_set(why, -errno, "the signal of violations can't be handled: %s", strerror(errno));
    return 0;
}

int qk_sandbox_enter(const struct qk_sandbox_spec *spec, char *text, size_t size)
{
    struct qk_why why = {text, size};
    int version;
    bool filters;
    start_why(&why);
    find_lacking(&why, &version, &filters);
    if ((version == 0 || !filters) && !spec->best_effort)
        return -ENOSYS;
    umask(077);
    int rc = check_alone(&why);
    if (rc == 0)
        rc = close_descriptors(spec, &why);
    if (rc == 0)
        rc = qk_rights_limit(spec, !QK_SANDBOX_SANITIZED, &why);
    if (rc == 0)
        rc = qk_rights_drop(&why);
    /* After the change of rights, which may undo it. */
    if (rc == 0)
        rc = tie_to_parent(spec->parent, &why);
    if (rc == 0)
        rc = handle_violations(spec->on_violation, &why);
    if (rc == 0 && version > 0)
        rc = qk_landlock_enter(spec, version, &why);
    if (rc == 0 && filters)
        rc = qk_filter_enter(spec, version, &why);
    filtered = filters;
    return rc;
}

/* A filter refuses before the kernel sees that there is no such file. A constructor may have put up one that answers
 * for the kernel when another is to be put up. */
static int check_closed(struct qk_why *why)
{
    if (mmap(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, -1, 0) == MAP_FAILED && errno == EPERM)
        return 0;
    return qk_why_set(why, -EPERM, "the filter of executable memory does not hold");
}

int qk_sandbox_close(char *text, size_t size)
{
    struct qk_why why = {text, size};
    start_why(&why);
    if (!filtered)
        return 0;
    int rc = qk_filter_close(&why);
    return rc == 0 ? check_closed(&why) : rc;
}

const char *qk_sandbox_call_name(int number)
{
    return qk_filter_call_name(number);
}
