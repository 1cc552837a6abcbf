/* SPDX-License-Identifier: GPL-3.0-or-later */
/* explain, version, help, the completion script and the manual's source: what needs no silo. */
#include "ctl/ctl.h"

#include <ctype.h>
#include <string.h>
#include "base/errors.h"

/* A paragraph in lines of at most 78 columns, two blanks in front. */
static void put_wrapped(FILE *to, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t n = strcspn(text, " \n");
        if (column > 0 && column + 1 + n > 76) {
            fputc('\n', to);
            column = 0;
        }
        fprintf(to, "%s%.*s", column == 0 ? "  " : " ", (int)n, text);
        column += n + (column > 0);
        text += n;
        if (*text == '\n') {
            fputc('\n', to);
            column = 0;
        }
        text += *text != '\0';
    }
    fputc('\n', to);
}

int qk_cmd_explain(struct qk_ctl *ctl)
{
    const char *given = ctl->args.argv[0];
    char code[16];
    bool digits = given[0] != '\0' && strspn(given, "0123456789") == strlen(given) && strlen(given) <= 4;
    if (digits)
        snprintf(code, sizeof(code), "QK%s%s", &"0000"[strlen(given)], given);
    else
        snprintf(code, sizeof(code), "%.15s", given);
    const struct qk_error *error = qk_error_find(code);
    if (error == NULL)
        return qk_ctl_fail(ctl, QK_EXIT_NOT_FOUND, "QK0432", NULL,
                           "codes look like QK0502 and stand in brackets at the beginning of an error",
                           "there is no error with the code `%.40s`", given);
    fprintf(ctl->out, "%s: %s\n\n", error->code, error->title);
    put_wrapped(ctl->out, error->explain);
    fprintf(ctl->out, "\nWhat to do:\n\n");
    put_wrapped(ctl->out, error->fix);
    return QK_EXIT_OK;
}

int qk_cmd_version(struct qk_ctl *ctl)
{
    if (qk_ctl_has(ctl, QK_OPT_JSON))
        fprintf(ctl->out, "{\"version\": \"%s\"}\n", QUARK_VERSION);
    else
        fprintf(ctl->out, "quarkctl %s\n", QUARK_VERSION);
    return QK_EXIT_OK;
}

static int unknown_topic(struct qk_ctl *ctl, const char *name)
{
    const char *words[64];
    unsigned n = 0;
    for (const struct qk_command *c = qk_commands; c->name != NULL; c++) {
        if (!c->hidden)
            words[n++] = c->name;
    }
    words[n] = NULL;
    const char *near = qk_suggest(name, words);
    char label[64];
    snprintf(label, sizeof(label), "did you mean `%s`?", near != NULL ? near : "");
    return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0401", near != NULL ? label : NULL, "`quarkctl help` lists the commands",
                       "unknown command `%.100s`", name);
}

int qk_cmd_help(struct qk_ctl *ctl)
{
    if (ctl->args.argc == 0) {
        qk_help_overview(ctl->out);
        return QK_EXIT_OK;
    }
    const struct qk_command *command = qk_command_find(ctl->args.argv[0]);
    if (command == NULL || command->hidden)
        return unknown_topic(ctl, ctl->args.argv[0]);
    qk_help_command(ctl->out, command);
    return QK_EXIT_OK;
}

int qk_cmd_manual(struct qk_ctl *ctl)
{
    const struct qk_command *command = NULL;
    if (ctl->args.argc > 0) {
        command = qk_command_find(ctl->args.argv[0]);
        if (command == NULL || command->hidden)
            return unknown_topic(ctl, ctl->args.argv[0]);
    }
    qk_help_manual(ctl->out, command);
    return QK_EXIT_OK;
}

int qk_cmd_completion(struct qk_ctl *ctl)
{
    if (strcmp(ctl->args.argv[0], "bash") != 0)
        return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0404", NULL, "`quarkctl completion bash` is the one that there is",
                           "there is no completion for `%.40s`", ctl->args.argv[0]);
    fputs("# bash completion of quarkctl: asks the program itself, which asks the silo for names.\n"
          "_quarkctl() {\n"
          "    local IFS=$'\\n'\n"
          "    COMPREPLY=($(\"${COMP_WORDS[0]}\" __complete \"$COMP_CWORD\" \"${COMP_WORDS[@]}\" 2>/dev/null))\n"
          "    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then\n"
          "        compopt -o nospace\n"
          "    fi\n"
          "}\n"
          "complete -o default -F _quarkctl quarkctl\n",
          ctl->out);
    return QK_EXIT_OK;
}
