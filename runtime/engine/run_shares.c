/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/run_shares.h"

#include "runtime/engine/top_k.h"

#define STORE_BYTES_MIN ((uint64_t)256 << 10) /* where there is not enough for all */

/* An equal share for each sink of a kind. */
static void share_among_sinks(qn_run_shares *shares, const qn_stages *stages, qn_sink_kind kind, uint64_t bytes)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < stages->count; i++)
        count += stages->items[i].sink && stages->items[i].sink->kind == kind;
    shares->kept_bytes_max[kind] = bytes / (count > 0 ? count : 1);
}

/* Results of earlier runs make room for this one: what they take then is taken. */
static quern_status make_room(qn_engine *engine, const qn_stages *stages, uint64_t *kept_bytes, qn_error *error)
{
    uint64_t bytes_max = qn_settings_cached_bytes_max(&engine->settings, engine->comm, stages->live_max, *kept_bytes);
    quern_status status = qn_cache_shrink(&engine->cache, bytes_max, error);
    *kept_bytes += qn_cache_get_memory_bytes(&engine->cache);
    return status;
}

/* An equal share for each result; but where that is too little for reductions on some rank, only a little for stores, which spill all
 * the same. The ranks' rounds depend on it, so they decide together. */
static quern_status share_among_results(qn_run_shares *shares, const qn_engine *engine, const qn_stages *stages,
                                        uint64_t kept_bytes, qn_error *error)
{
    const qn_settings *settings = &engine->settings;
    qn_comm *comm = engine->comm;
    qn_error refused = *error;
    uint64_t is_scarce =
        qn_settings_share(settings, comm, stages->live_max, kept_bytes, &shares->share, &refused) != QUERN_OK;
    quern_status status = qn_comm_reduce_max(comm, &is_scarce, 1, error);
    shares->store_bytes = shares->share.pool_bytes;
    if (status != QUERN_OK || error->status != QUERN_OK || !is_scarce)
        return error->status;
    shares->store_bytes = STORE_BYTES_MIN;
    kept_bytes += stages->store_live_max * STORE_BYTES_MIN;
    uint32_t live_count = stages->moving_live_max > 0 ? stages->moving_live_max : 1;
    return qn_settings_share(settings, comm, live_count, kept_bytes, &shares->share, error);
}

quern_status qn_run_shares_deal(qn_run_shares *shares, qn_engine *engine, const qn_stages *stages, qn_error *error)
{
    const qn_settings *settings = &engine->settings;
    uint64_t kept_bytes = 0;
    bool reduces = engine->cache.first != NULL;
    for (uint32_t i = 0; i < stages->count; i++)
        reduces |= stages->items[i].result != NULL;
    share_among_sinks(shares, stages, QN_SINK_TOP_K, qn_settings_kept_bytes_max(settings));
    share_among_sinks(shares, stages, QN_SINK_COLLECT, qn_settings_collected_bytes_max(settings, reduces));
    for (uint32_t i = 0; i < stages->count; i++) {
        const qn_sink *sink = stages->items[i].sink;
        if (sink && sink->kind == QN_SINK_TOP_K)
            kept_bytes += qn_top_k_expect_bytes(sink, shares->kept_bytes_max[QN_SINK_TOP_K]);
        else if (sink && sink->kind == QN_SINK_COLLECT && reduces)
            kept_bytes += shares->kept_bytes_max[QN_SINK_COLLECT];
    }
    make_room(engine, stages, &kept_bytes, error);
    return share_among_results(shares, engine, stages, kept_bytes, error);
}
