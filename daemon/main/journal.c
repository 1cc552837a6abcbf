/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Log lines with fields for the journal, and for people at a terminal. */
#include "main/journal.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/diag.h"
#include "base/limits.h"
#include "base/log.h"
#include "main/message_id.h"

static bool open_to_journal;
static bool colored;

#if QK_HAVE_SYSTEMD

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#define FIELD_MAX 512 /* bytes of one field's value, with its name */

static void write_journal(void *arg, enum qk_log_level level, const char *code, const char *text,
                          const struct qk_log_field *fields)
{
    (void)arg;
    char message[QK_LOG_TEXT_MAX + 16];
    char values[QK_LOG_FIELDS_MAX][FIELD_MAX];
    char fixed[3][64];
    struct iovec parts[QK_LOG_FIELDS_MAX + 4];
    int n = 0;
    snprintf(message, sizeof(message), "MESSAGE=%s", text);
    parts[n++] = (struct iovec){message, strlen(message)};
    snprintf(fixed[0], sizeof(fixed[0]), "PRIORITY=%d", (int)level);
    parts[n++] = (struct iovec){fixed[0], strlen(fixed[0])};
    if (code != NULL) {
        snprintf(fixed[1], sizeof(fixed[1]), "QUARK_CODE=%s", code);
        parts[n++] = (struct iovec){fixed[1], strlen(fixed[1])};
    }
    if (code != NULL && strlen(code) == 6) {
        snprintf(fixed[2], sizeof(fixed[2]), "MESSAGE_ID=" QK_MESSAGE_ID_PREFIX "%s", code + 2);
        parts[n++] = (struct iovec){fixed[2], strlen(fixed[2])};
    }
    for (int i = 0; fields != NULL && fields[i].name != NULL && i < QK_LOG_FIELDS_MAX; i++) {
        if (fields[i].value == NULL)
            continue;
        snprintf(values[i], FIELD_MAX, "%s=%s", fields[i].name, fields[i].value);
        parts[n++] = (struct iovec){values[i], strlen(values[i])};
    }
    (void)sd_journal_sendv(parts, n); /* there is nobody left to tell */
}

#endif

static const char *const level_words[] = {
    [QK_LOG_ERROR] = "error", [QK_LOG_WARNING] = "warning", [QK_LOG_NOTICE] = "",
    [QK_LOG_INFO] = "",       [QK_LOG_DEBUG] = "debug",
};

static const char *field(const struct qk_log_field *fields, const char *name)
{
    for (; fields != NULL && fields->name != NULL; fields++) {
        if (strcmp(fields->name, name) == 0)
            return fields->value;
    }
    return NULL;
}

/* "12:34:56 warning counter/alice: text [QK0610]" */
static void write_terminal(void *arg, enum qk_log_level level, const char *code, const char *text,
                           const struct qk_log_field *fields)
{
    (void)arg;
    char line[QK_LOG_TEXT_MAX + 512];
    struct tm tm;
    time_t now = time(NULL);
    char clock[16] = "";
    if (localtime_r(&now, &tm) != NULL)
        strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
    char clean[QK_LOG_TEXT_MAX];
    (void)qk_log_clean(clean, sizeof(clean), text);
    const char *actor = field(fields, "QUARK_ACTOR");
    const char *word = level_words[level];
    const char *paint = !colored || *word == '\0' ? "" : level == QK_LOG_ERROR ? "\033[1;31m" : "\033[33m";
    int n = snprintf(line, sizeof(line), "%s %s%s%s%s%.256s%s%s%s%s%s\n", clock, paint, word,
                     *paint != '\0' ? "\033[0m" : "", *word != '\0' ? " " : "", actor != NULL ? actor : "",
                     actor != NULL ? ": " : "", clean, code != NULL ? " [" : "", code != NULL ? code : "",
                     code != NULL ? "]" : "");
    if (n > 0) {
        ssize_t written = write(STDERR_FILENO, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
        (void)written; /* there is nobody left to tell */
    }
}

/* The service manager names device and file of the stream that it connected to the journal. */
static bool is_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    struct stat st;
    unsigned long long dev;
    unsigned long long ino;
    return text != NULL && sscanf(text, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           st.st_dev == dev && st.st_ino == ino;
}

void qk_journal_open(void)
{
    open_to_journal = is_journal();
#if QK_HAVE_SYSTEMD
    if (open_to_journal) {
        qk_log_set_sink(&(struct qk_log_sink){write_journal, NULL});
        return;
    }
#endif
    if (isatty(STDERR_FILENO)) {
        colored = qk_diag_wants_color(stderr);
        qk_log_set_sink(&(struct qk_log_sink){write_terminal, NULL});
        return;
    }
    /* systemd reads <N> in front of lines; a file or a pipe of anybody else gets them plain. */
    qk_log_set_prefixed(open_to_journal);
}

bool qk_journal_is_open(void)
{
    return open_to_journal;
}
