/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Actors that do at random whatever a handler may do, as the seed of their message says, and check what comes back.
 * Actor i is of type i modulo 5; the types differ in the size of their mailbox, in their idle age, and in whether turns
 * interleave.
 */
#include "nodes.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <quark/actor.h>
#include "base/fnv.h"
#include "base/status.h"
#include "prop.pb-c.h"
#include "world.h"

#define PARALLEL_MAX 5
#define TEXT_MAX     1500

static struct qk_method methods[WORLD_TYPES][NODE_METHODS];
static struct qk_type types[WORLD_TYPES];

/* What one turn is about. */
struct run {
    qk_turn *turn;
    uint32_t actor;
    uint64_t random;
    uint32_t depth;
    pthread_t thread;
};

/* A call that this turn made. */
struct step {
    uint32_t call;
    uint32_t target;
    bool flat;
    int status;
    struct qk_pending *pending;
    union {
        Prop__Task task;
        Prop__Tick tick;
    } in;
    union {
        Prop__Outcome outcome;
        Prop__Tock tock;
    } out;
};

const struct qk_method *node_method(uint32_t actor, enum node_method which)
{
    struct qk_method *m = methods[actor % WORLD_TYPES];
    for (int i = 0; i < NODE_METHODS; i++) {
        if ((m[i].request == &prop__tick__descriptor) == (which == NODE_PING))
            return &m[i];
    }
    abort();
}

const struct qk_type *node_type(uint32_t actor)
{
    return &types[actor % WORLD_TYPES];
}

struct qk_ref node_ref(uint32_t actor, char *text)
{
    return qk_ref_bytes(text, (size_t)snprintf(text, 16, "n%u", actor));
}

bool node_may_have_run(int status)
{
    return status >= 0 || qk_is_app(status) || status == QK_ETIMEDOUT || status == QK_ECANCELLED ||
           status == QK_EDEADLOCK || status == QK_ECRASHED;
}

/* The thread, asked for anew each time: the compiler may not carry it across a suspension. */
static __attribute__((noinline)) pthread_t this_thread(void)
{
    __asm__ volatile("");
    return pthread_self();
}

static void check_thread(const struct run *r)
{
    world_check(pthread_equal(r->thread, this_thread()), "a turn of actor %u went on on another thread", r->actor);
}

static bool interleaves(uint32_t actor)
{
    return actor < WORLD_ACTORS && node_type(actor)->flags != 0;
}

/* Turns of a sender that interleave overtake one another; a receiver may put messages aside. */
static bool is_ordered(uint32_t from, uint32_t to)
{
    return !interleaves(from) && node_type(to)->flags != QK_TYPE_INTERLEAVE_CHAIN;
}

static uint32_t actor_of(qk_turn *t)
{
    return (uint32_t)strtoul(qk_self(t).key + 1, NULL, 10);
}

/* Mostly a later actor, so that most calls find an end; now and then any, which makes circles that only deadlines end.
 */
static uint32_t choose_target(struct run *r)
{
    if (r->actor + 1 < WORLD_ACTORS && world_below(&r->random, 12) != 0)
        return r->actor + 1 + world_below(&r->random, WORLD_ACTORS - r->actor - 1);
    return world_below(&r->random, WORLD_ACTORS);
}

/* ---- calls */

static ProtobufCMessage *fill(struct run *r, struct step *s, bool call)
{
    uint64_t sequence = ++world.actors[r->actor].sent[s->target];
    int64_t remaining = call ? qk_remaining_ms(r->turn) : INT64_MAX;
    uint64_t seed = world_random(&r->random);
    if (s->flat) {
        s->in.tick = (Prop__Tick)PROP__TICK__INIT;
        s->in.tick.seed = seed;
        s->in.tick.depth = r->depth - 1;
        s->in.tick.call = s->call;
        s->in.tick.sender = r->actor;
        s->in.tick.sequence = sequence;
        s->in.tick.remaining_ms = remaining;
        return &s->in.tick.base;
    }
    Prop__Task *task = &s->in.task;
    *task = (Prop__Task)PROP__TASK__INIT;
    task->seed = seed;
    task->depth = r->depth - 1;
    task->call = s->call;
    task->sender = r->actor;
    task->sequence = sequence;
    task->remaining_ms = remaining;
    uint32_t length = world_below(&r->random, world_below(&r->random, 8) == 0 ? TEXT_MAX : 20);
    task->text = qk_alloc(r->turn, length + 1u);
    memset(task->text, 'a' + (int)(s->call % 26), length);
    task->n_numbers = world_below(&r->random, 4);
    task->numbers = qk_alloc(r->turn, (task->n_numbers + 1) * sizeof(uint64_t));
    for (size_t i = 0; i < task->n_numbers; i++)
        task->numbers[i] = s->call + i;
    return &task->base;
}

static int64_t choose_timeout(struct run *r)
{
    uint32_t n = world_below(&r->random, 6);
    return n < 2 || world.plan.patient ? 0 : 1 + world_below(&r->random, 10 * n);
}

/* The reply, which must be the one to this call and whole. */
static void check_reply(const struct step *s)
{
    if (s->flat) {
        world_check(s->out.tock.check == world_mix(s->call, 1), "call %u got the reply of another", s->call);
        return;
    }
    const Prop__Outcome *o = &s->out.outcome;
    world_check(o->check == world_mix(s->call, 1), "call %u got the reply of another", s->call);
    world_check(strcmp(o->text, s->in.task.text) == 0, "the text of the reply to call %u is damaged", s->call);
    world_check(o->n_numbers == s->in.task.n_numbers, "the numbers of the reply to call %u are gone", s->call);
    for (size_t i = 0; i < o->n_numbers; i++)
        world_check(o->numbers[i] == s->call + i, "a number of the reply to call %u is damaged", s->call);
}

static void check_end(struct run *r, struct step *s)
{
    check_thread(r);
    char want[64];
    if (s->status >= 0) {
        check_reply(s);
        world_check(atomic_load(&world.calls[s->call].ran) == 1, "call %u ended well but never ran", s->call);
    } else if (qk_is_app(s->status)) {
        want[0] = '\0';
        if (s->status != QK_APP(4))
            snprintf(want, sizeof(want), "call %u failed", s->call);
        world_check(strcmp(qk_error(r->turn), want) == 0, "the error of call %u says \"%s\"", s->call,
                    qk_error(r->turn));
    }
    world_ended(s->call, s->status, node_may_have_run(s->status));
}

static bool new_step(struct run *r, struct step *s)
{
    memset(s, 0, sizeof(*s));
    if (r->depth == 0 || !world_new_call(false, &s->call))
        return false;
    world_opened(r->actor, s->call);
    s->target = choose_target(r);
    s->flat = world_below(&r->random, 2) == 0;
    return true;
}

static void one_call(struct run *r)
{
    struct step s;
    char key[16];
    if (!new_step(r, &s))
        return;
    const struct qk_method *m = node_method(s.target, s.flat ? NODE_PING : NODE_WORK);
    ProtobufCMessage *in = fill(r, &s, true);
    int64_t timeout_ms = choose_timeout(r);
    world_pause(r->actor);
    s.status = qk_call(r->turn, m, node_ref(s.target, key), timeout_ms, in, &s.out.tock.base);
    world_resume(r->actor);
    if (s.target == r->actor && !interleaves(r->actor))
        world_check(s.status == QK_EREENTRANT || s.status == QK_ENOMEMORY, "actor %u called itself: %s", r->actor,
                    qk_status_name(s.status));
    check_end(r, &s);
}

static void one_send(struct run *r)
{
    struct step s;
    char key[16];
    if (!new_step(r, &s))
        return;
    const struct qk_method *m = node_method(s.target, s.flat ? NODE_PING : NODE_WORK);
    ProtobufCMessage *in = fill(r, &s, false);
    world_pause(r->actor);
    int rc = qk_send(r->turn, m, node_ref(s.target, key), in);
    world_resume(r->actor);
    check_thread(r);
    world_ended(s.call, rc, rc >= 0);
}

static void yield(struct run *r)
{
    world_pause(r->actor);
    int rc = qk_yield(r->turn);
    world_resume(r->actor);
    world_check(rc == 0 || rc == QK_ECANCELLED, "yield gave %s", qk_status_name(rc));
    check_thread(r);
}

/* Begins several calls, awaits most of them in some order, and leaves the rest to the end of the turn. */
static void many_calls(struct run *r)
{
    struct step steps[PARALLEL_MAX];
    uint32_t order[PARALLEL_MAX];
    uint32_t n = 0, want = 1 + world_below(&r->random, PARALLEL_MAX);
    char key[16];
    for (; n < want && new_step(r, &steps[n]); n++) {
        struct step *s = &steps[n];
        const struct qk_method *m = node_method(s->target, s->flat ? NODE_PING : NODE_WORK);
        ProtobufCMessage *in = fill(r, s, true);
        int64_t timeout_ms = choose_timeout(r);
        world_pause(r->actor);
        s->status = qk_begin(r->turn, m, node_ref(s->target, key), timeout_ms, in, &s->pending);
        world_resume(r->actor);
        if (s->status < 0)
            world_ended(s->call, s->status, false);
        uint32_t at = world_below(&r->random, n + 1);
        order[n] = order[at];
        order[at] = n;
    }
    if (world_below(&r->random, 3) == 0)
        yield(r);
    for (uint32_t i = 0; i < n; i++) {
        struct step *s = &steps[order[i]];
        if (s->pending == NULL)
            continue;
        if (world_below(&r->random, 8) == 0) { /* left */
            world_ended(s->call, QK_ECANCELLED, true);
            s->pending = NULL;
            continue;
        }
        world_pause(r->actor);
        s->status = qk_await(r->turn, s->pending, &s->out.tock.base);
        world_resume(r->actor);
        check_end(r, s);
        world_check(qk_await(r->turn, s->pending, &s->out.tock.base) == QK_EINVALID, "call %u was awaited twice",
                    s->call);
    }
    for (uint32_t i = 0; i < n; i++) { /* the replies live as long as the turn */
        if (steps[i].pending != NULL && steps[i].status >= 0)
            check_reply(&steps[i]);
    }
}

static void misuse(struct run *r)
{
    char key[16];
    Prop__Tick in = PROP__TICK__INIT;
    Prop__Tock out;
    struct qk_method m = *node_method(0, NODE_PING);
    m.id ^= 1;
    world_check(qk_call(r->turn, &m, node_ref(0, key), 0, &in.base, &out.base) == QK_ENOTFOUND,
                "a method that is not there was called");
    world_check(qk_send(r->turn, node_method(0, NODE_PING), qk_ref(""), &in.base) == QK_EINVALID,
                "an actor without a key was sent to");
    world_check(qk_call(r->turn, node_method(0, NODE_WORK), node_ref(0, key), 0, &in.base, &out.base) == QK_EINVALID,
                "a message of another type was taken");
}

/* ---- parents, children and watchers */

static void list_children(struct run *r, uint32_t most)
{
    struct qk_child *list;
    int n = qk_children(r->turn, &list);
    world_check(n >= 0 && (uint32_t)n <= most, "actor %u has %d children", r->actor, n);
    for (int i = 0; i < n; i++)
        world_check(list[i].ref.key[0] == 'n' && list[i].state >= QK_CHILD_BEGINS && list[i].state <= QK_CHILD_ENDS,
                    "child %d of actor %u is damaged", i, r->actor);
}

static void family(struct run *r)
{
    char key[16];
    uint32_t target = world_below(&r->random, WORLD_ACTORS);
    uint64_t type = node_type(target)->id;
    int rc = 0;
    switch (world_below(&r->random, 8)) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (atomic_load(&world.budget) == 0)
            return;
        rc = qk_spawn(r->turn, type, node_ref(target, key));
        world_check(rc <= 0 && (target != r->actor || rc < 0), "actor %u spawned actor %u: %s", r->actor, target,
                    qk_status_name(rc));
        break;
    case 4:
        rc = qk_stop_child(r->turn, type, node_ref(target, key));
        break;
    case 5:
        list_children(r, WORLD_ACTORS - 1);
        break;
    case 6:
        rc = qk_watch(r->turn, type, node_ref(target, key));
        break;
    case 7:
        rc = qk_unwatch(r->turn, type, node_ref(target, key));
        break;
    }
    world_check(rc <= 0, "actor %u and actor %u: %s", r->actor, target, qk_status_name(rc));
    check_thread(r);
}

/* A hook that panics, or does not. */
static void maybe_panic(struct run *r, uint32_t odds)
{
    if (!world.plan.family || world_below(&r->random, odds) != 0)
        return;
    world_leave(r->actor);
    qk_panic(r->turn, "actor %u panics", r->actor);
}

static void act(struct run *r)
{
    if (world.plan.family && world_below(&r->random, 3) == 0)
        family(r);
    for (uint32_t n = world_below(&r->random, 4); n > 0; n--) {
        switch (world_below(&r->random, 10)) {
        case 0:
        case 1:
        case 2:
            one_call(r);
            break;
        case 3:
            many_calls(r);
            break;
        case 4:
        case 5:
        case 6:
            one_send(r);
            break;
        case 7:
            yield(r);
            break;
        case 8:
            if (world_below(&r->random, 4) == 0)
                qk_deactivate(r->turn);
            break;
        case 9:
            misuse(r);
            break;
        }
    }
}

/* ---- handlers */

static struct run begin_run(qk_turn *t, uint64_t seed, uint32_t depth, bool hook)
{
    struct run r = {.turn = t, .actor = actor_of(t), .random = seed, .depth = depth, .thread = this_thread()};
    world_enter(r.actor, hook || !interleaves(r.actor));
    return r;
}

static int end_run(struct run *r, Prop__State *state, uint32_t call)
{
    state->turns++;
    maybe_panic(r, 24);
    uint32_t how = world_below(&r->random, 16);
    world_leave(r->actor);
    if (how == 0)
        return QK_APP(4);
    return how <= 2 ? qk_fail(r->turn, QK_APP((int)how), "call %u failed", call) : (int)(how % 3);
}

static int on_work(qk_turn *t, void *self, const ProtobufCMessage *request, ProtobufCMessage *reply)
{
    const Prop__Task *in = (const Prop__Task *)request;
    Prop__Outcome *out = (Prop__Outcome *)reply;
    Prop__State *state = self;
    struct run r = begin_run(t, in->seed, in->depth, false);
    world_message(r.actor, in->sender, in->sequence, in->call, is_ordered(in->sender, r.actor));
    world_check(qk_remaining_ms(t) <= in->remaining_ms, "call %u has more time than its caller", in->call);
    act(&r);
    out->check = world_mix(in->call, 1);
    out->text = in->text;
    if (world_below(&r.random, 2) == 0) {
        world_check(qk_set_string(&state->note, in->text) == 0, "no memory");
        out->text = state->note;
    }
    out->n_numbers = in->n_numbers;
    out->numbers = in->numbers;
    return end_run(&r, state, in->call);
}

static int on_ping(qk_turn *t, void *self, const ProtobufCMessage *request, ProtobufCMessage *reply)
{
    const Prop__Tick *in = (const Prop__Tick *)request;
    struct run r = begin_run(t, in->seed, in->depth, false);
    world_message(r.actor, in->sender, in->sequence, in->call, is_ordered(in->sender, r.actor));
    world_check(qk_remaining_ms(t) <= in->remaining_ms, "call %u has more time than its caller", in->call);
    act(&r);
    ((Prop__Tock *)reply)->check = world_mix(in->call, 1);
    return end_run(&r, self, in->call);
}

static int activate(qk_turn *t, void *self)
{
    Prop__State *state = self;
    uint32_t actor = actor_of(t);
    uint64_t seed = world_mix(world.plan.seed, actor * 100000 + world.actors[actor].activations++);
    struct run r = begin_run(t, seed, 1, true);
    world_check(state->turns == 0 && state->note[0] == '\0', "actor %u began with an old state", actor);
    list_children(&r, 0);
    if (world_below(&r.random, 4) == 0)
        act(&r);
    maybe_panic(&r, 40);
    if (world_below(&r.random, 20) == 0) {
        world_leave(actor);
        return qk_fail(t, QK_APP(9), "actor %u does not want to", actor);
    }
    *qk_local(t) = malloc(32);
    world_activated(actor);
    world_leave(actor);
    return 0;
}

static void deactivate(qk_turn *t, void *self, enum qk_deactivate_reason reason)
{
    (void)self;
    uint32_t actor = actor_of(t);
    if (reason == QK_DEACTIVATE_FAILED)
        world_unwound(actor);
    struct run r = begin_run(t, world_mix(world.plan.seed, actor * 7 + (uint32_t)reason), 1, true);
    world_check(*qk_local(t) != NULL, "actor %u lost its local pointer", actor);
    if (world_below(&r.random, 4) == 0)
        act(&r);
    list_children(&r, 0);
    free(*qk_local(t));
    *qk_local(t) = NULL;
    world_deactivated(actor);
    maybe_panic(&r, 20);
    world_leave(actor);
}

static int child_failure(qk_turn *t, void *self, const struct qk_failure *failure)
{
    (void)self;
    uint32_t child = (uint32_t)strtoul(failure->ref.key + 1, NULL, 10);
    uint32_t actor = actor_of(t);
    world_check(child < WORLD_ACTORS && child != actor && failure->failures > 0 && failure->status < 0,
                "actor %u heard of a damaged failure", actor);
    world_unwound(child);
    struct run r = begin_run(t, world_mix(world.plan.seed, world.actors[actor].entered), 1, true);
    if (world_below(&r.random, 4) == 0)
        act(&r);
    maybe_panic(&r, 20);
    world_leave(actor);
    return (int)world_below(&r.random, QK_ESCALATE + 2) - 1;
}

static void watched(qk_turn *t, void *self, const struct qk_watch_event *event)
{
    (void)self;
    uint32_t actor = actor_of(t);
    world_check(event->ref.key[0] == 'n' && event->what >= QK_WATCH_ENDED && event->what <= QK_WATCH_ABSENT &&
                    (event->status < 0) == (event->what == QK_WATCH_FAILED),
                "actor %u saw something damaged", actor);
    struct run r = begin_run(t, world_mix(world.plan.seed, world.actors[actor].entered), 1, true);
    if (world_below(&r.random, 8) == 0)
        act(&r);
    maybe_panic(&r, 40);
    world_leave(actor);
}

/* ---- the plugin */

static const struct qk_type *const type_list[] = {&types[0], &types[1], &types[2], &types[3], &types[4]};

const struct qk_plugin nodes_plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin),
    .name = "nodes",
    .version = "1",
    .types = type_list,
    .n_types = WORLD_TYPES,
};

__attribute__((constructor)) static void build(void)
{
    static const char *const names[WORLD_TYPES] = {"narrow", "middle", "wide", "open", "circle"};
    static const uint32_t mailboxes[WORLD_TYPES] = {2, 8, 64, 8, 4}, ages[WORLD_TYPES] = {5, 30, 2000, 20, 5};
    static const uint32_t flags[WORLD_TYPES] = {0, 0, 0, QK_TYPE_INTERLEAVE_ALWAYS, QK_TYPE_INTERLEAVE_CHAIN};
    static const uint32_t directives[WORLD_TYPES] = {QK_DIRECTIVE_DEFAULT, QK_RESTART, QK_RESUME, QK_STOP, QK_ESCALATE};
    for (int i = 0; i < WORLD_TYPES; i++) {
        types[i] = (struct qk_type){.abi = QK_ABI_HEAD(struct qk_type),
                                    .id = qk_fnv64(names[i]),
                                    .name = names[i],
                                    .service = "prop.Node",
                                    .state = &prop__state__descriptor,
                                    .methods = methods[i],
                                    .n_methods = NODE_METHODS,
                                    .mailbox_max = mailboxes[i],
                                    .idle_ms = ages[i],
                                    .flags = flags[i],
                                    .on_activate = activate,
                                    .on_deactivate = deactivate,
                                    .on_child_failure = i % 2 == 0 ? child_failure : NULL,
                                    .on_watched = i == 2 ? NULL : watched,
                                    .directive = directives[i],
                                    .strategy = (uint32_t)i % 3,
                                    .restart_max = 3,
                                    .restart_window_ms = 100,
                                    .backoff_ms = 2,
                                    .backoff_max_ms = 20};
        struct qk_method work = {.id = qk_fnv32("Work"),
                                 .type_id = types[i].id,
                                 .name = "Work",
                                 .request = &prop__task__descriptor,
                                 .reply = &prop__outcome__descriptor,
                                 .handler = on_work};
        struct qk_method ping = {.id = qk_fnv32("Ping"),
                                 .type_id = types[i].id,
                                 .name = "Ping",
                                 .request = &prop__tick__descriptor,
                                 .reply = &prop__tock__descriptor,
                                 .handler = on_ping};
        methods[i][work.id > ping.id] = work;
        methods[i][ping.id > work.id] = ping;
    }
}
