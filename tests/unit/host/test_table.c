/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of system calls, one by one: each that is not allowed is made, with arguments that mean nothing. */
#include <check.h>
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>
#include "child.h"
#include "host/calls.h"

static int call;

static int make_call(void)
{
    errno = 0;
    return syscall(call, -1L, -1L, -1L, -1L, -1L, -1L) < 0 ? errno : 0;
}

static bool is_of_this_machine(void)
{
    char *name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), call);
    free(name);
    return name != NULL;
}

/* What a call of that class must come to; 0 for those that do something. */
static int want_of(enum qk_call_class class)
{
    switch (class) {
    case QK_CALL_NETWORK:
        return EACCES;
    case QK_CALL_REFUSED:
        return EPERM;
    case QK_CALL_UNKNOWN:
        return ENOSYS;
    default:
        return 0;
    }
}

START_TEST(test_table_holds)
{
    struct qk_sandbox_spec spec = default_spec();
    int counts[QK_CALL_UNKNOWN + 1] = {0};
    for (call = 0; call < QK_CALLS_MAX; call++) {
        if (!is_of_this_machine())
            continue;
        enum qk_call_class class = qk_call_class(call);
        counts[class]++;
        if (class == QK_CALL_PLAIN || class == QK_CALL_CHOSEN || call == SCMP_SYS(truncate))
            continue;
        int status = run_child(&spec, CLOSED, make_call);
        if (class == QK_CALL_NEVER)
            ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "call %d: %s", call, describe(status));
        else
            ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == want_of(class), "call %d: %s", call,
                          describe(status));
    }
    /* The kernel has some 360 calls, and a plugin gets less than half of them. */
    ck_assert_int_ge(counts[QK_CALL_NEVER], 60);
    ck_assert_int_le(counts[QK_CALL_PLAIN], 180);
}
END_TEST

/* Numbers that nobody has yet are unknown, as the kernel would say. */
START_TEST(test_table_does_not_know_the_future)
{
    static const int numbers[] = {450, 451, 452, 456, 470, 511, 600, 1023, 1024, 5000, 0x3fffffff};
    struct qk_sandbox_spec spec = default_spec();
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        call = numbers[i];
        int status = run_child(&spec, CLOSED, make_call);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == ENOSYS, "call %d: %s", call, describe(status));
    }
}
END_TEST

int main(void)
{
    begin_tests();
    if (!walls) {
        end_tests();
        return 77; /* skipped */
    }
    Suite *suite = suite_create("table");
    TCase *tcase = tcase_create("table");
    tcase_add_test(tcase, test_table_holds);
    tcase_add_test(tcase, test_table_does_not_know_the_future);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    end_tests();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
