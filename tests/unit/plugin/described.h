/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A plugin's descriptor with all that it reaches, in one block of memory: to be checked, and to be spoiled. */
#ifndef DESCRIBED_H
#define DESCRIBED_H

#include <stddef.h>
#include <string.h>
#include <quark/abi.h>

struct described {
    struct qk_plugin plugin;
    const struct qk_type *types[1];
    struct qk_type type;
    struct qk_method methods[2];
    const struct qk_service *services[3];
    struct qk_service service[2];
    const struct qk_service *needs[2];
    struct qk_service foreign;
    ProtobufCMessageDescriptor number;
    ProtobufCFieldDescriptor number_fields[2];
    unsigned number_by_name[2];
    ProtobufCIntRange number_ranges[2];
    ProtobufCMessageDescriptor total;
    ProtobufCFieldDescriptor total_fields[4];
    unsigned total_by_name[4];
    ProtobufCIntRange total_ranges[3];
    ProtobufCEnumDescriptor unit;
    ProtobufCEnumValue unit_values[2];
    ProtobufCEnumValueIndex unit_names[2];
    ProtobufCIntRange unit_ranges[2];
    const struct qk_filter *filters[1];
    struct qk_filter filter; /* of nobody, at first */
    char name[8];            /* "tally" */
    char text[8]; /* "x": everybody else's name, a default value, and the code of every function; then "a/b" */
};

/* Messages as C structs, for the offsets. */
struct described_number {
    ProtobufCMessage base;
    int64_t value;
    int unit;
};

struct described_total {
    ProtobufCMessage base;
    size_t n_numbers;
    struct described_number **numbers;
    char *label;
    protobuf_c_boolean has_blob;
    ProtobufCBinaryData blob;
    int kind;
    double real;
};

static inline void described_init_messages(struct described *d)
{
    d->number = (ProtobufCMessageDescriptor){.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
                                             .name = d->text,
                                             .sizeof_message = sizeof(struct described_number),
                                             .n_fields = 2,
                                             .fields = d->number_fields,
                                             .fields_sorted_by_name = d->number_by_name,
                                             .n_field_ranges = 1,
                                             .field_ranges = d->number_ranges};
    d->number_fields[0] = (ProtobufCFieldDescriptor){.name = d->text,
                                                     .id = 1,
                                                     .label = PROTOBUF_C_LABEL_NONE,
                                                     .type = PROTOBUF_C_TYPE_INT64,
                                                     .offset = offsetof(struct described_number, value)};
    d->number_fields[1] = (ProtobufCFieldDescriptor){.name = d->text,
                                                     .id = 2,
                                                     .label = PROTOBUF_C_LABEL_NONE,
                                                     .type = PROTOBUF_C_TYPE_ENUM,
                                                     .offset = offsetof(struct described_number, unit),
                                                     .descriptor = &d->unit};
    d->number_by_name[1] = 1;
    d->number_ranges[0].start_value = 1;
    d->number_ranges[1].orig_index = 2;
    d->unit = (ProtobufCEnumDescriptor){.magic = PROTOBUF_C__ENUM_DESCRIPTOR_MAGIC,
                                        .name = d->text,
                                        .n_values = 2,
                                        .values = d->unit_values,
                                        .n_value_names = 2,
                                        .values_by_name = d->unit_names,
                                        .n_value_ranges = 1,
                                        .value_ranges = d->unit_ranges};
    d->unit_values[0] = (ProtobufCEnumValue){.name = d->text, .c_name = d->text};
    d->unit_values[1] = (ProtobufCEnumValue){.name = d->text, .c_name = d->text, .value = 1};
    d->unit_names[0].name = d->text;
    d->unit_names[1] = (ProtobufCEnumValueIndex){d->text, 1};
    d->unit_ranges[1].orig_index = 2;
}

static inline void described_init_total(struct described *d)
{
    d->total = (ProtobufCMessageDescriptor){.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
                                            .name = d->text,
                                            .sizeof_message = sizeof(struct described_total),
                                            .n_fields = 4,
                                            .fields = d->total_fields,
                                            .fields_sorted_by_name = d->total_by_name,
                                            .n_field_ranges = 2,
                                            .field_ranges = d->total_ranges,
                                            .message_init = (ProtobufCMessageInit)(uintptr_t)d->text};
    d->total_fields[0] = (ProtobufCFieldDescriptor){.name = d->text,
                                                    .id = 1,
                                                    .label = PROTOBUF_C_LABEL_REPEATED,
                                                    .type = PROTOBUF_C_TYPE_MESSAGE,
                                                    .quantifier_offset = offsetof(struct described_total, n_numbers),
                                                    .offset = offsetof(struct described_total, numbers),
                                                    .descriptor = &d->number};
    d->total_fields[1] = (ProtobufCFieldDescriptor){.name = d->text,
                                                    .id = 2,
                                                    .label = PROTOBUF_C_LABEL_OPTIONAL,
                                                    .type = PROTOBUF_C_TYPE_STRING,
                                                    .offset = offsetof(struct described_total, label),
                                                    .default_value = d->text};
    d->total_fields[2] = (ProtobufCFieldDescriptor){.name = d->text,
                                                    .id = 5,
                                                    .label = PROTOBUF_C_LABEL_OPTIONAL,
                                                    .type = PROTOBUF_C_TYPE_BYTES,
                                                    .quantifier_offset = offsetof(struct described_total, has_blob),
                                                    .offset = offsetof(struct described_total, blob)};
    d->total_fields[3] = (ProtobufCFieldDescriptor){.name = d->text,
                                                    .id = 6,
                                                    .label = PROTOBUF_C_LABEL_NONE,
                                                    .type = PROTOBUF_C_TYPE_DOUBLE,
                                                    .quantifier_offset = offsetof(struct described_total, kind),
                                                    .offset = offsetof(struct described_total, real),
                                                    .flags = PROTOBUF_C_FIELD_FLAG_ONEOF};
    for (unsigned i = 0; i < 4; i++)
        d->total_by_name[i] = 3 - i;
    d->total_ranges[0] = (ProtobufCIntRange){1, 0};
    d->total_ranges[1] = (ProtobufCIntRange){5, 2};
    d->total_ranges[2] = (ProtobufCIntRange){0, 4};
}

static inline void described_init_services(struct described *d)
{
    d->plugin.services = d->services;
    for (unsigned i = 0; i < 2; i++) {
        d->services[i] = &d->service[i];
        d->service[i] = (struct qk_service){.abi = QK_ABI_HEAD(struct qk_service),
                                            .name = i == 0 ? d->name : d->text,
                                            .lifetime = QK_SINGLETON,
                                            .create = (int (*)(qk_turn *, void **))(uintptr_t)d->text};
    }
    d->service[1].needs = d->needs;
    d->service[1].destroy = (void (*)(void *))(uintptr_t)d->text;
    d->needs[0] = &d->foreign;
    d->foreign = (struct qk_service){.abi = QK_ABI_HEAD(struct qk_service), .plugin = d->name, .name = d->text};
}

static inline void described_init(struct described *d)
{
    memset(d, 0, sizeof(*d));
    strcpy(d->name, "tally");
    memcpy(d->text, "x\0a/b", 6);
    d->plugin = (struct qk_plugin){.abi = QK_ABI_HEAD(struct qk_plugin),
                                   .name = d->name,
                                   .version = d->text,
                                   .types = d->types,
                                   .n_types = 1,
                                   .schema = (const uint8_t *)d->text,
                                   .schema_len = 2};
    d->types[0] = &d->type;
    d->type = (struct qk_type){.abi = QK_ABI_HEAD(struct qk_type),
                               .id = 0xaa3f4d29d02d54ddull,
                               .name = d->name,
                               .service = d->text,
                               .state = &d->number,
                               .methods = d->methods,
                               .n_methods = 2};
    for (unsigned i = 0; i < 2; i++) {
        d->methods[i] = (struct qk_method){.id = i + 1,
                                           .type_id = d->type.id,
                                           .name = d->text,
                                           .request = &d->number,
                                           .reply = i == 0 ? &d->number : &d->total,
                                           .handler = (qk_handler_fn)(uintptr_t)d->text};
    }
    described_init_services(d);
    described_init_messages(d);
    described_init_total(d);
}

/* What the note of it says. */
#define DESCRIBED_NOTE                                  \
    {                                                   \
        .abi_major = 1, .name = "tally", .version = "x" \
    }

/* The memory of one such block. */
static inline size_t described_extent(void *arg, const void *at)
{
    uintptr_t begin = (uintptr_t)arg, p = (uintptr_t)at;
    return p >= begin && p - begin < sizeof(struct described) ? sizeof(struct described) - (p - begin) : 0;
}

#endif
