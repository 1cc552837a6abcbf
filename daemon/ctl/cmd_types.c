/* SPDX-License-Identifier: GPL-3.0-or-later */
/* types: what can be called here, and what the methods of one type take and give. */
#include "ctl/ctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <quark/status.h>

#define NESTED_MAX 64 /* messages shown besides requests and replies */

static const struct qk_column type_columns[] = {
    {"TYPE", false, QK_FIT_NONE},      {"PLUGIN", false, QK_FIT_NONE}, {"METHODS", true, QK_FIT_NONE},
    {"ACTORS", true, QK_FIT_NONE},     {"TURNS", true, QK_FIT_NONE},   {"FAILED", true, QK_FIT_NONE},
    {"PLACEMENT", false, QK_FIT_NONE}, {"MAILBOX", true, QK_FIT_NONE}, {"IDLE", true, QK_FIT_NONE},
    {"SERVICE", false, QK_FIT_NONE},
};
static const struct qk_column method_columns[] = {
    {"METHOD", false, QK_FIT_NONE}, {"PART", false, QK_FIT_NONE}, {"FIELD", false, QK_FIT_NONE},
    {"TYPE", false, QK_FIT_NONE},   {"NOTE", false, QK_FIT_WRAP},
};
const char *const qk_columns_types[] = {"TYPE",
                                        "PLUGIN",
                                        "METHODS",
                                        "ACTORS",
                                        "TURNS",
                                        "FAILED",
                                        "PLACEMENT",
                                        "MAILBOX",
                                        "IDLE",
                                        "SERVICE",
                                        "; of one type: METHOD",
                                        "PART",
                                        "FIELD",
                                        "TYPE",
                                        "NOTE",
                                        NULL};

int qk_address_split(struct qk_ctl *ctl, const char *address, const char **ret_type, const char **ret_key)
{
    const char *slash = strchr(address, '/');
    if (slash == NULL || slash == address || slash[1] == '\0' || strlen(slash + 1) > QK_KEY_MAX)
        return qk_ctl_fail(ctl, QK_EXIT_USAGE, "QK0406", NULL,
                           "write TYPE/KEY, for example counter/alice; a key has 1 to 512 bytes",
                           "`%.100s` is not the address of an actor", address);
    char *type = qk_arena_alloc(&ctl->arena, (size_t)(slash - address) + 1);
    if (type == NULL)
        return qk_ctl_fail(ctl, QK_EXIT_FAILED, NULL, NULL, NULL, "out of memory");
    memcpy(type, address, (size_t)(slash - address));
    type[slash - address] = '\0';
    *ret_type = type;
    *ret_key = slash + 1;
    return QK_EXIT_OK;
}

int qk_type_missing(struct qk_ctl *ctl, const char *name)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__TypesRequest types = QUARK__ADMIN__TYPES_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_TYPES;
    request.types = &types;
    char label[120] = "";
    size_t count = 0;
    if (qk_session_ask(ctl, &request, &reply) == 0) {
        count = reply->types->n_types;
        const char **words = qk_arena_alloc(&ctl->arena, (count + 1) * sizeof(*words));
        for (size_t i = 0; words != NULL && i < count; i++)
            words[i] = reply->types->types[i]->name;
        if (words != NULL)
            words[count] = NULL;
        const char *near = words != NULL ? qk_suggest(name, words) : NULL;
        if (near != NULL)
            snprintf(label, sizeof(label), "did you mean `%.80s`?", near);
    }
    return qk_ctl_fail(ctl, QK_EXIT_NOT_FOUND, "QK0420", label[0] != '\0' ? label : NULL,
                       count > 0 ? "`quarkctl types` lists the types, `quarkctl plugins` the files that bring them"
                                 : "no plugin is loaded: `quarkctl plugins` says which files were refused, and why;\n"
                                   "`quarkctl config show plugins` names the directories, `quarkd --dev --plugins DIR` "
                                   "adds one",
                       "the silo has no actor type `%.100s`", name);
}

int qk_type_get(struct qk_ctl *ctl, const char *name, const Quark__Admin__Type **ret_type,
                struct qk_schema **ret_schema)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__SchemaRequest schema = QUARK__ADMIN__SCHEMA_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    char error[256];
    schema.type = (char *)(uintptr_t)name;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_SCHEMA;
    request.schema = &schema;
    int rc = qk_session_ask(ctl, &request, &reply);
    if (rc == QK_ENOTFOUND)
        return qk_type_missing(ctl, name);
    if (rc < 0)
        return qk_session_fail(ctl, rc);
    const ProtobufCBinaryData *files = &reply->schema->files;
    if (reply->schema->type == NULL)
        return qk_session_fail(ctl, QK_EPROTOCOL);
    rc = qk_schema_create(files->data, files->len, error, sizeof(error), ret_schema);
    if (rc < 0)
        return qk_ctl_fail(ctl, QK_EXIT_FAILED, "QK0422", error,
                           "build the plugin again with the SDK's protoc-gen-quark",
                           "the plugin of `%s` carries descriptors that can't be used", name);
    *ret_type = reply->schema->type;
    return QK_EXIT_OK;
}

/* The type of a field as in the .proto. */
static void type_of(const ProtobufCFieldDescriptor *f, char *buf, size_t size)
{
    static const char *const names[] = {"int32",  "sint32",  "sfixed32", "int64",   "sint64", "sfixed64",
                                        "uint32", "fixed32", "uint64",   "fixed64", "float",  "double",
                                        "bool",   "enum",    "string",   "bytes",   "message"};
    if (qk_schema_is_map(f)) {
        const ProtobufCMessageDescriptor *entry = f->descriptor;
        char key[16], value[256];
        type_of(&entry->fields[0], key, sizeof(key));
        type_of(&entry->fields[1], value, sizeof(value));
        snprintf(buf, size, "map<%s, %s>", key, value);
    } else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        snprintf(buf, size, "%s", ((const ProtobufCMessageDescriptor *)f->descriptor)->name);
    } else if (f->type == PROTOBUF_C_TYPE_ENUM) {
        snprintf(buf, size, "%s", ((const ProtobufCEnumDescriptor *)f->descriptor)->name);
    } else {
        snprintf(buf, size, "%s", names[f->type]);
    }
}

/* Messages that have been shown or are to be, each once. */
struct shown {
    const ProtobufCMessageDescriptor *messages[NESTED_MAX];
    unsigned n;
};

static void note_message(struct shown *shown, const ProtobufCMessageDescriptor *desc)
{
    for (unsigned i = 0; i < shown->n; i++) {
        if (shown->messages[i] == desc)
            return;
    }
    if (shown->n < NESTED_MAX && strncmp(desc->name, "google.protobuf.", 16) != 0)
        shown->messages[shown->n++] = desc;
}

static void note_nested(struct shown *shown, const ProtobufCMessageDescriptor *desc)
{
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (qk_schema_is_map(f)) {
            const ProtobufCFieldDescriptor *value = &((const ProtobufCMessageDescriptor *)f->descriptor)->fields[1];
            if (value->type == PROTOBUF_C_TYPE_MESSAGE)
                note_message(shown, value->descriptor);
        } else {
            note_message(shown, f->descriptor);
        }
    }
}

static void method_note(const Quark__Admin__Method *m, char *buf, size_t size)
{
    size_t n = 0;
    buf[0] = '\0';
    if (m->one_way)
        n += (size_t)snprintf(buf + n, size - n, "one-way");
    if (m->read_only)
        n += (size_t)snprintf(buf + n, size - n, "%sread-only", n > 0 ? ", " : "");
    if (m->deadline_ms != 0)
        (void)snprintf(buf + n, size - n, "%sdeadline %u ms", n > 0 ? ", " : "", m->deadline_ms);
}

/* The names of an enum's values, as many as fit. */
static void enum_values(const ProtobufCEnumDescriptor *e, char *buf, size_t size)
{
    size_t n = 0;
    for (unsigned i = 0; i < e->n_values && n < size - 1; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s%s", i > 0 ? " " : "", e->values[i].name);
}

static void add_note(char *buf, size_t size, const char *before, const char *what)
{
    size_t n = strlen(buf);
    (void)snprintf(buf + n, size - n, "%s%s%s", n > 0 ? ", " : "", before, what);
}

/* Rows for the fields of a message; `method` and `note` stand in the first one. */
static void add_message(struct qk_table *table, const char *method, const char *part, const char *note,
                        const ProtobufCMessageDescriptor *desc)
{
    for (unsigned i = 0; i == 0 || i < desc->n_fields; i++) {
        char type[300], notes[400] = "", values[200] = "";
        qk_table_row(table);
        qk_table_set(table, 0, "%s", method);
        qk_table_set(table, 1, "%s", part);
        if (i == 0 && *note != '\0')
            add_note(notes, sizeof(notes), "", note);
        if (desc->n_fields == 0) {
            qk_table_set(table, 2, "-");
            qk_table_set(table, 3, "-");
            qk_table_set(table, 4, "%s", notes);
            return;
        }
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED && !qk_schema_is_map(f);
        const char *oneof = qk_schema_oneof(desc, f);
        type_of(f, type, sizeof(type));
        qk_table_set(table, 2, "%s", f->name);
        qk_table_set(table, 3, "%s%s", repeated ? "repeated " : "", type);
        if (*oneof != '\0')
            add_note(notes, sizeof(notes), "one of ", oneof);
        if (f->type == PROTOBUF_C_TYPE_ENUM)
            enum_values(f->descriptor, values, sizeof(values));
        if (*values != '\0')
            add_note(notes, sizeof(notes), "", values);
        qk_table_set(table, 4, "%s", notes);
    }
}

/* The same as a message of admin.proto. */
static Quark__Admin__Message *make_message(struct qk_arena *arena, const ProtobufCMessageDescriptor *desc)
{
    Quark__Admin__Message *m = qk_arena_alloc(arena, sizeof(*m));
    Quark__Admin__Field *fields = qk_arena_alloc(arena, (desc->n_fields + 1) * sizeof(*fields));
    Quark__Admin__Field **pointers = qk_arena_alloc(arena, (desc->n_fields + 1) * sizeof(*pointers));
    if (m == NULL || fields == NULL || pointers == NULL)
        return NULL;
    quark__admin__message__init(m);
    m->name = (char *)(uintptr_t)desc->name;
    m->n_fields = desc->n_fields;
    m->fields = pointers;
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        char type[300];
        type_of(f, type, sizeof(type));
        char *copy = qk_arena_alloc(arena, strlen(type) + 1);
        if (copy == NULL)
            return NULL;
        quark__admin__field__init(&fields[i]);
        fields[i].name = (char *)(uintptr_t)f->name;
        fields[i].number = f->id;
        fields[i].type = strcpy(copy, type);
        fields[i].repeated = f->label == PROTOBUF_C_LABEL_REPEATED && !qk_schema_is_map(f);
        fields[i].oneof = (char *)(uintptr_t)qk_schema_oneof(desc, f);
        pointers[i] = &fields[i];
    }
    return m;
}

static int print_type_json(struct qk_ctl *ctl, const Quark__Admin__Type *type, struct shown *shown)
{
    Quark__Admin__TypesReply reply = QUARK__ADMIN__TYPES_REPLY__INIT;
    Quark__Admin__Type *types[1] = {(Quark__Admin__Type *)(uintptr_t)type};
    Quark__Admin__Message *messages[NESTED_MAX];
    for (unsigned i = 0; i < shown->n; i++) {
        messages[i] = make_message(&ctl->arena, shown->messages[i]);
        if (messages[i] == NULL)
            return qk_ctl_fail(ctl, QK_EXIT_FAILED, NULL, NULL, NULL, "out of memory");
    }
    reply.n_types = 1;
    reply.types = types;
    reply.n_messages = shown->n;
    reply.messages = messages;
    return qk_print_json(ctl, &reply.base, NULL, QK_JSON_FIT);
}

static void add_method(struct qk_table *table, const Quark__Admin__Method *m, const struct qk_schema *schema)
{
    const ProtobufCMessageDescriptor *request = qk_schema_message(schema, m->request);
    const ProtobufCMessageDescriptor *reply = qk_schema_message(schema, m->reply);
    char note[100];
    method_note(m, note, sizeof(note));
    if (request != NULL)
        add_message(table, m->name, "request", note, request);
    if (reply != NULL && !m->one_way)
        add_message(table, m->name, "reply", "", reply);
}

/* In the order of the .proto file, which its author thought about; the silo's is that of their ids. */
static void fill_methods(struct qk_table *table, const Quark__Admin__Type *type, const struct qk_schema *schema)
{
    const struct qk_schema_service *service = qk_schema_service(schema, type->service);
    for (unsigned i = 0; service != NULL && i < service->n_methods; i++) {
        for (size_t k = 0; k < type->n_methods; k++) {
            if (strcmp(type->methods[k]->name, service->methods[i].name) == 0)
                add_method(table, type->methods[k], schema);
        }
    }
    for (size_t k = 0; service == NULL && k < type->n_methods; k++)
        add_method(table, type->methods[k], schema);
}

static int print_type(struct qk_ctl *ctl, const Quark__Admin__Type *type, const struct qk_schema *schema)
{
    struct shown shown = {.n = 0};
    for (size_t i = 0; i < type->n_methods; i++) {
        const ProtobufCMessageDescriptor *request = qk_schema_message(schema, type->methods[i]->request);
        const ProtobufCMessageDescriptor *reply = qk_schema_message(schema, type->methods[i]->reply);
        if (request != NULL)
            note_message(&shown, request);
        if (reply != NULL)
            note_message(&shown, reply);
    }
    unsigned direct = shown.n;
    const ProtobufCMessageDescriptor *event = qk_schema_message(schema, type->event);
    if (event != NULL)
        note_message(&shown, event);
    for (unsigned i = 0; i < shown.n; i++)
        note_nested(&shown, shown.messages[i]);
    if (qk_ctl_has(ctl, QK_OPT_JSON))
        return print_type_json(ctl, type, &shown);
    struct qk_table table;
    qk_table_init(&table, method_columns, sizeof(method_columns) / sizeof(method_columns[0]));
    fill_methods(&table, type, schema);
    for (unsigned i = direct; i < shown.n; i++)
        add_message(&table, "-", shown.messages[i]->name, shown.messages[i] == event ? "event" : "", shown.messages[i]);
    int rc = qk_table_print(ctl, &table);
    qk_table_finish(&table);
    return rc;
}

static int list_types(struct qk_ctl *ctl)
{
    Quark__Admin__AdminRequest request = QUARK__ADMIN__ADMIN_REQUEST__INIT;
    Quark__Admin__TypesRequest types = QUARK__ADMIN__TYPES_REQUEST__INIT;
    const Quark__Admin__AdminReply *reply;
    request.body_case = QUARK__ADMIN__ADMIN_REQUEST__BODY_TYPES;
    request.types = &types;
    int rc = qk_session_admin(ctl, &request, &reply);
    if (rc != QK_EXIT_OK)
        return rc;
    if (qk_ctl_has(ctl, QK_OPT_JSON))
        return qk_print_json(ctl, &reply->types->base, NULL, QK_JSON_FIT);
    struct qk_table table;
    qk_table_init(&table, type_columns, sizeof(type_columns) / sizeof(type_columns[0]));
    for (size_t i = 0; i < reply->types->n_types; i++) {
        const Quark__Admin__Type *t = reply->types->types[i];
        char idle[32];
        qk_table_row(&table);
        qk_table_set(&table, 0, "%s", t->name);
        qk_table_set(&table, 1, "%s", t->plugin);
        qk_table_set(&table, 2, "%zu", t->n_methods);
        qk_table_set(&table, 3, "%" PRIu64, t->activations);
        qk_table_set(&table, 4, "%" PRIu64, t->turns);
        qk_table_set(&table, 5, "%" PRIu64, t->failures);
        qk_table_set(&table, 6, "%s", t->placement);
        qk_table_set(&table, 7, "%u", t->mailbox_max);
        qk_table_set(&table, 8, "%s", qk_print_ms(t->idle_ms, idle));
        qk_table_set(&table, 9, "%s", t->service);
    }
    rc = qk_table_print(ctl, &table);
    qk_table_finish(&table);
    return rc;
}

int qk_cmd_types(struct qk_ctl *ctl)
{
    if (ctl->args.argc == 0)
        return list_types(ctl);
    const Quark__Admin__Type *type;
    struct qk_schema *schema;
    int rc = qk_type_get(ctl, ctl->args.argv[0], &type, &schema);
    if (rc != QK_EXIT_OK)
        return rc;
    rc = print_type(ctl, type, schema);
    qk_schema_destroy(schema);
    return rc;
}
