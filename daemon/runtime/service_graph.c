/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of services. A plugin's are checked before any of them is there: each need exists, lives long enough,
 * and leads to no circle. Like types they stay until the runtime ends, and are looked up without a lock.
 */
#include "runtime/internal.h"

#include <stdio.h>
#include <stdlib.h>

struct qk_rt_service *qk_services_find(const struct qk_services *services, const struct qk_service *asked)
{
    unsigned n = atomic_load_explicit(&((struct qk_services *)services)->count, memory_order_acquire);
    for (unsigned i = 0; i < n; i++) {
        struct qk_rt_service *s = services->all[i];
        if (s->declared == asked || (asked->plugin != NULL && strcmp(asked->name, s->copy.name) == 0 &&
                                     strcmp(asked->plugin, s->plugin->name) == 0))
            return s;
    }
    return NULL;
}

static void service_free(struct qk_rt_service *s)
{
    free(s->needs);
    free(s);
}

void qk_services_drop(const struct qk_service_batch *batch)
{
    for (uint32_t i = 0; i < batch->n; i++)
        service_free(batch->made[i]);
}

void qk_services_publish(struct qk_runtime *rt, const struct qk_service_batch *batch)
{
    struct qk_services *services = &rt->services;
    unsigned n = atomic_load_explicit(&services->count, memory_order_relaxed);
    for (uint32_t i = 0; i < batch->n; i++)
        services->all[n + i] = batch->made[i];
    atomic_store_explicit(&services->count, n + batch->n, memory_order_release);
}

/* ---- each for itself */

static int check_service(const struct qk_service *d, char *text, size_t size)
{
    if (d->name == NULL || d->abi.size < offsetof(struct qk_service, destroy) + sizeof(void *)) {
        snprintf(text, size, "the descriptor of a service is damaged: it has no name, or is too short");
        return QK_EINVALID;
    }
    if (d->abi.major != QK_ABI_MAJOR || d->abi.minor > QK_ABI_MINOR) {
        snprintf(text, size, "service %s is built for interface %u.%u, this runtime has %u.%u", d->name, d->abi.major,
                 d->abi.minor, QK_ABI_MAJOR, QK_ABI_MINOR);
        return QK_EVERSION;
    }
    if (d->plugin != NULL) {
        snprintf(text, size, "the list of services names %s/%s, which another plugin has: it belongs into `needs`",
                 d->plugin, d->name);
        return QK_EINVALID;
    }
    if (d->create == NULL || d->lifetime < QK_SINGLETON || d->lifetime > QK_TRANSIENT) {
        snprintf(text, size, "service %s has no `%s`", d->name, d->create == NULL ? "create" : "lifetime");
        return QK_EINVALID;
    }
    return 0;
}

static const struct qk_rt_service *find_named(const struct qk_runtime *rt, const struct qk_service_batch *batch,
                                              const char *plugin, const char *name)
{
    for (uint32_t i = 0; i < batch->n; i++) {
        if (strcmp(batch->made[i]->copy.name, name) == 0)
            return batch->made[i];
    }
    struct qk_service reference = {.plugin = plugin, .name = name};
    return qk_services_find(&rt->services, &reference);
}

static int count_needs(struct qk_rt_service *s, char *text, size_t size)
{
    const struct qk_service *const *needs = s->copy.needs;
    while (needs != NULL && needs[s->n_needs] != NULL) {
        if (++s->n_needs > QK_SERVICE_NEEDS_MAX) {
            snprintf(text, size, "service %s needs more than %d others", s->copy.name, QK_SERVICE_NEEDS_MAX);
            return QK_ETOOBIG;
        }
    }
    s->needs = calloc(s->n_needs + 1, sizeof(struct qk_rt_service *));
    return s->needs != NULL ? 0 : -ENOMEM;
}

static int add_service(struct qk_runtime *rt, const struct qk_plugin *plugin, const struct qk_service *d,
                       struct qk_service_batch *batch, char *text, size_t size)
{
    int rc = check_service(d, text, size);
    if (rc < 0)
        return rc;
    if (find_named(rt, batch, plugin->name, d->name) != NULL) {
        snprintf(text, size, "the service %s/%s is already there", plugin->name, d->name);
        return QK_EEXISTS;
    }
    if (batch->n == QK_PLUGIN_SERVICES_MAX || atomic_load(&rt->services.count) + batch->n == QK_SERVICES_MAX) {
        snprintf(text, size, "no more than %d services of one plugin and %d of all fit", QK_PLUGIN_SERVICES_MAX,
                 QK_SERVICES_MAX);
        return QK_ETOOBIG;
    }
    struct qk_rt_service *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    memcpy(&s->copy, d, d->abi.size < sizeof(s->copy) ? d->abi.size : sizeof(s->copy));
    s->declared = d;
    s->plugin = plugin;
    batch->made[batch->n++] = s;
    return count_needs(s, text, size);
}

/* A plugin may name a service of its own by its plugin too. NULL: there is none. */
static struct qk_rt_service *resolve(const struct qk_runtime *rt, const struct qk_plugin *plugin,
                                     const struct qk_service_batch *batch, const struct qk_service *need)
{
    bool own = need->plugin != NULL && strcmp(need->plugin, plugin->name) == 0;
    for (uint32_t i = 0; i < batch->n; i++) {
        struct qk_rt_service *s = batch->made[i];
        if (s->declared == need || (own && need->name != NULL && strcmp(s->copy.name, need->name) == 0))
            return s;
    }
    return need->plugin != NULL && need->name != NULL ? qk_services_find(&rt->services, need) : NULL;
}

/* ---- the graph */

enum mark { MARK_NEW = 0, MARK_OPEN, MARK_DONE };

/* The way to the service that is looked at. */
struct way {
    const struct qk_rt_service *steps[QK_SERVICE_DEPTH_MAX];
    uint32_t n;
    char *text;
    size_t size;
    size_t used;
};

static void __attribute__((format(printf, 2, 3))) say(struct way *way, const char *format, ...)
{
    if (way->size == 0)
        return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(way->text + way->used, way->size - way->used, format, args);
    va_end(args);
    way->used += n > 0 ? (size_t)n : 0;
    if (way->used >= way->size)
        way->used = way->size - 1;
}

static void say_way(struct way *way, uint32_t from)
{
    for (uint32_t i = from; i < way->n; i++)
        say(way, "%s/%s -> ", way->steps[i]->plugin->name, way->steps[i]->copy.name);
}

static const char *word_of(uint32_t lifetime)
{
    static const char *const words[] = {
        [QK_SINGLETON] = "singleton", [QK_SCOPED] = "scoped", [QK_TRANSIENT] = "transient"};
    return words[lifetime];
}

static int say_missing(struct way *way, const struct qk_service *need)
{
    const char *name = need->name != NULL ? need->name : "?";
    say(way, "a service is missing: ");
    say_way(way, 0);
    if (need->plugin != NULL)
        say(way, "%s/%s: no plugin %s is loaded that has it", need->plugin, name, need->plugin);
    else
        say(way, "%s: the plugin's list of services (QK_SERVICES) leaves it out", name);
    return QK_ENOTFOUND;
}

static int say_circle(struct way *way, const struct qk_rt_service *again)
{
    uint32_t from = 0;
    while (way->steps[from] != again)
        from++;
    say(way, "services need one another in a circle: ");
    say_way(way, from);
    say(way, "%s/%s", again->plugin->name, again->copy.name);
    return QK_EDEADLOCK;
}

static int say_lifetime(struct way *way, const struct qk_rt_service *need)
{
    const struct qk_rt_service *s = way->steps[way->n - 1];
    say(way, "a service would outlive what it needs: ");
    say_way(way, 0);
    say(way, "%s/%s: %s is %s, %s is %s", need->plugin->name, need->copy.name, s->copy.name, word_of(s->copy.lifetime),
        need->copy.name, word_of(need->copy.lifetime));
    return QK_ESTATE;
}

/* Depth first; what another plugin has was checked when that was loaded. */
static int visit(struct way *way, struct qk_rt_service *s)
{
    if (s->mark == MARK_DONE)
        return 0;
    if (s->mark == MARK_OPEN)
        return say_circle(way, s);
    if (way->n == QK_SERVICE_DEPTH_MAX) {
        say(way, "more than %d services need one another in a row: ", QK_SERVICE_DEPTH_MAX);
        say_way(way, 0);
        say(way, "%s/%s", s->plugin->name, s->copy.name);
        return QK_ETOOBIG;
    }
    s->mark = MARK_OPEN;
    way->steps[way->n++] = s;
    for (uint32_t i = 0; i < s->n_needs; i++) {
        struct qk_rt_service *need = s->needs[i];
        if (need == NULL)
            return say_missing(way, s->copy.needs[i]);
        if (need->copy.lifetime > s->copy.lifetime)
            return say_lifetime(way, need);
        int rc = visit(way, need);
        if (rc < 0)
            return rc;
    }
    way->n--;
    s->mark = MARK_DONE;
    return 0;
}

int qk_services_prepare(struct qk_runtime *rt, const struct qk_plugin *plugin, struct qk_service_batch *ret_batch,
                        char *text, size_t size)
{
    ret_batch->n = 0;
    bool knows = plugin->abi.size >= offsetof(struct qk_plugin, services) + sizeof(plugin->services);
    const struct qk_service *const *list = knows ? plugin->services : NULL;
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        int rc = add_service(rt, plugin, list[i], ret_batch, text, size);
        if (rc < 0)
            return rc;
    }
    for (uint32_t i = 0; i < ret_batch->n; i++) {
        struct qk_rt_service *s = ret_batch->made[i];
        for (uint32_t k = 0; k < s->n_needs; k++)
            s->needs[k] = resolve(rt, plugin, ret_batch, s->copy.needs[k]);
    }
    struct way way = {.text = text, .size = size};
    for (uint32_t i = 0; i < ret_batch->n; i++) {
        way.n = 0;
        int rc = visit(&way, ret_batch->made[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}
