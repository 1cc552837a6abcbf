/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Actors whose states are made of events, over a store of one actor that the test plays. */
#ifndef EVENTS_H
#define EVENTS_H

#include "harness.h"

#define EVENTS_MAX 2000

enum events_method {
    ADD,
    ADD_ALL,
    GET,
    POSITION,
    RELOAD,
    SAVE,
    CLEAR,
    REPLAY,
    BAD,
    QUIT,
    PANIC,
    ADOPT,
    EVENTS_METHODS
};
enum events_kind { EAGER, LAZY, MIXED, RARE, PLAIN, EVENTS_KINDS };

/* Every third event brings a snapshot, of RARE the default. An event adds its numbers to the count and to the sum of
 * all actors, and its text becomes the note; one of the text "poison" can't be applied. Parents are LAZY ones, which
 * have their children go on after a failure; PANIC with the text "poisoned" waits for such an event. */

struct events_store {
    struct {
        uint8_t *bytes;
        size_t size;
    } events[EVENTS_MAX];
    uint32_t n;
    uint8_t state[1 << 20]; /* the snapshot as it is stored */
    size_t state_size;
    uint64_t version;
    uint32_t skip, fail; /* operations: these go on, then these fail */
    int status;          /* with this */
    bool done;           /* having been done */
    uint32_t missing;    /* position that a replay leaves out */
    bool hold;           /* answers wait for events_release() */
    uint32_t reads, writes, appends, replays;
    uint64_t replayed_behind; /* position of the last replay */
};

extern struct events_store store;
extern struct harness events_harness;
extern enum events_kind events_kind;

/* What the handler of REPLAY was given. */
extern uint64_t events_first, events_last;
extern uint32_t events_seen;

void events_setup(void);
void events_teardown(void);

/* Another writer adds an event. */
void events_append_behind(const char *text, int64_t number);
/* Puts bytes that may be no event. */
void events_put(const void *bytes, size_t size);
/* Takes all events behind the first `n` out. */
void events_cut(uint32_t n);

/* Answers what is held, the oldest first; false when nothing is. */
bool events_release(void);

const struct qk_method *events_method(enum events_method method);

/* Calls a method of the actor "a"; `text` and the numbers are those of its request. */
int events_call(enum events_method method, const char *text, const int64_t *numbers, size_t n, int64_t *ret_value);
int events_do(enum events_method method, int64_t *ret_value);
int events_add(int64_t number, int64_t *ret_value);

/* Ends the activation. */
void events_forget(void);

/* The count and the note of a snapshot; its position. */
uint64_t events_snapshot(int64_t *ret_count);

#endif
