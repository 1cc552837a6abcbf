/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the demonstration share. */
#ifndef DEMO_H
#define DEMO_H

#include <stddef.h>
#include <quark/client.h>

/* Says what went wrong, and with which status; 1, as an exit status. */
__attribute__((format(printf, 2, 3))) int demo_fail(int status, const char *format, ...);

/* Shows on standard error how much of `total` is done: a line that is written over on a terminal, else four lines. */
void demo_progress(const char *what, size_t done, size_t total);

double demo_seconds(void);

/* A client of the silo at $QUARK_SOCKET, connected; NULL when that failed, which has been said. */
struct qk_client *demo_connect(void);

/* Connects again, trying for that many seconds. 0, or the status of the last attempt. */
int demo_reconnect(struct qk_client *client, unsigned seconds);

/* Counts the words of standard input with the actors of `words`, prints the `top` most frequent, and writes the count
 * of each, in the order of the words, to the file `totals`. An exit status. */
int demo_words(unsigned top, const char *totals);

/* Runs transfers between accounts from several connections at once and checks the money; makes the file `half` (NULL:
 * none) when half of them are done. An exit status. */
int demo_bank(unsigned clients, size_t transfers, unsigned accounts, const char *half);

#endif
