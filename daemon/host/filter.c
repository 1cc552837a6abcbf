/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filters of system calls. There are three, and the kernel obeys the strictest that answers:
 *
 *     calls      by number: what is allowed, what is refused and how, and that the rest ends the process. A call that
 *                is newer than the table is one that the kernel does not know.
 *     arguments  allows everything but the uses of allowed calls that are not meant
 *     closing    the same, put in force when the plugin is loaded
 *
 * The kernel remembers calls that every filter allows whatever their arguments are, and asks no filter for those.
 */
#include "host/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <unistd.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include "host/calls.h"

#define REFUSE SCMP_ACT_ERRNO(EPERM)
#define END    SCMP_ACT_TRAP

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

static scmp_filter_ctx closing;
static const char *names[QK_CALLS_MAX];

/* Conditions on the argument of that number, from 0 on. */
static struct scmp_arg_cmp is(unsigned arg, uint64_t value)
{
    return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value};
}

static struct scmp_arg_cmp is_not(unsigned arg, uint64_t value)
{
    return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_NE, .datum_a = value};
}

static struct scmp_arg_cmp is_masked(unsigned arg, uint64_t mask, uint64_t value)
{
    return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

/* Adds one rule after the other and keeps the first error. */
struct builder {
    scmp_filter_ctx filter;
    int rc;
};

static void add(struct builder *b, uint32_t action, int call)
{
    if (b->rc == 0)
        b->rc = seccomp_rule_add(b->filter, action, call, 0);
}

static void add_if(struct builder *b, uint32_t action, int call, struct scmp_arg_cmp arg)
{
    if (b->rc == 0)
        b->rc = seccomp_rule_add(b->filter, action, call, 1, arg);
}

static void add_if_both(struct builder *b, uint32_t action, int call, struct scmp_arg_cmp one, struct scmp_arg_cmp two)
{
    if (b->rc == 0)
        b->rc = seccomp_rule_add(b->filter, action, call, 2, one, two);
}

static struct builder begin(uint32_t otherwise)
{
    struct builder b = {.filter = seccomp_init(otherwise)};
    if (b.filter == NULL) {
        b.rc = -ENOMEM;
        return b;
    }
    /* The 32-bit tables of the same processor number their calls differently. */
    b.rc = seccomp_attr_set(b.filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (b.rc == 0)
        b.rc = seccomp_attr_set(b.filter, SCMP_FLTATR_CTL_NNP, 0);
    if (b.rc == 0)
        b.rc = seccomp_attr_set(b.filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (b.rc == 0)
        b.rc = seccomp_attr_set(b.filter, SCMP_FLTATR_API_SYSRAWRC, 1);
    return b;
}

/* ---- by number */

static void add_number(struct builder *b, const struct qk_sandbox_spec *spec, int call)
{
    switch (qk_call_class(call)) {
    case QK_CALL_NEVER:
        add(b, END, call);
        break;
    case QK_CALL_PLAIN:
        add(b, SCMP_ACT_ALLOW, call);
        break;
    case QK_CALL_NETWORK:
        add(b, spec->network ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EACCES), call);
        break;
    case QK_CALL_REFUSED:
        add(b, REFUSE, call);
        break;
    case QK_CALL_CHOSEN:
    case QK_CALL_UNKNOWN: /* as the filter answers anyway */
        break;
    }
}

static void choose(struct builder *b, int call, unsigned arg, const uint64_t *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add_if(b, SCMP_ACT_ALLOW, call, is(arg, values[i]));
}

/* None of these sets whom a descriptor sends signals to, nor a lease, for which others would have to wait. */
static const uint64_t fcntls[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,     F_GETFL,      F_SETFL,    F_GETLK,
                                  F_SETLK, F_SETLKW,        F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_GET_SEALS};

static const uint64_t ioctls[] = {FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, TCGETS, TIOCGWINSZ};

static const uint64_t prctls[] = {PR_SET_NAME,       PR_GET_NAME,      PR_SET_VMA,          PR_GET_PDEATHSIG,
                                  PR_GET_DUMPABLE,   PR_GET_SECCOMP,   PR_GET_NO_NEW_PRIVS, PR_CAPBSET_READ,
                                  PR_SET_TIMERSLACK, PR_GET_TIMERSLACK};

static bool has_devices(const struct qk_sandbox_spec *spec)
{
    for (size_t i = 0; i < spec->n_paths; i++) {
        if ((spec->paths[i].access & QK_SANDBOX_DEVICE) != 0)
            return true;
    }
    return false;
}

static void choose_sockets(struct builder *b, const struct qk_sandbox_spec *spec)
{
    static const uint64_t domains[] = {AF_INET, AF_INET6};
    static const uint64_t protocols[] = {0, 6, 17}; /* the usual one, TCP, UDP */
    if (!spec->network)
        add(b, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket));
    for (size_t i = 0; spec->network && i < 2; i++) {
        for (size_t k = 0; k < 3; k++)
            add_if_both(b, SCMP_ACT_ALLOW, SCMP_SYS(socket), is(0, domains[i]), is(2, protocols[k]));
    }
}

static struct builder build_calls(const struct qk_sandbox_spec *spec, int landlock_version)
{
    struct builder b = begin(SCMP_ACT_ERRNO(ENOSYS));
    for (int call = 0; call < QK_CALLS_MAX; call++) {
        /* From version 3 on Landlock looks at the path. */
        if (call == SCMP_SYS(truncate) && landlock_version >= 3)
            add(&b, SCMP_ACT_ALLOW, call);
        else if (names[call] != NULL)
            add_number(&b, spec, call);
    }
    choose(&b, SCMP_SYS(fcntl), 1, fcntls, sizeof(fcntls) / sizeof(fcntls[0]));
    choose(&b, SCMP_SYS(prctl), 0, prctls, sizeof(prctls) / sizeof(prctls[0]));
    add_if(&b, SCMP_ACT_ALLOW, SCMP_SYS(seccomp), is(0, SECCOMP_SET_MODE_FILTER));
    if (has_devices(spec))
        add(&b, SCMP_ACT_ALLOW, SCMP_SYS(ioctl));
    else
        choose(&b, SCMP_SYS(ioctl), 1, ioctls, sizeof(ioctls) / sizeof(ioctls[0]));
    choose_sockets(&b, spec);
    return b;
}

/* ---- by argument */

/* Nobody but this process gets signals from here, nor limits, nor a place to run. */
static void refuse_others(struct builder *b)
{
    uint64_t self = (uint64_t)getpid();
    add_if(b, END, SCMP_SYS(kill), is_not(0, self));
    add_if(b, END, SCMP_SYS(tgkill), is_not(0, self));
    add_if(b, END, SCMP_SYS(rt_sigqueueinfo), is_not(0, self));
    add_if(b, END, SCMP_SYS(rt_tgsigqueueinfo), is_not(0, self));
    add_if(b, REFUSE, SCMP_SYS(prlimit64), is_not(0, 0));
    add_if(b, REFUSE, SCMP_SYS(sched_setaffinity), is_not(0, 0));
    /* A thread yes, a process no. */
    add_if(b, END, SCMP_SYS(clone), is_masked(0, CLONE_THREAD, 0));
    /* Whoever could handle this signal could go on after a violation. */
    add_if(b, REFUSE, SCMP_SYS(rt_sigaction), is_masked(0, UINT32_MAX, SIGSYS));
}

/* Before the plugin is loaded memory may be executable when it comes from a file and nobody can write to it. Shared
 * memory without a file is counted by no limit of the process. */
static void refuse_memory(struct builder *b)
{
    const uint64_t both = PROT_WRITE | PROT_EXEC, shared = MAP_SHARED | MAP_ANONYMOUS;
    add_if(b, REFUSE, SCMP_SYS(mmap), is_masked(2, both, both));
    add_if_both(b, REFUSE, SCMP_SYS(mmap), is_masked(2, PROT_EXEC, PROT_EXEC),
                is_masked(3, MAP_ANONYMOUS, MAP_ANONYMOUS));
    add_if(b, REFUSE, SCMP_SYS(mmap), is_masked(3, shared, shared));
    add_if(b, REFUSE, SCMP_SYS(mprotect), is_masked(2, PROT_EXEC, PROT_EXEC));
}

/* What a terminal or a socket would do to others than its user. */
static void refuse_ioctls(struct builder *b)
{
    static const uint64_t bad[] = {TIOCSTI, TIOCLINUX, TIOCSCTTY, TIOCSPGRP, FIOSETOWN, SIOCSPGRP, FIOASYNC};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        add_if(b, REFUSE, SCMP_SYS(ioctl), is_masked(1, UINT32_MAX, bad[i]));
}

static struct builder build_arguments(const struct qk_sandbox_spec *spec)
{
    struct builder b = begin(SCMP_ACT_ALLOW);
    refuse_others(&b);
    refuse_memory(&b);
    if (has_devices(spec))
        refuse_ioctls(&b);
    return b;
}

static struct builder build_closing(void)
{
    struct builder b = begin(SCMP_ACT_ALLOW);
    add_if(&b, REFUSE, SCMP_SYS(mmap), is_masked(2, PROT_EXEC, PROT_EXEC));
    add(&b, REFUSE, SCMP_SYS(seccomp));
    return b;
}

/* ---- in force */

static int load(struct builder *b, const char *which, struct qk_why *why)
{
    int rc = b->rc != 0 ? b->rc : seccomp_load(b->filter);
    seccomp_release(b->filter);
    return rc == 0 ? 0 : qk_why_set(why, rc, "the filter of %s can't be put in force: %s", which, strerror(-rc));
}

int qk_filter_enter(const struct qk_sandbox_spec *spec, int landlock_version, struct qk_why *why)
{
    for (int call = 0; call < QK_CALLS_MAX; call++) {
        if (names[call] == NULL)
            names[call] = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), call);
    }
    struct builder last = build_closing();
    if (last.rc != 0)
        return load(&last, "executable memory", why);
    closing = last.filter;
    struct builder arguments = build_arguments(spec);
    int rc = load(&arguments, "arguments", why);
    if (rc < 0)
        return rc;
    struct builder calls = build_calls(spec, landlock_version);
    return load(&calls, "system calls", why);
}

int qk_filter_close(struct qk_why *why)
{
    if (closing == NULL)
        return qk_why_set(why, -EINVAL, "the process has not entered the sandbox");
    struct builder b = {.filter = closing};
    closing = NULL;
    return load(&b, "executable memory", why);
}

const char *qk_filter_call_name(int number)
{
    return number >= 0 && number < QK_CALLS_MAX ? names[number] : NULL;
}

void qk_filter_lacking(struct qk_why *why)
{
    uint32_t actions[] = {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO};
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &actions[i]) == 0)
            continue;
        qk_why_add(why, errno == EPERM ? "a filter that the process is under refuses seccomp()"
                                       : "the kernel has no seccomp filters that end a process (Linux 4.14)");
        return;
    }
    /* A kernel that knows the flag goes on to the filter, which isn't there. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL) != 0 && errno != EFAULT)
        qk_why_add(why, "the kernel's seccomp filters don't cover all threads (Linux 3.17)");
}
