/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The structures that the files of the gateway share. */
#ifndef QK_GATEWAY_INTERNAL_H
#define QK_GATEWAY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/cpu.h"
#include "base/limits.h"
#include "base/spin.h"
#include "gateway/gateway.h"

/* Connections that may be in memory: the open ones, and those closed ones whose calls have not ended. */
#define QK_CONNS_PER_CLIENT 4
#define QK_SLOTS            (QK_CLIENTS_MAX * (QK_CONNS_PER_CLIENT + 1))

#define QK_CANCELS_MAX 1000 /* a second, of all clients: each has every worker look through its turns */

#define QK_INPUT_BYTES (128 << 10) /* what is read at a time, whole frames being the rule */
#define QK_BUFFER_KEEP (64 << 10)  /* an empty buffer of at most this size is kept for the next use */

struct qk_buffer {
    uint8_t *data;
    size_t len;
    size_t cap;
};

/* The life of a connection, as the loop knows it. */
enum qk_conn_state {
    QK_CONN_GREETING = 1, /* its Hello is awaited */
    QK_CONN_OPEN,
    QK_CONN_ENDING,  /* the client has said all it will: closed once it has every reply */
    QK_CONN_LEAVING, /* told to go away: closed once it has read that */
    QK_CONN_CLOSED,
};

/* Why nothing can be sent any more; the loop then closes the connection. */
enum qk_conn_fault {
    QK_FAULT_NONE = 0,
    QK_FAULT_GONE,   /* the peer closed its end */
    QK_FAULT_MEMORY, /* none for a reply */
    QK_FAULT_UNREAD, /* past `unread_max` */
};

/* What the loop wants to be called for by the threads that deliver. */
enum qk_conn_wait {
    QK_WAIT_NOTHING = 0,
    QK_WAIT_ROOM,    /* it may be read again */
    QK_WAIT_WRITTEN, /* all output is gone */
    QK_WAIT_ENDED,   /* no call is in flight */
};

/*
 * Calls in flight in the lower half, holders in the upper: the loop while the connection is open, a posted task, a
 * thread that delivers. At 0 the connection is freed, by whoever was the last.
 */
#define QK_CONN_HOLD ((uint64_t)1 << 32)

struct qk_conn {
    struct qk_gateway *gw;
    _Atomic uint64_t refs;
    void *origin; /* what the port knows it by: its slot, and a number that no other connection had or will have */

    /* Output: any thread, under the lock, which is not held across a system call. */
    struct qk_spin lock;
    int fd;       /* -1 once closed */
    bool dead;    /* nothing is sent any more */
    bool sending; /* a thread is in send() with `wire`, and sends on what is appended meanwhile */
    bool blocked; /* the socket is full: the loop goes on when it has room */
    enum qk_conn_fault fault;
    struct qk_buffer out;  /* appended to */
    struct qk_buffer wire; /* being sent, from `sent` on */
    size_t sent;
    _Atomic size_t unread;  /* bytes in both */
    _Atomic uint64_t taken; /* bytes that the socket has taken since the start */

    /* From any thread to the loop. */
    atomic_uint waits;  /* enum qk_conn_wait */
    atomic_bool called; /* `task` is posted */
    struct qk_task task;

    /* Of the loop. */
    enum qk_conn_state state;
    bool full;         /* a bound keeps it from being read */
    bool tick_counted; /* the gateway's timer runs for it */
    struct qk_conn *next;
    struct qk_conn *prev;
    struct qk_watch *watch;
    struct qk_buffer in; /* what came of a frame that is not whole, or of frames that must wait */
    int64_t since_ns;    /* of what the timer looks at: connected, or full and not taking a byte */
    uint64_t taken_seen;
    uid_t uid;
    pid_t pid;
};

struct qk_gateway {
    struct qk_gateway_config config; /* the lists of `access` are below */
    struct qk_loop *loop;
    char *path; /* of the socket that the gateway made, else NULL */
    dev_t path_dev;
    ino_t path_ino;
    char *silo;
    int listen_fd;
    struct qk_watch *listen_watch;
    struct qk_timer *accept_timer; /* accepting is paused until it fires */
    bool accept_failed;            /* and that has been said */
    struct qk_timer *tick_timer;
    uint32_t ticking;      /* connections that it runs for */
    struct qk_conn *conns; /* of the loop */
    bool ending;           /* nothing is submitted any more */
    int64_t cancel_second; /* cancels are counted by the second */
    uint32_t cancels;

    struct qk_spin slots_lock; /* of the free ones; a taken one is read by whoever has a call of it */
    struct qk_conn **slots;
    uint32_t *free_slots;
    uint32_t n_free_slots;
    uint64_t opened; /* connections since the start */

    uint8_t *input; /* QK_INPUT_BYTES */
    struct qk_task drain_task;
    atomic_bool draining;

    pthread_mutex_t access_lock;
    uid_t *uids;
    size_t n_uids;
    gid_t *gids;
    size_t n_gids;

    atomic_uint clients_max;
    atomic_uint clients;    /* open connections */
    atomic_uint conns_left; /* and those closed ones whose calls have not ended */
    _Atomic uint64_t calls;
    _Atomic uint64_t asked; /* calls and administrative requests handed on */
    _Atomic uint64_t answered;
    _Atomic uint64_t refused;
    _Atomic uint64_t broken;
    _Atomic uint64_t cut;

    int64_t log_second; /* log lines are counted by the second */
    uint32_t log_lines;
    uint32_t log_dropped;
};

/* ---- listen.c */

/* Makes the listening socket, or checks the one that was handed over. */
int qk_listen_open(struct qk_gateway *gw, const char **ret_code, char *ret_text, size_t text_size);
/* Stops listening and removes the socket's file if it is still the one that was made. */
void qk_listen_close(struct qk_gateway *gw);

/* ---- peer.c */

/* Whether who is at the other end may call. 0, QK_EDENIED, or -errno; ret_uid and ret_pid are written unless -errno. */
int qk_peer_check(struct qk_gateway *gw, int fd, uid_t *ret_uid, pid_t *ret_pid);

/* ---- conn.c: inside the loop */

/* Takes over an accepted socket; closes it where that fails. */
void qk_conn_open(struct qk_gateway *gw, int fd, uid_t uid, pid_t pid);
void qk_conn_close(struct qk_conn *conn);
void qk_conn_move(struct qk_conn *conn, enum qk_conn_state to);
/* The client has shut its end, or both. */
void qk_conn_end_of_input(struct qk_conn *conn);
/* Looks at a connection after something has happened to it: unread output, ended calls, a failed send. */
void qk_conn_attend(struct qk_conn *conn);
/* Once in a while for each connection that `ticking` counts. */
void qk_conn_tick(struct qk_conn *conn, int64_t now_ns);
/* Says why, and closes the connection once that is written. The caller holds the connection. */
void qk_conn_leave(struct qk_conn *conn, int status, const char *text);
void qk_conn_send_go_away(struct qk_conn *conn, int status, const char *text);

/* ---- input.c: inside the loop */

/* Tells the runtime that nobody waits for the calls of the connection. */
void qk_conn_cancel_all(struct qk_conn *conn);

/* Reads what came and hands on whole frames. May close the connection. */
void qk_conn_read(struct qk_conn *conn);
/* Handles frames that had to wait. False when the connection has ended over it. */
bool qk_conn_resume(struct qk_conn *conn);

/* ---- output.c: any thread */

/* Appends a whole frame. Under no lock. */
void qk_conn_append(struct qk_conn *conn, const uint8_t *bytes, size_t size);
/* Answers a call without a frame of the port. */
void qk_conn_answer(struct qk_conn *conn, uint64_t id, int status, const char *text);
/* Writes what the socket takes, unless another thread is at it. */
void qk_conn_flush(struct qk_conn *conn);
/* Has qk_conn_attend() run in the loop. The caller holds the connection. */
void qk_conn_call(struct qk_conn *conn);
void qk_conn_hold(struct qk_conn *conn);
/* Lets go of `refs`; frees the connection when they were the last. */
void qk_conn_drop(struct qk_conn *conn, uint64_t refs);
/* No more output: closes the socket now, or when the thread that is in send() comes out. */
void qk_conn_shut(struct qk_conn *conn);

bool qk_buffer_reserve(struct qk_buffer *buffer, size_t more);
void qk_buffer_finish(struct qk_buffer *buffer);

static inline uint32_t qk_conn_in_flight(const struct qk_conn *conn)
{
    return (uint32_t)atomic_load(&((struct qk_conn *)conn)->refs);
}

/* Whether a bound keeps the connection from being read, with `more` calls on top of those in flight. */
static inline bool qk_conn_is_full(const struct qk_conn *conn, uint32_t more)
{
    const struct qk_gateway_config *config = &conn->gw->config;
    return (uint64_t)qk_conn_in_flight(conn) + more >= config->in_flight_max ||
           atomic_load_explicit(&((struct qk_conn *)conn)->unread, memory_order_relaxed) >= config->output_max;
}

/* Whether enough has gone for reading on. */
static inline bool qk_conn_has_room(const struct qk_conn *conn)
{
    const struct qk_gateway_config *config = &conn->gw->config;
    return qk_conn_in_flight(conn) <= config->in_flight_max / 4 * 3 &&
           atomic_load(&((struct qk_conn *)conn)->unread) <= config->output_max / 2;
}

/* ---- slots.c */

int qk_slots_init(struct qk_gateway *gw);
void qk_slots_finish(struct qk_gateway *gw);
/* Gives the connection a slot and its origin. False when none is free. Inside the loop. */
bool qk_slots_take(struct qk_gateway *gw, struct qk_conn *conn);
/* Any thread. */
void qk_slots_give_back(struct qk_gateway *gw, struct qk_conn *conn);

/* The lowest bit of an origin is 0: whoever shares the port may use it. */
static inline struct qk_conn *qk_slots_find(const struct qk_gateway *gw, const void *origin)
{
    return gw->slots[((uintptr_t)origin >> 1) & 0xffff];
}

/* ---- gateway.c: inside the loop */

/* One line, unless there were too many this second. */
void qk_gateway_say(struct qk_gateway *gw, enum qk_log_level level, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void qk_gateway_tick_for(struct qk_gateway *gw, struct qk_conn *conn, bool on);

#endif
