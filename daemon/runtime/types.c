/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of actor types. Registration takes a lock and checks everything; look-ups are by id and take none:
 * entries are published once and stay until the runtime ends.
 */
#include "runtime/filters.h"
#include "runtime/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fnv.h"
#include "wire/message.h"

int qk_types_init(struct qk_types *types)
{
    memset(types, 0, sizeof(*types));
    return -pthread_mutex_init(&types->lock, NULL);
}

static void type_destroy(struct qk_rt_type *type)
{
    if (type == NULL)
        return;
    free(type->slots);
    free(type->methods);
    free(type);
}

void qk_types_finish(struct qk_types *types)
{
    unsigned n = atomic_load(&types->count);
    for (unsigned i = 0; i < n; i++)
        type_destroy(atomic_load(&types->in_order[i]));
    qk_filters_finish(types);
    pthread_mutex_destroy(&types->lock);
}

static size_t home_slot(uint64_t id)
{
    return (size_t)(id * 0x9e3779b97f4a7c15ull >> 51) & (QK_TYPES_MAX * 2 - 1);
}

struct qk_rt_type *qk_types_find(const struct qk_types *types, uint64_t id)
{
    for (size_t i = home_slot(id);; i = (i + 1) & (QK_TYPES_MAX * 2 - 1)) {
        struct qk_rt_type *type = atomic_load_explicit(&((struct qk_types *)types)->by_id[i], memory_order_acquire);
        if (type == NULL || type->id == id)
            return type;
    }
}

const struct qk_rt_method *qk_type_method(const struct qk_rt_type *type, uint32_t id)
{
    unsigned slot = type->slots[(uint32_t)(id * type->mul) >> type->shift];
    if (slot == 0 || type->methods[slot - 1].desc->id != id)
        return NULL;
    return &type->methods[slot - 1];
}

/* Finds a multiplier under which no two ids share a slot; the table grows until there is one. */
static int build_slots(struct qk_rt_type *type)
{
    uint32_t n = type->desc->n_methods;
    unsigned bits = 1;
    while ((1u << bits) < n * 2)
        bits++;
    for (; bits <= 24; bits++) {
        uint16_t *slots = calloc((size_t)1 << bits, sizeof(*slots));
        if (slots == NULL)
            return -ENOMEM;
        uint32_t mul = 0x9e3779b1u;
        for (unsigned attempt = 0; attempt < 256; attempt++, mul = mul * 0x85ebca6bu + 0xc2b2ae36u) {
            mul |= 1;
            uint32_t i = 0;
            for (; i < n; i++) {
                uint16_t *slot = &slots[(uint32_t)(type->desc->methods[i].id * mul) >> (32 - bits)];
                if (*slot != 0)
                    break;
                *slot = (uint16_t)(i + 1);
            }
            if (i == n) {
                type->slots = slots;
                type->mul = mul;
                type->shift = 32 - bits;
                return 0;
            }
            memset(slots, 0, ((size_t)1 << bits) * sizeof(*slots));
        }
        free(slots);
    }
    return QK_EINVALID;
}

static int check_type(const struct qk_type *d, char *text, size_t size)
{
    if (d == NULL || d->name == NULL || d->service == NULL) {
        snprintf(text, size, "an actor type has no name");
        return QK_EINVALID;
    }
    if (d->abi.major != QK_ABI_MAJOR || d->abi.minor > QK_ABI_MINOR) {
        snprintf(text, size, "type %s is built for interface %u.%u, this runtime has %u.%u", d->name, d->abi.major,
                 d->abi.minor, QK_ABI_MAJOR, QK_ABI_MINOR);
        return QK_EVERSION;
    }
    if (d->abi.size < offsetof(struct qk_type, store) || d->id != qk_fnv64(d->name) ||
        d->n_methods > QK_TYPE_METHODS_MAX || (d->n_methods > 0 && d->methods == NULL) ||
        d->mailbox_max > QK_MAILBOX_LIMIT) {
        snprintf(text, size, "the descriptor of type %s is damaged: its id, methods or mailbox are out of bounds",
                 d->name);
        return QK_EINVALID;
    }
    bool knows_events = d->abi.size >= offsetof(struct qk_type, snapshot_every) + sizeof(d->snapshot_every);
    if (knows_events && d->event != NULL && (d->apply == NULL || d->state == NULL || d->store == NULL)) {
        snprintf(text, size, "the descriptor of type %s is damaged: it has events, but no state, store or apply",
                 d->name);
        return QK_EINVALID;
    }
    for (uint32_t i = 0; i < d->n_methods; i++) {
        const struct qk_method *m = &d->methods[i];
        if (m->name == NULL || m->request == NULL || m->reply == NULL || m->handler == NULL || m->type_id != d->id ||
            (i > 0 && m->id <= d->methods[i - 1].id)) {
            snprintf(text, size, "the descriptor of type %s is damaged: method %u is incomplete or out of order",
                     d->name, i);
            return QK_EINVALID;
        }
    }
    return 0;
}

static uint8_t interleave_of(const struct qk_type *d, const struct qk_method *m)
{
    uint8_t interleave = 0;
    if ((d->flags & QK_TYPE_INTERLEAVE_ALWAYS) != 0 || (m->flags & QK_METHOD_INTERLEAVE_ALWAYS) != 0)
        interleave |= QK_INTERLEAVE_ALWAYS;
    if ((d->flags & QK_TYPE_INTERLEAVE_CHAIN) != 0 || (m->flags & QK_METHOD_INTERLEAVE_CHAIN) != 0)
        interleave |= QK_INTERLEAVE_CHAIN;
    if ((d->flags & QK_TYPE_INTERLEAVE_READS) != 0 && (m->flags & QK_METHOD_READ_ONLY) != 0)
        interleave |= QK_INTERLEAVE_READS;
    return interleave;
}

static int make_type(struct qk_runtime *rt, const struct qk_plugin *plugin, const struct qk_type *d,
                     struct qk_rt_type **ret_type)
{
    struct qk_rt_type *type = calloc(1, sizeof(*type));
    if (type == NULL)
        return -ENOMEM;
    /* A plugin of an older minor version knows less of the struct. */
    memcpy(&type->copy, d, d->abi.size < sizeof(type->copy) ? d->abi.size : sizeof(type->copy));
    d = type->desc = &type->copy;
    type->plugin = plugin;
    type->id = d->id;
    type->name_len = (uint32_t)strlen(d->name);
    type->mailbox_max = d->mailbox_max != 0 ? d->mailbox_max : rt->config.mailbox_max;
    type->idle_ms = d->idle_ms != 0 ? d->idle_ms : rt->config.idle_ms;
    type->stored = d->store != NULL && d->state != NULL;
    type->begins = d->on_activate != NULL || (type->stored && (d->flags & QK_TYPE_LAZY_STATE) == 0);
    type->state_size = d->state != NULL ? (uint32_t)((d->state->sizeof_message + 7) & ~(size_t)7) : 0;
    type->journaled = type->stored && d->event != NULL;
    if (type->stored)
        type->behind_size = (uint32_t)(sizeof(struct qk_stored) + (type->journaled ? sizeof(struct qk_journal) : 0));
    type->state_size += type->behind_size;
    type->methods = calloc(d->n_methods + 1, sizeof(*type->methods));
    int rc = type->methods != NULL ? build_slots(type) : -ENOMEM;
    if (rc < 0) {
        type_destroy(type);
        return rc;
    }
    for (uint32_t i = 0; i < d->n_methods; i++) {
        const struct qk_method *m = &d->methods[i];
        type->methods[i] = (struct qk_rt_method){.desc = m,
                                                 .flat_request = qk_message_is_flat(m->request),
                                                 .flat_reply = qk_message_is_flat(m->reply),
                                                 .interleave = interleave_of(d, m),
                                                 .index = (uint16_t)i,
                                                 .limit_ms = m->limit_ms != 0 ? m->limit_ms : d->limit_ms};
        type->interleaves = type->interleaves || type->methods[i].interleave != 0;
    }
    *ret_type = type;
    return 0;
}

static void publish(struct qk_runtime *rt, struct qk_rt_type *type)
{
    struct qk_types *types = &rt->types;
    type->index = atomic_load(&types->count);
    atomic_store_explicit(&types->in_order[type->index], type, memory_order_release);
    atomic_store_explicit(&types->count, type->index + 1, memory_order_release);
    size_t i = home_slot(type->id);
    while (atomic_load_explicit(&types->by_id[i], memory_order_relaxed) != NULL)
        i = (i + 1) & (QK_TYPES_MAX * 2 - 1);
    atomic_store_explicit(&types->by_id[i], type, memory_order_release);
    if (type->idle_ms < atomic_load(&rt->idle_min_ms))
        atomic_store(&rt->idle_min_ms, type->idle_ms);
}

/* The filters that a plugin brings for all of the silo; one of an older minor version has none. */
static uint64_t silo_filters(const struct qk_plugin *plugin, const struct qk_filter *const **ret_filters)
{
    bool knows = plugin->abi.size >= offsetof(struct qk_plugin, n_filters) + sizeof(plugin->n_filters);
    *ret_filters = knows ? plugin->filters : NULL;
    return knows ? plugin->n_filters : 0;
}

/* Gives the new types their filters, and the others new ones where the plugin has some for all. All or none. */
static int set_filters(struct qk_types *types, const struct qk_plugin *plugin, struct qk_rt_type *const *made,
                       uint32_t n_made)
{
    const struct qk_filter *const *silo;
    uint32_t n_silo = (uint32_t)silo_filters(plugin, &silo);
    uint32_t n_old = n_silo != 0 ? atomic_load(&types->count) : 0;
    struct qk_filter_set **sets = calloc((size_t)n_made + n_old + 1, sizeof(struct qk_filter_set *));
    int rc = sets != NULL ? 0 : -ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < n_made + n_old; i++) {
        const struct qk_rt_type *type = i < n_made ? made[i] : atomic_load(&types->in_order[i - n_made]);
        rc = qk_filters_make(types, type->desc, silo, n_silo, &sets[i]);
    }
    for (uint32_t i = 0; rc == 0 && i < n_made + n_old; i++) {
        struct qk_rt_type *type = i < n_made ? made[i] : atomic_load(&types->in_order[i - n_made]);
        atomic_store_explicit(&type->filters, sets[i], memory_order_release);
    }
    for (uint32_t i = 0; rc == 0 && i < n_silo; i++)
        types->filters[types->n_filters++] = silo[i];
    free(sets);
    return rc;
}

static int check_filters(const struct qk_types *types, const struct qk_plugin *plugin, char *text, size_t size)
{
    const struct qk_filter *const *silo;
    uint64_t n = silo_filters(plugin, &silo);
    const char *wrong = qk_filters_wrong(silo, n);
    if (wrong == NULL && types->n_filters + n > QK_SILO_FILTERS_MAX)
        wrong = "the plugins together have more than 64 filters for the silo";
    if (wrong == NULL)
        return 0;
    snprintf(text, size, "the descriptor of plugin %s is damaged: %s", plugin->name, wrong);
    return QK_EINVALID;
}

static int add_all(struct qk_runtime *rt, const struct qk_plugin *plugin, char *text, size_t size)
{
    struct qk_rt_type *made[QK_PLUGIN_TYPES_MAX];
    uint32_t n = 0;
    int rc = check_filters(&rt->types, plugin, text, size);
    for (; rc == 0 && n < plugin->n_types; n++) {
        const struct qk_type *d = plugin->types[n];
        rc = check_type(d, text, size);
        if (rc < 0)
            break;
        struct qk_rt_type *taken = qk_types_find(&rt->types, d->id);
        for (uint32_t i = 0; i < n && taken == NULL; i++)
            taken = made[i]->id == d->id ? made[i] : NULL;
        if (taken != NULL) {
            snprintf(text, size, "actor type %s is already there, from plugin %s", d->name, taken->plugin->name);
            rc = QK_EEXISTS;
            break;
        }
        rc = make_type(rt, plugin, d, &made[n]);
        const char *wrong = rc == 0 ? qk_filters_wrong(made[n]->desc->filters, made[n]->desc->n_filters) : NULL;
        if (wrong != NULL) {
            snprintf(text, size, "the descriptor of type %s is damaged: %s", d->name, wrong);
            type_destroy(made[n]);
            rc = QK_EINVALID;
            break;
        }
        if (rc < 0) {
            snprintf(text, size, "type %s can't be registered: %s", d->name,
                     rc == -ENOMEM ? "out of memory" : "its methods' ids collide");
            break;
        }
    }
    if (rc == 0 && atomic_load(&rt->types.count) + n > QK_TYPES_MAX) {
        snprintf(text, size, "no more than %d actor types fit", QK_TYPES_MAX);
        rc = QK_ETOOBIG;
    }
    if (rc == 0 && (rc = set_filters(&rt->types, plugin, made, n)) < 0)
        snprintf(text, size, "out of memory");
    for (uint32_t i = 0; i < n; i++) {
        if (rc == 0)
            publish(rt, made[i]);
        else
            type_destroy(made[i]);
    }
    return rc;
}

int qk_runtime_add_plugin(struct qk_runtime *rt, const struct qk_plugin *plugin, char *text, size_t text_size)
{
    if (plugin->abi.major != QK_ABI_MAJOR || plugin->abi.minor > QK_ABI_MINOR) {
        snprintf(text, text_size, "built for interface %u.%u, this runtime has %u.%u", plugin->abi.major,
                 plugin->abi.minor, QK_ABI_MAJOR, QK_ABI_MINOR);
        return QK_EVERSION;
    }
    if (plugin->name == NULL || plugin->n_types > QK_PLUGIN_TYPES_MAX ||
        (plugin->n_types > 0 && plugin->types == NULL)) {
        snprintf(text, text_size, "the descriptor is damaged: no name, or more than %d types", QK_PLUGIN_TYPES_MAX);
        return QK_EINVALID;
    }
    pthread_mutex_lock(&rt->types.lock);
    struct qk_service_batch services;
    int rc = qk_services_prepare(rt, plugin, &services, text, text_size);
    if (rc == 0)
        rc = add_all(rt, plugin, text, text_size);
    if (rc == 0)
        qk_services_publish(rt, &services);
    else
        qk_services_drop(&services);
    pthread_mutex_unlock(&rt->types.lock);
    return rc;
}

const struct qk_target *qk_types_look_up(struct qk_worker *w, const struct qk_method *m)
{
    struct qk_target *target = &w->targets[m->id % QK_TARGETS];
    struct qk_rt_type *type = qk_types_find(&w->rt->types, m->type_id);
    const struct qk_rt_method *method = type != NULL ? qk_type_method(type, m->id) : NULL;
    if (method == NULL)
        return NULL;
    *target = (struct qk_target){.called = m, .type = type, .method = method};
    target->foreign =
        m->request != method->desc->request && (!qk_types_same_layout(m->request, method->desc->request) ||
                                                !qk_types_same_layout(m->reply, method->desc->reply));
    return target;
}

/* Pairs of descriptors that were compared, in a table that is never emptied; a full neighbourhood only costs a
 * comparison. */
#define PAIR_SLOTS 1024

static struct {
    _Atomic(const void *) a;
    _Atomic(const void *) b;
    atomic_int same; /* 0: not yet known, 1: same, 2: other */
} pairs[PAIR_SLOTS];

bool qk_types_same_layout(const ProtobufCMessageDescriptor *a, const ProtobufCMessageDescriptor *b)
{
    if (a == b)
        return true;
    size_t home = (((uintptr_t)a >> 4) * 31 + ((uintptr_t)b >> 4)) % PAIR_SLOTS;
    for (size_t k = 0; k < 8; k++) {
        size_t i = (home + k) % PAIR_SLOTS;
        const void *seen = NULL;
        if (atomic_compare_exchange_strong(&pairs[i].a, &seen, a)) {
            bool same = qk_message_same_layout(a, b);
            atomic_store(&pairs[i].b, b);
            atomic_store(&pairs[i].same, same ? 1 : 2);
            return same;
        }
        int known = atomic_load_explicit(&pairs[i].same, memory_order_acquire);
        if (known != 0 && seen == a && atomic_load_explicit(&pairs[i].b, memory_order_relaxed) == b)
            return known == 1;
    }
    return qk_message_same_layout(a, b);
}
