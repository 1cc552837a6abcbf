/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon's own state, shared by daemon.c, life.c, reload.c and admin.c. The control thread only. */
#ifndef QK_MAIN_INTERNAL_H
#define QK_MAIN_INTERNAL_H

#include <sys/types.h>
#include "loop/loop.h"
#include "main/settings.h"
#include "main/outcome.h"

struct qk_daemon {
    const struct qk_options *options;
    struct qk_settings settings; /* in force */
    struct qk_loop *control;
    struct qk_silo *silo;
    int signal_fd;
    struct qk_watch *signals;
    struct qk_timer *status_timer;
    struct qk_timer *socket_timer;
    dev_t socket_dev; /* of the file that was made */
    ino_t socket_ino;
    struct qk_timer *watchdog_timer;
    struct qk_timer *drain_timer;
    int64_t watchdog_ns; /* between two signs of life; 0: nobody wants one */
    bool stuck;          /* no progress when last asked */
    bool stopping;
    bool stopped;
    int64_t stopping_since_ns;
    uint64_t last_turns; /* for turns a second */
    int64_t last_status_ns;
    char last_reload[160]; /* for the status line; "" before the first */
};

/* What a reload did. */
struct qk_reload {
    bool changed[QK_KEYS];
    bool restart[QK_KEYS];
    struct qk_names loaded;  /* plugins, as "counter 1.0" */
    struct qk_names refused; /* files with the reason */
};
void qk_reload_finish(struct qk_reload *reload);

/* Reads the configuration again: all of it comes into force, or nothing. 0, or a negative errno with the first mistake
 * in ret_text. `ret_reload` is to be finished after success. */
int qk_daemon_reload(struct qk_daemon *d, struct qk_reload *ret_reload, char *ret_text, size_t text_size);

/* What quarkctl asks for: reload, and the configuration. */
struct qk_silo_admin qk_daemon_admin(struct qk_daemon *d);

/* Begins to stop; again: does not wait any longer. */
void qk_daemon_stop(struct qk_daemon *d, const char *why);

/* The timers that keep the service manager told. 0 or -errno. */
int qk_life_start(struct qk_daemon *d);
void qk_life_finish(struct qk_daemon *d);
void qk_life_ready(struct qk_daemon *d); /* READY=1 with the status line */
void qk_life_dump(struct qk_daemon *d);  /* the state into the log */

#endif
