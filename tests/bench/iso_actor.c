/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The plugin of iso.proto. What it calls it knows by name only. */
#include "iso.quark.h"

#include "base/fnv.h"

int caller_round_trips(qk_turn *t, const Iso__Number *req, Iso__Number *rep)
{
    static struct qk_method ping;
    Iso__Number n = ISO__NUMBER__INIT;
    ping = (struct qk_method){.id = qk_fnv32("Ping"),
                              .type_id = qk_fnv64("echo"),
                              .name = "Ping",
                              .request = &iso__number__descriptor,
                              .reply = &iso__number__descriptor};
    for (int64_t i = 0; i < req->value; i++) {
        n.value = i;
        int rc = qk_call(t, &ping, qk_self(t), 0, &n.base, &rep->base);
        if (rc < 0)
            return qk_fail(t, rc, "%s", qk_error(t));
    }
    return 0;
}
