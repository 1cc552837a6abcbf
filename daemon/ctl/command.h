/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of commands and options, and a command line parsed by it. Parsing, help, manual pages and completion all
 * read this table; nothing else says what a command takes. One thread.
 */
#ifndef QK_CTL_COMMAND_H
#define QK_CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct qk_ctl;

/* X(ID, long name, letter or 0, argument or NULL, text). */
#define QK_OPTION_MAP(X)                                                                                               \
    X(SOCKET, "socket", 's', "PATH", "the silo's socket; else $QUARK_SOCKET, else the system's, else that of `--dev`") \
    X(HELP, "help", 'h', NULL, "what the command does")                                                                \
    X(VERSION, "version", 'V', NULL, "print the version")                                                              \
    X(TIMEOUT, "timeout", 't', "TIME", "how long to wait for the reply: 500ms, 5s, 2m; default 10s")                   \
    X(JSON, "json", 'j', NULL, "one JSON document; of lists, the messages of admin.proto")                             \
    X(RAW, "raw", 'r', NULL, "no alignment, for programs; for a call, the reply's bytes as they came")                 \
    X(OUTPUT, "output", 'o', "COL,...", "which columns, in this order")                                                \
    X(NO_HEADINGS, "no-headings", 'n', NULL, "leave the line of headings out")                                         \
    X(WATCH, "watch", 'w', NULL, "list again every two seconds, until interrupted")                                    \
    X(LIMIT, "limit", 'l', "N", "at most so many; default 1000")                                                       \
    X(FROM, "from", 'F', "N", "begin with the event at this position; default 1")                                      \
    X(BATCH, "batch", 'b', NULL, "print one table after another and do not touch the screen")                          \
    X(ONCE, "once", '1', NULL, "measure once, print, and end")                                                         \
    X(DELAY, "delay", 'd', "TIME", "time between two measurements; default 1s")                                        \
    X(SORT, "sort", 'S', "COL", "order by this column, largest first")                                                 \
    X(FILTER, "filter", 'f', "TEXT", "only types whose name begins so")                                                \
    X(META, "meta", 'm', "NAME=VALUE", "an entry of the call's context; may be given several times")                   \
    X(TRACEPARENT, "traceparent", 'P', "PARENT", "the span that the call belongs to, as W3C Trace Context has it")     \
    X(TRACE, "trace", 'X', NULL, "show what the call has caused, as a tree, with the time that each took")             \
    X(DIR, "dir", 'C', "DIR", "write the project to this directory; default: its name, here")                          \
    X(TEMPLATE, "template", 'T', "NAME", "start from this template: counter (the default) or events")

enum qk_option_id {
#define QK_OPTION_ENUM(id, name, letter, argument, text) QK_OPT_##id,
    QK_OPTION_MAP(QK_OPTION_ENUM)
#undef QK_OPTION_ENUM
        QK_OPT_COUNT
};

struct qk_option {
    const char *name;
    char letter;
    const char *argument; /* NULL: a flag */
    const char *text;
};

extern const struct qk_option qk_options[QK_OPT_COUNT];

/* What an argument of a command names: what completion offers for it. */
enum qk_arg_kind {
    QK_ARG_NONE, /* also the end of the list */
    QK_ARG_ACTOR,
    QK_ARG_METHOD,
    QK_ARG_JSON,
    QK_ARG_TYPE,
    QK_ARG_ACTORS, /* TYPE[/PREFIX] */
    QK_ARG_NAME,
    QK_ARG_CODE,
    QK_ARG_COMMAND,
    QK_ARG_SHELL,
    QK_ARG_CONFIG,
    QK_ARG_KEY,
};

struct qk_example {
    const char *line;
    const char *text;
};

#define QK_COMMAND_ARGS_MAX  4
#define QK_COMMAND_METAS_MAX 32

struct qk_command {
    const char *name;
    const char *args; /* as in the usage line */
    unsigned min_args;
    unsigned max_args;
    enum qk_arg_kind kinds[QK_COMMAND_ARGS_MAX];
    uint64_t options;    /* bits of enum qk_option_id */
    const char *impact;  /* reads, changes, interrupts, or "" for what only concerns the tool itself */
    const char *summary; /* one line, a sentence without a full stop */
    const char *details; /* for the manual: paragraphs in scdoc; may be "" */
    struct qk_example examples[2];
    const char *const *columns; /* names of the table's columns, ends with NULL; NULL: no table */
    int (*run)(struct qk_ctl *ctl);
    bool hidden; /* not listed: for completion and the build */
};

extern const struct qk_command qk_commands[]; /* ends with a NULL name */

const struct qk_command *qk_command_find(const char *name);

/* A parsed command line. The strings are those of argv. */
struct qk_args {
    const struct qk_command *command;        /* NULL: none was named */
    const char *options[QK_OPT_COUNT];       /* NULL: not given; "" for a flag */
    const char *metas[QK_COMMAND_METAS_MAX]; /* every value of --meta */
    unsigned n_metas;
    const char *argv[QK_COMMAND_ARGS_MAX];
    unsigned argc;
};

/* Parses; mistakes are written to `err`. An exit code: QK_EXIT_OK, QK_EXIT_USAGE. */
int qk_args_parse(int argc, char **argv, FILE *err, struct qk_args *ret_args);

/* "500ms", "5s", "2m", "1h", "5" (seconds) as milliseconds, 1 to 2^31. */
bool qk_args_duration(const char *text, uint32_t *ret_ms);

/* help.c */
void qk_help_overview(FILE *to);
void qk_help_command(FILE *to, const struct qk_command *command);
void qk_help_manual(FILE *to, const struct qk_command *command); /* scdoc; NULL: quarkctl(1) itself */

#endif
