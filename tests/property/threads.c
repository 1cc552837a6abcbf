/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A world on real threads: workers, submitters, and the main thread, which watches. Nothing that is checked depends on
 * how fast they are; the clock only guards against a run that hangs.
 */
#include "drive.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>
#include "base/park.h"
#include "outside.h"

#define NS_PER_MS 1000000ll
#define WINDOW    32 /* frames of one submitter without a reply */
#define HANG_S    120

static struct qk_runtime *rt;
static sem_t windows[WORLD_SUBMITTERS];
static atomic_uint submitting;

/* Frames on their way through the poller, oldest first. */
static struct {
    pthread_mutex_t lock;
    struct qk_port_frame *first;
    struct qk_port_frame **last;
    struct qk_park park;
} inbox = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t now_ns(void *arg)
{
    (void)arg;
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static int64_t wall_ms(void *arg)
{
    return now_ns(arg) / NS_PER_MS;
}

static void answered(void *arg, uint32_t submitter)
{
    (void)arg;
    sem_post(&windows[submitter]);
}

static void deliver(void *arg, struct qk_port_frame *chain)
{
    drive_deliver(chain, answered, arg);
}

/* ---- the poller */

static struct qk_port_frame *inbox_take(void)
{
    pthread_mutex_lock(&inbox.lock);
    struct qk_port_frame *chain = inbox.first;
    inbox.first = NULL;
    inbox.last = &inbox.first;
    pthread_mutex_unlock(&inbox.lock);
    return chain;
}

static void inbox_put(struct qk_port_frame *chain)
{
    pthread_mutex_lock(&inbox.lock);
    *inbox.last = chain;
    while (*inbox.last != NULL)
        inbox.last = &(*inbox.last)->next;
    pthread_mutex_unlock(&inbox.lock);
    qk_park_wake(&inbox.park);
}

static int poll_inbox(void *arg, int64_t timeout_ns)
{
    (void)arg;
    struct qk_port_frame *chain = inbox_take();
    if (chain == NULL && timeout_ns != 0) {
        qk_park_wait(&inbox.park, timeout_ns);
        chain = inbox_take();
    }
    if (chain == NULL)
        return 0;
    qk_runtime_submit(rt, chain);
    return 1;
}

static void wake_poller(void *arg)
{
    (void)arg;
    qk_park_wake(&inbox.park);
}

/* ---- the threads */

static void *submitter_main(void *arg)
{
    struct submitter *s = arg;
    struct qk_port_frame *chain;
    while ((chain = submitter_chain(s, 4, now_ns(NULL))) != NULL) {
        for (struct qk_port_frame *f = chain; f != NULL; f = f->next) {
            while (f->kind != QK_PORT_CANCEL && sem_wait(&windows[s->index]) != 0) {
            }
        }
        if (world.plan.poller)
            inbox_put(chain);
        else
            qk_runtime_submit(rt, chain);
    }
    atomic_fetch_sub(&submitting, 1);
    return NULL;
}

static void *worker_main(void *arg)
{
    qk_runtime_worker_run(rt, (uint32_t)(uintptr_t)arg);
    return NULL;
}

static void on_stall(void *arg, const struct qk_stall *stall)
{
    (void)arg;
    world_check(stall->key[0] == 'n' && stall->held_ns > 0, "a damaged report of a long turn");
}

/* Watches until `over` says so. */
static void watch_until(bool (*over)(void *arg), void *arg)
{
    int64_t guard = now_ns(NULL) + HANG_S * 1000 * NS_PER_MS;
    static uint64_t random;
    while (!over(arg)) {
        struct timespec pause = {.tv_nsec = NS_PER_MS / 2};
        nanosleep(&pause, NULL);
        qk_runtime_watch(rt, NS_PER_MS / 2, on_stall, NULL);
        drive_visit(rt);
        drive_squeeze(rt, &random);
        world_check(now_ns(NULL) < guard, "it hangs: %d frames without a reply, %u messages in the runtime",
                    atomic_load(&world.in_flight), (unsigned)qk_runtime_busy(rt));
    }
}

static bool all_ended(void *arg)
{
    (void)arg;
    return atomic_load(&submitting) == 0 && atomic_load(&world.in_flight) == 0 && qk_runtime_busy(rt) == 0;
}

static bool enough_happened(void *arg)
{
    return atomic_load(&world.events) >= *(uint64_t *)arg || all_ended(NULL);
}

static bool joined(void *arg)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return pthread_timedjoin_np(*(pthread_t *)arg, NULL, &now) == 0;
}

static void configure(struct qk_runtime_config *config)
{
    drive_configure(config);
    config->now_ns = now_ns;
    config->wall_ms = wall_ms;
    config->deliver = deliver;
    if (world.plan.poller)
        config->poller = (struct qk_poller){.poll = poll_inbox, .wake = wake_poller};
}

static uint32_t count_and_free(struct qk_port_frame *chain)
{
    uint32_t n = 0;
    while (chain != NULL) {
        struct qk_port_frame *next = chain->next;
        qk_port_frame_destroy(chain);
        chain = next;
        n++;
    }
    return n;
}

void drive_threads(void)
{
    static struct submitter submitters[WORLD_SUBMITTERS];
    pthread_t workers[256], threads[WORLD_SUBMITTERS], outside;
    uint64_t random = world_mix(world.plan.seed, 29);
    struct qk_runtime_config config;
    inbox.last = &inbox.first;
    world.now_ns = now_ns;
    configure(&config);
    world_check(qk_runtime_create(&config, &rt) == 0, "the runtime could not be made");
    drive_register(rt);
    outside_begin(rt);
    world_check(pthread_create(&outside, NULL, outside_main, NULL) == 0, "no thread");
    for (uint32_t i = 0; i < config.workers; i++)
        world_check(pthread_create(&workers[i], NULL, worker_main, (void *)(uintptr_t)i) == 0, "no thread");
    atomic_store(&submitting, WORLD_SUBMITTERS);
    for (uint32_t i = 0; i < WORLD_SUBMITTERS; i++) {
        submitter_init(&submitters[i], i);
        sem_init(&windows[i], 0, WINDOW);
        world_check(pthread_create(&threads[i], NULL, submitter_main, &submitters[i]) == 0, "no thread");
    }
    uint64_t enough = world_below(&random, world.plan.frames * 10);
    if (world.plan.hard)
        watch_until(enough_happened, &enough);
    else
        watch_until(all_ended, NULL);
    if (world.plan.drain)
        qk_runtime_drain(rt);
    atomic_store(&world.stopping, true);
    qk_runtime_stop(rt, now_ns(NULL) + world.plan.grace_ns);
    for (uint32_t i = 0; i < config.workers; i++)
        watch_until(joined, &workers[i]);
    for (uint32_t i = 0; i < WORLD_SUBMITTERS; i++) {
        for (uint32_t k = 0; k < world.plan.frames; k++)
            sem_post(&windows[i]);
        watch_until(joined, &threads[i]);
        sem_destroy(&windows[i]);
    }
    outside_quit();
    pthread_join(outside, NULL);
    outside_finish();
    uint32_t late = count_and_free(inbox_take());
    world_finish((int)late + qk_runtime_destroy(rt));
}
