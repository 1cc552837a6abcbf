/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line: what is taken, what is refused and how, and the table of commands itself. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "base/errors.h"
#include "ctl/ctl.h"
#include "fake.h"

static int parse(struct qk_args *args, int argc, const char *const *argv)
{
    char *copy[16];
    char *text;
    size_t size;
    FILE *err = open_memstream(&text, &size);
    for (int i = 0; i < argc; i++)
        copy[i] = (char *)(uintptr_t)argv[i];
    copy[argc] = NULL;
    int rc = qk_args_parse(argc, copy, err, args);
    fclose(err);
    free(text);
    return rc;
}

#define PARSE(args, ...) \
    parse(args, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *[]){__VA_ARGS__})

START_TEST(test_args_options_stand_anywhere)
{
    struct qk_args args;
    ck_assert_int_eq(PARSE(&args, "quarkctl", "--socket", "/a", "call", "-t", "5s", "c/k", "--raw", "Get", "{}"), 0);
    ck_assert_str_eq(args.command->name, "call");
    ck_assert_str_eq(args.options[QK_OPT_SOCKET], "/a");
    ck_assert_str_eq(args.options[QK_OPT_TIMEOUT], "5s");
    ck_assert_str_eq(args.options[QK_OPT_RAW], "");
    ck_assert_uint_eq(args.argc, 3);
    ck_assert_str_eq(args.argv[0], "c/k");
    ck_assert_str_eq(args.argv[2], "{}");
    ck_assert_int_eq(PARSE(&args, "quarkctl", "call", "c/k", "Get", "--timeout=2m", "--", "-5"), 0);
    ck_assert_str_eq(args.argv[2], "-5");
    ck_assert_int_eq(PARSE(&args, "quarkctl", "call", "c/k", "Get", "-"), 0);
    ck_assert_str_eq(args.argv[2], "-");
    ck_assert_int_eq(PARSE(&args, "quarkctl"), 0);
    ck_assert_ptr_null(args.command);
}
END_TEST

START_TEST(test_args_durations)
{
    uint32_t ms = 0;
    ck_assert(qk_args_duration("500ms", &ms) && ms == 500);
    ck_assert(qk_args_duration("1.5s", &ms) && ms == 1500);
    ck_assert(qk_args_duration("2", &ms) && ms == 2000);
    ck_assert(qk_args_duration("2m", &ms) && ms == 120000);
    ck_assert(qk_args_duration("1h", &ms) && ms == 3600000);
    ck_assert(qk_args_duration("2147483647ms", &ms) && ms == 2147483647);
    ck_assert(!qk_args_duration("2147483648ms", &ms));
    ck_assert(!qk_args_duration("0", &ms));
    ck_assert(!qk_args_duration("-1s", &ms));
    ck_assert(!qk_args_duration("1d", &ms));
    ck_assert(!qk_args_duration("", &ms));
    ck_assert(!qk_args_duration("inf", &ms));
}
END_TEST

START_TEST(test_args_mistakes_are_told)
{
    expect_run(2, "",
               "error[QK0401]: unknown command `cal`\n     = note: did you mean `call`?\n"
               "     = help: `quarkctl help` lists the commands\n",
               "cal");
    expect_run(2, "",
               "error[QK0402]: unknown option `--tmieout`\n     = note: did you mean `--timeout`?\n"
               "     = help: `quarkctl call --help` lists the options\n",
               "call", "c/k", "Get", "--tmieout", "3");
    expect_run(2, "", "error[QK0402]: unknown option `-x`\n     = help: `quarkctl call --help` lists the options\n",
               "call", "c/k", "Get", "-x");
    expect_run(2, "",
               "error[QK0402]: unknown option `--limit`\n     = help: `quarkctl call --help` lists the options\n",
               "call", "c/k", "Get", "--limit", "3");
    expect_run(2, "",
               "error[QK0403]: option `--timeout` needs a value: TIME\n"
               "     = help: write it behind the option, with a blank or = between\n",
               "call", "c/k", "Get", "--timeout");
    expect_run(2, "", "error[QK0403]: `--timeout` does not take `5d`\n     = help: write 500ms, 5s, 2m or 1h\n", "call",
               "c/k", "Get", "--timeout", "5d");
    expect_run(2, "",
               "error[QK0404]: `quarkctl call` needs more arguments\n"
               "     = help: usage: quarkctl call TYPE/KEY METHOD [JSON]\n"
               "             put the JSON text in single quotes, so that it is one argument\n",
               "call", "c/k");
    expect_run(2, "", "error[QK0404]: `quarkctl status` takes no arguments\n     = help: usage: quarkctl status\n",
               "status", "now");
}
END_TEST

/* An option that is added later must not change what an old script's abbreviation means. */
START_TEST(test_args_abbreviations_are_refused)
{
    expect_run(2, "",
               "error[QK0402]: unknown option `--time`\n     = note: did you mean `--timeout`?\n"
               "     = help: `quarkctl call --help` lists the options\n",
               "call", "c/k", "Get", "--time=3");
    expect_run(2, "",
               "error[QK0402]: unknown option `--time`\n     = note: did you mean `--timeout`?\n"
               "     = help: `quarkctl call --help` lists the options\n",
               "call", "c/k", "Get", "--time", "3");
    expect_run(2, "", NULL, "--sock", "/a", "status");
    expect_run(2, "", NULL, "call", "c/k", "Get", "--ra");
}
END_TEST

START_TEST(test_args_table_is_whole)
{
    for (const struct qk_command *c = qk_commands; c->name != NULL; c++) {
        if (c->hidden)
            continue;
        ck_assert_str_ne(c->summary, "");
        ck_assert_uint_le(c->min_args, c->max_args);
        ck_assert_uint_le(c->max_args, QK_COMMAND_ARGS_MAX);
        for (int i = 0; i < 2; i++) {
            ck_assert_ptr_nonnull(strstr(c->examples[i].line, "quarkctl "));
            ck_assert_ptr_nonnull(strstr(c->examples[i].line, c->name));
        }
        ck_assert((c->options & 1ull << QK_OPT_HELP) != 0);
        ck_assert_msg(((c->options & 1ull << QK_OPT_OUTPUT) != 0) == (c->columns != NULL), "%s", c->name);
    }
    for (int i = 0; i < QK_OPT_COUNT; i++) {
        for (int k = 0; k < i; k++) {
            ck_assert_str_ne(qk_options[i].name, qk_options[k].name);
            ck_assert_int_ne(qk_options[i].letter, qk_options[k].letter);
        }
    }
}
END_TEST

START_TEST(test_args_help_is_short_and_has_the_exit_codes)
{
    for (const struct qk_command *c = qk_commands; c->name != NULL; c++) {
        if (c->hidden)
            continue;
        struct run run = run_ctl(c->name, "--help", NULL);
        unsigned lines = 0;
        for (const char *p = run.out; *p != '\0'; p++)
            lines += *p == '\n';
        ck_assert_int_eq(run.exit_code, 0);
        ck_assert_uint_le(lines, 15);
        ck_assert_ptr_nonnull(strstr(run.out, "exit: 0 ok, 1 call failed, 2 usage, 3 unreachable"));
        ck_assert_str_eq(run.err, "");
        run_finish(&run);
        struct run manual = run_ctl("__manual", c->name, NULL);
        ck_assert_int_eq(manual.exit_code, 0);
        ck_assert_ptr_nonnull(strstr(manual.out, "# EXIT STATUS"));
        ck_assert_ptr_nonnull(strstr(manual.out, "# EXAMPLES"));
        run_finish(&manual);
    }
    struct run run = run_ctl("__manual", NULL);
    for (const struct qk_command *c = qk_commands; c->name != NULL; c++)
        ck_assert(c->hidden || strstr(run.out, c->summary) != NULL);
    run_finish(&run);
}
END_TEST

START_TEST(test_args_every_command_has_a_manual_page)
{
    char pages[sizeof(PAGES) + 2], name[64];
    unsigned commands = 0, blanks = 1;
    snprintf(pages, sizeof(pages), " %s ", PAGES);
    for (const struct qk_command *c = qk_commands; c->name != NULL; c++) {
        snprintf(name, sizeof(name), " %s ", c->name);
        ck_assert_msg(c->hidden || strstr(pages, name) != NULL, "%s", c->name);
        commands += !c->hidden;
    }
    for (const char *p = PAGES; *p != '\0'; p++)
        blanks += *p == ' ';
    ck_assert_uint_eq(blanks, commands);
}
END_TEST

/* Whatever code an error has, there is something to say about it. */
START_TEST(test_args_explain_knows_every_code)
{
    size_t n;
    const struct qk_error *errors = qk_error_all(&n);
    for (size_t i = 0; i < n; i++) {
        struct run run = run_ctl("explain", errors[i].code, NULL);
        ck_assert_int_eq(run.exit_code, 0);
        ck_assert_ptr_nonnull(strstr(run.out, errors[i].title));
        ck_assert_ptr_nonnull(strstr(run.out, "What to do:"));
        run_finish(&run);
    }
    expect_run(0, NULL, "", "explain", "qk0401");
    expect_run(0, NULL, "", "explain", "401");
    expect_run(5, "", NULL, "explain", "QK0499");
    expect_run(5, "", NULL, "explain", "nonsense");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("args");
    TCase *tc = tcase_create("args");
    tcase_add_checked_fixture(tc, fake_setup, NULL);
    tcase_add_test(tc, test_args_options_stand_anywhere);
    tcase_add_test(tc, test_args_durations);
    tcase_add_test(tc, test_args_mistakes_are_told);
    tcase_add_test(tc, test_args_abbreviations_are_refused);
    tcase_add_test(tc, test_args_table_is_whole);
    tcase_add_test(tc, test_args_help_is_short_and_has_the_exit_codes);
    tcase_add_test(tc, test_args_every_command_has_a_manual_page);
    tcase_add_test(tc, test_args_explain_knows_every_code);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
