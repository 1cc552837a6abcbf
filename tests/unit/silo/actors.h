/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plugin inside the test program: one actor type that several workers may run at a time. */
#ifndef SILO_ACTORS_H
#define SILO_ACTORS_H

#include <semaphore.h>
#include <stdatomic.h>
#include <quark/abi.h>

enum silo_method { S_ADD, S_GET, S_RELAY, S_FAIL, S_WAIT, S_SPIN, S_SAY, S_BIG, S_BLOCK, N_SILO_METHODS };

extern const struct qk_plugin silo_plugin;
extern atomic_int silo_activated, silo_deactivated;
extern atomic_bool silo_spin;     /* while true, Spin holds its thread */
extern atomic_bool silo_spinning; /* it does */
extern sem_t silo_gate;           /* Block offloads a wait for it */
extern atomic_int silo_blocked;   /* so many wait */

#define SILO_TYPE "station"

const struct qk_method *silo_method(enum silo_method which);

#endif
