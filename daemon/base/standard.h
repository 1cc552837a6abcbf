/* SPDX-License-Identifier: Apache-2.0 */
/* Sees to it that the descriptors 0 to 2 are taken. */
#ifndef QK_BASE_STANDARD_H
#define QK_BASE_STANDARD_H

#include <fcntl.h>

/* A program may be started with some of its standard streams closed. What it opens next would get their numbers, and a
 * log line would go into a socket. Called first in main(). */
static inline void qk_standard_open(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", O_RDWR); /* takes the least number that is free, which is this one */
    }
}

#endif
