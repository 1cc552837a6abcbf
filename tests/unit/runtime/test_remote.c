/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two runtimes side by side, as those of two processes: actors of `near` in one call actors of `far` in the other, and
 * what goes between them is carried, held back or answered by the test. */
#include "harness.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "rt.pb-c.h"

enum method { GO, TELL, LEAVE, TWO, BACK, FIND, ASK, N_NEAR };
enum far_method { ADD, FAIL, WAIT, RETURN, NOTE, NAME, N_FAR };

static const char *const near_names[N_NEAR] = {"Go", "Tell", "Leave", "Two", "Back", "Find", "Ask"};
static const char *const far_names[N_FAR] = {"Add", "Fail", "Wait", "Return", "Note", "Name"};
static struct qk_method near_methods[N_NEAR], far_methods[N_FAR], unknown;
static struct harness a, b;
static bool there; /* whether the other runtime has the type */
static int noted, saw_cancelled;
static char seen_caller[128], seen_context[64], near_error[2048];
static int near_status;
static struct qk_port_note notes[2];

static const struct qk_method *find(const struct qk_method *methods, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    }
    abort();
}

static const struct qk_method *near_of(int m)
{
    return find(near_methods, N_NEAR, near_names[m]);
}

static const struct qk_method *far_of(int m)
{
    return find(far_methods, N_FAR, far_names[m]);
}

static int keep(qk_turn *t, int status)
{
    near_status = status;
    snprintf(near_error, sizeof(near_error), "%s", status < 0 ? qk_error(t) : "");
    return status < 0 ? qk_fail(t, status, "%s", near_error) : status;
}

/* Calls the method of `far` that the number names. */
static int on_go(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    int64_t which = ((const Rt__Number *)req)->value;
    qk_set_context(t, "colour", "green");
    Rt__Number number = RT__NUMBER__INIT;
    number.value = 20;
    return keep(t, qk_call(t, which < 0 ? &unknown : far_of((int)which), qk_ref("f"), which == WAIT ? 500 : 0,
                           &number.base, rep));
}

static int on_tell(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    return keep(t, qk_send(t, far_of(NOTE), qk_ref("f"), req));
}

/* Begins and does not await. */
static int on_leave(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    struct qk_pending *p;
    int rc = qk_begin(t, far_of(WAIT), qk_ref("f"), 0, req, &p);
    for (int64_t i = 0; rc == 0 && i < ((const Rt__Number *)req)->value; i++)
        rc = qk_yield(t);
    return rc;
}

/* Two at once, awaited the other way round. */
static int on_two(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    struct qk_pending *p[2];
    Rt__Number got = RT__NUMBER__INIT, *sum = (Rt__Number *)rep;
    for (int i = 0; i < 2; i++) {
        int rc = qk_begin(t, far_of(ADD), qk_ref(i == 0 ? "x" : "y"), 0, req, &p[i]);
        if (rc < 0)
            return rc;
    }
    for (int i = 1; i >= 0; i--) {
        int rc = qk_await(t, p[i], &got.base);
        if (rc < 0)
            return rc;
        sum->value = sum->value * 100 + got.value;
    }
    return 0;
}

static int on_back(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)self, (void)req, (void)rep;
    return 0;
}

static int on_find(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    uint64_t id = qk_fnv64("far");
    return keep(t, ((const Rt__Number *)req)->value == 0 ? qk_spawn(t, id, qk_ref("c")) : qk_watch(t, id, qk_ref("c")));
}

static int on_add(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    snprintf(seen_caller, sizeof(seen_caller), "%s", qk_caller(t));
    const char *colour = qk_context(t, "colour");
    snprintf(seen_context, sizeof(seen_context), "%s", colour != NULL ? colour : "");
    ((Rt__Number *)rep)->value = ((const Rt__Number *)req)->value + 1;
    return 0;
}

static int on_fail(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    return qk_fail(t, QK_ECONFLICT, "not today");
}

static int on_wait(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    while (!qk_cancelled(t)) {
        if (qk_yield(t) < 0)
            break;
    }
    saw_cancelled++;
    return 0;
}

/* Asks for its own name. */
static int on_ask(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    Rt__Text nothing = RT__TEXT__INIT, name = RT__TEXT__INIT;
    int rc = qk_call(t, far_of(NAME), qk_ref("f"), 0, &nothing.base, &name.base);
    snprintf(seen_caller, sizeof(seen_caller), "%s", name.text);
    return keep(t, rc);
}

static int on_name(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req;
    ((Rt__Text *)rep)->text = (char *)(uintptr_t)qk_caller(t);
    return 0;
}

/* Calls whoever called. */
static int on_return(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    int rc = qk_call(t, near_of(BACK), qk_ref("n"), 0, req, rep);
    return rc < 0 ? qk_fail(t, rc, "%s", qk_error(t)) : 0;
}

static int on_note(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)self, (void)req, (void)rep;
    noted++;
    return 0;
}

static struct qk_type near_type = {.abi = QK_ABI_HEAD(struct qk_type),
                                   .name = "near",
                                   .service = "rt.Near",
                                   .methods = near_methods,
                                   .n_methods = N_NEAR};
static struct qk_type far_type = {.abi = QK_ABI_HEAD(struct qk_type),
                                  .name = "far",
                                  .service = "rt.Far",
                                  .methods = far_methods,
                                  .n_methods = N_FAR,
                                  .mailbox_max = 2};
static const struct qk_type *const near_types[] = {&near_type}, *const far_types[] = {&far_type};
static const struct qk_plugin near_plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "near", .version = "1", .types = near_types, .n_types = 1};
static const struct qk_plugin far_plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "far", .version = "1", .types = far_types, .n_types = 1};

static int compare(const void *x, const void *y)
{
    uint32_t i = ((const struct qk_method *)x)->id, j = ((const struct qk_method *)y)->id;
    return i < j ? -1 : i > j;
}

static void fill(struct qk_method *methods, const char *const *names, const qk_handler_fn *handlers, int n,
                 struct qk_type *type)
{
    type->id = qk_fnv64(type->name);
    for (int i = 0; i < n; i++)
        methods[i] = (struct qk_method){.id = qk_fnv32(names[i]),
                                        .type_id = type->id,
                                        .name = names[i],
                                        .request = &rt__number__descriptor,
                                        .reply = &rt__number__descriptor,
                                        .handler = handlers[i]};
    if (strcmp(names[n - 1], "Name") == 0)
        methods[n - 1].request = methods[n - 1].reply = &rt__text__descriptor;
    qsort(methods, (size_t)n, sizeof(*methods), compare);
}

static bool is_elsewhere(void *arg, uint64_t type_id)
{
    (void)arg;
    return there && (type_id == near_type.id || type_id == far_type.id);
}

static struct qk_port_note *note_of(void *arg, uint32_t worker)
{
    (void)arg;
    ck_assert_uint_eq(worker, 0);
    return &notes[0];
}

static void tune(struct qk_runtime_config *config)
{
    config->elsewhere = is_elsewhere;
    config->seed = 42;
    config->note = note_of;
}

static void setup(void)
{
    static const qk_handler_fn near_handlers[] = {on_go, on_tell, on_leave, on_two, on_back, on_find, on_ask};
    static const qk_handler_fn far_handlers[] = {on_add, on_fail, on_wait, on_return, on_note, on_name};
    fill(near_methods, near_names, near_handlers, N_NEAR, &near_type);
    fill(far_methods, far_names, far_handlers, N_FAR, &far_type);
    unknown = *far_of(ADD);
    unknown.type_id = 99;
    there = true;
    noted = saw_cancelled = 0;
    near_status = 1;
    harness_init(&a, &near_plugin, tune);
    harness_init(&b, &far_plugin, tune);
}

/* What a runtime has said, without what it answered to the test itself. */
static struct qk_port_frame *take(struct harness *h)
{
    for (struct qk_port_frame **at = &h->replies; *at != NULL; at = &(*at)->next) {
        struct qk_port_frame *f = *at;
        if (f->kind == QK_PORT_REPLY && f->origin == NULL)
            continue;
        *at = f->next;
        f->next = NULL;
        h->last = &h->replies;
        while (*h->last != NULL)
            h->last = &(*h->last)->next;
        return f;
    }
    return NULL;
}

/* Carries everything to and fro until nothing moves. */
static void carry(void)
{
    for (bool moved = true; moved;) {
        struct qk_port_frame *f;
        moved = false;
        harness_run(&a);
        harness_run(&b);
        while ((f = take(&a)) != NULL) {
            qk_runtime_submit(b.rt, f);
            moved = true;
        }
        while ((f = take(&b)) != NULL) {
            qk_runtime_submit(a.rt, f);
            moved = true;
        }
    }
}

static void teardown(void)
{
    carry();
    qk_runtime_stop(a.rt, a.now_ns);
    qk_runtime_stop(b.rt, b.now_ns);
    carry();
    harness_finish(&a);
    harness_finish(&b);
}

static void submit(int m, int64_t value)
{
    Rt__Number number = RT__NUMBER__INIT;
    number.value = value;
    harness_submit(&a, QK_PORT_CALL, near_of(m), "n", &number.base, 1, 0);
}

static struct qk_port_frame *client_reply(void)
{
    struct qk_port_frame **at = &a.replies;
    while (*at != NULL && ((*at)->kind != QK_PORT_REPLY || (*at)->origin != NULL))
        at = &(*at)->next;
    struct qk_port_frame *f = *at;
    ck_assert_ptr_nonnull(f);
    *at = f->next;
    for (a.last = &a.replies; *a.last != NULL;)
        a.last = &(*a.last)->next;
    return f;
}

static int64_t number_in(const struct qk_port_frame *f)
{
    Rt__Number *n = rt__number__unpack(NULL, f->payload_len, qk_port_frame_payload(f));
    ck_assert_ptr_nonnull(n);
    int64_t value = n->value;
    rt__number__free_unpacked(n, NULL);
    return value;
}

START_TEST(test_remote_call_and_reply)
{
    submit(GO, ADD);
    carry();
    struct qk_port_frame *f = client_reply();
    ck_assert_int_eq(f->status, 0);
    ck_assert_int_eq(number_in(f), 21);
    ck_assert_str_eq(seen_caller, "near/n");
    ck_assert_str_eq(seen_context, "green");
    qk_port_frame_destroy(f);
    ck_assert_uint_eq(notes[0].turn, QK_PORT_TURN_NONE);
    ck_assert_uint_eq(notes[0].type_id, near_type.id); /* the turn that went on last */
    ck_assert_uint_eq(notes[0].method_id, near_of(GO)->id);
    ck_assert_uint_eq(notes[0].key_len, 1);
}
END_TEST

/* The reply takes the place of the frame that its strings may be of. */
START_TEST(test_remote_reply_names_the_caller)
{
    submit(ASK, 0);
    carry();
    ck_assert_int_eq(near_status, 0);
    ck_assert_str_eq(seen_caller, "near/n");
    qk_port_frame_destroy(client_reply());
}
END_TEST

START_TEST(test_remote_error_comes_with_its_text)
{
    submit(GO, FAIL);
    carry();
    struct qk_port_frame *f = client_reply();
    ck_assert_int_eq(f->status, QK_ECONFLICT);
    ck_assert_str_eq(near_error, "not today");
    qk_port_frame_destroy(f);
}
END_TEST

START_TEST(test_remote_calls_overlap)
{
    submit(TWO, 5);
    carry();
    struct qk_port_frame *f = client_reply();
    ck_assert_int_eq(f->status, 0);
    ck_assert_int_eq(number_in(f), 606);
    qk_port_frame_destroy(f);
}
END_TEST

START_TEST(test_remote_crash_ends_the_call)
{
    submit(GO, ADD);
    harness_run(&a);
    struct qk_port_frame *f = take(&a);
    ck_assert_int_eq(f->kind, QK_PORT_CALL);
    ck_assert_int_gt(f->deadline_ns, a.now_ns);
    f->kind = QK_PORT_REPLY;
    f->status = QK_ECRASHED;
    f->may_have_run = true;
    f->key_len = f->payload_len = f->context_len = f->sender_len = f->chain_len = 0;
    f->text_len = 4;
    memcpy(f->bytes, "gone", 4);
    qk_runtime_submit(a.rt, f);
    harness_run(&a);
    qk_port_frame_destroy(client_reply());
    ck_assert_int_eq(near_status, QK_ECRASHED);
    ck_assert_str_eq(near_error, "gone");
}
END_TEST

/* The deadline passes here; the turn over there is told, and its reply finds nobody. */
START_TEST(test_remote_deadline_cancels_the_turn)
{
    submit(GO, WAIT);
    harness_run(&a);
    qk_runtime_submit(b.rt, take(&a));
    for (int i = 0; i < 5; i++)
        qk_runtime_step(b.rt);
    ck_assert_int_eq(saw_cancelled, 0);
    harness_advance(&a, 600);
    ck_assert_int_eq(near_status, QK_ETIMEDOUT);
    qk_port_frame_destroy(client_reply());
    struct qk_port_frame *f = take(&a);
    ck_assert_int_eq(f->kind, QK_PORT_CANCEL);
    qk_runtime_submit(b.rt, f);
    harness_run(&b);
    ck_assert_int_eq(saw_cancelled, 1);
    f = take(&b);
    ck_assert_int_eq(f->kind, QK_PORT_REPLY);
    qk_runtime_submit(a.rt, f);
    harness_run(&a);
}
END_TEST

START_TEST(test_remote_call_is_left_alone)
{
    submit(LEAVE, 300);
    qk_runtime_step(a.rt);
    struct qk_port_frame *f = take(&a);
    ck_assert_int_eq(f->kind, QK_PORT_CALL);
    qk_runtime_submit(b.rt, f);
    for (int i = 0; i < 3; i++)
        qk_runtime_step(b.rt);
    harness_run(&a);
    qk_port_frame_destroy(client_reply());
    ck_assert_int_eq(saw_cancelled, 0);
    f = take(&a);
    ck_assert_int_eq(f->kind, QK_PORT_CANCEL);
    qk_runtime_submit(b.rt, f);
    carry();
    ck_assert_int_eq(saw_cancelled, 1);
}
END_TEST

START_TEST(test_remote_send_waits_for_the_mailbox)
{
    submit(TELL, 1);
    harness_run(&a);
    ck_assert_int_eq(near_status, 1);
    struct qk_port_frame *f = take(&a);
    ck_assert_int_eq(f->kind, QK_PORT_SEND);
    ck_assert_uint_eq(f->chain_len, 0);
    qk_runtime_submit(b.rt, f);
    carry();
    ck_assert_int_eq(near_status, 0);
    ck_assert_int_eq(noted, 1);
    qk_port_frame_destroy(client_reply());
}
END_TEST

START_TEST(test_remote_full_mailbox_refuses)
{
    Rt__Number number = RT__NUMBER__INIT;
    for (unsigned i = 0; i < 2; i++)
        harness_submit(&b, QK_PORT_CALL, far_of(WAIT), "f", &number.base, i + 1, 0);
    for (int i = 0; i < 3; i++)
        qk_runtime_step(b.rt);
    submit(TELL, 1);
    harness_run(&a);
    qk_runtime_submit(b.rt, take(&a));
    for (int i = 0; i < 3; i++)
        qk_runtime_step(b.rt);
    qk_runtime_submit(a.rt, take(&b));
    harness_run(&a);
    ck_assert_int_eq(near_status, QK_EOVERLOADED);
    ck_assert_int_eq(noted, 0);
    qk_port_frame_destroy(client_reply());
    b.now_ns += 20000 * (int64_t)1000000;
}
END_TEST

START_TEST(test_remote_call_does_not_come_back)
{
    submit(GO, RETURN);
    carry();
    ck_assert_int_eq(near_status, QK_EREENTRANT);
    ck_assert_ptr_nonnull(strstr(near_error, "would wait for itself"));
    ck_assert_ptr_nonnull(strstr(near_error, "near/n"));
    qk_port_frame_destroy(client_reply());
}
END_TEST

START_TEST(test_remote_type_that_nobody_has)
{
    submit(GO, -1);
    carry();
    ck_assert_int_eq(near_status, QK_ENOTFOUND);
    qk_port_frame_destroy(client_reply());
    there = false;
    submit(GO, ADD);
    carry();
    ck_assert_int_eq(near_status, QK_ENOTFOUND);
    qk_port_frame_destroy(client_reply());
}
END_TEST

START_TEST(test_remote_actors_are_neither_spawned_nor_watched)
{
    for (int i = 0; i < 2; i++) {
        submit(FIND, i);
        carry();
        ck_assert_int_eq(near_status, QK_EINVALID);
        ck_assert_ptr_nonnull(strstr(near_error, "another process"));
        qk_port_frame_destroy(client_reply());
    }
}
END_TEST

START_TEST(test_remote_calls_go_on_while_draining)
{
    submit(GO, ADD);
    harness_run(&a);
    qk_runtime_drain(b.rt);
    carry();
    ck_assert_int_eq(near_status, 0);
    qk_port_frame_destroy(client_reply());
    Rt__Number number = RT__NUMBER__INIT;
    harness_submit(&b, QK_PORT_CALL, far_of(ADD), "f", &number.base, 1, 0);
    harness_run(&b);
    struct qk_port_frame *f = harness_reply(&b);
    ck_assert_int_eq(f->status, QK_EUNAVAILABLE);
    qk_port_frame_destroy(f);
}
END_TEST

START_TEST(test_remote_call_ends_when_the_runtime_stops)
{
    submit(GO, ADD);
    harness_run(&a);
    struct qk_port_frame *call = take(&a);
    qk_runtime_stop(a.rt, a.now_ns);
    for (int i = 0; i < 3; i++)
        harness_advance(&a, 20);
    ck_assert_int_eq(near_status, QK_ECANCELLED);
    struct qk_port_frame *f = take(&a);
    ck_assert_int_eq(f->kind, QK_PORT_CANCEL);
    qk_port_frame_destroy(f);
    /* It has stopped when the port has answered, and not before. */
    ck_assert_uint_eq(qk_runtime_busy(a.rt), 1);
    qk_runtime_submit(b.rt, call);
    carry();
    ck_assert_uint_eq(qk_runtime_busy(a.rt), 0);
    qk_port_frame_destroy(client_reply());
}
END_TEST

int main(void)
{
    Suite *s = suite_create("remote");
    TCase *tc = tcase_create("remote");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_remote_call_and_reply);
    tcase_add_test(tc, test_remote_reply_names_the_caller);
    tcase_add_test(tc, test_remote_error_comes_with_its_text);
    tcase_add_test(tc, test_remote_calls_overlap);
    tcase_add_test(tc, test_remote_crash_ends_the_call);
    tcase_add_test(tc, test_remote_deadline_cancels_the_turn);
    tcase_add_test(tc, test_remote_call_is_left_alone);
    tcase_add_test(tc, test_remote_send_waits_for_the_mailbox);
    tcase_add_test(tc, test_remote_full_mailbox_refuses);
    tcase_add_test(tc, test_remote_call_does_not_come_back);
    tcase_add_test(tc, test_remote_type_that_nobody_has);
    tcase_add_test(tc, test_remote_actors_are_neither_spawned_nor_watched);
    tcase_add_test(tc, test_remote_calls_go_on_while_draining);
    tcase_add_test(tc, test_remote_call_ends_when_the_runtime_stops);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
