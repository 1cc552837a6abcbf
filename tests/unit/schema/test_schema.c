/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Descriptors built at run time: what they say, what they can do, and sets that are broken or hostile. */
#include "schema/schema.h"

#include <string.h>
#include <google/protobuf/descriptor.pb-c.h>
#include <quark/status.h>
#include "file.h"
#include "schema/json.h"
#include "wire/check.h"

START_TEST(test_schema_finds_by_name)
{
    struct qk_schema *schema = make_schema();
    const ProtobufCMessageDescriptor *m = qk_schema_message(schema, ".quark.every.Scalars");
    ck_assert_ptr_nonnull(m);
    ck_assert_str_eq(m->name, "quark.every.Scalars");
    ck_assert_uint_eq(m->n_fields, 18);
    ck_assert_ptr_eq(m, qk_schema_message(schema, "quark.every.Scalars"));
    ck_assert_ptr_null(qk_schema_message(schema, "Scalars"));
    ck_assert_ptr_nonnull(qk_schema_message(schema, "google.protobuf.Timestamp"));
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(m, 1000);
    ck_assert_str_eq(f->name, "inner");
    ck_assert_ptr_eq(f->descriptor, qk_schema_message(schema, "quark.every.Inner"));
    ck_assert_ptr_eq(protobuf_c_message_descriptor_get_field_by_name(m, "inner"), f);
    ck_assert_ptr_null(protobuf_c_message_descriptor_get_field(m, 17));
    qk_schema_destroy(schema);
}
END_TEST

START_TEST(test_schema_enum_with_alias)
{
    struct qk_schema *schema = make_schema();
    const ProtobufCEnumDescriptor *e = qk_schema_enum(schema, "quark.every.Color");
    ck_assert_uint_eq(e->n_values, 4);
    ck_assert_str_eq(protobuf_c_enum_descriptor_get_value(e, 7)->name, "BLUE");
    ck_assert_int_eq(protobuf_c_enum_descriptor_get_value_by_name(e, "AZURE")->value, 7);
    ck_assert_str_eq(protobuf_c_enum_descriptor_get_value(e, -3)->name, "BLACK");
    ck_assert_ptr_null(protobuf_c_enum_descriptor_get_value(e, 2));
    qk_schema_destroy(schema);
}
END_TEST

START_TEST(test_schema_service)
{
    struct qk_schema *schema = make_schema();
    const struct qk_schema_service *s = qk_schema_service(schema, "quark.every.Every");
    ck_assert_ptr_nonnull(s);
    ck_assert_uint_eq(s->n_methods, 2);
    const struct qk_schema_method *m = qk_schema_method(s, "Watch");
    ck_assert(m->streaming);
    ck_assert_str_eq(m->request->name, "quark.every.Choice");
    ck_assert_str_eq(m->reply->name, "quark.every.Known");
    ck_assert_ptr_null(qk_schema_method(s, "watch"));
    ck_assert_ptr_null(qk_schema_service(schema, "quark.every.None"));
    qk_schema_destroy(schema);
}
END_TEST

START_TEST(test_schema_questions_about_fields)
{
    struct qk_schema *schema = make_schema();
    char buf[64];
    const ProtobufCMessageDescriptor *maps = qk_schema_message(schema, "quark.every.Maps");
    const ProtobufCMessageDescriptor *lists = qk_schema_message(schema, "quark.every.Lists");
    const ProtobufCMessageDescriptor *choice = qk_schema_message(schema, "quark.every.Choice");
    const ProtobufCMessageDescriptor *scalars = qk_schema_message(schema, "quark.every.Scalars");
    ck_assert(qk_schema_is_map(&maps->fields[0]));
    ck_assert(!qk_schema_is_map(&lists->fields[14]));
    ck_assert_str_eq(qk_schema_oneof(choice, &choice->fields[0]), "what");
    ck_assert_str_eq(qk_schema_oneof(choice, &choice->fields[8]), "");
    ck_assert_str_eq(qk_schema_json_name(scalars, &scalars->fields[2], buf, sizeof(buf)), "anInt32");
    ck_assert_str_eq(qk_schema_json_name(scalars, &scalars->fields[17], buf, sizeof(buf)), "other name");
    const ProtobufCMessageDescriptor *generated = &google__protobuf__field_descriptor_proto__descriptor;
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(generated, "type_name");
    ck_assert_str_eq(qk_schema_json_name(generated, f, buf, sizeof(buf)), "typeName");
    ck_assert_str_eq(qk_schema_oneof(generated, f), "");
    qk_schema_destroy(schema);
}
END_TEST

/* Bytes that are cut short or changed are refused or make another schema; they never do harm. */
START_TEST(test_schema_survives_broken_bytes)
{
    uint8_t *bytes;
    size_t size = read_set(&bytes);
    char error[256];
    struct qk_schema *schema;
    for (size_t n = 1; n < size; n += 97) {
        if (qk_schema_create(bytes, n, error, sizeof(error), &schema) == 0)
            qk_schema_destroy(schema);
        else
            ck_assert_str_ne(error, "");
    }
    uint32_t seed = 1;
    for (int i = 0; i < 2000; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t at = seed % size;
        uint8_t was = bytes[at];
        bytes[at] ^= (uint8_t)(1 + (seed >> 24) % 255);
        if (qk_schema_create(bytes, size, error, sizeof(error), &schema) == 0)
            qk_schema_destroy(schema);
        bytes[at] = was;
    }
    free(bytes);
}
END_TEST

/* A set of one file, changed by a test before it is packed. */
struct small {
    Google__Protobuf__FileDescriptorSet set;
    Google__Protobuf__FileDescriptorProto file, *files[1];
    Google__Protobuf__DescriptorProto message, *messages[2];
    Google__Protobuf__FieldDescriptorProto fields[2], *field_pointers[2];
};

static void small_init(struct small *s)
{
    google__protobuf__file_descriptor_set__init(&s->set);
    google__protobuf__file_descriptor_proto__init(&s->file);
    google__protobuf__descriptor_proto__init(&s->message);
    s->set.n_file = 1;
    s->set.file = s->files;
    s->files[0] = &s->file;
    s->file.package = "p";
    s->file.syntax = "proto3";
    s->file.n_message_type = 1;
    s->file.message_type = s->messages;
    s->messages[0] = s->messages[1] = &s->message;
    s->message.name = "M";
    s->message.n_field = 2;
    s->message.field = s->field_pointers;
    for (int i = 0; i < 2; i++) {
        google__protobuf__field_descriptor_proto__init(&s->fields[i]);
        s->field_pointers[i] = &s->fields[i];
        s->fields[i].name = i == 0 ? "a" : "b";
        s->fields[i].has_number = s->fields[i].has_type = true;
        s->fields[i].number = i + 1;
        s->fields[i].type = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT32;
    }
}

static void expect(const struct small *s, int status, const char *message)
{
    uint8_t bytes[1024];
    char error[256];
    struct qk_schema *schema;
    size_t size = protobuf_c_message_pack(&s->set.base, bytes);
    ck_assert_int_eq(qk_schema_create(bytes, size, error, sizeof(error), &schema), status);
    ck_assert_str_eq(error, message);
    if (status == 0)
        qk_schema_destroy(schema);
}

START_TEST(test_schema_refuses_inconsistent_sets)
{
    struct small s;
    small_init(&s);
    expect(&s, 0, "");
    s.fields[1].number = 1;
    expect(&s, QK_EINVALID, "two fields of `p.M` have the number 1");
    s.fields[1].number = 0;
    expect(&s, QK_EINVALID, "a field of `p.M` has no valid name or number");
    s.fields[1].number = 536870912;
    expect(&s, QK_EINVALID, "a field of `p.M` has no valid name or number");
    small_init(&s);
    s.fields[1].name = "a";
    expect(&s, QK_EINVALID, "two fields of `p.M` are called `a`");
    s.fields[1].name = "a\033[2J";
    expect(&s, QK_EINVALID, "a field of `p.M` has no valid name or number");
    small_init(&s);
    s.fields[1].type = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_GROUP;
    expect(&s, QK_EINVALID, "field `b` of `p.M` has a type that is not supported");
    s.fields[1].type = GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE;
    expect(&s, QK_EINVALID, "field `b` of `p.M` names a type that is not in the set");
    s.fields[1].type_name = ".p.N";
    expect(&s, QK_EINVALID, "field `b` of `p.M` names a type that is not in the set");
    s.fields[1].type_name = ".p.M";
    expect(&s, 0, "");
    s.fields[1].has_oneof_index = true;
    s.fields[1].oneof_index = 3;
    expect(&s, QK_EINVALID, "field `b` of `p.M` is in no valid oneof");
    small_init(&s);
    s.file.n_message_type = 2;
    expect(&s, QK_EINVALID, "message `p.M` is defined twice");
    small_init(&s);
    s.message.name = "";
    expect(&s, QK_EINVALID, "a message in `p` has no valid name");
    small_init(&s);
    Google__Protobuf__MessageOptions options = GOOGLE__PROTOBUF__MESSAGE_OPTIONS__INIT;
    options.has_map_entry = options.map_entry = true;
    s.message.options = &options;
    expect(&s, 0, "");
    s.fields[1].number = 3;
    expect(&s, QK_EINVALID, "`p.M` is called the entry of a map but is none");
}
END_TEST

/* A message of a well-known type's name that looks otherwise is an ordinary message. */
START_TEST(test_schema_false_well_known_type)
{
    struct small s;
    small_init(&s);
    s.file.package = "google.protobuf";
    s.message.name = "Timestamp";
    uint8_t bytes[1024];
    char error[256], *text;
    size_t size = protobuf_c_message_pack(&s.set.base, bytes);
    struct qk_schema *schema;
    ck_assert_int_eq(qk_schema_create(bytes, size, error, sizeof(error), &schema), 0);
    struct qk_arena arena;
    struct qk_json_error json_error;
    ProtobufCMessage *message;
    qk_arena_init(&arena, 1 << 20);
    const ProtobufCMessageDescriptor *desc = qk_schema_message(schema, "google.protobuf.Timestamp");
    ck_assert_int_eq(qk_json_parse(desc, "{\"a\": 3}", 8, NULL, &arena, &json_error, &message), 0);
    ck_assert_int_eq(qk_json_print(message, NULL, &json_error, &text, &size), 0);
    ck_assert_str_eq(text, "{\"a\": 3}");
    free(text);
    qk_arena_finish(&arena);
    qk_schema_destroy(schema);
}
END_TEST

START_TEST(test_schema_refuses_more_than_the_limit)
{
    uint8_t *bytes = calloc(1, QK_SCHEMA_MAX + 1);
    char error[256];
    struct qk_schema *schema;
    ck_assert_int_eq(qk_schema_create(bytes, QK_SCHEMA_MAX + 1, error, sizeof(error), &schema), QK_ETOOBIG);
    ck_assert_str_eq(error, "the descriptors take more than the limit");
    ck_assert_int_eq(qk_schema_create(bytes, QK_SCHEMA_MAX, error, sizeof(error), &schema), QK_EINVALID);
    ck_assert_int_eq(qk_schema_create(NULL, 0, error, sizeof(error), &schema), 0);
    ck_assert_ptr_null(qk_schema_message(schema, "a"));
    qk_schema_destroy(schema);
    qk_schema_destroy(NULL);
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema");
    TCase *tc = tcase_create("schema");
    tcase_add_test(tc, test_schema_finds_by_name);
    tcase_add_test(tc, test_schema_enum_with_alias);
    tcase_add_test(tc, test_schema_service);
    tcase_add_test(tc, test_schema_questions_about_fields);
    tcase_add_test(tc, test_schema_survives_broken_bytes);
    tcase_add_test(tc, test_schema_refuses_inconsistent_sets);
    tcase_add_test(tc, test_schema_false_well_known_type);
    tcase_add_test(tc, test_schema_refuses_more_than_the_limit);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
