/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Services: who is made and destroyed when, and in which order; what happens when that fails; what is refused. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quark/service.h>
#include "base/fnv.h"
#include "base/limits.h"
#include "harness.h"
#include "rt.pb-c.h"

/* "+name" and "-name" of what was made and destroyed, "!" of the hooks. */
static char story[2048];
static const char *bad;        /* its create function fails */
static const char *bad_panics; /* its create function panics */
static const char *curious;    /* its create function uses one that it does not need */
static const char *busy;       /* its create function does an errand */
static int (*errand)(qk_turn *t);
static int busy_rc;
static const char *at_begin, *at_end; /* steps of the hooks */
static bool begin_fails, begin_panics, end_panics;

static void tell(const char *what, const char *name)
{
    size_t at = strlen(story);
    snprintf(story + at, sizeof(story) - at, "%s%s%s", at > 0 ? " " : "", what, name);
}

#define story_is(text)                 \
    do {                               \
        ck_assert_str_eq(story, text); \
        story[0] = '\0';               \
    } while (0)

struct thing {
    char name[8];
};

QK_SERVICE(one, struct thing);
QK_SERVICE(two, struct thing);
QK_SERVICE(desk, struct thing);
QK_SERVICE(pen, struct thing);
QK_SERVICE(note, struct thing);
QK_SERVICE(line, struct thing);
QK_SERVICE(stray, struct thing);
QK_SERVICE_OF(far_sun, "sky", "sun", struct thing);

static struct qk_method methods[2];
static struct qk_type types[2];

static int call_other(qk_turn *t)
{
    Rt__Text in = RT__TEXT__INIT, out = RT__TEXT__INIT;
    return qk_call(t, &methods[0], qk_ref("other"), 0, &in.base, &out.base);
}

static int send_other(qk_turn *t)
{
    Rt__Text in = RT__TEXT__INIT;
    return qk_send(t, &methods[0], qk_ref("other"), &in.base);
}

static int load(qk_turn *t)
{
    return qk_state(t, QK_STATE_LOAD);
}

static int append(qk_turn *t)
{
    Rt__Text event = RT__TEXT__INIT;
    return qk_append(t, &event.base, 1);
}

static int take_event(void *arg, uint64_t position, const ProtobufCMessage *event)
{
    (void)arg, (void)position, (void)event;
    return 0;
}

static int replay(qk_turn *t)
{
    return qk_replay(t, 1, take_event, NULL);
}

static void do_nothing(void *arg)
{
    (void)arg;
}

static int offload(qk_turn *t)
{
    return qk_offload(t, do_nothing, NULL);
}

static int make(qk_turn *t, const char *name, void **ret_instance)
{
    if (bad_panics != NULL && strcmp(bad_panics, name) == 0)
        qk_panic(t, "%s breaks", name);
    if (bad != NULL && strcmp(bad, name) == 0)
        return qk_fail(t, QK_APP(7), "no ink");
    if (curious != NULL && strcmp(curious, name) == 0) {
        struct thing *other;
        int rc = line_service_get(t, &other);
        if (rc < 0)
            return rc;
    }
    if (busy != NULL && strcmp(busy, name) == 0) {
        busy_rc = errand(t);
        if (busy_rc < 0)
            return qk_fail(t, busy_rc, "%s", qk_error(t));
    }
    struct thing *thing = malloc(sizeof(*thing));
    snprintf(thing->name, sizeof(thing->name), "%s", name);
    tell("+", name);
    *ret_instance = thing;
    return 0;
}

static void drop(void *instance)
{
    tell("-", ((struct thing *)instance)->name);
    free(instance);
}

#define MAKE(name_)                                          \
    static int make_##name_(qk_turn *t, void **ret_instance) \
    {                                                        \
        return make(t, #name_, ret_instance);                \
    }
MAKE(one)
MAKE(two)
MAKE(desk)
MAKE(pen)
MAKE(note)
MAKE(line)
MAKE(stray)
MAKE(sun)

QK_SERVICE_DEFINE(one, .lifetime = QK_SINGLETON, .create = make_one, .destroy = drop);
QK_SERVICE_DEFINE(two, .lifetime = QK_SINGLETON, .needs = QK_NEEDS(&one_service_desc), .create = make_two,
                  .destroy = drop);
QK_SERVICE_DEFINE(desk, .lifetime = QK_SCOPED, .needs = QK_NEEDS(&two_service_desc), .create = make_desk,
                  .destroy = drop);
QK_SERVICE_DEFINE(pen, .lifetime = QK_SCOPED, .needs = QK_NEEDS(&desk_service_desc), .create = make_pen,
                  .destroy = drop);
QK_SERVICE_DEFINE(note, .lifetime = QK_TRANSIENT, .needs = QK_NEEDS(&pen_service_desc, &one_service_desc),
                  .create = make_note, .destroy = drop);
QK_SERVICE_DEFINE(line, .lifetime = QK_TRANSIENT, .needs = QK_NEEDS(&note_service_desc), .create = make_line,
                  .destroy = drop);
QK_SERVICE_DEFINE(stray, .lifetime = QK_SINGLETON, .create = make_stray, .destroy = drop);
QK_SERVICES(desk_services, &line_service_desc, &note_service_desc, &pen_service_desc, &desk_service_desc,
            &two_service_desc, &one_service_desc);

static int use(qk_turn *t, const char *name)
{
    static const struct {
        const char *name;
        int (*get)(qk_turn *t, struct thing **ret_instance);
    } all[] = {{"one", one_service_get},     {"two", two_service_get},    {"desk", desk_service_get},
               {"pen", pen_service_get},     {"note", note_service_get},  {"line", line_service_get},
               {"sun", far_sun_service_get}, {"stray", stray_service_get}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(all[i].name, name) != 0)
            continue;
        struct thing *thing = NULL, *again = NULL;
        int rc = all[i].get(t, &thing);
        if (rc < 0)
            return rc;
        ck_assert_str_eq(thing->name, name);
        ck_assert_int_eq(all[i].get(t, &again), 0);
        ck_assert_ptr_eq(thing, again);
        return 0;
    }
    ck_abort_msg("no service %s", name);
    return -1;
}

/* Steps with blanks between. */
static int do_steps(qk_turn *t, const char *steps)
{
    char copy[256], *rest = copy, *step;
    int rc = 0;
    snprintf(copy, sizeof(copy), "%s", steps);
    while (rc >= 0 && (step = strsep(&rest, " ")) != NULL) {
        if (strcmp(step, "") == 0)
            continue;
        if (strcmp(step, "fail") == 0)
            rc = QK_APP(1);
        else if (strcmp(step, "panic") == 0)
            qk_panic(t, "as asked");
        else if (strcmp(step, "end") == 0)
            qk_deactivate(t);
        else if (strcmp(step, "yield") == 0)
            rc = qk_yield(t);
        else if (strcmp(step, "spawn") == 0)
            rc = qk_spawn(t, types[0].id, qk_ref("kid"));
        else if (strcmp(step, "stop") == 0)
            rc = qk_stop_child(t, types[0].id, qk_ref("kid"));
        else
            rc = use(t, step);
    }
    return rc;
}

static int on_do(qk_turn *t, void *self, const ProtobufCMessage *req, ProtobufCMessage *rep)
{
    (void)self, (void)rep;
    return do_steps(t, ((const Rt__Text *)req)->text);
}

static int on_activate(qk_turn *t, void *self)
{
    (void)self;
    int rc = at_begin != NULL ? do_steps(t, at_begin) : 0;
    if (begin_panics)
        qk_panic(t, "at the beginning");
    return begin_fails ? qk_fail(t, QK_APP(2), "not today") : rc;
}

static void on_deactivate(qk_turn *t, void *self, enum qk_deactivate_reason reason)
{
    (void)self, (void)reason;
    tell("!", "end");
    if (at_end != NULL)
        ck_assert_int_eq(do_steps(t, at_end), 0);
    if (end_panics)
        qk_panic(t, "at the end");
}

static const struct qk_type *const type_list[] = {&types[0], &types[1]};
static const struct qk_plugin plugin = {.abi = QK_ABI_HEAD(struct qk_plugin),
                                        .name = "office",
                                        .version = "1",
                                        .types = type_list,
                                        .n_types = 2,
                                        .services = desk_services};

static struct harness h;

static void setup(void)
{
    static const char *const names[] = {"plain", "open"};
    for (int i = 0; i < 2; i++) {
        uint64_t id = qk_fnv64(names[i]);
        methods[i] = (struct qk_method){.id = qk_fnv32("Do"),
                                        .type_id = id,
                                        .name = "Do",
                                        .request = &rt__text__descriptor,
                                        .reply = &rt__text__descriptor,
                                        .handler = on_do};
        types[i] = (struct qk_type){.abi = QK_ABI_HEAD(struct qk_type),
                                    .id = id,
                                    .name = names[i],
                                    .service = "rt.S",
                                    .methods = &methods[i],
                                    .n_methods = 1,
                                    .idle_ms = 1000,
                                    .flags = i == 1 ? QK_TYPE_INTERLEAVE_ALWAYS : 0,
                                    .on_activate = on_activate,
                                    .on_deactivate = on_deactivate};
    }
    story[0] = '\0';
    bad = bad_panics = curious = busy = at_begin = at_end = NULL;
    errand = call_other;
    begin_fails = begin_panics = end_panics = false;
    harness_init(&h, &plugin, NULL);
}

static int do_as(int type, const char *key, const char *steps)
{
    Rt__Text in = RT__TEXT__INIT;
    in.text = (char *)steps;
    int rc = harness_call(&h, &methods[type], key, &in.base, NULL);
    harness_run(&h);
    return rc;
}

START_TEST(test_services_are_made_and_destroyed_in_order)
{
    ck_assert_int_eq(do_as(0, "a", "one"), 0);
    story_is("+one");
    ck_assert_int_eq(do_as(0, "a", "line"), 0);
    story_is("+two +desk +pen +note +line -line -note");
    ck_assert_int_eq(do_as(0, "a", "line note"), 0);
    story_is("+note +line -line -note");
    ck_assert_int_eq(do_as(0, "b", "note desk"), 0);
    story_is("+desk +pen +note -note");
    ck_assert_int_eq(do_as(0, "b", "end"), 0);
    story_is("!end -pen -desk");
    harness_finish(&h);
    story_is("!end -pen -desk -two -one");
}
END_TEST

START_TEST(test_services_end_with_turns_that_fail)
{
    ck_assert_int_eq(do_as(0, "a", "line fail"), QK_APP(1));
    story_is("+one +two +desk +pen +note +line -line -note");
    ck_assert_int_eq(do_as(0, "a", "note panic"), QK_ECRASHED);
    story_is("+note -note !end -pen -desk");
    ck_assert_int_eq(do_as(0, "a", "yield desk"), 0);
    story_is("+desk");
    harness_finish(&h);
    story_is("!end -desk -two -one");
}
END_TEST

START_TEST(test_services_end_with_the_activation)
{
    ck_assert_int_eq(do_as(0, "a", "desk"), 0);
    story_is("+one +two +desk");
    for (int i = 0; i < 300; i++)
        harness_advance(&h, 10);
    story_is("!end -desk");
    end_panics = true;
    at_end = "pen";
    ck_assert_int_eq(do_as(0, "a", "desk end"), 0);
    story_is("+desk !end +pen -pen -desk");
    end_panics = false;
    harness_finish(&h);
    story_is("-two -one");
}
END_TEST

START_TEST(test_services_in_hooks)
{
    at_begin = "note";
    at_end = "line";
    ck_assert_int_eq(do_as(0, "a", "pen"), 0);
    story_is("+one +two +desk +pen +note -note");
    ck_assert_int_eq(do_as(0, "a", "end"), 0);
    story_is("!end +note +line -line -note -pen -desk");
    at_begin = NULL;
    at_end = "desk"; /* first used there */
    ck_assert_int_eq(do_as(0, "a", "end"), 0);
    story_is("!end +desk -desk");
    at_end = NULL;
    harness_finish(&h);
    story_is("-two -one");
}
END_TEST

START_TEST(test_services_end_with_a_failed_activation)
{
    at_begin = "note";
    begin_fails = true;
    ck_assert_int_eq(do_as(0, "a", ""), QK_EACTIVATE);
    story_is("+one +two +desk +pen +note -note -pen -desk");
    begin_fails = false;
    begin_panics = true;
    ck_assert_int_eq(do_as(0, "b", ""), QK_EACTIVATE);
    story_is("+desk +pen +note -note -pen -desk");
    begin_panics = false;
    ck_assert_int_eq(do_as(0, "c", ""), 0);
    story_is("+desk +pen +note -note");
    harness_finish(&h);
    story_is("!end -pen -desk -two -one");
}
END_TEST

START_TEST(test_services_end_when_a_parent_restarts_or_stops)
{
    ck_assert_int_eq(do_as(0, "top", "desk spawn"), 0);
    ck_assert_int_eq(do_as(0, "kid", "pen"), 0);
    story_is("+one +two +desk +desk +pen");
    ck_assert_int_eq(do_as(0, "kid", "note panic"), QK_ECRASHED);
    story_is("+note -note !end -pen -desk");
    ck_assert_int_eq(do_as(0, "kid", "desk"), 0);
    story_is("+desk");
    ck_assert_int_eq(do_as(0, "top", "stop"), 0);
    story_is("!end -desk");
    ck_assert_int_eq(do_as(0, "top", "spawn"), 0);
    ck_assert_int_eq(do_as(0, "kid", "desk"), 0);
    ck_assert_int_eq(do_as(0, "top", "end"), 0); /* its children first */
    story_is("+desk !end -desk !end -desk");
    harness_finish(&h);
    story_is("-two -one");
}
END_TEST

static const char *const chain[] = {"one", "two", "desk", "pen", "note", "line"};

START_TEST(test_services_create_fails_at_each_place)
{
    char want[512] = "";
    bad = chain[_i];
    ck_assert_int_eq(do_as(0, "a", "line"), QK_APP(7));
    for (int i = 5; i >= _i; i--)
        snprintf(want + strlen(want), sizeof(want) - strlen(want),
                 "the service office/%s could not be made: ", chain[i]);
    strcat(want, "no ink");
    ck_assert_str_eq(harness_text, want);
    want[0] = '\0';
    for (int i = 0; i < _i; i++)
        snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s+%s", i > 0 ? " " : "", chain[i]);
    if (_i == 5)
        strcat(want, " -note");
    story_is(want);
    bad = NULL; /* tried again, and what was made stays */
    ck_assert_int_eq(do_as(0, "a", "line"), 0);
    ck_assert_int_eq(do_as(0, "a", "end"), 0);
    harness_finish(&h);
    const char *last = strstr(story, "-line -note !end -pen -desk -two -one");
    ck_assert_msg(last != NULL && strlen(last) == 37, "%s", story);
}
END_TEST

START_TEST(test_services_create_panics_at_each_place)
{
    bad_panics = chain[_i];
    ck_assert_int_eq(do_as(0, "a", "line"), QK_ECRASHED);
    ck_assert_msg(strstr(harness_text, "breaks") != NULL, "%s", harness_text);
    bad_panics = NULL;
    story[0] = '\0';
    ck_assert_int_eq(do_as(0, "b", "line end"), 0); /* nothing is left locked */
    ck_assert_msg(strstr(story, "+line -line -note !end -pen -desk") != NULL, "%s", story);
    harness_finish(&h);
}
END_TEST

START_TEST(test_services_create_uses_what_it_needs_only)
{
    curious = "pen";
    ck_assert_int_eq(do_as(0, "a", "note"), QK_EINVALID);
    ck_assert_msg(strstr(harness_text, "the service office/pen uses office/line and does not say so in its `needs`") !=
                      NULL,
                  "%s", harness_text);
    harness_finish(&h);
}
END_TEST

START_TEST(test_services_create_may_wait_or_not)
{
    busy = "two";
    ck_assert_int_eq(do_as(0, "a", "two"), QK_ESTATE);
    ck_assert_str_eq(harness_text, "the service office/two could not be made: the create function of a singleton "
                                   "can't wait: others wait for it");
    busy = "desk";
    ck_assert_int_eq(do_as(0, "a", "desk"), 0);
    ck_assert_int_eq(do_as(1, "a", "desk"), QK_ESTATE);
    ck_assert_msg(strstr(harness_text, "turns interleave") != NULL, "%s", harness_text);
    busy = "note";
    ck_assert_int_eq(do_as(1, "a", "note"), 0);
    busy = "line";
    ck_assert_int_eq(do_as(1, "a", "line yield line"), 0);
    story[0] = '\0';
    harness_finish(&h);
    ck_assert_str_eq(story + strlen(story) - 9, "-two -one");
}
END_TEST

/* Whatever a turn may wait with; else it would leave the thread with the singletons locked. */
START_TEST(test_services_create_of_a_singleton_waits_for_nothing)
{
    static int (*const errands[])(qk_turn * t) = {call_other, send_other, load, append, replay, offload, qk_yield};
    busy = "two";
    for (size_t i = 0; i < sizeof(errands) / sizeof(errands[0]); i++) {
        errand = errands[i];
        ck_assert_int_eq(do_as(0, "a", "two"), QK_ESTATE);
        ck_assert_str_eq(harness_text, "the service office/two could not be made: the create function of a singleton "
                                       "can't wait: others wait for it");
    }
    harness_finish(&h);
}
END_TEST

START_TEST(test_services_that_are_not_there)
{
    ck_assert_int_eq(do_as(0, "a", "stray"), QK_ENOTFOUND);
    ck_assert_msg(strstr(harness_text, "the service stray is not in the list") == harness_text, "%s", harness_text);
    ck_assert_int_eq(do_as(0, "a", "sun"), QK_ENOTFOUND);
    ck_assert_str_eq(harness_text, "no plugin that is loaded has the service sky/sun");
    harness_finish(&h);
}
END_TEST

/* ---- plugins that are refused, and of others */

static char text[1024];

static int add(const char *name, const struct qk_service *const *services)
{
    static struct qk_plugin others[8];
    static int n;
    struct qk_plugin *other = &others[n++ % 8];
    *other =
        (struct qk_plugin){.abi = QK_ABI_HEAD(struct qk_plugin), .name = name, .version = "1", .services = services};
    return qk_runtime_add_plugin(h.rt, other, text, sizeof(text));
}

static const struct qk_service sun = {.abi = QK_ABI_HEAD(struct qk_service),
                                      .name = "sun",
                                      .lifetime = QK_SINGLETON,
                                      .create = make_sun,
                                      .destroy = drop};
static const struct qk_service *const sky[] = {&sun, NULL};

static const struct qk_service lamp = {.abi = QK_ABI_HEAD(struct qk_service),
                                       .name = "lamp",
                                       .lifetime = QK_SCOPED,
                                       .needs = QK_NEEDS(&far_sun_service_desc),
                                       .create = make_stray};

START_TEST(test_services_of_another_plugin)
{
    static const struct qk_service *const lamps[] = {&lamp, NULL};
    ck_assert_int_eq(add("room", lamps), QK_ENOTFOUND);
    ck_assert_str_eq(text, "a service is missing: room/lamp -> sky/sun: no plugin sky is loaded that has it");
    ck_assert_int_eq(add("sky", sky), 0);
    ck_assert_int_eq(add("sky", sky), QK_EEXISTS);
    ck_assert_str_eq(text, "the service sky/sun is already there");
    ck_assert_int_eq(add("room", lamps), 0);
    ck_assert_int_eq(do_as(0, "a", "sun"), 0);
    story_is("+sun");
    harness_finish(&h);
    story_is("!end -sun");
}
END_TEST

#define S(name_, lifetime_, ...)                                                   \
    static const struct qk_service name_ = {.abi = QK_ABI_HEAD(struct qk_service), \
                                            .name = #name_,                        \
                                            .lifetime = lifetime_,                 \
                                            .create = make_stray,                  \
                                            .needs = QK_NEEDS(__VA_ARGS__)}
static const struct qk_service c;
S(a, QK_SINGLETON, &c);
S(b, QK_SINGLETON, &a);
S(c, QK_SINGLETON, &sun, &b);
S(start, QK_SCOPED, &b);
S(unlisted, QK_SINGLETON, &sun);
S(asks, QK_SINGLETON, &unlisted);
S(passes, QK_SINGLETON, &asks);
S(turnly, QK_TRANSIENT, &sun);
S(held, QK_SCOPED, &turnly);
S(long_, QK_SINGLETON, &held);

START_TEST(test_services_refused_with_the_chain)
{
    const struct qk_service *const circle[] = {&start, &a, &b, &c, &sun, NULL};
    const struct qk_service *const missing[] = {&passes, &asks, &sun, NULL};
    const struct qk_service *const outlives[] = {&long_, &held, &turnly, &sun, NULL};
    const struct qk_service *const held_only[] = {&turnly, &sun, &held, NULL};
    ck_assert_int_eq(add("p", circle), QK_EDEADLOCK);
    ck_assert_str_eq(text, "services need one another in a circle: p/b -> p/a -> p/c -> p/b");
    ck_assert_int_eq(add("p", missing), QK_ENOTFOUND);
    ck_assert_str_eq(text, "a service is missing: p/passes -> p/asks -> unlisted: the plugin's list of services "
                           "(QK_SERVICES) leaves it out");
    ck_assert_int_eq(add("p", outlives), QK_ESTATE);
    ck_assert_str_eq(text, "a service would outlive what it needs: p/long_ -> p/held: long_ is singleton, held is "
                           "scoped");
    ck_assert_int_eq(add("p", held_only), QK_ESTATE);
    ck_assert_str_eq(text, "a service would outlive what it needs: p/held -> p/turnly: held is scoped, turnly is "
                           "transient");
    const struct qk_service *const whole[] = {&sun, &turnly, NULL};
    ck_assert_int_eq(add("p", whole), 0); /* nothing of what was refused is left */
    harness_finish(&h);
}
END_TEST

START_TEST(test_services_bad_ones_are_refused)
{
    struct qk_service bad_one = sun;
    const struct qk_service *const list[] = {&bad_one, NULL};
    const struct qk_service *const twice[] = {&sun, &sun, NULL};
    bad_one.lifetime = 4;
    ck_assert_int_eq(add("p", list), QK_EINVALID);
    ck_assert_str_eq(text, "service sun has no `lifetime`");
    bad_one = sun;
    bad_one.create = NULL;
    ck_assert_int_eq(add("p", list), QK_EINVALID);
    ck_assert_str_eq(text, "service sun has no `create`");
    bad_one = sun;
    bad_one.plugin = "sky";
    ck_assert_int_eq(add("p", list), QK_EINVALID);
    bad_one = sun;
    bad_one.abi.minor++;
    ck_assert_int_eq(add("p", list), QK_EVERSION);
    bad_one = sun;
    bad_one.abi.size = 8;
    ck_assert_int_eq(add("p", list), QK_EINVALID);
    ck_assert_int_eq(add("p", twice), QK_EEXISTS);
    harness_finish(&h);
}
END_TEST

/* A row of services, each of which needs the next. */
START_TEST(test_services_limits)
{
    static struct qk_service row[QK_PLUGIN_SERVICES_MAX + 1];
    static const struct qk_service *list[QK_PLUGIN_SERVICES_MAX + 2], *needs[QK_PLUGIN_SERVICES_MAX + 1][2];
    static char names[QK_PLUGIN_SERVICES_MAX + 1][8];
    for (int i = 0; i <= QK_PLUGIN_SERVICES_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "s%d", i);
        row[i] = sun;
        row[i].name = names[i];
        list[i] = &row[i];
        needs[i][0] = i < QK_SERVICE_DEPTH_MAX ? &row[i + 1] : NULL;
        row[i].needs = needs[i];
    }
    list[QK_PLUGIN_SERVICES_MAX] = NULL;
    ck_assert_int_eq(add("row", list), QK_ETOOBIG);
    ck_assert_msg(strstr(text, "more than 32 services need one another in a row: row/s0 -> row/s1") == text, "%s",
                  text);
    needs[QK_SERVICE_DEPTH_MAX - 1][0] = NULL;
    ck_assert_msg(add("row", list) == 0, "%s", text);
    list[QK_PLUGIN_SERVICES_MAX] = &row[QK_PLUGIN_SERVICES_MAX];
    ck_assert_int_eq(add("more", list), QK_ETOOBIG);
    harness_finish(&h);
}
END_TEST

/* ---- substitutes */

START_TEST(test_services_substitutes)
{
    struct thing mine = {"pen"};
    ck_assert_int_eq(qk_runtime_substitute(h.rt, "quill", &mine, text, sizeof(text)), QK_ENOTFOUND);
    ck_assert_int_eq(qk_runtime_substitute(h.rt, "office/quill", &mine, text, sizeof(text)), QK_ENOTFOUND);
    ck_assert_int_eq(qk_runtime_substitute(h.rt, "offic/pen", &mine, text, sizeof(text)), QK_ENOTFOUND);
    ck_assert_int_eq(qk_runtime_substitute(h.rt, "office/pen", &mine, text, sizeof(text)), 0);
    ck_assert_int_eq(do_as(0, "a", "note end"), 0);
    story_is("+one +note -note !end");
    ck_assert_int_eq(qk_runtime_substitute(h.rt, "one", &mine, text, sizeof(text)), QK_ESTATE);
    ck_assert_int_eq(add("sky", sky), 0);
    ck_assert_int_eq(add("moon", sky), 0);
    ck_assert_int_eq(qk_runtime_substitute(h.rt, "sun", &mine, text, sizeof(text)), QK_EINVALID);
    ck_assert_str_eq(text, "the plugins sky and moon both have a service sun: write PLUGIN/sun");
    ck_assert_int_eq(qk_runtime_substitute(h.rt, "sky/sun", &mine, text, sizeof(text)), 0);
    harness_finish(&h);
    story_is("-one");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("services");
    TCase *tc = tcase_create("services");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, test_services_are_made_and_destroyed_in_order);
    tcase_add_test(tc, test_services_end_with_turns_that_fail);
    tcase_add_test(tc, test_services_end_with_the_activation);
    tcase_add_test(tc, test_services_in_hooks);
    tcase_add_test(tc, test_services_end_with_a_failed_activation);
    tcase_add_test(tc, test_services_end_when_a_parent_restarts_or_stops);
    tcase_add_loop_test(tc, test_services_create_fails_at_each_place, 0, 6);
    tcase_add_loop_test(tc, test_services_create_panics_at_each_place, 0, 6);
    tcase_add_test(tc, test_services_create_uses_what_it_needs_only);
    tcase_add_test(tc, test_services_create_may_wait_or_not);
    tcase_add_test(tc, test_services_create_of_a_singleton_waits_for_nothing);
    tcase_add_test(tc, test_services_that_are_not_there);
    tcase_add_test(tc, test_services_of_another_plugin);
    tcase_add_test(tc, test_services_refused_with_the_chain);
    tcase_add_test(tc, test_services_bad_ones_are_refused);
    tcase_add_test(tc, test_services_limits);
    tcase_add_test(tc, test_services_substitutes);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
