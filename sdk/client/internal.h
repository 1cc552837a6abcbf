/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the client library share: the client, its buffers and its table of calls.
 *
 * client.c is the front and ask.c what generated proxies use; drive.c moves a client on; connect.c makes connections,
 * conn.c has their bytes, codec.c their frames, context.c what travels along; calls.c keeps the calls in flight. A
 * client belongs to one thread at a time; nothing here locks.
 */
#ifndef QK_CLIENT_INTERNAL_H
#define QK_CLIENT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>
#include "base/limits.h"
#include "base/wheel.h"
#include "codec.h"
#include "wire/context.h"
#include <quark/client.h>

#define QK_CLIENT_FLUSH_BYTES   (64 << 10)  /* so many bytes that wait are written at once */
#define QK_CLIENT_PENDING_MAX   (16 << 20)  /* bytes that may wait for a silo that does not read */
#define QK_CLIENT_BUFFER_SIZE   (256 << 10) /* of each direction, as long as no frame is larger */
#define QK_CLIENT_GRACE_MS      1000        /* how much longer than a call's time-out its reply is waited for */
#define QK_CLIENT_BACK_OFF_MS   50          /* after the first attempt to connect that failed; doubles */
#define QK_CLIENT_BACK_OFF_MAX  2000        /* ms */
#define QK_CLIENT_TEXT_MAX      (QK_ENVELOPE_MAX + 1)
#define QK_CLIENT_CALLS_CHUNK   1024
#define QK_CLIENT_CALLS_CHUNKS  (QK_CLIENT_CALLS_MAX / QK_CLIENT_CALLS_CHUNK)
#define QK_CLIENT_SILO_NAME_MAX 64

#define QK_CALL_NONE UINT32_MAX

/* A call in flight: one cache line, never moved. Its id is its index in the table and, above that, how often the slot
 * has been used: a reply to an earlier use is not taken for this one's. */
struct qk_client_call {
    struct qk_timer timer;
    uint32_t next; /* in the order of their beginning; of a free one, the next free one */
    uint32_t prev;
    qk_reply_fn on_reply;
    void *arg;
    uint64_t id;
    uint64_t sent_at; /* how many bytes of the connection are written when its frame is */
};

struct qk_call_list {
    uint32_t first;
    uint32_t last;
};

struct qk_calls {
    struct qk_client_call *chunks[QK_CLIENT_CALLS_CHUNKS];
    uint32_t n_chunks;
    uint32_t free;      /* the first free one */
    uint32_t in_flight; /* those of a lost connection whose callback has still to run included */
    struct qk_call_list live;
    struct qk_call_list lost; /* of a connection that ended */
    struct qk_wheel wheel;    /* in ms */
};

struct qk_client_buffer {
    uint8_t *bytes;
    size_t start; /* of what waits */
    size_t end;
    size_t capacity;
};

/* Entries by name, the traceparent among them. */
struct qk_client_context {
    unsigned n;
    struct qk_client_entry *entries[QK_CONTEXT_ENTRIES_MAX + 1];
};

struct qk_client {
    struct qk_client_options options;
    char *socket_path;
    char *name;
    int64_t (*now_ms)(void *arg);
    void *now_arg;

    int fd; /* -1: no connection */
    bool write_failed;
    bool going_away;        /* the silo takes no further calls */
    uint32_t payload_max;   /* as the silo said */
    uint32_t in_flight_max; /* the smaller of the silo's and ours */
    uint64_t queued;        /* bytes of this connection, since it began */
    uint64_t written;
    int64_t active_ms; /* when something was last written or read */
    struct qk_client_buffer in;
    struct qk_client_buffer out;
    struct qk_calls calls;
    uint64_t abandoned; /* calls given up whose reply may still come */

    int64_t retry_ms; /* no attempt to connect before this */
    int64_t failed_ms;
    uint32_t back_off_ms; /* 0: the last attempt succeeded */
    int failed_status;
    uint64_t jitter;

    struct qk_client_context context;      /* of every call */
    struct qk_client_context next_context; /* of the next one */
    bool record_next;                      /* and it is to be recorded */
    uint8_t *spans;                        /* the recording that came last, as a quark.wire.Spans */
    size_t spans_size;
    uint64_t spans_id; /* of its call; 0: there is none */

    bool entered;       /* a function that runs callbacks is at work */
    uint32_t callbacks; /* callbacks that are running */
    uint32_t ran;       /* callbacks that the present function ran */
    bool doomed;        /* destroyed inside a callback */

    char silo[QK_CLIENT_SILO_NAME_MAX];
    char error[QK_CLIENT_TEXT_MAX];
    char reply_text[QK_CLIENT_TEXT_MAX]; /* of the reply that a callback gets */
    char loss_text[QK_CLIENT_TEXT_MAX];  /* of the calls of a lost connection */
    char going_text[QK_ERROR_TEXT_MAX];  /* of the silo's GoAway */
    char failed_text[QK_ERROR_TEXT_MAX]; /* why the last attempt to connect failed */
};

/* calls.c */

void qk_calls_init(struct qk_calls *calls, int64_t now_ms);
void qk_calls_finish(struct qk_calls *calls);

/* A call that is in flight from now on, with a timer at `expiry_ms`; NULL without memory. The caller sees to the bound
 * and fills in the callback and `sent_at`. */
struct qk_client_call *qk_calls_take(struct qk_calls *calls, int64_t expiry_ms);

/* The live call with the id; NULL when there is none. */
struct qk_client_call *qk_calls_find(struct qk_calls *calls, uint64_t id);

/* Whether a call with this id may have been in flight at some time. */
bool qk_calls_had(const struct qk_calls *calls, uint64_t id);

/* Frees the slot of a live call. */
void qk_calls_release(struct qk_calls *calls, struct qk_client_call *call);

/* Moves all live calls to the list of lost ones; `sent_at` becomes QK_CALL_SENT, or QK_CALL_UNSENT where the silo can't
 * have got the whole frame out of the `written` bytes. */
#define QK_CALL_SENT   0
#define QK_CALL_UNSENT UINT64_MAX
void qk_calls_lose(struct qk_calls *calls, uint64_t written);

/* Frees the slot of the oldest lost call and copies it to `ret_call`; false when there is none. */
bool qk_calls_pop_lost(struct qk_calls *calls, struct qk_client_call *ret_call);

/* conn.c */

int qk_buffer_init(struct qk_client_buffer *buffer);
void qk_buffer_finish(struct qk_client_buffer *buffer);

/* Makes room for `size` bytes at `end`; 0 or -ENOMEM. Moves what waits. */
int qk_buffer_reserve(struct qk_client_buffer *buffer, size_t size);

static inline size_t qk_buffer_pending(const struct qk_client_buffer *buffer)
{
    return buffer->end - buffer->start;
}

/* Writes what waits as far as the socket takes it. A failure is noted in `write_failed`: what the silo sent before is
 * still to be read. */
void qk_conn_flush(struct qk_client *client);

/* Reads once. How many bytes, 0 when there is nothing now, QK_EDISCONNECTED at the end or on an error (`error` says
 * which), -ENOMEM. */
int64_t qk_conn_read(struct qk_client *client);

/* The next whole frame in `in`, which is consumed. 1, 0 when there is none, QK_EPROTOCOL. */
int qk_conn_next(struct qk_client *client, struct qk_incoming *ret_in, const uint8_t **ret_payload, size_t *ret_size);

/* Waits until the socket can be read, or written where something waits. 1, 0 after `wait_ms` (-1: for ever), -EINTR;
 * less than 0 as poll(2). */
int qk_conn_wait(struct qk_client *client, int64_t wait_ms);

/* Closes the socket and forgets what was not written or read; the calls stay. */
void qk_conn_close(struct qk_client *client);

/* connect.c */

/* Connects and shakes hands, or fails at once while the last failure is too fresh and `now` is false. */
int qk_connect(struct qk_client *client, bool now);

/* drive.c */

/* Starts a call whose payload the caller writes: `size` bytes at `*ret_payload`, before anything else is done with the
 * client, which must not fail. `target` NULL: an administrative request. Returns as qk_client_begin(). */
int qk_client_start(struct qk_client *client, const struct qk_call_target *target, uint32_t timeout_ms, size_t size,
                    qk_reply_fn on_reply, void *arg, uint8_t **ret_payload);

/* Writes what waits if that is much. */
void qk_client_started(struct qk_client *client);

/* Writes, reads, runs callbacks and ends calls whose time is up; waits up to `wait_ms` (-1: for ever) until something
 * of that kind has happened. 0, or an error of the connection, which is closed then. */
int qk_client_pass(struct qk_client *client, int64_t wait_ms, const bool *stop);

/* Connects unless there is a connection that takes calls; does not heed the back-off. */
int qk_client_be_connected(struct qk_client *client);

/* Ends the connection, and every call in flight with `status` and `text`. */
void qk_client_lose(struct qk_client *client, int status, const char *text);

/* context.c */

void qk_client_context_finish(struct qk_client_context *context);

/* Forgets the recording. */
void qk_client_drop_spans(struct qk_client *client);

/* Writes the context of the next call, QK_CONTEXT_PACKED_MAX bytes at most. 0, or QK_ETOOBIG: both parts together pass
 * the bounds. */
int qk_client_context_pack(struct qk_client *client, uint8_t *to, size_t *ret_size);

/* client.c */

/* Notes the text of an error; `status` comes back. */
__attribute__((format(printf, 3, 4))) int qk_client_refuse(struct qk_client *client, int status, const char *format,
                                                           ...);

/* Copies text to a buffer, with a zero behind it; what does not fit is left out at the end of a character. */
void qk_client_keep_text(char *to, size_t size, const char *text, size_t len);

/* A call that its caller waits for. */
struct qk_client_waiter {
    bool done;
    struct qk_reply reply;
    char text[QK_CLIENT_TEXT_MAX];
};

/* The callback of a call that is waited for; `arg` is the waiter. */
void qk_client_on_waited(void *arg, const struct qk_reply *reply);

/* Waits for the call that was started with the waiter, or, where `rc` is less than 0, answers that it did not start.
 * The status; `ret_reply` may be NULL. Frees a client that was destroyed meanwhile. */
int qk_client_wait(struct qk_client *client, struct qk_client_waiter *waiter, int rc, struct qk_reply *ret_reply);

/* Refuses what a callback may not do: QK_ESTATE; else 0 and the client stays alive until qk_client_leave(). */
int qk_client_enter(struct qk_client *client);
void qk_client_leave(struct qk_client *client);

/* The clock of the time-outs; tests put in their own before the first call. */
void qk_client_set_clock(struct qk_client *client, int64_t (*now_ms)(void *arg), void *arg);

#endif
