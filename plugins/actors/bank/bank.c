/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers of accounts and transfers; bank.proto says how they work together. */
#include "bank.quark.h"

#include <inttypes.h>

#define CENTS_MAX (INT64_MAX / 4) /* of a balance: sums of a few of them are in range */
#define PARTS_MAX 2048            /* transfers under way with one account as the payer, and likewise as the payee */

/* ---- parts: what an account remembers of transfers under way */

static Bank__Part *find_part(Bank__Part **parts, size_t n, const char *transfer)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(parts[i]->transfer, transfer) == 0)
            return parts[i];
    }
    return NULL;
}

/* Members of the state are made with malloc; they are freed with it when the activation ends. */
static int add_part(qk_turn *t, Bank__Part ***parts, size_t *n, const Bank__Part *from)
{
    if (*n >= PARTS_MAX)
        return qk_fail(t, QK_EOVERLOADED, "account %s has %d transfers under way", qk_self(t).key, PARTS_MAX);
    Bank__Part **more = realloc(*parts, (*n + 1) * sizeof(*more));
    if (more == NULL)
        return -ENOMEM;
    *parts = more;
    Bank__Part *part = malloc(sizeof(*part));
    if (part == NULL)
        return -ENOMEM;
    bank__part__init(part);
    if (qk_set_string(&part->transfer, from->transfer) < 0) {
        free(part);
        return -ENOMEM;
    }
    part->cents = from->cents;
    more[(*n)++] = part;
    return 0;
}

static void remove_part(Bank__Part **parts, size_t *n, Bank__Part *part)
{
    for (size_t i = 0; i < *n; i++) {
        if (parts[i] == part) {
            parts[i] = parts[--*n];
            bank__part__free_unpacked(part, NULL);
            return;
        }
    }
}

/* ---- accounts */

static int problem(qk_turn *t, Bank__Problem what, const char *why)
{
    return qk_fail(t, QK_APP((int)what), "account %s %s", qk_self(t).key, why);
}

/* An account answers for a change only once it is stored. Where that fails the activation ends: the next message finds
 * what is stored, and not a change that may be lost. */
static int keep(qk_turn *t, Bank__AccountState *self)
{
    int rc = account_save(t, self);
    if (rc == 0)
        return 0;
    qk_deactivate(t);
    return qk_fail(t, rc, "account %s could not be saved: %s", qk_self(t).key, qk_error(t));
}

/* Whether `cents` may be moved into or out of the account. */
static int check(qk_turn *t, const Bank__AccountState *self, int64_t cents)
{
    if (!self->open)
        return problem(t, BANK__PROBLEM__NOT_OPEN, "is not open");
    if (cents <= 0 || cents > CENTS_MAX)
        return problem(t, BANK__PROBLEM__BAD_AMOUNT, "moves amounts above 0 only");
    return 0;
}

/* The balance never passes CENTS_MAX, not even when all that is set aside comes back. */
static int check_in(qk_turn *t, const Bank__AccountState *self, int64_t cents)
{
    int rc = check(t, self, cents);
    if (rc == 0 && cents > CENTS_MAX - self->cents - self->held)
        return problem(t, BANK__PROBLEM__BAD_AMOUNT, "can't hold so much");
    return rc;
}

static int check_out(qk_turn *t, const Bank__AccountState *self, int64_t cents)
{
    int rc = check(t, self, cents);
    if (rc == 0 && cents > self->cents)
        return qk_fail(t, QK_APP(BANK__PROBLEM__TOO_LITTLE_MONEY), "account %s has %" PRId64 " of %" PRId64 " cents",
                       qk_self(t).key, self->cents, cents);
    return rc;
}

static int show(const Bank__AccountState *self, Bank__Balance *rep)
{
    rep->cents = self->cents;
    rep->held = self->held;
    return 0;
}

static int keep_and_show(qk_turn *t, Bank__AccountState *self, Bank__Balance *rep)
{
    int rc = keep(t, self);
    return rc < 0 ? rc : show(self, rep);
}

int account_open(qk_turn *t, Bank__AccountState *self, const Bank__Amount *req, Bank__Balance *rep)
{
    if (self->open)
        return problem(t, BANK__PROBLEM__ALREADY_OPEN, "is open already");
    if (req->cents < 0 || req->cents > CENTS_MAX)
        return problem(t, BANK__PROBLEM__BAD_AMOUNT, "can't be opened with that amount");
    self->open = true;
    self->cents = req->cents;
    return keep_and_show(t, self, rep);
}

int account_deposit(qk_turn *t, Bank__AccountState *self, const Bank__Amount *req, Bank__Balance *rep)
{
    int rc = check_in(t, self, req->cents);
    if (rc < 0)
        return rc;
    self->cents += req->cents;
    return keep_and_show(t, self, rep);
}

int account_withdraw(qk_turn *t, Bank__AccountState *self, const Bank__Amount *req, Bank__Balance *rep)
{
    int rc = check_out(t, self, req->cents);
    if (rc < 0)
        return rc;
    self->cents -= req->cents;
    return keep_and_show(t, self, rep);
}

int account_get(qk_turn *t, Bank__AccountState *self, const Bank__None *req, Bank__Balance *rep)
{
    (void)req;
    if (!self->open)
        return problem(t, BANK__PROBLEM__NOT_OPEN, "is not open");
    return show(self, rep);
}

int account_hold(qk_turn *t, Bank__AccountState *self, const Bank__Part *req, Bank__None *rep)
{
    (void)rep;
    if (find_part(self->out, self->n_out, req->transfer) != NULL)
        return 0;
    int rc = check_out(t, self, req->cents);
    if (rc == 0)
        rc = add_part(t, &self->out, &self->n_out, req);
    if (rc < 0)
        return rc;
    self->cents -= req->cents;
    self->held += req->cents;
    return keep(t, self);
}

int account_release(qk_turn *t, Bank__AccountState *self, const Bank__Part *req, Bank__None *rep)
{
    (void)rep;
    Bank__Part *part = find_part(self->out, self->n_out, req->transfer);
    if (part == NULL)
        return 0;
    self->cents += part->cents;
    self->held -= part->cents;
    remove_part(self->out, &self->n_out, part);
    return keep(t, self);
}

int account_accept(qk_turn *t, Bank__AccountState *self, const Bank__Part *req, Bank__None *rep)
{
    (void)rep;
    if (find_part(self->in, self->n_in, req->transfer) != NULL)
        return 0;
    int rc = check_in(t, self, req->cents);
    if (rc == 0)
        rc = add_part(t, &self->in, &self->n_in, req);
    if (rc < 0)
        return rc;
    self->cents += req->cents;
    return keep(t, self);
}

int account_settle(qk_turn *t, Bank__AccountState *self, const Bank__Part *req, Bank__None *rep)
{
    (void)rep;
    Bank__Part *out = find_part(self->out, self->n_out, req->transfer);
    if (out != NULL) {
        self->held -= out->cents;
        remove_part(self->out, &self->n_out, out);
    }
    Bank__Part *in = find_part(self->in, self->n_in, req->transfer);
    if (in != NULL)
        remove_part(self->in, &self->n_in, in);
    return out != NULL || in != NULL ? keep(t, self) : 0;
}

/* ---- transfers */

/* As keep() for accounts. */
static int note(qk_turn *t, Bank__TransferState *self)
{
    int rc = transfer_save(t, self);
    if (rc == 0)
        return 0;
    qk_deactivate(t);
    return qk_fail(t, rc, "transfer %s could not be saved: %s", qk_self(t).key, qk_error(t));
}

/* Keeps the order of the first run; a later run must bring the same. It is saved before the first account is asked, so
 * that no other order can follow what this one has begun. */
static int take_order(qk_turn *t, Bank__TransferState *self, const Bank__Order *order)
{
    if (self->order != NULL) {
        bool same = strcmp(self->order->from, order->from) == 0 && strcmp(self->order->to, order->to) == 0 &&
                    self->order->cents == order->cents;
        if (!same)
            return qk_fail(t, QK_APP(BANK__PROBLEM__OTHER_ORDER), "transfer %s has been run with another order",
                           qk_self(t).key);
        return 0;
    }
    if (strlen(qk_self(t).key) != qk_self(t).key_len)
        return qk_fail(t, QK_EINVALID, "the key of a transfer has no zero byte"); /* accounts know it as a string */
    if (*order->from == '\0' || *order->to == '\0' || strcmp(order->from, order->to) == 0)
        return qk_fail(t, QK_APP(BANK__PROBLEM__OTHER_ORDER), "a transfer needs two accounts: from and to");
    Bank__Order *copy = malloc(sizeof(*copy));
    if (copy == NULL)
        return -ENOMEM;
    bank__order__init(copy);
    copy->cents = order->cents;
    if (qk_set_string(&copy->from, order->from) < 0 || qk_set_string(&copy->to, order->to) < 0) {
        bank__order__free_unpacked(copy, NULL);
        return -ENOMEM;
    }
    self->order = copy;
    return note(t, self);
}

static int enter(qk_turn *t, Bank__TransferState *self, Bank__TransferState__Phase phase)
{
    self->phase = phase;
    return note(t, self);
}

/* Remembers why there will be no transfer. */
static int refuse(qk_turn *t, Bank__TransferState *self, int rc, Bank__TransferState__Phase phase)
{
    self->refusal = rc;
    qk_set_string(&self->reason, qk_error(t)); /* without memory the reason stays empty; the code says enough */
    return enter(t, self, phase);
}

/* Both sides forget the transfer, at the same time. */
static int settle(qk_turn *t, const Bank__Order *order, const Bank__Part *part)
{
    struct account_settle_pending from, to;
    int rc = account_settle_begin(t, qk_ref(order->from), part, &from);
    if (rc < 0)
        return rc;
    rc = account_settle_begin(t, qk_ref(order->to), part, &to);
    if (rc < 0)
        return rc; /* the call that has begun ends with the turn */
    rc = account_settle_await(t, from, NULL);
    int other = account_settle_await(t, to, NULL);
    return rc < 0 ? rc : other;
}

/* Takes the transfer as far as it goes. Between two phases anything may fail; the next run goes on from the last that
 * was saved. HELD, UNDONE after REFUSED, and DONE are not: what comes before them does no harm a second time. */
static int proceed(qk_turn *t, Bank__TransferState *self, const Bank__Part *part)
{
    const Bank__Order *order = self->order;
    int rc;
    if (self->phase == BANK__TRANSFER_STATE__PHASE__NEW) {
        rc = account_hold_call(t, qk_ref(order->from), part, NULL);
        if (qk_is_app(rc))
            return refuse(t, self, rc, BANK__TRANSFER_STATE__PHASE__UNDONE);
        if (rc < 0)
            return rc;
        self->phase = BANK__TRANSFER_STATE__PHASE__HELD;
    }
    if (self->phase == BANK__TRANSFER_STATE__PHASE__HELD) {
        rc = account_accept_call(t, qk_ref(order->to), part, NULL);
        if (qk_is_app(rc))
            rc = refuse(t, self, rc, BANK__TRANSFER_STATE__PHASE__REFUSED);
        else if (rc >= 0)
            rc = enter(t, self, BANK__TRANSFER_STATE__PHASE__PAID);
        if (rc < 0)
            return rc;
    }
    if (self->phase == BANK__TRANSFER_STATE__PHASE__REFUSED) {
        rc = account_release_call(t, qk_ref(order->from), part, NULL);
        if (rc < 0)
            return rc;
        self->phase = BANK__TRANSFER_STATE__PHASE__UNDONE;
    }
    if (self->phase == BANK__TRANSFER_STATE__PHASE__PAID) {
        rc = settle(t, order, part);
        if (rc < 0)
            return rc;
        self->phase = BANK__TRANSFER_STATE__PHASE__DONE;
    }
    return 0;
}

int transfer_run(qk_turn *t, Bank__TransferState *self, const Bank__Order *req, Bank__Outcome *rep)
{
    int rc = take_order(t, self, req);
    if (rc < 0)
        return rc;
    rep->again = self->phase == BANK__TRANSFER_STATE__PHASE__PAID || self->phase == BANK__TRANSFER_STATE__PHASE__DONE;
    Bank__Part part = BANK__PART__INIT;
    part.transfer = (char *)qk_self(t).key;
    part.cents = self->order->cents;
    rc = proceed(t, self, &part);
    if (rc < 0)
        return qk_fail(t, rc, "the transfer is under way, run it again: %s", qk_error(t));
    if (self->phase == BANK__TRANSFER_STATE__PHASE__UNDONE)
        return qk_fail(t, self->refusal, "%s", self->reason);
    return 0;
}
