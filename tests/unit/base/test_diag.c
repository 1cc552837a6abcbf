/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mark of a diagnostic is seen wherever in a line it is. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/diag.h"

static char source[4001];

static char *render(int column, int width)
{
    struct qk_diag d = {.message = "m", .file = "f", .line = 1, .column = column, .width = width, .label = "here"};
    char *text = NULL;
    size_t size;
    d.source = source;
    d.source_size = sizeof(source) - 1;
    FILE *to = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(to);
    qk_diag_write(to, &d, false);
    fclose(to);
    return text;
}

/* Every column of a long line has its mark below the right byte, and no line is long. */
START_TEST(test_diag_shows_the_place_in_a_long_line)
{
    static const int columns[] = {1, 2, 159, 160, 161, 162, 240, 241, 242, 2000, 3999, 4000, 4001};
    memset(source, '.', sizeof(source) - 1);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        int at = columns[i] - 1;
        if (at < (int)sizeof(source) - 1)
            source[at] = 'X';
        char *text = render(columns[i], 1);
        char *shown = strstr(text, "   1 | ");
        ck_assert_ptr_nonnull(shown);
        char *marks = strchr(shown, '\n');
        ck_assert_ptr_nonnull(marks);
        ck_assert_int_lt(marks - shown, 300);
        char *mark = strchr(marks, '^');
        ck_assert_msg(mark != NULL, "no mark for column %d", columns[i]);
        ck_assert_ptr_nonnull(strstr(mark, " here"));
        if (at < (int)sizeof(source) - 1) {
            ck_assert_int_eq(shown[mark - marks - 1], 'X');
            source[at] = '.';
        }
        free(text);
    }
}
END_TEST

/* A window does not begin inside a character. */
START_TEST(test_diag_cuts_between_characters)
{
    for (int i = 0; i + 1 < (int)sizeof(source); i += 2)
        memcpy(source + i, "\xc3\xa4", 2);
    for (int column = 1001; column <= 1004; column++) {
        char *text = render(column, 2);
        char *gap = strstr(text, "...");
        ck_assert_ptr_nonnull(gap);
        ck_assert_int_eq((unsigned char)gap[3], 0xc3);
        free(text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("diag");
    TCase *tc = tcase_create("diag");
    tcase_add_test(tc, test_diag_shows_the_place_in_a_long_line);
    tcase_add_test(tc, test_diag_cuts_between_characters);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
