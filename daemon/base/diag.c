/* SPDX-License-Identifier: Apache-2.0 */
/* Renders diagnostics, and guesses what a mistyped word was meant to be. */
#include "base/diag.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOLD   "\033[1m"
#define RED    "\033[1;31m"
#define YELLOW "\033[1;33m"
#define BLUE   "\033[1;34m"
#define PLAIN  "\033[0m"

#define WINDOW_MAX     240       /* bytes shown of a line */
#define LINE_MAX_BYTES (1 << 30) /* and looked at */

static const char *paint(bool color, const char *escape)
{
    return color ? escape : "";
}

/* The text of line `line`, without its end. False when the source has no such line. */
static bool find_line(const struct qk_diag *d, const char **ret_text, int *ret_size)
{
    const char *at = d->source;
    const char *end = d->source + d->source_size;
    for (int line = 1; line < d->line; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            return false;
        at = newline + 1;
    }
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    size_t size = (size_t)((newline != NULL ? newline : end) - at);
    if (size > 0 && at[size - 1] == '\r')
        size--;
    *ret_text = at;
    *ret_size = size < LINE_MAX_BYTES ? (int)size : LINE_MAX_BYTES;
    return true;
}

/* The part of a long line that is shown, `start` being what is marked: *ret_from bytes are left out before it. */
static void choose_window(const char *text, int start, int *ret_from, int *ret_size)
{
    int size = *ret_size;
    int from = size > WINDOW_MAX && start > WINDOW_MAX * 2 / 3 && start <= size ? start - WINDOW_MAX / 2 : 0;
    while (from > 0 && from < size && ((unsigned char)text[from] & 0xc0) == 0x80)
        from++;
    *ret_from = from;
    *ret_size = size - from > WINDOW_MAX ? WINDOW_MAX : size - from;
}

/* Control bytes would move the marks or the reader's terminal. */
static void put_clean(FILE *to, const char *text, int size)
{
    for (int i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        fputc(c < 32 || c == 127 ? ' ' : c, to);
    }
}

/* Blanks as wide as the first `bytes` bytes of a line: bytes that continue a UTF-8 character have no width. */
static void put_blanks(FILE *to, const char *text, int bytes, char with)
{
    for (int i = 0; i < bytes; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            fputc(with, to);
    }
}

static void write_window(FILE *to, const struct qk_diag *d, bool color)
{
    const char *text;
    int size;
    if (!find_line(d, &text, &size))
        return;
    int start = d->column - 1;
    int from;
    choose_window(text, start, &from, &size);
    text += from;
    start -= from;
    const char *gap = from > 0 ? "..." : "";
    fprintf(to, "%s     |\n%4d |%s %s", paint(color, BLUE), d->line, paint(color, PLAIN), gap);
    put_clean(to, text, size);
    fputc('\n', to);
    if (start < 0 || start > size)
        return;
    int width = d->width > 0 ? d->width : 1;
    fprintf(to, "%s     |%s %*s", paint(color, BLUE), paint(color, PLAIN), (int)strlen(gap), "");
    put_blanks(to, text, start, ' ');
    fputs(paint(color, d->warning ? YELLOW : RED), to);
    int inside = start + width > size ? size - start : width;
    put_blanks(to, text + start, inside, '^');
    if (inside <= 0)
        fputc('^', to);
    if (d->label != NULL)
        fprintf(to, " %s", d->label);
    fprintf(to, "%s\n", paint(color, PLAIN));
}

static void write_help(FILE *to, const char *help, bool color)
{
    fprintf(to, "%s     =%s help: ", paint(color, BLUE), paint(color, PLAIN));
    for (const char *at = help; *at != '\0'; at++) {
        fputc(*at, to);
        if (*at == '\n')
            fputs("             ", to);
    }
    fputc('\n', to);
}

void qk_diag_write(FILE *to, const struct qk_diag *d, bool color)
{
    fprintf(to, "%s%s", paint(color, d->warning ? YELLOW : RED), d->warning ? "warning" : "error");
    if (d->code != NULL)
        fprintf(to, "[%s]", d->code);
    fprintf(to, "%s%s: %s%s\n", paint(color, PLAIN), paint(color, BOLD), d->message, paint(color, PLAIN));
    if (d->file != NULL) {
        fprintf(to, "%s  -->%s %s", paint(color, BLUE), paint(color, PLAIN), d->file);
        if (d->line > 0)
            fprintf(to, ":%d", d->line);
        if (d->line > 0 && d->column > 0)
            fprintf(to, ":%d", d->column);
        fputc('\n', to);
    }
    bool windowed = d->source != NULL && d->line > 0;
    if (windowed)
        write_window(to, d, color);
    else if (d->label != NULL)
        fprintf(to, "%s     =%s note: %s\n", paint(color, BLUE), paint(color, PLAIN), d->label);
    if (d->help != NULL)
        write_help(to, d->help, color);
}

bool qk_diag_wants_color(FILE *to)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(fileno(to)) && (no_color == NULL || *no_color == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

#define WORD_MAX 64

static int min3(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

/* Edits between two words of at most WORD_MAX bytes, neighbours swapped being one. */
static int distance(const char *a, int a_len, const char *b, int b_len)
{
    int rows[3][WORD_MAX + 1];
    for (int j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (int i = 1; i <= a_len; i++) {
        int *row = rows[i % 3];
        const int *above = rows[(i + 2) % 3];
        const int *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= b_len; j++) {
            int change = a[i - 1] != b[j - 1];
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two_above[j - 2] + 1 < row[j])
                row[j] = two_above[j - 2] + 1;
        }
    }
    return rows[a_len % 3][b_len];
}

const char *qk_suggest(const char *word, const char *const *words)
{
    size_t len = strlen(word);
    if (len == 0 || len > WORD_MAX)
        return NULL;
    int best = (int)(len + 2) / 3 + 1;
    const char *found = NULL;
    for (; *words != NULL; words++) {
        size_t other = strlen(*words);
        if (other == 0 || other > WORD_MAX)
            continue;
        int d = distance(word, (int)len, *words, (int)other);
        if (d < best) {
            best = d;
            found = *words;
        }
    }
    return found;
}
