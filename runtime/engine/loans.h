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
 *
 * Where records may arrive anywhere they arrive on the helper. Where they are a part of an output, or of what is kept, they come back with the
 * loan, and wait there until those of all pieces before it were delivered; so do those of pieces that the lender works on out of turn. Such a
 * loan also comes back with the place where to go on if it gave more than may wait.
 */
#ifndef QN_ENGINE_LOANS_H
#define QN_ENGINE_LOANS_H

#include "runtime/engine/helpers.h"
#include "runtime/engine/message.h"

#define QN_LOANS_PER_HELPER     2
#define QN_LOANS_PER_HELPER_MAX 6
#define QN_LOANS_TO_HELPERS_MAX (QN_LOANS_PER_HELPER * QN_HELPERS_MAX)
#define QN_LOANS_TO_ITSELF_MAX  2 /* of a lender whose pieces have turns */
#define QN_LOANS_MAX            (QN_LOANS_TO_HELPERS_MAX + QN_LOANS_TO_ITSELF_MAX)
#define QN_LOANS_NO_HELPER      UINT32_MAX

typedef enum qn_loan_state {
    QN_LOAN_FREE,
    QN_LOAN_OUT,
    QN_LOAN_THROUGH, /* came back; what it gave waits for its turn */
    QN_LOAN_UNDONE,  /* came back with something left to do */
} qn_loan_state;

typedef struct qn_loan {
    qn_loan_state state;
    uint32_t helper;     /* by its index in helpers; QN_LOANS_NO_HELPER: the lender */
    uint64_t turn;       /* in the order of the input */
    qn_task_order order; /* with the number of failed attempts + 1; its resume, once it is back, is where to go on */
    qn_buffer piece;     /* as a task's split */
    qn_buffer given;     /* what it gave, where that has to wait (lend_run.c) */
} qn_loan;

/* A loan that comes back. given: as in qn_loan. */
typedef struct qn_loan_return {
    uint32_t number, attempt;
    uint32_t is_undone;  /* there is something left to do, from resume on, */
    uint32_t has_failed; /* since the attempt failed */
    qn_resume resume;
    const void *given;
    size_t given_bytes;
} qn_loan_return;

typedef struct qn_loans {
    uint32_t helpers[QN_HELPERS_MAX]; /* ranks */
    uint32_t held[QN_HELPERS_MAX];    /* pieces that each has */
    uint32_t helper_count;
    uint32_t out_count; /* of loans, those included that came back and are not settled */
    uint32_t own_count; /* of these, the lender's own */
    bool has_turns;
    uint32_t count_max; /* of loans to helpers; 0: as many as there can be */
    uint64_t next_turn, due_turn;
    qn_loan items[QN_LOANS_MAX];
} qn_loans;

void qn_loans_fini(qn_loans *loans); /* takes a zeroed one */

/* A rank that helps from now on. */
void qn_loans_add_helper(qn_loans *loans, uint32_t rank);
/* All loans are back and the task is over: nobody helps any more. */
void qn_loans_dismiss(qn_loans *loans);

/* A task is to be lent. has_turns: in which pieces have turns. count_max: as in qn_loans. */
void qn_loans_begin(qn_loans *loans, bool has_turns, uint32_t count_max);

/* A free loan for a helper that can hold one more, or, the second, for the lender itself; NULL if there is none: fill in order and piece, and
 * mark it out. */
qn_loan *qn_loans_find_free(qn_loans *loans);
qn_loan *qn_loans_find_own(qn_loans *loans);
void qn_loans_mark_out(qn_loans *loans, qn_loan *loan);
/* The number that names it in messages. */
static inline uint32_t qn_loans_number(const qn_loans *loans, const qn_loan *loan)
{
    return (uint32_t)(loan - loans->items);
}

/* One that is not out is passed over. False: there is no memory for what it gave. */
bool qn_loans_take_back(qn_loans *loans, const qn_loan_return *back);

/* A loan that is back and whose turn it is, if there are turns, to be delivered or worked on here; NULL if none. Then it is settled. */
qn_loan *qn_loans_find_due(qn_loans *loans);
void qn_loans_settle(qn_loans *loans, qn_loan *loan);

#endif
