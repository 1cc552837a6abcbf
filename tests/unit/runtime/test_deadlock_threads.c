/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Actors of several workers that wait for one another, and actors that do not. */
#include "lovers.h"
#include "workers.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 4

static struct workers w;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int ended, deadlocks, others;
static int64_t pace; /* of the clock */

static int64_t clock_now(void *arg)
{
    return workers_now_ns(arg) % (100000 * INT64_C(1000000000)) * pace;
}

static void deliver(void *arg, struct qk_port_frame *chain)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    while (chain != NULL) {
        struct qk_port_frame *f = chain;
        chain = f->next;
        ended++;
        deadlocks += f->status == QK_EDEADLOCK;
        others += f->status < 0 && f->status != QK_EDEADLOCK && f->status != QK_EOVERLOADED;
        qk_port_frame_destroy(f);
    }
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static void start_threads(uint32_t count, int64_t clock_pace)
{
    struct qk_runtime_config config;
    lovers_build();
    pace = clock_pace;
    ended = deadlocks = others = 0;
    workers_configure(&config, count);
    config.default_timeout_ms = 2000000000;
    config.now_ns = clock_now;
    config.wall_ms = clock_now;
    config.deliver = deliver;
    workers_start(&w, &config, &lovers_plugin);
}

static void wait_for(int count)
{
    pthread_mutex_lock(&lock);
    while (ended < count)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void stop_threads(void)
{
    workers_join(&w, clock_now(NULL) + 60000000000 * pace);
    ck_assert_int_eq(qk_runtime_destroy(w.rt), 0);
}

static const int64_t hours_ns = 500 * 3600 * (int64_t)1000000000;

/* Pairs that cross, wherever their activations are: each is found, and breaks at one place. */
START_TEST(test_deadlock_across_workers)
{
    enum { PAIRS = 50, ROUNDS = 3 };
    char text[64];
    start_threads(WORKERS, 1);
    lovers_invited = 2 * PAIRS; /* so that all have begun before the first calls */
    for (int round = 1; round <= ROUNDS; round++) {
        for (int i = 0; i < PAIRS; i++) {
            char one = "pmr"[i % 3], two = "mpr"[i / 3 % 3];
            snprintf(text, sizeof(text), "%c/a%d.Slow(meet %c/b%d.Slow())", one, i, two, i);
            qk_runtime_submit(w.rt, lovers_call(text, 1, clock_now(NULL) + hours_ns));
            snprintf(text, sizeof(text), "%c/b%d.Slow(meet %c/a%d.Slow())", two, i, one, i);
            qk_runtime_submit(w.rt, lovers_call(text, 2, clock_now(NULL) + hours_ns));
        }
        wait_for(2 * PAIRS * round);
    }
    stop_threads();
    ck_assert_int_eq(others, 0);
    ck_assert_int_eq(deadlocks, PAIRS * ROUNDS);
}
END_TEST

/* In what follows the clock goes so fast that nearly every wait is long, and looked at. */
#define PACE 2000

#define BUSY 8 /* actors that keep the workers from sleeping, for sleep is not faster */

static void start_busy_threads(void)
{
    char text[64];
    start_threads(2, PACE);
    for (int i = 0; i < BUSY; i++) {
        snprintf(text, sizeof(text), "m/busy%d.Slow(hold)", i);
        qk_runtime_submit(w.rt, lovers_call(text, 1, clock_now(NULL) + hours_ns));
    }
}

static void stop_busy_threads(int calls)
{
    atomic_store(&lovers_let_go, true);
    wait_for(calls + BUSY);
    stop_threads();
}

/* Calls go to actors with a higher number, and back only to methods that begin whatever waits: they can't wait for one
 * another, although their actors do. */
START_TEST(test_deadlock_is_never_found_where_there_is_none)
{
    static const char *const methods[] = {"Slow", "Quick", "Read"};
    enum { CALLS = 300, AT_ONCE = 40, ACTORS = 12 };
    start_busy_threads();
    uint64_t rng = 1;
    for (int i = 0; i < CALLS; i++) {
        char text[400] = "", close[32] = "";
        for (unsigned at = (unsigned)(rng >> 33) % 4; at < ACTORS; at += 1 + (unsigned)(rng >> 40) % 3) {
            size_t n = strlen(text);
            rng = rng * 6364136223846793005u + 1442695040888963407u;
            /* The type goes with the number, so that there is one actor of each. */
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%c/k%02u.%s(", "pmsrm"[at % 5], at,
                                  methods[(rng >> 50) % 3]);
            if (n > 20)
                snprintf(text + n, sizeof(text) - n, "m/k%02u.Quick() ", (rng >> 55) % 2 == 0 ? 1 : 4);
            strcat(close, ")");
        }
        strcat(text, close);
        wait_for(i - AT_ONCE);
        qk_runtime_submit(w.rt, lovers_call(text, (uint64_t)i, clock_now(NULL) + hours_ns));
    }
    wait_for(CALLS);
    stop_busy_threads(CALLS);
    ck_assert_int_eq(deadlocks, 0);
    ck_assert_int_eq(others, 0);
}
END_TEST

/* Actors that wait for each other by turns, never at one time: what was seen before must not be taken for what is. */
START_TEST(test_deadlock_is_none_between_what_was_and_what_is)
{
    enum { PAIRS = 40, ROUNDS = 40 };
    char text[64];
    start_busy_threads();
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PAIRS; i++) {
            char type = "pmr"[i % 3], one = round % 2 == 0 ? 'a' : 'b', two = round % 2 == 0 ? 'b' : 'a';
            snprintf(text, sizeof(text), "%c/%c%d.Slow(%c/%c%d.Slow())", type, one, i, type, two, i);
            qk_runtime_submit(w.rt, lovers_call(text, 1, clock_now(NULL) + hours_ns));
        }
        wait_for(PAIRS * (round + 1));
    }
    stop_busy_threads(PAIRS * ROUNDS);
    ck_assert_int_eq(deadlocks, 0);
    ck_assert_int_eq(others, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("deadlock_threads");
    TCase *tests = tcase_create("threads");
    tcase_add_test(tests, test_deadlock_across_workers);
    tcase_add_test(tests, test_deadlock_is_never_found_where_there_is_none);
    tcase_add_test(tests, test_deadlock_is_none_between_what_was_and_what_is);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
