/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test silo: the runtime without threads, driven by the test, on a clock that moves only when it must. One call is
 * under way at a time. The clock begins at a fixed date, so that a run is like any other.
 */
#include <quark/test.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/limits.h"
#include "runtime/runtime.h"
#include "store.h"
#include "wire/check.h"

#define START_NS   1000000000             /* of the monotonic clock */
#define START_MS   INT64_C(1577836800000) /* of the wall clock: 2020-01-01 */
#define NS_PER_MS  1000000
#define PATIENCE   100000 /* rounds of turns that yield without end, before the clock begins to move */
#define HASTE      100    /* rounds for each millisecond from then on */
#define STOP_GRACE 1000   /* milliseconds for turns that are suspended when the silo ends */

struct qk_test {
    struct qk_runtime *rt;
    int64_t now_ns;
    uint64_t call_id;             /* of the call under way */
    struct qk_port_frame *answer; /* what came for it */
    struct qk_test_store store;
    char error[QK_ERROR_TEXT_MAX + 1];
};

static int64_t now_ns(void *arg)
{
    return ((struct qk_test *)arg)->now_ns;
}

static int64_t wall_ms(void *arg)
{
    return START_MS + (((struct qk_test *)arg)->now_ns - START_NS) / NS_PER_MS;
}

static void deliver(void *arg, struct qk_port_frame *chain)
{
    struct qk_test *test = arg;
    while (chain != NULL) {
        struct qk_port_frame *frame = chain;
        chain = frame->next;
        if (frame->kind == QK_PORT_STORE)
            qk_runtime_submit(test->rt, qk_test_store_answer(&test->store, frame));
        else if (frame->call_id == test->call_id && test->answer == NULL)
            test->answer = frame;
        else
            qk_port_frame_destroy(frame);
    }
}

static void log_line(void *arg, enum qk_log_level level, const char *type, const char *key, uint64_t request_id,
                     const char *text)
{
    (void)arg, (void)request_id;
    static const char *const names[] = {"", "", "", "error", "warning", "notice", "info", "debug"};
    if (type != NULL)
        fprintf(stderr, "%s: %s/%s: %s\n", names[level & 7], type, key, text);
    else
        fprintf(stderr, "%s: %s\n", names[level & 7], text);
}

int qk_test_add_plugin(struct qk_test *test, const struct qk_plugin *plugin)
{
    return qk_runtime_add_plugin(test->rt, plugin, test->error, sizeof(test->error));
}

int qk_test_substitute(struct qk_test *test, const char *name, void *instance)
{
    test->error[0] = '\0';
    return qk_runtime_substitute(test->rt, name, instance, test->error, sizeof(test->error));
}

struct qk_test *qk_test_create(const struct qk_plugin *plugin)
{
    struct qk_test *test = calloc(1, sizeof(*test));
    if (test == NULL) {
        fprintf(stderr, "qk_test_create: out of memory\n");
        return NULL;
    }
    test->now_ns = START_NS;
    struct qk_runtime_config config;
    qk_runtime_config_init(&config);
    config.workers = 0;
    config.now_ns = now_ns;
    config.wall_ms = wall_ms;
    config.clock_arg = test;
    config.deliver = deliver;
    config.deliver_arg = test;
    config.log = log_line;
    int rc = qk_runtime_create(&config, &test->rt);
    if (rc < 0) {
        fprintf(stderr, "qk_test_create: can't make a runtime: %d\n", rc);
        free(test);
        return NULL;
    }
    if (qk_test_add_plugin(test, plugin) < 0) {
        fprintf(stderr, "qk_test_create: plugin %s: %s\n", plugin->name != NULL ? plugin->name : "", test->error);
        qk_test_destroy(test);
        return NULL;
    }
    return test;
}

/* Runs what can run now. Stops at an answer where `for_answer`; a turn that yields without end is given time. */
static void run(struct qk_test *test, bool for_answer)
{
    for (unsigned rounds = 1; !(for_answer && test->answer != NULL) && qk_runtime_step(test->rt); rounds++) {
        if (rounds >= PATIENCE && rounds % HASTE == 0)
            test->now_ns += NS_PER_MS;
    }
}

/* When something is due next; INT64_MAX when nothing is. The runtime names the end of that millisecond, which is when a
 * thread may sleep until; here it is due at its beginning, so that timers tick on time. */
static int64_t next_due(const struct qk_test *test)
{
    int64_t next = qk_runtime_next_deadline(test->rt);
    if (next == INT64_MAX)
        return INT64_MAX;
    next -= NS_PER_MS;
    return next > test->now_ns ? next : test->now_ns + NS_PER_MS;
}

/* Moves the clock to what is due next; false when there is nothing. */
static bool jump(struct qk_test *test)
{
    int64_t next = next_due(test);
    if (next == INT64_MAX)
        return false;
    test->now_ns = next;
    return true;
}

int qk_test_destroy(struct qk_test *test)
{
    if (test == NULL)
        return 0;
    qk_runtime_stop(test->rt, test->now_ns + (int64_t)STOP_GRACE * NS_PER_MS);
    for (int i = 0; i < 2 * STOP_GRACE; i++) {
        run(test, false);
        test->now_ns += NS_PER_MS;
    }
    int left = qk_runtime_destroy(test->rt);
    qk_port_frame_destroy(test->answer);
    qk_test_store_finish(&test->store);
    free(test);
    return left;
}

static int fail(struct qk_test *test, int status, const char *text)
{
    snprintf(test->error, sizeof(test->error), "%s", text);
    return status;
}

static bool is_key(struct qk_ref ref)
{
    return ref.key != NULL && ref.key_len > 0 && ref.key_len <= QK_KEY_MAX &&
           qk_wire_is_utf8((const uint8_t *)ref.key, ref.key_len);
}

#define KEY_IS_BAD "a key has 1 to 512 bytes of UTF-8"

/* NULL where the bytes are no message of the type; made with malloc. */
static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *desc, const uint8_t *bytes, size_t size)
{
    return qk_wire_check(desc, bytes, size) >= 0 ? protobuf_c_message_unpack(desc, NULL, size, bytes) : NULL;
}

/* Hands in a frame and runs until its answer is there. `ret_answer` is the test's until its next call. */
static int submit(struct qk_test *test, enum qk_port_kind kind, uint64_t type_id, uint32_t method_id, struct qk_ref ref,
                  const ProtobufCMessage *request)
{
    test->error[0] = '\0';
    if (!is_key(ref))
        return fail(test, QK_EINVALID, KEY_IS_BAD);
    size_t size = request != NULL ? protobuf_c_message_get_packed_size(request) : 0;
    if (size > QK_PAYLOAD_MAX)
        return fail(test, QK_ETOOBIG, "the request is larger than a frame may be");
    struct qk_port_frame *frame = qk_port_frame_create(ref.key_len + size);
    if (frame == NULL)
        return fail(test, -ENOMEM, "out of memory");
    qk_port_frame_destroy(test->answer);
    test->answer = NULL;
    frame->kind = kind;
    frame->call_id = ++test->call_id;
    frame->type_id = type_id;
    frame->method_id = method_id;
    frame->key_len = ref.key_len;
    frame->payload_len = (uint32_t)size;
    memcpy(frame->bytes, ref.key, ref.key_len);
    if (size != 0)
        protobuf_c_message_pack(request, frame->bytes + ref.key_len);
    qk_runtime_submit(test->rt, frame);
    do
        run(test, true);
    while (test->answer == NULL && jump(test));
    if (test->answer == NULL)
        return fail(test, QK_ESTATE, "the silo came to rest without an answer");
    snprintf(test->error, sizeof(test->error), "%.*s", (int)test->answer->text_len, qk_port_frame_text(test->answer));
    return test->answer->status;
}

int qk_test_ask(struct qk_test *test, const struct qk_method *m, struct qk_ref to, const ProtobufCMessage *request,
                ProtobufCMessage **ret_reply)
{
    int rc = submit(test, QK_PORT_CALL, m->type_id, m->id, to, request);
    if (ret_reply != NULL)
        *ret_reply = NULL;
    if (rc < 0 || ret_reply == NULL)
        return rc;
    const struct qk_port_frame *f = test->answer;
    *ret_reply = unpack(m->reply, qk_port_frame_payload(f), f->payload_len);
    return *ret_reply != NULL ? rc : fail(test, QK_EPROTOCOL, "the reply can't be read");
}

int qk_test_tell(struct qk_test *test, const struct qk_method *m, struct qk_ref to, const ProtobufCMessage *request)
{
    int rc = submit(test, QK_PORT_SEND, m->type_id, m->id, to, request);
    run(test, false);
    return rc;
}

int qk_test_deactivate(struct qk_test *test, const struct qk_type *type, struct qk_ref ref)
{
    return submit(test, QK_PORT_DEACTIVATE, type->id, 0, ref, NULL);
}

const char *qk_test_error(const struct qk_test *test)
{
    return test->error;
}

void qk_test_advance(struct qk_test *test, int64_t ms)
{
    int64_t until = test->now_ns + ms * NS_PER_MS;
    run(test, false);
    for (;;) {
        int64_t next = next_due(test);
        if (next >= until)
            break;
        test->now_ns = next;
        run(test, false);
    }
    if (test->now_ns < until)
        test->now_ns = until;
    run(test, false);
}

uint64_t qk_test_activations(const struct qk_test *test)
{
    struct qk_runtime_stats stats;
    qk_runtime_stats(test->rt, &stats);
    return stats.activations;
}

/* ---- stored state ---- */

/* 0 where the type has stored state and the key is one. */
static int check_stored(struct qk_test *test, const struct qk_type *type, struct qk_ref ref)
{
    test->error[0] = '\0';
    if (type->state == NULL || type->store == NULL)
        return fail(test, QK_EINVALID, "the state of this actor type is not stored: its declaration names no `store`");
    return is_key(ref) ? 0 : fail(test, QK_EINVALID, KEY_IS_BAD);
}

int qk_test_stored(struct qk_test *test, const struct qk_type *type, struct qk_ref ref, ProtobufCMessage **ret_state)
{
    *ret_state = NULL;
    int rc = check_stored(test, type, ref);
    if (rc < 0)
        return rc;
    const struct qk_test_record *record = qk_test_store_find(&test->store, type->id, ref.key, ref.key_len, false);
    if (record == NULL || record->version == 0)
        return fail(test, QK_ENOTFOUND, "nothing is stored");
    uint64_t position;
    const uint8_t *bytes = record->bytes + record->key_len;
    size_t head = type->event != NULL ? qk_port_snapshot_head(bytes, record->size, &position) : 0;
    *ret_state = unpack(type->state, bytes + head, record->size - head);
    return *ret_state != NULL ? 0 : fail(test, QK_EINVALID, "what is stored can't be read");
}

int qk_test_store(struct qk_test *test, const struct qk_type *type, struct qk_ref ref, const ProtobufCMessage *state)
{
    int rc = check_stored(test, type, ref);
    if (rc < 0)
        return rc;
    if (type->event != NULL && state != NULL)
        return fail(test, QK_EINVALID, "the state of this actor type is made of its events: put an event instead");
    struct qk_test_record *record = qk_test_store_find(&test->store, type->id, ref.key, ref.key_len, true);
    if (state == NULL) {
        record->version = 0;
        return 0;
    }
    size_t size = protobuf_c_message_get_packed_size(state);
    if (size > QK_PAYLOAD_MAX)
        return fail(test, QK_ETOOBIG, "the state is larger than 4 MiB");
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        return fail(test, -ENOMEM, "out of memory");
    protobuf_c_message_pack(state, bytes);
    qk_test_store_write(&test->store, record, bytes, (uint32_t)size);
    free(bytes);
    return 0;
}

/* ---- journals ---- */

/* 0 where the type has a journal and the key is one; then its record. */
static int find_journal(struct qk_test *test, const struct qk_type *type, struct qk_ref ref,
                        struct qk_test_record **ret_record)
{
    int rc = check_stored(test, type, ref);
    if (rc < 0)
        return rc;
    if (type->event == NULL)
        return fail(test, QK_EINVALID, "this actor type has no journal: its declaration names no `event`");
    *ret_record = qk_test_store_find(&test->store, type->id, ref.key, ref.key_len, true);
    return 0;
}

uint64_t qk_test_position(struct qk_test *test, const struct qk_type *type, struct qk_ref ref)
{
    struct qk_test_record *record;
    return find_journal(test, type, ref, &record) == 0 ? record->n_events : 0;
}

int qk_test_event(struct qk_test *test, const struct qk_type *type, struct qk_ref ref, uint64_t position,
                  ProtobufCMessage **ret_event)
{
    *ret_event = NULL;
    struct qk_test_record *record;
    int rc = find_journal(test, type, ref, &record);
    if (rc < 0)
        return rc;
    if (position < 1 || position > record->n_events)
        return fail(test, QK_ENOTFOUND, "the journal has no event at that position");
    const struct qk_test_event *event = &record->events[position - 1];
    *ret_event = unpack(type->event, event->bytes, event->size);
    return *ret_event != NULL ? 0 : fail(test, QK_EINVALID, "the event can't be read");
}

int qk_test_append(struct qk_test *test, const struct qk_type *type, struct qk_ref ref, const ProtobufCMessage *event)
{
    struct qk_test_record *record;
    int rc = find_journal(test, type, ref, &record);
    if (rc < 0)
        return rc;
    size_t size = protobuf_c_message_get_packed_size(event);
    if (size > QK_PAYLOAD_MAX)
        return fail(test, QK_ETOOBIG, "the event is larger than 4 MiB");
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        return fail(test, -ENOMEM, "out of memory");
    protobuf_c_message_pack(event, bytes);
    qk_test_store_append(record, bytes, (uint32_t)size);
    free(bytes);
    return 0;
}

void qk_test_store_fail(struct qk_test *test, uint64_t skip, uint64_t n, int status, bool done)
{
    test->store.skip = skip;
    test->store.fail = n;
    test->store.status = status < 0 ? status : QK_EUNAVAILABLE;
    test->store.done = done;
}

uint64_t qk_test_store_operations(const struct qk_test *test)
{
    return test->store.operations;
}
