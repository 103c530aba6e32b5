/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/loans.h: the pieces of a packed file that other ranks work on for the one that unpacks it.
 *
 *     master ──HELPER──► lender ──LENT──► helper       (helpers.h decides who helps whom)
 *                        lender ◄─RETURNED─ helper
 *
 * A loan keeps its bytes until it comes back. One that failed comes back with the place where to go on, and is worked on again, here, until it
 * passes or there were too many attempts; the task is done when all loans are back. So each record arrives once, as with
 * tasks that are tried again. Each helper holds a few pieces, so the lender works itself when all are busy: two, and more where there are
 * few helpers, so that they have enough for as long as the lender works on a piece and unpacks the next.
 */
#ifndef QN_ENGINE_LOANS_H
#define QN_ENGINE_LOANS_H

#include "runtime/engine/helpers.h"
#include "runtime/engine/message.h"

#define QN_LOANS_PER_HELPER     2
#define QN_LOANS_PER_HELPER_MAX 6
#define QN_LOANS_MAX            (QN_LOANS_PER_HELPER * QN_HELPERS_MAX)

typedef enum qn_loan_state {
    QN_LOAN_FREE,
    QN_LOAN_OUT,
    QN_LOAN_FAILED, /* came back */
} qn_loan_state;

typedef struct qn_loan {
    qn_loan_state state;
    uint32_t helper;     /* by its index in helpers */
    qn_task_order order; /* with the number of failed attempts + 1 */
    qn_buffer piece;     /* as a task's split */
} qn_loan;

typedef struct qn_loans {
    uint32_t helpers[QN_HELPERS_MAX]; /* ranks */
    uint32_t held[QN_HELPERS_MAX];    /* pieces that each has */
    uint32_t helper_count;
    uint32_t out_count;    /* of loans, those that came back failed included */
    qn_error last_failure; /* of a loan */
    qn_loan items[QN_LOANS_MAX];
} qn_loans;

void qn_loans_fini(qn_loans *loans); /* takes a zeroed one */

/* A rank that helps from now on. */
void qn_loans_add_helper(qn_loans *loans, uint32_t rank);
/* All loans are back and the task is over: nobody helps any more. */
void qn_loans_dismiss(qn_loans *loans);

/* A free loan for a helper that can hold one more, NULL if there is none: fill in order and piece, then send it and mark it out. */
qn_loan *qn_loans_find_free(qn_loans *loans);
void qn_loans_mark_out(qn_loans *loans, qn_loan *loan);
/* The number that names it in messages. */
static inline uint32_t qn_loans_number(const qn_loans *loans, const qn_loan *loan)
{
    return (uint32_t)(loan - loans->items);
}

/* A helper is through with a loan (failure->status QUERN_OK), or not: then *outcome says from where on. False: there is no such loan. */
bool qn_loans_take_back(qn_loans *loans, const qn_task_outcome *outcome, const qn_error *failure);

/* A loan that came back and is to be worked on here; NULL if none. */
qn_loan *qn_loans_find_failed(qn_loans *loans);
void qn_loans_settle(qn_loans *loans, qn_loan *loan);

#endif
