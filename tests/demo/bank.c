/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Moves money between accounts from several connections at once, and counts it before and after.
 *
 * A transfer that may or may not have run (its time ran out, or the silo was killed) is simply run again under the same
 * key: the actor does it once.
 */
#include "demo.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bank.quark-client.h"

#define IN_FLIGHT     64
#define TRIES_MAX     10
#define PATIENCE_S    20 /* for a silo that is away */
#define OPENING_CENTS 100000
#define CENTS_MAX     20000 /* of a transfer: large enough that some accounts run dry */

struct teller;

/* One transfer at a time, one after the other. */
struct lane {
    struct teller *teller;
    Bank__Order order;
    unsigned tries;
    bool parked; /* to be run again */
    char key[32];
    char from[16];
    char to[16];
};

/* A connection and what it has to do. */
struct teller {
    pthread_t thread;
    unsigned number;
    unsigned accounts;
    size_t left;
    size_t started;
    uint64_t seed;
    struct qk_client *client;
    struct lane lanes[IN_FLIGHT];
    size_t refused; /* for want of money */
    size_t again;
    size_t moved_before; /* of those: by the run whose outcome got lost */
    size_t parked;
    int status; /* of the first that failed for another reason */
    char reason[256];
};

static atomic_size_t done;
static atomic_uint at_work;

static uint64_t draw(struct teller *teller, uint64_t below)
{
    teller->seed = teller->seed * 6364136223846793005ull + 1442695040888963407ull;
    return (teller->seed >> 33) % below;
}

static void on_reply(void *arg, const struct qk_reply *reply);

static void give_up(struct teller *teller, int status, const char *reason)
{
    if (teller->status != 0)
        return;
    teller->status = status;
    snprintf(teller->reason, sizeof(teller->reason), "%s", reason);
}

/* The lane's transfer has failed in a way that does not say whether it ran: it is to be run again, but not from inside
 * a callback, for that may not wait until there is a silo again. */
static void park(struct lane *lane, int status, const char *reason)
{
    struct teller *teller = lane->teller;
    if (++lane->tries >= TRIES_MAX) {
        give_up(teller, status, reason);
        return;
    }
    lane->parked = true;
    teller->parked++;
    teller->again++;
}

static void run(struct lane *lane)
{
    struct teller *teller = lane->teller;
    int rc = transfer_run_ask_begin(teller->client, qk_ref(lane->key), &lane->order, on_reply, lane);
    if (rc < 0)
        park(lane, rc, qk_client_error(teller->client));
}

static void run_next(struct lane *lane)
{
    struct teller *teller = lane->teller;
    if (teller->left == 0 || teller->status != 0)
        return;
    teller->left--;
    uint64_t from = draw(teller, teller->accounts);
    uint64_t to = (from + 1 + draw(teller, teller->accounts - 1)) % teller->accounts;
    snprintf(lane->key, sizeof(lane->key), "%u-%zu", teller->number, teller->started++);
    snprintf(lane->from, sizeof(lane->from), "%" PRIu64, from);
    snprintf(lane->to, sizeof(lane->to), "%" PRIu64, to);
    lane->order.from = lane->from;
    lane->order.to = lane->to;
    lane->order.cents = (int64_t)draw(teller, CENTS_MAX) + 1;
    lane->tries = 0;
    run(lane);
}

static void on_reply(void *arg, const struct qk_reply *reply)
{
    struct lane *lane = arg;
    struct teller *teller = lane->teller;
    bool refused = reply->status == QK_APP(BANK__PROBLEM__TOO_LITTLE_MONEY);
    if (reply->status < 0 && !qk_is_app(reply->status)) {
        park(lane, reply->status, reply->text);
        return;
    }
    if (reply->status < 0 && !refused)
        give_up(teller, reply->status, reply->text);
    if (reply->status >= 0 && lane->tries > 0) {
        Bank__Outcome *outcome = transfer_run_ask_reply(reply);
        teller->moved_before += outcome != NULL && outcome->again;
        bank__outcome__free_unpacked(outcome, NULL);
    }
    teller->refused += refused;
    atomic_fetch_add(&done, 1);
    run_next(lane);
}

/* Runs the parked transfers again, once there is a silo. */
static void run_parked(struct teller *teller)
{
    int rc = demo_reconnect(teller->client, PATIENCE_S);
    if (rc < 0)
        give_up(teller, rc, qk_client_error(teller->client));
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        struct lane *lane = &teller->lanes[i];
        if (!lane->parked)
            continue;
        lane->parked = false;
        teller->parked--;
        if (teller->status == 0)
            run(lane);
    }
}

static void *work(void *arg)
{
    struct teller *teller = arg;
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        teller->lanes[i].teller = teller;
        bank__order__init(&teller->lanes[i].order);
        run_next(&teller->lanes[i]);
    }
    /* Polling goes on after an error of the connection: the calls that it ended begin again. */
    while (qk_client_in_flight(teller->client) != 0 || teller->parked != 0) {
        if (teller->parked != 0)
            run_parked(teller);
        else
            qk_client_poll(teller->client, -1);
    }
    atomic_fetch_sub(&at_work, 1);
    return NULL;
}

static int open_accounts(struct qk_client *client, unsigned accounts)
{
    Bank__Amount amount = BANK__AMOUNT__INIT;
    amount.cents = OPENING_CENTS;
    for (unsigned i = 0; i < accounts; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        int rc = account_open_ask(client, qk_ref(key), &amount, NULL);
        if (rc < 0)
            return demo_fail(rc, "%s", qk_client_error(client));
    }
    return 0;
}

static int check_money(struct qk_client *client, unsigned accounts)
{
    int64_t cents = 0, held = 0;
    int failed = 0;
    const Bank__None nothing = BANK__NONE__INIT;
    for (unsigned i = 0; i < accounts; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        Bank__Balance *balance;
        int rc = account_get_ask(client, qk_ref(key), &nothing, &balance);
        if (rc < 0)
            return demo_fail(rc, "%s", qk_client_error(client));
        if (balance->cents < 0)
            failed = demo_fail(0, "account %s has %" PRId64 " cents", key, balance->cents);
        cents += balance->cents;
        held += balance->held;
        bank__balance__free_unpacked(balance, NULL);
    }
    int64_t before = (int64_t)accounts * OPENING_CENTS;
    if (held != 0)
        return demo_fail(0, "%" PRId64 " cents are still set aside, although no transfer is under way", held);
    if (cents != before)
        return demo_fail(0, "there are %" PRId64 " cents, there were %" PRId64 ": money was %s", cents, before,
                         cents > before ? "made" : "lost");
    printf("  %u accounts hold %" PRId64 " cents, as before: no money was made or lost\n", accounts, cents);
    return failed;
}

/* Tells whoever waits for the file that half of the transfers are done. */
static int tell_half(const char *path)
{
    FILE *f = fopen(path, "w");
    if (f == NULL || fprintf(f, "%zu\n", atomic_load(&done)) < 0)
        demo_fail(0, "can't write %s: %m", path);
    return f == NULL || fclose(f) != 0;
}

/* Starts every teller and shows their progress until the last is done. */
static int run_tellers(struct teller *tellers, unsigned clients, size_t transfers, unsigned accounts, const char *half)
{
    bool told = half == NULL;
    int failed = 0;
    unsigned started = 0;
    atomic_store(&at_work, clients);
    for (; started < clients; started++) {
        struct teller *teller = &tellers[started];
        teller->number = started;
        teller->accounts = accounts;
        teller->seed = started + 1;
        teller->left = transfers / clients + (started < transfers % clients);
        teller->client = demo_connect();
        if (teller->client == NULL || pthread_create(&teller->thread, NULL, work, teller) != 0)
            break;
    }
    atomic_fetch_sub(&at_work, clients - started);
    while (atomic_load(&at_work) != 0) {
        demo_progress("transfers", atomic_load(&done), transfers);
        if (!told && atomic_load(&done) >= transfers / 2) {
            failed = tell_half(half);
            told = true;
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(tellers[i].thread, NULL);
    if (started != clients)
        return demo_fail(0, "only %u of %u connections could be made", started, clients);
    demo_progress("transfers", atomic_load(&done), transfers);
    return failed;
}

int demo_bank(unsigned clients, size_t transfers, unsigned accounts, const char *half)
{
    struct teller *tellers = calloc(clients, sizeof(*tellers));
    struct qk_client *client = demo_connect();
    int failed = tellers == NULL || client == NULL || open_accounts(client, accounts);
    double start = demo_seconds();
    if (!failed)
        failed = run_tellers(tellers, clients, transfers, accounts, half);
    double seconds = demo_seconds() - start;
    size_t refused = 0, again = 0, moved_before = 0;
    for (unsigned i = 0; tellers != NULL && i < clients; i++) {
        refused += tellers[i].refused;
        again += tellers[i].again;
        moved_before += tellers[i].moved_before;
        if (tellers[i].status != 0)
            failed = demo_fail(tellers[i].status, "connection %u: %s", i, tellers[i].reason);
        qk_client_destroy(tellers[i].client);
    }
    if (!failed) {
        qk_client_destroy(client); /* the silo may have been another meanwhile */
        client = demo_connect();
        failed = client == NULL;
    }
    if (!failed) {
        printf("  %zu transfers from %u connections: %.0f a second; %zu refused for want of money, %zu run again\n",
               transfers, clients, (double)transfers / seconds, refused, again);
        if (again > 0)
            printf("  %zu of those that were run again had moved their money before\n", moved_before);
        failed = check_money(client, accounts);
    }
    qk_client_destroy(client);
    free(tellers);
    return failed;
}
