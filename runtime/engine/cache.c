/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/cache.h"

#include <stdlib.h>

static void destroy(qn_cached *cached)
{
    qn_result_destroy(cached->result);
    free(cached);
}

void qn_cache_fini(qn_cache *cache)
{
    while (cache->first) {
        qn_cached *next = cache->first->next;
        destroy(cache->first);
        cache->first = next;
    }
}

quern_status qn_cache_add(qn_cache *cache, qn_node *node, qn_result *result, qn_error *error)
{
    qn_cached *cached = calloc(1, sizeof *cached);
    if (!cached)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to keep a result");
    *cached = (qn_cached){.node = node, .result = result, .next = cache->first};
    if (qn_result_retire(result, error) != QUERN_OK) {
        free(cached);
        return error->status;
    }
    cache->first = cached;
    node->is_made = true;
    return QUERN_OK;
}

qn_result *qn_cache_find(const qn_cache *cache, const qn_node *node)
{
    for (const qn_cached *cached = cache->first; cached; cached = cached->next)
        if (cached->node == node)
            return cached->result;
    return NULL;
}

void qn_cache_forget(qn_cache *cache, const qn_node *node)
{
    qn_cached **at = &cache->first;
    while (*at && (*at)->node != node)
        at = &(*at)->next;
    if (!*at)
        return;
    qn_cached *gone = *at;
    *at = gone->next;
    gone->node->is_made = false;
    destroy(gone);
}

void qn_cache_forget_all(qn_cache *cache)
{
    while (cache->first)
        qn_cache_forget(cache, cache->first->node);
}

quern_status qn_cache_learn_sizes(qn_cache *cache, qn_comm *comm, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (qn_cached *cached = cache->first; cached && status == QUERN_OK; cached = cached->next) {
        if (cached->is_sized)
            continue;
        cached->is_sized = true;
        cached->all_bytes = qn_result_get_memory_bytes(cached->result) + qn_result_get_scratch_bytes(cached->result);
        status = qn_comm_reduce_sum(comm, &cached->all_bytes, 1, error);
    }
    return status;
}

void qn_cache_tell_sizes(const qn_cache *cache, qn_account *account)
{
    for (const qn_cached *cached = cache->first; cached; cached = cached->next)
        for (uint32_t i = 0; i < account->stages.count; i++)
            if (account->stages.items[i].result == cached->node)
                account->facts[i].kept = (qn_foreseen){QN_FORESEEN_ABOUT, cached->all_bytes};
}

uint64_t qn_cache_get_memory_bytes(const qn_cache *cache)
{
    uint64_t bytes = 0;
    for (const qn_cached *cached = cache->first; cached; cached = cached->next)
        bytes += qn_result_get_memory_bytes(cached->result);
    return bytes;
}

/* What each may take of bytes_max: those that take less than an equal share leave the rest to the others. */
static uint64_t choose_share(const qn_cache *cache, uint64_t bytes_max)
{
    uint64_t count = 0, large_count = 0, small_bytes = 0;
    for (const qn_cached *cached = cache->first; cached; cached = cached->next)
        count++;
    for (const qn_cached *cached = cache->first; cached; cached = cached->next) {
        uint64_t bytes = qn_result_get_memory_bytes(cached->result);
        bool is_large = bytes > bytes_max / count;
        large_count += is_large;
        small_bytes += is_large ? 0 : bytes;
    }
    return (bytes_max - small_bytes) / (large_count > 0 ? large_count : 1);
}

quern_status qn_cache_shrink(qn_cache *cache, uint64_t bytes_max, qn_error *error)
{
    quern_status status = QUERN_OK;
    if (qn_cache_get_memory_bytes(cache) <= bytes_max)
        return QUERN_OK;
    uint64_t share_bytes = choose_share(cache, bytes_max);
    for (qn_cached *cached = cache->first; cached && status == QUERN_OK; cached = cached->next)
        status = qn_result_shrink(cached->result, share_bytes, error);
    return status;
}
