/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Services on many threads: a singleton that all ask for at once is made once, and nobody sees it half made. */
#include <check.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quark/service.h>
#include "base/fnv.h"
#include "rt.pb-c.h"
#include "workers.h"

#define WORKERS  8
#define ACTORS   64
#define ROUNDS   10
#define PATIENCE 2000 /* looks that a turn waits for others of its kind */

/* Plain members: the thread sanitizer sees who reads them too early. */
struct base {
    int value;
};
struct hub {
    struct base *base;
    int value;
    atomic_int uses;
};
struct desk {
    struct hub *hub;
    int turns; /* of one activation, so never two at a time */
};

QK_SERVICE(base, struct base);
QK_SERVICE(hub, struct hub);
QK_SERVICE(desk, struct desk);
QK_SERVICE(slip, struct desk);

static atomic_int bases, hubs, desks, slips, made, arrived;

static int make_base(qk_turn *t, void **ret_instance)
{
    (void)t;
    struct base *base = malloc(sizeof(*base));
    for (int i = 0; i < 10; i++)
        sched_yield();
    base->value = 7;
    atomic_fetch_add(&bases, 1);
    atomic_fetch_add(&made, 1);
    *ret_instance = base;
    return 0;
}

static void drop_base(void *instance)
{
    atomic_fetch_sub(&bases, 1);
    free(instance);
}

static int make_hub(qk_turn *t, void **ret_instance)
{
    struct hub *hub = calloc(1, sizeof(*hub));
    hub->base = base_service(t);
    for (int i = 0; i < 10; i++)
        sched_yield();
    hub->value = hub->base->value + 1;
    atomic_fetch_add(&hubs, 1);
    atomic_fetch_add(&made, 1);
    *ret_instance = hub;
    return 0;
}

static void drop_hub(void *instance)
{
    ck_assert_int_eq(atomic_load(&bases), 1); /* what it needs is still there */
    atomic_fetch_sub(&hubs, 1);
    free(instance);
}

static int make_desk(qk_turn *t, void **ret_instance)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    desk->hub = hub_service(t);
    atomic_fetch_add(&desks, 1);
    *ret_instance = desk;
    return 0;
}

static void drop_desk(void *instance)
{
    atomic_fetch_sub(&desks, 1);
    free(instance);
}

static int make_slip(qk_turn *t, void **ret_instance)
{
    struct desk *slip = calloc(1, sizeof(*slip));
    slip->hub = desk_service(t)->hub;
    atomic_fetch_add(&slips, 1);
    *ret_instance = slip;
    return 0;
}

static void drop_slip(void *instance)
{
    atomic_fetch_sub(&slips, 1);
    free(instance);
}

QK_SERVICE_DEFINE(base, .lifetime = QK_SINGLETON, .create = make_base, .destroy = drop_base);
QK_SERVICE_DEFINE(hub, .lifetime = QK_SINGLETON, .needs = QK_NEEDS(&base_service_desc), .create = make_hub,
                  .destroy = drop_hub);
QK_SERVICE_DEFINE(desk, .lifetime = QK_SCOPED, .needs = QK_NEEDS(&hub_service_desc), .create = make_desk,
                  .destroy = drop_desk);
QK_SERVICE_DEFINE(slip, .lifetime = QK_TRANSIENT, .needs = QK_NEEDS(&desk_service_desc), .create = make_slip,
                  .destroy = drop_slip);
QK_SERVICES(hub_services, &base_service_desc, &hub_service_desc, &desk_service_desc, &slip_service_desc);

static int on_use(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req;
    /* As many as can be ask at one moment; where the machine runs fewer at a time, they go on. */
    atomic_fetch_add(&arrived, 1);
    for (int i = 0; i < PATIENCE && atomic_load(&arrived) < WORKERS; i++)
        sched_yield();
    struct desk *slip = slip_service(t), *desk = desk_service(t);
    if (slip == NULL || desk == NULL)
        return qk_fail(t, QK_APP(1), "%s", qk_error(t));
    if (slip->hub != desk->hub || desk->hub->value != 8)
        return QK_APP(2);
    if (qk_yield(t) < 0)
        return QK_APP(3);
    atomic_fetch_add(&desk->hub->uses, 1);
    ((Rt__Number *)rep)->value = ++desk->turns;
    return 0;
}

static struct qk_method method = {.name = "Use", .handler = on_use};
static struct qk_type type = {
    .abi = QK_ABI_HEAD(struct qk_type), .name = "t", .service = "rt.T", .methods = &method, .n_methods = 1};
static const struct qk_type *const types[] = {&type};
static const struct qk_plugin plugin = {.abi = QK_ABI_HEAD(struct qk_plugin),
                                        .name = "t",
                                        .version = "1",
                                        .types = types,
                                        .n_types = 1,
                                        .services = hub_services};
static struct workers w;

static void run_round(void)
{
    struct qk_runtime_config config;
    workers_configure(&config, WORKERS);
    atomic_store(&arrived, 0);
    atomic_store(&made, 0);
    workers_start(&w, &config, &plugin);
    for (int i = 0; i < 2 * ACTORS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", i % ACTORS);
        workers_call(&w, &method, key);
    }
    workers_wait(&w, 2 * ACTORS);
    ck_assert_int_eq(atomic_load(&workers_failures), 0);
    ck_assert_int_eq(atomic_load(&made), 2);
    ck_assert_int_eq(atomic_load(&desks), ACTORS);
    workers_join(&w, workers_now_ns(NULL));
    ck_assert_int_eq(atomic_load(&slips), 0);
    ck_assert_int_eq(atomic_load(&desks), 0);
    ck_assert_int_eq(atomic_load(&hubs), 1);
    ck_assert_int_eq(qk_runtime_destroy(w.rt), 0);
    ck_assert_int_eq(atomic_load(&hubs), 0);
    ck_assert_int_eq(atomic_load(&bases), 0);
}

START_TEST(test_service_threads_a_singleton_is_made_once)
{
    type.id = qk_fnv64("t");
    method.id = qk_fnv32("Use");
    method.type_id = type.id;
    method.request = method.reply = &rt__number__descriptor;
    for (int i = 0; i < ROUNDS; i++)
        run_round();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("service-threads");
    TCase *tc = tcase_create("service-threads");
    tcase_set_timeout(tc, 100);
    tcase_add_test(tc, test_service_threads_a_singleton_is_made_once);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
