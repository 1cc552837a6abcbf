/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values of the configuration: comparing, writing, freeing. */
#include "main/config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <quark/abi.h>
#include "main/units.h"

const char *const qk_level_names[] = {"error", "warning", "notice", "info", "debug", NULL};

const char *const qk_isolation_names[] = {"none", "process", NULL};

static const int levels[] = {QK_LOG_ERROR, QK_LOG_WARNING, QK_LOG_NOTICE, QK_LOG_INFO, QK_LOG_DEBUG};

int qk_level_value(const char *name)
{
    for (int i = 0; qk_level_names[i] != NULL; i++) {
        if (strcmp(qk_level_names[i], name) == 0)
            return levels[i];
    }
    return -1;
}

static const char *level_name(int64_t level)
{
    for (int i = 0; qk_level_names[i] != NULL; i++) {
        if (levels[i] == level)
            return qk_level_names[i];
    }
    return "";
}

static bool texts_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool qk_value_equal(const struct qk_value *a, const struct qk_value *b)
{
    if (a->number != b->number || !texts_equal(a->text, b->text) || a->n_list != b->n_list)
        return false;
    for (size_t i = 0; i < a->n_list; i++) {
        if (strcmp(a->list[i], b->list[i]) != 0)
            return false;
    }
    return true;
}

void qk_value_finish(struct qk_value *value)
{
    for (size_t i = 0; i < value->n_list; i++)
        free(value->list[i]);
    free(value->list);
    free(value->places);
    free(value->text);
    free(value->file);
    *value = (struct qk_value){0};
}

static void write_text(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            fputs("\\n", to);
        } else if (*text == '\t') {
            fputs("\\t", to);
        } else {
            if (*text == '"' || *text == '\\')
                fputc('\\', to);
            fputc(*text, to);
        }
    }
    fputc('"', to);
}

static void write_list(FILE *to, const struct qk_value *value)
{
    fputs("[ ", to);
    for (size_t i = 0; i < value->n_list; i++) {
        if (i > 0)
            fputs(", ", to);
        write_text(to, value->list[i]);
    }
    fputs(value->n_list > 0 ? " ]" : "]", to);
}

void qk_value_write(FILE *to, enum qk_key_type type, const struct qk_value *value)
{
    char text[QK_UNIT_TEXT_MAX];
    switch (type) {
    case QK_KEY_NAME:
    case QK_KEY_PATH:
        write_text(to, value->text);
        break;
    case QK_KEY_PATHS:
    case QK_KEY_USERS:
    case QK_KEY_GROUPS:
    case QK_KEY_NAMES:
    case QK_KEY_GRANTS:
        write_list(to, value);
        break;
    case QK_KEY_INTEGER:
        fprintf(to, "%" PRId64, value->number);
        break;
    case QK_KEY_BOOLEAN:
        fputs(value->number != 0 ? "true" : "false", to);
        break;
    case QK_KEY_DURATION:
        qk_unit_format(qk_duration_units, value->number, text);
        write_text(to, text);
        break;
    case QK_KEY_SIZE:
        qk_unit_format(qk_size_units, value->number, text);
        write_text(to, text);
        break;
    case QK_KEY_MODE:
        fprintf(to, "\"%04o\"", (unsigned)value->number);
        break;
    case QK_KEY_LEVEL:
        write_text(to, level_name(value->number));
        break;
    case QK_KEY_ISOLATION:
        write_text(to, qk_isolation_names[value->number]);
        break;
    }
}

char *qk_value_string(enum qk_key_type type, const struct qk_value *value)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL)
        return NULL;
    qk_value_write(to, type, value);
    if (fclose(to) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

void qk_config_show(FILE *to, const struct qk_config *config)
{
    for (int i = 0; i < QK_KEYS; i++) {
        const struct qk_value *value = &config->values[i];
        char *text = qk_value_string(qk_keys[i].type, value);
        fprintf(to, "%-24s = %-28s # ", qk_keys[i].dotted, text != NULL ? text : "?");
        free(text);
        fputs(value->file != NULL ? value->file : "default", to);
        if (value->file != NULL && value->where.line > 0)
            fprintf(to, ":%d", value->where.line);
        fputc('\n', to);
    }
}
