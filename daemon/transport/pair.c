/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making, mapping and waking: what a pair of rings needs of the kernel. */
#include "transport/pair.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <quark/status.h>
#include "base/limits.h"

#define MAGIC   UINT64_C(0x315b736b72617571) /* says what it is, and changes with every change of the layout */
#define SEALS   (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define ROUND   4096
#define AT_BODY ROUND

/* At the beginning. */
struct front {
    uint64_t magic;
    uint64_t ring_bytes;
    uint64_t board_bytes; /* another sign of another build */
};

static size_t rounded(size_t n)
{
    return (n + ROUND - 1) & ~(size_t)(ROUND - 1);
}

static size_t whole_size(size_t ring_bytes)
{
    return AT_BODY + rounded(sizeof(struct qk_board)) + 2 * rounded(qk_ring_size(ring_bytes));
}

/* Lays the parts out. Both sides reckon for themselves: what stands in the memory is not asked again. */
static void lay_out(struct qk_pair *pair)
{
    uint8_t *at = (uint8_t *)pair->memory + AT_BODY;
    pair->board = (struct qk_board *)at;
    at += rounded(sizeof(struct qk_board));
    struct qk_ring_head *to_host = (struct qk_ring_head *)at;
    struct qk_ring_head *to_silo = (struct qk_ring_head *)(at + rounded(qk_ring_size(pair->ring_bytes)));
    pair->out_shared = pair->is_host ? to_silo : to_host;
    qk_ring_writer_init(&pair->out, pair->out_shared, pair->ring_bytes);
    qk_ring_reader_init(&pair->in, pair->is_host ? to_host : to_silo, pair->ring_bytes);
}

int qk_pair_create(size_t ring_bytes, struct qk_pair *ret_pair)
{
    struct qk_pair pair = {.ring_bytes = ring_bytes, .size = whole_size(ring_bytes), .memory_fd = -1, .bell_fd = -1};
    pair.memory = MAP_FAILED;
    pair.memory_fd = memfd_create("quark-host", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (pair.memory_fd >= 0 && ftruncate(pair.memory_fd, (off_t)pair.size) == 0 &&
        fcntl(pair.memory_fd, F_ADD_SEALS, SEALS) == 0)
        pair.memory = mmap(NULL, pair.size, PROT_READ | PROT_WRITE, MAP_SHARED, pair.memory_fd, 0);
    if (pair.memory != MAP_FAILED)
        pair.bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pair.bell_fd < 0) {
        int rc = -errno;
        qk_pair_finish(&pair);
        return rc;
    }
    *(struct front *)pair.memory = (struct front){MAGIC, ring_bytes, sizeof(struct qk_board)};
    lay_out(&pair);
    *ret_pair = pair;
    return 0;
}

int qk_pair_attach(int memory_fd, int bell_fd, struct qk_pair *ret_pair)
{
    struct stat st;
    struct front front;
    if (fstat(memory_fd, &st) < 0)
        return -errno;
    if (pread(memory_fd, &front, sizeof(front), 0) != (ssize_t)sizeof(front))
        return QK_EINVALID;
    if (front.magic != MAGIC || front.board_bytes != sizeof(struct qk_board))
        return QK_EVERSION;
    if (front.ring_bytes < QK_RING_BYTES_MIN || front.ring_bytes > QK_RING_BYTES_MAX ||
        (front.ring_bytes & (front.ring_bytes - 1)) != 0 || (size_t)st.st_size != whole_size(front.ring_bytes))
        return QK_EINVALID;
    struct qk_pair pair = {.is_host = true,
                           .ring_bytes = front.ring_bytes,
                           .size = whole_size(front.ring_bytes),
                           .memory_fd = memory_fd,
                           .bell_fd = bell_fd};
    pair.memory = mmap(NULL, pair.size, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
    if (pair.memory == MAP_FAILED)
        return -errno;
    lay_out(&pair);
    *ret_pair = pair;
    return 0;
}

void qk_pair_finish(struct qk_pair *pair)
{
    if (pair->size == 0)
        return;
    if (pair->memory != MAP_FAILED)
        munmap(pair->memory, pair->size);
    if (pair->memory_fd >= 0)
        close(pair->memory_fd);
    if (pair->bell_fd >= 0)
        close(pair->bell_fd);
    memset(pair, 0, sizeof(*pair));
}

/* ---- bells */

static void wake_word(_Atomic uint32_t *word)
{
    atomic_store_explicit(word, 0, memory_order_relaxed);
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void qk_pair_wake(struct qk_pair *pair)
{
    uint64_t one = 1;
    if (!pair->is_host)
        wake_word(&pair->out_shared->sleeping);
    else if (write(pair->bell_fd, &one, sizeof(one)) < 0)
        return; /* the silo never takes the count down: full or not, it is as awake as it will be */
}

void qk_pair_wait(struct qk_pair *pair, int64_t timeout_ns)
{
    if (!qk_ring_doze(&pair->in))
        return;
    struct timespec ts = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    /* Who wakes after this look changes the word, and the call returns at once. */
    if (!atomic_exchange(&pair->woken, false))
        syscall(SYS_futex, &pair->in.shared->sleeping, FUTEX_WAIT, 1, timeout_ns < 0 ? NULL : &ts, NULL, 0);
    qk_ring_rouse(&pair->in);
}

void qk_pair_wake_self(struct qk_pair *pair)
{
    atomic_store(&pair->woken, true);
    wake_word(&pair->in.shared->sleeping);
}
