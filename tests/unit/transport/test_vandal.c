/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A host that writes anything anywhere at any time into the memory that it shares with the silo, in a process of its
 * own. Whatever it writes, the silo's side goes on or says that the rules were broken. */
#include <quark/status.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "two_sides.h"

static uint64_t step(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    return z ^ z >> 27;
}

/* Bytes that often look right: small numbers, kinds, sizes. */
static uint64_t likely(uint64_t *state)
{
    uint64_t r = step(state);
    switch (r % 6) {
    case 0:
        return r >> 8;
    case 1:
        return r >> 8 & 0xff;
    case 2:
        return (r >> 8 & 0xff) | (uint64_t)1 << 32; /* a record's head: size and tag */
    case 3:
        return (r >> 8 & 0x3fff) | (uint64_t)((r >> 40 & 3) + 1) << 32;
    case 4:
        return (r >> 8 & 15) | (r >> 16 & 0xff00);
    default:
        return 0;
    }
}

static _Noreturn void vandal_main(struct qk_pair *pair, uint64_t seed, _Atomic unsigned *blows)
{
    uint64_t *words = pair->memory;
    size_t n = pair->size / sizeof(*words);
    struct qk_ring_head *heads[] = {pair->out_shared, pair->in.shared};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        atomic_fetch_add(blows, 1);
        uint64_t r = step(&seed);
        struct qk_ring_head *head = heads[r & 1];
        switch (r >> 1 & 7) {
        case 0: /* a plausible index, or none */
            atomic_store(&head->tail, atomic_load(&head->head) + (likely(&seed) & 0xfff8));
            break;
        case 1:
            atomic_store(&head->head, atomic_load(&head->tail) - (likely(&seed) & 0xfff8));
            break;
        case 2:
            atomic_store(&head->tail, (r & 0x700) == 0 ? step(&seed) : atomic_load(&head->head));
            break;
        case 3:
            atomic_store(&head->sleeping, (uint32_t)likely(&seed));
            atomic_store(&head->starved, (uint32_t)likely(&seed));
            break;
        default:
            for (unsigned i = 0; i < 64; i++)
                words[step(&seed) % n] = likely(&seed);
        }
    }
}

#define PAIRS  60
#define ROUNDS 4000
#define BLOWS  4000

/* Uses the silo's side until the rules are broken, or for so many rounds and so many blows, however long the vandal
 * waits for a processor. */
static bool use(struct two_sides *t, _Atomic unsigned *blows, uint64_t *calls)
{
    for (unsigned i = 0; i < ROUNDS || atomic_load(blows) < BLOWS; i++) {
        struct qk_port_frame *chain, *refused;
        const char *text;
        qk_channel_send(t->silo, make_frame(QK_PORT_CALL, (void *)0x10, ++*calls, "k", i % 7 == 0 ? 20000 : 30),
                        &refused);
        if (refused != NULL)
            qk_port_frame_destroy(refused);
        int n = qk_channel_receive(t->silo, 16, &chain, &text);
        while (chain != NULL) {
            struct qk_port_frame *next = chain->next;
            ck_assert_uint_le(qk_port_frame_size(chain), chain->capacity);
            ck_assert_uint_ne(KINDS_TO_SILO & 1u << chain->kind, 0);
            /* What it asks is answered, so that the way back is used too. */
            if (qk_flat_is_question(chain->kind)) {
                chain->next = NULL;
                chain->kind = chain->kind == QK_PORT_STORE ? QK_PORT_STORED : QK_PORT_REPLY;
                chain->key_len = chain->sender_len = chain->chain_len = 0;
                qk_channel_send(t->silo, chain, &refused);
            } else {
                qk_port_frame_destroy(chain);
            }
            chain = next;
        }
        if (n < 0) {
            ck_assert_int_eq(n, QK_EPROTOCOL);
            return true;
        }
        if (qk_ring_doze(&t->silo_pair.in))
            qk_ring_rouse(&t->silo_pair.in);
    }
    return false;
}

START_TEST(test_vandal_does_no_harm)
{
    uint64_t seed = 1;
    unsigned broken = 0;
    _Atomic unsigned *blows = mmap(NULL, sizeof(*blows), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(blows, MAP_FAILED);
    for (unsigned i = 0; i < PAIRS; i++) {
        struct two_sides t;
        two_sides_open(&t, QK_RING_BYTES_MIN, 20, 20);
        atomic_store(blows, 0);
        pid_t vandal = fork();
        if (vandal == 0)
            vandal_main(&t.host_pair, seed, blows);
        uint64_t calls = 0;
        broken += use(&t, blows, &calls);
        kill(vandal, SIGKILL);
        waitpid(vandal, NULL, 0);
        /* However it went, each question is answered once. */
        unsigned left = qk_channel_pending(t.silo), answered = 0;
        struct qk_port_frame *chain = qk_channel_abandon(t.silo, QK_ECRASHED, "gone");
        while (chain != NULL) {
            struct qk_port_frame *next = chain->next;
            qk_port_frame_destroy(chain);
            chain = next;
            answered++;
        }
        ck_assert_uint_eq(answered, left);
        two_sides_close(&t);
        step(&seed);
    }
    munmap((void *)blows, sizeof(*blows));
    ck_assert_uint_gt(broken, PAIRS / 2); /* it was noticed */
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("vandal");
    TCase *tc = tcase_create("vandal");
    tcase_add_test(tc, test_vandal_does_no_harm);
    suite_add_tcase(s, tc);
    return s;
}

RUN_SUITE(suite)
