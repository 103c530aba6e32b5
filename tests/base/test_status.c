/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/base/test_status.c: the list of statuses, and the detail of a failure.
 */
#include "tests/kit.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>

typedef struct listed {
    const char *name;
    int code;
    const char *scope;
    const char *text;
} listed;

#define LISTED(name, code, scope, text) {"QUERN_ERROR_" #name, code, #scope, text},
static const listed all[] = {{"QUERN_OK", 0, "CALL", "success"}, QUERN_STATUS_LIST(LISTED)};
#define ALL_COUNT (sizeof all / sizeof *all)

START_TEST(every_status_has_its_name_and_its_text)
{
    for (size_t i = 0; i < ALL_COUNT; i++) {
        ck_assert_str_eq(quern_status_name((quern_status)all[i].code), all[i].name);
        ck_assert_str_eq(quern_status_text((quern_status)all[i].code), all[i].text);
    }
}
END_TEST

START_TEST(codes_names_and_texts_are_unique)
{
    for (size_t i = 0; i < ALL_COUNT; i++) {
        for (size_t j = 0; j < i; j++) {
            ck_assert_int_ne(all[i].code, all[j].code);
            ck_assert_str_ne(all[i].name, all[j].name);
            ck_assert_str_ne(all[i].text, all[j].text);
        }
    }
}
END_TEST

/* Codes are frozen: a change of this number is a change of the interface. */
START_TEST(codes_are_what_they_were)
{
    ck_assert_uint_eq(ALL_COUNT, 26);
    ck_assert_int_eq(QUERN_ERROR_INVALID_ARGUMENT, 1);
    ck_assert_int_eq(QUERN_ERROR_NO_MEMORY, 2);
    ck_assert_int_eq(QUERN_ERROR_PLAN_MISMATCH, 5);
    ck_assert_int_eq(QUERN_ERROR_INPUT, 20);
    ck_assert_int_eq(QUERN_ERROR_RECORD_TOO_LARGE, 25);
    ck_assert_int_eq(QUERN_ERROR_BAD_RECORDS, 26);
    ck_assert_int_eq(QUERN_ERROR_CHECKPOINT, 27);
    ck_assert_int_eq(QUERN_ERROR_SUSPENDED, 28);
    ck_assert_int_eq(QUERN_ERROR_NOT_RUN, 29);
    ck_assert_int_eq(QUERN_ERROR_CALLBACK, 30);
    ck_assert_int_eq(QUERN_ERROR_IMBALANCE, 33);
    ck_assert_int_eq(QUERN_ERROR_CHECK, 34);
    ck_assert_int_eq(QUERN_ERROR_LAUNCHER, 50);
    ck_assert_int_eq(QUERN_ERROR_SYSTEM, 53);
    ck_assert_int_eq(QUERN_ERROR_INTERNAL, 99);
}
END_TEST

START_TEST(texts_are_single_lines_without_a_full_stop_and_scopes_are_known)
{
    for (size_t i = 0; i < ALL_COUNT; i++) {
        size_t length = strlen(all[i].text);
        ck_assert_uint_gt(length, 5);
        ck_assert_ptr_null(strchr(all[i].text, '\n'));
        ck_assert_int_ne(all[i].text[length - 1], '.');
        ck_assert(!isupper((unsigned char)all[i].text[0]) || all[i].code == QUERN_ERROR_MPI);
        ck_assert(strcmp(all[i].scope, "CALL") == 0 || strcmp(all[i].scope, "JOB") == 0 ||
                  strcmp(all[i].scope, "CONTEXT") == 0);
    }
}
END_TEST

START_TEST(an_unknown_code_is_called_unknown)
{
    for (int code = -2; code < 200; code++) {
        bool known = false;
        for (size_t i = 0; i < ALL_COUNT; i++)
            known |= all[i].code == code;
        if (known)
            continue;
        ck_assert_str_eq(quern_status_name((quern_status)code), "QUERN_ERROR_UNKNOWN");
        ck_assert_str_eq(quern_status_text((quern_status)code), "an unknown status");
    }
}
END_TEST

START_TEST(the_first_detail_wins)
{
    qn_error error = {0};
    ck_assert_int_eq(qn_error_set(&error, QUERN_ERROR_INPUT, 0, "first %d", 1), QUERN_ERROR_INPUT);
    ck_assert_int_eq(qn_error_set(&error, QUERN_ERROR_OUTPUT, 0, "second"), QUERN_ERROR_OUTPUT);
    ck_assert_int_eq(error.status, QUERN_ERROR_INPUT);
    ck_assert_str_eq(error.text, "first 1");
    qn_error_clear(&error);
    ck_assert_int_eq(error.status, QUERN_OK);
    ck_assert_str_eq(error.text, "");
    ck_assert_int_eq(qn_error_set(NULL, QUERN_ERROR_OUTPUT, 0, "nobody listens"), QUERN_ERROR_OUTPUT);
}
END_TEST

START_TEST(the_text_of_the_system_follows)
{
    qn_error error = {0};
    qn_error_set(&error, QUERN_ERROR_INPUT, ENOENT, "cannot open %s", "x");
    char expected[128];
    snprintf(expected, sizeof expected, "cannot open x: %s", strerror(ENOENT));
    ck_assert_str_eq(error.text, expected);
}
END_TEST

START_TEST(texts_of_every_length_about_the_limit_are_cut_and_end)
{
    char longer[QN_ERROR_TEXT_BYTES_MAX + 64];
    memset(longer, 'x', sizeof longer);
    for (int length = QN_ERROR_TEXT_BYTES_MAX - 64; length < QN_ERROR_TEXT_BYTES_MAX + 64; length++) {
        qn_error *error = kit_take(sizeof *error);
        qn_error_set(error, QUERN_ERROR_INPUT, ENOENT, "%.*s", length, longer);
        ck_assert_uint_lt(strnlen(error->text, sizeof error->text), sizeof error->text);
        ck_assert_uint_ge(strlen(error->text), QN_ERROR_TEXT_BYTES_MAX - 64);
        free(error);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_status_has_its_name_and_its_text,
        codes_names_and_texts_are_unique,
        codes_are_what_they_were,
        texts_are_single_lines_without_a_full_stop_and_scopes_are_known,
        an_unknown_code_is_called_unknown,
        the_first_detail_wins,
        the_text_of_the_system_follows,
        texts_of_every_length_about_the_limit_are_cut_and_end,
    };
    return kit_run_tests("status", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
