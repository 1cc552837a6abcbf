/* SPDX-License-Identifier: GPL-3.0-or-later */
/* quarkd: reads the command line, and runs, checks or shows. */
#include <stdio.h>
#include <unistd.h>
#include "base/standard.h"
#include "main/daemon.h"
#include "main/settings.h"

static const char *plural(int n)
{
    return n == 1 ? "" : "s";
}

static int check(const struct qk_options *options)
{
    struct qk_report report;
    qk_report_init(&report, stderr);
    struct qk_settings settings;
    int rc = qk_settings_read(options, &report, &settings);
    if (rc == 0) {
        qk_world_check(settings.config, &report);
        qk_settings_finish(&settings);
    }
    if (report.errors + report.warnings > 0)
        fprintf(stderr, "%s: %d error%s, %d warning%s\n", options->config, report.errors, plural(report.errors),
                report.warnings, plural(report.warnings));
    else if (isatty(STDOUT_FILENO))
        printf("%s: no mistakes\n", options->config);
    if (rc < 0)
        return qk_daemon_exit_status(rc);
    return report.errors > 0 || (options->strict && report.warnings > 0) ? QK_EXIT_NOT_CONFIGURED : QK_EXIT_OK;
}

static int show_config(const struct qk_options *options)
{
    struct qk_report report;
    qk_report_init(&report, stderr);
    struct qk_config *config;
    int rc = qk_settings_read_config(options, &report, &config);
    if (rc < 0)
        return qk_daemon_exit_status(rc);
    qk_config_show(stdout, config);
    qk_config_destroy(config);
    return QK_EXIT_OK;
}

static int act(const struct qk_options *options)
{
    switch (options->action) {
    case QK_ACTION_CHECK:
        return check(options);
    case QK_ACTION_SHOW_CONFIG:
        return show_config(options);
    case QK_ACTION_HELP:
        fputs(qk_options_help, stdout);
        return QK_EXIT_OK;
    case QK_ACTION_VERSION:
        puts("quarkd " QK_VERSION);
        return QK_EXIT_OK;
    case QK_ACTION_RUN:
        break;
    }
    return qk_daemon_run(options);
}

int main(int argc, char **argv)
{
    struct qk_options options;
    qk_standard_open();
    if (qk_options_parse(argc, argv, &options) < 0)
        return QK_EXIT_USAGE;
    int status = act(&options);
    qk_options_finish(&options);
    if (fflush(stdout) != 0 && status == QK_EXIT_OK) {
        perror("quarkd: standard output");
        return QK_EXIT_FAILED;
    }
    return status;
}
