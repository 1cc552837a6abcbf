/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Turns signals into readiness by signalfd. */
#include "loop/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <sys/signalfd.h>

int qk_signals_open(const int *signals, int n_signals, int *ret_fd)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < n_signals; i++)
        sigaddset(&set, signals[i]);
    int rc = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (rc != 0)
        return -rc;
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

int qk_signals_next(int fd, int *ret_sender)
{
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    if (ret_sender != NULL)
        *ret_sender = (int)info.ssi_pid;
    return (int)info.ssi_signo;
}
