/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Says which actor and which method brought the process down. */
#ifndef QK_MAIN_CRASH_H
#define QK_MAIN_CRASH_H

/* From now on a signal that ends the process for an error, and an exit() inside a turn, are explained in the log first.
 * Called once, before threads are started. */
void qk_crash_explain(void);

#endif
