/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The life of the daemon: read and check everything, start the silo, tell the service manager once calls succeed, sit
 * in the control loop until a signal ends it, drain, free everything.
 */
#include "main/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/errors.h"
#include "base/log.h"
#include "base/status.h"
#include "loop/signals.h"
#include "main/crash.h"
#include "main/dev.h"
#include "main/internal.h"
#include "main/journal.h"
#include "main/notify.h"

int qk_daemon_exit_status(int rc)
{
    switch (rc) {
    case 0:
        return QK_EXIT_OK;
    case -ENOENT:
        return QK_EXIT_NOT_INSTALLED;
    case -EACCES:
    case -EPERM:
        return QK_EXIT_DENIED;
    case -EINVAL:
        return QK_EXIT_NOT_CONFIGURED;
    default:
        return QK_EXIT_FAILED;
    }
}

static void on_reload_signal(struct qk_daemon *d)
{
    struct qk_reload reload;
    char text[512];
    if (qk_daemon_reload(d, &reload, text, sizeof(text)) == 0) /* what is wrong is in the log */
        qk_reload_finish(&reload);
}

static void on_signals(void *arg, unsigned events)
{
    (void)events;
    struct qk_daemon *d = arg;
    for (int signal; (signal = qk_signals_next(d->signal_fd, NULL)) != 0;) {
        if (signal == SIGTERM || signal == SIGINT)
            qk_daemon_stop(d, signal == SIGTERM ? "SIGTERM" : "SIGINT");
        else if (signal == SIGHUP)
            on_reload_signal(d);
        else if (signal == SIGUSR1)
            qk_life_dump(d);
    }
}

/* What kept the silo from starting, as a diagnostic with the catalogue's advice. */
static void say_failed(const char *code, const char *text, struct qk_report *report)
{
    const struct qk_error *error = code != NULL ? qk_error_find(code) : NULL;
    const struct qk_diag diag = {.code = code, .message = text, .help = error != NULL ? error->fix : NULL};
    qk_report_add(report, &diag);
}

static int start_silo(struct qk_daemon *d, struct qk_report *report)
{
    char text[512] = "";
    const char *code = NULL;
    int fd = -1;
    int rc = qk_notify_take_socket(&fd);
    if (rc < 0) {
        say_failed("QK0653", "the service manager handed over something else than one listening Unix socket", report);
        return QK_ESTATE;
    }
    d->settings.silo.socket_fd = fd;
    rc = qk_silo_start(&d->settings.silo, d->control, &d->silo, &code, text, sizeof(text));
    if (rc < 0) {
        say_failed(code, *text != '\0' ? text : qk_status_text(rc), report);
        /* A missing directory or a bad path is no missing program: only rights have a status of their own. */
        return rc == -EACCES || rc == -EPERM ? rc : QK_ESTATE;
    }
    const struct qk_silo_admin admin = qk_daemon_admin(d);
    qk_silo_set_admin(d->silo, &admin);
    return 0;
}

static int start(struct qk_daemon *d, struct qk_report *report)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    int rc = qk_signals_open(signals, sizeof(signals) / sizeof(signals[0]), &d->signal_fd);
    if (rc == 0)
        rc = qk_loop_create(&d->control);
    if (rc == 0)
        rc = qk_watch_create(d->control, d->signal_fd, QK_WATCH_READ, on_signals, d, &d->signals);
    if (rc == 0)
        rc = qk_life_start(d);
    if (rc < 0) {
        say_failed(NULL, strerror(-rc), report);
        return QK_ESTATE;
    }
    return start_silo(d, report);
}

static void log_started(const struct qk_daemon *d)
{
    struct qk_silo_status s;
    qk_silo_get_status(d->silo, &s);
    qk_log_write(QK_LOG_NOTICE, NULL, NULL,
                 "quarkd " QK_VERSION ", silo %s, takes calls at %s; plugins: %" PRIu32 " loaded, %" PRIu32 " refused",
                 d->settings.name, d->settings.silo.socket_path, s.plugins, s.plugins_refused);
}

/* An exit status. */
static int finish(struct qk_daemon *d)
{
    int left = d->silo != NULL ? qk_silo_destroy(d->silo) : 0;
    if (left < 0) {
        /* A turn still holds a worker, and what it uses can't be freed under it. The silo has said which. */
        qk_notify("STATUS=ended although a turn held its thread");
        fflush(NULL);
        _exit(QK_EXIT_FAILED);
    }
    if (left > 0)
        qk_log_write(QK_LOG_WARNING, "QK0654", NULL, "%d activations, messages or fibers were left over", left);
    qk_life_finish(d);
    qk_watch_destroy(d->signals);
    qk_loop_destroy(d->control);
    if (d->signal_fd >= 0)
        close(d->signal_fd);
    qk_settings_finish(&d->settings);
    return QK_EXIT_OK;
}

int qk_daemon_run(const struct qk_options *options)
{
    struct qk_daemon d = {.options = options, .signal_fd = -1};
    struct qk_report report;
    qk_journal_open();
    qk_crash_explain();
    qk_report_init(&report, qk_journal_is_open() ? NULL : stderr);
    int rc = qk_settings_read(options, &report, &d.settings);
    if (rc < 0)
        return qk_daemon_exit_status(rc);
    qk_log_set_level((enum qk_log_level)d.settings.config->values[QK_KEY_LOG_LEVEL].number);
    if (options->dev)
        rc = qk_dev_enter();
    if (rc == 0)
        rc = start(&d, &report);
    if (rc < 0) {
        (void)finish(&d);
        return qk_daemon_exit_status(rc);
    }
    log_started(&d);
    qk_life_ready(&d);
    if (options->dev)
        qk_dev_greet(stdout, d.settings.config);
    while (!d.stopped)
        qk_loop_poll(d.control, -1);
    int status = finish(&d);
    qk_log_write(QK_LOG_NOTICE, NULL, NULL, "stopped");
    return status;
}
