/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/memory_leg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"

/* Each rank puts its number in at its own place; the sums are then those of all. */
static quern_status learn_first(qn_stage_run *run, uint32_t leg, qn_error *error)
{
    qn_comm *comm = run->engine->comm;
    uint64_t *counts = calloc(comm->size, sizeof *counts);
    if (!counts)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for %u ranks", comm->size);
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK) {
        counts[comm->rank] = qn_memory_arrays_count_elements(qn_leg_source(run->stage, leg)->of.arrays);
        status = qn_comm_reduce_sum(comm, counts, comm->size, error);
    }
    for (uint32_t rank = 0; status == QUERN_OK && rank < comm->rank; rank++)
        run->first_element[leg] += counts[rank];
    free(counts);
    return status;
}

static bool reads_memory(const qn_stage_run *run, uint32_t leg)
{
    return run->stage->legs[leg].parent == QN_STAGE_NONE && qn_leg_source(run->stage, leg)->kind == QN_NODE_MEMORY;
}

quern_status qn_memory_legs_learn(qn_stage_run *run, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint32_t leg = 0; leg < run->stage->leg_count && status == QUERN_OK; leg++)
        if (reads_memory(run, leg) && qn_chain_samples(&run->chains[leg]))
            status = learn_first(run, leg, error);
    return status;
}

void qn_memory_leg_identify(qn_stage_run *run, uint32_t leg, const qn_memory_source *source, qn_batch *batch)
{
    uint64_t number = run->first_element[leg] + qn_memory_source_number(source);
    for (size_t i = 0; i < batch->block.count; i++, number++)
        run->identities.of[i] = qn_checksum(&number, sizeof number, 0);
    batch->identity = run->identities.of;
}

void qn_memory_leg_locate(const qn_chain *chain, const qn_memory_source *source, uint32_t rank, qn_error *failure)
{
    bool exact = qn_chain_knows_record(chain, failure);
    size_t used = strlen(failure->text);
    snprintf(failure->text + used, sizeof failure->text - used, ", %s element %llu of array %zu of rank %u",
             exact ? "on" : "in the block of records from",
             (unsigned long long)source->block_next + (exact ? chain->failed_origin : 0), source->block_array, rank);
}
