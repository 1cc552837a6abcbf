/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A run of quarkctl: parses the command line, runs the command once or again and again, cleans up. */
#include "ctl/ctl.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/limits.h"

#define ARENA_MAX (8 * (size_t)QK_MESSAGE_ARENA_MAX)

static int check_durations(struct qk_ctl *ctl)
{
    static const enum qk_option_id ids[] = {QK_OPT_TIMEOUT, QK_OPT_DELAY};
    for (int i = 0; i < 2; i++) {
        const char *text = ctl->args.options[ids[i]];
        uint32_t ms;
        if (text != NULL && !qk_args_duration(text, &ms))
            return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0403", NULL, "write 500ms, 5s, 2m or 1h",
                               "`--%s` does not take `%.40s`", qk_options[ids[i]].name, text);
    }
    return QK_EXIT_OK;
}

/* Lists again every two seconds; on a terminal each time from the top of the screen. */
static int watch(struct qk_ctl *ctl)
{
    bool screen = isatty(fileno(ctl->out)) && !qk_ctl_has(ctl, QK_OPT_JSON);
    for (;;) {
        if (screen)
            fputs("\033[H\033[J", ctl->out);
        int rc = ctl->args.command->run(ctl);
        if (rc != QK_EXIT_OK || fflush(ctl->out) != 0)
            return rc;
        if (!screen && !qk_ctl_has(ctl, QK_OPT_JSON))
            fputc('\n', ctl->out);
        qk_arena_reset(&ctl->arena);
        nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
    }
}

static int run(struct qk_ctl *ctl)
{
    const struct qk_args *args = &ctl->args;
    if (qk_ctl_has(ctl, QK_OPT_VERSION))
        return qk_cmd_version(ctl);
    if (qk_ctl_has(ctl, QK_OPT_HELP)) {
        if (args->command != NULL && !args->command->hidden)
            qk_help_command(ctl->out, args->command);
        else
            qk_help_overview(ctl->out);
        return QK_EXIT_OK;
    }
    if (args->command == NULL) {
        qk_help_overview(ctl->err);
        return QK_EXIT_USAGE;
    }
    int rc = check_durations(ctl);
    if (rc != QK_EXIT_OK)
        return rc;
    return qk_ctl_has(ctl, QK_OPT_WATCH) ? watch(ctl) : args->command->run(ctl);
}

int qk_ctl_main(int argc, char **argv, FILE *out, FILE *err)
{
    struct qk_ctl ctl = {.out = out, .err = err, .color = qk_diag_wants_color(err), .argc = argc, .argv = argv};
    int rc = qk_args_parse(argc, argv, err, &ctl.args);
    if (rc != QK_EXIT_OK)
        return rc;
    qk_arena_init(&ctl.arena, ARENA_MAX);
    rc = run(&ctl);
    /* A full disk, a closed pipe: what was asked for did not arrive. */
    if ((fflush(out) != 0 || ferror(out)) && rc == QK_EXIT_OK)
        rc = qk_ctl_fail(&ctl, QK_EXIT_FAILED, "QK0407", strerror(errno), NULL, "the output could not be written");
    qk_client_destroy(ctl.client);
    qk_arena_finish(&ctl.arena);
    return rc;
}
