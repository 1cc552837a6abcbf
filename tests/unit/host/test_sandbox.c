/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a plugin is left with: what works inside, how limits are felt, and what keeps a process from going inside. */
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <locale.h>
#include <pthread.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include "child.h"
#include "host/landlock.h"

/* A child's way to say which of many things went wrong: by line. */
#define MUST(condition)                 \
    do {                                \
        if (!(condition))               \
            give_up(#condition, errno); \
    } while (0)

static void check_works(const struct qk_sandbox_spec *spec, enum stage stage, const char *name, int (*fn)(void))
{
    int status = run_child(spec, stage, fn);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s, %s: %s", name, stage_names[stage],
                  describe(status));
}

/* ---- what works */

static int use_memory(void)
{
    char *large = malloc(64 << 20);
    MUST(large != NULL);
    memset(large, 1, 64 << 20);
    large = realloc(large, 96 << 20);
    MUST(large != NULL && large[63 << 20] == 1);
    free(large);
    void *pages = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST(pages != MAP_FAILED && mprotect(pages, 4096, PROT_NONE) == 0);
    MUST(madvise((char *)pages + 8192, 4096, MADV_DONTNEED) == 0 && munmap(pages, 1 << 20) == 0);
    return 0;
}

static int use_clocks(void)
{
    struct timespec now, moment = {.tv_nsec = 1000};
    char text[64];
    MUST(clock_gettime(CLOCK_MONOTONIC, &now) == 0 && syscall(SYS_clock_gettime, CLOCK_REALTIME, &now) == 0);
    MUST(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0 && nanosleep(&moment, NULL) == 0);
    struct tm *local = localtime(&now.tv_sec);
    MUST(local != NULL && strftime(text, sizeof(text), "%c", local) > 0);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec at = {.it_value.tv_nsec = 1000};
    uint64_t fired;
    MUST(timerfd_settime(timer, 0, &at, NULL) == 0 && read(timer, &fired, 8) == 8 && fired > 0);
    return 0;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turns;

static void *take_turns(void *arg)
{
    pthread_setname_np(pthread_self(), "turns");
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 100; i++) {
        while (turns % 2 != (arg != NULL))
            pthread_cond_wait(&changed, &lock);
        turns++;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static int use_threads(void)
{
    pthread_t one, two;
    MUST(pthread_create(&one, NULL, take_turns, NULL) == 0 && pthread_create(&two, NULL, take_turns, &turns) == 0);
    MUST(pthread_join(one, NULL) == 0 && pthread_join(two, NULL) == 0 && turns == 200);
    return 0;
}

static volatile sig_atomic_t signals;

static void on_signal(int signo)
{
    (void)signo;
    signals++;
}

static int use_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    MUST(sigaction(SIGUSR1, &action, NULL) == 0 && raise(SIGUSR1) == 0 && kill(getpid(), SIGUSR1) == 0);
    MUST(pthread_kill(pthread_self(), SIGUSR1) == 0 && signals == 3);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    struct signalfd_siginfo info;
    MUST(fd >= 0 && raise(SIGUSR2) == 0 && read(fd, &info, sizeof(info)) == sizeof(info));
    return 0;
}

static int use_descriptors(void)
{
    int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), fds[2];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event want = {.events = EPOLLIN}, got;
    uint64_t one = 1;
    MUST(event >= 0 && epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, event, &want) == 0);
    MUST(write(event, &one, 8) == 8 && epoll_wait(epoll, &got, 1, -1) == 1);
    MUST(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0 && fcntl(fds[0], F_SETFL, 0) == 0 && dup(fds[1]) >= 0);
    char byte;
    MUST(write(fds[1], "x", 1) == 1 && read(fds[0], &byte, 1) == 1);
    (void)isatty(0);
    return 0;
}

static int use_randomness(void)
{
    unsigned char bytes[16];
    int file = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    MUST(getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes));
    MUST(file >= 0 && read(file, bytes, sizeof(bytes)) == sizeof(bytes));
    MUST((file = open("/dev/null", O_WRONLY)) >= 0 && write(file, bytes, 1) == 1);
    return 0;
}

static int use_locales(void)
{
    MUST(setlocale(LC_ALL, "C.UTF-8") != NULL);
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    time_t summer = 1751328000; /* a July */
    struct tm local;
    MUST(localtime_r(&summer, &local) != NULL);
    /* Where time zones are installed the file is read. */
    MUST(access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0 || local.tm_hour == 2);
    return 0;
}

/* Libraries that look somebody up must take the answer for a no. */
static int use_names(void)
{
    (void)getpwuid(getuid());
    (void)getgrgid(getgid());
    char name[65];
    MUST(gethostname(name, sizeof(name)) == 0 && sysconf(_SC_NPROCESSORS_ONLN) >= 1);
    MUST(sysconf(_SC_PHYS_PAGES) > 0);
    return 0;
}

static int use_granted_files(void)
{
    char path[200], other[200], byte;
    snprintf(path, sizeof(path), "%s/data", granted);
    snprintf(other, sizeof(other), "%s/other", granted);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    MUST(file >= 0 && write(file, "data", 4) == 4 && fsync(file) == 0 && ftruncate(file, 2) == 0);
    MUST(pread(file, &byte, 1, 1) == 1 && byte == 'a');
    void *pages = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    MUST(pages != MAP_FAILED && msync(pages, 4096, MS_SYNC) == 0);
    struct flock whole = {.l_type = F_WRLCK};
    MUST(fcntl(file, F_SETLK, &whole) == 0 && rename(path, other) == 0 && unlink(other) == 0);
    MUST(mkdir(other, 0700) == 0 && rmdir(other) == 0);
    return 0;
}

START_TEST(test_sandbox_leaves)
{
    static const struct {
        const char *name;
        int (*fn)(void);
    } uses[] = {
        {"memory", use_memory},   {"clocks", use_clocks},         {"threads", use_threads},
        {"signals", use_signals}, {"locales", use_locales},       {"descriptors", use_descriptors},
        {"names", use_names},     {"randomness", use_randomness}, {"files", use_granted_files},
    };
    struct qk_sandbox_spec spec = default_spec();
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        for (enum stage stage = OUTSIDE; stage < STAGES; stage++)
            check_works(&spec, stage, uses[i].name, uses[i].fn);
    }
}
END_TEST

/* A library that the plugin is linked with. */
static int load_library(void)
{
    MUST(dlopen("libprotobuf-c.so.1", RTLD_NOW) != NULL);
    return 0;
}

static int dont_load_library(void)
{
    MUST(dlopen("libprotobuf-c.so.1", RTLD_NOW) == NULL);
    return 0;
}

START_TEST(test_sandbox_loads_libraries_until_it_is_closed)
{
    struct qk_sandbox_spec spec = default_spec();
    check_works(&spec, ENTERED, "load a library", load_library);
    check_works(&spec, CLOSED, "be refused a library", dont_load_library);
}
END_TEST

/* ---- grants */

static int read_secret(void)
{
    char text[8];
    int file = open(secret, O_RDONLY);
    MUST(file >= 0 && read(file, text, 7) == 7);
    return open(secret, O_WRONLY) < 0 && errno == EACCES ? 0 : 121;
}

START_TEST(test_sandbox_grants_paths)
{
    const struct qk_sandbox_path paths[] = {{secret, QK_SANDBOX_READ},
                                            {"/nowhere/at/all", QK_SANDBOX_READ | QK_SANDBOX_OPTIONAL}};
    struct qk_sandbox_spec spec = default_spec();
    spec.paths = paths;
    spec.n_paths = 2;
    for (enum stage stage = ENTERED; stage < STAGES; stage++)
        check_works(&spec, stage, "read a granted file", read_secret);
}
END_TEST

static int use_network(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(any);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP), caller = socket(AF_INET, SOCK_STREAM, 0);
    MUST(listener >= 0 && bind(listener, (struct sockaddr *)&any, size) == 0 && listen(listener, 1) == 0);
    MUST(getsockname(listener, (struct sockaddr *)&any, &size) == 0);
    MUST(connect(caller, (struct sockaddr *)&any, size) == 0 && send(caller, "x", 1, 0) == 1);
    /* Those of the machine's own services stay out of reach, and so do odd protocols. */
    MUST(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == ENOSYS);
    MUST(socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == ENOSYS);
    MUST(socket(AF_INET, SOCK_STREAM, 132) < 0 && errno == ENOSYS); /* SCTP */
    return 0;
}

START_TEST(test_sandbox_grants_network)
{
    struct qk_sandbox_spec spec = default_spec();
    spec.network = true;
    for (enum stage stage = ENTERED; stage < STAGES; stage++)
        check_works(&spec, stage, "use the network", use_network);
}
END_TEST

static int use_device(void)
{
    int fd = open("/dev/zero", O_RDONLY), owner = victim, fds[2];
    MUST(fd >= 0);
    /* The device has no such request; that it says so shows that it was asked. */
    MUST(ioctl(fd, 0x1234) < 0 && errno == ENOTTY);
    MUST(pipe(fds) == 0 && ioctl(fds[0], 0x8901, &owner) < 0 && errno == EPERM); /* FIOSETOWN */
    return 0;
}

START_TEST(test_sandbox_grants_devices)
{
    const struct qk_sandbox_path paths[] = {{"/dev/zero", QK_SANDBOX_READ | QK_SANDBOX_DEVICE}};
    struct qk_sandbox_spec spec = default_spec();
    spec.paths = paths;
    spec.n_paths = 1;
    check_works(&spec, CLOSED, "use a device", use_device);
}
END_TEST

/* ---- descriptors */

static int kept, leaked, sealed;

static int look_at_descriptors(void)
{
    char byte, path[64];
    struct stat st, null;
    MUST(fcntl(leaked, F_GETFD) < 0 && errno == EBADF);
    MUST(write(kept, "x", 1) == 1);
    MUST(fstat(0, &st) == 0 && stat("/dev/null", &null) == 0 && st.st_rdev == null.st_rdev);
    for (int fd = 3; fd < 4096; fd++)
        MUST(fd == kept || fd == sealed || fcntl(fd, F_GETFD) < 0);
    /* Opened anew it can be written to, as far as its mode goes; not as far as its seals go. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", sealed);
    int again = open(path, O_RDWR);
    MUST(pread(sealed, &byte, 1, 0) == 1 && byte == 's');
    MUST(again < 0 || (pwrite(again, "y", 1, 0) < 0 && errno == EPERM));
    MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED);
    return 0;
}

START_TEST(test_sandbox_closes_descriptors)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(fcntl(fds[1], F_DUPFD, 500), 500);
    kept = 500;
    leaked = open(home, O_RDONLY | O_DIRECTORY);
    sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
    ck_assert(leaked >= 0 && sealed >= 0 && write(sealed, "sealed", 6) == 6);
    ck_assert_int_eq(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), 0);
    const int keep[] = {kept, 2, sealed, 2};
    struct qk_sandbox_spec spec = default_spec();
    spec.keep = keep;
    spec.n_keep = 4;
    for (enum stage stage = ENTERED; stage < STAGES; stage++)
        check_works(&spec, stage, "descriptors", look_at_descriptors);
    close(kept), close(leaked), close(sealed), close(fds[0]), close(fds[1]);
}
END_TEST

/* ---- limits */

static int open_many(void)
{
    int n = 0;
    while (open("/dev/null", O_RDONLY) >= 0)
        n++;
    MUST(errno == EMFILE);
    return n == 40 - 3 ? 0 : 121;
}

static int allocate_much(void)
{
    static void *volatile newest; /* else a compiler leaves it all out */
    size_t n = 0;
    while ((newest = malloc(1 << 20)) != NULL)
        n++;
    MUST(errno == ENOMEM);
    return n > 20 && n < 64 ? 0 : 121;
}

_Noreturn static void *stay(void *arg)
{
    (void)arg;
    for (;;)
        pause();
}

static int start_many_threads(void)
{
    pthread_t thread;
    pthread_attr_t small;
    int n = 0, rc;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    while ((rc = pthread_create(&thread, &small, stay, NULL)) == 0)
        n++;
    return rc == EAGAIN && n < 30 ? 0 : 121;
}

START_TEST(test_sandbox_limits)
{
    struct qk_sandbox_spec spec = default_spec();
    spec.files_max = 40;
    spec.memory_max = 64 << 20;
    spec.tasks_max = 30;
    check_works(&spec, CLOSED, "descriptor flood", open_many);
    check_works(&spec, CLOSED, "allocation bomb", allocate_much);
    check_works(&spec, CLOSED, "threads without end", start_many_threads);
}
END_TEST

static int nice_wanted;

static int look_at_rights(void)
{
    struct rlimit core;
    MUST(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max <= 1);
    MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && (!walls || prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2));
    MUST(getgroups(0, NULL) == 0 && getpriority(PRIO_PROCESS, 0) == nice_wanted && umask(0) == 077);
    struct {
        uint32_t version;
        int pid;
    } header = {0x20080522, 0};
    uint32_t sets[6];
    MUST(syscall(SYS_capget, &header, sets) == 0);
    for (int i = 0; i < 6; i++)
        MUST(sets[i] == 0);
    for (unsigned long capability = 0; capability < 8; capability++)
        MUST(getuid() != 0 || prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 0);
    return 0;
}

START_TEST(test_sandbox_drops_rights)
{
    struct qk_sandbox_spec spec = default_spec();
    int now = getpriority(PRIO_PROCESS, 0);
    for (spec.nice = 0; spec.nice < 20; spec.nice++) {
        nice_wanted = spec.nice > now ? spec.nice : now; /* up again nobody comes */
        check_works(&spec, ENTERED, "rights", look_at_rights);
    }
}
END_TEST

/* ---- violations */

static void on_violation(int signo, siginfo_t *info, void *context)
{
    (void)context;
    const char *name = qk_sandbox_call_name(info->si_syscall);
    _exit(signo == SIGSYS && name != NULL && strcmp(name, "unshare") == 0 ? 42 : 43);
}

static int violate(void)
{
    sigset_t set;
    sigfillset(&set);
    sigdelset(&set, SIGSYS);
    sigprocmask(SIG_SETMASK, &set, NULL);
    (void)signal(SIGSYS, SIG_IGN);
    syscall(SYS_unshare, 0);
    return 0;
}

START_TEST(test_sandbox_tells_of_violations)
{
    struct qk_sandbox_spec spec = default_spec();
    spec.on_violation = on_violation;
    for (enum stage stage = ENTERED; stage < STAGES; stage++) {
        int status = run_child(&spec, stage, violate);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 42, "%s", describe(status));
    }
}
END_TEST

/* The reader of the pipe sees its end when the grandchild, which holds the other end, is gone. */
START_TEST(test_sandbox_ends_with_the_parent)
{
    int alive[2], ready[2];
    char byte;
    ck_assert(pipe(alive) == 0 && pipe(ready) == 0);
    pid_t parent = fork();
    if (parent == 0) {
        pid_t child = fork();
        if (child == 0) {
            const int keep[] = {2, alive[1], ready[1]};
            struct qk_sandbox_spec spec = default_spec();
            spec.keep = keep;
            spec.n_keep = 3;
            go_inside(spec, CLOSED);
            MUST(write(ready[1], "r", 1) == 1);
            stay(NULL);
        }
        MUST(read(ready[0], &byte, 1) == 1);
        _exit(0);
    }
    close(alive[1]);
    ck_assert_int_eq(read(alive[0], &byte, 1), 0);
    ck_assert_int_eq(waitpid(parent, NULL, 0), parent);
    close(alive[0]), close(ready[0]), close(ready[1]);
}
END_TEST

/* ---- what keeps it outside */

static const char *wanted;

static int enter_in_vain(struct qk_sandbox_spec spec, int want)
{
    char why[QK_SANDBOX_WHY_MAX] = "";
    int rc = qk_sandbox_enter(&spec, why, sizeof(why));
    if (rc != want || strstr(why, wanted) == NULL)
        give_up(why, rc);
    return 0;
}

static int with_threads(void)
{
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, stay, NULL) == 0);
    wanted = "2 threads";
    return enter_in_vain(default_spec(), -EBUSY);
}

static int without_parent(void)
{
    struct qk_sandbox_spec spec = default_spec();
    spec.parent = victim;
    wanted = "the parent is gone";
    return enter_in_vain(spec, -ESRCH);
}

static int without_path(void)
{
    const struct qk_sandbox_path path = {"/nowhere/at/all", QK_SANDBOX_READ};
    struct qk_sandbox_spec spec = default_spec();
    spec.paths = &path;
    wanted = "the path /nowhere/at/all can't be granted: No such file";
    return enter_in_vain(spec, -ENOENT);
}

static int with_relative_path(void)
{
    const struct qk_sandbox_path path = {"here", QK_SANDBOX_READ};
    struct qk_sandbox_spec spec = default_spec();
    spec.paths = &path;
    wanted = "it must be absolute";
    return enter_in_vain(spec, -EINVAL);
}

static int without_descriptor(void)
{
    const int keep = 777;
    struct qk_sandbox_spec spec = default_spec();
    spec.keep = &keep;
    spec.n_keep = 1;
    wanted = "the descriptor 777 is not open";
    return enter_in_vain(spec, -EBADF);
}

/* A process that is inside already can't be put into another one; and is told which wall is in the way. */
static int inside_another(void)
{
    char why[QK_SANDBOX_WHY_MAX];
    go_inside(default_spec(), CLOSED);
    MUST(qk_sandbox_supported(why, sizeof(why)) == -ENOSYS);
    MUST(strstr(why, "refuses landlock_create_ruleset()") != NULL && strstr(why, "refuses seccomp()") != NULL);
    wanted = why;
    return enter_in_vain(default_spec(), -ENOSYS);
}

START_TEST(test_sandbox_is_refused)
{
    static const struct {
        const char *name;
        int (*fn)(void);
    } cases[] = {{"threads", with_threads},          {"no parent", without_parent},
                 {"no path", without_path},          {"relative path", with_relative_path},
                 {"descriptor", without_descriptor}, {"inside another", inside_another}};
    struct qk_sandbox_spec spec = default_spec();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_works(&spec, OUTSIDE, cases[i].name, cases[i].fn);
}
END_TEST

/* ---- kernels that have less */

/* As on a kernel without it, or in a service whose own filter forgot it. */
static void take_away(int call, int error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    MUST(seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)error), call, 0) == 0 && seccomp_load(filter) == 0);
    seccomp_release(filter);
}

static void enter_by_best_effort(const char *lacks)
{
    char why[QK_SANDBOX_WHY_MAX];
    struct qk_sandbox_spec spec = default_spec();
    MUST(qk_sandbox_supported(why, sizeof(why)) == -ENOSYS && strstr(why, lacks) != NULL);
    MUST(qk_sandbox_enter(&spec, why, sizeof(why)) == -ENOSYS && strstr(why, lacks) != NULL);
    spec.best_effort = true;
    MUST(qk_sandbox_enter(&spec, why, sizeof(why)) == 0 && strstr(why, lacks) != NULL);
    MUST(qk_sandbox_close(why, sizeof(why)) == 0);
}

static int without_landlock(void)
{
    take_away(SCMP_SYS(landlock_create_ruleset), ENOSYS);
    enter_by_best_effort("the kernel has no Landlock");
    MUST(open(secret, O_RDONLY) >= 0 && socket(AF_INET, SOCK_STREAM, 0) < 0);
    return 0;
}

static int with_landlock_off(void)
{
    take_away(SCMP_SYS(landlock_create_ruleset), EOPNOTSUPP);
    enter_by_best_effort("started without Landlock");
    return 0;
}

static int without_filters(void)
{
    take_away(SCMP_SYS(seccomp), ENOSYS);
    enter_by_best_effort("no seccomp filters");
    MUST(open(secret, O_RDONLY) < 0 && errno == EACCES && kill(getpid(), 0) == 0);
    return 0;
}

START_TEST(test_sandbox_does_what_it_can_when_told)
{
    struct qk_sandbox_spec spec = default_spec();
    check_works(&spec, OUTSIDE, "without Landlock", without_landlock);
    check_works(&spec, OUTSIDE, "with Landlock off", with_landlock_off);
    check_works(&spec, OUTSIDE, "without filters", without_filters);
}
END_TEST

static int version;

static int enter_old_landlock(void)
{
    char text[QK_SANDBOX_WHY_MAX] = "", path[200];
    struct qk_why why = {text, sizeof(text)};
    struct qk_sandbox_spec spec = default_spec();
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    int rc = qk_landlock_enter(&spec, version, &why);
    if (rc < 0)
        give_up(text, rc);
    MUST(open(secret, O_RDONLY) < 0 && errno == EACCES);
    snprintf(path, sizeof(path), "%s/old", granted);
    MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) >= 0 && unlink(path) == 0);
    return 0;
}

/* Each version that there has been up to this kernel's. */
START_TEST(test_sandbox_knows_old_versions)
{
    struct qk_sandbox_spec spec = default_spec();
    for (version = 1; version <= qk_landlock_version(); version++)
        check_works(&spec, OUTSIDE, "an old version", enter_old_landlock);
}
END_TEST

int main(void)
{
    begin_tests();
    Suite *suite = suite_create("sandbox");
    TCase *tcase = tcase_create("sandbox");
    tcase_add_test(tcase, test_sandbox_leaves);
    tcase_add_test(tcase, test_sandbox_closes_descriptors);
    tcase_add_test(tcase, test_sandbox_drops_rights);
    tcase_add_test(tcase, test_sandbox_ends_with_the_parent);
    if (walls) {
        tcase_add_test(tcase, test_sandbox_loads_libraries_until_it_is_closed);
        tcase_add_test(tcase, test_sandbox_grants_paths);
        tcase_add_test(tcase, test_sandbox_grants_network);
        tcase_add_test(tcase, test_sandbox_grants_devices);
        tcase_add_test(tcase, test_sandbox_limits);
        tcase_add_test(tcase, test_sandbox_tells_of_violations);
        tcase_add_test(tcase, test_sandbox_is_refused);
        tcase_add_test(tcase, test_sandbox_does_what_it_can_when_told);
        tcase_add_test(tcase, test_sandbox_knows_old_versions);
    }
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    end_tests();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
