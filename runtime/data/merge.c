/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/merge.h"

#include "runtime/base/assert.h"
#include "runtime/base/callback_failure.h"
#include "runtime/base/pages.h"
#include "runtime/data/key_text.h"

quern_status qn_reducer_failed(const qn_reducer *reducer, const qn_key *key, qn_error *error)
{
    char text[QN_KEY_TEXT_BYTES_MAX + 1];
    unsigned long long bytes = qn_key_bytes(key);
    qn_key_describe(reducer->key_type, qn_key_data(key), bytes, text);
    if (reducer->fn) {
        const char *why = qn_callback_reason_take();
        return qn_error_set(error, QUERN_ERROR_CALLBACK, 0, "the reduction of key \"%s\" (%llu bytes) failed%s%s", text,
                            bytes, why ? ": " : "", why ? why : "");
    }
    if (reducer->kind == QN_REDUCER_BINNED)
        return qn_error_set(error, QUERN_ERROR_OVERFLOW, 0,
                            "the key \"%s\" (%llu bytes) has more than %llu values to be added", text, bytes,
                            (unsigned long long)QN_BINNED_SUM_COUNT_MAX);
    return qn_error_set(error, QUERN_ERROR_OVERFLOW, 0, "the sum of key \"%s\" (%llu bytes) exceeds 64 bits", text,
                        bytes);
}

/* The next row of the tables of piles; NULL at the end. */
static quern_status peek_piles(qn_merge_source *source, const qn_key **key_out, qn_error *error)
{
    for (;;) {
        qn_table *table = NULL;
        *key_out = source->cursor.tiny.slots ? qn_table_cursor_peek(&source->cursor, &source->value) : NULL;
        if (*key_out)
            return QUERN_OK;
        quern_status status = qn_piles_reader_next(source->piles, &table, error);
        if (status != QUERN_OK || !table)
            return status;
        source->cursor = qn_table_cursor_of(table, 0, UINT64_MAX);
    }
}

/* Loads the next row of a source; *more_out false when it is exhausted. */
static quern_status advance(qn_merge *merge, uint32_t index, bool *more_out, qn_error *error)
{
    qn_merge_source *source = &merge->sources[index];
    if (source->reader.spill) {
        quern_status status = qn_run_reader_next(&source->reader, more_out, error);
        source->key = source->reader.key;
        source->value = source->reader.value;
        return status;
    }
    const qn_key *key = NULL;
    quern_status status = QUERN_OK;
    if (source->piles)
        status = peek_piles(source, &key, error);
    else
        key = qn_table_cursor_peek(&source->cursor, &source->value);
    *more_out = key != NULL;
    if (key) {
        source->key = *key;
        qn_table_cursor_step(&source->cursor);
    }
    return status;
}

static int compare_sources(const qn_merge *merge, uint32_t a, uint32_t b)
{
    return qn_key_compare(&merge->sources[a].key, &merge->sources[b].key);
}

/* Restores the heap below `at`, whose key may have become larger. */
static void sift_down(qn_merge *merge, uint32_t at)
{
    uint32_t moving = merge->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= merge->heap_count)
            break;
        if (child + 1 < merge->heap_count && compare_sources(merge, merge->heap[child + 1], merge->heap[child]) < 0)
            child++;
        if (compare_sources(merge, moving, merge->heap[child]) <= 0)
            break;
        merge->heap[at] = merge->heap[child];
        at = child;
    }
    merge->heap[at] = moving;
}

static quern_status add_source(qn_merge *merge, qn_error *error)
{
    bool more = false;
    uint32_t index = merge->source_count++;
    quern_status status = advance(merge, index, &more, error);
    if (status == QUERN_OK && more)
        merge->heap[merge->heap_count++] = index;
    return status;
}

/* Gives each reader its part of the memory of a merge: the fewer the runs, the farther they read ahead. */
static quern_status add_runs(qn_merge *merge, qn_spill *spill, const qn_run *runs, qn_error *error)
{
    if (merge->run_count == 0)
        return QUERN_OK;
    size_t part_count = merge->run_count < QN_MERGE_WRITES_MAX ? QN_MERGE_WRITES_MAX : merge->run_count;
    size_t each_bytes = part_count * spill->block_bytes / merge->run_count & ~(size_t)(QN_SPILL_ALIGN_BYTES - 1);
    merge->memory_bytes = each_bytes * merge->run_count;
    if (merge->memory_bytes > 0)
        merge->memory = qn_pages_reserve(merge->memory_bytes, true);
    if (merge->memory_bytes > 0 && !merge->memory)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to merge %u spilled runs", merge->run_count);
    quern_status status = QUERN_OK;
    for (uint32_t i = 0; i < merge->run_count && status == QUERN_OK; i++) {
        status =
            qn_run_reader_open_in(&merge->sources[i].reader, spill, &runs[i],
                                  merge->memory_bytes > 0 ? merge->memory + i * each_bytes : NULL, each_bytes, error);
        if (status == QUERN_OK)
            status = add_source(merge, error);
    }
    return status;
}

quern_status qn_merge_open(qn_merge *merge, const qn_reducer *reducer, qn_spill *spill, const qn_run *runs,
                           uint32_t run_count, qn_table *table, qn_piles_reader *piles, qn_error *error)
{
    QN_ASSERT(run_count <= QN_MERGE_FAN_IN_MAX && (!table || !piles));
    *merge = (qn_merge){.reducer = reducer, .run_count = run_count, .has_piles = piles != NULL};
    quern_status status = add_runs(merge, spill, runs, error);
    if ((table || piles) && status == QUERN_OK) {
        merge->sources[run_count].piles = piles;
        if (table)
            merge->sources[run_count].cursor = qn_table_cursor_of(table, 0, UINT64_MAX);
        status = add_source(merge, error);
    }
    if (status != QUERN_OK) {
        qn_merge_close(merge);
        return status;
    }
    for (uint32_t at = merge->heap_count / 2; at-- > 0;)
        sift_down(merge, at);
    return QUERN_OK;
}

/* Moves the smallest source on, and out of the heap at its end. */
static quern_status advance_smallest(qn_merge *merge, uint32_t at, qn_error *error)
{
    bool more = false;
    quern_status status = advance(merge, merge->heap[at], &more, error);
    if (status != QUERN_OK)
        return status;
    if (!more)
        merge->heap[at] = merge->heap[--merge->heap_count];
    if (at < merge->heap_count)
        sift_down(merge, at);
    return QUERN_OK;
}

/* The child of the root with the smallest key: where an equal key is, if there is one. 0: none. */
static uint32_t smallest_child(const qn_merge *merge)
{
    if (merge->heap_count < 2)
        return 0;
    if (merge->heap_count == 2)
        return 1;
    return compare_sources(merge, merge->heap[1], merge->heap[2]) <= 0 ? 1 : 2;
}

quern_status qn_merge_next(qn_merge *merge, const qn_key **key_out, const uint64_t **value_out, qn_error *error)
{
    quern_status status = QUERN_OK;
    if (merge->resting)
        status = advance_smallest(merge, 0, error);
    merge->resting = false;
    if (status != QUERN_OK)
        return status;
    if (merge->heap_count == 0) {
        *key_out = NULL;
        return QUERN_OK;
    }
    const qn_merge_source *first = &merge->sources[merge->heap[0]];
    const uint64_t *value = first->value;
    for (;;) {
        uint32_t child = smallest_child(merge);
        if (child == 0 || compare_sources(merge, merge->heap[0], merge->heap[child]) != 0)
            break;
        if (value != merge->accumulator)
            memcpy(merge->accumulator, value, 8 * (size_t)merge->reducer->value_words);
        value = merge->accumulator;
        if (!qn_reducer_apply(merge->reducer, merge->accumulator, merge->sources[merge->heap[child]].value))
            return qn_reducer_failed(merge->reducer, &first->key, error);
        merge->merged_count++;
        status = advance_smallest(merge, child, error);
        if (status != QUERN_OK)
            return status;
    }
    merge->resting = true;
    *key_out = &first->key;
    *value_out = value;
    return QUERN_OK;
}

void qn_merge_close(qn_merge *merge)
{
    for (uint32_t i = 0; i < QN_MERGE_SOURCES_MAX; i++)
        qn_run_reader_close(&merge->sources[i].reader);
    qn_pages_unreserve(merge->memory, merge->memory_bytes);
    merge->memory = NULL;
    merge->heap_count = 0;
    merge->source_count = 0;
}
