/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers of counter: one function for each rpc of counter.proto. */
#include "counter.quark.h"

int counter_increment(qk_turn *t, Counter__State *self, const Counter__IncrementRequest *req, Counter__CountReply *rep)
{
    uint32_t by = req->by != 0 ? req->by : 1;
    if (by > UINT32_MAX - self->count)
        return qk_fail(t, QK_APP(1), "can't add %u: the count is %u and can't pass %u", by, self->count, UINT32_MAX);
    self->count += by;
    int rc = counter_save(t, self);
    if (rc < 0) {
        qk_deactivate(t); /* the next message finds what is stored */
        return qk_fail(t, rc, "the count could not be saved: %s", qk_error(t));
    }
    rep->count = self->count;
    return 0;
}

int counter_get(qk_turn *t, Counter__State *self, const Counter__GetRequest *req, Counter__CountReply *rep)
{
    (void)t;
    (void)req;
    rep->count = self->count;
    return 0;
}
