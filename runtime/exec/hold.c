/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/exec/hold.h"

#include <stdlib.h>

#include "runtime/exec/chain_internal.h"
#include "runtime/exec/record_log.h"

typedef enum hold_mode {
    PASSING, /* records go on */
    HOLDING,
    TRYING, /* they go nowhere: there were too many to be held */
} hold_mode;

struct qn_hold {
    hold_mode mode;
    qn_record_log log;
};

qn_hold *qn_hold_create(uint64_t bytes_max)
{
    qn_hold *hold = calloc(1, sizeof *hold);
    if (hold)
        hold->log.bytes_max = bytes_max;
    return hold;
}

void qn_hold_destroy(qn_hold *hold)
{
    if (!hold)
        return;
    qn_record_log_fini(&hold->log);
    free(hold);
}

bool qn_hold_take(qn_hold *hold, const qn_batch *batch)
{
    if (hold->mode != HOLDING)
        return hold->mode == TRYING;
    if (!qn_record_log_add(&hold->log, batch))
        hold->mode = TRYING;
    return true;
}

bool qn_hold_counts(const qn_hold *hold)
{
    return hold->mode != TRYING;
}

/* All that is held, to the end. */
static quern_status release(qn_chain *chain, qn_hold *hold)
{
    qn_batch batch;
    quern_status status = QUERN_OK;
    for (size_t at = 0, count; status == QUERN_OK && (count = qn_record_log_give(&hold->log, at, &batch)) > 0;
         at += count)
        status = qn_chain_deliver(chain, &batch);
    return status;
}

quern_status qn_hold_run(qn_chain *chain, const qn_batch *batch, uint64_t skip, qn_error *error)
{
    qn_hold *hold = chain->hold;
    hold->mode = HOLDING;
    qn_record_log_cut(&hold->log, 0);
    quern_status status = qn_chain_run(chain, batch, skip, error);
    bool was_trial = hold->mode == TRYING;
    hold->mode = PASSING;
    if (status != QUERN_OK)
        return status;
    return was_trial ? qn_chain_run(chain, batch, skip, error) : release(chain, hold);
}

quern_status qn_chain_hold(qn_chain *chain, uint64_t bytes_max, qn_error *error)
{
    if (chain->operator_count == 0)
        return QUERN_OK;
    chain->hold = qn_hold_create(bytes_max);
    return chain->hold ? QUERN_OK
                       : qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the operators of a stage");
}
