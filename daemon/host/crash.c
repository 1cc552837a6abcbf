/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last words of a host: which worker it was, on the board, where the silo finds it, and where the code was, on
 * standard error. Everything here may run in a signal handler, on the alternate stack of its thread.
 */
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host/host.h"
#include "host/sandbox.h"

#define FRAMES_MAX 24

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
#define CRASH_SIGNALS (sizeof(crash_signals) / sizeof(crash_signals[0]))

static atomic_bool crashing;

static void say(const char *text)
{
    ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n;
}

/* Says which turn it is that ends the process; another thread that gets here later waits for the end. */
static void blame(const char *what, const void *address)
{
    struct qk_turn_here here;
    char line[800];
    while (atomic_exchange(&crashing, true))
        pause();
    struct qk_port_note *note = qk_runtime_note_here();
    if (note != NULL)
        atomic_store(&note->turn, QK_PORT_TURN_CRASHES);
    if (!qk_runtime_turn_here(address, &here))
        snprintf(line, sizeof(line), "quark-host: %s outside of turns\n", what);
    else if (here.stack_used_up)
        snprintf(line, sizeof(line), "quark-host: %s/%s has used up its stack of %zu KiB in %s (%s)\n", here.type,
                 here.key, here.stack_bytes / 1024, here.method, what);
    else
        snprintf(line, sizeof(line), "quark-host: %s in %s of %s/%s\n", what, here.method, here.type, here.key);
    say(line);
}

static void say_where(void)
{
    void *frames[FRAMES_MAX];
    int n = backtrace(frames, FRAMES_MAX);
    if (n > 2)
        backtrace_symbols_fd(frames + 2, n - 2, STDERR_FILENO);
}

static void on_crash(int signal, siginfo_t *info, void *context)
{
    (void)context;
    char what[32];
    bool at = (signal == SIGSEGV || signal == SIGBUS) && info->si_code > 0;
    snprintf(what, sizeof(what), "SIG%s", sigabbrev_np(signal));
    blame(what, at ? info->si_addr : NULL);
    say_where();
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (size_t i = 0; i < CRASH_SIGNALS; i++)
        sigaction(crash_signals[i], &action, NULL);
    if (info->si_code <= 0) /* sent, not caused: nothing will send it again */
        raise(signal);
}

void qk_host_on_violation(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    char what[80];
    const char *name = qk_sandbox_call_name(info->si_syscall);
    snprintf(what, sizeof(what), "the system call %s, which a plugin may not make,", name != NULL ? name : "(unknown)");
    blame(what, NULL);
    say_where();
    _exit(QK_HOST_EXIT_VIOLATION);
}

static void on_exit_in_turn(int status, void *arg)
{
    (void)arg;
    char what[32];
    snprintf(what, sizeof(what), "exit(%d)", status);
    blame(what, NULL);
    _exit(QK_HOST_EXIT_IN_TURN);
}

void qk_host_explain_crashes(void)
{
    /* The first backtrace() loads the unwinder, which may not happen inside a handler. */
    void *frames[2];
    (void)backtrace(frames, 2);
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_ONSTACK | SA_SIGINFO};
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < CRASH_SIGNALS; i++)
        sigaction(crash_signals[i], &action, NULL);
    (void)on_exit(on_exit_in_turn, NULL);
}
