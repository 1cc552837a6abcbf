/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The actor of a hostile plugin. With HOSTILE_AT_LOAD its constructor does it, before anybody has called. */
#include "hostile.h"
#include "hostile.quark.h"

#include <string.h>

#ifdef HOSTILE_AT_LOAD
static int at_load;

__attribute__((constructor)) static void load(void)
{
    at_load = attack(NULL);
}

static int run(struct qk_turn *t)
{
    (void)t;
    return at_load;
}
#else
static int run(struct qk_turn *t)
{
    return attack(t);
}
#endif

__attribute__((visibility("default"))) int hostile_run(void)
{
    return run(NULL);
}

int hostile_attack(qk_turn *t, const Hostile__Nothing *req, Hostile__Nothing *rep)
{
    (void)req;
    (void)rep;
    int rc = run(t);
    return rc == 0 ? 0 : qk_fail(t, QK_APP(1), "refused: %s", strerror(-rc));
}

int hostile_rest(qk_turn *t, const Hostile__Nothing *req, Hostile__Nothing *rep)
{
    (void)t;
    (void)req;
    (void)rep;
    return 0;
}
