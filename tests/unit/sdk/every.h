/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the handlers of every.proto saw. */
#ifndef EVERY_H
#define EVERY_H

#include <quark/service.h>

/* What the last tick of a book brought. */
extern char every_tick[64];

/* What is behind each count of notes; how many were made, and whether the next can't be. */
struct every_ink {
    const char *words;
};
QK_SERVICE(ink, struct every_ink);
extern int every_inks, every_inks_fail;

/* Calls that the filter `census` has seen, and whether `curfew` refuses. */
extern int every_counted_in, every_counted_out, every_late;

/* The reason of the last deactivation of a keeper, and how many keepers began. */
extern int every_reason, every_activated;

#endif
