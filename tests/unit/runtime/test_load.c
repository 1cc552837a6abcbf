/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls that can't be done before their deadline are refused when they come. Turns take time on the test's clock. */
#include "harness.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include "base/fnv.h"
#include "rt.pb-c.h"

#define MS 1000000

static struct qk_method methods[2];
static const struct qk_method *method = &methods[0], *flood = &methods[1];
static struct harness h;
static int turns;

/* Takes as many microseconds as the request says. */
static int on_work(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)self, (void)rep;
    turns++;
    h.now_ns += ((const Rt__Number *)req)->value * 1000;
    return 0;
}

/* Sends so many messages to "b", which runs only when this turn waits; how many it got rid of. */
static int on_flood(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    Rt__Number none = RT__NUMBER__INIT;
    for (int64_t i = 0; i < ((const Rt__Number *)req)->value; i++) {
        int rc = qk_send(t, method, qk_ref("b"), &none.base);
        if (rc < 0)
            return qk_fail(t, rc, "%s", qk_error(t));
    }
    (void)rep;
    return 0;
}

static struct qk_type type;
static const struct qk_type *const type_list[] = {&type};
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "l", .version = "1", .types = type_list, .n_types = 1};

static void prepare(void)
{
    static const char *const names[] = {"Work", "Flood"};
    for (int i = 0; i < 2; i++)
        methods[i] = (struct qk_method){.id = qk_fnv32(names[i]),
                                        .type_id = qk_fnv64("l"),
                                        .name = names[i],
                                        .request = &rt__number__descriptor,
                                        .reply = &rt__number__descriptor,
                                        .handler = i == 0 ? on_work : on_flood};
    if (methods[0].id > methods[1].id) {
        struct qk_method first = methods[0];
        methods[0] = methods[1];
        methods[1] = first;
        method = &methods[1];
        flood = &methods[0];
    }
    type = (struct qk_type){.abi = QK_ABI_HEAD(struct qk_type),
                            .id = qk_fnv64("l"),
                            .name = "l",
                            .service = "rt.L",
                            .methods = methods,
                            .n_methods = 2};
    turns = 0;
}

static void setup(void)
{
    prepare();
    harness_init(&h, &plugin, NULL);
}

static void teardown(void)
{
    harness_finish(&h);
}

static void submit(const char *key, int64_t us, int64_t timeout_ms)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = us;
    harness_submit(&h, QK_PORT_CALL, method, key, &in.base, 1, timeout_ms);
}

struct outcome {
    int done, refused, late;
};

static struct outcome collect(void)
{
    struct outcome o = {0};
    struct qk_port_frame *f;
    while ((f = harness_reply(&h)) != NULL) {
        o.done += f->status == 0;
        o.refused += f->status == QK_EOVERLOADED;
        o.late += f->status == QK_ETIMEDOUT;
        qk_port_frame_destroy(f);
    }
    return o;
}

/* Turns of a millisecond, until the runtime knows. */
static void teach(int64_t us)
{
    for (int i = 0; i < 640; i++) {
        submit("teacher", us, 0);
        harness_run(&h);
    }
    struct outcome o = collect();
    ck_assert_int_eq(o.done, 640);
}

static void submit_many(int n, int actors, int64_t us, int64_t timeout_ms)
{
    for (int i = 0; i < n; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i % actors);
        submit(key, us, timeout_ms);
    }
}

START_TEST(test_load_takes_what_it_can_do_in_time)
{
    teach(1000);
    submit_many(500, 25, 1000, 50);
    int64_t before = h.now_ns;
    qk_runtime_step(h.rt);
    struct outcome soon = collect();
    ck_assert_int_ge(soon.refused, 440); /* at once, not after their deadline */
    ck_assert_int_le(h.now_ns - before, 3 * MS);
    harness_run(&h);
    struct outcome o = collect();
    ck_assert_int_eq(o.refused, 0);
    ck_assert_int_eq(o.late, 0);
    ck_assert_int_ge(soon.done + o.done, 35);
    ck_assert_int_eq(soon.done + o.done + soon.refused, 500);
    struct qk_runtime_stats stats;
    qk_runtime_stats(h.rt, &stats);
    ck_assert_uint_eq(stats.refused, (uint64_t)soon.refused);
}
END_TEST

/* Goes on at its full rate: as much as time allows is done, whatever comes. */
START_TEST(test_load_keeps_its_goodput)
{
    struct outcome sum = {0};
    teach(1000);
    int64_t begin = h.now_ns;
    for (int i = 0; h.now_ns < begin + 1000 * MS; i++) {
        submit_many(20, 16, 1000, 50); /* for each millisecond or two of work */
        qk_runtime_step(h.rt);
        struct outcome o = collect();
        sum.done += o.done;
        sum.late += o.late;
    }
    ck_assert_int_ge(sum.done, 900);
    ck_assert_int_le(sum.late, 10);
    harness_run(&h);
    collect();
    submit_many(20, 16, 1000, 50); /* and it is over at once */
    harness_run(&h);
    ck_assert_int_eq(collect().done, 20);
}
END_TEST

/* One actor's turns follow one another, however idle the workers are. */
START_TEST(test_load_of_one_actor)
{
    teach(1000);
    submit_many(100, 1, 1000, 50);
    harness_run(&h);
    struct outcome o = collect();
    ck_assert_int_eq(o.late, 0);
    ck_assert_int_ge(o.done, 35);
    ck_assert_int_le(o.done, 50);
}
END_TEST

START_TEST(test_load_refuses_nothing_that_is_fast)
{
    teach(1);
    submit_many(1000, 1, 0, 1);
    harness_run(&h);
    ck_assert_int_eq(collect().done, 1000);
}
END_TEST

/* One turn that took long does not make the rest hopeless. */
START_TEST(test_load_forgives_one_long_turn)
{
    teach(1);
    for (int i = 0; i < 64; i++) { /* one of them is timed */
        submit("a", 400000, 0);
        harness_run(&h);
        submit("a", 1, 0);
        harness_run(&h);
    }
    collect();
    teach(1);
    submit_many(1000, 10, 1, 20);
    harness_run(&h);
    ck_assert_int_eq(collect().done, 1000);
}
END_TEST

/* Where nothing waits a call is taken even if turns took longer than it has time: that may have changed. */
START_TEST(test_load_tries_where_nothing_waits)
{
    teach(100000);
    submit("b", 10, 20);
    harness_run(&h);
    struct outcome o = collect();
    ck_assert_int_eq(o.done, 1);
}
END_TEST

static int flood_with(int64_t n, uint32_t flags)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = n;
    prepare();
    type.mailbox_max = 8;
    type.flags = flags;
    harness_init(&h, &plugin, NULL);
    int rc = harness_call(&h, flood, "a", &in.base, NULL);
    harness_run(&h);
    harness_finish(&h);
    return rc;
}

START_TEST(test_load_full_mailbox_waits_or_refuses_as_the_type_says)
{
    ck_assert_int_eq(flood_with(20, 0), 0);
    ck_assert_int_eq(turns, 20);
    ck_assert_int_eq(flood_with(20, QK_TYPE_REFUSE_WHEN_FULL), QK_EOVERLOADED);
    ck_assert_str_eq(harness_text, "the actor's mailbox is full");
    ck_assert_int_eq(turns, 8);
    ck_assert_int_eq(flood_with(8, QK_TYPE_REFUSE_WHEN_FULL), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("load");
    TCase *c = tcase_create("load");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_load_takes_what_it_can_do_in_time);
    tcase_add_test(c, test_load_keeps_its_goodput);
    tcase_add_test(c, test_load_of_one_actor);
    tcase_add_test(c, test_load_refuses_nothing_that_is_fast);
    tcase_add_test(c, test_load_forgives_one_long_turn);
    tcase_add_test(c, test_load_tries_where_nothing_waits);
    suite_add_tcase(s, c);
    TCase *full = tcase_create("full");
    tcase_add_test(full, test_load_full_mailbox_waits_or_refuses_as_the_type_says);
    suite_add_tcase(s, full);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
