/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walls around a plugin: what the process of a host gives up before the plugin's first instruction runs, and what
 * it gives up once the plugin is loaded.
 *
 *     qk_sandbox_enter(&spec, ...)      one thread, before dlopen(): constructors are the plugin's code already
 *     dlopen() and all else that maps code
 *     qk_sandbox_close(...)             from here on no memory becomes executable
 *     threads are started, turns run
 *
 * There is no way back out of either. docs/isolation.md says what a plugin is left with.
 */
#ifndef QK_HOST_SANDBOX_H
#define QK_HOST_SANDBOX_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define QK_SANDBOX_WHY_MAX 512 /* bytes that hold each reason whole */

/* What may be done with a path, and with all below it when it is a directory. */
enum qk_sandbox_access {
    QK_SANDBOX_READ = 1 << 0,     /* open for reading, list */
    QK_SANDBOX_WRITE = 1 << 1,    /* open for writing, truncate, create, rename, remove; not: make sockets or devices */
    QK_SANDBOX_DEVICE = 1 << 2,   /* ioctl() on the device files there */
    QK_SANDBOX_OPTIONAL = 1 << 3, /* it need not be there; it is then not granted when it appears later either */
};

struct qk_sandbox_path {
    const char *path; /* absolute */
    unsigned access;  /* of enum qk_sandbox_access */
};

/*
 * What is granted. All zero is the tightest that the C library can live with: it may read the shared libraries, the
 * locales and the time zones of the system, and no other file.
 */
struct qk_sandbox_spec {
    /* Descriptors that stay open. Of 0, 1 and 2 those that are not named become /dev/null, all others are closed. How
     * a descriptor was opened protects nothing: a process may open it anew, through /proc/self/fd, with other rights.
     * Seals do. */
    const int *keep;
    size_t n_keep;
    const struct qk_sandbox_path *paths;
    size_t n_paths;
    bool network;        /* sockets of IPv4 and IPv6; those of the local machine's own (AF_UNIX) never */
    uint64_t memory_max; /* bytes of private memory, reserved memory counts, above what is mapped now; 0: no bound */
    uint32_t files_max;  /* descriptors open at once; 0: no bound of its own */
    uint32_t tasks_max;  /* threads and processes of this user at once; does not bind root; 0: no bound of its own */
    int nice;            /* 0 to 19: how far it steps back where processors are scarce */
    pid_t parent;        /* who must still be the parent, whose end is ours too; 0: nobody */
    bool best_effort;    /* go on without the protections that qk_sandbox_supported() misses */
    /*
     * Gets the SIGSYS of a system call that no plugin needs, on the alternate stack: info->si_syscall says which, and
     * qk_sandbox_call_name() its name. It must end the process, and the plugin can't replace it. NULL: the process
     * just ends.
     */
    void (*on_violation)(int signal, siginfo_t *info, void *context);
};

/* Whether this kernel, and a filter that the process may already be under, lets us build all of the walls: 0, or
 * -ENOSYS with what is missing in `why`, one after the other. Changes nothing. Any thread. */
int qk_sandbox_supported(char *why, size_t why_size);

/*
 * Goes inside. The process must have one thread; threads that it starts later are inside as well. What `spec` points to
 * is not needed afterwards. Warm before what reads files or maps code when it is first used: backtrace(), iconv().
 * 0, with what is missing in `why` where `best_effort` puts up with it; or an error with its reason in `why`: -ENOSYS
 * when a protection is missing and `best_effort` is not set; -EBUSY when there are other threads; -ESRCH when the
 * parent is gone; else the -errno of the step that `why` names. After an error the process may be half inside, and has
 * to end.
 */
int qk_sandbox_enter(const struct qk_sandbox_spec *spec, char *why, size_t why_size);

/* No more executable memory and no more filters, for all threads. 0, or a -errno with its reason; the process has to
 * end then. After qk_sandbox_enter(), whose `best_effort` holds here too. */
int qk_sandbox_close(char *why, size_t why_size);

/* The name of a system call of this machine, after qk_sandbox_enter(); NULL when it has none. For a signal handler. */
const char *qk_sandbox_call_name(int number);

#endif
