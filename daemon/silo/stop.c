/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The end of a silo, in steps that a timer of the control loop takes:
 *
 *   DRAINING  clients are told; calls that run or wait may end, until drain_ms have passed
 *   PARTING   processes of plugins do the same as STOPPING does here, and end, while this runtime still answers them
 *   STOPPING  the runtime refuses the rest, deactivates every activation, and its workers return
 *   FLUSHING  the last replies go out to clients that read
 *   STOPPED   on_stopped runs
 *
 * A worker, or offloaded work, that does not come back long after its time is given up: nothing it may touch is freed
 * then.
 */
#include "silo/internal.h"

#include <stdio.h>
#include "base/log.h"
#include "loop/clock.h"

#define NS_PER_MS 1000000
#define STEP_MS   2
#define FLUSH_MS  500  /* for clients to take their last replies */
#define STUCK_MS  2000 /* past its time, without getting through its loop */
#define HARD_MS   5000 /* past its time, whatever it does, on top of drain_ms */

static enum qk_silo_state state_of(struct qk_silo *silo)
{
    return (enum qk_silo_state)atomic_load(&silo->state);
}

void qk_silo_stop(struct qk_silo *silo, void (*on_stopped)(void *arg), void *arg)
{
    int64_t now_ns = qk_clock_now_ns(NULL);
    if (state_of(silo) != QK_SILO_RUNNING) {
        silo->stop_ns = now_ns; /* asked again: no more waiting */
        if (state_of(silo) == QK_SILO_PARTING)
            qk_hosts_stop(silo->hosts, now_ns);
        if (state_of(silo) == QK_SILO_STOPPING)
            qk_runtime_stop(silo->rt, now_ns);
        return;
    }
    silo->on_stopped = on_stopped;
    silo->on_stopped_arg = arg;
    silo->stop_ns = now_ns + (int64_t)silo->drain_ms * NS_PER_MS;
    atomic_store(&silo->state, QK_SILO_DRAINING);
    qk_gateway_drain(silo->gw);
    qk_runtime_drain(silo->rt);
    qk_hosts_drain(silo->hosts);
    qk_timer_arm(silo->stop_timer, 0);
}

static void begin_stopping(struct qk_silo *silo, int64_t now_ns)
{
    for (uint32_t i = 0; i < silo->n_started; i++)
        silo->workers[i].stop_ns = now_ns;
    atomic_store(&silo->state, QK_SILO_STOPPING);
    qk_memory_end(&silo->memory);
    qk_runtime_stop(silo->rt, silo->stop_ns);
}

static bool all_ended(struct qk_silo *silo)
{
    for (uint32_t i = 0; i < silo->n_started; i++) {
        if (!atomic_load(&silo->workers[i].ended))
            return false;
    }
    return true;
}

/* The worker that will not come back; NULL while there is hope. */
static struct qk_silo_worker *find_stuck(struct qk_silo *silo, int64_t now_ns)
{
    struct qk_silo_worker *stuck = NULL;
    int64_t hard_ns = silo->stop_ns + ((int64_t)silo->drain_ms + HARD_MS) * NS_PER_MS;
    for (uint32_t i = 0; i < silo->n_started; i++) {
        struct qk_silo_worker *worker = &silo->workers[i];
        struct qk_worker_pulse pulse;
        if (atomic_load(&worker->ended))
            continue;
        qk_runtime_pulse(silo->rt, i, &pulse);
        if (pulse.parked || pulse.loops != worker->stop_loops || now_ns < silo->stop_ns)
            worker->stop_ns = now_ns;
        worker->stop_loops = pulse.loops;
        if (now_ns - worker->stop_ns > (int64_t)STUCK_MS * NS_PER_MS || now_ns > hard_ns)
            stuck = worker;
    }
    return stuck;
}

static void give_up(struct qk_silo *silo, struct qk_silo_worker *worker)
{
    void *frames[QK_BACKTRACE_MAX];
    char trace[3072] = "  (the thread does not say where it is)";
    const char *actor = qk_silo_stalled(silo, worker->index);
    int n = qk_thread_backtrace(worker->thread, 100, frames);
    if (n > 0)
        qk_backtrace_format(frames, n, trace, sizeof(trace));
    struct qk_log_field fields[] = {{"QUARK_ACTOR", *actor != 0 ? actor : NULL}, {NULL, NULL}};
    qk_log_write(QK_LOG_ERROR, "QK0616", fields, "worker %u did not end%s%s:\n%s", worker->index,
                 *actor != 0 ? ", held by " : "", actor, trace);
    silo->stuck = true;
}

/* Offloaded work that will not come back: true when there is some. */
static bool give_up_offloaded(struct qk_silo *silo, int64_t now_ns)
{
    char actor[80 + QK_KEY_MAX];
    int64_t since_ns;
    if (now_ns < silo->stop_ns)
        return false;
    qk_crew_close(silo->crew);
    if (now_ns - silo->stop_ns <= (int64_t)STUCK_MS * NS_PER_MS ||
        !qk_crew_oldest(silo->crew, &since_ns, actor, sizeof(actor)))
        return false;
    struct qk_log_field fields[] = {{"QUARK_ACTOR", actor}, {NULL, NULL}};
    qk_log_write(QK_LOG_ERROR, "QK0617", fields, "work that %s has offloaded did not end; it has run for %lld ms",
                 actor, (long long)((now_ns - since_ns) / NS_PER_MS));
    silo->stuck = true;
    return true;
}

static void end(struct qk_silo *silo)
{
    atomic_store(&silo->state, QK_SILO_STOPPED);
    qk_timer_disarm(silo->watch_timer);
    silo->on_stopped(silo->on_stopped_arg);
}

void qk_silo_on_stop_timer(void *arg)
{
    struct qk_silo *silo = arg;
    int64_t now_ns = qk_clock_now_ns(NULL);
    struct qk_silo_worker *stuck;
    switch (state_of(silo)) {
    case QK_SILO_DRAINING:
        if ((qk_runtime_busy(silo->rt) == 0 && qk_hosts_pending(silo->hosts) == 0) || now_ns >= silo->stop_ns) {
            atomic_store(&silo->state, QK_SILO_PARTING);
            qk_hosts_stop(silo->hosts, silo->stop_ns);
        }
        break;
    case QK_SILO_PARTING:
        if (qk_hosts_have_ended(silo->hosts))
            begin_stopping(silo, now_ns);
        break;
    case QK_SILO_STOPPING:
        if (all_ended(silo)) {
            qk_timer_disarm(silo->watch_timer);
            qk_silo_join_workers(silo);
            silo->flush_ns = now_ns + (int64_t)FLUSH_MS * NS_PER_MS;
            atomic_store(&silo->state, QK_SILO_FLUSHING);
        } else if ((stuck = find_stuck(silo, now_ns)) != NULL) {
            give_up(silo, stuck);
            end(silo);
            return;
        } else if (give_up_offloaded(silo, now_ns)) {
            end(silo);
            return;
        }
        break;
    case QK_SILO_FLUSHING:
        /* Nobody else is inside the gateway's loop any more. */
        while (qk_loop_poll(silo->loop, 0) > 0 && now_ns < silo->flush_ns)
            now_ns = qk_clock_now_ns(NULL);
        if (qk_gateway_is_flushed(silo->gw) || now_ns >= silo->flush_ns) {
            end(silo);
            return;
        }
        break;
    default:
        return;
    }
    qk_timer_arm(silo->stop_timer, (int64_t)STEP_MS * NS_PER_MS);
}
