/* SPDX-License-Identifier: Apache-2.0 */
/* The structures that the files of quark-host share. */
#ifndef QK_HOST_HOST_H
#define QK_HOST_HOST_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <host.pb-c.h>
#include "base/arena.h"
#include "base/limits.h"
#include "base/park.h"
#include "loop/thread.h"
#include "plugin/load.h"
#include "runtime/runtime.h"
#include "silo/crew.h"
#include "transport/channel.h"

#define QK_HOST_PLUGIN_FD 5 /* beside those of transport/pair.h */

/* Ends of the process that are no crash of the plugin. */
enum qk_host_exit {
    QK_HOST_EXIT_ENDED = 0,     /* asked to */
    QK_HOST_EXIT_REFUSED = 3,   /* the plugin can't be loaded; it has said why */
    QK_HOST_EXIT_BROKEN = 4,    /* started by hand, or the silo broke the rules */
    QK_HOST_EXIT_IN_TURN = 5,   /* the plugin called exit() */
    QK_HOST_EXIT_VIOLATION = 6, /* it made a system call that it may not make */
};

struct qk_host_worker {
    struct qk_host_process *host;
    uint32_t index;
    struct qk_thread *thread;
    uint64_t loops; /* at the last look */
    atomic_bool ended;
};

struct qk_host_process {
    struct qk_pair pair;
    struct qk_channel *channel;
    struct qk_arena arena; /* of the setup */
    const Quark__Host__Setup *setup;
    struct qk_loaded loaded;
    struct qk_runtime *rt;
    struct qk_crew *crew;
    uint32_t n_workers;
    struct qk_host_worker *workers;
    struct qk_park park; /* the main thread's */
    pthread_mutex_t lock;
    struct qk_port_frame *orders; /* frames for the main thread, newest last */
    struct qk_port_frame **orders_last;
    int64_t stop_ns; /* 0: it goes on */
};

/* ---- start.c */

/* The silo's first frame, the sandbox, the plugin, the runtime. 0, or an exit status; what is to be said has been. */
int qk_host_start(struct qk_host_process *host);

/* Sends a frame of the host's own. */
void qk_host_send(struct qk_host_process *host, struct qk_port_frame *frame);

/* ---- port.c */

/* The runtime's side of the port. */
int qk_host_poll(void *arg, int64_t timeout_ns);
void qk_host_wake(void *arg);
void qk_host_deliver(void *arg, struct qk_port_frame *chain);
void qk_host_log(void *arg, enum qk_log_level level, const char *type, const char *key, uint64_t request_id,
                 const char *text);
/* A line on a turn that holds its thread; any thread. */
void qk_host_log_stall(struct qk_host_process *host, const char *type, const char *key, const char *text);

/* ---- manifest.c */

/* The frame that says what the plugin has; NULL without memory or where it is too large. */
struct qk_port_frame *qk_host_manifest(const struct qk_plugin *plugin);

/* ---- query.c */

/* Turns a QK_PORT_QUERY into its answer. */
struct qk_port_frame *qk_host_answer(struct qk_host_process *host, struct qk_port_frame *query);

/* Writes the figures that tools show to the board. */
void qk_host_publish(struct qk_host_process *host);

/* ---- crash.c */

/* From here on a crash says which turn it was. */
void qk_host_explain_crashes(void);

/* Of a system call that no plugin needs. */
void qk_host_on_violation(int signal, siginfo_t *info, void *context);

#endif
