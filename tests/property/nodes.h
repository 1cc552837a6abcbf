/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The actors of the property test. */
#ifndef NODES_H
#define NODES_H

#include <stdbool.h>
#include <quark/abi.h>
#include "runtime/port.h"

enum node_method { NODE_WORK, NODE_PING, NODE_BEAT, NODE_METHODS };

extern const struct qk_plugin nodes_plugin;

/* Gives turns the limits of world.plan. */
void nodes_plan(void);

/* A method of the type that actor `actor` has. */
const struct qk_method *node_method(uint32_t actor, enum node_method which);
const struct qk_type *node_type(uint32_t actor);

/* Whether turns of the actor overlap, in one way or another; of a submitter never. */
bool node_interleaves(uint32_t actor);

/* The actor's key, in `text` (at least 16 bytes). */
struct qk_ref node_ref(uint32_t actor, char *text);

/* The actor with this key, or WORLD_ACTORS: it is damaged. */
uint32_t node_of(const char *key, uint32_t key_len);

/* Whether a call that ended so may have run, in a world where handlers return only 0 or more, or application codes. */
bool node_may_have_run(int status);

#endif
