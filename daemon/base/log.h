/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines with fields. Any thread; where they go is set once, before other threads start. */
#ifndef QK_BASE_LOG_H
#define QK_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <quark/abi.h>

/* A field beside the text: journal names such as "QUARK_ACTOR". A list ends with a NULL name; a field whose value is
 * NULL is left out. */
struct qk_log_field {
    const char *name;
    const char *value;
};

#define QK_LOG_FIELDS_MAX 16

struct qk_log_sink {
    void (*write)(void *arg, enum qk_log_level level, const char *code, const char *text,
                  const struct qk_log_field *fields);
    void *arg;
};

/* NULL: back to standard error, each line with the <N> prefix that systemd reads where `prefixed`, plain otherwise. */
void qk_log_set_sink(const struct qk_log_sink *sink);
void qk_log_set_prefixed(bool prefixed);

/* What is less important than `level` is dropped. QK_LOG_INFO at first. */
void qk_log_set_level(enum qk_log_level level);
enum qk_log_level qk_log_get_level(void);

/*
 * Copies a text for a file or a terminal: what would move the cursor becomes '?', and what follows a line break is set
 * in, so that no text passes for a line of its own. Cuts it where `size` ends. Returns the length. For sinks.
 */
size_t qk_log_clean(char *to, size_t size, const char *text);

/* Writes one line. `code` is one of the catalogue's ("QK0301") or NULL, `fields` may be NULL. */
void qk_log_write(enum qk_log_level level, const char *code, const struct qk_log_field *fields, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
