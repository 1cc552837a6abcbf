/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls from outside that can't be done in time are refused when they come, rather than timed out when they have
 * waited: under more load than the workers can carry a queue would else grow until each turn that begins ends too late,
 * and the silo be busy with nothing but work that nobody wants any more.
 *
 * What waits is reckoned in time: each frame counts for the mean time that turns of its method hold their thread. The
 * wait ahead of a frame is that of all frames shared among the workers, or that of its actor's mailbox, the longer.
 */
#include "runtime/internal.h"

void qk_load_learn(const struct qk_rt_method *method, int64_t ns)
{
    _Atomic uint32_t *at = &((struct qk_rt_method *)method)->mean_ns;
    int64_t mean = atomic_load_explicit(at, memory_order_relaxed);
    if (mean == 0 && ns < QK_SLOW_NS)
        return; /* nothing is written for what is fast */
    if (ns > mean) {
        /* One turn that was held up must not count for much: the mean grows in steps. */
        int64_t most = mean + QK_SLOW_NS;
        mean += (ns - mean < most ? ns - mean : most) / 2;
    } else {
        mean -= (mean - ns) / 8;
    }
    if (mean < QK_SLOW_NS / 2)
        mean = 0;
    atomic_store_explicit(at, mean < UINT32_MAX ? (uint32_t)mean : UINT32_MAX, memory_order_relaxed);
}

void qk_load_look(struct qk_worker *w)
{
    const struct qk_runtime *rt = w->rt;
    uint64_t in = 0, out = 0;
    for (uint32_t i = 0; i < rt->n_workers; i++)
        out += atomic_load_explicit(&rt->workers[i]->unqueued_ns, memory_order_acquire);
    for (uint32_t i = 0; i < rt->n_workers; i++)
        in += atomic_load_explicit(&rt->workers[i]->queued_ns, memory_order_relaxed);
    w->backlog_ns = in > out ? (int64_t)((in - out) / rt->n_workers) : 0;
}

bool qk_load_is_hopeless(struct qk_worker *w, struct qk_msg *msg, const struct qk_act *act)
{
    uint32_t cost = atomic_load_explicit(&((struct qk_rt_method *)msg->method)->mean_ns, memory_order_relaxed);
    if (qk_likely(cost == 0 && w->backlog_ns == 0))
        return false;
    int64_t wait = w->backlog_ns;
    uint64_t word = atomic_load_explicit(&((struct qk_act *)act)->mailbox, memory_order_relaxed);
    int64_t own = (int64_t)qk_mailbox_count(word) * cost;
    if (own > wait)
        wait = own;
    /* Where nothing waits the turn may begin: it teaches how long turns are now. A quarter is for what is not known. */
    if (wait != 0 && w->now_ns + wait + wait / 4 + cost > msg->deadline_ns) {
        qk_count(&w->refused, 1);
        return true;
    }
    if (msg->cost_ns == 0 && cost != 0) {
        msg->cost_ns = cost;
        qk_count(&w->queued_ns, cost);
        w->backlog_ns += cost / w->rt->n_workers;
    }
    return false;
}
