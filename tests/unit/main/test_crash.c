/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A daemon that a plugin brings down says which actor it was, and in which method. */
#include <check.h>
#include <quark/client.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "process.h"

static const struct {
    const char *method;
    int signal; /* 0: an exit status of 1 */
    const char *parts[3];
} crashes[] = {
    {"Write", SIGSEGV, {"SIGSEGV", "in Write of vandal/v", "[QK0620]"}},
    {"Recurse", SIGSEGV, {"vandal/v has used up its stack of 64 KiB in Recurse", "SIGSEGV", "[QK0620]"}},
    {"Frame", SIGSEGV, {"vandal/v has used up its stack of 64 KiB in Frame", "SIGSEGV", "[QK0620]"}},
    {"Abort", SIGABRT, {"SIGABRT", "in Abort of vandal/v", "[QK0620]"}},
    {"Exit", 0, {"vandal/v called exit(0) in Exit", "", "[QK0621]"}},
};

START_TEST(test_crash_is_explained)
{
    char line[4096];
    char path[128];
    snprintf(path, sizeof(path), "%s/q.sock", home);
    struct process p = quarkd_start("--dev --socket %HOME%/q.sock --plugins " VANDAL_DIR, NULL);
    wait_for_line(p.err, "takes calls at", line, sizeof(line));
    struct qk_client_options options;
    qk_client_options_init(&options);
    options.socket_path = path;
    struct qk_client *client;
    ck_assert_int_eq(qk_client_create(&options, &client), 0);
    struct qk_reply reply;
    struct qk_call_target target = {
        .type_id = qk_fnv64("vandal"), .method_id = qk_fnv32(crashes[_i].method), .ref = {"v", 1}};
    ck_assert_int_eq(qk_client_call(client, &target, NULL, 0, &reply), QK_EDISCONNECTED);
    qk_client_destroy(client);
    wait_for_line(p.err, "[QK062", line, sizeof(line));
    for (int i = 0; i < 3; i++)
        ck_assert_msg(strstr(line, crashes[_i].parts[i]) != NULL, "\"%s\" is not in \"%s\"", crashes[_i].parts[i],
                      line);
    int status = quarkd_wait(&p);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    ck_assert_int_ne(status, 0); /* the sanitizer has its own way to end */
#else
    ck_assert_int_eq(status, crashes[_i].signal != 0 ? 128 + crashes[_i].signal : 1);
#endif
}
END_TEST

/* A service that is started again and again has to say which file to take away. */
START_TEST(test_crash_while_loading_names_the_file)
{
    char line[4096];
    const char *env[] = {_i == 0 ? "VANDAL=write" : "VANDAL=exit", NULL};
    struct setup setup = {.env = env};
    struct process p = quarkd_start("--dev --socket %HOME%/q.sock --plugins " VANDAL_DIR, &setup);
    wait_for_line(p.err, "[QK062", line, sizeof(line));
    ck_assert_ptr_nonnull(strstr(line, _i == 0 ? "while " VANDAL_DIR "/libvandal.so was loaded [QK0620]"
                                               : VANDAL_DIR
                                           "/libvandal.so called exit(0) while it was loaded [QK0621]"));
    ck_assert_int_ne(quarkd_wait(&p), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("crash");
    TCase *tcase = tcase_create("crash");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, home_make, home_remove);
    tcase_add_loop_test(tcase, test_crash_is_explained, 0, sizeof(crashes) / sizeof(crashes[0]));
    tcase_add_loop_test(tcase, test_crash_while_loading_names_the_file, 0, 2);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
