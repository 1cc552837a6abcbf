/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A silo in the process: the runtime with its workers and its watcher, set up as the daemon does it. */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/park.h"
#include "bench.quark.h"
#include "runtime/runtime.h"
#include "silo/stores.h"

#define WORKERS_MAX 64
#define WATCH_NS    5000000
#define RUN_NS      600000000000ll /* how long one call of a driver may take */
#define STALL_NS    600000000000ll

static struct {
    struct qk_runtime *rt;
    struct qk_stores *stores; /* NULL: none */
    uint32_t workers;
    pthread_t threads[WORKERS_MAX];
    struct qk_park park;
    atomic_uint waiting; /* calls without a reply */
} silo;

int64_t bench_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int64_t now_ns(void *arg)
{
    (void)arg;
    return bench_now_ns();
}

static int64_t wall_ms(void *arg)
{
    (void)arg;
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

static void take_answer(void *arg, struct qk_port_frame *chain)
{
    (void)arg;
    qk_runtime_submit(silo.rt, chain);
}

static void deliver(void *arg, struct qk_port_frame *chain)
{
    (void)arg;
    if (silo.stores != NULL)
        chain = qk_stores_take(silo.stores, chain);
    while (chain != NULL) {
        struct qk_port_frame *f = chain;
        chain = f->next;
        if (f->status < 0)
            bench_fail("a call failed with %d: %.*s", f->status, (int)f->text_len, qk_port_frame_text(f));
        qk_port_frame_destroy(f);
        if (atomic_fetch_sub(&silo.waiting, 1) == 1)
            qk_park_wake(&silo.park);
    }
}

static void *worker_main(void *arg)
{
    qk_runtime_worker_run(silo.rt, (uint32_t)(uintptr_t)arg);
    return NULL;
}

static void open_silo(uint32_t workers, const struct qk_plugin *plugin)
{
    struct qk_runtime_config config;
    char text[256] = "";
    qk_runtime_config_init(&config);
    config.workers = workers;
    config.now_ns = now_ns;
    config.wall_ms = wall_ms;
    config.deliver = deliver;
    config.seed = (uint64_t)bench_now_ns();
    if (workers > WORKERS_MAX || qk_runtime_create(&config, &silo.rt) < 0)
        bench_fail("no runtime with %u workers", workers);
    if (qk_runtime_add_plugin(silo.rt, plugin, text, sizeof(text)) < 0)
        bench_fail("%s", text);
    if (silo.stores != NULL)
        qk_stores_set_answer(silo.stores, take_answer, NULL);
    silo.workers = workers;
    for (uint32_t i = 0; i < workers; i++) {
        if (pthread_create(&silo.threads[i], NULL, worker_main, (void *)(uintptr_t)i) != 0)
            bench_fail("no thread");
    }
}

void silo_open(uint32_t workers)
{
    open_silo(workers, &bench_plugin);
}

void silo_open_stored(uint32_t workers, const struct qk_plugin *plugin, const char *path)
{
    const struct qk_stores_config config = {.sqlite_path = path};
    const char *code;
    char text[512] = "";
    if (qk_stores_create(&config, &silo.stores) < 0 ||
        qk_stores_admit(silo.stores, plugin, &code, text, sizeof(text)) < 0)
        bench_fail("no store: %s", text);
    open_silo(workers, plugin);
}

void silo_close(void)
{
    qk_runtime_stop(silo.rt, bench_now_ns());
    for (uint32_t i = 0; i < silo.workers; i++)
        pthread_join(silo.threads[i], NULL);
    qk_stores_destroy(silo.stores);
    silo.stores = NULL;
    int left = qk_runtime_destroy(silo.rt);
    if (left != 0)
        bench_fail("%d activations or messages were left over", left);
}

void silo_submit(const struct qk_method *m, const char *key, const ProtobufCMessage *request)
{
    size_t size = protobuf_c_message_get_packed_size(request), key_len = strlen(key);
    struct qk_port_frame *f = qk_port_frame_create(key_len + size);
    if (f == NULL)
        bench_fail("out of memory");
    f->kind = QK_PORT_CALL;
    f->type_id = m->type_id;
    f->method_id = m->id;
    f->deadline_ns = bench_now_ns() + RUN_NS;
    f->key_len = (uint32_t)key_len;
    f->payload_len = (uint32_t)size;
    memcpy(f->bytes, key, key_len);
    protobuf_c_message_pack(request, f->bytes + key_len);
    atomic_fetch_add(&silo.waiting, 1);
    qk_runtime_submit(silo.rt, f);
}

void silo_wait(void)
{
    while (atomic_load(&silo.waiting) != 0) {
        qk_park_wait(&silo.park, WATCH_NS);
        qk_runtime_watch(silo.rt, STALL_NS, NULL, NULL);
    }
}
