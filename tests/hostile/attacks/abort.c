/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Aborts. */
#include "hostile.h"

#include <stdlib.h>

int attack(struct qk_turn *t)
{
    (void)t;
    abort();
}
