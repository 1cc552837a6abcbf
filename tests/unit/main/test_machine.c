/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much memory the machine and the control groups allow, read from files that the test makes. */
#include "main/machine.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[32];

static void put(const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(full, 0755);
        *at = '/';
    }
    FILE *f = fopen(full, "we");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void setup(void)
{
    strcpy(root, "/tmp/quark-machine-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void teardown(void)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(test_machine_without_anything)
{
    ck_assert_uint_eq(qk_machine_memory(root), 0);
    ck_assert_uint_gt(qk_machine_memory(""), 0);
}
END_TEST

START_TEST(test_machine_without_groups)
{
    put("/proc/meminfo", "MemTotal:       24576000 kB\nMemFree:        1000 kB\n");
    ck_assert_uint_eq(qk_machine_memory(root), UINT64_C(24576000) * 1024);
}
END_TEST

START_TEST(test_machine_version_2_takes_the_least_on_the_way_up)
{
    put("/proc/meminfo", "MemTotal:       24576000 kB\n");
    put("/proc/self/cgroup", "0::/system.slice/quarkd.service\n");
    put("/sys/fs/cgroup/system.slice/quarkd.service/memory.max", "max\n");
    ck_assert_uint_eq(qk_machine_memory(root), UINT64_C(24576000) * 1024);
    put("/sys/fs/cgroup/system.slice/memory.max", "4294967296\n");
    ck_assert_uint_eq(qk_machine_memory(root), UINT64_C(4294967296));
    put("/sys/fs/cgroup/system.slice/quarkd.service/memory.high", "1073741824\n");
    ck_assert_uint_eq(qk_machine_memory(root), UINT64_C(1073741824));
    put("/sys/fs/cgroup/memory.max", "1048576\n"); /* as a container sees its own */
    ck_assert_uint_eq(qk_machine_memory(root), UINT64_C(1048576));
}
END_TEST

START_TEST(test_machine_version_1)
{
    put("/proc/meminfo", "MemTotal:       24576000 kB\n");
    put("/proc/self/cgroup", "5:devices:/a\n4:memory:/a/b\n0::/\n");
    put("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n"); /* none */
    ck_assert_uint_eq(qk_machine_memory(root), UINT64_C(24576000) * 1024);
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2147483648\n");
    ck_assert_uint_eq(qk_machine_memory(root), UINT64_C(2147483648));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("machine");
    TCase *c = tcase_create("machine");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_machine_without_anything);
    tcase_add_test(c, test_machine_without_groups);
    tcase_add_test(c, test_machine_version_2_takes_the_least_on_the_way_up);
    tcase_add_test(c, test_machine_version_1);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
