/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the SQLite provider share. */
#ifndef QK_STORE_SQLITE_H
#define QK_STORE_SQLITE_H

#include <sqlite3.h>
#include "store/store.h"

enum qk_sqlite_statement {
    QK_SQL_READ,
    QK_SQL_VERSION,
    QK_SQL_INSERT,
    QK_SQL_UPDATE,
    QK_SQL_DELETE,
    QK_SQL_MARK,
    QK_SQL_POSITION,
    QK_SQL_APPEND,
    QK_SQL_REPLAY,
    QK_SQL_SCAN,
    QK_SQL_BEGIN,
    QK_SQL_COMMIT,
    QK_SQL_ROLLBACK,
    QK_SQL_STATEMENTS,
};

/* A connection; one thread at a time. */
struct qk_sqlite_conn {
    sqlite3 *db;
    sqlite3_stmt *statements[QK_SQL_STATEMENTS]; /* prepared when they are first used */
};

/* What an error of SQLite means for those who asked, and for the log. */
struct qk_sqlite_fault {
    int status;
    const char *code; /* of base/errors/daemon.def */
    char text[QK_STORE_TEXT_MAX + 1];
};

/* ---- sqlite_file.c */

/* Explains the result code `rc` of the connection (may be NULL) to the file at `path`. */
void qk_sqlite_explain(sqlite3 *db, int rc, const char *path, struct qk_sqlite_fault *ret_fault);

/* Opens, makes the file and its tables where there are none, and checks that they are what this program knows. 0, or
 * the status of the fault. The connection is to be closed in either case. */
int qk_sqlite_open_writer(struct qk_sqlite_conn *conn, const char *path, struct qk_sqlite_fault *ret_fault);

/* Opens a file that the writer has opened before. */
int qk_sqlite_open_reader(struct qk_sqlite_conn *conn, const char *path, struct qk_sqlite_fault *ret_fault);

void qk_sqlite_close(struct qk_sqlite_conn *conn);

/* ---- sqlite_run.c */

/* Runs one operation and leaves its answer in it. SQLITE_OK, also after a conflict; else the code, and the answer is
 * for the caller to give. Those that change something run inside a transaction. */
int qk_sqlite_run(struct qk_sqlite_conn *conn, struct qk_store_op *op);

/* Runs a statement that takes nothing and gives nothing. */
int qk_sqlite_step(struct qk_sqlite_conn *conn, enum qk_sqlite_statement which);

#endif
