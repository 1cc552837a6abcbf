/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the generator writes: compared with golden files, and compiled by each compiler as C and as C++. */
#include "run.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "syntax = \"proto3\"; package p; import \"quark/options.proto\";\nmessage N {}\n"
#define GENERATE                                                                                    \
    "$PROTOC --quark_out=. --quark_opt=plugin=every-thing,version=1.0~rc1,services=every_services," \
    "filter=census,filter=curfew --c_out=. "
#define WARNINGS "-Wall -Wextra -Wconversion -Wshadow -Werror"
#define C_ONLY   "-Wmissing-prototypes -Wstrict-prototypes -Wvla"

/* Copies a golden file without the bytes of the schema, which hold files of the protobuf that is installed. */
static char *without_schema(char *text)
{
    char *to = text;
    for (char *at = text; *at != '\0';) {
        char *end = strchr(at, '\n');
        size_t n = end != NULL ? (size_t)(end - at) + 1 : strlen(at);
        bool bytes = *at == ' ' && strncmp(at + strspn(at, " "), "0x", 2) == 0;
        if (strncmp(at, "static const uint8_t schema[", 28) == 0) {
            to += sprintf(to, "static const uint8_t schema[] = {\n");
        } else if (!bytes) {
            memmove(to, at, n);
            to += n;
        }
        at += n;
    }
    *to = '\0';
    return text;
}

START_TEST(test_output_is_as_it_was)
{
    static const char *const names[] = {"every.quark.h",      "every.quark.c", "every.quark-client.h",
                                        "every.quark-test.h", "other.quark.h", "other.quark.c"};
    const char *update = getenv("UPDATE_GOLDEN");
    char path[4096];
    run_ok("cp $SOURCES/every.proto $SOURCES/other.proto . && " GENERATE "every.proto other.proto");
    char *text = run_read(names[_i]);
    ck_assert_ptr_nonnull(text);
    without_schema(text);
    snprintf(path, sizeof(path), "%s/golden/%s.golden", getenv("SOURCES"), names[_i]);
    if (update != NULL)
        run_write(path, text);
    char *golden = run_read(path);
    ck_assert_msg(golden != NULL && strcmp(golden, text) == 0,
                  "%s differs from %s; where that is meant, run the test with UPDATE_GOLDEN=1\n%s", names[_i], path,
                  text);
    free(golden);
    free(text);
}
END_TEST

START_TEST(test_output_is_the_same_each_time)
{
    run_ok("cp $SOURCES/every.proto $SOURCES/other.proto . && rm -rf one two && mkdir one two");
    run_ok("$PROTOC --quark_out=one --quark_opt=plugin=p,version=1 every.proto other.proto");
    run_ok("$PROTOC --quark_out=two --quark_opt=plugin=p --quark_opt=version=1 every.proto other.proto");
    run_ok("diff -r one two && test $(ls one | wc -l) = 8");
}
END_TEST

START_TEST(test_output_compiles_everywhere)
{
    run_ok("cp $SOURCES/every.proto $SOURCES/other.proto . && " GENERATE "every.proto other.proto");
    run_write("all.c", "#include \"every.quark-client.h\"\n#include \"every.quark-test.h\"\n"
                       "#include \"other.quark-client.h\"\n#include \"other.quark-test.h\"\n"
                       "#include <quark/service.h>\nstruct sun;\nQK_SERVICE(sun, struct sun);\n"
                       "QK_SERVICE_OF(far_sun, \"sky\", \"sun\", struct sun);\n");
    run_write("services.c", "#include <quark/service.h>\nstruct sun;\nQK_SERVICE(sun, struct sun);\n"
                            "QK_SERVICE_OF(moon, \"sky\", \"moon\", struct sun);\n"
                            "static int make(qk_turn *t, void **ret_sun) { *ret_sun = moon_service(t); return 0; }\n"
                            "QK_SERVICE_DEFINE(sun, .lifetime = QK_SCOPED, .needs = QK_NEEDS(&moon_service_desc), "
                            ".create = make);\n"
                            "QK_SERVICES(list, &sun_service_desc);\n");
    run_ok("cp all.c all.cc");
    run_ok("gcc -std=c11 " WARNINGS " " C_ONLY " -fvisibility=hidden -I$SDK -I. -c every.quark.c other.quark.c");
    run_ok("for header in *.quark*.h; do gcc -std=c11 -pedantic " WARNINGS " -I$SDK -fsyntax-only -x c $header; done");
    run_ok("gcc -std=c11 -pedantic " WARNINGS " " C_ONLY " -I$SDK -fsyntax-only all.c");
    run_ok("gcc -std=c11 -pedantic " WARNINGS " " C_ONLY " -I$SDK -fsyntax-only services.c");
    run_ok("clang-14 -std=c11 -pedantic " WARNINGS " " C_ONLY " -I$SDK -fsyntax-only services.c");
    run_ok("g++ -std=c++11 -pedantic " WARNINGS " -I$SDK -fsyntax-only all.cc");
    run_ok("clang-14 -std=c11 " WARNINGS " " C_ONLY " -I$SDK -I. -fsyntax-only every.quark.c other.quark.c all.c");
    run_ok("clang++-14 -std=c++11 " WARNINGS " -I$SDK -I. -fsyntax-only all.cc");
}
END_TEST

/* Without a plugin's name there are proxies only: no handler is asked for, so the objects link alone. */
START_TEST(test_output_without_a_plugin_links_alone)
{
    run_ok("cp $SOURCES/every.proto $SOURCES/other.proto . && rm -rf only && mkdir only && cd only && "
           "$PROTOC -I.. --quark_out=. --c_out=. every.proto other.proto");
    run_write("only/main.c",
              "#include \"every.quark.h\"\nint main(void) { return keeper_note_method()->handler != NULL; }\n");
    run_ok("cd only && gcc -std=c11 " WARNINGS " -I$SDK -I. main.c *.quark.c *.pb-c.c -lprotobuf-c -o main && ./main");
    run_ok("! grep -q 'quark_plugin\\|keeper_type' only/every.quark.h");
}
END_TEST

/* The table of ids and names that a generated source holds. */
static char *ids_of(const char *text)
{
    char *output, *file;
    ck_assert_int_gt(asprintf(&file, HEAD "%s\n", text), 0);
    run_write("ids.proto", file);
    free(file);
    run_ok("$PROTOC --quark_out=. --quark_opt=plugin=p,version=1 ids.proto");
    ck_assert_int_eq(run_command("grep -A5 '^        .id = ' ids.quark.c | grep '.id\\|name' | paste - - - | "
                                 "tr -d ' \\t' | sort",
                                 &output),
                     0);
    return output;
}

START_TEST(test_output_ids_stay_when_methods_are_added_or_reordered)
{
    char *before = ids_of("service S { option (quark.actor) = {}; rpc A(N) returns (N); rpc B(N) returns (N);\n"
                          "rpc C(N) returns (N) { option (quark.method).id = 9; } }");
    char *after =
        ids_of("// one more\nservice S { rpc C(N) returns (N) { option (quark.method) = { read_only: true id: 9 "
               "}; }\nrpc New(N) returns (N); rpc B(N) returns (N); rpc A(N) returns (N);\n"
               "option (quark.actor) = { idle_ms: 5 }; }");
    unsigned kept = 0, lines = 0;
    for (char *line = strtok(before, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++)
        kept += strstr(after, line) != NULL;
    ck_assert_uint_eq(lines, 3);
    ck_assert_msg(kept == 3, "%s", after);
    /* FNV-1a of "A", and of the type's name "s": written down, because other programs compute them too. */
    ck_assert_ptr_nonnull(strstr(after, ".id=3289118412u,.type_id=UINT64_C(0xaf63ee4c86020b22),.name=\"A\","));
    free(before);
    free(after);
}
END_TEST

START_TEST(test_output_names_in_lower_case)
{
    static const char *const rows[][2] = {
        {"HTTPServer", "http_server"}, {"Server", "server"}, {"ServerV2", "server_v2"}, {"topTen", "top_ten"},
        {"top_ten", "top_ten"},        {"ABC", "abc"},       {"AToB", "a_to_b"},        {"X509Key", "x509_key"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *file, *output, command[256];
        ck_assert_int_gt(asprintf(&file, HEAD "service %s { option (quark.actor) = {}; rpc %s(N) returns (N); }\n",
                                  rows[i][0], rows[i][0]),
                         0);
        run_write("names.proto", file);
        run_ok("$PROTOC --quark_out=. --quark_opt=plugin=p,version=1 names.proto");
        snprintf(command, sizeof(command),
                 "grep -q '^int %s_%s(' names.quark.h && grep -q '.name = \"%s\"' names.quark.c", rows[i][1],
                 rows[i][1], rows[i][1]);
        int rc = run_command(command, &output);
        ck_assert_msg(rc == 0, "%s", rows[i][0]);
        free(output);
        free(file);
    }
}
END_TEST

START_TEST(test_output_of_a_file_in_a_folder)
{
    run_ok("rm -rf tree && mkdir -p tree/a/b");
    run_write("tree/a/b/c.proto", HEAD "service S { option (quark.actor) = {}; rpc A(N) returns (N); }\n");
    run_ok("cd tree && $PROTOC --quark_out=. --quark_opt=plugin=p,version=1 --c_out=. a/b/c.proto && "
           "gcc -std=c11 " WARNINGS " -I$SDK -I. -c a/b/c.quark.c -o /dev/null");
}
END_TEST

START_TEST(test_output_help_and_version)
{
    char *output;
    ck_assert_int_eq(run_command("$GENERATOR --help", &output), 0);
    ck_assert_ptr_nonnull(strstr(output, "usage: protoc --quark_out"));
    ck_assert_ptr_nonnull(strstr(output, "plugin=NAME"));
    free(output);
    ck_assert_int_eq(run_command("$GENERATOR --version", &output), 0);
    ck_assert_msg(strncmp(output, "protoc-gen-quark ", 17) == 0, "%s", output);
    free(output);
    ck_assert_int_eq(run_command("$GENERATOR --version >/dev/full", &output), 1);
    free(output);
}
END_TEST

int main(int argc, char **argv)
{
    run_init(argc, argv);
    Suite *suite = suite_create("output");
    TCase *tc = tcase_create("output");
    tcase_add_loop_test(tc, test_output_is_as_it_was, 0, 6);
    tcase_add_test(tc, test_output_is_the_same_each_time);
    tcase_add_test(tc, test_output_compiles_everywhere);
    tcase_add_test(tc, test_output_without_a_plugin_links_alone);
    tcase_add_test(tc, test_output_ids_stay_when_methods_are_added_or_reordered);
    tcase_add_test(tc, test_output_names_in_lower_case);
    tcase_add_test(tc, test_output_of_a_file_in_a_folder);
    tcase_add_test(tc, test_output_help_and_version);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    run_finish();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
