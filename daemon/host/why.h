/* SPDX-License-Identifier: Apache-2.0 */
/* The reason of a refusal, on its way to the caller. */
#ifndef QK_HOST_WHY_H
#define QK_HOST_WHY_H

#include <stddef.h>

struct qk_why {
    char *text; /* of the caller; may be NULL when size is 0 */
    size_t size;
};

/* Writes the reason and returns `rc`, so that a step can end with it. */
int qk_why_set(struct qk_why *why, int rc, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Appends to a list of reasons, with "; " between them. */
void qk_why_add(struct qk_why *why, const char *text);

#endif
