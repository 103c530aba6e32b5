/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/engine/test_loans.c: pieces that are lent and come back in any order, as they are, with something left to do, or never.
 */
#include "runtime/engine/loans.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#define HELPERS 3

static qn_loans loans;
static uint64_t state;

static void begin(bool has_turns, uint32_t count_max)
{
    qn_loans_begin(&loans, has_turns, count_max);
    for (uint32_t rank = 1; rank <= HELPERS; rank++)
        qn_loans_add_helper(&loans, rank);
}

static void set_up(void)
{
    loans = (qn_loans){0};
    state = 4;
}

static void tear_down(void)
{
    qn_loans_fini(&loans);
}

static qn_loan *lend(qn_loan *loan, uint32_t piece)
{
    ck_assert(loan != NULL);
    loan->order = (qn_task_order){.task = qn_loans_number(&loans, loan), .attempt = 1};
    qn_buffer_append_u32(&loan->piece, piece);
    qn_loans_mark_out(&loans, loan);
    return loan;
}

/* What it gave is the number of the piece. */
static bool come_back(const qn_loan *loan, bool is_undone, bool has_failed)
{
    qn_loan_return back = {.number = qn_loans_number(&loans, loan),
                           .attempt = loan->order.attempt,
                           .is_undone = is_undone,
                           .has_failed = has_failed,
                           .resume = {.skip = 7},
                           .given = loan->piece.data,
                           .given_bytes = loan->piece.bytes};
    return qn_loans_take_back(&loans, &back);
}

static uint32_t number_in(const qn_buffer *buffer)
{
    qn_reader reader = qn_reader_of(buffer->data, buffer->bytes);
    return qn_reader_u32(&reader);
}

/* Pieces 0, 1, … are lent as there is room, come back in any order, and are due in theirs. */
START_TEST(loans_that_have_turns_are_due_one_after_the_other)
{
    enum { COUNT = 2000 };
    uint32_t lent = 0, due = 0, undone = 0, own = 0;
    qn_loan *out[QN_LOANS_MAX], *loan;
    size_t out_count = 0;
    begin(true, 5);
    while (due < COUNT) {
        while (lent < COUNT && (loan = qn_loans_find_free(&loans)))
            out[out_count++] = lend(loan, lent++);
        ck_assert_uint_le(out_count, 5);
        if (lent < COUNT && (loan = qn_loans_find_own(&loans))) {
            out[out_count++] = lend(loan, lent++);
            own++;
        }
        size_t which = kit_random_below(&state, out_count);
        bool is_undone = kit_random_below(&state, 4) == 0;
        undone += is_undone;
        ck_assert(come_back(out[which], is_undone, is_undone));
        ck_assert_int_eq(out[which]->state, is_undone ? QN_LOAN_UNDONE : QN_LOAN_THROUGH);
        ck_assert_uint_eq(out[which]->order.attempt, 1 + is_undone);
        ck_assert_uint_eq(out[which]->order.resume.skip, is_undone ? 7 : 0);
        out[which] = out[--out_count];
        while ((loan = qn_loans_find_due(&loans))) {
            ck_assert_uint_eq(number_in(&loan->given), due);
            ck_assert_uint_eq(number_in(&loan->piece), due++);
            qn_loans_settle(&loans, loan);
        }
    }
    ck_assert_uint_eq(loans.out_count + loans.own_count, 0);
    ck_assert(undone > 300 && own > 100);
    qn_loans_dismiss(&loans);
}
END_TEST

START_TEST(loans_without_turns_are_settled_as_they_come_and_due_if_something_is_left)
{
    begin(false, 0);
    qn_loan *first = lend(qn_loans_find_free(&loans), 0), *second = lend(qn_loans_find_free(&loans), 1);
    ck_assert(first->helper != second->helper);
    ck_assert(come_back(second, false, false));
    ck_assert_int_eq(second->state, QN_LOAN_FREE);
    ck_assert_ptr_null(qn_loans_find_due(&loans));
    ck_assert(come_back(first, true, true));
    ck_assert_ptr_eq(qn_loans_find_due(&loans), first);
    qn_loans_settle(&loans, first);
    ck_assert_uint_eq(loans.out_count, 0);
}
END_TEST

START_TEST(no_helper_holds_more_than_its_share_and_all_no_more_than_may_be_out)
{
    begin(false, 0);
    uint32_t count = 0;
    for (qn_loan *loan; (loan = qn_loans_find_free(&loans)); count++)
        lend(loan, count);
    ck_assert_uint_eq(count, HELPERS * QN_LOANS_PER_HELPER_MAX);
    for (uint32_t i = 0; i < HELPERS; i++)
        ck_assert_uint_eq(loans.held[i], QN_LOANS_PER_HELPER_MAX);
    tear_down();
    begin(true, 2); /* fewer than helpers */
    for (count = 0; count < 2; count++)
        lend(qn_loans_find_free(&loans), count);
    ck_assert_ptr_null(qn_loans_find_free(&loans));
    for (; count < 2 + QN_LOANS_TO_ITSELF_MAX; count++)
        lend(qn_loans_find_own(&loans), count);
    ck_assert_ptr_null(qn_loans_find_own(&loans));
    ck_assert_ptr_null(qn_loans_find_free(&loans)); /* its own ones are not theirs */
}
END_TEST

START_TEST(what_is_no_loan_is_passed_over)
{
    begin(true, 0);
    qn_loan *loan = lend(qn_loans_find_free(&loans), 0);
    qn_loan_return none = {.number = QN_LOANS_MAX}, free = {.number = 5, .attempt = 1}, old = {.attempt = 2};
    ck_assert(qn_loans_take_back(&loans, &none));
    ck_assert(qn_loans_take_back(&loans, &free));
    ck_assert(qn_loans_take_back(&loans, &old));
    ck_assert_int_eq(loan->state, QN_LOAN_OUT);
    ck_assert_uint_eq(loans.out_count, 1);
}
END_TEST

START_TEST(without_memory_for_what_it_gave_it_is_said)
{
    begin(true, 0);
    qn_loan *loan = lend(qn_loans_find_free(&loans), 0);
    allocations_left = 0;
    bool has_room = come_back(loan, false, false);
    allocations_left = -1;
    ck_assert(!has_room);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        loans_that_have_turns_are_due_one_after_the_other,
        loans_without_turns_are_settled_as_they_come_and_due_if_something_is_left,
        no_helper_holds_more_than_its_share_and_all_no_more_than_may_be_out,
        what_is_no_loan_is_passed_over,
        without_memory_for_what_it_gave_it_is_said,
    };
    return kit_run_tests("loans", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
