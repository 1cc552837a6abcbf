/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the generator says of mistakes: one row of the table for each. */
#include "run.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/errors.h"

#define HEAD \
    "syntax = \"proto3\"; package p; import \"quark/options.proto\";\nmessage M { int32 x = 1; }\nmessage N {}\n"
#define ACTOR  "option (quark.actor) = {};"
#define PARAMS "plugin=p,version=1.0"
#define METHOD "(quark.method)"
#define VERY   "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
#define SIXTEEN_FILTERS                                            \
    "filters: \"a\" filters: \"b\" filters: \"c\" filters: \"d\" " \
    "filters: \"e\" filters: \"f\" filters: \"g\" filters: \"h\" " \
    "filters: \"i\" filters: \"j\" filters: \"k\" filters: \"l\" " \
    "filters: \"m\" filters: \"n\" filters: \"o\" filters: \"p\""
#define REPEAT8 "12345678"

struct row {
    const char *code;
    const char *text;   /* behind HEAD, so it begins with line 4 */
    const char *params; /* NULL: PARAMS */
    const char *want;   /* all of what is said of it, or a part of it */
};

static const struct row rows[] = {
    {"QK0101", "service S { option (quark.actor) = { placement: \"hsh\" }; }", NULL,
     "x.proto:4:49: error[QK0101]: unknown placement `hsh`\n"
     "     |\n"
     "   4 | service S { option (quark.actor) = { placement: \"hsh\" }; }\n"
     "     |                                                 ^^^^^ did you mean `hash`?\n"
     "     = help: one of hash (the default), random, prefer_local, least_loaded, stateless\n"},
    {"QK0101", "service S {\n\toption (quark.actor) = {\n\t\tstate: \"M\"\n\t\tplacement: \"everywhere\"\n\t};\n}",
     NULL,
     "x.proto:7:14: error[QK0101]: unknown placement `everywhere`\n"
     "     |\n"
     "   7 |   placement: \"everywhere\"\n"
     "     |              ^^^^^^^^^^^^\n"},
    {"QK0102", "service S { option (quark.actor).state = \"State\"; }\nmessage Stale {}", NULL,
     "x.proto:4:42: error[QK0102]: there is no message `State` for the state of `S`\n"
     "     |\n"
     "   4 | service S { option (quark.actor).state = \"State\"; }\n"
     "     |                                          ^^^^^^^ did you mean `Stale`?\n"},
    {"QK0102", "service S { option (quark.actor) = { state: \"google.protobuf.FileOption\" }; }", NULL,
     "did you mean `google.protobuf.FileOptions`?"},
    {"QK0103", "service S { " ACTOR " rpc costarring(N) returns (N); rpc liquid(N) returns (N); }", NULL,
     "x.proto:4:75: error[QK0103]: `costarring` and `liquid` have the same id 1582148253, the hash of both names\n"},
    {"QK0103",
     "service S { " ACTOR "\nrpc A(N) returns (N) { option " METHOD " = { id: 5 }; }\n"
     "rpc B(N) returns (N) { option " METHOD ".id = 5; } }",
     NULL, "x.proto:6:51: error[QK0103]: `A` and `B` have the same id 5\n"},
    {"QK0103",
     "service S { " ACTOR "\nrpc A(N) returns (N) { option " METHOD ".id = 1582148253; }\nrpc liquid(N) returns (N);}",
     NULL, "x.proto:5:51: error[QK0103]: `liquid` and `A` have the same id 1582148253\n"},
    {"QK0104", "service S { " ACTOR " }\nservice T { option (quark.actor) = { name: \"s\" prefix: \"t\" }; }", NULL,
     "x.proto:5:9: error[QK0104]: `p.T` and `p.S` (x.proto:4) are both named `s`\n"},
    /* Found by search: there are few pairs whose hashes of 64 bits are the same. */
    {"QK0104",
     "service S { option (quark.actor).name = \"i2m2brylkico2\"; }\n"
     "service T { option (quark.actor).name = \"ptsqgzj4auln2\"; }",
     NULL, "x.proto:5:9: error[QK0104]: the names of `p.T` and `p.S` (x.proto:4, `i2m2brylkico2`) have one hash\n"},
    {"QK0105", "service S { " ACTOR " rpc A(stream N) returns (N); }", NULL,
     "x.proto:4:53: error[QK0105]: the rpc `A` streams its request\n"},
    {"QK0105", "service S { " ACTOR " rpc A(N) returns (stream N); }", NULL, "the rpc `A` streams its reply\n"},
    {"QK0106", "service S { " ACTOR " }\nmessage O { optional int32 x = 1; }", NULL,
     "x.proto:5:28: error[QK0106]: protoc-c does not know proto3 `optional`, which the field `x` has\n"},
    {"QK0107", "service S { " ACTOR " rpc A(N) returns (M) { option " METHOD ".one_way = true; } }", NULL,
     "x.proto:4:58: error[QK0107]: the one-way rpc `A` returns `p.M`, which has fields\n"
     "     |\n"
     "   4 | service S { option (quark.actor) = {}; rpc A(N) returns (M) { option (quark.method).one_way = true; } }\n"
     "     |                                                          ^ nobody will see these fields\n"},
    {"QK0108", "service S { option (quark.actor) = { name: \"Upper\" }; }", NULL,
     "x.proto:4:44: error[QK0108]: `Upper` can't be the name of an actor type\n"},
    {"QK0108", "service S { option (quark.actor).name = \"" VERY "\"; }", NULL, VERY "` can't be the name"},
    {"QK0109", "service S { option (quark.actor).prefix = \"qk\"; }", NULL,
     "x.proto:4:43: error[QK0109]: `qk` can't be the prefix of C names\n"},
    {"QK0109", "service S { option (quark.actor).prefix = \"a__b\"; }", NULL, "`a__b` can't be the prefix"},
    {"QK0109", "service S { option (quark.actor).prefix = \"a_\"; }", NULL, "`a_` can't be the prefix"},
    {"QK0109", "service S { option (quark.actor).prefix = \"a-b\"; }", NULL, "`a-b` can't be the prefix"},
    {"QK0109", "service _S { option (quark.actor).name = \"s\"; }", NULL,
     "x.proto:4:9: error[QK0109]: `_s` can't be the prefix of C names\n"},
    {"QK0110", "service S { option (quark.actor) = { mailbox: 16385 }; }", NULL,
     "x.proto:4:47: error[QK0110]: a mailbox of 16385 messages is too large\n"},
    {"QK0111", "service S { " ACTOR " rpc A(N) returns (N); rpc ACall(N) returns (N); }", NULL,
     "x.proto:4:66: error[QK0111]: the rpc `S.A` and the rpc `S.ACall` both become `s_a_call` in C\n"},
    {"QK0111", "service S { " ACTOR " rpc Type(N) returns (N); }", NULL,
     "the service `S` and the rpc `S.Type` both become `s_type` in C\n"},
    {"QK0111",
     "service A { " ACTOR
     " rpc B_C(N) returns (N); }\nservice X { option (quark.actor).prefix = \"a_b\"; rpc C(N) returns (N); }",
     NULL, "the rpc `A.B_C` and the rpc `X.C` both become `a_b_c` in C\n"},
    {"QK0111", "service S { option (quark.actor).prefix = \"p\"; rpc Plugin(N) returns (N); }", NULL,
     "the plugin and the rpc `S.Plugin` both become `p_plugin` in C\n"},
    {"QK0111", "service S { " ACTOR " rpc A(N) returns (N); rpc AEntry(N) returns (N); }", NULL,
     "the rpc `S.A` and the rpc `S.AEntry` both become `s_a_entry` in C\n"},
    {"QK0111", "service Static { " ACTOR " rpc Assert(N) returns (N); }", NULL,
     "x.proto:4:49: error[QK0111]: `static_assert`, the handler of `Assert`, is a name that C or C++ keeps for "
     "itself\n"},
    {"QK0111", "service S { " ACTOR " rpc _A(N) returns (N); }", NULL, "`s__a`, the handler of `_A`, is a name"},
    {"QK0112", "service S { " ACTOR " }\nmessage C { repeated int32 a = 1; int32 n_a = 2; }", NULL,
     "x.proto:5:41: error[QK0112]: the count of the repeated field `a` and the field `n_a` both become `n_a` in C\n"},
    {"QK0112", "service S { " ACTOR " }\nmessage C { int32 base = 1; }", NULL,
     "the head of every message and the field `base` both become `base` in C\n"},
    {"QK0112",
     "service S { " ACTOR
     " }\nmessage C { oneof o { int32 a = 1; } message D { repeated int32 k = 1; int32 n_k = 2; } }",
     NULL,
     "x.proto:5:78: error[QK0112]: the count of the repeated field `k` and the field `n_k` both become `n_k` in C\n"},
    {"QK0112", "service S { " ACTOR " }\nmessage C { oneof o { int32 a = 1; } bool o_case = 2; }", NULL,
     "the field `o_case` and the case of the oneof `o` both become `o_case` in C\n"},
    {"QK0113", "service S { " ACTOR " }\nservice T { rpc A(N) returns (N) { option " METHOD ".id = 1; } }", NULL,
     "x.proto:5:36: error[QK0113]: `A` is a method of `T`, which is no actor type\n"},
    {"QK0114", "service S { " ACTOR " }", PARAMS ",plugn=x",
     "error[QK0114]: unknown parameter `plugn` of --quark_opt\n"},
    {"QK0115", "service S { " ACTOR " }", "plugin=P,version=1", "error[QK0115]: `P` can't be the name of a plugin\n"},
    {"QK0115", "service S { " ACTOR " }", "plugin=p", "error[QK0115]: plugin `p` has no version\n"},
    {"QK0115", "service S { " ACTOR " }", PARAMS ",services=My-List",
     "error[QK0115]: `My-List` can't be the name of a list of services\n"},
    {"QK0115", "service S { " ACTOR " }", PARAMS ",services=size_t",
     "`size_t` can't be the name of a list of services\n"},
    {"QK0115", "service S { " ACTOR " }", PARAMS ",services=types",
     "`types` can't be the name of a list of services\n"},
    {"QK0115", "service S { " ACTOR " }", PARAMS ",services=", "`` can't be the name of a list of services\n"},
    {"QK0115", "service S { " ACTOR " }", "services=a",
     "error[QK0115]: there is a list of services but no plugin's name\n"},
    {"QK0114", "service S { " ACTOR " }", PARAMS ",service=x", "did you mean `services`?"},
    {"QK0115", "service S { " ACTOR " }", "version=1", "error[QK0115]: there is a version but no plugin's name\n"},
    {"QK0115", "service S { " ACTOR " }", "plugin=p,version=" REPEAT8 REPEAT8 REPEAT8 REPEAT8,
     "error[QK0115]: `" REPEAT8 REPEAT8 REPEAT8 REPEAT8 "` can't be the version of a plugin\n"},
    {"QK0120", "service S { option (quark.actor) = { store: \"sqlite\" }; }", NULL,
     "x.proto:4:45: error[QK0120]: `S` has a store, but no state\n"
     "     |\n"
     "   4 | service S { option (quark.actor) = { store: \"sqlite\" }; }\n"
     "     |                                             ^^^^^^^^ what would be stored?\n"},
    {"QK0121", "service S { option (quark.actor) = { state: \"M\" store: \"SQLlite\" }; }", NULL,
     "x.proto:4:56: error[QK0121]: `SQLlite` can't be the name of a store\n"
     "     |\n"
     "   4 | service S { option (quark.actor) = { state: \"M\" store: \"SQLlite\" }; }\n"
     "     |                                                        ^^^^^^^^^ did you mean `sqlite`?\n"},
    {"QK0121", "service S { option (quark.actor) = { state: \"M\" store: \"my disk\" }; }", NULL,
     "`my disk` can't be the name of a store\n"},
    {"QK0122", "service S { option (quark.actor).reentrancy = \"allways\"; }", NULL,
     "x.proto:4:47: error[QK0122]: unknown reentrancy `allways`\n"
     "     |\n"
     "   4 | service S { option (quark.actor).reentrancy = \"allways\"; }\n"
     "     |                                               ^^^^^^^^^ did you mean `always`?\n"
     "     = help: one of none (the default), chain, always, reads\n"},
    {"QK0122", "service S { " ACTOR " rpc A(N) returns (N) { option " METHOD " = { reentrancy: \"chian\" }; } }", NULL,
     "x.proto:4:101: error[QK0122]: unknown reentrancy of a method `chian`\n"},
    {"QK0122", "service S { " ACTOR " rpc A(N) returns (N) { option " METHOD ".reentrancy = \"reads\"; } }", NULL,
     "`none` and `reads` are for the type"},
    {"QK0123", "service S { option (quark.actor) = { state: \"M\" lazy_state: true }; }", NULL,
     "x.proto:4:49: error[QK0123]: `lazy_state` of `S` has no effect: its state is not stored\n"
     "     |\n"
     "   4 | service S { option (quark.actor) = { state: \"M\" lazy_state: true }; }\n"
     "     |                                                 ^^^^^^^^^^\n"},
    {"QK0123", "service S { option (quark.actor) = { reentrancy: \"reads\" };\nrpc A(N) returns (N); }", NULL,
     "x.proto:4:50: error[QK0123]: the reentrancy of `S` has no effect: none of its methods is read-only\n"},
    {"QK0123", "service S { option (quark.actor) = { state: \"M\" store: \"sqlite\" snapshot_every: 5 }; }", NULL,
     "x.proto:4:65: error[QK0123]: `snapshot_every` of `S` has no effect: it has no events\n"
     "     |\n"
     "   4 | service S { option (quark.actor) = { state: \"M\" store: \"sqlite\" snapshot_every: 5 }; }\n"
     "     |                                                                 ^^^^^^^^^^^^^^\n"},
    {"QK0128",
     "service S { option (quark.actor) = { state: \"M\" store: \"sqlite\"\nevent: \"Entri\" }; }\nmessage Entry {}",
     NULL,
     "x.proto:5:8: error[QK0128]: there is no message `Entri` for the events of `S`\n"
     "     |\n"
     "   5 | event: \"Entri\" }; }\n"
     "     |        ^^^^^^^ did you mean `Entry`?\n"
     "     = help: declare `message Entri { ... }`, or leave `event` out where the actor has none\n"},
    {"QK0129", "service S { option (quark.actor) = { state: \"M\" event: \"N\" }; }", NULL,
     "x.proto:4:56: error[QK0129]: `S` has events, but no store\n"
     "     |\n"
     "   4 | service S { option (quark.actor) = { state: \"M\" event: \"N\" }; }\n"
     "     |                                                        ^^^ where would they be kept?\n"},
    {"QK0129", "service S { option (quark.actor) = { event: \"N\" snapshot_every: 5 }; }", NULL,
     "x.proto:4:45: error[QK0129]: `S` has events, but no state\n"},
    {"QK0111",
     "service S { option (quark.actor) = { state: \"M\" event: \"N\" store: \"sqlite\" }; rpc Append(N) returns (N); }",
     NULL, "the journal of `S` and the rpc `S.Append` both become `s_append` in C\n"},
    {"QK0125", "service S { option (quark.actor) = { overload: \"refuze\" }; }", NULL,
     "x.proto:4:48: error[QK0125]: unknown overload `refuze`\n"
     "     |\n"
     "   4 | service S { option (quark.actor) = { overload: \"refuze\" }; }\n"
     "     |                                                ^^^^^^^^ did you mean `refuse`?\n"
     "     = help: wait (the default) or refuse\n"},
    {"QK0124", "service S { option (quark.actor) = { state: \"M\" placement: \"stateless\"\nstore: \"sqlite\" }; }",
     NULL, "x.proto:5:8: error[QK0124]: `S` is stateless, so its state can't be stored\n"},
    {"QK0126", "service S { option (quark.actor) = { directive: \"reset\" }; }", NULL,
     "x.proto:4:49: error[QK0126]: unknown directive `reset`\n"},
    {"QK0126", "service S { option (quark.actor).strategy = \"one_for_al\"; }", NULL,
     "^^^^^^^^^^^^ did you mean `one_for_all`?\n"},
    {"QK0127", "service S { option (quark.actor) = { filters: \"audit\" filters: \"My-Filter\" }; }", NULL,
     "x.proto:4:64: error[QK0127]: `My-Filter` can't be the name of a filter\n"},
    {"QK0127", "service S { option (quark.actor) = { filters: \"a\" filters: \"b\" filters: \"a\" }; }", NULL,
     "`S` has the filter `a` twice\n"},
    {"QK0127", "service S { option (quark.actor) = { " SIXTEEN_FILTERS " filters: \"q\" }; }", NULL,
     "`S` has more than 16 filters\n"},
    {"QK0127", "service S { " ACTOR " }", PARAMS ",filter=", "error[QK0127]: `` can't be the name of a filter\n"},
    {"QK0127", "service S { " ACTOR " }", PARAMS ",filter=a,filter=a", "the plugin has the filter `a` twice\n"},
    {"QK0115", "service S { " ACTOR " }", "filter=a", "error[QK0115]: there is a filter but no plugin's name\n"},
    {"QK0114", "service S { " ACTOR " }", PARAMS ",filters=x", "did you mean `filter`?"},
    {"QK0111", "service S { option (quark.actor) = { filters: \"s\" }; rpc Filter(N) returns (N); }", NULL,
     "the filter `s` and the rpc `S.Filter` both become `s_filter` in C\n"},
    {"QK0111", "service S { option (quark.actor) = { state: \"M\" store: \"sqlite\" }; rpc Clear(N) returns (N); }",
     NULL, "the stored state of `S` and the rpc `S.Clear` both become `s_clear` in C\n"},
    {"QK0111", "service S { " ACTOR " rpc A(N) returns (N); rpc ATimer(N) returns (N); }", NULL,
     "the rpc `S.A` and the rpc `S.ATimer` both become `s_a_timer` in C\n"},
    {"QK0116", "service S { rpc A(N) returns (N); }", NULL,
     "error[QK0116]: plugin `p` has no actor type: none of its services is one\n"},
};
#define N_ROWS ((int)(sizeof(rows) / sizeof(rows[0])))

static char *fail_with(const char *text, const char *params)
{
    char *file, *output, command[512];
    ck_assert_int_gt(asprintf(&file, HEAD "%s\n", text), 0);
    run_write("x.proto", file);
    free(file);
    snprintf(command, sizeof(command), "$PROTOC --quark_out=. --quark_opt=%s x.proto",
             params != NULL ? params : PARAMS);
    int rc = run_command(command, &output);
    ck_assert_msg(rc == 1, "exit %d\n%s", rc, output);
    return output;
}

START_TEST(test_mistakes_are_shown_where_they_are)
{
    const struct row *row = &rows[_i];
    char *output = fail_with(row->text, row->params);
    ck_assert_msg(strstr(output, row->want) != NULL, "wanted:\n%s\ngot:\n%s", row->want, output);
    ck_assert_msg(strstr(output, "--quark_out: 1 mistake:\n") != NULL, "%s", output);
    ck_assert_ptr_nonnull(strstr(output, row->code));
    ck_assert_msg(qk_error_find(row->code) != NULL, "%s is not in the catalogue", row->code);
    free(output);
}
END_TEST

START_TEST(test_mistakes_are_all_told_in_one_run)
{
    char *output = fail_with("service S { option (quark.actor) = { placement: \"x\" mailbox: 99999 };\n"
                             "rpc A(stream N) returns (N); }",
                             NULL);
    ck_assert_msg(strncmp(output, "--quark_out: 3 mistakes:\n", 25) == 0, "%s", output);
    free(output);
}
END_TEST

/* The file of the state must be imported, not just known to protoc. */
START_TEST(test_mistakes_state_of_a_file_not_imported)
{
    char *output;
    run_write("state.proto", "syntax = \"proto3\"; package p; message State {}\n");
    run_write("x.proto", "syntax = \"proto3\"; package p; import \"quark/options.proto\";\n"
                         "service S { option (quark.actor).state = \"State\"; }\n");
    int rc = run_command("$PROTOC --quark_out=. --quark_opt=" PARAMS " x.proto state.proto", &output);
    ck_assert_int_eq(rc, 1);
    ck_assert_msg(strstr(output, "x.proto:2:42: error[QK0102]: the state message `State` is in a file that is not "
                                 "imported\n") != NULL &&
                      strstr(output, "= help: add: import \"state.proto\";") != NULL,
                  "%s", output);
    free(output);
}
END_TEST

START_TEST(test_mistakes_descriptors_beyond_what_a_plugin_carries)
{
    char *output;
    run_ok("{ echo 'syntax = \"proto3\"; package p; import \"quark/options.proto\";'; echo 'message N {}';"
           " echo 'service S { option (quark.actor) = {}; rpc A(N) returns (N); }';"
           " seq 1 6000 | sed 's/.*/message " VERY VERY VERY "& {}/'; } >large.proto");
    ck_assert_int_eq(run_command("$PROTOC --quark_out=. --quark_opt=" PARAMS " large.proto", &output), 1);
    ck_assert_msg(strstr(output, "error[QK0119]: the descriptors of the messages take 1") != NULL, "%s", output);
    free(output);
}
END_TEST

/* Where the file can't be read, the place is told without the line; `root` finds it. */
START_TEST(test_mistakes_root_finds_the_source)
{
    char *output;
    run_ok("mkdir -p deep");
    run_write("deep/y.proto", HEAD "service S { option (quark.actor).placement = \"hsh\"; }\n");
    ck_assert_int_eq(run_command("$PROTOC -Ideep --quark_out=. --quark_opt=" PARAMS " y.proto", &output), 1);
    ck_assert_msg(strstr(output, "y.proto:4:13: error[QK0101]: unknown placement `hsh`\n"
                                 "     = note: did you mean `hash`?\n") != NULL,
                  "%s", output);
    free(output);
    ck_assert_int_eq(run_command("$PROTOC -Ideep --quark_out=. --quark_opt=" PARAMS ",root=deep y.proto", &output), 1);
    ck_assert_msg(strstr(output, "y.proto:4:46: error[QK0101]") != NULL, "%s", output);
    ck_assert_ptr_nonnull(strstr(output, "   4 | service S"));
    free(output);
}
END_TEST

START_TEST(test_mistakes_bytes_that_are_no_request)
{
    char *output;
    ck_assert_int_eq(run_command("printf 'hello' | $GENERATOR", &output), 1);
    ck_assert_msg(strstr(output, "no request of protoc's") != NULL, "%s", output);
    free(output);
    /* A request with a service that has no name. */
    ck_assert_int_eq(run_command("printf '\\172\\002\\062\\000' | $GENERATOR", &output), 1);
    ck_assert_msg(strstr(output, "no request of protoc's") != NULL, "%s", output);
    free(output);
    /* One with a method whose messages are not there. */
    ck_assert_int_eq(
        run_command("printf "
                    "'\\012\\001\\141\\172\\033\\012\\001\\141\\062\\026\\012\\001\\123\\022\\013\\012\\001\\115\\022\\"
                    "002\\056\\116\\032\\002\\056\\116\\032\\004\\352\\335\\031\\000' | $GENERATOR",
                    &output),
        0);
    ck_assert_msg(strstr(output, "error[QK0118]: the request lacks the message `.N` of `M`") != NULL, "%s", output);
    free(output);
    ck_assert_int_eq(run_command("head -c 5000000 /dev/zero | $GENERATOR", &output), 1);
    ck_assert_msg(strstr(output, "too large") != NULL, "%s", output);
    free(output);
    ck_assert_int_eq(run_command("$GENERATOR x.proto", &output), 2);
    ck_assert_msg(strstr(output, "takes no arguments") != NULL, "%s", output);
    free(output);
}
END_TEST

int main(int argc, char **argv)
{
    run_init(argc, argv);
    Suite *suite = suite_create("mistakes");
    TCase *tc = tcase_create("mistakes");
    tcase_add_loop_test(tc, test_mistakes_are_shown_where_they_are, 0, N_ROWS);
    tcase_add_test(tc, test_mistakes_are_all_told_in_one_run);
    tcase_add_test(tc, test_mistakes_state_of_a_file_not_imported);
    tcase_add_test(tc, test_mistakes_descriptors_beyond_what_a_plugin_carries);
    tcase_add_test(tc, test_mistakes_root_finds_the_source);
    tcase_add_test(tc, test_mistakes_bytes_that_are_no_request);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    run_finish();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
