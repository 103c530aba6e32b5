/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/result.h"

#include <stdlib.h>

/* A result of a kind, and memory for what it is made of; NULL: none. */
static qn_result *take(qn_result_kind kind, void **inner_out, size_t inner_bytes, qn_error *error)
{
    qn_result *result = calloc(1, sizeof *result);
    *inner_out = calloc(1, inner_bytes);
    if (result && *inner_out) {
        result->kind = kind;
        return result;
    }
    free(result);
    free(*inner_out);
    qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a shuffle");
    return NULL;
}

quern_status qn_result_create_reduced(qn_result **result_out, const qn_shuffle_config *config, qn_error *error)
{
    void *inner = NULL;
    qn_result *result = take(QN_RESULT_REDUCED, &inner, sizeof *result->reduced, error);
    if (!result)
        return error->status;
    quern_status status = qn_shuffle_init(inner, config, error);
    if (status != QUERN_OK) {
        free(inner);
        free(result);
        return status;
    }
    result->reduced = inner;
    *result_out = result;
    return QUERN_OK;
}

quern_status qn_result_create_collated(qn_result **result_out, const qn_collator_config *config, qn_error *error)
{
    void *inner = NULL;
    qn_result *result = take(QN_RESULT_COLLATED, &inner, sizeof *result->collated, error);
    if (!result)
        return error->status;
    quern_status status = qn_collator_init(inner, config, error);
    if (status != QUERN_OK) {
        free(inner);
        free(result);
        return status;
    }
    result->collated = inner;
    *result_out = result;
    return QUERN_OK;
}

quern_status qn_result_create_stored(qn_result **result_out, const qn_store_config *config, qn_error *error)
{
    qn_result *result = calloc(1, sizeof *result);
    qn_store *stored = calloc(1, sizeof *stored);
    quern_status status = QUERN_OK;
    if (!result || !stored)
        status = qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a store");
    else
        status = qn_store_init(stored, config, error);
    if (status != QUERN_OK) {
        free(result);
        free(stored);
        return status;
    }
    *result = (qn_result){.kind = QN_RESULT_STORED, .stored = stored};
    *result_out = result;
    return QUERN_OK;
}

void qn_result_destroy(qn_result *result)
{
    if (!result)
        return;
    switch (result->kind) {
    case QN_RESULT_REDUCED:
        qn_shuffle_fini(result->reduced);
        break;
    case QN_RESULT_COLLATED:
        qn_collator_fini(result->collated);
        break;
    case QN_RESULT_STORED:
        qn_store_fini(result->stored);
        break;
    }
    free(result->stored);
    free(result->reduced);
    free(result->collated);
    free(result);
}

quern_status qn_result_insert(qn_result *result, const qn_batch *batch, uint32_t side, size_t *next, qn_error *error)
{
    if (result->kind == QN_RESULT_REDUCED)
        return qn_shuffle_insert(result->reduced, batch, next, error);
    return qn_collator_insert(result->collated, batch, side, next, error);
}

void qn_result_foresee(qn_result *result, uint64_t done, uint64_t all)
{
    if (result->kind == QN_RESULT_REDUCED)
        qn_shuffle_foresee(result->reduced, done, all);
}

void qn_result_note_task(qn_result *result, uint64_t done_bytes, uint64_t task_bytes)
{
    if (result->kind == QN_RESULT_COLLATED)
        qn_collator_note_task(result->collated, done_bytes, task_bytes);
}

quern_status qn_result_end(qn_result *result, qn_error *error)
{
    if (result->kind == QN_RESULT_REDUCED)
        return qn_shuffle_end(result->reduced, error);
    return qn_collator_end(result->collated, error);
}

quern_status qn_result_rest(qn_result *result, bool has_rounds, qn_error *error)
{
    if (result->kind == QN_RESULT_REDUCED)
        return qn_shuffle_rest(result->reduced, error);
    qn_collator_rest(result->collated, has_rounds);
    return QUERN_OK;
}

void qn_result_reopen(qn_result *result)
{
    if (result->kind == QN_RESULT_REDUCED)
        qn_shuffle_reopen(result->reduced);
    else
        qn_collator_reopen(result->collated);
}

quern_status qn_result_save(qn_result *result, const char *path, qn_saved *saved_out, qn_error *error)
{
    return result->kind == QN_RESULT_REDUCED ? qn_saved_write(result->reduced, path, saved_out, error)
                                             : qn_collator_save(result->collated, path, saved_out, error);
}

void qn_result_discard(qn_result *result)
{
    if (result->kind == QN_RESULT_REDUCED)
        qn_shuffle_discard(result->reduced);
    else
        qn_collator_discard(result->collated);
}

quern_status qn_result_progress(qn_result *result, uint64_t *ask_out, qn_error *error)
{
    if (result->kind == QN_RESULT_REDUCED)
        return qn_shuffle_progress(result->reduced, ask_out, error);
    return qn_collator_progress(result->collated, ask_out, error);
}

void qn_result_announce(qn_result *result, uint64_t round)
{
    if (result->kind == QN_RESULT_REDUCED)
        qn_shuffle_announce(result->reduced, round);
    else
        qn_collator_announce(result->collated, round);
}

bool qn_result_is_over(const qn_result *result)
{
    if (result->kind == QN_RESULT_REDUCED)
        return qn_shuffle_is_over(result->reduced);
    return qn_collator_is_over(result->collated);
}

const qn_rounds *qn_result_get_rounds(const qn_result *result)
{
    return result->kind == QN_RESULT_REDUCED ? &result->reduced->rounds : &result->collated->rounds;
}

qn_store *qn_result_get_store(qn_result *result)
{
    return result ? result->stored : NULL;
}

uint64_t qn_result_get_part_count(const qn_result *result, uint32_t rank_count)
{
    return result->kind == QN_RESULT_STORED ? result->part_count : rank_count;
}

size_t qn_result_get_local_part_count(const qn_result *result)
{
    return result->kind == QN_RESULT_STORED ? result->stored->part_count : 1;
}

quern_status qn_result_retire(qn_result *result, qn_error *error)
{
    if (result->kind == QN_RESULT_COLLATED)
        return qn_collator_retire(result->collated, error);
    if (result->kind == QN_RESULT_REDUCED)
        qn_shuffle_retire(result->reduced);
    return QUERN_OK;
}

uint64_t qn_result_get_memory_bytes(const qn_result *result)
{
    if (result->kind == QN_RESULT_COLLATED)
        return qn_collator_get_memory_bytes(result->collated);
    return result->kind == QN_RESULT_STORED ? qn_store_get_memory_bytes(result->stored)
                                            : qn_shuffle_get_memory_bytes(result->reduced);
}

uint64_t qn_result_get_scratch_bytes(const qn_result *result)
{
    uint64_t bytes = 0;
    if (result->kind == QN_RESULT_STORED)
        for (size_t i = 0; i < result->stored->part_count; i++)
            for (uint32_t run = 0; run < result->stored->parts[i].run_count; run++)
                bytes += result->stored->parts[i].runs[run].bytes;
    for (uint32_t run = 0; result->kind == QN_RESULT_REDUCED && run < result->reduced->home.run_count; run++)
        bytes += result->reduced->home.runs[run].bytes;
    return bytes;
}

quern_status qn_result_shrink(qn_result *result, uint64_t bytes_max, qn_error *error)
{
    if (qn_result_get_memory_bytes(result) <= bytes_max)
        return QUERN_OK;
    if (result->kind == QN_RESULT_COLLATED)
        return qn_collator_shrink(result->collated, error);
    return result->kind == QN_RESULT_STORED ? qn_store_shrink(result->stored, bytes_max, error)
                                            : qn_shuffle_shrink(result->reduced, error);
}

static qn_result_stats stats_of_stored(const qn_store *stored)
{
    return (qn_result_stats){
        .records_in = stored->record_count,
        .spill_runs = stored->spill_runs,
        .spilled_bytes = stored->spill.written_bytes,
        .memory_bytes_peak = stored->memory_bytes_peak,
    };
}

static qn_result_stats stats_of_reduced(const qn_shuffle *reduced)
{
    uint64_t memory_bytes_peak = reduced->stats.memory_bytes_peak > reduced->home.bytes_peak
                                     ? reduced->stats.memory_bytes_peak
                                     : reduced->home.bytes_peak;
    return (qn_result_stats){
        .records_in = reduced->stats.records_in,
        .restored = reduced->stats.rows_restored,
        .records_owned = reduced->home.records_owned,
        .merged = reduced->stats.merged + reduced->home.merged,
        .result_merged = reduced->home.result_merged,
        .spill_runs = reduced->home.spill_runs,
        .spilled_bytes = reduced->home.spill.written_bytes,
        .memory_bytes_peak = memory_bytes_peak,
    };
}

static qn_result_stats stats_of_collated(const qn_collator *collated)
{
    qn_sorter_stats sorted = qn_sorter_get_stats(collated->sorter);
    return (qn_result_stats){
        .records_in = collated->records_in,
        .restored = collated->restored,
        .copies = collated->copies,
        .records_owned = sorted.record_count,
        .spill_runs = sorted.spill_runs,
        .spilled_bytes = sorted.spilled_bytes,
        .memory_bytes_peak = sorted.memory_bytes_peak,
    };
}

qn_result_stats qn_result_get_stats(const qn_result *result)
{
    if (result->kind == QN_RESULT_STORED)
        return stats_of_stored(result->stored);
    return result->kind == QN_RESULT_REDUCED ? stats_of_reduced(result->reduced) : stats_of_collated(result->collated);
}

uint64_t qn_result_get_record_count(const qn_result *result)
{
    qn_result_stats stats = qn_result_get_stats(result);
    if (result->kind != QN_RESULT_REDUCED)
        return result->kind == QN_RESULT_STORED ? stats.records_in : stats.records_owned;
    uint64_t merged = result->reduced->home.merged; /* those of each time that it was read, too */
    return stats.records_owned > merged ? stats.records_owned - merged : 0;
}

uint64_t qn_result_get_saved_bytes(const qn_result *result)
{
    if (result->kind == QN_RESULT_STORED)
        return 0;
    if (result->kind == QN_RESULT_COLLATED)
        return qn_collator_get_unsaved_bytes(result->collated);
    const qn_home *home = &result->reduced->home;
    return qn_home_get_bytes(home) + home->spill.written_bytes;
}
