/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signs of life: the status line, the watchdog, and more time while a stop drains. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/log.h"
#include "loop/clock.h"
#include "main/internal.h"
#include "main/notify.h"
#include "main/units.h"

#define SECOND_NS INT64_C(1000000000)

/* A stop may take as long as its calls may, as long again for a turn that gets on but does not end, and a little more.
 */
#define DRAIN_GRACE_NS (10 * SECOND_NS)

static void status_text(struct qk_daemon *d, char *ret_text, size_t size)
{
    struct qk_silo_status s;
    qk_silo_get_status(d->silo, &s);
    int64_t now = qk_clock_now_ns(NULL);
    int64_t span = now - d->last_status_ns;
    uint64_t rate = 0;
    if (d->last_status_ns != 0 && span > 0)
        rate = (uint64_t)((double)(s.turns - d->last_turns) * 1e9 / (double)span);
    d->last_status_ns = now;
    d->last_turns = s.turns;
    snprintf(ret_text, size,
             "%sactivations %" PRIu64 ", turns/s %" PRIu64 ", calls in flight %" PRIu64 ", clients %" PRIu32
             ", plugins %" PRIu32 ", refused %" PRIu32 "%s%s",
             d->stuck ? "STUCK: " : "", s.activations, rate, s.in_flight, s.clients, s.plugins, s.plugins_refused,
             *d->last_reload != '\0' ? "; " : "", d->last_reload);
}

static void tell_status(struct qk_daemon *d, const char *state)
{
    char text[512];
    if (!qk_notify_is_wanted())
        return;
    status_text(d, text, sizeof(text));
    qk_notify("%sSTATUS=%s", state, text);
}

static void on_status(void *arg)
{
    struct qk_daemon *d = arg;
    if (d->stopping)
        return;
    tell_status(d, "");
    (void)qk_timer_arm(d->status_timer, d->settings.config->values[QK_KEY_SERVICE_STATUS_INTERVAL].number);
}

static void on_watchdog(void *arg)
{
    struct qk_daemon *d = arg;
    char who[128] = "";
    /* A stop has a bound of its own, and its workers end one by one. */
    bool alive = d->stopping || qk_silo_is_alive(d->silo, who, sizeof(who));
    bool heeded = d->settings.config->values[QK_KEY_SERVICE_WATCHDOG].number != 0;
    if (!alive && !d->stuck)
        qk_log_write(QK_LOG_ERROR, "QK0650", NULL, "no progress: %s%s", who,
                     heeded ? "; the watchdog gets no sign of life" : "");
    else if (alive && d->stuck)
        qk_log_write(QK_LOG_NOTICE, NULL, NULL, "progress again");
    d->stuck = !alive;
    if (alive || !heeded)
        qk_notify("WATCHDOG=1");
    (void)qk_timer_arm(d->watchdog_timer, d->watchdog_ns);
}

static bool is_socket_there(const struct qk_daemon *d)
{
    struct stat st;
    return lstat(d->settings.silo.socket_path, &st) == 0 && st.st_dev == d->socket_dev && st.st_ino == d->socket_ino;
}

static void on_socket(void *arg)
{
    struct qk_daemon *d = arg;
    if (d->stopping)
        return;
    if (is_socket_there(d))
        (void)qk_timer_arm(d->socket_timer, SECOND_NS);
    else
        qk_log_write(QK_LOG_ERROR, "QK0618", NULL, "%s is gone: nobody else can connect until quarkd is started again",
                     d->settings.silo.socket_path);
}

/* Looks after the file of the socket, unless the service manager does. */
static void watch_socket(struct qk_daemon *d)
{
    struct stat st;
    if (d->settings.silo.socket_fd >= 0)
        return;
    if (lstat(d->settings.silo.socket_path, &st) == 0) { /* else it is gone already, and the timer says so */
        d->socket_dev = st.st_dev;
        d->socket_ino = st.st_ino;
    }
    (void)qk_timer_arm(d->socket_timer, SECOND_NS);
}

static void on_drain(void *arg)
{
    struct qk_daemon *d = arg;
    struct qk_silo_status s;
    int64_t bound = 2 * d->settings.config->values[QK_KEY_SILO_DRAIN_TIMEOUT].number + DRAIN_GRACE_NS;
    if (d->stopped || qk_clock_now_ns(NULL) - d->stopping_since_ns > bound)
        return;
    qk_silo_get_status(d->silo, &s);
    qk_notify("EXTEND_TIMEOUT_USEC=%d\nSTATUS=stopping: %" PRIu64 " calls in flight, %" PRIu64 " activations", 5000000,
              s.in_flight, s.activations);
    (void)qk_timer_arm(d->drain_timer, SECOND_NS);
}

static void on_stopped(void *arg)
{
    struct qk_daemon *d = arg;
    d->stopped = true;
    qk_loop_wake(d->control);
}

void qk_daemon_stop(struct qk_daemon *d, const char *why)
{
    if (d->stopping) {
        qk_log_write(QK_LOG_NOTICE, NULL, NULL, "%s again: not waiting any longer", why);
    } else {
        d->stopping = true;
        d->stopping_since_ns = qk_clock_now_ns(NULL);
        char bound[QK_UNIT_TEXT_MAX];
        qk_unit_format(qk_duration_units, d->settings.config->values[QK_KEY_SILO_DRAIN_TIMEOUT].number, bound);
        qk_log_write(QK_LOG_NOTICE, NULL, NULL, "%s: stopping, calls under way have %s", why, bound);
        qk_notify("STOPPING=1");
        on_drain(d);
    }
    qk_silo_stop(d->silo, on_stopped, d);
}

int qk_life_start(struct qk_daemon *d)
{
    /* Twice in the interval, so that one late sign kills nobody. */
    d->watchdog_ns = qk_notify_watchdog_ns() / 2;
    int rc = qk_timer_create(d->control, on_status, d, &d->status_timer);
    if (rc == 0)
        rc = qk_timer_create(d->control, on_watchdog, d, &d->watchdog_timer);
    if (rc == 0)
        rc = qk_timer_create(d->control, on_drain, d, &d->drain_timer);
    if (rc == 0)
        rc = qk_timer_create(d->control, on_socket, d, &d->socket_timer);
    if (rc == 0 && qk_notify_is_wanted())
        rc = qk_timer_arm(d->status_timer, SECOND_NS);
    if (rc == 0 && d->watchdog_ns > 0)
        rc = qk_timer_arm(d->watchdog_timer, d->watchdog_ns);
    return rc;
}

void qk_life_finish(struct qk_daemon *d)
{
    qk_timer_destroy(d->status_timer);
    qk_timer_destroy(d->socket_timer);
    qk_timer_destroy(d->watchdog_timer);
    qk_timer_destroy(d->drain_timer);
}

void qk_life_ready(struct qk_daemon *d)
{
    tell_status(d, "READY=1\n");
    watch_socket(d);
}

void qk_life_dump(struct qk_daemon *d)
{
    char text[512];
    status_text(d, text, sizeof(text));
    qk_log_write(QK_LOG_NOTICE, NULL, NULL, "%s", text);
}
