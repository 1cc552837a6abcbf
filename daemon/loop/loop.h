/* SPDX-License-Identifier: GPL-3.0-or-later */
/**
 * @file
 * An event loop that one thread at a time may be inside, whichever thread that is.
 *
 * Watches and timers are made, changed and destroyed by the thread inside qk_loop_poll() (from a handler), or while
 * nobody is inside. Other threads reach the loop through qk_loop_post() and qk_loop_wake() only.
 */
#ifndef QK_LOOP_LOOP_H
#define QK_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct qk_loop;
struct qk_watch;
struct qk_timer;

/* 0, -ENOMEM, -EMFILE and what eventfd() fails with. */
int qk_loop_create(struct qk_loop **ret_loop);

/* After every watch and timer is destroyed. Posted tasks that have not run are dropped. NULL is fine. */
void qk_loop_destroy(struct qk_loop *loop);

/* Handles what is ready; waits up to timeout_ns for something (0: not at all, -1: until woken). How many handlers ran.
 */
int qk_loop_poll(struct qk_loop *loop, int64_t timeout_ns);

/* Makes a waiting poll return soon, or the next one return at once. Any thread. */
void qk_loop_wake(struct qk_loop *loop);

/* A piece of work handed to the loop; lies in whatever it works for. All zero at first. */
struct qk_task {
    struct qk_task *next;
    void (*fn)(void *arg);
    void *arg;
};

/* Has task->fn run inside the loop, after what was posted before. The task may be posted again once fn has begun, not
 * before. Any thread. */
void qk_loop_post(struct qk_loop *loop, struct qk_task *task);

/* Takes back a task that may have been posted and has not begun to run. The thread inside the loop, or any while nobody
 * is inside; nobody posts the task meanwhile. */
void qk_loop_unpost(struct qk_loop *loop, struct qk_task *task);

enum qk_watch_events {
    QK_WATCH_READ = 1u << 0,
    QK_WATCH_WRITE = 1u << 1,
    QK_WATCH_EDGE = 1u << 2, /* with one of those: only when it becomes so anew, for what is never read or written */
};

/* Calls on_ready while `fd` is ready for one of `events`, until the watch is destroyed. The descriptor
 * stays the caller's. 0, -ENOMEM, -EPERM for a descriptor that can't be watched. */
int qk_watch_create(struct qk_loop *loop, int fd, unsigned events, void (*on_ready)(void *arg, unsigned events),
                    void *arg, struct qk_watch **ret_watch);

/* Changes what is watched for; 0 pauses. 0 or -ENOMEM. */
int qk_watch_set(struct qk_watch *watch, unsigned events);

/* Also from its own handler. NULL is fine. */
void qk_watch_destroy(struct qk_watch *watch);

/* A timer that is not armed. 0 or -ENOMEM. */
int qk_timer_create(struct qk_loop *loop, void (*on_due)(void *arg), void *arg, struct qk_timer **ret_timer);

/* Fires once, delay_ns from now; replaces an earlier arming. 0 or -ENOMEM. */
int qk_timer_arm(struct qk_timer *timer, int64_t delay_ns);

void qk_timer_disarm(struct qk_timer *timer);

/* Also from its own handler. NULL is fine. */
void qk_timer_destroy(struct qk_timer *timer);

#endif
