/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Starting, hearing and ending quarkd. */
#include "process.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

char home[64];

void home_make(void)
{
    strcpy(home, "/tmp/qk-main-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(home));
}

void home_remove(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", home);
    ck_assert_int_eq(system(command), 0);
}

/* Replaces "%HOME%"; the result is malloc's. */
static char *expand(const char *text)
{
    char *result = NULL;
    size_t size;
    FILE *to = open_memstream(&result, &size);
    ck_assert_ptr_nonnull(to);
    for (const char *at; (at = strstr(text, "%HOME%")) != NULL; text = at + 6)
        fprintf(to, "%.*s%s", (int)(at - text), text, home);
    fputs(text, to);
    fclose(to);
    return result;
}

void home_put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", home, name);
    for (char *slash = strchr(path + strlen(home) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0755);
        *slash = '/';
    }
    char *expanded = expand(text);
    FILE *to = fopen(path, "we");
    ck_assert_ptr_nonnull(to);
    fputs(expanded, to);
    ck_assert_int_eq(fclose(to), 0);
    free(expanded);
}

/* In the child, between fork and exec. */
static void become(char **argv, const struct setup *setup, int program, int out, int err)
{
    char variable[128];
    static const char *const dropped[] = {"XDG_STATE_HOME", "XDG_DATA_HOME",  "NOTIFY_SOCKET", "WATCHDOG_USEC",
                                          "WATCHDOG_PID",   "JOURNAL_STREAM", "LISTEN_FDS",    "LISTEN_PID"};
    for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
        unsetenv(dropped[i]);
    setenv("HOME", home, 1);
    setenv("XDG_RUNTIME_DIR", home, 1);
    setenv("ASAN_OPTIONS", "detect_stack_use_after_return=0", 1);
    for (const char *const *e = setup->env; e != NULL && *e != NULL; e++)
        putenv((char *)*e);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    if (setup->listen_fd > 0) {
        snprintf(variable, sizeof(variable), "%d", (int)getpid());
        setenv("LISTEN_PID", variable, 1);
        setenv("LISTEN_FDS", "1", 1);
        if (setup->listen_fd == 3)
            fcntl(3, F_SETFD, 0);
        else
            dup2(setup->listen_fd, 3);
    }
    if (setup->uid != 0 && (setgid(setup->uid) < 0 || setuid(setup->uid) < 0))
        _exit(127);
    fexecve(program, argv, environ);
    _exit(127);
}

struct process quarkd_start(const char *arguments, const struct setup *setup)
{
    static const struct setup plain;
    int out[2];
    int err[2];
    char *words = expand(arguments);
    char *argv[32] = {(char *)"quarkd"};
    int argc = 1;
    for (char *at = strtok(words, " "); at != NULL; at = strtok(NULL, " "))
        argv[argc++] = at;
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(err, O_CLOEXEC), 0);
    int program = fcntl(open(QUARKD, O_RDONLY), F_DUPFD_CLOEXEC, 10); /* 3 is for a socket that is handed over */
    ck_assert_int_ge(program, 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        become(argv, setup != NULL ? setup : &plain, program, out[1], err[1]);
    close(program);
    close(out[1]);
    close(err[1]);
    free(words);
    return (struct process){pid, out[0], err[0]};
}

int quarkd_wait(struct process *p)
{
    int status;
    close(p->out);
    /* What it still says must not block it. */
    char rest[4096];
    while (read(p->err, rest, sizeof(rest)) > 0)
        ;
    close(p->err);
    ck_assert_int_eq(waitpid(p->pid, &status, 0), p->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int quarkd_run(const char *arguments, bool out, char *ret_text, size_t size)
{
    struct process p = quarkd_start(arguments, NULL);
    size_t used = 0;
    ssize_t n;
    while ((n = read(out ? p.out : p.err, ret_text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    ret_text[used] = '\0';
    return quarkd_wait(&p);
}

void wait_for_line(int fd, const char *part, char *ret_line, size_t size)
{
    size_t used = 0;
    for (;;) {
        char c;
        ssize_t n = read(fd, &c, 1);
        ck_assert_msg(n == 1, "the stream ended before a line with \"%s\"", part);
        if (c != '\n') {
            if (used + 1 < size)
                ret_line[used++] = c;
            continue;
        }
        ret_line[used] = '\0';
        if (strstr(ret_line, part) != NULL)
            return;
        used = 0;
    }
}
