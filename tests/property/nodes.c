/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Actors that do at random whatever a handler may do, as the seed of their message says, and check what comes back.
 * Actor i is of type i modulo 9; the types differ in the size of their mailbox, in their idle age, in whether turns
 * interleave, in whether their state is stored, and in what they make of failures.
 */
#include "nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/fnv.h"
#include "base/status.h"
#include "run.h"

#define INTERLEAVES (QK_TYPE_INTERLEAVE_ALWAYS | QK_TYPE_INTERLEAVE_CHAIN | QK_TYPE_INTERLEAVE_READS)

static struct qk_method methods[WORLD_TYPES][NODE_METHODS];
static struct qk_type types[WORLD_TYPES];

const struct qk_method *node_method(uint32_t actor, enum node_method which)
{
    static const ProtobufCMessageDescriptor *const requests[] = {
        [NODE_WORK] = &prop__task__descriptor, [NODE_PING] = &prop__tick__descriptor, &prop__beat__descriptor};
    struct qk_method *m = methods[actor % WORLD_TYPES];
    for (int i = 0; i < NODE_METHODS; i++) {
        if (m[i].request == requests[which])
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

uint32_t node_of(const char *key, uint32_t key_len)
{
    uint32_t actor = 0;
    bool good = key_len > 1 && key_len < 4 && key[0] == 'n';
    for (uint32_t i = 1; good && i < key_len; i++) {
        good = key[i] >= '0' && key[i] <= '9';
        actor = actor * 10 + (uint32_t)(key[i] - '0');
    }
    return good && actor < WORLD_ACTORS ? actor : WORLD_ACTORS;
}

static uint32_t actor_of(qk_turn *t)
{
    struct qk_ref self = qk_self(t);
    uint32_t actor = node_of(self.key, self.key_len);
    world_check(actor < WORLD_ACTORS, "an actor lost its key");
    return actor;
}

bool node_may_have_run(int status)
{
    return status >= 0 || qk_is_app(status) || status == QK_ETIMEDOUT || status == QK_ECANCELLED ||
           status == QK_EDEADLOCK || status == QK_ECRASHED;
}

bool node_interleaves(uint32_t actor)
{
    return actor < WORLD_ACTORS && (node_type(actor)->flags & INTERLEAVES) != 0;
}

/* Turns of a sender that interleave overtake one another; a receiver may put messages aside. */
static bool is_ordered(uint32_t from, uint32_t to)
{
    return !node_interleaves(from) &&
           (node_type(to)->flags & (QK_TYPE_INTERLEAVE_CHAIN | QK_TYPE_INTERLEAVE_READS)) == 0;
}

/* How a message's turn may overlap others. */
static enum world_how how_of(qk_turn *t, bool ping)
{
    uint32_t flags = node_type(actor_of(t))->flags;
    if ((flags & QK_TYPE_INTERLEAVE_ALWAYS) != 0)
        return WORLD_ALWAYS;
    if ((flags & QK_TYPE_INTERLEAVE_CHAIN) != 0)
        return WORLD_CHAIN;
    return (flags & QK_TYPE_INTERLEAVE_READS) != 0 && ping ? WORLD_READS : WORLD_ALONE;
}

/* ---- what the files of the actors share */

/* The thread, asked for anew each time: the compiler may not carry it across a suspension. */
static __attribute__((noinline)) pthread_t this_thread(void)
{
    __asm__ volatile("");
    return pthread_self();
}

void run_check_thread(const struct run *r)
{
    world_check(pthread_equal(r->thread, this_thread()), "a turn of actor %u went on on another thread", r->actor);
}

uint32_t run_below(struct run *r, uint32_t bound)
{
    return world_below(&r->random, bound);
}

static struct run begin(qk_turn *t, void *state, uint64_t seed, enum world_how how, uint64_t chain)
{
    uint32_t actor = actor_of(t);
    struct run r = {
        .turn = t, .state = state, .actor = actor, .random = seed, .chain = chain, .how = how, .thread = this_thread()};
    r.began_ns = world.now_ns(NULL);
    world_enter(actor, how, chain);
    world.actors[actor].late = false;
    if (how == WORLD_ALONE)
        scopes_check_turn(actor);
    return r;
}

struct run run_begin(qk_turn *t, void *state, uint64_t seed, enum world_how how)
{
    return begin(t, state, seed, how, 0);
}

struct run run_hook(qk_turn *t, void *state, uint64_t seed)
{
    struct run r = begin(t, state, 0, WORLD_ALONE, WORLD_INEXACT);
    r.depth = 1;
    world.actors[r.actor].used_ns = world.now_ns(NULL);
    r.random = world_mix(world.plan.seed + seed, world.actors[r.actor].entered * 100 + r.actor);
    return r;
}

void run_leave(struct run *r)
{
    if (r->call != 0)
        world.actors[r->actor].used_ns = world.now_ns(NULL);
    world_leave(r->actor, r->how);
}

void run_maybe_panic(struct run *r, uint32_t odds)
{
    if (!world.plan.family || run_below(r, odds) != 0)
        return;
    run_leave(r);
    qk_panic(r->turn, "actor %u panics", r->actor);
}

/* ---- offloaded work */

struct work {
    uint32_t actor;
    uint32_t times;
    uint64_t in;
    uint64_t out;
};

static void do_work(void *arg)
{
    struct work *w = arg;
    world_check(node_interleaves(w->actor) || atomic_load(&world.actors[w->actor].running) == 0,
                "actor %u runs while its work is done elsewhere", w->actor);
    w->times++;
    w->out = world_mix(w->in, 5);
}

static void offload(struct run *r)
{
    struct work w = {.actor = r->actor, .in = world_random(&r->random)};
    world_pause(r->actor);
    int rc = qk_offload(r->turn, do_work, &w);
    world_resume(r->actor);
    run_check_thread(r);
    if (rc == 0)
        world_check(w.times == 1 && w.out == world_mix(w.in, 5), "the work of actor %u was not done", r->actor);
    else
        world_check(w.times == 0 && world.plan.offload && qk_error(r->turn)[0] != '\0',
                    "the work of actor %u was refused and done: %s", r->actor, qk_status_name(rc));
    world_trace(r->actor, (uint64_t)(int64_t)rc);
}

/* ---- handlers */

void run_act(struct run *r)
{
    if (world.plan.family && run_below(r, 3) == 0)
        families_act(r);
    for (uint32_t n = run_below(r, 4); n > 0; n--) {
        uint32_t what = run_below(r, 16);
        if (what < 3)
            calls_one(r);
        else if (what < 4)
            calls_many(r);
        else if (what < 7)
            calls_send(r);
        else if (what == 7)
            calls_yield(r);
        else if (what == 8 && run_below(r, 4) == 0)
            qk_deactivate(r->turn);
        else if (what == 9 && run_below(r, 2) == 0)
            calls_misuse(r);
        else if (what == 10)
            beats_start(r);
        else if (what == 11)
            beats_cancel(r);
        else if (what == 12)
            scopes_act(r);
        else if (what == 13)
            offload(r);
        else if (what == 14)
            states_act(r);
        else if (what == 15)
            calls_check_cancelled(r);
    }
}

/* Writes into the state, where the method may. */
static void change(struct run *r, const char *text)
{
    if (r->how == WORLD_READS)
        return;
    r->state->turns++;
    if (text != NULL)
        world_check(qk_set_string(&r->state->note, text) == 0, "no memory");
    states_touch(r->state);
}

static int end(struct run *r)
{
    run_maybe_panic(r, 24);
    uint32_t how = run_below(r, 16);
    run_leave(r);
    if (how == 0)
        return QK_APP(4);
    return how <= 2 ? qk_fail(r->turn, QK_APP((int)how), "call %u failed", r->call) : (int)(how % 3);
}

static void check_message(struct run *r, uint32_t call, uint32_t sender, uint64_t sequence, int64_t remaining_ms)
{
    r->call = call;
    world.actors[r->actor].used_ns = world.now_ns(NULL);
    world_message(r->actor, sender, sequence, call, is_ordered(sender, r->actor));
    world_check(qk_remaining_ms(r->turn) <= remaining_ms, "call %u has more time than its caller", call);
    world_check((r->chain & WORLD_BIT(r->actor)) == 0 || node_interleaves(r->actor),
                "actor %u runs call %u although it waits for it", r->actor, call);
}

static int on_work(qk_turn *t, void *self, const ProtobufCMessage *request, ProtobufCMessage *reply)
{
    const Prop__Task *in = (const Prop__Task *)request;
    Prop__Outcome *out = (Prop__Outcome *)reply;
    struct run r = begin(t, self, in->seed, how_of(t, false), in->chain);
    r.depth = in->depth;
    check_message(&r, in->call, in->sender, in->sequence, in->remaining_ms);
    run_act(&r);
    out->check = world_mix(in->call, 1);
    out->text = in->text;
    bool keeps = run_below(&r, 2) == 0;
    change(&r, keeps ? in->text : NULL);
    if (keeps)
        out->text = r.state->note;
    out->n_numbers = in->n_numbers;
    out->numbers = in->numbers;
    return end(&r);
}

static int on_ping(qk_turn *t, void *self, const ProtobufCMessage *request, ProtobufCMessage *reply)
{
    const Prop__Tick *in = (const Prop__Tick *)request;
    struct run r = begin(t, self, in->seed, how_of(t, true), in->chain);
    r.depth = in->depth;
    check_message(&r, in->call, in->sender, in->sequence, in->remaining_ms);
    run_act(&r);
    ((Prop__Tock *)reply)->check = world_mix(in->call, 1);
    change(&r, NULL);
    return end(&r);
}

static int activate(qk_turn *t, void *self)
{
    uint32_t actor = actor_of(t);
    bool late = world.actors[actor].late;
    struct run r = run_hook(t, self, 0);
    if (late)
        world_too_late(actor);
    world.actors[actor].activations++;
    states_check_new(&r);
    scopes_check_new(r.actor);
    beats_clear(r.actor);
    families_list(&r, 0);
    if (run_below(&r, 4) == 0)
        run_act(&r);
    run_maybe_panic(&r, 40);
    if (run_below(&r, 20) == 0) {
        run_leave(&r);
        return qk_fail(t, QK_APP(9), "actor %u does not want to", r.actor);
    }
    *qk_local(t) = world.actors[actor].local = malloc(32);
    world.actors[actor].late = node_type(actor)->limit_ms != 0;
    world_activated(actor);
    run_leave(&r);
    return 0;
}

/* The clock that the runtime goes by is behind by a step where there are threads. */
static void check_age(uint32_t actor, int64_t used_ns)
{
    int64_t idle_ns = world.now_ns(NULL) - used_ns;
    world_check(world.plan.workers > 0 || atomic_load(&world.squeezed) ||
                    idle_ns > (node_type(actor)->idle_ms - 2) * INT64_C(1000000),
                "actor %u was collected %lld us after it was used", actor, (long long)idle_ns / 1000);
}

static void deactivate(qk_turn *t, void *self, enum qk_deactivate_reason reason)
{
    uint32_t actor = actor_of(t);
    int64_t used_ns = world.actors[actor].used_ns;
    struct run r = run_hook(t, self, (uint64_t)reason);
    r.ends = true;
    if (reason == QK_DEACTIVATE_IDLE)
        check_age(actor, used_ns);
    beats_clear(actor);
    world_check(*qk_local(t) != NULL, "actor %u lost its local pointer", actor);
    families_list(&r, 0);
    free(*qk_local(t));
    *qk_local(t) = NULL;
    world_deactivated(actor);
    if (run_below(&r, 4) == 0) /* may panic */
        run_act(&r);
    run_maybe_panic(&r, 20);
    run_leave(&r);
}

/* ---- the plugin */

static const struct qk_type *const type_list[] = {&types[0], &types[1], &types[2], &types[3], &types[4],
                                                  &types[5], &types[6], &types[7], &types[8]};

const struct qk_plugin nodes_plugin = {
    .abi = QK_ABI_HEAD(struct qk_plugin),
    .name = "nodes",
    .version = "1",
    .types = type_list,
    .n_types = WORLD_TYPES,
    .services = scopes_services,
};

static void add_method(int type, const char *name, const ProtobufCMessageDescriptor *request, qk_handler_fn handler)
{
    bool work = request == &prop__task__descriptor, ping = request == &prop__tick__descriptor;
    struct qk_method m = {.id = qk_fnv32(name),
                          .type_id = types[type].id,
                          .name = name,
                          .flags =
                              ping && (types[type].flags & QK_TYPE_INTERLEAVE_READS) != 0 ? QK_METHOD_READ_ONLY : 0,
                          .request = request,
                          .reply = work ? &prop__outcome__descriptor : &prop__tock__descriptor,
                          .handler = handler};
    struct qk_method *list = methods[type];
    uint32_t at = types[type].n_methods++;
    for (; at > 0 && list[at - 1].id > m.id; at--)
        list[at] = list[at - 1];
    list[at] = m;
}

void nodes_plan(void)
{
    static const uint32_t limits[WORLD_TYPES] = {0, 15, 0, 0, 30, 0, 0, 0, 25};
    for (int i = 0; i < WORLD_TYPES; i++) {
        types[i].limit_ms = world.plan.family ? limits[i] : 0;
        for (int k = 0; k < NODE_METHODS; k++) /* one of them may take longer */
            methods[i][k].limit_ms = world.plan.family && k == 0 ? limits[i] * 2 : 0;
    }
}

__attribute__((constructor)) static void build(void)
{
    static const char *const names[] = {"narrow", "middle", "wide", "open", "circle", "kept", "lazy", "reads", "mixed"};
    static const uint32_t mailboxes[] = {2, 8, 64, 8, 4, 4, 2, 8, 8}, ages[] = {5, 30, 2000, 20, 5, 20, 5, 20, 30};
    static const uint32_t flags[] = {0,
                                     0,
                                     0,
                                     QK_TYPE_INTERLEAVE_ALWAYS,
                                     QK_TYPE_INTERLEAVE_CHAIN,
                                     0,
                                     QK_TYPE_LAZY_STATE | QK_TYPE_REFUSE_WHEN_FULL,
                                     QK_TYPE_INTERLEAVE_READS,
                                     QK_TYPE_INTERLEAVE_ALWAYS | QK_TYPE_LAZY_STATE};
    static const uint32_t directives[] = {QK_DIRECTIVE_DEFAULT, QK_RESTART, QK_RESUME,  QK_RESUME, QK_ESCALATE,
                                          QK_ESCALATE,          QK_RESUME,  QK_RESTART, QK_RESTART};
    for (int i = 0; i < WORLD_TYPES; i++) {
        types[i] = (struct qk_type){.abi = QK_ABI_HEAD(struct qk_type),
                                    .id = qk_fnv64(names[i]),
                                    .name = names[i],
                                    .service = "prop.Node",
                                    .state = &prop__state__descriptor,
                                    .methods = methods[i],
                                    .mailbox_max = mailboxes[i],
                                    .idle_ms = ages[i],
                                    .flags = flags[i],
                                    .store = i == 5 || i == 6 || i == 8 ? "memory" : NULL,
                                    .on_activate = activate,
                                    .on_deactivate = deactivate,
                                    .on_child_failure = i % 2 == 0 ? families_failure : NULL,
                                    .on_watched = i == 2 ? NULL : families_watched,
                                    .directive = directives[i],
                                    .strategy = (uint32_t)i % 3,
                                    .restart_max = 3,
                                    .restart_window_ms = 100,
                                    .backoff_ms = 2,
                                    .backoff_max_ms = 20};
        add_method(i, "Work", &prop__task__descriptor, on_work);
        add_method(i, "Ping", &prop__tick__descriptor, on_ping);
        add_method(i, "Beat", &prop__beat__descriptor, beats_on_beat);
    }
}
