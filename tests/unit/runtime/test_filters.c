/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Call filters: their order, what they see and may do, for a type and for all of the silo. */
#include "harness.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "base/limits.h"
#include "rt.pb-c.h"

enum method { ADD, CALL, SEND, BEGIN, TIMER, N_METHODS };

static const char *const names[N_METHODS] = {"Add", "Call", "Send", "Begin", "Timer"};
static struct qk_method methods[N_METHODS];
static struct harness h;
static char story[1024];
static char refuse_at[16]; /* the filter that refuses */
static bool forget, twice, calls, spoil;

static const struct qk_method *find(int method)
{
    for (int i = 0; i < N_METHODS; i++) {
        if (strcmp(methods[i].name, names[method]) == 0)
            return &methods[i];
    }
    abort();
}

static void tell(const char *text)
{
    size_t n = strlen(story);
    snprintf(story + n, sizeof(story) - n, "%s ", text);
}

static int on_add(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    const char *set = qk_context(t, "set");
    tell(set != NULL ? set : "add");
    ((Rt__Number *)rep)->value = ((const Rt__Number *)req)->value + 1;
    return 0;
}

static int on_call(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    int rc = qk_call(t, find(ADD), qk_ref("b"), 0, req, rep);
    ck_assert_ptr_null(qk_context(t, "set")); /* a filter set it for the call only */
    return rc < 0 ? qk_fail(t, rc, "%s", qk_error(t)) : rc;
}

static int on_send(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    return qk_send(t, find(ADD), qk_ref("b"), req);
}

static int on_begin(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    struct qk_pending *p;
    int rc = qk_begin(t, find(ADD), qk_ref("b"), 0, req, &p);
    return rc < 0 ? rc : qk_await(t, p, rep);
}

static int on_timer(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    return qk_timer_start(t, find(ADD), 1, 0, 0, req, NULL);
}

/* What every filter of the tests does, under its name. */
static int pass(qk_turn *t, struct qk_filtered *f, const char *name)
{
    static const char *const kinds[] = {"", "", "(send)", "(tick)", "(begin)"};
    char text[64];
    snprintf(text, sizeof(text), "<%s%s", name, kinds[f->kind]);
    tell(text);
    ck_assert_str_eq(f->type, "filtered");
    ck_assert_ptr_null(f->reply);
    ck_assert_int_eq(((const Rt__Number *)f->request)->value, 4);
    if (strcmp(refuse_at, name) == 0)
        return qk_fail(t, QK_EDENIED, "%s does not let %.*s %s", name, (int)f->to.key_len, f->to.key, f->method->name);
    if (forget)
        return 0;
    int rc = qk_next(t, f);
    if (f->reply != NULL)
        ck_assert_int_eq(((const Rt__Number *)f->reply)->value, 5);
    if (twice)
        ck_assert_int_eq(qk_next(t, f), QK_ESTATE);
    snprintf(text, sizeof(text), "%s>", name);
    tell(text);
    return spoil ? QK_APP(1) : rc;
}

static int type_in(qk_turn *t, struct qk_filtered *f)
{
    return f->method == find(ADD) ? pass(t, f, "in") : qk_next(t, f);
}

static int type_out(qk_turn *t, struct qk_filtered *f)
{
    if (calls) {
        Rt__Number out;
        int rc = qk_call(t, find(ADD), qk_ref("c"), 0, f->request, &out.base);
        if (rc < 0)
            return rc;
    }
    int rc = qk_set_context(t, "set", "by-filter");
    return rc < 0 ? rc : pass(t, f, "out");
}

static int silo_in(qk_turn *t, struct qk_filtered *f)
{
    return f->method == find(ADD) ? pass(t, f, "silo-in") : qk_next(t, f);
}

static int silo_out(qk_turn *t, struct qk_filtered *f)
{
    return pass(t, f, "silo-out");
}

static const struct qk_filter of_type = {QK_ABI_HEAD(struct qk_filter), "type", type_in, type_out};
static const struct qk_filter of_silo = {QK_ABI_HEAD(struct qk_filter), "silo", silo_in, silo_out};
static const struct qk_filter empty = {QK_ABI_HEAD(struct qk_filter), "empty", NULL, NULL};
static const struct qk_filter *filters[QK_FILTERS_MAX + 1] = {&of_type};
static const struct qk_filter *silo_filters[QK_FILTERS_MAX + 1] = {&of_silo};

static struct qk_type type = {
    .abi = QK_ABI_HEAD(struct qk_type),
    .name = "filtered",
    .service = "rt.Filtered",
    .methods = methods,
    .n_methods = N_METHODS,
    .filters = filters,
};
static const struct qk_type *const types[] = {&type};
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "filtered", .version = "1", .types = types, .n_types = 1};
static const struct qk_plugin silo_plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "audit", .version = "1", .filters = silo_filters, .n_filters = 1};

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct qk_method *)a)->id, y = ((const struct qk_method *)b)->id;
    return x < y ? -1 : x > y;
}

static void setup(void)
{
    static const qk_handler_fn handlers[N_METHODS] = {on_add, on_call, on_send, on_begin, on_timer};
    type.id = qk_fnv64(type.name);
    for (int i = 0; i < N_METHODS; i++)
        methods[i] = (struct qk_method){.id = qk_fnv32(names[i]),
                                        .type_id = type.id,
                                        .name = names[i],
                                        .request = &rt__number__descriptor,
                                        .reply = &rt__number__descriptor,
                                        .handler = handlers[i]};
    qsort(methods, N_METHODS, sizeof(methods[0]), compare);
    story[0] = refuse_at[0] = '\0';
    forget = twice = calls = spoil = false;
    type.n_filters = 1;
    harness_init(&h, &plugin, NULL);
}

static void teardown(void)
{
    harness_finish(&h);
}

static void add_silo_filter(void)
{
    char text[256];
    ck_assert_int_eq(qk_runtime_add_plugin(h.rt, &silo_plugin, text, sizeof(text)), 0);
}

static void expect(int method, int status, const char *what)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = 4;
    story[0] = '\0';
    ck_assert_int_eq(harness_call(&h, find(method), "a", &in.base, NULL), status);
    ck_assert_str_eq(story, what);
}

START_TEST(test_filters_run_in_order)
{
    expect(ADD, 0, "<in add in> ");
    expect(CALL, 0, "<out <in by-filter in> out> ");
    expect(SEND, 0, "<out(send) out> <in(send) by-filter in> ");
    expect(BEGIN, 0, "<out(begin) out> <in by-filter in> ");
    expect(TIMER, 0, "");
    harness_advance(&h, 3);
    ck_assert_str_eq(story, "<in(tick) add in> ");
    add_silo_filter();
    expect(ADD, 0, "<silo-in <in add in> silo-in> ");
    expect(CALL, 0, "<silo-out <out <silo-in <in by-filter in> silo-in> out> silo-out> ");
}
END_TEST

START_TEST(test_filters_refuse)
{
    add_silo_filter();
    strcpy(refuse_at, "in");
    expect(ADD, QK_EDENIED, "<silo-in <in silo-in> ");
    ck_assert_str_eq(harness_text, "in does not let a Add");
    expect(CALL, QK_EDENIED, "<silo-out <out <silo-in <in silo-in> out> silo-out> ");
    ck_assert_str_eq(harness_text, "in does not let b Add");
    strcpy(refuse_at, "silo-out");
    expect(CALL, QK_EDENIED, "<silo-out ");
    ck_assert_str_eq(harness_text, "silo-out does not let b Add");
    expect(SEND, QK_EDENIED, "<silo-out(send) ");
    expect(BEGIN, QK_EDENIED, "<silo-out(begin) ");
    refuse_at[0] = '\0';
    spoil = true;
    expect(ADD, QK_APP(1), "<silo-in <in add in> silo-in> ");
}
END_TEST

START_TEST(test_filters_go_on_once)
{
    twice = true;
    expect(CALL, 0, "<out <in by-filter in> out> ");
    forget = true;
    expect(ADD, QK_ESTATE, "<in ");
    ck_assert_str_eq(harness_text, "a filter has neither gone on nor refused");
    expect(CALL, QK_ESTATE, "<out ");
}
END_TEST

START_TEST(test_filters_make_calls_that_are_not_filtered)
{
    calls = true;
    expect(CALL, 0, "<in add in> <out <in by-filter in> out> ");
}
END_TEST

static void refused(const struct qk_plugin *p, const char *text)
{
    char got[256] = "";
    struct qk_runtime *rt;
    struct qk_runtime_config config;
    harness_configure(&h, &config);
    ck_assert_int_eq(qk_runtime_create(&config, &rt), 0);
    ck_assert_int_eq(qk_runtime_add_plugin(rt, p, got, sizeof(got)), QK_EINVALID);
    ck_assert_str_eq(got, text);
    ck_assert_int_eq(qk_runtime_destroy(rt), 0);
}

START_TEST(test_filters_are_checked)
{
    char text[256];
    struct qk_plugin many = silo_plugin;
    for (int i = 0; i <= QK_FILTERS_MAX; i++)
        filters[i] = silo_filters[i] = &of_silo;
    many.n_filters = QK_FILTERS_MAX + 1;
    refused(&many, "the descriptor of plugin audit is damaged: it has more than 16 filters");
    type.n_filters = QK_FILTERS_MAX + 1;
    refused(&plugin, "the descriptor of type filtered is damaged: it has more than 16 filters");
    filters[0] = &empty;
    type.n_filters = 1;
    refused(
        &plugin,
        "the descriptor of type filtered is damaged: a filter has no name, no function, or is of another interface");
    filters[0] = &of_type;
    many.n_filters = QK_FILTERS_MAX;
    for (int i = 0; i < QK_SILO_FILTERS_MAX / QK_FILTERS_MAX; i++)
        ck_assert_int_eq(qk_runtime_add_plugin(h.rt, &many, text, sizeof(text)), 0);
    many.n_filters = 1;
    ck_assert_int_eq(qk_runtime_add_plugin(h.rt, &many, text, sizeof(text)), QK_EINVALID);
    /* A plugin that was built before there were filters. */
    many.abi.size = offsetof(struct qk_plugin, filters);
    ck_assert_int_eq(qk_runtime_add_plugin(h.rt, &many, text, sizeof(text)), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("filters");
    TCase *tc = tcase_create("filters");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_filters_run_in_order);
    tcase_add_test(tc, test_filters_refuse);
    tcase_add_test(tc, test_filters_go_on_once);
    tcase_add_test(tc, test_filters_make_calls_that_are_not_filtered);
    tcase_add_test(tc, test_filters_are_checked);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
