/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/base/test_pages.c: where in a page what is read from files is put.
 */
#include "runtime/base/pages.h"
#include "tests/kit.h"

/* What is slow is a place 1 to 31 bytes further in its page than the source in its own. */
START_TEST(no_place_for_bytes_of_a_file_is_a_little_further_in_its_page_than_in_the_file)
{
    for (uint64_t offset = 0; offset < 3 * QN_PAGE_SMALL_BYTES; offset++) {
        size_t place = qn_pages_place(offset), page = QN_PAGE_SMALL_BYTES;
        size_t further = (place + page - (size_t)(offset % page)) % page;
        ck_assert_uint_lt(place, page);
        ck_assert_uint_eq(place % QN_PAGE_STEP_BYTES, 0);
        ck_assert(further == 0 || further > page - QN_PAGE_STEP_BYTES);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        no_place_for_bytes_of_a_file_is_a_little_further_in_its_page_than_in_the_file,
    };
    return kit_run_tests("pages", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
