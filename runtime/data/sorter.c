/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pool is address space in three parts: records, packed from the front; an entry for each; room to sort the entries. Together
 * they touch no more than the pool's bytes, so a record costs its bytes and two entries.
 *
 * A full pool becomes a run of level 0. As many runs of one level as a merge takes become one of the next, so a record is written once
 * per level, and the number of levels is logarithmic. Runs are kept in the order in which they came, so their levels descend.
 */
#include "runtime/data/sorter.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/pages.h"
#include "runtime/data/record_merge.h"
#include "runtime/data/sort_piles.h"

#define HUGE_POOL_BYTES_MIN (8 * QN_PAGE_HUGE_BYTES)
#define SLACK_BYTES         128 /* behind the records: what is fetched ahead, and keys that are read 16 bytes at a time */
#define RUN_COUNT_MAX       1024
#define AHEAD_BYTES_MAX     ((uint64_t)4 << 20)         /* to read a run: larger pieces are no faster */
#define MERGE_COUNT         256                         /* records on their way from a merge to a run */
#define ENTRY_BYTES         (2 * sizeof(qn_sort_entry)) /* with room to sort it */

struct qn_sorter {
    qn_sorter_config config;
    uint64_t records_bytes_reserved, entries_bytes_reserved;
    uint8_t *records;
    qn_sort_entry *entries;
    qn_sort_entry *scratch;
    uint64_t used_bytes; /* of records in memory */
    size_t count;        /* of records in memory */
    /* As far as earlier fills of the pool reached: pages that are still there and count, until they are given back. */
    uint64_t touched_bytes;
    size_t touched_count;
    size_t count_max;
    size_t next; /* to read, where all is in memory */
    bool finished;
    bool merge_open;
    uint64_t lent_bytes; /* of the pool, behind its records, in which runs are read */
    uint32_t run_count;
    qn_spill spill;
    qn_sorter_stats stats;
    const qn_sorter_saver *saver; /* borrowed; NULL: nothing was saved yet, or nothing is any more */
    uint64_t memory_saved_bytes;  /* of records in memory, the first ones */
    uint64_t saved_bytes;         /* of all */
    qn_record_merge merge;
    qn_run runs[RUN_COUNT_MAX];    /* levels descend */
    bool run_saved[RUN_COUNT_MAX]; /* all its records; else none */
};

/* Most records that the pool can hold. */
static uint64_t count_max_of(const qn_sorter_config *config)
{
    const qn_layout *layout = &config->collation->layout;
    uint64_t least_bytes = qn_packed_bytes(layout, layout->key_varies ? 0 : layout->key_bytes,
                                           layout->value_varies ? 0 : layout->value_bytes);
    return config->pool_bytes / (least_bytes + ENTRY_BYTES);
}

static bool reserve(qn_sorter *sorter)
{
    bool huge = sorter->config.pool_bytes >= HUGE_POOL_BYTES_MIN;
    sorter->count_max = count_max_of(&sorter->config);
    sorter->records_bytes_reserved = sorter->config.pool_bytes + SLACK_BYTES;
    sorter->entries_bytes_reserved = sorter->count_max * sizeof(qn_sort_entry) + 1;
    sorter->records = qn_pages_reserve(sorter->records_bytes_reserved, huge);
    sorter->entries = qn_pages_reserve(sorter->entries_bytes_reserved, huge);
    sorter->scratch = qn_pages_reserve(sorter->entries_bytes_reserved, huge);
    return sorter->records && sorter->entries && sorter->scratch;
}

quern_status qn_sorter_create(qn_sorter **sorter_out, const qn_sorter_config *config, qn_error *error)
{
    qn_sorter *sorter = calloc(1, sizeof *sorter);
    if (!sorter)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a sort");
    sorter->config = *config;
    qn_spill_init(&sorter->spill, config->scratch, QN_BLOCK_PACKED, config->block_bytes);
    if (config->cached_bytes_max > 0)
        sorter->spill.cached_bytes_max = config->cached_bytes_max;
    if (!reserve(sorter)) {
        qn_sorter_destroy(sorter);
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the %llu bytes of a sort",
                            (unsigned long long)config->pool_bytes);
    }
    *sorter_out = sorter;
    return QUERN_OK;
}

static void close_merge(qn_sorter *sorter)
{
    if (sorter->merge_open)
        qn_record_merge_close(&sorter->merge);
    sorter->merge_open = false;
    sorter->lent_bytes = 0;
}

void qn_sorter_destroy(qn_sorter *sorter)
{
    if (!sorter)
        return;
    close_merge(sorter);
    qn_pages_unreserve(sorter->records, sorter->records_bytes_reserved);
    qn_pages_unreserve(sorter->entries, sorter->entries_bytes_reserved);
    qn_pages_unreserve(sorter->scratch, sorter->entries_bytes_reserved);
    qn_spill_fini(&sorter->spill);
    free(sorter);
}

static void note_memory(qn_sorter *sorter, uint64_t bytes)
{
    if (bytes > sorter->stats.memory_bytes_peak)
        sorter->stats.memory_bytes_peak = bytes;
}

static bool is_in_order(const qn_sorter *sorter)
{
    for (size_t i = 1; i < sorter->count; i++)
        if (sorter->entries[i - 1].prefix > sorter->entries[i].prefix)
            return false;
    return true;
}

/* Where there is room for a copy of the records and it pays, by way of piles. False: not. */
static bool sort_by_piles(qn_sorter *sorter)
{
    uint64_t touched_bytes = sorter->touched_bytes > sorter->used_bytes ? sorter->touched_bytes : sorter->used_bytes;
    uint64_t peak_bytes = touched_bytes + sorter->used_bytes + sorter->count * ENTRY_BYTES;
    if (!qn_sort_piles_pay(sorter->used_bytes, sorter->count) || peak_bytes > sorter->config.pool_bytes ||
        is_in_order(sorter))
        return false;
    uint8_t *copy = qn_pages_reserve(sorter->records_bytes_reserved, true);
    if (!copy || !qn_sort_piles(sorter->config.collation, sorter->records, sorter->used_bytes, copy, sorter->entries,
                                sorter->scratch, sorter->count)) {
        qn_pages_unreserve(copy, sorter->records_bytes_reserved);
        return false;
    }
    qn_pages_unreserve(sorter->records, sorter->records_bytes_reserved);
    sorter->records = copy;
    sorter->touched_bytes = sorter->used_bytes;
    note_memory(sorter, peak_bytes);
    return true;
}

static void sort_memory(qn_sorter *sorter)
{
    if (!sort_by_piles(sorter))
        qn_sort_entries(sorter->config.collation, sorter->records, sorter->entries, sorter->scratch, sorter->count);
    if (sorter->used_bytes > sorter->touched_bytes)
        sorter->touched_bytes = sorter->used_bytes;
    if (sorter->count > sorter->touched_count)
        sorter->touched_count = sorter->count;
    note_memory(sorter, sorter->touched_bytes + sorter->touched_count * ENTRY_BYTES);
}

static quern_status put_record(qn_sorter *sorter, qn_run_writer *writer, const qn_packed *record, qn_error *error)
{
    const qn_layout *layout = &sorter->config.collation->layout;
    return qn_run_writer_put_packed(writer, record->key - layout->head_bytes,
                                    qn_packed_bytes(layout, record->key_bytes, record->value_bytes), error);
}

static size_t typical_bytes(const qn_sorter *sorter)
{
    return sorter->count > 0 ? sorter->used_bytes / sorter->count + 1 : 1;
}

static quern_status put_memory(qn_sorter *sorter, qn_run_writer *writer, qn_error *error)
{
    quern_status status = QUERN_OK;
    size_t bytes = typical_bytes(sorter);
    for (size_t i = 0; i < sorter->count && status == QUERN_OK; i++) {
        qn_packed record;
        if (i + QN_SORT_FETCH_AHEAD < sorter->count)
            qn_sort_fetch_whole(sorter->records + sorter->entries[i + QN_SORT_FETCH_AHEAD].place, bytes);
        qn_sort_decode(&sorter->config.collation->layout, sorter->records + sorter->entries[i].place, &record);
        status = put_record(sorter, writer, &record, error);
    }
    return status;
}

static quern_status put_merged(qn_sorter *sorter, qn_run_writer *writer, qn_error *error)
{
    qn_packed records[MERGE_COUNT];
    for (;;) {
        size_t count = 0;
        quern_status status = qn_record_merge_next(&sorter->merge, records, MERGE_COUNT, &count, error);
        for (size_t i = 0; i < count && status == QUERN_OK; i++)
            status = put_record(sorter, writer, &records[i], error);
        if (status != QUERN_OK || count == 0)
            return status;
    }
}

typedef quern_status (*put_fn)(qn_sorter *sorter, qn_run_writer *writer, qn_error *error);

static quern_status write_run(qn_sorter *sorter, put_fn put, qn_run *run_out, qn_error *error)
{
    qn_run_writer writer = {0};
    quern_status status = qn_run_writer_open(&writer, &sorter->spill, error);
    if (status == QUERN_OK)
        status = put(sorter, &writer, error);
    if (status == QUERN_OK)
        return qn_run_writer_close(&writer, run_out, error);
    qn_run_writer_abandon(&writer);
    return status;
}

static uint64_t blocks_bytes(const qn_sorter *sorter, uint32_t first)
{
    uint64_t bytes = 0;
    for (uint32_t i = first; i < sorter->run_count; i++)
        bytes += sorter->runs[i].block_bytes_max;
    return bytes;
}

/* Memory of the pool, in which nothing is now, for the blocks of a merge that are elsewhere. */
static void lend_pool(qn_sorter *sorter, uint64_t bytes)
{
    QN_ASSERT(sorter->count == 0);
    uint64_t kept_bytes = sorter->touched_bytes > bytes ? sorter->touched_bytes - bytes : 0;
    kept_bytes -= kept_bytes % QN_PAGE_HUGE_BYTES;
    if (sorter->touched_bytes > kept_bytes)
        qn_pages_release(sorter->records + kept_bytes, sorter->touched_bytes - kept_bytes);
    sorter->touched_bytes = kept_bytes;
}

static bool all_usual(const qn_sorter *sorter, uint32_t first)
{
    for (uint32_t i = first; i < sorter->run_count; i++)
        if (sorter->runs[i].block_bytes_max > sorter->spill.target_bytes)
            return false;
    return true;
}

/* What is left of the pool behind its records, for reading the runs from `first` on. Nothing, where it is too little for a block of each,
 * or there are records larger than those. */
static qn_merge_room find_room(qn_sorter *sorter, uint32_t first)
{
    uint64_t entries_bytes = sorter->touched_count * ENTRY_BYTES, begin = 0;
    if (sorter->used_bytes > 0)
        begin = (sorter->used_bytes + SLACK_BYTES + QN_SPILL_ALIGN_BYTES - 1) & ~(QN_SPILL_ALIGN_BYTES - 1);
    uint64_t taken_bytes = begin + entries_bytes, pool_bytes = sorter->config.pool_bytes;
    uint32_t count = sorter->run_count - first;
    uint64_t run_bytes = taken_bytes < pool_bytes ? (pool_bytes - taken_bytes) / count : 0;
    run_bytes = run_bytes < AHEAD_BYTES_MAX ? run_bytes & ~(QN_SPILL_ALIGN_BYTES - 1) : AHEAD_BYTES_MAX;
    if (run_bytes < sorter->config.block_bytes || !all_usual(sorter, first))
        return (qn_merge_room){0};
    return (qn_merge_room){sorter->records + begin, run_bytes};
}

static quern_status open_merge(qn_sorter *sorter, uint32_t first, qn_error *error)
{
    const qn_sorted memory = {sorter->records, sorter->entries, sorter->count, typical_bytes(sorter)};
    qn_merge_room room = find_room(sorter, first);
    uint32_t count = sorter->run_count - first;
    quern_status status =
        qn_record_merge_open(&sorter->merge, sorter->config.collation, &sorter->spill, sorter->runs + first, count,
                             sorter->count > 0 ? &memory : NULL, room, error);
    if (status != QUERN_OK)
        return status;
    sorter->merge_open = true;
    sorter->lent_bytes = room.run_bytes * count;
    if (room.run_bytes > 0) {
        uint64_t end = (uint64_t)(room.memory - sorter->records) + sorter->lent_bytes;
        sorter->touched_bytes = end > sorter->touched_bytes ? end : sorter->touched_bytes;
        note_memory(sorter, sorter->touched_bytes + sorter->touched_count * ENTRY_BYTES);
    }
    return QUERN_OK;
}

/* ---- saving */

static void put_saved(qn_sorter *sorter, const uint8_t *packed, uint64_t bytes)
{
    while (bytes > 0) {
        qn_packed record;
        uint64_t record_bytes = qn_packed_decode(&sorter->config.collation->layout, packed, bytes, &record);
        QN_ASSERT(record_bytes > 0); /* they were packed here, or came by a checksum */
        sorter->saver->put(&record, packed, record_bytes, sorter->saver->user);
        sorter->saved_bytes += record_bytes;
        packed += record_bytes;
        bytes -= record_bytes;
    }
}

static void save_memory(qn_sorter *sorter)
{
    if (sorter->memory_saved_bytes == sorter->used_bytes)
        return;
    put_saved(sorter, sorter->records + sorter->memory_saved_bytes, sorter->used_bytes - sorter->memory_saved_bytes);
    sorter->saver->end(sorter->saver->user);
    sorter->memory_saved_bytes = sorter->used_bytes;
}

static quern_status save_run(qn_sorter *sorter, uint32_t index, qn_error *error)
{
    qn_run_reader reader = {0};
    const uint8_t *records = NULL;
    uint64_t bytes = 0;
    quern_status status = qn_run_reader_open(&reader, &sorter->spill, &sorter->runs[index], error);
    while (status == QUERN_OK) {
        status = qn_run_reader_next_block(&reader, &records, &bytes, error);
        if (status != QUERN_OK || bytes == 0)
            break;
        put_saved(sorter, records, bytes);
    }
    qn_run_reader_close(&reader);
    sorter->saver->end(sorter->saver->user);
    sorter->run_saved[index] = status == QUERN_OK;
    return status;
}

static quern_status save_runs(qn_sorter *sorter, uint32_t first, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint32_t i = first; i < sorter->run_count && status == QUERN_OK; i++)
        if (!sorter->run_saved[i])
            status = save_run(sorter, i, error);
    return status;
}

quern_status qn_sorter_save(qn_sorter *sorter, const qn_sorter_saver *saver, qn_error *error)
{
    QN_ASSERT(!sorter->finished);
    sorter->saver = saver;
    save_memory(sorter);
    return save_runs(sorter, 0, error);
}

void qn_sorter_note_saved(qn_sorter *sorter, const qn_sorter_saver *saver)
{
    QN_ASSERT(!sorter->finished);
    sorter->saver = saver;
    sorter->memory_saved_bytes = sorter->used_bytes;
    for (uint32_t i = 0; i < sorter->run_count; i++)
        sorter->run_saved[i] = true;
    sorter->saved_bytes = sorter->stats.record_bytes;
}

uint64_t qn_sorter_get_unsaved_bytes(const qn_sorter *sorter)
{
    return sorter->stats.record_bytes - sorter->saved_bytes;
}

/* Of the runs from `first` on, which are to become one: all are saved, or none. */
static quern_status save_mixed(qn_sorter *sorter, uint32_t first, qn_error *error)
{
    bool some_saved = false;
    for (uint32_t i = first; i < sorter->run_count; i++)
        some_saved |= sorter->run_saved[i];
    return some_saved && sorter->saver ? save_runs(sorter, first, error) : QUERN_OK;
}

/* ---- runs */

/* Replaces the last `count` runs by one of that level. Memory is empty. */
static quern_status merge_last(qn_sorter *sorter, uint32_t count, uint32_t level, qn_error *error)
{
    uint32_t first = sorter->run_count - count;
    uint64_t bytes = blocks_bytes(sorter, first);
    qn_run merged = {0};
    quern_status status = save_mixed(sorter, first, error);
    if (status != QUERN_OK)
        return status;
    if (find_room(sorter, first).run_bytes == 0) {
        lend_pool(sorter, bytes);
        note_memory(sorter, bytes);
    }
    status = open_merge(sorter, first, error);
    if (status != QUERN_OK)
        return status;
    status = write_run(sorter, put_merged, &merged, error);
    close_merge(sorter);
    if (status != QUERN_OK)
        return status;
    for (uint32_t i = first; i < sorter->run_count; i++)
        qn_spill_drop(&sorter->spill, &sorter->runs[i]);
    merged.level = level;
    sorter->runs[first] = merged;
    sorter->run_count = first + 1;
    return QUERN_OK;
}

/* Of the last `count` runs, how many can be merged at once: as many as there is room for their blocks, but two. */
static uint32_t mergeable_count(const qn_sorter *sorter, uint32_t count)
{
    uint64_t bytes = 0;
    uint32_t fits = 0;
    for (; fits < count && fits < QN_RECORD_MERGE_FAN_IN_MAX; fits++) {
        bytes += sorter->runs[sorter->run_count - 1 - fits].block_bytes_max;
        if (fits >= 2 && bytes > sorter->config.pool_bytes)
            break;
    }
    return fits;
}

/* Merges the newest runs while another one of their level could not be merged together with them. */
static quern_status merge_levels(qn_sorter *sorter, qn_error *error)
{
    quern_status status = QUERN_OK;
    while (status == QUERN_OK) {
        uint32_t level = sorter->runs[sorter->run_count - 1].level, count = 0;
        while (count < sorter->run_count && sorter->runs[sorter->run_count - 1 - count].level == level)
            count++;
        uint32_t fits = mergeable_count(sorter, count);
        uint64_t bytes = blocks_bytes(sorter, sorter->run_count - count);
        bool full = count == QN_RECORD_MERGE_FAN_IN_MAX || bytes + bytes / count > sorter->config.pool_bytes;
        if (fits < count) /* the newest has larger records than the others: the rest of the level waits */
            status = merge_last(sorter, fits, level, error);
        else if (full && count >= 2)
            status = merge_last(sorter, count, level + 1, error);
        else
            break;
    }
    return status;
}

/* Notes a new run, and merges where there are too many. */
static quern_status add_run(qn_sorter *sorter, qn_run run, bool is_saved, qn_error *error)
{
    QN_ASSERT(sorter->run_count < RUN_COUNT_MAX);
    run.level = 0;
    sorter->run_saved[sorter->run_count] = is_saved;
    sorter->runs[sorter->run_count++] = run;
    sorter->stats.spill_runs++;
    return merge_levels(sorter, error);
}

/* What is in memory becomes a run. */
static quern_status spill_memory(qn_sorter *sorter, qn_error *error)
{
    qn_run run = {0};
    if (sorter->count == 0)
        return QUERN_OK;
    if (sorter->saver && sorter->memory_saved_bytes > 0)
        save_memory(sorter);
    bool is_saved = sorter->memory_saved_bytes > 0;
    sort_memory(sorter);
    quern_status status = write_run(sorter, put_memory, &run, error);
    if (status != QUERN_OK)
        return status;
    sorter->count = 0;
    sorter->used_bytes = sorter->memory_saved_bytes = 0;
    return add_run(sorter, run, is_saved, error);
}

quern_status qn_sorter_spill_early(qn_sorter *sorter, qn_error *error)
{
    uint64_t bytes = sorter->used_bytes + sorter->count * ENTRY_BYTES;
    QN_ASSERT(!sorter->finished);
    return bytes / 3 >= sorter->config.pool_bytes / 4 ? spill_memory(sorter, error) : QUERN_OK;
}

/* A record that is too large for the pool becomes a run. */
static quern_status spill_giant(qn_sorter *sorter, const void *packed, uint64_t bytes, qn_error *error)
{
    qn_run_writer writer = {0};
    qn_run run = {0};
    quern_status status = spill_memory(sorter, error);
    if (status == QUERN_OK)
        status = qn_run_writer_open(&writer, &sorter->spill, error);
    if (status == QUERN_OK)
        status = qn_run_writer_put_packed(&writer, packed, bytes, error);
    if (status == QUERN_OK)
        status = qn_run_writer_close(&writer, &run, error);
    qn_run_writer_abandon(&writer);
    return status == QUERN_OK ? add_run(sorter, run, false, error) : status;
}

/* Gives the memory behind what is in the pool back. */
static void release_unused(qn_sorter *sorter)
{
    uint64_t entries_bytes = sorter->count * sizeof(qn_sort_entry);
    uint64_t left_bytes = sorter->entries_bytes_reserved - entries_bytes;
    qn_pages_release((uint8_t *)sorter->scratch + entries_bytes, left_bytes);
    qn_pages_release((uint8_t *)sorter->entries + entries_bytes, left_bytes);
    qn_pages_release(sorter->records + sorter->used_bytes, sorter->records_bytes_reserved - sorter->used_bytes);
    sorter->touched_bytes = sorter->used_bytes;
    sorter->touched_count = sorter->count;
}

static inline bool fits_pool(const qn_sorter *sorter, uint64_t bytes, size_t count)
{
    return bytes <= sorter->config.pool_bytes && bytes + count * ENTRY_BYTES <= sorter->config.pool_bytes;
}

static inline bool has_room(const qn_sorter *sorter, uint64_t bytes)
{
    uint64_t used_bytes = sorter->used_bytes + bytes;
    size_t count = sorter->count + 1;
    return fits_pool(sorter, used_bytes > sorter->touched_bytes ? used_bytes : sorter->touched_bytes,
                     count > sorter->touched_count ? count : sorter->touched_count);
}

/* Makes room for a record; *giant_out: there cannot be, and it was spilled. Where earlier fills had larger records, or smaller ones, their
 * surplus pages make room. */
static quern_status make_room(qn_sorter *sorter, const void *packed, uint64_t bytes, bool *giant_out, qn_error *error)
{
    *giant_out = !fits_pool(sorter, bytes, 1);
    if (*giant_out)
        return spill_giant(sorter, packed, bytes, error);
    quern_status status = QUERN_OK;
    if (!fits_pool(sorter, sorter->used_bytes + bytes, sorter->count + 1))
        status = spill_memory(sorter, error);
    if (status == QUERN_OK && !has_room(sorter, bytes))
        release_unused(sorter);
    return status;
}

quern_status qn_sorter_append(qn_sorter *sorter, const qn_packed *record, const void *packed, uint64_t bytes,
                              qn_error *error)
{
    QN_ASSERT(!sorter->finished);
    if (QN_UNLIKELY(!has_room(sorter, bytes))) {
        bool giant = false;
        quern_status status = make_room(sorter, packed, bytes, &giant, error);
        if (status != QUERN_OK)
            return status;
        if (giant) {
            sorter->stats.record_count++;
            sorter->stats.record_bytes += bytes;
            return QUERN_OK;
        }
    }
    memcpy(sorter->records + sorter->used_bytes, packed, bytes);
    sorter->entries[sorter->count++] =
        (qn_sort_entry){qn_collation_prefix(sorter->config.collation, record), sorter->used_bytes};
    sorter->used_bytes += bytes;
    sorter->stats.record_count++;
    sorter->stats.record_bytes += bytes;
    return QUERN_OK;
}

quern_status qn_sorter_append_all(qn_sorter *sorter, const void *packed, uint64_t bytes, qn_error *error)
{
    const uint8_t *next = packed;
    while (bytes > 0) {
        qn_packed record;
        uint64_t record_bytes = qn_packed_decode(&sorter->config.collation->layout, next, bytes, &record);
        if (QN_UNLIKELY(record_bytes == 0))
            return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "a record does not fit the bytes that came");
        quern_status status = qn_sorter_append(sorter, &record, next, record_bytes, error);
        if (status != QUERN_OK)
            return status;
        next += record_bytes;
        bytes -= record_bytes;
    }
    return QUERN_OK;
}

/* Merges runs until one merge can take what is left, together with what is in memory. */
static quern_status merge_for_reading(qn_sorter *sorter, qn_error *error)
{
    while (sorter->run_count > 2 &&
           (sorter->run_count > QN_RECORD_MERGE_FAN_IN_MAX || blocks_bytes(sorter, 0) > sorter->config.pool_bytes)) {
        uint32_t fits = mergeable_count(sorter, sorter->run_count);
        uint32_t surplus = sorter->run_count - QN_RECORD_MERGE_FAN_IN_MAX + 1;
        if (sorter->run_count > QN_RECORD_MERGE_FAN_IN_MAX && surplus >= 2 && surplus < fits)
            fits = surplus;
        quern_status status = merge_last(sorter, fits, sorter->runs[sorter->run_count - fits].level + 1, error);
        if (status != QUERN_OK)
            return status;
    }
    return QUERN_OK;
}

/* Whether what is in memory can stay there while runs are merged. */
static bool memory_can_stay(const qn_sorter *sorter)
{
    uint64_t memory_bytes = sorter->used_bytes + sorter->count * sizeof(qn_sort_entry);
    return sorter->run_count <= QN_RECORD_MERGE_FAN_IN_MAX &&
           memory_bytes + blocks_bytes(sorter, 0) <= sorter->config.pool_bytes;
}

quern_status qn_sorter_finish(qn_sorter *sorter, qn_error *error)
{
    quern_status status = QUERN_OK;
    if (sorter->finished)
        return QUERN_OK;
    sorter->saver = NULL; /* what is not saved by now is not to be */
    if (sorter->run_count > 0 && !memory_can_stay(sorter)) {
        status = spill_memory(sorter, error);
        if (status == QUERN_OK)
            status = merge_for_reading(sorter, error);
        if (status != QUERN_OK)
            return status;
    }
    sort_memory(sorter);
    release_unused(sorter);
    qn_pages_release(sorter->scratch, sorter->entries_bytes_reserved);
    note_memory(sorter, sorter->used_bytes + sorter->count * sizeof(qn_sort_entry) + blocks_bytes(sorter, 0));
    sorter->finished = true;
    return QUERN_OK;
}

bool qn_sorter_is_stable(const qn_sorter *sorter)
{
    return sorter->run_count == 0;
}

quern_status qn_sorter_rewind(qn_sorter *sorter, qn_error *error)
{
    QN_ASSERT(sorter->finished);
    sorter->next = 0;
    close_merge(sorter);
    return sorter->run_count > 0 ? open_merge(sorter, 0, error) : QUERN_OK;
}

/* The next records of memory. */
static size_t take_memory(qn_sorter *sorter, qn_packed *records_out, size_t max)
{
    const qn_layout *layout = &sorter->config.collation->layout;
    size_t left = sorter->count - sorter->next, count = left < max ? left : max;
    const qn_sort_entry *entries = sorter->entries + sorter->next;
    size_t bytes = typical_bytes(sorter);
    for (size_t i = 0; i < count; i++) {
        if (i + QN_SORT_FETCH_AHEAD < left)
            qn_sort_fetch_whole(sorter->records + entries[i + QN_SORT_FETCH_AHEAD].place, bytes);
        qn_sort_decode(layout, sorter->records + entries[i].place, &records_out[i]);
    }
    sorter->next += count;
    return count;
}

/* All is read: gives the memory back in which that was. */
static void take_back(qn_sorter *sorter)
{
    qn_record_merge_close(&sorter->merge);
    qn_pages_release(sorter->records + sorter->used_bytes, sorter->records_bytes_reserved - sorter->used_bytes);
    sorter->touched_bytes = sorter->used_bytes;
    sorter->lent_bytes = 0;
}

quern_status qn_sorter_next(qn_sorter *sorter, qn_packed *records_out, size_t max, size_t *count_out, qn_error *error)
{
    QN_ASSERT(sorter->finished);
    *count_out = 0;
    if (sorter->run_count == 0) {
        *count_out = take_memory(sorter, records_out, max);
        return QUERN_OK;
    }
    quern_status status = sorter->merge_open ? QUERN_OK : open_merge(sorter, 0, error);
    if (status == QUERN_OK)
        status = qn_record_merge_next(&sorter->merge, records_out, max, count_out, error);
    if (status == QUERN_OK && *count_out == 0 && sorter->lent_bytes > 0)
        take_back(sorter);
    return status;
}

/* Blocks of a merge that lie elsewhere would not be there. */
void qn_sorter_share(qn_sorter *sorter, bool with_children)
{
    void (*share)(void *, size_t) = with_children ? qn_pages_give_to_children : qn_pages_take_from_children;
    QN_ASSERT(sorter->finished);
    close_merge(sorter);
    share(sorter->records, sorter->records_bytes_reserved);
    share(sorter->entries, sorter->entries_bytes_reserved);
}

uint64_t qn_sorter_get_memory_bytes(const qn_sorter *sorter)
{
    uint64_t entry_bytes = sorter->finished ? sizeof(qn_sort_entry) : ENTRY_BYTES;
    uint64_t blocks = sorter->lent_bytes > 0 ? sorter->lent_bytes : blocks_bytes(sorter, 0);
    return sorter->used_bytes + sorter->count * entry_bytes + blocks;
}

quern_status qn_sorter_shrink(qn_sorter *sorter, qn_error *error)
{
    qn_run run = {0};
    QN_ASSERT(sorter->finished);
    close_merge(sorter);
    if (sorter->count == 0)
        return QUERN_OK;
    quern_status status = write_run(sorter, put_memory, &run, error); /* entries are in order */
    if (status != QUERN_OK)
        return status;
    run.level = 0;
    sorter->runs[sorter->run_count++] = run;
    sorter->stats.spill_runs++;
    sorter->count = 0;
    sorter->used_bytes = 0;
    release_unused(sorter);
    return merge_for_reading(sorter, error);
}

qn_sorter_stats qn_sorter_get_stats(const qn_sorter *sorter)
{
    qn_sorter_stats stats = sorter->stats;
    stats.spilled_bytes = sorter->spill.written_bytes;
    return stats;
}
