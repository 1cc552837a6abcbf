/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goes deeper than the stack of a fiber. */
#include "hostile.h"

static int descend(int depth)
{
    volatile char here[512];
    here[0] = (char)depth;
    return depth == 0 ? 0 : descend(depth - 1) + here[0];
}

int attack(struct qk_turn *t)
{
    (void)t;
    volatile int depth = 1000000;
    return descend(depth) == 1;
}
