/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of system calls, by what a plugin would do with them. What stands nowhere here is never needed, unless it
 * is newer than the table. Numbers that this machine lacks are negative and match nothing.
 */
#include "host/calls.h"

#include <seccomp.h>

#define CALL(name) SCMP_SYS(name)

/* futex_waitv(), the last call that this table knows of, and the same number everywhere. Libraries try newer ones. */
#define NEWEST 449

/* What works on the process itself, on what it has open, or on paths that Landlock looks at. */
static const int plain[] = {
    /* descriptors */
    CALL(read), CALL(readv), CALL(pread64), CALL(preadv), CALL(preadv2), CALL(write), CALL(writev), CALL(pwrite64),
    CALL(pwritev), CALL(pwritev2), CALL(lseek), CALL(close), CALL(close_range), CALL(dup), CALL(dup2), CALL(dup3),
    CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6), CALL(epoll_create), CALL(epoll_create1), CALL(epoll_ctl),
    CALL(epoll_wait), CALL(epoll_pwait), CALL(epoll_pwait2), CALL(eventfd), CALL(eventfd2), CALL(pipe), CALL(pipe2),
    CALL(timerfd_create), CALL(timerfd_settime), CALL(timerfd_gettime), CALL(signalfd), CALL(signalfd4), CALL(flock),
    CALL(ftruncate), CALL(fallocate), CALL(fsync), CALL(fdatasync), CALL(sync_file_range), CALL(fadvise64),
    CALL(readahead),
    /* paths */
    CALL(open), CALL(openat), CALL(openat2), CALL(creat), CALL(stat), CALL(fstat), CALL(lstat), CALL(newfstatat),
    CALL(statx), CALL(statfs), CALL(fstatfs), CALL(access), CALL(faccessat), CALL(faccessat2), CALL(readlink),
    CALL(readlinkat), CALL(getcwd), CALL(chdir), CALL(fchdir), CALL(getdents), CALL(getdents64), CALL(mkdir),
    CALL(mkdirat), CALL(rmdir), CALL(unlink), CALL(unlinkat), CALL(rename), CALL(renameat), CALL(renameat2), CALL(link),
    CALL(linkat), CALL(symlink), CALL(symlinkat), CALL(mknod), CALL(mknodat), CALL(umask),
    /* memory */
    CALL(brk), CALL(mmap), CALL(munmap), CALL(mremap), CALL(mprotect), CALL(madvise), CALL(mincore), CALL(msync),
    CALL(mlock), CALL(mlock2), CALL(munlock), CALL(munlockall), CALL(membarrier),
    /* threads and signals */
    CALL(clone), CALL(futex), CALL(futex_waitv), CALL(set_robust_list), CALL(set_tid_address), CALL(rseq),
    CALL(sched_yield), CALL(sched_getaffinity), CALL(sched_setaffinity), CALL(sched_getparam), CALL(sched_getscheduler),
    CALL(sched_getattr), CALL(sched_rr_get_interval), CALL(sched_get_priority_max), CALL(sched_get_priority_min),
    CALL(getpriority), CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(rt_sigpending),
    CALL(rt_sigsuspend), CALL(rt_sigtimedwait), CALL(rt_sigqueueinfo), CALL(rt_tgsigqueueinfo), CALL(sigaltstack),
    CALL(kill), CALL(tgkill), CALL(restart_syscall), CALL(pause), CALL(exit), CALL(exit_group), CALL(wait4),
    CALL(waitid), CALL(arch_prctl),
    /* time */
    CALL(nanosleep), CALL(clock_nanosleep), CALL(clock_gettime), CALL(clock_getres), CALL(gettimeofday), CALL(time),
    CALL(times), CALL(alarm), CALL(setitimer), CALL(getitimer), CALL(timer_create), CALL(timer_settime),
    CALL(timer_gettime), CALL(timer_getoverrun), CALL(timer_delete),
    /* who and where we are */
    CALL(getpid), CALL(gettid), CALL(getppid), CALL(getpgrp), CALL(getpgid), CALL(getsid), CALL(getuid), CALL(geteuid),
    CALL(getgid), CALL(getegid), CALL(getresuid), CALL(getresgid), CALL(getgroups), CALL(capget), CALL(getrlimit),
    CALL(setrlimit), CALL(prlimit64), CALL(getrusage), CALL(sysinfo), CALL(uname), CALL(getcpu), CALL(getrandom)};

static const int chosen[] = {CALL(fcntl), CALL(ioctl), CALL(prctl), CALL(seccomp), CALL(socket)};

static const int network[] = {CALL(connect),    CALL(bind),        CALL(listen),      CALL(accept),
                              CALL(accept4),    CALL(getsockname), CALL(getpeername), CALL(getsockopt),
                              CALL(setsockopt), CALL(shutdown),    CALL(sendto),      CALL(recvfrom),
                              CALL(sendmsg),    CALL(recvmsg),     CALL(sendmmsg),    CALL(recvmmsg)};

static const int refused[] = {
    /* Modes, owners, times and attributes, which Landlock does not look at: the files of the daemon belong to the same
     * user. */
    CALL(chmod), CALL(fchmod), CALL(fchmodat), CALL(chown), CALL(fchown), CALL(lchown), CALL(fchownat), CALL(utime),
    CALL(utimes), CALL(futimesat), CALL(utimensat), CALL(truncate), CALL(setxattr), CALL(lsetxattr), CALL(fsetxattr),
    CALL(getxattr), CALL(lgetxattr), CALL(fgetxattr), CALL(listxattr), CALL(llistxattr), CALL(flistxattr),
    CALL(removexattr), CALL(lremovexattr), CALL(fremovexattr), CALL(sync), CALL(syncfs), CALL(inotify_init),
    CALL(inotify_init1), CALL(inotify_add_watch), CALL(inotify_rm_watch),
    /* another user, another session */
    CALL(setuid), CALL(setgid), CALL(setreuid), CALL(setregid), CALL(setresuid), CALL(setresgid), CALL(setgroups),
    CALL(setfsuid), CALL(setfsgid), CALL(capset), CALL(setpgid), CALL(setsid), CALL(personality),
    /* more of the machine than its share */
    CALL(setpriority), CALL(ioprio_set), CALL(ioprio_get), CALL(sched_setscheduler), CALL(sched_setparam),
    CALL(sched_setattr), CALL(mlockall), CALL(get_robust_list), CALL(syslog), CALL(adjtimex), CALL(clock_adjtime),
    /* memory that no limit counts, descriptors that travel */
    CALL(memfd_create), CALL(socketpair), CALL(landlock_create_ruleset), CALL(landlock_add_rule),
    CALL(landlock_restrict_self)};

/* Where a library has another way on kernels that are older, or built without it. */
static const int unknown[] = {CALL(clone3),          CALL(io_uring_setup),
                              CALL(io_uring_enter),  CALL(io_uring_register),
                              CALL(io_setup),        CALL(io_submit),
                              CALL(io_getevents),    CALL(io_pgetevents),
                              CALL(io_cancel),       CALL(io_destroy),
                              CALL(copy_file_range), CALL(sendfile),
                              CALL(splice),          CALL(tee),
                              CALL(vmsplice),        CALL(mbind),
                              CALL(set_mempolicy),   CALL(get_mempolicy),
                              CALL(migrate_pages),   CALL(move_pages),
                              CALL(userfaultfd),     CALL(remap_file_pages),
                              CALL(pkey_mprotect),   CALL(pkey_alloc),
                              CALL(pkey_free),       CALL(shmget),
                              CALL(shmat),           CALL(shmctl),
                              CALL(shmdt),           CALL(semget),
                              CALL(semop),           CALL(semctl),
                              CALL(semtimedop),      CALL(msgget),
                              CALL(msgsnd),          CALL(msgrcv),
                              CALL(msgctl),          CALL(mq_open),
                              CALL(mq_unlink),       CALL(mq_timedsend),
                              CALL(mq_timedreceive), CALL(mq_notify),
                              CALL(mq_getsetattr)};

static const struct {
    const int *numbers;
    size_t n;
    enum qk_call_class class;
} lists[] = {
    {plain, sizeof(plain) / sizeof(plain[0]), QK_CALL_PLAIN},
    {chosen, sizeof(chosen) / sizeof(chosen[0]), QK_CALL_CHOSEN},
    {network, sizeof(network) / sizeof(network[0]), QK_CALL_NETWORK},
    {refused, sizeof(refused) / sizeof(refused[0]), QK_CALL_REFUSED},
    {unknown, sizeof(unknown) / sizeof(unknown[0]), QK_CALL_UNKNOWN},
};

enum qk_call_class qk_call_class(int number)
{
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (size_t k = 0; k < lists[i].n; k++) {
            if (lists[i].numbers[k] == number)
                return lists[i].class;
        }
    }
    return number > NEWEST ? QK_CALL_UNKNOWN : QK_CALL_NEVER;
}
