/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Routes operations on stored state to the store that the actor's type names.
 *
 * The notes of types are read by workers without a lock: a note is put in front of its list once it is whole, and stays
 * until the end; one whose plugin was refused after all loses its store.
 */
#include "silo/stores.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quark/status.h>

#define BUCKETS 256

enum { MEMORY, SQLITE, PROVIDERS };

static const char *const provider_names[PROVIDERS] = {[MEMORY] = "memory", [SQLITE] = "sqlite"};

/* An actor type that keeps its state. */
struct note {
    struct note *next; /* of the bucket */
    uint64_t type_id;
    _Atomic(struct qk_store *) store; /* NULL: the plugin was refused */
    unsigned provider;
    bool latest; /* of the plugin that was admitted last */
    uint32_t name_len;
    char name[];
};

struct qk_stores {
    struct qk_stores_config config;
    char *sqlite_path;
    void (*answer)(void *arg, struct qk_port_frame *chain);
    void *answer_arg;
    struct qk_store *open[PROVIDERS];
    _Atomic(struct note *) buckets[BUCKETS];
};

/* An operation on its way. */
struct pending {
    struct qk_store_op op; /* first */
    struct qk_stores *stores;
    struct qk_port_frame *frame;                           /* which asked; what the operation points to */
    struct qk_port_frame *answer;                          /* of what was read; NULL: the frame itself */
    bool no_memory;                                        /* for that */
    void (*done)(void *arg, struct qk_port_frame *answer); /* takes the answer; NULL: the runtime */
    void *done_arg;
    struct qk_store_event events[]; /* of an append */
};

static_assert(QK_EVENTS_MAX <= QK_STORE_EVENTS_MAX, "what an actor may append at once");

int qk_stores_create(const struct qk_stores_config *config, struct qk_stores **ret_stores)
{
    struct qk_stores *stores = calloc(1, sizeof(*stores));
    if (stores == NULL)
        return -ENOMEM;
    stores->config = *config;
    if (config->sqlite_path != NULL && (stores->sqlite_path = strdup(config->sqlite_path)) == NULL) {
        free(stores);
        return -ENOMEM;
    }
    *ret_stores = stores;
    return 0;
}

void qk_stores_set_answer(struct qk_stores *stores, void (*answer)(void *arg, struct qk_port_frame *chain), void *arg)
{
    stores->answer = answer;
    stores->answer_arg = arg;
}

void qk_stores_close(struct qk_stores *stores)
{
    for (unsigned i = 0; stores != NULL && i < PROVIDERS; i++) {
        qk_store_close(stores->open[i]);
        stores->open[i] = NULL;
    }
}

void qk_stores_destroy(struct qk_stores *stores)
{
    if (stores == NULL)
        return;
    qk_stores_close(stores);
    for (unsigned i = 0; i < BUCKETS; i++) {
        struct note *note = atomic_load(&stores->buckets[i]);
        while (note != NULL) {
            struct note *next = note->next;
            free(note);
            note = next;
        }
    }
    free(stores->sqlite_path);
    free(stores);
}

static struct note *find(struct qk_stores *stores, uint64_t type_id)
{
    struct note *note = atomic_load_explicit(&stores->buckets[type_id % BUCKETS], memory_order_acquire);
    while (note != NULL &&
           (note->type_id != type_id || atomic_load_explicit(&note->store, memory_order_acquire) == NULL))
        note = note->next;
    return note;
}

/* ---- back to the runtime */

/* Has `answer` go to who sent `asked`, which is freed. */
static void address(struct qk_port_frame *answer, struct qk_port_frame *asked)
{
    answer->origin = asked->origin;
    answer->call_id = asked->call_id;
    answer->type_id = asked->type_id;
    answer->request_id = asked->request_id;
    answer->store = asked->store;
    qk_port_frame_destroy(asked);
}

/* An answer without a payload: the frame that asked, unless the text needs a larger one. */
static struct qk_port_frame *turn_round(struct qk_port_frame *frame, int status, uint64_t version, const char *text)
{
    size_t len = strlen(text);
    struct qk_port_frame *larger = len > frame->capacity ? qk_port_frame_create(len) : NULL;
    if (larger != NULL) {
        address(larger, frame);
        frame = larger;
    } else if (len > frame->capacity) {
        len = frame->capacity;
    }
    frame->next = NULL;
    frame->kind = QK_PORT_STORED;
    frame->status = status;
    frame->version = version;
    frame->count = frame->more = 0;
    frame->key_len = frame->payload_len = 0;
    frame->text_len = (uint32_t)len;
    memcpy(frame->bytes, text, len);
    return frame;
}

/* Makes room for `more` bytes in the frame of what was read; where they go. NULL without memory. */
static uint8_t *grow(struct pending *p, size_t more)
{
    size_t used = p->answer != NULL ? p->answer->payload_len : 0;
    if (p->answer == NULL || p->answer->capacity - used < more) {
        struct qk_port_frame *larger = qk_port_frame_create(2 * used + more);
        if (larger == NULL) {
            p->no_memory = true;
            return NULL;
        }
        if (used != 0)
            memcpy(larger->bytes, p->answer->bytes, used);
        larger->payload_len = (uint32_t)used;
        larger->count = p->answer != NULL ? p->answer->count : 0;
        qk_port_frame_destroy(p->answer);
        p->answer = larger;
    }
    p->answer->payload_len = (uint32_t)(used + more);
    return p->answer->bytes + used;
}

/* Copies a state, or an event behind those before it, into a frame of its own. */
static void on_record(struct qk_store_op *op, const struct qk_store_record *record)
{
    struct pending *p = (struct pending *)op;
    bool event = op->kind == QK_OP_REPLAY;
    uint8_t *at = p->no_memory ? NULL : grow(p, (event ? sizeof(struct qk_port_event) : 0) + record->size);
    if (at == NULL)
        return;
    if (event) {
        at = qk_port_event_put(at, record->version, (uint32_t)record->size);
        p->answer->count++;
    }
    if (record->size != 0)
        memcpy(at, record->bytes, record->size);
}

/* The frame that answers an operation; frees everything else. */
static struct qk_port_frame *conclude(struct pending *p)
{
    struct qk_port_frame *answer = p->answer;
    if (p->op.status == 0 && p->no_memory) {
        p->op.status = QK_ENOMEMORY;
        snprintf(p->op.text, sizeof(p->op.text), "out of memory");
    }
    if (p->op.status == 0 && answer != NULL) {
        answer->kind = QK_PORT_STORED;
        answer->version = p->op.version;
        answer->more = p->op.more;
        address(answer, p->frame);
    } else {
        qk_port_frame_destroy(answer); /* of a read that failed later on */
        answer = turn_round(p->frame, p->op.status, p->op.version, p->op.text);
    }
    free(p);
    return answer;
}

static void on_done(void *arg, struct qk_store_op *chain)
{
    struct qk_stores *stores = arg;
    struct qk_port_frame *first = NULL, **last = &first;
    while (chain != NULL) {
        struct pending *p = (struct pending *)chain;
        chain = chain->next;
        void (*done)(void *, struct qk_port_frame *) = p->done;
        void *done_arg = p->done_arg;
        struct qk_port_frame *answer = conclude(p);
        if (done != NULL) {
            done(done_arg, answer);
            continue;
        }
        *last = answer;
        last = &answer->next;
    }
    *last = NULL;
    if (first != NULL)
        stores->answer(stores->answer_arg, first);
}

/* ---- from the runtime */

/* Points at the events of an append where they stand in the frame. */
static void point_at_events(struct pending *p, const struct qk_port_frame *frame)
{
    const uint8_t *at = qk_port_frame_payload(frame), *end = at + frame->payload_len, *bytes;
    struct qk_port_event event;
    p->op.events = p->events;
    while (p->op.n_events < frame->count && (bytes = qk_port_event_next(&at, end, &event)) != NULL)
        p->events[p->op.n_events++] = (struct qk_store_event){bytes, event.size};
}

static struct pending *make(struct qk_stores *stores, const struct note *note, struct qk_port_frame *frame)
{
    static const enum qk_store_kind kinds[] = {[QK_STORE_READ] = QK_OP_READ,
                                               [QK_STORE_WRITE] = QK_OP_WRITE,
                                               [QK_STORE_CLEAR] = QK_OP_CLEAR,
                                               [QK_STORE_APPEND] = QK_OP_APPEND,
                                               [QK_STORE_REPLAY] = QK_OP_REPLAY};
    uint32_t n_events = frame->store == QK_STORE_APPEND && frame->count <= QK_EVENTS_MAX ? frame->count : 0;
    struct pending *p = calloc(1, sizeof(*p) + n_events * sizeof(p->events[0]));
    if (p == NULL)
        return NULL;
    p->stores = stores;
    p->frame = frame;
    p->op = (struct qk_store_op){
        .kind = kinds[frame->store],
        .type = note->name,
        .type_len = note->name_len,
        .key = qk_port_frame_key(frame),
        .key_len = frame->key_len,
        .expected = frame->version,
        .bytes = qk_port_frame_payload(frame),
        .size = frame->store == QK_STORE_REPLAY ? QK_PAGE_BYTES_MAX : frame->payload_len,
        .limit = frame->count,
        .record = on_record,
    };
    if (n_events != 0)
        point_at_events(p, frame);
    return p;
}

/* Chains of one round. */
struct round {
    struct qk_store_op *first[PROVIDERS];
    struct qk_store_op *last[PROVIDERS];
    struct qk_store *store[PROVIDERS];
};

static void add(struct qk_stores *stores, struct round *round, struct qk_port_frame *frame)
{
    const struct note *note = find(stores, frame->type_id);
    struct pending *p = note != NULL ? make(stores, note, frame) : NULL;
    if (p == NULL) {
        stores->answer(stores->answer_arg,
                       note != NULL ? turn_round(frame, QK_ENOMEMORY, 0, "out of memory")
                                    : turn_round(frame, QK_EUNAVAILABLE, 0, "the actor type has no store here"));
        return;
    }
    unsigned i = note->provider;
    if (round->first[i] == NULL)
        round->first[i] = &p->op;
    else
        round->last[i]->next = &p->op;
    round->last[i] = &p->op;
    round->store[i] = atomic_load_explicit(&note->store, memory_order_acquire);
}

struct qk_port_frame *qk_stores_take(struct qk_stores *stores, struct qk_port_frame *chain)
{
    struct round round = {0};
    struct qk_port_frame **at = &chain;
    bool some = false;
    while (*at != NULL) {
        struct qk_port_frame *frame = *at;
        if (frame->kind != QK_PORT_STORE) {
            at = &frame->next;
            continue;
        }
        *at = frame->next;
        frame->next = NULL;
        add(stores, &round, frame);
        some = true;
    }
    for (unsigned i = 0; some && i < PROVIDERS; i++) {
        if (round.first[i] != NULL)
            qk_store_submit(round.store[i], round.first[i]);
    }
    return chain;
}

void qk_stores_ask(struct qk_stores *stores, struct qk_port_frame *frame,
                   void (*done)(void *arg, struct qk_port_frame *answer), void *arg)
{
    const struct note *note = find(stores, frame->type_id);
    struct pending *p = note != NULL ? make(stores, note, frame) : NULL;
    if (p == NULL) {
        done(arg, note != NULL ? turn_round(frame, QK_ENOMEMORY, 0, "out of memory")
                               : turn_round(frame, QK_EINVALID, 0, "the actor type has no store"));
        return;
    }
    p->done = done;
    p->done_arg = arg;
    qk_store_submit(atomic_load_explicit(&note->store, memory_order_acquire), &p->op);
}

/* ---- types */

static int refuse_unknown(struct qk_stores *stores, const struct qk_type *type, char *text, size_t text_size)
{
    snprintf(text, text_size, "the actor type `%s` keeps its state in the store `%s`; this silo has %s", type->name,
             type->store, stores->sqlite_path != NULL ? "`memory` and `sqlite`" : "`memory` only");
    return QK_EINVALID;
}

static int open_store(struct qk_stores *stores, unsigned provider, char *text, size_t text_size)
{
    struct qk_store_config config = {.name = provider_names[provider], .done = on_done, .arg = stores};
    const char *code = "";
    if (provider == SQLITE)
        return qk_store_open_sqlite(&config, stores->sqlite_path, &stores->open[provider], &code, text, text_size);
    int rc = qk_store_open_memory(&config, stores->config.memory_bytes, &stores->open[provider]);
    if (rc < 0)
        snprintf(text, text_size, "out of memory");
    return rc;
}

static int admit_type(struct qk_stores *stores, const struct qk_type *type, const char **ret_code, char *text,
                      size_t text_size)
{
    unsigned i = 0;
    while (i < PROVIDERS && strcmp(provider_names[i], type->store) != 0)
        i++;
    if (i == PROVIDERS || (i == SQLITE && stores->sqlite_path == NULL)) {
        *ret_code = "QK0321";
        return refuse_unknown(stores, type, text, text_size);
    }
    char why[QK_STORE_TEXT_MAX + 1] = "";
    int rc = stores->open[i] == NULL ? open_store(stores, i, why, sizeof(why)) : 0;
    if (rc < 0) {
        *ret_code = "QK0322";
        snprintf(text, text_size, "the actor type `%s` keeps its state in `%s`, which can't be opened: %s", type->name,
                 type->store, why);
        return rc;
    }
    size_t len = strlen(type->name);
    struct note *note = calloc(1, sizeof(*note) + len);
    if (note == NULL) {
        *ret_code = "QK0322";
        snprintf(text, text_size, "out of memory");
        return -ENOMEM;
    }
    note->type_id = type->id;
    note->provider = i;
    note->latest = true;
    note->name_len = (uint32_t)len;
    memcpy(note->name, type->name, len);
    atomic_init(&note->store, stores->open[i]);
    _Atomic(struct note *) *bucket = &stores->buckets[type->id % BUCKETS];
    note->next = atomic_load_explicit(bucket, memory_order_relaxed);
    atomic_store_explicit(bucket, note, memory_order_release);
    return 0;
}

/* Forgets which notes are the latest plugin's; also the notes themselves where they are not to be used. */
static void settle(struct qk_stores *stores, bool keep)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        struct note *note = atomic_load_explicit(&stores->buckets[i], memory_order_relaxed);
        for (; note != NULL; note = note->next) {
            if (note->latest && !keep)
                atomic_store_explicit(&note->store, NULL, memory_order_release);
            note->latest = false;
        }
    }
}

int qk_stores_admit(struct qk_stores *stores, const struct qk_plugin *plugin, const char **ret_code, char *text,
                    size_t text_size)
{
    settle(stores, true);
    for (uint64_t i = 0; i < plugin->n_types; i++) {
        const struct qk_type *type = plugin->types[i];
        /* A type that is there already stays as it is: the runtime refuses the second one. */
        if (type->store == NULL || type->state == NULL || find(stores, type->id) != NULL)
            continue;
        int rc = admit_type(stores, type, ret_code, text, text_size);
        if (rc < 0) {
            settle(stores, false);
            return rc;
        }
    }
    return 0;
}

void qk_stores_withdraw(struct qk_stores *stores)
{
    settle(stores, false);
}

void qk_stores_visit(const struct qk_stores *stores,
                     void (*visit)(void *arg, const char *name, const struct qk_store_stats *stats), void *arg)
{
    for (unsigned i = 0; i < PROVIDERS; i++) {
        if (stores->open[i] == NULL)
            continue;
        struct qk_store_stats stats;
        qk_store_get_stats(stores->open[i], &stats);
        visit(arg, qk_store_name(stores->open[i]), &stats);
    }
}
