/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The event loop: watches, timers, posted tasks, wake-ups, and moving between threads. */
#include "loop/loop.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "loop/clock.h"
#include "loop/signals.h"
#include "loop/thread.h"

static struct qk_loop *loop;

static void setup(void)
{
    ck_assert_int_eq(qk_loop_create(&loop), 0);
}

static void teardown(void)
{
    qk_loop_destroy(loop);
}

struct seen {
    int calls;
    unsigned events;
    int fd;
    struct qk_watch *watch;
    struct qk_task *again;
};

static void on_ready(void *arg, unsigned events)
{
    struct seen *seen = arg;
    char byte;
    seen->calls++;
    seen->events = events;
    if ((events & QK_WATCH_READ) != 0)
        ck_assert_int_eq(read(seen->fd, &byte, 1), 1);
}

START_TEST(test_loop_watch_reports_and_pauses)
{
    int fd[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    struct seen seen = {.fd = fd[0]};
    struct qk_watch *watch;
    ck_assert_int_eq(qk_watch_create(loop, fd[0], QK_WATCH_READ, on_ready, &seen, &watch), 0);
    ck_assert_int_eq(qk_loop_poll(loop, 0), 0);
    ck_assert_int_eq(write(fd[1], "ab", 2), 2);
    ck_assert_int_eq(qk_loop_poll(loop, -1), 1);
    ck_assert_uint_eq(seen.events, QK_WATCH_READ);
    ck_assert_int_eq(qk_watch_set(watch, 0), 0);
    ck_assert_int_eq(qk_loop_poll(loop, 0), 0);
    ck_assert_int_eq(qk_watch_set(watch, QK_WATCH_READ | QK_WATCH_WRITE), 0);
    ck_assert_int_eq(qk_loop_poll(loop, -1), 1);
    ck_assert_uint_eq(seen.events, QK_WATCH_READ | QK_WATCH_WRITE);
    ck_assert_int_eq(seen.calls, 2);
    qk_watch_destroy(watch);
    close(fd[0]);
    close(fd[1]);
}
END_TEST

static void on_ready_destroy(void *arg, unsigned events)
{
    (void)events;
    struct seen *seen = arg;
    seen->calls++;
    qk_watch_destroy(seen->watch);
}

START_TEST(test_loop_watch_destroys_itself)
{
    int fd[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    struct seen seen = {.fd = fd[0]};
    ck_assert_int_eq(qk_watch_create(loop, fd[0], QK_WATCH_WRITE, on_ready_destroy, &seen, &seen.watch), 0);
    ck_assert_int_eq(qk_loop_poll(loop, -1), 1);
    ck_assert_int_eq(qk_loop_poll(loop, 0), 0);
    ck_assert_int_eq(seen.calls, 1);
    close(fd[0]);
    close(fd[1]);
}
END_TEST

START_TEST(test_loop_watch_refuses_a_file)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct qk_watch *watch;
    ck_assert_int_lt(qk_watch_create(loop, fd, QK_WATCH_READ, on_ready, NULL, &watch), 0);
    close(fd);
}
END_TEST

static void on_due(void *arg)
{
    ((struct seen *)arg)->calls++;
}

START_TEST(test_loop_timer_fires_once)
{
    struct seen seen = {0};
    struct qk_timer *timer;
    ck_assert_int_eq(qk_timer_create(loop, on_due, &seen, &timer), 0);
    ck_assert_int_eq(qk_timer_arm(timer, 2000000), 0);
    int64_t start = qk_clock_now_ns(NULL);
    while (seen.calls == 0)
        qk_loop_poll(loop, -1);
    ck_assert_int_ge(qk_clock_now_ns(NULL) - start, 1000000);
    ck_assert_int_eq(qk_loop_poll(loop, 0), 0);
    ck_assert_int_eq(qk_timer_arm(timer, 0), 0);
    qk_timer_disarm(timer);
    ck_assert_int_eq(qk_loop_poll(loop, 0), 0);
    ck_assert_int_eq(seen.calls, 1);
    qk_timer_destroy(timer);
}
END_TEST

START_TEST(test_loop_poll_times_out)
{
    int64_t start = qk_clock_now_ns(NULL);
    ck_assert_int_eq(qk_loop_poll(loop, 3000000), 0);
    ck_assert_int_ge(qk_clock_now_ns(NULL) - start, 2000000);
}
END_TEST

START_TEST(test_loop_wake_before_poll_is_kept)
{
    qk_loop_wake(loop);
    qk_loop_wake(loop);
    ck_assert_int_eq(qk_loop_poll(loop, -1), 0);
    ck_assert_int_eq(qk_loop_poll(loop, 0), 0);
}
END_TEST

static void on_task(void *arg)
{
    struct seen *seen = arg;
    if (seen->calls++ == 0)
        qk_loop_post(loop, seen->again);
}

START_TEST(test_loop_post_runs_in_order_and_again)
{
    struct seen seen = {0};
    struct qk_task task = {.fn = on_task, .arg = &seen};
    seen.again = &task;
    qk_loop_post(loop, &task);
    ck_assert_int_eq(qk_loop_poll(loop, -1), 1);
    ck_assert_int_eq(seen.calls, 1);
    ck_assert_int_eq(qk_loop_poll(loop, -1), 1);
    ck_assert_int_eq(seen.calls, 2);
}
END_TEST

#define POSTS 2000
static atomic_int posted_runs;

static void on_posted(void *arg)
{
    atomic_fetch_add(&posted_runs, 1);
    free(arg);
}

static void poster(void *arg)
{
    (void)arg;
    for (int i = 0; i < POSTS; i++) {
        struct qk_task *task = calloc(1, sizeof(*task));
        ck_assert_ptr_nonnull(task);
        *task = (struct qk_task){.fn = on_posted, .arg = task};
        qk_loop_post(loop, task);
    }
}

START_TEST(test_loop_post_from_other_threads_is_never_lost)
{
    struct qk_thread *a, *b;
    atomic_store(&posted_runs, 0);
    ck_assert_int_eq(qk_thread_start("a", -1, poster, NULL, &a), 0);
    ck_assert_int_eq(qk_thread_start("b", -1, poster, NULL, &b), 0);
    while (atomic_load(&posted_runs) < 2 * POSTS)
        qk_loop_poll(loop, -1);
    qk_thread_join(a);
    qk_thread_join(b);
}
END_TEST

START_TEST(test_loop_signals_become_readable)
{
    int fd, sender = 0;
    ck_assert_int_eq(qk_signals_open((int[]){SIGUSR1, SIGHUP}, 2, &fd), 0);
    ck_assert_int_eq(qk_signals_next(fd, NULL), 0);
    kill(getpid(), SIGUSR1);
    ck_assert_int_eq(qk_signals_next(fd, &sender), SIGUSR1);
    ck_assert_int_eq(sender, getpid());
    close(fd);
}
END_TEST

/* A plugin that closes descriptors of others: once said, and over, rather than said for ever. */
START_TEST(test_loop_ends_without_its_descriptors)
{
    int status;
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        qk_loop_poll(loop, 0);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loop");
    TCase *tc = tcase_create("loop");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_loop_watch_reports_and_pauses);
    tcase_add_test(tc, test_loop_watch_destroys_itself);
    tcase_add_test(tc, test_loop_watch_refuses_a_file);
    tcase_add_test(tc, test_loop_timer_fires_once);
    tcase_add_test(tc, test_loop_poll_times_out);
    tcase_add_test(tc, test_loop_wake_before_poll_is_kept);
    tcase_add_test(tc, test_loop_post_runs_in_order_and_again);
    tcase_add_test(tc, test_loop_post_from_other_threads_is_never_lost);
    tcase_add_test(tc, test_loop_signals_become_readable);
    tcase_add_test(tc, test_loop_ends_without_its_descriptors);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
