/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The front of every store: bounds, counts and answers. */
#include "store/store.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <quark/abi.h>
#include <quark/status.h>

void qk_store_init(struct qk_store *store, const struct qk_store_class *class, const struct qk_store_config *config)
{
    store->class = class;
    store->config = *config;
    snprintf(store->name, sizeof(store->name), "%s", config->name);
    store->config.name = store->name;
}

const char *qk_store_name(const struct qk_store *store)
{
    return store->name;
}

void qk_store_fail(struct qk_store_op *op, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(op->text, sizeof(op->text), format, args);
    va_end(args);
    op->status = status;
}

void qk_store_conflict(struct qk_store_op *op, uint64_t stored)
{
    const char *what = op->kind == QK_OP_APPEND ? "position" : "version";
    qk_store_fail(op, QK_ECONFLICT, "%s %" PRIu64 " is stored where %" PRIu64 " was expected%s", what, stored,
                  op->expected, stored == 0 ? " (0: nothing is stored)" : "");
    op->version = stored;
}

bool qk_store_page_takes(const struct qk_store_op *op, uint32_t n, size_t *given, size_t size)
{
    if (n > 0 && op->size != 0 && (*given > op->size || size > op->size - *given))
        return false;
    *given += size;
    return true;
}

static bool is_reading(const struct qk_store_op *op)
{
    return op->kind == QK_OP_READ || op->kind == QK_OP_REPLAY || op->kind == QK_OP_SCAN;
}

static bool events_fit(const struct qk_store_op *op)
{
    size_t sum = 0;
    if (op->n_events < 1 || op->n_events > QK_STORE_EVENTS_MAX)
        return false;
    for (uint32_t i = 0; i < op->n_events; i++) {
        if (op->events[i].size > QK_PAYLOAD_MAX - sum)
            return false;
        sum += op->events[i].size;
    }
    return true;
}

/* What is wrong with an operation; NULL when nothing is. */
static const char *find_fault(const struct qk_store_op *op)
{
    if (op->kind < QK_OP_READ || op->kind > QK_OP_SCAN)
        return "there is no such operation on a store";
    if (op->type_len < 1 || op->type_len > QK_STORE_TYPE_MAX)
        return "a type's name has 1 to 255 bytes";
    if (op->key_len > QK_KEY_MAX || (op->key_len == 0 && op->kind != QK_OP_SCAN))
        return "a key has 1 to 512 bytes";
    if (op->kind == QK_OP_REPLAY && op->expected > INT64_MAX)
        return "positions end at 2^63 - 1";
    if (op->kind == QK_OP_WRITE && op->size > QK_PAYLOAD_MAX)
        return "a state has 4 MiB at most";
    if (op->kind == QK_OP_APPEND && !events_fit(op))
        return "an append has 1 to 1,024 events of 4 MiB together at most";
    if ((op->kind == QK_OP_REPLAY || op->kind == QK_OP_SCAN) && (op->limit < 1 || op->limit > QK_STORE_LIMIT_MAX))
        return "a limit is 1 to 1,024";
    if (is_reading(op) && op->record == NULL)
        return "nobody takes what is read";
    return NULL;
}

void qk_store_submit(struct qk_store *store, struct qk_store_op *chain)
{
    struct qk_store_op **at = &chain;
    while (*at != NULL) {
        struct qk_store_op *op = *at;
        op->status = 0;
        op->version = 0;
        op->more = false;
        op->text[0] = '\0';
        const char *fault = find_fault(op);
        if (fault == NULL) {
            at = &op->next;
            continue;
        }
        *at = op->next;
        op->next = NULL;
        qk_store_fail(op, QK_EINVALID, "%s", fault);
        qk_store_answer(store, op);
    }
    if (chain != NULL)
        store->class->submit(store, chain);
}

void qk_store_close(struct qk_store *store)
{
    if (store != NULL)
        store->class->close(store);
}

static void count(atomic_uint_fast64_t *counter, uint64_t n)
{
    if (n != 0)
        atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void qk_store_answer(struct qk_store *store, struct qk_store_op *chain)
{
    uint64_t reads = 0, writes = 0, conflicts = 0, errors = 0;
    for (const struct qk_store_op *op = chain; op != NULL; op = op->next) {
        if (is_reading(op))
            reads++;
        else
            writes++;
        if (op->status == QK_ECONFLICT)
            conflicts++;
        else if (op->status < 0)
            errors++;
    }
    count(&store->reads, reads);
    count(&store->writes, writes);
    count(&store->conflicts, conflicts);
    count(&store->errors, errors);
    store->config.done(store->config.arg, chain);
}

void qk_store_count_commit(struct qk_store *store, int64_t took_ns)
{
    uint64_t ns = took_ns > 0 ? (uint64_t)took_ns : 0;
    count(&store->commits, 1);
    count(&store->commit_ns, ns);
    uint_fast64_t longest = atomic_load_explicit(&store->commit_max_ns, memory_order_relaxed);
    while (ns > longest && !atomic_compare_exchange_weak_explicit(&store->commit_max_ns, &longest, ns,
                                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

static uint64_t load(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void qk_store_get_stats(const struct qk_store *store, struct qk_store_stats *ret_stats)
{
    *ret_stats = (struct qk_store_stats){
        .reads = load(&store->reads),
        .writes = load(&store->writes),
        .conflicts = load(&store->conflicts),
        .errors = load(&store->errors),
        .commits = load(&store->commits),
        .commit_ns = load(&store->commit_ns),
        .commit_max_ns = load(&store->commit_max_ns),
    };
}
