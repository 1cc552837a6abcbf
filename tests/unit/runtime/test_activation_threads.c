/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Activations that fail and begin anew while other workers send to them: no turn runs without on_activate before it.
 *
 * Turns that may interleave stay with the worker that the actor's hash says, so that about half of the calls, which one
 * worker takes in, go to an actor of the other just as it begins anew.
 */
#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <quark/actor.h>
#include "base/fnv.h"
#include "rt.pb-c.h"
#include "workers.h"

#define WORKERS 2
#define ACTORS  50000

static atomic_bool tried[ACTORS];
static atomic_int unborn;

static int on_use(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    if (*qk_local(t) == NULL)
        atomic_fetch_add(&unborn, 1);
    return 0;
}

/* The first time of each actor fails. */
static int on_activate(qk_turn *t, void *self)
{
    (void)self;
    long actor = strtol(qk_self(t).key, NULL, 10);
    if (!atomic_exchange(&tried[actor], true))
        return qk_fail(t, QK_APP(1), "not yet");
    *qk_local(t) = &tried[actor];
    return 0;
}

static struct qk_method method = {.name = "Use", .handler = on_use};
static struct qk_type type = {.abi = QK_ABI_HEAD(struct qk_type),
                              .name = "t",
                              .service = "rt.T",
                              .methods = &method,
                              .n_methods = 1,
                              .flags = QK_TYPE_INTERLEAVE_ALWAYS,
                              .on_activate = on_activate};
static const struct qk_type *const types[] = {&type};
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "t", .version = "1", .types = types, .n_types = 1};

START_TEST(test_activation_threads_no_turn_comes_first)
{
    struct qk_runtime_config config;
    struct workers w;
    type.id = method.type_id = qk_fnv64("t");
    method.id = qk_fnv32("Use");
    method.request = method.reply = &rt__number__descriptor;
    workers_configure(&config, WORKERS);
    workers_start(&w, &config, &plugin);
    /* Each is called several times, some calls apart: while it begins, and begins anew. */
    static const int behind[] = {0, 1, 2, 4, 8, 16, 32, 64};
    int calls = 0;
    for (int i = 0; i < ACTORS + 64; i++) {
        for (int k = 0; k < 8; k++) {
            char key[16];
            if (i < behind[k] || i - behind[k] >= ACTORS)
                continue;
            snprintf(key, sizeof(key), "%d", i - behind[k]);
            workers_call(&w, &method, key);
            calls++;
        }
    }
    workers_wait(&w, calls);
    workers_stop(&w);
    ck_assert_int_eq(atomic_load(&unborn), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("activation-threads");
    TCase *tc = tcase_create("activation-threads");
    tcase_add_test(tc, test_activation_threads_no_turn_comes_first);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
