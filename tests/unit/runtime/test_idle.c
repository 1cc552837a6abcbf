/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From when on an activation counts as unused, and what time its last hook has. */
#include "harness.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "rt.pb-c.h"

#define IDLE_MS 1000

enum kind { OPEN, LOADED, PARENT, N_KINDS };

static const char *const names[N_KINDS] = {"open", "loaded", "parent"};
static struct qk_method methods[N_KINDS];
static struct qk_type types[N_KINDS];
static const struct qk_type *const type_list[N_KINDS] = {&types[OPEN], &types[LOADED], &types[PARENT]};
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "idle", .version = "1", .types = type_list, .n_types = N_KINDS};

static struct harness h;
static struct qk_job *job;           /* work that is under way */
static struct qk_port_frame *stored; /* an operation on stored state likewise */
static int64_t remaining_at_end_ms;

static int hold_job(void *arg, struct qk_job *j)
{
    (void)arg;
    ck_assert_ptr_null(job);
    job = j;
    return 0;
}

static void hold_store(struct harness *harness, struct qk_port_frame *f)
{
    (void)harness;
    ck_assert_ptr_null(stored);
    stored = f;
}

static void release_job(void)
{
    struct qk_job *j = job;
    ck_assert_ptr_nonnull(j);
    job = NULL;
    qk_runtime_offloaded(h.rt, j);
    harness_run(&h);
}

static void release_store(void)
{
    struct qk_port_frame *f = stored;
    ck_assert_ptr_nonnull(f);
    stored = NULL;
    f->kind = QK_PORT_STORED;
    f->version = 0;
    f->payload_len = 0;
    qk_runtime_submit(h.rt, f);
    harness_run(&h);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* 1: waits for offloaded work; 2: and asks for its end; 3: has a child; 4: waits, and has another. */
static int on_do(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    int64_t what = ((const Rt__Number *)req)->value;
    if (what == 3)
        return qk_spawn(t, types[LOADED].id, qk_ref("child"));
    int rc = what > 0 ? qk_offload(t, nothing, NULL) : 0;
    if (what == 2)
        qk_deactivate(t);
    if (what == 4)
        rc = qk_spawn(t, types[OPEN].id, qk_ref("a"));
    return rc;
}

static void on_deactivate(qk_turn *t, void *self, enum qk_deactivate_reason reason)
{
    (void)self, (void)reason;
    remaining_at_end_ms = qk_remaining_ms(t);
}

static void tune(struct qk_runtime_config *config)
{
    config->offload = hold_job;
}

static void begin(void)
{
    job = NULL;
    stored = NULL;
    remaining_at_end_ms = -1;
    for (int i = 0; i < N_KINDS; i++) {
        methods[i] = (struct qk_method){.id = qk_fnv32("Do"),
                                        .type_id = qk_fnv64(names[i]),
                                        .name = "Do",
                                        .request = &rt__number__descriptor,
                                        .reply = &rt__number__descriptor,
                                        .handler = on_do};
        types[i] = (struct qk_type){.abi = QK_ABI_HEAD(struct qk_type),
                                    .id = methods[i].type_id,
                                    .name = names[i],
                                    .service = "rt.Idle",
                                    .state = &rt__state__descriptor,
                                    .methods = &methods[i],
                                    .n_methods = 1,
                                    .idle_ms = IDLE_MS,
                                    .flags = i == OPEN ? QK_TYPE_INTERLEAVE_ALWAYS : 0,
                                    .store = i == LOADED ? "memory" : NULL,
                                    .on_deactivate = on_deactivate};
    }
    harness_init(&h, &plugin, tune);
    h.on_store = hold_store;
}

static void end(void)
{
    harness_finish(&h);
}

static void start(enum kind kind, int64_t what, uint64_t id, int64_t timeout_ms)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = what;
    harness_submit(&h, QK_PORT_CALL, &methods[kind], "a", &in.base, id, timeout_ms);
    harness_run(&h);
}

static int reply(uint64_t id)
{
    struct qk_port_frame *f = harness_reply(&h);
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(f->call_id, id);
    int status = f->status;
    qk_port_frame_destroy(f);
    return status;
}

/* Lets time pass as it does for a silo: a little at a time. */
static uint64_t activations_after(int64_t ms)
{
    struct qk_runtime_stats stats;
    for (int64_t i = 0; i < ms; i += 10)
        harness_advance(&h, 10);
    qk_runtime_stats(h.rt, &stats);
    return stats.activations;
}

START_TEST(test_idle_age_counts_from_the_end_of_a_turn)
{
    start(PARENT, 1, 1, 0);
    ck_assert_uint_eq(activations_after(IDLE_MS - 100), 1);
    release_job();
    ck_assert_int_eq(reply(1), 0);
    ck_assert_uint_eq(activations_after(IDLE_MS - 100), 1);
    ck_assert_uint_eq(activations_after(IDLE_MS), 0);
}
END_TEST

START_TEST(test_idle_age_counts_from_the_end_of_a_turn_that_interleaves)
{
    start(OPEN, 1, 1, 0);
    ck_assert_uint_eq(activations_after(IDLE_MS - 100), 1);
    release_job();
    ck_assert_int_eq(reply(1), 0);
    ck_assert_uint_eq(activations_after(IDLE_MS - 100), 1);
    ck_assert_uint_eq(activations_after(IDLE_MS), 0);
}
END_TEST

START_TEST(test_idle_age_counts_from_the_end_of_the_activation)
{
    start(PARENT, 3, 1, 0);
    ck_assert_int_eq(reply(1), 0);
    ck_assert_uint_eq(activations_after(IDLE_MS - 100), 2);
    release_store();
    ck_assert_uint_eq(activations_after(IDLE_MS - 100), 2);
    ck_assert_uint_eq(activations_after(3 * IDLE_MS), 0);
}
END_TEST

static bool look_for_claimed(void *arg, const struct qk_activation_info *info)
{
    bool *claimed = arg;
    *claimed = *claimed || (strcmp(info->type->name, names[OPEN]) == 0 && strcmp(info->state, "queued") == 0);
    return true;
}

/* Between the moment that it is claimed as idle and its end somebody spawns it. */
START_TEST(test_idle_one_that_is_spawned_is_wanted)
{
    start(OPEN, 0, 1, 0);
    ck_assert_int_eq(reply(1), 0);
    start(PARENT, 4, 2, 0);
    bool claimed = false;
    for (int i = 0; i < 1000 && !claimed; i++) {
        h.now_ns += 10 * 1000000;
        qk_runtime_step(h.rt);
        qk_runtime_visit_activations(h.rt, look_for_claimed, &claimed);
    }
    ck_assert(claimed);
    release_job();
    ck_assert_int_eq(reply(2), 0);
    ck_assert_int_eq(remaining_at_end_ms, -1);
    ck_assert_uint_eq(activations_after(IDLE_MS - 100), 2);
    ck_assert_uint_eq(activations_after(3 * IDLE_MS), 0);
}
END_TEST

START_TEST(test_idle_end_has_time_of_its_own)
{
    start(PARENT, 1, 1, 0);
    start(PARENT, 2, 2, 0);
    start(PARENT, 0, 3, 100); /* waits, and its deadline passes */
    harness_advance(&h, 200);
    release_job();
    ck_assert_int_eq(reply(1), 0);
    release_job();
    ck_assert_int_eq(reply(2), 0);
    ck_assert_int_eq(reply(3), QK_ETIMEDOUT);
    ck_assert_int_eq(remaining_at_end_ms, 10000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("idle");
    TCase *t = tcase_create("idle");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, test_idle_age_counts_from_the_end_of_a_turn);
    tcase_add_test(t, test_idle_age_counts_from_the_end_of_a_turn_that_interleaves);
    tcase_add_test(t, test_idle_age_counts_from_the_end_of_the_activation);
    tcase_add_test(t, test_idle_one_that_is_spawned_is_wanted);
    tcase_add_test(t, test_idle_end_has_time_of_its_own);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
