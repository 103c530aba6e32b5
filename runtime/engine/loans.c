/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/loans.h"

#include "runtime/base/assert.h"

void qn_loans_fini(qn_loans *loans)
{
    for (uint32_t i = 0; i < QN_LOANS_MAX; i++) {
        qn_buffer_fini(&loans->items[i].piece);
        qn_buffer_fini(&loans->items[i].given);
    }
    *loans = (qn_loans){0};
}

void qn_loans_add_helper(qn_loans *loans, uint32_t rank)
{
    for (uint32_t i = 0; i < loans->helper_count; i++)
        if (loans->helpers[i] == rank)
            return;
    if (loans->helper_count == QN_HELPERS_MAX)
        return;
    loans->helpers[loans->helper_count] = rank;
    loans->held[loans->helper_count++] = 0;
}

void qn_loans_dismiss(qn_loans *loans)
{
    QN_ASSERT(loans->out_count == 0);
    loans->helper_count = 0;
}

void qn_loans_begin(qn_loans *loans, bool has_turns, uint32_t count_max)
{
    QN_ASSERT(loans->out_count == 0);
    loans->has_turns = has_turns;
    loans->count_max = count_max > 0 && count_max < QN_LOANS_TO_HELPERS_MAX ? count_max : QN_LOANS_TO_HELPERS_MAX;
    loans->next_turn = loans->due_turn = 0;
}

/* All loans together are no more, however many helpers there are. */
static uint32_t held_max(const qn_loans *loans)
{
    uint32_t each = loans->helper_count > 0 ? loans->count_max / loans->helper_count : 0;
    return each > QN_LOANS_PER_HELPER_MAX ? QN_LOANS_PER_HELPER_MAX : each > 0 ? each : 1;
}

/* The helper with the fewest pieces; helper_count if all have as many as they may. */
static uint32_t find_helper(const qn_loans *loans)
{
    uint32_t best = loans->helper_count, fewest = held_max(loans);
    for (uint32_t i = 0; i < loans->helper_count; i++) {
        if (loans->held[i] < fewest) {
            fewest = loans->held[i];
            best = i;
        }
    }
    return best;
}

/* A free place for a loan to that helper. */
static qn_loan *find_place(qn_loans *loans, uint32_t helper)
{
    for (uint32_t i = 0; i < QN_LOANS_MAX; i++) {
        qn_loan *loan = &loans->items[i];
        if (loan->state != QN_LOAN_FREE)
            continue;
        loan->helper = helper;
        loan->piece.bytes = loan->given.bytes = 0;
        return loan;
    }
    return NULL;
}

qn_loan *qn_loans_find_free(qn_loans *loans)
{
    uint32_t helper = find_helper(loans);
    bool is_full = loans->out_count - loans->own_count >= loans->count_max;
    return helper == loans->helper_count || is_full ? NULL : find_place(loans, helper);
}

qn_loan *qn_loans_find_own(qn_loans *loans)
{
    return loans->own_count < QN_LOANS_TO_ITSELF_MAX ? find_place(loans, QN_LOANS_NO_HELPER) : NULL;
}

void qn_loans_mark_out(qn_loans *loans, qn_loan *loan)
{
    loan->state = QN_LOAN_OUT;
    loan->turn = loans->next_turn++;
    loans->out_count++;
    if (loan->helper == QN_LOANS_NO_HELPER)
        loans->own_count++;
    else
        loans->held[loan->helper]++;
}

bool qn_loans_take_back(qn_loans *loans, const qn_loan_return *back)
{
    qn_loan *loan = back->number < QN_LOANS_MAX ? &loans->items[back->number] : NULL;
    if (!loan || loan->state != QN_LOAN_OUT || loan->order.attempt != back->attempt)
        return true;
    if (loan->helper != QN_LOANS_NO_HELPER)
        loans->held[loan->helper]--;
    loan->state = back->is_undone ? QN_LOAN_UNDONE : QN_LOAN_THROUGH;
    loan->order.attempt += back->has_failed;
    if (back->is_undone)
        loan->order.resume = back->resume;
    qn_buffer_append(&loan->given, back->given, back->given_bytes);
    if (!back->is_undone && !loans->has_turns)
        qn_loans_settle(loans, loan);
    return !loan->given.failed;
}

qn_loan *qn_loans_find_due(qn_loans *loans)
{
    for (uint32_t i = 0; i < QN_LOANS_MAX; i++) {
        qn_loan *loan = &loans->items[i];
        bool is_back = loan->state == QN_LOAN_THROUGH || loan->state == QN_LOAN_UNDONE;
        if (is_back && (!loans->has_turns || loan->turn == loans->due_turn))
            return loan;
    }
    return NULL;
}

void qn_loans_settle(qn_loans *loans, qn_loan *loan)
{
    loan->state = QN_LOAN_FREE;
    loans->out_count--;
    loans->own_count -= loan->helper == QN_LOANS_NO_HELPER;
    loans->due_turn++;
}
