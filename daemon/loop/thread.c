/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Starts threads and captures the backtrace of one from another.
 *
 * A captured thread writes the frames into its own struct qk_thread, which outlives every asker: a handler that comes
 * late, after the asker has given up, writes an answer that the next question discards by its number.
 */
#include "loop/thread.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>

#define SIGNAL_STACK_BYTES (256u << 10)

struct qk_thread {
    pthread_t id;
    char name[16];
    int cpu;
    void (*fn)(void *arg);
    void *arg;
    void *signal_stack;
    atomic_bool ended;
    atomic_uint asked;    /* number of the last question */
    atomic_uint answered; /* number of the question that `frames` answer */
    sem_t done;
    int n_frames;
    void *frames[QK_BACKTRACE_MAX];
};

static _Thread_local struct qk_thread *current_thread __attribute__((tls_model("initial-exec")));
static pthread_once_t handler_once = PTHREAD_ONCE_INIT;

static int backtrace_signal(void)
{
    return SIGRTMIN + 3;
}

static void on_backtrace_signal(int signo)
{
    (void)signo;
    int saved = errno;
    struct qk_thread *thread = current_thread;
    if (thread != NULL) {
        unsigned asked = atomic_load(&thread->asked);
        if (atomic_load(&thread->answered) != asked) {
            thread->n_frames = backtrace(thread->frames, QK_BACKTRACE_MAX);
            atomic_store(&thread->answered, asked);
            sem_post(&thread->done);
        }
    }
    errno = saved;
}

static void install_handler(void)
{
    /* The first backtrace() loads the unwinder, which may not happen inside a handler. */
    void *frames[4];
    backtrace(frames, 4);
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_backtrace_signal;
    action.sa_flags = SA_ONSTACK | SA_RESTART;
    sigfillset(&action.sa_mask);
    sigaction(backtrace_signal(), &action, NULL);
}

static void *thread_main(void *arg)
{
    struct qk_thread *thread = arg;
    pthread_setname_np(pthread_self(), thread->name);
    if (thread->cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((unsigned)thread->cpu, &set);
        /* By 0 for itself, which a sandbox allows where a number could be anybody's. */
        sched_setaffinity(0, sizeof(set), &set);
    }
    stack_t stack = {.ss_sp = thread->signal_stack, .ss_size = SIGNAL_STACK_BYTES};
    sigaltstack(&stack, NULL);
    current_thread = thread;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, backtrace_signal());
    /* A fault whose signal is blocked ends the process before a handler could say anything. */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigaddset(&set, faults[i]);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    thread->fn(thread->arg);
    sigemptyset(&set);
    sigaddset(&set, backtrace_signal());
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    current_thread = NULL;
    stack = (stack_t){.ss_flags = SS_DISABLE};
    sigaltstack(&stack, NULL);
    atomic_store(&thread->ended, true);
    return NULL;
}

static void thread_free(struct qk_thread *thread)
{
    munmap(thread->signal_stack, SIGNAL_STACK_BYTES);
    sem_destroy(&thread->done);
    free(thread);
}

int qk_thread_start(const char *name, int cpu, void (*fn)(void *arg), void *arg, struct qk_thread **ret_thread)
{
    pthread_once(&handler_once, install_handler);
    struct qk_thread *thread = calloc(1, sizeof(*thread));
    if (thread == NULL)
        return -ENOMEM;
    snprintf(thread->name, sizeof(thread->name), "%s", name);
    thread->cpu = cpu;
    thread->fn = fn;
    thread->arg = arg;
    sem_init(&thread->done, 0, 0);
    thread->signal_stack =
        mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (thread->signal_stack == MAP_FAILED) {
        sem_destroy(&thread->done);
        free(thread);
        return -ENOMEM;
    }
    /* The thread inherits the mask: none of its signals may arrive before it has set itself up. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread->id, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        thread_free(thread);
        return -rc;
    }
    *ret_thread = thread;
    return 0;
}

void qk_thread_join(struct qk_thread *thread)
{
    if (thread == NULL)
        return;
    pthread_join(thread->id, NULL);
    thread_free(thread);
}

int qk_thread_cpu_clock(void)
{
    clockid_t clock;
    return pthread_getcpuclockid(pthread_self(), &clock) == 0 ? clock : CLOCK_THREAD_CPUTIME_ID;
}

int64_t qk_thread_cpu_ns(int clock)
{
    struct timespec used;
    return clock_gettime(clock, &used) == 0 ? (int64_t)used.tv_sec * 1000000000 + used.tv_nsec : 0;
}

int qk_thread_backtrace(struct qk_thread *thread, int timeout_ms, void *ret_frames[QK_BACKTRACE_MAX])
{
    if (atomic_load(&thread->ended))
        return -ESRCH;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    unsigned asked = atomic_fetch_add(&thread->asked, 1) + 1;
    int rc = pthread_kill(thread->id, backtrace_signal());
    if (rc != 0)
        return -rc;
    while (atomic_load(&thread->answered) != asked) {
        if (sem_timedwait(&thread->done, &until) < 0 && errno != EINTR)
            return -errno;
    }
    memcpy(ret_frames, thread->frames, sizeof(thread->frames));
    return thread->n_frames;
}

/* "/usr/lib/libcounter.so(counter_add+0x12) [0x7f..]" becomes "counter_add+0x12 (libcounter.so)". */
static int format_frame(const char *symbol, char *text, size_t size, int index)
{
    const char *open = strchr(symbol, '(');
    const char *close = open != NULL ? strchr(open, ')') : NULL;
    if (open == NULL || close == NULL)
        return snprintf(text, size, "  #%d %s\n", index, symbol);
    const char *file = open;
    while (file > symbol && file[-1] != '/')
        file--;
    return snprintf(text, size, "  #%d %.*s (%.*s)\n", index, (int)(close - open - 1), open + 1, (int)(open - file),
                    file);
}

void qk_backtrace_format(void *const *frames, int n_frames, char *ret_text, size_t size)
{
    if (size == 0)
        return;
    ret_text[0] = 0;
    char **symbols = backtrace_symbols(frames, n_frames);
    size_t used = 0;
    /* The first two frames are the handler's own. */
    for (int i = 2; i < n_frames && used < size; i++) {
        int n;
        if (symbols != NULL)
            n = format_frame(symbols[i], ret_text + used, size - used, i - 2);
        else
            n = snprintf(ret_text + used, size - used, "  #%d %p\n", i - 2, frames[i]);
        if (n < 0)
            break;
        used += (size_t)n;
    }
    free(symbols);
    size_t length = strlen(ret_text);
    if (length > 0 && ret_text[length - 1] == '\n')
        ret_text[length - 1] = 0;
}
