/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded text for the reason of a refusal. */
#include "host/why.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int qk_why_set(struct qk_why *why, int rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, why->size, format, args);
    va_end(args);
    return rc;
}

void qk_why_add(struct qk_why *why, const char *text)
{
    if (why->size == 0)
        return;
    size_t used = strlen(why->text);
    snprintf(why->text + used, why->size - used, "%s%s", used > 0 ? "; " : "", text);
}
