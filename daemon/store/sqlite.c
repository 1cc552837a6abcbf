/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The provider "sqlite": one thread that writes, one that reads beside it, each with a queue and a connection.
 *
 * The writer takes what waits, and what comes while it works, into one transaction, and answers once that is durable. A
 * group in which anything goes wrong is rolled back and done again one by one, so that each operation meets its own
 * end.
 */
#include "store/sqlite.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <quark/status.h>
#include "base/cpu.h"
#include "base/log.h"
#include "base/park.h"

#define GROUP_MAX        4096          /* operations that share a commit */
#define GROUP_BYTES_MAX  (16 << 20)    /* bytes after which a group is closed */
#define CHECKPOINT_PAGES 1000          /* of the write-ahead log, after which they are moved into the file */
#define SPIN_NS          60000         /* waiting for the next operation without sleeping */
#define TELL_NS          10000000000ll /* between two complaints about the same, when it passes and comes again */
#define MISSES_MAX       16            /* such waits in vain, after which there are none */

/* A thread with its queue. */
struct side {
    struct sqlite *owner;
    pthread_t thread;
    bool started;
    struct qk_sqlite_conn conn;
    bool trouble;     /* something was logged, and has not passed. The thread's own, as what follows */
    const char *told; /* code of what was last logged */
    int64_t told_ns;  /* when */
    unsigned misses;
    pthread_mutex_t lock;
    struct qk_store_op *first;
    struct qk_store_op **last;
    atomic_bool waiting; /* the queue has something */
    atomic_bool ending;
    struct qk_park park;
};

struct sqlite {
    struct qk_store store; /* first */
    char *path;
    struct side writer, reader;
    int wal_pages; /* of the log after the last commit; the writer's, as what follows */
    int moved;     /* pages of it that the last checkpoint has seen */
};

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* ---- queues */

static void put(struct side *side, struct qk_store_op *first, struct qk_store_op **last)
{
    *last = NULL;
    pthread_mutex_lock(&side->lock);
    *side->last = first;
    side->last = last;
    atomic_store_explicit(&side->waiting, true, memory_order_release);
    pthread_mutex_unlock(&side->lock);
    qk_park_wake(&side->park);
}

/* Everything that waits; NULL: nothing. */
static struct qk_store_op *take(struct side *side)
{
    if (!atomic_load_explicit(&side->waiting, memory_order_acquire))
        return NULL;
    pthread_mutex_lock(&side->lock);
    struct qk_store_op *chain = side->first;
    side->first = NULL;
    side->last = &side->first;
    atomic_store_explicit(&side->waiting, false, memory_order_relaxed);
    pthread_mutex_unlock(&side->lock);
    return chain;
}

/* Who saves one state after another comes back sooner than a thread wakes up. */
static bool spin(struct side *side, int64_t since_ns)
{
    if (side->misses >= MISSES_MAX)
        return false;
    do {
        for (int i = 0; i < 16; i++) {
            if (atomic_load_explicit(&side->waiting, memory_order_relaxed))
                return true;
            qk_cpu_pause();
        }
    } while (now_ns() - since_ns < SPIN_NS);
    return false;
}

/* Waits; NULL: the end. */
static struct qk_store_op *await(struct side *side)
{
    struct qk_store_op *chain = take(side);
    if (chain != NULL)
        return chain;
    int64_t since_ns = now_ns();
    bool soon = spin(side, since_ns);
    while ((chain = take(side)) == NULL) {
        if (atomic_load(&side->ending)) {
            /* What was put before the end was asked for is seen now, if it was not yet. */
            return take(side);
        }
        qk_park_wait(&side->park, -1);
    }
    if (soon || now_ns() - since_ns < SPIN_NS)
        side->misses = 0;
    else if (side->misses < MISSES_MAX)
        side->misses++;
    return chain;
}

static void submit(struct qk_store *store, struct qk_store_op *chain)
{
    struct sqlite *s = (struct sqlite *)store;
    struct qk_store_op *reads = NULL, *writes = NULL;
    struct qk_store_op **reads_end = &reads, **writes_end = &writes;
    for (struct qk_store_op *op = chain; op != NULL; op = op->next) {
        bool changes = op->kind == QK_OP_WRITE || op->kind == QK_OP_CLEAR || op->kind == QK_OP_APPEND;
        struct qk_store_op ***end = changes ? &writes_end : &reads_end;
        **end = op;
        *end = &op->next;
    }
    if (reads != NULL)
        put(&s->reader, reads, reads_end);
    if (writes != NULL)
        put(&s->writer, writes, writes_end);
}

/* ---- what goes wrong: once in the log, and in every answer */

static void fail(struct side *side, struct qk_store_op *op, int rc)
{
    struct qk_sqlite_fault fault;
    qk_sqlite_explain(side->conn.db, rc, side->owner->path, &fault);
    qk_store_fail(op, fault.status, "%s", fault.text);
    if (side->told != NULL && strcmp(side->told, fault.code) == 0 &&
        (side->trouble || now_ns() - side->told_ns < TELL_NS))
        return;
    side->trouble = true;
    side->told = fault.code;
    side->told_ns = now_ns();
    qk_log_write(QK_LOG_ERROR, fault.code, NULL, "%s (%s)", fault.text, sqlite3_errstr(rc));
}

static void recover(struct side *side, const char *what)
{
    if (!side->trouble)
        return;
    side->trouble = false;
    qk_log_write(QK_LOG_NOTICE, NULL, NULL, "the state file %s can be %s again", side->owner->path, what);
}

/* ---- the writer */

struct group {
    struct qk_store_op *first;
    struct qk_store_op **last;
    size_t n;
    size_t bytes;
};

static size_t bytes_of(const struct qk_store_op *op)
{
    size_t bytes = op->size;
    for (uint32_t i = 0; op->kind == QK_OP_APPEND && i < op->n_events; i++)
        bytes += op->events[i].size;
    return bytes;
}

static int run_chain(struct side *side, struct group *group, struct qk_store_op *chain)
{
    int rc = SQLITE_OK;
    *group->last = chain;
    for (struct qk_store_op *op = chain; op != NULL; op = op->next) {
        if (rc == SQLITE_OK)
            rc = qk_sqlite_run(&side->conn, op);
        group->last = &op->next;
        group->n++;
        group->bytes += bytes_of(op);
    }
    return rc;
}

static int commit(struct side *side, int64_t changes_before, int64_t begun_ns)
{
    /* A write-ahead log takes writes to a file that nobody will find again. */
    int moved = 0;
    if (sqlite3_file_control(side->conn.db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0)
        return SQLITE_READONLY_DBMOVED;
    int rc = qk_sqlite_step(&side->conn, QK_SQL_COMMIT);
    if (rc == SQLITE_OK && sqlite3_total_changes64(side->conn.db) != changes_before) {
        qk_store_count_commit(&side->owner->store, now_ns() - begun_ns);
        recover(side, "written");
    }
    return rc;
}

static void roll_back(struct side *side)
{
    if (sqlite3_get_autocommit(side->conn.db) == 0)
        qk_sqlite_step(&side->conn, QK_SQL_ROLLBACK);
}

/* Takes and runs operations until none waits, and makes them durable. */
static int run_group(struct side *side, struct group *group, struct qk_store_op *chain)
{
    int64_t begun_ns = now_ns();
    int64_t changes = sqlite3_total_changes64(side->conn.db);
    int rc = qk_sqlite_step(&side->conn, QK_SQL_BEGIN);
    if (rc != SQLITE_OK) {
        *group->last = chain;
        return rc;
    }
    while (rc == SQLITE_OK && chain != NULL) {
        rc = run_chain(side, group, chain);
        chain = rc == SQLITE_OK && group->n < GROUP_MAX && group->bytes < GROUP_BYTES_MAX ? take(side) : NULL;
    }
    return rc == SQLITE_OK ? commit(side, changes, begun_ns) : rc;
}

/* One operation in a transaction of its own. */
static void run_alone(struct side *side, struct qk_store_op *op)
{
    int64_t begun_ns = now_ns();
    int64_t changes = sqlite3_total_changes64(side->conn.db);
    op->status = 0;
    op->version = 0;
    op->text[0] = '\0';
    int rc = qk_sqlite_step(&side->conn, QK_SQL_BEGIN);
    if (rc == SQLITE_OK)
        rc = qk_sqlite_run(&side->conn, op);
    if (rc == SQLITE_OK)
        rc = commit(side, changes, begun_ns);
    if (rc == SQLITE_OK)
        return;
    fail(side, op, rc); /* while the connection still knows why */
    roll_back(side);
}

/* Nothing of the group is there. */
static void redo(struct side *side, struct group *group, int rc)
{
    roll_back(side);
    for (struct qk_store_op *op = group->first; op != NULL; op = op->next) {
        if ((rc & 0xff) == SQLITE_BUSY)
            fail(side, op, rc); /* each would wait as long again */
        else
            run_alone(side, op);
    }
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
    (void)db, (void)name;
    ((struct sqlite *)arg)->wal_pages = pages;
    return SQLITE_OK;
}

/* Moves pages from the log into the file, when there are enough new ones; after the answers, for nobody waits for it.
 * Where a reader or a full disk is in the way, the log grows on, and the next ones take the pages along. */
static void checkpoint(struct sqlite *s)
{
    if (s->wal_pages < s->moved)
        s->moved = 0; /* the log has begun anew */
    if (s->wal_pages - s->moved < CHECKPOINT_PAGES)
        return;
    sqlite3_wal_checkpoint_v2(s->writer.conn.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    s->moved = s->wal_pages;
}

static void *writer_main(void *arg)
{
    struct side *side = arg;
    struct qk_store_op *chain;
    while ((chain = await(side)) != NULL) {
        struct group group = {.last = &group.first};
        int rc = run_group(side, &group, chain);
        if (rc != SQLITE_OK)
            redo(side, &group, rc);
        qk_store_answer(&side->owner->store, group.first);
        checkpoint(side->owner);
    }
    return NULL;
}

/* ---- the reader */

static void *reader_main(void *arg)
{
    struct side *side = arg;
    struct qk_store_op *chain;
    while ((chain = await(side)) != NULL) {
        for (struct qk_store_op *op = chain; op != NULL; op = op->next) {
            int rc = qk_sqlite_run(&side->conn, op);
            if (rc != SQLITE_OK)
                fail(side, op, rc);
            else
                recover(side, "read");
        }
        qk_store_answer(&side->owner->store, chain);
    }
    return NULL;
}

/* ---- opening and closing */

static int start(struct side *side, const char *name, void *(*fn)(void *arg))
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = -pthread_create(&side->thread, NULL, fn, side);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    side->started = rc == 0;
    if (rc == 0)
        pthread_setname_np(side->thread, name);
    return rc;
}

static void end(struct side *side)
{
    if (side->started) {
        atomic_store(&side->ending, true);
        qk_park_wake(&side->park);
        pthread_join(side->thread, NULL);
    }
    qk_sqlite_close(&side->conn);
    pthread_mutex_destroy(&side->lock);
}

/* The last connection to be closed moves the whole log into the file and removes it. */
static void close_sqlite(struct qk_store *store)
{
    struct sqlite *s = (struct sqlite *)store;
    end(&s->reader);
    end(&s->writer);
    free(s->path);
    free(s);
}

static void init(struct side *side, struct sqlite *owner)
{
    side->owner = owner;
    side->last = &side->first;
    pthread_mutex_init(&side->lock, NULL);
}

static int open_parts(struct sqlite *s, struct qk_sqlite_fault *fault)
{
    int status = qk_sqlite_open_writer(&s->writer.conn, s->path, fault);
    if (status == 0)
        status = qk_sqlite_open_reader(&s->reader.conn, s->path, fault);
    if (status < 0)
        return status;
    sqlite3_wal_hook(s->writer.conn.db, on_wal, s);
    int rc = start(&s->writer, "qk-store-write", writer_main);
    if (rc == 0)
        rc = start(&s->reader, "qk-store-read", reader_main);
    if (rc < 0) {
        fault->code = "QK0677";
        snprintf(fault->text, sizeof(fault->text), "no threads for the state file: %s", strerror(-rc));
    }
    return rc;
}

int qk_store_open_sqlite(const struct qk_store_config *config, const char *path, struct qk_store **ret_store,
                         const char **ret_code, char *ret_text, size_t text_size)
{
    static const struct qk_store_class class = {.submit = submit, .close = close_sqlite};
    struct qk_sqlite_fault fault = {.code = "QK0677", .text = "out of memory"};
    struct sqlite *s = calloc(1, sizeof(*s));
    int status = s != NULL ? 0 : -ENOMEM;
    if (s != NULL) {
        qk_store_init(&s->store, &class, config);
        init(&s->writer, s);
        init(&s->reader, s);
        s->path = strdup(path);
        status = s->path != NULL ? open_parts(s, &fault) : -ENOMEM;
    }
    if (status < 0) {
        *ret_code = fault.code;
        snprintf(ret_text, text_size, "%s", fault.text);
        if (s != NULL)
            close_sqlite(&s->store);
        return status;
    }
    *ret_store = &s->store;
    return 0;
}
