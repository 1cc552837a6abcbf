/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The running daemon: a silo, its control loop, the signals and the service manager. */
#ifndef QK_MAIN_DAEMON_H
#define QK_MAIN_DAEMON_H

#include "main/options.h"

/* Runs until it is told to stop. An exit status. */
int qk_daemon_run(const struct qk_options *options);

/* The exit status for what reading a configuration returned. */
int qk_daemon_exit_status(int rc);

#endif
