/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The store and the crew of the property test's silo. */
#include "outside.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/status.h"
#include "nodes.h"
#include "run.h"
#include "store/store.h"

#define NS_PER_MS 1000000ll

/* Something to be done later. */
struct item {
    struct item *next;
    int64_t due_ns;
    struct qk_port_frame *frame; /* of the runtime; or its answer, once that is known */
    struct qk_job *job;
    uint32_t actor; /* of the frame */
};

/* What is known of the state of an actor. */
struct kept {
    uint64_t version; /* stored; 0: nothing */
    uint64_t newest;  /* version ever given */
    uint64_t known;   /* to the activation */
    uint64_t sum;
    struct outside_answer answer;
    bool busy; /* an operation has not been answered */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct qk_runtime *rt;
    struct qk_store *store;
    struct item *items; /* by when they are due */
    struct kept kept[WORLD_ACTORS];
    uint64_t random;
    uint64_t strangers;
    uint32_t operations;
    bool quits;
} out = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the store, under the lock */

static void on_done(void *arg, struct qk_store_op *chain)
{
    (void)arg, (void)chain;
}

static void on_record(struct qk_store_op *op, const struct qk_store_record *record)
{
    struct qk_port_frame *f = (struct qk_port_frame *)((uint8_t *)op->bytes);
    world_check(record->size <= f->capacity, "a state of %zu bytes", record->size);
    memcpy(f->bytes, record->bytes, record->size);
    f->payload_len = (uint32_t)record->size;
}

static struct qk_store_op make_op(uint32_t actor, enum qk_store_kind kind, const char *key, uint32_t key_len)
{
    const char *type = node_type(actor)->name;
    return (struct qk_store_op){
        .kind = kind, .type = type, .type_len = (uint32_t)strlen(type), .key = key, .key_len = key_len};
}

static uint64_t sum_of(const uint8_t *bytes, size_t size)
{
    Prop__State *s = prop__state__unpack(NULL, size, bytes);
    world_check(s != NULL && states_is_whole(s), "half a state came to the store");
    uint64_t sum = s->sum;
    prop__state__free_unpacked(s, NULL);
    return sum;
}

/* A change that the store has made. */
static void changed(struct kept *k, uint64_t version, uint64_t sum)
{
    world_check(version == 0 || version > k->newest, "the store gave an old version");
    k->newest = version > k->newest ? version : k->newest;
    k->version = version;
    k->sum = sum;
}

/* Another silo writes, or somebody with a tool. */
static void write_as_stranger(uint32_t actor, const char *key, uint32_t key_len)
{
    struct kept *k = &out.kept[actor];
    uint8_t bytes[64];
    Prop__State s = PROP__STATE__INIT;
    s.serial = (UINT64_C(1) << 40) + ++out.strangers;
    s.turns = 1;
    states_touch(&s);
    struct qk_store_op op = make_op(actor, QK_OP_WRITE, key, key_len);
    op.expected = k->version;
    op.bytes = bytes;
    op.size = prop__state__pack(&s, bytes);
    qk_store_submit(out.store, &op);
    if (op.status == 0)
        changed(k, op.version, s.sum);
}

static void read_state(struct qk_port_frame *f, struct qk_port_frame *answer, uint32_t actor)
{
    struct kept *k = &out.kept[actor];
    struct qk_store_op op = make_op(actor, QK_OP_READ, qk_port_frame_key(f), f->key_len);
    op.record = on_record;
    op.bytes = answer;
    qk_store_submit(out.store, &op);
    answer->status = op.status;
    answer->version = op.version;
    world_check(op.status == 0 && op.version == k->version, "actor %u: version %u is read, version %u is stored", actor,
                (unsigned)op.version, (unsigned)k->version);
    world_check(k->version == 0 || sum_of(answer->bytes, answer->payload_len) == k->sum,
                "actor %u: another state is read than was saved last", actor);
    k->answer.sum = k->version != 0 ? k->sum : 0;
    k->answer.fresh = true;
}

static void change_state(struct qk_port_frame *f, struct qk_port_frame *answer, uint32_t actor)
{
    struct kept *k = &out.kept[actor];
    bool writes = f->store == QK_STORE_WRITE;
    struct qk_store_op op = make_op(actor, writes ? QK_OP_WRITE : QK_OP_CLEAR, qk_port_frame_key(f), f->key_len);
    op.expected = f->version;
    op.bytes = writes ? qk_port_frame_payload(f) : NULL;
    op.size = writes ? f->payload_len : 0;
    qk_store_submit(out.store, &op);
    answer->status = op.status;
    answer->version = op.version;
    answer->text_len = (uint32_t)strlen(op.text);
    memcpy(answer->bytes, op.text, answer->text_len);
    world_check((op.status == QK_ECONFLICT) == (f->version != k->version) || op.status == -ENOSPC,
                "actor %u: version %u is expected, version %u is stored: %s", actor, (unsigned)f->version,
                (unsigned)k->version, qk_status_name(op.status));
    if (op.status != 0)
        return;
    changed(k, op.version, writes ? sum_of(qk_port_frame_payload(f), f->payload_len) : 0);
    k->answer.sum = k->sum;
}

/* An operation that fails: nothing is done, or, where that is the fault, all of it. */
static void fail(struct qk_port_frame *f, struct qk_port_frame *answer, uint32_t actor)
{
    static const int faults[] = {QK_EUNAVAILABLE, -ENOSPC, -EIO, -EIO};
    static const char text[] = "the store has a fault";
    uint32_t which = world_below(&out.random, 4);
    if (which == 3 && f->store != QK_STORE_READ)
        change_state(f, answer, actor);
    answer->status = faults[which];
    answer->version = 0;
    answer->payload_len = 0;
    answer->text_len = sizeof(text) - 1;
    memcpy(answer->bytes, text, sizeof(text) - 1);
}

/* Does an operation, and makes it its answer. */
static struct qk_port_frame *perform(struct qk_port_frame *f)
{
    uint32_t actor = node_of(qk_port_frame_key(f), f->key_len);
    struct kept *k = &out.kept[actor];
    struct qk_port_frame *answer = qk_port_frame_create(4096);
    world_check(answer != NULL, "no memory");
    answer->kind = QK_PORT_STORED;
    answer->origin = f->origin;
    answer->call_id = f->call_id;
    if (world.plan.strangers && world_below(&out.random, 30) == 0)
        write_as_stranger(actor, qk_port_frame_key(f), f->key_len);
    world_check(f->store == QK_STORE_READ || f->version == k->known,
                "actor %u expects version %u after it has been told version %u", actor, (unsigned)f->version,
                (unsigned)k->known);
    k->answer = (struct outside_answer){.kind = f->store};
    if (world.plan.store_fault != 0 && ++out.operations % world.plan.store_fault == 0)
        fail(f, answer, actor);
    else if (f->store == QK_STORE_READ)
        read_state(f, answer, actor);
    else
        change_state(f, answer, actor);
    k->answer.status = answer->status;
    if (answer->status == 0)
        k->known = answer->version;
    qk_port_frame_destroy(f);
    return answer;
}

/* ---- the queue */

/* Under the lock. */
static void add(struct item *item)
{
    uint32_t ms = world.plan.slow && world_below(&out.random, 3) != 0 ? world_below(&out.random, 12) : 0;
    item->due_ns = world.now_ns(NULL) + ms * NS_PER_MS;
    struct item **at = &out.items;
    while (*at != NULL && (*at)->due_ns <= item->due_ns)
        at = &(*at)->next;
    item->next = *at;
    *at = item;
    pthread_cond_signal(&out.changed);
}

static struct item *new_item(void)
{
    struct item *item = calloc(1, sizeof(*item));
    world_check(item != NULL, "no memory");
    return item;
}

void outside_store(struct qk_port_frame *frame)
{
    struct item *item = new_item();
    uint32_t actor = node_of(qk_port_frame_key(frame), frame->key_len);
    world_check(actor < WORLD_ACTORS && node_type(actor)->store != NULL && node_type(actor)->id == frame->type_id,
                "an operation on the state of nobody");
    frame->next = NULL;
    pthread_mutex_lock(&out.lock);
    world_check(!out.kept[actor].busy, "two operations on the state of actor %u at a time", actor);
    out.kept[actor].busy = true;
    item->actor = actor;
    /* It is done as it comes and answered later, or both later. */
    item->frame = world_below(&out.random, 2) == 0 ? perform(frame) : frame;
    add(item);
    pthread_mutex_unlock(&out.lock);
}

int outside_offload(void *arg, struct qk_job *job)
{
    (void)arg;
    static const int refusals[] = {QK_EOVERLOADED, -EAGAIN, QK_ECANCELLED};
    pthread_mutex_lock(&out.lock);
    int rc = world_below(&out.random, 8) == 0 ? refusals[world_below(&out.random, 3)] : 0;
    if (rc == 0) {
        struct item *item = new_item();
        item->job = job;
        add(item);
    }
    pthread_mutex_unlock(&out.lock);
    return rc;
}

/* The first item, if it is due, with its operation done. Under the lock. */
static struct item *take(void)
{
    struct item *item = out.items;
    if (item == NULL || item->due_ns > world.now_ns(NULL))
        return NULL;
    out.items = item->next;
    if (item->frame == NULL)
        return item;
    if (item->frame->kind == QK_PORT_STORE)
        item->frame = perform(item->frame);
    out.kept[item->actor].busy = false;
    return item;
}

/* Work that has been taken may still come back undone. */
static void do_job(struct qk_job *job, bool refuse)
{
    if (refuse)
        job->status = QK_ECANCELLED;
    else
        job->fn(job->arg);
    qk_runtime_offloaded(out.rt, job);
}

/* Under the lock, which is left meanwhile. */
static bool work_one(void)
{
    struct item *item = take();
    if (item == NULL)
        return false;
    bool refuse = world_below(&out.random, 16) == 0;
    pthread_mutex_unlock(&out.lock);
    if (item->frame != NULL)
        qk_runtime_submit(out.rt, item->frame);
    else
        do_job(item->job, refuse);
    free(item);
    pthread_mutex_lock(&out.lock);
    return true;
}

bool outside_work(void)
{
    bool did = false;
    pthread_mutex_lock(&out.lock);
    while (work_one())
        did = true;
    pthread_mutex_unlock(&out.lock);
    return did;
}

int64_t outside_next(void)
{
    pthread_mutex_lock(&out.lock);
    int64_t due_ns = out.items != NULL ? out.items->due_ns : INT64_MAX;
    pthread_mutex_unlock(&out.lock);
    return due_ns;
}

void *outside_main(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&out.lock);
    while (!out.quits) {
        if (work_one())
            continue;
        if (out.items == NULL) {
            pthread_cond_wait(&out.changed, &out.lock);
        } else {
            int64_t due_ns = out.items->due_ns;
            struct timespec until = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
            pthread_cond_timedwait(&out.changed, &out.lock, &until);
        }
    }
    pthread_mutex_unlock(&out.lock);
    return NULL;
}

void outside_quit(void)
{
    pthread_mutex_lock(&out.lock);
    out.quits = true;
    pthread_cond_signal(&out.changed);
    pthread_mutex_unlock(&out.lock);
}

/* ---- what actors ask */

struct outside_answer outside_answered(uint32_t actor)
{
    pthread_mutex_lock(&out.lock);
    struct outside_answer answer = out.kept[actor].answer;
    out.kept[actor].answer.fresh = false;
    pthread_mutex_unlock(&out.lock);
    return answer;
}

void outside_forget(uint32_t actor)
{
    pthread_mutex_lock(&out.lock);
    world_check(!out.kept[actor].busy, "actor %u began while an operation on its state was under way", actor);
    out.kept[actor].known = 0;
    pthread_mutex_unlock(&out.lock);
}

/* ---- begin and end */

void outside_begin(struct qk_runtime *rt)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&out.changed, &attr);
    pthread_condattr_destroy(&attr);
    memset(out.kept, 0, sizeof(out.kept));
    out.rt = rt;
    out.items = NULL;
    out.random = world_mix(world.plan.seed, 41);
    out.strangers = 0;
    out.operations = 0;
    out.quits = false;
    struct qk_store_config config = {.name = "memory", .done = on_done};
    world_check(qk_store_open_memory(&config, world.plan.store_bytes, &out.store) == 0, "no memory");
}

void outside_finish(void)
{
    world_check(out.items == NULL, "what was asked of the silo was never answered");
    for (uint32_t i = 0; i < WORLD_ACTORS; i++)
        world_check(!out.kept[i].busy, "an operation on the state of actor %u got lost", i);
    qk_store_close(out.store);
    pthread_cond_destroy(&out.changed);
}
