/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reload: all of a new configuration, or nothing of it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "loop/clock.h"
#include "main/internal.h"
#include "main/notify.h"

/* "a.b, c.d"; "nothing" when no flag is set. */
static void list_keys(const bool flags[QK_KEYS], char *ret_text, size_t size)
{
    size_t used = 0;
    snprintf(ret_text, size, "nothing");
    for (int i = 0; i < QK_KEYS && used + 1 < size; i++) {
        if (flags[i])
            used += (size_t)snprintf(ret_text + used, size - used, "%s%s", used > 0 ? ", " : "", qk_keys[i].dotted);
    }
}

static void tell(struct qk_daemon *d, const struct qk_reload *r)
{
    char changed[1024];
    char restart[1024];
    list_keys(r->changed, changed, sizeof(changed));
    list_keys(r->restart, restart, sizeof(restart));
    qk_log_write(QK_LOG_NOTICE, NULL, NULL, "reloaded; changed: %s; plugins: %zu newly loaded, %zu refused", changed,
                 r->loaded.n, r->refused.n);
    bool some = false;
    for (int i = 0; i < QK_KEYS; i++)
        some = some || r->restart[i];
    if (some)
        qk_log_write(QK_LOG_WARNING, "QK0652", NULL, "a restart is needed for: %s", restart);
    snprintf(d->last_reload, sizeof(d->last_reload), "%s", some ? "a restart is needed for changed keys" : "");
}

void qk_reload_finish(struct qk_reload *reload)
{
    qk_names_finish(&reload->loaded);
    qk_names_finish(&reload->refused);
}

int qk_daemon_reload(struct qk_daemon *d, struct qk_reload *ret_reload, char *ret_text, size_t text_size)
{
    if (d->stopping) {
        snprintf(ret_text, text_size, "the daemon is stopping");
        return -ESHUTDOWN;
    }
    qk_notify("RELOADING=1\nMONOTONIC_USEC=%" PRId64, qk_clock_now_ns(NULL) / 1000);
    struct qk_report report;
    qk_report_init(&report, NULL);
    struct qk_settings fresh;
    int rc = qk_settings_read(d->options, &report, &fresh);
    if (rc < 0) {
        snprintf(ret_text, text_size, "%s", *report.first != '\0' ? report.first : strerror(-rc));
        qk_log_write(QK_LOG_ERROR, "QK0651", NULL, "reload refused, the running configuration stays: %s", ret_text);
        snprintf(d->last_reload, sizeof(d->last_reload), "the last reload was refused");
        qk_life_ready(d);
        return rc;
    }
    *ret_reload = (struct qk_reload){0};
    qk_settings_merge(&d->settings, &fresh, ret_reload->changed, ret_reload->restart);
    struct qk_names before = qk_outcome_read(d->silo);
    struct qk_silo_reload plugins;
    qk_silo_apply(d->silo, &fresh.silo, &plugins);
    qk_outcome_compare(d->silo, &before, &ret_reload->loaded, &ret_reload->refused);
    qk_names_finish(&before);
    qk_log_set_level((enum qk_log_level)fresh.config->values[QK_KEY_LOG_LEVEL].number);
    qk_settings_finish(&d->settings);
    d->settings = fresh;
    d->settings.silo.name = d->settings.name;
    tell(d, ret_reload);
    qk_life_ready(d);
    return 0;
}
