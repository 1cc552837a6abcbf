/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Loads each hostile plugin into a process that is inside the sandbox, with a real pair of rings to this one, which
 * stands for the silo; and looks at the end that it comes to.
 */
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>
#include <quark/status.h>
#include "host/sandbox.h"
#include "plugin/file.h"
#include "transport/channel.h"

#define COPY_FD  5
#define READY_FD 6
#define WORKED   100 /* exit statuses of the host; below are the errno of refusals */
#define NO_HOST  101

enum kind {
    BY_SIGNAL, /* the attack ends its own process */
    REFUSED,   /* it is refused with this errno, and the process goes on */
    ENDED,     /* the process ends with this status */
    STUCK,     /* it goes on until it is killed */
    BY_RING,   /* it may do as it likes in its own process; this one sees that the rules are broken */
    ANYHOW,    /* likewise, and it depends on the moment whether this one sees anything */
};

static const struct end {
    const char *name;
    enum kind kind;
    int detail;
    bool at_load; /* makes sense in a constructor */
} ends[] = {
    {"segv", BY_SIGNAL, SIGSEGV, true},
    {"abort", BY_SIGNAL, SIGABRT, true},
    {"exit", ENDED, 0, true},
    {"loop", STUCK, 0, true},
    {"fork_bomb", BY_SIGNAL, SIGSYS, true},
    {"alloc_bomb", REFUSED, ENOMEM, true},
    {"stack", BY_SIGNAL, SIGSEGV, false},
    {"ring_index", BY_RING, 0, true},
    {"ring_header", ANYHOW, 0, false},
    {"reply", BY_RING, 0, true},
    {"fds", REFUSED, EMFILE, true},
    {"signal", BY_SIGNAL, SIGSYS, true},
    {"ptrace", BY_SIGNAL, SIGSYS, true},
    {"secret", REFUSED, EACCES, true},
    {"connect", REFUSED, EACCES, true},
    {"exec_memory", REFUSED, EPERM, true},
    {"log_flood", REFUSED, EAGAIN, true},
};

/* ---- the host */

_Noreturn static void no_host(const char *what, int rc)
{
    fprintf(stderr, "host: %s: %d\n", what, rc);
    _exit(NO_HOST);
}

static void *run(void *arg)
{
    int (*hostile_run)(void);
    memcpy(&hostile_run, arg, sizeof(hostile_run));
    int rc = hostile_run();
    _exit(rc == 0 ? WORKED : -rc);
}

/* On a stack as small as a fiber's. */
static void run_on_thread(void *function)
{
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    int rc = pthread_create(&thread, &small, run, &function);
    if (rc != 0)
        no_host("thread", rc);
    pthread_join(thread, NULL);
}

_Noreturn static void host_main(void)
{
    static const int keep[] = {2, QK_PAIR_MEMORY_FD, QK_PAIR_BELL_FD, COPY_FD, READY_FD};
    const struct qk_sandbox_spec spec = {.keep = keep,
                                         .n_keep = sizeof(keep) / sizeof(keep[0]),
                                         .memory_max = 256 << 20,
                                         .files_max = 64,
                                         .parent = getppid()};
    char why[QK_SANDBOX_WHY_MAX], path[64];
    int rc = qk_sandbox_enter(&spec, why, sizeof(why));
    if (rc < 0)
        no_host(why, rc);
    (void)!write(READY_FD, "r", 1);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", COPY_FD);
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (plugin == NULL)
        no_host(dlerror(), 0);
    void *function = dlsym(plugin, "hostile_run");
    rc = qk_sandbox_close(why, sizeof(why));
    if (rc < 0 || function == NULL)
        no_host(why, rc);
    run_on_thread(function);
    _exit(NO_HOST);
}

/* ---- the silo */

struct host {
    pid_t pid;
    int ready; /* readable once it is inside */
    int log;   /* what it says on standard error */
    struct qk_pair pair;
    struct qk_channel *channel;
};

static int copy_plugin(const char *name)
{
    struct qk_refusal refusal;
    size_t size;
    int copy, dir = open(HOSTILE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(dir, 0);
    ck_assert_msg(qk_file_copy(dir, name, name, getuid(), &copy, &size, &refusal) == 0, "%s", refusal.text);
    close(dir);
    return copy;
}

/* A pipe that its writer is never made to wait for. */
static void make_log(int fds[2])
{
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
}

/* The descriptors that a host finds, at their numbers. First out of the way, so that none overwrites another. */
static void place(int memory, int bell, int copy, int ready, int log)
{
    int from[] = {memory, bell, copy, ready, log};
    static const int to[] = {QK_PAIR_MEMORY_FD, QK_PAIR_BELL_FD, COPY_FD, READY_FD, 2};
    for (int i = 0; i < 5; i++)
        from[i] = fcntl(from[i], F_DUPFD, 100);
    for (int i = 0; i < 5; i++)
        dup2(from[i], to[i]);
}

static void start_host(struct host *h, const char *file)
{
    int ready[2], log[2], copy = copy_plugin(file);
    ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
    make_log(log);
    ck_assert_int_eq(qk_pair_create(QK_RING_BYTES_MIN, &h->pair), 0);
    const struct qk_channel_config config = {.pair = &h->pair,
                                             .accepts = 1u << QK_PORT_REPLY | 1u << QK_PORT_LOG,
                                             .questions_max = 1024,
                                             .asked_max = 1024,
                                             .waiting_max = 1024,
                                             .waiting_bytes_max = 1 << 20};
    ck_assert_int_eq(qk_channel_create(&config, &h->channel), 0);
    fflush(NULL);
    h->pid = fork();
    if (h->pid == 0) {
        place(h->pair.memory_fd, h->pair.bell_fd, copy, ready[1], log[1]);
        host_main();
    }
    close(copy), close(ready[1]), close(log[1]);
    h->ready = ready[0];
    h->log = log[0];
}

static void wait_until_inside(struct host *h)
{
    char byte, text[1024] = "";
    if (read(h->ready, &byte, 1) != 1) {
        (void)!read(h->log, text, sizeof(text) - 1);
        ck_abort_msg("not inside: %s", text);
    }
}

/* What it sends, as the silo takes it: until the rules are broken, or for a while. */
static int receive(struct host *h)
{
    for (int i = 0; i < 100000; i++) {
        struct qk_port_frame *chain = NULL;
        const char *text = NULL;
        int rc = qk_channel_receive(h->channel, 16, &chain, &text);
        while (chain != NULL) {
            struct qk_port_frame *next = chain->next;
            free(chain);
            chain = next;
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int end_host(struct host *h, bool kill_it)
{
    int status;
    if (kill_it)
        kill(h->pid, SIGKILL);
    ck_assert_int_eq(waitpid(h->pid, &status, 0), h->pid);
    return status;
}

static void forget_host(struct host *h)
{
    qk_channel_destroy(h->channel);
    qk_pair_finish(&h->pair);
    close(h->ready), close(h->log);
}

static void say(const struct host *h, const char *file, int status)
{
    char text[1024];
    ssize_t n = read(h->log, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = 0;
    printf("%s: status %#x %s\n", file, (unsigned)status, n < 500 ? text : "");
}

static void check_end(const struct end *end, const char *file)
{
    struct host h;
    start_host(&h, file);
    wait_until_inside(&h);
    int received = end->kind == ANYHOW ? receive(&h) : 0;
    int status = end_host(&h, end->kind == STUCK || end->kind == ANYHOW);
    bool exited = WIFEXITED(status);
    bool as_wanted = false;
    switch (end->kind) {
    case BY_SIGNAL:
        as_wanted = WIFSIGNALED(status) && WTERMSIG(status) == end->detail;
        break;
    case REFUSED:
    case ENDED:
        as_wanted = exited && WEXITSTATUS(status) == end->detail;
        break;
    case STUCK:
        as_wanted = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        break;
    case BY_RING:
        as_wanted = exited && WEXITSTATUS(status) == WORKED && receive(&h) == QK_EPROTOCOL;
        break;
    case ANYHOW:
        as_wanted = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && (received == 0 || received == QK_EPROTOCOL);
        break;
    }
    if (!as_wanted)
        say(&h, file, status);
    ck_assert_msg(as_wanted, "%s came to another end: wait status %#x", file, (unsigned)status);
    forget_host(&h);
}

START_TEST(test_hostile_comes_to_its_end)
{
    char file[64];
    snprintf(file, sizeof(file), "%s.so", ends[_i].name);
    check_end(&ends[_i], file);
}
END_TEST

START_TEST(test_hostile_comes_to_it_while_it_is_loaded)
{
    char file[64];
    snprintf(file, sizeof(file), "%s_at_load.so", ends[_i].name);
    if (ends[_i].at_load)
        check_end(&ends[_i], file);
}
END_TEST

int main(void)
{
    char why[QK_SANDBOX_WHY_MAX];
    if (qk_sandbox_supported(why, sizeof(why)) < 0) {
        fprintf(stderr, "skipped: %s\n", why);
        return 77;
    }
    Suite *suite = suite_create("hostile-inside");
    TCase *tcase = tcase_create("inside");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_hostile_comes_to_its_end, 0, sizeof(ends) / sizeof(ends[0]));
    tcase_add_loop_test(tcase, test_hostile_comes_to_it_while_it_is_loaded, 0, sizeof(ends) / sizeof(ends[0]));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
