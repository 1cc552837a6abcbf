/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The actor type of the silo's tests. */
#include "actors.h"

#include <stdio.h>
#include <stdlib.h>
#include <quark/actor.h>
#include "base/fnv.h"
#include "rt.pb-c.h"

atomic_int silo_activated, silo_deactivated;
atomic_bool silo_spin, silo_spinning;
sem_t silo_gate;
atomic_int silo_blocked;

static struct qk_method methods[N_SILO_METHODS];
static const char *const names[N_SILO_METHODS] = {"Add", "Get", "Relay", "Fail", "Wait", "Spin", "Say", "Big", "Block"};

const struct qk_method *silo_method(enum silo_method which)
{
    uint32_t id = qk_fnv32(names[which]);
    for (int i = 0; i < N_SILO_METHODS; i++) {
        if (methods[i].id == id)
            return &methods[i];
    }
    abort();
}

static int on_add(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t;
    Rt__State *s = self;
    s->count += ((const Rt__Number *)req)->value;
    ((Rt__Number *)rep)->value = s->count;
    return 0;
}

static int on_get(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)req;
    ((Rt__Number *)rep)->value = ((Rt__State *)self)->count;
    return 0;
}

static int on_relay(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    int rc = qk_call(t, silo_method(S_ADD), qk_ref("hub"), 0, req, rep);
    return rc < 0 ? qk_fail(t, rc, "hub: %s", qk_error(t)) : rc;
}

static int on_fail(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    return qk_fail(t, QK_APP(7), "no luck: \xff");
}

/* Until its deadline or the end of the silo. */
static int on_wait(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    while (qk_remaining_ms(t) > 0) {
        int rc = qk_yield(t);
        if (rc < 0)
            return rc;
    }
    return QK_ETIMEDOUT;
}

static int on_spin(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t, (void)self, (void)req, (void)rep;
    atomic_store(&silo_spinning, true);
    while (atomic_load(&silo_spin)) {
    }
    atomic_store(&silo_spinning, false);
    return 0;
}

static int on_say(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    for (int64_t i = 0; i < ((const Rt__Number *)req)->value; i++)
        qk_log(t, QK_LOG_WARNING, "line %d", (int)i);
    return 0;
}

/* A reply of `value` bytes. */
static int on_big(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    size_t n = (size_t)((const Rt__Number *)req)->value;
    char *text = qk_alloc(t, n + 1);
    if (text == NULL)
        return QK_ENOMEMORY;
    memset(text, 'x', n);
    ((Rt__Text *)rep)->text = text;
    return 0;
}

static void block(void *arg)
{
    atomic_fetch_add(&silo_blocked, 1);
    while (sem_wait(&silo_gate) != 0) {
    }
    atomic_fetch_sub(&silo_blocked, 1);
    ++*(int64_t *)arg;
}

static int on_block(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)req;
    Rt__State *s = self;
    int64_t runs = 0;
    int rc = qk_offload(t, block, &runs);
    s->count += runs;
    ((Rt__Number *)rep)->value = s->count;
    return rc < 0 ? qk_fail(t, rc, "%s", qk_error(t)) : 0;
}

static int activate(qk_turn *t, void *self)
{
    (void)t, (void)self;
    atomic_fetch_add(&silo_activated, 1);
    return 0;
}

static void deactivate(qk_turn *t, void *self, enum qk_deactivate_reason reason)
{
    (void)t, (void)self, (void)reason;
    atomic_fetch_add(&silo_deactivated, 1);
}

static struct qk_type station = {
    .abi = QK_ABI_HEAD(struct qk_type),
    .name = SILO_TYPE,
    .service = "test.Station",
    .methods = methods,
    .n_methods = N_SILO_METHODS,
    .on_activate = activate,
    .on_deactivate = deactivate,
};

static const struct qk_type *const types[] = {&station};
static const uint8_t schema[] = {1, 2, 3};

const struct qk_plugin silo_plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin),
    .name = "stations",
    .version = "1",
    .types = types,
    .n_types = 1,
    .schema = schema,
    .schema_len = sizeof(schema),
};

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct qk_method *)a)->id, y = ((const struct qk_method *)b)->id;
    return x < y ? -1 : x > y;
}

__attribute__((constructor)) static void build(void)
{
    static const qk_handler_fn handlers[N_SILO_METHODS] = {on_add,  on_get, on_relay, on_fail, on_wait,
                                                           on_spin, on_say, on_big,   on_block};
    station.id = qk_fnv64(SILO_TYPE);
    station.state = &rt__state__descriptor;
    for (int i = 0; i < N_SILO_METHODS; i++) {
        methods[i] = (struct qk_method){.id = qk_fnv32(names[i]),
                                        .type_id = station.id,
                                        .name = names[i],
                                        .request = &rt__number__descriptor,
                                        .reply = i == S_BIG ? &rt__text__descriptor : &rt__number__descriptor,
                                        .handler = handlers[i]};
    }
    qsort(methods, N_SILO_METHODS, sizeof(methods[0]), compare);
}
