/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers of ledger: each checks, appends what is to happen, and answers with what has come of it. */
#include "ledger.quark.h"

#define STATEMENT_LINES 100

/* What each entry means. It must come to the same whenever it is run: no clock, no calls, no chance. */
int ledger_apply(Ledger__Account *self, const Ledger__Entry *event)
{
    switch (event->what_case) {
    case LEDGER__ENTRY__WHAT_DEPOSITED:
        self->cents += event->deposited->cents;
        return 0;
    case LEDGER__ENTRY__WHAT_WITHDRAWN:
        self->cents -= event->withdrawn->cents;
        return 0;
    case LEDGER__ENTRY__WHAT_CHARGED:
        self->cents -= event->charged->cents;
        self->fees_cents += event->charged->cents;
        return 0;
    default:
        return QK_EINVALID; /* written by a version that knows more than this one: better no balance than a wrong one */
    }
}

static int answer(qk_turn *t, const Ledger__Account *self, Ledger__BalanceReply *rep)
{
    rep->cents = self->cents;
    rep->fees_cents = self->fees_cents;
    rep->entries = ledger_position(t);
    return 0;
}

static int refuse(qk_turn *t, int rc)
{
    if (rc == QK_ECONFLICT)
        qk_deactivate(t); /* the next message finds what is stored */
    return qk_fail(t, rc, "nothing was entered: %s", qk_error(t));
}

int ledger_deposit(qk_turn *t, Ledger__Account *self, const Ledger__DepositRequest *req, Ledger__BalanceReply *rep)
{
    if (req->cents == 0 || req->cents > INT64_MAX - self->cents)
        return qk_fail(t, QK_APP(LEDGER__ERROR__AMOUNT), "that amount can't be deposited");
    Ledger__Deposited deposited = LEDGER__DEPOSITED__INIT;
    deposited.cents = req->cents;
    deposited.from = req->from;
    Ledger__Entry entry = LEDGER__ENTRY__INIT;
    entry.at_ms = qk_now_ms(t);
    entry.what_case = LEDGER__ENTRY__WHAT_DEPOSITED;
    entry.deposited = &deposited;
    int rc = ledger_append(t, self, &entry); /* durable, and in `self`, when it returns 0 */
    return rc < 0 ? refuse(t, rc) : answer(t, self, rep);
}

int ledger_withdraw(qk_turn *t, Ledger__Account *self, const Ledger__WithdrawRequest *req, Ledger__BalanceReply *rep)
{
    if (req->cents == 0)
        return qk_fail(t, QK_APP(LEDGER__ERROR__AMOUNT), "that amount can't be withdrawn");
    if (req->cents > self->cents || req->fee_cents > self->cents - req->cents)
        return qk_fail(t, QK_APP(LEDGER__ERROR__NOT_ENOUGH), "there are %llu cents", (unsigned long long)self->cents);
    Ledger__Withdrawn withdrawn = LEDGER__WITHDRAWN__INIT;
    Ledger__Charged charged = LEDGER__CHARGED__INIT;
    Ledger__Entry entries[2] = {LEDGER__ENTRY__INIT, LEDGER__ENTRY__INIT};
    withdrawn.cents = req->cents;
    charged.cents = req->fee_cents;
    entries[0].at_ms = entries[1].at_ms = qk_now_ms(t);
    entries[0].what_case = LEDGER__ENTRY__WHAT_WITHDRAWN;
    entries[0].withdrawn = &withdrawn;
    entries[1].what_case = LEDGER__ENTRY__WHAT_CHARGED;
    entries[1].charged = &charged;
    int rc = ledger_append_all(t, self, entries, req->fee_cents != 0 ? 2 : 1);
    return rc < 0 ? refuse(t, rc) : answer(t, self, rep);
}

int ledger_balance(qk_turn *t, Ledger__Account *self, const Ledger__BalanceRequest *req, Ledger__BalanceReply *rep)
{
    (void)req;
    return answer(t, self, rep);
}

/* ---- the statement: read from the journal, not from the state */

struct statement {
    qk_turn *turn;
    uint32_t limit;
    Ledger__StatementReply *rep;
};

/* What a line says of an entry. The event goes when the next is read, so what stays is copied. */
static int describe(qk_turn *t, const Ledger__Entry *event, Ledger__Line *line)
{
    line->at_ms = event->at_ms;
    switch (event->what_case) {
    case LEDGER__ENTRY__WHAT_DEPOSITED:
        line->cents = (int64_t)event->deposited->cents;
        line->what = qk_strdup(t, event->deposited->from);
        return line->what != NULL ? 0 : QK_ENOMEMORY;
    case LEDGER__ENTRY__WHAT_WITHDRAWN:
        line->cents = -(int64_t)event->withdrawn->cents;
        line->what = "withdrawn";
        return 0;
    case LEDGER__ENTRY__WHAT_CHARGED:
        line->cents = -(int64_t)event->charged->cents;
        line->what = "fee";
        return 0;
    default:
        return QK_EINVALID;
    }
}

static int add_line(void *arg, uint64_t position, const Ledger__Entry *event)
{
    struct statement *s = arg;
    if (s->rep->n_lines == s->limit)
        return 1; /* enough */
    Ledger__Line *line = qk_alloc(s->turn, sizeof(*line));
    if (line == NULL)
        return QK_ENOMEMORY;
    ledger__line__init(line);
    line->number = position;
    s->rep->lines[s->rep->n_lines++] = line;
    return describe(s->turn, event, line);
}

int ledger_statement(qk_turn *t, Ledger__Account *self, const Ledger__StatementRequest *req,
                     Ledger__StatementReply *rep)
{
    (void)self;
    struct statement s = {t, req->limit != 0 && req->limit < STATEMENT_LINES ? req->limit : STATEMENT_LINES, rep};
    rep->lines = qk_alloc(t, s.limit * sizeof(*rep->lines));
    if (rep->lines == NULL)
        return QK_ENOMEMORY;
    int rc = ledger_replay(t, req->from, add_line, &s);
    return rc < 0 ? qk_fail(t, rc, "%s", qk_error(t)) : 0;
}
