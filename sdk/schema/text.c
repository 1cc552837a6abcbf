/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text: commas, blanks, indentation and escapes. */
#include "schema/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct qk_json_text *t, const char *s, size_t size)
{
    if (t->failed)
        return;
    if (size >= t->room - t->size || t->room == 0) {
        size_t room = t->room * 2 + size + 256;
        char *data = realloc(t->data, room);
        if (data == NULL) {
            t->failed = true;
            return;
        }
        t->data = data;
        t->room = room;
    }
    memcpy(t->data + t->size, s, size);
    t->size += size;
    t->data[t->size] = '\0';
}

static void put_line(struct qk_json_text *t)
{
    static const char blanks[] = "                                ";
    put(t, "\n", 1);
    for (size_t n = (size_t)t->depth * 2; n > 0 && !t->failed;) {
        size_t part = n < sizeof(blanks) - 1 ? n : sizeof(blanks) - 1;
        put(t, blanks, part);
        n -= part;
    }
}

/* What stands in front of a member of an object or an array. */
static void begin(struct qk_json_text *t)
{
    if (t->after_key) {
        t->after_key = false;
        return;
    }
    if (t->filled)
        put(t, ",", 1);
    if (t->layout == QK_JSON_INDENTED && t->depth > 0)
        put_line(t);
    else if (t->filled && t->layout != QK_JSON_COMPACT)
        put(t, " ", 1);
    t->filled = true;
}

void qk_json_text_open(struct qk_json_text *t, char bracket)
{
    begin(t);
    put(t, &bracket, 1);
    t->depth++;
    t->filled = false;
}

void qk_json_text_close(struct qk_json_text *t, char bracket)
{
    t->depth--;
    if (t->layout == QK_JSON_INDENTED && t->filled)
        put_line(t);
    put(t, &bracket, 1);
    t->filled = true;
}

void qk_json_text_raw(struct qk_json_text *t, const char *s, size_t size)
{
    begin(t);
    put(t, s, size);
}

/* Control characters, those of the upper half too: a text may be shown on a terminal. */
static size_t escape(const char *s, size_t size, char *ret_escape)
{
    unsigned char c = (unsigned char)s[0];
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *p = shorts; *p != '\0'; p += 2) {
        if ((char)c == *p) {
            snprintf(ret_escape, 8, "\\%c", p[1]);
            return 1;
        }
    }
    if (c < 0x20 || c == 0x7f) {
        snprintf(ret_escape, 8, "\\u%04x", c);
        return 1;
    }
    if (c == 0xc2 && size > 1 && (unsigned char)s[1] < 0xa0) {
        snprintf(ret_escape, 8, "\\u%04x", (unsigned char)s[1]);
        return 2;
    }
    return 0;
}

static void put_string(struct qk_json_text *t, const char *s, size_t size)
{
    size_t from = 0, i = 0;
    put(t, "\"", 1);
    while (i < size) {
        char buf[8];
        size_t n = escape(s + i, size - i, buf);
        if (n == 0) {
            i++;
            continue;
        }
        put(t, s + from, i - from);
        put(t, buf, strlen(buf));
        i += n;
        from = i;
    }
    put(t, s + from, size - from);
    put(t, "\"", 1);
}

void qk_json_text_string(struct qk_json_text *t, const char *s, size_t size)
{
    begin(t);
    put_string(t, s, size);
}

void qk_json_text_key(struct qk_json_text *t, const char *name)
{
    begin(t);
    put_string(t, name, strlen(name));
    put(t, ": ", t->layout == QK_JSON_COMPACT ? 1 : 2);
    t->after_key = true;
}
