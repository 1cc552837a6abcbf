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
#include "runtime/port.h"

#define QK_BOARD_WORKERS_MAX 64

struct qk_board_worker {
    _Alignas(64) struct qk_port_note note;
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
