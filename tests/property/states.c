/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stored state in the property test: what actors save, load and clear, and what must come of it. */
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "base/status.h"
#include "nodes.h"
#include "outside.h"
#include "run.h"

#define MARKS_MAX 4

static uint64_t sum_of(const Prop__State *s)
{
    uint64_t sum = world_mix(s->turns, s->serial);
    sum = world_mix(sum, qk_fnv64(s->note));
    for (size_t i = 0; i < s->n_marks; i++)
        sum = world_mix(sum, s->marks[i]);
    return sum | 1;
}

void states_touch(Prop__State *state)
{
    state->sum = sum_of(state);
}

bool states_is_whole(const Prop__State *s)
{
    if (s->sum == 0)
        return s->turns == 0 && s->serial == 0 && s->note[0] == '\0' && s->n_marks == 0;
    for (size_t i = 0; i < s->n_marks; i++) {
        if (s->marks[i] != s->serial + i)
            return false;
    }
    return s->sum == sum_of(s);
}

/* Makes the state one that was never saved before. */
static void stamp(struct run *r)
{
    Prop__State *s = r->state;
    s->serial = ++world.actors[r->actor].serial;
    free(s->marks);
    s->n_marks = s->serial % MARKS_MAX;
    s->marks = s->n_marks != 0 ? calloc(s->n_marks, sizeof(uint64_t)) : NULL;
    world_check(s->n_marks == 0 || s->marks != NULL, "no memory");
    for (size_t i = 0; i < s->n_marks; i++)
        s->marks[i] = s->serial + i;
    states_touch(s);
}

static int operate(struct run *r, enum qk_state_operation operation)
{
    world_pause(r->actor);
    int rc = qk_state(r->turn, operation);
    world_resume(r->actor);
    run_check_thread(r);
    world_check(states_is_whole(r->state), "the state of actor %u is half there", r->actor);
    return rc;
}

/* Where no turn of the same actor has come between. */
static void check_alone(const struct run *r, enum qk_state_operation operation, int rc, uint64_t before)
{
    static const uint32_t kinds[] = {
        [QK_STATE_LOAD] = QK_STORE_READ, [QK_STATE_SAVE] = QK_STORE_WRITE, [QK_STATE_CLEAR] = QK_STORE_CLEAR};
    struct outside_answer a = outside_answered(r->actor);
    world_check(a.kind == kinds[operation] && rc == a.status, "actor %u was told %s, the store said %s", r->actor,
                qk_status_name(rc), qk_status_name(a.status));
    uint64_t want = rc < 0 || operation == QK_STATE_SAVE ? before : a.sum;
    world_check(r->state->sum == want, "actor %u goes on with another state", r->actor);
    world_check(rc < 0 || operation != QK_STATE_SAVE || a.sum == before, "actor %u has saved another state", r->actor);
}

void states_act(struct run *r)
{
    static const enum qk_state_operation operations[] = {QK_STATE_SAVE, QK_STATE_SAVE, QK_STATE_SAVE, QK_STATE_LOAD,
                                                         QK_STATE_CLEAR};
    const struct qk_type *type = node_type(r->actor);
    if (type->store == NULL) {
        world_check(qk_state(r->turn, QK_STATE_SAVE) == QK_EINVALID, "a state without a store was saved");
        return;
    }
    enum qk_state_operation operation = operations[run_below(r, 5)];
    if (operation == QK_STATE_SAVE && r->how != WORLD_READS)
        stamp(r);
    uint64_t before = r->state->sum;
    int rc = operate(r, operation);
    if (!node_interleaves(r->actor))
        check_alone(r, operation, rc, before);
    world_check(rc == 0 || qk_error(r->turn)[0] != '\0', "actor %u is not told why: %s", r->actor, qk_status_name(rc));
    world_trace(r->actor, (uint64_t)(int64_t)rc);
}

void states_check_new(const struct run *r)
{
    const struct qk_type *type = node_type(r->actor);
    const Prop__State *s = r->state;
    world_check(states_is_whole(s), "actor %u began with half a state", r->actor);
    if (type->store == NULL || (type->flags & QK_TYPE_LAZY_STATE) != 0) {
        world_check(s->sum == 0, "actor %u began with an old state", r->actor);
        if (type->store != NULL)
            outside_forget(r->actor);
        return;
    }
    struct outside_answer a = outside_answered(r->actor);
    world_check(a.kind == QK_STORE_READ && a.status == 0 && a.fresh, "actor %u began before its state was loaded",
                r->actor);
    world_check(a.sum == s->sum, "actor %u began with another state than was saved last", r->actor);
}
