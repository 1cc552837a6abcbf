/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recursive-descent reading of configuration texts, bounded in depth, that keeps places and nothing else. */
#include "main/scan.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum token {
    TOKEN_END = 0,
    TOKEN_NAME = 256,
    TOKEN_NUMBER,
    TOKEN_STRING,
    /* Any other is the character itself. */
};

struct scanner {
    const char *text;
    const char *end;
    const char *at;
    const char *line_start;
    int line;
    struct qk_scan *scan;
    size_t capacity;
    /* The token in hand. */
    int token;
    const char *token_start;
    struct qk_mark token_mark;
};

static struct qk_mark mark_of(const struct scanner *s, const char *start, const char *end)
{
    return (struct qk_mark){s->line, (int)(start - s->line_start) + 1, end > start ? (int)(end - start) : 1};
}

__attribute__((format(printf, 4, 5))) static int fail(struct scanner *s, struct qk_mark where, const char *code,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->scan->message, sizeof(s->scan->message), format, args);
    va_end(args);
    s->scan->where = where;
    s->scan->code = code;
    return -EINVAL;
}

__attribute__((format(printf, 2, 3))) static void label(struct scanner *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->scan->label, sizeof(s->scan->label), format, args);
    va_end(args);
}

__attribute__((format(printf, 2, 3))) static void help(struct scanner *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->scan->help, sizeof(s->scan->help), format, args);
    va_end(args);
}

static bool starts(const struct scanner *s, const char *word)
{
    size_t len = strlen(word);
    return (size_t)(s->end - s->at) >= len && memcmp(s->at, word, len) == 0;
}

static void newline(struct scanner *s)
{
    s->at++;
    s->line++;
    s->line_start = s->at;
}

static int skip_comment(struct scanner *s)
{
    struct qk_mark opened = mark_of(s, s->at, s->at + 2);
    for (s->at += 2; s->at < s->end;) {
        if (starts(s, "*/")) {
            s->at += 2;
            return 0;
        }
        if (*s->at == '\n')
            newline(s);
        else
            s->at++;
    }
    label(s, "opened here");
    help(s, "close it with `*/`");
    return fail(s, opened, "QK0205", "comment without an end");
}

static int skip_blanks(struct scanner *s)
{
    while (s->at < s->end) {
        if (*s->at == '\n') {
            newline(s);
        } else if (*s->at == ' ' || *s->at == '\t' || *s->at == '\r') {
            s->at++;
        } else if (*s->at == '#' || starts(s, "//")) {
            while (s->at < s->end && *s->at != '\n')
                s->at++;
        } else if (starts(s, "/*")) {
            int rc = skip_comment(s);
            if (rc < 0)
                return rc;
        } else {
            return 0;
        }
    }
    return 0;
}

static int read_string(struct scanner *s)
{
    const char *start = s->at++;
    for (; s->at < s->end && *s->at != '"' && *s->at != '\n'; s->at++) {
        if (*s->at != '\\')
            continue;
        if (s->end - s->at < 2 || strchr("\\\"nt", s->at[1]) == NULL) {
            help(s, "inside quotes stand \\\\ for a backslash, \\\" for a quote, \\n and \\t");
            return fail(s, mark_of(s, s->at, s->at + 2), "QK0205", "a backslash that stands for nothing");
        }
        s->at++;
    }
    if (s->at == s->end || *s->at == '\n') {
        label(s, "opened here");
        help(s, "close it with `\"` on the same line");
        return fail(s, mark_of(s, start, start + 1), "QK0205", "text without a closing quote");
    }
    s->at++;
    s->token = TOKEN_STRING;
    return 0;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static int next(struct scanner *s)
{
    int rc = skip_blanks(s);
    if (rc < 0)
        return rc;
    const char *start = s->at;
    if (s->at == s->end) {
        s->token = TOKEN_END;
    } else if (*s->at == '"') {
        rc = read_string(s);
    } else if (isalpha((unsigned char)*s->at)) {
        while (s->at < s->end && is_word(*s->at))
            s->at++;
        s->token = TOKEN_NAME;
    } else if (isdigit((unsigned char)*s->at) || *s->at == '-' || *s->at == '+' || *s->at == '.') {
        while (s->at < s->end && (is_word(*s->at) || *s->at == '+' || *s->at == '.'))
            s->at++;
        s->token = TOKEN_NUMBER;
    } else if (*s->at == '@') {
        while (s->at < s->end && (*s->at == '@' || is_word(*s->at)))
            s->at++;
        help(s,
             "put the other file into conf.d beside quarkd.conf: everything there is read, in the order of the names");
        rc = fail(s, mark_of(s, start, s->at), "QK0206", "files are not included by a line");
    } else {
        s->token = (unsigned char)*s->at++;
    }
    s->token_start = start;
    s->token_mark = mark_of(s, start, s->at);
    return rc;
}

/* Remembers the token in hand. */
static int keep(struct scanner *s)
{
    if (s->scan->n_marks == s->capacity) {
        size_t capacity = s->capacity > 0 ? 2 * s->capacity : 64;
        struct qk_mark *marks = realloc(s->scan->marks, capacity * sizeof(*marks));
        if (marks == NULL)
            return -ENOMEM;
        s->scan->marks = marks;
        s->capacity = capacity;
    }
    s->scan->marks[s->scan->n_marks++] = s->token_mark;
    return 0;
}

/* What the token in hand looks like in a sentence. */
static const char *shown(const struct scanner *s, char room[48])
{
    if (s->token == TOKEN_END)
        return "the end of the file";
    int size = s->token_mark.width > 40 ? 40 : s->token_mark.width;
    snprintf(room, 48, "`%.*s`", size, s->token_start);
    return room;
}

static int expected(struct scanner *s, const char *what)
{
    char room[48];
    label(s, "found %s", shown(s, room));
    return fail(s, s->token_mark, "QK0205", "expected %s", what);
}

/* libconfig reads a number that does not fit as another one. */
static int read_number(struct scanner *s)
{
    const char *at = s->token_start;
    if (*at == '-' || *at == '+')
        at++;
    const char *digits = at;
    while (at < s->at && isdigit((unsigned char)*at))
        at++;
    int width = s->token_mark.width > 40 ? 40 : s->token_mark.width;
    if (at == digits || at != s->at) {
        label(s, "in quotes, it would be \"%.*s\"", width, s->token_start);
        help(s, "numbers are whole and have no unit; durations and sizes stand in quotes: \"10s\", \"64KiB\"");
        return fail(s, s->token_mark, "QK0205", "`%.*s` is not a whole number", width, s->token_start);
    }
    if (at - digits > 18)
        return fail(s, s->token_mark, "QK0212", "number with more than 18 digits");
    return next(s);
}

static bool is_boolean(const struct scanner *s)
{
    int len = s->token_mark.width;
    return s->token == TOKEN_NAME && ((len == 4 && strncasecmp(s->token_start, "true", 4) == 0) ||
                                      (len == 5 && strncasecmp(s->token_start, "false", 5) == 0));
}

static int read_word(struct scanner *s)
{
    if (is_boolean(s))
        return next(s);
    int len = s->token_mark.width > 40 ? 40 : s->token_mark.width;
    label(s, "write \"%.*s\"", len, s->token_start);
    help(s, "a text stands in quotes; without them only numbers, true and false");
    return fail(s, s->token_mark, "QK0205", "text without quotes");
}

static int read_settings(struct scanner *s, int depth, int until);
static int read_value(struct scanner *s, int depth);

static int read_list(struct scanner *s, int depth, int until)
{
    struct qk_mark opened = s->token_mark;
    int rc = next(s);
    if (rc < 0)
        return rc;
    int kind = s->token;
    while (s->token != until) {
        /* libconfig's arrays hold one kind of plain values. */
        if (until == ']' && s->token != TOKEN_END && s->token != kind) {
            label(s, "of another kind than the first element");
            return fail(s, s->token_mark, "QK0205", "a list in brackets holds values of one kind");
        }
        if (until == ']' && (s->token == '[' || s->token == '(' || s->token == '{')) {
            label(s, "not a plain value");
            return fail(s, s->token_mark, "QK0205", "a list in brackets holds texts, numbers or booleans");
        }
        rc = read_value(s, depth + 1);
        if (rc < 0)
            return rc;
        if (s->token == TOKEN_END) {
            label(s, "opened here");
            help(s, "close it with `%c`", until);
            return fail(s, opened, "QK0205", "list without an end");
        }
        if (s->token == until)
            break;
        if (s->token != ',')
            return expected(s, until == ']' ? "`,` or `]`" : "`,` or `)`");
        struct qk_mark comma = s->token_mark;
        rc = next(s);
        if (rc < 0)
            return rc;
        if (s->token == until) {
            label(s, "remove it");
            return fail(s, comma, "QK0205", "comma after the last element");
        }
    }
    return next(s);
}

static int read_group(struct scanner *s, int depth)
{
    struct qk_mark opened = s->token_mark;
    int rc = next(s);
    if (rc == 0)
        rc = read_settings(s, depth + 1, '}');
    if (rc < 0)
        return rc;
    if (s->token == TOKEN_END) {
        label(s, "opened here");
        help(s, "close it with `};`");
        return fail(s, opened, "QK0205", "section without an end");
    }
    return next(s);
}

static int read_value(struct scanner *s, int depth)
{
    if (depth > QK_CONFIG_DEPTH_MAX)
        return fail(s, s->token_mark, "QK0205", "more than %d sections and lists inside one another",
                    QK_CONFIG_DEPTH_MAX);
    int token = s->token;
    bool opens = token == '[' || token == '(' || token == '{';
    int rc = opens || token == TOKEN_NAME || token == TOKEN_NUMBER || token == TOKEN_STRING ? keep(s) : 0;
    if (rc < 0)
        return rc;
    switch (token) {
    case TOKEN_NAME:
        return read_word(s);
    case TOKEN_NUMBER:
        return read_number(s);
    case TOKEN_STRING:
        rc = next(s);
        if (rc == 0 && s->token == TOKEN_STRING) {
            /* libconfig would make one text of both: rarely meant, and never seen. */
            label(s, "a comma is missing before it");
            return fail(s, s->token_mark, "QK0205", "two texts side by side");
        }
        return rc;
    case '[':
        return read_list(s, depth, ']');
    case '(':
        return read_list(s, depth, ')');
    case '{':
        return read_group(s, depth);
    default:
        help(s, "a value is a text in quotes, a whole number, true, false, a list `[ \"a\", \"b\" ]` or a section `{ "
                "... }`");
        return expected(s, "a value");
    }
}

struct name {
    const char *text;
    int len;
    int line;
};

static int check_twice(struct scanner *s, const struct name *names, int n)
{
    int len = s->token_mark.width;
    for (int i = 0; i < n; i++) {
        if (names[i].len != len || memcmp(names[i].text, s->token_start, (size_t)len) != 0)
            continue;
        label(s, "first set in line %d", names[i].line);
        help(s, "keep one of the two; in files of conf.d a later one may set it again");
        return fail(s, s->token_mark, "QK0207", "`%.*s` is set twice in one file", len > 64 ? 64 : len, names[i].text);
    }
    return 0;
}

/* Settings up to `until`, or up to the end of the file, which the caller judges. */
static int read_settings(struct scanner *s, int depth, int until)
{
    struct name names[QK_CONFIG_SETTINGS_MAX];
    int n = 0;
    while (s->token != until && s->token != TOKEN_END) {
        if (s->token != TOKEN_NAME || is_boolean(s)) {
            help(s, "a setting is `name = value;`, a section is `name = { ... };`");
            return expected(s, "the name of a setting");
        }
        int rc = check_twice(s, names, n);
        if (rc < 0)
            return rc;
        if (n == QK_CONFIG_SETTINGS_MAX)
            return fail(s, s->token_mark, "QK0203", "more than %d settings in one section", QK_CONFIG_SETTINGS_MAX);
        names[n++] = (struct name){s->token_start, s->token_mark.width, s->line};
        rc = keep(s);
        if (rc == 0)
            rc = next(s);
        if (rc < 0)
            return rc;
        if (s->token != '=' && s->token != ':') {
            if (*s->token_start == '.')
                help(s, "sections are written out: `%.*s = { ... };`", names[n - 1].len > 64 ? 64 : names[n - 1].len,
                     names[n - 1].text);
            return expected(s, "`=` after the name");
        }
        rc = next(s);
        if (rc == 0)
            rc = read_value(s, depth);
        if (rc == 0 && (s->token == ';' || s->token == ','))
            rc = next(s);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The length of a valid UTF-8 character at `at`, 0 when there is none. */
static int character(const unsigned char *at, const unsigned char *end)
{
    int size = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 : 4;
    if (end - at < size || at[0] > 0xf4 || (at[0] >= 0x80 && at[0] < 0xc2))
        return 0;
    for (int i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    bool bad = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
               (at[0] == 0xf4 && at[1] > 0x8f);
    return bad ? 0 : size;
}

static int check_bytes(struct scanner *s)
{
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at;
        int size = character((const unsigned char *)s->at, (const unsigned char *)s->end);
        if (size == 0 || c == 127 || (c < 32 && c != '\n' && c != '\t' && c != '\r')) {
            help(s, "a configuration is UTF-8 text without control characters");
            return fail(s, mark_of(s, s->at, s->at + 1), "QK0204", "byte 0x%02x is not text", c);
        }
        if (c == '\n')
            newline(s);
        else
            s->at += size;
    }
    return 0;
}

int qk_scan_text(const char *text, size_t size, struct qk_scan *ret_scan)
{
    *ret_scan = (struct qk_scan){0};
    struct scanner s = {.text = text, .end = text + size, .at = text, .line_start = text, .line = 1, .scan = ret_scan};
    int rc = check_bytes(&s);
    if (rc < 0)
        return rc;
    s.at = s.line_start = text;
    s.line = 1;
    rc = next(&s);
    return rc < 0 ? rc : read_settings(&s, 1, TOKEN_END);
}

void qk_scan_finish(struct qk_scan *scan)
{
    free(scan->marks);
    *scan = (struct qk_scan){0};
}
