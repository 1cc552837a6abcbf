/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The outside of the property test's silo: frames that go in, replies that come out, what the tools see. */
#include "drive.h"

#include <stdio.h>
#include <string.h>
#include "base/status.h"
#include "nodes.h"
#include "outside.h"
#include "prop.pb-c.h"

void submitter_init(struct submitter *s, uint32_t index)
{
    *s = (struct submitter){.index = index,
                            .clients = {0, 1},
                            .n_clients = 2,
                            .left = world.plan.frames,
                            .random = world_mix(world.plan.seed, 1000 + index)};
}

static size_t pack_request(struct submitter *s, uint32_t call, uint32_t target, bool flat, uint8_t *to, size_t room)
{
    uint32_t depth = world_below(&s->random, 5);
    uint64_t seed = world_random(&s->random);
    uint64_t sequence = ++s->sent[target];
    size_t size;
    if (flat) {
        Prop__Tick in = PROP__TICK__INIT;
        in.seed = seed;
        in.depth = depth;
        in.call = call;
        in.sender = WORLD_ACTORS + s->index;
        in.sequence = sequence;
        in.remaining_ms = INT64_MAX;
        size = prop__tick__get_packed_size(&in);
        if (to != NULL && size <= room)
            prop__tick__pack(&in, to);
        return size;
    }
    Prop__Task in = PROP__TASK__INIT;
    in.seed = seed;
    in.depth = depth;
    in.call = call;
    in.sender = WORLD_ACTORS + s->index;
    in.sequence = sequence;
    in.remaining_ms = INT64_MAX;
    in.text = (char *)"from outside";
    size = prop__task__get_packed_size(&in);
    if (to != NULL && size <= room)
        prop__task__pack(&in, to);
    return size;
}

static struct qk_port_frame *make_frame(struct submitter *s, int64_t now_ns)
{
    uint32_t call;
    if (!world_new_call(true, &call))
        return NULL;
    uint32_t target = world_below(&s->random, WORLD_ACTORS);
    uint32_t kind = world_below(&s->random, 20);
    struct world_call *c = &world.calls[call];
    c->submitter = (uint8_t)s->index;
    c->client = (uint8_t)(s->index * WORLD_CLIENTS + s->clients[world_below(&s->random, 2)]);
    c->flat = world_below(&s->random, 2) == 0;
    c->kind = kind < 14 ? QK_PORT_CALL : kind < 18 ? QK_PORT_SEND : QK_PORT_DEACTIVATE;
    char key[16];
    struct qk_ref ref = node_ref(target, key);
    const struct qk_method *m = node_method(target, c->flat ? NODE_PING : NODE_WORK);
    uint8_t bytes[256];
    size_t size = c->kind == QK_PORT_DEACTIVATE ? 0 : pack_request(s, call, target, c->flat, bytes, sizeof(bytes));
    world_check(size <= sizeof(bytes), "a request of %zu bytes", size);
    struct qk_port_frame *f = qk_port_frame_create(ref.key_len + size);
    world_check(f != NULL, "no memory");
    f->kind = (enum qk_port_kind)c->kind;
    f->origin = &world.clients[c->client];
    f->call_id = call;
    f->type_id = m->type_id;
    f->method_id = m->id;
    f->deadline_ns = world_below(&s->random, 2) == 0 || world.plan.patient
                         ? 0
                         : now_ns + 1000000 * (int64_t)world_below(&s->random, 40);
    f->key_len = ref.key_len;
    f->payload_len = (uint32_t)size;
    memcpy(f->bytes, key, ref.key_len);
    memcpy(f->bytes + ref.key_len, bytes, size);
    if (c->kind == QK_PORT_CALL && world_below(&s->random, 30) == 0) {
        c->damaged = true;
        if (world_below(&s->random, 2) == 0)
            f->payload_len--; /* cut in the middle of a field */
        else
            f->method_id ^= 1;
    }
    return f;
}

/* Says that nobody waits for an earlier frame any more, or for any of its client's. */
static struct qk_port_frame *make_cancel(struct submitter *s)
{
    uint32_t call = s->recent[world_below(&s->random, SUBMITTER_RECENT)];
    if (call == 0)
        return NULL;
    struct qk_port_frame *f = qk_port_frame_create(0);
    world_check(f != NULL, "no memory");
    struct world_client *client = &world.clients[world.calls[call].client];
    f->kind = QK_PORT_CANCEL;
    f->origin = client;
    uint32_t which = world_below(&s->random, 8);
    if (which < 2 && s->n_clients < WORLD_CLIENTS &&
        client == &world.clients[s->index * WORLD_CLIENTS + s->clients[which]]) {
        s->clients[which] = s->n_clients++;
        atomic_store(&client->gone, true);
        return f;
    }
    f->call_id = call;
    atomic_store(&world.calls[call].gone, true);
    return f;
}

struct qk_port_frame *submitter_chain(struct submitter *s, uint32_t max, int64_t now_ns)
{
    struct qk_port_frame *first = NULL;
    struct qk_port_frame **last = &first;
    for (uint32_t n = 1 + world_below(&s->random, max); n > 0 && s->left > 0; n--) {
        s->left--;
        *last = make_frame(s, now_ns);
        if (*last == NULL) {
            s->left = 0;
            break;
        }
        atomic_fetch_add(&world.in_flight, 1);
        s->recent[s->left % SUBMITTER_RECENT] = (uint32_t)(*last)->call_id;
        last = &(*last)->next;
        bool late =
            world.plan.hard && world.plan.workers > 0; /* those that nobody takes any more have to be answered for */
        if (!late && world_below(&s->random, 12) == 0)
            *last = make_cancel(s);
        last = *last != NULL ? &(*last)->next : last;
    }
    return first;
}

static void check_payload(const struct world_call *c, uint32_t call, const struct qk_port_frame *f)
{
    uint64_t check = 0;
    if (c->flat) {
        Prop__Tock *out = prop__tock__unpack(NULL, f->payload_len, qk_port_frame_payload(f));
        check = out != NULL ? out->check : 0;
        if (out != NULL)
            prop__tock__free_unpacked(out, NULL);
    } else {
        Prop__Outcome *out = prop__outcome__unpack(NULL, f->payload_len, qk_port_frame_payload(f));
        world_check(out != NULL && strcmp(out->text, "from outside") == 0, "the reply to frame %u is damaged", call);
        check = out->check;
        prop__outcome__free_unpacked(out, NULL);
    }
    world_check(check == world_mix(call, 1), "frame %u got the reply of another", call);
}

static void check_answer(const struct qk_port_frame *f)
{
    uint32_t call = (uint32_t)f->call_id;
    world_check(f->kind == QK_PORT_REPLY && call > 0 && call < WORLD_CALLS_MAX, "a damaged frame came out");
    struct world_call *c = &world.calls[call];
    world_check(f->origin == &world.clients[c->client], "the reply to frame %u has the origin of another", call);
    world_check(!c->damaged || f->status < 0, "the damaged frame %u ended with %s", call, qk_status_name(f->status));
    if (c->kind == QK_PORT_CALL && f->status >= 0)
        check_payload(c, call, f);
    if (c->kind == QK_PORT_CALL && (f->status >= 0 || qk_is_app(f->status)))
        world_check(f->may_have_run && atomic_load(&c->ran) == 1, "frame %u ended with %s but never ran", call,
                    qk_status_name(f->status));
    if (c->kind == QK_PORT_CALL && qk_is_app(f->status) && f->status != QK_APP(4)) {
        char want[64];
        int n = snprintf(want, sizeof(want), "call %u failed", call);
        world_check(f->text_len == (uint32_t)n && memcmp(qk_port_frame_text(f), want, (size_t)n) == 0,
                    "the error of frame %u says \"%.*s\"", call, (int)f->text_len, qk_port_frame_text(f));
    }
    if (f->status < 0 && !node_may_have_run(f->status))
        world_check(!f->may_have_run, "frame %u may have run although it ended with %s", call,
                    qk_status_name(f->status));
    world_ended(call, f->status, f->may_have_run || (c->kind == QK_PORT_SEND && f->status >= 0));
}

void drive_deliver(struct qk_port_frame *chain, void (*answered)(void *arg, uint32_t submitter), void *arg)
{
    while (chain != NULL) {
        struct qk_port_frame *f = chain;
        chain = f->next;
        if (f->kind == QK_PORT_STORE) {
            outside_store(f);
            continue;
        }
        check_answer(f);
        atomic_fetch_sub(&world.in_flight, 1);
        if (answered != NULL)
            answered(arg, world.calls[f->call_id].submitter);
        qk_port_frame_destroy(f);
    }
}

/* The only way to learn of every failure, also of those that nobody is asked about. */
static void on_log(void *arg, enum qk_log_level level, const char *type, const char *key, uint64_t request_id,
                   const char *text)
{
    (void)arg, (void)level, (void)request_id;
    static const char *const failures[] = {"the actor has failed", "on_deactivate has failed"};
    for (int i = 0; i < 2; i++) {
        if (type != NULL && strncmp(text, failures[i], strlen(failures[i])) == 0)
            world_failed(node_of(key, (uint32_t)strlen(key)));
    }
}

void drive_configure(struct qk_runtime_config *config)
{
    uint64_t random = world_mix(world.plan.seed, 17);
    qk_runtime_config_init(config);
    config->workers = world.plan.workers;
    config->default_timeout_ms = world.plan.patient ? 5000 : 60;
    config->budget = 1 + world_below(&random, 8);
    config->seed = random;
    config->activations_max = world.plan.activations_max;
    config->offload = world.plan.offload ? outside_offload : NULL;
    config->log = on_log;
    config->spin_ns = world_below(&random, 2) == 0 ? 0 : 20000;
}

void drive_register(struct qk_runtime *rt)
{
    char text[256] = "";
    nodes_plan();
    world_check(qk_runtime_add_plugin(rt, &nodes_plugin, text, sizeof(text)) == 0, "%s", text);
}

static bool visit_activation(void *arg, const struct qk_activation_info *info)
{
    (void)arg;
    /* What parents and watchers are told comes on top, and so do ticks. */
    world_check(world.plan.family || info->mailbox <= info->type->mailbox_max + WORLD_TIMERS,
                "%u messages in the mailbox of %s, which holds %u", info->mailbox, info->key, info->type->mailbox_max);
    world_check(node_of(info->key, info->key_len) < WORLD_ACTORS, "an activation with a damaged key");
    return true;
}

static void visit_type(void *arg, const struct qk_type_stats *stats)
{
    (void)arg;
    world_check(stats->plugin == &nodes_plugin, "a type of another plugin");
}

static bool visit_resting(void *arg, const struct qk_activation_info *info)
{
    (void)arg;
    uint32_t actor = node_of(info->key, info->key_len);
    const struct world_actor *a = &world.actors[actor];
    if (strcmp(info->state, "idle") != 0 || atomic_load(&a->turns) != 0 || atomic_load(&a->failed))
        return true;
    for (uint32_t i = 0; i < WORLD_TIMERS; i++) {
        const struct world_timer *tm = &a->timers[i];
        /* Of one that has ticked before, beats may be left out. */
        int64_t due_ns = tm->ticks == 0 ? tm->first_ns : tm->last_ns + tm->period_ns;
        world_check(tm->state != WORLD_TIMER_ARMED || world.now_ns(NULL) <= due_ns + 2000000,
                    "a timer of actor %u does not tick", actor);
    }
    return true;
}

void drive_check_rest(struct qk_runtime *rt)
{
    qk_runtime_visit_activations(rt, visit_resting, NULL);
    world_check_waits();
}

void drive_squeeze(struct qk_runtime *rt, uint64_t *random)
{
    uint64_t claimed;
    if (!world.plan.tight)
        return;
    qk_runtime_set_memory(rt, world_below(random, 4) == 0 ? world_below(random, 3) : QK_MEMORY_PLENTY);
    if (world_below(random, 3) != 0)
        return;
    atomic_store(&world.squeezed, true);
    qk_runtime_collect(rt, world_below(random, 5), 1 + world_below(random, 8));
    qk_runtime_collected(rt, &claimed);
    world_check(claimed <= 8 + world.plan.workers, "%u activations were collected, of 8 at most", (unsigned)claimed);
}

void drive_visit(struct qk_runtime *rt)
{
    struct qk_runtime_stats stats;
    qk_runtime_stats(rt, &stats);
    qk_runtime_visit_activations(rt, visit_activation, NULL);
    qk_runtime_visit_types(rt, visit_type, NULL);
}
