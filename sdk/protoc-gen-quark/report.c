/* SPDX-License-Identifier: Apache-2.0 */
/* Mistakes with file, line and column, as protoc writes its own, and below them the line itself. */
#include "gen.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/diag.h"

struct gen_path gen_path_of(const struct gen_path *parent, int field, int index)
{
    struct gen_path path = {.n = 0};
    if (parent != NULL)
        path = *parent;
    if (path.n + 2 <= PATH_MAX_PARTS) {
        path.parts[path.n++] = field;
        if (index >= 0)
            path.parts[path.n++] = index;
    }
    return path;
}

static bool same_path(const PbLocation *l, const struct gen_path *path)
{
    if (l->n_path != (size_t)path->n || l->n_span < 3)
        return false;
    for (int i = 0; i < path->n; i++) {
        if (l->path[i] != path->parts[i])
            return false;
    }
    return true;
}

/* The place of the path, or else of what it is in; NULL without any. */
const PbLocation *gen_location(const struct gen_file *file, const struct gen_path *path)
{
    if (file == NULL || path == NULL || file->pb->source_code_info == NULL)
        return NULL;
    for (struct gen_path p = *path; p.n > 0; p.n--) {
        for (size_t i = 0; i < file->pb->source_code_info->n_location; i++) {
            if (same_path(file->pb->source_code_info->location[i], &p))
                return file->pb->source_code_info->location[i];
        }
    }
    return NULL;
}

#define SOURCE_MAX (8 << 20) /* bytes of a .proto file that is shown */

static void read_source(struct gen *g, struct gen_file *file)
{
    file->source_tried = true;
    const char *name = file->pb->name;
    FILE *in = fopen(g->params.root != NULL ? gen_format(g, "%s/%s", g->params.root, name) : name, "rb");
    if (in == NULL)
        return;
    long size = fseek(in, 0, SEEK_END) == 0 ? ftell(in) : -1;
    if (size > 0 && size <= SOURCE_MAX && fseek(in, 0, SEEK_SET) == 0) {
        char *text = gen_alloc(g, (size_t)size);
        file->source_size = fread(text, 1, (size_t)size, in);
        file->source = text;
    }
    fclose(in);
}

struct place {
    int line, column, width; /* from 1, in bytes; 0: not known */
};

static const char *line_start(const struct gen_file *file, int line)
{
    const char *at = file->source, *end = file->source + file->source_size;
    for (; line > 1; line--) {
        at = memchr(at, '\n', (size_t)(end - at));
        if (at == NULL)
            return NULL;
        at++;
    }
    return at;
}

/* protoc counts a tab as going on to the next multiple of eight. */
static const char *at_column(const struct gen_file *file, const char *line, int protoc_column)
{
    const char *end = file->source + file->source_size;
    for (int column = 0; line < end && *line != '\n' && column < protoc_column; line++)
        column += *line == '\t' ? 8 - column % 8 : 1;
    return line;
}

/* Finds `needle` between two places of the text and makes `place` point at it, or leaves it as it is. */
static void find_needle(const struct gen_file *file, const char *from, const char *to, const char *needle,
                        struct place *place)
{
    size_t n = strlen(needle);
    int line = place->line;
    const char *start = from;
    while (start > file->source && start[-1] != '\n')
        start--;
    for (const char *at = from; at + n <= to; at++) {
        if (memcmp(at, needle, n) == 0) {
            *place = (struct place){line, (int)(at - start) + 1, (int)n};
            return;
        }
        if (*at == '\n') {
            line++;
            start = at + 1;
        }
    }
}

static struct place find_place(const struct gen_file *file, const struct gen_path *path, const char *needle)
{
    const PbLocation *l = gen_location(file, path);
    if (l == NULL)
        return (struct place){0, 0, 0};
    struct place place = {l->span[0] + 1, l->span[1] + 1, 1};
    int end_line = l->n_span > 3 ? l->span[2] + 1 : place.line;
    const char *start = file->source != NULL ? line_start(file, place.line) : NULL;
    const char *last = file->source != NULL ? line_start(file, end_line) : NULL;
    if (start == NULL || last == NULL)
        return place;
    const char *from = at_column(file, start, l->span[1]);
    const char *to = at_column(file, last, l->span[l->n_span - 1]);
    place.column = (int)(from - start) + 1;
    place.width = end_line == place.line && to > from ? (int)(to - from) : 1;
    if (needle != NULL)
        find_needle(file, from, to, needle, &place);
    return place;
}

void gen_report(struct gen *g, const struct gen_mistake *m, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct place place = {0, 0, 0};
    if (m->file != NULL) {
        if (!m->file->source_tried)
            read_source(g, m->file);
        place = find_place(m->file, m->path, m->needle);
        fprintf(g->report, "%s:", m->file->pb->name);
        if (place.line > 0)
            fprintf(g->report, "%d:%d:", place.line, place.column);
        fputc(' ', g->report);
    }
    struct qk_diag diag = {
        .code = m->code,
        .message = text,
        .line = place.line,
        .column = place.column,
        .width = place.width,
        .source = m->file != NULL ? m->file->source : NULL,
        .source_size = m->file != NULL ? m->file->source_size : 0,
        .label = m->label,
        .help = m->help,
    };
    qk_diag_write(g->report, &diag, false);
    g->mistakes++;
}
