/* SPDX-License-Identifier: Apache-2.0 */
/* Formats log lines and hands them to the sink; without one they go to standard error. */
#include "base/log.h"

#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/limits.h"

static struct qk_log_sink sink;
static bool prefixed;
static atomic_int threshold = QK_LOG_INFO;

void qk_log_set_sink(const struct qk_log_sink *to)
{
    sink = to != NULL ? *to : (struct qk_log_sink){0};
}

void qk_log_set_prefixed(bool on)
{
    prefixed = on;
}

void qk_log_set_level(enum qk_log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

enum qk_log_level qk_log_get_level(void)
{
    return (enum qk_log_level)atomic_load_explicit(&threshold, memory_order_relaxed);
}

size_t qk_log_clean(char *to, size_t size, const char *text)
{
    size_t n = 0;
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0' && n + 3 < size) {
        unsigned char c = *at++;
        if (c == '\n' && *at != ' ') {
            memcpy(to + n, "\n  ", 3);
            n += 3;
        } else if (c == 0xc2 && *at >= 0x80 && *at < 0xa0) { /* U+0080 to U+009F command terminals too */
            to[n++] = '?';
            at++;
        } else {
            to[n++] = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? '?' : (char)c;
        }
    }
    to[n] = '\0';
    return n;
}

/* ---- standard error */

#define LINE_BYTES  4096 /* what a pipe that has room takes at once */
#define PATIENCE_MS 50   /* for a reader that is slow; one that has stopped is waited for once */

static atomic_flag writing = ATOMIC_FLAG_INIT;
static atomic_uint unwritten; /* lines since the last that was */

/* Whether a line can be written without waiting. A terminal that was stopped and a pipe that nobody reads must not hold
 * up whoever has something to say. */
static bool takes_lines(void)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    int timeout_ms = atomic_load(&unwritten) == 0 ? PATIENCE_MS : 0;
    return poll(&p, 1, timeout_ms) == 1 && (p.revents & POLLOUT) != 0;
}

/* One write for each line, so that lines of several threads do not mix. */
static void write_line(const char *line, size_t size)
{
    /* Not a lock: this is also called from the handler of a crash, which may have come in the middle of it. */
    for (int i = 0; i < 1000 && atomic_flag_test_and_set(&writing); i++)
        sched_yield();
    bool takes = takes_lines();
    unsigned lost = takes ? atomic_exchange(&unwritten, 0) : 0;
    if (lost != 0) {
        dprintf(STDERR_FILENO, "%s%u lines are missing here: nobody was reading\n", prefixed ? "<4>" : "", lost);
        takes = takes_lines();
    }
    if (takes) {
        ssize_t written = write(STDERR_FILENO, line, size);
        (void)written; /* there is nobody left to tell */
    } else {
        atomic_fetch_add(&unwritten, 1);
    }
    atomic_flag_clear(&writing);
}

static void write_plain(enum qk_log_level level, const char *code, const char *text)
{
    char line[LINE_BYTES + 1];
    char clean[QK_LOG_TEXT_MAX];
    char prefix[8] = "";
    if (prefixed)
        snprintf(prefix, sizeof(prefix), "<%d>", (int)level);
    (void)qk_log_clean(clean, sizeof(clean), text);
    int n = snprintf(line, sizeof(line), "%s%s%s%s%s\n", prefix, clean, code != NULL ? " [" : "",
                     code != NULL ? code : "", code != NULL ? "]" : "");
    if (n > LINE_BYTES) {
        n = LINE_BYTES;
        line[n - 1] = '\n';
    }
    if (n > 0)
        write_line(line, (size_t)n);
}

void qk_log_write(enum qk_log_level level, const char *code, const struct qk_log_field *fields, const char *format, ...)
{
    if (level > qk_log_get_level())
        return;
    char text[QK_LOG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (sink.write != NULL)
        sink.write(sink.arg, level, code, text, fields);
    else
        write_plain(level, code, text);
}
