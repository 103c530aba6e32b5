/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/engine/test_givens.c: by what a job is known besides its graph and files: any order, each name, refusals.
 */
#include "runtime/engine/givens.h"

#include <string.h>

#include "tests/kit.h"
#include "tests/refusal.h"

static qn_error error;

static qn_givens given(const char *const names[], const char *const values[], size_t count)
{
    qn_givens givens = {0};
    ck_assert_int_eq(qn_givens_init(&givens, &error), QUERN_OK);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(qn_givens_note(&givens, "parameter", names[i], values[i], strlen(values[i]), &error),
                         QUERN_OK);
    return givens;
}

static void compare(qn_givens *before, qn_givens *after, const char *expected)
{
    char text[512] = "";
    bool differs = qn_givens_compare(before->names, after->names, text, sizeof text);
    ck_assert_int_eq(differs, expected != NULL);
    ck_assert_str_eq(text, expected ? expected : "");
    ck_assert_int_eq(qn_givens_digest(before->names) != qn_givens_digest(after->names), differs);
    qn_givens_fini(before);
    qn_givens_fini(after);
}

START_TEST(what_was_given_in_another_order_is_the_same)
{
    qn_givens before = given((const char *[]){"a", "b"}, (const char *[]){"1", "2"}, 2);
    qn_givens after = given((const char *[]){"b", "a"}, (const char *[]){"2", "1"}, 2);
    compare(&before, &after, NULL);
}
END_TEST

START_TEST(the_first_that_differs_is_named)
{
    qn_givens one = given((const char *[]){"a", "b"}, (const char *[]){"1", "2"}, 2);
    qn_givens swapped = given((const char *[]){"a", "b"}, (const char *[]){"1", "1"}, 2);
    compare(&one, &swapped, "the parameter 'b' is another one");
    qn_givens less = given((const char *[]){"a"}, (const char *[]){"1"}, 1);
    qn_givens more = given((const char *[]){"a", "b"}, (const char *[]){"1", ""}, 2);
    compare(&less, &more, "the parameter 'b' was not given before");
    less = given((const char *[]){"b"}, (const char *[]){"2"}, 1);
    more = given((const char *[]){"a", "b"}, (const char *[]){"1", "2"}, 2);
    compare(&more, &less, "the parameter 'a' is not given any more");
}
END_TEST

START_TEST(what_is_given_again_by_the_same_name_counts_besides)
{
    qn_givens once = given((const char *[]){"a"}, (const char *[]){"2"}, 1);
    qn_givens twice = given((const char *[]){"a", "a"}, (const char *[]){"1", "2"}, 2);
    compare(&once, &twice, "the parameter 'a' is another one");
    once = given((const char *[]){"a", "a"}, (const char *[]){"1", "23"}, 2);
    twice = given((const char *[]){"a", "a"}, (const char *[]){"12", "3"}, 2);
    compare(&once, &twice, "the parameter 'a' is another one");
}
END_TEST

START_TEST(names_that_are_no_text_of_one_line_are_refused_and_so_are_too_many)
{
    char name[QN_GIVEN_NAME_BYTES_MAX + 2];
    qn_givens givens = given(NULL, NULL, 0);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    const char *const wrong[] = {"", "a\n", "\x1b[2J", "\xff", "\xc0\xaf", name};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_int_eq(qn_givens_note(&givens, "parameter", wrong[i], "", 0, &error), QUERN_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(qn_givens_note(&givens, "parameter", name + 1, "", 0, &error), QUERN_OK);
    for (int i = 1; i < QN_GIVEN_COUNT_MAX; i++) {
        snprintf(name, sizeof name, "%d", i);
        ck_assert_int_eq(qn_givens_note(&givens, "parameter", name, "", 0, &error), QUERN_OK);
    }
    ck_assert_int_eq(qn_givens_note(&givens, "parameter", "1", "again", 5, &error), QUERN_OK);
    ck_assert_int_eq(qn_givens_note(&givens, "parameter", "one more", "", 0, &error), QUERN_ERROR_INVALID_ARGUMENT);
    qn_givens_fini(&givens);
}
END_TEST

START_TEST(without_a_checkpoint_nothing_is_taken_and_no_file_is_read)
{
    qn_givens givens = {0};
    ck_assert_int_eq(qn_givens_note(&givens, "parameter", "a", "", 0, &error), QUERN_OK);
    ck_assert_int_eq(qn_givens_note_file(&givens, "/not/there", &error), QUERN_OK);
    ck_assert_int_eq(qn_givens_note_command(&givens, &error), QUERN_OK);
    ck_assert_ptr_null(givens.names);
    qn_givens_fini(&givens);
}
END_TEST

static void set_up(void)
{
    qn_error_clear(&error);
}

static void tear_down(void) {}

int main(void)
{
    const TTest *const tests[] = {
        what_was_given_in_another_order_is_the_same,
        the_first_that_differs_is_named,
        what_is_given_again_by_the_same_name_counts_besides,
        names_that_are_no_text_of_one_line_are_refused_and_so_are_too_many,
        without_a_checkpoint_nothing_is_taken_and_no_file_is_read,
    };
    return kit_run_tests("givens", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
