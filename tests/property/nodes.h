/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The actors of the property test. */
#ifndef NODES_H
#define NODES_H

#include <quark/abi.h>

enum node_method { NODE_WORK, NODE_PING, NODE_METHODS };

extern const struct qk_plugin nodes_plugin;

/* A method of the type that actor `actor` has. */
const struct qk_method *node_method(uint32_t actor, enum node_method which);
const struct qk_type *node_type(uint32_t actor);

/* The actor's key, in `text` (at least 16 bytes). */
struct qk_ref node_ref(uint32_t actor, char *text);

/* Whether a call that ended so may have run, in a world where handlers return only 0 or more, or application codes. */
bool node_may_have_run(int status);

#endif
