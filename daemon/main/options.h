/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line of quarkd. One thread at a time. */
#ifndef QK_MAIN_OPTIONS_H
#define QK_MAIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* How quarkd ends: what service managers know from other daemons. */
enum qk_exit {
    QK_EXIT_OK = 0,
    QK_EXIT_FAILED = 1,         /* the start failed */
    QK_EXIT_USAGE = 2,          /* invalid argument */
    QK_EXIT_DENIED = 4,         /* no permission */
    QK_EXIT_NOT_INSTALLED = 5,  /* a file that was named is missing */
    QK_EXIT_NOT_CONFIGURED = 6, /* the configuration has mistakes */
};

#define QK_OPTION_PLUGINS_MAX 16

enum qk_action {
    QK_ACTION_RUN,
    QK_ACTION_CHECK,
    QK_ACTION_SHOW_CONFIG,
    QK_ACTION_HELP,
    QK_ACTION_VERSION,
};

struct qk_options {
    enum qk_action action;
    const char *config; /* the file to read */
    bool dev;
    bool strict;                          /* warnings of a check count as mistakes */
    char *socket;                         /* absolute; NULL: as configured */
    char *plugins[QK_OPTION_PLUGINS_MAX]; /* absolute: directories besides the configured ones */
    size_t n_plugins;
    bool isolate; /* every plugin in a process of its own, whatever the configuration says */
};

/* 0, or -EINVAL after saying on standard error what is wrong. `config` is a string of argv's. */
int qk_options_parse(int argc, char **argv, struct qk_options *ret_options);

void qk_options_finish(struct qk_options *options);

/* The text of --help. */
extern const char qk_options_help[];

#endif
