/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Takes memory, and uses it, for as long as there is some. */
#include "hostile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE (8u << 20)
#define ENOUGH  (8ull << 30) /* where no machine of a test need be hurt further */

int attack(struct qk_turn *t)
{
    (void)t;
    for (unsigned long long taken = 0; taken < ENOUGH; taken += AT_ONCE) {
        char *more = malloc(AT_ONCE);
        if (more == NULL)
            return -ENOMEM;
        memset(more, 1, AT_ONCE);
        __asm__ volatile("" ::"r"(more) : "memory"); /* else a compiler leaves it all out */
    }
    return 0;
}
