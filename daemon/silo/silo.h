/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * @file
 * The silo: ties the runtime, its workers, the plugins and the gateway together.
 *
 * Threads: the control thread makes the silo and calls every function below; it runs `control`, a loop of its own that
 * no actor can hold up (watching workers, plugin directories, stopping). The workers run actors and, when they have
 * none to run, the gateway's loop.
 */
#ifndef QK_SILO_SILO_H
#define QK_SILO_SILO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "hosts/grants.h"
#include "loop/loop.h"

struct qk_silo;

/* What the configuration says, already checked; the strings stay the caller's and are copied. */
struct qk_silo_config {
    const char *name;        /* of the silo */
    const char *version;     /* of the program */
    const char *socket_path; /* of the local socket; its directory exists */
    mode_t socket_mode;
    gid_t socket_gid;        /* group that the socket gets; (gid_t)-1: the daemon's own */
    int socket_fd;           /* already bound and listening (socket activation); -1: the silo makes it */
    const uid_t *allow_uids; /* who may call besides root and the daemon's own user */
    size_t n_allow_uids;
    const gid_t *allow_gids;
    size_t n_allow_gids;
    const char *const *plugin_dirs; /* ends with NULL */
    uint32_t workers;               /* 0: one for each processor that may be used */
    bool pin_workers;               /* bind each worker to a processor */
    uint32_t default_timeout_ms;
    uint32_t mailbox_max;
    uint32_t idle_ms;
    uint32_t budget;
    uint32_t fiber_stack_bytes;
    uint64_t activations_max; /* 0: no bound */
    int64_t spin_ns;
    uint32_t long_turn_ms; /* a turn that holds its thread longer is reported */
    uint32_t drain_ms;     /* how long a stop waits for what runs */
    uint32_t clients_max;
    uint64_t memory_budget;               /* bytes that the process may use; 0: no bound */
    int64_t (*memory_measure)(void *arg); /* bytes in use; NULL: what is resident (tests give their own) */
    void *memory_arg;
    uint32_t offload_threads;        /* for what actors offload */
    uint32_t offload_queue;          /* jobs that may wait for one of them */
    const char *sqlite_path;         /* state file of the store "sqlite"; NULL: there is no such store */
    uint64_t memory_store_bytes;     /* bound of the store "memory" */
    const char *host_program;        /* quark-host, for plugins in processes of their own */
    bool isolate;                    /* plugins run in processes of their own, but for those in not_isolated */
    const char *const *isolated;     /* names of plugins that do where the others do not; ends with NULL, or is NULL */
    const char *const *not_isolated; /* likewise */
    bool best_effort;                /* isolate also where the kernel lacks a protection */
    struct qk_grants grants;         /* what isolated plugins may use */
    uint32_t stuck_ms;               /* a plugin's process of which a turn holds its thread for longer is ended */
    const char *const *config_files; /* that were read, for the status; ends with NULL, or is NULL */
};

/* Every default but name, socket_path and plugin_dirs, which are NULL. */
void qk_silo_config_init(struct qk_silo_config *config);

/*
 * Makes the silo on the control loop, loads the plugins, listens, and starts the workers: calls succeed when it returns
 * 0. Else a negative errno or QK_E*, a code of base/errors/daemon.def in ret_code, and the reason in ret_text.
 */
int qk_silo_start(const struct qk_silo_config *config, struct qk_loop *control, struct qk_silo **ret_silo,
                  const char **ret_code, char *ret_text, size_t text_size);

/* Asks for the end: no new calls, what is queued is finished or refused within drain_ms, every activation gets its
 * on_deactivate. Returns at once; `on_stopped` then runs inside the control loop. A second call ends the wait. */
void qk_silo_stop(struct qk_silo *silo, void (*on_stopped)(void *arg), void *arg);

/* After on_stopped: frees everything. How many activations, messages, fibers were left: 0 unless something leaked. Or
 * QK_ESTATE where a turn still holds a worker long after its time: nothing is freed then, and the process is to be left
 * with _exit(). */
int qk_silo_destroy(struct qk_silo *silo);

/* Registers actor types that are linked into the program itself (tests, embedding). As qk_runtime_add_plugin(). */
struct qk_plugin;
int qk_silo_add_plugin(struct qk_silo *silo, const struct qk_plugin *plugin, char *ret_text, size_t text_size);

/* Puts those keys of a new configuration in force that can be (long_turn_ms, drain_ms, memory_budget, clients_max, who
 * may call), and looks for new plugins. How many plugins were loaded and refused comes back. */
struct qk_silo_reload {
    uint32_t plugins_loaded;
    uint32_t plugins_refused;
};
void qk_silo_apply(struct qk_silo *silo, const struct qk_silo_config *config, struct qk_silo_reload *ret_reload);

/* Calls `visit` for every plugin file that was looked at, ordered by path. */
struct qk_plugin_info;
void qk_silo_visit_plugins(struct qk_silo *silo, void (*visit)(void *arg, const struct qk_plugin_info *info),
                           void *arg);

/* What an administrator asked for over the socket and the silo can't do alone: reload, and showing the configuration.
 * `serve` gets a quark.admin.AdminRequest of kind reload or config and answers with a serialised AdminReply made with
 * malloc; it runs on the control thread. 0 or a status with ret_text. */
struct qk_silo_admin {
    int (*serve)(void *arg, const uint8_t *request, size_t size, uint8_t **ret_reply, size_t *ret_size, char *ret_text,
                 size_t text_size);
    void *arg;
};
void qk_silo_set_admin(struct qk_silo *silo, const struct qk_silo_admin *admin);

/* Whether every worker and the gateway have made progress since the last call: what feeds the watchdog. False names the
 * one that is stuck. */
bool qk_silo_is_alive(struct qk_silo *silo, char *ret_stuck, size_t size);

/* Figures for the status line. */
struct qk_silo_status {
    uint64_t activations;
    uint64_t turns;
    uint64_t in_flight;
    uint32_t clients;
    uint32_t plugins;
    uint32_t plugins_refused;
};
void qk_silo_get_status(struct qk_silo *silo, struct qk_silo_status *ret_status);

#endif
