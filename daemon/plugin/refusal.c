/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes the line that says why a file is refused. */
#include "plugin/refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <quark/status.h>

int qk_refuse(struct qk_refusal *refusal, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(refusal->text, sizeof(refusal->text), format, args);
    va_end(args);
    for (unsigned char *c = (unsigned char *)refusal->text; *c != 0; c++) {
        if (*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
    refusal->code = code;
    return QK_EINVALID;
}
