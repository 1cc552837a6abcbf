/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Actors that do what a text tells them. */
#include "family.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "rt.pb-c.h"

enum { PLAIN, ONE, ALL, REST, ALL_PLAIN, REST_PLAIN, OPEN, KEPT, LOADED, BRIEF, HASTY, HASTY_OPEN, N_TYPES };

static const char *const names[N_TYPES] = {"plain", "one",  "all",    "rest",  "all_plain", "rest_plain",
                                           "open",  "kept", "loaded", "brief", "hasty",     "hasty_open"};
static struct qk_method methods[N_TYPES];
static struct qk_type types[N_TYPES];
static const struct qk_type *type_list[N_TYPES];
const struct qk_plugin family_plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin), .name = "family", .version = "1", .types = type_list, .n_types = N_TYPES};

struct family_plan family_plan;
char family_text[2048];
static char story[16384], told[16384];
static struct harness *harness;
static struct qk_port_frame *stores, **stores_last;

static void tell(const char *format, ...)
{
    size_t at = strlen(story);
    va_list args;
    va_start(args, format);
    vsnprintf(story + at, sizeof(story) - at, format, args);
    va_end(args);
    strncat(story, "\n", sizeof(story) - strlen(story) - 1);
}

const char *family_story(void)
{
    size_t n = strlen(story);
    memcpy(told, story, n + 1);
    if (n > 0)
        told[n - 1] = '\0';
    story[0] = '\0';
    return told;
}

/* ---- steps */

static void spend(void *arg)
{
    harness->now_ns += strtol(arg, NULL, 10) * INT64_C(1000000);
}

/* Takes "type/key" off the front of `at`; the rest follows a space. */
static int address(char *at, const char **ret_key, char **ret_rest)
{
    char *rest = strchr(at, ' ');
    if (rest != NULL)
        *rest++ = '\0';
    char *slash = strchr(at, '/');
    ck_assert_ptr_nonnull(slash);
    *slash = '\0';
    *ret_key = slash + 1;
    *ret_rest = rest;
    for (int i = 0; i < N_TYPES; i++) {
        if (strcmp(names[i], at) == 0)
            return i;
    }
    ck_abort_msg("no type %s", at);
    return -1;
}

static void children(qk_turn *t, Rt__Text *rep)
{
    static const char *const states[] = {"", "begins", "live", "failed", "waits", "ends"};
    struct qk_child *list;
    int n = qk_children(t, &list);
    char *text = qk_alloc(t, 4096);
    for (int i = 0; i < n; i++)
        snprintf(text + strlen(text), 4096 - strlen(text), "%s%s/%s:%s", i > 0 ? " " : "", list[i].type,
                 list[i].ref.key, states[list[i].state]);
    rep->text = text;
}

static int call(qk_turn *t, int type, const char *key, char *steps, bool send, Rt__Text *rep)
{
    Rt__Text in = RT__TEXT__INIT, out = RT__TEXT__INIT;
    for (char *c = steps; *c != '\0'; c++)
        *c = *c == ',' ? ';' : *c;
    in.text = steps;
    if (send)
        return qk_send(t, &methods[type], qk_ref(key), &in.base);
    int rc = qk_call(t, &methods[type], qk_ref(key), 0, &in.base, &out.base);
    if (rc >= 0 && rep != NULL)
        rep->text = out.text;
    return rc;
}

static int step(qk_turn *t, Rt__State *s, char *verb, Rt__Text *rep)
{
    char *rest = strchr(verb, ' ');
    if (rest != NULL)
        *rest++ = '\0';
    if (strcmp(verb, "panic") == 0)
        qk_panic(t, "%s", rest);
    if (strcmp(verb, "fail") == 0)
        return qk_fail(t, QK_APP(atoi(rest)), "meant to");
    if (strcmp(verb, "add") == 0)
        return s->count += atoi(rest), 0;
    if (strcmp(verb, "get") == 0) {
        rep->text = qk_alloc(t, 32);
        return snprintf(rep->text, 32, "%d", (int)s->count) > 0 ? 0 : -1;
    }
    if (strcmp(verb, "yield") == 0)
        return qk_yield(t);
    if (strcmp(verb, "spend") == 0)
        return spend(rest), 0;
    if (strcmp(verb, "offload") == 0)
        return qk_offload(t, spend, rest);
    if (strcmp(verb, "cancelled") == 0)
        return tell("cancelled %d", qk_cancelled(t)), 0;
    if (strcmp(verb, "save") == 0)
        return qk_state(t, QK_STATE_SAVE);
    if (strcmp(verb, "quit") == 0)
        return qk_deactivate(t), 0;
    if (strcmp(verb, "children") == 0)
        return children(t, rep), 0;
    if (strcmp(verb, "strange") == 0)
        return qk_spawn(t, 12345, qk_ref("x"));
    if (strcmp(verb, "many") == 0) {
        int rc = 0;
        char key[32];
        for (int i = 0; i < atoi(rest) && rc == 0; i++) {
            snprintf(key, sizeof(key), "m%d", i);
            rc = qk_spawn(t, types[PLAIN].id, qk_ref(key));
        }
        return rc;
    }
    if (strcmp(verb, "tick") == 0) {
        Rt__Text in = RT__TEXT__INIT;
        char *steps;
        long ms = strtol(rest, &steps, 10);
        in.text = steps + 1;
        for (int i = 0; i < N_TYPES; i++) {
            uint64_t id;
            if (qk_timer_start(t, &methods[i], ms, 0, 0, &in.base, &id) == 0)
                return 0;
        }
        return QK_EINVALID;
    }
    const char *key;
    char *more;
    int type = address(rest, &key, &more);
    if (strcmp(verb, "spawn") == 0)
        return qk_spawn(t, types[type].id, qk_ref(key));
    if (strcmp(verb, "stop") == 0)
        return qk_stop_child(t, types[type].id, qk_ref(key));
    if (strcmp(verb, "watch") == 0)
        return qk_watch(t, types[type].id, qk_ref(key));
    if (strcmp(verb, "unwatch") == 0)
        return qk_unwatch(t, types[type].id, qk_ref(key));
    return call(t, type, key, more, strcmp(verb, "send") == 0, rep);
}

static int run(qk_turn *t, Rt__State *s, const char *steps, Rt__Text *rep)
{
    char *at = qk_strdup(t, steps);
    while (at != NULL) {
        char *next = strchr(at, ';');
        if (next != NULL)
            *next++ = '\0';
        int rc = step(t, s, at, rep);
        if (rc < 0)
            return qk_is_app(rc) ? rc : qk_fail(t, rc, "%s", qk_error(t));
        at = next;
    }
    return 0;
}

static int on_do(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    return run(t, self, ((const Rt__Text *)req)->text, (Rt__Text *)rep);
}

/* ---- hooks */

static int on_activate(qk_turn *t, void *self)
{
    Rt__Text rep = RT__TEXT__INIT;
    tell("+%s", qk_self(t).key);
    if (strcmp(qk_self(t).key, "top") == 0 && family_plan.in_activate != NULL)
        return run(t, self, family_plan.in_activate, &rep);
    bool torn = strncmp(qk_self(t).key, "torn", 4) == 0;
    if ((strncmp(qk_self(t).key, "bad", 3) != 0 && !torn) || family_plan.bad_activations == 0)
        return 0;
    family_plan.bad_activations--;
    if (torn)
        qk_panic(t, "not at all");
    return qk_fail(t, QK_APP(9), "not today");
}

static void on_deactivate(qk_turn *t, void *self, enum qk_deactivate_reason reason)
{
    static const char *const why[] = {"", "idle", "requested", "shutdown", "stopped", "restart", "failed"};
    (void)self;
    tell("-%s %s", qk_self(t).key, why[reason]);
    if (family_plan.slow_ends > 0) {
        family_plan.slow_ends--;
        harness->now_ns += INT64_C(1000000000);
    }
    if (family_plan.bad_deactivations > 0) {
        family_plan.bad_deactivations--;
        qk_panic(t, "at the end");
    }
}

static int answer(qk_turn *t)
{
    for (struct family_answer *a = family_plan.answers; a->key != NULL; a++) {
        if (strcmp(qk_self(t).key, a->key) != 0)
            continue;
        if (a->panics)
            qk_panic(t, "no answer");
        return a->answer;
    }
    return family_plan.answer;
}

static int on_child_failure(qk_turn *t, void *self, const struct qk_failure *f)
{
    static const char *const kinds[] = {"", "panic", "activate", "escalated", "timeout"};
    Rt__Text rep = RT__TEXT__INIT;
    tell("%s: %s/%s %s %u: %s", qk_self(t).key, f->type, f->ref.key, kinds[f->kind], f->failures, f->text);
    if (family_plan.in_failure != NULL)
        tell("status %d", run(t, self, family_plan.in_failure, &rep));
    if (family_plan.bad_answers > 0) {
        family_plan.bad_answers--;
        qk_panic(t, "no answer");
    }
    return answer(t);
}

static void on_watched(qk_turn *t, void *self, const struct qk_watch_event *e)
{
    static const char *const whats[] = {"", "ended", "failed", "absent"};
    (void)self;
    tell("%s sees %s/%s %s%s%s", qk_self(t).key, e->type, e->ref.key, whats[e->what], e->text[0] != '\0' ? ": " : "",
         e->text);
}

/* ---- the other side */

static void build(void)
{
    for (int i = 0; i < N_TYPES; i++) {
        methods[i] = (struct qk_method){.id = qk_fnv32("Do"),
                                        .flags = i == OPEN || i == HASTY_OPEN ? QK_METHOD_INTERLEAVE_ALWAYS : 0,
                                        .type_id = qk_fnv64(names[i]),
                                        .name = "Do",
                                        .request = &rt__text__descriptor,
                                        .reply = &rt__text__descriptor,
                                        .handler = on_do};
        bool plain = i == PLAIN || (i >= ALL_PLAIN && i < HASTY);
        types[i] = (struct qk_type){.abi = QK_ABI_HEAD(struct qk_type),
                                    .id = methods[i].type_id,
                                    .name = names[i],
                                    .service = "rt.Family",
                                    .state = &rt__state__descriptor,
                                    .methods = &methods[i],
                                    .n_methods = 1,
                                    .limit_ms = i >= HASTY ? 100 : 0,
                                    .idle_ms = i == BRIEF ? 1000 : 3600000,
                                    .on_activate = on_activate,
                                    .on_deactivate = on_deactivate,
                                    .on_child_failure = plain ? NULL : on_child_failure,
                                    .on_watched = i == PLAIN ? NULL : on_watched,
                                    .strategy = i == ALL || i == ALL_PLAIN     ? QK_ONE_FOR_ALL
                                                : i == REST || i == REST_PLAIN ? QK_REST_FOR_ONE
                                                                               : QK_ONE_FOR_ONE,
                                    .restart_max = 3,
                                    .restart_window_ms = 10000,
                                    .backoff_ms = 100,
                                    .backoff_max_ms = 1000,
                                    .flags = i == KEPT || i == HASTY ? QK_TYPE_LAZY_STATE : 0,
                                    .store = i == KEPT || i == LOADED || i >= HASTY ? "memory" : NULL};
        type_list[i] = &types[i];
    }
}

static void on_store(struct harness *h, struct qk_port_frame *frame)
{
    (void)h;
    *stores_last = frame;
    stores_last = &frame->next;
}

int family_stores(void)
{
    int n = 0;
    for (struct qk_port_frame *f = stores; f != NULL; f = f->next)
        n++;
    return n;
}

void family_store(int status)
{
    struct qk_port_frame *f = stores;
    ck_assert_ptr_nonnull(f);
    stores = f->next;
    if (stores == NULL)
        stores_last = &stores;
    f->next = NULL;
    f->kind = QK_PORT_STORED;
    f->status = status;
    f->version = status < 0 || f->store == QK_STORE_READ ? 0 : f->version + 1;
    f->payload_len = f->text_len = 0;
    qk_runtime_submit(harness->rt, f);
    harness_run(harness);
}

void family_begin(struct harness *h)
{
    build();
    family_plan = (struct family_plan){0};
    story[0] = '\0';
    stores = NULL;
    stores_last = &stores;
    harness = h;
    harness_init(h, &family_plugin, NULL);
    h->on_store = on_store;
}

void family_end(struct harness *h)
{
    while (stores != NULL)
        family_store(0);
    harness_finish(h);
}

static const struct qk_method *method_of(const char *who, const char **ret_key)
{
    static char copy[600];
    char *rest;
    snprintf(copy, sizeof(copy), "%s", who);
    return &methods[address(copy, ret_key, &rest)];
}

void family_start(const char *who, const char *steps, uint64_t id)
{
    const char *key;
    const struct qk_method *m = method_of(who, &key);
    Rt__Text in = RT__TEXT__INIT;
    in.text = (char *)steps;
    harness_submit(harness, QK_PORT_CALL, m, key, &in.base, id, 0);
}

void family_end_request(const char *who, uint64_t id)
{
    const char *key;
    const struct qk_method *m = method_of(who, &key);
    harness_submit(harness, QK_PORT_DEACTIVATE, m, key, NULL, id, 0);
}

int family_reply(uint64_t id)
{
    struct qk_port_frame *f = harness_reply(harness);
    if (f == NULL)
        return 1;
    ck_assert_uint_eq(f->call_id, id);
    int status = f->status;
    snprintf(family_text, sizeof(family_text), "%.*s", (int)f->text_len, qk_port_frame_text(f));
    if (status >= 0) {
        ProtobufCMessage *out =
            protobuf_c_message_unpack(&rt__text__descriptor, NULL, f->payload_len, qk_port_frame_payload(f));
        snprintf(family_text, sizeof(family_text), "%s", ((Rt__Text *)out)->text);
        protobuf_c_message_free_unpacked(out, NULL);
    }
    qk_port_frame_destroy(f);
    return status;
}

int family_do(const char *who, const char *steps)
{
    family_start(who, steps, 77);
    harness_run(harness);
    return family_reply(77);
}
