/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Handlers that answer once what they have counted is stored. */
#include "keeper.quark.h"

int keeper_add(qk_turn *t, Keeper__Count *self, const Keeper__Nothing *req, Keeper__Count *rep)
{
    (void)req;
    self->count++;
    int rc = keeper_save(t, self);
    if (rc < 0)
        return qk_fail(t, rc, "%s", qk_error(t));
    rep->count = self->count;
    return 0;
}

int keeper_get(qk_turn *t, Keeper__Count *self, const Keeper__Nothing *req, Keeper__Count *rep)
{
    (void)t;
    (void)req;
    rep->count = self->count;
    return 0;
}

int keeper_forget(qk_turn *t, Keeper__Count *self, const Keeper__Nothing *req, Keeper__Count *rep)
{
    (void)req;
    (void)rep;
    return keeper_clear(t, self);
}

int scratch_add(qk_turn *t, Keeper__Count *self, const Keeper__Nothing *req, Keeper__Count *rep)
{
    (void)req;
    rep->count = ++self->count;
    int rc = scratch_save(t, self);
    qk_deactivate(t);
    return rc;
}
