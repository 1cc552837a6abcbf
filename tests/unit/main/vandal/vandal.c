/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Handlers that bring the daemon down. */
#include "vandal.quark.h"

#include <stdlib.h>

/* Loading it is enough where the environment says so. */
__attribute__((constructor)) static void begin(void)
{
    volatile int *volatile nowhere = (volatile int *)8; /* NULL would be a sanitizer's */
    const char *how = getenv("VANDAL");
    if (how != NULL && *how == 'w')
        *nowhere = 1;
    if (how != NULL && *how == 'e')
        exit(0);
}

int vandal_write(qk_turn *t, const Vandal__Nothing *req, Vandal__Nothing *rep)
{
    (void)t;
    (void)req;
    (void)rep;
    volatile int *volatile nowhere = (volatile int *)8; /* NULL would be a sanitizer's */
    *nowhere = 1;
    return 0;
}

/* Deep enough for any stack, and not endless. */
static int descend(int depth)
{
    volatile char here[512];
    here[0] = (char)depth;
    return depth == 0 ? 0 : descend(depth - 1) + here[0];
}

int vandal_recurse(qk_turn *t, const Vandal__Nothing *req, Vandal__Nothing *rep)
{
    (void)t;
    (void)req;
    (void)rep;
    return descend(1000000) != 0 ? 1 : 0;
}

/* One frame that is larger than the stack, of which only the far end is written. */
int vandal_frame(qk_turn *t, const Vandal__Nothing *req, Vandal__Nothing *rep)
{
    (void)t;
    (void)req;
    (void)rep;
    /* Used all over, or a compiler keeps less of it; from its far end on, which lies behind the guard. */
    volatile char large[200 << 10];
    for (size_t i = 0; i < sizeof(large); i += 1024)
        large[i] = 1;
    return large[0] - 1;
}

int vandal_abort(qk_turn *t, const Vandal__Nothing *req, Vandal__Nothing *rep)
{
    (void)t;
    (void)req;
    (void)rep;
    abort();
}

int vandal_exit(qk_turn *t, const Vandal__Nothing *req, Vandal__Nothing *rep)
{
    (void)t;
    (void)req;
    (void)rep;
    exit(0);
}
