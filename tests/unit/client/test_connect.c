/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making a client and its connection: options, greetings, refusals and their texts, back-off. */
#include "silo.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "internal.h"

static struct silo silo;
static struct qk_client *client;

static void setup(void)
{
    silo_open(&silo);
    client = silo_client(&silo);
}

static void teardown(void)
{
    silo_end_client(client);
    client = NULL;
    silo_close(&silo);
}

static void says(const char *part)
{
    ck_assert_msg(strstr(qk_client_error(client), part) != NULL, "\"%s\" does not say \"%s\"", qk_client_error(client),
                  part);
}

START_TEST(test_connect_greets)
{
    silo_run(&silo, silo_accept);
    ck_assert_int_eq(qk_client_fd(client), -1);
    ck_assert_int_eq(qk_client_connect(client), 0);
    silo_join(&silo);
    ck_assert_int_ge(qk_client_fd(client), 0);
    ck_assert_str_eq(qk_client_error(client), "");
    ck_assert_int_eq(qk_client_connect(client), 0);
    ck_assert_int_eq(silo.accepted, 1);
    ck_assert((fcntl(qk_client_fd(client), F_GETFD) & FD_CLOEXEC) != 0);
}
END_TEST

START_TEST(test_connect_options)
{
    struct qk_client *other;
    struct qk_client_options options = {0};
    ck_assert_int_eq(qk_client_create(&options, &other), QK_EINVALID);
    qk_client_options_init(&options);
    options.in_flight_max = QK_CLIENT_CALLS_MAX + 1;
    ck_assert_int_eq(qk_client_create(&options, &other), QK_EINVALID);
    options.in_flight_max = QK_CLIENT_CALLS_MAX;
    options.size += 64; /* a newer header */
    uint8_t newer[sizeof(options) + 64] = {0};
    memcpy(newer, &options, sizeof(options));
    ck_assert_int_eq(qk_client_create((const struct qk_client_options *)newer, &other), 0);
    qk_client_destroy(other);
    ck_assert_int_eq(setenv("QUARK_SOCKET", silo.path, 1), 0);
    ck_assert_int_eq(qk_client_create(NULL, &other), 0);
    ck_assert_str_eq(other->socket_path, silo.path);
    qk_client_destroy(other);
    ck_assert_int_eq(unsetenv("QUARK_SOCKET"), 0);
    ck_assert_int_eq(qk_client_create(NULL, &other), 0);
    ck_assert_str_eq(other->socket_path, QK_SOCKET_PATH);
    qk_client_destroy(other);
    qk_client_destroy(NULL);
}
END_TEST

START_TEST(test_connect_no_socket)
{
    unlink(silo.path);
    ck_assert_int_eq(qk_client_connect(client), -ENOENT);
    says(silo.path);
    says("Is quarkd running?");
    ck_assert_int_eq(qk_client_fd(client), -1);
}
END_TEST

START_TEST(test_connect_nobody_listens)
{
    close(silo.listen_fd);
    silo.listen_fd = -1;
    ck_assert_int_eq(qk_client_connect(client), -ECONNREFUSED);
    says("nobody listens");
    unlink(silo.path);
    int fd = open(silo.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    ck_assert_int_eq(qk_client_connect(client), -ECONNREFUSED);
    says("is not a socket");
}
END_TEST

START_TEST(test_connect_not_permitted)
{
    uid_t user = geteuid();
    const char *named = "belongs to group";
    if (user == 0) {
        ck_assert_int_eq(seteuid(65534), 0);
        named = "may not";
    } else {
        ck_assert_int_eq(chmod(silo.path, 0), 0);
    }
    int rc = qk_client_connect(client);
    if (user == 0)
        ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(rc, -EACCES);
    says(named);
    says("usermod");
}
END_TEST

START_TEST(test_connect_path_too_long)
{
    char path[200];
    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    struct qk_client_options options;
    qk_client_options_init(&options);
    options.socket_path = path;
    qk_client_destroy(client);
    ck_assert_int_eq(qk_client_create(&options, &client), 0);
    ck_assert_int_eq(qk_client_connect(client), -ENAMETOOLONG);
    says("at most 107 bytes");
}
END_TEST

static void welcome_of_version_2(struct silo *s)
{
    silo_accept_silently(s);
    silo_write(s->fd, "\x04\0\0\0\0\0\0\0\x12\x02\x08\x02", 12);
}

static void go_away_version(struct silo *s)
{
    silo_accept_silently(s);
    silo_go_away(s->fd, QK_EVERSION, "this silo speaks 3.1");
}

static void go_away_denied(struct silo *s)
{
    silo_accept_silently(s);
    silo_go_away(s->fd, QK_EDENIED, "user nobody is not in group quark");
}

static void go_away_well(struct silo *s)
{
    silo_accept_silently(s);
    silo_go_away(s->fd, 0, "");
}

static void hang_up_at_once(struct silo *s)
{
    silo_accept_silently(s);
    silo_hang_up(s);
}

static void garbage(struct silo *s)
{
    silo_accept_silently(s);
    silo_write(s->fd, "HTTP/1.1 400 Bad Request\r\n", 26);
}

static void early_reply(struct silo *s)
{
    silo_accept_silently(s);
    silo_reply(s->fd, 1, 0, "", false, NULL, 0);
}

static const struct {
    void (*script)(struct silo *s);
    int status;
    const char *text;
} refusals[] = {
    {welcome_of_version_2, QK_EVERSION, "speaks version 2.0"}, {go_away_version, QK_EVERSION, "this silo speaks 3.1"},
    {go_away_denied, QK_EDENIED, "not in group quark"},        {go_away_well, QK_EPROTOCOL, "without an error"},
    {hang_up_at_once, QK_EDISCONNECTED, "without a word"},     {garbage, QK_EPROTOCOL, "is that a silo's socket?"},
    {early_reply, QK_EPROTOCOL, "before it was asked"},
};

START_TEST(test_connect_refused_by_the_silo)
{
    silo_run(&silo, refusals[_i].script);
    ck_assert_int_eq(qk_client_connect(client), refusals[_i].status);
    silo_join(&silo);
    says(refusals[_i].text);
    ck_assert_int_eq(qk_client_fd(client), -1);
    /* The next one may well be taken. */
    silo_run(&silo, silo_accept);
    ck_assert_int_eq(qk_client_connect(client), 0);
    silo_join(&silo);
}
END_TEST

static void welcome_in_pieces(struct silo *s)
{
    static const uint8_t bytes[] = "\x09\0\0\0\0\0\0\0\x12\x07\x08\x01\x1a\x03xyz";
    silo_accept_silently(s);
    for (size_t i = 0; i < sizeof(bytes) - 1; i++)
        silo_write(s->fd, bytes + i, 1);
}

START_TEST(test_connect_welcome_in_pieces)
{
    silo_run(&silo, welcome_in_pieces);
    ck_assert_int_eq(qk_client_connect(client), 0);
    silo_join(&silo);
    ck_assert_str_eq(client->silo, "xyz");
}
END_TEST

START_TEST(test_connect_silent_silo_times_out)
{
    client->options.connect_timeout_ms = 20;
    /* The backlog takes the connection; nobody accepts it. */
    ck_assert_int_eq(qk_client_connect(client), QK_ETIMEDOUT);
    says("did not answer within 20 ms");
}
END_TEST

START_TEST(test_connect_full_backlog_times_out)
{
    client->options.connect_timeout_ms = 20;
    ck_assert_int_eq(listen(silo.listen_fd, 0), 0);
    struct qk_client *first = silo_client(&silo);
    first->options.connect_timeout_ms = 1;
    int fds[8], n = 0, rc = 0;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, silo.path);
    while (n < 8 && rc == 0) {
        fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        rc = connect(fds[n++], (struct sockaddr *)&address, sizeof(address));
    }
    ck_assert_int_eq(rc, -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(qk_client_connect(client), QK_ETIMEDOUT);
    says("did not accept");
    while (n > 0)
        close(fds[--n]);
    qk_client_destroy(first);
}
END_TEST

START_TEST(test_connect_backs_off)
{
    struct seen seen = {0};
    struct qk_call_target target = target_of("k");
    char away[120];
    snprintf(away, sizeof(away), "%s.away", silo.path);
    ck_assert_int_eq(rename(silo.path, away), 0);
    int64_t span = 0;
    for (int i = 0; i < 12; i++) {
        ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, seen_reply, &seen), -ENOENT);
        ck_assert_ptr_null(strstr(qk_client_error(client), "next attempt"));
        span = client->retry_ms - silo.now_ms;
        int64_t whole = 50ll << i < 2000 ? 50ll << i : 2000;
        ck_assert_int_ge(span, whole / 2);
        ck_assert_int_le(span, whole + whole / 2);
        /* Too early: the silo is back but nobody looks. */
        silo.now_ms += span - 1;
        ck_assert_int_eq(rename(away, silo.path), 0);
        ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, seen_reply, &seen), -ENOENT);
        says("the next attempt is in 1 ms");
        ck_assert_int_eq(rename(silo.path, away), 0);
        silo.now_ms++;
    }
    ck_assert_int_eq(rename(away, silo.path), 0);
    silo_run(&silo, silo_accept);
    ck_assert_int_eq(qk_client_begin(client, &target, NULL, 0, seen_reply, &seen), 0);
    silo_join(&silo);
    ck_assert_uint_eq(client->back_off_ms, 0);
    ck_assert_int_eq(seen.calls, 0);
}
END_TEST

START_TEST(test_connect_failure_of_a_waiting_call)
{
    struct qk_reply reply = {0};
    struct qk_call_target target = target_of("k");
    unlink(silo.path);
    ck_assert_int_eq(qk_client_call(client, &target, NULL, 0, &reply), -ENOENT);
    ck_assert_int_eq(reply.status, -ENOENT);
    ck_assert(!reply.may_have_run);
    ck_assert_str_eq(reply.text, qk_client_error(client));
    ck_assert_int_eq(qk_client_poll(client, -1), 0); /* nothing can come, so it does not wait */
    ck_assert_int_eq(qk_client_drain(client, -1), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client connect");
    TCase *tc = tcase_create("connect");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_connect_greets);
    tcase_add_test(tc, test_connect_options);
    tcase_add_test(tc, test_connect_no_socket);
    tcase_add_test(tc, test_connect_nobody_listens);
    tcase_add_test(tc, test_connect_not_permitted);
    tcase_add_test(tc, test_connect_path_too_long);
    tcase_add_loop_test(tc, test_connect_refused_by_the_silo, 0, sizeof(refusals) / sizeof(refusals[0]));
    tcase_add_test(tc, test_connect_welcome_in_pieces);
    tcase_add_test(tc, test_connect_silent_silo_times_out);
    tcase_add_test(tc, test_connect_full_backlog_times_out);
    tcase_add_test(tc, test_connect_backs_off);
    tcase_add_test(tc, test_connect_failure_of_a_waiting_call);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
