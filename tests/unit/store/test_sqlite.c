/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The provider "sqlite": the common suite over a disk that fails, and what is its own: the file, and its end by force.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <quark/status.h>
#include "base/log.h"
#include "conformance.h"
#include "faults.h"

static char dir[64], path[96];
static int errors_logged, notices_logged;
static const char *code = "";
static char text[512];

static void on_log(void *arg, enum qk_log_level level, const char *log_code, const char *line,
                   const struct qk_log_field *fields)
{
    (void)arg, (void)log_code, (void)line, (void)fields;
    if (level == QK_LOG_ERROR)
        errors_logged++;
    else
        notices_logged++;
}

static void setup(void)
{
    static const struct qk_log_sink sink = {.write = on_log};
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof(dir), "%.40s/quark-XXXXXX", tmp != NULL ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/state.db", dir);
    qk_log_set_sink(&sink);
    errors_logged = notices_logged = 0;
    code = "";
    text[0] = '\0';
}

static void remove_file(const char *suffix)
{
    char name[128];
    snprintf(name, sizeof(name), "%s%s", path, suffix);
    unlink(name);
}

static void teardown(void)
{
    remove_file("");
    remove_file("-wal");
    remove_file("-shm");
    remove_file("-journal");
    ck_assert_int_eq(rmdir(dir), 0);
    qk_log_set_sink(NULL);
}

static int try_open(void)
{
    return qk_store_open_sqlite(conf_config(), path, &conf_store, &code, text, sizeof(text));
}

static struct qk_store *open_sqlite(const struct qk_store_config *config)
{
    struct qk_store *store;
    int rc = qk_store_open_sqlite(config, path, &store, &code, text, sizeof(text));
    ck_assert_msg(rc == 0, "%s %s", code, text);
    return store;
}

/* ---- the file */

START_TEST(test_sqlite_file_is_private_and_closes_clean)
{
    struct stat st;
    char wal[128];
    ck_assert_int_eq(try_open(), 0);
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", 0, "x", 1, NULL), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    snprintf(wal, sizeof(wal), "%s-wal", path);
    ck_assert_int_eq(stat(wal, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    qk_store_close(conf_store);
    ck_assert_int_lt(stat(wal, &st), 0);
    ck_assert_int_eq(try_open(), 0);
    conf_expect("a", 1, "x", 1);
    qk_store_close(conf_store);
}
END_TEST

static void run_sql(const char *sql)
{
    sqlite3 *db;
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void expect_refusal(int status, const char *wanted)
{
    ck_assert_int_eq(try_open(), status);
    ck_assert_str_eq(code, wanted);
    ck_assert_ptr_nonnull(strstr(text, dir));
}

START_TEST(test_sqlite_refuses_what_is_not_its_own)
{
    run_sql("CREATE TABLE other (a); INSERT INTO other VALUES (1)");
    expect_refusal(-EBADMSG, "QK0673");
    remove_file("");
    ck_assert_int_eq(try_open(), 0);
    qk_store_close(conf_store);
    run_sql("PRAGMA user_version = 2");
    expect_refusal(QK_EVERSION, "QK0674");
    remove_file("");
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_eq(write(fd, "this is no database, and it is long enough to tell", 50), 50);
    close(fd);
    expect_refusal(-EBADMSG, "QK0673");
    remove_file("");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    expect_refusal(-EBADMSG, "QK0673");
    ck_assert_int_eq(qk_store_check_sqlite(path, &code, text, sizeof(text)), -EBADMSG);
    rmdir(path);
    ck_assert_int_eq(symlink("/nowhere/else", path), 0);
    expect_refusal(-EBADMSG, "QK0673");
    remove_file("");
    ck_assert_int_eq(qk_store_check_sqlite(path, &code, text, sizeof(text)), 0);
    ck_assert_int_lt(access(path, F_OK), 0);
    strcpy(path + strlen(dir), "/none/state.db");
    expect_refusal(-ENOENT, "QK0670");
    ck_assert_int_eq(qk_store_check_sqlite(path, &code, text, sizeof(text)), -ENOENT);
    snprintf(path, sizeof(path), "%s/state.db", dir);
}
END_TEST

/* Root may write everywhere, so it is somebody else who tries. */
START_TEST(test_sqlite_says_what_it_may_not)
{
    ck_assert_int_eq(chmod(dir, 0500), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (chown(dir, 65534, 65534) < 0 || setuid(65534) < 0))
            _exit(9);
        int rc = qk_store_check_sqlite(path, &code, text, sizeof(text));
        _exit(rc == -EACCES && strcmp(code, "QK0675") == 0 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(chmod(dir, 0700), 0);
}
END_TEST

/* ---- a full disk */

START_TEST(test_sqlite_full_disk_loses_nothing_and_recovers)
{
    struct conf_op ops[20];
    uint64_t v;
    char key[16];
    ck_assert_int_eq(try_open(), 0);
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", 0, "x", 1, &v), 0);
    faults_full(true);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++) {
            snprintf(key, sizeof(key), "k%d", i);
            conf_init(&ops[i], QK_OP_WRITE, i == 0 ? "a" : key, i == 0 ? v : i == 1 ? 7 : 0, "y", 1);
        }
        conf_run(ops, 20);
        for (int i = 0; i < 20; i++) {
            ck_assert_int_eq(ops[i].op.status, i == 1 ? QK_ECONFLICT : -ENOSPC);
            ck_assert(i == 1 || strstr(ops[i].op.text, "full") != NULL);
        }
        conf_free(ops, 20);
        conf_expect("a", v, "x", 1);
    }
    ck_assert_int_eq(errors_logged, 1); /* not one each */
    faults_full(false);
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", v, "z", 1, &v), 0);
    ck_assert_int_eq(notices_logged, 1);
    qk_store_close(conf_store);
    ck_assert_int_eq(try_open(), 0);
    conf_expect("a", v, "z", 1);
    conf_expect("k5", 0, NULL, 0);
    qk_store_close(conf_store);
}
END_TEST

/* A save that nobody would find after a restart fails. */
START_TEST(test_sqlite_refuses_to_write_a_file_that_is_gone)
{
    struct conf_op op;
    uint64_t v;
    ck_assert_int_eq(try_open(), 0);
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", 0, "x", 1, &v), 0);
    remove_file("");
    for (int i = 0; i < 3; i++) {
        conf_init(&op, QK_OP_WRITE, "a", v, "y", 1);
        conf_run(&op, 1);
        ck_assert_int_eq(op.op.status, QK_EUNAVAILABLE);
        ck_assert_ptr_nonnull(strstr(op.op.text, "removed"));
        conf_free(&op, 1);
    }
    ck_assert_int_eq(errors_logged, 1);
    qk_store_close(conf_store);
}
END_TEST

/* ---- another process holds the file */

START_TEST(test_sqlite_reads_while_another_writes)
{
    sqlite3 *db;
    uint64_t v;
    ck_assert_int_eq(try_open(), 0);
    ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", 0, "x", 1, &v), 0);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    conf_expect("a", v, "x", 1);
    /* A change waits; the other one ends, and it goes on. */
    struct conf_op o;
    conf_init(&o, QK_OP_WRITE, "a", v, "y", 1);
    o.op.key = o.key;
    qk_store_submit(conf_store, &o.op);
    ck_assert_int_eq(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    qk_store_close(conf_store); /* answers first */
    ck_assert(o.answered);
    ck_assert_int_eq(o.op.status, 0);
    conf_free(&o, 1);
}
END_TEST

/* ---- one commit for many */

START_TEST(test_sqlite_shares_commits)
{
    struct conf_op ops[CONF_OPS];
    struct qk_store_stats s;
    ck_assert_int_eq(try_open(), 0);
    for (int i = 0; i < CONF_OPS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        conf_init(&ops[i], QK_OP_WRITE, key, 0, "y", 1);
    }
    unsigned before = faults_syncs();
    conf_run(ops, CONF_OPS);
    ck_assert_uint_le(faults_syncs() - before, 2); /* the first one of a log has its head synchronised too */
    ck_assert_uint_ge(faults_syncs() - before, 1);
    qk_store_get_stats(conf_store, &s);
    ck_assert_uint_eq(s.commits, 1);
    ck_assert_uint_gt(s.commit_max_ns, 0);
    conf_free(ops, CONF_OPS);
    qk_store_close(conf_store);
}
END_TEST

/* The log does not grow for ever. */
START_TEST(test_sqlite_moves_its_log_into_the_file)
{
    static char bytes[40000];
    char wal[128];
    struct stat st;
    uint64_t v = 0;
    ck_assert_int_eq(try_open(), 0);
    for (int i = 0; i < 1000; i++) {
        memset(bytes, i, sizeof(bytes));
        ck_assert_int_eq(conf_do(QK_OP_WRITE, "a", v, bytes, sizeof(bytes), &v), 0);
    }
    snprintf(wal, sizeof(wal), "%s-wal", path);
    ck_assert_int_eq(stat(wal, &st), 0);
    ck_assert_int_lt(st.st_size, 12 << 20); /* of 40 MB that were written */
    conf_expect("a", v, bytes, sizeof(bytes));
    qk_store_close(conf_store);
}
END_TEST

/* ---- the process killed */

#define KILL_KEYS  16
#define KILLS      200
#define KILL_BYTES 20000

/* What the child says once an operation is answered. */
struct said {
    uint32_t key;
    uint32_t journal;
    uint64_t version;
};

static struct {
    struct qk_store_op op; /* first */
    char key[8];
    uint64_t version, position;
    uint8_t bytes[KILL_BYTES];
} writers[KILL_KEYS];
static struct qk_store_event kill_event;
static int say_fd;

/* The state of version `v`: bytes that tell it, and its size. */
static size_t kill_state(unsigned key, uint64_t v, uint8_t bytes[KILL_BYTES])
{
    size_t size = (size_t)((v * 2654435761u + key * 977) % KILL_BYTES);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(v + key + i);
    return size;
}

static void on_look(struct qk_store_op *op, const struct qk_store_record *record)
{
    (void)op, (void)record;
}

static void next_write(unsigned key)
{
    bool journal = (writers[key].version + writers[key].position) % 5 == 4;
    uint64_t now = writers[key].version;
    writers[key].op = (struct qk_store_op){.kind = journal ? QK_OP_APPEND : QK_OP_WRITE,
                                           .type = "k",
                                           .type_len = 1,
                                           .key = writers[key].key,
                                           .key_len = (uint32_t)strlen(writers[key].key),
                                           .expected = journal ? writers[key].position : now,
                                           .bytes = writers[key].bytes,
                                           .size = journal ? 0 : kill_state(key, now + 1, writers[key].bytes),
                                           .events = &kill_event,
                                           .n_events = 1,
                                           .record = on_look};
}

/* In the child: says what is durable, and goes on. */
static void on_saved(void *arg, struct qk_store_op *chain)
{
    struct qk_store **store = arg;
    while (chain != NULL) {
        struct qk_store_op *op = chain;
        chain = op->next;
        unsigned key = (unsigned)((char *)op - (char *)writers) / (unsigned)sizeof(writers[0]);
        if (op->status < 0)
            _exit(7);
        struct said said = {key, op->kind == QK_OP_APPEND, op->version};
        if (write(say_fd, &said, sizeof(said)) != sizeof(said))
            _exit(8);
        if (op->kind == QK_OP_APPEND)
            writers[key].position = op->version;
        else
            writers[key].version = op->version;
        next_write(key);
        op->next = NULL;
        qk_store_submit(*store, op);
    }
}

static void child(int fd)
{
    static struct qk_store *store;
    const struct qk_store_config config = {.name = "s", .done = on_saved, .arg = &store};
    say_fd = fd;
    if (qk_store_open_sqlite(&config, path, &store, &code, text, sizeof(text)) < 0)
        _exit(6);
    for (unsigned key = 0; key < KILL_KEYS; key++)
        next_write(key);
    for (unsigned key = 0; key < KILL_KEYS; key++)
        qk_store_submit(store, &writers[key].op);
    for (;;)
        pause();
}

/* Reads until `most` operations are answered; how many. */
static unsigned listen_to(int fd, unsigned most)
{
    struct said said;
    unsigned n = 0;
    while (n < most && read(fd, &said, sizeof(said)) == sizeof(said)) {
        if (said.journal)
            writers[said.key].position = said.version;
        else
            writers[said.key].version = said.version;
        n++;
    }
    return n;
}

/* Nothing that was answered is lost; what was not is there whole, or not at all. */
static void check_after_kill(unsigned key)
{
    static uint8_t bytes[KILL_BYTES];
    struct conf_op o;
    conf_init(&o, QK_OP_READ, writers[key].key, 0, NULL, 0);
    o.op.type = "k";
    conf_run(&o, 1);
    ck_assert_int_eq(o.op.status, 0);
    ck_assert_uint_ge(o.op.version, writers[key].version);
    ck_assert_uint_le(o.op.version, writers[key].version + 1);
    if (o.op.version != 0) {
        size_t size = kill_state(key, o.op.version, bytes);
        ck_assert_uint_eq(o.got_size, size);
        ck_assert_int_eq(memcmp(o.got, bytes, size), 0);
    }
    writers[key].version = o.op.version;
    conf_free(&o, 1);
    uint64_t from = writers[key].position > 5 ? writers[key].position - 5 : 0;
    conf_init(&o, QK_OP_REPLAY, writers[key].key, from, NULL, 0);
    o.op.type = "k";
    conf_run(&o, 1);
    ck_assert_int_eq(o.op.status, 0);
    ck_assert_uint_ge(o.op.version, writers[key].position);
    ck_assert_uint_le(o.op.version, writers[key].position + 1);
    ck_assert_uint_eq(o.records, o.op.version - from);
    writers[key].position = o.op.version;
    conf_free(&o, 1);
}

START_TEST(test_sqlite_killed_at_random_loses_nothing)
{
    uint32_t state = 12345;
    unsigned total = 0;
    memset(writers, 0, sizeof(writers));
    kill_event = (struct qk_store_event){"happened", 8};
    for (unsigned key = 0; key < KILL_KEYS; key++)
        snprintf(writers[key].key, sizeof(writers[key].key), "w%u", key);
    for (int i = 0; i < KILLS; i++) {
        int ends[2];
        ck_assert_int_eq(pipe(ends), 0);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            close(ends[0]);
            child(ends[1]);
        }
        close(ends[1]);
        state = state * 1664525u + 1013904223u;
        unsigned n = listen_to(ends[0], (state >> 16) % 200);
        kill(pid, SIGKILL);
        n += listen_to(ends[0], UINT32_MAX); /* what it had said before */
        close(ends[0]);
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended with %d", status);
        total += n;
        ck_assert_int_eq(try_open(), 0);
        for (unsigned key = 0; key < KILL_KEYS; key++)
            check_after_kill(key);
        qk_store_close(conf_store);
    }
    ck_assert_uint_gt(total, KILLS * 50);
}
END_TEST

int main(void)
{
    static const struct conformance_provider provider = {
        .open = open_sqlite, .setup = setup, .teardown = teardown, .fail_every = faults_every, .durable = true};
    faults_install();
    Suite *s = suite_create("sqlite");
    TCase *c = tcase_create("sqlite");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_sqlite_file_is_private_and_closes_clean);
    tcase_add_test(c, test_sqlite_refuses_what_is_not_its_own);
    tcase_add_test(c, test_sqlite_says_what_it_may_not);
    tcase_add_test(c, test_sqlite_full_disk_loses_nothing_and_recovers);
    tcase_add_test(c, test_sqlite_refuses_to_write_a_file_that_is_gone);
    tcase_add_test(c, test_sqlite_reads_while_another_writes);
    tcase_add_test(c, test_sqlite_shares_commits);
    tcase_add_test(c, test_sqlite_moves_its_log_into_the_file);
    tcase_add_test(c, test_sqlite_killed_at_random_loses_nothing);
    suite_add_tcase(s, conformance_case(&provider));
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
