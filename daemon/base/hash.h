/* SPDX-License-Identifier: Apache-2.0 */
/* The hash of bytes for tables in memory: XXH3 with a seed that no peer knows. */
#ifndef QK_BASE_HASH_H
#define QK_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint64_t qk_hash(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

#endif
