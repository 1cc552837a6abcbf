/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads what is the daemon's: its environment, its memory, the passwords of the machine. */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int attack(struct qk_turn *t)
{
    (void)t;
    char parent[2][64];
    snprintf(parent[0], sizeof(parent[0]), "/proc/%d/environ", (int)getppid());
    snprintf(parent[1], sizeof(parent[1]), "/proc/%d/mem", (int)getppid());
    const char *const paths[] = {"/etc/passwd",
                                 "/etc/shadow",
                                 parent[0],
                                 parent[1],
                                 "/etc/quark/quarkd.conf",
                                 "/proc/self/environ",
                                 "/proc/self/root/etc/passwd",
                                 "/tmp"};
    int first = 0;
    for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (open(paths[i], O_RDONLY | O_NONBLOCK) >= 0)
            return 0;
        if (first == 0)
            first = -errno;
    }
    return first;
}
