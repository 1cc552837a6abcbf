/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Children that go inside and try things. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

const char *const stage_names[STAGES] = {"outside", "entered", "closed", "thread"};
char home[128];
char secret[160];
char granted[160];
pid_t victim;
bool walls;

void give_up(const char *what, int rc)
{
    char text[600];
    int n = snprintf(text, sizeof(text), "child: %s: %d\n", what, rc);
    (void)!write(STDERR_FILENO, text, (size_t)n);
    _exit(120);
}

void go_inside(struct qk_sandbox_spec spec, enum stage stage)
{
    char why[QK_SANDBOX_WHY_MAX] = "";
    if (stage == OUTSIDE)
        return;
    spec.parent = getppid();
    int rc = qk_sandbox_enter(&spec, why, sizeof(why));
    if (rc == 0 && stage >= CLOSED)
        rc = qk_sandbox_close(why, sizeof(why));
    if (rc < 0)
        give_up(why, rc);
}

static void *run_in_thread(void *arg)
{
    int (*const *fn)(void) = arg;
    _exit((*fn)());
}

int run_child(const struct qk_sandbox_spec *spec, enum stage stage, int (*fn)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        go_inside(*spec, stage);
        if (stage == THREAD) {
            int rc = pthread_create(&thread, NULL, run_in_thread, &fn);
            if (rc != 0)
                give_up("pthread_create", rc);
            pthread_join(thread, NULL);
        }
        _exit(fn());
    }
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

const char *describe(int status)
{
    static char text[128];
    if (WIFSIGNALED(status))
        snprintf(text, sizeof(text), "signal %s", sigabbrev_np(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == 0)
        snprintf(text, sizeof(text), "it worked");
    else
        snprintf(text, sizeof(text), "exit status %d (%s)", WEXITSTATUS(status), strerror(WEXITSTATUS(status)));
    return text;
}

/* What root may do proves nothing; and a user whom others share would be hit by what is tried here. */
static void become_somebody(void)
{
    if (getuid() != 0)
        return;
    uid_t user = 0x60000000u + (uid_t)getpid();
    if (setresgid(user, user, user) != 0 || setresuid(user, user, user) != 0)
        give_up("setresuid", errno);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

void begin_tests(void)
{
    char why[QK_SANDBOX_WHY_MAX];
    walls = qk_sandbox_supported(why, sizeof(why)) == 0;
    if (!walls)
        fprintf(stderr, "not all is tested: %s\n", why);
    become_somebody();
    snprintf(home, sizeof(home), "/tmp/quark-sandbox.XXXXXX");
    if (mkdtemp(home) == NULL)
        give_up("mkdtemp", errno);
    snprintf(secret, sizeof(secret), "%s/secret", home);
    snprintf(granted, sizeof(granted), "%s/granted", home);
    int file = open(secret, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file < 0 || write(file, "secret\n", 7) != 7 || mkdir(granted, 0755) != 0)
        give_up(secret, errno);
    close(file);
    victim = fork();
    if (victim == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        for (;;)
            pause();
    }
}

void end_tests(void)
{
    char command[256];
    kill(victim, SIGKILL);
    waitpid(victim, NULL, 0);
    snprintf(command, sizeof(command), "rm -rf '%s'", home);
    if (system(command) != 0)
        fprintf(stderr, "%s is left over\n", home);
}

struct qk_sandbox_spec default_spec(void)
{
    static const int keep[] = {0, 1, 2};
    static struct qk_sandbox_path paths[1];
    paths[0] = (struct qk_sandbox_path){granted, QK_SANDBOX_READ | QK_SANDBOX_WRITE};
    return (struct qk_sandbox_spec){.keep = keep, .n_keep = 3, .paths = paths, .n_paths = 1, .best_effort = !walls};
}
