/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The provider "memory": a skip list of actors in the order of their names, under one lock.
 *
 * Source of the list: W. Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees", CACM 33(6), 1990.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <quark/status.h>
#include "store/store.h"

#define LEVELS    24 /* for some 2^24 actors at full speed */
#define ALLOCATED 16 /* bytes that an allocation takes beside its own */

struct event {
    void *bytes;
    size_t size;
};

/* One actor. Goes when it has neither a state nor a journal. */
struct entry {
    uint64_t version; /* 0: no state */
    uint64_t epoch;
    void *bytes;
    size_t size;
    struct event *events; /* the one of position p at p - 1 */
    size_t n_events;
    size_t events_room;
    uint32_t type_len;
    uint32_t key_len;
    char *name; /* type, key */
    unsigned levels;
    struct entry *next[];
};

struct memory {
    struct qk_store store; /* first */
    pthread_mutex_t lock;
    uint64_t bytes;
    uint64_t bytes_max;
    uint64_t cleared; /* greatest version of a state that was cleared */
    uint64_t random;
    struct entry *head; /* before all others, with every level */
};

static int compare_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    size_t common = a_len < b_len ? a_len : b_len;
    int order = common != 0 ? memcmp(a, b, common) : 0;
    return order != 0 ? order : a_len < b_len ? -1 : a_len > b_len;
}

static int compare(const struct entry *e, const struct qk_store_op *op)
{
    int order = compare_bytes(e->name, e->type_len, op->type, op->type_len);
    return order != 0 ? order : compare_bytes(e->name + e->type_len, e->key_len, op->key, op->key_len);
}

/* The entry of that name, or NULL; on each level the last one before it. */
static struct entry *find(struct memory *m, const struct qk_store_op *op, struct entry *ret_before[LEVELS])
{
    struct entry *at = m->head;
    for (unsigned level = LEVELS; level-- > 0;) {
        while (at->next[level] != NULL && compare(at->next[level], op) < 0)
            at = at->next[level];
        ret_before[level] = at;
    }
    at = at->next[0];
    return at != NULL && compare(at, op) == 0 ? at : NULL;
}

static unsigned choose_levels(struct memory *m)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    unsigned zeros = (unsigned)__builtin_clzll(m->random | 1);
    return zeros + 1 < LEVELS ? zeros + 1 : LEVELS;
}

static uint64_t cost_of(unsigned levels, size_t name_len)
{
    return sizeof(struct entry) + levels * sizeof(struct entry *) + name_len + 2 * ALLOCATED;
}

static bool fits(const struct memory *m, uint64_t more)
{
    return more <= m->bytes_max && m->bytes <= m->bytes_max - more;
}

static void fail_full(struct qk_store_op *op, const struct memory *m)
{
    qk_store_fail(op, -ENOSPC, "the memory store is full: its %llu bytes are taken (stores.memory_bytes)",
                  (unsigned long long)m->bytes_max);
}

/* A new entry in its place; NULL without room. */
static struct entry *insert(struct memory *m, const struct qk_store_op *op, struct entry *const before[LEVELS])
{
    unsigned levels = choose_levels(m);
    struct entry *e = calloc(1, sizeof(*e) + levels * sizeof(e->next[0]));
    char *name = malloc((size_t)op->type_len + op->key_len);
    if (e == NULL || name == NULL) {
        free(e);
        free(name);
        return NULL;
    }
    memcpy(name, op->type, op->type_len);
    memcpy(name + op->type_len, op->key, op->key_len);
    e->name = name;
    e->type_len = op->type_len;
    e->key_len = op->key_len;
    e->levels = levels;
    for (unsigned i = 0; i < levels; i++) {
        e->next[i] = before[i]->next[i];
        before[i]->next[i] = e;
    }
    m->bytes += cost_of(levels, (size_t)op->type_len + op->key_len);
    return e;
}

static void destroy(struct entry *e)
{
    for (size_t i = 0; i < e->n_events; i++)
        free(e->events[i].bytes);
    free(e->events);
    free(e->bytes);
    free(e->name);
    free(e);
}

static void remove_entry(struct memory *m, struct entry *e, struct entry *const before[LEVELS])
{
    for (unsigned i = 0; i < e->levels; i++)
        before[i]->next[i] = e->next[i];
    m->bytes -= cost_of(e->levels, (size_t)e->type_len + e->key_len);
    destroy(e);
}

/* A copy that is never NULL for success, also of no bytes. */
static void *copy_of(const void *bytes, size_t size)
{
    void *copy = malloc(size != 0 ? size : 1);
    if (copy != NULL && size != 0)
        memcpy(copy, bytes, size);
    return copy;
}

static void write_state(struct memory *m, struct qk_store_op *op)
{
    struct entry *before[LEVELS];
    struct entry *e = find(m, op, before);
    uint64_t stored = e != NULL ? e->version : 0;
    if (stored != op->expected) {
        qk_store_conflict(op, stored);
        return;
    }
    uint64_t given_back = stored != 0 ? e->size + ALLOCATED : 0;
    uint64_t entry_cost = e == NULL ? cost_of(LEVELS, (size_t)op->type_len + op->key_len) : 0;
    uint64_t needed = op->size + ALLOCATED + entry_cost;
    if (needed > given_back && !fits(m, needed - given_back)) {
        fail_full(op, m);
        return;
    }
    void *copy = copy_of(op->bytes, op->size);
    if (copy != NULL && e == NULL)
        e = insert(m, op, before);
    if (copy == NULL || e == NULL) {
        free(copy);
        qk_store_fail(op, QK_ENOMEMORY, "out of memory");
        return;
    }
    free(e->bytes);
    e->bytes = copy;
    e->size = op->size;
    e->epoch = op->epoch;
    e->version = (stored != 0 ? stored : m->cleared) + 1;
    m->bytes = m->bytes - given_back + op->size + ALLOCATED;
    op->version = e->version;
}

static void clear_state(struct memory *m, struct qk_store_op *op)
{
    struct entry *before[LEVELS];
    struct entry *e = find(m, op, before);
    uint64_t stored = e != NULL ? e->version : 0;
    if (stored != op->expected) {
        qk_store_conflict(op, stored);
        return;
    }
    if (stored == 0)
        return;
    if (stored > m->cleared)
        m->cleared = stored;
    m->bytes -= e->size + ALLOCATED;
    free(e->bytes);
    e->bytes = NULL;
    e->size = 0;
    e->version = 0;
    if (e->n_events == 0)
        remove_entry(m, e, before);
}

/* Room for the events of an append, in the list and in memory, with copies of them. */
static struct event *copy_events(const struct qk_store_op *op)
{
    struct event *copies = calloc(op->n_events, sizeof(*copies));
    for (uint32_t i = 0; copies != NULL && i < op->n_events; i++) {
        copies[i] = (struct event){copy_of(op->events[i].bytes, op->events[i].size), op->events[i].size};
        if (copies[i].bytes != NULL)
            continue;
        while (i-- > 0)
            free(copies[i].bytes);
        free(copies);
        return NULL;
    }
    return copies;
}

static bool make_room(struct entry *e, size_t more)
{
    if (e->n_events + more <= e->events_room)
        return true;
    size_t room = e->n_events + more + e->events_room / 2 + 4;
    struct event *events = reallocarray(e->events, room, sizeof(*events));
    if (events == NULL)
        return false;
    e->events = events;
    e->events_room = room;
    return true;
}

static void append(struct memory *m, struct qk_store_op *op)
{
    struct entry *before[LEVELS];
    struct entry *e = find(m, op, before);
    size_t n = e != NULL ? e->n_events : 0;
    if (n != op->expected) {
        qk_store_conflict(op, n);
        return;
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < op->n_events; i++)
        bytes += op->events[i].size + ALLOCATED + sizeof(struct event);
    if (!fits(m, bytes + (e == NULL ? cost_of(LEVELS, (size_t)op->type_len + op->key_len) : 0))) {
        fail_full(op, m);
        return;
    }
    bool fresh = e == NULL;
    struct event *copies = copy_events(op);
    if (copies != NULL && fresh)
        e = insert(m, op, before);
    if (copies == NULL || e == NULL || !make_room(e, op->n_events)) {
        for (uint32_t i = 0; copies != NULL && i < op->n_events; i++)
            free(copies[i].bytes);
        free(copies);
        if (fresh && e != NULL) {
            find(m, op, before);
            remove_entry(m, e, before);
        }
        qk_store_fail(op, QK_ENOMEMORY, "out of memory");
        return;
    }
    memcpy(e->events + n, copies, op->n_events * sizeof(*copies));
    free(copies);
    e->n_events += op->n_events;
    m->bytes += bytes;
    op->version = e->n_events;
}

static void read_state(struct memory *m, struct qk_store_op *op)
{
    struct entry *before[LEVELS];
    const struct entry *e = find(m, op, before);
    if (e == NULL || e->version == 0)
        return;
    op->version = e->version;
    op->record(op, &(struct qk_store_record){.version = e->version, .bytes = e->bytes, .size = e->size});
}

static void replay(struct memory *m, struct qk_store_op *op)
{
    struct entry *before[LEVELS];
    const struct entry *e = find(m, op, before);
    size_t n = e != NULL ? e->n_events : 0;
    size_t given = 0;
    op->version = op->expected;
    for (uint32_t i = 0; i < op->limit && op->version < n; i++) {
        const struct event *event = &e->events[op->version];
        if (!qk_store_page_takes(op, i, &given, event->size))
            break;
        op->version++;
        op->record(op, &(struct qk_store_record){.version = op->version, .bytes = event->bytes, .size = event->size});
    }
    op->more = op->version < n;
}

static void scan(struct memory *m, struct qk_store_op *op)
{
    struct entry *before[LEVELS];
    const struct entry *e = find(m, op, before);
    e = e != NULL && op->key_len != 0 ? e->next[0] : before[0]->next[0];
    uint32_t n = 0;
    for (; e != NULL && compare_bytes(e->name, e->type_len, op->type, op->type_len) == 0; e = e->next[0]) {
        if (e->version == 0)
            continue;
        if (n++ == op->limit) {
            op->more = true;
            return;
        }
        op->record(
            op, &(struct qk_store_record){.version = e->version, .key = e->name + e->type_len, .key_len = e->key_len});
    }
}

static void submit(struct qk_store *store, struct qk_store_op *chain)
{
    static void (*const functions[])(struct memory * m, struct qk_store_op * op) = {
        [QK_OP_READ] = read_state, [QK_OP_WRITE] = write_state, [QK_OP_CLEAR] = clear_state,
        [QK_OP_APPEND] = append,   [QK_OP_REPLAY] = replay,     [QK_OP_SCAN] = scan,
    };
    struct memory *m = (struct memory *)store;
    pthread_mutex_lock(&m->lock);
    for (struct qk_store_op *op = chain; op != NULL; op = op->next)
        functions[op->kind](m, op);
    pthread_mutex_unlock(&m->lock);
    qk_store_answer(store, chain);
}

static void close_memory(struct qk_store *store)
{
    struct memory *m = (struct memory *)store;
    struct entry *e = m->head;
    while (e != NULL) {
        struct entry *next = e->next[0];
        destroy(e);
        e = next;
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

int qk_store_open_memory(const struct qk_store_config *config, uint64_t bytes_max, struct qk_store **ret_store)
{
    static const struct qk_store_class class = {.submit = submit, .close = close_memory};
    struct memory *m = calloc(1, sizeof(*m));
    struct entry *head = calloc(1, sizeof(*head) + LEVELS * sizeof(head->next[0]));
    if (m == NULL || head == NULL) {
        free(m);
        free(head);
        return -ENOMEM;
    }
    qk_store_init(&m->store, &class, config);
    pthread_mutex_init(&m->lock, NULL);
    m->bytes_max = bytes_max;
    m->head = head;
    m->random = 1;
    *ret_store = &m->store;
    return 0;
}
