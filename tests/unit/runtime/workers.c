/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "workers.h"

#include <check.h>
#include <string.h>
#include <time.h>

struct start {
    struct qk_runtime *rt;
    uint32_t index;
};

atomic_int workers_replies, workers_failures;
struct qk_park workers_park;
static struct start starts[WORKERS_MAX];

int64_t workers_now_ns(void *arg)
{
    (void)arg;
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int64_t workers_wall_ms(void *arg)
{
    return workers_now_ns(arg) / 1000000;
}

void workers_count(struct qk_port_frame *frame)
{
    if (frame->status < 0)
        atomic_fetch_add(&workers_failures, 1);
    qk_port_frame_destroy(frame);
    atomic_fetch_add(&workers_replies, 1);
    qk_park_wake(&workers_park);
}

static void deliver(void *arg, struct qk_port_frame *chain)
{
    (void)arg;
    while (chain != NULL) {
        struct qk_port_frame *f = chain;
        chain = f->next;
        workers_count(f);
    }
}

void workers_configure(struct qk_runtime_config *ret_config, uint32_t n)
{
    qk_runtime_config_init(ret_config);
    ret_config->workers = n;
    ret_config->now_ns = workers_now_ns;
    ret_config->wall_ms = workers_wall_ms;
    ret_config->deliver = deliver;
    ret_config->default_timeout_ms = 600000;
}

static void *worker_main(void *arg)
{
    const struct start *s = arg;
    qk_runtime_worker_run(s->rt, s->index);
    return NULL;
}

void workers_start(struct workers *w, const struct qk_runtime_config *config, const struct qk_plugin *plugin)
{
    char text[256] = "";
    w->n = config->workers;
    ck_assert_uint_le(w->n, WORKERS_MAX);
    atomic_store(&workers_replies, 0);
    atomic_store(&workers_failures, 0);
    ck_assert_int_eq(qk_runtime_create(config, &w->rt), 0);
    ck_assert_msg(qk_runtime_add_plugin(w->rt, plugin, text, sizeof(text)) == 0, "%s", text);
    for (uint32_t i = 0; i < w->n; i++) {
        starts[i] = (struct start){w->rt, i};
        ck_assert_int_eq(pthread_create(&w->threads[i], NULL, worker_main, &starts[i]), 0);
    }
}

void workers_join(struct workers *w, int64_t deadline_ns)
{
    qk_runtime_stop(w->rt, deadline_ns);
    for (uint32_t i = 0; i < w->n; i++)
        pthread_join(w->threads[i], NULL);
}

void workers_stop(struct workers *w)
{
    workers_join(w, workers_now_ns(NULL));
    ck_assert_int_eq(qk_runtime_destroy(w->rt), 0);
}

void workers_watch(struct workers *w, int replies, int64_t stall_ns,
                   void (*on_stall)(void *arg, const struct qk_stall *stall))
{
    int64_t guard = workers_now_ns(NULL) + WORKERS_HANG_NS;
    while (atomic_load(&workers_replies) < replies) {
        qk_park_wait(&workers_park, 1000000);
        qk_runtime_watch(w->rt, stall_ns, on_stall, NULL);
        ck_assert_msg(workers_now_ns(NULL) < guard, "%d of %d replies", atomic_load(&workers_replies), replies);
    }
}

void workers_wait(struct workers *w, int replies)
{
    workers_watch(w, replies, WORKERS_HANG_NS, NULL);
}

void workers_call(struct workers *w, const struct qk_method *method, const char *key)
{
    size_t key_len = strlen(key);
    struct qk_port_frame *f = qk_port_frame_create(key_len);
    ck_assert_ptr_nonnull(f);
    f->kind = QK_PORT_CALL;
    f->type_id = method->type_id;
    f->method_id = method->id;
    f->key_len = (uint32_t)key_len;
    memcpy(f->bytes, key, key_len);
    qk_runtime_submit(w->rt, f);
}
