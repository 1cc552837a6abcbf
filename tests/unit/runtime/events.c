/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The actors and the store of the tests of journals. */
#include "events.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "base/limits.h"
#include "rt.pb-c.h"

static const char *const names[EVENTS_METHODS] = {"Add",   "AddAll", "Get", "Position", "Reload", "Save",
                                                  "Clear", "Replay", "Bad", "Quit",     "Panic",  "Adopt"};
static const char *const kind_names[EVENTS_KINDS] = {"eager", "lazy", "mixed", "rare", "plain"};
static struct qk_method methods[EVENTS_KINDS][EVENTS_METHODS];
static struct qk_type types[EVENTS_KINDS];
static const struct qk_type *type_list[EVENTS_KINDS];
static const struct qk_plugin plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "e", .version = "1", .types = type_list, .n_types = EVENTS_KINDS};

struct events_store store;
struct harness events_harness;
enum events_kind events_kind;
uint64_t events_first, events_last;
uint32_t events_seen;
static struct qk_port_frame *held, **held_last = &held;

/* ---- the store */

void events_put(const void *bytes, size_t size)
{
    ck_assert_uint_lt(store.n, EVENTS_MAX);
    store.events[store.n].bytes = malloc(size + 1);
    memcpy(store.events[store.n].bytes, bytes, size);
    store.events[store.n++].size = size;
}

void events_append_behind(const char *text, int64_t number)
{
    uint8_t bytes[256];
    Rt__Text event = RT__TEXT__INIT;
    event.text = (char *)(uintptr_t)text;
    event.n_numbers = 1;
    event.numbers = &number;
    events_put(bytes, rt__text__pack(&event, bytes));
}

void events_cut(uint32_t n)
{
    while (store.n > n)
        free(store.events[--store.n].bytes);
}

static int append(const struct qk_port_frame *f)
{
    const uint8_t *at = qk_port_frame_payload(f), *end = at + f->payload_len, *bytes;
    struct qk_port_event event;
    store.appends++;
    ck_assert_uint_gt(f->count, 0);
    if (f->version != store.n)
        return QK_ECONFLICT;
    for (uint32_t i = 0; i < f->count; i++) {
        bytes = qk_port_event_next(&at, end, &event);
        ck_assert_ptr_nonnull(bytes);
        events_put(bytes, event.size);
    }
    ck_assert_ptr_eq(at, end);
    return 0;
}

static int write_state(const struct qk_port_frame *f)
{
    store.writes++;
    if (f->version != store.version)
        return QK_ECONFLICT;
    store.state_size = f->payload_len;
    ck_assert_uint_le(store.state_size, sizeof(store.state));
    memcpy(store.state, qk_port_frame_payload(f), store.state_size);
    store.version++;
    return 0;
}

static struct qk_port_frame *read_page(const struct qk_port_frame *f)
{
    struct qk_port_frame *a = qk_port_frame_create(8 << 20);
    uint8_t *at = a->bytes;
    size_t given = 0;
    uint64_t i = f->version;
    store.replays++;
    store.replayed_behind = f->version;
    for (; i < store.n && a->count < f->count; i++) {
        if (a->count > 0 && given + store.events[i].size > QK_PAGE_BYTES_MAX)
            break;
        given += store.events[i].size;
        if (i + 1 == store.missing)
            continue;
        at = qk_port_event_put(at, i + 1, (uint32_t)store.events[i].size);
        memcpy(at, store.events[i].bytes, store.events[i].size);
        at += store.events[i].size;
        a->count++;
    }
    a->payload_len = (uint32_t)(at - a->bytes);
    a->version = i;
    a->more = i < store.n;
    return a;
}

static bool is_to_fail(void)
{
    if (store.skip > 0)
        store.skip--;
    else if (store.fail > 0)
        return store.fail--, true;
    return false;
}

static void answer(struct qk_port_frame *f)
{
    bool fails = is_to_fail();
    int status = 0;
    struct qk_port_frame *a = NULL;
    if (fails && !store.done) {
        status = store.status;
    } else if (f->store == QK_STORE_APPEND) {
        status = append(f);
    } else if (f->store == QK_STORE_WRITE) {
        status = write_state(f);
    } else if (f->store == QK_STORE_REPLAY) {
        a = read_page(f);
    } else {
        store.reads++;
        a = qk_port_frame_create(store.state_size + 64);
        memcpy(a->bytes, store.state, store.state_size);
        a->payload_len = (uint32_t)store.state_size;
        a->version = store.version;
    }
    if (a == NULL) {
        a = qk_port_frame_create(64);
        a->version = f->store == QK_STORE_APPEND ? store.n : store.version;
    }
    a->kind = QK_PORT_STORED;
    a->origin = f->origin;
    a->call_id = f->call_id;
    a->status = fails ? store.status : status;
    if (a->status < 0) {
        a->payload_len = 0;
        a->text_len = (uint32_t)sprintf((char *)a->bytes, a->status == QK_ECONFLICT ? "%d is stored" : "no luck (%d)",
                                        (int)a->version);
    }
    qk_port_frame_destroy(f);
    qk_runtime_submit(events_harness.rt, a);
}

static void on_store(struct harness *harness, struct qk_port_frame *f)
{
    (void)harness;
    ck_assert_uint_eq(f->key_len, 1);
    if (!store.hold) {
        answer(f);
        return;
    }
    f->next = NULL;
    *held_last = f;
    held_last = &f->next;
}

bool events_release(void)
{
    struct qk_port_frame *f = held;
    if (f == NULL)
        return false;
    held = f->next;
    if (held == NULL)
        held_last = &held;
    answer(f);
    return true;
}

uint64_t events_snapshot(int64_t *ret_count)
{
    uint64_t position;
    size_t head = qk_port_snapshot_head(store.state, store.state_size, &position);
    ck_assert_uint_eq(head, QK_SNAPSHOT_HEAD);
    Rt__State *state = rt__state__unpack(NULL, store.state_size - head, store.state + head);
    ck_assert_ptr_nonnull(state);
    *ret_count = state->count;
    rt__state__free_unpacked(state, NULL);
    /* It is a message of the state's type as it is, head and all. */
    state = rt__state__unpack(NULL, store.state_size, store.state);
    ck_assert_ptr_nonnull(state);
    ck_assert_int_eq(state->count, *ret_count);
    rt__state__free_unpacked(state, NULL);
    return position;
}

/* ---- the actors */

static bool poisoned; /* an event could not be applied */

static int apply(void *self, const ProtobufCMessage *message)
{
    const Rt__Text *event = (const Rt__Text *)message;
    Rt__State *state = self;
    if (strcmp(event->text, "poison") == 0)
        return poisoned = true, QK_APP(3);
    for (size_t i = 0; i < event->n_numbers; i++)
        state->count += event->numbers[i];
    return *event->text != '\0' ? qk_set_string(&state->note, event->text) : 0;
}

static int result(qk_turn *t, int rc, int64_t value, ProtobufCMessage *rep)
{
    ((Rt__Number *)rep)->value = value;
    return rc < 0 ? qk_fail(t, rc, "%s", qk_error(t)) : 0;
}

static int on_add(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    Rt__Text event = *(const Rt__Text *)req;
    int rc = qk_append(t, &event.base, 1);
    return result(t, rc, ((Rt__State *)self)->count, rep);
}

static int on_add_all(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    const Rt__Text *in = (const Rt__Text *)req;
    Rt__Text *events = qk_alloc(t, (in->n_numbers + 1) * sizeof(*events));
    for (size_t i = 0; i < in->n_numbers; i++) {
        rt__text__init(&events[i]);
        events[i].text = in->text;
        events[i].n_numbers = 1;
        events[i].numbers = &in->numbers[i];
    }
    int rc = qk_append(t, &events[0].base, (uint32_t)in->n_numbers);
    return result(t, rc, ((Rt__State *)self)->count, rep);
}

static int on_get(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)req;
    return result(t, 0, ((Rt__State *)self)->count, rep);
}

static int on_position(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req;
    return result(t, 0, (int64_t)qk_position(t), rep);
}

static int on_reload(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)req;
    int rc = qk_state(t, QK_STATE_LOAD);
    return result(t, rc, ((Rt__State *)self)->count, rep);
}

static int on_save(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req;
    return result(t, qk_state(t, QK_STATE_SAVE), 0, rep);
}

static int on_clear(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req;
    return result(t, qk_state(t, QK_STATE_CLEAR), 0, rep);
}

struct replay {
    qk_turn *turn;
    const Rt__Text *in;
    int64_t sum;
    uint64_t last; /* 0: none yet */
};

static int on_event(void *arg, uint64_t position, const ProtobufCMessage *message)
{
    struct replay *r = arg;
    const Rt__Text *event = (const Rt__Text *)message;
    if (r->last == 0)
        events_first = position;
    else
        ck_assert_uint_eq(position, r->last + 1);
    events_last = r->last = position;
    events_seen++;
    for (size_t i = 0; i < event->n_numbers; i++)
        r->sum += event->numbers[i];
    if (strcmp(r->in->text, "panic") == 0)
        qk_panic(r->turn, "seen enough");
    if (strcmp(r->in->text, "load") == 0) { /* inside, and with other events in hand */
        ck_assert_int_eq(qk_state(r->turn, QK_STATE_LOAD), 0);
        ck_assert_uint_eq(event->n_numbers, 1);
    }
    return position == (uint64_t)r->in->numbers[1] ? QK_APP(7) : 0;
}

/* From the first number on, until the second has been seen. */
static int on_replay(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    struct replay r = {t, (const Rt__Text *)req, 0, 0};
    events_seen = 0;
    int rc = qk_replay(t, (uint64_t)r.in->numbers[0], on_event, &r);
    return result(t, rc, r.sum, rep);
}

/* What can't be appended, by number. */
static int on_bad(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    static const size_t large = (4 << 20) - 5; /* with tag and length one byte more than there is room for */
    Rt__Text *events = qk_alloc(t, 2000 * sizeof(*events));
    Rt__Number number = RT__NUMBER__INIT;
    uint32_t n = 1;
    for (int i = 0; i < 2000; i++)
        rt__text__init(&events[i]);
    int rc = 0;
    switch (((const Rt__Text *)req)->numbers[0]) {
    case 0:
        n = 0;
        break;
    case 1:
        n = QK_EVENTS_MAX + 1;
        break;
    case 2:
        events[0].text = qk_strdup(t, "\xc3");
        break;
    case 3:
        events[0].text = qk_alloc(t, large + 1);
        memset(events[0].text, 'x', large);
        break;
    case 4:
        rc = qk_append(t, &number.base, 1);
        n = 0;
        break;
    case 5:
        n = 2;
        events[1].base.descriptor = NULL;
        break;
    }
    rc = rc < 0 ? rc : qk_append(t, &events[0].base, n);
    return result(t, rc, ((Rt__State *)self)->count, rep);
}

static int on_quit(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    qk_deactivate(t);
    return 0;
}

static void do_nothing(void *arg)
{
    (void)arg;
}

static int on_panic(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    bool waits = strcmp(((const Rt__Text *)req)->text, "poisoned") == 0;
    while (waits && !poisoned)
        ck_assert_int_eq(qk_offload(t, do_nothing, NULL), 0);
    qk_panic(t, "enough");
}

static int on_adopt(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    return qk_spawn(t, types[MIXED].id, qk_ref(((const Rt__Text *)req)->text));
}

/* ---- calling them */

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct qk_method *)a)->id, y = ((const struct qk_method *)b)->id;
    return x < y ? -1 : x > y;
}

static void make_type(int kind)
{
    static const qk_handler_fn handlers[EVENTS_METHODS] = {on_add,    on_add_all, on_get,   on_position,
                                                           on_reload, on_save,    on_clear, on_replay,
                                                           on_bad,    on_quit,    on_panic, on_adopt};
    static const uint32_t flags[EVENTS_KINDS] = {[LAZY] = QK_TYPE_LAZY_STATE, [MIXED] = QK_TYPE_INTERLEAVE_ALWAYS};
    for (int i = 0; i < EVENTS_METHODS; i++)
        methods[kind][i] = (struct qk_method){.id = qk_fnv32(names[i]),
                                              .type_id = qk_fnv64(kind_names[kind]),
                                              .name = names[i],
                                              .request = &rt__text__descriptor,
                                              .reply = &rt__number__descriptor,
                                              .handler = handlers[i]};
    qsort(methods[kind], EVENTS_METHODS, sizeof(methods[kind][0]), compare);
    types[kind] = (struct qk_type){.abi = QK_ABI_HEAD(struct qk_type),
                                   .id = qk_fnv64(kind_names[kind]),
                                   .name = kind_names[kind],
                                   .service = "rt.E",
                                   .state = &rt__state__descriptor,
                                   .methods = methods[kind],
                                   .n_methods = EVENTS_METHODS,
                                   .flags = flags[kind],
                                   .directive = kind == LAZY ? QK_RESUME : QK_DIRECTIVE_DEFAULT,
                                   .store = "memory",
                                   .event = kind != PLAIN ? &rt__text__descriptor : NULL,
                                   .apply = apply,
                                   .snapshot_every = kind == RARE ? 0 : 3};
    type_list[kind] = &types[kind];
}

void events_setup(void)
{
    for (int kind = 0; kind < EVENTS_KINDS; kind++)
        make_type(kind);
    harness_init(&events_harness, &plugin, NULL);
    events_harness.on_store = on_store;
    events_kind = EAGER;
    poisoned = false;
}

void events_teardown(void)
{
    harness_finish(&events_harness);
    ck_assert_ptr_null(held);
    events_cut(0);
    memset(&store, 0, sizeof(store));
}

const struct qk_method *events_method(enum events_method method)
{
    for (int i = 0; i < EVENTS_METHODS; i++) {
        if (strcmp(methods[events_kind][i].name, names[method]) == 0)
            return &methods[events_kind][i];
    }
    abort();
}

int events_call(enum events_method method, const char *text, const int64_t *numbers, size_t n, int64_t *ret_value)
{
    Rt__Text in = RT__TEXT__INIT;
    in.text = (char *)(uintptr_t)text;
    in.n_numbers = n;
    in.numbers = (int64_t *)(uintptr_t)numbers;
    ProtobufCMessage *out = NULL;
    int rc = harness_call(&events_harness, events_method(method), "a", &in.base, &out);
    if (out != NULL) {
        if (ret_value != NULL)
            *ret_value = ((Rt__Number *)out)->value;
        protobuf_c_message_free_unpacked(out, NULL);
    }
    return rc;
}

int events_do(enum events_method method, int64_t *ret_value)
{
    return events_call(method, "", NULL, 0, ret_value);
}

int events_add(int64_t number, int64_t *ret_value)
{
    return events_call(ADD, "a note", &number, 1, ret_value);
}

void events_forget(void)
{
    ck_assert_int_eq(events_do(QUIT, NULL), 0);
    harness_run(&events_harness);
}
