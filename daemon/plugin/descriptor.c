/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Follows a plugin's descriptor from its head to the messages of its methods, and believes nothing on the way. */
#include "plugin/descriptor.h"

#include <stdlib.h>
#include <string.h>
#include "base/limits.h"
#include "plugin/messages.h"

/* How long each struct is in interface 1.0: the least that a plugin of this major number has. */
#define PLUGIN_SIZE_1_0  (offsetof(struct qk_plugin, schema_len) + sizeof(uint64_t))
#define TYPE_SIZE_1_0    (offsetof(struct qk_type, on_deactivate) + sizeof(void *))
#define SERVICE_SIZE_1_0 (offsetof(struct qk_service, destroy) + sizeof(void *))
#define STRUCT_SIZE_MAX  65536

#define TYPE_FLAGS                                                                                          \
    (QK_TYPE_INTERLEAVE_CHAIN | QK_TYPE_INTERLEAVE_ALWAYS | QK_TYPE_INTERLEAVE_READS | QK_TYPE_LAZY_STATE | \
     QK_TYPE_REFUSE_WHEN_FULL)
#define METHOD_FLAGS \
    (QK_METHOD_ONE_WAY | QK_METHOD_READ_ONLY | QK_METHOD_INTERLEAVE_CHAIN | QK_METHOD_INTERLEAVE_ALWAYS)

static int damaged(struct qk_refusal *refusal, const char *what)
{
    return qk_refuse(refusal, QK_PLUGIN_DAMAGED, "the plugin's descriptor is damaged: %s", what);
}

static bool has_array(const struct qk_memory *memory, const void *at, uint64_t count, size_t size)
{
    return count == 0 || qk_memory_has(memory, at, (size_t)count * size, sizeof(void *));
}

static int check_head(const void *at, const struct qk_memory *memory, size_t least, const char *what,
                      struct qk_refusal *refusal)
{
    const struct qk_abi *abi = at;
    if (!qk_memory_has(memory, abi, sizeof(*abi), sizeof(void *)))
        return damaged(refusal, what);
    int rc = qk_note_check_abi(abi->major, abi->minor, refusal);
    if (rc < 0)
        return rc;
    if (abi->size < least || abi->size > STRUCT_SIZE_MAX || !qk_memory_has(memory, abi, abi->size, sizeof(void *)))
        return damaged(refusal, what);
    return 0;
}

static bool is_function(const struct qk_memory *memory, uintptr_t at, bool may_be_null)
{
    return at == 0 ? may_be_null : memory->extent(memory->arg, (const void *)at) > 0;
}

static int check_filters(const struct qk_filter *const *filters, uint64_t n, const struct qk_memory *memory,
                         struct qk_refusal *refusal)
{
    if (n > QK_FILTERS_MAX || !has_array(memory, filters, n, sizeof(*filters)))
        return damaged(refusal, "filters can't be read, or are too many");
    for (uint64_t i = 0; i < n; i++) {
        const struct qk_filter *f = filters[i];
        int rc = check_head(f, memory, sizeof(*f), "a filter can't be read", refusal);
        if (rc < 0)
            return rc;
        if (!qk_memory_has_name(memory, f->name) || !is_function(memory, (uintptr_t)f->incoming, true) ||
            !is_function(memory, (uintptr_t)f->outgoing, f->incoming != NULL))
            return damaged(refusal, "a filter has no name or no function");
    }
    return 0;
}

static int check_journal(const struct qk_type *type, struct qk_messages *messages, struct qk_refusal *refusal)
{
    if (type->abi.size < offsetof(struct qk_type, snapshot_every) + sizeof(type->snapshot_every) || type->event == NULL)
        return 0;
    if (type->state == NULL || type->store == NULL || !is_function(messages->memory, (uintptr_t)type->apply, false))
        return damaged(refusal, "an actor type has events, but no state, no store or no function that applies them");
    return qk_messages_add(messages, type->event) ? 0 : damaged(refusal, "too many messages");
}

static int check_type(const struct qk_type *type, struct qk_messages *messages, struct qk_refusal *refusal)
{
    const struct qk_memory *memory = messages->memory;
    int rc = check_head(type, memory, TYPE_SIZE_1_0, "an actor type can't be read", refusal);
    if (rc < 0)
        return rc;
    if (!qk_memory_has_name(memory, type->name) || strchr(type->name, '/') != NULL)
        return damaged(refusal, "an actor type has no name, or one with a slash, a space or a letter beyond ASCII");
    if (!qk_memory_has_name(memory, type->service))
        return damaged(refusal, "an actor type has no service");
    if (type->n_methods > QK_TYPE_METHODS_MAX ||
        !has_array(memory, type->methods, type->n_methods, sizeof(*type->methods)))
        return damaged(refusal, "the methods of an actor type can't be read, or are too many");
    if (type->placement > QK_PLACE_STATELESS || (type->flags & ~(uint32_t)TYPE_FLAGS) != 0)
        return damaged(refusal, "an actor type has a placement or flags that do not exist");
    if (!is_function(memory, (uintptr_t)type->on_activate, true) ||
        !is_function(memory, (uintptr_t)type->on_deactivate, true))
        return damaged(refusal, "a function of an actor type is nowhere");
    bool knows_store = type->abi.size >= offsetof(struct qk_type, store) + sizeof(type->store);
    if (knows_store && type->store != NULL && !qk_memory_has_name(memory, type->store))
        return damaged(refusal, "the store of an actor type has no name");
    bool knows_parents = type->abi.size >= offsetof(struct qk_type, backoff_max_ms) + sizeof(type->backoff_max_ms);
    if (knows_parents && (!is_function(memory, (uintptr_t)type->on_child_failure, true) ||
                          !is_function(memory, (uintptr_t)type->on_watched, true)))
        return damaged(refusal, "a function of an actor type is nowhere");
    if (knows_parents && (type->directive > QK_ESCALATE || type->strategy > QK_REST_FOR_ONE))
        return damaged(refusal, "an actor type has a directive or a strategy that does not exist");
    if (type->abi.size >= offsetof(struct qk_type, n_filters) + sizeof(type->n_filters) &&
        (rc = check_filters(type->filters, type->n_filters, memory, refusal)) < 0)
        return rc;
    if ((rc = check_journal(type, messages, refusal)) < 0)
        return rc;
    if (type->state != NULL && !qk_messages_add(messages, type->state))
        return damaged(refusal, "too many messages");
    for (uint32_t i = 0; i < type->n_methods; i++) {
        const struct qk_method *m = &type->methods[i];
        if (!qk_memory_has_name(memory, m->name) || !is_function(memory, (uintptr_t)m->handler, false))
            return damaged(refusal, "a method has no name or no handler");
        if ((m->flags & ~(uint32_t)METHOD_FLAGS) != 0)
            return damaged(refusal, "a method has flags that do not exist");
        if (!qk_messages_add(messages, m->request) || !qk_messages_add(messages, m->reply))
            return damaged(refusal, "too many messages");
    }
    return 0;
}

/* Whether a list of pointers that ends with NULL can be read and has no more than `max`; how many. */
static bool is_list(const struct qk_memory *memory, const struct qk_service *const *list, uint32_t max,
                    uint32_t *ret_count)
{
    uint32_t n = 0;
    while (n <= max && qk_memory_has(memory, &list[n], sizeof(list[n]), sizeof(void *))) {
        if (list[n] == NULL) {
            *ret_count = n;
            return true;
        }
        n++;
    }
    return false;
}

/* A service or a reference to one: what is the same for both. */
static int check_reference(const struct qk_service *service, const struct qk_memory *memory, struct qk_refusal *refusal)
{
    int rc = check_head(service, memory, SERVICE_SIZE_1_0, "a service can't be read", refusal);
    if (rc < 0)
        return rc;
    if (!qk_memory_has_name(memory, service->name) || strchr(service->name, '/') != NULL)
        return damaged(refusal, "a service has no name, or one with a slash, a space or a letter beyond ASCII");
    if (service->plugin != NULL && !qk_memory_has_name(memory, service->plugin))
        return damaged(refusal, "the plugin of a service has no name");
    return 0;
}

static int check_service(const struct qk_service *service, const struct qk_memory *memory, struct qk_refusal *refusal)
{
    uint32_t n = 0;
    int rc = check_reference(service, memory, refusal);
    if (rc < 0)
        return rc;
    if (service->lifetime < QK_SINGLETON || service->lifetime > QK_TRANSIENT)
        return damaged(refusal, "a service has a lifetime that does not exist");
    if (!is_function(memory, (uintptr_t)service->create, false) ||
        !is_function(memory, (uintptr_t)service->destroy, true))
        return damaged(refusal, "a function of a service is nowhere");
    if (service->needs != NULL && !is_list(memory, service->needs, QK_SERVICE_NEEDS_MAX, &n))
        return damaged(refusal, "what a service needs can't be read, or is too much");
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = check_reference(service->needs[i], memory, refusal);
    return rc;
}

static int check_services(const struct qk_plugin *plugin, const struct qk_memory *memory, struct qk_refusal *refusal)
{
    uint32_t n = 0;
    if (plugin->abi.size < offsetof(struct qk_plugin, services) + sizeof(plugin->services) || plugin->services == NULL)
        return 0;
    if (!is_list(memory, plugin->services, QK_PLUGIN_SERVICES_MAX, &n))
        return damaged(refusal, "its services can't be read, or are too many");
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = check_service(plugin->services[i], memory, refusal);
    return rc;
}

static int check_plugin(const struct qk_plugin *plugin, const struct qk_note_info *note, const struct qk_memory *memory,
                        struct qk_refusal *refusal)
{
    int rc = check_head(plugin, memory, PLUGIN_SIZE_1_0, "it can't be read", refusal);
    if (rc < 0)
        return rc;
    if (!qk_memory_has_name(memory, plugin->name) || !qk_memory_has_name(memory, plugin->version))
        return damaged(refusal, "it has no name or no version");
    if (strcmp(plugin->name, note->name) != 0 || strcmp(plugin->version, note->version) != 0)
        return qk_refuse(refusal, QK_PLUGIN_DAMAGED,
                         "the plugin's note says %s %s, its descriptor says %s %s: they were not built together",
                         note->name, note->version, plugin->name, plugin->version);
    if (plugin->n_types > QK_PLUGIN_TYPES_MAX ||
        !has_array(memory, plugin->types, plugin->n_types, sizeof(*plugin->types)))
        return damaged(refusal, "its actor types can't be read, or are too many");
    if (plugin->abi.size >= offsetof(struct qk_plugin, n_filters) + sizeof(plugin->n_filters) &&
        (rc = check_filters(plugin->filters, plugin->n_filters, memory, refusal)) < 0)
        return rc;
    if (plugin->schema_len > QK_SCHEMA_MAX)
        return qk_refuse(refusal, QK_PLUGIN_TOO_LARGE,
                         "the descriptions of its messages take %llu bytes, and %d are the most that is loaded",
                         (unsigned long long)plugin->schema_len, QK_SCHEMA_MAX);
    if (plugin->schema_len > 0 && !qk_memory_has(memory, plugin->schema, (size_t)plugin->schema_len, 1))
        return damaged(refusal, "the descriptions of its messages can't be read");
    return check_services(plugin, memory, refusal);
}

static int check_messages(struct qk_messages *messages, struct qk_refusal *refusal)
{
    const char *name = "", *wrong = qk_messages_check(messages, &name);
    if (wrong == NULL)
        return 0;
    return qk_refuse(refusal, QK_PLUGIN_DAMAGED, "the plugin's descriptor is damaged: message %s: %s",
                     name[0] != 0 ? name : "without a name", wrong);
}

int qk_descriptor_check(const struct qk_plugin *plugin, const struct qk_note_info *note, const struct qk_memory *memory,
                        struct qk_refusal *refusal)
{
    int rc = check_plugin(plugin, note, memory, refusal);
    if (rc < 0)
        return rc;
    struct qk_messages *messages = calloc(1, sizeof(*messages));
    if (messages == NULL)
        return qk_refuse(refusal, QK_PLUGIN_RESOURCES, "no memory to check the plugin's descriptor");
    messages->memory = memory;
    for (uint64_t i = 0; rc == 0 && i < plugin->n_types; i++)
        rc = check_type(plugin->types[i], messages, refusal);
    if (rc == 0)
        rc = check_messages(messages, refusal);
    free(messages);
    return rc;
}
