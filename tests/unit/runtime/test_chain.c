/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Call chains: what would wait for itself is refused, and what may interleave does. */
#include "harness.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "base/limits.h"
#include "rt.pb-c.h"

enum type { PLAIN, CHAIN, ALWAYS, READS, METHOD, N_TYPES };
enum method { BOUNCE, LOOK, HOLD, READ_HOLD, N_METHODS };

static const char *const type_names[N_TYPES] = {"plain", "chain", "always", "reads", "method"};
static const char *const method_names[N_METHODS] = {"Bounce", "Look", "Hold", "ReadHold"};
static struct qk_method methods[N_TYPES][N_METHODS];
static int running, most_running, inside, most_inside;

static const struct qk_method *find(int type, int method)
{
    for (int i = 0; i < N_METHODS; i++) {
        if (strcmp(methods[type][i].name, method_names[method]) == 0)
            return &methods[type][i];
    }
    abort();
}

static int type_of(qk_turn *t)
{
    /* The key tells the type: "chain:x". */
    struct qk_ref self = qk_self(t);
    for (int i = 0; i < N_TYPES; i++) {
        if (strncmp(self.key, type_names[i], strlen(type_names[i])) == 0)
            return i;
    }
    abort();
}

/* Calls the actor with the other key back and forth, `value` times. */
static int on_bounce(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    int64_t n = ((const Rt__Number *)req)->value;
    ((Rt__Number *)rep)->value = n;
    if (n == 0)
        return 0;
    char key[64];
    snprintf(key, sizeof(key), "%s", qk_self(t).key);
    key[strlen(key) - 1] = key[strlen(key) - 1] == 'a' ? 'b' : 'a';
    Rt__Number in = RT__NUMBER__INIT, out;
    in.value = n - 1;
    int rc = qk_call(t, find(type_of(t), BOUNCE), qk_ref(key), 0, &in.base, &out.base);
    if (rc < 0)
        return qk_fail(t, rc, "%s", qk_error(t));
    ((Rt__Number *)rep)->value = out.value + n;
    return 0;
}

static int on_look(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)req;
    ((Rt__Number *)rep)->value = ((Rt__State *)self)->count + inside;
    return 0;
}

/* Waits `value` times; counts how many turns are in it, and that no two run at the same time. */
static int on_hold(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    inside++;
    most_inside = inside > most_inside ? inside : most_inside;
    for (int64_t i = 0; i < ((const Rt__Number *)req)->value; i++) {
        running++;
        most_running = running > most_running ? running : most_running;
        running--;
        if (qk_yield(t) < 0)
            break;
    }
    ((Rt__Number *)rep)->value = inside;
    inside--;
    return 0;
}

static struct qk_type types[N_TYPES];
static const struct qk_type *type_list[N_TYPES];
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "chains", .version = "1", .types = type_list, .n_types = N_TYPES};

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct qk_method *)a)->id, y = ((const struct qk_method *)b)->id;
    return x < y ? -1 : x > y;
}

static void build(void)
{
    static const qk_handler_fn handlers[N_METHODS] = {on_bounce, on_look, on_hold, on_hold};
    static const uint32_t flags[N_TYPES] = {0, QK_TYPE_INTERLEAVE_CHAIN, QK_TYPE_INTERLEAVE_ALWAYS,
                                            QK_TYPE_INTERLEAVE_READS, 0};
    for (int i = 0; i < N_TYPES; i++) {
        for (int k = 0; k < N_METHODS; k++) {
            bool read = k == LOOK || k == READ_HOLD;
            methods[i][k] = (struct qk_method){.id = qk_fnv32(method_names[k]),
                                               .type_id = qk_fnv64(type_names[i]),
                                               .flags = read ? QK_METHOD_READ_ONLY : 0,
                                               .name = method_names[k],
                                               .request = &rt__number__descriptor,
                                               .reply = &rt__number__descriptor,
                                               .handler = handlers[k]};
            if (i == METHOD && k == LOOK)
                methods[i][k].flags |= QK_METHOD_INTERLEAVE_ALWAYS;
        }
        qsort(methods[i], N_METHODS, sizeof(methods[i][0]), compare);
        types[i] = (struct qk_type){.abi = QK_ABI_HEAD(struct qk_type),
                                    .id = qk_fnv64(type_names[i]),
                                    .name = type_names[i],
                                    .service = "rt.Chain",
                                    .state = &rt__state__descriptor,
                                    .methods = methods[i],
                                    .n_methods = N_METHODS,
                                    .flags = flags[i]};
        type_list[i] = &types[i];
    }
}

static struct harness h;

static void setup(void)
{
    running = most_running = inside = most_inside = 0;
    build();
    harness_init(&h, &plugin, NULL);
}

static void teardown(void)
{
    harness_finish(&h);
}

static int call(int type, int method, const char *key, int64_t value, int64_t *ret_value)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = value;
    ProtobufCMessage *out = NULL;
    int rc = harness_call(&h, find(type, method), key, &in.base, &out);
    if (out != NULL) {
        if (ret_value != NULL)
            *ret_value = ((Rt__Number *)out)->value;
        protobuf_c_message_free_unpacked(out, NULL);
    }
    return rc;
}

static void submit(int type, int method, const char *key, int64_t value, uint64_t id)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = value;
    harness_submit(&h, QK_PORT_CALL, find(type, method), key, &in.base, id, 0);
}

/* Takes one reply; its call's id. */
static uint64_t next_reply(void)
{
    struct qk_port_frame *f = harness_reply(&h);
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(f->status, 0);
    uint64_t id = f->call_id;
    qk_port_frame_destroy(f);
    return id;
}

START_TEST(test_chain_return_is_refused_with_the_chain)
{
    int64_t v;
    ck_assert_int_eq(call(PLAIN, BOUNCE, "plain:a", 1, &v), 0);
    ck_assert_int_eq(call(PLAIN, BOUNCE, "plain:a", 2, &v), QK_EREENTRANT);
    ck_assert_str_eq(harness_text, "the call would wait for itself: plain/plain:a -> plain/plain:b -> plain/plain:a");
}
END_TEST

START_TEST(test_chain_return_interleaves_where_the_type_allows)
{
    int64_t v;
    ck_assert_int_eq(call(CHAIN, BOUNCE, "chain:a", 10, &v), 0);
    ck_assert_int_eq(v, 55);
    ck_assert_int_eq(call(ALWAYS, BOUNCE, "always:a", 10, &v), 0);
    ck_assert_int_eq(v, 55);
    ck_assert_int_eq(call(READS, BOUNCE, "reads:a", 10, &v), QK_EREENTRANT);
}
END_TEST

START_TEST(test_chain_length_is_bounded)
{
    int64_t v;
    ck_assert_int_eq(call(CHAIN, BOUNCE, "chain:a", QK_CHAIN_MAX, &v), 0);
    ck_assert_int_eq(call(CHAIN, BOUNCE, "chain:a", QK_CHAIN_MAX + 1, &v), QK_ETOOBIG);
}
END_TEST

START_TEST(test_chain_others_wait_where_only_the_chain_interleaves)
{
    submit(CHAIN, HOLD, "chain:a", 20, 1);
    submit(CHAIN, HOLD, "chain:a", 1, 2);
    submit(CHAIN, LOOK, "chain:a", 1, 3);
    harness_run(&h);
    for (uint64_t id = 1; id <= 3; id++)
        ck_assert_uint_eq(next_reply(), id);
    ck_assert_int_eq(most_inside, 1);
}
END_TEST

START_TEST(test_chain_always_interleaves_and_never_runs_two_at_once)
{
    for (uint64_t id = 1; id <= 50; id++)
        submit(ALWAYS, HOLD, "always:a", (int64_t)(51 - id), id);
    harness_run(&h);
    uint64_t last = next_reply();
    ck_assert_uint_ne(last, 1); /* the shortest is over before the longest */
    for (int i = 1; i < 50; i++)
        next_reply();
    ck_assert_int_gt(most_inside, 10);
    ck_assert_int_eq(most_running, 1);
}
END_TEST

START_TEST(test_chain_reads_interleave_with_reads_only)
{
    submit(READS, READ_HOLD, "reads:a", 20, 1);
    submit(READS, READ_HOLD, "reads:a", 5, 2);
    submit(READS, HOLD, "reads:a", 5, 3);
    submit(READS, READ_HOLD, "reads:a", 5, 4);
    harness_run(&h);
    ck_assert_int_eq(most_inside, 3); /* the three reads; the other waits for them, and nothing waits for it */
    ck_assert_uint_eq(next_reply(), 2);
    ck_assert_uint_eq(next_reply(), 4);
    ck_assert_uint_eq(next_reply(), 1);
    ck_assert_uint_eq(next_reply(), 3);
    most_inside = 0;
    submit(READS, HOLD, "reads:a", 20, 5);
    submit(READS, READ_HOLD, "reads:a", 5, 6);
    harness_run(&h);
    ck_assert_uint_eq(next_reply(), 5);
    ck_assert_uint_eq(next_reply(), 6);
    ck_assert_int_eq(most_inside, 1);
}
END_TEST

START_TEST(test_chain_one_method_interleaves)
{
    submit(METHOD, HOLD, "method:a", 20, 1);
    submit(METHOD, HOLD, "method:a", 20, 2);
    submit(METHOD, LOOK, "method:a", 0, 3);
    harness_run(&h);
    ck_assert_uint_eq(next_reply(), 3);
    ck_assert_uint_eq(next_reply(), 1);
    ck_assert_uint_eq(next_reply(), 2);
    ck_assert_int_eq(most_inside, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("chain");
    TCase *c = tcase_create("chain");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_chain_return_is_refused_with_the_chain);
    tcase_add_test(c, test_chain_return_interleaves_where_the_type_allows);
    tcase_add_test(c, test_chain_length_is_bounded);
    tcase_add_test(c, test_chain_others_wait_where_only_the_chain_interleaves);
    tcase_add_test(c, test_chain_always_interleaves_and_never_runs_two_at_once);
    tcase_add_test(c, test_chain_reads_interleave_with_reads_only);
    tcase_add_test(c, test_chain_one_method_interleaves);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
