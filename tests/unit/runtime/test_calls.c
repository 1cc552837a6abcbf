/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a handler may do with calls and may not: deadlines, begin and await, callers built from another .proto, stops.
 */
#include "harness.h"

#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "rt.pb-c.h"

enum method { REMAINING, ASK, ASK_BRIEFLY, HOLD, BEGIN, LEND, BORROW, WRONG, FOREIGN, CROSS, ECHO, BUSY, N_METHODS };

static const char *const names[N_METHODS] = {"Remaining", "Ask",   "AskBriefly", "Hold",  "Begin", "Lend",
                                             "Borrow",    "Wrong", "Foreign",    "Cross", "Echo",  "Busy"};
static struct qk_method methods[N_METHODS];
static struct harness h;
static struct qk_pending *lent;
static int borrowed, seen;

static const struct qk_method *find(int method)
{
    for (int i = 0; i < N_METHODS; i++) {
        if (strcmp(methods[i].name, names[method]) == 0)
            return &methods[i];
    }
    abort();
}

static int on_remaining(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req;
    ((Rt__Number *)rep)->value = qk_remaining_ms(t);
    return 0;
}

static int on_ask(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    return qk_call(t, find(REMAINING), qk_ref("callee"), ((const Rt__Number *)req)->value, req, rep);
}

/* Asks somebody who does not answer in time. */
static int on_ask_briefly(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    int64_t begun = h.now_ns;
    int rc = qk_call(t, find(HOLD), qk_ref("callee"), ((const Rt__Number *)req)->value, req, rep);
    ck_assert_int_eq(rc, QK_ETIMEDOUT);
    ((Rt__Number *)rep)->value = (h.now_ns - begun) / 1000000;
    return 0;
}

/* Stays a second, whoever waits. */
static int on_hold(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    int64_t until_ns = h.now_ns + 1000000000;
    while (h.now_ns < until_ns && qk_yield(t) == 0) {
    }
    return 0;
}

static int on_begin(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    struct qk_pending *p[3];
    Rt__Number out;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(qk_begin(t, find(REMAINING), qk_ref("callee"), 100 + i, req, &p[i]), 0);
    ck_assert_int_eq(qk_await(t, NULL, &out.base), QK_EINVALID);
    ck_assert_int_eq(qk_await(t, p[2], &out.base), 0);
    ck_assert_int_eq(out.value, 102);
    ck_assert_int_eq(qk_await(t, p[2], &out.base), QK_EINVALID);
    ck_assert_int_eq(qk_await(t, p[0], NULL), 0); /* its reply is not wanted */
    ((Rt__Number *)rep)->value = out.value;
    return 0; /* the third has come and is never awaited */
}

static int on_lend(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    ck_assert_int_eq(qk_begin(t, find(REMAINING), qk_ref("callee"), 0, req, &lent), 0);
    ck_assert_int_eq(qk_call(t, find(BORROW), qk_ref("borrower"), 0, req, rep), 0);
    return qk_await(t, lent, rep);
}

static int on_borrow(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req;
    borrowed = qk_await(t, lent, rep);
    return 0;
}

static int on_wrong(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    Rt__Text text = RT__TEXT__INIT;
    Rt__Number raw;
    struct qk_pending *p;
    memset(&raw, 0, sizeof(raw));
    const struct qk_method *m = find(REMAINING);
    ck_assert_int_eq(qk_call(t, m, qk_ref("callee"), 0, &text.base, rep), QK_EINVALID);
    ck_assert_int_eq(qk_call(t, m, qk_ref("callee"), 0, &raw.base, rep), QK_EINVALID);
    ck_assert_int_eq(qk_call(t, m, qk_ref("callee"), 0, NULL, rep), QK_EINVALID);
    ck_assert_int_eq(qk_begin(t, m, qk_ref("callee"), 0, NULL, &p), QK_EINVALID);
    ck_assert_int_eq(qk_send(t, m, qk_ref("callee"), NULL), QK_EINVALID);
    ck_assert_int_eq(qk_call(t, m, qk_ref(""), 0, req, rep), QK_EINVALID);
    ck_assert_int_eq(qk_call(t, m, qk_ref(NULL), 0, req, rep), QK_EINVALID);
    ck_assert_int_eq(qk_call(t, m, qk_ref_bytes("k", QK_KEY_MAX + 1), 0, req, rep), QK_EINVALID);
    ck_assert_str_ne(qk_error(t), "");
    return 0;
}

static int on_echo(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    const Rt__Text *in = (const Rt__Text *)req;
    if (in->n_numbers == 0)
        return qk_fail(t, QK_APP(5), "no numbers");
    ((Rt__Text *)rep)->text = in->text;
    ((Rt__Text *)rep)->n_numbers = in->n_numbers;
    ((Rt__Text *)rep)->numbers = in->numbers;
    seen++;
    return 0;
}

/* ---- Text as another plugin's compiler laid it out */

struct wide_text {
    ProtobufCMessage base;
    uint64_t more; /* a member that the callee's version does not have */
    char *text;
    size_t n_numbers;
    int64_t *numbers;
};

static ProtobufCFieldDescriptor wide_fields[2];
static ProtobufCMessageDescriptor wide_descriptor;

static void wide_init(ProtobufCMessage *message)
{
    struct wide_text *m = (struct wide_text *)message;
    memset(m, 0, sizeof(*m));
    m->base.descriptor = &wide_descriptor;
    m->text = (char *)protobuf_c_empty_string;
}

static void make_wide(void)
{
    wide_descriptor = rt__text__descriptor;
    memcpy(wide_fields, rt__text__descriptor.fields, sizeof(wide_fields));
    wide_fields[0].offset = offsetof(struct wide_text, text);
    wide_fields[1].offset = offsetof(struct wide_text, numbers);
    wide_fields[1].quantifier_offset = offsetof(struct wide_text, n_numbers);
    wide_descriptor.fields = wide_fields;
    wide_descriptor.sizeof_message = sizeof(struct wide_text);
    wide_descriptor.message_init = wide_init;
}

static int on_foreign(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    struct qk_method m = *find(ECHO);
    struct qk_pending *p;
    struct wide_text in, out[2];
    int64_t numbers[] = {4, 5, ((const Rt__Number *)req)->value};
    m.request = m.reply = &wide_descriptor;
    m.handler = NULL;
    wide_init(&in.base);
    in.text = "from afar";
    ck_assert_int_eq(qk_call(t, &m, qk_ref("echo"), 0, &in.base, &out[0].base), QK_APP(5));
    ck_assert_str_eq(qk_error(t), "no numbers");
    in.numbers = numbers;
    in.n_numbers = 3;
    ck_assert_int_eq(qk_call(t, &m, qk_ref("echo"), 0, &in.base, &out[0].base), 0);
    ck_assert_int_eq(qk_begin(t, &m, qk_ref("echo"), 0, &in.base, &p), 0);
    ck_assert_int_eq(qk_send(t, &m, qk_ref("echo"), &in.base), 0);
    ck_assert_int_eq(qk_await(t, p, &out[1].base), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_ptr_eq(out[i].base.descriptor, &wide_descriptor);
        ck_assert_str_eq(out[i].text, "from afar");
        ck_assert_uint_eq(out[i].n_numbers, 3);
        ck_assert_int_eq(out[i].numbers[2], ((const Rt__Number *)req)->value);
    }
    return 0;
}

/* Computes for a millisecond. */
static int on_busy(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)self, (void)req, (void)rep;
    h.now_ns += 1000000;
    return 0;
}

/* Lets the other begin as well, then calls it: both wait for ever. */
static int on_cross(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    qk_yield(t);
    const char *other = strcmp(qk_self(t).key, "left") == 0 ? "right" : "left";
    return qk_call(t, find(REMAINING), qk_ref(other), 0, req, rep);
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
    static const qk_handler_fn handlers[N_METHODS] = {on_remaining, on_ask,   on_ask_briefly, on_hold,
                                                      on_begin,     on_lend,  on_borrow,      on_wrong,
                                                      on_foreign,   on_cross, on_echo,        on_busy};
    borrowed = seen = 0;
    make_wide();
    type.id = qk_fnv64("t");
    for (int i = 0; i < N_METHODS; i++) {
        const ProtobufCMessageDescriptor *d = i == ECHO ? &rt__text__descriptor : &rt__number__descriptor;
        methods[i] = (struct qk_method){.id = qk_fnv32(names[i]),
                                        .type_id = type.id,
                                        .deadline_ms = i == REMAINING ? 3000 : 0,
                                        .name = names[i],
                                        .request = d,
                                        .reply = d,
                                        .handler = handlers[i]};
    }
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

/* Steps, a millisecond at a time, until a reply is there; its status. */
static int wait_for(int64_t *ret_value)
{
    for (int i = 0; i < 20000 && h.replies == NULL; i++) {
        for (int k = 0; k < 3; k++)
            qk_runtime_step(h.rt);
        if (h.replies == NULL)
            h.now_ns += 1000000;
    }
    struct qk_port_frame *f = harness_reply(&h);
    ck_assert_ptr_nonnull(f);
    int status = f->status;
    if (ret_value != NULL && status >= 0) {
        Rt__Number *n = rt__number__unpack(NULL, f->payload_len, qk_port_frame_payload(f));
        *ret_value = n->value;
        rt__number__free_unpacked(n, NULL);
    }
    qk_port_frame_destroy(f);
    return status;
}

static int64_t ask(int64_t timeout_of_client, int64_t timeout_of_actor)
{
    int64_t value = -1;
    submit(ASK, "caller", timeout_of_actor, 1, timeout_of_client);
    ck_assert_int_eq(wait_for(&value), 0);
    return value;
}

START_TEST(test_calls_deadline_is_the_earliest)
{
    ck_assert_int_eq(ask(100, 0), 100);    /* the client's */
    ck_assert_int_eq(ask(100, 20), 20);    /* the call's own */
    ck_assert_int_eq(ask(100, 500), 100);  /* no later than the client's */
    ck_assert_int_eq(ask(60000, 0), 3000); /* the method's */
    ck_assert_int_eq(ask(60000, 5000), 5000);
    ck_assert_int_eq(ask(0, 0), 3000);
    ck_assert_int_eq(ask(0, 60000), 10000); /* the silo's, for the caller's turn */
}
END_TEST

START_TEST(test_calls_deadline_ends_a_wait)
{
    int64_t took;
    submit(ASK_BRIEFLY, "caller", 30, 1, 0);
    ck_assert_int_eq(wait_for(&took), 0);
    ck_assert_int_ge(took, 30);
    ck_assert_int_le(took, 33);
}
END_TEST

START_TEST(test_calls_await_once_and_in_any_order)
{
    int64_t value;
    submit(BEGIN, "caller", 0, 1, 0);
    ck_assert_int_eq(wait_for(&value), 0);
    ck_assert_int_eq(value, 102);
}
END_TEST

START_TEST(test_calls_await_by_another_turn_is_refused)
{
    submit(LEND, "lender", 0, 1, 0);
    ck_assert_int_eq(wait_for(NULL), 0);
    ck_assert_int_eq(borrowed, QK_EINVALID);
}
END_TEST

START_TEST(test_calls_wrong_arguments_are_refused)
{
    submit(WRONG, "caller", 0, 1, 0);
    ck_assert_int_eq(wait_for(NULL), 0);
}
END_TEST

START_TEST(test_calls_of_another_layout)
{
    submit(FOREIGN, "caller", 1234567, 1, 0);
    ck_assert_int_eq(wait_for(NULL), 0);
    harness_run(&h);
    ck_assert_int_eq(seen, 3); /* the call, the begun call and the message sent one way */
}
END_TEST

/* A stop lets turns wait until its deadline, then ends what they wait for. */
START_TEST(test_calls_stop_ends_waits_at_its_deadline)
{
    submit(CROSS, "left", 0, 1, 60000);
    submit(CROSS, "right", 0, 2, 60000);
    harness_run(&h);
    struct qk_runtime_stats stats;
    qk_runtime_stats(h.rt, &stats);
    ck_assert_uint_eq(stats.fibers_suspended, 2);
    qk_runtime_stop(h.rt, h.now_ns + 100 * 1000000);
    harness_run(&h);
    harness_advance(&h, 99);
    ck_assert_ptr_null(h.replies);
    harness_advance(&h, 2);
    /* Each waited in the other's mailbox, so both calls were still to begin. */
    for (int i = 0; i < 2; i++) {
        int status = wait_for(NULL);
        ck_assert(status == QK_ECANCELLED || status == QK_EUNAVAILABLE);
    }
    qk_runtime_stats(h.rt, &stats);
    ck_assert_uint_eq(stats.fibers_suspended, 0);
    ck_assert_uint_eq(stats.activations, 0);
}
END_TEST

START_TEST(test_calls_drain_refuses_clients_and_lets_actors_finish)
{
    submit(HOLD, "callee", 0, 1, 50);
    submit(ASK, "caller", 0, 2, 0);
    qk_runtime_step(h.rt);
    qk_runtime_drain(h.rt);
    submit(ASK, "caller", 0, 3, 0);
    ck_assert_uint_gt(qk_runtime_busy(h.rt), 0);
    int refused = 0, answered = 0;
    for (int i = 0; i < 3; i++) {
        int status = wait_for(NULL);
        refused += status == QK_EUNAVAILABLE;
        answered += status == 0;
    }
    ck_assert_int_eq(refused, 1);
    ck_assert_int_eq(answered, 2);
    harness_run(&h);
    ck_assert_uint_eq(qk_runtime_busy(h.rt), 0);
}
END_TEST

/* Replies do not wait for everything that could run. */
START_TEST(test_calls_replies_come_out_while_others_are_busy)
{
    for (uint64_t i = 0; i < 400; i++) {
        char key[16];
        snprintf(key, sizeof(key), "busy-%u", (unsigned)i % 50);
        submit(BUSY, key, 0, i + 1, 0);
    }
    qk_runtime_step(h.rt);
    int n = 0;
    struct qk_port_frame *f;
    while ((f = harness_reply(&h)) != NULL) {
        qk_port_frame_destroy(f);
        n++;
    }
    ck_assert_int_gt(n, 0);
    ck_assert_int_lt(n, 100);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("calls");
    TCase *c = tcase_create("calls");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_calls_deadline_is_the_earliest);
    tcase_add_test(c, test_calls_deadline_ends_a_wait);
    tcase_add_test(c, test_calls_await_once_and_in_any_order);
    tcase_add_test(c, test_calls_await_by_another_turn_is_refused);
    tcase_add_test(c, test_calls_wrong_arguments_are_refused);
    tcase_add_test(c, test_calls_of_another_layout);
    tcase_add_test(c, test_calls_stop_ends_waits_at_its_deadline);
    tcase_add_test(c, test_calls_drain_refuses_clients_and_lets_actors_finish);
    tcase_add_test(c, test_calls_replies_come_out_while_others_are_busy);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
