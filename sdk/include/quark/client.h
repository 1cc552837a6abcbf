/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The client library: calls actors of a silo from any program, over the silo's Unix socket.
 *
 * A client is one connection with any number of calls in flight (up to the options' bound). It has no thread of its
 * own: the functions that take a client drive it, and one thread at a time may use it. Nothing is retried behind the
 * caller's back: when the connection is lost every call in flight ends with QK_EDISCONNECTED, and the next call
 * connects again. After an attempt that failed, calls fail with the same error until the back-off is over (about 50 ms
 * first, doubling up to 2 s).
 *
 * A callback may begin calls and may destroy the client. It may not wait: the functions that do (call, poll, drain,
 * connect, ask, tell, admin) answer QK_ESTATE there.
 *
 * The client ends a call by itself with QK_ETIMEDOUT where the silo stays silent for a second beyond the call's
 * time-out.
 */
#ifndef QUARK_CLIENT_H
#define QUARK_CLIENT_H

#include <stdbool.h>
#include <quark/abi.h>
#include <quark/actor.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qk_client;

#define QK_SOCKET_PATH "/run/quark/quarkd.sock"

/** How a client connects and calls. A member that is 0 or NULL stands for its default. */
struct qk_client_options {
    uint32_t size;               /**< sizeof(struct qk_client_options), as qk_client_options_init() sets it */
    const char *socket_path;     /**< NULL: $QUARK_SOCKET, else QK_SOCKET_PATH */
    const char *name;            /**< shown by the silo; NULL: the program's name */
    uint32_t connect_timeout_ms; /**< 5,000 */
    uint32_t timeout_ms;         /**< of a call that names none: 10,000 */
    uint32_t in_flight_max;      /**< calls; 65,536, the most (or what the silo allows, if that is less). One more
                                      fails with QK_EOVERLOADED */
};

/** Fills in the defaults. */
void qk_client_options_init(struct qk_client_options *options);

/** Makes a client; `options` NULL: the defaults. Does not connect yet: the first call does. 0, -ENOMEM, QK_EINVALID.
 *  The caller owns the client and ends it with qk_client_destroy(). */
int qk_client_create(const struct qk_client_options *options, struct qk_client **ret_client);

/** Closes the connection; calls in flight end with QK_ECANCELLED (their callbacks run before this returns). NULL is
 *  fine. Inside a callback, too: the function that runs the callback then returns QK_ECANCELLED, and after that there
 * is no client any more. */
void qk_client_destroy(struct qk_client *client);

/** Connects now rather than with the first call, and without heeding the back-off. 0 when connected; -errno of
 *  connect(), -ENAMETOOLONG, QK_ETIMEDOUT, QK_EVERSION, QK_EDENIED, QK_EDISCONNECTED, QK_EPROTOCOL, or what else the
 *  silo refused with; QK_EUNAVAILABLE while the silo is stopping and calls are still in flight. */
int qk_client_connect(struct qk_client *client);

/** The text of the last error of this client or of the reply last returned: what was refused, by which part, and what
 *  can be done. "" when there is none. Valid until the next function that takes the client. */
const char *qk_client_error(const struct qk_client *client);

/** What came back for a call: valid during the callback, or until the next function that takes the client. */
struct qk_reply {
    int32_t status;      /**< 0 or more as the handler returned; else the error */
    const char *text;    /**< message of the error; "" on success */
    const uint8_t *data; /**< the reply message, serialised */
    size_t size;
    bool may_have_run; /**< on an error: whether the method may have run */
};

typedef void (*qk_reply_fn)(void *arg, const struct qk_reply *reply);

/** A method as a client addresses it. */
struct qk_call_target {
    uint64_t type_id;
    uint32_t method_id;
    uint32_t timeout_ms; /**< 0: the client's default */
    struct qk_ref ref;
    bool one_way; /**< no reply but an acknowledgement: 0 when the message is in the mailbox */
};

/**
 * Calls with serialised bytes and waits for the reply (other calls in flight proceed and their callbacks run).
 *
 * @return the reply's status; `ret_reply` (may be NULL) is written in every case
 */
int qk_client_call(struct qk_client *client, const struct qk_call_target *target, const uint8_t *request, size_t size,
                   struct qk_reply *ret_reply);

/** Starts a call; `on_reply` (NULL: nobody wants to hear) runs exactly once, inside a later function that takes the
 *  client, unless this function fails. `request` is copied. Frames are gathered and written by the next
 * qk_client_poll() or when 64 KiB wait. 0; QK_EOVERLOADED (too many in flight, or 16 MiB wait for a silo that does not
 * read), QK_ETOOBIG, QK_EINVALID (the key), QK_EUNAVAILABLE (the silo is stopping), -ENOMEM, or an error of
 * qk_client_connect(), for which it may wait. */
int qk_client_begin(struct qk_client *client, const struct qk_call_target *target, const uint8_t *request, size_t size,
                    qk_reply_fn on_reply, void *arg);

/** Writes what waits, reads what came and runs callbacks; waits up to `timeout_ms` for something to come (0: not at
 *  all, -1: for ever). How many callbacks ran, or an error of the connection, once it is closed and every callback has
 *  run. Returns early with 0 when a signal comes, and at once while there is no connection. */
int qk_client_poll(struct qk_client *client, int timeout_ms);

/** Polls until no call is in flight. 0, or QK_ETIMEDOUT after `timeout_ms`, or an error of the connection. */
int qk_client_drain(struct qk_client *client, int timeout_ms);

/** Calls in flight. */
uint32_t qk_client_in_flight(const struct qk_client *client);

/** The descriptor to wait on in a loop of the caller's (for reading; for writing too when qk_client_wants_write()); -1
 *  while there is no connection. It changes when the client connects again. */
int qk_client_fd(const struct qk_client *client);
bool qk_client_wants_write(const struct qk_client *client);

/** The name of a status code ("QK_ETIMEDOUT"), or "application" or strerrorname of an errno; never NULL. Any thread. */
const char *qk_status_name(int status);

/** One sentence about a status code; never NULL. Any thread. */
const char *qk_status_text(int status);

/**
 * Sets an entry of the context of every call that this client begins from now on; `value` NULL takes it out. A context
 * travels with the call and with everything that is done for it; a handler reads it with qk_context().
 *
 * @param name 1 to 64 of a-z, 0-9, '-', '_' and '.'. `correlation-id`, `traceparent` and `tracestate` mean what they do
 *             elsewhere
 * @param value UTF-8 without control characters; copied
 * @return 0; QK_EINVALID, QK_ETOOBIG (more than 32 entries, or 4,096 bytes of names and values), -ENOMEM; text in
 *         qk_client_error(), and the context as it was
 */
int qk_client_set_context(struct qk_client *client, const char *name, const char *value);

/** The same for the next call only, whichever function begins it, in place of the client's entry of that name. */
int qk_client_add_context(struct qk_client *client, const char *name, const char *value);

enum qk_client_span_kind {
    QK_CLIENT_SPAN_CALL = 1,
    QK_CLIENT_SPAN_SEND = 2,
    QK_CLIENT_SPAN_TICK = 3, /**< of a timer */
};

enum qk_client_span_state {
    QK_CLIENT_SPAN_WAITS = 1, /**< in the mailbox */
    QK_CLIENT_SPAN_RUNS = 2,  /**< its turn has begun and is not over */
    QK_CLIENT_SPAN_ENDED = 3,
};

/** One message that a recorded call has caused, and the turn that handled it. */
struct qk_client_span {
    uint32_t parent; /**< number of the span that caused it, from 1 in the order of the visits; 0: the call itself */
    enum qk_client_span_kind kind;
    enum qk_client_span_state state;
    uint32_t worker; /**< of the silo, that began the turn */
    int32_t status;  /**< once it has ended */
    uint32_t key_len;
    const char *type;
    const char *key;
    const char *method;
    uint64_t id;       /**< in the trace */
    uint64_t start_ns; /**< when it was sent, since the call arrived */
    uint64_t queued_ns;
    uint64_t run_ns;
    uint64_t suspended_ns;
};

struct qk_client_recording {
    char trace_id[33];
    uint64_t left_out; /**< spans past the bounds: 4,096, and 1 MiB of memory */
};

/** Has the next call recorded, whichever function begins it: the silo notes what the call causes until it is answered.
 *  The answer, that to a one-way call too, waits until everything that was sent on its behalf has ended, for at most
 * 250 ms and never past the deadline. A silo records 64 calls at a time; one more is refused with QK_EOVERLOADED. */
void qk_client_record(struct qk_client *client);

/**
 * Visits the spans of the call whose reply came last, in the order in which they were sent: a cause before what it
 * caused. May be called in the call's callback. What a span points to is valid during its visit.
 *
 * @param ret_recording NULL where not wanted
 * @return 0; QK_ENOTFOUND: that call was not recorded; QK_EPROTOCOL
 */
int qk_client_visit_spans(struct qk_client *client, void (*visit)(void *arg, const struct qk_client_span *span),
                          void *arg, struct qk_client_recording *ret_recording);

/* What generated client proxies use. */

/** Packs `request`, calls, unpacks into a message made with malloc (`ret_reply`, NULL where not wanted; free it with
 *  the message's own free_unpacked). Returns as qk_client_call(), and QK_EPROTOCOL where the reply does not parse. */
int qk_client_ask(struct qk_client *client, const struct qk_method *m, struct qk_ref to, uint32_t timeout_ms,
                  const ProtobufCMessage *request, ProtobufCMessage **ret_reply);

/** Like qk_client_begin() with a message to pack. */
int qk_client_ask_begin(struct qk_client *client, const struct qk_method *m, struct qk_ref to, uint32_t timeout_ms,
                        const ProtobufCMessage *request, qk_reply_fn on_reply, void *arg);

/** The message that a reply holds, made with malloc; free it with the message's own free_unpacked. Its bytes come from
 *  an actor and are checked first: depth, count, size, UTF-8. NULL after an error (`reply->status`), where they are no
 *  message of `type` within the limits, or without memory. Any thread. */
ProtobufCMessage *qk_client_unpack(const ProtobufCMessageDescriptor *type, const struct qk_reply *reply);

/** Sends one way and waits for the acknowledgement that the message is in the mailbox. */
int qk_client_tell(struct qk_client *client, const struct qk_method *m, struct qk_ref to,
                   const ProtobufCMessage *request);

/** An administrative request: serialised quark.admin.AdminRequest in, AdminReply out. Returns as qk_client_call(). */
int qk_client_admin(struct qk_client *client, const uint8_t *request, size_t size, uint32_t timeout_ms,
                    struct qk_reply *ret_reply);

#ifdef __cplusplus
}
#endif

#endif
