/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Plugins as the build makes them: what is loaded, what is refused and why, and what must not have run by then. */
#include <check.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include "base/errors.h"
#include "fixture.h"
#include "plugin/refusal.h"

static struct fixture fixture;
static struct fixture *const f = &fixture;

static void setup(void)
{
    static const char *const dirs[] = {"", NULL};
    fixture_init(f, dirs);
}

static void teardown(void)
{
    fixture_finish(f);
}

START_TEST(test_load_good_is_registered)
{
    struct qk_plugin_info info;
    fixture_put(f, "good", "libtally.so");
    fixture_scan(f, 1, 0);
    ck_assert(fixture_find(f, "libtally.so", &info));
    ck_assert_int_eq(info.state, QK_PLUGIN_LOADED);
    ck_assert_str_eq(info.name, "tally");
    ck_assert_str_eq(info.version, "1.0");
    ck_assert_str_eq(info.abi, "1.0");
    ck_assert_str_eq(info.code, "");
    ck_assert_str_eq(info.reason, "");
    ck_assert_int_eq(info.loaded_ms, 1234567);
    ck_assert_str_eq(getenv("QUARK_TEST_RAN"), "tally");
    ck_assert_ptr_eq(qk_plugins_find_type(f->set, "tally"), info.plugin);
    ck_assert_ptr_null(qk_plugins_find_type(f->set, "teller"));
    fixture_scan(f, 0, 0);
}
END_TEST

static void expect_variant_refused(const char *variant, const char *code, const char *words)
{
    fixture_put(f, variant, "x.so");
    fixture_scan(f, 0, 1);
    fixture_expect_refused(f, "x.so", code, words);
    ck_assert_uint_eq(fixture_logged(code), 1);
}

static void expect_nothing_ran(void)
{
    ck_assert_msg(getenv("QUARK_TEST_RAN") == NULL, "code of a refused plugin ran");
}

START_TEST(test_load_refused_before_any_code_runs)
{
    expect_variant_refused("major2", "QK0305", "interface 2.0, which is newer than this silo's 1.0");
    expect_variant_refused("major0", "QK0305", "0.0, which is older");
    expect_variant_refused("minor1", "QK0305", "1.1, which is newer");
    expect_variant_refused("unnoted", "QK0303", "no Quark note");
    expect_variant_refused("two_notes", "QK0306", "two Quark notes");
    expect_variant_refused("bad_name", "QK0314", "calls itself \"Tally!\"");
    expect_variant_refused("undefined", "QK0313", "it uses plug_that_nobody_wrote, which neither");
    expect_nothing_ran();
    struct qk_plugin_info info;
    fixture_put(f, "minor1", "x.so");
    fixture_scan(f, 0, 1);
    ck_assert(fixture_find(f, "x.so", &info));
    ck_assert_str_eq(info.abi, "1.1");
    ck_assert_str_eq(info.name, "tally");
}
END_TEST

START_TEST(test_load_program_or_text_is_refused)
{
    char self[512];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    ck_assert_int_gt(n, 0);
    self[n] = 0;
    char command[2048];
    snprintf(command, sizeof(command), "cp '%s' '%s' && chmod 755 '%s'", self, fixture_path(f, "a.so"),
             fixture_path(f, "a.so"));
    ck_assert_int_eq(system(command), 0);
    fixture_write(f, "b.so", "hello\n", 6);
    fixture_write(f, "c.so", "", 0);
    fixture_scan(f, 0, 3);
    fixture_expect_refused(f, "a.so", "QK0301", "a program");
    fixture_expect_refused(f, "b.so", "QK0301", "does not begin");
    fixture_expect_refused(f, "c.so", "QK0304", "empty");
}
END_TEST

START_TEST(test_load_refused_after_its_code_ran)
{
    expect_variant_refused("hidden", "QK0306", "does not export the symbol quark_plugin");
    expect_variant_refused("mismatch", "QK0306", "note says tale 1.0, its descriptor says tally 1.0");
    expect_variant_refused("short", "QK0306", "can't be read");
    /* One of these stays in the process for ever; the next must not be taken for it. */
    fixture_put(f, "other", "x.so");
    fixture_scan(f, 1, 0);
    ck_assert_str_eq(getenv("QUARK_TEST_RAN"), "other");
    ck_assert_ptr_nonnull(qk_plugins_find_type(f->set, "other"));
}
END_TEST

START_TEST(test_load_taken_type_or_name_is_refused)
{
    fixture_put(f, "good", "a.so");
    fixture_put(f, "rival", "b.so");
    fixture_put(f, "good", "c.so");
    fixture_put(f, "other", "d.so");
    fixture_scan(f, 2, 2);
    fixture_expect_refused(f, "b.so", "QK0307", "actor type tally is already there, from plugin tally");
    fixture_expect_refused(f, "c.so", "QK0315", "the plugin tally is already loaded, from ");
    fixture_expect_refused(f, "c.so", "QK0315", "/a.so");
    ck_assert_ptr_nonnull(qk_plugins_find_type(f->set, "other"));
}
END_TEST

START_TEST(test_load_missing_library_is_named_and_tried_again)
{
    size_t size;
    uint8_t *bytes = fixture_read("good", &size);
    char *needed = memmem(bytes, size, "libprotobuf-c.so.1", 18);
    ck_assert_ptr_nonnull(needed);
    memcpy(needed, "libprotobuf-X", 13);
    fixture_write(f, "x.so", bytes, size);
    fixture_scan(f, 0, 1);
    fixture_expect_refused(f, "x.so", "QK0319", "libprotobuf-X.so.1");
    ck_assert_uint_eq(fixture_logged("QK0319"), 1);
    fixture_scan(f, 0, 1); /* the library may have been installed meanwhile; the same words are not said again */
    ck_assert_uint_eq(fixture_logged("QK0319"), 0);
    free(bytes);
    expect_nothing_ran();
}
END_TEST

/* The handler of Add, called without a runtime. */
static int64_t add(const struct qk_plugin *plugin, int64_t value)
{
    struct number {
        ProtobufCMessage base;
        int64_t value;
    } request = {.value = value}, reply, state = {.value = 40};
    const struct qk_method *m = &plugin->types[0]->methods[1];
    ck_assert_str_eq(m->name, "Add");
    ck_assert_int_eq(m->handler(NULL, &state, &request.base, &reply.base), 0);
    return reply.value;
}

START_TEST(test_load_overwritten_file_hurts_nobody)
{
    struct qk_plugin_info info;
    size_t size;
    uint8_t *bytes = fixture_read("good", &size);
    fixture_write(f, "x.so", bytes, size);
    fixture_scan(f, 1, 0);
    ck_assert(fixture_find(f, "x.so", &info));
    ck_assert_int_eq(add(info.plugin, 2), 42);
    memset(bytes, 0xee, size);
    fixture_write(f, "x.so", bytes, size);
    ck_assert_int_eq(truncate(fixture_path(f, "x.so"), 0), 0);
    ck_assert_int_eq(add(info.plugin, 2), 42);
    ck_assert_mem_eq(info.plugin->schema, "schema", 6);
    free(bytes);
}
END_TEST

START_TEST(test_load_object_bears_the_files_name)
{
    struct qk_plugin_info info;
    char maps[65536];
    fixture_put(f, "good", "libtally.so");
    fixture_scan(f, 1, 0);
    ck_assert(fixture_find(f, "libtally.so", &info));
    Dl_info where;
    ck_assert_int_ne(dladdr((const void *)(uintptr_t)info.plugin->types[0]->methods[0].handler, &where), 0);
    ck_assert_str_eq(where.dli_fname, fixture_path(f, "libtally.so"));
    FILE *file = fopen("/proc/self/maps", "re");
    maps[fread(maps, 1, sizeof(maps) - 1, file)] = 0;
    fclose(file);
    ck_assert_ptr_nonnull(strstr(maps, "memfd:libtally.so"));
}
END_TEST

START_TEST(test_load_services_that_do_not_fit_are_refused)
{
    expect_variant_refused("circle", "QK0324", "services need one another in a circle: tally/a -> tally/b -> tally/a");
    expect_variant_refused("outlives", "QK0325",
                           "tally/long_lived -> tally/short_lived: long_lived is scoped, short_lived is transient");
    expect_variant_refused("borrower", "QK0323",
                           "a service is missing: tally/debt -> lender/purse: no plugin lender is loaded that has it");
}
END_TEST

START_TEST(test_load_services_of_a_plugin_that_comes_later)
{
    fixture_put(f, "borrower", "a.so");
    fixture_logged("QK0323");
    fixture_scan(f, 0, 1);
    ck_assert_uint_eq(fixture_logged("QK0323"), 1);
    fixture_scan(f, 0, 1);
    ck_assert_uint_eq(fixture_logged("QK0323"), 0);
    fixture_put(f, "lender", "b.so");
    fixture_scan(f, 2, 0);
    ck_assert_uint_eq(fixture_logged("QK0323"), 0);
    ck_assert_ptr_nonnull(qk_plugins_find_type(f->set, "tally"));
}
END_TEST

START_TEST(test_load_services_of_a_later_file)
{
    fixture_put(f, "borrower", "a.so");
    fixture_put(f, "rival", "b.so");
    fixture_put(f, "lender", "c.so");
    fixture_logged("QK0323");
    fixture_scan(f, 2, 1);
    ck_assert_uint_eq(fixture_logged("QK0323"), 0);
    ck_assert_ptr_nonnull(qk_plugins_find_type(f->set, "other"));
}
END_TEST

/* What is refused can be looked up. */
START_TEST(test_load_every_code_is_in_the_catalogue)
{
    static const char *const codes[] = {
        QK_PLUGIN_NO_OBJECT,    QK_PLUGIN_MACHINE,    QK_PLUGIN_NO_NOTE,   QK_PLUGIN_TRUNCATED, QK_PLUGIN_ABI,
        QK_PLUGIN_DAMAGED,      QK_PLUGIN_TYPE_TAKEN, QK_PLUGIN_WRITABLE,  QK_PLUGIN_OWNER,     QK_PLUGIN_TOO_LARGE,
        QK_PLUGIN_TOO_MANY,     QK_PLUGIN_UNREADABLE, QK_PLUGIN_UNDEFINED, QK_PLUGIN_BAD_NAME,  QK_PLUGIN_NAME_TAKEN,
        QK_PLUGIN_CHANGED,      QK_PLUGIN_GONE,       QK_PLUGIN_NO_FILE,   QK_PLUGIN_LIBRARY,   QK_PLUGIN_RESOURCES,
        QK_PLUGIN_NEED_MISSING, QK_PLUGIN_CIRCLE,     QK_PLUGIN_OUTLIVES};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        ck_assert_msg(qk_error_find(codes[i]) != NULL, "%s", codes[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("load");
    TCase *tc = tcase_create("load");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_load_good_is_registered);
    tcase_add_test(tc, test_load_refused_before_any_code_runs);
    tcase_add_test(tc, test_load_program_or_text_is_refused);
    tcase_add_test(tc, test_load_refused_after_its_code_ran);
    tcase_add_test(tc, test_load_taken_type_or_name_is_refused);
    tcase_add_test(tc, test_load_services_that_do_not_fit_are_refused);
    tcase_add_test(tc, test_load_services_of_a_plugin_that_comes_later);
    tcase_add_test(tc, test_load_services_of_a_later_file);
    tcase_add_test(tc, test_load_missing_library_is_named_and_tried_again);
    tcase_add_test(tc, test_load_overwritten_file_hurts_nobody);
    tcase_add_test(tc, test_load_object_bears_the_files_name);
    tcase_add_test(tc, test_load_every_code_is_in_the_catalogue);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
