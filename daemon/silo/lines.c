/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bounded queue of log lines. */
#include "silo/lines.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/limits.h"
#include "base/log.h"

#define WAITING_MAX (4u << 20) /* bytes */
#define ACTOR_MAX   1024

struct line {
    struct line *next;
    enum qk_log_level level;
    const char *code;
    uint64_t request_id;
    uint32_t actor_len; /* 0: the silo's own */
    uint32_t size;
    char bytes[]; /* actor and zero, text and zero */
};

struct qk_lines {
    struct qk_loop *control;
    struct qk_task task;
    atomic_bool called;
    _Atomic(struct line *) newest;
    _Atomic uint64_t waiting; /* bytes */
    _Atomic uint64_t dropped;
};

static void write_line(const struct line *line)
{
    char request[24];
    snprintf(request, sizeof(request), "%016llx", (unsigned long long)line->request_id);
    const char *actor = line->actor_len != 0 ? line->bytes : NULL;
    struct qk_log_field fields[] = {
        {"QUARK_ACTOR", actor}, {"QUARK_REQUEST", line->request_id != 0 ? request : NULL}, {NULL, NULL}};
    const char *text = line->bytes + line->actor_len + 1;
    if (actor != NULL)
        qk_log_write(line->level, line->code, fields, "%s: %s", actor, text);
    else
        qk_log_write(line->level, line->code, fields, "%s", text);
}

static void write_all(struct qk_lines *lines)
{
    struct line *newest = atomic_exchange(&lines->newest, NULL);
    struct line *oldest = NULL;
    while (newest != NULL) {
        struct line *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct line *line = oldest;
        oldest = line->next;
        write_line(line);
        atomic_fetch_sub(&lines->waiting, line->size);
        free(line);
    }
    uint64_t dropped = atomic_exchange(&lines->dropped, 0);
    if (dropped != 0)
        qk_log_write(QK_LOG_WARNING, "QK0615", NULL,
                     "%llu log lines were dropped: actors log faster than the log takes", (unsigned long long)dropped);
}

static void on_called(void *arg)
{
    struct qk_lines *lines = arg;
    atomic_store(&lines->called, false);
    write_all(lines);
}

int qk_lines_create(struct qk_loop *control, struct qk_lines **ret_lines)
{
    struct qk_lines *lines = calloc(1, sizeof(*lines));
    if (lines == NULL)
        return -ENOMEM;
    lines->control = control;
    lines->task = (struct qk_task){.fn = on_called, .arg = lines};
    *ret_lines = lines;
    return 0;
}

void qk_lines_destroy(struct qk_lines *lines)
{
    if (lines == NULL)
        return;
    qk_loop_unpost(lines->control, &lines->task);
    write_all(lines);
    free(lines);
}

static void call(struct qk_lines *lines)
{
    if (!atomic_exchange(&lines->called, true))
        qk_loop_post(lines->control, &lines->task);
}

void qk_lines_put(struct qk_lines *lines, enum qk_log_level level, const char *code, const char *type, const char *key,
                  uint64_t request_id, const char *text)
{
    if (level > qk_log_get_level())
        return;
    size_t type_len = type != NULL ? strlen(type) : 0;
    size_t key_len = type != NULL && key != NULL ? strlen(key) : 0;
    size_t actor_len = type != NULL ? type_len + 1 + key_len : 0;
    if (actor_len > ACTOR_MAX)
        actor_len = 0;
    size_t text_len = strnlen(text, QK_LOG_TEXT_MAX - 1);
    size_t size = sizeof(struct line) + actor_len + text_len + 2;
    struct line *line = NULL;
    if (atomic_fetch_add(&lines->waiting, size) + size <= WAITING_MAX)
        line = malloc(size);
    if (line == NULL) {
        atomic_fetch_sub(&lines->waiting, size);
        atomic_fetch_add(&lines->dropped, 1);
        call(lines);
        return;
    }
    *line = (struct line){.level = level,
                          .code = code,
                          .request_id = request_id,
                          .actor_len = (uint32_t)actor_len,
                          .size = (uint32_t)size};
    if (actor_len != 0) {
        memcpy(line->bytes, type, type_len);
        line->bytes[type_len] = '/';
        memcpy(line->bytes + type_len + 1, key, key_len);
    }
    line->bytes[actor_len] = 0;
    memcpy(line->bytes + actor_len + 1, text, text_len);
    line->bytes[actor_len + 1 + text_len] = 0;
    line->next = atomic_load(&lines->newest);
    while (!atomic_compare_exchange_weak(&lines->newest, &line->next, line)) {
    }
    call(lines);
}
