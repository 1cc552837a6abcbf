/* SPDX-License-Identifier: Apache-2.0 */
/* Activations: what each consists of, finding and making them, the table that holds them (act.c, table.c). */
#ifndef QK_RUNTIME_ACT_H
#define QK_RUNTIME_ACT_H

#include <assert.h>
#include <stdatomic.h>
#include "base/bytes.h"
#include "base/cpu.h"
#include "base/spin.h"
#include "runtime/mailbox.h"
#include "runtime/msg.h"
#include "runtime/types.h"

#define QK_SHARDS      256
#define QK_CACHE_SLOTS 4096 /* of a worker's cache of places */

struct qk_worker;
struct qk_runtime;
struct qk_extras;
struct qk_waiter;
struct qk_fiber;
struct qk_port_frame;

enum qk_phase {
    QK_PHASE_FREE = 0,
    QK_PHASE_NEW,          /* in the table, on_activate not begun */
    QK_PHASE_ACTIVATING,   /* on_activate runs */
    QK_PHASE_LIVE,         /* turns */
    QK_PHASE_FAILED,       /* has failed, and nobody has yet said what follows */
    QK_PHASE_STOPPING,     /* will end or begin anew once its children have ended */
    QK_PHASE_DEACTIVATING, /* on_deactivate runs */
    QK_PHASE_WAITING,      /* begins anew when its back-off is over; nothing is left of its last life */
    QK_PHASE_DEAD,         /* out of the table */
    QK_PHASES,
};

struct qk_act {
    _Atomic uint64_t mailbox;
    struct qk_link *batch;    /* taken out of the mailbox, oldest first */
    struct qk_link *deferred; /* taken out before those, and not to be run until the turns that wait are over */
    union {
        struct qk_link **deferred_last;
        uint64_t stamp; /* epoch in which it was retired */
    };
    _Atomic(struct qk_extras *) extras; /* NULL: never needed any */
    struct qk_rt_type *type;
    uint8_t *body; /* the state, then the key and a zero */
    uint64_t hash;
    struct qk_act *queue_next; /* in a run queue, a free list or a list of the retired */
    void *local;
    struct qk_waiter *waiters;        /* fibers that wait for room; under the stripe's lock */
    _Atomic(struct qk_fiber *) fiber; /* with a turn that runs or is suspended */
    struct qk_port_frame *ender;      /* the frame that asked for the end; answered then */
    _Atomic uint32_t used_ms;
    _Atomic uint32_t turns;
    uint16_t key_len;
    uint16_t done;              /* messages finished and not yet off the count */
    uint16_t n_turns;           /* begun and not finished; counted where the type interleaves */
    _Atomic uint16_t exclusive; /* of these, how many are not read-only ones that interleave */
    _Atomic uint8_t phase;
    uint8_t ending; /* enum qk_deactivate_reason: it has to end */
    uint8_t left;   /* of the budget */
    bool used;      /* by something that keeps it active, since it last rested */
} QK_CACHE_ALIGNED;

static_assert(sizeof(struct qk_act) == 128, "an activation takes two cache lines");

struct qk_slot {
    uint64_t hash;
    struct qk_act *act; /* NULL: empty */
};

struct qk_shard {
    struct qk_spin lock;
    uint32_t mask;          /* slots - 1 */
    _Atomic uint32_t count; /* written under the lock */
    struct qk_slot *slots;
} QK_CACHE_ALIGNED;

static inline const char *qk_act_key(const struct qk_act *act)
{
    return (const char *)act->body + act->type->state_size;
}

static inline bool qk_act_is(const struct qk_act *act, const struct qk_rt_type *type, const char *key, uint32_t key_len)
{
    return act->type == type && act->key_len == key_len && qk_bytes_equal(qk_act_key(act), key, key_len);
}

/* The table (table.c). All but init and finish under the shard's lock. */
int qk_table_init(struct qk_shard shards[QK_SHARDS]);
void qk_table_finish(struct qk_shard shards[QK_SHARDS]);
struct qk_act *qk_table_find(const struct qk_shard *shard, const struct qk_rt_type *type, const char *key,
                             uint32_t key_len, uint64_t hash);

/* False without memory. */
bool qk_table_add(struct qk_shard *shard, struct qk_act *act);
void qk_table_remove(struct qk_shard *shard, const struct qk_act *act);

void qk_act_move(struct qk_act *act, enum qk_phase to);

static inline struct qk_extras *qk_act_extras(const struct qk_act *act)
{
    return atomic_load_explicit(&((struct qk_act *)act)->extras, memory_order_acquire);
}

/* Makes them if there are none; NULL without memory. Any worker. */
struct qk_extras *qk_act_need_extras(struct qk_act *act);

/* Gives the activation a new state, with the mailbox as it is. */
void qk_act_renew(struct qk_act *act);

/* The activation of an actor, made if there is none; NULL without memory or past activations_max. On a worker's thread,
 * which does not give it up before it has used what it got. */
struct qk_act *qk_act_locate(struct qk_worker *w, struct qk_rt_type *type, const char *key, uint32_t key_len,
                             bool make);

/* Its last step, when the worker's cache does not have it. */
struct qk_act *qk_act_look_up(struct qk_worker *w, struct qk_rt_type *type, const char *key, uint32_t key_len,
                              uint64_t hash, bool make);

/* Counts a call that got none, and says why. */
const char *qk_act_refusal(struct qk_worker *w);

/*
 * Takes an activation out of the table and closes its mailbox. What waits in it comes back, oldest first; or, if
 * `successor` is asked for and something waits, goes into a new activation that takes the old one's place in the same
 * moment, so that nothing sent later overtakes it: the new one is returned there, scheduled, for the caller to queue.
 */
struct qk_link *qk_act_unlink(struct qk_worker *w, struct qk_act *act, struct qk_act **ret_successor);

/* The activation with this hash; NULL: none. Valid as what qk_act_locate() returns. */
struct qk_act *qk_act_by_hash(struct qk_runtime *rt, uint64_t hash);

/* Frees an unlinked activation once no worker can hold it. */
void qk_act_retire(struct qk_worker *w, struct qk_act *act);
void qk_act_reclaim(struct qk_worker *w);

#endif
