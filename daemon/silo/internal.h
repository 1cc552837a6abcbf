/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The structures that the files of the silo share. Everything belongs to the control thread but for what says
 * otherwise.
 */
#ifndef QK_SILO_INTERNAL_H
#define QK_SILO_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/limits.h"
#include "gateway/gateway.h"
#include "hosts/hosts.h"
#include "loop/loop.h"
#include "loop/thread.h"
#include "plugin/plugins.h"
#include "runtime/runtime.h"
#include "silo/lines.h"
#include "silo/memory.h"
#include "silo/crew.h"
#include "silo/silo.h"
#include "silo/stores.h"

/* What is under way, in this order. */
enum qk_silo_state {
    QK_SILO_STARTING = 0,
    QK_SILO_RUNNING,
    QK_SILO_DRAINING, /* no new calls; what runs may end */
    QK_SILO_PARTING,  /* processes of plugins deactivate what they have, and end */
    QK_SILO_STOPPING, /* the runtime refuses and deactivates */
    QK_SILO_FLUSHING, /* the workers have ended; last replies go out */
    QK_SILO_STOPPED,
};

struct qk_silo_worker {
    struct qk_silo *silo;
    uint32_t index;
    struct qk_thread *thread;
    atomic_bool ended;             /* any thread */
    atomic_int cpu_clock;          /* of its processor time; 0: not started. Any thread */
    uint64_t alive_loops;          /* at the last look of qk_silo_is_alive() */
    uint64_t stop_loops;           /* at the last look while stopping */
    int64_t stop_ns;               /* when they changed */
    uint64_t stall_loops;          /* when a long turn was last reported */
    char stalled[80 + QK_KEY_MAX]; /* type/key of that turn, "" when none was */
};

struct qk_silo {
    char *name;
    char *version;
    char *socket_path;
    char **config_files;
    uint32_t long_turn_ms;
    uint32_t drain_ms;
    bool pin_workers;

    struct qk_loop *control; /* the owner's */
    struct qk_loop *loop;    /* the gateway's; polled by workers */
    struct qk_lines *lines;
    struct qk_runtime *rt;
    struct qk_crew *crew;
    struct qk_memory memory;
    struct qk_gateway *gw;
    struct qk_plugins *plugins;
    struct qk_stores *stores;
    struct qk_hosts *hosts;
    bool isolate;
    char **isolated;
    char **not_isolated;
    struct qk_watch *plugins_watch;
    struct qk_silo_worker *workers;
    uint32_t n_workers;
    uint32_t n_started;
    int64_t started_ns;

    struct qk_timer *watch_timer;
    atomic_bool pinged; /* `ping` has not run yet */
    struct qk_task ping;

    atomic_uint state; /* enum qk_silo_state; the control thread writes it */
    struct qk_timer *stop_timer;
    int64_t stop_ns; /* until when what runs may end */
    int64_t flush_ns;
    bool stuck; /* a worker did not end */
    void (*on_stopped)(void *arg);
    void *on_stopped_arg;

    struct qk_silo_admin admin;
    pthread_mutex_t admin_lock; /* of the queue; workers put, the control thread takes */
    struct qk_port_frame *admin_first;
    struct qk_port_frame **admin_last;
    uint32_t admin_waiting;
    bool admin_called;
    struct qk_task admin_task;
    atomic_uint own_questions; /* frames of its own that are not answered */
};

/* ---- workers.c */

/* Starts the threads. 0 or -errno. */
int qk_silo_start_workers(struct qk_silo *silo);
/* Waits for the threads that were started. */
void qk_silo_join_workers(struct qk_silo *silo);
/* The number of processors that this process may use, and the nth of them. */
uint32_t qk_silo_count_cpus(void);
void qk_silo_watch(void *arg);
/* "type/key" of the long turn that holds a worker now; "" when none does. */
const char *qk_silo_stalled(struct qk_silo *silo, uint32_t index);

/* ---- route.c */

/* Hands on frames from wherever they come; a struct qk_silo. Any thread. */
void qk_silo_route(void *arg, struct qk_port_frame *chain);

/* The same for what the silo's own runtime says. */
void qk_silo_on_deliver(void *arg, struct qk_port_frame *chain);

/* ---- stop.c */

void qk_silo_on_stop_timer(void *arg);

/* ---- admin.c */

/* Takes a request from the gateway; inside its loop, on a worker. */
void qk_silo_on_admin(void *arg, struct qk_port_frame *frame);
void qk_silo_on_admin_task(void *arg);
/* Takes the replies to the silo's own frames out of a chain; the rest. On a worker. */
struct qk_port_frame *qk_silo_take_own(struct qk_silo *silo, struct qk_port_frame *chain);
/* Refuses what still waits. */
void qk_silo_refuse_admin(struct qk_silo *silo);
/* A frame for the actor that a request names, or NULL: the request is answered then. The control thread. */
struct qk_port_frame *qk_silo_address(struct qk_silo *silo, struct qk_port_frame *request, const char *type,
                                      const char *key);
/* Answers a request and frees its frame. Any thread. */
void qk_silo_end_admin(struct qk_silo *silo, struct qk_port_frame *request, int status, const char *text,
                       const uint8_t *payload, size_t size);

#endif
