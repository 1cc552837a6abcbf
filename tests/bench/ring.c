/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rings in shared memory between two processes that stay awake, and channels over them. The floor of a round trip is a
 * line of cache that goes to and fro, that of frames are the records that they become. */
#include "bench.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/cpu.h"
#include "transport/channel.h"
#include "transport/flat.h"

#define ROUND_TRIPS 300000
#define FRAMES      2000000
#define RING_BYTES  (1u << 20)

static pid_t start_child(void)
{
    pid_t pid = fork();
    if (pid < 0)
        bench_fail("fork failed");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static void end_child(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* The two sides; both processes have both, and each uses its own. */
static void open_pairs(struct qk_pair *silo, struct qk_pair *host)
{
    if (qk_pair_create(RING_BYTES, silo) < 0 ||
        qk_pair_attach(fcntl(silo->memory_fd, F_DUPFD_CLOEXEC, 3), fcntl(silo->bell_fd, F_DUPFD_CLOEXEC, 3), host) < 0)
        bench_fail("no pair of rings");
}

static void wait_a_little(unsigned *spins)
{
    if (++*spins % 1000 == 0)
        sched_yield();
    qk_cpu_pause();
}

static void put(struct qk_pair *pair, const void *bytes, size_t size)
{
    const struct qk_ring_piece piece = {bytes, size};
    unsigned spins = 0;
    while (qk_ring_put(&pair->out, 1, &piece, 1) < 0)
        wait_a_little(&spins);
    qk_ring_publish(&pair->out);
}

static void take(struct qk_pair *pair, void *to)
{
    uint32_t tag, size;
    unsigned spins = 0;
    while (qk_ring_next(&pair->in, &tag, &size) != 1)
        wait_a_little(&spins);
    qk_ring_copy(&pair->in, to, size);
    qk_ring_release(&pair->in);
}

void ring_round_trip(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    struct qk_pair silo, host;
    uint8_t bytes[QK_RING_RECORD_MAX] = {0};
    open_pairs(&silo, &host);
    pid_t child = start_child();
    while (child == 0) {
        take(&host, bytes);
        put(&host, bytes, w->size);
    }
    int64_t start = bench_now_ns();
    for (unsigned i = 0; i < ROUND_TRIPS; i++) {
        put(&silo, bytes, w->size);
        take(&silo, bytes);
    }
    ret_sample->value = (double)(bench_now_ns() - start) / ROUND_TRIPS;
    end_child(child);
    qk_pair_finish(&host);
    qk_pair_finish(&silo);
}

void floor_ring_round_trip(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    (void)w;
    _Atomic uint64_t *line = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (line == MAP_FAILED)
        bench_fail("no memory");
    pid_t child = start_child();
    for (uint64_t i = 1; child == 0; i += 2) {
        unsigned spins = 0;
        while (atomic_load_explicit(line, memory_order_acquire) != i)
            wait_a_little(&spins);
        atomic_store_explicit(line, i + 1, memory_order_release);
    }
    int64_t start = bench_now_ns();
    for (uint64_t i = 0; i < ROUND_TRIPS; i++) {
        unsigned spins = 0;
        atomic_store_explicit(line, 2 * i + 1, memory_order_release);
        while (atomic_load_explicit(line, memory_order_acquire) != 2 * i + 2)
            wait_a_little(&spins);
    }
    ret_sample->value = (double)(bench_now_ns() - start) / ROUND_TRIPS;
    end_child(child);
    munmap((void *)line, 4096);
}

/* ---- one way */

static struct qk_channel *open_channel(struct qk_pair *pair)
{
    struct qk_channel *channel;
    const struct qk_channel_config config = {.pair = pair,
                                             .accepts = 1u << QK_PORT_READY,
                                             .questions_max = 1,
                                             .asked_max = 1,
                                             .waiting_max = 1u << 16,
                                             .waiting_bytes_max = 1u << 26};
    if (qk_channel_create(&config, &channel) < 0)
        bench_fail("out of memory");
    return channel;
}

/* Takes frames until there have been as many as there should; says so by a byte. */
static void count_frames(struct qk_pair *pair, int done)
{
    struct qk_channel *channel = open_channel(pair);
    unsigned spins = 0;
    for (uint64_t n = 0; n < FRAMES;) {
        struct qk_port_frame *chain;
        const char *text;
        int got = qk_channel_receive(channel, 256, &chain, &text);
        if (got < 0)
            _exit(1);
        if (got == 0)
            wait_a_little(&spins);
        n += (unsigned)got;
        while (chain != NULL) {
            struct qk_port_frame *next = chain->next;
            qk_port_frame_destroy(chain);
            chain = next;
        }
    }
    _exit(write(done, "", 1) == 1 ? 0 : 1);
}

void ring_frames(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    struct qk_pair silo, host;
    int done[2];
    char byte;
    open_pairs(&silo, &host);
    if (pipe(done) != 0)
        bench_fail("no pipe");
    pid_t child = start_child();
    if (child == 0)
        count_frames(&host, done[1]);
    struct qk_channel *channel = open_channel(&silo);
    int64_t start = bench_now_ns();
    unsigned spins = 0;
    for (uint64_t n = 0; n < FRAMES; n += 16) {
        struct qk_port_frame *chain = NULL, *refused;
        for (unsigned i = 0; i < 16; i++) {
            struct qk_port_frame *frame = qk_port_frame_create(w->size);
            if (frame == NULL)
                bench_fail("out of memory");
            frame->kind = QK_PORT_READY;
            frame->payload_len = w->size;
            memset(frame->bytes, 1, w->size);
            frame->next = chain;
            chain = frame;
        }
        qk_channel_send(channel, chain, &refused);
        while (qk_ring_unread(&silo.out) > RING_BYTES / 2)
            wait_a_little(&spins);
    }
    while (!qk_channel_is_idle(channel))
        qk_channel_flush(channel);
    if (read(done[0], &byte, 1) != 1)
        bench_fail("the reader has failed");
    ret_sample->value = FRAMES / ((double)(bench_now_ns() - start) / 1e9);
    waitpid(child, NULL, 0);
    close(done[0]);
    close(done[1]);
    qk_channel_destroy(channel);
    qk_pair_finish(&host);
    qk_pair_finish(&silo);
}

void floor_ring_frames(const struct bench_workload *w, struct bench_sample *ret_sample)
{
    struct qk_pair silo, host;
    uint8_t bytes[QK_RING_RECORD_MAX] = {0};
    size_t size = sizeof(struct qk_flat) + w->size;
    open_pairs(&silo, &host);
    pid_t child = start_child();
    if (child == 0) {
        for (uint64_t i = 0; i < FRAMES; i++)
            take(&host, bytes);
        put(&host, bytes, 1);
        for (;;)
            pause();
    }
    int64_t start = bench_now_ns();
    for (uint64_t i = 0; i < FRAMES; i++)
        put(&silo, bytes, size);
    take(&silo, bytes);
    ret_sample->value = FRAMES / ((double)(bench_now_ns() - start) / 1e9);
    end_child(child);
    qk_pair_finish(&host);
    qk_pair_finish(&silo);
}
