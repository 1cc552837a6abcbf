/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The actor type of the runtime's unit tests, its table written by hand. */
#ifndef ACTORS_H
#define ACTORS_H

#include <quark/abi.h>

enum {
    M_ADD,
    M_GET,
    M_RELAY,
    M_ECHO,
    M_SLOW,
    M_FAIL,
    M_NOTE,
    M_QUIT,
    M_FLOOD,
    M_PARALLEL,
    M_SELF,
    M_LONG_ERROR,
    M_ALLOCATE,
    M_LOG,
    N_METHODS
};

extern const struct qk_plugin actors_plugin;

/* A method by its number above. */
const struct qk_method *actors_method(int which);

/* What the hooks saw. */
extern int actors_activated, actors_deactivated, actors_last_reason, actors_running, actors_overlaps;
extern int actors_fail_activation;

#endif
