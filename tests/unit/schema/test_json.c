/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages as JSON: forms, layouts, options, limits, and where errors point. compare.py tests the rules themselves. */
#include "schema/json.h"

#include <string.h>
#include <quark/status.h>
#include "file.h"

static struct qk_schema *schema;
static struct qk_arena arena;
static struct qk_json_error error;

static void setup(void)
{
    schema = make_schema();
    qk_arena_init(&arena, 2 * QK_MESSAGE_ARENA_MAX);
}

static void teardown(void)
{
    qk_arena_finish(&arena);
    qk_schema_destroy(schema);
}

static int parse(const char *type, const char *text, ProtobufCMessage **ret_message)
{
    struct qk_json_options options = {.schema = schema};
    return qk_json_parse(qk_schema_message(schema, type), text, strlen(text), &options, &arena, &error, ret_message);
}

static void expect_print(const ProtobufCMessage *message, const struct qk_json_options *options, const char *expected)
{
    char *text;
    size_t size;
    ck_assert_int_eq(qk_json_print(message, options, &error, &text, &size), 0);
    ck_assert_str_eq(text, expected);
    ck_assert_uint_eq(size, strlen(expected));
    free(text);
}

START_TEST(test_json_layouts)
{
    ProtobufCMessage *m;
    ck_assert_int_eq(parse("quark.every.Inner", "{\"value\":1,\"inner\":{\"words\":[\"a\",\"b\"]}}", &m), 0);
    struct qk_json_options options = {.layout = QK_JSON_FIT};
    expect_print(m, &options, "{\"value\": 1, \"inner\": {\"words\": [\"a\", \"b\"]}}");
    options.layout = QK_JSON_COMPACT;
    expect_print(m, &options, "{\"value\":1,\"inner\":{\"words\":[\"a\",\"b\"]}}");
    options.layout = QK_JSON_INDENTED;
    expect_print(m, &options,
                 "{\n  \"value\": 1,\n  \"inner\": {\n    \"words\": [\n      \"a\",\n      \"b\"\n    ]\n  }\n}");
    ck_assert_int_eq(parse("quark.every.Inner", "{}", &m), 0);
    expect_print(m, &options, "{}");
    ck_assert_int_eq(parse("quark.every.Inner",
                           "{\"words\":[\"0123456789012345678901234567890123456789\",\"0123456789012345678901234\"]}",
                           &m),
                     0);
    options.layout = QK_JSON_FIT;
    expect_print(m, &options,
                 "{\n  \"words\": [\n    \"0123456789012345678901234567890123456789\",\n"
                 "    \"0123456789012345678901234\"\n  ]\n}");
}
END_TEST

START_TEST(test_json_options_of_printing)
{
    ProtobufCMessage *m;
    struct qk_json_options options = {.original_names = true, .enums_as_numbers = true};
    ck_assert_int_eq(parse("quark.every.Scalars", "{\"anInt32\": 1, \"color\": \"BLUE\", \"other name\": \"x\"}", &m),
                     0);
    expect_print(m, &options, "{\"an_int32\": 1, \"color\": 7, \"renamed\": \"x\"}");
    expect_print(m, NULL, "{\"anInt32\": 1, \"color\": \"BLUE\", \"other name\": \"x\"}");
    ck_assert_int_eq(parse("quark.every.Choice", "{\"number\": 0}", &m), 0);
    options = (struct qk_json_options){.emit_defaults = true};
    expect_print(m, &options, "{\"number\": 0, \"plain\": \"0\"}");
    ck_assert_int_eq(parse("quark.every.Inner", "{}", &m), 0);
    expect_print(m, &options, "{\"value\": 0, \"words\": []}");
}
END_TEST

START_TEST(test_json_ignores_unknown_fields_when_asked)
{
    ProtobufCMessage *m;
    struct qk_json_options options = {.ignore_unknown = true};
    const char *text = "{\"valu\": [1, {\"a\": 2}], \"value\": 5}";
    ck_assert_int_eq(
        qk_json_parse(qk_schema_message(schema, "quark.every.Inner"), text, strlen(text), &options, &arena, &error, &m),
        0);
    expect_print(m, NULL, "{\"value\": 5}");
}
END_TEST

START_TEST(test_json_floats_are_short)
{
    ProtobufCMessage *m;
    ck_assert_int_eq(
        parse("quark.every.Lists", "{\"doubles\": [0.1, 1e300, 3], \"floats\": [0.1, 16777216, 1e-3]}", &m), 0);
    expect_print(m, NULL, "{\"doubles\": [0.1, 1e+300, 3], \"floats\": [0.1, 16777216, 0.001]}");
}
END_TEST

START_TEST(test_json_maps_are_sorted)
{
    ProtobufCMessage *m;
    ck_assert_int_eq(parse("quark.every.Maps", "{\"sints\": {\"300\": 1, \"-5\": 2, \"7\": 3}}", &m), 0);
    expect_print(m, NULL, "{\"sints\": {\"-5\": \"2\", \"7\": \"3\", \"300\": \"1\"}}");
}
END_TEST

START_TEST(test_json_control_characters_are_escaped)
{
    ProtobufCMessage *m;
    ck_assert_int_eq(parse("quark.every.Scalars", "{\"aString\": \"\\u001b[2J\\u009b\\u007f\\\"\\\\\\n\"}", &m), 0);
    expect_print(m, NULL, "{\"aString\": \"\\u001b[2J\\u009b\\u007f\\\"\\\\\\n\"}");
}
END_TEST

START_TEST(test_json_mask_keeps_empty_paths)
{
    ProtobufCMessage *m;
    ck_assert_int_eq(parse("quark.every.Known", "{\"mask\": \"a.bC,,\"}", &m), 0);
    expect_print(m, NULL, "{\"mask\": \"a.bC,,\"}");
    ck_assert_int_eq(parse("quark.every.Known", "{\"mask\": \"\"}", &m), 0);
    expect_print(m, NULL, "{\"mask\": \"\"}");
}
END_TEST

/* The text of an error as a person sees it. */
static void expect_error(const char *type, const char *text, const char *expected)
{
    ProtobufCMessage *m;
    ck_assert_int_lt(parse(type, text, &m), 0);
    struct qk_diag diag;
    char *out;
    size_t size;
    qk_json_diagnose(&error, "request", text, strlen(text), &diag);
    FILE *file = open_memstream(&out, &size);
    qk_diag_write(file, &diag, false);
    fclose(file);
    ck_assert_str_eq(out, expected);
    free(out);
}

START_TEST(test_json_error_unknown_field)
{
    expect_error("quark.every.Inner", "{\"vlaue\": 3}",
                 "error[QK0502]: `quark.every.Inner` has no field `vlaue`\n"
                 "  --> request:1:2\n"
                 "     |\n"
                 "   1 | {\"vlaue\": 3}\n"
                 "     |  ^^^^^^^ did you mean `value`?\n"
                 "     = help: its fields are value, inner, words\n");
    expect_error("google.protobuf.Empty", "{\"a\": 3}",
                 "error[QK0502]: `google.protobuf.Empty` has no field `a`\n"
                 "  --> request:1:2\n"
                 "     |\n"
                 "   1 | {\"a\": 3}\n"
                 "     |  ^^^ no such field\n"
                 "     = help: `google.protobuf.Empty` has no fields: write {}\n");
}
END_TEST

START_TEST(test_json_error_places)
{
    expect_error("quark.every.Inner", "{\n  \"inner\": {\n    \"words\": [\"a\", 5]\n  }\n}",
                 "error[QK0503]: `words` takes a string, not a number\n"
                 "  --> request:3:20\n"
                 "     |\n"
                 "   3 |     \"words\": [\"a\", 5]\n"
                 "     |                    ^ expected a string\n");
    expect_error("quark.every.Scalars", "{\"aString\": \"a,\\\"b:]\", \"anInt32\": 3000000000}",
                 "error[QK0504]: the number is out of the range of `an_int32`\n"
                 "  --> request:1:35\n"
                 "     |\n"
                 "   1 | {\"aString\": \"a,\\\"b:]\", \"anInt32\": 3000000000}\n"
                 "     |                                   ^^^^^^^^^^ an int32 can't hold this\n");
    expect_error("quark.every.Scalars", "{\"color\": \"GREN\"}",
                 "error[QK0505]: `color` of `quark.every.Color` has no value `GREN`\n"
                 "  --> request:1:11\n"
                 "     |\n"
                 "   1 | {\"color\": \"GREN\"}\n"
                 "     |           ^^^^^^ did you mean `GREEN`?\n"
                 "     = help: the values are BLACK, RED, GREEN, BLUE\n");
    expect_error("quark.every.Choice", "{\"number\": 1, \"text\": \"x\"}",
                 "error[QK0506]: `text` is given together with `number`\n"
                 "  --> request:1:15\n"
                 "     |\n"
                 "   1 | {\"number\": 1, \"text\": \"x\"}\n"
                 "     |               ^^^^^^ only one of `what` may be given\n");
    expect_error("quark.every.Scalars", "{\"someBytes\": \"!\"}",
                 "error[QK0507]: `some_bytes` holds bytes, which are written in base64\n"
                 "  --> request:1:15\n"
                 "     |\n"
                 "   1 | {\"someBytes\": \"!\"}\n"
                 "     |               ^^^ not base64\n");
}
END_TEST

START_TEST(test_json_error_has_no_control_characters)
{
    ProtobufCMessage *m;
    ck_assert_int_eq(parse("quark.every.Inner", "{\"\\u001b[2J\": 1}", &m), QK_EINVALID);
    ck_assert_str_eq(error.message, "`quark.every.Inner` has no field `?[2J`");
}
END_TEST

START_TEST(test_json_error_syntax)
{
    expect_error("quark.every.Inner", "{\"value\": 3",
                 "error[QK0501]: the JSON text ends too early\n"
                 "  --> request:1:12\n"
                 "     |\n"
                 "   1 | {\"value\": 3\n"
                 "     |            ^ here\n"
                 "     = help: in a shell put the text in single quotes: '{\"name\": \"value\"}'\n");
    ProtobufCMessage *m;
    ck_assert_int_eq(parse("quark.every.Inner", "{value: 3}", &m), QK_EINVALID);
    ck_assert_str_eq(error.code, "QK0501");
    ck_assert_int_eq(error.column, 2);
    ck_assert_int_eq(parse("quark.every.Inner", "", &m), QK_EINVALID);
    ck_assert_str_eq(error.code, "QK0501");
}
END_TEST

/* {"inner": {"inner": ... }} of `levels` messages. */
static char *nested(int levels)
{
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    for (int i = 1; i < levels; i++)
        fputs("{\"inner\": ", file);
    fputs("{}", file);
    for (int i = 1; i < levels; i++)
        fputs("}", file);
    fclose(file);
    return text;
}

START_TEST(test_json_depth_at_and_past_the_limit)
{
    ProtobufCMessage *m;
    char *text = nested(QK_MESSAGE_DEPTH_MAX);
    ck_assert_int_eq(parse("quark.every.Inner", text, &m), 0);
    free(text);
    text = nested(QK_MESSAGE_DEPTH_MAX + 1);
    ck_assert_int_eq(parse("quark.every.Inner", text, &m), QK_ETOOBIG);
    ck_assert_str_eq(error.code, "QK0508");
    free(text);
    char deep[40002];
    memset(deep, '[', 40000);
    deep[40000] = '\0';
    ck_assert_int_lt(parse("google.protobuf.Value", deep, &m), 0);
    memset(deep, '[', 20000);
    memset(deep + 20000, ']', 20000);
    ck_assert_int_eq(parse("google.protobuf.Value", deep, &m), QK_ETOOBIG);
}
END_TEST

START_TEST(test_json_size_past_the_limit)
{
    ProtobufCMessage *m;
    size_t size = QK_JSON_TEXT_MAX + 1;
    char *text = malloc(size + 1);
    memset(text, ' ', size);
    text[size] = '\0';
    ck_assert_int_eq(parse("quark.every.Inner", text, &m), QK_ETOOBIG);
    /* Short in text, long in memory. */
    memcpy(text, "{\"inners\": [", 12);
    size_t n = 12;
    for (; n + 10 < QK_JSON_TEXT_MAX; n += 3)
        memcpy(text + n, "{},", 3);
    memcpy(text + n - 1, "]}", 3);
    ck_assert_int_eq(parse("quark.every.Lists", text, &m), QK_ETOOBIG);
    ck_assert_str_eq(error.code, "QK0508");
    free(text);
}
END_TEST

/* Texts that are cut short or changed are refused or parsed; they never do harm. */
START_TEST(test_json_survives_broken_texts)
{
    static const char good[] =
        "{\"scalars\": {\"aDouble\": 1.5e3, \"someBytes\": \"AQI=\", \"color\": \"RED\"}, \"maps\": "
        "{\"words\": {\"a\": \"b\"}}, \"known\": {\"time\": \"2024-02-29T12:30:00.5+01:30\", "
        "\"value\": [1, null, {\"a\": \"\\u00e9\"}], \"mask\": \"aB,c\", \"duration\": \"1s\"}}";
    char text[sizeof(good)];
    ProtobufCMessage *m;
    ck_assert_int_eq(parse("quark.every.All", good, &m), 0);
    uint32_t seed = 7;
    for (int i = 0; i < 20000; i++) {
        memcpy(text, good, sizeof(good));
        for (int k = 0; k < 1 + i % 3; k++) {
            seed = seed * 1664525 + 1013904223;
            text[(seed >> 8) % (sizeof(good) - 1)] = (char)(32 + (seed >> 24) % 95);
        }
        if (i % 5 == 0)
            text[seed % sizeof(good)] = '\0';
        if (parse("quark.every.All", text, &m) < 0) {
            ck_assert_int_eq(error.message[0] == '\0', 0);
            ck_assert_int_eq(strncmp(error.code, "QK05", 4), 0);
        }
        qk_arena_reset(&arena);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *tc = tcase_create("json");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_json_layouts);
    tcase_add_test(tc, test_json_options_of_printing);
    tcase_add_test(tc, test_json_ignores_unknown_fields_when_asked);
    tcase_add_test(tc, test_json_floats_are_short);
    tcase_add_test(tc, test_json_maps_are_sorted);
    tcase_add_test(tc, test_json_control_characters_are_escaped);
    tcase_add_test(tc, test_json_mask_keeps_empty_paths);
    tcase_add_test(tc, test_json_error_unknown_field);
    tcase_add_test(tc, test_json_error_places);
    tcase_add_test(tc, test_json_error_has_no_control_characters);
    tcase_add_test(tc, test_json_error_syntax);
    tcase_add_test(tc, test_json_depth_at_and_past_the_limit);
    tcase_add_test(tc, test_json_size_past_the_limit);
    tcase_add_test(tc, test_json_survives_broken_texts);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
