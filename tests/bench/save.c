/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Durable saves through the runtime and the SQLite store, and the floor: one row after the other into bare SQLite. */
#include "bench.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "save.quark.h"

#define SAVES 2000 /* of one actor; of 64, four times as many together */
#define NOTE  "what an actor has to remember is seldom longer than this line of text, give or take a word or two"

static char dir[64], path[80];

int saver_run(qk_turn *t, Save__Ledger *self, const Save__Times *req, Save__Times *rep)
{
    if (*self->note == '\0' && qk_set_string(&self->note, NOTE) < 0)
        return QK_ENOMEMORY;
    for (int64_t i = 0; i < req->value; i++) {
        self->saves++;
        int rc = saver_save(t, self);
        if (rc < 0)
            return qk_fail(t, rc, "%s", qk_error(t));
    }
    rep->value = self->saves;
    return 0;
}

/* A directory on a disk: saves into memory would prove nothing. */
static void make_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof(dir), "%.40s/quark-XXXXXX", tmp != NULL ? tmp : "/var/tmp");
    if (mkdtemp(dir) == NULL)
        bench_fail("no directory in %s", dir);
    snprintf(path, sizeof(path), "%s/state.db", dir);
}

static void remove_dir(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char name[100];
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
    rmdir(dir);
}

void save_sqlite(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    int64_t each = w->size == 1 ? SAVES : 4 * SAVES / w->size, start = 0;
    Save__Times in = SAVE__TIMES__INIT;
    make_dir();
    silo_open_stored(w->workers, &save_plugin, path);
    for (int run = 0; run < 2; run++) { /* the first makes the rows */
        start = bench_now_ns();
        for (uint32_t i = 0; i < w->size; i++) {
            in.value = run == 0 ? 1 + each / 10 : each;
            silo_submit(saver_run_method(), bench_keys[i], &in.base);
        }
        silo_wait();
    }
    ret_sample->value = (double)each * w->size / ((double)(bench_now_ns() - start) / 1e9);
    silo_close();
    remove_dir();
}

static void run_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        bench_fail("sqlite: %s", sqlite3_errmsg(db));
}

void floor_sqlite(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    (void)w;
    sqlite3 *db;
    sqlite3_stmt *update;
    make_dir();
    if (sqlite3_open(path, &db) != SQLITE_OK)
        bench_fail("sqlite: %s", sqlite3_errmsg(db));
    run_sql(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                "CREATE TABLE state (key TEXT PRIMARY KEY, version INTEGER, bytes BLOB);"
                "INSERT INTO state VALUES ('0000000', 0, x'');");
    if (sqlite3_prepare_v2(db, "UPDATE state SET version = version + 1, bytes = ?1 WHERE key = '0000000'", -1, &update,
                           NULL) != SQLITE_OK)
        bench_fail("sqlite: %s", sqlite3_errmsg(db));
    int64_t start = 0;
    for (int i = -SAVES / 10; i < SAVES; i++) {
        if (i == 0)
            start = bench_now_ns();
        sqlite3_bind_blob(update, 1, NOTE, sizeof(NOTE) - 1, SQLITE_STATIC);
        if (sqlite3_step(update) != SQLITE_DONE)
            bench_fail("sqlite: %s", sqlite3_errmsg(db));
        sqlite3_reset(update);
    }
    ret_sample->value = SAVES / ((double)(bench_now_ns() - start) / 1e9);
    sqlite3_finalize(update);
    sqlite3_close(db);
    remove_dir();
}
