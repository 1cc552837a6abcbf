/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Services of the property test: made in order, one for each scope, and destroyed in the opposite order at its end. */
#include <quark/service.h>
#include <stdlib.h>
#include "base/status.h"
#include "nodes.h"
#include "run.h"

enum which { BASE, OWN, SECOND, BRIEF, LATEST, N_SERVICES };

/* An instance, in the list of its actor. */
struct instance {
    struct instance *older;
    enum which which;
    uint32_t actor;
    const qk_turn *turn; /* of a transient one */
    uint64_t mark;
};

#define MARK UINT64_C(0x5ca1ab1e)

QK_SERVICE(base, struct instance);
QK_SERVICE(own, struct instance);
QK_SERVICE(second, struct instance);
QK_SERVICE(brief, struct instance);
QK_SERVICE(latest, struct instance);

static uint32_t actor_of(qk_turn *t)
{
    return node_of(qk_self(t).key, qk_self(t).key_len);
}

static bool is_transient(enum which which)
{
    return which >= BRIEF;
}

static bool may_wait(uint32_t actor, enum which which)
{
    return is_transient(which) || (which != BASE && !node_interleaves(actor));
}

/* Fails, waits and panics now and then. */
static int hesitate(qk_turn *t, uint32_t actor, enum which which)
{
    uint64_t random = world_mix(world.plan.seed, world.actors[actor].entered * N_SERVICES + which);
    if (world_below(&random, 4) == 0) {
        world_pause(actor);
        int rc = qk_yield(t);
        world_resume(actor);
        if (!may_wait(actor, which))
            world_check(rc == QK_ESTATE, "service %d of actor %u waited: %s", which, actor, qk_status_name(rc));
        else
            world_check(rc == 0 || rc == QK_ECANCELLED, "service %d of actor %u did not wait: %s", which, actor,
                        qk_status_name(rc));
    }
    if (world_below(&random, 10) == 0)
        return qk_fail(t, QK_APP(5), "service %d does not want to", which);
    if (world.plan.family && !node_interleaves(actor) && world_below(&random, 40) == 0) {
        world_leave(actor, WORLD_ALONE);
        qk_panic(t, "service %d panics", which);
    }
    return 0;
}

static int make(qk_turn *t, void **ret_instance, enum which which)
{
    uint32_t actor = actor_of(t);
    struct world_actor *a = &world.actors[actor];
    int rc = hesitate(t, actor, which);
    if (rc < 0)
        return rc;
    struct instance *i = malloc(sizeof(*i));
    world_check(i != NULL, "no memory");
    *i = (struct instance){.which = which, .actor = actor, .turn = is_transient(which) ? t : NULL, .mark = MARK};
    if (which != BASE) {
        struct instance **list = is_transient(which) ? &a->transient : &a->scoped;
        for (const struct instance *each = *list; each != NULL; each = each->older)
            world_check(each->which != which || each->turn != i->turn, "actor %u has two instances of service %d",
                        actor, which);
        i->older = *list;
        *list = i;
    }
    atomic_fetch_add(&world.instances, 1);
    *ret_instance = i;
    return 0;
}

static void destroy(void *instance)
{
    struct instance *i = instance;
    struct world_actor *a = &world.actors[i->actor];
    world_check(i->mark == MARK, "an instance of a service was destroyed twice");
    if (i->which != BASE) {
        bool transient = is_transient(i->which);
        struct instance **at = transient ? &a->transient : &a->scoped;
        while (*at != NULL && (*at)->turn != i->turn)
            at = &(*at)->older;
        world_check(*at == i, "service %d of actor %u is not the newest that is left", i->which, i->actor);
        world_check(transient || atomic_load(&a->active) == 0, "service %d of actor %u ended before its actor",
                    i->which, i->actor);
        *at = i->older;
    }
    i->mark = 0;
    atomic_fetch_sub(&world.instances, 1);
    free(i);
}

static int make_base(qk_turn *t, void **ret_instance)
{
    return make(t, ret_instance, BASE);
}

static int make_own(qk_turn *t, void **ret_instance)
{
    world_check(base_service(t) != NULL && brief_service(t) == NULL, "a service has not what it needs, or more");
    return make(t, ret_instance, OWN);
}

static int make_second(qk_turn *t, void **ret_instance)
{
    world_check(own_service(t) != NULL, "a service has not what it needs");
    return make(t, ret_instance, SECOND);
}

static int make_brief(qk_turn *t, void **ret_instance)
{
    return make(t, ret_instance, BRIEF);
}

static int make_latest(qk_turn *t, void **ret_instance)
{
    world_check(second_service(t) != NULL && brief_service(t) != NULL, "a service has not what it needs");
    return make(t, ret_instance, LATEST);
}

QK_SERVICE_DEFINE(base, .lifetime = QK_SINGLETON, .create = make_base, .destroy = destroy);
QK_SERVICE_DEFINE(own, .lifetime = QK_SCOPED, .needs = QK_NEEDS(&base_service_desc), .create = make_own,
                  .destroy = destroy);
QK_SERVICE_DEFINE(second, .lifetime = QK_SCOPED, .needs = QK_NEEDS(&own_service_desc), .create = make_second,
                  .destroy = destroy);
QK_SERVICE_DEFINE(brief, .lifetime = QK_TRANSIENT, .create = make_brief, .destroy = destroy);
QK_SERVICE_DEFINE(latest, .lifetime = QK_TRANSIENT, .needs = QK_NEEDS(&second_service_desc, &brief_service_desc),
                  .create = make_latest, .destroy = destroy);
QK_SERVICES(scopes_services, &base_service_desc, &own_service_desc, &second_service_desc, &brief_service_desc,
            &latest_service_desc);

void scopes_act(struct run *r)
{
    static int (*const get[])(qk_turn *, struct instance **) = {base_service_get, own_service_get, second_service_get,
                                                                brief_service_get, latest_service_get};
    enum which which = run_below(r, N_SERVICES);
    struct instance *i = NULL, *again = NULL;
    int rc = get[which](r->turn, &i);
    world_check(rc >= 0 || rc == QK_APP(5), "service %d of actor %u: %s", which, r->actor, qk_status_name(rc));
    run_check_thread(r);
    if (rc < 0)
        return;
    world_check(i->mark == MARK && i->which == which && (which == BASE || i->actor == r->actor) &&
                    (!is_transient(which) || i->turn == r->turn),
                "actor %u got service %d of another", r->actor, which);
    world_check(get[which](r->turn, &again) >= 0 && again == i, "actor %u got another instance of service %d", r->actor,
                which);
}

void scopes_check_turn(uint32_t actor)
{
    world_check(world.actors[actor].transient == NULL, "a turn of actor %u has left a service behind", actor);
}

void scopes_check_new(uint32_t actor)
{
    world_check(world.actors[actor].scoped == NULL, "actor %u began with a service of its last life", actor);
}
