/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The handlers of every.proto, for tests of generated code. */
#include "every.h"

#include <stdio.h>
#include "every.quark.h"

int every_reason, every_activated, every_inks, every_inks_fail;
int every_counted_in, every_counted_out, every_late;
char every_tick[64];

static int make_ink(qk_turn *t, void **ret_instance)
{
    if (every_inks_fail)
        return qk_fail(t, QK_APP(5), "the bottle is empty");
    struct every_ink *ink = malloc(sizeof(*ink));
    if (ink == NULL)
        return -ENOMEM;
    ink->words = "";
    every_inks++;
    *ret_instance = ink;
    return 0;
}

static void drop_ink(void *instance)
{
    every_inks--;
    free(instance);
}

QK_SERVICE_DEFINE(ink, .lifetime = QK_SCOPED, .create = make_ink, .destroy = drop_ink);
QK_SERVICES(every_services, &ink_service_desc);

static int be_polite(qk_turn *t, struct qk_filtered *f)
{
    const char *text = f->method == keeper_put_text_method() ? ((const Test__EveryThing__Text *)f->request)->text : "";
    return strcmp(text, "damn") == 0 ? qk_fail(t, QK_APP(6), "%s is no word for %s", text, f->type) : qk_next(t, f);
}

static int count_in(qk_turn *t, struct qk_filtered *f)
{
    every_counted_in++;
    return qk_next(t, f);
}

static int count_out(qk_turn *t, struct qk_filtered *f)
{
    every_counted_out++;
    return qk_next(t, f);
}

static int check_hour(qk_turn *t, struct qk_filtered *f)
{
    return every_late ? qk_fail(t, QK_EDENIED, "%s has closed", f->method->name) : qk_next(t, f);
}

QK_FILTER_DEFINE(polite, .incoming = be_polite);
QK_FILTER_DEFINE(census, .incoming = count_in, .outgoing = count_out);
QK_FILTER_DEFINE(curfew, .outgoing = check_hour);
static uint64_t every_timer; /* of the one book that has one */

int keeper_put_text(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__Text *req,
                    Test__EveryThing__Text *rep)
{
    (void)t;
    if (qk_set_string(&self->text, req->text) < 0)
        return -ENOMEM;
    *rep = *req; /* shares what hangs on the request */
    rep->text = self->text;
    return (int)strlen(req->text); /* any number from 0 is success, and the caller gets it */
}

/* Spins until its deadline. */
int keeper_get_v2(qk_turn *t, Test__EveryThing__Outer__State *self, const ShortName__Shared *req,
                  Test__EveryThing__Text *rep)
{
    (void)self, (void)rep;
    while (req->value == 0 && qk_remaining_ms(t) > 0) {
        if (qk_yield(t) < 0)
            return QK_ECANCELLED;
    }
    char *text = qk_alloc(t, 64);
    snprintf(text, 64, "at %lld, %lld left", (long long)qk_now_ms(t), (long long)qk_remaining_ms(t));
    rep->text = text;
    return 0;
}

int keeper_note(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__Text *req)
{
    (void)t, (void)req;
    self->notes++;
    return 0;
}

int keeper_noted(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__None *req,
                 Test__EveryThing__Text *rep)
{
    (void)req;
    struct every_ink *ink;
    int rc = ink_service_get(t, &ink);
    if (rc < 0)
        return rc;
    char *text = qk_alloc(t, 32);
    snprintf(text, 32, "%u notes%s", self->notes, ink->words);
    rep->text = text;
    return 0;
}

int keeper_on_activate(qk_turn *t, Test__EveryThing__Outer__State *self)
{
    if (strcmp(qk_self(t).key, "broken") == 0)
        return qk_fail(t, QK_APP(9), "the tape is torn");
    qk_log(t, QK_LOG_INFO, "begins");
    every_activated++;
    return qk_set_string(&self->text, "new");
}

void keeper_on_deactivate(qk_turn *t, Test__EveryThing__Outer__State *self, enum qk_deactivate_reason reason)
{
    (void)t, (void)self;
    every_reason = (int)reason;
}

/* "ring" is passed on to the other of two askers, which would wait for each other; else the text goes to a keeper. */
int asker_relay(qk_turn *t, const Test__EveryThing__Text *req, Test__EveryThing__Text *rep)
{
    int rc;
    if (strcmp(req->text, "ring") == 0)
        rc = asker_relay_call(t, qk_ref(strcmp(qk_self(t).key, "a") == 0 ? "b" : "a"), req, rep);
    else
        rc = keeper_put_text_call_within(t, qk_ref("kept"), 100, req, rep);
    return rc < 0 ? qk_fail(t, rc, "relayed: %s", qk_error(t)) : rc;
}

int asker_both(qk_turn *t, const Test__EveryThing__Text *req, Test__EveryThing__Text *rep)
{
    struct keeper_put_text_pending left, right;
    Test__EveryThing__Text a, b;
    int rc = keeper_put_text_begin(t, qk_ref("left"), req, &left);
    if (rc == 0)
        rc = keeper_put_text_begin_within(t, qk_ref("right"), 50, req, &right);
    if (rc == 0)
        rc = keeper_put_text_await(t, right, &b);
    if (rc >= 0)
        rc = keeper_put_text_await(t, left, &a);
    if (rc < 0)
        return rc;
    char *text = qk_alloc(t, 64);
    snprintf(text, 64, "%s and %s", a.text, b.text);
    rep->text = text;
    return 0;
}

int asker_tell(qk_turn *t, const Test__EveryThing__Text *req, Test__EveryThing__None *rep)
{
    (void)rep;
    int rc = keeper_note_send(t, qk_ref("kept"), req);
    return rc < 0 ? rc : keeper_put_text_send(t, qk_ref("kept"), req);
}

int asker_grow(qk_turn *t, const Test__EveryThing__None *req, Test__EveryThing__Tree *rep)
{
    (void)t, (void)req, (void)rep;
    return 0;
}

/* Writes into the book that asks, or into another. */
int asker_pass(qk_turn *t, const Test__EveryThing__Text *req, Test__EveryThing__Text *rep)
{
    return book_take_call(t, qk_self(t), req, rep);
}

/* ---- the book: what is stored */

static int show(qk_turn *t, const Test__EveryThing__Outer__State *self, Test__EveryThing__Text *rep)
{
    char *text = qk_alloc(t, strlen(self->text) + 32);
    if (text == NULL)
        return QK_ENOMEMORY;
    sprintf(text, "%s, %u notes", self->text, self->notes);
    rep->text = text;
    return 0;
}

int book_write(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__Text *req,
               Test__EveryThing__Text *rep)
{
    int rc = qk_set_string(&self->text, req->text);
    if (rc == 0)
        rc = book_save(t, self);
    return rc < 0 ? qk_fail(t, rc, "not written: %s", qk_error(t)) : show(t, self, rep);
}

int book_read(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__None *req,
              Test__EveryThing__Text *rep)
{
    (void)req;
    return show(t, self, rep);
}

int book_again(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__None *req,
               Test__EveryThing__Text *rep)
{
    (void)req;
    int rc = book_load(t, self);
    return rc < 0 ? rc : show(t, self, rep);
}

int book_erase(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__None *req,
               Test__EveryThing__None *rep)
{
    (void)req, (void)rep;
    return book_clear(t, self);
}

int book_begin(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__Text *req,
               Test__EveryThing__None *rep)
{
    (void)self, (void)rep;
    uint64_t id = 0;
    int64_t period = atoi(req->text);
    int rc = book_count_timer(t, period, period, QK_TIMER_KEEPS_ACTIVE, req, &id);
    every_timer = id;
    return rc;
}

int book_stop(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__None *req,
              Test__EveryThing__None *rep)
{
    (void)self, (void)req, (void)rep;
    return qk_timer_cancel(t, every_timer);
}

int book_count(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__Text *req)
{
    self->notes++;
    snprintf(every_tick, sizeof(every_tick), "%s by %s at %lld", req->text, qk_caller(t), (long long)qk_now_ms(t));
    return 0;
}

int book_dictate(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__Text *req,
                 Test__EveryThing__Text *rep)
{
    uint32_t before = self->notes;
    int rc = asker_pass_call(t, qk_self(t), req, rep); /* of the same key; it comes back while this turn waits */
    return rc < 0 ? rc : (int)(self->notes - before);
}

int book_take(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__Text *req,
              Test__EveryThing__Text *rep)
{
    self->notes++;
    return book_write(t, self, req, rep);
}

/* ---- the diary: made of events */

int diary_apply(Test__EveryThing__Outer__State *self, const Test__EveryThing__Entry *event)
{
    if (event->what_case == TEST__EVERY_THING__ENTRY__WHAT_NOTES)
        self->notes += event->notes;
    else if (event->what_case == TEST__EVERY_THING__ENTRY__WHAT_TEXT)
        return qk_set_string(&self->text, event->text);
    return 0;
}

static void make_entry(Test__EveryThing__Entry *entry, char *text)
{
    test__every_thing__entry__init(entry);
    entry->what_case = TEST__EVERY_THING__ENTRY__WHAT_TEXT;
    entry->text = text;
    if (*text >= '0' && *text <= '9') {
        entry->what_case = TEST__EVERY_THING__ENTRY__WHAT_NOTES;
        entry->notes = (uint32_t)atoi(text);
    }
}

int diary_enter(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__Text *req,
                Test__EveryThing__Text *rep)
{
    Test__EveryThing__Entry entries[2];
    char *text = qk_strdup(t, req->text), *plus = strchr(text, '+');
    if (plus != NULL) {
        *plus = '\0';
        make_entry(&entries[1], plus + 1);
    }
    make_entry(&entries[0], text);
    int rc = plus != NULL ? diary_append_all(t, self, entries, 2) : diary_append(t, self, entries);
    return rc < 0 ? qk_fail(t, rc, "not entered: %s", qk_error(t)) : show(t, self, rep);
}

int diary_open(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__None *req,
               Test__EveryThing__Text *rep)
{
    (void)req;
    return show(t, self, rep);
}

int diary_again(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__None *req,
                Test__EveryThing__Text *rep)
{
    (void)req;
    int rc = diary_load(t, self);
    return rc < 0 ? rc : show(t, self, rep);
}

struct recall {
    char text[200];
    size_t n;
};

static int recall(void *arg, uint64_t position, const Test__EveryThing__Entry *event)
{
    struct recall *r = arg;
    const char *text = event->what_case == TEST__EVERY_THING__ENTRY__WHAT_TEXT ? event->text : "notes";
    r->n += (size_t)snprintf(r->text + r->n, sizeof(r->text) - r->n, "%d %s, ", (int)position, text);
    return strcmp(text, "stop") == 0 ? 1 : 0;
}

int diary_recall(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__Text *req,
                 Test__EveryThing__Text *rep)
{
    (void)self;
    struct recall r = {"", 0};
    int rc = diary_replay(t, (uint64_t)atoi(req->text), recall, &r);
    snprintf(r.text + r.n, sizeof(r.text) - r.n, "%d in all", (int)diary_position(t));
    rep->text = qk_strdup(t, r.text);
    return rc;
}

/* ---- the drawer: loaded when asked */

int drawer_put(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__Text *req,
               Test__EveryThing__None *rep)
{
    (void)rep;
    int rc = qk_set_string(&self->text, req->text);
    return rc < 0 ? rc : drawer_save(t, self);
}

int drawer_look(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__None *req,
                Test__EveryThing__Text *rep)
{
    (void)req;
    return show(t, self, rep);
}

int drawer_fetch(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__None *req,
                 Test__EveryThing__Text *rep)
{
    (void)req;
    int rc = drawer_load(t, self);
    return rc < 0 ? rc : show(t, self, rep);
}

/* ---- parent and child */

int parent_raise(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__Text *req,
                 Test__EveryThing__None *rep)
{
    (void)self, (void)rep;
    int rc = child_spawn(t, qk_ref(req->text));
    return rc < 0 ? rc : child_begin_watch(t, qk_ref(req->text));
}

int parent_let_go(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__Text *req,
                  Test__EveryThing__None *rep)
{
    (void)self, (void)rep;
    int rc = child_end_watch(t, qk_ref(req->text));
    return rc < 0 ? rc : child_stop_child(t, qk_ref(req->text));
}

int parent_tale(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__None *req,
                Test__EveryThing__Text *rep)
{
    (void)req;
    return show(t, self, rep);
}

/* A child that cries "again" goes on anew; of any other its type tells. */
int parent_on_child_failure(qk_turn *t, Test__EveryThing__Outer__State *self, const struct qk_failure *failure)
{
    (void)t;
    int rc = qk_set_string(&self->text, failure->text);
    return rc < 0 ? rc : strcmp(failure->text, "again") == 0 ? QK_RESTART : QK_DIRECTIVE_DEFAULT;
}

void parent_on_watched(qk_turn *t, Test__EveryThing__Outer__State *self, const struct qk_watch_event *event)
{
    (void)t;
    self->notes += event->what == QK_WATCH_ENDED ? 100 : 1;
}

int child_cry(qk_turn *t, Test__EveryThing__Outer__State *self, const Test__EveryThing__Text *req,
              Test__EveryThing__Text *rep)
{
    self->notes++;
    if (*req->text != '\0')
        qk_panic(t, "%s", req->text);
    return show(t, self, rep);
}
