/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the benchmark program share. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <quark/abi.h>

#define BENCH_MEMBERS 1000    /* of a ring and of an audience */
#define BENCH_CROWD   1000000 /* actors of create_1m */
#define BENCH_TIMERS  1000000

/* What one run of a workload gave. */
struct bench_sample {
    double value;
    double p50_us; /* 0: not measured */
    double p99_us;
};

struct bench_workload {
    const char *name;
    const char *unit;
    const char *what;
    void (*run)(const struct bench_workload *w, struct bench_sample *ret_sample);
    void (*floor)(const struct bench_workload *w, struct bench_sample *ret_sample); /* NULL: none */
    uint32_t workers;
    uint32_t size;    /* pairs, producers, bytes or calls in flight, as the workload says */
    bool rate;        /* more is better */
    bool only_named;  /* not among those that run without a name */
    const char *goal; /* of the product; NULL: none */
};

int64_t bench_now_ns(void);

/* Ends the program with a message. */
void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Runs `run` in a process of its own, so that its memory is fresh; the values come back. */
void bench_apart(void (*run)(double *values), double *values, int n);

/* Memory of the process that is in use, in bytes. */
uint64_t bench_resident(void);

/* ---- a silo in the process, as the daemon sets it up (silo.c) */

void silo_open(uint32_t workers);

/* With other actors, whose state the SQLite file at `path` keeps. */
void silo_open_stored(uint32_t workers, const struct qk_plugin *plugin, const char *path);

void silo_close(void);

/* Hands in a call as a client's. */
void silo_submit(const struct qk_method *m, const char *key, const ProtobufCMessage *request);

/* Waits until every call has its reply; a failure ends the program. */
void silo_wait(void);

/* ---- the actors (actors.c) */

extern char bench_keys[BENCH_CROWD][8]; /* "0000000" and so on */
void actors_prepare(void);

/* Waits until the ring's token has come to rest. */
void actors_wait_for_token(void);

/* So many timers will tick; how late each comes goes to `late_us` where that is wanted. */
void actors_expect_ticks(uint32_t count, float *late_us);

/* Waits until all have; when the last did. */
int64_t actors_wait_for_ticks(void);

/* ---- workloads (local.c, timers.c, client.c, overload.c) and floors (floor.c) */

void local_round_trip(const struct bench_workload *w, struct bench_sample *ret_sample);
void local_pairs(const struct bench_workload *w, struct bench_sample *ret_sample);
void local_texts(const struct bench_workload *w, struct bench_sample *ret_sample);
void local_flood(const struct bench_workload *w, struct bench_sample *ret_sample);
void local_ring(const struct bench_workload *w, struct bench_sample *ret_sample);
void local_create(const struct bench_workload *w, struct bench_sample *ret_sample);
void local_idle(const struct bench_workload *w, struct bench_sample *ret_sample);
void local_fanout(const struct bench_workload *w, struct bench_sample *ret_sample);

/* Starts a daemon with these lines in its configuration and connects; ends both. */
struct qk_client;
struct qk_client *client_open(const char *settings);

/* The same with the plugins in processes of their own. */
struct qk_client *client_open_isolated(const char *settings, bool isolated);
int client_daemon_pid(void);
void client_close(struct qk_client *client);

void client_calls(const struct bench_workload *w, struct bench_sample *ret_sample);

void iso_client_calls(const struct bench_workload *w, struct bench_sample *ret_sample);
void iso_local(const struct bench_workload *w, struct bench_sample *ret_sample);
void iso_cross(const struct bench_workload *w, struct bench_sample *ret_sample);
void host_death(const struct bench_workload *w, struct bench_sample *ret_sample);
void host_start(const struct bench_workload *w, struct bench_sample *ret_sample);
void floor_iso_local(const struct bench_workload *w, struct bench_sample *ret_sample);
void floor_iso_cross(const struct bench_workload *w, struct bench_sample *ret_sample);
void ring_round_trip(const struct bench_workload *w, struct bench_sample *ret_sample);
void ring_frames(const struct bench_workload *w, struct bench_sample *ret_sample);
void floor_ring_round_trip(const struct bench_workload *w, struct bench_sample *ret_sample);
void floor_ring_frames(const struct bench_workload *w, struct bench_sample *ret_sample);

void save_sqlite(const struct bench_workload *w, struct bench_sample *ret_sample);
void overload_goodput(const struct bench_workload *w, struct bench_sample *ret_sample);
void timers_start(const struct bench_workload *w, struct bench_sample *ret_sample);
void timers_fire(const struct bench_workload *w, struct bench_sample *ret_sample);
void overload_recovery(const struct bench_workload *w, struct bench_sample *ret_sample);

void floor_round_trip(const struct bench_workload *w, struct bench_sample *ret_sample);
void floor_pairs(const struct bench_workload *w, struct bench_sample *ret_sample);
void floor_queue(const struct bench_workload *w, struct bench_sample *ret_sample);
void floor_ring(const struct bench_workload *w, struct bench_sample *ret_sample);
void floor_create(const struct bench_workload *w, struct bench_sample *ret_sample);
void floor_fanout(const struct bench_workload *w, struct bench_sample *ret_sample);
void floor_socket(const struct bench_workload *w, struct bench_sample *ret_sample);
void floor_timer_start(const struct bench_workload *w, struct bench_sample *ret_sample);
void floor_timer_fire(const struct bench_workload *w, struct bench_sample *ret_sample);
void floor_sqlite(const struct bench_workload *w, struct bench_sample *ret_sample);

#endif
