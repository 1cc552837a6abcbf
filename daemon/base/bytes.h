/* SPDX-License-Identifier: Apache-2.0 */
/* Copying and comparing a few bytes, where calling the C library's function costs more than the work. */
#ifndef QK_BASE_BYTES_H
#define QK_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define QK_BYTES_FEW 64 /* beyond this many the library is asked */

static inline uint64_t qk_bytes_get8(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof(word));
    return word;
}

static inline uint32_t qk_bytes_get4(const uint8_t *from)
{
    uint32_t word;
    memcpy(&word, from, sizeof(word));
    return word;
}

/* Copies `n` bytes; the two do not overlap. What is left over after whole words is copied with the bytes before it. */
static inline void qk_bytes_copy(void *to, const void *from, size_t n)
{
    uint8_t *t = (uint8_t *)to;
    const uint8_t *f = (const uint8_t *)from;
    if (n > QK_BYTES_FEW) {
        memcpy(to, from, n);
    } else if (n >= 8) {
        for (size_t i = 0; i < n - 8; i += 8)
            memcpy(t + i, f + i, 8);
        memcpy(t + n - 8, f + n - 8, 8);
    } else if (n >= 4) {
        memcpy(t, f, 4);
        memcpy(t + n - 4, f + n - 4, 4);
    } else if (n > 0) {
        t[0] = f[0];
        t[n / 2] = f[n / 2];
        t[n - 1] = f[n - 1];
    }
}

static inline bool qk_bytes_equal(const void *a, const void *b, size_t n)
{
    const uint8_t *x = (const uint8_t *)a, *y = (const uint8_t *)b;
    if (n > QK_BYTES_FEW)
        return memcmp(a, b, n) == 0;
    if (n >= 8) {
        uint64_t differ = qk_bytes_get8(x + n - 8) ^ qk_bytes_get8(y + n - 8);
        for (size_t i = 0; i < n - 8; i += 8)
            differ |= qk_bytes_get8(x + i) ^ qk_bytes_get8(y + i);
        return differ == 0;
    }
    if (n >= 4)
        return qk_bytes_get4(x) == qk_bytes_get4(y) && qk_bytes_get4(x + n - 4) == qk_bytes_get4(y + n - 4);
    return n == 0 || (x[0] == y[0] && x[n / 2] == y[n / 2] && x[n - 1] == y[n - 1]);
}

#endif
