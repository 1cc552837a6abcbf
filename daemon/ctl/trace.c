/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What one call has caused, as a tree or as JSON: `call --trace`. */
#include "ctl/ctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <quark/status.h>
#include "base/limits.h"

/* A span with its place in the tree. */
struct node {
    struct qk_client_span span; /* its names lie in the run's arena */
    uint32_t first_child;       /* numbers from 1; 0: none */
    uint32_t last_child;
    uint32_t next; /* of its parent's */
};

struct tree {
    struct qk_ctl *ctl;
    struct node *nodes; /* [0] is above all */
    uint32_t n;
    bool failed;
};

static const char *copy(struct tree *tree, const char *text)
{
    size_t size = strlen(text) + 1;
    char *to = qk_arena_alloc(&tree->ctl->arena, size);
    if (to == NULL) {
        tree->failed = true;
        return "";
    }
    return memcpy(to, text, size);
}

static void add(void *arg, const struct qk_client_span *span)
{
    struct tree *tree = arg;
    if (tree->n == QK_TRACE_SPANS_MAX) {
        tree->failed = true;
        return;
    }
    uint32_t number = ++tree->n;
    struct node *node = &tree->nodes[number], *parent = &tree->nodes[span->parent];
    *node = (struct node){.span = *span};
    node->span.type = copy(tree, span->type);
    node->span.key = copy(tree, span->key);
    node->span.method = copy(tree, span->method);
    if (parent->last_child != 0)
        tree->nodes[parent->last_child].next = number;
    else
        parent->first_child = number;
    parent->last_child = number;
}

/* ---- as a tree */

enum column { CALL, QUEUED, RUN, SUSPENDED, STATUS, WORKER, N_COLUMNS };

static const struct qk_column columns[N_COLUMNS] = {
    [CALL] = {"CALL", false, QK_FIT_CUT},      [QUEUED] = {"QUEUED", true, QK_FIT_NONE},
    [RUN] = {"RUN", true, QK_FIT_NONE},        [SUSPENDED] = {"SUSPENDED", true, QK_FIT_NONE},
    [STATUS] = {"STATUS", false, QK_FIT_NONE}, [WORKER] = {"WORKER", true, QK_FIT_NONE},
};

/* How deep the tree is drawn; what lies deeper stands where this ends. */
#define DEPTH_MAX 80

static const char *status_of(const struct qk_client_span *s, char *buf, size_t size)
{
    if (s->state == QK_CLIENT_SPAN_WAITS)
        return "waits";
    if (s->state == QK_CLIENT_SPAN_RUNS)
        return "open";
    if (s->status >= 0)
        snprintf(buf, size, "%" PRId32, s->status);
    else if (qk_is_app(s->status))
        snprintf(buf, size, "app %" PRId32, QK_APP(0) - s->status);
    else
        return qk_status_name(s->status);
    return buf;
}

static void put_row(struct qk_table *table, const struct qk_client_span *s, const char *lines)
{
    static const char *const kinds[] = {
        [QK_CLIENT_SPAN_CALL] = "", [QK_CLIENT_SPAN_SEND] = " (sent)", [QK_CLIENT_SPAN_TICK] = " (timer)"};
    char a[32], b[32], c[32], d[32];
    bool known = s->kind >= QK_CLIENT_SPAN_CALL && s->kind <= QK_CLIENT_SPAN_TICK;
    qk_table_row(table);
    qk_table_set(table, CALL, "%s%s/%s %s%s", lines, s->type, s->key, s->method, known ? kinds[s->kind] : "");
    qk_table_set(table, QUEUED, "%s", qk_print_ns(s->queued_ns, a));
    qk_table_set(table, RUN, "%s", qk_print_ns(s->run_ns, b));
    qk_table_set(table, SUSPENDED, "%s", qk_print_ns(s->suspended_ns, c));
    qk_table_set(table, STATUS, "%s", status_of(s, d, sizeof(d)));
    if (s->state != QK_CLIENT_SPAN_WAITS)
        qk_table_set(table, WORKER, "%" PRIu32, s->worker);
}

/* Puts a row for each node, a parent before its children, without recursion: a parent's number is below its child's. */
static void put_rows(struct tree *tree, struct qk_table *table)
{
    uint32_t path[DEPTH_MAX + 1];
    char lines[3 * DEPTH_MAX + 1];
    unsigned depth = 0;
    path[0] = tree->nodes[0].first_child;
    while (path[0] != 0) {
        const struct node *node = &tree->nodes[path[depth]];
        unsigned at = 0;
        for (unsigned i = 1; i <= depth; i++) {
            bool last = tree->nodes[path[i]].next == 0;
            at += (unsigned)snprintf(lines + at, sizeof(lines) - at, "%s",
                                     i < depth ? (last ? "   " : "|  ")
                                     : last    ? "`- "
                                               : "|- ");
        }
        lines[at] = '\0';
        put_row(table, &node->span, lines);
        if (node->first_child != 0 && depth < DEPTH_MAX) {
            path[++depth] = node->first_child;
            continue;
        }
        while (depth > 0 && tree->nodes[path[depth]].next == 0)
            depth--;
        path[depth] = tree->nodes[path[depth]].next;
    }
}

static int print_tree(struct tree *tree, const struct qk_client_recording *recording)
{
    struct qk_table table;
    qk_table_init(&table, columns, N_COLUMNS);
    put_rows(tree, &table);
    int rc = qk_table_print(tree->ctl, &table);
    qk_table_finish(&table);
    if (recording->left_out != 0)
        fprintf(tree->ctl->out, "%" PRIu64 " more were left out\n", recording->left_out);
    return rc;
}

/* ---- as JSON */

static void put_string(FILE *to, const char *name, const char *text)
{
    fprintf(to, "\"%s\":\"", name);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            fprintf(to, "\\%c", *at);
        else if ((unsigned char)*at < 0x20)
            fprintf(to, "\\u%04x", (unsigned)*at);
        else
            fputc(*at, to);
    }
    fputs("\",", to);
}

static void put_json(FILE *to, const struct qk_client_span *s)
{
    static const char *const kinds[] = {"unknown", "call", "send", "timer"};
    static const char *const states[] = {"unknown", "waits", "open", "ended"};
    fprintf(to, "{\"parent\":%" PRIu32 ",\"id\":\"%016" PRIx64 "\",", s->parent, s->id);
    put_string(to, "type", s->type);
    put_string(to, "key", s->key);
    put_string(to, "method", s->method);
    put_string(to, "kind", kinds[(unsigned)s->kind <= 3 ? s->kind : 0]);
    put_string(to, "state", states[(unsigned)s->state <= 3 ? s->state : 0]);
    fprintf(to,
            "\"status\":%" PRId32 ",\"worker\":%" PRIu32 ",\"startNs\":%" PRIu64 ",\"queuedNs\":%" PRIu64
            ",\"runNs\":%" PRIu64 ",\"suspendedNs\":%" PRIu64 "}",
            s->status, s->worker, s->start_ns, s->queued_ns, s->run_ns, s->suspended_ns);
}

static void print_json(const struct tree *tree, const struct qk_client_recording *recording)
{
    FILE *to = tree->ctl->out;
    fprintf(to, "{\"traceId\":\"%s\",\"leftOut\":%" PRIu64 ",\"spans\":[", recording->trace_id, recording->left_out);
    for (uint32_t i = 1; i <= tree->n; i++) {
        if (i > 1)
            fputc(',', to);
        put_json(to, &tree->nodes[i].span);
    }
    fputs("]}\n", to);
}

int qk_trace_print(struct qk_ctl *ctl)
{
    struct tree tree = {.ctl = ctl};
    struct qk_client_recording recording;
    tree.nodes = calloc(QK_TRACE_SPANS_MAX + 1, sizeof(*tree.nodes));
    if (tree.nodes == NULL)
        return qk_ctl_fail(ctl, QK_EXIT_FAILED, NULL, NULL, NULL, "out of memory");
    int rc = qk_client_visit_spans(ctl->client, add, &tree, &recording);
    int exit_code = QK_EXIT_OK;
    if (rc < 0 || tree.failed)
        exit_code = qk_ctl_fail(ctl, QK_EXIT_FAILED, NULL, rc < 0 ? qk_client_error(ctl->client) : NULL, NULL,
                                "what the call has caused can't be shown");
    else if (qk_ctl_has(ctl, QK_OPT_JSON))
        print_json(&tree, &recording);
    else
        exit_code = print_tree(&tree, &recording);
    free(tree.nodes);
    return exit_code;
}
