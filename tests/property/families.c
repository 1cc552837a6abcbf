/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parents, children and watchers of the property test. */
#include "base/status.h"
#include "nodes.h"
#include "run.h"

void families_list(struct run *r, uint32_t most)
{
    struct qk_child *list;
    int n = qk_children(r->turn, &list);
    world_check(n >= 0 && (uint32_t)n <= most, "actor %u has %d children", r->actor, n);
    for (int i = 0; i < n; i++)
        world_check(node_of(list[i].ref.key, list[i].ref.key_len) < WORLD_ACTORS && list[i].state >= QK_CHILD_BEGINS &&
                        list[i].state <= QK_CHILD_ENDS,
                    "child %d of actor %u is damaged", i, r->actor);
}

void families_act(struct run *r)
{
    char key[16];
    uint32_t target = run_below(r, WORLD_ACTORS);
    uint64_t type = node_type(target)->id;
    int rc = 0;
    switch (run_below(r, 8)) {
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
        families_list(r, WORLD_ACTORS - 1);
        break;
    case 6:
        rc = qk_watch(r->turn, type, node_ref(target, key));
        break;
    case 7:
        rc = qk_unwatch(r->turn, type, node_ref(target, key));
        break;
    }
    world_check(rc <= 0, "actor %u and actor %u: %s", r->actor, target, qk_status_name(rc));
    run_check_thread(r);
}

int families_failure(qk_turn *t, void *self, const struct qk_failure *failure)
{
    uint32_t child = node_of(failure->ref.key, failure->ref.key_len);
    struct run r = run_hook(t, self, 0);
    world_check(child < WORLD_ACTORS && child != r.actor && failure->failures > 0 && failure->status < 0 &&
                    failure->kind >= QK_FAILURE_PANIC && failure->kind <= QK_FAILURE_TIMEOUT,
                "actor %u heard of a damaged failure", r.actor);
    if (run_below(&r, 4) == 0)
        run_act(&r);
    run_maybe_panic(&r, 20);
    run_leave(&r);
    return (int)run_below(&r, QK_ESCALATE + 2) - 1;
}

void families_watched(qk_turn *t, void *self, const struct qk_watch_event *event)
{
    struct run r = run_hook(t, self, 0);
    world_check(node_of(event->ref.key, event->ref.key_len) < WORLD_ACTORS && event->what >= QK_WATCH_ENDED &&
                    event->what <= QK_WATCH_ABSENT && (event->status < 0) == (event->what == QK_WATCH_FAILED),
                "actor %u saw something damaged", r.actor);
    if (run_below(&r, 8) == 0)
        run_act(&r);
    run_maybe_panic(&r, 40);
    run_leave(&r);
}
