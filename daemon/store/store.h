/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * @file
 * Stores: what keeps the state and the journals of actors, behind one asynchronous interface.
 *
 * An actor is named by its type and its key, and has one state with a version and one journal with positions. Versions
 * of a state begin above 0, which means that nothing is stored. Each write gives a version greater than any that the
 * actor's state has had before, also when it was cleared in between: nobody who holds an old version can take a newer
 * state for his.
 *
 * Operations are submitted as chains from any thread and answered exactly once each, by the `done` of the store's
 * configuration, in chains too. Those that change something take effect in the order in which they were submitted; what
 * is answered with 0 is durable, as far as the provider promises durability at all, and what is answered with an error
 * has changed nothing, but for -EIO: it may turn out to be there after a restart, whole. An operation that reads sees
 * every change that was answered before it was submitted.
 */
#ifndef QK_STORE_STORE_H
#define QK_STORE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/limits.h"

#define QK_STORE_NAME_MAX   31   /* bytes of a provider's name */
#define QK_STORE_TYPE_MAX   255  /* bytes of a type's name */
#define QK_STORE_TEXT_MAX   255  /* bytes of an answer's text */
#define QK_STORE_EVENTS_MAX 1024 /* events in one append */
#define QK_STORE_LIMIT_MAX  1024 /* records that one operation may ask for */

enum qk_store_kind {
    /* The state. Gives one record where there is one. Answer: its version; 0 where nothing is stored. */
    QK_OP_READ = 1,
    /* Replaces the state if its version is `expected` (0: nothing is stored). Answer: the new version. */
    QK_OP_WRITE,
    /* Forgets the state if its version is `expected` (0: nothing is stored, and so nothing happens). Answer: 0. */
    QK_OP_CLEAR,
    /* Adds `events` to the journal, all or none, if its last position is `expected` (0: it is empty). Answer: the last
     * position now. The first event of a journal has position 1. */
    QK_OP_APPEND,
    /* Gives up to `limit` events of the journal whose positions are greater than `expected`, in order; no more than
     * `size` bytes of them where that is not 0, but the first in any case. Answer: the last position given, else
     * `expected`; `more` where there are further ones. */
    QK_OP_REPLAY,
    /* Gives up to `limit` actors of the type that have a state, whose keys come after `key` (of no bytes: from the
     * first on), in the order of memcmp(), shorter first; without their bytes. `more` where there are further ones. */
    QK_OP_SCAN,
};

/* Bytes of one event of a journal; the caller's until the operation is answered. */
struct qk_store_event {
    const void *bytes;
    size_t size;
};

/* What a reading operation found; valid during the call. */
struct qk_store_record {
    uint64_t version; /* of a state, or position of an event */
    const void *key;  /* of a scan only */
    uint32_t key_len;
    const void *bytes;
    size_t size;
};

/*
 * One operation. Whoever submits it owns the memory, and leaves it and what it points to alone until it is answered.
 * Zero what is not set.
 */
struct qk_store_op {
    struct qk_store_op *next; /* of the chain; the store's until the answer, then of the chain of answers */
    enum qk_store_kind kind;
    const char *type; /* name of the actor type; 1 to QK_STORE_TYPE_MAX bytes */
    const void *key;  /* 1 to QK_KEY_MAX bytes, of a scan 0 to QK_KEY_MAX */
    uint32_t type_len;
    uint32_t key_len;
    uint64_t expected; /* of a replay at most INT64_MAX */
    uint64_t epoch;    /* of the view that admitted who writes; kept with what is written. 0 without a cluster */
    const void *bytes;
    size_t
        size; /* of `bytes`; at most QK_PAYLOAD_MAX, events of one append together likewise. Of a replay: see there */
    const struct qk_store_event *events;
    uint32_t n_events; /* 1 to QK_STORE_EVENTS_MAX */
    uint32_t limit;    /* 1 to QK_STORE_LIMIT_MAX */
    /* Takes what a reading operation finds, on the thread that then answers. An operation that fails may have given
     * some. It submits nothing. Reading operations need it. */
    void (*record)(struct qk_store_op *op, const struct qk_store_record *record);

    /* The answer: 0, or
     * QK_ECONFLICT     another version or position is stored; `version` says which
     * QK_EINVALID      the operation is not within the bounds above
     * QK_EUNAVAILABLE  the provider can't be reached, or another process holds it; a later try may succeed
     * QK_ENOMEMORY     out of memory
     * -ENOSPC          no room: disk full, or the provider's own bound
     * -EACCES, -EROFS  the provider may not write
     * -EIO             the device failed
     * -EBADMSG         what is stored is damaged
     * with a sentence for people in `text` when it is negative. */
    int status;
    uint64_t version;
    bool more;
    char text[QK_STORE_TEXT_MAX + 1];
};

struct qk_store_config {
    const char *name; /* what types call it; copied */
    /* Takes a chain of answered operations and owns them again. On a thread of the store's, or on the one that submits,
     * inside qk_store_submit(); it may submit, but not close. */
    void (*done)(void *arg, struct qk_store_op *chain);
    void *arg;
};

/* What the tools show. */
struct qk_store_stats {
    uint64_t reads; /* operations answered, by what they do */
    uint64_t writes;
    uint64_t conflicts; /* among them those that ended so, and with another error */
    uint64_t errors;
    uint64_t commits; /* groups of changes made durable, the time that took, and the longest */
    uint64_t commit_ns;
    uint64_t commit_max_ns;
};

struct qk_store;

/* What a provider is: functions that the front calls. Operations that reach it are within their bounds. */
struct qk_store_class {
    void (*submit)(struct qk_store *store, struct qk_store_op *chain);
    void (*close)(struct qk_store *store);
};

/* The head of every provider's own struct; filled in by qk_store_init(). */
struct qk_store {
    const struct qk_store_class *class;
    struct qk_store_config config;
    char name[QK_STORE_NAME_MAX + 1];
    atomic_uint_fast64_t reads, writes, conflicts, errors, commits, commit_ns, commit_max_ns;
};

/* Hands in a chain of operations, in order. Any thread. */
void qk_store_submit(struct qk_store *store, struct qk_store_op *chain);

/* Waits until everything that was submitted is answered, and frees the store. Nobody submits meanwhile. NULL is fine.
 */
void qk_store_close(struct qk_store *store);

const char *qk_store_name(const struct qk_store *store);

/* Any thread; figures of a moment. */
void qk_store_get_stats(const struct qk_store *store, struct qk_store_stats *ret_stats);

/* ---- for providers */

void qk_store_init(struct qk_store *store, const struct qk_store_class *class, const struct qk_store_config *config);

/* Sets status and text of an operation. */
void qk_store_fail(struct qk_store_op *op, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The version or position `stored` is another than the expected one. */
void qk_store_conflict(struct qk_store_op *op, uint64_t stored);

/* Whether a replay that has given `n` events of `given` bytes gives one of `size` bytes more; then counts it. */
bool qk_store_page_takes(const struct qk_store_op *op, uint32_t n, size_t *given, size_t size);

/* Counts a chain of answered operations and hands it to its owner. */
void qk_store_answer(struct qk_store *store, struct qk_store_op *chain);

/* Counts a group that was made durable. */
void qk_store_count_commit(struct qk_store *store, int64_t took_ns);

/* ---- the built-in providers */

/* Keeps everything in memory, up to `bytes_max` together with what the bookkeeping takes, until it is closed. Answers
 * inside qk_store_submit(). 0 or -ENOMEM. */
int qk_store_open_memory(const struct qk_store_config *config, uint64_t bytes_max, struct qk_store **ret_store);

/*
 * Keeps everything in the SQLite file at `path`, which is made with mode 0600 where there is none; its directory must
 * exist. Starts two threads. Else a negative errno or QK_E*, a code of base/errors/daemon.def in ret_code, and a
 * sentence: -ENOENT (no directory), -EACCES, -EROFS, -ENOSPC, -EIO, -EBADMSG (damaged, or no file of Quark's),
 * QK_EVERSION (written by a newer Quark), QK_EUNAVAILABLE (held by another process), -ENOMEM.
 */
int qk_store_open_sqlite(const struct qk_store_config *config, const char *path, struct qk_store **ret_store,
                         const char **ret_code, char *ret_text, size_t text_size);

/* Looks whether a file could be opened or made there, without making one. 0, or as qk_store_open_sqlite(). */
int qk_store_check_sqlite(const char *path, const char **ret_code, char *ret_text, size_t text_size);

#endif
