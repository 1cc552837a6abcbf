/* SPDX-License-Identifier: Apache-2.0 */
/* The bank in a test silo: what accounts refuse, what transfers do when they are run twice or were cut short, and that
 * a crowd of them keeps the total. */
#include "bank.quark-test.h"
#include "crowd.quark-test.h"

#include <check.h>
#include <stdio.h>

static struct qk_test *silo;

static void setup(void)
{
    silo = qk_test_create(&bank_plugin);
    ck_assert_ptr_nonnull(silo);
    ck_assert_int_eq(qk_test_add_plugin(silo, &crowd_plugin), 0);
}

static void teardown(void)
{
    ck_assert_int_eq(qk_test_destroy(silo), 0);
}

typedef int (*amount_fn)(struct qk_test *test, struct qk_ref to, const Bank__Amount *req, Bank__Balance **ret_rep);
typedef int (*part_fn)(struct qk_test *test, struct qk_ref to, const Bank__Part *req, Bank__None **ret_rep);

static int with_amount(amount_fn fn, const char *account, int64_t cents)
{
    Bank__Amount req = BANK__AMOUNT__INIT;
    req.cents = cents;
    return fn(silo, qk_ref(account), &req, NULL);
}

static int with_part(part_fn fn, const char *account, const char *transfer, int64_t cents)
{
    Bank__Part req = BANK__PART__INIT;
    req.transfer = (char *)transfer;
    req.cents = cents;
    return fn(silo, qk_ref(account), &req, NULL);
}

static int run(const char *transfer, const char *from, const char *to, int64_t cents, bool *ret_again)
{
    Bank__Order req = BANK__ORDER__INIT;
    req.from = (char *)from;
    req.to = (char *)to;
    req.cents = cents;
    Bank__Outcome *rep = NULL;
    int rc = transfer_run_test_ask(silo, qk_ref(transfer), &req, &rep);
    if (rc >= 0) {
        *ret_again = rep->again;
        bank__outcome__free_unpacked(rep, NULL);
    }
    return rc;
}

static void expect(const char *account, int64_t cents, int64_t held)
{
    Bank__None req = BANK__NONE__INIT;
    Bank__Balance *rep = NULL;
    ck_assert_int_eq(account_get_test_ask(silo, qk_ref(account), &req, &rep), 0);
    ck_assert_int_eq(rep->cents, cents);
    ck_assert_int_eq(rep->held, held);
    bank__balance__free_unpacked(rep, NULL);
}

START_TEST(test_bank_account_refuses_what_makes_no_sense)
{
    ck_assert_int_eq(with_amount(account_deposit_test_ask, "a", 1), QK_APP(BANK__PROBLEM__NOT_OPEN));
    ck_assert_str_eq(qk_test_error(silo), "account a is not open");
    ck_assert_int_eq(with_amount(account_open_test_ask, "a", -1), QK_APP(BANK__PROBLEM__BAD_AMOUNT));
    ck_assert_int_eq(with_amount(account_open_test_ask, "a", 100), 0);
    ck_assert_int_eq(with_amount(account_open_test_ask, "a", 100), QK_APP(BANK__PROBLEM__ALREADY_OPEN));
    ck_assert_int_eq(with_amount(account_deposit_test_ask, "a", 0), QK_APP(BANK__PROBLEM__BAD_AMOUNT));
    ck_assert_int_eq(with_amount(account_deposit_test_ask, "a", INT64_MAX), QK_APP(BANK__PROBLEM__BAD_AMOUNT));
    ck_assert_int_eq(with_amount(account_deposit_test_ask, "a", INT64_MAX / 4), QK_APP(BANK__PROBLEM__BAD_AMOUNT));
    ck_assert_int_eq(with_amount(account_withdraw_test_ask, "a", 101), QK_APP(BANK__PROBLEM__TOO_LITTLE_MONEY));
    ck_assert_str_eq(qk_test_error(silo), "account a has 100 of 101 cents");
    ck_assert_int_eq(with_amount(account_withdraw_test_ask, "a", 100), 0);
    expect("a", 0, 0);
}
END_TEST

START_TEST(test_bank_transfer_moves_money_once)
{
    bool again;
    ck_assert_int_eq(with_amount(account_open_test_ask, "a", 100), 0);
    ck_assert_int_eq(with_amount(account_open_test_ask, "b", 0), 0);
    ck_assert_int_eq(run("t1", "a", "b", 60, &again), 0);
    ck_assert(!again);
    ck_assert_int_eq(run("t1", "a", "b", 60, &again), 0);
    ck_assert(again);
    expect("a", 40, 0);
    expect("b", 60, 0);
    ck_assert_int_eq(run("t1", "a", "b", 61, &again), QK_APP(BANK__PROBLEM__OTHER_ORDER));
    ck_assert_int_eq(run("t2", "a", "a", 1, &again), QK_APP(BANK__PROBLEM__OTHER_ORDER));
    Bank__Order req = BANK__ORDER__INIT;
    ck_assert_int_eq(transfer_run_test_ask(silo, qk_ref_bytes("t1\0x", 4), &req, NULL), QK_EINVALID);
}
END_TEST

START_TEST(test_bank_refused_transfer_moves_nothing)
{
    bool again;
    ck_assert_int_eq(with_amount(account_open_test_ask, "a", 100), 0);
    ck_assert_int_eq(run("poor", "a", "b", 101, &again), QK_APP(BANK__PROBLEM__TOO_LITTLE_MONEY));
    expect("a", 100, 0);
    ck_assert_int_eq(run("nobody", "a", "b", 60, &again), QK_APP(BANK__PROBLEM__NOT_OPEN));
    ck_assert_str_eq(qk_test_error(silo), "account b is not open");
    expect("a", 100, 0);
    /* What was refused stays refused, for whoever asks again must not be surprised. */
    ck_assert_int_eq(with_amount(account_open_test_ask, "b", 0), 0);
    ck_assert_int_eq(run("nobody", "a", "b", 60, &again), QK_APP(BANK__PROBLEM__NOT_OPEN));
    expect("a", 100, 0);
}
END_TEST

/* A run that was cut short behind any of its steps: what the accounts have done is not done again. */
START_TEST(test_bank_transfer_goes_on_where_it_was)
{
    bool again;
    ck_assert_int_eq(with_amount(account_open_test_ask, "a", 100), 0);
    ck_assert_int_eq(with_amount(account_open_test_ask, "b", 0), 0);
    ck_assert_int_eq(with_part(account_hold_test_ask, "a", "t", 60), 0);
    expect("a", 40, 60);
    if (_i > 0)
        ck_assert_int_eq(with_part(account_accept_test_ask, "b", "t", 60), 0);
    ck_assert_int_eq(run("t", "a", "b", 60, &again), 0);
    expect("a", 40, 0);
    expect("b", 60, 0);
}
END_TEST

START_TEST(test_bank_account_does_each_part_once)
{
    ck_assert_int_eq(with_amount(account_open_test_ask, "a", 100), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(with_part(account_hold_test_ask, "a", "t", 60), 0);
        ck_assert_int_eq(with_part(account_accept_test_ask, "a", "u", 5), 0);
        expect("a", 45, 60);
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(with_part(account_release_test_ask, "a", "t", 60), 0);
        expect("a", 105, 0);
    }
    ck_assert_int_eq(with_part(account_hold_test_ask, "a", "v", 5), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(with_part(account_settle_test_ask, "a", "v", 5), 0);
        ck_assert_int_eq(with_part(account_settle_test_ask, "a", "u", 5), 0);
        expect("a", 100, 0);
    }
}
END_TEST

/* ---- what is stored */

/* Everything in memory goes, as when the silo is killed; only what is stored is left. */
static void forget(const char *transfer)
{
    qk_test_deactivate(silo, &account_type, qk_ref("a"));
    qk_test_deactivate(silo, &account_type, qk_ref("b"));
    qk_test_deactivate(silo, &transfer_type, qk_ref(transfer));
}

START_TEST(test_bank_is_stored)
{
    bool again;
    ck_assert_int_eq(with_amount(account_open_test_ask, "a", 100), 0);
    ck_assert_int_eq(with_amount(account_open_test_ask, "b", 1), 0);
    ck_assert_int_eq(with_amount(account_deposit_test_ask, "a", 20), 0);
    ck_assert_int_eq(with_amount(account_withdraw_test_ask, "a", 10), 0);
    ck_assert_int_eq(run("t", "a", "b", 60, &again), 0);
    ck_assert_int_eq(run("poor", "a", "b", 60, &again), QK_APP(BANK__PROBLEM__TOO_LITTLE_MONEY));
    forget("t");
    forget("poor");
    expect("a", 50, 0);
    expect("b", 61, 0);
    ck_assert_int_eq(run("t", "a", "b", 60, &again), 0);
    ck_assert(again);
    ck_assert_int_eq(with_amount(account_deposit_test_ask, "a", 100), 0);
    ck_assert_int_eq(run("poor", "a", "b", 60, &again), QK_APP(BANK__PROBLEM__TOO_LITTLE_MONEY));
    ck_assert_str_eq(qk_test_error(silo), "account a has 50 of 60 cents");
    ck_assert_int_eq(run("t", "a", "b", 61, &again), QK_APP(BANK__PROBLEM__OTHER_ORDER));
    expect("a", 150, 0);
    expect("b", 61, 0);
}
END_TEST

static void open_both(bool to_is_open)
{
    ck_assert_int_eq(with_amount(account_open_test_ask, "a", 100), 0);
    if (to_is_open)
        ck_assert_int_eq(with_amount(account_open_test_ask, "b", 0), 0);
}

/* The store has failed during a run that came back with `rc`. */
static void run_again(int rc, bool to_is_open)
{
    int want = to_is_open ? 0 : QK_APP(BANK__PROBLEM__NOT_OPEN);
    bool again;
    if (rc != want) {
        ck_assert_msg(rc < 0 && !qk_is_app(rc), "%d: %s", rc, qk_test_error(silo));
        ck_assert_int_eq(run("t", "a", "b", 60, &again), want);
    }
    expect("a", to_is_open ? 40 : 100, 0);
    if (to_is_open)
        expect("b", 60, 0);
    Bank__AccountState *stored;
    ck_assert_int_eq(account_test_stored(silo, qk_ref("a"), &stored), 0);
    ck_assert_uint_eq(stored->n_in + stored->n_out, 0);
    bank__account_state__free_unpacked(stored, NULL);
}

/* Each operation on the store fails in turn: before it is done, or behind it, so that only the answer is lost. Then the
 * silo is killed, or goes on with what is in memory. */
START_TEST(test_bank_transfer_survives_any_failure_of_the_store)
{
    bool to_is_open = (_i & 1) != 0, done = (_i & 2) != 0, killed = (_i & 4) != 0, again;
    open_both(to_is_open);
    uint64_t before = qk_test_store_operations(silo);
    run("t", "a", "b", 60, &again);
    uint64_t operations = qk_test_store_operations(silo) - before;
    ck_assert_uint_ge(operations, 5);
    for (uint64_t i = 0; i < operations; i++) {
        teardown();
        setup();
        open_both(to_is_open);
        qk_test_store_fail(silo, i, 1, QK_EUNAVAILABLE, done);
        int rc = run("t", "a", "b", 60, &again);
        if (killed)
            forget("t");
        run_again(rc, to_is_open);
    }
}
END_TEST

START_TEST(test_bank_account_bounds_what_it_remembers)
{
    enum { PARTS = 2048 };
    char key[16];
    ck_assert_int_eq(with_amount(account_open_test_ask, "a", 2 * PARTS), 0);
    for (int i = 0; i < PARTS; i++) {
        snprintf(key, sizeof(key), "t%d", i);
        ck_assert_int_eq(with_part(account_hold_test_ask, "a", key, 1), 0);
    }
    ck_assert_int_eq(with_part(account_hold_test_ask, "a", "more", 1), QK_EOVERLOADED);
    ck_assert_str_eq(qk_test_error(silo), "account a has 2048 transfers under way");
    ck_assert_int_eq(with_part(account_hold_test_ask, "a", "t7", 1), 0);
    expect("a", PARTS, PARTS);
    ck_assert_int_eq(with_part(account_settle_test_ask, "a", "t7", 1), 0);
    ck_assert_int_eq(with_part(account_hold_test_ask, "a", "more", 1), 0);
}
END_TEST

/* The crowd begins all transfers in one turn, so that they run among one another; accounts pay in circles. */
START_TEST(test_bank_crowd_keeps_the_total)
{
    enum { ACCOUNTS = 5, EACH = 1000, TRANSFERS = 2000 };
    char key[16];
    for (int i = 0; i < ACCOUNTS; i++) {
        snprintf(key, sizeof(key), "a%d", i);
        ck_assert_int_eq(with_amount(account_open_test_ask, key, EACH), 0);
    }
    Crowd__RushRequest req = CROWD__RUSH_REQUEST__INIT;
    Crowd__RushReply *rep = NULL;
    req.accounts = ACCOUNTS;
    req.transfers = TRANSFERS;
    ck_assert_msg(crowd_rush_test_ask(silo, qk_ref("c"), &req, &rep) == 0, "%s", qk_test_error(silo));
    ck_assert_uint_eq(rep->done + rep->refused, TRANSFERS);
    ck_assert_uint_gt(rep->done, 0);
    ck_assert_uint_gt(rep->refused, 0);
    crowd__rush_reply__free_unpacked(rep, NULL);
    int64_t total = 0;
    for (int i = 0; i < ACCOUNTS; i++) {
        snprintf(key, sizeof(key), "a%d", i);
        Bank__None none = BANK__NONE__INIT;
        Bank__Balance *balance = NULL;
        ck_assert_int_eq(account_get_test_ask(silo, qk_ref(key), &none, &balance), 0);
        ck_assert_int_eq(balance->held, 0);
        ck_assert_int_ge(balance->cents, 0);
        total += balance->cents;
        bank__balance__free_unpacked(balance, NULL);
    }
    ck_assert_int_eq(total, ACCOUNTS * EACH);
}
END_TEST

/* ---- the crowd */

/* Transfer `i`: amounts large enough that some accounts run dry. */
static int begin(qk_turn *t, uint32_t i, uint32_t accounts, struct transfer_run_pending *pending)
{
    char key[16], from[16], to[16];
    Bank__Order order = BANK__ORDER__INIT;
    uint32_t mixed = i * 2654435761u >> 8;
    snprintf(key, sizeof(key), "t%u", i);
    snprintf(from, sizeof(from), "a%u", mixed % accounts);
    snprintf(to, sizeof(to), "a%u", (mixed % accounts + 1 + mixed / accounts % (accounts - 1)) % accounts);
    order.from = from;
    order.to = to;
    order.cents = 1 + mixed % 700;
    return transfer_run_begin(t, qk_ref(key), &order, pending);
}

int crowd_rush(qk_turn *t, const Crowd__RushRequest *req, Crowd__RushReply *rep)
{
    struct transfer_run_pending *pending = qk_alloc(t, req->transfers * sizeof(*pending));
    if (pending == NULL)
        return QK_ENOMEMORY;
    for (uint32_t i = 0; i < req->transfers; i++) {
        int rc = begin(t, i, req->accounts, &pending[i]);
        if (rc < 0)
            return rc;
    }
    for (uint32_t i = 0; i < req->transfers; i++) {
        int rc = transfer_run_await(t, pending[i], NULL);
        if (rc == 0)
            rep->done++;
        else if (rc == QK_APP(BANK__PROBLEM__TOO_LITTLE_MONEY))
            rep->refused++;
        else
            return qk_fail(t, rc, "transfer %u: %s", i, qk_error(t));
    }
    return 0;
}

int main(void)
{
    Suite *suite = suite_create("bank");
    TCase *tc = tcase_create("bank");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_bank_account_refuses_what_makes_no_sense);
    tcase_add_test(tc, test_bank_transfer_moves_money_once);
    tcase_add_test(tc, test_bank_refused_transfer_moves_nothing);
    tcase_add_loop_test(tc, test_bank_transfer_goes_on_where_it_was, 0, 2);
    tcase_add_test(tc, test_bank_account_does_each_part_once);
    tcase_add_test(tc, test_bank_is_stored);
    tcase_add_loop_test(tc, test_bank_transfer_survives_any_failure_of_the_store, 0, 8);
    tcase_add_test(tc, test_bank_account_bounds_what_it_remembers);
    tcase_add_test(tc, test_bank_crowd_keeps_the_total);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
