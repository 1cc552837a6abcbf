/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The threads that run what actors offload. They are started as work comes, up to a bound, and stay; past another bound
 * of what waits for one of them, work is refused.
 */
#ifndef QK_SILO_CREW_H
#define QK_SILO_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "runtime/runtime.h"

struct qk_crew;

/* 0, -ENOMEM. */
int qk_crew_create(uint32_t threads_max, uint32_t queue_max, struct qk_crew **ret_crew);

/* Before the first job: where they go back to. */
void qk_crew_set_runtime(struct qk_crew *crew, struct qk_runtime *rt);

/* Takes a job, as the configuration of the runtime says. Any thread. */
int qk_crew_take(void *arg, struct qk_job *job);

/* Gives back what waits, and refuses what comes from now on, with QK_ECANCELLED; what runs goes on. Any thread. */
void qk_crew_close(struct qk_crew *crew);

/* Writes "type/key" of the job that has run for longest, and since when; false when none runs. Any thread. */
bool qk_crew_oldest(struct qk_crew *crew, int64_t *ret_since_ns, char *ret_actor, size_t size);

struct qk_crew_stats {
    uint32_t threads;
    uint32_t running;
    uint32_t waiting;
    uint64_t refused;
};
void qk_crew_get_stats(struct qk_crew *crew, struct qk_crew_stats *ret_stats);

/* Ends the threads; no job may wait or run. Before the runtime is freed. NULL is fine. */
void qk_crew_destroy(struct qk_crew *crew);

#endif
