/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line: what is read, what is refused and with which words. */
#include "main/options.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct qk_options options;

/* Parses a line of words; what was said on standard error goes into `said`. */
static int parse(const char *line, char *said, size_t size)
{
    static char words[512]; /* options point into it */
    char *argv[64] = {0};
    int argc = 0;
    snprintf(words, sizeof(words), "quarkd %s", line);
    for (char *at = strtok(words, " "); at != NULL; at = strtok(NULL, " "))
        argv[argc++] = at;
    int to[2];
    ck_assert_int_eq(pipe(to), 0);
    int held = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(to[1], STDERR_FILENO), 0);
    qk_options_finish(&options);
    int rc = qk_options_parse(argc, argv, &options);
    fflush(stderr);
    dup2(held, STDERR_FILENO);
    close(held);
    close(to[1]);
    ssize_t n = read(to[0], said, size - 1);
    said[n > 0 ? n : 0] = '\0';
    close(to[0]);
    return rc;
}

START_TEST(test_options_are_read)
{
    char said[1024];
    ck_assert_int_eq(parse("", said, sizeof(said)), 0);
    ck_assert_int_eq(options.action, QK_ACTION_RUN);
    ck_assert_str_eq(options.config, QK_DEFAULT_CONFIG);
    ck_assert_int_eq(parse("--check", said, sizeof(said)), 0);
    ck_assert_int_eq(options.action, QK_ACTION_CHECK);
    ck_assert_str_eq(options.config, QK_DEFAULT_CONFIG);
    ck_assert_int_eq(parse("--check --strict /a", said, sizeof(said)), 0);
    ck_assert(options.strict);
    ck_assert_str_eq(options.config, "/a");
    ck_assert_int_eq(parse("--check=/b", said, sizeof(said)), 0);
    ck_assert_str_eq(options.config, "/b");
    ck_assert_int_eq(parse("--show-config --config /c", said, sizeof(said)), 0);
    ck_assert_int_eq(options.action, QK_ACTION_SHOW_CONFIG);
    ck_assert_str_eq(options.config, "/c");
    ck_assert_int_eq(parse("--dev --plugins x --plugins=./y --isolate --socket /s", said, sizeof(said)), 0);
    ck_assert(options.dev);
    ck_assert_uint_eq(options.n_plugins, 2);
    ck_assert(options.isolate);
    char cwd[4096];
    char y[4096 + 2];
    ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
    snprintf(y, sizeof(y), "%s/y", cwd);
    ck_assert_str_eq(options.plugins[1], y);
    ck_assert_str_eq(options.socket, "/s");
    ck_assert_str_eq(said, "");
}
END_TEST

static const struct {
    const char *line;
    const char *said;
} mistakes[] = {
    {"--chek", "error[QK0290]: unknown option `--chek`\n     = help: did you mean `--check`?\n"},
    {"--verbose", "error[QK0290]: unknown option `--verbose`\n     = help: `quarkd --help` lists the options\n"},
    {"--conf /x", "error[QK0290]: unknown option `--conf`\n     = help: did you mean `--config`?\n"},
    {"-x", "error[QK0290]: unknown option `-x`\n     = help: `quarkd --help` lists the options\n"},
    {"--config", "error[QK0290]: `--config` needs an argument\n     = help: `quarkd --help` lists the options\n"},
    {"--isolate=1", "error[QK0290]: `--isolate` takes no argument\n     = help: `quarkd --help` lists the options\n"},
    {"--dev=1", "error[QK0290]: `--dev` takes no argument\n     = help: `quarkd --help` lists the options\n"},
    {"run", "error[QK0291]: `run` is no option\n     = help: `quarkd --help` lists the options\n"},
    {"--check /a /b", "error[QK0291]: `/b` is no option\n     = help: `quarkd --help` lists the options\n"},
    {"--strict", "error[QK0291]: `--strict` belongs to `--check`\n     = help: quarkd --check --strict [FILE]\n"},
    {"--dev --config /a", "error[QK0291]: `--dev` and a configuration file exclude each other\n"
                          "     = help: leave one of them out: `--dev` reads no configuration\n"},
    {"--dev --check", "error[QK0291]: `--dev` and `--check` exclude each other\n"
                      "     = help: leave one of them out: `--dev` has nothing to check\n"},
};

START_TEST(test_options_mistakes)
{
    char said[1024];
    ck_assert_int_eq(parse(mistakes[_i].line, said, sizeof(said)), -EINVAL);
    ck_assert_str_eq(said, mistakes[_i].said);
}
END_TEST

START_TEST(test_options_plugins_are_bounded)
{
    char said[1024];
    char line[512] = "--dev";
    for (int i = 0; i < QK_OPTION_PLUGINS_MAX; i++)
        strcat(line, " --plugins x");
    ck_assert_int_eq(parse(line, said, sizeof(said)), 0);
    strcat(line, " --plugins x");
    ck_assert_int_eq(parse(line, said, sizeof(said)), -EINVAL);
}
END_TEST

/* Ten lines, two examples, and no option is missing. */
START_TEST(test_options_help_fits)
{
    int lines = 0;
    for (const char *at = qk_options_help; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    ck_assert_int_eq(lines, 10);
    static const char *const names[] = {"--config",  "--check",   "--strict", "--show-config", "--dev",
                                        "--plugins", "--isolate", "--socket", "--help",        "--version"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ck_assert_ptr_nonnull(strstr(qk_options_help, names[i]));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *tcase = tcase_create("options");
    tcase_add_test(tcase, test_options_are_read);
    tcase_add_loop_test(tcase, test_options_mistakes, 0, sizeof(mistakes) / sizeof(mistakes[0]));
    tcase_add_test(tcase, test_options_plugins_are_bounded);
    tcase_add_test(tcase, test_options_help_fits);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    qk_options_finish(&options);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
