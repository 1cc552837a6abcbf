/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files share that make up the actors of the property test: one turn, and what it may do at random. */
#ifndef RUN_H
#define RUN_H

#include <pthread.h>
#include <quark/actor.h>
#include "prop.pb-c.h"
#include "world.h"

/* What one turn is about. */
struct run {
    qk_turn *turn;
    Prop__State *state;
    uint32_t actor;
    uint64_t random;
    uint32_t depth;
    uint32_t call;  /* that it answers; 0: a hook, or the tick of a timer */
    uint64_t chain; /* who waits for it */
    enum world_how how;
    bool ends; /* on_deactivate */
    int64_t began_ns;
    pthread_t thread;
};

/* A turn begins, and ends without looking back. */
struct run run_begin(qk_turn *t, void *state, uint64_t seed, enum world_how how);
void run_leave(struct run *r);

/* A turn that nothing but its actor's own hook has caused. */
struct run run_hook(qk_turn *t, void *state, uint64_t seed);

/* That it still has the thread which it began with. */
void run_check_thread(const struct run *r);

/* Does something. */
void run_act(struct run *r);

/* Panics once in `odds`, where the plan has failures. */
void run_maybe_panic(struct run *r, uint32_t odds);

uint32_t run_below(struct run *r, uint32_t bound);

/* ---- calls.c */

void calls_one(struct run *r);
void calls_many(struct run *r);
void calls_send(struct run *r);
void calls_yield(struct run *r);
void calls_misuse(struct run *r);

/* That qk_cancelled() says what is so. */
void calls_check_cancelled(struct run *r);

/* ---- families.c */

void families_act(struct run *r);

/* That the actor has at most so many children. */
void families_list(struct run *r, uint32_t most);

int families_failure(qk_turn *t, void *self, const struct qk_failure *failure);
void families_watched(qk_turn *t, void *self, const struct qk_watch_event *event);

/* ---- beats.c: timers */

void beats_start(struct run *r);
void beats_cancel(struct run *r);
int beats_on_beat(qk_turn *t, void *self, const ProtobufCMessage *request, ProtobufCMessage *reply);

/* The actor begins, or ends: it has no timers. */
void beats_clear(uint32_t actor);

/* ---- states.c: stored state */

/* Saves, loads or clears. */
void states_act(struct run *r);

/* The state has been changed. */
void states_touch(Prop__State *state);

/* A state is whole: what was written together is there together. */
bool states_is_whole(const Prop__State *state);

/* What a new activation finds. */
void states_check_new(const struct run *r);

/* ---- scopes.c: services */

void scopes_act(struct run *r);
extern const struct qk_service *const scopes_services[];

/* No turn has left an instance behind; nor has the last activation. */
void scopes_check_turn(uint32_t actor);
void scopes_check_new(uint32_t actor);

#endif
