/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/plan/foresee.h: what can be said of the bytes in a plan before it runs, and no more than that.
 *
 * Whoever knows them tells the sizes of sources, and of results that are kept. From there sizes are carried along as long as operators and
 * results give nothing that they did not get: a filter, a sort, a union. Behind a callback that makes records nothing is said, nor of a
 * stage that reads such a result.
 */
#ifndef QN_PLAN_FORESEE_H
#define QN_PLAN_FORESEE_H

#include "runtime/plan/explain.h"

/* Fills the account's gives, and reads of what is read of its own stages, by what is in the account: reads of files, and the sizes of kept
 * results. */
void qn_foresee(qn_account *account);

#endif
