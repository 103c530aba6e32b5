/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/exec/operator_check.h: whether an operator's callback keeps what callbacks promise: the option check.
 *
 * The operator works on a block as always, and what it gives goes on as always; only a digest of it is kept, for each record of the
 * source. Then the callback gets the same block again, and what it gives goes nowhere but into a second digest, which must equal the
 * first. A callback for single records gets the records in shuffled order the second time, so that one that remembers what came before is
 * found too; one for blocks gets the block once as it was, and once cut in two. A digest of each record that the callback was given shows
 * whether it wrote to it.
 *
 * Where a block is cut and how it is shuffled is a function of its bytes: what was found once is found again, on any number of ranks.
 * Digests have 64 bits, so nothing that is emitted has to be kept, however much it is.
 *
 * A callback that gets the place of each record gets the same one the second time.
 *
 * What a repeated call adds to counters and to the operator's figures is taken back. If it fails, the block failed, as if it had been the
 * first call.
 */
#ifndef QN_EXEC_OPERATOR_CHECK_H
#define QN_EXEC_OPERATOR_CHECK_H

#include "runtime/data/batch.h"
#include "runtime/plan/graph.h"

struct qn_operator;
struct quern_counter;

/* What an operator gave for one block. */
typedef struct qn_trace {
    bool by_origin; /* else all is one, at 0: nobody knows what a block-wise callback made of which record */
    bool trial;     /* what is given goes nowhere */
    uint32_t count[QN_BATCH_COUNT_MAX];
    uint64_t digest[QN_BATCH_COUNT_MAX];
} qn_trace;

/* Notes records that an operator gave. Whether they are to go on. */
bool qn_trace_take(qn_trace *trace, const qn_batch *given);

typedef struct qn_operator_check qn_operator_check;

/* Whether the node has a callback that is looked at. */
bool qn_operator_check_applies(const qn_node *node);
qn_operator_check *qn_operator_check_create(void);        /* NULL: no memory */
void qn_operator_check_destroy(qn_operator_check *check); /* takes NULL */

/* Runs the operator over a block, as qn_operator_call() does, and then again. QUERN_ERROR_CHECK names it, and the chain's failed_origin
 * is the record. */
quern_status qn_operator_check_run(struct qn_operator *op, const qn_batch *batch);

/* Around calls of callbacks that must not count. They do not nest. */
void qn_counters_set_aside(struct quern_counter *counters);
void qn_counters_put_back(struct quern_counter *counters);

/* The numbers below count, QN_BATCH_COUNT_MAX at most, in an order that seed alone decides. */
void qn_check_permute(uint16_t *order, size_t count, uint64_t seed);

/* A digest of the record's key and value, seeded. */
uint64_t qn_check_digest(quern_record record, uint64_t seed);

#endif
