/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the socket lies: made, left over, taken, refused, handed over, removed. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "gateway/gateway.h"
#include "peer.h"
#include <quark/status.h>

static char dir[64], path[100], text[512];
static const char *code;
static struct qk_loop *loop;
static struct qk_gateway_config config;

static void no_frames(void *arg, struct qk_port_frame *chain)
{
    (void)arg, (void)chain;
    ck_abort_msg("nobody calls here");
}

static void no_log(void *arg, enum qk_log_level level, const char *line_code, const char *line)
{
    (void)arg, (void)level, (void)line_code, (void)line;
}

static void setup(void)
{
    peer_make_dir(dir);
    snprintf(path, sizeof(path), "%s/s", dir);
    ck_assert_int_eq(qk_loop_create(&loop), 0);
    qk_gateway_config_init(&config);
    config.silo = "test";
    config.socket_path = path;
    config.submit = config.admin = no_frames;
    config.log = no_log;
    code = "";
}

static void teardown(void)
{
    qk_loop_destroy(loop);
    peer_remove_dir(dir);
}

static int create(struct qk_gateway **ret_gw)
{
    text[0] = 0;
    return qk_gateway_create(&config, loop, ret_gw, &code, text, sizeof(text));
}

static void refused(const char *expected)
{
    struct qk_gateway *gw;
    ck_assert_int_lt(create(&gw), 0);
    ck_assert_str_eq(code, expected);
    ck_assert_str_ne(text, "");
}

/* A socket bound to the path; listening or left over. */
static int occupy(bool listening)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (listening)
        ck_assert_int_eq(listen(fd, 1), 0);
    return fd;
}

START_TEST(test_listen_makes_and_removes_the_file)
{
    struct qk_gateway *gw;
    struct stat st;
    config.socket_mode = 0624;
    config.socket_gid = getegid();
    ck_assert_int_eq(create(&gw), 0);
    ck_assert_int_eq(lstat(path, &st), 0);
    ck_assert(S_ISSOCK(st.st_mode));
    ck_assert_uint_eq(st.st_mode & 07777, 0624);
    ck_assert_uint_eq(st.st_gid, getegid());
    ck_assert_int_eq(qk_gateway_destroy(gw), 0);
    ck_assert_int_ne(lstat(path, &st), 0);
}
END_TEST

START_TEST(test_listen_replaces_what_was_left_over)
{
    struct qk_gateway *gw;
    close(occupy(false));
    ck_assert_int_eq(create(&gw), 0);
    ck_assert_int_eq(qk_gateway_destroy(gw), 0);
}
END_TEST

START_TEST(test_listen_leaves_a_live_socket_alone)
{
    int fd = occupy(true);
    struct stat st;
    refused("QK0601");
    ck_assert_int_eq(lstat(path, &st), 0);
    close(fd);
}
END_TEST

START_TEST(test_listen_leaves_a_full_socket_alone)
{
    int fd = occupy(true), clients[8];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    for (int i = 0; i < 8; i++) { /* its queue is full then */
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(clients[i], (struct sockaddr *)&address, sizeof(address));
    }
    refused("QK0601");
    for (int i = 0; i < 8; i++)
        close(clients[i]);
    close(fd);
}
END_TEST

START_TEST(test_listen_leaves_a_file_alone)
{
    struct stat st;
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    refused("QK0605");
    ck_assert_int_eq(lstat(path, &st), 0);
}
END_TEST

START_TEST(test_listen_bounds_the_path)
{
    struct qk_gateway *gw;
    char longest[200];
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, dir, strlen(dir));
    longest[strlen(dir)] = '/';
    longest[107] = 0;
    config.socket_path = longest;
    ck_assert_int_eq(create(&gw), 0);
    ck_assert_int_eq(qk_gateway_destroy(gw), 0);
    longest[107] = 'x';
    longest[108] = 0;
    refused("QK0602");
    config.socket_path = "";
    refused("QK0602");
}
END_TEST

START_TEST(test_listen_needs_the_directory)
{
    char missing[120];
    snprintf(missing, sizeof(missing), "%s/none/s", dir);
    config.socket_path = missing;
    refused("QK0603");
    snprintf(missing, sizeof(missing), "%s/file", dir);
    close(open(missing, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    snprintf(missing, sizeof(missing), "%s/file/s", dir);
    refused("QK0603");
}
END_TEST

START_TEST(test_listen_needs_the_right_to_write)
{
    config.socket_path = "/proc/self/quark.sock"; /* where not even root may make a file */
    struct qk_gateway *gw;
    ck_assert_int_lt(create(&gw), 0);
    ck_assert(strcmp(code, "QK0604") == 0 || strcmp(code, "QK0603") == 0);
    if (geteuid() == 0) {
        config.socket_path = path;
        ck_assert_int_eq(chmod(dir, 0555), 0);
        ck_assert_int_eq(seteuid(65534), 0);
        refused("QK0604");
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(chmod(dir, 0700), 0);
    }
}
END_TEST

START_TEST(test_listen_takes_over_a_descriptor)
{
    struct qk_gateway *gw;
    struct stat st;
    config.socket_fd = occupy(true);
    ck_assert_int_eq(create(&gw), 0);
    struct peer p;
    peer_open(&p, path, NULL, NULL);
    peer_close(&p);
    ck_assert_int_eq(qk_gateway_destroy(gw), 0);
    ck_assert_int_eq(lstat(path, &st), 0); /* whoever made it removes it */
    ck_assert_int_eq(fcntl(config.socket_fd, F_GETFD), -1);
}
END_TEST

START_TEST(test_listen_refuses_a_wrong_descriptor)
{
    int fd[2];
    ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
    config.socket_fd = fd[0];
    refused("QK0606");
    ck_assert_int_ge(fcntl(fd[0], F_GETFD), 0); /* stays ours */
    close(fd[0]);
    close(fd[1]);
    config.socket_fd = occupy(false);
    refused("QK0606");
    close(config.socket_fd);
}
END_TEST

START_TEST(test_listen_removes_only_its_own_file)
{
    struct qk_gateway *gw;
    struct stat st;
    ck_assert_int_eq(create(&gw), 0);
    unlink(path);
    int fd = occupy(true);
    ck_assert_int_eq(qk_gateway_destroy(gw), 0);
    ck_assert_int_eq(lstat(path, &st), 0);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("listen");
    TCase *tc = tcase_create("listen");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_listen_makes_and_removes_the_file);
    tcase_add_test(tc, test_listen_replaces_what_was_left_over);
    tcase_add_test(tc, test_listen_leaves_a_live_socket_alone);
    tcase_add_test(tc, test_listen_leaves_a_full_socket_alone);
    tcase_add_test(tc, test_listen_leaves_a_file_alone);
    tcase_add_test(tc, test_listen_bounds_the_path);
    tcase_add_test(tc, test_listen_needs_the_directory);
    tcase_add_test(tc, test_listen_needs_the_right_to_write);
    tcase_add_test(tc, test_listen_takes_over_a_descriptor);
    tcase_add_test(tc, test_listen_refuses_a_wrong_descriptor);
    tcase_add_test(tc, test_listen_removes_only_its_own_file);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
