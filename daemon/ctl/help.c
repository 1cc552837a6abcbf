/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Help and manual pages, from the table of commands. */
#include "ctl/ctl.h"

#include <ctype.h>
#include <string.h>

static const struct {
    int code;
    const char *text;
} exits[] = {
#define ENTRY(name, code, text) {code, text},
    QK_EXIT_MAP(ENTRY)
#undef ENTRY
};
#define N_EXITS (sizeof(exits) / sizeof(exits[0]))

static const char *const exits_line =
    "exit: 0 ok, 1 call failed, 2 usage, 3 unreachable, 4 denied, 5 no such thing, 6 bad configuration,\n"
    "      7 timeout (may have run), 8 overloaded\n";

void qk_help_overview(FILE *to)
{
    fprintf(to, "usage: quarkctl [--socket PATH] COMMAND [ARGUMENT...] [OPTION...]\n\n");
    for (const struct qk_command *c = qk_commands; c->name != NULL; c++) {
        if (!c->hidden)
            fprintf(to, "  %-11s %s%s%s%s\n", c->name, c->summary, c->impact[0] != '\0' ? "  (" : "", c->impact,
                    c->impact[0] != '\0' ? ")" : "");
    }
    fprintf(to,
            "\nexamples:\n  quarkctl call counter/alice Increment\n  quarkctl types counter\n\n%s"
            "`quarkctl COMMAND --help` tells more.\n",
            exits_line);
}

/* The name of an option with its letter and argument. */
static void print_option(FILE *to, const struct qk_option *o)
{
    char buf[64];
    snprintf(buf, sizeof(buf), "-%c, --%s%s%s", o->letter, o->name, o->argument != NULL ? " " : "",
             o->argument != NULL ? o->argument : "");
    fprintf(to, "  %-22s %s\n", buf, o->text);
}

/* What every list takes: their names on one line, the texts are in the manual. */
#define BRIEF_OPTIONS                                                                            \
    (1ull << QK_OPT_TIMEOUT | 1ull << QK_OPT_JSON | 1ull << QK_OPT_RAW | 1ull << QK_OPT_OUTPUT | \
     1ull << QK_OPT_NO_HEADINGS | 1ull << QK_OPT_WATCH)

static void print_brief(FILE *to, uint64_t mask)
{
    fprintf(to, "options:");
    for (int i = 0; i < QK_OPT_COUNT; i++) {
        const struct qk_option *o = &qk_options[i];
        if ((mask & 1ull << i) != 0 && i != QK_OPT_HELP)
            fprintf(to, " --%s%s%s", o->name, o->argument != NULL ? "=" : "", o->argument != NULL ? o->argument : "");
    }
    fputc('\n', to);
}

void qk_help_command(FILE *to, const struct qk_command *c)
{
    fprintf(to, "usage: quarkctl %s%s%s%s\n", c->name, c->args[0] != '\0' ? " " : "", c->args,
            c->options != 1ull << QK_OPT_HELP ? " [OPTION...]" : "");
    fprintf(to, "%s%s%s%s.\n", c->summary, c->impact[0] != '\0' ? " (" : "", c->impact,
            c->impact[0] != '\0' ? ")" : "");
    uint64_t brief = 1ull << QK_OPT_HELP | 1ull << QK_OPT_SOCKET;
    if (c->columns != NULL)
        brief |= BRIEF_OPTIONS;
    for (int i = 0; i < QK_OPT_COUNT; i++) {
        if ((c->options & ~brief & 1ull << i) != 0)
            print_option(to, &qk_options[i]);
    }
    if (c->columns != NULL)
        print_brief(to, c->options & brief);
    if (c->columns != NULL) {
        fprintf(to, "columns:");
        for (const char *const *name = c->columns; *name != NULL; name++)
            fprintf(to, " %s", *name);
        fputc('\n', to);
    }
    fprintf(to, "examples:\n");
    for (int i = 0; i < 2; i++)
        fprintf(to, "  %-45s # %s\n", c->examples[i].line, c->examples[i].text);
    fputs(exits_line, to);
}

/* Text with what scdoc would take for markup escaped. */
static void put_escaped(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("*_\\#`[]<>~", *text) != NULL)
            fputc('\\', to);
        fputc(*text, to);
    }
}

static void put_option(FILE *to, const struct qk_option *o)
{
    fprintf(to, "*-%c*, *--%s*", o->letter, o->name);
    if (o->argument != NULL) {
        fprintf(to, " ");
        put_escaped(to, o->argument);
    }
    fprintf(to, "\n\t");
    put_escaped(to, o->text);
    fprintf(to, "\n\n");
}

static void put_exits(FILE *to)
{
    fprintf(to, "# EXIT STATUS\n\n");
    for (size_t i = 0; i < N_EXITS; i++) {
        fprintf(to, "*%d*\n\t", exits[i].code);
        put_escaped(to, exits[i].text);
        fprintf(to, "\n\n");
    }
}

static void manual_overview(FILE *to)
{
    fprintf(to, "quarkctl(1) \"Quark\"\n\n# NAME\n\nquarkctl - call actors of a Quark silo, and look at it\n\n"
                "# SYNOPSIS\n\n*quarkctl* [*--socket* PATH] _COMMAND_ [ARGUMENT...] [OPTION...]\n\n# DESCRIPTION\n\n"
                "*quarkctl* talks to the silo of this machine over its local socket. Data goes to standard output, "
                "everything else to standard error.\n\n# COMMANDS\n\n");
    for (const struct qk_command *c = qk_commands; c->name != NULL; c++) {
        if (c->hidden)
            continue;
        fprintf(to, "*%s* ", c->name);
        put_escaped(to, c->args);
        fprintf(to, "\n\t");
        put_escaped(to, c->summary);
        fprintf(to, "%s%s%s. See *quarkctl-%s*(1).\n\n", c->impact[0] != '\0' ? " (" : "", c->impact,
                c->impact[0] != '\0' ? ")" : "", c->name);
    }
    fprintf(to,
            "# ENVIRONMENT\n\n*QUARK\\_SOCKET*\n\tThe socket, where *--socket* names none. Without both it is "
            "/run/quark/quarkd.sock, and where that is not there, that of a daemon started with *quarkd --dev*: "
            "$XDG\\_RUNTIME\\_DIR/quark/quarkd.sock, or /tmp/quark-UID/quarkd.sock where that variable is not set.\n\n"
            "*QUARK\\_TEMPLATES*\n\tThe directory of the templates of *quarkctl new*.\n\n"
            "*NO\\_COLOR*\n\tNot empty: no colors.\n\n");
    put_exits(to);
    fprintf(to, "# SEE ALSO\n\n*quarkd*(8)\n");
}

void qk_help_manual(FILE *to, const struct qk_command *c)
{
    if (c == NULL) {
        manual_overview(to);
        return;
    }
    fprintf(to, "quarkctl-%s(1) \"Quark\"\n\n# NAME\n\nquarkctl-%s - ", c->name, c->name);
    fputc(tolower((unsigned char)c->summary[0]), to);
    put_escaped(to, c->summary + 1);
    fprintf(to, "\n\n# SYNOPSIS\n\n*quarkctl %s* ", c->name);
    put_escaped(to, c->args);
    fprintf(to, " [OPTION...]\n\n# DESCRIPTION\n\n");
    put_escaped(to, c->summary);
    fprintf(to, ".%s%s%s\n\n", c->impact[0] != '\0' ? " What it does to the silo: it " : "", c->impact,
            c->impact[0] != '\0' ? "." : "");
    if (c->details[0] != '\0')
        fprintf(to, "%s\n\n", c->details);
    if (c->columns != NULL) {
        fprintf(to, "Columns:");
        for (const char *const *name = c->columns; *name != NULL; name++) {
            fprintf(to, "%s ", name != c->columns ? "," : "");
            put_escaped(to, *name);
        }
        fprintf(to, ".\n\n");
    }
    fprintf(to, "# OPTIONS\n\n");
    for (int i = 0; i < QK_OPT_COUNT; i++) {
        if ((c->options & 1ull << i) != 0)
            put_option(to, &qk_options[i]);
    }
    fprintf(to, "# EXAMPLES\n\n");
    for (int i = 0; i < 2; i++) {
        put_escaped(to, c->examples[i].line);
        fprintf(to, "\n\t");
        put_escaped(to, c->examples[i].text);
        fprintf(to, "\n\n");
    }
    put_exits(to);
    fprintf(to, "# SEE ALSO\n\n*quarkctl*(1), *quarkd*(8)\n");
}
