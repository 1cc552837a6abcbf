/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why a file is refused: a code of base/errors/plugin.def and one line for people. */
#ifndef QK_PLUGIN_REFUSAL_H
#define QK_PLUGIN_REFUSAL_H

#include <stddef.h>

#define QK_REFUSAL_TEXT_MAX 1024

struct qk_refusal {
    const char *code; /* static */
    char text[QK_REFUSAL_TEXT_MAX];
};

#define QK_PLUGIN_NO_OBJECT    "QK0301"
#define QK_PLUGIN_MACHINE      "QK0302"
#define QK_PLUGIN_NO_NOTE      "QK0303"
#define QK_PLUGIN_TRUNCATED    "QK0304"
#define QK_PLUGIN_ABI          "QK0305"
#define QK_PLUGIN_DAMAGED      "QK0306"
#define QK_PLUGIN_TYPE_TAKEN   "QK0307"
#define QK_PLUGIN_WRITABLE     "QK0308"
#define QK_PLUGIN_OWNER        "QK0309"
#define QK_PLUGIN_TOO_LARGE    "QK0310"
#define QK_PLUGIN_TOO_MANY     "QK0311"
#define QK_PLUGIN_UNREADABLE   "QK0312"
#define QK_PLUGIN_UNDEFINED    "QK0313"
#define QK_PLUGIN_BAD_NAME     "QK0314"
#define QK_PLUGIN_NAME_TAKEN   "QK0315"
#define QK_PLUGIN_CHANGED      "QK0316"
#define QK_PLUGIN_GONE         "QK0317"
#define QK_PLUGIN_NO_FILE      "QK0318"
#define QK_PLUGIN_LIBRARY      "QK0319"
#define QK_PLUGIN_RESOURCES    "QK0320"
#define QK_PLUGIN_NEED_MISSING "QK0323"
#define QK_PLUGIN_CIRCLE       "QK0324"
#define QK_PLUGIN_OUTLIVES     "QK0325"

/* Fills in `refusal` and returns QK_EINVALID, so that a check can end with it. Bytes that a terminal would act on
 * become question marks. */
int qk_refuse(struct qk_refusal *refusal, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
