/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The runtime: activations, mailboxes, fibers and the workers that run turns.
 *
 * The runtime starts no thread, reads no clock and opens no file. Its owner (the silo, the test silo, a host process)
 * gives it a clock, calls qk_runtime_worker_run() on one thread for each worker, and calls qk_runtime_watch() now and
 * then on a thread that no actor can hold up.
 */
#ifndef QK_RUNTIME_RUNTIME_H
#define QK_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>
#include <quark/abi.h>
#include "runtime/port.h"

struct qk_runtime;

/*
 * Input and output that idle workers drive: at most one thread is inside `poll` at a time, on its own stack and never
 * on a fiber. An idle worker blocks there, so that a request runs on the very thread that the kernel woke for it; a
 * busy worker looks in between turns.
 */
struct qk_poller {
    /* Handles what is ready; waits up to timeout_ns for something (0: not at all, -1: until woken). How many events. */
    int (*poll)(void *arg, int64_t timeout_ns);
    /* Makes a waiting `poll` return soon; any thread. */
    void (*wake)(void *arg);
    void *arg;
};

/* A turn that has held its thread for longer than the limit. */
struct qk_stall {
    uint32_t worker;
    uint64_t turn; /* number of the turn on that worker: the same turn is reported again at twice the age */
    int64_t held_ns;
    const char *type;
    const char *method; /* "on_activate", "on_deactivate" or a method's name */
    char key[QK_KEY_MAX + 1];
};

/* Work of an actor that blocks its thread. It lies on a fiber's stack until it is handed back. */
struct qk_job {
    struct qk_job *next; /* its holder's */
    void (*fn)(void *arg);
    void *arg;
    int status;       /* 0: fn has run; else why it has not */
    const char *type; /* the actor */
    const char *key;
};

struct qk_runtime_config {
    uint32_t workers;              /* 0: no threads; the owner drives qk_runtime_step() itself (tests) */
    int64_t (*now_ns)(void *arg);  /* monotonic; any thread */
    int64_t (*wall_ms)(void *arg); /* since 1970; any thread */
    void *clock_arg;
    struct qk_poller poller; /* poll NULL: none */
    /* Whether something will soon come through the poller, so that it is worth while to stay awake for it a little
     * longer than spin_ns. Any worker. NULL: never. */
    bool (*expects)(void *arg);
    void *expects_arg;
    /* Takes a chain of frames out of the runtime and owns them; called by workers, never on a fiber, and by the
     * watcher for a worker that a long turn holds. */
    void (*deliver)(void *arg, struct qk_port_frame *chain);
    void *deliver_arg;
    /* Takes one job out: 0, and it comes back by one qk_runtime_offloaded(); or QK_EOVERLOADED, QK_ECANCELLED, -errno,
     * and it stays the runtime's. Any worker, never on a fiber. NULL: jobs run on the workers, between turns. */
    int (*offload)(void *arg, struct qk_job *job);
    void *offload_arg;
    /* An actor's or the runtime's log line; any worker, also on fibers (keep it shallow). type NULL: the runtime's. */
    void (*log)(void *arg, enum qk_log_level level, const char *type, const char *key, uint64_t request_id,
                const char *text);
    void *log_arg;
    /* Whether an actor type that no plugin here has is in another runtime: calls to its actors then go out through
     * `deliver`, as QK_PORT_CALL, QK_PORT_SEND and QK_PORT_CANCEL, and each is answered once. Any worker, also on
     * fibers. NULL: none is. */
    bool (*elsewhere)(void *arg, uint64_t type_id);
    void *elsewhere_arg;
    struct qk_port_note *(*note)(void *arg,
                                 uint32_t worker); /* where a worker writes down what it runs; NULL: nowhere */
    void *note_arg;
    uint64_t first_request_id;   /* of calls that bring none; 1. Of each runtime of a silo another */
    uint32_t default_timeout_ms; /* of a call that names none; 10,000 */
    uint32_t mailbox_max;        /* of a type that names none; 1,024 */
    uint32_t idle_ms;            /* of a type that names none; 900,000 */
    uint32_t budget;             /* messages of one activation before another's turn; 64 */
    uint32_t fiber_stack_bytes;  /* 65,536 */
    uint64_t fibers_max;         /* suspended turns at a time; 0: 1,000,000 */
    uint64_t activations_max;    /* 0: no bound; past it a call that would activate fails with QK_ENOMEMORY */
    uint64_t seed;               /* of hash tables and span ids */
    int64_t spin_ns;             /* how long a worker looks for work before it sleeps; 20,000 */
};

/* Fills in the defaults (clock, deliver and log are left NULL and must be given, log may stay NULL). */
void qk_runtime_config_init(struct qk_runtime_config *config);

/* 0, -ENOMEM, QK_EINVALID. */
int qk_runtime_create(const struct qk_runtime_config *config, struct qk_runtime **ret_runtime);

/* After qk_runtime_stop() and the return of every worker. Returns how many activations, messages and fibers were left:
 * 0 unless something leaked. NULL is fine. */
int qk_runtime_destroy(struct qk_runtime *rt);

/*
 * Registers the types of a plugin; calls find them once this returns. All or none. Any thread.
 * Returns 0, QK_EVERSION, QK_EEXISTS (text names the taken type), QK_EINVALID (text says what is wrong), QK_ETOOBIG,
 * -ENOMEM; of services, with the chain in the text: QK_ENOTFOUND (a need is missing), QK_EDEADLOCK (they need one
 * another in a circle), QK_ESTATE (one needs what does not live as long as itself).
 * The descriptor must stay in memory until the runtime is destroyed. `text` gets the reason.
 */
int qk_runtime_add_plugin(struct qk_runtime *rt, const struct qk_plugin *plugin, char *text, size_t text_size);

/* Has everybody who uses a service get `instance`, which stays the caller's and must outlive the runtime; the service
 * itself and what it alone needs are then not made. `name` is "service" or "plugin/service". 0; QK_ENOTFOUND,
 * QK_EINVALID (several plugins have one of that name), QK_ESTATE (it has been made already); `text` gets the reason.
 * While no turn runs. */
int qk_runtime_substitute(struct qk_runtime *rt, const char *name, void *instance, char *text, size_t text_size);

/* Hands in a chain of frames, in order; owns them. Any thread, also from inside the poller. */
void qk_runtime_submit(struct qk_runtime *rt, struct qk_port_frame *chain);

/* Hands back a job that has run, or will not (its status says so). Any thread; `rt` must outlive the call. */
void qk_runtime_offloaded(struct qk_runtime *rt, struct qk_job *job);

/* Runs worker `index` until the runtime has stopped. One thread each. */
void qk_runtime_worker_run(struct qk_runtime *rt, uint32_t index);

/* With workers == 0: runs what can run without waiting; true when it did something. */
bool qk_runtime_step(struct qk_runtime *rt);

/* With workers == 0: the earliest deadline or collection time, INT64_MAX when there is none. */
int64_t qk_runtime_next_deadline(const struct qk_runtime *rt);

/*
 * Looks after the workers: reports turns older than stall_ns, polls in their stead when none has looked for 2 ms, and
 * has queued work of a held worker taken over and its replies delivered. Call it every few milliseconds while it
 * returns true, and every 100 ms else. `on_stall` may be NULL.
 */
bool qk_runtime_watch(struct qk_runtime *rt, int64_t stall_ns,
                      void (*on_stall)(void *arg, const struct qk_stall *stall), void *arg);

/* A number that grows whenever worker `index` gets through its loop, and whether it is parked: what a watchdog needs to
 * tell a stuck worker from an idle one. Any thread. */
struct qk_worker_pulse {
    uint64_t loops;
    bool parked;
};
void qk_runtime_pulse(const struct qk_runtime *rt, uint32_t index, struct qk_worker_pulse *ret_pulse);

/* The turn that the calling thread runs. Takes no lock and no memory, so that a signal handler may ask; what comes back
 * is of that moment. `address`: one that could not be read or written, or NULL. False outside of turns. */
struct qk_turn_here {
    const char *type;
    const char *key;
    const char *method;
    size_t stack_bytes;
    bool stack_used_up; /* the address lies in the guard below the turn's stack */
};
bool qk_runtime_turn_here(const void *address, struct qk_turn_here *ret_here);

/* Where the calling thread's turn is written down; NULL outside of turns, or where nobody wants that. Likewise. */
struct qk_port_note *qk_runtime_note_here(void);

/* How much memory there is, as the owner finds it. */
enum qk_memory_level {
    QK_MEMORY_PLENTY = 0,
    QK_MEMORY_SHORT = 1, /* a call to an actor that is not active is refused with QK_ENOMEMORY; the others go on */
    QK_MEMORY_FULL = 2,  /* and every call from outside with QK_EOVERLOADED */
};
/* Any thread. */
void qk_runtime_set_memory(struct qk_runtime *rt, enum qk_memory_level level);

/* Begins to end the activations that have rested for age_ms or longer, `max` of them at most. False while the last such
 * request is still at work, or while the runtime stops. Any thread. */
bool qk_runtime_collect(struct qk_runtime *rt, uint32_t age_ms, uint64_t max);

/* How many activations the last request has begun to end, and whether it is through with it. Any thread. */
bool qk_runtime_collected(const struct qk_runtime *rt, uint64_t *ret_claimed);

enum qk_runtime_phase {
    QK_RUNTIME_RUNNING = 0,
    QK_RUNTIME_DRAINING = 1, /* refuses new calls from outside with QK_EUNAVAILABLE; calls between actors go on */
    QK_RUNTIME_STOPPING = 2, /* refuses everything that waits; deactivates every activation */
    QK_RUNTIME_STOPPED = 3,  /* the workers return */
};

/* Begins to drain: QK_RUNTIME_DRAINING. Any thread. */
void qk_runtime_drain(struct qk_runtime *rt);

/* Calls, sends and turns not yet finished. */
uint64_t qk_runtime_busy(const struct qk_runtime *rt);

/*
 * Stops: what waits in mailboxes is refused with QK_EUNAVAILABLE, turns that run or are suspended may finish until
 * `deadline_ns` (their pending calls then end with QK_ECANCELLED), every activation gets its on_deactivate, the workers
 * return. Any thread; does not wait.
 */
void qk_runtime_stop(struct qk_runtime *rt, int64_t deadline_ns);

/* What the tools show. All functions below: any thread; figures are of a moment and may be torn between fields. */
struct qk_type_stats {
    const struct qk_type *type;
    const struct qk_plugin *plugin;
    uint32_t mailbox_max; /* in force */
    uint32_t idle_ms;
    uint64_t activations;
    uint64_t turns;
    uint64_t failures;
    uint64_t turn_ns; /* sum over sampled turns */
    uint64_t turn_samples;
    uint64_t mailbox_wait_ns; /* sum over sampled turns */
};
/* Calls `visit` for each type, in the order of registration. */
void qk_runtime_visit_types(struct qk_runtime *rt, void (*visit)(void *arg, const struct qk_type_stats *stats),
                            void *arg);

struct qk_activation_info {
    const struct qk_type *type;
    const char *key; /* zero-terminated; valid during the visit */
    uint32_t key_len;
    const char *state; /* activating, idle, queued, running, suspended, deactivating, failed */
    uint32_t mailbox;
    uint64_t turns;
    int64_t idle_ms;
};
/* Calls `visit` for each activation until it returns false; holds up creation in one shard at a time. */
void qk_runtime_visit_activations(struct qk_runtime *rt,
                                  bool (*visit)(void *arg, const struct qk_activation_info *info), void *arg);

struct qk_worker_stats {
    uint64_t turns;
    uint64_t busy_ns;
    uint64_t steals;
    uint64_t parks;
    uint64_t wakes; /* wake-ups it sent to others */
    uint32_t runnable;
};
void qk_runtime_worker_stats(const struct qk_runtime *rt, uint32_t index, struct qk_worker_stats *ret_stats);

struct qk_runtime_stats {
    uint32_t workers;
    uint64_t activations;
    uint64_t turns;
    uint64_t failures;
    uint64_t frames_in;
    uint64_t fibers_suspended;
    uint64_t long_turns;
    uint64_t spare_bytes; /* memory that the runtime holds for activations to come */
    uint64_t collected;   /* activations ended because memory was short */
    uint64_t refused;     /* calls refused because of memory */
};
void qk_runtime_stats(const struct qk_runtime *rt, struct qk_runtime_stats *ret_stats);

#endif
