/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A whole silo over a real socket, with several workers. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <quark/actor.h>
#include <admin.pb-c.h>
#include "actors.h"
#include "base/log.h"
#include "loop/loop.h"
#include "peer.h"
#include "rt.pb-c.h"
#include "silo/silo.h"

static char dir[64], path[100];
static struct qk_loop *control;
static struct qk_silo *silo;
static bool stopped;
static int lines, dropped, long_turns;
static char last_actor[128], last_text[4096], last_method[64];

static void on_log(void *arg, enum qk_log_level level, const char *code, const char *text,
                   const struct qk_log_field *fields)
{
    (void)arg, (void)level;
    lines++;
    if (code != NULL && strcmp(code, "QK0615") == 0)
        dropped++;
    if (code != NULL && strcmp(code, "QK0610") == 0)
        long_turns++;
    snprintf(last_text, sizeof(last_text), "%s", text);
    for (; fields != NULL && fields->name != NULL; fields++) {
        if (strcmp(fields->name, "QUARK_ACTOR") == 0 && fields->value != NULL)
            snprintf(last_actor, sizeof(last_actor), "%s", fields->value);
        if (strcmp(fields->name, "QUARK_METHOD") == 0 && fields->value != NULL)
            snprintf(last_method, sizeof(last_method), "%s", fields->value);
    }
}

static void pump(void *arg)
{
    (void)arg;
    qk_loop_poll(control, 1000000);
}

static void on_stopped(void *arg)
{
    (void)arg;
    stopped = true;
}

static void start(void (*tune)(struct qk_silo_config *config))
{
    static const char *const no_dirs[] = {NULL};
    struct qk_silo_config config;
    const char *code = NULL;
    char text[256] = "";
    qk_silo_config_init(&config);
    config.name = "test";
    config.version = "0";
    config.socket_path = path;
    config.plugin_dirs = no_dirs;
    config.workers = 2;
    config.drain_ms = 5000;
    if (tune != NULL)
        tune(&config);
    int rc = qk_silo_start(&config, control, &silo, &code, text, sizeof(text));
    ck_assert_msg(rc == 0, "%s %s", code, text);
    ck_assert_int_eq(qk_silo_add_plugin(silo, &silo_plugin, text, sizeof(text)), 0);
}

static void stop(void)
{
    stopped = false;
    qk_silo_stop(silo, on_stopped, NULL);
    while (!stopped)
        qk_loop_poll(control, -1);
    ck_assert_int_eq(qk_silo_destroy(silo), 0);
    ck_assert_int_ne(access(path, F_OK), 0);
}

static void setup(void)
{
    static const struct qk_log_sink sink = {.write = on_log};
    peer_make_dir(dir);
    snprintf(path, sizeof(path), "%s/s", dir);
    ck_assert_int_eq(qk_loop_create(&control), 0);
    qk_log_set_sink(&sink);
    lines = dropped = long_turns = 0;
    last_actor[0] = last_text[0] = last_method[0] = 0;
    atomic_store(&silo_activated, 0);
    atomic_store(&silo_deactivated, 0);
}

static void teardown(void)
{
    qk_log_set_sink(NULL);
    qk_loop_destroy(control);
    peer_remove_dir(dir);
}

static void call(struct peer *p, uint64_t id, enum silo_method which, const char *key, int64_t value, bool one_way)
{
    Rt__Number in = RT__NUMBER__INIT;
    uint8_t bytes[16];
    in.value = value;
    size_t n = rt__number__pack(&in, bytes);
    const struct qk_method *m = silo_method(which);
    peer_call(p, id, m->type_id, m->id, key, bytes, n, one_way);
}

static int32_t ask(struct peer *p, enum silo_method which, const char *key, int64_t value, int64_t *ret_value)
{
    int32_t status;
    struct peer_frame f;
    call(p, 1, which, key, value, false);
    ck_assert_uint_eq(peer_reply(p, &status, &f), 1);
    if (status >= 0 && ret_value != NULL) {
        Rt__Number *out = rt__number__unpack(NULL, f.payload_len, f.payload);
        ck_assert_ptr_nonnull(out);
        *ret_value = out->value;
        rt__number__free_unpacked(out, NULL);
    }
    peer_free(&f);
    return status;
}

START_TEST(test_silo_answers_calls)
{
    struct peer p;
    int64_t value = 0;
    start(NULL);
    peer_open(&p, path, pump, NULL);
    peer_greet(&p);
    ck_assert_int_eq(ask(&p, S_ADD, "a", 2, &value), 0);
    ck_assert_int_eq(ask(&p, S_ADD, "a", 3, &value), 0);
    ck_assert_int_eq(value, 5);
    ck_assert_int_eq(ask(&p, S_RELAY, "b", 4, &value), 0);
    ck_assert_int_eq(value, 4);
    ck_assert_int_eq(ask(&p, S_FAIL, "b", 4, &value), QK_APP(7));
    peer_close(&p);
    stop();
    ck_assert_int_eq(atomic_load(&silo_activated), 3);
    ck_assert_int_eq(atomic_load(&silo_deactivated), 3);
}
END_TEST

#define CLIENTS 4
#define CALLS   4000

/* Calls of many clients at a time, each to actors of its own and to a common one. */
START_TEST(test_silo_answers_many_clients)
{
    struct peer p[CLIENTS];
    start(NULL);
    for (int c = 0; c < CLIENTS; c++) {
        peer_open(&p[c], path, pump, NULL);
        peer_greet(&p[c]);
    }
    for (int i = 0; i < CALLS; i++) {
        for (int c = 0; c < CLIENTS; c++) {
            char key[32];
            snprintf(key, sizeof(key), "c%d-%d", c, i % 50);
            call(&p[c], (uint64_t)i + 1, i % 10 == 0 ? S_RELAY : S_ADD, key, 1, i % 7 == 0);
        }
        if (i % 100 != 99)
            continue;
        for (int c = 0; c < CLIENTS; c++) {
            for (int k = 0; k < 100; k++) {
                int32_t status;
                peer_reply(&p[c], &status, NULL);
                ck_assert_int_eq(status, 0);
            }
        }
    }
    int64_t value = 0;
    ck_assert_int_eq(ask(&p[0], S_GET, "hub", 0, &value), 0);
    ck_assert_int_ge(value, CLIENTS * CALLS / 10 - CLIENTS * CALLS / 70 - CLIENTS);
    for (int c = 0; c < CLIENTS; c++)
        peer_close(&p[c]);
    stop();
    ck_assert_int_eq(atomic_load(&silo_activated), atomic_load(&silo_deactivated));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("silo");
    TCase *tc = tcase_create("silo");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_silo_answers_calls);
    tcase_add_test(tc, test_silo_answers_many_clients);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
