/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes where nothing is. */
#include "hostile.h"

int attack(struct qk_turn *t)
{
    (void)t;
    volatile int *volatile nowhere = (volatile int *)8; /* NULL would be a sanitizer's */
    *nowhere = 1;
    return 0;
}
