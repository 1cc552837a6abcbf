/* SPDX-License-Identifier: Apache-2.0 */
/* Types whose state is made of events: their options, checked, and the functions that are written for them. */
#include "gen.h"

#include <inttypes.h>

enum { ACTOR_EVENT = 23, ACTOR_SNAPSHOT_EVERY = 24 }; /* in options.proto */

static bool is_set(const char *text)
{
    return text != NULL && *text != '\0';
}

void gen_journal_set(struct gen *g, struct gen_type *t, const Quark__ActorOptions *o)
{
    static const struct gen_words words = {"QK0128", "event", "the events"};
    t->event_name = is_set(o->event) ? o->event : NULL;
    t->snapshot_every = o->snapshot_every;
    if (t->event_name != NULL)
        t->event = gen_named_message(g, t, ACTOR_EVENT, o->event, &words);
}

void gen_journal_check(struct gen *g, struct gen_type *t)
{
    struct gen_path path;
    if (t->event_name != NULL && (t->store == NULL || !t->has_state)) {
        path = gen_option_path(&t->path, IN_SERVICE_OPTIONS, EXT_ACTOR, ACTOR_EVENT);
        gen_report(g,
                   &(struct gen_mistake){
                       .code = "QK0129",
                       .file = t->file,
                       .path = &path,
                       .needle = gen_format(g, "\"%s\"", t->event_name),
                       .label = t->has_state ? "where would they be kept?" : "what would they change?",
                       .help = t->has_state
                                   ? "name the store that keeps them: store: \"sqlite\""
                                   : "name the message that they are folded into: state: \"...\", and a `store`"},
                   "`%s` has events, but no %s", t->pb->name, t->has_state ? "store" : "state");
    }
    if (t->snapshot_every != 0 && t->event_name == NULL) {
        path = gen_option_path(&t->path, IN_SERVICE_OPTIONS, EXT_ACTOR, ACTOR_SNAPSHOT_EVERY);
        gen_report(g,
                   &(struct gen_mistake){.code = "QK0123",
                                         .file = t->file,
                                         .path = &path,
                                         .needle = "snapshot_every",
                                         .help = "add `event`, or leave `snapshot_every` out: a state that is saved "
                                                 "by handlers has no snapshots"},
                   "`snapshot_every` of `%s` has no effect: it has no events", t->pb->name);
    }
}

/* ---- what is written */

void gen_journal_prototype(const struct gen_type *t, FILE *out)
{
    if (t->event != NULL)
        fprintf(out,
                "/* Changes the state as an event says, and does nothing else: it runs for each event again when the "
                "actor is loaded.\n * Less than 0: it could not. */\n"
                "int %s_apply(%s *self, const %s *event);\n",
                t->prefix, t->state->c_type, t->event->c_type);
}

static void put_append(const struct gen_type *t, FILE *out)
{
    const char *name = t->prefix, *state = t->state->c_type, *event = t->event->c_type;
    fprintf(out,
            "/* Several at once, all or none: `events` is an array of them. */\n"
            "static inline int %s_append_all(qk_turn *t, %s *self, const %s *events, uint32_t n_events)\n"
            "{\n"
            "    (void)self;\n"
            "    return qk_append(t, (const ProtobufCMessage *)events, n_events);\n"
            "}\n\n"
            "static inline int %s_append(qk_turn *t, %s *self, const %s *event)\n"
            "{\n"
            "    return %s_append_all(t, self, event, 1);\n"
            "}\n\n"
            "static inline uint64_t %s_position(qk_turn *t)\n"
            "{\n"
            "    return qk_position(t);\n"
            "}\n\n",
            name, state, event, name, state, event, name, name);
}

/* The author's function has a type of its own, and calling it through another is not C. */
static void put_replay(const struct gen_type *t, FILE *out)
{
    const char *name = t->prefix, *event = t->event->c_type;
    fprintf(out,
            "/* Takes one event, which is valid until it returns: 0 goes on. */\n"
            "typedef int (*%s_replay_fn)(void *arg, uint64_t position, const %s *event);\n\n"
            "struct %s_replay_to {\n"
            "    %s_replay_fn fn;\n"
            "    void *arg;\n"
            "};\n\n"
            "static inline int %s_replay_entry(void *arg, uint64_t position, const ProtobufCMessage *event)\n"
            "{\n"
            "    const struct %s_replay_to *to = (const struct %s_replay_to *)arg;\n"
            "    return to->fn(to->arg, position, (const %s *)event);\n"
            "}\n\n"
            "static inline int %s_replay(qk_turn *t, uint64_t from, %s_replay_fn fn, void *arg)\n"
            "{\n"
            "    struct %s_replay_to to;\n"
            "    to.fn = fn;\n"
            "    to.arg = arg;\n"
            "    return qk_replay(t, from, fn != NULL ? %s_replay_entry : NULL, &to);\n"
            "}\n\n",
            name, event, name, name, name, name, name, event, name, name, name, name);
}

void gen_journal_functions(const struct gen_type *t, FILE *out)
{
    if (t->event == NULL)
        return;
    fprintf(out,
            "/* The journal of `%s`, for its own handlers; quark/actor.h (qk_append, qk_replay) says what comes back. "
            "*/\n\n",
            t->name);
    put_append(t, out);
    put_replay(t, out);
}

void gen_journal_entry(const struct gen_type *t, FILE *out)
{
    if (t->event != NULL)
        fprintf(out,
                "static int %s_apply_entry(void *self, const ProtobufCMessage *event)\n"
                "{\n"
                "    return %s_apply((%s *)self, (const %s *)event);\n"
                "}\n\n",
                t->prefix, t->prefix, t->state->c_type, t->event->c_type);
}

const char *gen_journal_members(struct gen *g, const struct gen_type *t)
{
    if (t->event == NULL)
        return "";
    return gen_format(g,
                      "    .event = &%s,\n"
                      "    .apply = %s_apply_entry,\n"
                      "    .snapshot_every = %" PRIu32 "u,\n",
                      t->event->c_desc, t->prefix, t->snapshot_every);
}

void gen_journal_test(const struct gen_type *t, FILE *out)
{
    const char *name = t->prefix, *event = t->event->c_type;
    fprintf(out,
            "static inline uint64_t %s_test_position(struct qk_test *test, struct qk_ref ref)\n"
            "{\n"
            "    return qk_test_position(test, &%s_type, ref);\n"
            "}\n\n"
            "static inline int %s_test_event(struct qk_test *test, struct qk_ref ref, uint64_t position, %s "
            "**ret_event)\n"
            "{\n"
            "    ProtobufCMessage *event = NULL;\n"
            "    int rc = qk_test_event(test, &%s_type, ref, position, &event);\n"
            "    *ret_event = (%s *)event;\n"
            "    return rc;\n"
            "}\n\n"
            "static inline int %s_test_append(struct qk_test *test, struct qk_ref ref, const %s *event)\n"
            "{\n"
            "    return qk_test_append(test, &%s_type, ref, (const ProtobufCMessage *)event);\n"
            "}\n\n",
            name, name, name, event, name, event, name, event, name);
}
