/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Turns that wait for room in a mailbox when their activation fails. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <quark/actor.h>
#include "base/fnv.h"
#include "harness.h"
#include "rt.pb-c.h"

enum method { PUSH, BOOM, HOLD, GIVE_UP, LOOK, N_METHODS };

static struct harness h;
static int holds;
static bool let_go, held; /* the turn that fills the mailbox may end; it has */

static void do_nothing(void *arg)
{
    (void)arg;
}

static struct qk_method methods[N_METHODS];

static int on_push(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    return qk_call(t, &methods[HOLD], qk_ref("s"), 0, req, rep);
}

static int on_boom(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    while (!held)
        ck_assert_int_eq(qk_offload(t, do_nothing, NULL), 0);
    qk_panic(t, "enough");
}

/* Calls an actor that waits for room, and leaves it alone when there is some. */
static int on_give_up(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    struct qk_pending *p;
    (void)self, (void)rep;
    int rc = qk_begin(t, &methods[PUSH], qk_ref("w"), 0, req, &p);
    while (rc == 0 && !held)
        rc = qk_offload(t, do_nothing, NULL);
    return rc;
}

/* Its worker hears there of who waits no longer. */
static int on_look(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    int rc = 0;
    while (rc == 0 && !held)
        rc = qk_offload(t, do_nothing, NULL);
    return rc == 0 ? qk_cancelled(t) : rc;
}

static int on_hold(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    holds++;
    while (!let_go)
        ck_assert_int_eq(qk_offload(t, do_nothing, NULL), 0);
    held = true;
    return 0;
}

static struct qk_type types[] = {{.abi = QK_ABI_HEAD(struct qk_type),
                                  .name = "open",
                                  .service = "rt.O",
                                  .methods = methods,
                                  .n_methods = 2,
                                  .flags = QK_TYPE_INTERLEAVE_ALWAYS},
                                 {.abi = QK_ABI_HEAD(struct qk_type),
                                  .name = "sink",
                                  .service = "rt.S",
                                  .methods = &methods[HOLD],
                                  .n_methods = 1,
                                  .mailbox_max = 1},
                                 {.abi = QK_ABI_HEAD(struct qk_type),
                                  .name = "guest",
                                  .service = "rt.G",
                                  .methods = &methods[GIVE_UP],
                                  .n_methods = 2}};
static const struct qk_type *const type_list[] = {&types[0], &types[1], &types[2]};
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "r", .version = "1", .types = type_list, .n_types = 3};

static void setup(void)
{
    static const char *const names[] = {"Push", "Boom", "Hold", "GiveUp", "Look"};
    static const qk_handler_fn handlers[] = {on_push, on_boom, on_hold, on_give_up, on_look};
    for (int i = 0; i < N_METHODS; i++) {
        struct qk_type *type = &types[i == HOLD ? 1 : i > HOLD ? 2 : 0];
        type->id = qk_fnv64(type->name);
        methods[i] = (struct qk_method){.id = (uint32_t)i + 1,
                                        .type_id = type->id,
                                        .name = names[i],
                                        .request = &rt__number__descriptor,
                                        .reply = &rt__number__descriptor,
                                        .handler = handlers[i]};
    }
    holds = 0;
    let_go = held = false;
    harness_init(&h, &plugin, NULL);
}

static void teardown(void)
{
    harness_finish(&h);
}

/* Has a turn fill the mailbox, then the others wait for it, each longer than those before it. */
static void crowd(const enum method *others, const char *const *keys, int n)
{
    harness_submit(&h, QK_PORT_CALL, &methods[HOLD], "s", NULL, 1, 0);
    qk_runtime_step(h.rt);
    for (int i = 0; i < n; i++) {
        harness_submit(&h, QK_PORT_CALL, &methods[others[i]], keys[i], NULL, (uint64_t)i + 2, 0);
        qk_runtime_step(h.rt);
    }
    qk_runtime_step(h.rt);
    ck_assert_int_eq(holds, 1);
    let_go = true;
    harness_run(&h);
}

static void expect(int n, const int *status)
{
    for (int i = 0; i < n; i++) {
        struct qk_port_frame *f = harness_reply(&h);
        ck_assert_ptr_nonnull(f);
        ck_assert_int_eq(f->status, status[f->call_id - 1]);
        qk_port_frame_destroy(f);
    }
}

/* There is room at last, and in the same moment the activation fails: its turn ends, and makes no call any more. The
 * room is for who waits behind it. */
START_TEST(test_room_for_a_turn_of_an_activation_that_has_failed)
{
    crowd((enum method[]){PUSH, PUSH, BOOM}, (const char *[]){"o", "p", "o"}, 3);
    ck_assert_int_eq(holds, 2);
    expect(4, (int[]){0, QK_ECRASHED, 0, QK_ECRASHED});
}
END_TEST

/* Likewise when its caller has let go of it. */
START_TEST(test_room_for_a_turn_that_nobody_waits_for)
{
    crowd((enum method[]){GIVE_UP, LOOK, PUSH}, (const char *[]){"g", "l", "p"}, 3);
    ck_assert_int_eq(holds, 2);
    expect(4, (int[]){0, 0, 0, 0});
}
END_TEST

int main(void)
{
    Suite *s = suite_create("room");
    TCase *tc = tcase_create("room");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_room_for_a_turn_of_an_activation_that_has_failed);
    tcase_add_test(tc, test_room_for_a_turn_that_nobody_waits_for);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
