/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running protoc with the generator in a directory of the test's own. */
#ifndef RUN_H
#define RUN_H

#include <stddef.h>

/* Makes the directory and puts the test's arguments in place; call once, from main(). */
void run_init(int argc, char **argv);

/* Removes the directory. */
void run_finish(void);

/* Writes a file there. */
void run_write(const char *name, const char *text);

/* Reads a file, there or where an absolute path says; the caller frees it. NULL when there is none. */
char *run_read(const char *name);

/* Runs a shell command there, standard error in the output; its exit status. In `command`, $GENERATOR, $PROTOC (with
 * the generator and the include paths), $SOURCES (this folder) and $SDK (the public headers) are set. */
int run_command(const char *command, char **ret_output);

/* The same, and the test fails unless it exits with 0. */
void run_ok(const char *command);

#endif
