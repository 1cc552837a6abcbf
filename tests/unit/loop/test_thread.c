/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads and the capture of their backtraces. */
#include "loop/thread.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static atomic_int phase;

__attribute__((noinline)) void spin_for_the_test(void);
void spin_for_the_test(void)
{
    atomic_store(&phase, 1);
    while (atomic_load(&phase) == 1)
        sched_yield();
}

static void spinner(void *arg)
{
    (void)arg;
    spin_for_the_test();
}

START_TEST(test_thread_backtrace_of_a_running_thread)
{
    struct qk_thread *thread;
    void *frames[QK_BACKTRACE_MAX];
    char text[4096];
    atomic_store(&phase, 0);
    ck_assert_int_eq(qk_thread_start("spinner", -1, spinner, NULL, &thread), 0);
    while (atomic_load(&phase) == 0)
        sched_yield();
    for (int i = 0; i < 20; i++)
        ck_assert_int_gt(qk_thread_backtrace(thread, 5000, frames), 2);
    int n = qk_thread_backtrace(thread, 5000, frames);
    qk_backtrace_format(frames, n, text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, "  #0 "));
    ck_assert_ptr_nonnull(strstr(text, "\n  #1 "));
    ck_assert_int_ne(text[strlen(text) - 1], '\n');
    char small[8];
    qk_backtrace_format(frames, n, small, sizeof(small));
    ck_assert_uint_lt(strlen(small), sizeof(small));
    atomic_store(&phase, 2);
    qk_thread_join(thread);
}
END_TEST

static void nothing(void *arg)
{
    atomic_store((atomic_int *)arg, 1);
}

START_TEST(test_thread_backtrace_of_an_ended_thread)
{
    struct qk_thread *thread;
    atomic_int ran = 0;
    ck_assert_int_eq(qk_thread_start("a name that is cut", 0, nothing, &ran, &thread), 0);
    void *frames[QK_BACKTRACE_MAX];
    int rc;
    do
        rc = qk_thread_backtrace(thread, 1, frames);
    while (rc >= 0 || rc == -ETIMEDOUT);
    ck_assert_int_eq(rc, -ESRCH);
    ck_assert_int_eq(atomic_load(&ran), 1);
    qk_thread_join(thread);
    qk_thread_join(NULL);
}
END_TEST

static atomic_int spinner_clock;

static void timed_spinner(void *arg)
{
    atomic_store(&spinner_clock, qk_thread_cpu_clock());
    spinner(arg);
}

START_TEST(test_thread_cpu_time_of_another)
{
    struct qk_thread *thread;
    atomic_store(&phase, 0);
    ck_assert_int_eq(qk_thread_start("spinner", -1, timed_spinner, NULL, &thread), 0);
    while (atomic_load(&phase) == 0)
        sched_yield();
    int clock = atomic_load(&spinner_clock);
    int64_t first = qk_thread_cpu_ns(clock);
    ck_assert_int_gt(first, 0);
    while (qk_thread_cpu_ns(clock) == first)
        sched_yield();
    atomic_store(&phase, 2);
    qk_thread_join(thread);
    /* A thread is joined a moment before the system has forgotten it. */
    while (qk_thread_cpu_ns(clock) != 0)
        sched_yield();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("thread");
    TCase *tc = tcase_create("thread");
    tcase_add_test(tc, test_thread_backtrace_of_a_running_thread);
    tcase_add_test(tc, test_thread_backtrace_of_an_ended_thread);
    tcase_add_test(tc, test_thread_cpu_time_of_another);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
