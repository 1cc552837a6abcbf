/* SPDX-License-Identifier: Apache-2.0 */
/* FNV-1a, the hash behind the ids of actor types and methods.
 * Source: G. Fowler, L. C. Noll, K.-P. Vo, "The FNV Non-Cryptographic Hash Algorithm", draft-eastlake-fnv. */
#ifndef QK_BASE_FNV_H
#define QK_BASE_FNV_H

#include <stdint.h>

/* Id of a method from its name. */
static inline uint32_t qk_fnv32(const char *text)
{
    uint32_t h = 2166136261u;
    for (; *text != '\0'; text++)
        h = (h ^ (uint8_t)*text) * 16777619u;
    return h;
}

/* Id of an actor type from its name. */
static inline uint64_t qk_fnv64(const char *text)
{
    uint64_t h = 14695981039346656037u;
    for (; *text != '\0'; text++)
        h = (h ^ (uint8_t)*text) * 1099511628211u;
    return h;
}

#endif
