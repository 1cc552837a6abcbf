/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes JSON text piece by piece into growing memory. A failed allocation is remembered: look at `failed` at the end.
 * One thread at a time.
 */
#ifndef QK_SCHEMA_TEXT_H
#define QK_SCHEMA_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include "schema/json.h"

struct qk_json_text {
    char *data; /* with malloc; the caller frees it */
    size_t size;
    size_t room;
    enum qk_json_layout layout; /* not QK_JSON_FIT */
    unsigned depth;
    bool filled;    /* the object or array has members already */
    bool after_key; /* a member's name has been written, its value has not */
    bool failed;
};

void qk_json_text_open(struct qk_json_text *t, char bracket);
void qk_json_text_close(struct qk_json_text *t, char bracket);
void qk_json_text_key(struct qk_json_text *t, const char *name);
void qk_json_text_string(struct qk_json_text *t, const char *s, size_t size);

/* A number, true, false or null; or a string that needs no escapes, with its quotes. */
void qk_json_text_raw(struct qk_json_text *t, const char *s, size_t size);

#endif
