/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas: unpacks a file set, collects its types by full name, has their tables built and answers look-ups. */
#include "schema/schema.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "schema/internal.h"
#include "wire/check.h"
#include <quark/status.h>

#define NAME_MAX_BYTES 512

char qk_schema_mark;

int qk_build_fail(struct qk_build *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(b->error, b->error_size, format, args);
    va_end(args);
    return QK_EINVALID;
}

void *qk_build_alloc(struct qk_build *b, size_t size)
{
    void *p = qk_arena_alloc(&b->schema->arena, size != 0 ? size : 1);
    if (p != NULL)
        memset(p, 0, size);
    return p;
}

bool qk_schema_is_name(const char *s, bool dots)
{
    if (s == NULL || *s == '\0' || strlen(s) > NAME_MAX_BYTES)
        return false;
    for (; *s != '\0'; s++) {
        bool letter = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || *s == '_';
        if (!letter && !(dots && *s == '.'))
            return false;
    }
    return true;
}

/* scope.name, or name where there is no scope; NULL past the limits. */
static const char *join(struct qk_build *b, const char *scope, const char *name)
{
    size_t n = strlen(scope), m = strlen(name);
    if (n + m > NAME_MAX_BYTES)
        return NULL;
    char *full = qk_build_alloc(b, n + m + 2);
    if (full != NULL)
        snprintf(full, n + m + 2, "%s%s%s", scope, n != 0 ? "." : "", name);
    return full;
}

static void count_types(const Google__Protobuf__DescriptorProto *m, unsigned *messages, unsigned *enums)
{
    ++*messages;
    *enums += (unsigned)m->n_enum_type;
    for (size_t i = 0; i < m->n_nested_type; i++)
        count_types(m->nested_type[i], messages, enums);
}

static int allocate_tables(struct qk_build *b)
{
    unsigned messages = 0, enums = 0, services = 0;
    for (size_t i = 0; i < b->set->n_file; i++) {
        const Google__Protobuf__FileDescriptorProto *f = b->set->file[i];
        for (size_t k = 0; k < f->n_message_type; k++)
            count_types(f->message_type[k], &messages, &enums);
        enums += (unsigned)f->n_enum_type;
        services += (unsigned)f->n_service;
    }
    struct qk_schema *s = b->schema;
    s->messages = qk_build_alloc(b, messages * sizeof(void *));
    s->enums = qk_build_alloc(b, enums * sizeof(void *));
    s->services = qk_build_alloc(b, services * sizeof(void *));
    return s->messages != NULL && s->enums != NULL && s->services != NULL ? 0 : QK_ETOOBIG;
}

static int collect_enum(struct qk_build *b, const char *scope, const char *package,
                        const Google__Protobuf__EnumDescriptorProto *proto)
{
    if (!qk_schema_is_name(proto->name, false))
        return qk_build_fail(b, "an enum in `%s` has no valid name", scope);
    struct qk_schema_enum *e = qk_build_alloc(b, sizeof(*e));
    const char *full = join(b, scope, proto->name);
    if (e == NULL || full == NULL)
        return QK_ETOOBIG;
    e->proto = proto;
    e->desc = (ProtobufCEnumDescriptor){.magic = PROTOBUF_C__ENUM_DESCRIPTOR_MAGIC,
                                        .name = full,
                                        .short_name = proto->name,
                                        .c_name = proto->name,
                                        .package_name = package};
    b->schema->enums[b->schema->n_enums++] = e;
    return 0;
}

static int collect_message(struct qk_build *b, const char *scope, const Google__Protobuf__FileDescriptorProto *file,
                           const Google__Protobuf__DescriptorProto *proto)
{
    if (!qk_schema_is_name(proto->name, false))
        return qk_build_fail(b, "a message in `%s` has no valid name", scope);
    struct qk_schema_message *m = qk_build_alloc(b, sizeof(*m));
    const char *full = join(b, scope, proto->name);
    if (m == NULL || full == NULL)
        return QK_ETOOBIG;
    const char *package = file->package != NULL ? file->package : "";
    m->proto = proto;
    m->proto3 = file->syntax != NULL && strcmp(file->syntax, "proto3") == 0;
    m->map_entry = proto->options != NULL && proto->options->map_entry;
    m->desc = (ProtobufCMessageDescriptor){.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
                                           .name = full,
                                           .short_name = proto->name,
                                           .c_name = proto->name,
                                           .package_name = package,
                                           .reserved1 = &qk_schema_mark};
    b->schema->messages[b->schema->n_messages++] = m;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < proto->n_enum_type; i++)
        rc = collect_enum(b, full, package, proto->enum_type[i]);
    for (size_t i = 0; rc == 0 && i < proto->n_nested_type; i++)
        rc = collect_message(b, full, file, proto->nested_type[i]);
    return rc;
}

static int collect_file(struct qk_build *b, const Google__Protobuf__FileDescriptorProto *file)
{
    const char *package = file->package != NULL ? file->package : "";
    if (*package != '\0' && !qk_schema_is_name(package, true))
        return qk_build_fail(b, "a file's package has no valid name");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < file->n_enum_type; i++)
        rc = collect_enum(b, package, package, file->enum_type[i]);
    for (size_t i = 0; rc == 0 && i < file->n_message_type; i++)
        rc = collect_message(b, package, file, file->message_type[i]);
    return rc;
}

static int compare_messages(const void *a, const void *b)
{
    return strcmp((*(struct qk_schema_message *const *)a)->desc.name,
                  (*(struct qk_schema_message *const *)b)->desc.name);
}

static int compare_enums(const void *a, const void *b)
{
    return strcmp((*(struct qk_schema_enum *const *)a)->desc.name, (*(struct qk_schema_enum *const *)b)->desc.name);
}

static int compare_services(const void *a, const void *b)
{
    return strcmp((*(struct qk_schema_service *const *)a)->name, (*(struct qk_schema_service *const *)b)->name);
}

static int sort_types(struct qk_build *b)
{
    struct qk_schema *s = b->schema;
    qsort(s->messages, s->n_messages, sizeof(void *), compare_messages);
    qsort(s->enums, s->n_enums, sizeof(void *), compare_enums);
    for (unsigned i = 1; i < s->n_messages; i++) {
        if (compare_messages(&s->messages[i - 1], &s->messages[i]) == 0)
            return qk_build_fail(b, "message `%s` is defined twice", s->messages[i]->desc.name);
    }
    for (unsigned i = 1; i < s->n_enums; i++) {
        if (compare_enums(&s->enums[i - 1], &s->enums[i]) == 0)
            return qk_build_fail(b, "enum `%s` is defined twice", s->enums[i]->desc.name);
    }
    return 0;
}

static int build_method(struct qk_build *b, const char *service, const Google__Protobuf__MethodDescriptorProto *proto,
                        struct qk_schema_method *m)
{
    if (!qk_schema_is_name(proto->name, false))
        return qk_build_fail(b, "a method of `%s` has no valid name", service);
    *m = (struct qk_schema_method){
        .name = proto->name,
        .request = proto->input_type != NULL ? qk_schema_message(b->schema, proto->input_type) : NULL,
        .reply = proto->output_type != NULL ? qk_schema_message(b->schema, proto->output_type) : NULL,
        .streaming = proto->client_streaming || proto->server_streaming,
    };
    if (m->request == NULL || m->reply == NULL)
        return qk_build_fail(b, "method `%s` of `%s` names a message that is not in the set", m->name, service);
    return 0;
}

static int build_services(struct qk_build *b, const Google__Protobuf__FileDescriptorProto *file)
{
    for (size_t i = 0; i < file->n_service; i++) {
        const Google__Protobuf__ServiceDescriptorProto *proto = file->service[i];
        if (!qk_schema_is_name(proto->name, false))
            return qk_build_fail(b, "a service has no valid name");
        struct qk_schema_service *s = qk_build_alloc(b, sizeof(*s));
        struct qk_schema_method *methods = qk_build_alloc(b, proto->n_method * sizeof(*methods));
        const char *full = join(b, file->package != NULL ? file->package : "", proto->name);
        if (s == NULL || methods == NULL || full == NULL)
            return QK_ETOOBIG;
        for (size_t k = 0; k < proto->n_method; k++) {
            int rc = build_method(b, full, proto->method[k], &methods[k]);
            if (rc < 0)
                return rc;
        }
        *s = (struct qk_schema_service){full, (unsigned)proto->n_method, methods};
        b->schema->services[b->schema->n_services++] = s;
    }
    return 0;
}

static int build(struct qk_build *b)
{
    struct qk_schema *s = b->schema;
    int rc = allocate_tables(b);
    for (size_t i = 0; rc == 0 && i < b->set->n_file; i++)
        rc = collect_file(b, b->set->file[i]);
    if (rc == 0)
        rc = sort_types(b);
    for (unsigned i = 0; rc == 0 && i < s->n_enums; i++)
        rc = qk_build_enum(b, s->enums[i]);
    for (unsigned i = 0; rc == 0 && i < s->n_messages; i++)
        rc = qk_build_message(b, s->messages[i]);
    for (size_t i = 0; rc == 0 && i < b->set->n_file; i++)
        rc = build_services(b, b->set->file[i]);
    if (rc == 0)
        qsort(s->services, s->n_services, sizeof(void *), compare_services);
    return rc;
}

int qk_schema_create(const uint8_t *data, size_t size, char *error, size_t error_size, struct qk_schema **ret_schema)
{
    struct qk_schema *schema = calloc(1, sizeof(*schema));
    if (schema == NULL)
        return -ENOMEM;
    struct qk_build b = {.schema = schema, .error = error, .error_size = error_size};
    snprintf(error, error_size, "the descriptors take more than the limit");
    qk_arena_init(&schema->arena, 4 * QK_MESSAGE_ARENA_MAX);
    int rc = size > QK_SCHEMA_MAX ? QK_ETOOBIG : 0;
    if (rc == 0) {
        ProtobufCMessage *set;
        rc = qk_wire_unpack(&google__protobuf__file_descriptor_set__descriptor, data, size, &schema->arena, &set);
        if (rc == QK_EINVALID)
            qk_build_fail(&b, "the bytes are not a file descriptor set");
        else if (rc == 0)
            b.set = (Google__Protobuf__FileDescriptorSet *)set;
    }
    if (rc == 0)
        rc = build(&b);
    if (rc < 0) {
        qk_schema_destroy(schema);
        return rc;
    }
    snprintf(error, error_size, "%s", "");
    *ret_schema = schema;
    return 0;
}

void qk_schema_destroy(struct qk_schema *schema)
{
    if (schema == NULL)
        return;
    qk_arena_finish(&schema->arena);
    free(schema);
}

static const char *without_dot(const char *name)
{
    return name[0] == '.' ? name + 1 : name;
}

const ProtobufCMessageDescriptor *qk_schema_message(const struct qk_schema *schema, const char *name)
{
    struct qk_schema_message wanted = {.desc = {.name = without_dot(name)}}, *key = &wanted;
    struct qk_schema_message **found =
        bsearch(&key, schema->messages, schema->n_messages, sizeof(void *), compare_messages);
    return found != NULL ? &(*found)->desc : NULL;
}

const ProtobufCEnumDescriptor *qk_schema_enum(const struct qk_schema *schema, const char *name)
{
    struct qk_schema_enum wanted = {.desc = {.name = without_dot(name)}}, *key = &wanted;
    struct qk_schema_enum **found = bsearch(&key, schema->enums, schema->n_enums, sizeof(void *), compare_enums);
    return found != NULL ? &(*found)->desc : NULL;
}

const struct qk_schema_service *qk_schema_service(const struct qk_schema *schema, const char *name)
{
    struct qk_schema_service wanted = {.name = without_dot(name)}, *key = &wanted;
    struct qk_schema_service **found =
        bsearch(&key, schema->services, schema->n_services, sizeof(void *), compare_services);
    return found != NULL ? *found : NULL;
}

const struct qk_schema_method *qk_schema_method(const struct qk_schema_service *service, const char *name)
{
    for (unsigned i = 0; i < service->n_methods; i++) {
        if (strcmp(service->methods[i].name, name) == 0)
            return &service->methods[i];
    }
    return NULL;
}
