/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * @file
 * The processes of isolated plugins. The control thread calls every function but for those that say otherwise.
 */
#ifndef QK_HOSTS_HOSTS_H
#define QK_HOSTS_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "hosts/grants.h"
#include "loop/loop.h"
#include "plugin/note.h"
#include "plugin/refusal.h"
#include "runtime/runtime.h"

#define QK_HOSTS_MAX 64 /* isolated plugins */

struct qk_hosts;
struct qk_hosted; /* one plugin and the process that runs it */

struct qk_hosts_config {
    struct qk_loop *control;
    struct qk_loop *loop;             /* that workers poll */
    const char *program;              /* quark-host */
    struct qk_runtime_config runtime; /* of each process: its numbers, not what it calls */
    uint32_t long_turn_ms;
    uint32_t offload_threads;
    uint32_t offload_queue;
    struct qk_grants grants; /* copied */
    bool confined;           /* inside the sandbox */
    bool best_effort;        /* also where the kernel lacks a protection */
    uint32_t start_ms;       /* how long a process may take until its actors can be called */
    uint32_t stuck_ms;       /* a process of which a worker makes no progress for so long is ended */
    /* Takes what hosts say: answers to others, and what they ask of others. `origin` of what a host asks has the
     * highest bit set. Any thread, outside of locks. */
    void (*route)(void *arg, struct qk_port_frame *chain);
    /* A line of an actor (type and key), or of the hosts (type NULL). Any thread. */
    void (*log)(void *arg, enum qk_log_level level, const char *code, const char *type, const char *key,
                uint64_t request_id, const char *text);
    void *arg;
};

/* One worker, and the runtime's own defaults; start_ms 5,000, stuck_ms 10,000. */
void qk_hosts_config_init(struct qk_hosts_config *config);

/* The strings stay the caller's and are copied. 0 or -ENOMEM. */
int qk_hosts_create(const struct qk_hosts_config *config, struct qk_hosts **ret_hosts);

/* Kills what still runs and frees. While nobody is inside the loop and no worker runs. NULL is fine. */
void qk_hosts_destroy(struct qk_hosts *hosts);

/* Starts a process for the plugin and waits until it has loaded it, at most start_ms. The copy becomes the host's in
 * every case. `ret_plugin` is what the process says that the plugin has: names and numbers, no functions. 0, or
 * QK_EINVALID with the reason. Its actors can't be called before qk_hosts_open(). */
int qk_hosts_start(struct qk_hosts *hosts, int copy, size_t size, const char *file, const struct qk_note_info *note,
                   struct qk_hosted **ret_hosted, const struct qk_plugin **ret_plugin, struct qk_refusal *refusal);
void qk_hosts_open(struct qk_hosted *hosted);

/* Ends the process of a plugin that was not opened, and forgets it. */
void qk_hosts_drop(struct qk_hosted *hosted);

/* The type that a host has, by its id; NULL: none. Any thread. */
const struct qk_type *qk_hosts_find_type(const struct qk_hosts *hosts, uint64_t type_id);

/* Takes out of a chain what is for actors of hosts and what answers hosts, and sends it there; the rest. A
 * QK_PORT_CANCEL goes to all of them and stays. Any thread. */
struct qk_port_frame *qk_hosts_take(struct qk_hosts *hosts, struct qk_port_frame *chain);

/* How many plugins are open. Any thread. */
unsigned qk_hosts_count(const struct qk_hosts *hosts);

/* Sends each host a frame of this kind, made by copying `frame`, which stays the caller's; to how many. Those that ask
 * have `origin` and `call_id` as they are. Any thread. */
unsigned qk_hosts_tell_all(struct qk_hosts *hosts, const struct qk_port_frame *frame);

/* The poller's: handles what has come, how many frames. Before it sleeps: false when there is something already. And
 * after. One thread at a time. */
int qk_hosts_poll(struct qk_hosts *hosts);
bool qk_hosts_doze(struct qk_hosts *hosts);
void qk_hosts_rouse(struct qk_hosts *hosts);

/* Whether a host owes an answer, so that the poller may soon have something. Any thread. */
bool qk_hosts_expect(struct qk_hosts *hosts);

/* No new calls from outside. */
void qk_hosts_drain(struct qk_hosts *hosts);

/* Questions to hosts that are not answered. Any thread. */
uint64_t qk_hosts_pending(struct qk_hosts *hosts);

/* Has every process deactivate its actors until deadline_ns, and end; those that don't are killed a little later. */
void qk_hosts_stop(struct qk_hosts *hosts, int64_t deadline_ns);
bool qk_hosts_have_ended(const struct qk_hosts *hosts);

/* Calls `visit` for each type of the plugins that are open. */
void qk_hosts_visit_types(struct qk_hosts *hosts, void (*visit)(void *arg, const struct qk_type_stats *stats),
                          void *arg);

struct qk_hosted_info {
    pid_t pid;         /* 0: none at the moment */
    uint32_t restarts; /* since the plugin was loaded */
    uint32_t quarantined;
    const char *state; /* starting, running, waiting, ended */
};
void qk_hosted_get_info(const struct qk_hosted *hosted, struct qk_hosted_info *ret_info);

/* Activations, turns and failures of all hosts, added to the figures. */
void qk_hosts_add_stats(struct qk_hosts *hosts, struct qk_runtime_stats *stats);

#endif
