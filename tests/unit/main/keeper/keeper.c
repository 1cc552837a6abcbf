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

int diary_apply(Keeper__Count *self, const Keeper__Step *event)
{
    self->count += event->by;
    return 0;
}

/* The first is whole only with the second. */
int diary_add(qk_turn *t, Keeper__Count *self, const Keeper__Nothing *req, Keeper__Count *rep)
{
    (void)req;
    Keeper__Step steps[2] = {KEEPER__STEP__INIT, KEEPER__STEP__INIT};
    steps[0].by = UINT32_MAX;
    steps[1].by = 2;
    int rc = diary_append_all(t, self, steps, 2);
    if (rc < 0)
        return qk_fail(t, rc, "%s", qk_error(t));
    rep->count = self->count;
    return 0;
}

int diary_get(qk_turn *t, Keeper__Count *self, const Keeper__Nothing *req, Keeper__Count *rep)
{
    (void)req;
    if (diary_position(t) != 2 * (uint64_t)self->count)
        return qk_fail(t, QK_APP(1), "%u by %u events", self->count, (unsigned)diary_position(t));
    rep->count = self->count;
    return 0;
}

static int add_up(void *arg, uint64_t position, const Keeper__Step *event)
{
    uint64_t *sum = arg;
    *sum += event->by;
    return event->by == (position % 2 != 0 ? UINT32_MAX : 2) ? 0 : QK_APP(2);
}

int diary_audit(qk_turn *t, Keeper__Count *self, const Keeper__Nothing *req, Keeper__Count *rep)
{
    (void)self;
    (void)req;
    uint64_t sum = 0;
    int rc = diary_replay(t, 1, add_up, &sum);
    rep->count = (uint32_t)sum;
    return rc;
}
