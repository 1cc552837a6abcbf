/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One operation in statements of SQL. */
#include <stdlib.h>
#include "store/sqlite.h"

static const char *const texts[QK_SQL_STATEMENTS] = {
    [QK_SQL_READ] = "SELECT version, bytes FROM state WHERE type = ?1 AND key = ?2",
    [QK_SQL_VERSION] = "SELECT version FROM state WHERE type = ?1 AND key = ?2",
    [QK_SQL_INSERT] = "INSERT INTO state (type, key, version, epoch, bytes) "
                      "VALUES (?1, ?2, (SELECT cleared + 1 FROM mark), ?4, ?5) ON CONFLICT DO NOTHING "
                      "RETURNING version",
    [QK_SQL_UPDATE] = "UPDATE state SET version = version + 1, epoch = ?4, bytes = ?5 "
                      "WHERE type = ?1 AND key = ?2 AND version = ?3",
    [QK_SQL_DELETE] = "DELETE FROM state WHERE type = ?1 AND key = ?2 AND version = ?3",
    [QK_SQL_MARK] = "UPDATE mark SET cleared = max(cleared, ?3)",
    [QK_SQL_POSITION] = "SELECT max(position) FROM event WHERE type = ?1 AND key = ?2",
    [QK_SQL_APPEND] = "INSERT INTO event (type, key, position, epoch, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
    [QK_SQL_REPLAY] = "SELECT position, bytes FROM event WHERE type = ?1 AND key = ?2 AND position > ?3 "
                      "ORDER BY position LIMIT ?6",
    [QK_SQL_SCAN] = "SELECT version, key FROM state WHERE type = ?1 AND key > ?2 ORDER BY key LIMIT ?6",
    [QK_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [QK_SQL_COMMIT] = "COMMIT",
    [QK_SQL_ROLLBACK] = "ROLLBACK",
};

static int prepare(struct qk_sqlite_conn *conn, enum qk_sqlite_statement which, sqlite3_stmt **ret_statement)
{
    sqlite3_stmt **statement = &conn->statements[which];
    int rc = SQLITE_OK;
    if (*statement == NULL)
        rc = sqlite3_prepare_v3(conn->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    *ret_statement = *statement;
    return rc;
}

/* What a statement takes beside the names of the actor. */
struct values {
    uint64_t number; /* ?3 */
    const void *bytes;
    size_t size;
};

static int bind_blob(sqlite3_stmt *statement, int index, const void *bytes, size_t size)
{
    /* NULL would be no value at all. */
    return sqlite3_bind_blob64(statement, index, size != 0 ? bytes : "", size, SQLITE_STATIC);
}

/* Each statement has some of the parameters; binding the others is no error worth telling. */
static int bind(sqlite3_stmt *statement, const struct qk_store_op *op, const struct values *values)
{
    int n = sqlite3_bind_parameter_count(statement);
    int rc = sqlite3_bind_text64(statement, 1, op->type, op->type_len, SQLITE_STATIC, SQLITE_UTF8);
    if (rc == SQLITE_OK && n >= 2)
        rc = bind_blob(statement, 2, op->key, op->key_len);
    if (rc == SQLITE_OK && n >= 3)
        rc = sqlite3_bind_int64(statement, 3, (sqlite3_int64)values->number);
    if (rc == SQLITE_OK && n >= 4)
        rc = sqlite3_bind_int64(statement, 4, (sqlite3_int64)op->epoch);
    if (rc == SQLITE_OK && n >= 5)
        rc = bind_blob(statement, 5, values->bytes, values->size);
    if (rc == SQLITE_OK && n >= 6)
        rc = sqlite3_bind_int64(statement, 6, (sqlite3_int64)op->limit + 1);
    return rc;
}

static int begin(struct qk_sqlite_conn *conn, enum qk_sqlite_statement which, const struct qk_store_op *op,
                 const struct values *values, sqlite3_stmt **ret_statement)
{
    int rc = prepare(conn, which, ret_statement);
    return rc == SQLITE_OK ? bind(*ret_statement, op, values) : rc;
}

/* Ends a statement; what it was bound to may be freed. SQLITE_OK or its error. */
static int end(sqlite3_stmt *statement)
{
    int rc = sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}

int qk_sqlite_step(struct qk_sqlite_conn *conn, enum qk_sqlite_statement which)
{
    sqlite3_stmt *statement;
    int rc = prepare(conn, which, &statement);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_step(statement);
    return sqlite3_reset(statement);
}

/* Runs a statement that gives one number at most; 0 where it gives none. */
static int ask(struct qk_sqlite_conn *conn, enum qk_sqlite_statement which, const struct qk_store_op *op,
               const struct values *values, uint64_t *ret_number)
{
    sqlite3_stmt *statement;
    int rc = begin(conn, which, op, values, &statement);
    if (rc != SQLITE_OK)
        return rc;
    uint64_t number = 0;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW)
        number = (uint64_t)sqlite3_column_int64(statement, 0);
    rc = end(statement);
    if (rc == SQLITE_OK && ret_number != NULL)
        *ret_number = number;
    return rc;
}

/* Nothing was changed: says what is stored. */
static int conflict(struct qk_sqlite_conn *conn, struct qk_store_op *op)
{
    uint64_t stored;
    int rc = ask(conn, QK_SQL_VERSION, op, &(struct values){0}, &stored);
    if (rc == SQLITE_OK)
        qk_store_conflict(op, stored);
    return rc;
}

static int write_state(struct qk_sqlite_conn *conn, struct qk_store_op *op)
{
    struct values values = {op->expected, op->bytes, op->size};
    uint64_t version = 0;
    int rc;
    if (op->expected == 0) {
        rc = ask(conn, QK_SQL_INSERT, op, &values, &version);
    } else {
        rc = ask(conn, QK_SQL_UPDATE, op, &values, NULL);
        if (rc == SQLITE_OK && sqlite3_changes(conn->db) == 1)
            version = op->expected + 1;
    }
    if (rc == SQLITE_OK && version == 0)
        return conflict(conn, op);
    op->version = version;
    return rc;
}

static int clear_state(struct qk_sqlite_conn *conn, struct qk_store_op *op)
{
    struct values values = {.number = op->expected};
    uint64_t stored = 0;
    if (op->expected == 0) {
        int rc = ask(conn, QK_SQL_VERSION, op, &values, &stored);
        if (rc == SQLITE_OK && stored != 0)
            qk_store_conflict(op, stored);
        return rc;
    }
    int rc = ask(conn, QK_SQL_DELETE, op, &values, NULL);
    if (rc != SQLITE_OK)
        return rc;
    return sqlite3_changes(conn->db) == 1 ? ask(conn, QK_SQL_MARK, op, &values, NULL) : conflict(conn, op);
}

static int append(struct qk_sqlite_conn *conn, struct qk_store_op *op)
{
    uint64_t position = 0;
    int rc = ask(conn, QK_SQL_POSITION, op, &(struct values){0}, &position);
    if (rc == SQLITE_OK && position != op->expected) {
        qk_store_conflict(op, position);
        return rc;
    }
    for (uint32_t i = 0; i < op->n_events && rc == SQLITE_OK; i++) {
        struct values values = {++position, op->events[i].bytes, op->events[i].size};
        rc = ask(conn, QK_SQL_APPEND, op, &values, NULL);
    }
    op->version = position;
    return rc;
}

/* Gives the record that the statement stands on; false without memory. */
static bool give(struct qk_sqlite_conn *conn, struct qk_store_op *op, sqlite3_stmt *statement)
{
    struct qk_store_record record = {.version = (uint64_t)sqlite3_column_int64(statement, 0)};
    const void *bytes = sqlite3_column_blob(statement, 1);
    int size = sqlite3_column_bytes(statement, 1);
    if (bytes == NULL && sqlite3_errcode(conn->db) == SQLITE_NOMEM)
        return false;
    if (op->kind == QK_OP_SCAN) {
        record.key = bytes;
        record.key_len = (uint32_t)size;
    } else {
        record.bytes = bytes;
        record.size = (size_t)size;
        op->version = record.version;
    }
    op->record(op, &record);
    return true;
}

static int look(struct qk_sqlite_conn *conn, struct qk_store_op *op, enum qk_sqlite_statement which, uint32_t limit)
{
    struct values values = {.number = op->expected};
    sqlite3_stmt *statement;
    int rc = begin(conn, which, op, &values, &statement);
    if (rc != SQLITE_OK)
        return rc;
    size_t given = 0;
    op->version = op->kind == QK_OP_REPLAY ? op->expected : 0;
    for (uint32_t i = 0; (rc = sqlite3_step(statement)) == SQLITE_ROW; i++) {
        op->more = i == limit || (op->kind == QK_OP_REPLAY &&
                                  !qk_store_page_takes(op, i, &given, (size_t)sqlite3_column_bytes(statement, 1)));
        if (op->more)
            break;
        if (!give(conn, op, statement)) {
            end(statement);
            return SQLITE_NOMEM;
        }
    }
    return end(statement);
}

int qk_sqlite_run(struct qk_sqlite_conn *conn, struct qk_store_op *op)
{
    switch (op->kind) {
    case QK_OP_READ:
        return look(conn, op, QK_SQL_READ, 1);
    case QK_OP_WRITE:
        return write_state(conn, op);
    case QK_OP_CLEAR:
        return clear_state(conn, op);
    case QK_OP_APPEND:
        return append(conn, op);
    case QK_OP_REPLAY:
        return look(conn, op, QK_SQL_REPLAY, op->limit);
    case QK_OP_SCAN:
        return look(conn, op, QK_SQL_SCAN, op->limit);
    }
    abort();
}
