/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quark-host: the process of one plugin. The daemon starts it; it inherits the memory that it shares with the daemon
 * and a sealed copy of the plugin's file, and has nothing else.
 *
 * The workers run turns and read the ring. This thread looks after them, tells the daemon that it does, and carries out
 * what is asked of the process as a whole.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "host/host.h"
#include "loop/clock.h"

#define NS_PER_MS 1000000
#define BUSY_MS   4
#define IDLE_MS   50
#define FLUSH_MS  500 /* for the last replies */
#define STUCK_MS  1000

static void on_stall(void *arg, const struct qk_stall *stall)
{
    struct qk_host_process *host = arg;
    void *frames[QK_BACKTRACE_MAX];
    char trace[2048] = "  (the thread does not say where it is)", text[3072];
    int n = qk_thread_backtrace(host->workers[stall->worker].thread, 100, frames);
    if (n > 0)
        qk_backtrace_format(frames, n, trace, sizeof(trace));
    snprintf(text, sizeof(text), "it has held worker %u of its process for %lld ms in %s:\n%s", stall->worker,
             (long long)(stall->held_ns / NS_PER_MS), stall->method, trace);
    atomic_fetch_add(&host->pair.board->long_turns, 1);
    qk_host_log_stall(host, stall->type, stall->key, text);
}

/* Tells the silo that every worker gets on, or rests. */
static void beat(struct qk_host_process *host)
{
    bool alive = true;
    for (uint32_t i = 0; i < host->n_workers; i++) {
        struct qk_host_worker *worker = &host->workers[i];
        struct qk_worker_pulse pulse;
        qk_runtime_pulse(host->rt, i, &pulse);
        alive = alive && (pulse.parked || pulse.loops != worker->loops || atomic_load(&worker->ended));
        worker->loops = pulse.loops;
    }
    if (alive)
        atomic_fetch_add(&host->pair.board->beat, 1);
}

static struct qk_port_frame *take_order(struct qk_host_process *host)
{
    pthread_mutex_lock(&host->lock);
    struct qk_port_frame *frame = host->orders;
    if (frame != NULL) {
        host->orders = frame->next;
        if (host->orders == NULL)
            host->orders_last = &host->orders;
    }
    pthread_mutex_unlock(&host->lock);
    return frame;
}

static void carry_out(struct qk_host_process *host, struct qk_port_frame *frame)
{
    frame->next = NULL;
    if (frame->kind == QK_PORT_QUERY) {
        qk_host_send(host, qk_host_answer(host, frame));
        return;
    }
    if (frame->kind == QK_PORT_DRAIN) {
        qk_runtime_drain(host->rt);
    } else if (frame->kind == QK_PORT_STOP) {
        host->stop_ns = frame->deadline_ns > 0 ? frame->deadline_ns : 1;
        qk_runtime_stop(host->rt, host->stop_ns);
    }
    qk_port_frame_destroy(frame);
}

static bool all_ended(const struct qk_host_process *host)
{
    for (uint32_t i = 0; i < host->n_workers; i++) {
        if (!atomic_load(&host->workers[i].ended))
            return false;
    }
    return true;
}

static void look_after(struct qk_host_process *host)
{
    while (!all_ended(host)) {
        struct qk_port_frame *frame;
        bool busy = qk_runtime_watch(host->rt, (int64_t)host->setup->long_turn_ms * NS_PER_MS, on_stall, host);
        beat(host);
        qk_host_publish(host);
        while ((frame = take_order(host)) != NULL)
            carry_out(host, frame);
        if (host->stop_ns != 0 && qk_clock_now_ns(NULL) > host->stop_ns + (int64_t)STUCK_MS * NS_PER_MS)
            return; /* a turn does not end: the process does */
        qk_park_wait(&host->park, (int64_t)(busy || host->stop_ns != 0 ? BUSY_MS : IDLE_MS) * NS_PER_MS);
    }
}

/* The silo has taken the last replies, or does not read any more. */
static void flush(struct qk_host_process *host)
{
    int64_t until = qk_clock_now_ns(NULL) + (int64_t)FLUSH_MS * NS_PER_MS;
    while (!qk_ring_is_read(&host->pair.out) && qk_clock_now_ns(NULL) < until) {
        qk_channel_flush(host->channel);
        qk_pair_wait(&host->pair, NS_PER_MS);
    }
}

static void join_workers(struct qk_host_process *host)
{
    for (uint32_t i = 0; i < host->n_workers; i++) {
        if (atomic_load(&host->workers[i].ended))
            qk_thread_join(host->workers[i].thread);
    }
}

int main(void)
{
    static struct qk_host_process host;
    host.orders_last = &host.orders;
    pthread_mutex_init(&host.lock, NULL);
    pid_t parent = getppid();
    /* A service manager that stops the daemon tells all of its processes; this one ends when the daemon says so, and
     * with the daemon at the latest. */
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent ||
        qk_pair_attach(QK_PAIR_MEMORY_FD, QK_PAIR_BELL_FD, &host.pair) < 0) {
        fputs("quark-host runs the plugins of quarkd, which starts it\n", stderr);
        return QK_HOST_EXIT_BROKEN;
    }
    int rc = qk_host_start(&host);
    if (rc == 0)
        look_after(&host);
    flush(&host);
    join_workers(&host);
    /* Nothing else is torn down: what the plugin would do meanwhile is its own affair, and the kernel is quicker. */
    _exit(rc);
}
