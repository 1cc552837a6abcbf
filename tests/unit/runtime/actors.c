/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small handlers that use everything a handler may do. */
#include "actors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quark/actor.h>
#include "base/fnv.h"
#include "rt.pb-c.h"

int actors_activated, actors_deactivated, actors_last_reason, actors_running, actors_overlaps;
int actors_fail_activation;

static struct qk_method methods[N_METHODS];

static const struct qk_method *by_name(const char *name)
{
    uint32_t id = qk_fnv32(name);
    for (int i = 0; i < N_METHODS; i++) {
        if (methods[i].id == id)
            return &methods[i];
    }
    abort();
}

static const char *const names[N_METHODS] = {"Add",  "Get",   "Relay",    "Echo", "Slow",      "Fail",     "Note",
                                             "Quit", "Flood", "Parallel", "Self", "LongError", "Allocate", "Log"};

const struct qk_method *actors_method(int which)
{
    return by_name(names[which]);
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

/* Calls Add of the actor "target" and passes its reply on. */
static int on_relay(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    if (actors_running++ > 0)
        actors_overlaps++;
    int rc = qk_call(t, actors_method(M_ADD), qk_ref("target"), 0, req, rep);
    actors_running--;
    return rc;
}

static int on_echo(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)t;
    Rt__State *s = self;
    const Rt__Text *in = (const Rt__Text *)req;
    Rt__Text *out = (Rt__Text *)rep;
    if (strcmp(qk_self(t).key, "relay-echo") == 0) {
        Rt__Text got;
        int rc = qk_call(t, actors_method(M_ECHO), qk_ref("echo"), 0, req, &got.base);
        if (rc < 0)
            return rc;
        *out = got;
        return 0;
    }
    if (qk_set_string(&s->note, in->text) < 0)
        return QK_ENOMEMORY;
    out->text = s->note; /* points at the state */
    out->n_numbers = in->n_numbers;
    out->numbers = in->numbers; /* and at the request */
    return 0;
}

/* Waits for ever: its callee never answers in time. */
static int on_slow(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    while (qk_remaining_ms(t) > 0) {
        if (qk_yield(t) < 0)
            return qk_fail(t, QK_ECANCELLED, "stopped");
    }
    return 0;
}

static int on_fail(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    int64_t n = ((const Rt__Number *)req)->value;
    if (n == 0)
        return qk_fail(t, QK_APP(7), "no %s today", "luck");
    Rt__Number in = RT__NUMBER__INIT, out;
    int rc = qk_call(t, actors_method(M_FAIL), qk_ref("failing"), 0, &in.base, &out.base);
    return qk_fail(t, rc, "passed on: %s", qk_error(t));
}

static int on_note(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req;
    struct qk_ref me = qk_self(t);
    char *text = qk_alloc(t, 600);
    snprintf(text, 600, "%.*s from %s", (int)me.key_len, me.key, qk_caller(t));
    ((Rt__Text *)rep)->text = text;
    return 0;
}

static int on_quit(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)req, (void)rep;
    qk_deactivate(t);
    return 0;
}

/* Sends `value` Adds to "target", more than its mailbox holds. */
static int on_flood(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    Rt__Number one = RT__NUMBER__INIT;
    one.value = 1;
    int64_t n = ((const Rt__Number *)req)->value;
    for (int64_t i = 0; i < n; i++) {
        int rc = qk_send(t, actors_method(M_ADD), qk_ref("target"), &one.base);
        if (rc < 0)
            return rc;
    }
    ((Rt__Number *)rep)->value = n;
    return 0;
}

/* Begins `value` calls at once and adds up their replies; leaves one unawaited. */
static int on_parallel(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    int64_t n = ((const Rt__Number *)req)->value, sum = 0;
    struct qk_pending **p = qk_alloc(t, (size_t)(n + 1) * sizeof(*p));
    Rt__Number one = RT__NUMBER__INIT;
    one.value = 1;
    for (int64_t i = 0; i <= n; i++) {
        char key[32];
        snprintf(key, sizeof(key), "worker-%d", (int)i);
        int rc = qk_begin(t, actors_method(M_ADD), qk_ref(key), 0, &one.base, &p[i]);
        if (rc < 0)
            return rc;
    }
    for (int64_t i = n; i-- > 0;) {
        Rt__Number got;
        int rc = qk_await(t, p[i], &got.base);
        if (rc < 0)
            return rc;
        sum += got.value;
    }
    ((Rt__Number *)rep)->value = sum;
    return 0;
}

static int on_self(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self;
    int rc = qk_call(t, actors_method(M_ADD), qk_self(t), 0, req, rep);
    return rc < 0 ? qk_fail(t, rc, "%s", qk_error(t)) : 0;
}

/* Fails with a text of `value` bytes. */
static int on_long_error(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    int n = (int)((const Rt__Number *)req)->value;
    return qk_fail(t, QK_APP(8), "%0*d", n, 7);
}

/* Takes `value` bytes in pieces of a megabyte at most. */
static int on_allocate(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    int64_t n = ((const Rt__Number *)req)->value;
    while (n > 0) {
        int64_t piece = n > 1 << 20 ? 1 << 20 : n;
        if (qk_alloc(t, (size_t)piece) == NULL)
            return qk_fail(t, QK_ENOMEMORY, "no more");
        n -= piece;
    }
    return 0;
}

/* Writes `value` lines. */
static int on_log(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    for (int64_t i = 0; i < ((const Rt__Number *)req)->value; i++)
        qk_log(t, QK_LOG_INFO, "line %d", (int)i);
    return 0;
}

static int activate(qk_turn *t, void *self)
{
    (void)self;
    actors_activated++;
    if (actors_fail_activation)
        return qk_fail(t, QK_APP(3), "the tape is torn");
    return 0;
}

static void deactivate(qk_turn *t, void *self, enum qk_deactivate_reason reason)
{
    (void)t, (void)self;
    actors_deactivated++;
    actors_last_reason = (int)reason;
}

#define TYPE_NAME "tester"

static struct qk_type tester = {
    .abi = QK_ABI_HEAD(struct qk_type),
    .name = TYPE_NAME,
    .service = "rt.Tester",
    .methods = methods,
    .n_methods = N_METHODS,
    .mailbox_max = 8,
    .idle_ms = 5000,
    .on_activate = activate,
    .on_deactivate = deactivate,
};

static const struct qk_type *const types[] = {&tester};

const struct qk_plugin actors_plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin),
    .name = "tester",
    .version = "1",
    .types = types,
    .n_types = 1,
};

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct qk_method *)a)->id, y = ((const struct qk_method *)b)->id;
    return x < y ? -1 : x > y;
}

__attribute__((constructor)) static void build(void)
{
    static const qk_handler_fn handlers[N_METHODS] = {on_add,  on_get,        on_relay,    on_echo,  on_slow,
                                                      on_fail, on_note,       on_quit,     on_flood, on_parallel,
                                                      on_self, on_long_error, on_allocate, on_log};
    tester.id = qk_fnv64(TYPE_NAME);
    tester.state = &rt__state__descriptor;
    for (int i = 0; i < N_METHODS; i++) {
        bool text = i == M_ECHO || i == M_NOTE;
        methods[i] = (struct qk_method){.id = qk_fnv32(names[i]),
                                        .type_id = tester.id,
                                        .name = names[i],
                                        .request = text ? &rt__text__descriptor : &rt__number__descriptor,
                                        .reply = text ? &rt__text__descriptor : &rt__number__descriptor,
                                        .handler = handlers[i]};
    }
    qsort(methods, N_METHODS, sizeof(methods[0]), compare);
}
