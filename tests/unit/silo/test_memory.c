/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The memory budget of a silo, over a measure that the test gives. */
#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "fixture.h"
#include "silo/memory.h"

#define BUDGET (1000 << 20)
#define ACTORS 2000

static _Atomic int64_t base; /* what the process uses beside its actors */
static _Atomic int64_t each; /* and for each of them */

static int64_t measure(void *arg)
{
    (void)arg;
    int64_t there = atomic_load(&silo_activated) - atomic_load(&silo_deactivated);
    return atomic_load(&base) + there * atomic_load(&each);
}

static void with_budget(struct qk_silo_config *config)
{
    config->memory_budget = BUDGET;
    config->memory_measure = measure;
}

static void set_percent(int percent)
{
    atomic_store(&base, (int64_t)BUDGET / 100 * percent + (1 << 20));
}

/* Runs the control loop until the log's last line begins with `text`. */
static void wait_for_line(const char *text)
{
    while (strncmp(fx_text, text, strlen(text)) != 0)
        fx_pump(NULL);
}

static void setup(void)
{
    fx_setup();
    atomic_store(&base, 1 << 20);
    atomic_store(&each, 0);
}

START_TEST(test_memory_short_and_full_and_back)
{
    struct peer p;
    fx_start(with_budget);
    fx_open(&p);
    ck_assert_int_eq(fx_ask(&p, S_ADD, "a", 1, NULL), 0);
    set_percent(79);
    ck_assert_int_eq(fx_ask(&p, S_ADD, "b", 1, NULL), 0);
    set_percent(91);
    wait_for_line("memory is nearly used up");
    ck_assert_int_eq(fx_ask(&p, S_ADD, "a", 1, NULL), QK_EOVERLOADED);
    set_percent(86); /* not yet back */
    for (int i = 0; i < 30; i++)
        fx_pump(NULL);
    ck_assert_int_eq(fx_ask(&p, S_ADD, "a", 1, NULL), QK_EOVERLOADED);
    set_percent(84);
    wait_for_line("memory is short");
    ck_assert_int_eq(fx_ask(&p, S_ADD, "never", 1, NULL), QK_ENOMEMORY);
    set_percent(74);
    wait_for_line("memory is no longer short");
    ck_assert_int_eq(fx_ask(&p, S_ADD, "never", 1, NULL), 0);
    ck_assert_int_eq(fx_lines, 3); /* one line each */
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

/* Actors end until less than 75 % are in use, and no more of them than it takes and a step. */
START_TEST(test_memory_collects_until_it_is_enough)
{
    struct peer p;
    fx_start(with_budget);
    fx_open(&p);
    for (int i = 0; i < ACTORS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        ck_assert_int_eq(fx_ask(&p, S_ADD, key, 1, NULL), 0);
    }
    atomic_store(&base, 0);
    atomic_store(&each, (int64_t)BUDGET / 100 * 85 / ACTORS);
    wait_for_line("memory is no longer short");
    int left = atomic_load(&silo_activated) - atomic_load(&silo_deactivated);
    ck_assert_int_le(left, ACTORS * 75 / 85 + 1);
    ck_assert_int_ge(left, ACTORS * 75 / 85 - 2 * 256);
    atomic_store(&each, 0);
    ck_assert_int_eq(fx_ask(&p, S_ADD, "another", 1, NULL), 0);
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

START_TEST(test_memory_budget_can_be_changed)
{
    struct peer p;
    struct qk_silo_config config;
    struct qk_silo_reload reload;
    fx_start(with_budget);
    fx_open(&p);
    set_percent(95);
    wait_for_line("memory is nearly used up");
    fx_config(&config);
    config.memory_budget = 0;
    qk_silo_apply(fx_silo, &config, &reload);
    ck_assert_int_eq(fx_ask(&p, S_ADD, "a", 1, NULL), 0);
    config.memory_budget = BUDGET;
    qk_silo_apply(fx_silo, &config, &reload);
    fx_text[0] = 0;
    wait_for_line("memory is nearly used up");
    config.memory_budget = 2ull * BUDGET;
    qk_silo_apply(fx_silo, &config, &reload);
    wait_for_line("memory is no longer short");
    ck_assert_int_eq(fx_ask(&p, S_ADD, "b", 1, NULL), 0);
    peer_close(&p);
    fx_begin_stop();
    fx_end_stop();
}
END_TEST

START_TEST(test_memory_measures_the_process)
{
    int64_t before = qk_memory_resident();
    ck_assert_int_gt(before, 1 << 20);
    size_t size = 64 << 20;
    void *more = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    ck_assert_ptr_ne(more, MAP_FAILED);
    ck_assert_int_gt(qk_memory_resident(), before + (32 << 20));
    munmap(more, size);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tc = tcase_create("memory");
    tcase_add_checked_fixture(tc, setup, fx_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_memory_short_and_full_and_back);
    tcase_add_test(tc, test_memory_collects_until_it_is_enough);
    tcase_add_test(tc, test_memory_budget_can_be_changed);
    tcase_add_test(tc, test_memory_measures_the_process);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
