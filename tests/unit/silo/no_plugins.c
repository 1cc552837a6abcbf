/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A set of plugins that is always empty: these tests register their actors themselves. */
#include <errno.h>
#include "plugin/plugins.h"

int qk_plugins_create(const struct qk_plugins_config *config, struct qk_plugins **ret_plugins)
{
    (void)config;
    *ret_plugins = NULL;
    return 0;
}

void qk_plugins_destroy(struct qk_plugins *plugins)
{
    (void)plugins;
}

int qk_plugins_scan(struct qk_plugins *plugins, struct qk_plugins_changes *ret_changes)
{
    (void)plugins;
    *ret_changes = (struct qk_plugins_changes){0};
    return 0;
}

int qk_plugins_watch_fd(const struct qk_plugins *plugins)
{
    (void)plugins;
    return -1;
}

bool qk_plugins_take_events(struct qk_plugins *plugins)
{
    (void)plugins;
    return false;
}

void qk_plugins_visit(const struct qk_plugins *plugins, void (*visit)(void *arg, const struct qk_plugin_info *info),
                      void *arg)
{
    (void)plugins, (void)visit, (void)arg;
}
