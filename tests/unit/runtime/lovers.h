/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Actors that wait for one another as a text tells them, for the tests of deadlocks. */
#ifndef LOVERS_H
#define LOVERS_H

#include <stdatomic.h>
#include "harness.h"

/*
 * Types: p (plain), m (the methods Quick interleave), s (the same with room for two messages), r (read-only methods
 * interleave), h (as m; its on_activate does what `lovers_in_hook` says).
 *
 * A request says what to do, one thing after another: "m/b.Slow(...)" calls m/b with what stands in the brackets,
 * "hold" waits until it is let go, "meet" until so many turns as are invited do the same.
 */
extern const struct qk_plugin lovers_plugin;

/* Whether who holds is let go, and what on_activate of h does (NULL: nothing). */
extern atomic_bool lovers_let_go;
extern const char *lovers_in_hook;

/* How many meet at a time. */
extern unsigned lovers_invited;

/* Puts everything back. Before each test. */
void lovers_build(void);

/* A call from outside: "m/a.Slow(...)". */
struct qk_port_frame *lovers_call(const char *what, uint64_t id, int64_t deadline_ns);

#endif
