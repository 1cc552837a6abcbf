/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ends the process as if all were well. */
#include "hostile.h"

#include <stdlib.h>

int attack(struct qk_turn *t)
{
    (void)t;
    exit(0);
}
