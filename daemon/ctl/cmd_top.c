/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * top: takes counters again and again and shows what happened between. On a terminal it takes the keys and draws over
 * the screen; --batch and --once, or output that goes elsewhere, print tables.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

enum { C_TYPE, C_ACTORS, C_RATE, C_FAILED, C_TURN, C_WAIT, C_QUEUED, C_TURNS, N_COLUMNS };

#define FIRST_DELAY_MS 200 /* so that the screen is not empty for long */

static const struct qk_column columns[N_COLUMNS] = {
    {"TYPE", false, QK_FIT_NONE},    {"ACTORS", true, QK_FIT_NONE}, {"TURNS/S", true, QK_FIT_NONE},
    {"FAILED/S", true, QK_FIT_NONE}, {"TURN", true, QK_FIT_NONE},   {"WAIT", true, QK_FIT_NONE},
    {"QUEUED", true, QK_FIT_NONE},   {"TURNS", true, QK_FIT_NONE},
};
const char *const qk_columns_top[] = {"TYPE", "ACTORS", "TURNS/S", "FAILED/S", "TURN", "WAIT", "QUEUED", "TURNS", NULL};

struct top {
    struct qk_ctl *ctl;
    struct qk_arena arenas[2]; /* the last measurement and the one before, by turns */
    const Quark__Admin__TopReply *now;
    const Quark__Admin__TopReply *before; /* NULL at first */
    unsigned turn;
    uint32_t delay_ms;
    int sort;
    bool screen;
    struct termios saved; /* of the terminal, while `screen` */
};

struct row {
    const char *name;
    double value[N_COLUMNS];
};

static int measure(struct top *top)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__TopRequest body = QUARK__ADMIN__TOP_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_TOP;
    request.top = &body;
    top->turn ^= 1;
    /* The reply is made in the run's arena: lend it the one whose measurement is no longer needed. */
    struct qk_arena whole = top->ctl->arena;
    qk_arena_finish(&top->arenas[top->turn]);
    top->ctl->arena = top->arenas[top->turn];
    int rc = qk_session_admin(top->ctl, &request, &reply);
    top->arenas[top->turn] = top->ctl->arena;
    top->ctl->arena = whole;
    if (rc != QK_EXIT_OK)
        return rc;
    top->before = top->now;
    top->now = reply->top;
    return QK_EXIT_OK;
}

static const Quark__Admin__TopType *find_type(const Quark__Admin__TopReply *reply, const char *name)
{
    for (size_t i = 0; i < reply->n_types; i++) {
        if (strcmp(reply->types[i]->name, name) == 0)
            return reply->types[i];
    }
    return NULL;
}

/* A counter may seem to go back when the silo was started anew between. */
static double grown(uint64_t now, uint64_t before)
{
    return now >= before ? (double)(now - before) : 0;
}

static void make_row(const struct top *top, const Quark__Admin__TopType *t, double seconds, struct row *row)
{
    static const Quark__Admin__TopType none = QUARK__ADMIN__TOP_TYPE__INIT;
    const Quark__Admin__TopType *was = find_type(top->before, t->name);
    was = was != NULL ? was : &none;
    double samples = grown(t->turn_samples, was->turn_samples);
    *row = (struct row){.name = t->name};
    row->value[C_ACTORS] = (double)t->activations;
    row->value[C_RATE] = grown(t->turns, was->turns) / seconds;
    row->value[C_FAILED] = grown(t->failures, was->failures) / seconds;
    row->value[C_TURN] = samples > 0 ? grown(t->turn_ns, was->turn_ns) / samples : 0;
    row->value[C_WAIT] = samples > 0 ? grown(t->mailbox_wait_ns, was->mailbox_wait_ns) / samples : 0;
    row->value[C_QUEUED] = (double)t->queued;
    row->value[C_TURNS] = (double)t->turns;
}

static int compare_rows(const void *a, const void *b, void *sort)
{
    const struct row *x = a, *y = b;
    int by = *(const int *)sort;
    if (by != C_TYPE && x->value[by] != y->value[by])
        return x->value[by] > y->value[by] ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void add_row(struct qk_table *table, const struct row *row)
{
    char turn[32], wait[32];
    qk_table_row(table);
    qk_table_set(table, C_TYPE, "%s", row->name);
    qk_table_set(table, C_ACTORS, "%.0f", row->value[C_ACTORS]);
    qk_table_set(table, C_RATE, "%.0f", row->value[C_RATE]);
    qk_table_set(table, C_FAILED, "%.0f", row->value[C_FAILED]);
    qk_table_set(table, C_TURN, "%s", row->value[C_TURN] > 0 ? qk_print_ns((uint64_t)row->value[C_TURN], turn) : "-");
    qk_table_set(table, C_WAIT, "%s", row->value[C_WAIT] > 0 ? qk_print_ns((uint64_t)row->value[C_WAIT], wait) : "-");
    qk_table_set(table, C_QUEUED, "%.0f", row->value[C_QUEUED]);
    qk_table_set(table, C_TURNS, "%.0f", row->value[C_TURNS]);
}

static int print_types(struct top *top, double seconds)
{
    const char *filter = top->ctl->args.options[QK_OPT_FILTER];
    struct row *rows = calloc(top->now->n_types + 1, sizeof(*rows));
    size_t n = 0;
    if (rows == NULL)
        return qk_ctl_fail(top->ctl, QK_EXIT_FAILED, NULL, NULL, NULL, "out of memory");
    for (size_t i = 0; i < top->now->n_types; i++) {
        const Quark__Admin__TopType *t = top->now->types[i];
        if (filter == NULL || strncmp(t->name, filter, strlen(filter)) == 0)
            make_row(top, t, seconds, &rows[n++]);
    }
    qsort_r(rows, n, sizeof(*rows), compare_rows, &top->sort);
    struct qk_table table;
    qk_table_init(&table, columns, N_COLUMNS);
    for (size_t i = 0; i < n; i++)
        add_row(&table, &rows[i]);
    int rc = qk_table_print(top->ctl, &table);
    qk_table_finish(&table);
    free(rows);
    return rc;
}

static void print_head(const struct top *top, double seconds)
{
    const Quark__Admin__StatusReply *s = top->now->status, *was = top->before->status;
    FILE *out = top->ctl->out;
    char up[32], memory[32];
    if (s != NULL && was != NULL) {
        fprintf(out, "silo %s  %s  up %s  version %s\n", s->silo, s->state, qk_print_ms(s->uptime_ms, up), s->version);
        fprintf(out,
                "calls/s %.0f  turns/s %.0f  failed/s %.0f  actors %" PRIu64 "  clients %u  in flight %" PRIu64
                "  memory %s\n",
                grown(s->calls_in, was->calls_in) / seconds, grown(s->turns, was->turns) / seconds,
                grown(s->failures, was->failures) / seconds, s->activations, s->clients, s->in_flight,
                qk_print_bytes(s->memory_bytes, memory));
    }
    fprintf(out, "workers");
    for (size_t i = 0; i < top->now->n_workers; i++) {
        const Quark__Admin__TopWorker *w = top->now->workers[i];
        uint64_t busy = i < top->before->n_workers ? top->before->workers[i]->busy_ns : 0;
        double share = grown(w->busy_ns, busy) / (seconds * 1e7);
        fprintf(out, "  %u: %.0f %%", w->index, share > 100 ? 100 : share);
        if (w->running[0] != '\0') {
            fputs(" (", out);
            qk_put_clean(out, w->running);
            fputc(')', out);
        }
    }
    fprintf(out, "\n\n");
}

static int print(struct top *top)
{
    double seconds = grown(top->now->now_ns, top->before->now_ns) / 1e9;
    seconds = seconds > 0 ? seconds : 1;
    if (qk_ctl_has(top->ctl, QK_OPT_JSON))
        return qk_print_json(top->ctl, &top->now->base, NULL,
                             qk_ctl_has(top->ctl, QK_OPT_ONCE) ? QK_JSON_FIT : QK_JSON_COMPACT);
    if (top->screen)
        fputs("\033[H\033[J", top->ctl->out);
    if (!qk_ctl_has(top->ctl, QK_OPT_RAW))
        print_head(top, seconds);
    int rc = print_types(top, seconds);
    if (top->screen)
        fprintf(top->ctl->out, "\nsorted by %s   q: end   s: sort by the next column\n", columns[top->sort].name);
    else if (!qk_ctl_has(top->ctl, QK_OPT_ONCE))
        fputc('\n', top->ctl->out);
    return rc;
}

static bool take_screen(struct top *top)
{
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &top->saved) < 0)
        return false;
    raw = top->saved;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ISIG);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
        return false;
    fputs("\033[?1049h\033[?25l", top->ctl->out);
    return true;
}

static void give_screen_back(struct top *top)
{
    fputs("\033[?25h\033[?1049l", top->ctl->out);
    fflush(top->ctl->out);
    tcsetattr(STDIN_FILENO, TCSANOW, &top->saved);
}

/* Waits for the next measurement. False: the user wants to end. */
static bool wait_next(struct top *top)
{
    struct pollfd fd = {.fd = top->screen ? STDIN_FILENO : -1, .events = POLLIN};
    char key;
    int n = poll(&fd, 1, (int)top->delay_ms);
    if (n < 0)
        return errno == EINTR;
    if (n == 0)
        return true;
    if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 3)
        return false;
    if (key == 's')
        top->sort = (top->sort + 1) % N_COLUMNS;
    return true;
}

static int choose_sort(struct top *top)
{
    const char *name = top->ctl->args.options[QK_OPT_SORT];
    top->sort = C_RATE;
    if (name == NULL)
        return QK_EXIT_OK;
    for (int i = 0; i < N_COLUMNS; i++) {
        if (strcasecmp(columns[i].name, name) == 0) {
            top->sort = i;
            return QK_EXIT_OK;
        }
    }
    return qk_ctl_fail(top->ctl, QK_EXIT_USAGE, "QK0405", NULL,
                       "the columns are TYPE, ACTORS, TURNS/S, FAILED/S, TURN, WAIT, QUEUED, TURNS",
                       "there is no column `%.40s`", name);
}

int qk_cmd_top(struct qk_ctl *ctl)
{
    struct top top = {.ctl = ctl, .delay_ms = 1000};
    bool once = qk_ctl_has(ctl, QK_OPT_ONCE);
    int rc = choose_sort(&top);
    if (rc != QK_EXIT_OK)
        return rc;
    if (qk_ctl_has(ctl, QK_OPT_DELAY))
        (void)qk_args_duration(ctl->args.options[QK_OPT_DELAY], &top.delay_ms);
    qk_arena_init(&top.arenas[0], ctl->arena.limit);
    qk_arena_init(&top.arenas[1], ctl->arena.limit);
    rc = measure(&top);
    bool plain = once || qk_ctl_has(ctl, QK_OPT_BATCH) || qk_ctl_has(ctl, QK_OPT_JSON);
    if (rc == QK_EXIT_OK && !plain && isatty(STDIN_FILENO) && isatty(fileno(ctl->out)))
        top.screen = take_screen(&top);
    uint32_t delay_ms = top.delay_ms;
    if (top.screen && delay_ms > FIRST_DELAY_MS)
        top.delay_ms = FIRST_DELAY_MS;
    while (rc == QK_EXIT_OK && wait_next(&top)) {
        top.delay_ms = delay_ms;
        rc = measure(&top);
        if (rc == QK_EXIT_OK)
            rc = print(&top);
        if (fflush(ctl->out) != 0 || once)
            break;
    }
    if (top.screen)
        give_screen_back(&top);
    qk_arena_finish(&top.arenas[0]);
    qk_arena_finish(&top.arenas[1]);
    return rc;
}
