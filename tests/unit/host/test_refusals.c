/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a plugin may not do. Each attempt is made by children: outside as a control, after entering, after closing, and
 * in a thread; and has one way to end.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include "child.h"

#define CALL_RESULT(call) ((call) < 0 ? errno : 0)

/* ---- files */

static int open_secret(void)
{
    return CALL_RESULT(open(secret, O_RDONLY));
}

static int openat2_secret(void)
{
    struct {
        uint64_t flags, mode, resolve;
    } how = {O_RDONLY, 0, 0};
    return CALL_RESULT(syscall(SYS_openat2, AT_FDCWD, secret, &how, sizeof(how)));
}

/* A link that leads out of what is granted. */
static int open_through_link(void)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/link", granted);
    unlink(path);
    if (symlink(secret, path) != 0)
        return 121;
    return CALL_RESULT(open(path, O_RDONLY));
}

static int open_by_dots(void)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/../secret", granted);
    return CALL_RESULT(open(path, O_RDONLY));
}

static int link_secret(void)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/hard", granted);
    unlink(path);
    return CALL_RESULT(link(secret, path));
}

static int list_home(void)
{
    return opendir(home) == NULL ? errno : 0;
}

static int create_file(void)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/new", home);
    return CALL_RESULT(open(path, O_WRONLY | O_CREAT, 0600));
}

static int create_nameless(void)
{
    return CALL_RESULT(open(home, O_TMPFILE | O_RDWR, 0600));
}

static int rename_secret(void)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/other", home);
    int rc = CALL_RESULT(rename(secret, path));
    if (rc == 0)
        (void)rename(path, secret);
    return rc;
}

static int truncate_secret(void)
{
    return CALL_RESULT(truncate(secret, 7));
}

static int chmod_secret(void)
{
    return CALL_RESULT(chmod(secret, 0644));
}

static int touch_secret(void)
{
    return CALL_RESULT(utimensat(AT_FDCWD, secret, NULL, 0));
}

static int mkfifo_outside(void)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/fifo", home);
    int rc = CALL_RESULT(mkfifo(path, 0600));
    if (rc == 0)
        unlink(path);
    return rc;
}

static int write_own_memory(void)
{
    return CALL_RESULT(open("/proc/self/mem", O_RDWR));
}

static int read_own_memory(void)
{
    return CALL_RESULT(open("/proc/thread-self/mem", O_RDONLY));
}

static int open_victims_memory(void)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)victim);
    return CALL_RESULT(open(path, O_RDONLY));
}

static int list_processes(void)
{
    return opendir("/proc") == NULL ? errno : 0;
}

static int watch_files(void)
{
    return CALL_RESULT(syscall(SYS_inotify_init1, 0));
}

/* Changing the root of the file system would make nonsense of every path. */
static int change_root(void)
{
    return CALL_RESULT(chroot(home));
}

/* ---- network */

static int socket_inet(void)
{
    return CALL_RESULT(socket(AF_INET, SOCK_STREAM, 0));
}

static int socket_udp(void)
{
    return CALL_RESULT(socket(AF_INET6, SOCK_DGRAM, 0));
}

static int socket_unix(void)
{
    return CALL_RESULT(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int socket_netlink(void)
{
    return CALL_RESULT(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int socket_pair(void)
{
    int pair[2];
    return CALL_RESULT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

/* ---- other processes */

static int trace_victim(void)
{
    return CALL_RESULT(ptrace(PTRACE_SEIZE, victim, NULL, NULL));
}

static int signal_victim(void)
{
    return CALL_RESULT(kill(victim, SIGURG));
}

static int signal_victims_thread(void)
{
    return CALL_RESULT(syscall(SYS_tgkill, victim, victim, SIGURG));
}

static int signal_thread_alone(void)
{
    return CALL_RESULT(syscall(SYS_tkill, victim, SIGURG));
}

static int signal_all(void)
{
    return CALL_RESULT(kill(-1, SIGURG));
}

static int signal_group(void)
{
    return CALL_RESULT(kill(0, SIGURG));
}

/* The kernel looks at 32 bits of a process id, the filter at 64. */
static int signal_by_high_bits(void)
{
    return CALL_RESULT(syscall(SYS_kill, (uint64_t)victim | 1ull << 32, SIGURG));
}

static int queue_signal(void)
{
    return CALL_RESULT(sigqueue(victim, SIGURG, (union sigval){0}));
}

static int open_victims_pidfd(void)
{
    return CALL_RESULT(syscall(SYS_pidfd_open, victim, 0));
}

/* Whoever owns a descriptor gets signals from it, sent in the name of who set it. */
static int own_descriptor(void)
{
    int fds[2];
    return pipe(fds) != 0 ? 121 : CALL_RESULT(fcntl(fds[0], F_SETOWN, victim));
}

static int own_descriptor_by_ioctl(void)
{
    int fds[2], owner = victim;
    return pipe(fds) != 0 ? 121 : CALL_RESULT(ioctl(fds[0], FIOASYNC, &owner));
}

static int read_victim(void)
{
    char byte;
    struct iovec to = {&byte, 1}, from = {secret, 1};
    return CALL_RESULT(process_vm_readv(victim, &to, 1, &from, 1, 0));
}

static int write_victim(void)
{
    char byte = '/';
    struct iovec from = {&byte, 1}, to = {secret, 1};
    return CALL_RESULT(process_vm_writev(victim, &from, 1, &to, 1, 0));
}

static int limit_victim(void)
{
    struct rlimit limit;
    return CALL_RESULT(prlimit(victim, RLIMIT_CORE, NULL, &limit));
}

static int move_victim(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    return CALL_RESULT(sched_setaffinity(victim, sizeof(set), &set));
}

static int slow_victim(void)
{
    return CALL_RESULT(setpriority(PRIO_PROCESS, (id_t)victim, 19));
}

static int fork_child(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return CALL_RESULT(pid);
}

static int spawn_shell(void)
{
    int status = system("exit 0");
    return status == 0 ? 0 : errno;
}

static int clone_anew(void)
{
    struct {
        uint64_t word[11];
    } args = {{0, 0, 0, 0, SIGCHLD}};
    long pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0)
        _exit(0);
    return CALL_RESULT(pid);
}

static int execute(void)
{
    return CALL_RESULT(execl("/bin/true", "true", NULL));
}

static int execute_at(void)
{
    char *const args[] = {"true", NULL};
    return CALL_RESULT(syscall(SYS_execveat, AT_FDCWD, "/bin/true", args, args + 1, 0));
}

/* ---- memory */

static int map_result(int prot, int flags, int fd)
{
    return mmap(NULL, 4096, prot, flags, fd, 0) == MAP_FAILED ? errno : 0;
}

static int map_executable(void)
{
    return map_result(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int map_all(void)
{
    return map_result(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int library(void)
{
    return open("/etc/ld.so.cache", O_RDONLY); /* a file that may be read, whatever is in it */
}

static int map_file_all(void)
{
    return map_result(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, library());
}

static int map_file_executable(void)
{
    return map_result(PROT_READ | PROT_EXEC, MAP_PRIVATE, library());
}

static int make_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? 121 : CALL_RESULT(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int make_executable_by_key(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? 121 : CALL_RESULT(syscall(SYS_pkey_mprotect, page, 4096, PROT_READ | PROT_EXEC, -1));
}

static int imply_executable(void)
{
    return CALL_RESULT(syscall(SYS_personality, 0x0400000)); /* READ_IMPLIES_EXEC */
}

static int share_memory(void)
{
    return map_result(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
}

static int make_memfd(void)
{
    return CALL_RESULT(syscall(SYS_memfd_create, "x", 0));
}

static int make_segment(void)
{
    return CALL_RESULT(syscall(SYS_shmget, 0, 4096, 0600));
}

/* ---- the kernel */

static int unshare_user(void)
{
    return CALL_RESULT(unshare(CLONE_NEWUSER));
}

static int clone_user(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return CALL_RESULT(pid);
}

static int set_ring_up(void)
{
    uint64_t parameters[15] = {0};
    return CALL_RESULT(syscall(SYS_io_uring_setup, 4, parameters));
}

static int count_events(void)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .exclude_kernel = 1};
    return CALL_RESULT(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static int list_keys(void)
{
    return CALL_RESULT(syscall(SYS_keyctl, 0, -3, 0));
}

static int load_program(void)
{
    return CALL_RESULT(syscall(SYS_bpf, 0, NULL, 0));
}

static int load_module(void)
{
    return CALL_RESULT(syscall(SYS_init_module, NULL, 0, ""));
}

static int handle_faults(void)
{
    return CALL_RESULT(syscall(SYS_userfaultfd, 1)); /* UFFD_USER_MODE_ONLY */
}

static int mount_something(void)
{
    return CALL_RESULT(syscall(SYS_mount, "none", home, "tmpfs", 0, NULL));
}

static int call_of_the_future(void)
{
    return CALL_RESULT(syscall(1000, 0));
}

static int outlive_parent(void)
{
    return CALL_RESULT(prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
}

static int become_dumpable(void)
{
    return CALL_RESULT(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

/* Both ways to put up a filter; one that allows all, as a lie would begin. */
static int filter_by_prctl(void)
{
    return CALL_RESULT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0)) == EFAULT ? 0 : errno;
}

static int filter_again(void)
{
    return CALL_RESULT(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL)) == EFAULT ? 0 : errno;
}

static void ignore(int signo)
{
    (void)signo;
}

static int survive_violations(void)
{
    return CALL_RESULT(sigaction(SIGSYS, &(struct sigaction){.sa_handler = ignore}, NULL));
}

static int survive_by_high_bits(void)
{
    uint64_t action[4] = {1}; /* SIG_IGN */
    return CALL_RESULT(syscall(SYS_rt_sigaction, 1ull << 32 | SIGSYS, action, NULL, 8));
}

static int survive_by_mask(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    return trace_victim();
}

#define KILLED (-1)

static const struct {
    const char *name;
    int (*fn)(void);
    int want;     /* the errno, or KILLED by SIGSYS */
    bool control; /* outside it works, on this kernel and for this user */
} attempts[] = {
    {"open a secret file", open_secret, EACCES, true},
    {"the same with openat2", openat2_secret, EACCES, true},
    {"open it through a link in a granted directory", open_through_link, EACCES, true},
    {"open it by way of ..", open_by_dots, EACCES, true},
    {"link it into a granted directory", link_secret, EXDEV, true},
    {"list a directory", list_home, EACCES, true},
    {"create a file", create_file, EACCES, true},
    {"create a file without a name", create_nameless, EACCES, false},
    {"rename a file", rename_secret, EACCES, true},
    {"truncate a file", truncate_secret, EACCES, true},
    {"change a file's mode", chmod_secret, EPERM, true},
    {"change a file's times", touch_secret, EPERM, true},
    {"make a pipe with a name", mkfifo_outside, EACCES, true},
    {"write to its own memory by file", write_own_memory, EACCES, true},
    {"read its own memory by file", read_own_memory, EACCES, true},
    {"open another's memory", open_victims_memory, EACCES, true},
    {"list processes", list_processes, EACCES, true},
    {"watch files", watch_files, EPERM, true},
    {"chroot", change_root, KILLED, false},
    {"a socket of IPv4", socket_inet, EACCES, true},
    {"a socket of IPv6", socket_udp, EACCES, false},
    {"a local socket", socket_unix, EACCES, true},
    {"a netlink socket", socket_netlink, EACCES, true},
    {"a pair of sockets", socket_pair, EPERM, true},
    {"trace a process", trace_victim, KILLED, false},
    {"signal a process", signal_victim, KILLED, true},
    {"signal a process's thread", signal_victims_thread, KILLED, true},
    {"signal a thread", signal_thread_alone, KILLED, true},
    {"signal everybody", signal_all, KILLED, false},
    {"signal the group", signal_group, KILLED, false},
    {"signal with high bits", signal_by_high_bits, KILLED, true},
    {"queue a signal", queue_signal, KILLED, true},
    {"get hold of a process", open_victims_pidfd, KILLED, true},
    {"have a descriptor send signals", own_descriptor, ENOSYS, true},
    {"the same by ioctl", own_descriptor_by_ioctl, ENOSYS, false},
    {"read a process", read_victim, KILLED, false},
    {"write to a process", write_victim, KILLED, false},
    {"limit a process", limit_victim, EPERM, true},
    {"move a process to another processor", move_victim, EPERM, true},
    {"slow a process down", slow_victim, EPERM, true},
    {"fork", fork_child, KILLED, true},
    {"run a shell", spawn_shell, KILLED, true},
    {"clone3", clone_anew, ENOSYS, true},
    {"execute a program", execute, KILLED, true},
    {"execute a program with execveat", execute_at, KILLED, true},
    {"map executable memory", map_executable, EPERM, true},
    {"map memory for everything", map_all, EPERM, true},
    {"map a file for everything", map_file_all, EPERM, true},
    {"make memory executable", make_executable, EPERM, true},
    {"make memory executable with a key", make_executable_by_key, ENOSYS, true},
    {"have all memory executable", imply_executable, EPERM, true},
    {"share memory without a file", share_memory, EPERM, true},
    {"make a file in memory", make_memfd, EPERM, true},
    {"make a segment of shared memory", make_segment, ENOSYS, true},
    {"enter a namespace of users", unshare_user, KILLED, false},
    {"start a process in one", clone_user, KILLED, false},
    {"set an io_uring up", set_ring_up, ENOSYS, false},
    {"count events", count_events, KILLED, false},
    {"list keys", list_keys, KILLED, false},
    {"load a program into the kernel", load_program, KILLED, false},
    {"load a module", load_module, KILLED, false},
    {"handle faults", handle_faults, ENOSYS, false},
    {"mount", mount_something, KILLED, false},
    {"a system call that is not there yet", call_of_the_future, ENOSYS, false},
    {"outlive the parent", outlive_parent, ENOSYS, true},
    {"change whether it can be dumped", become_dumpable, ENOSYS, true},
    {"filter with prctl", filter_by_prctl, ENOSYS, true},
    {"handle violations", survive_violations, EPERM, true},
    {"handle violations with high bits", survive_by_high_bits, EPERM, true},
    {"block violations", survive_by_mask, KILLED, false},
};

static bool ends_as(int status, int want)
{
    if (want == KILLED)
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
    return WIFEXITED(status) && WEXITSTATUS(status) == want;
}

START_TEST(test_sandbox_refuses)
{
    struct qk_sandbox_spec spec = default_spec();
    if (attempts[_i].control) {
        int status = run_child(&spec, OUTSIDE, attempts[_i].fn);
        ck_assert_msg(ends_as(status, 0), "%s outside: %s", attempts[_i].name, describe(status));
    }
    for (enum stage stage = ENTERED; stage < STAGES; stage++) {
        int status = run_child(&spec, stage, attempts[_i].fn);
        ck_assert_msg(ends_as(status, attempts[_i].want), "%s, %s: %s", attempts[_i].name, stage_names[stage],
                      describe(status));
    }
}
END_TEST

/* What loading a plugin needs is over once it is closed. */
START_TEST(test_sandbox_closes)
{
    static const struct {
        const char *name;
        int (*fn)(void);
    } only_before[] = {{"map a file executable", map_file_executable}, {"filter", filter_again}};
    struct qk_sandbox_spec spec = default_spec();
    for (size_t i = 0; i < sizeof(only_before) / sizeof(only_before[0]); i++) {
        int status = run_child(&spec, ENTERED, only_before[i].fn);
        ck_assert_msg(ends_as(status, 0), "%s, entered: %s", only_before[i].name, describe(status));
        for (enum stage stage = CLOSED; stage < STAGES; stage++) {
            status = run_child(&spec, stage, only_before[i].fn);
            ck_assert_msg(ends_as(status, EPERM), "%s, %s: %s", only_before[i].name, stage_names[stage],
                          describe(status));
        }
    }
}
END_TEST

#ifdef __x86_64__
/* The other tables of the same processor: numbers mean other calls there. */
static int call_as_32_bits(void)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11"); /* getpid */
    return result > 0 ? 0 : (int)-result;
}

static int call_as_x32(void)
{
    return CALL_RESULT(syscall(0x40000000 | SYS_getpid));
}

START_TEST(test_sandbox_refuses_other_tables)
{
    struct qk_sandbox_spec spec = default_spec();
    for (enum stage stage = ENTERED; stage < STAGES; stage++) {
        int status = run_child(&spec, stage, call_as_32_bits);
        ck_assert_msg(ends_as(status, KILLED), "32 bits, %s: %s", stage_names[stage], describe(status));
        status = run_child(&spec, stage, call_as_x32);
        ck_assert_msg(ends_as(status, KILLED), "x32, %s: %s", stage_names[stage], describe(status));
    }
}
END_TEST
#endif

int main(void)
{
    begin_tests();
    if (!walls) {
        end_tests();
        return 77; /* skipped */
    }
    Suite *suite = suite_create("sandbox-refusals");
    TCase *tcase = tcase_create("refusals");
    tcase_add_loop_test(tcase, test_sandbox_refuses, 0, sizeof(attempts) / sizeof(attempts[0]));
    tcase_add_test(tcase, test_sandbox_closes);
#ifdef __x86_64__
    tcase_add_test(tcase, test_sandbox_refuses_other_tables);
#endif
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    end_tests();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
