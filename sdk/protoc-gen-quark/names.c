/* SPDX-License-Identifier: Apache-2.0 */
/* Names: as protoc-c makes them from full names, and as we make ours from services and methods. */
#include "gen.h"

#include <ctype.h>
#include <string.h>

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static char to_lower(char c)
{
    return is_upper(c) ? (char)(c - 'A' + 'a') : c;
}

static char to_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* HTTPServer -> http_server, GetV2 -> get_v2, top_ten -> top_ten. */
char *gen_snake(struct gen *g, const char *camel)
{
    char *to = gen_alloc(g, strlen(camel) * 2 + 1), *at = to;
    for (const char *c = camel; *c != '\0'; c++) {
        bool boundary =
            c > camel && is_upper(*c) && c[-1] != '_' &&
            (!is_upper(c[-1]) || (c[1] != '\0' && c[1] != '_' && !is_upper(c[1]) && !isdigit((unsigned char)c[1])));
        if (boundary)
            *at++ = '_';
        *at++ = to_lower(*c);
    }
    *at = '\0';
    return to;
}

/* The full name with the file's package replaced by the one that C names carry (protoc-c's option c_package). */
static const char *repackaged(struct gen *g, const char *package, const char *file_package, const char *full_name)
{
    size_t n = file_package != NULL ? strlen(file_package) : 0;
    if (package == NULL || n == 0 || strncmp(full_name, file_package, n) != 0 || full_name[n] != '.')
        return full_name;
    return gen_format(g, "%s%s", package, full_name + n);
}

/* protoc-c's rule: pieces joined by two underscores, each with capitals in place of single underscores. */
char *gen_c_type(struct gen *g, const char *package, const char *file_package, const char *full_name)
{
    const char *from = repackaged(g, package, file_package, full_name);
    char *to = gen_alloc(g, strlen(from) * 2 + 1), *at = to;
    bool capital = true;
    for (; *from != '\0'; from++) {
        if (*from == '.') {
            *at++ = '_';
            *at++ = '_';
            capital = true;
        } else if (*from == '_') {
            capital = true;
        } else {
            *at++ = capital ? to_upper(*from) : *from;
            capital = false;
        }
    }
    *at = '\0';
    return to;
}

/* protoc-c's rule: pieces joined by two underscores, an underscore before each run of capitals. */
char *gen_c_lower(struct gen *g, const char *package, const char *file_package, const char *full_name)
{
    const char *from = repackaged(g, package, file_package, full_name);
    char *to = gen_alloc(g, strlen(from) * 3 + 1), *at = to;
    bool was_upper = true;
    for (; *from != '\0'; from++) {
        if (*from == '.') {
            *at++ = '_';
            *at++ = '_';
            was_upper = true;
            continue;
        }
        if (is_upper(*from) && !was_upper)
            *at++ = '_';
        *at++ = to_lower(*from);
        was_upper = is_upper(*from);
    }
    *at = '\0';
    return to;
}

/* Words with an underscore that C, C++ or their libraries have taken: others can't come out of PREFIX_METHOD. */
bool gen_is_reserved(const char *identifier)
{
    static const char *const words[] = {
        "and_eq",       "char16_t",         "char32_t",     "char8_t",   "co_await",     "co_return",     "co_yield",
        "const_cast",   "clock_t",          "dev_t",        "div_t",     "dynamic_cast", "fpos_t",        "gid_t",
        "ino_t",        "int16_t",          "int32_t",      "int64_t",   "int8_t",       "intmax_t",      "intptr_t",
        "max_align_t",  "mode_t",           "not_eq",       "nullptr_t", "off_t",        "or_eq",         "pid_t",
        "ptrdiff_t",    "reinterpret_cast", "sig_atomic_t", "size_t",    "ssize_t",      "static_assert", "static_cast",
        "thread_local", "time_t",           "uid_t",        "uint16_t",  "uint32_t",     "uint64_t",      "uint8_t",
        "uintmax_t",    "uintptr_t",        "va_arg",       "va_copy",   "va_end",       "va_list",       "va_start",
        "wchar_t",      "wint_t",           "xor_eq",
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i], identifier) == 0)
            return true;
    }
    return false;
}

/* [a-z][a-z0-9_]*, or with dashes too, of at most `max` bytes. */
bool gen_is_name(const char *text, size_t max, bool dash)
{
    size_t n = strlen(text);
    if (n == 0 || n > max || text[0] < 'a' || text[0] > 'z')
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (dash && c == '-')))
            return false;
    }
    return true;
}

/* A name with dashes as part of a C name. */
char *gen_underscored(struct gen *g, const char *name)
{
    char *to = gen_format(g, "%s", name);
    for (char *c = to; *c != '\0'; c++)
        *c = *c == '-' ? '_' : *c;
    return to;
}
