/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Plugins in processes of their own: what the way into them and between them costs, and how long the end of one and the
 * beginning of the next take. The floors are the same work with the plugins in the daemon itself.
 */
#include "bench.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <quark/client.h>
#include "bench.quark.h"
#include "iso.quark.h"

#define ROUND_TRIPS 200000
#define CROSS       20000
#define PENDING     10000

/* ---- calls from a client */

static void on_done(void *arg, const struct qk_reply *reply)
{
    if (reply->status < 0)
        bench_fail("a call failed with %s: %s", qk_status_name(reply->status), reply->text);
    *(int64_t *)arg = bench_now_ns();
}

/* One call that is answered when `count` round trips are over: ns for each. */
static double ns_each(struct qk_client *client, const struct qk_method *m, const ProtobufCMessage *request,
                      int64_t count, unsigned callers)
{
    int64_t done[64], start = bench_now_ns(), last = start;
    for (unsigned i = 0; i < callers; i++) {
        if (qk_client_ask_begin(client, m, qk_ref(bench_keys[i]), 120000, request, on_done, &done[i]) < 0)
            bench_fail("a call could not begin: %s", qk_client_error(client));
    }
    if (qk_client_drain(client, 120000) < 0)
        bench_fail("the calls did not end: %s", qk_client_error(client));
    for (unsigned i = 0; i < callers; i++)
        last = done[i] > last ? done[i] : last;
    return (double)(last - start) / (double)count / callers;
}

static void local_round_trips(bool isolated, struct bench_sample *ret_sample)
{
    struct qk_client *client = client_open_isolated("", isolated);
    Bench__Number n = BENCH__NUMBER__INIT;
    n.value = ROUND_TRIPS / 10;
    ns_each(client, driver_round_trips_method(), &n.base, n.value, 1);
    n.value = ROUND_TRIPS;
    ret_sample->value = ns_each(client, driver_round_trips_method(), &n.base, n.value, 1);
    client_close(client);
}

void iso_local(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    (void)w;
    local_round_trips(true, ret_sample);
}

void floor_iso_local(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    (void)w;
    local_round_trips(false, ret_sample);
}

/* ns each way: a round trip has two. */
static void cross(const struct bench_workload *w, bool isolated, struct bench_sample *ret_sample)
{
    struct qk_client *client = client_open_isolated("", isolated);
    Iso__Number n = ISO__NUMBER__INIT;
    n.value = CROSS / 10;
    ns_each(client, caller_round_trips_method(), &n.base, n.value, w->size);
    n.value = CROSS;
    ret_sample->value = ns_each(client, caller_round_trips_method(), &n.base, n.value, w->size) / 2;
    client_close(client);
}

void iso_cross(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    cross(w, true, ret_sample);
}

void floor_iso_cross(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    cross(w, false, ret_sample);
}

/* ---- the end of a process, and the beginning of the next */

/* Kills the daemon's children called quark-host. */
static void kill_hosts(void)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    unsigned killed = 0;
    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        char path[300], text[256] = "";
        pid_t pid = atoi(entry->d_name), parent = 0;
        snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
        FILE *f = pid > 0 ? fopen(path, "re") : NULL;
        if (f == NULL)
            continue;
        if (fscanf(f, "%*d (%250[^)]) %*c %d", text, &parent) == 2 && parent == client_daemon_pid() &&
            strcmp(text, "quark-host") == 0) {
            kill(pid, SIGKILL);
            killed++;
        }
        fclose(f);
    }
    if (proc != NULL)
        closedir(proc);
    if (killed == 0)
        bench_fail("the daemon has no quark-host");
}

struct toll {
    int64_t last_ns;
    uint64_t crashed;
};

static void on_crashed(void *arg, const struct qk_reply *reply)
{
    struct toll *toll = arg;
    toll->last_ns = bench_now_ns();
    toll->crashed += reply->status == QK_ECRASHED;
}

void host_death(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    (void)w;
    struct qk_client *client = client_open_isolated("runtime: { mailbox = 16384; };", true);
    Bench__Number n = BENCH__NUMBER__INIT;
    struct toll toll = {0};
    n.value = 2000000; /* so that it has begun with a few of them when it dies */
    for (unsigned i = 0; i < PENDING; i++) {
        if (qk_client_ask_begin(client, mill_grind_method(), qk_ref(bench_keys[i]), 120000, &n.base, on_crashed,
                                &toll) < 0)
            bench_fail("a call could not begin: %s", qk_client_error(client));
    }
    /* An answer from the other plugin tells that the silo has handed on all that came before. */
    Iso__Number none = ISO__NUMBER__INIT;
    int64_t handed_on = 0;
    if (qk_client_ask_begin(client, caller_round_trips_method(), qk_ref("x"), 120000, &none.base, on_done, &handed_on) <
        0)
        bench_fail("a call could not begin: %s", qk_client_error(client));
    while (handed_on == 0)
        qk_client_poll(client, 100);
    int64_t start = bench_now_ns();
    kill_hosts();
    qk_client_drain(client, 120000);
    if (toll.crashed < PENDING / 2)
        bench_fail("only %llu calls ended with QK_ECRASHED", (unsigned long long)toll.crashed);
    ret_sample->value = (double)(toll.last_ns - start) / 1e6;
    client_close(client);
}

void host_start(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    (void)w;
    struct qk_client *client = client_open_isolated("", true);
    Bench__Number n = BENCH__NUMBER__INIT;
    int64_t done = 0;
    ns_each(client, echo_ping_method(), &n.base, 1, 1);
    int64_t start = bench_now_ns();
    kill_hosts();
    struct toll toll = {0};
    do { /* a call may meet the old process, and end with it */
        toll = (struct toll){0};
        qk_client_ask_begin(client, echo_ping_method(), qk_ref(bench_keys[0]), 120000, &n.base, on_crashed, &toll);
        qk_client_drain(client, 120000);
    } while (toll.crashed != 0);
    done = toll.last_ns;
    ret_sample->value = (double)(done - start) / 1e6;
    client_close(client);
}
