/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens descriptors without end. */
#include "hostile.h"

#include <errno.h>
#include <sys/eventfd.h>

int attack(struct qk_turn *t)
{
    (void)t;
    for (int i = 0; i < 1000000; i++) {
        if (eventfd(0, 0) < 0)
            return -errno;
    }
    return 0;
}
