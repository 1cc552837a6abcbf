/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The structures that the files of hosts share. */
#ifndef QK_HOSTS_INTERNAL_H
#define QK_HOSTS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/arena.h"
#include "hosts/hosts.h"
#include "transport/channel.h"

#define QK_HOST_ORIGIN (UINT64_C(1) << 63) /* in the origin of what a host asks */

#define QK_BLAME_ACTORS 64

/* What is under way, in this order but for WAITING -> STARTING. */
enum qk_hosted_state {
    QK_HOSTED_STARTING = 0, /* its process has not said that it is ready; frames wait in its ring */
    QK_HOSTED_RUNNING,
    QK_HOSTED_WAITING, /* its process has ended; another is started when the pause is over */
    QK_HOSTED_ENDED,   /* for good */
};

/* One process: what it shares with the silo. Changed under both locks of its plugin; freed inside the loop. */
struct qk_run {
    struct qk_hosted *hosted;
    struct qk_pair pair;
    struct qk_channel *channel;
    struct qk_watch *bell;
    struct qk_task open_task;
    struct qk_task close_task;
    int pidfd;   /* its own, since the other is closed while somebody may be reading still */
    bool broken; /* it broke the rules, and is being killed. Under the read lock */
    char why[256];
    char epitaph[512]; /* the text of the calls that it left open */
};

/* The plugin as its process describes it. */
struct qk_shadow {
    struct qk_arena arena;
    const struct qk_plugin *plugin;
};

/* An actor whose turns were under way when the process ended. */
struct qk_suspect {
    uint64_t type_id;
    uint32_t key_len;
    uint32_t score; /* two for a turn that did it, one for one that may have */
    int64_t last_ns;
    int64_t until_ns; /* in quarantine; 0: not */
    char key[QK_KEY_MAX];
};

struct qk_blame {
    pthread_mutex_t lock;
    atomic_uint quarantined;
    uint32_t n;
    struct qk_suspect suspects[QK_BLAME_ACTORS];
};

struct qk_hosted {
    struct qk_hosts *hosts;
    uint32_t index;
    char *name;
    char *file;
    int copy;
    size_t size;
    struct qk_shadow shadow;
    struct qk_blame blame;
    atomic_uint state;         /* enum qk_hosted_state; the control thread and, to RUNNING, the reader */
    atomic_uint generation;    /* of its processes */
    pthread_mutex_t send_lock; /* of `run`, for who sends */
    pthread_mutex_t read_lock; /* of `run`, for who receives */
    struct qk_run *run;        /* NULL: no process */
    /* The control thread's. */
    bool open;
    bool counted; /* in the set's list */
    pid_t pid;
    int pidfd;
    struct qk_watch *death;
    struct qk_timer *pause;
    int64_t started_ns;
    uint32_t deaths; /* in a row */
    uint32_t restarts;
    uint64_t beat;
    uint32_t still_ticks; /* looks at which the beat had not changed */
    const char *killed;   /* why the silo has ended it; NULL: it has not */
};

struct qk_hosted_type {
    struct qk_hosted_type *next;
    const struct qk_type *type;
    struct qk_hosted *hosted;
};

#define QK_HOSTS_BUCKETS 256

struct qk_hosts {
    struct qk_hosts_config config;
    char *program;
    atomic_uint count;
    _Atomic(struct qk_hosted *) list[QK_HOSTS_MAX]; /* those that are or were open */
    _Atomic(struct qk_hosted_type *) types[QK_HOSTS_BUCKETS];
    struct qk_timer *look; /* at the beats */
    int64_t stop_ns;       /* 0: it goes on */
    bool draining;
};

/* ---- process.c */

/* Starts a process. 0 or -errno. */
int qk_process_start(struct qk_hosted *hosted);

/* Waits for its first word, at most start_ms: 0 and its manifest; or QK_EINVALID with the reason, and it is gone. */
int qk_process_await(struct qk_hosted *hosted, struct qk_port_frame **ret_manifest, struct qk_refusal *refusal);

/* From now on its end is noticed, and it is started again. 0 or -errno. */
int qk_process_watch(struct qk_hosted *hosted);

void qk_process_kill(struct qk_hosted *hosted, const char *why);
void qk_process_look(void *arg);
void qk_process_on_pause(void *arg);

/* Frees everything of the process. While nobody is inside the loop, or nobody knows of it. */
void qk_process_discard(struct qk_hosted *hosted);

/* ---- traffic.c */

void *qk_traffic_origin(const struct qk_hosted *hosted);

/* Under the read lock: takes what has come, at most `max`. */
struct qk_port_frame *qk_traffic_receive(struct qk_hosted *hosted, unsigned max, int *ret_n);

/* Outside of locks: hands on what a host has sent. */
void qk_traffic_pass(struct qk_hosted *hosted, struct qk_port_frame *chain);

void qk_traffic_send(struct qk_hosted *hosted, struct qk_port_frame *chain);

/* ---- shadow.c */

int qk_shadow_make(const struct qk_port_frame *manifest, const char *name, struct qk_shadow *ret_shadow,
                   struct qk_refusal *refusal);

/* ---- blame.c */

/* Reads whose turns were under way, and writes the first of them as text, "" when there is none. `asked`: the process
 * ended because it was told to. */
void qk_blame_note(struct qk_hosted *hosted, const struct qk_board *board, bool asked, char *ret_text, size_t size);

/* Whether an actor is in quarantine; then the text of its refusal. Any thread. */
bool qk_blame_refuses(struct qk_hosted *hosted, const struct qk_port_frame *frame, char *ret_text, size_t size);

#endif
