/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/home.h"

#include "runtime/base/assert.h"
#include "runtime/base/timeline.h"

#define LEVEL_RUN_COUNT_MAX 12 /* runs of one level before they are merged into one of the next */
#define LEVEL_COUNT_MAX     (QN_MERGE_FAN_IN_MAX / (LEVEL_RUN_COUNT_MAX + 1))
#define LARGE_PART          96 /* of the pool, a pile: the table that it becomes is up to eight times as large */
#define KEY_BYTES_FACTOR    2  /* a table takes so many times what its keys and values do */

quern_status qn_home_init(qn_home *home, const qn_home_config *config, qn_error *error)
{
    home->config = *config;
    qn_spill_init(&home->spill, config->scratch, config->reducer->value_words, config->block_bytes);
    return qn_table_init(&home->table, config->reducer, config->tag_first, config->tag_last, config->pool_bytes, error);
}

void qn_home_fini(qn_home *home)
{
    qn_home_result_close(home);
    if (home->table.reducer)
        qn_table_fini(&home->table);
    if (home->piles.count > 0)
        qn_piles_fini(&home->piles);
    if (home->config.reducer)
        qn_spill_fini(&home->spill);
}

static bool has_records(const qn_home *home)
{
    return home->piles.record_count > 0;
}

static void note_bytes(qn_home *home)
{
    uint64_t bytes = qn_home_get_bytes(home);
    home->bytes_peak = bytes > home->bytes_peak ? bytes : home->bytes_peak;
}

static quern_status table_failed(const qn_home *home, qn_table_result result, qn_error *error)
{
    if (result == QN_TABLE_NO_MEMORY)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the table of a reduction");
    return qn_reducer_failed(home->config.reducer, &home->table.failed_key, error);
}

/* ---- runs ---- */

/* Writes what a merge gives as one run. */
static quern_status write_merged(qn_home *home, qn_run *run_out, qn_error *error)
{
    qn_run_writer writer = {0};
    quern_status status = qn_run_writer_open(&writer, &home->spill, error);
    while (status == QUERN_OK) {
        const qn_key *key;
        const uint64_t *value;
        status = qn_merge_next(&home->merge, &key, &value, error);
        if (status != QUERN_OK || !key)
            break;
        status = qn_run_writer_put(&writer, key, value, error);
    }
    if (status == QUERN_OK)
        return qn_run_writer_close(&writer, run_out, error);
    qn_run_writer_abandon(&writer);
    return status;
}

/* The merge struct is large, and spilling happens while no result is open: borrow that one. */
static quern_status merge_to_run(qn_home *home, const qn_run *runs, uint32_t run_count, qn_table *table,
                                 qn_piles_reader *piles, qn_run *run_out, qn_error *error)
{
    QN_ASSERT(!home->merge_open);
    quern_status status =
        qn_merge_open(&home->merge, home->config.reducer, &home->spill, runs, run_count, table, piles, error);
    if (status != QUERN_OK)
        return status;
    status = write_merged(home, run_out, error);
    home->merged += home->merge.merged_count;
    qn_merge_close(&home->merge);
    return status;
}

/* Merges the newest runs into one while there are too many of one level. Newer runs have lower levels, so those of a level are
 * neighbours at the end. */
static quern_status merge_levels(qn_home *home, qn_error *error)
{
    for (;;) {
        uint32_t level = home->runs[home->run_count - 1].level;
        uint32_t first = home->run_count;
        while (first > 0 && home->runs[first - 1].level == level)
            first--;
        if (home->run_count - first < LEVEL_RUN_COUNT_MAX || level == LEVEL_COUNT_MAX)
            return QUERN_OK;
        qn_run merged;
        quern_status status =
            merge_to_run(home, home->runs + first, home->run_count - first, NULL, NULL, &merged, error);
        if (status != QUERN_OK)
            return status;
        for (uint32_t i = first; i < home->run_count; i++)
            qn_spill_drop(&home->spill, &home->runs[i]);
        merged.level = level + 1;
        home->runs[first] = merged;
        home->run_count = first + 1;
    }
}

static void add_run(qn_home *home, const qn_run *run)
{
    home->runs[home->run_count] = *run;
    home->runs[home->run_count++].level = 0;
}

static quern_status too_many_runs(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_BUDGET, 0,
                        "the memory budget is too small for the number of distinct keys: too many spilled runs");
}

/* The table, and the piles if they are wanted as well, into a run. */
static quern_status write_run(qn_home *home, bool with_piles, qn_run *run_out, qn_error *error)
{
    qn_piles_reader reader = {0};
    if (!with_piles)
        return merge_to_run(home, NULL, 0, &home->table, NULL, run_out, error);
    quern_status status = qn_piles_reader_open(&reader, &home->piles, &home->table, home->config.pool_bytes, error);
    if (status == QUERN_OK)
        status = merge_to_run(home, NULL, 0, NULL, &reader, run_out, error);
    home->merged += reader.merged_count;
    qn_piles_reader_close(&reader);
    return status;
}

static quern_status spill(qn_home *home, bool with_piles, qn_error *error)
{
    qn_run run;
    note_bytes(home);
    if (home->run_count == QN_MERGE_FAN_IN_MAX)
        return too_many_runs(error);
    qn_timeline_state before = qn_timeline_enter(QN_TIMELINE_SPILL);
    quern_status status = write_run(home, with_piles, &run, error);
    qn_timeline_enter(before);
    if (status != QUERN_OK)
        return status;
    qn_table_clear(&home->table);
    if (with_piles)
        qn_piles_clear(&home->piles);
    home->spill_runs++;
    add_run(home, &run);
    return merge_levels(home, error);
}

/* ---- the table ---- */

static quern_status settle_large(qn_home *home, uint64_t bytes_max, qn_error *error);

/* The table has no room left: it becomes a run, with the piles unless they are what is on its way there. */
static quern_status make_space(qn_home *home, uint64_t bytes_max, qn_error *error)
{
    bool with_piles = has_records(home) && !home->is_settling;
    quern_status status = with_piles ? settle_large(home, bytes_max, error) : QUERN_OK;
    return status == QUERN_OK ? spill(home, with_piles, error) : status;
}

static uint64_t table_bytes_max(const qn_home *home, uint64_t bytes_max)
{
    uint64_t piles_bytes = home->piles.count > 0 ? qn_piles_get_bytes(&home->piles) : 0;
    return bytes_max > piles_bytes ? bytes_max - piles_bytes : 0;
}

quern_status qn_home_insert(qn_home *home, const qn_entry *entries, size_t count, uint64_t bytes_max, qn_error *error)
{
    qn_table *table = &home->table;
    home->records_owned += count;
    for (size_t next = 0; next < count;) {
        size_t done = 0;
        uint64_t keys_before = qn_table_get_count(table);
        qn_table_result result =
            qn_table_insert(table, entries + next, count - next, table_bytes_max(home, bytes_max), &done);
        if (result != QN_TABLE_OK && result != QN_TABLE_FULL)
            return table_failed(home, result, error);
        home->merged += done - (qn_table_get_count(table) - keys_before);
        next += done;
        quern_status status = next < count ? make_space(home, bytes_max, error) : QUERN_OK;
        if (status != QUERN_OK)
            return status;
    }
    return QUERN_OK;
}

/* Combines records into the table, without counting them as such that came. */
static quern_status combine(qn_home *home, const quern_block *block, const qn_classified *chunk, uint64_t bytes_max,
                            qn_error *error)
{
    size_t tiny = chunk->count[QN_CLASS_TINY], wide = chunk->count[QN_CLASS_SHORT] + chunk->count[QN_CLASS_LONG];
    qn_table_result result;
    while ((result = qn_table_make_room(&home->table, tiny, wide, chunk->long_bytes,
                                        table_bytes_max(home, bytes_max))) == QN_TABLE_FULL) {
        quern_status status = make_space(home, bytes_max, error);
        if (status != QUERN_OK)
            return status;
    }
    uint64_t keys_before = qn_table_get_count(&home->table);
    if (result == QN_TABLE_OK)
        result = qn_table_insert_block(&home->table, block, home->config.schema.key, chunk);
    if (QN_UNLIKELY(result != QN_TABLE_OK))
        return table_failed(home, result, error);
    home->merged += tiny + wide - (qn_table_get_count(&home->table) - keys_before);
    return QUERN_OK;
}

quern_status qn_home_insert_block(qn_home *home, const quern_block *block, const qn_classified *classified,
                                  uint64_t bytes_max, qn_error *error)
{
    for (int class = 0; class < QN_CLASS_COUNT; class ++)
        home->records_owned += classified->count[class];
    return combine(home, block, classified, bytes_max, error);
}

/* ---- piles ---- */

quern_status qn_home_open_piles(qn_home *home, qn_error *error)
{
    const qn_home_config *config = &home->config;
    if (home->piles.count > 0)
        return QUERN_OK;
    return qn_piles_init(&home->piles, config->reducer, &config->schema, config->tag_first, config->tag_last,
                         config->pool_bytes, error);
}

static quern_status settle_pile(qn_home *home, uint32_t pile, uint64_t bytes_max, qn_error *error)
{
    qn_piles_scan scan;
    qn_classified classified;
    uint64_t count = 0;
    quern_status status = QUERN_OK;
    qn_piles_scan_begin(&scan, &home->piles, pile);
    home->is_settling = true;
    while (status == QUERN_OK) {
        quern_block block = qn_piles_scan_take(&scan);
        if (block.count == 0)
            break;
        qn_table_classify(&block, home->config.schema.key, 0, block.count, &classified);
        status = combine(home, &block, &classified, bytes_max, error);
        count += block.count;
    }
    home->is_settling = false;
    qn_piles_drop(&home->piles, pile, count);
    return status;
}

static quern_status settle_large(qn_home *home, uint64_t bytes_max, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint32_t pile = 0; pile < home->piles.count && status == QUERN_OK; pile++)
        if (home->piles.piles[pile].bytes > home->config.pool_bytes / LARGE_PART)
            status = settle_pile(home, pile, bytes_max, error);
    return status;
}

/* In scattered order, as a drain does it: the table is filled evenly. */
static quern_status settle_all(qn_home *home, uint64_t bytes_max, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint32_t turn = 0, pile = 0; turn < home->piles.count && status == QUERN_OK; turn++) {
        status = settle_pile(home, pile, bytes_max, error);
        uint32_t bit = home->piles.count >> 1; /* the next number, its bits reversed */
        for (; pile & bit; bit >>= 1)
            pile ^= bit;
        pile |= bit;
    }
    return status;
}

/* Whether the keys of all piles that are not in the table have room there, by those of one pile. */
static quern_status would_settle(qn_home *home, uint64_t bytes_max, bool *settles_out, qn_error *error)
{
    qn_piles_reader reader;
    qn_table *table = NULL;
    quern_status status = qn_piles_reader_open(&reader, &home->piles, &home->table, home->config.pool_bytes, error);
    if (status != QUERN_OK)
        return status;
    reader.next = home->piles.count / 2;
    status = qn_piles_reader_next(&reader, &table, error);
    if (status == QUERN_OK) {
        uint64_t key_count = (qn_table_get_count(table) - reader.row_count) * home->piles.count;
        uint64_t need_bytes =
            KEY_BYTES_FACTOR * key_count * table->wide.stride + table->long_keys.held_bytes * home->piles.count;
        uint64_t held_bytes = qn_home_get_bytes(home);
        *settles_out = held_bytes + need_bytes <= bytes_max;
    }
    qn_piles_reader_close(&reader);
    return status;
}

/* Piles may take three quarters of what the table leaves, so that there is room to settle, or a quarter of all. */
static uint64_t piles_bytes_max(const qn_home *home, uint64_t bytes_max)
{
    uint64_t table_bytes = qn_table_get_bytes(&home->table), least = bytes_max / 4;
    uint64_t left = bytes_max > table_bytes ? (bytes_max - table_bytes) / 4 * 3 : 0;
    return left > least ? left : least;
}

quern_status qn_home_count_records(qn_home *home, uint64_t count, uint64_t bytes_max, qn_error *error)
{
    bool settles = false;
    home->records_owned += count;
    if (QN_LIKELY(qn_piles_get_bytes(&home->piles) <= piles_bytes_max(home, bytes_max)))
        return QUERN_OK;
    note_bytes(home);
    quern_status status = settle_large(home, bytes_max, error);
    if (status == QUERN_OK)
        status = would_settle(home, bytes_max, &settles, error);
    if (status != QUERN_OK)
        return status;
    return settles ? settle_all(home, bytes_max, error) : spill(home, true, error);
}

/* ---- the result ---- */

quern_status qn_home_finish(qn_home *home, qn_error *error)
{
    note_bytes(home);
    return settle_large(home, home->config.pool_bytes, error);
}

void qn_home_result_close(qn_home *home)
{
    if (home->merge_open)
        qn_merge_close(&home->merge);
    home->merge_open = false;
    qn_piles_reader_close(&home->reader);
}

static quern_status open_reader(qn_home *home, qn_error *error)
{
    qn_home_result_close(home);
    if (!has_records(home))
        return QUERN_OK;
    return qn_piles_reader_open(&home->reader, &home->piles, &home->table, home->config.pool_bytes, error);
}

quern_status qn_home_result_open(qn_home *home, qn_error *error)
{
    quern_status status = open_reader(home, error);
    if (status != QUERN_OK)
        return status;
    bool with_piles = has_records(home);
    status = qn_merge_open(&home->merge, home->config.reducer, &home->spill, home->runs, home->run_count,
                           with_piles ? NULL : &home->table, with_piles ? &home->reader : NULL, error);
    home->merge_open = status == QUERN_OK;
    return status;
}

quern_status qn_home_result_next(qn_home *home, const qn_key **key_out, const uint64_t **value_out, qn_error *error)
{
    quern_status status = qn_merge_next(&home->merge, key_out, value_out, error);
    if (status == QUERN_OK && !*key_out)
        home->result_merged = home->merge.merged_count + home->reader.merged_count + home->merged_later;
    return status;
}

quern_status qn_home_tables_open(qn_home *home, bool ordered, qn_error *error)
{
    QN_ASSERT(qn_home_is_tables(home, ordered));
    home->in_order = ordered;
    home->table_given = false;
    return open_reader(home, error);
}

quern_status qn_home_tables_next(qn_home *home, qn_table **table_out, qn_error *error)
{
    *table_out = NULL;
    if (home->reader.piles) {
        quern_status status = qn_piles_reader_next(&home->reader, table_out, error);
        if (status == QUERN_OK && !*table_out)
            home->result_merged = home->reader.merged_count;
        if (status == QUERN_OK && *table_out && home->in_order) {
            qn_slots_sort(&(*table_out)->tiny);
            qn_slots_sort(&(*table_out)->wide);
        }
        return status;
    }
    if (!home->table_given)
        *table_out = &home->table;
    home->table_given = true;
    return QUERN_OK;
}

quern_status qn_home_shrink(qn_home *home, bool *shrunk_out, qn_error *error)
{
    qn_run run;
    *shrunk_out = false;
    qn_home_result_close(home);
    bool is_empty = qn_table_get_count(&home->table) == 0 && !has_records(home);
    if (home->run_count == QN_MERGE_FAN_IN_MAX || is_empty)
        return QUERN_OK;
    uint64_t merged = home->merged;
    quern_status status = write_run(home, has_records(home), &run, error);
    home->merged_later += home->merged - merged;
    home->merged = merged;
    if (status != QUERN_OK)
        return status;
    qn_table_clear(&home->table);
    if (home->piles.count > 0)
        qn_piles_clear(&home->piles);
    add_run(home, &run);
    *shrunk_out = true;
    return QUERN_OK;
}
