/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Never called: its plugin is refused. */
#include "stray.quark.h"

int stray_get(qk_turn *t, Stray__Count *self, const Stray__Count *req, Stray__Count *rep)
{
    (void)t;
    (void)req;
    rep->count = self->count;
    return 0;
}
