/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the machine, or the control group that the daemon runs in, allows. */
#ifndef QK_MAIN_MACHINE_H
#define QK_MAIN_MACHINE_H

#include <stdint.h>

/* Bytes of memory that this process may use: the least of the machine's and of every limit of its control groups, of
 * both versions. `root` stands before /proc and /sys ("" but in tests). 0 when nothing can be read. */
uint64_t qk_machine_memory(const char *root);

#endif
