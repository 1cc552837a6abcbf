/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The world of one run: what every actor, call and frame has been through, and the checks on it. A broken property ends
 * the program with the seed and the command that runs it again.
 */
#ifndef WORLD_H
#define WORLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WORLD_ACTORS     27
#define WORLD_SUBMITTERS 3
#define WORLD_SENDERS    (WORLD_ACTORS + WORLD_SUBMITTERS)
#define WORLD_CALLS_MAX  60000
#define WORLD_TYPES      9
#define WORLD_CLIENTS    80 /* of one submitter, two at a time */
#define WORLD_WAITS      16
#define WORLD_TIMERS     4 /* of one actor */

/* The actors that wait for a turn, a bit for each; and whether there may be others. */
#define WORLD_BIT(actor) (UINT64_C(1) << (actor))
#define WORLD_INEXACT    (UINT64_C(1) << 63)

/* How a run is driven; the seed and these decide everything that is not up to the threads. */
struct world_plan {
    uint64_t seed;
    uint32_t workers;
    uint32_t frames;          /* submitted by each submitter */
    uint32_t calls;           /* made by actors, all together */
    uint32_t activations_max; /* 0: no bound */
    bool family;              /* actors panic, spawn, stop and watch */
    bool patient;             /* calls wait for so long that deadlocks are found */
    bool poller;              /* frames come through the poller */
    bool drain;               /* drain before the stop */
    bool hard;                /* stop while the submitters still submit */
    int64_t grace_ns;         /* from the stop to its deadline */
    uint32_t store_fault;     /* every so many operations on stored state fail; 0: none */
    uint64_t store_bytes;     /* that the store has room for */
    bool slow;                /* the store and the offloaded work take their time */
    bool strangers;           /* others write what is stored */
    bool offload;             /* offloaded work leaves the runtime */
    bool tight;               /* memory is short now and then */
};

/* How a turn may overlap others of its actor. */
enum world_how {
    WORLD_ALONE = 1, /* not at all */
    WORLD_READS,     /* others that read */
    WORLD_CHAIN,     /* those that wait for it */
    WORLD_ALWAYS,    /* whatever is suspended */
};

enum world_timer_state {
    WORLD_TIMER_NONE = 0,
    WORLD_TIMER_ARMED,
    WORLD_TIMER_LAST, /* the only tick of it runs, or has been cut short */
};

/* A timer as its actor knows it. */
struct world_timer {
    enum world_timer_state state;
    bool runs; /* its tick does */
    bool keeps_active;
    uint64_t id;
    uint64_t serial;
    int64_t first_ns; /* no tick before */
    int64_t last_ns;  /* the end of its last tick */
    int64_t period_ns;
    uint32_t ticks;
    uint32_t ticks_max; /* it is cancelled then */
};

struct world_actor {
    atomic_uint turns;   /* begun and not ended: 0 or 1, but where they interleave */
    atomic_uint readers; /* those of them that only read */
    atomic_uint running; /* those of them that are not suspended: 0 or 1 */
    atomic_bool failed;  /* and no turn of it has begun since */
    atomic_uint active;  /* between on_activate and on_deactivate */
    /* Touched in turns only, without a lock: the thread sanitizer sees whether turns are really one after another. */
    uint64_t entered;
    uint32_t open; /* the newest of its calls since it was activated; 0: none */
    uint64_t activations;
    bool late;       /* no turn has begun since its on_activate, which may have been too late */
    void *local;     /* what it keeps meanwhile */
    uint64_t serial; /* the last one given: of a save or a timer */
    int64_t used_ns; /* when something last kept it active */
    struct world_timer timers[WORLD_TIMERS];
    uint32_t waits[WORLD_WAITS]; /* calls whose turns wait for a reply to another; 0: none */
    struct instance *scoped;     /* instances of services, newest first */
    struct instance *transient;
    uint64_t sent[WORLD_ACTORS];
    uint64_t seen[WORLD_SENDERS];
};

struct world_call {
    atomic_uint ran;
    atomic_uint ended;
    atomic_int status;  /* then */
    uint32_t next_open; /* of the same actor */
    atomic_bool never;  /* it was reported as not having run */
    atomic_bool left;   /* its caller waits no longer, and says so only when its turn ends */
    atomic_bool felt;   /* its turn has learned that nobody waits */
    atomic_bool gone;   /* of a frame: the client has said that it does not wait */
    bool is_frame;
    bool flat;    /* of a frame: a Tick, else a Task */
    uint8_t kind; /* of a frame: enum qk_port_kind */
    uint8_t submitter;
    uint8_t client;
    bool damaged; /* a frame that must be refused */
};

/* A client of the silo: where frames come from. */
struct world_client {
    atomic_bool gone; /* it waits for nothing any more, and sends nothing */
};

struct world {
    struct world_plan plan;
    struct world_actor actors[WORLD_ACTORS];
    struct world_client clients[WORLD_SUBMITTERS * WORLD_CLIENTS];
    atomic_uint n_calls;
    atomic_uint budget;   /* calls that actors may still make */
    atomic_int in_flight; /* frames without a reply */
    atomic_ullong events;
    atomic_bool closing; /* nothing is begun any more that goes on by itself */
    atomic_bool stopping;
    atomic_bool squeezed;  /* activations may have been collected before their time */
    atomic_uint instances; /* of services */
    int64_t (*now_ns)(void *arg);
    uint64_t trace; /* hash of everything that happened; runs without threads only */
    struct world_call calls[WORLD_CALLS_MAX];
};

extern struct world world;

/* Ends the program: what was broken, the seed, how to run it again. */
void world_broken(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#define world_check(condition, ...)    \
    do {                               \
        if (!(condition))              \
            world_broken(__VA_ARGS__); \
    } while (0)

void world_begin(const struct world_plan *plan);

/* A random number generator of a few bytes. Source: D. Lea, G. Steele, C. Flood, "Fast Splittable Pseudorandom Number
 * Generators", OOPSLA 2014. */
uint64_t world_random(uint64_t *state);
uint32_t world_below(uint64_t *state, uint32_t bound);
uint64_t world_mix(uint64_t a, uint64_t b);

/* Number of a new call; false when the records are used up, or an actor's call and the budget is. */
bool world_new_call(bool is_frame, uint32_t *ret_call);

/* Takes one from what actors may still do that causes turns; false when that is used up. */
bool world_spend(void);

/* A turn of an actor begins and ends; `chain` as its message says. */
void world_enter(uint32_t actor, enum world_how how, uint64_t chain);
void world_leave(uint32_t actor, enum world_how how);

/* Before and after what may suspend a turn. */
void world_pause(uint32_t actor);
void world_resume(uint32_t actor);

/* Its message: whose it is, and that it comes for the first time and, where that is promised, in order. */
void world_message(uint32_t actor, uint32_t sender, uint64_t sequence, uint32_t call, bool in_order);

/* A call of an actor's begins. */
void world_opened(uint32_t actor, uint32_t call);

/* The activation has failed: its turns that are suspended end where they are, and so do their calls, before the next
 * one begins. */
void world_failed(uint32_t actor);

void world_activated(uint32_t actor);

/* Its last on_activate came back too late to count, and so there was no on_deactivate. */
void world_too_late(uint32_t actor);
void world_deactivated(uint32_t actor);

/* The caller has learned how its call ended. */
void world_ended(uint32_t call, int status, bool may_have_run);

/* A turn finds, before its deadline, that nobody waits for it any more. */
void world_felt(uint32_t call);

/* The turn of a call waits for the reply to another, and does no longer. */
void world_wait(uint32_t actor, uint32_t call);
void world_go_on(uint32_t actor, uint32_t call);

/* Where nothing can go on before its time: no turn waits for whose outcome nobody does. */
void world_check_waits(void);

/* Whether the client of a frame has said that it does not wait. */
bool world_is_gone(uint32_t call);

/* What must hold when everything is over. */
void world_finish(int left);

/* Adds to the trace. */
void world_trace(uint64_t a, uint64_t b);

#endif
