/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Measures, decides, collects. Actors are collected in steps, each a bounded number of those unused for an age that
 * halves from step to step, so that the longest unused go first without a list that would cost each turn something;
 * between steps the freed memory is given back to the system, or it would not show.
 */
#include "silo/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/log.h"

#define SHORT_PERCENT      80
#define SHORT_OVER_PERCENT 75
#define FULL_PERCENT       90
#define FULL_OVER_PERCENT  85

#define NS_PER_MS   1000000
#define STEP_MS     10  /* between looks while memory is short */
#define REST_MS_MAX 500 /* between looks at most */
#define REST_MS_MIN 5
#define GROWTH      (1ull << 30) /* bytes a second that memory may grow by between looks */
#define AGE_FIRST   86400000     /* ms: as long as a type may keep an actor at most */
#define STEP_SHARE  16           /* a step collects at most this part of the actors */
#define STEP_LEAST  256          /* or this many */

/* Of jemalloc, where the program is linked with it; 4096 stands for all arenas. */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size) __attribute__((weak));

int64_t qk_memory_resident(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return -EIO;
    text[n] = '\0';
    unsigned long long total, resident;
    if (sscanf(text, "%llu %llu", &total, &resident) != 2)
        return -EIO;
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

static int64_t measure_resident(void *arg)
{
    (void)arg;
    return qk_memory_resident();
}

static void give_back(void)
{
    if (mallctl != NULL)
        mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
    else
        malloc_trim(0);
}

/* Freed memory goes back within a moment rather than in ten seconds: what large replies leave behind in that time is
 * several times what is in use. Arenas that exist and those to come; failing only costs that. */
static void keep_little(void)
{
    ssize_t dirty_ms = 100, muzzy_ms = 0;
    if (mallctl == NULL)
        return;
    mallctl("arenas.dirty_decay_ms", NULL, NULL, &dirty_ms, sizeof(dirty_ms));
    mallctl("arenas.muzzy_decay_ms", NULL, NULL, &muzzy_ms, sizeof(muzzy_ms));
    mallctl("arena.0.dirty_decay_ms", NULL, NULL, &dirty_ms, sizeof(dirty_ms));
    mallctl("arena.0.muzzy_decay_ms", NULL, NULL, &muzzy_ms, sizeof(muzzy_ms));
}

static uint64_t percent(const struct qk_memory *m, unsigned part)
{
    return m->budget / 100 * part;
}

/* ---- collecting */

static void collect_more(struct qk_memory *m, const struct qk_runtime_stats *stats)
{
    uint64_t claimed;
    if (!qk_runtime_collected(m->rt, &claimed))
        return;
    if (m->asked != 0) {
        m->collected += claimed;
        if (claimed != 0 && !m->returned) { /* their ends take a moment more: seen at the next look */
            give_back();
            m->returned = true;
            return;
        }
        if (claimed < m->asked)
            m->age_ms /= 2;
    }
    m->asked = stats->activations / STEP_SHARE > STEP_LEAST ? stats->activations / STEP_SHARE : STEP_LEAST;
    m->returned = false;
    if (!qk_runtime_collect(m->rt, (uint32_t)m->age_ms, m->asked))
        m->asked = 0;
}

/* ---- deciding */

static enum qk_memory_level level_for(const struct qk_memory *m, uint64_t used)
{
    if (used >= percent(m, m->level == QK_MEMORY_FULL ? FULL_OVER_PERCENT : FULL_PERCENT))
        return QK_MEMORY_FULL;
    if (used >= percent(m, m->level != QK_MEMORY_PLENTY ? SHORT_OVER_PERCENT : SHORT_PERCENT))
        return QK_MEMORY_SHORT;
    return QK_MEMORY_PLENTY;
}

static void tell(const struct qk_memory *m, uint64_t used)
{
    static const struct {
        enum qk_log_level level;
        const char *code;
        const char *text;
    } lines[] = {
        [QK_MEMORY_PLENTY] = {QK_LOG_NOTICE, "QK0632", "memory is no longer short"},
        [QK_MEMORY_SHORT] = {QK_LOG_WARNING, "QK0630",
                             "memory is short: no further actors become active, the longest unused end"},
        [QK_MEMORY_FULL] = {QK_LOG_ERROR, "QK0631", "memory is nearly used up: no calls from outside are taken"},
    };
    char ended[64] = "";
    if (m->collected != 0)
        snprintf(ended, sizeof(ended), "; %llu actors ended for it", (unsigned long long)m->collected);
    qk_log_write(lines[m->level].level, lines[m->level].code, NULL,
                 "%s; %llu MiB of %llu MiB (runtime.memory) in use%s", lines[m->level].text,
                 (unsigned long long)(used >> 20), (unsigned long long)(m->budget >> 20), ended);
}

/* How long until the threshold could be passed at the fastest. */
static int64_t rest_ns(const struct qk_memory *m, uint64_t used)
{
    if (m->level != QK_MEMORY_PLENTY)
        return (int64_t)STEP_MS * NS_PER_MS;
    uint64_t ms = (percent(m, SHORT_PERCENT) - used) / (GROWTH / 1000);
    return (int64_t)(ms > REST_MS_MAX ? REST_MS_MAX : ms < REST_MS_MIN ? REST_MS_MIN : ms) * NS_PER_MS;
}

static void on_timer(void *arg)
{
    struct qk_memory *m = arg;
    struct qk_runtime_stats stats;
    int64_t measured = m->measure(m->measure_arg);
    if (measured < 0) {
        qk_timer_arm(m->timer, (int64_t)REST_MS_MAX * NS_PER_MS);
        return;
    }
    qk_runtime_stats(m->rt, &stats);
    /* What the runtime keeps for actors to come is resident and yet free. */
    uint64_t used = (uint64_t)measured > stats.spare_bytes ? (uint64_t)measured - stats.spare_bytes : 0;
    enum qk_memory_level before = m->level;
    m->level = level_for(m, used);
    if (m->level != before) {
        qk_runtime_set_memory(m->rt, m->level);
        tell(m, used);
        if (before == QK_MEMORY_PLENTY || m->level == QK_MEMORY_PLENTY) {
            m->age_ms = AGE_FIRST;
            m->asked = m->collected = 0;
        }
    }
    if (m->level != QK_MEMORY_PLENTY)
        collect_more(m, &stats);
    qk_timer_arm(m->timer, rest_ns(m, used));
}

/* ---- life */

int qk_memory_init(struct qk_memory *m, struct qk_loop *control, struct qk_runtime *rt, int64_t (*measure)(void *arg),
                   void *measure_arg)
{
    keep_little();
    *m = (struct qk_memory){.rt = rt, .measure = measure_resident};
    if (measure != NULL) {
        m->measure = measure;
        m->measure_arg = measure_arg;
    }
    return qk_timer_create(control, on_timer, m, &m->timer);
}

void qk_memory_finish(struct qk_memory *m)
{
    qk_timer_destroy(m->timer);
}

void qk_memory_set_budget(struct qk_memory *m, uint64_t budget)
{
    if (budget == m->budget)
        return;
    m->budget = budget;
    if (budget != 0) {
        qk_timer_arm(m->timer, 0);
        return;
    }
    qk_timer_disarm(m->timer);
    m->level = QK_MEMORY_PLENTY;
    qk_runtime_set_memory(m->rt, m->level);
}

void qk_memory_end(struct qk_memory *m)
{
    qk_timer_disarm(m->timer);
}

const char *qk_memory_name(const struct qk_memory *m)
{
    static const char *const names[] = {"plenty", "short", "full"};
    return names[m->level];
}
