/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a host writes down for the silo in memory that both share: where its workers are, so that the silo knows which
 * actor brought it down, and figures that tools show. The silo reads it as it reads everything of a host's: each number
 * is copied once, checked, and believed only where a lie harms nobody but the host's own plugin.
 */
#ifndef QK_TRANSPORT_BOARD_H
#define QK_TRANSPORT_BOARD_H

#include <stdatomic.h>
#include <stdint.h>
#include "base/limits.h"

#define QK_BOARD_WORKERS_MAX 64
#define QK_BOARD_KEY_MAX     512 /* as QK_KEY_MAX */

/* What a worker is doing. */
enum qk_board_turn {
    QK_BOARD_NONE = 0,
    QK_BOARD_TURN = 1,  /* a turn of the actor */
    QK_BOARD_CRASH = 2, /* the turn that brings the process down: its signal handler says so */
};

/* Beside a method's id, which is no hook's. */
enum qk_board_hook {
    QK_BOARD_METHOD = 0,
    QK_BOARD_ACTIVATE = 1,
    QK_BOARD_DEACTIVATE = 2,
    QK_BOARD_NOTICE = 3,
};

struct qk_board_worker {
    _Alignas(64) _Atomic uint32_t turn; /* enum qk_board_turn; written last, taken back first */
    uint32_t hook;                      /* enum qk_board_hook */
    uint32_t method_id;
    uint32_t key_len;
    uint64_t type_id;
    char key[QK_BOARD_KEY_MAX];
    _Alignas(64) _Atomic uint64_t turns; /* figures, as qk_worker_stats has them */
    _Atomic uint64_t busy_ns;
    _Atomic uint64_t steals;
    _Atomic uint64_t parks;
    _Atomic uint32_t runnable;
};

struct qk_board_type {
    _Atomic uint64_t activations;
    _Atomic uint64_t turns;
    _Atomic uint64_t failures;
    _Atomic uint64_t turn_ns;
    _Atomic uint64_t turn_samples;
    _Atomic uint64_t mailbox_wait_ns;
};

struct qk_board {
    _Atomic uint64_t beat; /* grows while every worker makes progress or rests */
    _Atomic uint64_t long_turns;
    _Atomic uint64_t suspended; /* turns that wait */
    struct qk_board_worker workers[QK_BOARD_WORKERS_MAX];
    struct qk_board_type types[QK_PLUGIN_TYPES_MAX]; /* in the order of the plugin's descriptor */
};

#endif
