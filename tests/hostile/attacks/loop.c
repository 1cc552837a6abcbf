/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Never comes back, and hears no signal. */
#include "hostile.h"

#include <signal.h>

int attack(struct qk_turn *t)
{
    (void)t;
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (volatile int on = 1; on;)
        ;
    return 0;
}
