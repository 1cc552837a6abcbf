/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs quarkd as a process of its own, in a directory of its own, and listens to what it says. */
#ifndef QK_TEST_PROCESS_H
#define QK_TEST_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
    pid_t pid;
    int out; /* its standard output */
    int err; /* its standard error */
};

/* A temporary directory: HOME and XDG_RUNTIME_DIR of what is started; and the end of it. */
extern char home[64];
void home_make(void);
void home_remove(void);

/* Writes a file below `home`, with the directories above it; "%HOME%" in the text stands for `home`. */
void home_put(const char *name, const char *text);

/* How the process differs from a plain one. */
struct setup {
    const char *const *env; /* "NAME=value" besides the usual; ends with NULL; NULL: none */
    int listen_fd;          /* handed over as by a service manager; 0: none */
    uid_t uid;              /* 0: as the test */
};

/* Starts quarkd; the arguments are words with blanks between, "%HOME%" as above. */
struct process quarkd_start(const char *arguments, const struct setup *setup);

/* Waits for the end: the exit status, 128 + N for signal N. */
int quarkd_wait(struct process *p);

/* Starts, waits, and gives back the exit status and all of standard error (or output). */
int quarkd_run(const char *arguments, bool out, char *ret_text, size_t size);

/* Reads a descriptor until a line holds `part`; that line is in ret_line. Fails the test at the end of the stream. */
void wait_for_line(int fd, const char *part, char *ret_line, size_t size);

#endif
