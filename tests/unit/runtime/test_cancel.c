/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Turns whose caller gives up, and actors that wait for one another on behalf of different clients. */
#include "harness.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "rt.pb-c.h"

enum method { HOLD, THROUGH, LEAVE, CROSS, TOUCH, SPIN, PAUSE, N_METHODS };

static const char *const names[N_METHODS] = {"Hold", "Through", "Leave", "Cross", "Touch", "Spin", "Pause"};
static struct qk_method methods[N_METHODS];
static int cancelled_status, saw_cancelled, touched, holding, paused;
static char cancelled_text[2048];

static const struct qk_method *find(int method)
{
    for (int i = 0; i < N_METHODS; i++) {
        if (strcmp(methods[i].name, names[method]) == 0)
            return &methods[i];
    }
    abort();
}

/* Stays until nobody wants it any more. */
static int on_hold(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    holding++;
    while (!qk_cancelled(t)) {
        if (qk_yield(t) < 0)
            break;
    }
    saw_cancelled += qk_cancelled(t);
    holding--;
    return 0;
}

/* Waits in a call to an actor that does not answer; puts things right by a send when that is cut short. */
static int on_through(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    cancelled_status = qk_call(t, find(HOLD), qk_ref("holder"), 0, req, rep);
    snprintf(cancelled_text, sizeof(cancelled_text), "%s", qk_error(t));
    Rt__Number one = RT__NUMBER__INIT;
    if (cancelled_status < 0)
        ck_assert_int_eq(qk_send(t, find(TOUCH), qk_ref("repaired"), &one.base), 0);
    return cancelled_status;
}

/* Begins a call and does not wait for it: gives up at once where `value` is 0, else after so many turns of others. */
static int on_leave(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    struct qk_pending *p;
    int rc = qk_begin(t, find(THROUGH), qk_ref("between"), 0, req, &p);
    for (int64_t i = 0; rc == 0 && i < ((const Rt__Number *)req)->value; i++)
        rc = qk_yield(t);
    return rc;
}

/* Lets others go first, then calls the actor with the other key. */
static int on_cross(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    for (int64_t i = 0; i < ((const Rt__Number *)req)->value; i++)
        qk_yield(t);
    char key[16];
    snprintf(key, sizeof(key), "x%c", qk_self(t).key[1] == 'a' ? 'b' : qk_self(t).key[1] == 'b' ? 'c' : 'a');
    int rc = qk_call(t, find(TOUCH), qk_ref(key), 0, req, rep);
    return rc < 0 ? qk_fail(t, rc, "%s", qk_error(t)) : 0;
}

/* Lets others run `value` times. */
static int on_pause(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    for (int64_t i = 0; i < ((const Rt__Number *)req)->value; i++)
        qk_yield(t);
    paused++;
    return 0;
}

static int on_touch(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)self, (void)req, (void)rep;
    touched++;
    return 0;
}

static struct harness h;

/* Never suspends; the client goes while it runs. */
static int on_spin(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    ck_assert(!qk_cancelled(t));
    h.now_ns += 20000 * (int64_t)1000000;
    saw_cancelled += qk_cancelled(t);
    return 0;
}

static struct qk_type type = {.abi = QK_ABI_HEAD(struct qk_type),
                              .name = "t",
                              .service = "rt.T",
                              .methods = methods,
                              .n_methods = N_METHODS,
                              .mailbox_max = 8};
static const struct qk_type *const types[] = {&type};
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "t", .version = "1", .types = types, .n_types = 1};

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct qk_method *)a)->id, y = ((const struct qk_method *)b)->id;
    return x < y ? -1 : x > y;
}

static void setup(void)
{
    static const qk_handler_fn handlers[N_METHODS] = {on_hold,  on_through, on_leave, on_cross,
                                                      on_touch, on_spin,    on_pause};
    cancelled_status = saw_cancelled = touched = holding = paused = 0;
    type.id = qk_fnv64("t");
    for (int i = 0; i < N_METHODS; i++)
        methods[i] = (struct qk_method){.id = qk_fnv32(names[i]),
                                        .type_id = type.id,
                                        .name = names[i],
                                        .request = &rt__number__descriptor,
                                        .reply = &rt__number__descriptor,
                                        .handler = handlers[i]};
    qsort(methods, N_METHODS, sizeof(methods[0]), compare);
    harness_init(&h, &plugin, NULL);
}

static void teardown(void)
{
    harness_finish(&h);
}

static void submit(int method, const char *key, int64_t value, uint64_t id, int64_t timeout_ms)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = value;
    harness_submit(&h, QK_PORT_CALL, find(method), key, &in.base, id, timeout_ms);
}

/* Steps a while; turns that yield for ever never let harness_run() return. */
static void step(int n)
{
    for (int i = 0; i < n; i++)
        qk_runtime_step(h.rt);
}

static int take_reply(uint64_t id)
{
    struct qk_port_frame *f = harness_reply(&h);
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(f->call_id, id);
    int status = f->status;
    snprintf(harness_text, sizeof(harness_text), "%.*s", (int)f->text_len, qk_port_frame_text(f));
    qk_port_frame_destroy(f);
    return status;
}

START_TEST(test_cancel_reaches_down_the_chain)
{
    submit(LEAVE, "top", 10000, 1, 60000);
    step(10);
    ck_assert_int_eq(holding, 1);
    ck_assert_int_eq(saw_cancelled, 0);
    harness_run(&h);
    ck_assert_int_eq(take_reply(1), 0);
    ck_assert_int_eq(cancelled_status, QK_ECANCELLED);
    ck_assert_str_eq(cancelled_text, "the caller of this turn no longer waits");
    ck_assert_int_eq(saw_cancelled, 1);
    ck_assert_int_eq(holding, 0);
    ck_assert_int_eq(touched, 1); /* what the cancelled turn sent has arrived */
}
END_TEST

START_TEST(test_cancel_drops_what_has_not_begun)
{
    submit(LEAVE, "top", 0, 1, 60000);
    harness_run(&h);
    ck_assert_int_eq(take_reply(1), 0);
    ck_assert_int_eq(cancelled_status, 0); /* Through never began */
    ck_assert_int_eq(touched, 0);
}
END_TEST

START_TEST(test_cancel_of_a_client_that_has_gone)
{
    submit(THROUGH, "one", 0, 1, 60000);
    submit(THROUGH, "two", 0, 2, 60000);
    step(20);
    ck_assert_int_eq(holding, 1);
    struct qk_port_frame *f = qk_port_frame_create(0);
    f->kind = QK_PORT_CANCEL;
    f->call_id = 2;
    qk_runtime_submit(h.rt, f);
    step(5);
    ck_assert_int_eq(take_reply(2), QK_ECANCELLED);
    f = qk_port_frame_create(0);
    f->kind = QK_PORT_CANCEL;
    qk_runtime_submit(h.rt, f);
    harness_run(&h);
    ck_assert_int_eq(take_reply(1), QK_ECANCELLED);
    ck_assert_int_eq(saw_cancelled, 1);
    ck_assert_int_eq(touched, 2);
}
END_TEST

static void cancel(uint64_t id)
{
    struct qk_port_frame *f = qk_port_frame_create(0);
    f->kind = QK_PORT_CANCEL;
    f->call_id = id;
    qk_runtime_submit(h.rt, f);
}

/* A turn waits for room in the mailbox of an actor that then makes some, in the last run of a round or before that, and
 * in the next round its client goes. */
START_TEST(test_cancel_of_a_turn_that_has_just_got_room)
{
    for (int64_t n = 100; n < 500; n++) {
        paused = holding = cancelled_status = 0;
        static const char *const spinners[] = {"s1", "s2", "s3"}; /* no round ends before its time */
        for (int64_t i = 0; i <= n % 3; i++)
            submit(HOLD, spinners[i], 0, 20 + (uint64_t)i, 60000);
        submit(PAUSE, "holder", n, 2, 60000);
        for (uint64_t i = 0; i < 7; i++)
            submit(i == 0 ? HOLD : TOUCH, "holder", 0, 10 + i, 60000);
        submit(THROUGH, "one", 0, 3, 60000);
        while (paused == 0)
            qk_runtime_step(h.rt);
        cancel(3);
        step(20);
        ck_assert_msg(cancelled_status == QK_ECANCELLED, "after %d times: %d", (int)n, cancelled_status);
        cancel(0);
        harness_run(&h);
        for (struct qk_port_frame *f; (f = harness_reply(&h)) != NULL;)
            qk_port_frame_destroy(f);
    }
}
END_TEST

START_TEST(test_cancel_is_seen_by_a_turn_past_its_deadline)
{
    submit(SPIN, "s", 0, 1, 10000);
    harness_run(&h);
    ck_assert_int_eq(take_reply(1), 0);
    ck_assert_int_eq(saw_cancelled, 1);
}
END_TEST

/* Moves the clock in steps until a reply has come; how long that took. */
static int64_t wait_for_reply(void)
{
    int64_t begin = h.now_ns;
    while (h.replies == NULL && h.now_ns - begin < 20000 * (int64_t)1000000)
        harness_advance(&h, 10);
    return (h.now_ns - begin) / 1000000;
}

START_TEST(test_cancel_deadlock_of_two_is_found_within_a_second)
{
    submit(CROSS, "xa", 3, 1, 60000);
    submit(CROSS, "xb", 3, 2, 60000);
    submit(CROSS, "xc", 3, 3, 60000);
    harness_run(&h);
    ck_assert_ptr_null(h.replies);
    ck_assert_int_le(wait_for_reply(), 1000);
    /* One of the three fails, and the others then go on. */
    int failed = 0;
    for (int i = 0; i < 3; i++) {
        struct qk_port_frame *f = harness_reply(&h);
        ck_assert_ptr_nonnull(f);
        if (f->status < 0) {
            failed++;
            ck_assert_int_eq(f->status, QK_EDEADLOCK);
            char text[256];
            snprintf(text, sizeof(text), "%.*s", (int)f->text_len, qk_port_frame_text(f));
            ck_assert_ptr_nonnull(strstr(text, "these wait for one another: t/x"));
            ck_assert_ptr_nonnull(strstr(text, "t/xa -> t/xb"));
        }
        qk_port_frame_destroy(f);
    }
    ck_assert_int_eq(failed, 1);
}
END_TEST

START_TEST(test_cancel_long_waits_without_a_cycle_are_left_alone)
{
    submit(THROUGH, "one", 0, 1, 5000);
    step(20);
    for (int i = 0; i < 300; i++) {
        h.now_ns += 10 * 1000000;
        step(3);
    }
    ck_assert_ptr_null(h.replies);
    harness_advance(&h, 3000);
    ck_assert_int_eq(take_reply(1), QK_ETIMEDOUT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cancel");
    TCase *c = tcase_create("cancel");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_cancel_reaches_down_the_chain);
    tcase_add_test(c, test_cancel_drops_what_has_not_begun);
    tcase_add_test(c, test_cancel_of_a_client_that_has_gone);
    tcase_add_test(c, test_cancel_of_a_turn_that_has_just_got_room);
    tcase_add_test(c, test_cancel_is_seen_by_a_turn_past_its_deadline);
    tcase_add_test(c, test_cancel_deadlock_of_two_is_found_within_a_second);
    tcase_add_test(c, test_cancel_long_waits_without_a_cycle_are_left_alone);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
