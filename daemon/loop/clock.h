/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real clocks. Any thread. */
#ifndef QK_LOOP_CLOCK_H
#define QK_LOOP_CLOCK_H

#include <stdint.h>

/* Monotonic nanoseconds. `arg` is not used: the signature is the one that the runtime wants. */
int64_t qk_clock_now_ns(void *arg);

/* Milliseconds since 1970. */
int64_t qk_clock_wall_ms(void *arg);

#endif
