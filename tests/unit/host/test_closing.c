/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The second step against plugins that were there before it: threads of constructors, and filters of their own. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "child.h"

static sem_t ready, go_on;
static char why[QK_SANDBOX_WHY_MAX];

static int map_executable(void)
{
    int file = open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC);
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) == MAP_FAILED ? errno : 0;
}

/* Answers for the kernel: the call seccomp() does nothing and says that all is well. */
static int put_up_lie(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

static void *wait_and_map(void *arg)
{
    if (arg != NULL && put_up_lie() != 0)
        give_up("filter", errno);
    sem_post(&ready);
    sem_wait(&go_on);
    _exit(map_executable());
}

static int start(void *arg)
{
    pthread_t thread;
    sem_init(&ready, 0, 0);
    sem_init(&go_on, 0, 0);
    int rc = pthread_create(&thread, NULL, wait_and_map, arg);
    if (rc != 0)
        give_up("pthread_create", rc);
    sem_wait(&ready);
    return qk_sandbox_close(why, sizeof(why));
}

/* A thread that a constructor has started is closed in with the rest. */
static int close_over_thread(void)
{
    int rc = start(NULL);
    if (rc < 0)
        give_up(why, rc);
    sem_post(&go_on);
    pause();
    return 0;
}

/* A thread with a filter of its own can't be brought under another one; that is not passed over. */
static int close_over_stray(void)
{
    return start(&ready) < 0 && strstr(why, "can't be put in force") != NULL ? 0 : 121;
}

static int close_over_lie(void)
{
    if (put_up_lie() != 0)
        give_up("filter", errno);
    return qk_sandbox_close(why, sizeof(why)) == -EPERM && strstr(why, "does not hold") != NULL ? 0 : 121;
}

static int close_twice(void)
{
    if (qk_sandbox_close(why, sizeof(why)) != 0)
        return 121;
    return qk_sandbox_close(why, sizeof(why)) == -EINVAL ? 0 : 122;
}

START_TEST(test_closing)
{
    static const struct {
        const char *name;
        int (*fn)(void);
        int want;
    } cases[] = {{"a thread", close_over_thread, EPERM},
                 {"a thread with a filter", close_over_stray, 0},
                 {"a filter that lies", close_over_lie, 0},
                 {"twice", close_twice, 0}};
    struct qk_sandbox_spec spec = default_spec();
    int status = run_child(&spec, ENTERED, cases[_i].fn);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == cases[_i].want, "%s: %s %s", cases[_i].name,
                  describe(status), why);
}
END_TEST

int main(void)
{
    begin_tests();
    if (!walls) {
        end_tests();
        return 77; /* skipped */
    }
    Suite *suite = suite_create("closing");
    TCase *tcase = tcase_create("closing");
    tcase_add_loop_test(tcase, test_closing, 0, 4);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    end_tests();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
