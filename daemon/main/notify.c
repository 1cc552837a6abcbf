/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The protocol of the service manager, by libsystemd where there is one. */
#include "main/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>

#if QK_HAVE_SYSTEMD

#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <stdio.h>

bool qk_notify_is_wanted(void)
{
    return getenv("NOTIFY_SOCKET") != NULL;
}

void qk_notify(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)sd_notify(0, text); /* a manager that doesn't listen is told again with the next line */
}

int64_t qk_notify_watchdog_ns(void)
{
    uint64_t us = 0;
    return sd_watchdog_enabled(0, &us) > 0 && us < INT64_MAX / 1000 ? (int64_t)us * 1000 : 0;
}

int qk_notify_take_socket(int *ret_fd)
{
    int n = sd_listen_fds(1);
    if (n < 0)
        return n;
    if (n > 1 || (n == 1 && sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) <= 0))
        return -EINVAL;
    *ret_fd = n == 1 ? SD_LISTEN_FDS_START : -1;
    return 0;
}

#else

bool qk_notify_is_wanted(void)
{
    return false;
}

void qk_notify(const char *format, ...)
{
    (void)format;
}

int64_t qk_notify_watchdog_ns(void)
{
    return 0;
}

int qk_notify_take_socket(int *ret_fd)
{
    *ret_fd = -1;
    return 0;
}

#endif
