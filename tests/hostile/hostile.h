/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of a hostile plugin share. */
#ifndef TEST_HOSTILE_H
#define TEST_HOSTILE_H

struct qk_turn;

/* The attack: one file of attacks/ defines it. `t` is NULL where no turn runs: in a constructor, or without a runtime.
 * Returns the -errno with which it was refused, or 0 when it worked. */
int attack(struct qk_turn *t);

/* What the plugin exports beside its descriptor: the attack without a turn. Of a plugin that attacks while it is loaded
 * this is how that went. */
int hostile_run(void);

/* How a call ended, as attack() says it. */
#define REFUSED_OR(call) ((call) < 0 ? -errno : 0)

#endif
