/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/loans.h"

#include "runtime/base/assert.h"

void qn_loans_fini(qn_loans *loans)
{
    for (uint32_t i = 0; i < QN_LOANS_MAX; i++)
        qn_buffer_fini(&loans->items[i].piece);
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

/* All loans together are no more, however many helpers there are. */
static uint32_t held_max(const qn_loans *loans)
{
    uint32_t each = loans->helper_count > 0 ? QN_LOANS_MAX / loans->helper_count : 0;
    return each > QN_LOANS_PER_HELPER_MAX ? QN_LOANS_PER_HELPER_MAX : each;
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

qn_loan *qn_loans_find_free(qn_loans *loans)
{
    uint32_t helper = find_helper(loans);
    if (helper == loans->helper_count)
        return NULL;
    for (uint32_t i = 0; i < QN_LOANS_MAX; i++) {
        qn_loan *loan = &loans->items[i];
        if (loan->state != QN_LOAN_FREE)
            continue;
        loan->helper = helper;
        loan->piece.bytes = 0;
        return loan;
    }
    return NULL;
}

void qn_loans_mark_out(qn_loans *loans, qn_loan *loan)
{
    loan->state = QN_LOAN_OUT;
    loans->held[loan->helper]++;
    loans->out_count++;
}

bool qn_loans_take_back(qn_loans *loans, const qn_task_outcome *outcome, const qn_error *failure)
{
    qn_loan *loan = outcome->task < QN_LOANS_MAX ? &loans->items[outcome->task] : NULL;
    if (!loan || loan->state != QN_LOAN_OUT || loan->order.attempt != outcome->attempt)
        return false;
    loans->held[loan->helper]--;
    loan->state = QN_LOAN_FAILED;
    if (failure->status == QUERN_OK) {
        qn_loans_settle(loans, loan);
        return true;
    }
    loans->last_failure = *failure;
    loan->order.attempt++;
    loan->order.resume = outcome->resume;
    return true;
}

qn_loan *qn_loans_find_failed(qn_loans *loans)
{
    for (uint32_t i = 0; i < QN_LOANS_MAX; i++)
        if (loans->items[i].state == QN_LOAN_FAILED)
            return &loans->items[i];
    return NULL;
}

void qn_loans_settle(qn_loans *loans, qn_loan *loan)
{
    loan->state = QN_LOAN_FREE;
    loans->out_count--;
}
