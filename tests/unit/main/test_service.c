/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon and its service manager: readiness, reload, watchdog, status, stopping, a socket that is handed over. The
 * test is the service manager. */
#include <check.h>
#include <fcntl.h>
#include <quark/client.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "process.h"

#define CONFIG                                                                                        \
    "socket = { path = \"%HOME%/q.sock\"; };\nplugins = { directories = [ \"%HOME%/plugins\" ]; };\n" \
    "runtime = { workers = 1; };\nservice = { status_interval = \"100ms\"; };\n"

static int bind_socket(const char *name, int type, char *ret_path, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(ret_path, size, "%s/%s", home, name);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", home, name);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Takes messages until one has `part`. */
static void wait_for_notice(int fd, const char *part, char *ret_text, size_t size)
{
    do {
        ssize_t n = recv(fd, ret_text, size - 1, 0);
        ck_assert_int_gt(n, 0);
        ret_text[n] = '\0';
    } while (strstr(ret_text, part) == NULL);
}

static int try_connect(const char *path)
{
    struct qk_client_options options;
    struct qk_client *client;
    qk_client_options_init(&options);
    options.socket_path = path;
    ck_assert_int_eq(qk_client_create(&options, &client), 0);
    int rc = qk_client_connect(client);
    qk_client_destroy(client);
    return rc;
}

START_TEST(test_service_is_told_what_happens)
{
    char notify[128];
    char path[128];
    char text[4096];
    char variable[160];
    home_put("plugins/.keep", "");
    home_put("quarkd.conf", CONFIG);
    int manager = bind_socket("notify", SOCK_DGRAM, notify, sizeof(notify));
    snprintf(variable, sizeof(variable), "NOTIFY_SOCKET=%s", notify);
    const char *const env[] = {variable, "WATCHDOG_USEC=200000", NULL};
    struct process p = quarkd_start("--config %HOME%/quarkd.conf", &(struct setup){.env = env});

    wait_for_notice(manager, "READY=1", text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, "STATUS=activations 0, turns/s 0,"));
    snprintf(path, sizeof(path), "%s/q.sock", home);
    ck_assert_int_eq(try_connect(path), 0);
    wait_for_notice(manager, "WATCHDOG=1", text, sizeof(text));
    wait_for_notice(manager, "WATCHDOG=1", text, sizeof(text));
    wait_for_notice(manager, "STATUS=", text, sizeof(text));

    ck_assert_int_eq(kill(p.pid, SIGHUP), 0);
    wait_for_notice(manager, "RELOADING=1\nMONOTONIC_USEC=", text, sizeof(text));
    wait_for_notice(manager, "READY=1", text, sizeof(text));
    home_put("quarkd.conf", "nonsense");
    ck_assert_int_eq(kill(p.pid, SIGHUP), 0);
    wait_for_notice(manager, "RELOADING=1", text, sizeof(text));
    wait_for_notice(manager, "READY=1", text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, "; the last reload was refused"));

    ck_assert_int_eq(kill(p.pid, SIGTERM), 0);
    wait_for_notice(manager, "STOPPING=1", text, sizeof(text));
    wait_for_notice(manager, "EXTEND_TIMEOUT_USEC=", text, sizeof(text));
    ck_assert_int_eq(quarkd_wait(&p), 0);
    close(manager);
}
END_TEST

START_TEST(test_service_hands_a_socket_over)
{
    char path[128];
    char line[1024];
    home_put("plugins/.keep", "");
    home_put("quarkd.conf", CONFIG);
    int fd = bind_socket("handed.sock", SOCK_STREAM, path, sizeof(path));
    ck_assert_int_eq(listen(fd, 16), 0);
    struct process p = quarkd_start("--config %HOME%/quarkd.conf", &(struct setup){.listen_fd = fd});
    close(fd);
    wait_for_line(p.err, "takes calls at", line, sizeof(line));
    ck_assert_int_eq(try_connect(path), 0);
    ck_assert_int_eq(kill(p.pid, SIGTERM), 0);
    ck_assert_int_eq(quarkd_wait(&p), 0);
    ck_assert_int_eq(access(path, F_OK), 0); /* it is the manager's */
}
END_TEST

START_TEST(test_service_hands_something_else_over)
{
    char path[128];
    char line[1024];
    home_put("plugins/.keep", "");
    home_put("quarkd.conf", CONFIG);
    int fd = bind_socket("handed.sock", SOCK_DGRAM, path, sizeof(path));
    struct process p = quarkd_start("--config %HOME%/quarkd.conf", &(struct setup){.listen_fd = fd});
    close(fd);
    wait_for_line(p.err, "error[QK0653]", line, sizeof(line));
    ck_assert_int_eq(quarkd_wait(&p), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("service");
    TCase *tcase = tcase_create("service");
    tcase_add_checked_fixture(tcase, home_make, home_remove);
    tcase_add_test(tcase, test_service_is_told_what_happens);
    tcase_add_test(tcase, test_service_hands_a_socket_over);
    tcase_add_test(tcase, test_service_hands_something_else_over);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
