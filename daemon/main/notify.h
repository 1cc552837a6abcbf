/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the daemon tells the service manager, and what it is handed by it. Without libsystemd, and outside of a service,
 * nothing is told and nothing handed over. The control thread only. */
#ifndef QK_MAIN_NOTIFY_H
#define QK_MAIN_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Whether somebody listens. */
bool qk_notify_is_wanted(void);

/* Sends lines of sd_notify(3). */
void qk_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often the watchdog wants a sign of life, in nanoseconds; 0: not at all. */
int64_t qk_notify_watchdog_ns(void);

/* The one listening Unix socket that was handed over; -1: none. -EINVAL is returned for anything else. */
int qk_notify_take_socket(int *ret_fd);

#endif
