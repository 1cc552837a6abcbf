/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The binary interface between a plugin and whatever runs it. Authors need only quark/actor.h; this file is for
 * generated code and for hosts.
 *
 * Every struct that crosses the interface begins with struct qk_abi. A plugin loads where the major numbers are equal
 * and its minor number is not above the host's; members are appended, never reordered. A handler must not change the
 * floating-point control words (rounding mode, exception masks): a fiber switch does not save them.
 */
#ifndef QUARK_ABI_H
#define QUARK_ABI_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <protobuf-c/protobuf-c.h>
#include <quark/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QK_ABI_MAJOR 1
#define QK_ABI_MINOR 0

/** Head of every struct of the interface. */
struct qk_abi {
    uint16_t major;
    uint16_t minor;
    uint32_t size; /**< sizeof the whole struct, as its builder knew it */
};

#define QK_ABI_HEAD(type)                                  \
    {                                                      \
        QK_ABI_MAJOR, QK_ABI_MINOR, (uint32_t)sizeof(type) \
    }

struct qk_host;
struct qk_pending;

/** A turn: the handling of one message by one activation. Valid until the handler returns; its own thread only. */
typedef struct qk_turn {
    const struct qk_host *host; /**< the table of host services; the rest of a turn is the host's own */
} qk_turn;

/** The key of an actor. The bytes stay the caller's and are copied by whatever takes a reference. */
struct qk_ref {
    const char *key;
    uint32_t key_len; /**< 1 to QK_KEY_MAX bytes, valid UTF-8 */
};

#define QK_KEY_MAX 512

enum qk_method_flags {
    QK_METHOD_ONE_WAY = 1u << 0,           /**< nobody waits for a reply */
    QK_METHOD_READ_ONLY = 1u << 1,         /**< does not change the state */
    QK_METHOD_INTERLEAVE_CHAIN = 1u << 2,  /**< runs while a turn of the activation waits in the same call chain */
    QK_METHOD_INTERLEAVE_ALWAYS = 1u << 3, /**< runs while any turn of the activation waits */
};

/** The same for all methods of a type. The turns of one activation never run at the same time; turns that interleave
 *  run while others wait for a reply. */
enum qk_type_flags {
    QK_TYPE_INTERLEAVE_CHAIN = 1u << 0,
    QK_TYPE_INTERLEAVE_ALWAYS = 1u << 1,
    QK_TYPE_INTERLEAVE_READS = 1u << 2, /**< read-only methods run while only read-only ones wait */
    QK_TYPE_LAZY_STATE = 1u << 3,       /**< stored state is not loaded before the first turn */
    QK_TYPE_REFUSE_WHEN_FULL = 1u << 4, /**< a handler that calls a full mailbox is refused too, and does not wait */
};

enum qk_placement {
    QK_PLACE_HASH = 0,
    QK_PLACE_RANDOM = 1,
    QK_PLACE_PREFER_LOCAL = 2,
    QK_PLACE_LEAST_LOADED = 3,
    QK_PLACE_STATELESS = 4,
};

enum qk_deactivate_reason {
    QK_DEACTIVATE_IDLE = 1,      /**< not called for the type's idle age, or for long while memory is short */
    QK_DEACTIVATE_REQUESTED = 2, /**< the actor or an administrator asked for it */
    QK_DEACTIVATE_SHUTDOWN = 3,  /**< the silo stops */
    QK_DEACTIVATE_STOPPED = 4,   /**< its parent has stopped it, or ends itself */
    QK_DEACTIVATE_RESTART = 5,   /**< it begins anew, because another child of its parent's has failed */
    QK_DEACTIVATE_FAILED = 6,    /**< it has failed: its state may be half changed */
};

/** What a parent answers to the failure of a child. */
enum qk_directive {
    QK_DIRECTIVE_DEFAULT = 0, /**< as the parent's type says; of a type that says nothing: restart */
    QK_RESUME = 1,            /**< goes on with its state as it is; where that could not be made: as restart */
    QK_RESTART = 2,           /**< begins anew under the same key; what waits in its mailbox is kept */
    QK_STOP = 3,              /**< ends; what waits in its mailbox fails */
    QK_ESCALATE = 4,          /**< the parent fails too, and its parent is asked */
};

/** Which children a restart or stop that follows a failure is for. */
enum qk_strategy {
    QK_ONE_FOR_ONE = 0,  /**< the one that failed */
    QK_ONE_FOR_ALL = 1,  /**< all of them */
    QK_REST_FOR_ONE = 2, /**< the one that failed and those spawned after it */
};

/** How an actor failed. */
enum qk_failure_kind {
    QK_FAILURE_PANIC = 1,     /**< qk_panic() */
    QK_FAILURE_ACTIVATE = 2,  /**< on_activate failed, or its state could not be loaded */
    QK_FAILURE_ESCALATED = 3, /**< a child of its own did, and it could not or would not answer */
    QK_FAILURE_TIMEOUT = 4,   /**< a turn took longer than its method or type allows */
};

/** Of an actor that failed. Valid until the hook returns. */
struct qk_failure {
    struct qk_abi abi;
    uint64_t type_id;
    const char *type; /**< its name */
    struct qk_ref ref;
    uint32_t kind;     /**< enum qk_failure_kind */
    int32_t status;    /**< QK_ECRASHED, QK_ETIMEDOUT (limit_ms), or what on_activate returned */
    uint32_t failures; /**< of it within the window of its type, this one included */
    uint32_t reserved;
    const char *text; /**< why */
};

/** What a watcher is told. */
enum qk_watch_what {
    QK_WATCH_ENDED = 1,  /**< the activation has ended; the watch is over */
    QK_WATCH_FAILED = 2, /**< it has failed; the watch goes on */
    QK_WATCH_ABSENT = 3, /**< it was not active when it was to be watched; the watch is over */
};

struct qk_watch_event {
    struct qk_abi abi;
    uint64_t type_id;
    const char *type; /**< its name */
    struct qk_ref ref;
    uint32_t what;    /**< enum qk_watch_what */
    int32_t status;   /**< of QK_WATCH_FAILED */
    const char *text; /**< likewise: why */
};

enum qk_child_state {
    QK_CHILD_BEGINS = 1, /**< not yet through with on_activate */
    QK_CHILD_LIVE = 2,
    QK_CHILD_FAILED = 3,  /**< its parent has to answer */
    QK_CHILD_WAITING = 4, /**< it begins anew after its back-off */
    QK_CHILD_ENDS = 5,
};

struct qk_child {
    uint64_t type_id;
    const char *type; /**< its name */
    struct qk_ref ref;
    uint32_t state; /**< enum qk_child_state */
};

/** A handler as the dispatch table holds it: `self` is the state message of the type, or NULL where it has none.
 *  Returns 0 or more: the reply is sent; less than 0: the caller gets that status and no reply. */
typedef int (*qk_handler_fn)(qk_turn *t, void *self, const ProtobufCMessage *request, ProtobufCMessage *reply);

struct qk_method {
    uint32_t id;          /**< FNV-1a (32 bits) of the name, or the number the author chose */
    uint32_t flags;       /**< enum qk_method_flags */
    uint32_t deadline_ms; /**< default for calls to it; 0: the caller's or the silo's default */
    uint32_t limit_ms;    /**< a turn that takes longer has failed; 0: what the type says */
    uint64_t type_id;     /**< the type it belongs to */
    const char *name;     /**< as in the .proto */
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *reply;
    qk_handler_fn handler; /**< NULL in a plugin that only calls the type */
};

/** What a filter stands in front of. */
enum qk_filtered_kind {
    QK_FILTERED_CALL = 1,  /**< a call whose reply is waited for */
    QK_FILTERED_SEND = 2,  /**< a message that nobody answers */
    QK_FILTERED_TICK = 3,  /**< a timer's; incoming only */
    QK_FILTERED_BEGIN = 4, /**< a call that is begun, its reply awaited later; outgoing only */
};

/** A call as a filter sees it. Valid until the filter returns; nothing in it may be changed. */
struct qk_filtered {
    struct qk_abi abi;
    uint32_t kind; /**< enum qk_filtered_kind */
    uint32_t reserved;
    const char *type; /**< name of the type called; "" where the silo has no such type */
    const struct qk_method *method;
    struct qk_ref to;
    const ProtobufCMessage *request;
    const ProtobufCMessage *reply; /**< once qk_next() has returned 0 or more, where there is one; else NULL */
};

typedef int (*qk_filter_fn)(qk_turn *t, struct qk_filtered *f);

/** Functions around calls; see qk_next(). */
struct qk_filter {
    struct qk_abi abi;
    const char *name;
    qk_filter_fn incoming; /**< around handlers, on their turn; NULL: none */
    qk_filter_fn outgoing; /**< around qk_call(), qk_begin() and qk_send(), on the caller's turn; NULL: none */
};

#define QK_EVENTS_MAX 1024 /**< events that are appended to a journal at once */

/** Takes one event of a journal, which is valid until it returns. 0 goes on with the next; anything else ends it. */
typedef int (*qk_event_fn)(void *arg, uint64_t position, const ProtobufCMessage *event);

/** An actor type as its plugin declares it. */
struct qk_type {
    struct qk_abi abi;
    uint64_t id;                             /**< FNV-1a (64 bits) of the name */
    const char *name;                        /**< as used in addresses: counter */
    const char *service;                     /**< full name of the service in the .proto: sample.Counter */
    const ProtobufCMessageDescriptor *state; /**< NULL: no state message */
    const struct qk_method *methods;         /**< sorted by id */
    uint32_t n_methods;
    uint32_t mailbox_max; /**< messages; 0: the silo's default */
    uint32_t idle_ms;     /**< age at which an unused activation ends; 0: the silo's default */
    uint32_t placement;   /**< enum qk_placement */
    uint32_t flags;       /**< enum qk_type_flags */
    uint32_t limit_ms;    /**< turns and hooks that take longer have failed; 0: however long they take */
    int (*on_activate)(qk_turn *t, void *self); /**< NULL: none; less than 0 fails the call that activates */
    void (*on_deactivate)(qk_turn *t, void *self, enum qk_deactivate_reason reason); /**< NULL: none */
    const char *store; /**< name of the provider that keeps the state; NULL: it is not stored */
    /** A child has failed: enum qk_directive; less than 0: as QK_ESCALATE. NULL: QK_DIRECTIVE_DEFAULT for all. */
    int (*on_child_failure)(qk_turn *t, void *self, const struct qk_failure *failure);
    void (*on_watched)(qk_turn *t, void *self, const struct qk_watch_event *event); /**< NULL: none */
    uint32_t directive;         /**< enum qk_directive that QK_DIRECTIVE_DEFAULT stands for, as a parent */
    uint32_t strategy;          /**< enum qk_strategy, as a parent */
    uint32_t restart_max;       /**< restarts of one actor within the window; 0: 5 */
    uint32_t restart_window_ms; /**< 0: 60,000 */
    uint32_t backoff_ms;        /**< before the second restart within a window, doubled for each further; 0: 100 */
    uint32_t backoff_max_ms;    /**< the most that it grows to; 0: 30,000 */
    const struct qk_filter *const *filters; /**< of this type's turns and calls, the outermost first */
    uint64_t n_filters;
    const ProtobufCMessageDescriptor *event; /**< of the journal that the state is made of; NULL: there is none */
    /** Changes the state as the event says, and does nothing else. Less than 0: it could not. Needed where there is
     *  `event`. */
    int (*apply)(void *self, const ProtobufCMessage *event);
    uint32_t snapshot_every; /**< events after which the state is stored too; 0: 100 */
    uint32_t reserved_2;
};

/** How long an instance of a service lives. */
enum qk_lifetime {
    QK_SINGLETON = 1, /**< one for the whole host, until that ends */
    QK_SCOPED = 2,    /**< one for each activation that uses it, until that ends */
    QK_TRANSIENT = 3, /**< one for each turn that uses it, until that ends */
};

/** A service that a plugin offers to actors, its own and those of others; or, without `create`, a reference to one of
 *  another plugin. quark/service.h has the macros that write it. */
struct qk_service {
    struct qk_abi abi;
    const char *plugin; /**< NULL: the one that the struct is part of */
    const char *name;
    uint32_t lifetime; /**< enum qk_lifetime */
    uint32_t reserved;
    const struct qk_service *const *needs; /**< what has to be there before; ends with NULL. NULL: nothing */
    int (*create)(qk_turn *t, void **ret_instance);
    void (*destroy)(void *instance); /**< NULL: none */
};

/** What a plugin exports, as the one constant data symbol `quark_plugin`. */
struct qk_plugin {
    struct qk_abi abi;
    const char *name;
    const char *version;
    const struct qk_type *const *types;
    uint64_t n_types;
    const uint8_t *schema; /**< serialised google.protobuf.FileDescriptorSet, imports included */
    uint64_t schema_len;
    const struct qk_service *const *services; /**< ends with NULL. NULL: none */
    const struct qk_filter *const *filters;   /**< of all turns and calls of the silo, the outermost first */
    uint64_t n_filters;
};

#define QK_PLUGIN_SYMBOL "quark_plugin"

/** The ELF note (section .note.quark, owner "Quark", type 1) that says what a file is before any of it runs. */
#define QK_NOTE_OWNER       "Quark"
#define QK_NOTE_TYPE        1u
#define QK_NOTE_NAME_MAX    64 /**< with the terminating zero; names are [a-z][a-z0-9_-]* */
#define QK_NOTE_VERSION_MAX 32 /**< with the terminating zero */

struct qk_note {
    uint32_t owner_size; /**< 6: "Quark" and its zero */
    uint32_t desc_size;  /**< 104 */
    uint32_t type;       /**< QK_NOTE_TYPE */
    char owner[8];
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t flags; /**< 0 */
    char name[QK_NOTE_NAME_MAX];
    char version[QK_NOTE_VERSION_MAX];
};

enum qk_timer_flags {
    QK_TIMER_KEEPS_ACTIVE = 1u << 0, /**< its ticks count as use, so the activation is not collected as idle */
};

/** Operations on the stored state of the turn's own activation. */
enum qk_state_operation {
    QK_STATE_LOAD = 1,
    QK_STATE_SAVE = 2,
    QK_STATE_CLEAR = 3,
};

enum qk_log_level {
    QK_LOG_ERROR = 3, /**< the numbers are syslog's */
    QK_LOG_WARNING = 4,
    QK_LOG_NOTICE = 5,
    QK_LOG_INFO = 6,
    QK_LOG_DEBUG = 7,
};

/** Host services. quark/actor.h wraps each and documents it. */
struct qk_host {
    struct qk_abi abi;
    int (*call)(qk_turn *t, const struct qk_method *m, struct qk_ref to, int64_t timeout_ms,
                const ProtobufCMessage *request, ProtobufCMessage *ret_reply);
    int (*begin)(qk_turn *t, const struct qk_method *m, struct qk_ref to, int64_t timeout_ms,
                 const ProtobufCMessage *request, struct qk_pending **ret_pending);
    int (*await)(qk_turn *t, struct qk_pending *pending, ProtobufCMessage *ret_reply);
    int (*send)(qk_turn *t, const struct qk_method *m, struct qk_ref to, const ProtobufCMessage *request);
    void *(*alloc)(qk_turn *t, size_t size);
    int (*vfail)(qk_turn *t, int status, const char *format, va_list args);
    const char *(*error)(qk_turn *t);
    struct qk_ref (*self)(qk_turn *t);
    const char *(*caller)(qk_turn *t);
    int64_t (*now_ms)(qk_turn *t);
    int64_t (*remaining_ms)(qk_turn *t);
    uint64_t (*request_id)(qk_turn *t);
    void **(*local)(qk_turn *t);
    void (*deactivate)(qk_turn *t);
    int (*yield)(qk_turn *t);
    void (*vlog)(qk_turn *t, enum qk_log_level level, const char *format, va_list args);
    int (*cancelled)(qk_turn *t);
    int (*timer_start)(qk_turn *t, const struct qk_method *m, int64_t due_ms, int64_t period_ms, uint32_t flags,
                       const ProtobufCMessage *request, uint64_t *ret_id);
    int (*timer_cancel)(qk_turn *t, uint64_t id);
    int (*state)(qk_turn *t, uint32_t operation);
    int (*offload)(qk_turn *t, void (*fn)(void *arg), void *arg);
    const char *(*context)(qk_turn *t, const char *name);
    int (*set_context)(qk_turn *t, const char *name, const char *value);
    void (*vpanic)(qk_turn *t, const char *format, va_list args); /**< does not return */
    int (*spawn)(qk_turn *t, uint64_t type_id, struct qk_ref child);
    int (*stop_child)(qk_turn *t, uint64_t type_id, struct qk_ref child);
    int (*children)(qk_turn *t, struct qk_child **ret_children);
    int (*watch)(qk_turn *t, uint64_t type_id, struct qk_ref who);
    int (*unwatch)(qk_turn *t, uint64_t type_id, struct qk_ref who);
    int (*service)(qk_turn *t, const struct qk_service *service, void **ret_instance);
    int (*next)(qk_turn *t, struct qk_filtered *f);
    int (*append)(qk_turn *t, const ProtobufCMessage *events, uint32_t n_events);
    uint64_t (*position)(qk_turn *t);
    int (*replay)(qk_turn *t, uint64_t from, qk_event_fn fn, void *arg);
};

#ifdef __cplusplus
}
#endif

#endif
