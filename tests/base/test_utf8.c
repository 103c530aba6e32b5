/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/base/test_utf8.c: any bytes become valid UTF-8, and valid UTF-8 stays as it is.
 */
#include "runtime/base/utf8.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#define R "\xEF\xBF\xBD"

static void check(const char *text, const char *expected)
{
    char *repaired = qn_utf8_repair(text);
    ck_assert_ptr_nonnull(repaired);
    ck_assert_str_eq(repaired, expected);
    free(repaired);
}

START_TEST(valid_text_stays_as_it_is)
{
    static const char *const texts[] = {
        "",
        "plain\t\n\x7F",
        "\xC2\x80 \xDF\xBF",
        "\xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF",
        "\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check(texts[i], texts[i]);
}
END_TEST

START_TEST(each_byte_that_is_no_part_of_a_character_is_replaced)
{
    check("a\xFF"
          "b",
          "a" R "b");
    check("\x80\xBF", R R);
    check("\xC0\xAF", R R);             /* overlong */
    check("\xE0\x9F\xBF", R R R);       /* overlong */
    check("\xF0\x8F\xBF\xBF", R R R R); /* overlong */
    check("\xED\xA0\x80", R R R);       /* a surrogate */
    check("\xF4\x90\x80\x80", R R R R); /* beyond U+10FFFF */
    check("\xF5", R);
    check("\xC3z\xC3\xA9", R "z\xC3\xA9");
}
END_TEST

START_TEST(a_character_that_is_cut_off_at_the_end_is_replaced)
{
    check("\xC3", R);
    check("x\xE2\x82", "x" R R);
    check("x\xF0\x9F\x98", "x" R R R);
}
END_TEST

START_TEST(refused_memory_is_no_text)
{
    allocations_left = 0;
    char *repaired = qn_utf8_repair("x");
    allocations_left = -1;
    ck_assert_ptr_null(repaired);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("utf8");
    TCase *tests = tcase_create("utf8");
    tcase_add_test(tests, valid_text_stays_as_it_is);
    tcase_add_test(tests, each_byte_that_is_no_part_of_a_character_is_replaced);
    tcase_add_test(tests, a_character_that_is_cut_off_at_the_end_is_replaced);
    tcase_add_test(tests, refused_memory_is_no_text);
    suite_add_tcase(suite, tests);
    return kit_run(suite);
}
