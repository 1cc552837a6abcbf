/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Each hostile plugin in a process of its own beside a whole silo: the attack comes to its end, the silo's own actors
 * do not notice, and the plugin's other actors can be called again. */
#include "fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quark/status.h>
#include "base/fnv.h"

enum outcome {
    CRASHES, /* the process ends, and the call with it */
    REFUSED, /* the kernel refuses: the handler fails */
    ANYHOW,  /* what was written may be written over before anybody sees it */
};

static const struct {
    const char *name;
    enum outcome outcome;
} attacks[] = {
    {"segv", CRASHES},      {"abort", CRASHES},      {"exit", CRASHES},    {"loop", CRASHES},
    {"fork_bomb", CRASHES}, {"stack", CRASHES},      {"signal", CRASHES},  {"ptrace", CRASHES},
    {"fds", REFUSED},       {"secret", REFUSED},     {"connect", REFUSED}, {"exec_memory", REFUSED},
    {"ring_index", ANYHOW}, {"ring_header", ANYHOW}, {"reply", ANYHOW},    {"log_flood", ANYHOW},
};
#define N_ATTACKS ((int)(sizeof(attacks) / sizeof(attacks[0])))

/* Those that end a process while it loads the plugin: the plugin is refused. */
static const char *const at_load[] = {"segv_at_load", "abort_at_load", "exit_at_load", "signal_at_load",
                                      "fork_bomb_at_load"};
#define N_AT_LOAD ((int)(sizeof(at_load) / sizeof(at_load[0])))

static char plugins[128];

static void isolate(struct qk_silo_config *config)
{
    static const char *dirs[2];
    dirs[0] = plugins;
    config->plugin_dirs = dirs;
    config->host_program = QUARK_HOST;
    config->isolate = true;
    config->stuck_ms = 1000;
}

static void begin(const char *plugin, struct peer *p)
{
    char command[512];
    snprintf(plugins, sizeof(plugins), "%s/plugins", fx_dir);
    snprintf(command, sizeof(command), "mkdir -p -m 755 %s && cp %s/%s.so %s/ && chmod go-w %s/*", plugins, HOSTILE_DIR,
             plugin, plugins, plugins);
    ck_assert_int_eq(system(command), 0);
    fx_start(isolate);
    fx_open(p);
}

static void end(struct peer *p)
{
    fx_begin_stop();
    fx_end_stop();
    peer_close(p);
}

static int32_t ask(struct peer *p, const char *method, const char *key)
{
    int32_t status;
    struct peer_frame f;
    peer_call(p, 1, qk_fnv64("hostile"), qk_fnv32(method), key, NULL, 0, false);
    peer_reply(p, &status, &f);
    peer_free(&f);
    return status;
}

START_TEST(test_silo_outlives_an_attack)
{
    struct peer p;
    begin(attacks[_i].name, &p);
    ck_assert_int_eq(ask(&p, "Rest", "neighbour"), 0);
    int32_t status = ask(&p, "Attack", "a");
    switch (attacks[_i].outcome) {
    case CRASHES:
        ck_assert_int_eq(status, QK_ECRASHED);
        break;
    case REFUSED:
        ck_assert_int_eq(status, QK_APP(1));
        break;
    case ANYHOW:
        ck_assert(status == 0 || status == QK_ECRASHED || status == QK_APP(1));
        break;
    }
    ck_assert_int_eq(fx_ask(&p, S_ADD, "own", 3, NULL), 0);
    do
        status = ask(&p, "Rest", "neighbour");
    while (status == QK_EUNAVAILABLE || status == QK_ECRASHED); /* the end may be a moment behind the answer */
    ck_assert_int_eq(status, 0);
    end(&p);
}
END_TEST

START_TEST(test_silo_refuses_who_attacks_while_it_is_loaded)
{
    struct peer p;
    begin(at_load[_i], &p);
    ck_assert_int_eq(ask(&p, "Rest", "a"), QK_ENOTFOUND);
    ck_assert_int_eq(fx_ask(&p, S_ADD, "own", 3, NULL), 0);
    end(&p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("silo");
    TCase *tc = tcase_create("silo");
    tcase_add_checked_fixture(tc, fx_setup, fx_teardown);
    tcase_add_loop_test(tc, test_silo_outlives_an_attack, 0, N_ATTACKS);
    tcase_add_loop_test(tc, test_silo_refuses_who_attacks_while_it_is_loaded, 0, N_AT_LOAD);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
