/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/engine_broadcast.h"

#include <string.h>

#include "runtime/engine/recovery.h"

#define HELD_PART 2 /* of the memory, at most, is what was broadcast */

static quern_status check_budget(const qn_engine *engine, uint64_t bytes, uint64_t charge_bytes, qn_error *error)
{
    const qn_settings *settings = &engine->settings;
    uint64_t held_bytes = settings->held_bytes + charge_bytes, most_bytes = settings->rank_memory_bytes / HELD_PART;
    if (held_bytes >= charge_bytes && held_bytes <= most_bytes)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_BUDGET, 0,
                        "broadcast: with these %llu bytes, what is broadcast would take %llu MiB of a rank's memory, "
                        "of which %llu MiB may be: raise memory, or free what is not needed any more",
                        (unsigned long long)bytes, (unsigned long long)(held_bytes >> 20),
                        (unsigned long long)(most_bytes >> 20));
}

static quern_status fill(qn_shared *shared, const void *data, qn_error *error)
{
    if (shared->mine_bytes > 0)
        memcpy(shared->mine, data, shared->mine_bytes);
    quern_status status = qn_shared_spread(shared, error);
    if (status == QUERN_OK)
        qn_shared_seal(shared);
    return status;
}

static quern_status try_broadcast(qn_engine *engine, const void *data, size_t bytes, qn_shared *shared, qn_error *error)
{
    qn_comm *comm = engine->comm;
    qn_shared_wish wish = {.bytes = comm->rank == 0 ? bytes : 0, .may_share = engine->settings.shares_memory};
    uint64_t all_bytes = wish.bytes;
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_reduce_sum(comm, &all_bytes, 1, error);
    if (status != QUERN_OK)
        return status;
    check_budget(engine, all_bytes, all_bytes / comm->node_size, error);
    status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_shared_create(shared, comm, &wish, error);
    if (status != QUERN_OK)
        return status;
    check_budget(engine, all_bytes, qn_shared_charge_bytes(shared),
                 error); /* it may have become a copy for each rank */
    status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = fill(shared, data, error);
    if (status == QUERN_OK)
        engine->settings.held_bytes += qn_shared_charge_bytes(shared);
    else
        qn_shared_destroy(shared);
    return status;
}

/* Nobody but rank 0 has the data, and who was lost may have been that one. */
quern_status qn_engine_broadcast(qn_engine *engine, const void *data, size_t bytes, qn_shared *shared, qn_error *error)
{
    quern_status status = try_broadcast(engine, data, bytes, shared, error);
    if (status == QUERN_OK && engine->comm->rank == 0)
        qn_givens_note(&engine->givens, "data that was broadcast", NULL, data, bytes, error);
    qn_outcome outcome = qn_recovery_conclude(engine, "it was broadcasting", status, error);
    if (outcome != QN_OUTCOME_DONE && status == QUERN_OK)
        qn_engine_unbroadcast(engine, shared);
    return outcome == QN_OUTCOME_DONE ? QUERN_OK : error->status;
}

void qn_engine_unbroadcast(qn_engine *engine, qn_shared *shared)
{
    engine->settings.held_bytes -= qn_shared_charge_bytes(shared);
    qn_shared_destroy(shared);
}
