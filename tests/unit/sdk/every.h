/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the handlers of every.proto saw. */
#ifndef EVERY_H
#define EVERY_H

/* What the last tick of a book brought. */
extern char every_tick[64];

/* The reason of the last deactivation of a keeper, and how many keepers began. */
extern int every_reason, every_activated;

#endif
