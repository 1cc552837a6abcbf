/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The threads for offloaded work: one lock, one queue. A job costs a wake-up of a thread each way, far more than that.
 */
#include "silo/crew.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "loop/clock.h"
#include "loop/thread.h"

struct runner {
    struct qk_crew *crew;
    struct qk_thread *thread;
    struct qk_job *job; /* that runs; NULL: none. Under the lock */
    int64_t since_ns;
};

struct qk_crew {
    struct qk_runtime *rt;
    uint32_t threads_max;
    uint32_t queue_max;
    pthread_mutex_t lock;
    pthread_cond_t come; /* a job, or the end */
    struct qk_job *first;
    struct qk_job **last;
    uint32_t waiting;
    uint32_t running;
    uint32_t n_threads;
    uint64_t refused;
    bool closed;
    bool ending;
    struct runner runners[];
};

int qk_crew_create(uint32_t threads_max, uint32_t queue_max, struct qk_crew **ret_crew)
{
    struct qk_crew *crew = calloc(1, sizeof(*crew) + threads_max * sizeof(crew->runners[0]));
    if (crew == NULL)
        return -ENOMEM;
    crew->threads_max = threads_max;
    crew->queue_max = queue_max;
    crew->last = &crew->first;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->come, NULL);
    *ret_crew = crew;
    return 0;
}

void qk_crew_set_runtime(struct qk_crew *crew, struct qk_runtime *rt)
{
    crew->rt = rt;
}

/* Under the lock. */
static struct qk_job *take_first(struct qk_crew *crew)
{
    struct qk_job *job = crew->first;
    crew->first = job->next;
    if (crew->first == NULL)
        crew->last = &crew->first;
    crew->waiting--;
    return job;
}

static void runner_main(void *arg)
{
    struct runner *r = arg;
    struct qk_crew *crew = r->crew;
    pthread_mutex_lock(&crew->lock);
    for (;;) {
        while (crew->first == NULL && !crew->ending)
            pthread_cond_wait(&crew->come, &crew->lock);
        if (crew->first == NULL)
            break;
        struct qk_job *job = take_first(crew);
        r->job = job;
        r->since_ns = qk_clock_now_ns(NULL);
        crew->running++;
        pthread_mutex_unlock(&crew->lock);
        job->fn(job->arg);
        pthread_mutex_lock(&crew->lock);
        r->job = NULL; /* before it goes back: it is gone then */
        crew->running--;
        pthread_mutex_unlock(&crew->lock);
        qk_runtime_offloaded(crew->rt, job);
        pthread_mutex_lock(&crew->lock);
    }
    pthread_mutex_unlock(&crew->lock);
}

/* Under the lock. */
static int start_thread(struct qk_crew *crew)
{
    char name[16];
    struct runner *r = &crew->runners[crew->n_threads];
    snprintf(name, sizeof(name), "qk-o%u", crew->n_threads);
    r->crew = crew;
    int rc = qk_thread_start(name, -1, runner_main, r, &r->thread);
    if (rc == 0)
        crew->n_threads++;
    return rc;
}

/* Under the lock. */
static int accept(struct qk_crew *crew, struct qk_job *job)
{
    if (crew->closed)
        return QK_ECANCELLED;
    uint32_t there = crew->running + crew->waiting;
    if (there >= crew->threads_max + crew->queue_max) {
        crew->refused++;
        return QK_EOVERLOADED;
    }
    if (there >= crew->n_threads && crew->n_threads < crew->threads_max) {
        int rc = start_thread(crew);
        if (rc < 0 && crew->n_threads == 0)
            return rc;
    }
    job->next = NULL;
    job->status = 0;
    *crew->last = job;
    crew->last = &job->next;
    crew->waiting++;
    pthread_cond_signal(&crew->come);
    return 0;
}

int qk_crew_take(void *arg, struct qk_job *job)
{
    struct qk_crew *crew = arg;
    pthread_mutex_lock(&crew->lock);
    int rc = accept(crew, job);
    pthread_mutex_unlock(&crew->lock);
    return rc;
}

void qk_crew_close(struct qk_crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    struct qk_job *job = crew->first;
    crew->closed = true;
    crew->first = NULL;
    crew->last = &crew->first;
    crew->waiting = 0;
    pthread_mutex_unlock(&crew->lock);
    while (job != NULL) {
        struct qk_job *next = job->next;
        job->status = QK_ECANCELLED;
        qk_runtime_offloaded(crew->rt, job);
        job = next;
    }
}

bool qk_crew_oldest(struct qk_crew *crew, int64_t *ret_since_ns, char *ret_actor, size_t size)
{
    const struct runner *oldest = NULL;
    pthread_mutex_lock(&crew->lock);
    for (uint32_t i = 0; i < crew->n_threads; i++) {
        const struct runner *r = &crew->runners[i];
        if (r->job != NULL && (oldest == NULL || r->since_ns < oldest->since_ns))
            oldest = r;
    }
    if (oldest != NULL) {
        *ret_since_ns = oldest->since_ns;
        snprintf(ret_actor, size, "%s/%s", oldest->job->type, oldest->job->key);
    }
    pthread_mutex_unlock(&crew->lock);
    return oldest != NULL;
}

void qk_crew_get_stats(struct qk_crew *crew, struct qk_crew_stats *ret_stats)
{
    pthread_mutex_lock(&crew->lock);
    *ret_stats = (struct qk_crew_stats){crew->n_threads, crew->running, crew->waiting, crew->refused};
    pthread_mutex_unlock(&crew->lock);
}

void qk_crew_destroy(struct qk_crew *crew)
{
    if (crew == NULL)
        return;
    pthread_mutex_lock(&crew->lock);
    assert(crew->waiting == 0 && crew->running == 0);
    crew->ending = true;
    pthread_cond_broadcast(&crew->come);
    pthread_mutex_unlock(&crew->lock);
    for (uint32_t i = 0; i < crew->n_threads; i++)
        qk_thread_join(crew->runners[i].thread);
    pthread_cond_destroy(&crew->come);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
}
