/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Recordings: the tree of what a call causes, its times, its bounds, and when it ends. */
#include "harness.h"
#include "workers.h"

#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "base/limits.h"
#include "rt.pb-c.h"
#include "wire/context.h"
#include "wire/spans.h"

enum method { ROOT, MID, NOTE, TICK, SLOW, HANG, FAN, FAIL, N_METHODS };

static const char *const names[N_METHODS] = {"Root", "Mid", "Note", "Tick", "Slow", "Hang", "Fan", "Fail"};
static struct qk_method methods[N_METHODS];
static struct harness h;
static int ticks;
static bool released;
static char parent_in_mid[QK_TRACEPARENT_LEN + 1];

static const struct qk_method *find(int method)
{
    for (int i = 0; i < N_METHODS; i++) {
        if (strcmp(methods[i].name, names[method]) == 0)
            return &methods[i];
    }
    abort();
}

static int on_root(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    h.now_ns += 1000;
    int rc = qk_call(t, find(MID), qk_ref("b"), 0, req, rep);
    if (rc == 0)
        rc = qk_send(t, find(HANG), qk_ref("e"), req);
    if (rc == 0)
        rc = qk_call(t, find(SLOW), qk_ref("d"), 0, req, rep);
    return rc;
}

static int on_mid(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    h.now_ns += 2000;
    snprintf(parent_in_mid, sizeof(parent_in_mid), "%s", qk_traceparent(t));
    int rc = qk_send(t, find(NOTE), qk_ref("c"), req);
    return rc < 0 ? rc : qk_timer_start(t, find(TICK), 5, 5000, 0, req, NULL);
}

static int on_note(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)self, (void)req, (void)rep;
    return 0;
}

static int on_tick(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    int rc = qk_call(t, find(FAIL), qk_ref("c"), 0, req, rep);
    ck_assert_int_eq(rc, QK_APP(4));
    ticks++;
    return 0;
}

static int on_fail(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)self, (void)req, (void)rep;
    return QK_APP(4);
}

/* Until there was a tick; each look takes a millisecond, half of it in the turn. */
static int on_slow(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    while (ticks == 0) {
        h.now_ns += 1000000;
        qk_yield(t);
    }
    return 0;
}

static int on_hang(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    while (!released) {
        if (qk_yield(t) < 0)
            break;
    }
    return 0;
}

static int on_fan(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    int rc = 0;
    int64_t n = ((const Rt__Number *)req)->value;
    for (int64_t i = 0; i < n && rc == 0; i++) {
        char key[QK_KEY_MAX + 1];
        snprintf(key, sizeof(key), "n%d", (int)(i % 100));
        rc = qk_call(t, find(NOTE), qk_ref(key), 0, req, rep);
    }
    return rc;
}

static struct qk_type type = {
    .abi = QK_ABI_HEAD(struct qk_type),
    .name = "tree",
    .service = "rt.Tree",
    .methods = methods,
    .n_methods = N_METHODS,
};
static const struct qk_type *const types[] = {&type};
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "tree", .version = "1", .types = types, .n_types = 1};

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct qk_method *)a)->id, y = ((const struct qk_method *)b)->id;
    return x < y ? -1 : x > y;
}

static void build(void)
{
    static const qk_handler_fn handlers[N_METHODS] = {on_root, on_mid,  on_note, on_tick,
                                                      on_slow, on_hang, on_fan,  on_fail};
    type.id = qk_fnv64(type.name);
    for (int i = 0; i < N_METHODS; i++)
        methods[i] = (struct qk_method){.id = qk_fnv32(names[i]),
                                        .type_id = type.id,
                                        .name = names[i],
                                        .request = &rt__number__descriptor,
                                        .reply = &rt__number__descriptor,
                                        .handler = handlers[i]};
    qsort(methods, N_METHODS, sizeof(methods[0]), compare);
    ticks = 0;
    released = false;
}

static void setup(void)
{
    build();
    harness_init(&h, &plugin, NULL);
}

static void teardown(void)
{
    released = true;
    harness_finish(&h);
}

static struct qk_port_frame *recorded_call(int method, const char *key, int64_t value, enum qk_port_kind kind)
{
    Rt__Number in = RT__NUMBER__INIT;
    uint8_t context[2];
    in.value = value;
    size_t size = rt__number__get_packed_size(&in), key_len = strlen(key);
    struct qk_port_frame *f = qk_port_frame_create(key_len + size + 2);
    f->kind = kind;
    f->type_id = type.id;
    f->method_id = find(method)->id;
    f->key_len = (uint32_t)key_len;
    f->payload_len = (uint32_t)size;
    f->context_len = 2;
    qk_context_put_record(context);
    memcpy(f->bytes, key, key_len);
    rt__number__pack(&in, f->bytes + key_len);
    memcpy(f->bytes + key_len + size, context, 2);
    return f;
}

/* Calls and runs until there is the reply, which the caller destroys. */
static struct qk_port_frame *call(int method, const char *key, int64_t value, enum qk_port_kind kind)
{
    qk_runtime_submit(h.rt, recorded_call(method, key, value, kind));
    for (int i = 1; h.replies == NULL; i++) {
        if (!qk_runtime_step(h.rt) || i % 10 == 0)
            h.now_ns += 1000000;
    }
    return harness_reply(&h);
}

static struct qk_span spans[QK_TRACE_SPANS_MAX + 1];
static char lines[1024];
static uint32_t n_spans;
static uint64_t left_out;
static uint8_t trace_id[16];

static void keep(void *arg, const struct qk_span *span)
{
    static const char *const kinds[] = {"?", "call", "send", "tick"}, *const states[] = {"?", "waits", "runs", "ended"};
    (void)arg;
    spans[++n_spans] = *span;
    size_t n = strlen(lines);
    if (n < sizeof(lines) - 80)
        snprintf(lines + n, sizeof(lines) - n, "%u <- %u %s %s/%s %s %s %d\n", n_spans, span->parent, kinds[span->kind],
                 span->type, span->key, span->method, states[span->state], span->status);
}

static void read_spans(struct qk_port_frame *reply)
{
    n_spans = 0;
    lines[0] = '\0';
    ck_assert_uint_gt(reply->context_len, 0);
    ck_assert_int_eq(qk_spans_visit(qk_port_frame_context(reply), reply->context_len, keep, NULL, &left_out, trace_id),
                     0);
    qk_port_frame_destroy(reply);
}

START_TEST(test_trace_shows_the_tree)
{
    struct qk_port_frame *reply = call(ROOT, "a", 1, QK_PORT_CALL);
    ck_assert_int_eq(reply->status, 0);
    read_spans(reply);
    ck_assert_str_eq(lines, "1 <- 0 call tree/a Root ended 0\n"
                            "2 <- 1 call tree/b Mid ended 0\n"
                            "3 <- 2 send tree/c Note ended 0\n"
                            "4 <- 1 send tree/e Hang runs 0\n"
                            "5 <- 1 call tree/d Slow ended 0\n"
                            "6 <- 2 tick tree/b Tick ended 0\n"
                            "7 <- 6 call tree/c Fail ended -2004\n");
    ck_assert_uint_eq(left_out, 0);
    ck_assert_uint_eq(spans[1].start_ns, 0);
    ck_assert_uint_eq(spans[1].run_ns, 1000);
    ck_assert_uint_eq(spans[2].start_ns, 1000);
    ck_assert_uint_eq(spans[2].run_ns, 2000);
    ck_assert_uint_ge(spans[5].run_ns, 5000000);
    /* What it was suspended for is what the others ran. */
    ck_assert_uint_ge(spans[1].suspended_ns, spans[2].run_ns + spans[5].run_ns);
    /* The turn's traceparent names its own span. */
    char id[17];
    snprintf(id, sizeof(id), "%016llx", (unsigned long long)spans[2].id);
    ck_assert_int_eq(strncmp(parent_in_mid + 36, id, 16), 0);
    ck_assert_str_eq(parent_in_mid + 52, "-01");
    /* What was sent and hangs has held the answer back, but not for long. */
    ck_assert_uint_ge(spans[4].queued_ns + spans[4].run_ns + spans[4].suspended_ns, 250000000);
    ck_assert_int_le(h.now_ns - 1000000000 - (int64_t)(spans[1].queued_ns + spans[1].run_ns + spans[1].suspended_ns),
                     260000000);
    /* The timer goes on, and nobody records it. */
    released = true;
    harness_advance(&h, 5000);
    ck_assert_int_gt(ticks, 1);
}
END_TEST

START_TEST(test_trace_of_a_call_that_is_refused)
{
    struct qk_port_frame *reply = call(FAIL, "a", 1, QK_PORT_CALL);
    ck_assert_int_eq(reply->status, QK_APP(4));
    read_spans(reply);
    ck_assert_str_eq(lines, "1 <- 0 call tree/a Fail ended -2004\n");
}
END_TEST

START_TEST(test_trace_of_one_way_calls)
{
    struct qk_port_frame *reply = call(NOTE, "a", 1, QK_PORT_SEND);
    ck_assert_int_eq(reply->status, 0);
    read_spans(reply);
    ck_assert_str_eq(lines, "1 <- 0 send tree/a Note ended 0\n");
    /* That its turn fails is seen in the recording alone. */
    reply = call(FAIL, "a", 1, QK_PORT_SEND);
    ck_assert_int_eq(reply->status, 0);
    read_spans(reply);
    ck_assert_str_eq(lines, "1 <- 0 send tree/a Fail ended -2004\n");
    /* What it sends and what that sends. */
    reply = call(MID, "b", 1, QK_PORT_SEND);
    read_spans(reply);
    ck_assert_str_eq(lines, "1 <- 0 send tree/b Mid ended 0\n"
                            "2 <- 1 send tree/c Note ended 0\n");
    int64_t before = h.now_ns;
    reply = call(HANG, "e", 1, QK_PORT_SEND);
    ck_assert_int_eq(reply->status, 0);
    read_spans(reply);
    ck_assert_str_eq(lines, "1 <- 0 send tree/e Hang runs 0\n");
    ck_assert_int_le(h.now_ns - before, 260000000);
}
END_TEST

/* A mailbox that is full refuses the call as ever. */
START_TEST(test_trace_of_a_one_way_call_that_is_refused)
{
    type.mailbox_max = 1;
    harness_finish(&h);
    harness_init(&h, &plugin, NULL);
    Rt__Number in = RT__NUMBER__INIT;
    harness_submit(&h, QK_PORT_SEND, find(HANG), "e", &in.base, 1, 0);
    struct qk_port_frame *reply = call(NOTE, "e", 1, QK_PORT_SEND);
    ck_assert_int_eq(reply->status, 0); /* of the first */
    qk_port_frame_destroy(reply);
    reply = harness_reply(&h);
    ck_assert_int_eq(reply->status, QK_EOVERLOADED);
    read_spans(reply);
    ck_assert_str_eq(lines, "1 <- 0 send tree/e Note ended -1002\n");
    type.mailbox_max = 0;
}
END_TEST

/* A deadline is kept, and a silo that stops waits for nothing. */
START_TEST(test_trace_answers_in_time)
{
    struct qk_port_frame *f = recorded_call(ROOT, "a", 1, QK_PORT_CALL);
    f->deadline_ns = h.now_ns + 100000000;
    qk_runtime_submit(h.rt, f);
    while (h.replies == NULL && h.now_ns < 1100000000) {
        for (int i = 0; i < 100; i++)
            qk_runtime_step(h.rt);
        h.now_ns += 1000000;
    }
    ck_assert_int_lt(h.now_ns, 1099000000);
    read_spans(harness_reply(&h));
    ck_assert_int_eq(lines[0], '1');
    qk_runtime_submit(h.rt, recorded_call(HANG, "x", 1, QK_PORT_SEND));
    for (int i = 0; i < 100; i++)
        qk_runtime_step(h.rt);
    ck_assert_ptr_null(h.replies);
    qk_runtime_stop(h.rt, h.now_ns + 1000000000);
    qk_runtime_step(h.rt);
    read_spans(harness_reply(&h));
    ck_assert_str_eq(lines, "1 <- 0 send tree/x Hang ended 0\n");
}
END_TEST

START_TEST(test_trace_bounds)
{
    struct qk_port_frame *reply = call(FAN, "a", QK_TRACE_SPANS_MAX - 1, QK_PORT_CALL);
    read_spans(reply);
    ck_assert_uint_eq(n_spans, QK_TRACE_SPANS_MAX);
    ck_assert_uint_eq(left_out, 0);
    reply = call(FAN, "a", QK_TRACE_SPANS_MAX + 1, QK_PORT_CALL);
    read_spans(reply);
    ck_assert_uint_eq(n_spans, QK_TRACE_SPANS_MAX);
    ck_assert_uint_eq(left_out, 2);
    /* So many calls at a time, and one more. */
    for (int i = 0; i < QK_TRACES_MAX; i++)
        qk_runtime_submit(h.rt, recorded_call(HANG, "e", 1, QK_PORT_CALL));
    reply = call(NOTE, "a", 1, QK_PORT_CALL);
    ck_assert_int_eq(reply->status, QK_EOVERLOADED);
    qk_port_frame_destroy(reply);
    released = true;
    harness_run(&h);
    for (int i = 0; i < QK_TRACES_MAX; i++) {
        reply = harness_reply(&h);
        ck_assert_ptr_nonnull(reply);
        read_spans(reply);
        ck_assert_uint_eq(n_spans, 1);
    }
    reply = call(NOTE, "a", 1, QK_PORT_CALL);
    ck_assert_int_eq(reply->status, 0);
    read_spans(reply);
}
END_TEST

/* ---- with threads */

#define WORKERS 4
#define WAVES   20
#define FANS    20

static atomic_int wrong;

static void count(void *arg, const struct qk_span *span)
{
    int *n = arg;
    if (span->parent != (*n == 0 ? 0u : 1u) || span->state != QK_SPAN_ENDED || span->status != 0)
        atomic_fetch_add(&wrong, 1);
    (*n)++;
}

static void thread_deliver(void *arg, struct qk_port_frame *chain)
{
    (void)arg;
    while (chain != NULL) {
        struct qk_port_frame *f = chain;
        chain = f->next;
        uint64_t out;
        uint8_t id[16];
        int n = 0;
        if (f->status != 0 || qk_spans_visit(qk_port_frame_context(f), f->context_len, count, &n, &out, id) < 0 ||
            n != FANS + 1)
            atomic_fetch_add(&wrong, 1);
        workers_count(f);
    }
}

START_TEST(test_trace_on_many_workers)
{
    build();
    struct qk_runtime_config config;
    struct workers w;
    atomic_store(&wrong, 0);
    workers_configure(&config, WORKERS);
    config.deliver = thread_deliver;
    workers_start(&w, &config, &plugin);
    for (int wave = 1; wave <= WAVES; wave++) {
        for (int i = 0; i < QK_TRACES_MAX; i++) {
            char key[16];
            snprintf(key, sizeof(key), "f%d", i);
            qk_runtime_submit(w.rt, recorded_call(FAN, key, FANS, QK_PORT_CALL));
        }
        workers_wait(&w, wave * QK_TRACES_MAX);
    }
    workers_join(&w, workers_now_ns(NULL));
    ck_assert_int_eq(atomic_load(&wrong), 0);
    ck_assert_int_eq(qk_runtime_destroy(w.rt), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trace");
    TCase *tc = tcase_create("trace");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_trace_shows_the_tree);
    tcase_add_test(tc, test_trace_of_a_call_that_is_refused);
    tcase_add_test(tc, test_trace_of_one_way_calls);
    tcase_add_test(tc, test_trace_of_a_one_way_call_that_is_refused);
    tcase_add_test(tc, test_trace_answers_in_time);
    tcase_add_test(tc, test_trace_bounds);
    suite_add_tcase(suite, tc);
    tc = tcase_create("threads");
    tcase_add_test(tc, test_trace_on_many_workers);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
