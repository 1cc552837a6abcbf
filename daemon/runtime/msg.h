/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between activations, the memory that a worker makes them of, and what else one worker hands another. */
#ifndef QK_RUNTIME_MSG_H
#define QK_RUNTIME_MSG_H

#include <stdatomic.h>
#include <protobuf-c/protobuf-c.h>
#include "base/arena.h"
#include "base/cpu.h"
#include "base/wheel.h"
#include "runtime/mailbox.h"

struct qk_worker;
struct qk_fiber;
struct qk_pending;
struct qk_ticker;
struct qk_notice;
struct qk_baggage;
struct qk_port_frame;
struct qk_rt_method;
struct qk_rt_type;
struct qk_method;

/* Something that is due in a worker's wheel. */
struct qk_deadline {
    struct qk_timer timer; /* first */
    uint8_t kind;
};

enum qk_deadline_kind {
    QK_DEADLINE_CALL = 0, /* it lies in a qk_msg */
    QK_DEADLINE_ROOM,     /* in a qk_waiter */
    QK_DEADLINE_TICK,     /* in a qk_ticker */
    QK_DEADLINE_WAKE,     /* in a qk_wake */
    QK_DEADLINE_LIMIT,    /* in a qk_turn_state */
    QK_DEADLINE_TRACE,    /* in a qk_recorder */
};

enum qk_msg_kind {
    QK_MSG_CALL = 1,   /* from an activation that wants the reply */
    QK_MSG_SEND = 2,   /* from an activation, one way */
    QK_MSG_FRAME = 3,  /* from the port */
    QK_MSG_TICK = 4,   /* from a timer of the activation */
    QK_MSG_NOTICE = 5, /* of a child's failure, or of what the activation watches */
};

/* QK_LIFE_RUNNING plus a worker's index: the turn is suspended there, or was once. */
enum qk_msg_life { QK_LIFE_PENDING = 0, QK_LIFE_REPLIED = 1, QK_LIFE_ABANDONED = 2, QK_LIFE_RUNNING = 16 };

/* Something that one worker tells another, in a list of its own; handled between turns. */
enum qk_memo_kind {
    QK_MEMO_ABANDONED = 1, /* in a qk_msg: its caller does not wait any more */
    QK_MEMO_GONE,          /* a qk_gone: a client does not */
    QK_MEMO_DEADLOCK,      /* a qk_verdict */
    QK_MEMO_TIMER,         /* a qk_ticker: it has ended */
    QK_MEMO_STORED,        /* a qk_state_wait: the answer has come */
    QK_MEMO_OFFLOADED,     /* a qk_offload_wait: the work is over */
};

struct qk_memo {
    struct qk_memo *next;
    uint8_t kind;
};

struct qk_msg {
    struct qk_link link;     /* in a mailbox, a worker's replies or a free list */
    struct qk_worker *owner; /* whose memory it is */
    uint8_t kind;
    uint8_t size_class;
    struct qk_memo memo; /* to the worker of a turn that is suspended, when its caller gives up */
    /* From here to `arena` a new message is all zero. */
    atomic_uint life; /* who comes second, caller or callee, frees the message */
    int32_t status;
    bool one_way; /* a frame whose sender gets its answer once the message is in the mailbox */
    bool foreign; /* the caller's structs are of another layout: pack and unpack */
    bool may_have_run;
    bool out_of_memory;
    bool finished; /* an abandoned one whose turn is over: the memo frees it */
    bool told;     /* the memo has come: the end of the turn frees it */
    uint8_t chain_len;
    uint32_t reply_size;     /* of a foreign reply, packed at `reply` */
    uint32_t cost_ns;        /* of a frame that waits: what it counts for in `queued` */
    struct qk_fiber *runner; /* of a turn that was suspended; its worker only */
    struct qk_worker *home;  /* where the caller waits */
    union {
        struct qk_pending *pending; /* the caller's; NULL once it does not care. The caller's worker only */
        struct qk_ticker *ticker;   /* of a tick */
        struct qk_notice *notice;   /* in the block */
    };
    struct qk_deadline deadline; /* in the wheel of `home` */
    struct qk_baggage *baggage;  /* context; NULL: none */
    struct qk_port_frame *frame;
    struct qk_remote *remote;          /* of a call to an actor that another runtime has; in the block */
    struct qk_port_frame *acknowledge; /* goes out once a one-way message of a frame is in the mailbox */
    ProtobufCMessage *request;
    ProtobufCMessage *reply;
    struct qk_arena arena; /* what hangs on request and reply */
    const struct qk_rt_method *method;
    struct qk_rt_type *type;
    int64_t deadline_ns;
    int64_t sent_ns;
    uint64_t request_id;
    uint64_t target;                /* hash of the activation that it is for; of a call */
    const struct qk_method *called; /* as the caller knows it */
    const char *text;               /* message of an error, in `arena` or static */
    const char *sender;             /* "type/key" in the block, or static */
    const uint64_t *chain; /* hashes of the activations that wait for this call, the outermost first; in the block */
};

#define QK_MSG_CLASSES 5
#define QK_MSG_LARGE   QK_MSG_CLASSES /* from malloc */

static const uint32_t qk_msg_class_bytes[QK_MSG_CLASSES] = {320, 384, 512, 1024, 4096};

static inline unsigned qk_msg_class(size_t bytes)
{
    unsigned c = 0;
    while (c < QK_MSG_CLASSES && bytes > qk_msg_class_bytes[c])
        c++;
    return c;
}

/* What a worker keeps to make messages without a lock. */
struct qk_pool {
    struct qk_msg *free[QK_MSG_CLASSES];
    _Atomic(struct qk_msg *) returned; /* freed by other workers */
    struct qk_worker *debtor;          /* messages of this worker's are gathered here before they go back */
    struct qk_msg *owed;
    struct qk_msg *owed_last;
    unsigned n_owed;
    void *slabs;
    _Atomic uint64_t made;
    _Atomic uint64_t freed;
};

static inline struct qk_msg *qk_pool_take(struct qk_pool *pool, unsigned c)
{
    struct qk_msg *msg = pool->free[c];
    pool->free[c] = (struct qk_msg *)msg->link.next;
    return msg;
}

static inline void qk_pool_put(struct qk_pool *pool, struct qk_msg *msg)
{
    msg->link.next = (struct qk_link *)pool->free[msg->size_class];
    pool->free[msg->size_class] = msg;
}

/* A block where the worker has none of that size at hand; NULL without memory. */
struct qk_msg *qk_pool_refill(struct qk_worker *w, size_t bytes);

/* A message with `extra` bytes behind it, initialised but for what the caller fills in; NULL without memory. */
struct qk_msg *qk_msg_create(struct qk_worker *w, enum qk_msg_kind kind, size_t extra);

/* What is left of qk_msg_destroy() where something hangs on the message, or it is another's. */
void qk_msg_give_back(struct qk_worker *w, struct qk_msg *msg);

/* Gives gathered messages back to their owner. */
void qk_pool_flush(struct qk_worker *w);
void qk_pool_finish(struct qk_pool *pool);

static inline void *qk_msg_extra(struct qk_msg *msg)
{
    return (uint8_t *)msg + ((sizeof(struct qk_msg) + 15) & ~(size_t)15);
}

/* Marks a call, on the callee's side, unless its caller has given up: false. Where both are on one worker nobody marks
 * it meanwhile. */
static inline bool qk_msg_mark(struct qk_worker *w, struct qk_msg *msg, unsigned life)
{
    unsigned was = atomic_load_explicit(&msg->life, memory_order_relaxed);
    if (qk_likely(msg->home == w)) {
        if (was != QK_LIFE_ABANDONED)
            atomic_store_explicit(&msg->life, life, memory_order_relaxed);
        return was != QK_LIFE_ABANDONED;
    }
    while (was != QK_LIFE_ABANDONED) {
        if (atomic_compare_exchange_weak_explicit(&msg->life, &was, life, memory_order_acq_rel, memory_order_acquire))
            return true;
    }
    return false;
}

#endif
