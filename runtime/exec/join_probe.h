/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/exec/join_probe.h: a join as an operator of a chain: each record of the large side looks up its partners.
 *
 * An operator like a flat map: a record in, any number out, so that failed blocks are taken up again as for all of them. What a
 * record will touch of the table is asked for while the records before it are joined.
 */
#ifndef QN_EXEC_JOIN_PROBE_H
#define QN_EXEC_JOIN_PROBE_H

#include "runtime/exec/chain_internal.h"

quern_status qn_join_probe_run(struct qn_operator *op, const qn_batch *batch);

#endif
