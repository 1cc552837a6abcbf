/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Output: tables through libsmartcols, JSON through the codec, and figures for people. */
#include "ctl/ctl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <libsmartcols/libsmartcols.h>

#define COLUMNS_MAX 16
#define WRAP_MIN    24 /* columns that a text gets even where they are too few */

void qk_table_init(struct qk_table *table, const struct qk_column *columns, unsigned n_columns)
{
    *table = (struct qk_table){.columns = columns, .n_columns = n_columns};
}

void qk_table_finish(struct qk_table *table)
{
    for (unsigned i = 0; i < table->n_rows * table->n_columns; i++)
        free(table->cells[i]);
    free(table->cells);
    table->cells = NULL;
    table->n_rows = table->room = 0;
}

void qk_table_row(struct qk_table *table)
{
    if (table->n_rows == table->room) {
        unsigned room = table->room * 2 + 32;
        char **cells = realloc(table->cells, room * table->n_columns * sizeof(*cells));
        if (cells == NULL)
            abort(); /* a list for people that does not fit into memory */
        table->cells = cells;
        table->room = room;
    }
    memset(table->cells + table->n_rows * table->n_columns, 0, table->n_columns * sizeof(*table->cells));
    table->n_rows++;
}

void qk_table_set(struct qk_table *table, unsigned column, const char *format, ...)
{
    char **cell = &table->cells[(table->n_rows - 1) * table->n_columns + column];
    va_list args;
    free(*cell);
    va_start(args, format);
    if (vasprintf(cell, format, args) < 0)
        *cell = NULL;
    va_end(args);
}

static int find_column(const struct qk_table *table, const char *name, size_t size)
{
    for (unsigned i = 0; i < table->n_columns; i++) {
        if (strlen(table->columns[i].name) == size && strncasecmp(table->columns[i].name, name, size) == 0)
            return (int)i;
    }
    return -1;
}

static int unknown_column(struct qk_ctl *ctl, const struct qk_table *table, const char *name, size_t size)
{
    const char *words[COLUMNS_MAX + 1];
    char word[64], label[100], help[400];
    size_t n = (size_t)snprintf(help, sizeof(help), "the columns are");
    for (unsigned i = 0; i < table->n_columns; i++) {
        words[i] = table->columns[i].name;
        n += (size_t)snprintf(help + n, sizeof(help) - n, "%s %s", i > 0 ? "," : "", words[i]);
    }
    words[table->n_columns] = NULL;
    snprintf(word, sizeof(word), "%.*s", (int)size, name);
    for (char *c = word; *c != '\0'; c++) {
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    }
    const char *near = qk_suggest(word, words);
    snprintf(label, sizeof(label), "did you mean `%s`?", near != NULL ? near : "");
    return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0405", near != NULL ? label : NULL, help, "there is no column `%.*s`",
                       (int)size, name);
}

/* The columns to show. */
static int choose_columns(struct qk_ctl *ctl, const struct qk_table *table, unsigned *ret_columns, unsigned *ret_count)
{
    const char *list = ctl->args.options[QK_OPT_OUTPUT];
    *ret_count = 0;
    if (list == NULL) {
        for (unsigned i = 0; i < table->n_columns; i++)
            ret_columns[(*ret_count)++] = i;
        return QK_EXIT_OK;
    }
    for (;;) {
        size_t size = strcspn(list, ",");
        int column = find_column(table, list, size);
        if (column < 0)
            return unknown_column(ctl, table, list, size);
        if (*ret_count < COLUMNS_MAX)
            ret_columns[(*ret_count)++] = (unsigned)column;
        if (list[size] == '\0')
            return QK_EXIT_OK;
        list += size + 1;
    }
}

static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; text != NULL && *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* How many columns of the terminal the others leave to the last one. */
static size_t room_for_last(const struct qk_table *table, const unsigned *columns, unsigned n, size_t terminal)
{
    size_t taken = 0;
    for (unsigned k = 0; k + 1 < n; k++) {
        size_t widest = strlen(table->columns[columns[k]].name);
        for (unsigned i = 0; i < table->n_rows; i++) {
            size_t width = width_of(table->cells[i * table->n_columns + columns[k]]);
            widest = width > widest ? width : widest;
        }
        taken += widest + 1;
    }
    return taken + WRAP_MIN < terminal ? terminal - taken : WRAP_MIN;
}

/* Puts newlines in place of blanks, so that lines have at most `room` columns where words allow it. */
static void break_lines(char *text, size_t room)
{
    char *blank = NULL;
    size_t column = 0;
    for (char *c = text; *c != '\0'; c++) {
        column += ((unsigned char)*c & 0xc0) != 0x80;
        if (*c == ' ' || *c == '\n')
            blank = c;
        if (*c == '\n')
            column = 0;
        if (column > room && blank != NULL) {
            *blank = '\n';
            column = width_of(blank + 1) - width_of(c + 1);
            blank = NULL;
        }
    }
}

static void wrap_last(struct libscols_column *column, const struct qk_table *table, const unsigned *columns, unsigned n)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return;
    size_t room = room_for_last(table, columns, n, size.ws_col);
    for (unsigned i = 0; i < table->n_rows; i++) {
        char *cell = table->cells[i * table->n_columns + columns[n - 1]];
        if (cell != NULL)
            break_lines(cell, room);
    }
    scols_column_set_wrapfunc(column, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
    scols_column_set_safechars(column, "\n");
}

/* A row is one line wherever a program may read it. */
static void join_lines(const struct qk_table *table, unsigned column)
{
    for (unsigned i = 0; i < table->n_rows; i++) {
        for (char *c = table->cells[i * table->n_columns + column]; c != NULL && *c != '\0'; c++)
            *c = *c == '\n' ? ' ' : *c;
    }
}

static bool fill(struct libscols_table *out, const struct qk_table *table, const unsigned *columns, unsigned n,
                 bool terminal)
{
    for (unsigned k = 0; k < n; k++) {
        const struct qk_column *c = &table->columns[columns[k]];
        bool wrap = terminal && c->fit == QK_FIT_WRAP && k + 1 == n;
        int flags =
            (c->right ? SCOLS_FL_RIGHT : 0) | (c->fit == QK_FIT_CUT ? SCOLS_FL_TRUNC : 0) | (wrap ? SCOLS_FL_WRAP : 0);
        struct libscols_column *column = scols_table_new_column(out, c->name, c->fit == QK_FIT_CUT ? 0.1 : 0, flags);
        if (column == NULL)
            return false;
        if (wrap)
            wrap_last(column, table, columns, n);
        else if (c->fit == QK_FIT_WRAP)
            join_lines(table, columns[k]);
    }
    for (unsigned i = 0; i < table->n_rows; i++) {
        struct libscols_line *line = scols_table_new_line(out, NULL);
        for (unsigned k = 0; k < n; k++) {
            const char *cell = table->cells[i * table->n_columns + columns[k]];
            if (line == NULL || scols_line_set_data(line, k, cell != NULL ? cell : "") != 0)
                return false;
        }
    }
    return true;
}

int qk_table_print(struct qk_ctl *ctl, struct qk_table *table)
{
    unsigned columns[COLUMNS_MAX], n;
    int rc = choose_columns(ctl, table, columns, &n);
    if (rc != QK_EXIT_OK)
        return rc;
    struct libscols_table *out = scols_new_table();
    bool terminal = isatty(fileno(ctl->out)) && !qk_ctl_has(ctl, QK_OPT_RAW);
    bool ok = out != NULL && fill(out, table, columns, n, terminal);
    if (ok) {
        scols_table_enable_raw(out, qk_ctl_has(ctl, QK_OPT_RAW));
        scols_table_enable_noheadings(out, qk_ctl_has(ctl, QK_OPT_NO_HEADINGS));
        scols_table_set_stream(out, ctl->out);
        ok = table->n_rows == 0 || scols_print_table(out) == 0;
    }
    scols_unref_table(out);
    return ok ? QK_EXIT_OK : qk_ctl_fail(ctl, QK_EXIT_FAILED, NULL, NULL, NULL, "the table could not be printed");
}

int qk_print_json(struct qk_ctl *ctl, const ProtobufCMessage *message, const struct qk_schema *schema,
                  enum qk_json_layout layout)
{
    struct qk_json_options options = {.schema = schema, .layout = layout, .emit_defaults = schema == NULL};
    struct qk_json_error error;
    char *text;
    size_t size;
    int rc = qk_json_print(message, &options, &error, &text, &size);
    if (rc < 0)
        return qk_ctl_fail(ctl, QK_EXIT_FAILED, error.code, NULL, "`--raw` writes the bytes as they came",
                           "the reply has no form in JSON: %s", error.message);
    fwrite(text, 1, size, ctl->out);
    fputc('\n', ctl->out);
    free(text);
    return QK_EXIT_OK;
}

const char *qk_print_ms(uint64_t ms, char *buf)
{
    uint64_t s = ms / 1000;
    if (ms < 1000)
        snprintf(buf, 32, "%" PRIu64 " ms", ms);
    else if (s < 60)
        snprintf(buf, 32, "%" PRIu64 ".%" PRIu64 " s", s, ms % 1000 / 100);
    else if (s < 86400)
        snprintf(buf, 32, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, 32, "%" PRIu64 " d %02" PRIu64 ":%02" PRIu64, s / 86400, s / 3600 % 24, s / 60 % 60);
    return buf;
}

const char *qk_print_ns(uint64_t ns, char *buf)
{
    if (ns < 1000)
        snprintf(buf, 32, "%" PRIu64 " ns", ns);
    else if (ns < 1000000)
        snprintf(buf, 32, "%.1f us", (double)ns / 1e3);
    else if (ns < 1000000000)
        snprintf(buf, 32, "%.1f ms", (double)ns / 1e6);
    else
        snprintf(buf, 32, "%.1f s", (double)ns / 1e9);
    return buf;
}

const char *qk_print_bytes(uint64_t bytes, char *buf)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    unsigned unit = 0;
    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    snprintf(buf, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return buf;
}
