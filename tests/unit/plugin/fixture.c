/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The fixture of the plugin tests. */
#include "fixture.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include "base/log.h"

#define LOGGED_MAX 4096

static struct {
    unsigned n;
    char codes[LOGGED_MAX][8];
} logged;

static void on_log(void *arg, enum qk_log_level level, const char *code, const char *text,
                   const struct qk_log_field *fields)
{
    (void)arg, (void)level, (void)fields;
    ck_assert_ptr_nonnull(text);
    if (logged.n < LOGGED_MAX)
        snprintf(logged.codes[logged.n++], sizeof(logged.codes[0]), "%s", code != NULL ? code : "");
}

unsigned fixture_logged(const char *code)
{
    unsigned n = 0;
    for (unsigned i = 0; i < logged.n; i++)
        n += strcmp(logged.codes[i], code != NULL ? code : "") == 0;
    logged.n = 0;
    return n;
}

static int64_t now_ns(void *arg)
{
    (void)arg;
    return 1000000000;
}

int64_t fixture_wall_ms(void *arg)
{
    (void)arg;
    return 1234567;
}

static void deliver(void *arg, struct qk_port_frame *chain)
{
    (void)arg, (void)chain;
    ck_abort_msg("nobody called");
}

void fixture_init(struct fixture *f, const char *const *dirs)
{
    static const struct qk_log_sink sink = {.write = on_log};
    qk_log_set_sink(&sink);
    logged.n = 0;
    unsetenv("QUARK_TEST_RAN");
    umask(022);
    *f = (struct fixture){.dir = "/tmp/quark-plugin-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    struct qk_runtime_config config;
    qk_runtime_config_init(&config);
    config.now_ns = now_ns;
    config.wall_ms = fixture_wall_ms;
    config.deliver = deliver;
    ck_assert_int_eq(qk_runtime_create(&config, &f->rt), 0);
    const char *paths[9] = {NULL};
    for (unsigned i = 0; dirs[i] != NULL; i++)
        paths[i] = dirs[i][0] != 0 ? fixture_path(f, dirs[i]) : f->dir;
    struct qk_plugins_config set = {.runtime = f->rt, .dirs = paths, .wall_ms = fixture_wall_ms};
    ck_assert_int_eq(qk_plugins_create(&set, &f->set), 0);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st, (void)kind, (void)place;
    return remove(path);
}

void fixture_finish(struct fixture *f)
{
    qk_runtime_stop(f->rt, 0);
    while (qk_runtime_step(f->rt)) {
    }
    ck_assert_int_eq(qk_runtime_destroy(f->rt), 0);
    qk_plugins_destroy(f->set);
    ck_assert_int_eq(nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    qk_log_set_sink(NULL);
}

const char *fixture_path(const struct fixture *f, const char *name)
{
    static char paths[8][FIXTURE_PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, FIXTURE_PATH_MAX, "%s/%s", f->dir, name);
    return path;
}

uint8_t *fixture_read(const char *variant, size_t *ret_size)
{
    char path[FIXTURE_PATH_MAX];
    struct stat st;
    snprintf(path, sizeof(path), PLUGS_DIR "/plug_%s.so", variant);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(fd >= 0 && fstat(fd, &st) == 0, "%s: %s", path, strerror(errno));
    uint8_t *bytes = malloc((size_t)st.st_size);
    ck_assert_int_eq(read(fd, bytes, (size_t)st.st_size), st.st_size);
    close(fd);
    *ret_size = (size_t)st.st_size;
    return bytes;
}

void fixture_write(const struct fixture *f, const char *name, const void *bytes, size_t size)
{
    int fd = open(fixture_path(f, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    ck_assert_int_eq(close(fd), 0);
}

void fixture_put(const struct fixture *f, const char *variant, const char *name)
{
    size_t size;
    uint8_t *bytes = fixture_read(variant, &size);
    fixture_write(f, ".new", bytes, size);
    free(bytes);
    ck_assert_int_eq(rename(fixture_path(f, ".new"), fixture_path(f, name)), 0);
}

void fixture_scan(struct fixture *f, unsigned loaded, unsigned refused)
{
    struct qk_plugins_changes changes;
    ck_assert_int_eq(qk_plugins_scan(f->set, &changes), 0);
    ck_assert_uint_eq(changes.loaded, loaded);
    ck_assert_uint_eq(changes.refused, refused);
}

struct search {
    const char *path;
    struct qk_plugin_info *info;
    bool found;
};

static void visit(void *arg, const struct qk_plugin_info *info)
{
    struct search *search = arg;
    if (strcmp(info->file, search->path) != 0)
        return;
    *search->info = *info;
    search->found = true;
}

bool fixture_find(const struct fixture *f, const char *name, struct qk_plugin_info *ret_info)
{
    struct search search = {.path = fixture_path(f, name), .info = ret_info};
    qk_plugins_visit(f->set, visit, &search);
    return search.found;
}

void fixture_expect_refused(const struct fixture *f, const char *name, const char *code, const char *words)
{
    struct qk_plugin_info info;
    ck_assert_msg(fixture_find(f, name, &info), "%s is not listed", name);
    ck_assert_msg(strcmp(info.code, code) == 0 && strstr(info.reason, words) != NULL, "%s: %s: %s", name, info.code,
                  info.reason);
    ck_assert_int_eq(info.state, QK_PLUGIN_REFUSED);
    ck_assert_ptr_null(info.plugin);
}

bool fixture_await_events(struct fixture *f)
{
    struct pollfd p = {.fd = qk_plugins_watch_fd(f->set), .events = POLLIN};
    while (poll(&p, 1, 10000) > 0) {
        if (qk_plugins_take_events(f->set))
            return true;
    }
    return false;
}
