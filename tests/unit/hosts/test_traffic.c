/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a host may ask of others, and in whose name. */
#include "house.h"

#include "wire/context.h"

static struct qk_port_frame *frame_of(enum qk_port_kind kind, const char *type, const char *sender, bool record)
{
    struct qk_port_frame *f = qk_port_frame_create(256);
    f->kind = kind;
    f->call_id = 5;
    f->type_id = qk_fnv64(type);
    f->store = QK_STORE_READ;
    f->key_len = 1;
    f->bytes[0] = 'k';
    uint8_t *at = f->bytes + 1;
    if (record) {
        at = qk_context_put_record(at);
        f->context_len = 2;
    }
    if (sender != NULL) {
        f->sender_len = (uint32_t)strlen(sender) + 1;
        memcpy(at, sender, f->sender_len);
    }
    return f;
}

static void expect(struct qk_port_frame *frame, enum qk_port_kind kind, int32_t status)
{
    struct qk_hosts hosts;
    struct qk_hosted hosted;
    house_make(&hosts, &hosted);
    qk_traffic_pass(&hosted, frame);
    ck_assert_ptr_nonnull(routed);
    ck_assert_ptr_null(routed->next);
    ck_assert_int_eq(routed->kind, kind);
    ck_assert_int_eq(routed->status, status);
    ck_assert_uint_eq(routed->call_id, 5);
    qk_port_frame_destroy(routed);
}

START_TEST(test_traffic_is_in_its_own_name)
{
    expect(frame_of(QK_PORT_CALL, "else", "chair/a", false), QK_PORT_CALL, 0);
    expect(frame_of(QK_PORT_SEND, "else", "table/a/b", false), QK_PORT_SEND, 0);
    static const char *const forged[] = {"else/a", "chai/a", "chairs/a", "/a", "chair", "", NULL};
    for (int i = 0; forged[i] != NULL; i++) {
        expect(frame_of(QK_PORT_CALL, "else", forged[i], false), QK_PORT_REPLY, QK_EINVALID);
        expect(frame_of(QK_PORT_SEND, "else", forged[i], false), QK_PORT_REPLY, QK_EINVALID);
    }
    expect(frame_of(QK_PORT_CALL, "else", NULL, false), QK_PORT_REPLY, QK_EINVALID);
}
END_TEST

START_TEST(test_traffic_asks_for_no_recording)
{
    expect(frame_of(QK_PORT_CALL, "else", "chair/a", true), QK_PORT_REPLY, QK_EINVALID);
}
END_TEST

START_TEST(test_traffic_reaches_its_own_state_only)
{
    expect(frame_of(QK_PORT_STORE, "chair", NULL, false), QK_PORT_STORE, 0);
    expect(frame_of(QK_PORT_STORE, "else", NULL, false), QK_PORT_STORED, QK_EINVALID);
}
END_TEST

START_TEST(test_traffic_keeps_the_rest_of_a_chain)
{
    struct qk_hosts hosts;
    struct qk_hosted hosted;
    house_make(&hosts, &hosted);
    struct qk_port_frame *a = frame_of(QK_PORT_CALL, "else", "chair/a", false);
    struct qk_port_frame *b = frame_of(QK_PORT_STORE, "else", NULL, false);
    struct qk_port_frame *c = frame_of(QK_PORT_LOG, "else", NULL, false);
    struct qk_port_frame *d = frame_of(QK_PORT_REPLY, "else", NULL, false);
    a->next = b;
    b->next = c;
    c->next = d;
    c->text_len = 4;
    memcpy(c->bytes + 1, "line", 4);
    qk_traffic_pass(&hosted, a);
    static const enum qk_port_kind kinds[] = {QK_PORT_CALL, QK_PORT_STORED, QK_PORT_REPLY};
    for (int i = 0; i < 3; i++) {
        struct qk_port_frame *f = routed;
        ck_assert_ptr_nonnull(f);
        ck_assert_int_eq(f->kind, kinds[i]);
        routed = f->next;
        qk_port_frame_destroy(f);
    }
    ck_assert_ptr_null(routed);
    ck_assert_str_eq(logged, "line");
    ck_assert_str_eq(logged_type, ""); /* no type of its own */
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("traffic");
    TCase *tc = tcase_create("traffic");
    tcase_add_test(tc, test_traffic_is_in_its_own_name);
    tcase_add_test(tc, test_traffic_asks_for_no_recording);
    tcase_add_test(tc, test_traffic_reaches_its_own_state_only);
    tcase_add_test(tc, test_traffic_keeps_the_rest_of_a_chain);
    suite_add_tcase(s, tc);
    return s;
}

RUN_SUITE(suite)
