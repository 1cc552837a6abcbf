/* SPDX-License-Identifier: Apache-2.0 */
/* Supervision: what activations with parents, children, watchers or failures have beyond the others, and what ending.c,
 * supervise.c and watchers.c offer. */
#ifndef QK_RUNTIME_SUPERVISE_H
#define QK_RUNTIME_SUPERVISE_H

#include "runtime/internal.h"

/* What has to be done with an activation, besides its messages. A mask. */
enum qk_order {
    QK_ORDER_ACTIVATE = 1 << 0,
    QK_ORDER_RESUME = 1 << 1,
    QK_ORDER_RESTART = 1 << 2,
    QK_ORDER_STOP = 1 << 3,
    QK_ORDER_FAIL = 1 << 4, /* a child's failure has become its own */
    QK_ORDER_LOOK = 1 << 5, /* a child has ended, the parent has, or the back-off is over */
    QK_ORDER_SHUTDOWN = 1 << 6,
};

/* What follows on_deactivate. */
enum qk_goal {
    QK_GOAL_END = 0, /* what waits goes to the next activation */
    QK_GOAL_STOP,    /* what waits fails */
    QK_GOAL_RESTART,
};

/* What few activations need. Made by whoever needs it first, freed with the activation's memory. */
struct qk_extras {
    _Atomic uint32_t orders; /* enum qk_order, left by others */
    /* The holder's. */
    uint32_t todo; /* orders taken and not yet carried out */
    struct qk_timers *timers;
    char *text; /* why it failed; NULL: no memory for it */
    int64_t window_ns;
    int64_t until_ns;  /* the end of its back-off */
    uint32_t failures; /* since window_ns */
    int32_t status;
    uint8_t kind;   /* enum qk_failure_kind */
    uint8_t goal;   /* enum qk_goal */
    uint8_t reason; /* enum qk_deactivate_reason */
    bool lived;     /* on_deactivate has to run */
    bool asked;     /* its parent */
    /* Under the runtime's super_lock. */
    bool answered;
    bool exhausted; /* it may not begin anew any more */
    bool escalated; /* its failure is to become its parent's */
    bool shared;    /* its failure has become its parent's, whose answer is for both */
    bool gone;      /* it has ended, and is not linked any more */
    bool told;      /* that the silo stops; under the lock of its shard */
    uint64_t serial;
    struct qk_act *parent;
    struct qk_act *prev; /* among the parent's children, the oldest first */
    struct qk_act *next;
    struct qk_act *first;
    struct qk_act *last;
    uint32_t n_children;
    uint32_t n_watchers;
    struct qk_watcher *watchers;
    struct qk_instance *services; /* the scoped ones, newest first; the holder's */
    int32_t child_status;         /* of the failure of a child that has become its own */
    char *child_text;
};

/* ---- the end of activations, and their failures (ending.c); on the worker that holds the activation */

/* Begins the activation with the message that is next, which stays in the batch; without one only if `anyway`. */
enum qk_next qk_ending_activate(struct qk_worker *w, struct qk_act *act, bool anyway);

/* on_activate is over. */
enum qk_next qk_ending_activated(struct qk_worker *w, struct qk_act *act, int status, const char *text, bool loading);

/* Takes note that it has failed, from now on in QK_PHASE_FAILED. */
void qk_ending_fail(struct qk_worker *w, struct qk_act *act, enum qk_failure_kind kind, int status, const char *text);

/* Ends the activation if that was asked for (`ending`). */
enum qk_next qk_ending_look(struct qk_worker *w, struct qk_act *act);

/* Carries out orders, and does what its phase demands, before each message of an activation that has extras. */
enum qk_next qk_ending_step(struct qk_worker *w, struct qk_act *act);

/* on_deactivate is over, or there is none. */
enum qk_next qk_ending_finish(struct qk_worker *w, struct qk_act *act);

/* A back-off is over. */
void qk_ending_woken(struct qk_worker *w, struct qk_deadline *deadline);
void qk_ending_wakes_finish(struct qk_worker *w);

/* ---- parents, children and watchers (supervise.c); any worker where nothing else is said */

/* What a parent or a watcher is told; its names lie behind it. */
struct qk_notice {
    uint64_t serial; /* of the child; 0: what is watched */
    union {
        struct qk_failure failure;
        struct qk_watch_event event;
    };
};

/* Leaves an order. The activation must be held by its links, under the super_lock, or by the table, under its lock. */
void qk_super_order(struct qk_worker *w, struct qk_act *act, enum qk_order order);

bool qk_super_has_parent(struct qk_worker *w, const struct qk_act *act);
bool qk_super_has_children(struct qk_worker *w, const struct qk_act *act);

/* Orders the youngest child to stop; false when there is none. */
bool qk_super_stop_last(struct qk_worker *w, struct qk_act *act);

/* Has an actor, if it is active, look at its state again. */
void qk_super_look(struct qk_worker *w, struct qk_rt_type *type, const char *key, uint32_t key_len);

/* Asks the parent of a failed activation what follows, if it has one; true when that is known already. */
bool qk_super_ask(struct qk_worker *w, struct qk_act *act);

/* What follows the failures of an activation and of its children is known: notices of the former, and escalations of
 * the latter, are out of date. */
void qk_super_settled(struct qk_worker *w, struct qk_act *act);

/* Whether a notice still matters; and what became of its turn. On the worker that holds `act`. */
bool qk_super_begin_notice(struct qk_worker *w, struct qk_act *act, const struct qk_msg *msg);
void qk_super_end_notice(struct qk_worker *w, struct qk_act *act, const struct qk_msg *msg, int directive);

/* Its turn failed: the failure of the activation, which follows, is the child's too. */
void qk_super_spoil_notice(struct qk_worker *w, struct qk_act *act, const struct qk_msg *msg);

/* The failures that children have escalated become the activation's: the text and the status of the last one, which
 * the caller frees. */
char *qk_super_take_failure(struct qk_worker *w, struct qk_act *act, int *ret_status);

/* The activation goes on after a failure: so do the children that share it. */
void qk_super_resumed(struct qk_worker *w, struct qk_act *act);

/* Whether a message is part of a chain in which an activation waits that `act` waits for, or that waits for it. */
bool qk_super_would_wait(struct qk_worker *w, const struct qk_act *act, const struct qk_msg *msg);

/* Takes an activation that has ended out of the tree, and tells those who watch. */
void qk_super_gone(struct qk_worker *w, struct qk_act *act);

/* Frees what is left in the extras. */
void qk_super_finish(struct qk_extras *extras);

/* As in quark/actor.h; why not comes back too. On the fiber. */
int qk_super_spawn(struct qk_turn_state *t, uint64_t type_id, struct qk_ref child, const char **ret_why);
int qk_super_stop_child(struct qk_turn_state *t, uint64_t type_id, struct qk_ref child);
int qk_super_children(struct qk_turn_state *t, struct qk_child **ret_children);

/* Watchers (watchers.c). Tells those of an activation that it has failed, or ended. */
void qk_watchers_tell(struct qk_worker *w, struct qk_act *act, enum qk_watch_what what);
void qk_watchers_finish(struct qk_extras *extras);

/* A notice with the name of an actor and room for a text behind it; the rest is the caller's to fill in. NULL without
 * memory. */
struct qk_msg *qk_notice_create(struct qk_worker *w, struct qk_rt_type *type, const char *key, uint32_t key_len,
                                size_t text_size);
void qk_notice_post(struct qk_worker *w, struct qk_act *to, struct qk_msg *msg);
int qk_super_watch(struct qk_turn_state *t, uint64_t type_id, struct qk_ref who, const char **ret_why);
int qk_super_unwatch(struct qk_turn_state *t, uint64_t type_id, struct qk_ref who);

#endif
