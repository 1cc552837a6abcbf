/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stored state: loaded before the first turn, saved with versions, over a store that the test plays. */
#include "harness.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "rt.pb-c.h"

enum method { ADD, GET, SAVE, CLEAR, RELOAD, QUIT, N_METHODS };
enum kind { EAGER, LAZY, UNSTORED, MIXED, N_KINDS };

static const char *const names[N_METHODS] = {"Add", "Get", "Save", "Clear", "Reload", "Quit"};
static const char *const kind_names[N_KINDS] = {"eager", "lazy", "unstored", "mixed"};
static struct qk_method methods[N_KINDS][N_METHODS];
static struct harness h;

/* ---- a store of one actor */

static uint8_t stored[256];
static size_t stored_size;
static uint64_t stored_version;
static int operations, fail_with;
static struct qk_port_frame *held; /* an operation that is not answered yet */
static bool hold;

static void answer(struct qk_port_frame *f)
{
    struct qk_port_frame *a = qk_port_frame_create(512);
    a->kind = QK_PORT_STORED;
    a->origin = f->origin;
    a->call_id = f->call_id;
    a->status = fail_with;
    bool matches = f->version == stored_version;
    if (fail_with < 0) {
        a->text_len = (uint32_t)sprintf((char *)a->bytes, "the disk is on fire");
    } else if (f->store != QK_STORE_READ && !matches) {
        a->status = QK_ECONFLICT;
        a->text_len = (uint32_t)sprintf((char *)a->bytes, "version %d is stored", (int)stored_version);
    } else if (f->store == QK_STORE_READ) {
        memcpy(a->bytes, stored, stored_size);
        a->payload_len = (uint32_t)stored_size;
        a->version = stored_version;
    } else if (f->store == QK_STORE_WRITE) {
        stored_size = f->payload_len;
        memcpy(stored, qk_port_frame_payload(f), stored_size);
        a->version = ++stored_version;
    } else {
        stored_size = 0;
        a->version = stored_version = 0;
    }
    qk_port_frame_destroy(f);
    qk_runtime_submit(h.rt, a);
}

static void on_store(struct harness *harness, struct qk_port_frame *f)
{
    (void)harness;
    operations++;
    ck_assert_uint_eq(f->key_len, 1);
    if (hold)
        held = f;
    else
        answer(f);
}

/* ---- the actors */

static int kind_now;

static const struct qk_method *find(int method)
{
    for (int i = 0; i < N_METHODS; i++) {
        if (strcmp(methods[kind_now][i].name, names[method]) == 0)
            return &methods[kind_now][i];
    }
    abort();
}

static int result(qk_turn *t, int rc, Rt__State *s, ProtobufCMessage *rep)
{
    ((Rt__Number *)rep)->value = s->count;
    return rc < 0 ? qk_fail(t, rc, "%s", qk_error(t)) : 0;
}

static int on_add(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    Rt__State *s = self;
    s->count += ((const Rt__Number *)req)->value;
    ck_assert_int_eq(qk_set_string(&s->note, "a note that needs memory"), 0);
    return result(t, 0, s, rep);
}

static int on_get(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)req;
    return result(t, 0, self, rep);
}

static int on_save(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)req;
    return result(t, qk_state(t, QK_STATE_SAVE), self, rep);
}

static int on_clear(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)req;
    return result(t, qk_state(t, QK_STATE_CLEAR), self, rep);
}

static int on_reload(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)req;
    return result(t, qk_state(t, QK_STATE_LOAD), self, rep);
}

static int on_quit(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    qk_deactivate(t);
    return 0;
}

static struct qk_type types[N_KINDS];
static const struct qk_type *type_list[N_KINDS];
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "s", .version = "1", .types = type_list, .n_types = N_KINDS};

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct qk_method *)a)->id, y = ((const struct qk_method *)b)->id;
    return x < y ? -1 : x > y;
}

static void setup(void)
{
    static const qk_handler_fn handlers[N_METHODS] = {on_add, on_get, on_save, on_clear, on_reload, on_quit};
    stored_size = 0;
    stored_version = 0;
    operations = fail_with = 0;
    hold = false;
    held = NULL;
    for (int k = 0; k < N_KINDS; k++) {
        for (int i = 0; i < N_METHODS; i++)
            methods[k][i] = (struct qk_method){.id = qk_fnv32(names[i]),
                                               .type_id = qk_fnv64(kind_names[k]),
                                               .name = names[i],
                                               .request = &rt__number__descriptor,
                                               .reply = &rt__number__descriptor,
                                               .handler = handlers[i]};
        qsort(methods[k], N_METHODS, sizeof(methods[k][0]), compare);
        types[k] = (struct qk_type){.abi = QK_ABI_HEAD(struct qk_type),
                                    .id = qk_fnv64(kind_names[k]),
                                    .name = kind_names[k],
                                    .service = "rt.S",
                                    .state = &rt__state__descriptor,
                                    .methods = methods[k],
                                    .n_methods = N_METHODS,
                                    .flags = k == LAZY    ? QK_TYPE_LAZY_STATE
                                             : k == MIXED ? QK_TYPE_INTERLEAVE_ALWAYS | QK_TYPE_LAZY_STATE
                                                          : 0,
                                    .store = k == UNSTORED ? NULL : "memory"};
        type_list[k] = &types[k];
    }
    harness_init(&h, &plugin, NULL);
    h.on_store = on_store;
    kind_now = EAGER;
}

static void teardown(void)
{
    harness_finish(&h);
}

static int call(int method, int64_t value, int64_t *ret_value)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = value;
    ProtobufCMessage *out = NULL;
    int rc = harness_call(&h, find(method), "a", &in.base, &out);
    if (out != NULL) {
        if (ret_value != NULL)
            *ret_value = ((Rt__Number *)out)->value;
        protobuf_c_message_free_unpacked(out, NULL);
    }
    return rc;
}

static void forget(void)
{
    ck_assert_int_eq(call(QUIT, 0, NULL), 0);
    harness_run(&h);
}

START_TEST(test_state_outlives_its_activation)
{
    int64_t v;
    ck_assert_int_eq(call(ADD, 7, &v), 0);
    ck_assert_int_eq(call(SAVE, 0, &v), 0);
    ck_assert_uint_eq(stored_version, 1);
    ck_assert_int_eq(call(ADD, 1, &v), 0);
    ck_assert_int_eq(v, 8);
    forget();
    ck_assert_int_eq(call(GET, 0, &v), 0);
    ck_assert_int_eq(v, 7); /* what was not saved is gone */
    ck_assert_int_eq(call(ADD, 3, &v), 0);
    ck_assert_int_eq(call(SAVE, 0, &v), 0);
    ck_assert_uint_eq(stored_version, 2);
    ck_assert_int_eq(call(CLEAR, 0, &v), 0);
    ck_assert_int_eq(v, 0);
    forget();
    ck_assert_int_eq(call(GET, 0, &v), 0);
    ck_assert_int_eq(v, 0);
    ck_assert_int_eq(call(SAVE, 0, &v), 0);
}
END_TEST

START_TEST(test_state_conflict_changes_nothing)
{
    int64_t v;
    ck_assert_int_eq(call(ADD, 7, &v), 0);
    ck_assert_int_eq(call(SAVE, 0, &v), 0);
    stored_version = 9; /* somebody else */
    ck_assert_int_eq(call(ADD, 1, &v), 0);
    ck_assert_int_eq(call(SAVE, 0, &v), QK_ECONFLICT);
    ck_assert_str_eq(harness_text, "version 9 is stored");
    ck_assert_int_eq(call(GET, 0, &v), 0);
    ck_assert_int_eq(v, 8);
    ck_assert_int_eq(call(RELOAD, 0, &v), 0);
    ck_assert_int_eq(v, 7);
    ck_assert_int_eq(call(SAVE, 0, &v), 0);
    ck_assert_uint_eq(stored_version, 10);
}
END_TEST

START_TEST(test_state_load_that_fails_fails_the_call_and_is_tried_again)
{
    int64_t v;
    fail_with = QK_EUNAVAILABLE;
    ck_assert_int_eq(call(GET, 0, &v), QK_EACTIVATE);
    ck_assert_ptr_nonnull(strstr(harness_text, "the disk is on fire"));
    fail_with = 0;
    ck_assert_int_eq(call(GET, 0, &v), 0);
    ck_assert_int_eq(operations, 2);
    memcpy(stored, "\x08", 1); /* a varint without its value */
    stored_size = 1;
    stored_version = 1;
    forget();
    ck_assert_int_eq(call(GET, 0, &v), QK_EACTIVATE);
    ck_assert_ptr_nonnull(strstr(harness_text, "not a message of the state's type"));
}
END_TEST

START_TEST(test_state_lazy_is_loaded_on_demand)
{
    int64_t v;
    kind_now = LAZY;
    ck_assert_int_eq(call(ADD, 5, &v), 0);
    ck_assert_int_eq(operations, 0);
    ck_assert_int_eq(call(SAVE, 0, &v), 0);
    forget();
    ck_assert_int_eq(call(GET, 0, &v), 0);
    ck_assert_int_eq(v, 0);
    ck_assert_int_eq(call(RELOAD, 0, &v), 0);
    ck_assert_int_eq(v, 5);
}
END_TEST

START_TEST(test_state_of_a_type_without_store)
{
    int64_t v;
    kind_now = UNSTORED;
    ck_assert_int_eq(call(SAVE, 0, &v), QK_EINVALID);
    ck_assert_ptr_nonnull(strstr(harness_text, "names no `store`"));
}
END_TEST

START_TEST(test_state_slow_store_holds_the_turn_and_nothing_else)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = 1;
    hold = true;
    harness_submit(&h, QK_PORT_CALL, find(ADD), "a", &in.base, 1, 0);
    harness_run(&h);
    ck_assert_ptr_nonnull(held);
    kind_now = UNSTORED;
    int64_t v;
    ck_assert_int_eq(call(ADD, 2, &v), 0);
    hold = false;
    answer(held);
    harness_run(&h);
    struct qk_port_frame *f = harness_reply(&h);
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(f->status, 0);
    qk_port_frame_destroy(f);
}
END_TEST

/* Turns that interleave save at the same time: the second save waits for the first, and is no conflict. */
START_TEST(test_state_operations_of_one_activation_go_one_after_another)
{
    Rt__Number in = RT__NUMBER__INIT;
    int64_t v;
    kind_now = MIXED;
    ck_assert_int_eq(call(ADD, 5, &v), 0);
    hold = true;
    static const enum method methods_in_order[] = {SAVE, SAVE, CLEAR, SAVE};
    for (uint64_t i = 0; i < 4; i++)
        harness_submit(&h, QK_PORT_CALL, find(methods_in_order[i]), "a", &in.base, 100 + i, 0);
    for (int i = 0; i < 4; i++) {
        held = NULL;
        harness_run(&h);
        ck_assert_ptr_nonnull(held);
        ck_assert_int_eq(operations, i + 1);
        answer(held);
    }
    harness_run(&h);
    for (int i = 0; i < 4; i++) {
        struct qk_port_frame *f = harness_reply(&h);
        ck_assert_ptr_nonnull(f);
        ck_assert_int_eq(f->status, 0);
        qk_port_frame_destroy(f);
    }
    ck_assert_uint_eq(stored_version, 1); /* after the clear */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("state");
    TCase *c = tcase_create("state");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_state_outlives_its_activation);
    tcase_add_test(c, test_state_conflict_changes_nothing);
    tcase_add_test(c, test_state_load_that_fails_fails_the_call_and_is_tried_again);
    tcase_add_test(c, test_state_lazy_is_loaded_on_demand);
    tcase_add_test(c, test_state_of_a_type_without_store);
    tcase_add_test(c, test_state_slow_store_holds_the_turn_and_nothing_else);
    tcase_add_test(c, test_state_operations_of_one_activation_go_one_after_another);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
