/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Builds the replies to administrative requests in an arena and packs them. A listing is bounded by its limit and by
 * the size of a frame, whatever there is to list.
 */
#include "silo/answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/arena.h"
#include "loop/clock.h"
#include "silo/internal.h"
#include "wire/check.h"

#define ACTORS_DEFAULT 1000
#define LISTING_BYTES  (QK_PAYLOAD_MAX - (64 << 10))       /* what a listing may take packed */
#define ACTOR_BYTES    64                                  /* of an actor packed, beside its type and key */
#define ACTORS_MAX     ((QK_MESSAGE_FIELDS_MAX - 100) / 7) /* an actor has six fields and is one; a reader counts them */
#define QUEUES_MAX     200000                              /* activations up to which their mailboxes are added up */
#define NS_PER_MS      1000000

struct build {
    struct qk_silo *silo;
    struct qk_arena arena;
    bool failed; /* out of memory */
};

/* A list that grows in the arena. */
struct list {
    void **items;
    size_t n;
    size_t cap;
};

static void *make(struct build *b, const ProtobufCMessageDescriptor *desc)
{
    ProtobufCMessage *message = qk_arena_alloc(&b->arena, desc->sizeof_message);
    if (message == NULL)
        b->failed = true;
    else
        desc->message_init(message);
    return message;
}

static bool add(struct build *b, struct list *list, void *item)
{
    if (item == NULL)
        return false;
    if (list->n == list->cap) {
        size_t cap = list->cap != 0 ? list->cap * 2 : 16;
        void **items = qk_arena_alloc(&b->arena, cap * sizeof(void *));
        if (items == NULL) {
            b->failed = true;
            return false;
        }
        if (list->n != 0)
            memcpy(items, list->items, list->n * sizeof(void *));
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n++] = item;
    return true;
}

/* A copy that is a valid string of protobuf's, whatever the bytes are. */
static char *copy(struct build *b, const char *text, size_t len)
{
    char *s = qk_arena_alloc(&b->arena, len + 1);
    if (s == NULL) {
        b->failed = true;
        return (char *)protobuf_c_empty_string;
    }
    memcpy(s, text, len);
    s[len] = 0;
    if (!qk_wire_is_utf8((const uint8_t *)s, len)) {
        for (size_t i = 0; i < len; i++)
            s[i] = (s[i] & 0x80) != 0 ? '?' : s[i];
    }
    return s;
}

static char *copy_string(struct build *b, const char *text)
{
    return text != NULL ? copy(b, text, strlen(text)) : (char *)protobuf_c_empty_string;
}

/* ---- status */

static const char *state_name(struct qk_silo *silo)
{
    switch ((enum qk_silo_state)atomic_load(&silo->state)) {
    case QK_SILO_STARTING:
        return "starting";
    case QK_SILO_RUNNING:
        return "running";
    default:
        return "draining";
    }
}

struct store_list {
    struct build *build;
    struct list list;
};

static void add_store(void *arg, const char *name, const struct qk_store_stats *stats)
{
    struct store_list *stores = arg;
    Quark__Admin__Store *s = make(stores->build, &quark__admin__store__descriptor);
    if (s == NULL)
        return;
    s->name = copy_string(stores->build, name);
    s->reads = stats->reads;
    s->writes = stats->writes;
    s->conflicts = stats->conflicts;
    s->errors = stats->errors;
    s->commits = stats->commits;
    s->commit_ns = stats->commit_ns;
    s->commit_max_ns = stats->commit_max_ns;
    add(stores->build, &stores->list, s);
}

static Quark__Admin__StatusReply *build_status(struct build *b)
{
    struct qk_silo *silo = b->silo;
    Quark__Admin__StatusReply *r = make(b, &quark__admin__status_reply__descriptor);
    if (r == NULL)
        return NULL;
    struct qk_silo_status status;
    struct qk_runtime_stats rt;
    struct qk_gateway_stats gw;
    struct qk_crew_stats crew;
    qk_silo_get_status(silo, &status);
    qk_runtime_stats(silo->rt, &rt);
    qk_hosts_add_stats(silo->hosts, &rt);
    qk_gateway_get_stats(silo->gw, &gw);
    r->silo = copy_string(b, silo->name);
    r->version = copy_string(b, silo->version);
    r->state = copy_string(b, state_name(silo));
    r->uptime_ms = (uint64_t)((qk_clock_now_ns(NULL) - silo->started_ns) / NS_PER_MS);
    r->pid = (uint32_t)getpid();
    r->workers = rt.workers;
    r->activations = rt.activations;
    r->turns = rt.turns;
    r->calls_in = gw.calls;
    r->failures = rt.failures;
    r->clients = gw.clients;
    r->plugins = status.plugins;
    r->plugins_refused = status.plugins_refused;
    int64_t resident = qk_memory_resident();
    r->memory_bytes = resident > 0 ? (uint64_t)resident : 0;
    r->memory_budget = silo->memory.budget;
    r->memory_state = copy_string(b, qk_memory_name(&silo->memory));
    r->collected = rt.collected;
    r->refused = rt.refused;
    qk_crew_get_stats(silo->crew, &crew);
    r->offload_running = crew.running;
    r->offload_waiting = crew.waiting;
    r->offload_refused = crew.refused;
    r->in_flight = gw.in_flight;
    r->socket = copy_string(b, silo->socket_path);
    r->long_turns = rt.long_turns;
    struct list files = {0};
    for (char **file = silo->config_files; file != NULL && *file != NULL; file++)
        add(b, &files, copy_string(b, *file));
    r->config_files = (char **)files.items;
    r->n_config_files = files.n;
    struct store_list stores = {.build = b};
    qk_stores_visit(silo->stores, add_store, &stores);
    r->stores = (Quark__Admin__Store **)stores.list.items;
    r->n_stores = stores.list.n;
    return r;
}

/* ---- types */

static const char *placement_name(uint32_t placement)
{
    switch ((enum qk_placement)placement) {
    case QK_PLACE_HASH:
        return "hash";
    case QK_PLACE_RANDOM:
        return "random";
    case QK_PLACE_PREFER_LOCAL:
        return "prefer_local";
    case QK_PLACE_LEAST_LOADED:
        return "least_loaded";
    case QK_PLACE_STATELESS:
        return "stateless";
    }
    return "unknown";
}

static Quark__Admin__Method *build_method(struct build *b, const struct qk_method *m)
{
    Quark__Admin__Method *r = make(b, &quark__admin__method__descriptor);
    if (r == NULL)
        return NULL;
    r->name = copy_string(b, m->name);
    r->id = m->id;
    r->request = copy_string(b, m->request->name);
    r->reply = copy_string(b, m->reply->name);
    r->one_way = (m->flags & QK_METHOD_ONE_WAY) != 0;
    r->read_only = (m->flags & QK_METHOD_READ_ONLY) != 0;
    r->deadline_ms = m->deadline_ms;
    return r;
}

static Quark__Admin__Type *build_type(struct build *b, const struct qk_type_stats *s)
{
    Quark__Admin__Type *r = make(b, &quark__admin__type__descriptor);
    if (r == NULL)
        return NULL;
    const struct qk_type *type = s->type;
    r->name = copy_string(b, type->name);
    r->id = type->id;
    r->service = copy_string(b, type->service);
    r->plugin = copy_string(b, s->plugin != NULL ? s->plugin->name : NULL);
    r->state = copy_string(b, type->state != NULL ? type->state->name : NULL);
    bool journaled = type->event != NULL && type->state != NULL && type->store != NULL;
    r->event = copy_string(b, journaled ? type->event->name : NULL);
    r->store = copy_string(b, type->state != NULL ? type->store : NULL);
    r->snapshot_every = !journaled ? 0 : type->snapshot_every != 0 ? type->snapshot_every : QK_SNAPSHOT_EVERY;
    r->placement = copy_string(b, placement_name(type->placement));
    r->mailbox_max = s->mailbox_max;
    r->idle_ms = s->idle_ms;
    r->activations = s->activations;
    r->turns = s->turns;
    r->failures = s->failures;
    struct list methods = {0};
    for (uint32_t i = 0; i < type->n_methods; i++)
        add(b, &methods, build_method(b, &type->methods[i]));
    r->methods = (Quark__Admin__Method **)methods.items;
    r->n_methods = methods.n;
    return r;
}

struct type_walk {
    struct build *b;
    const char *name; /* "": all */
    struct list list;
    bool found;
    struct qk_type_stats stats; /* of the one found last */
};

static void visit_type(void *arg, const struct qk_type_stats *stats)
{
    struct type_walk *walk = arg;
    if (*walk->name != 0 && strcmp(walk->name, stats->type->name) != 0)
        return;
    walk->found = true;
    walk->stats = *stats;
    if (walk->b != NULL)
        add(walk->b, &walk->list, build_type(walk->b, stats));
}

/* Those of the silo's own runtime, then those of plugins' processes. */
static void visit_types(struct qk_silo *silo, void (*visit)(void *arg, const struct qk_type_stats *stats), void *arg)
{
    qk_runtime_visit_types(silo->rt, visit, arg);
    qk_hosts_visit_types(silo->hosts, visit, arg);
}

bool qk_silo_has_type(struct qk_silo *silo, const char *name)
{
    struct type_walk walk = {.name = name};
    if (*name != 0)
        visit_types(silo, visit_type, &walk);
    return walk.found;
}

static int answer_types(struct build *b, const char *name, Quark__Admin__TypesReply *r, const char **ret_text)
{
    struct type_walk walk = {.b = b, .name = name};
    visit_types(b->silo, visit_type, &walk);
    if (*name != 0 && !walk.found) {
        *ret_text = "no plugin that is loaded has this actor type";
        return QK_ENOTFOUND;
    }
    r->types = (Quark__Admin__Type **)walk.list.items;
    r->n_types = walk.list.n;
    return 0;
}

static int answer_schema(struct build *b, const char *name, Quark__Admin__SchemaReply *r, const char **ret_text)
{
    struct type_walk walk = {.b = b, .name = name};
    if (*name != 0)
        visit_types(b->silo, visit_type, &walk);
    if (!walk.found || walk.list.n == 0) {
        *ret_text = "no plugin that is loaded has this actor type";
        return walk.found ? QK_ENOMEMORY : QK_ENOTFOUND;
    }
    r->type = walk.list.items[0];
    if (walk.stats.plugin != NULL && walk.stats.plugin->schema != NULL) {
        r->files.data = (uint8_t *)walk.stats.plugin->schema;
        r->files.len = walk.stats.plugin->schema_len;
    }
    return 0;
}

/* ---- actors */

struct actor_walk {
    struct build *b;
    const char *type;
    const char *prefix;
    size_t prefix_len;
    size_t limit;
    size_t bytes; /* what the list takes packed, at most */
    bool count;   /* how many match is known only by going through all of them */
    uint64_t total;
    struct list list;
};

static bool visit_actor(void *arg, const struct qk_activation_info *info)
{
    struct actor_walk *walk = arg;
    if (*walk->type != 0 && strcmp(walk->type, info->type->name) != 0)
        return true;
    if (info->key_len < walk->prefix_len || memcmp(info->key, walk->prefix, walk->prefix_len) != 0)
        return true;
    walk->total++;
    size_t bytes = ACTOR_BYTES + info->key_len + strlen(info->type->name);
    if (walk->list.n >= walk->limit || walk->bytes + bytes > LISTING_BYTES)
        return walk->count;
    Quark__Admin__Actor *r = make(walk->b, &quark__admin__actor__descriptor);
    if (!add(walk->b, &walk->list, r))
        return false;
    walk->bytes += bytes;
    r->type = (char *)info->type->name; /* outlives the reply */
    r->key = copy(walk->b, info->key, info->key_len);
    r->state = (char *)info->state;
    r->mailbox = info->mailbox;
    r->turns = info->turns;
    r->idle_ms = info->idle_ms > 0 ? (uint64_t)info->idle_ms : 0;
    return true;
}

static int answer_actors(struct build *b, const Quark__Admin__ActorsRequest *request, Quark__Admin__ActorsReply *r,
                         const char **ret_text)
{
    struct type_walk types = {.name = request->type};
    struct actor_walk walk = {.b = b,
                              .type = request->type,
                              .prefix = request->key_prefix,
                              .prefix_len = strlen(request->key_prefix),
                              .limit = request->limit != 0 ? request->limit : ACTORS_DEFAULT};
    if (walk.limit > ACTORS_MAX)
        walk.limit = ACTORS_MAX;
    if (*request->type != 0) {
        visit_types(b->silo, visit_type, &types);
        if (!types.found) {
            *ret_text = "no plugin that is loaded has this actor type";
            return QK_ENOTFOUND;
        }
    }
    walk.count = walk.prefix_len != 0;
    qk_runtime_visit_activations(b->silo->rt, visit_actor, &walk);
    r->actors = (Quark__Admin__Actor **)walk.list.items;
    r->n_actors = walk.list.n;
    r->total = walk.total;
    bool here = *request->type == 0 || qk_hosts_find_type(b->silo->hosts, types.stats.type->id) == NULL;
    if (!walk.count && here) {
        struct qk_runtime_stats stats;
        qk_runtime_stats(b->silo->rt, &stats);
        uint64_t all = *request->type != 0 ? types.stats.activations : stats.activations;
        if (all > r->total)
            r->total = all;
    }
    return 0;
}

/* ---- plugins */

struct plugin_walk {
    struct build *b;
    struct list list;
};

static char *name_of_need(struct build *b, const struct qk_plugin *plugin, const struct qk_service *need)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "%s/%s", need->plugin != NULL ? need->plugin : plugin->name, need->name);
    return copy(b, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static Quark__Admin__Service *build_service(struct build *b, const struct qk_plugin *plugin,
                                            const struct qk_service *service)
{
    static const char *const lifetimes[] = {
        [QK_SINGLETON] = "singleton", [QK_SCOPED] = "scoped", [QK_TRANSIENT] = "transient"};
    Quark__Admin__Service *r = make(b, &quark__admin__service__descriptor);
    if (r == NULL)
        return NULL;
    r->name = copy_string(b, service->name);
    r->plugin = copy_string(b, plugin->name);
    r->lifetime = copy_string(b, lifetimes[service->lifetime]);
    struct list needs = {0};
    for (uint32_t i = 0; service->needs != NULL && service->needs[i] != NULL; i++)
        add(b, &needs, name_of_need(b, plugin, service->needs[i]));
    r->needs = (char **)needs.items;
    r->n_needs = needs.n;
    return r;
}

/* What was checked when the plugin was loaded is not checked again. */
static void build_services(struct build *b, const struct qk_plugin *plugin, Quark__Admin__Plugin *r)
{
    struct list services = {0};
    if (plugin->abi.size < offsetof(struct qk_plugin, services) + sizeof(plugin->services) || plugin->services == NULL)
        return;
    for (uint32_t i = 0; plugin->services[i] != NULL; i++)
        add(b, &services, build_service(b, plugin, plugin->services[i]));
    r->services = (Quark__Admin__Service **)services.items;
    r->n_services = services.n;
}

static void visit_plugin(void *arg, const struct qk_plugin_info *info)
{
    struct plugin_walk *walk = arg;
    struct build *b = walk->b;
    Quark__Admin__Plugin *r = make(b, &quark__admin__plugin__descriptor);
    if (!add(b, &walk->list, r))
        return;
    r->name = copy_string(b, info->name);
    r->version = copy_string(b, info->version);
    r->file = copy_string(b, info->file);
    r->state = copy_string(b, info->state == QK_PLUGIN_LOADED ? "loaded" : "refused");
    r->reason = copy_string(b, info->reason);
    r->abi = copy_string(b, info->abi);
    r->loaded_ms = info->loaded_ms > 0 ? (uint64_t)info->loaded_ms : 0;
    r->code = copy_string(b, info->code);
    if (info->host != NULL) {
        struct qk_hosted_info host;
        qk_hosted_get_info(info->host, &host);
        r->pid = (uint32_t)host.pid;
        r->restarts = host.restarts;
        r->quarantined = host.quarantined;
        r->process = copy_string(b, host.state);
    }
    r->isolation = copy_string(b, info->state != QK_PLUGIN_LOADED ? "" : info->host != NULL ? "process" : "none");
    struct list types = {0};
    for (uint64_t i = 0; info->plugin != NULL && i < info->plugin->n_types; i++)
        add(b, &types, copy_string(b, info->plugin->types[i]->name));
    r->types = (char **)types.items;
    r->n_types = types.n;
    if (info->plugin != NULL)
        build_services(b, info->plugin, r);
}

/* ---- top */

struct top_walk {
    struct build *b;
    struct list list;
    bool queues;
};

static void visit_top_type(void *arg, const struct qk_type_stats *s)
{
    struct top_walk *walk = arg;
    Quark__Admin__TopType *r = make(walk->b, &quark__admin__top_type__descriptor);
    if (!add(walk->b, &walk->list, r))
        return;
    r->name = copy_string(walk->b, s->type->name);
    r->activations = s->activations;
    r->turns = s->turns;
    r->failures = s->failures;
    r->turn_ns = s->turn_ns;
    r->turn_samples = s->turn_samples;
    r->mailbox_wait_ns = s->mailbox_wait_ns;
}

static bool visit_queue(void *arg, const struct qk_activation_info *info)
{
    struct top_walk *walk = arg;
    for (size_t i = 0; info->mailbox != 0 && i < walk->list.n; i++) {
        Quark__Admin__TopType *r = walk->list.items[i];
        if (strcmp(r->name, info->type->name) == 0) {
            r->queued += info->mailbox;
            break;
        }
    }
    return true;
}

static void answer_top(struct build *b, Quark__Admin__TopReply *r)
{
    struct qk_silo *silo = b->silo;
    struct top_walk walk = {.b = b};
    struct qk_runtime_stats stats;
    visit_types(silo, visit_top_type, &walk);
    qk_runtime_stats(silo->rt, &stats);
    if (stats.activations <= QUEUES_MAX)
        qk_runtime_visit_activations(silo->rt, visit_queue, &walk);
    struct list workers = {0};
    for (uint32_t i = 0; i < silo->n_workers; i++) {
        struct qk_worker_stats s;
        Quark__Admin__TopWorker *w = make(b, &quark__admin__top_worker__descriptor);
        if (!add(b, &workers, w))
            break;
        qk_runtime_worker_stats(silo->rt, i, &s);
        w->index = i;
        w->turns = s.turns;
        int clock = atomic_load(&silo->workers[i].cpu_clock);
        w->busy_ns = clock != 0 ? (uint64_t)qk_thread_cpu_ns(clock) : 0;
        w->steals = s.steals;
        w->parks = s.parks;
        w->runnable = s.runnable;
        w->running = copy_string(b, qk_silo_stalled(silo, i));
    }
    r->now_ns = (uint64_t)qk_clock_now_ns(NULL);
    r->types = (Quark__Admin__TopType **)walk.list.items;
    r->n_types = walk.list.n;
    r->workers = (Quark__Admin__TopWorker **)workers.items;
    r->n_workers = workers.n;
    r->status = build_status(b);
}

/* ---- all of them */

static int pack(const Quark__Admin__AdminReply *reply, uint8_t **ret_reply, size_t *ret_size)
{
    size_t size = protobuf_c_message_get_packed_size(&reply->base);
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        return QK_ENOMEMORY;
    *ret_size = protobuf_c_message_pack(&reply->base, bytes);
    *ret_reply = bytes;
    return 0;
}

static int answer_body(struct build *b, const Quark__Admin__AdminRequest *request, Quark__Admin__AdminReply *reply,
                       const char **ret_text)
{
    struct plugin_walk plugins = {.b = b};
    reply->body_case = (Quark__Admin__AdminReply__BodyCase)request->body_case; /* the numbers are the same */
    switch (request->body_case) {
    case QUARK__ADMIN__ADMIN_REQUEST__BODY_STATUS:
        reply->status = build_status(b);
        return 0;
    case QUARK__ADMIN__ADMIN_REQUEST__BODY_TYPES:
        reply->types = make(b, &quark__admin__types_reply__descriptor);
        return reply->types != NULL ? answer_types(b, request->types->name, reply->types, ret_text) : 0;
    case QUARK__ADMIN__ADMIN_REQUEST__BODY_ACTORS:
        reply->actors = make(b, &quark__admin__actors_reply__descriptor);
        return reply->actors != NULL ? answer_actors(b, request->actors, reply->actors, ret_text) : 0;
    case QUARK__ADMIN__ADMIN_REQUEST__BODY_PLUGINS:
        reply->plugins = make(b, &quark__admin__plugins_reply__descriptor);
        if (reply->plugins == NULL)
            return 0;
        qk_plugins_visit(b->silo->plugins, visit_plugin, &plugins);
        reply->plugins->plugins = (Quark__Admin__Plugin **)plugins.list.items;
        reply->plugins->n_plugins = plugins.list.n;
        return 0;
    case QUARK__ADMIN__ADMIN_REQUEST__BODY_SCHEMA:
        reply->schema = make(b, &quark__admin__schema_reply__descriptor);
        return reply->schema != NULL ? answer_schema(b, request->schema->type, reply->schema, ret_text) : 0;
    case QUARK__ADMIN__ADMIN_REQUEST__BODY_TOP:
        reply->top = make(b, &quark__admin__top_reply__descriptor);
        if (reply->top != NULL)
            answer_top(b, reply->top);
        return 0;
    default:
        *ret_text = "this silo does not know that administrative request: it is of a newer version";
        return QK_EINVALID;
    }
}

int qk_silo_answer(struct qk_silo *silo, const Quark__Admin__AdminRequest *request, uint8_t **ret_reply,
                   size_t *ret_size, const char **ret_text)
{
    struct build b = {.silo = silo};
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    qk_arena_init(&b.arena, 4 * QK_MESSAGE_ARENA_MAX);
    int rc = answer_body(&b, request, &reply, ret_text);
    if (rc >= 0)
        rc = b.failed ? QK_ENOMEMORY : pack(&reply, ret_reply, ret_size);
    if (rc == QK_ENOMEMORY)
        *ret_text = "out of memory";
    qk_arena_finish(&b.arena);
    return rc;
}

int qk_silo_answer_deactivate(bool was_active, uint8_t **ret_reply, size_t *ret_size)
{
    Quark__Admin__AdminReply reply = QUARK__ADMIN__ADMIN_REPLY__INIT;
    Quark__Admin__DeactivateReply body = QUARK__ADMIN__DEACTIVATE_REPLY__INIT;
    body.was_active = was_active;
    reply.body_case = QUARK__ADMIN__ADMIN_REPLY__BODY_DEACTIVATE;
    reply.deactivate = &body;
    return pack(&reply, ret_reply, ret_size);
}
