/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plugin with two types, as its process has described it, and no process. */
#ifndef HOUSE_H
#define HOUSE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quark/status.h>
#include "base/fnv.h"
#include "hosts/internal.h"

static struct qk_port_frame *routed; /* what was handed on */
static char logged[2048], logged_type[64];

static inline void take_route(void *arg, struct qk_port_frame *chain)
{
    (void)arg;
    ck_assert_ptr_null(routed);
    routed = chain;
}

static inline void take_log(void *arg, enum qk_log_level level, const char *code, const char *type, const char *key,
                            uint64_t request_id, const char *text)
{
    (void)arg, (void)level, (void)code, (void)key, (void)request_id;
    snprintf(logged, sizeof(logged), "%s", text);
    snprintf(logged_type, sizeof(logged_type), "%s", type != NULL ? type : "");
}

static inline void house_make(struct qk_hosts *hosts, struct qk_hosted *hosted)
{
    static const struct qk_method methods[] = {{.id = 7, .name = "Sit"}};
    static struct qk_type types[2];
    static const struct qk_type *const list[] = {&types[0], &types[1]};
    static const struct qk_plugin plugin = {.name = "house", .types = list, .n_types = 2};
    types[0] = (struct qk_type){.id = qk_fnv64("chair"), .name = "chair", .methods = methods, .n_methods = 1};
    types[1] = (struct qk_type){.id = qk_fnv64("table"), .name = "table"};
    memset(hosts, 0, sizeof(*hosts));
    memset(hosted, 0, sizeof(*hosted));
    hosts->config.route = take_route;
    hosts->config.log = take_log;
    hosted->hosts = hosts;
    hosted->name = (char *)"house";
    hosted->pidfd = -1;
    hosted->shadow.plugin = &plugin;
    pthread_mutex_init(&hosted->blame.lock, NULL);
    routed = NULL;
    logged[0] = logged_type[0] = 0;
}

#define RUN_SUITE(NAME)                                   \
    int main(void)                                        \
    {                                                     \
        SRunner *runner = srunner_create(NAME());         \
        srunner_run_all(runner, CK_NORMAL);               \
        int failed = srunner_ntests_failed(runner);       \
        srunner_free(runner);                             \
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE; \
    }

#endif
