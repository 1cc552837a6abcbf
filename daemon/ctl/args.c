/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Parses the command line by the table. getopt_long does the reading; what it would take for an abbreviation is
 * refused, so that an option added later never changes what a script means.
 */
#include "ctl/ctl.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define GLOBAL    ((1ull << QK_OPT_SOCKET) | (1ull << QK_OPT_HELP) | (1ull << QK_OPT_VERSION))
#define LONG_BASE 1000 /* values of long options: above every letter */

static int usage_error(FILE *err, const char *code, const char *message, const char *label, const char *help)
{
    struct qk_diag diag = {.code = code, .message = message, .label = label, .help = help};
    qk_diag_write(err, &diag, qk_diag_wants_color(err));
    return QK_EXIT_USAGE;
}

static int unknown_command(FILE *err, const char *name)
{
    const char *words[64];
    unsigned n = 0;
    for (const struct qk_command *c = qk_commands; c->name != NULL; c++) {
        if (!c->hidden)
            words[n++] = c->name;
    }
    words[n] = NULL;
    char message[200], label[100];
    const char *near = qk_suggest(name, words);
    snprintf(message, sizeof(message), "unknown command `%.100s`", name);
    snprintf(label, sizeof(label), "did you mean `%s`?", near != NULL ? near : "");
    return usage_error(err, "QK0401", message, near != NULL ? label : NULL, "`quarkctl help` lists the commands");
}

static int unknown_option(FILE *err, const char *given, const struct qk_command *command, uint64_t mask)
{
    const char *words[QK_OPT_COUNT + 1];
    char dashed[QK_OPT_COUNT][24], word[64], message[200], label[100], help[100];
    unsigned n = 0;
    for (unsigned i = 0; i < QK_OPT_COUNT; i++) {
        if ((mask & 1ull << i) == 0)
            continue;
        snprintf(dashed[n], sizeof(dashed[n]), "--%s", qk_options[i].name);
        words[n] = dashed[n];
        n++;
    }
    words[n] = NULL;
    snprintf(word, sizeof(word), "%s", given != NULL ? given : "");
    word[strcspn(word, "=")] = '\0';
    const char *near = strncmp(word, "--", 2) == 0 ? qk_suggest(word, words) : NULL;
    /* An abbreviation of one option is meant for it. */
    for (unsigned i = 0; near == NULL && strlen(word) > 3 && i < n; i++) {
        if (strncmp(words[i], word, strlen(word)) == 0)
            near = words[i];
    }
    snprintf(message, sizeof(message), "unknown option `%.100s`", word);
    snprintf(label, sizeof(label), "did you mean `%s`?", near != NULL ? near : "");
    snprintf(help, sizeof(help), "`quarkctl %s%s--help` lists the options", command != NULL ? command->name : "",
             command != NULL ? " " : "");
    return usage_error(err, "QK0402", message, near != NULL ? label : NULL, help);
}

/* The tables of getopt_long for the options of a mask. */
static void make_tables(uint64_t mask, bool stop_at_word, char *letters, struct option *longs)
{
    unsigned n = 0;
    if (stop_at_word)
        *letters++ = '+';
    *letters++ = ':';
    for (int i = 0; i < QK_OPT_COUNT; i++) {
        const struct qk_option *o = &qk_options[i];
        if ((mask & 1ull << i) == 0)
            continue;
        longs[n++] =
            (struct option){o->name, o->argument != NULL ? required_argument : no_argument, NULL, LONG_BASE + i};
        *letters++ = o->letter;
        if (o->argument != NULL)
            *letters++ = ':';
    }
    *letters = '\0';
    longs[n] = (struct option){NULL, 0, NULL, 0};
}

static int option_by_letter(uint64_t mask, int letter)
{
    for (int i = 0; i < QK_OPT_COUNT; i++) {
        if ((mask & 1ull << i) != 0 && qk_options[i].letter == letter)
            return i;
    }
    return -1;
}

/* An option that lacks its value, or has one although it takes none. */
static int wrong_value(FILE *err, int id, bool lacks)
{
    char message[100];
    const struct qk_option *o = &qk_options[id];
    if (!lacks) {
        snprintf(message, sizeof(message), "option `--%s` takes no value", o->name);
        return usage_error(err, "QK0403", message, NULL, NULL);
    }
    snprintf(message, sizeof(message), "option `--%s` needs a value: %s", o->name, o->argument);
    return usage_error(err, "QK0403", message, NULL, "write it behind the option, with a blank or = between");
}

/* Whether the word that a long option was read from spells it out. */
static bool spelt_out(const char *word, const char *name)
{
    return strncmp(word, "--", 2) != 0 || (strncmp(word + 2, name, strlen(name)) == 0 &&
                                           (word[2 + strlen(name)] == '\0' || word[2 + strlen(name)] == '='));
}

/* Reads options from argv[1] on; optind is behind the last one. */
static int read_options(int argc, char **argv, uint64_t mask, bool stop_at_word, FILE *err, struct qk_args *args)
{
    char letters[3 * QK_OPT_COUNT + 4];
    struct option longs[QK_OPT_COUNT + 1];
    make_tables(mask, stop_at_word, letters, longs);
    optind = 0; /* glibc: starts anew */
    opterr = 0;
    for (;;) {
        int index = -1;
        int c = getopt_long(argc, argv, letters, longs, &index);
        if (c == -1)
            return QK_EXIT_OK;
        int id = c >= LONG_BASE ? c - LONG_BASE : option_by_letter(mask, c);
        /* With a value in a word of its own, the option is the word before. */
        const char *word = argv[optind - 1];
        if (c >= LONG_BASE && optarg == word && optind >= 2)
            word = argv[optind - 2];
        if (c == ':' || (c == '?' && optopt >= LONG_BASE))
            return wrong_value(err, optopt >= LONG_BASE ? optopt - LONG_BASE : option_by_letter(mask, optopt),
                               c == ':');
        if (c == '?' || id < 0) {
            char letter[3] = {'-', (char)optopt, '\0'};
            return unknown_option(err, optopt != 0 ? letter : argv[optind - 1], args->command, mask);
        }
        if (c >= LONG_BASE && !spelt_out(word, qk_options[id].name))
            return unknown_option(err, word, args->command, mask);
        if (id == QK_OPT_SOCKET && *optarg == '\0')
            return usage_error(err, "QK0403", "option `--socket` does not take an empty path", NULL, NULL);
        if (id == QK_OPT_META && args->n_metas == QK_COMMAND_METAS_MAX)
            return usage_error(err, "QK0403", "option `--meta` is given more than 32 times", NULL, NULL);
        if (id == QK_OPT_META)
            args->metas[args->n_metas++] = optarg;
        args->options[id] = qk_options[id].argument != NULL ? optarg : "";
    }
}

static int wrong_count(FILE *err, const struct qk_command *c, unsigned n)
{
    char message[200], help[200];
    snprintf(message, sizeof(message), "`quarkctl %s` %s", c->name,
             n < c->min_args    ? "needs more arguments"
             : c->max_args == 0 ? "takes no arguments"
                                : "takes fewer arguments");
    snprintf(help, sizeof(help), "usage: quarkctl %s%s%s%s", c->name, c->args[0] != '\0' ? " " : "", c->args,
             c->kinds[2] == QK_ARG_JSON ? "\nput the JSON text in single quotes, so that it is one argument" : "");
    return usage_error(err, "QK0404", message, NULL, help);
}

int qk_args_parse(int argc, char **argv, FILE *err, struct qk_args *ret_args)
{
    struct qk_args args = {0};
    /* What the shell wants completed is no command line yet. */
    if (argc > 1 && strcmp(argv[1], "__complete") == 0) {
        ret_args->command = qk_command_find(argv[1]);
        return QK_EXIT_OK;
    }
    int rc = read_options(argc, argv, GLOBAL, true, err, &args);
    if (rc != QK_EXIT_OK)
        return rc;
    int first = optind;
    if (first < argc) {
        args.command = qk_command_find(argv[first]);
        if (args.command == NULL)
            return unknown_command(err, argv[first]);
        rc = read_options(argc - first, argv + first, args.command->options | GLOBAL, false, err, &args);
        if (rc != QK_EXIT_OK)
            return rc;
        int left = argc - first - optind;
        unsigned n = left > 0 ? (unsigned)left : 0;
        bool asks = args.options[QK_OPT_HELP] != NULL || args.options[QK_OPT_VERSION] != NULL;
        if (!asks && (n < args.command->min_args || n > args.command->max_args))
            return wrong_count(err, args.command, n);
        args.argc = n < QK_COMMAND_ARGS_MAX ? n : QK_COMMAND_ARGS_MAX;
        for (unsigned i = 0; i < args.argc; i++)
            args.argv[i] = argv[first + optind + (int)i];
    }
    *ret_args = args;
    return QK_EXIT_OK;
}

bool qk_args_duration(const char *text, uint32_t *ret_ms)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"", 1000}, {"m", 60000}, {"h", 3600000}};
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    double value = strtod(text, &end);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        double ms = value * units[i].ms;
        if (!(ms >= 1 && ms <= 2147483647.0))
            return false;
        *ret_ms = (uint32_t)ms;
        return true;
    }
    return false;
}
