/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Doubles itself until the machine stands still. */
#include "hostile.h"

#include <errno.h>
#include <unistd.h>

int attack(struct qk_turn *t)
{
    (void)t;
    for (int i = 0; i < 20; i++) {
        if (fork() < 0)
            return -errno;
    }
    return 0;
}
