/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An event loop on libevent's core that any one thread may be inside.
 *
 * The base is made without libevent's own locks: the runtime's driver lock orders the threads that enter it. What other
 * threads may touch is the list of posted tasks, the `woken` flag and the eventfd.
 */
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>

#include <event2/event.h>
#include "base/log.h"

struct qk_loop {
    struct event_base *base;
    struct event *wake_event;
    struct event *timeout_event;
    int wake_fd;
    int handled;
    atomic_bool woken; /* the eventfd is readable, or about to be */
    pthread_mutex_t lock;
    struct qk_task *first; /* under the lock */
    struct qk_task **last;
    struct qk_task *running; /* of this round, not begun; the thread inside */
};

struct qk_watch {
    struct qk_loop *loop;
    struct event *event;
    unsigned events;
    int fd;
    void (*on_ready)(void *arg, unsigned events);
    void *arg;
};

struct qk_timer {
    struct qk_loop *loop;
    struct event *event;
    void (*on_due)(void *arg);
    void *arg;
};

/* A handler may post its own task again: that runs in the next round, so a poll always ends. */
static void run_posted(struct qk_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->running = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    pthread_mutex_unlock(&loop->lock);
    while (loop->running != NULL) {
        struct qk_task *task = loop->running;
        loop->running = task->next;
        task->next = NULL;
        loop->handled++;
        task->fn(task->arg);
    }
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct qk_loop *loop = arg;
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));
    (void)n;
    /* From here on a poster writes the eventfd again; what was posted before is seen by run_posted(). */
    atomic_store(&loop->woken, false);
    run_posted(loop);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg; /* that the loop returned is all that was wanted */
}

static struct event_base *make_base(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

int qk_loop_create(struct qk_loop **ret_loop)
{
    struct qk_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return -ENOMEM;
    loop->last = &loop->first;
    pthread_mutex_init(&loop->lock, NULL);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0) {
        int rc = -errno;
        qk_loop_destroy(loop);
        return rc;
    }
    loop->base = make_base();
    if (loop->base != NULL) {
        loop->wake_event = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
        loop->timeout_event = event_new(loop->base, -1, 0, on_timeout, loop);
    }
    if (loop->wake_event == NULL || loop->timeout_event == NULL || event_add(loop->wake_event, NULL) < 0) {
        qk_loop_destroy(loop);
        return -ENOMEM;
    }
    *ret_loop = loop;
    return 0;
}

void qk_loop_destroy(struct qk_loop *loop)
{
    if (loop == NULL)
        return;
    if (loop->timeout_event != NULL)
        event_free(loop->timeout_event);
    if (loop->wake_event != NULL)
        event_free(loop->wake_event);
    if (loop->base != NULL)
        event_base_free(loop->base);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

static struct timeval to_timeval(int64_t ns)
{
    /* Rounded up: a timer that fires early would be armed once more for nothing. */
    int64_t us = ns > INT64_MAX - 999 ? INT64_MAX / 1000 : (ns + 999) / 1000;
    return (struct timeval){.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
}

/* libevent fails for good when one of its descriptors is not what it was, and would say so without an end. */
static void turn_over(struct qk_loop *loop, int flags)
{
    if (event_base_loop(loop->base, flags) >= 0)
        return;
    qk_log_write(QK_LOG_ERROR, "QK0622", NULL, "the loop of events can't go on: %s", strerror(errno));
    abort();
}

int qk_loop_poll(struct qk_loop *loop, int64_t timeout_ns)
{
    loop->handled = 0;
    if (timeout_ns == 0) {
        turn_over(loop, EVLOOP_NONBLOCK);
        return loop->handled;
    }
    if (timeout_ns > 0) {
        struct timeval tv = to_timeval(timeout_ns);
        event_add(loop->timeout_event, &tv);
    }
    turn_over(loop, EVLOOP_ONCE);
    if (timeout_ns > 0)
        event_del(loop->timeout_event);
    return loop->handled;
}

void qk_loop_wake(struct qk_loop *loop)
{
    if (atomic_exchange(&loop->woken, true))
        return;
    uint64_t one = 1;
    ssize_t n = write(loop->wake_fd, &one, sizeof(one));
    (void)n; /* EAGAIN would mean that it is readable already */
}

void qk_loop_post(struct qk_loop *loop, struct qk_task *task)
{
    assert(task->fn != NULL);
    task->next = NULL;
    pthread_mutex_lock(&loop->lock);
    *loop->last = task;
    loop->last = &task->next;
    pthread_mutex_unlock(&loop->lock);
    qk_loop_wake(loop);
}

void qk_loop_unpost(struct qk_loop *loop, struct qk_task *task)
{
    pthread_mutex_lock(&loop->lock);
    struct qk_task **at = &loop->first;
    while (*at != NULL && *at != task)
        at = &(*at)->next;
    if (*at == task) {
        *at = task->next;
        if (*at == NULL)
            loop->last = at;
    }
    pthread_mutex_unlock(&loop->lock);
    for (at = &loop->running; *at != NULL; at = &(*at)->next) {
        if (*at == task) {
            *at = task->next;
            break;
        }
    }
    task->next = NULL;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct qk_watch *watch = arg;
    unsigned events = 0;
    if ((what & EV_READ) != 0)
        events |= QK_WATCH_READ;
    if ((what & EV_WRITE) != 0)
        events |= QK_WATCH_WRITE;
    watch->loop->handled++;
    watch->on_ready(watch->arg, events);
}

static short to_libevent(unsigned events)
{
    short what = EV_PERSIST;
    if ((events & QK_WATCH_READ) != 0)
        what |= EV_READ;
    if ((events & QK_WATCH_WRITE) != 0)
        what |= EV_WRITE;
    if ((events & QK_WATCH_EDGE) != 0)
        what |= EV_ET;
    return what;
}

int qk_watch_create(struct qk_loop *loop, int fd, unsigned events, void (*on_ready)(void *arg, unsigned events),
                    void *arg, struct qk_watch **ret_watch)
{
    struct qk_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return -ENOMEM;
    *watch = (struct qk_watch){.loop = loop, .fd = fd, .events = events, .on_ready = on_ready, .arg = arg};
    watch->event = event_new(loop->base, fd, to_libevent(events), on_event, watch);
    if (watch->event == NULL || (events != 0 && event_add(watch->event, NULL) < 0)) {
        int rc = watch->event == NULL || errno == 0 ? -ENOMEM : -errno;
        qk_watch_destroy(watch);
        return rc;
    }
    *ret_watch = watch;
    return 0;
}

int qk_watch_set(struct qk_watch *watch, unsigned events)
{
    if (watch->events == events)
        return 0;
    event_del(watch->event);
    watch->events = events;
    if (event_assign(watch->event, watch->loop->base, watch->fd, to_libevent(events), on_event, watch) < 0)
        return -ENOMEM;
    return events == 0 || event_add(watch->event, NULL) == 0 ? 0 : -ENOMEM;
}

void qk_watch_destroy(struct qk_watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->event != NULL)
        event_free(watch->event);
    free(watch);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct qk_timer *timer = arg;
    timer->loop->handled++;
    timer->on_due(timer->arg);
}

int qk_timer_create(struct qk_loop *loop, void (*on_due)(void *arg), void *arg, struct qk_timer **ret_timer)
{
    struct qk_timer *timer = calloc(1, sizeof(*timer));
    if (timer == NULL)
        return -ENOMEM;
    *timer = (struct qk_timer){.loop = loop, .on_due = on_due, .arg = arg};
    timer->event = event_new(loop->base, -1, 0, on_timer, timer);
    if (timer->event == NULL) {
        free(timer);
        return -ENOMEM;
    }
    *ret_timer = timer;
    return 0;
}

int qk_timer_arm(struct qk_timer *timer, int64_t delay_ns)
{
    struct timeval tv = to_timeval(delay_ns > 0 ? delay_ns : 0);
    return event_add(timer->event, &tv) < 0 ? -ENOMEM : 0;
}

void qk_timer_disarm(struct qk_timer *timer)
{
    event_del(timer->event);
}

void qk_timer_destroy(struct qk_timer *timer)
{
    if (timer == NULL)
        return;
    event_free(timer->event);
    free(timer);
}
