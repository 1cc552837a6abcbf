/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Says more than anybody can read: lines of the turn's where there is one, else bytes of standard error. */
#include "hostile.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <quark/actor.h>

int attack(struct qk_turn *t)
{
    char line[1024];
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 100000; i++) {
        if (t != NULL)
            qk_log(t, QK_LOG_ERROR, "flood %d %.900s", i, line);
        else if (write(STDERR_FILENO, line, sizeof(line)) < 0)
            return -errno;
    }
    return 0;
}
