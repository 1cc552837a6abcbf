/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Offloaded work as the runtime sees it: between turns where there are no threads for it, held by the test else. */
#include "harness.h"

#include <check.h>
#include <string.h>
#include "base/fnv.h"
#include "rt.pb-c.h"

static struct qk_method method;
static struct harness h;
static struct qk_job *held;
static int ran, refuse_with;

static void job(void *arg)
{
    ran++;
    *(int64_t *)arg += 5;
}

/* Offloads unless the request is negative; then it offloads nothing at all. */
static int on_work(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    int64_t value = ((const Rt__Number *)req)->value;
    int rc = qk_offload(t, value < 0 ? NULL : job, &value);
    ((Rt__Number *)rep)->value = value;
    return rc < 0 ? qk_fail(t, rc, "%s", qk_error(t)) : 0;
}

static struct qk_type type;
static const struct qk_type *const type_list[] = {&type};
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "o", .version = "1", .types = type_list, .n_types = 1};

static int hold(void *arg, struct qk_job *job)
{
    (void)arg;
    if (refuse_with < 0)
        return refuse_with;
    ck_assert_ptr_null(held);
    ck_assert_str_eq(job->type, "o");
    ck_assert_str_eq(job->key, "a");
    held = job;
    return 0;
}

static void with_threads(struct qk_runtime_config *config)
{
    config->offload = hold;
}

static void begin(bool threads)
{
    method = (struct qk_method){.id = qk_fnv32("Work"),
                                .type_id = qk_fnv64("o"),
                                .name = "Work",
                                .request = &rt__number__descriptor,
                                .reply = &rt__number__descriptor,
                                .handler = on_work};
    type = (struct qk_type){.abi = QK_ABI_HEAD(struct qk_type),
                            .id = qk_fnv64("o"),
                            .name = "o",
                            .service = "rt.O",
                            .methods = &method,
                            .n_methods = 1};
    held = NULL;
    ran = refuse_with = 0;
    harness_init(&h, &plugin, threads ? with_threads : NULL);
}

static int work(int64_t value, int64_t *ret_value)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = value;
    ProtobufCMessage *out = NULL;
    int rc = harness_call(&h, &method, "a", &in.base, &out);
    if (out != NULL) {
        *ret_value = ((Rt__Number *)out)->value;
        protobuf_c_message_free_unpacked(out, NULL);
    }
    return rc;
}

START_TEST(test_offload_without_threads_runs_between_turns)
{
    int64_t v = 0;
    begin(false);
    ck_assert_int_eq(work(1, &v), 0);
    ck_assert_int_eq(v, 6);
    ck_assert_int_eq(ran, 1);
    ck_assert_int_eq(work(-1, &v), QK_EINVALID);
    ck_assert_int_eq(ran, 1);
    harness_finish(&h);
}
END_TEST

START_TEST(test_offload_holds_its_turn_and_no_other)
{
    Rt__Number in = RT__NUMBER__INIT;
    begin(true);
    in.value = 1;
    harness_submit(&h, QK_PORT_CALL, &method, "a", &in.base, 1, 100);
    harness_run(&h);
    ck_assert_ptr_nonnull(held);
    harness_submit(&h, QK_PORT_CALL, &method, "b", NULL, 2, 100); /* an empty request: value 0 */
    struct qk_job *first = held;
    refuse_with = QK_EOVERLOADED;
    harness_run(&h);
    struct qk_port_frame *f = harness_reply(&h);
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(f->call_id, 2);
    ck_assert_int_eq(f->status, QK_EOVERLOADED);
    ck_assert(f->text_len > 0 && memmem(qk_port_frame_text(f), f->text_len, "offload", 7) != NULL);
    qk_port_frame_destroy(f);
    harness_advance(&h, 500); /* the deadline does not end it */
    ck_assert_ptr_null(harness_reply(&h));
    ck_assert_int_eq(ran, 0);
    first->fn(first->arg);
    qk_runtime_offloaded(h.rt, first);
    harness_run(&h);
    f = harness_reply(&h);
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(f->status, 0);
    qk_port_frame_destroy(f);
    harness_finish(&h);
}
END_TEST

/* Neither a client that goes nor a silo that stops cuts a job short; one that never began comes back as cancelled. */
START_TEST(test_offload_survives_cancel_and_stop)
{
    Rt__Number in = RT__NUMBER__INIT;
    begin(true);
    harness_submit(&h, QK_PORT_CALL, &method, "a", &in.base, 1, 0);
    harness_run(&h);
    struct qk_port_frame *gone = qk_port_frame_create(0);
    gone->kind = QK_PORT_CANCEL;
    gone->call_id = 1;
    qk_runtime_submit(h.rt, gone);
    harness_run(&h);
    ck_assert_ptr_null(harness_reply(&h));
    qk_runtime_stop(h.rt, h.now_ns);
    harness_advance(&h, 50);
    ck_assert_ptr_null(harness_reply(&h));
    held->status = QK_ECANCELLED;
    qk_runtime_offloaded(h.rt, held);
    harness_run(&h);
    struct qk_port_frame *f = harness_reply(&h);
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(f->status, QK_ECANCELLED);
    qk_port_frame_destroy(f);
    ck_assert_int_eq(ran, 0);
    harness_finish(&h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("offload");
    TCase *c = tcase_create("offload");
    tcase_add_test(c, test_offload_without_threads_runs_between_turns);
    tcase_add_test(c, test_offload_holds_its_turn_and_no_other);
    tcase_add_test(c, test_offload_survives_cancel_and_stop);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
