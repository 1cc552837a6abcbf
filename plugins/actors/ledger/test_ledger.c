/* SPDX-License-Identifier: Apache-2.0 */
/* Runs ledger in a test silo, looks into its journal, and takes its store away from it. */
#include "ledger.quark-test.h"

#include <check.h>
#include <stdlib.h>

static struct qk_test *silo;
static Ledger__BalanceReply last;

static void setup(void)
{
    silo = qk_test_create(&quark_plugin);
    ck_assert_ptr_nonnull(silo);
}

static void teardown(void)
{
    ck_assert_int_eq(qk_test_destroy(silo), 0);
}

static int keep(int rc, Ledger__BalanceReply *rep)
{
    if (rc >= 0) {
        last = *rep;
        ledger__balance_reply__free_unpacked(rep, NULL);
    }
    return rc;
}

static int deposit(uint64_t cents)
{
    Ledger__DepositRequest req = LEDGER__DEPOSIT_REQUEST__INIT;
    Ledger__BalanceReply *rep = NULL;
    req.cents = cents;
    req.from = "a friend";
    int rc = ledger_deposit_test_ask(silo, qk_ref("ann"), &req, &rep);
    return keep(rc, rep);
}

static int withdraw(uint64_t cents, uint64_t fee_cents)
{
    Ledger__WithdrawRequest req = LEDGER__WITHDRAW_REQUEST__INIT;
    Ledger__BalanceReply *rep = NULL;
    req.cents = cents;
    req.fee_cents = fee_cents;
    int rc = ledger_withdraw_test_ask(silo, qk_ref("ann"), &req, &rep);
    return keep(rc, rep);
}

static int balance(void)
{
    Ledger__BalanceRequest req = LEDGER__BALANCE_REQUEST__INIT;
    Ledger__BalanceReply *rep = NULL;
    int rc = ledger_balance_test_ask(silo, qk_ref("ann"), &req, &rep);
    return keep(rc, rep);
}

static Ledger__StatementReply *statement(uint64_t from, uint32_t limit)
{
    Ledger__StatementRequest req = LEDGER__STATEMENT_REQUEST__INIT;
    Ledger__StatementReply *rep = NULL;
    req.from = from;
    req.limit = limit;
    ck_assert_int_eq(ledger_statement_test_ask(silo, qk_ref("ann"), &req, &rep), 0);
    return rep;
}

static void forget(void)
{
    ck_assert_int_eq(qk_test_deactivate(silo, &ledger_type, qk_ref("ann")), 0);
}

START_TEST(test_ledger_entries_make_the_balance)
{
    ck_assert_int_eq(deposit(1000), 0);
    ck_assert_int_eq(withdraw(300, 5), 0);
    ck_assert_uint_eq(last.cents, 695);
    ck_assert_uint_eq(last.fees_cents, 5);
    ck_assert_uint_eq(last.entries, 3);
    ck_assert_int_eq(withdraw(695, 1), QK_APP(LEDGER__ERROR__NOT_ENOUGH));
    ck_assert_str_eq(qk_test_error(silo), "there are 695 cents");
    ck_assert_int_eq(deposit(INT64_MAX), QK_APP(LEDGER__ERROR__AMOUNT));
    ck_assert_int_eq(deposit(0), QK_APP(LEDGER__ERROR__AMOUNT));
    forget();
    ck_assert_int_eq(balance(), 0);
    ck_assert_uint_eq(last.cents, 695);
    ck_assert_uint_eq(last.entries, 3);
    Ledger__Entry *entry;
    ck_assert_int_eq(ledger_test_event(silo, qk_ref("ann"), 3, &entry), 0);
    ck_assert_int_eq(entry->what_case, LEDGER__ENTRY__WHAT_CHARGED);
    ck_assert_uint_eq(entry->charged->cents, 5);
    ledger__entry__free_unpacked(entry, NULL);
}
END_TEST

START_TEST(test_ledger_statement_is_read_from_the_journal)
{
    for (uint64_t i = 1; i <= 400; i++)
        ck_assert_int_eq(deposit(i), 0);
    ck_assert_int_eq(withdraw(1, 1), 0);
    Ledger__StatementReply *rep = statement(0, 0);
    ck_assert_uint_eq(rep->n_lines, 100);
    ck_assert_uint_eq(rep->lines[0]->number, 1);
    ck_assert_str_eq(rep->lines[99]->what, "a friend");
    ledger__statement_reply__free_unpacked(rep, NULL);
    rep = statement(400, 3);
    ck_assert_uint_eq(rep->n_lines, 3);
    ck_assert_int_eq(rep->lines[0]->cents, 400);
    ck_assert_int_eq(rep->lines[1]->cents, -1);
    ck_assert_str_eq(rep->lines[2]->what, "fee");
    ck_assert_uint_eq(rep->lines[2]->number, 402);
    ledger__statement_reply__free_unpacked(rep, NULL);
    rep = statement(403, 0);
    ck_assert_uint_eq(rep->n_lines, 0);
    ledger__statement_reply__free_unpacked(rep, NULL);
}
END_TEST

START_TEST(test_ledger_gives_way_to_who_else_has_written)
{
    Ledger__Deposited deposited = LEDGER__DEPOSITED__INIT;
    Ledger__Entry entry = LEDGER__ENTRY__INIT;
    deposited.cents = 7;
    entry.what_case = LEDGER__ENTRY__WHAT_DEPOSITED;
    entry.deposited = &deposited;
    ck_assert_int_eq(deposit(1), 0);
    ck_assert_int_eq(ledger_test_append(silo, qk_ref("ann"), &entry), 0);
    ck_assert_int_eq(deposit(1), QK_ECONFLICT);
    ck_assert_int_eq(deposit(1), 0);
    ck_assert_uint_eq(last.cents, 9);
    ck_assert_uint_eq(last.entries, 3);
}
END_TEST

START_TEST(test_ledger_refuses_what_it_does_not_know)
{
    Ledger__Entry entry = LEDGER__ENTRY__INIT; /* of no kind */
    ck_assert_int_eq(deposit(1), 0);
    ck_assert_int_eq(ledger_test_append(silo, qk_ref("ann"), &entry), 0);
    forget();
    ck_assert_int_eq(balance(), QK_EACTIVATE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ledger");
    TCase *tc = tcase_create("ledger");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_ledger_entries_make_the_balance);
    tcase_add_test(tc, test_ledger_statement_is_read_from_the_journal);
    tcase_add_test(tc, test_ledger_gives_way_to_who_else_has_written);
    tcase_add_test(tc, test_ledger_refuses_what_it_does_not_know);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
