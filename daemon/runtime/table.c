/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of activations: shards with a lock each, in every one an array of hash and place with linear probing, so
 * that neither a look-up nor growing touches the memory of activations that are not wanted. Removal moves later entries
 * back, so there are no tombstones. Source: D. Knuth, "The Art of Computer Programming", vol. 3, 6.4, algorithm R.
 */
#include "runtime/internal.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 16

int qk_table_init(struct qk_shard shards[QK_SHARDS])
{
    for (unsigned i = 0; i < QK_SHARDS; i++) {
        shards[i].mask = FIRST_SLOTS - 1;
        shards[i].slots = calloc(FIRST_SLOTS, sizeof(struct qk_slot));
        if (shards[i].slots == NULL)
            return -ENOMEM;
    }
    return 0;
}

void qk_table_finish(struct qk_shard shards[QK_SHARDS])
{
    for (unsigned i = 0; i < QK_SHARDS; i++)
        free(shards[i].slots);
}

static void place(struct qk_slot *slots, uint32_t mask, struct qk_slot entry)
{
    uint32_t i = (uint32_t)entry.hash & mask;
    while (slots[i].act != NULL)
        i = (i + 1) & mask;
    slots[i] = entry;
}

/* Doubles the slots; false without memory. */
static bool grow(struct qk_shard *shard)
{
    uint32_t mask = shard->mask * 2 + 1;
    struct qk_slot *slots = calloc((size_t)mask + 1, sizeof(*slots));
    if (slots == NULL)
        return false;
    for (uint32_t i = 0; i <= shard->mask; i++) {
        if (shard->slots[i].act != NULL)
            place(slots, mask, shard->slots[i]);
    }
    free(shard->slots);
    shard->slots = slots;
    shard->mask = mask;
    return true;
}

struct qk_act *qk_table_find(const struct qk_shard *shard, const struct qk_rt_type *type, const char *key,
                             uint32_t key_len, uint64_t hash)
{
    for (uint32_t i = (uint32_t)hash & shard->mask; shard->slots[i].act != NULL; i = (i + 1) & shard->mask) {
        if (shard->slots[i].hash == hash && qk_act_is(shard->slots[i].act, type, key, key_len))
            return shard->slots[i].act;
    }
    return NULL;
}

bool qk_table_add(struct qk_shard *shard, struct qk_act *act)
{
    uint32_t count = atomic_load_explicit(&shard->count, memory_order_relaxed);
    /* Three quarters full at most; without memory for more, up to one free slot, which ends every probe. */
    if ((uint64_t)(count + 1) * 4 > (uint64_t)(shard->mask + 1) * 3 && !grow(shard) && count >= shard->mask)
        return false;
    place(shard->slots, shard->mask, (struct qk_slot){act->hash, act});
    atomic_store_explicit(&shard->count, count + 1, memory_order_relaxed);
    return true;
}

void qk_table_remove(struct qk_shard *shard, const struct qk_act *act)
{
    uint32_t mask = shard->mask;
    struct qk_slot *slots = shard->slots;
    uint32_t hole = (uint32_t)act->hash & mask;
    while (slots[hole].act != act) {
        assert(slots[hole].act != NULL);
        hole = (hole + 1) & mask;
    }
    for (uint32_t i = (hole + 1) & mask; slots[i].act != NULL; i = (i + 1) & mask) {
        /* An entry may fill the hole unless its home lies behind the hole. */
        uint32_t home = (uint32_t)slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            slots[hole] = slots[i];
            hole = i;
        }
    }
    slots[hole].act = NULL;
    atomic_fetch_sub_explicit(&shard->count, 1, memory_order_relaxed);
}
