/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ends the daemon. */
#include "hostile.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

int attack(struct qk_turn *t)
{
    (void)t;
    return REFUSED_OR(kill(getppid(), SIGKILL));
}
