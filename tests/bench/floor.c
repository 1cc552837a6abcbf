/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Floors: the least that the same work can cost with the same mailboxes and fibers and nothing around them. */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "base/cpu.h"
#include "runtime/fiber.h"
#include "runtime/mailbox.h"

#define ROUND_TRIPS 2000000
#define MESSAGES    8000000
#define HOPS        4000000
#define PUBLISHES   2000
#define STACK_BYTES 65536

/* A mailbox holds addresses that are multiples of 16. */
struct slot {
    struct qk_link link;
} __attribute__((aligned(16)));

/* ---- bare pairs: a caller's fiber and a callee's, each with a mailbox, under a loop that runs what is due */

struct bare {
    struct qk_context context; /* first: a fiber finds itself by it */
    _Atomic uint64_t mailbox;
    struct bare *peer;
    struct slot message;
    uint64_t value;
} QK_CACHE_ALIGNED;

static struct qk_context scheduler;
static struct bare *due; /* the callee to run next */

static void caller_main(void *context)
{
    struct bare *self = (struct bare *)context;
    qk_context_begin(&scheduler);
    for (;;) {
        if (qk_mailbox_push(&self->peer->mailbox, &self->message.link, 1024) == QK_PUSHED_SCHEDULE)
            due = self->peer; /* with the message */
        qk_context_switch(&self->context, &scheduler);
    }
}

static void callee_main(void *context)
{
    struct bare *self = (struct bare *)context;
    qk_context_begin(&scheduler);
    for (;;) {
        self->value++;
        qk_context_switch(&self->context, &scheduler);
    }
}

static void one_round_trip(struct bare *caller)
{
    uint64_t before;
    qk_context_switch(&scheduler, &caller->context);
    struct bare *callee = due;
    qk_context_switch(&scheduler, &callee->context);
    qk_mailbox_rest(&callee->mailbox, 1, &before);
}

/* ns for a round trip among `pairs` pairs. */
static double bare_pairs(uint32_t pairs)
{
    struct qk_stacks *stacks = qk_stacks_create(STACK_BYTES, pairs * 2);
    struct bare *acts = aligned_alloc(QK_CACHE_LINE, sizeof(*acts) * pairs * 2);
    if (stacks == NULL || acts == NULL)
        bench_fail("out of memory");
    for (uint32_t i = 0; i < pairs * 2; i++) {
        uint8_t *low = stacks->base + (size_t)i * STACK_BYTES;
        acts[i] = (struct bare){.peer = &acts[i ^ 1]};
        qk_context_make(&acts[i].context, low, low + STACK_BYTES - (i % 32) * QK_CACHE_LINE,
                        i % 2 == 0 ? caller_main : callee_main);
    }
    uint64_t rounds = ROUND_TRIPS / pairs;
    int64_t start = bench_now_ns();
    for (uint64_t r = 0; r < rounds; r++) {
        for (uint32_t i = 0; i < pairs; i++)
            one_round_trip(&acts[i * 2]);
    }
    double each = (double)(bench_now_ns() - start) / (double)(rounds * pairs);
    for (uint32_t i = 0; i < pairs * 2; i++)
        qk_context_finish(&acts[i].context);
    qk_stacks_destroy(stacks);
    free(acts);
    return each;
}

void floor_round_trip(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    (void)w;
    ret_sample->value = bare_pairs(1);
}

void floor_pairs(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    ret_sample->value = 1e9 / bare_pairs(w->size) * w->workers; /* the pairs of two workers share nothing */
}

/* ---- bare queue: what fills one bounded mailbox, and what empties it */

static struct {
    _Atomic uint64_t mailbox;
    uint64_t each;
} queue;

struct producer {
    pthread_t thread;
    struct slot links[2048]; /* more than fit, so that one that is pushed again has been taken */
} QK_CACHE_ALIGNED;

static void *producer_main(void *arg)
{
    struct producer *p = arg;
    for (uint64_t i = 0; i < queue.each; i++) {
        while (qk_mailbox_push(&queue.mailbox, &p->links[i % 2048].link, 1024) > QK_PUSHED_SCHEDULE)
            qk_cpu_pause();
    }
    return NULL;
}

/* Takes what is there; how many. */
static uint32_t consume(void)
{
    uint32_t n = 0;
    for (struct qk_link *link = qk_mailbox_take(&queue.mailbox); link != NULL; link = link->next)
        n++;
    if (n != 0)
        qk_mailbox_finish(&queue.mailbox, n);
    return n;
}

/* One worker: it fills the mailbox and empties it, in turns. More: each producer has a thread of its own. */
void floor_queue(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    struct producer *producers = aligned_alloc(QK_CACHE_LINE, w->size * sizeof(*producers));
    if (producers == NULL)
        bench_fail("out of memory");
    bool threads = w->workers > 1;
    atomic_store(&queue.mailbox, QK_MAILBOX_SCHEDULED); /* it has an owner, who never rests */
    queue.each = MESSAGES / w->size;
    int64_t start = bench_now_ns();
    for (uint32_t i = 0; threads && i < w->size; i++)
        pthread_create(&producers[i].thread, NULL, producer_main, &producers[i]);
    for (uint64_t got = 0; got < queue.each * w->size;) {
        for (uint32_t i = 0; !threads && i < 1024; i++)
            qk_mailbox_push(&queue.mailbox, &producers->links[i].link, 1024);
        uint32_t n = consume();
        if (n == 0)
            qk_cpu_pause();
        got += n;
    }
    ret_sample->value = (double)(queue.each * w->size) / ((double)(bench_now_ns() - start) / 1e9);
    for (uint32_t i = 0; threads && i < w->size; i++)
        pthread_join(producers[i].thread, NULL);
    free(producers);
}

/* ---- bare ring: fibers that each switch to the next */

static struct qk_context *ring;
static uint64_t hops;

static void ring_main(void *context)
{
    struct qk_context *self = context;
    struct qk_context *next = self == &ring[BENCH_MEMBERS - 1] ? &ring[0] : self + 1;
    qk_context_begin(&scheduler);
    for (;;)
        qk_context_switch(self, --hops == 0 ? &scheduler : next);
}

void floor_ring(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    (void)w;
    struct qk_stacks *stacks = qk_stacks_create(STACK_BYTES, BENCH_MEMBERS);
    ring = calloc(BENCH_MEMBERS, sizeof(*ring));
    if (stacks == NULL || ring == NULL)
        bench_fail("out of memory");
    for (size_t i = 0; i < BENCH_MEMBERS; i++) {
        uint8_t *low = stacks->base + i * STACK_BYTES;
        qk_context_make(&ring[i], low, low + STACK_BYTES - (i % 32) * QK_CACHE_LINE, ring_main);
    }
    hops = HOPS;
    int64_t start = bench_now_ns();
    qk_context_switch(&scheduler, &ring[0]);
    ret_sample->value = (double)(bench_now_ns() - start) / HOPS;
    for (size_t i = 0; i < BENCH_MEMBERS; i++)
        qk_context_finish(&ring[i]);
    qk_stacks_destroy(stacks);
    free(ring);
}

/* ---- bare objects: what the allocator takes for a million of 256 bytes */

static void objects(double *values)
{
    void **all = malloc(BENCH_CROWD * sizeof(*all));
    if (all == NULL)
        bench_fail("out of memory");
    int64_t start = bench_now_ns();
    for (size_t i = 0; i < BENCH_CROWD; i++) {
        all[i] = calloc(1, 256);
        if (all[i] == NULL)
            bench_fail("out of memory");
        *(uint64_t *)all[i] = i;
        __asm__ volatile("" ::"r"(all[i]) : "memory"); /* else a compiler leaves it all out */
    }
    values[0] = (double)(bench_now_ns() - start) / BENCH_CROWD;
}

void floor_create(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    (void)w;
    bench_apart(objects, &ret_sample->value, 1);
}

/* ---- bare fan-out: a push into each of a thousand mailboxes, then a pop from each */

void floor_fanout(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    (void)w;
    static struct {
        _Atomic uint64_t mailbox;
        struct slot slot;
    } QK_CACHE_ALIGNED members[BENCH_MEMBERS];
    uint64_t before;
    int64_t start = bench_now_ns();
    for (int p = 0; p < PUBLISHES; p++) {
        for (int i = 0; i < BENCH_MEMBERS; i++)
            qk_mailbox_push(&members[i].mailbox, &members[i].slot.link, 1024);
        for (int i = 0; i < BENCH_MEMBERS; i++) {
            if (qk_mailbox_take(&members[i].mailbox) != NULL)
                bench_fail("a message that its owner holds lies in a bare mailbox too");
            qk_mailbox_rest(&members[i].mailbox, 1, &before);
        }
    }
    ret_sample->value = (double)(bench_now_ns() - start) / 1e3 / PUBLISHES;
}
