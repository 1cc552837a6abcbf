/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the mistakes of one look at the configuration go, and how many there were. One thread at a time. */
#ifndef QK_MAIN_REPORT_H
#define QK_MAIN_REPORT_H

#include <stdio.h>
#include "base/diag.h"

struct qk_report {
    FILE *to;   /* as text for people; NULL: to the log, one entry each */
    bool color; /* of the text */
    int errors;
    int warnings;
    char first[512]; /* the first error in one line, "" so far */
};

/* A report for people who read `to`. */
void qk_report_init(struct qk_report *report, FILE *to);

void qk_report_add(struct qk_report *report, const struct qk_diag *diag);

#endif
