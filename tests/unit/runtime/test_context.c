/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Context: what a request carries along, what a turn sees of it and sets, and its bounds. */
#include "harness.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "base/limits.h"
#include "rt.pb-c.h"
#include "wire/context.h"

#define PARENT  "00-0123456789abcdef0123456789abcdef-00000000000000aa-01"
#define UNTAKEN "00-0123456789abcdef0123456789abcdef-00000000000000aa-00"

enum method { NOTE, CALL, SEND, TIMER, SET, MANY, LONG, N_METHODS };

static const char *const names[N_METHODS] = {"Note", "Call", "Send", "Timer", "Set", "Many", "Long"};
static struct qk_method methods[N_METHODS];
static struct harness h;

/* What the turns of Note, and those that called it, have seen. */
static char seen_parent[8][64], seen_tenant[8][64], seen_id[8][64];
static int seen;

static const struct qk_method *find(int method)
{
    for (int i = 0; i < N_METHODS; i++) {
        if (strcmp(methods[i].name, names[method]) == 0)
            return &methods[i];
    }
    abort();
}

static void look(qk_turn *t)
{
    const char *parent = qk_traceparent(t), *tenant = qk_context(t, "tenant"), *id = qk_correlation_id(t);
    ck_assert_int_lt(seen, 8);
    snprintf(seen_parent[seen], 64, "%s", parent != NULL ? parent : "none");
    snprintf(seen_tenant[seen], 64, "%s", tenant != NULL ? tenant : "none");
    snprintf(seen_id[seen], 64, "%s", id != NULL ? id : "none");
    seen++;
}

static int on_note(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    look(t);
    return 0;
}

static int on_call(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    look(t);
    return qk_call(t, find(NOTE), qk_ref("callee"), 0, req, rep);
}

static int on_send(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    look(t);
    return qk_send(t, find(NOTE), qk_ref("callee"), req);
}

static int on_timer(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    look(t);
    return qk_timer_start(t, find(NOTE), 10, 10, 0, req, NULL);
}

/* Calls with an entry changed, then without it, then as a part of another trace. */
static int on_set(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    int rc = qk_set_context(t, "tenant", "eight");
    ck_assert_str_eq(qk_context(t, "tenant"), "eight");
    if (rc == 0)
        rc = qk_call(t, find(NOTE), qk_ref("callee"), 0, req, rep);
    if (rc == 0)
        rc = qk_set_context(t, "tenant", NULL);
    if (rc == 0)
        rc = qk_call(t, find(NOTE), qk_ref("callee"), 0, req, rep);
    if (rc == 0)
        rc = qk_set_context(t, "traceparent", UNTAKEN);
    ck_assert_str_eq(qk_traceparent(t), UNTAKEN);
    return rc < 0 ? rc : qk_call(t, find(NOTE), qk_ref("callee"), 0, req, rep);
}

/* Sets entries until one is refused; the reply says how many there were. */
static int on_many(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req;
    int rc = 0, n = 0;
    for (; n < 100 && rc == 0; n++) {
        char name[16];
        snprintf(name, sizeof(name), "e%d", n);
        rc = qk_set_context(t, name, "");
    }
    ck_assert_int_eq(rc, QK_ETOOBIG);
    ck_assert_str_eq(qk_error(t), "a context has 32 entries at most");
    ((Rt__Number *)rep)->value = n - 1;
    ck_assert_int_eq(qk_set_context(t, "e0", "another value of one that there is"), 0);
    ck_assert_int_eq(qk_set_context(t, "Big", ""), QK_EINVALID);
    ck_assert_int_eq(qk_set_context(t, "", ""), QK_EINVALID);
    ck_assert_int_eq(qk_set_context(t, NULL, ""), QK_EINVALID);
    ck_assert_int_eq(qk_set_context(t, "e1", "two\nlines"), QK_EINVALID);
    ck_assert_int_eq(qk_set_context(t, "e1", "\xff"), QK_EINVALID);
    ck_assert_int_eq(qk_set_context(t, "traceparent", "00-1"), QK_EINVALID);
    ck_assert_ptr_null(qk_context(t, "traceparent"));
    ck_assert_ptr_null(qk_context(t, "e99"));
    return 0;
}

/* One entry as long as all of them may be, then one byte more. */
static int on_long(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    char *value = qk_alloc(t, QK_CONTEXT_BYTES_MAX + 1);
    memset(value, 'v', QK_CONTEXT_BYTES_MAX - 4);
    ck_assert_int_eq(qk_set_context(t, "name", value), 0);
    value[QK_CONTEXT_BYTES_MAX - 4] = 'v';
    ck_assert_int_eq(qk_set_context(t, "name", value), QK_ETOOBIG);
    ck_assert_int_eq(qk_set_context(t, "x", ""), QK_ETOOBIG);
    ck_assert_uint_eq(strlen(qk_context(t, "name")), QK_CONTEXT_BYTES_MAX - 4);
    return 0;
}

static struct qk_type type = {
    .abi = QK_ABI_HEAD(struct qk_type),
    .name = "traveller",
    .service = "rt.Traveller",
    .methods = methods,
    .n_methods = N_METHODS,
};
static const struct qk_type *const types[] = {&type};
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "traveller", .version = "1", .types = types, .n_types = 1};

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct qk_method *)a)->id, y = ((const struct qk_method *)b)->id;
    return x < y ? -1 : x > y;
}

static void setup(void)
{
    static const qk_handler_fn handlers[N_METHODS] = {on_note, on_call, on_send, on_timer, on_set, on_many, on_long};
    type.id = qk_fnv64(type.name);
    for (int i = 0; i < N_METHODS; i++)
        methods[i] = (struct qk_method){.id = qk_fnv32(names[i]),
                                        .type_id = type.id,
                                        .name = names[i],
                                        .request = &rt__number__descriptor,
                                        .reply = &rt__number__descriptor,
                                        .handler = handlers[i]};
    qsort(methods, N_METHODS, sizeof(methods[0]), compare);
    seen = 0;
    harness_init(&h, &plugin, NULL);
}

static void teardown(void)
{
    harness_finish(&h);
}

/* Calls with a context and runs; the status of the reply, its text in harness_text. */
static int call(int method, const uint8_t *context, size_t size, int64_t *ret_value)
{
    const struct qk_method *m = find(method);
    struct qk_port_frame *f = qk_port_frame_create(6 + size);
    f->kind = QK_PORT_CALL;
    f->type_id = m->type_id;
    f->method_id = m->id;
    f->key_len = 6;
    f->context_len = (uint32_t)size;
    memcpy(f->bytes, "caller", 6);
    memcpy(f->bytes + 6, context, size);
    qk_runtime_submit(h.rt, f);
    harness_run(&h);
    f = harness_reply(&h);
    ck_assert_ptr_nonnull(f);
    int status = f->status;
    snprintf(harness_text, sizeof(harness_text), "%.*s", (int)f->text_len, qk_port_frame_text(f));
    if (ret_value != NULL) {
        Rt__Number *n = rt__number__unpack(NULL, f->payload_len, qk_port_frame_payload(f));
        *ret_value = n->value;
        rt__number__free_unpacked(n, NULL);
    }
    qk_port_frame_destroy(f);
    return status;
}

static uint8_t *put(uint8_t *to, const char *name, const char *value)
{
    return qk_context_put_entry(to, name, strlen(name), value, strlen(value));
}

/* Calls with the usual context, or with a traceparent of the caller's besides. */
static int call_with(int method, const char *parent)
{
    uint8_t context[256], *end = put(put(context, "tenant", "seven"), "correlation-id", "c-1");
    end = qk_context_put_parent(end, parent, strlen(parent));
    return call(method, context, (size_t)(end - context), NULL);
}

START_TEST(test_context_none_where_none_was_given)
{
    ck_assert_int_eq(call(CALL, (const uint8_t *)"", 0, NULL), 0);
    ck_assert_int_eq(seen, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_str_eq(seen_parent[i], "none");
        ck_assert_str_eq(seen_tenant[i], "none");
        ck_assert_str_eq(seen_id[i], "none");
    }
}
END_TEST

START_TEST(test_context_goes_with_calls_sends_and_timers)
{
    static const int ways[] = {CALL, SEND, TIMER};
    for (int i = 0; i < 3; i++) {
        seen = 0;
        ck_assert_int_eq(call_with(ways[i], ""), 0);
        if (ways[i] == TIMER)
            harness_advance(&h, 11);
        ck_assert_int_eq(seen, 2);
        ck_assert_str_eq(seen_tenant[1], "seven");
        ck_assert_str_eq(seen_id[1], "c-1");
        ck_assert_str_eq(seen_parent[1], "none");
    }
    harness_advance(&h, 10); /* the timer again */
    ck_assert_int_eq(seen, 3);
    ck_assert_str_eq(seen_tenant[2], "seven");
}
END_TEST

START_TEST(test_context_each_turn_is_a_span_of_the_trace)
{
    static const char *const parents[] = {PARENT, UNTAKEN};
    for (int i = 0; i < 2; i++) {
        seen = 0;
        ck_assert_int_eq(call_with(CALL, parents[i]), 0);
        ck_assert_int_eq(seen, 2);
        for (int k = 0; k < 2; k++) {
            ck_assert_uint_eq(strlen(seen_parent[k]), QK_TRACEPARENT_LEN);
            ck_assert_int_eq(strncmp(seen_parent[k], PARENT, 36), 0);
            ck_assert_str_eq(seen_parent[k] + 52, parents[i] + 52);
            ck_assert_str_ne(seen_parent[k], parents[i]);
        }
        ck_assert_str_ne(seen_parent[0], seen_parent[1]);
    }
}
END_TEST

START_TEST(test_context_what_a_turn_sets_goes_on_from_there)
{
    ck_assert_int_eq(call_with(SET, PARENT), 0);
    ck_assert_int_eq(seen, 3);
    ck_assert_str_eq(seen_tenant[0], "eight");
    ck_assert_str_eq(seen_tenant[1], "none");
    ck_assert_str_eq(seen_id[1], "c-1");
    ck_assert_str_eq(seen_parent[2] + 52, "-00");
    /* Nothing of it comes back to the next request. */
    seen = 0;
    ck_assert_int_eq(call_with(CALL, ""), 0);
    ck_assert_str_eq(seen_tenant[1], "seven");
    seen = 0;
    ck_assert_int_eq(call(SET, (const uint8_t *)"", 0, NULL), 0);
    ck_assert_str_eq(seen_tenant[0], "eight");
    ck_assert_str_eq(seen_tenant[1], "none");
}
END_TEST

START_TEST(test_context_bounds_of_what_a_turn_sets)
{
    int64_t n = 0;
    ck_assert_int_eq(call(MANY, (const uint8_t *)"", 0, &n), 0);
    ck_assert_int_eq(n, QK_CONTEXT_ENTRIES_MAX);
    ck_assert_int_eq(call(LONG, (const uint8_t *)"", 0, NULL), 0);
}
END_TEST

static void refused(const uint8_t *context, const uint8_t *end, const char *text)
{
    ck_assert_int_eq(call(NOTE, context, (size_t)(end - context), NULL), QK_EINVALID);
    ck_assert_str_eq(harness_text, text);
    ck_assert_int_eq(seen, 0);
}

START_TEST(test_context_bounds_of_what_comes_in)
{
    static char value[QK_CONTEXT_BYTES_MAX + 1];
    uint8_t context[QK_CONTEXT_PACKED_MAX + 64], *end = context;
    for (int i = 0; i < QK_CONTEXT_ENTRIES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "e%d", i);
        end = put(end, name, "");
    }
    ck_assert_int_eq(call(NOTE, context, (size_t)(end - context), NULL), 0);
    seen = 0;
    refused(context, put(end, "x", ""), "a context has 32 entries at most");
    memset(value, 'v', QK_CONTEXT_BYTES_MAX - 1);
    end = put(context, "x", value);
    ck_assert_int_eq(call(NOTE, context, (size_t)(end - context), NULL), 0);
    seen = 0;
    refused(context, put(end, "y", ""), "the names and values of a context have 4,096 bytes at most");
    refused(context, put(put(context, "a", "1"), "a", "2"), "a context has two entries of one name");
    refused(context, put(context, "", "1"), "the name of a context entry has 1 to 64 bytes");
    refused(context, put(context, "A", "1"),
            "the name of a context entry has the letters a-z, 0-9, '-', '_' and '.' only");
    refused(context, put(context, "a", "\x1b[2J"), "the value of a context entry has a control character");
    refused(context, put(context, "traceparent", PARENT),
            "traceparent is a member of its own in a context, and no entry");
    refused(context, qk_context_put_parent(context, "00-x", 4), QK_CONTEXT_WRONG_PARENT);
    context[0] = 0xff;
    refused(context, context + 1, "the context does not parse");
}
END_TEST

START_TEST(test_context_traceparents)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {PARENT, true},
        {"01-0123456789abcdef0123456789abcdef-00000000000000aa-03-more", true},
        {"01-0123456789abcdef0123456789abcdef-00000000000000aa-03", true},
        {"01-0123456789abcdef0123456789abcdef-00000000000000aa-03more", false},
        {PARENT "-more", false},
        {"ff-0123456789abcdef0123456789abcdef-00000000000000aa-01", false},
        {"00-00000000000000000000000000000000-00000000000000aa-01", false},
        {"00-0123456789abcdef0123456789abcdef-0000000000000000-01", false},
        {"00-0123456789ABCDEF0123456789abcdef-00000000000000aa-01", false},
        {"00_0123456789abcdef0123456789abcdef-00000000000000aa-01", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct qk_trace trace;
        char text[QK_TRACEPARENT_LEN + 1];
        ck_assert_int_eq(qk_trace_parse(cases[i].text, strlen(cases[i].text), &trace), cases[i].good);
        if (!cases[i].good)
            continue;
        qk_trace_format(&trace, text);
        ck_assert_str_eq(text, PARENT);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("context");
    TCase *tc = tcase_create("context");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_context_none_where_none_was_given);
    tcase_add_test(tc, test_context_goes_with_calls_sends_and_timers);
    tcase_add_test(tc, test_context_each_turn_is_a_span_of_the_trace);
    tcase_add_test(tc, test_context_what_a_turn_sets_goes_on_from_there);
    tcase_add_test(tc, test_context_bounds_of_what_a_turn_sets);
    tcase_add_test(tc, test_context_bounds_of_what_comes_in);
    tcase_add_test(tc, test_context_traceparents);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
