/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The last words of a daemon that crashes.
 *
 * The handler runs on the alternate stack of its thread, since the turn's own may be used up. It says what is known,
 * puts back what was set before and returns: the instruction fails again, and the core file shows the place of the
 * fault.
 */
#include "main/crash.h"

#include <execinfo.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "plugin/load.h"
#include "runtime/runtime.h"

#define FRAMES_MAX 24
#define OWN_FRAMES 2 /* explain() and on_crash() */

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define CRASH_SIGNALS (sizeof(crash_signals) / sizeof(crash_signals[0]))

static struct sigaction before[CRASH_SIGNALS];
static atomic_bool crashing;

/* The plugin whose constructors run on this thread, or NULL. */
static const char *loading(void)
{
    return gettid() == getpid() ? qk_load_running() : NULL;
}

static void say_turn(const struct qk_turn_here *here, const char *what)
{
    char actor[600];
    snprintf(actor, sizeof(actor), "%s/%s", here->type, here->key);
    const struct qk_log_field fields[] = {{"QUARK_ACTOR", actor}, {"QUARK_METHOD", here->method}, {NULL, NULL}};
    if (here->stack_used_up)
        qk_log_write(QK_LOG_ERROR, "QK0620", fields, "crash: %s has used up its stack of %zu KiB in %s (%s)", actor,
                     here->stack_bytes / 1024, here->method, what);
    else
        qk_log_write(QK_LOG_ERROR, "QK0620", fields, "crash: %s in %s of %s", what, here->method, actor);
}

static __attribute__((noinline)) void explain(int signal, const siginfo_t *info)
{
    struct qk_turn_here here;
    char what[64];
    bool at = signal == SIGSEGV || signal == SIGBUS;
    bool sent = info->si_code <= 0;
    if (at && !sent)
        snprintf(what, sizeof(what), "SIG%s at the address %#" PRIxPTR, sigabbrev_np(signal), (uintptr_t)info->si_addr);
    else
        snprintf(what, sizeof(what), "SIG%s", sigabbrev_np(signal));
    if (qk_runtime_turn_here(at && !sent ? info->si_addr : NULL, &here))
        say_turn(&here, what);
    else if (loading() != NULL)
        qk_log_write(QK_LOG_ERROR, "QK0620", NULL, "crash: %s while %s was loaded", what, loading());
    else
        qk_log_write(QK_LOG_ERROR, "QK0620", NULL, "crash: %s, outside of turns", what);
    void *frames[FRAMES_MAX];
    int n = backtrace(frames, FRAMES_MAX);
    if (n > OWN_FRAMES)
        backtrace_symbols_fd(frames + OWN_FRAMES, n - OWN_FRAMES, STDERR_FILENO);
}

static void on_crash(int signal, siginfo_t *info, void *context)
{
    (void)context;
    /* One thread's last words are enough; the process is about to end, and this one with it. */
    while (atomic_exchange(&crashing, true))
        pause();
    explain(signal, info);
    for (size_t i = 0; i < CRASH_SIGNALS; i++)
        sigaction(crash_signals[i], &before[i], NULL);
    if (info->si_code <= 0) /* sent, not caused: nothing will send it again. It waits until the handler returns. */
        raise(signal);
}

/* A silo must not end with success because a handler called exit(). */
static void on_exit_in_turn(int status, void *arg)
{
    (void)arg;
    struct qk_turn_here here;
    if (loading() != NULL) {
        qk_log_write(QK_LOG_ERROR, "QK0621", NULL, "%s called exit(%d) while it was loaded", loading(), status);
        _exit(EXIT_FAILURE);
    }
    if (!qk_runtime_turn_here(NULL, &here))
        return;
    char actor[600];
    snprintf(actor, sizeof(actor), "%s/%s", here.type, here.key);
    const struct qk_log_field fields[] = {{"QUARK_ACTOR", actor}, {"QUARK_METHOD", here.method}, {NULL, NULL}};
    qk_log_write(QK_LOG_ERROR, "QK0621", fields, "%s called exit(%d) in %s, which ends the whole silo", actor, status,
                 here.method);
    _exit(EXIT_FAILURE);
}

void qk_crash_explain(void)
{
    /* The first backtrace() loads the unwinder, which may not happen inside a handler. */
    void *frames[2];
    (void)backtrace(frames, 2);
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_ONSTACK | SA_SIGINFO;
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < CRASH_SIGNALS; i++)
        sigaction(crash_signals[i], &action, &before[i]);
    (void)on_exit(on_exit_in_turn, NULL);
}
