/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What actors of the property test do to one another: calls, sends, yields, and checks on what comes back. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/status.h"
#include "nodes.h"
#include "run.h"

#define PARALLEL_MAX 5
#define TEXT_MAX     1500

/* A call that a turn made. */
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

static const struct qk_method *method_of(const struct step *s)
{
    return node_method(s->target, s->flat ? NODE_PING : NODE_WORK);
}

/* Mostly a later actor, so that most calls find an end; now and then any, which makes circles that only deadlines end.
 */
static uint32_t choose_target(struct run *r)
{
    if (r->actor + 1 < WORLD_ACTORS && run_below(r, 12) != 0)
        return r->actor + 1 + run_below(r, WORLD_ACTORS - r->actor - 1);
    return run_below(r, WORLD_ACTORS);
}

static ProtobufCMessage *fill(struct run *r, struct step *s, bool call)
{
    uint64_t sequence = ++world.actors[r->actor].sent[s->target];
    int64_t remaining = call ? qk_remaining_ms(r->turn) : INT64_MAX;
    uint64_t seed = world_random(&r->random);
    uint64_t chain = call ? r->chain | WORLD_BIT(r->actor) : 0;
    if (s->flat) {
        s->in.tick = (Prop__Tick)PROP__TICK__INIT;
        s->in.tick.seed = seed;
        s->in.tick.depth = r->depth - 1;
        s->in.tick.call = s->call;
        s->in.tick.sender = r->actor;
        s->in.tick.sequence = sequence;
        s->in.tick.remaining_ms = remaining;
        s->in.tick.chain = chain;
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
    task->chain = chain;
    uint32_t length = run_below(r, run_below(r, 8) == 0 ? TEXT_MAX : 20);
    task->text = qk_alloc(r->turn, length + 1u);
    memset(task->text, 'a' + (int)(s->call % 26), length);
    task->n_numbers = run_below(r, 4);
    task->numbers = qk_alloc(r->turn, (task->n_numbers + 1) * sizeof(uint64_t));
    for (size_t i = 0; i < task->n_numbers; i++)
        task->numbers[i] = s->call + i;
    return &task->base;
}

static int64_t choose_timeout(struct run *r)
{
    uint32_t n = run_below(r, 6);
    return n < 2 || world.plan.patient ? 0 : 1 + run_below(r, 10 * n);
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

/* A call comes back to an actor that waits for it only where its type lets it, and is refused at once where not. */
static void check_return(const struct run *r, const struct step *s)
{
    uint64_t chain = r->chain | WORLD_BIT(r->actor);
    uint32_t flags = node_type(s->target)->flags;
    bool returns = (chain & WORLD_BIT(s->target)) != 0;
    bool always = (flags & (QK_TYPE_INTERLEAVE_CHAIN | QK_TYPE_INTERLEAVE_ALWAYS)) != 0;
    bool reads = (flags & QK_TYPE_INTERLEAVE_READS) != 0 && (method_of(s)->flags & QK_METHOD_READ_ONLY) != 0;
    if (s->status == QK_EREENTRANT)
        world_check(!always && (returns || (chain & WORLD_INEXACT) != 0),
                    "actor %u may not call actor %u, which does not wait for it: %s", r->actor, s->target,
                    qk_error(r->turn));
    else if (returns && !always && !reads)
        world_check(s->status == QK_ENOMEMORY, "actor %u called actor %u, which waits for it: %s", r->actor, s->target,
                    qk_status_name(s->status));
}

/* A wait is cut short only for a turn that nobody waits for, or when the silo stops. */
static void check_cut(const struct run *r, int status)
{
    if (status == QK_ECANCELLED)
        world_check(qk_cancelled(r->turn) || atomic_load(&world.stopping), "a wait of actor %u was cut short",
                    r->actor);
}

static void check_end(struct run *r, struct step *s)
{
    run_check_thread(r);
    check_return(r, s);
    check_cut(r, s->status);
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
    s->flat = run_below(r, 2) == 0;
    return true;
}

/* Around what ends at once when nobody waits for this turn any more; those one way nobody waits for anyhow. */
static void pause_waiting(struct run *r)
{
    const struct world_call *c = &world.calls[r->call];
    bool waited_for = r->call != 0 && (c->is_frame ? c->kind == QK_PORT_CALL : r->chain != 0);
    /* What it begins once it has been given up, to put right what it has begun before, may wait. */
    world_wait(r->actor, waited_for && !qk_cancelled(r->turn) ? r->call : 0);
    world_pause(r->actor);
}

static void resume_waiting(struct run *r)
{
    world_resume(r->actor);
    world_go_on(r->actor, r->call);
}

void calls_one(struct run *r)
{
    struct step s;
    char key[16];
    if (!new_step(r, &s))
        return;
    ProtobufCMessage *in = fill(r, &s, true);
    int64_t timeout_ms = choose_timeout(r);
    pause_waiting(r);
    s.status = qk_call(r->turn, method_of(&s), node_ref(s.target, key), timeout_ms, in, &s.out.tock.base);
    resume_waiting(r);
    check_end(r, &s);
}

void calls_send(struct run *r)
{
    struct step s;
    char key[16];
    if (!new_step(r, &s))
        return;
    ProtobufCMessage *in = fill(r, &s, false);
    world_pause(r->actor);
    int rc = qk_send(r->turn, method_of(&s), node_ref(s.target, key), in);
    world_resume(r->actor);
    run_check_thread(r);
    world_check(rc != QK_EREENTRANT, "actor %u may not send to actor %u", r->actor, s.target);
    check_cut(r, rc);
    world_ended(s.call, rc, rc >= 0);
}

void calls_yield(struct run *r)
{
    world_pause(r->actor);
    int rc = qk_yield(r->turn);
    world_resume(r->actor);
    world_check(rc == 0 || (rc == QK_ECANCELLED && atomic_load(&world.stopping)), "yield gave %s", qk_status_name(rc));
    run_check_thread(r);
}

static uint32_t begin_all(struct run *r, struct step steps[PARALLEL_MAX], uint32_t order[PARALLEL_MAX])
{
    uint32_t n = 0, want = 1 + run_below(r, PARALLEL_MAX);
    char key[16];
    for (; n < want && new_step(r, &steps[n]); n++) {
        struct step *s = &steps[n];
        ProtobufCMessage *in = fill(r, s, true);
        int64_t timeout_ms = choose_timeout(r);
        world_pause(r->actor);
        s->status = qk_begin(r->turn, method_of(s), node_ref(s->target, key), timeout_ms, in, &s->pending);
        world_resume(r->actor);
        check_return(r, s);
        check_cut(r, s->status);
        if (s->status < 0)
            world_ended(s->call, s->status, false);
        uint32_t at = run_below(r, n + 1);
        order[n] = order[at];
        order[at] = n;
    }
    return n;
}

/* Begins several calls, awaits most of them in some order, and leaves the rest to the end of the turn. */
void calls_many(struct run *r)
{
    struct step steps[PARALLEL_MAX];
    uint32_t order[PARALLEL_MAX];
    uint32_t n = begin_all(r, steps, order);
    if (run_below(r, 3) == 0)
        calls_yield(r);
    for (uint32_t i = 0; i < n; i++) {
        struct step *s = &steps[order[i]];
        if (s->pending == NULL)
            continue;
        if (run_below(r, 8) == 0) {
            atomic_store(&world.calls[s->call].left, true);
            world_ended(s->call, QK_ECANCELLED, true);
            s->pending = NULL;
            continue;
        }
        pause_waiting(r);
        s->status = qk_await(r->turn, s->pending, &s->out.tock.base);
        resume_waiting(r);
        check_end(r, s);
        world_check(qk_await(r->turn, s->pending, &s->out.tock.base) == QK_EINVALID, "call %u was awaited twice",
                    s->call);
    }
    for (uint32_t i = 0; i < n; i++) { /* the replies live as long as the turn */
        if (steps[i].pending != NULL && steps[i].status >= 0)
            check_reply(&steps[i]);
    }
}

void calls_misuse(struct run *r)
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

void calls_check_cancelled(struct run *r)
{
    const struct world_call *c = r->call != 0 ? &world.calls[r->call] : NULL;
    bool waited_for = c != NULL && (c->is_frame ? c->kind == QK_PORT_CALL : r->chain != 0);
    bool over = waited_for && !c->is_frame && atomic_load(&c->ended) != 0 && !atomic_load(&c->left);
    bool cancelled = qk_cancelled(r->turn);
    world_check(cancelled || !over, "actor %u was not told that nobody waits for call %u any more", r->actor, r->call);
    /* Past its limit a turn is told so too; the least that any method of the type has. */
    int64_t limit_ms = node_type(r->actor)->limit_ms;
    bool limited = limit_ms != 0 && world.now_ns(NULL) >= r->began_ns + (limit_ms - 1) * 1000000;
    if (!cancelled || limited || qk_remaining_ms(r->turn) == 0)
        return;
    world_check(waited_for, "actor %u was told that nobody waits for what nobody waits for", r->actor);
    if (c->is_frame)
        world_check(world_is_gone(r->call), "frame %u was cancelled by nobody", r->call);
    else
        world_felt(r->call);
}
