/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What calls carry through the runtime to find their connection again: a number for each connection that is never used
 * twice, so that a cancellation which comes late can't hit a connection that took the place of the one it was for.
 */
#include "gateway/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

_Static_assert(QK_SLOTS <= 0x10000, "sixteen bits hold a slot");

int qk_slots_init(struct qk_gateway *gw)
{
    gw->slots = calloc(QK_SLOTS, sizeof(*gw->slots));
    gw->free_slots = calloc(QK_SLOTS, sizeof(*gw->free_slots));
    if (gw->slots == NULL || gw->free_slots == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < QK_SLOTS; i++)
        gw->free_slots[i] = QK_SLOTS - 1 - i;
    gw->n_free_slots = QK_SLOTS;
    return 0;
}

void qk_slots_finish(struct qk_gateway *gw)
{
    free(gw->slots);
    free(gw->free_slots);
    gw->slots = NULL;
    gw->free_slots = NULL;
}

bool qk_slots_take(struct qk_gateway *gw, struct qk_conn *conn)
{
    uint32_t slot = 0;
    qk_spin_lock(&gw->slots_lock);
    bool found = gw->n_free_slots != 0;
    if (found)
        slot = gw->free_slots[--gw->n_free_slots];
    qk_spin_unlock(&gw->slots_lock);
    if (!found)
        return false;
    gw->slots[slot] = conn;
    conn->origin = (void *)((uintptr_t)++gw->opened << 17 | (uintptr_t)slot << 1);
    return true;
}

void qk_slots_give_back(struct qk_gateway *gw, struct qk_conn *conn)
{
    uint32_t slot = ((uintptr_t)conn->origin >> 1) & 0xffff;
    assert(gw->slots[slot] == conn);
    qk_spin_lock(&gw->slots_lock);
    gw->free_slots[gw->n_free_slots++] = slot;
    qk_spin_unlock(&gw->slots_lock);
}
