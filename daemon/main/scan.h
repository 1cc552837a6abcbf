/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * @file
 * Reads the text of a configuration file for its shape: where each name and each value stands, and the first place
 * where the text breaks the rules of the format.
 *
 * libconfig, which makes the tree, knows lines but no columns, reads numbers that do not fit as others, and opens
 * files that a text includes. What passes here has none of that in it.
 */
#ifndef QK_MAIN_SCAN_H
#define QK_MAIN_SCAN_H

#include <stddef.h>

#define QK_CONFIG_DEPTH_MAX    8   /* sections and lists inside one another */
#define QK_CONFIG_SETTINGS_MAX 256 /* settings of one section */

struct qk_mark {
    int line;
    int column; /* from 1, in bytes */
    int width;
};

struct qk_scan {
    /* In the order of the tree: for each setting its name, then its value (of a list or section the bracket that
     * opens it), then what is inside; an element of a list has no name. */
    struct qk_mark *marks;
    size_t n_marks;
    /* What is wrong, with -EINVAL. */
    struct qk_mark where;
    const char *code;
    char message[160];
    char label[160]; /* "": none */
    char help[240];  /* likewise */
};

/* 0, -ENOMEM, or -EINVAL with the reason. `ret_scan` is to be finished in every case. */
int qk_scan_text(const char *text, size_t size, struct qk_scan *ret_scan);

void qk_scan_finish(struct qk_scan *scan);

#endif
