/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The file of the SQLite provider: finding, making, checking it, and saying what is wrong with it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <quark/status.h>
#include "store/sqlite.h"

#define APPLICATION   0x51756172 /* "Quar" */
#define SCHEMA        1
#define BUSY_MS       5000
#define WAL_BYTES_MAX "67108864" /* that are kept between checkpoints */

static const char make_tables[] =
    "CREATE TABLE state (id INTEGER PRIMARY KEY, type TEXT NOT NULL, key BLOB NOT NULL, version INTEGER NOT NULL,"
    " epoch INTEGER NOT NULL, bytes BLOB NOT NULL, UNIQUE (type, key)) STRICT;"
    "CREATE TABLE event (type TEXT NOT NULL, key BLOB NOT NULL, position INTEGER NOT NULL, epoch INTEGER NOT NULL,"
    " bytes BLOB NOT NULL, PRIMARY KEY (type, key, position)) STRICT, WITHOUT ROWID;"
    /* The greatest version of a state that was cleared: what is written anew begins above it. */
    "CREATE TABLE mark (cleared INTEGER NOT NULL) STRICT;"
    "INSERT INTO mark VALUES (0);"
    "PRAGMA application_id = 1366647154;"
    "PRAGMA user_version = 1;";

_Static_assert(APPLICATION == 1366647154, "what stands in the text");

static int fault(struct qk_sqlite_fault *f, int status, const char *code, const char *format, const char *path)
    __attribute__((format(printf, 4, 0)));

static int fault(struct qk_sqlite_fault *f, int status, const char *code, const char *format, const char *path)
{
    f->status = status;
    f->code = code;
    snprintf(f->text, sizeof(f->text), format, path);
    return status;
}

static int fault_of_errno(struct qk_sqlite_fault *f, int error, const char *path)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return fault(f, -ENOENT, "QK0670", "the directory of the state file %.180s does not exist", path);
    case ENOSPC:
    case EDQUOT:
        return fault(f, -ENOSPC, "QK0672", "no room for the state file %.180s: the disk is full", path);
    case EROFS:
        return fault(f, -EROFS, "QK0675", "the file system of the state file %.180s is read-only", path);
    case EACCES:
    case EPERM:
        return fault(f, -EACCES, "QK0675", "the daemon may not write the state file %.180s or in its directory", path);
    case ENOMEM:
        return fault(f, QK_ENOMEMORY, "QK0677", "out of memory with the state file %.180s", path);
    default:
        return fault(f, -EIO, "QK0676", "the device of the state file %.180s failed", path);
    }
}

void qk_sqlite_explain(sqlite3 *db, int rc, const char *path, struct qk_sqlite_fault *ret_fault)
{
    int error = db != NULL ? sqlite3_system_errno(db) : 0;
    if (rc == SQLITE_READONLY_DBMOVED) {
        fault(ret_fault, QK_EUNAVAILABLE, "QK0678", "the state file %.180s was removed or replaced", path);
        return;
    }
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        fault(ret_fault, QK_EUNAVAILABLE, "QK0671", "another process holds the state file %.180s", path);
        return;
    case SQLITE_FULL:
        fault_of_errno(ret_fault, ENOSPC, path);
        return;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        fault(ret_fault, -EBADMSG, "QK0673", "the state file %.180s is damaged", path);
        return;
    case SQLITE_READONLY:
        fault_of_errno(ret_fault, error == EROFS ? EROFS : EACCES, path);
        return;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        fault_of_errno(ret_fault, EACCES, path);
        return;
    case SQLITE_CANTOPEN:
        fault_of_errno(ret_fault, error != 0 ? error : EACCES, path);
        return;
    case SQLITE_NOMEM:
        fault_of_errno(ret_fault, ENOMEM, path);
        return;
    case SQLITE_IOERR: /* may have no descriptor or no room behind it */
        fault_of_errno(ret_fault, error == ENOSPC || error == EDQUOT || error == EROFS ? error : EIO, path);
        return;
    default:
        ret_fault->status = -EIO;
        ret_fault->code = "QK0676";
        snprintf(ret_fault->text, sizeof(ret_fault->text), "the state file %.120s: %.100s", path,
                 db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
    }
}

static int explained(struct qk_sqlite_conn *conn, int rc, const char *path, struct qk_sqlite_fault *ret_fault)
{
    qk_sqlite_explain(conn->db, rc, path, ret_fault);
    return ret_fault->status;
}

/* Looks at the file and its directory. 0 or the fault's status; whether the file is there. */
static int look(const char *path, bool *ret_exists, struct qk_sqlite_fault *f)
{
    struct stat st;
    char *dir = strdup(path);
    if (dir == NULL)
        return fault_of_errno(f, ENOMEM, path);
    char *slash = strrchr(dir, '/');
    if (slash != NULL)
        slash[slash == dir ? 1 : 0] = '\0';
    int error = stat(slash != NULL ? dir : ".", &st) < 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    if (error == 0 && access(slash != NULL ? dir : ".", W_OK | X_OK) < 0)
        error = errno;
    free(dir);
    if (error != 0)
        return fault_of_errno(f, error, path);
    *ret_exists = lstat(path, &st) == 0;
    if (!*ret_exists)
        return errno == ENOENT ? 0 : fault_of_errno(f, errno, path);
    if (!S_ISREG(st.st_mode))
        return fault(f, -EBADMSG, "QK0673", "%.180s is no regular file, so it is no state file", path);
    return access(path, R_OK | W_OK) < 0 ? fault_of_errno(f, errno, path) : 0;
}

int qk_store_check_sqlite(const char *path, const char **ret_code, char *ret_text, size_t text_size)
{
    struct qk_sqlite_fault f;
    bool exists;
    int rc = look(path, &exists, &f);
    if (rc < 0) {
        *ret_code = f.code;
        snprintf(ret_text, text_size, "%s", f.text);
    }
    return rc;
}

static int open_conn(struct qk_sqlite_conn *conn, const char *path, struct qk_sqlite_fault *f)
{
    int rc = sqlite3_open_v2(path, &conn->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return explained(conn, rc, path, f);
    sqlite3_extended_result_codes(conn->db, 1);
    sqlite3_busy_timeout(conn->db, BUSY_MS);
    rc = sqlite3_exec(conn->db,
                      "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;"
                      "PRAGMA cache_size = -8192; PRAGMA wal_autocheckpoint = 0;"
                      "PRAGMA journal_size_limit = " WAL_BYTES_MAX ";",
                      NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : explained(conn, rc, path, f);
}

/* The first column of the first row: a number, and as text. */
static int ask(struct qk_sqlite_conn *conn, const char *sql, int64_t *ret_number, char ret_text[16])
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(conn->db, sql, -1, &statement, NULL);
    if (rc != SQLITE_OK)
        return rc;
    *ret_number = 0;
    if (sqlite3_step(statement) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        snprintf(ret_text, 16, "%s", text != NULL ? text : "");
        *ret_number = sqlite3_column_int64(statement, 0);
    }
    return sqlite3_finalize(statement);
}

/* Whether the file is new, ours, or somebody else's. */
static int check_schema(struct qk_sqlite_conn *conn, const char *path, bool *ret_new, struct qk_sqlite_fault *f)
{
    char text[16];
    int64_t application, version, tables;
    int rc = ask(conn, "PRAGMA application_id", &application, text);
    if (rc == SQLITE_OK)
        rc = ask(conn, "PRAGMA user_version", &version, text);
    if (rc == SQLITE_OK)
        rc = ask(conn, "SELECT count(*) FROM sqlite_schema", &tables, text);
    if (rc != SQLITE_OK)
        return explained(conn, rc, path, f);
    *ret_new = application == 0 && version == 0 && tables == 0;
    if (*ret_new)
        return 0;
    if (application != APPLICATION)
        return fault(f, -EBADMSG, "QK0673", "%.180s is a database of another program", path);
    if (version > SCHEMA)
        return fault(f, QK_EVERSION, "QK0674", "the state file %.180s was written by a newer quarkd", path);
    return 0;
}

static int make_schema(struct qk_sqlite_conn *conn, const char *path, struct qk_sqlite_fault *f)
{
    bool new;
    int rc = qk_sqlite_step(conn, QK_SQL_BEGIN);
    if (rc != SQLITE_OK)
        return explained(conn, rc, path, f);
    int status = check_schema(conn, path, &new, f); /* another process may have come before us */
    if (status == 0 && new && (rc = sqlite3_exec(conn->db, make_tables, NULL, NULL, NULL)) != SQLITE_OK)
        status = explained(conn, rc, path, f);
    if (status == 0 && (rc = qk_sqlite_step(conn, QK_SQL_COMMIT)) != SQLITE_OK)
        status = explained(conn, rc, path, f);
    if (status < 0)
        qk_sqlite_step(conn, QK_SQL_ROLLBACK);
    return status;
}

int qk_sqlite_open_writer(struct qk_sqlite_conn *conn, const char *path, struct qk_sqlite_fault *f)
{
    bool exists, new;
    int status = look(path, &exists, f);
    if (status == 0 && !exists) {
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST)
            return fault_of_errno(f, errno, path);
        if (fd >= 0)
            close(fd); /* before SQLite has it open: closing any descriptor of a file gives up its locks */
    }
    if (status == 0)
        status = open_conn(conn, path, f);
    if (status == 0)
        status = check_schema(conn, path, &new, f);
    if (status < 0)
        return status;
    char mode[16] = "";
    int64_t ignored;
    int rc = ask(conn, "PRAGMA journal_mode = WAL", &ignored, mode);
    if (rc != SQLITE_OK)
        return explained(conn, rc, path, f);
    if (strcmp(mode, "wal") != 0)
        return fault(f, -EIO, "QK0676", "the file system of %.180s can't keep a write-ahead log", path);
    return make_schema(conn, path, f);
}

int qk_sqlite_open_reader(struct qk_sqlite_conn *conn, const char *path, struct qk_sqlite_fault *f)
{
    return open_conn(conn, path, f);
}

void qk_sqlite_close(struct qk_sqlite_conn *conn)
{
    for (int i = 0; i < QK_SQL_STATEMENTS; i++)
        sqlite3_finalize(conn->statements[i]);
    sqlite3_close(conn->db);
    *conn = (struct qk_sqlite_conn){0};
}
