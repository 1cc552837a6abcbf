/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signals as readiness of a file descriptor. */
#ifndef QK_LOOP_SIGNALS_H
#define QK_LOOP_SIGNALS_H

/* Blocks the signals in the calling thread, ignores SIGPIPE, and gives a descriptor that becomes readable when one of
 * them arrives. Call it before any other thread starts. 0 or -errno. */
int qk_signals_open(const int *signals, int n_signals, int *ret_fd);

/* The next signal that has arrived, or 0. `ret_sender` (may be NULL) gets the process that sent it. */
int qk_signals_next(int fd, int *ret_sender);

#endif
