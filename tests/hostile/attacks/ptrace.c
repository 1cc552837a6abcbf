/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Takes the daemon over. */
#include "hostile.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/ptrace.h>

int attack(struct qk_turn *t)
{
    (void)t;
    return REFUSED_OR(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
}
