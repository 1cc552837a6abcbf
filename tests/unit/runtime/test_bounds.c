/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Each bound of the runtime, at the limit and one past it. */
#include "actors.h"
#include "harness.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "base/limits.h"
#include "rt.pb-c.h"

static struct harness h;

static void submit(enum qk_port_kind kind, int method, const char *key, uint64_t id)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = 1;
    harness_submit(&h, kind, actors_method(method), key, &in.base, id, 0);
}

static int call(int method, const char *key, int64_t value)
{
    Rt__Number in = RT__NUMBER__INIT;
    in.value = value;
    return harness_call(&h, actors_method(method), key, &in.base, NULL);
}

/* Counts the replies by status and takes them all. */
static unsigned count_replies(int status)
{
    unsigned n = 0;
    struct qk_port_frame *f;
    while ((f = harness_reply(&h)) != NULL) {
        n += f->status == status;
        qk_port_frame_destroy(f);
    }
    return n;
}

static void two_activations(struct qk_runtime_config *config)
{
    config->activations_max = 2;
}

START_TEST(test_bounds_activations)
{
    harness_init(&h, &actors_plugin, two_activations);
    ck_assert_int_eq(call(M_ADD, "a", 1), 0);
    ck_assert_int_eq(call(M_ADD, "b", 1), 0);
    ck_assert_int_eq(call(M_ADD, "c", 1), QK_ENOMEMORY);
    ck_assert_int_eq(call(M_RELAY, "a", 1), QK_ENOMEMORY);
    ck_assert_int_eq(call(M_ADD, "a", 1), 0);
    ck_assert_int_eq(call(M_QUIT, "a", 0), 0);
    harness_run(&h);
    ck_assert_int_eq(call(M_ADD, "c", 1), 0);
    ck_assert_int_eq(call(M_ADD, "a", 1), QK_ENOMEMORY);
    harness_finish(&h);
}
END_TEST

static void three_fibers(struct qk_runtime_config *config)
{
    config->fibers_max = 3;
}

/* Three turns may be suspended; one more may run. */
START_TEST(test_bounds_suspended_turns)
{
    harness_init(&h, &actors_plugin, three_fibers);
    for (int i = 0; i < 6; i++)
        submit(QK_PORT_CALL, M_SLOW, (const char *[]){"a", "b", "c", "d", "e", "f"}[i], 1);
    for (int i = 0; i < 4; i++)
        qk_runtime_step(h.rt);
    struct qk_runtime_stats stats;
    qk_runtime_stats(h.rt, &stats);
    ck_assert_uint_eq(stats.fibers_suspended, 4);
    unsigned refused = 0;
    struct qk_port_frame *f;
    while ((f = harness_reply(&h)) != NULL) {
        ck_assert_int_eq(f->status, QK_EACTIVATE); /* no stack for on_activate */
        refused++;
        qk_port_frame_destroy(f);
    }
    ck_assert_uint_eq(refused, 2);
    h.now_ns += 20000000000;
    harness_run(&h);
    ck_assert_uint_eq(count_replies(0), 4);
    ck_assert_int_eq(call(M_ADD, "a", 1), 0);
    harness_finish(&h);
}
END_TEST

/* The message whose turn is suspended counts too. */
START_TEST(test_bounds_mailbox_counts_the_running_turn)
{
    harness_init(&h, &actors_plugin, NULL);
    submit(QK_PORT_CALL, M_SLOW, "a", 1);
    for (int i = 0; i < 3; i++)
        qk_runtime_step(h.rt);
    for (uint64_t i = 2; i <= 10; i++)
        submit(i % 2 == 0 ? QK_PORT_CALL : QK_PORT_SEND, M_ADD, "a", i);
    qk_runtime_step(h.rt);
    /* The sends in the mailbox are acknowledged; the last of the nine found it full. */
    unsigned acknowledged = 0, refused = 0;
    struct qk_port_frame *f;
    while ((f = harness_reply(&h)) != NULL) {
        acknowledged += f->status == 0;
        refused += f->status == QK_EOVERLOADED;
        if (f->status == QK_EOVERLOADED)
            ck_assert_int_ge((int)f->call_id, 9);
        qk_port_frame_destroy(f);
    }
    ck_assert_uint_eq(acknowledged, 3);
    ck_assert_uint_eq(refused, 2);
    harness_advance(&h, 11000);
    harness_finish(&h);
}
END_TEST

START_TEST(test_bounds_keys)
{
    char key[QK_KEY_MAX + 2];
    memset(key, 'k', sizeof(key));
    key[QK_KEY_MAX + 1] = '\0';
    harness_init(&h, &actors_plugin, NULL);
    ck_assert_int_eq(call(M_ADD, key, 1), QK_EINVALID);
    key[QK_KEY_MAX] = '\0';
    ck_assert_int_eq(call(M_ADD, key, 1), 0);
    ck_assert_int_eq(call(M_ADD, "", 1), QK_EINVALID);
    ck_assert_int_eq(call(M_ADD, "k", 1), 0);
    /* A caller's name of full length fits into the message. */
    ck_assert_int_eq(call(M_RELAY, key, 1), 0);
    harness_finish(&h);
}
END_TEST

START_TEST(test_bounds_error_text_is_cut)
{
    harness_init(&h, &actors_plugin, NULL);
    ck_assert_int_eq(call(M_LONG_ERROR, "a", QK_ERROR_TEXT_MAX), QK_APP(8));
    ck_assert_uint_eq(strlen(harness_text), QK_ERROR_TEXT_MAX);
    ck_assert_int_eq(call(M_LONG_ERROR, "a", QK_ERROR_TEXT_MAX + 1), QK_APP(8));
    ck_assert_uint_eq(strlen(harness_text), QK_ERROR_TEXT_MAX);
    harness_finish(&h);
}
END_TEST

/* Request and reply lie in the turn's arena too. */
START_TEST(test_bounds_turn_arena)
{
    harness_init(&h, &actors_plugin, NULL);
    ck_assert_int_eq(call(M_ALLOCATE, "a", QK_TURN_ARENA_MAX - (1 << 20)), 0);
    ck_assert_int_eq(call(M_ALLOCATE, "a", QK_TURN_ARENA_MAX + 1), QK_ENOMEMORY);
    ck_assert_int_eq(call(M_ALLOCATE, "a", 1), 0);
    harness_finish(&h);
}
END_TEST

static int lines;

static void count_line(void *arg, enum qk_log_level level, const char *type, const char *key, uint64_t request_id,
                       const char *text)
{
    (void)arg, (void)level, (void)type, (void)key, (void)request_id, (void)text;
    lines++;
}

static void with_log(struct qk_runtime_config *config)
{
    config->log = count_line;
}

/* What a turn logs takes nothing from its arena. */
START_TEST(test_bounds_log_lines_of_a_turn)
{
    harness_init(&h, &actors_plugin, with_log);
    lines = 0;
    ck_assert_int_eq(call(M_LOG, "a", 40000), 0);
    ck_assert_int_eq(lines, 40000);
    harness_finish(&h);
}
END_TEST

START_TEST(test_bounds_configuration)
{
    struct qk_runtime_config good, bad;
    struct qk_runtime *rt = NULL;
    harness_init(&h, &actors_plugin, NULL);
    harness_configure(&h, &good);
#define REFUSED(field, value)                                        \
    do {                                                             \
        bad = good;                                                  \
        bad.field = value;                                           \
        ck_assert_int_eq(qk_runtime_create(&bad, &rt), QK_EINVALID); \
    } while (0)
    REFUSED(workers, 257);
    REFUSED(mailbox_max, 0);
    REFUSED(mailbox_max, QK_MAILBOX_LIMIT + 1);
    REFUSED(budget, 0);
    REFUSED(budget, 256);
    REFUSED(idle_ms, 0);
    REFUSED(default_timeout_ms, 0);
    REFUSED(fiber_stack_bytes, 8192);
    REFUSED(fiber_stack_bytes, 65537);
    REFUSED(now_ns, NULL);
    REFUSED(wall_ms, NULL);
    REFUSED(deliver, NULL);
#undef REFUSED
    bad = good;
    bad.mailbox_max = QK_MAILBOX_LIMIT;
    bad.budget = 255;
    bad.fibers_max = 0;
    ck_assert_int_eq(qk_runtime_create(&bad, &rt), 0);
    ck_assert_int_eq(qk_runtime_destroy(rt), 0);
    harness_finish(&h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bounds");
    TCase *c = tcase_create("bounds");
    tcase_add_test(c, test_bounds_activations);
    tcase_add_test(c, test_bounds_suspended_turns);
    tcase_add_test(c, test_bounds_mailbox_counts_the_running_turn);
    tcase_add_test(c, test_bounds_keys);
    tcase_add_test(c, test_bounds_error_text_is_cut);
    tcase_add_test(c, test_bounds_turn_arena);
    tcase_add_test(c, test_bounds_log_lines_of_a_turn);
    tcase_add_test(c, test_bounds_configuration);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
