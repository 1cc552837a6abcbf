/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The silo that the tests start and stop. */
#include "fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "rt.pb-c.h"

char fx_dir[64], fx_path[100];
struct qk_loop *fx_control;
struct qk_silo *fx_silo;
bool fx_stopped;
int fx_lines, fx_dropped, fx_long_turns, fx_stuck, fx_stuck_jobs;
char fx_actor[128], fx_method[64], fx_text[4096];

static void on_log(void *arg, enum qk_log_level level, const char *code, const char *text,
                   const struct qk_log_field *fields)
{
    (void)arg, (void)level;
    fx_lines++;
    if (code != NULL && strcmp(code, "QK0615") == 0)
        fx_dropped++;
    if (code != NULL && strcmp(code, "QK0610") == 0)
        fx_long_turns++;
    if (code != NULL && strcmp(code, "QK0616") == 0)
        fx_stuck++;
    if (code != NULL && strcmp(code, "QK0617") == 0)
        fx_stuck_jobs++;
    snprintf(fx_text, sizeof(fx_text), "%s", text);
    for (; fields != NULL && fields->name != NULL; fields++) {
        if (strcmp(fields->name, "QUARK_ACTOR") == 0 && fields->value != NULL)
            snprintf(fx_actor, sizeof(fx_actor), "%s", fields->value);
        if (strcmp(fields->name, "QUARK_METHOD") == 0 && fields->value != NULL)
            snprintf(fx_method, sizeof(fx_method), "%s", fields->value);
    }
}

void fx_pump(void *arg)
{
    (void)arg;
    qk_loop_poll(fx_control, 1000000);
}

static void on_stopped(void *arg)
{
    (void)arg;
    fx_stopped = true;
}

void fx_config(struct qk_silo_config *config)
{
    static const char *const no_dirs[] = {NULL};
    static const char *const files[] = {"/etc/one.conf", "/etc/two.conf", NULL};
    qk_silo_config_init(config);
    config->name = "test";
    config->version = "0";
    config->socket_path = fx_path;
    config->plugin_dirs = no_dirs;
    config->config_files = files;
    config->workers = 2;
    config->drain_ms = 20000;
    config->long_turn_ms = 60000;
}

void fx_start(void (*tune)(struct qk_silo_config *config))
{
    struct qk_silo_config config;
    const char *code = NULL;
    char text[256] = "";
    fx_config(&config);
    if (tune != NULL)
        tune(&config);
    int rc = qk_silo_start(&config, fx_control, &fx_silo, &code, text, sizeof(text));
    ck_assert_msg(rc == 0, "%s %s", code, text);
    ck_assert_int_eq(qk_silo_add_plugin(fx_silo, &silo_plugin, text, sizeof(text)), 0);
}

void fx_begin_stop(void)
{
    fx_stopped = false;
    qk_silo_stop(fx_silo, on_stopped, NULL);
}

void fx_end_stop(void)
{
    while (!fx_stopped)
        qk_loop_poll(fx_control, -1);
    ck_assert_int_eq(qk_silo_destroy(fx_silo), 0);
    ck_assert_int_ne(access(fx_path, F_OK), 0);
    ck_assert_int_eq(atomic_load(&silo_activated), atomic_load(&silo_deactivated));
}

void fx_setup(void)
{
    static const struct qk_log_sink sink = {.write = on_log};
    peer_make_dir(fx_dir);
    snprintf(fx_path, sizeof(fx_path), "%s/s", fx_dir);
    ck_assert_int_eq(qk_loop_create(&fx_control), 0);
    qk_log_set_sink(&sink);
    fx_lines = fx_dropped = fx_long_turns = fx_stuck = fx_stuck_jobs = 0;
    fx_actor[0] = fx_text[0] = fx_method[0] = 0;
    atomic_store(&silo_activated, 0);
    atomic_store(&silo_deactivated, 0);
    atomic_store(&silo_spin, false);
    atomic_store(&silo_spinning, false);
    atomic_store(&silo_blocked, 0);
    ck_assert_int_eq(sem_init(&silo_gate, 0, 0), 0);
}

void fx_teardown(void)
{
    qk_log_set_sink(NULL);
    sem_destroy(&silo_gate);
    qk_loop_destroy(fx_control);
    peer_remove_dir(fx_dir);
}

void fx_open(struct peer *p)
{
    peer_open(p, fx_path, fx_pump, NULL);
    peer_greet(p);
}

void fx_call(struct peer *p, uint64_t id, enum silo_method which, const char *key, int64_t value, bool one_way)
{
    Rt__Number in = RT__NUMBER__INIT;
    uint8_t bytes[16];
    in.value = value;
    size_t n = rt__number__pack(&in, bytes);
    const struct qk_method *m = silo_method(which);
    peer_call(p, id, m->type_id, m->id, key, bytes, n, one_way);
}

int32_t fx_ask(struct peer *p, enum silo_method which, const char *key, int64_t value, int64_t *ret_value)
{
    int32_t status;
    struct peer_frame f;
    fx_call(p, 1, which, key, value, false);
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
