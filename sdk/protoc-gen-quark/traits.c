/* SPDX-License-Identifier: Apache-2.0 */
/* How a type and its methods behave: placement, mailbox, stored state and reentrancy, each option checked. */
#include "gen.h"

#include <string.h>
#include <quark/abi.h>
#include "base/diag.h"
#include "base/limits.h"

/* Numbers of members in options.proto. */
enum {
    ACTOR_PLACEMENT = 3,
    ACTOR_MAILBOX = 4,
    ACTOR_STORE = 9,
    ACTOR_LAZY_STATE = 10,
    ACTOR_REENTRANCY = 11,
    ACTOR_OVERLOAD = 12,
    ACTOR_DIRECTIVE = 15,
    ACTOR_STRATEGY = 16
};
enum { METHOD_REENTRANCY = 5 };

#define STORE_NAME_MAX 31 /* bytes of a provider's name */

/* The value of an option and what the generated tables say for it. */
struct word {
    const char *text;
    uint32_t value;
    const char *name;
};

static const struct word placements[] = {
    {"hash", QK_PLACE_HASH, "QK_PLACE_HASH"},
    {"random", QK_PLACE_RANDOM, "QK_PLACE_RANDOM"},
    {"prefer_local", QK_PLACE_PREFER_LOCAL, "QK_PLACE_PREFER_LOCAL"},
    {"least_loaded", QK_PLACE_LEAST_LOADED, "QK_PLACE_LEAST_LOADED"},
    {"stateless", QK_PLACE_STATELESS, "QK_PLACE_STATELESS"},
    {NULL, 0, NULL},
};

static const struct word type_reentrancies[] = {
    {"none", 0, "0"},
    {"chain", QK_TYPE_INTERLEAVE_CHAIN, "QK_TYPE_INTERLEAVE_CHAIN"},
    {"always", QK_TYPE_INTERLEAVE_ALWAYS, "QK_TYPE_INTERLEAVE_ALWAYS"},
    {"reads", QK_TYPE_INTERLEAVE_READS, "QK_TYPE_INTERLEAVE_READS"},
    {NULL, 0, NULL},
};

static const struct word method_reentrancies[] = {
    {"chain", QK_METHOD_INTERLEAVE_CHAIN, "QK_METHOD_INTERLEAVE_CHAIN"},
    {"always", QK_METHOD_INTERLEAVE_ALWAYS, "QK_METHOD_INTERLEAVE_ALWAYS"},
    {NULL, 0, NULL},
};

static const struct word overloads[] = {
    {"wait", 0, "0"},
    {"refuse", QK_TYPE_REFUSE_WHEN_FULL, "QK_TYPE_REFUSE_WHEN_FULL"},
    {NULL, 0, NULL},
};

static const struct word directives[] = {
    {"restart", QK_RESTART, "QK_RESTART"},
    {"resume", QK_RESUME, "QK_RESUME"},
    {"stop", QK_STOP, "QK_STOP"},
    {"escalate", QK_ESCALATE, "QK_ESCALATE"},
    {NULL, 0, NULL},
};

static const struct word strategies[] = {
    {"one_for_one", QK_ONE_FOR_ONE, "QK_ONE_FOR_ONE"},
    {"one_for_all", QK_ONE_FOR_ALL, "QK_ONE_FOR_ALL"},
    {"rest_for_one", QK_REST_FOR_ONE, "QK_REST_FOR_ONE"},
    {NULL, 0, NULL},
};

static const char *name_of(const struct word *words, uint32_t value)
{
    while (words->value != value)
        words++;
    return words->name;
}

const char *gen_placement_word(uint32_t placement)
{
    return name_of(placements, placement);
}

const char *gen_directive_word(uint32_t directive)
{
    return directive != QK_DIRECTIVE_DEFAULT ? name_of(directives, directive) : "QK_DIRECTIVE_DEFAULT";
}

const char *gen_strategy_word(uint32_t strategy)
{
    return name_of(strategies, strategy);
}

/* Names of flags joined as C joins them; "0" where there is none. */
static const char *join(struct gen *g, const char *const *names, size_t n)
{
    const char *all = NULL;
    for (size_t i = 0; i < n; i++) {
        if (names[i] != NULL)
            all = all != NULL ? gen_format(g, "%s | %s", all, names[i]) : names[i];
    }
    return all != NULL ? all : "0";
}

const char *gen_type_flags(struct gen *g, const struct gen_type *t)
{
    const char *names[] = {t->reentrancy != 0 ? name_of(type_reentrancies, t->reentrancy) : NULL,
                           t->lazy_state ? "QK_TYPE_LAZY_STATE" : NULL,
                           t->overload != 0 ? name_of(overloads, t->overload) : NULL};
    return join(g, names, sizeof(names) / sizeof(names[0]));
}

const char *gen_method_flags(struct gen *g, const struct gen_method *m)
{
    const char *names[] = {m->one_way ? "QK_METHOD_ONE_WAY" : NULL, m->read_only ? "QK_METHOD_READ_ONLY" : NULL,
                           m->reentrancy != 0 ? name_of(method_reentrancies, m->reentrancy) : NULL};
    return join(g, names, sizeof(names) / sizeof(names[0]));
}

/* ---- reading ---- */

static bool is_set(const char *text)
{
    return text != NULL && *text != '\0';
}

/* A mistake in the member `member` of a type's options, at `needle` inside it. */
static struct gen_mistake mistake_at(const struct gen_type *t, const char *code, struct gen_path *path, int member,
                                     const char *needle)
{
    *path = gen_option_path(&t->path, IN_SERVICE_OPTIONS, EXT_ACTOR, member);
    return (struct gen_mistake){.code = code, .file = t->file, .path = path, .needle = needle};
}

/* What `text` means; a word that is none of `words` is reported as `what`, with what it may have been. */
static uint32_t find_word(struct gen *g, const struct word *words, const char *text, struct gen_mistake mistake,
                          const char *what)
{
    const char *texts[8] = {NULL};
    for (size_t i = 0; words[i].text != NULL; i++) {
        if (strcmp(words[i].text, text) == 0)
            return words[i].value;
        texts[i] = words[i].text;
    }
    const char *near = qk_suggest(text, texts);
    mistake.needle = gen_format(g, "\"%s\"", text);
    mistake.label = near != NULL ? gen_format(g, "did you mean `%s`?", near) : NULL;
    gen_report(g, &mistake, "unknown %s `%s`", what, text);
    return 0;
}

static void set_store(struct gen *g, struct gen_type *t, const char *store)
{
    if (!is_set(store))
        return;
    static const char *const built_in[] = {"sqlite", "memory", NULL};
    struct gen_path path;
    struct gen_mistake m = mistake_at(t, "QK0121", &path, ACTOR_STORE, gen_format(g, "\"%s\"", store));
    t->store = store;
    if (gen_is_name(store, STORE_NAME_MAX, true))
        return;
    char *lower = gen_format(g, "%s", store);
    for (char *c = lower; *c != '\0'; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    const char *near = qk_suggest(lower, built_in);
    m.label = near != NULL ? gen_format(g, "did you mean `%s`?", near) : NULL;
    m.help = "the name is made of a-z, 0-9, - and _, begins with a letter and has at most 31 bytes;\n"
             "every silo has sqlite (kept on disk) and memory (gone when the silo stops)";
    gen_report(g, &m, "`%s` can't be the name of a store", store);
}

static void set_supervision(struct gen *g, struct gen_type *t, const Quark__ActorOptions *o)
{
    struct gen_path path;
    struct gen_mistake m;
    t->on_child_failure = o->on_child_failure;
    t->on_watched = o->on_watched;
    t->restart_max = o->restart_max;
    t->restart_window_ms = o->restart_window_ms;
    t->backoff_ms = o->backoff_ms;
    t->backoff_max_ms = o->backoff_max_ms;
    if (is_set(o->directive)) {
        m = mistake_at(t, "QK0126", &path, ACTOR_DIRECTIVE, NULL);
        m.help = "one of restart (the default), resume, stop, escalate";
        t->directive = find_word(g, directives, o->directive, m, "directive");
    }
    if (is_set(o->strategy)) {
        m = mistake_at(t, "QK0126", &path, ACTOR_STRATEGY, NULL);
        m.help = "one of one_for_one (the default), one_for_all, rest_for_one";
        t->strategy = find_word(g, strategies, o->strategy, m, "strategy");
    }
}

void gen_traits_set(struct gen *g, struct gen_type *t, const Quark__ActorOptions *o)
{
    struct gen_path path;
    struct gen_mistake m;
    t->mailbox = o->mailbox;
    t->idle_ms = o->idle_ms;
    t->limit_ms = o->limit_ms;
    t->on_activate = o->on_activate;
    t->on_deactivate = o->on_deactivate;
    t->lazy_state = o->lazy_state;
    set_store(g, t, o->store);
    set_supervision(g, t, o);
    gen_filters_set(g, t, o);
    gen_journal_set(g, t, o);
    if (is_set(o->placement)) {
        m = mistake_at(t, "QK0101", &path, ACTOR_PLACEMENT, NULL);
        m.help = "one of hash (the default), random, prefer_local, least_loaded, stateless";
        t->placement = find_word(g, placements, o->placement, m, "placement");
    }
    if (is_set(o->reentrancy)) {
        m = mistake_at(t, "QK0122", &path, ACTOR_REENTRANCY, NULL);
        m.help = "one of none (the default), chain, always, reads";
        t->reentrancy = find_word(g, type_reentrancies, o->reentrancy, m, "reentrancy");
    }
    if (is_set(o->overload)) {
        m = mistake_at(t, "QK0125", &path, ACTOR_OVERLOAD, NULL);
        m.help = "wait (the default) or refuse";
        t->overload = find_word(g, overloads, o->overload, m, "overload");
    }
    if (o->mailbox > QK_MAILBOX_LIMIT) {
        m = mistake_at(t, "QK0110", &path, ACTOR_MAILBOX, gen_format(g, "%u", o->mailbox));
        m.help = gen_format(g, "a mailbox holds at most %d messages", QK_MAILBOX_LIMIT);
        gen_report(g, &m, "a mailbox of %u messages is too large", o->mailbox);
    }
}

void gen_traits_set_method(struct gen *g, struct gen_method *m, const Quark__MethodOptions *o)
{
    m->one_way = o->one_way;
    m->read_only = o->read_only;
    m->deadline_ms = o->deadline_ms;
    m->limit_ms = o->limit_ms;
    if (!is_set(o->reentrancy))
        return;
    struct gen_path path = gen_option_path(&m->path, IN_METHOD_OPTIONS, EXT_METHOD, METHOD_REENTRANCY);
    struct gen_mistake mistake = {.code = "QK0122", .file = m->type->file, .path = &path};
    mistake.help = "a method says chain or always, which lets it do more than the others of its type;\n"
                   "`none` and `reads` are for the type: option (quark.actor) = { reentrancy: \"reads\" };";
    m->reentrancy = find_word(g, method_reentrancies, o->reentrancy, mistake, "reentrancy of a method");
}

/* ---- options that need others ---- */

static bool has_read_only(const struct gen_type *t)
{
    for (uint32_t i = 0; i < t->n_methods; i++) {
        if (t->methods[i].read_only)
            return true;
    }
    return false;
}

void gen_traits_check(struct gen *g, struct gen_type *t)
{
    struct gen_path path;
    struct gen_mistake m;
    if (t->store != NULL && !t->has_state) {
        m = mistake_at(t, "QK0120", &path, ACTOR_STORE, gen_format(g, "\"%s\"", t->store));
        m.label = "what would be stored?";
        m.help = "name the message to be stored: option (quark.actor) = { state: \"...\" };";
        gen_report(g, &m, "`%s` has a store, but no state", t->pb->name);
    }
    if (t->store != NULL && t->placement == QK_PLACE_STATELESS) {
        m = mistake_at(t, "QK0124", &path, ACTOR_STORE, gen_format(g, "\"%s\"", t->store));
        m.help = "a stateless actor has many activations of one key, whose saves would be in conflict:\n"
                 "choose another placement, or leave `store` out";
        gen_report(g, &m, "`%s` is stateless, so its state can't be stored", t->pb->name);
    }
    gen_journal_check(g, t);
    if (t->lazy_state && t->store == NULL) {
        m = mistake_at(t, "QK0123", &path, ACTOR_LAZY_STATE, "lazy_state");
        m.help = "add `store`, or leave `lazy_state` out: only stored state is loaded";
        gen_report(g, &m, "`lazy_state` of `%s` has no effect: its state is not stored", t->pb->name);
    }
    if (t->reentrancy == QK_TYPE_INTERLEAVE_READS && !has_read_only(t)) {
        m = mistake_at(t, "QK0123", &path, ACTOR_REENTRANCY, "\"reads\"");
        m.help = "mark the methods that change nothing: option (quark.method) = { read_only: true };";
        gen_report(g, &m, "the reentrancy of `%s` has no effect: none of its methods is read-only", t->pb->name);
    }
}
