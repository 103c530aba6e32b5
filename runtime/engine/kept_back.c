/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/kept_back.h"

static quern_status keep(void *user, const qn_batch *batch, qn_error *error)
{
    qn_kept_back *kept = user;
    if (qn_record_log_add(&kept->log, batch))
        return QUERN_OK;
    kept->is_full = true;
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no room to keep back more records");
}

void qn_kept_back_begin(qn_kept_back *kept, qn_stage_run *run, uint32_t leg, uint64_t bytes_max)
{
    qn_chain *chain = &run->chains[leg];
    kept->chain = chain;
    kept->end = chain->end;
    kept->end_user = chain->end_user;
    kept->log.bytes_max = bytes_max;
    kept->is_full = false;
    qn_record_log_cut(&kept->log, 0);
    chain->end = keep;
    chain->end_user = kept;
}

void qn_kept_back_end(qn_kept_back *kept)
{
    kept->chain->end = kept->end;
    kept->chain->end_user = kept->end_user;
}

void qn_kept_back_fini(qn_kept_back *kept)
{
    qn_record_log_fini(&kept->log);
}

quern_status qn_kept_back_deliver(qn_stage_run *run, uint32_t leg, qn_record_log *log, size_t from, qn_error *failure)
{
    qn_batch batch;
    const qn_chain *chain = &run->chains[leg];
    quern_status status = QUERN_OK;
    qn_agent_leave(&run->agent);
    for (size_t count; status == QUERN_OK && (count = qn_record_log_give(log, from, &batch)) > 0; from += count)
        status = chain->end(chain->end_user, &batch, failure);
    qn_agent_enter(&run->agent);
    return status;
}

size_t qn_leg_tally_count(const qn_stage_run *run, uint32_t leg)
{
    return qn_chain_tally_count(&run->chains[leg]) + 1;
}

void qn_leg_tally(const qn_stage_run *run, uint32_t leg, uint64_t *tally_out)
{
    *tally_out = run->source_records[leg];
    qn_chain_tally(&run->chains[leg], tally_out + 1);
}

void qn_leg_take_back(qn_stage_run *run, uint32_t leg, const uint64_t *from, const uint64_t *to)
{
    run->source_records[leg] -= *to - *from;
    qn_chain_take_back(&run->chains[leg], from + 1, to + 1);
}
