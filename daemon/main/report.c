/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes and counts mistakes. */
#include "main/report.h"

#include <stdlib.h>
#include "base/log.h"

void qk_report_init(struct qk_report *report, FILE *to)
{
    *report = (struct qk_report){.to = to, .color = to != NULL && qk_diag_wants_color(to)};
}

static void keep_first(struct qk_report *report, const struct qk_diag *d)
{
    const char *file = d->file != NULL ? d->file : "";
    const char *label = d->label != NULL ? d->label : "";
    char place[32] = "";
    if (d->file != NULL && d->line > 0)
        snprintf(place, sizeof(place), ":%d:%d", d->line, d->column);
    snprintf(report->first, sizeof(report->first), "%s%s%s%s%s%s%s", file, place, *file != '\0' ? ": " : "", d->message,
             *label != '\0' ? " (" : "", label, *label != '\0' ? ")" : "");
}

/* The whole diagnostic is one entry: a journal shows its lines together. */
static void log_diag(const struct qk_diag *d)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL)
        return;
    qk_diag_write(to, d, false);
    if (fclose(to) == 0 && size > 0) {
        text[size - 1] = '\0'; /* the newline at the end */
        char line[16];
        snprintf(line, sizeof(line), "%d", d->line);
        const struct qk_log_field fields[] = {{"QUARK_CODE", d->code}, /* a field, since the text has it already */
                                              {"QUARK_CONFIG_FILE", d->file},
                                              {"QUARK_CONFIG_LINE", d->line > 0 ? line : NULL},
                                              {NULL, NULL}};
        qk_log_write(d->warning ? QK_LOG_WARNING : QK_LOG_ERROR, NULL, fields, "%s", text);
    }
    free(text);
}

void qk_report_add(struct qk_report *report, const struct qk_diag *diag)
{
    if (diag->warning)
        report->warnings++;
    else if (report->errors++ == 0)
        keep_first(report, diag);
    if (report->to != NULL)
        qk_diag_write(report->to, diag, report->color);
    else
        log_diag(diag);
}
