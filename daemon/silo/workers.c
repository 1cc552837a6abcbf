/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The threads that run the runtime's workers, and looking after them: turns that take too long, and what a watchdog
 * needs to know. */
#include "silo/internal.h"

#include <sched.h>
#include <stdio.h>
#include "base/log.h"
#include "loop/clock.h"

#define NS_PER_MS      1000000
#define WATCH_BUSY_MS  4
#define WATCH_IDLE_MS  25
#define BACKTRACE_MS   100 /* how long a worker may take to say where it is */
#define BACKTRACE_TEXT 3072

uint32_t qk_silo_count_cpus(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? (uint32_t)n : 1;
}

/* The nth processor that this process may use, round and round. */
static int nth_cpu(uint32_t n)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0 || CPU_COUNT(&set) == 0)
        return -1;
    n %= (uint32_t)CPU_COUNT(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET((unsigned)cpu, &set) && n-- == 0)
            return cpu;
    }
    return -1;
}

static void worker_main(void *arg)
{
    struct qk_silo_worker *worker = arg;
    struct qk_loop *control = worker->silo->control;
    atomic_store(&worker->cpu_clock, qk_thread_cpu_clock());
    qk_runtime_worker_run(worker->silo->rt, worker->index);
    atomic_store(&worker->ended, true);
    qk_loop_wake(control);
}

int qk_silo_start_workers(struct qk_silo *silo)
{
    /* All of them first: a worker that has started may be asked about the others. */
    for (uint32_t i = 0; i < silo->n_workers; i++)
        silo->workers[i] = (struct qk_silo_worker){.silo = silo, .index = i, .alive_loops = UINT64_MAX};
    for (uint32_t i = 0; i < silo->n_workers; i++) {
        char name[16];
        snprintf(name, sizeof(name), "qk-w%u", i);
        int rc = qk_thread_start(name, silo->pin_workers ? nth_cpu(i) : -1, worker_main, &silo->workers[i],
                                 &silo->workers[i].thread);
        if (rc < 0)
            return rc;
        silo->n_started++;
    }
    return 0;
}

void qk_silo_join_workers(struct qk_silo *silo)
{
    for (uint32_t i = 0; i < silo->n_started; i++) {
        qk_thread_join(silo->workers[i].thread);
        silo->workers[i].thread = NULL;
    }
    silo->n_started = 0;
}

/* ---- turns that hold their thread */

static void on_stall(void *arg, const struct qk_stall *stall)
{
    struct qk_silo *silo = arg;
    struct qk_silo_worker *worker = &silo->workers[stall->worker];
    struct qk_worker_pulse pulse;
    void *frames[QK_BACKTRACE_MAX];
    char trace[BACKTRACE_TEXT] = "  (the thread does not say where it is)";
    char actor[sizeof(worker->stalled)];
    qk_runtime_pulse(silo->rt, stall->worker, &pulse);
    worker->stall_loops = pulse.loops;
    snprintf(actor, sizeof(actor), "%.63s/%s", stall->type, stall->key);
    snprintf(worker->stalled, sizeof(worker->stalled), "%s", actor);
    int n = qk_thread_backtrace(worker->thread, BACKTRACE_MS, frames);
    if (n > 0)
        qk_backtrace_format(frames, n, trace, sizeof(trace));
    struct qk_log_field fields[] = {{"QUARK_ACTOR", actor}, {"QUARK_METHOD", stall->method}, {NULL, NULL}};
    qk_log_write(QK_LOG_WARNING, "QK0610", fields, "%s has held worker %u for %lld ms in %s:\n%s", actor, stall->worker,
                 (long long)(stall->held_ns / NS_PER_MS), stall->method, trace);
}

const char *qk_silo_stalled(struct qk_silo *silo, uint32_t index)
{
    struct qk_silo_worker *worker = &silo->workers[index];
    struct qk_worker_pulse pulse;
    qk_runtime_pulse(silo->rt, index, &pulse);
    if (pulse.loops != worker->stall_loops)
        worker->stalled[0] = 0;
    return worker->stalled;
}

void qk_silo_watch(void *arg)
{
    struct qk_silo *silo = arg;
    bool busy = qk_runtime_watch(silo->rt, (int64_t)silo->long_turn_ms * NS_PER_MS, on_stall, silo);
    qk_timer_arm(silo->watch_timer, (int64_t)(busy ? WATCH_BUSY_MS : WATCH_IDLE_MS) * NS_PER_MS);
}

/* ---- the watchdog's question */

static bool worker_is_alive(struct qk_silo *silo, uint32_t index)
{
    struct qk_silo_worker *worker = &silo->workers[index];
    struct qk_worker_pulse pulse;
    qk_runtime_pulse(silo->rt, index, &pulse);
    bool moved = pulse.parked || pulse.loops != worker->alive_loops || atomic_load(&worker->ended);
    worker->alive_loops = pulse.loops;
    return moved;
}

bool qk_silo_is_alive(struct qk_silo *silo, char *ret_stuck, size_t size)
{
    bool alive = true;
    for (uint32_t i = 0; i < silo->n_started; i++) {
        if (worker_is_alive(silo, i) || !alive)
            continue;
        const char *actor = qk_silo_stalled(silo, i);
        snprintf(ret_stuck, size, "worker %u%s%s", i, *actor != 0 ? " in a turn of " : "", actor);
        alive = false;
    }
    /* What was asked the last time must have run by now. */
    bool answered = !atomic_exchange(&silo->pinged, true);
    if (answered) {
        qk_loop_post(silo->loop, &silo->ping);
    } else if (alive && silo->n_started != 0) {
        snprintf(ret_stuck, size, "the loop of the clients' connections");
        alive = false;
    }
    return alive;
}
