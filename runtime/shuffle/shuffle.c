/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/shuffle.h"

#include <stdlib.h>

#include "runtime/base/assert.h"

#define ROUTE_COUNT 128       /* records that are hashed and sorted by table at once */
#define LEVEL_RUN_COUNT_MAX 12 /* runs of one level before they are merged into one of the next */
#define CHUNK_POOL_PART 16     /* keys routed at once are at most this part of the pool, unless one alone is more */
#define LEVEL_COUNT_MAX (QN_MERGE_FAN_IN_MAX / (LEVEL_RUN_COUNT_MAX + 1))

/* The first tag of a rank's range: the smallest t with t * size >= rank * 2^64. */
static uint64_t first_tag_of(uint32_t rank, uint32_t size)
{
    unsigned __int128 edge = (unsigned __int128)rank << 64;
    return (uint64_t)((edge + size - 1) / size);
}

static uint64_t last_tag_of(uint32_t rank, uint32_t size)
{
    return rank + 1 == size ? UINT64_MAX : first_tag_of(rank + 1, size) - 1;
}

static quern_status receive_rows(void *user, const uint64_t *rows, uint64_t bytes, uint64_t row_count, qn_error *error);

uint64_t qn_shuffle_buffer_bytes(const qn_comm *comm, size_t round_bytes)
{
    return comm->size > 1 ? qn_rounds_bytes(comm, round_bytes) : 0;
}

static quern_status init_away(qn_shuffle *shuffle, qn_error *error)
{
    const qn_shuffle_config *config = &shuffle->config;
    shuffle->cursors = calloc(config->comm->size, sizeof *shuffle->cursors);
    if (!shuffle->cursors)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the shuffle");
    quern_status status =
        qn_table_init(&shuffle->away, config->reducer, 0, UINT64_MAX, config->pool_bytes / 2, error);
    if (status != QUERN_OK)
        return status;
    return qn_rounds_init(&shuffle->rounds, config->comm, config->reducer->value_words, config->round_bytes,
                          receive_rows, shuffle, error);
}

quern_status qn_shuffle_init(qn_shuffle *shuffle, const qn_shuffle_config *config, qn_error *error)
{
    uint32_t rank = config->comm->rank, size = config->comm->size;
    memset(shuffle, 0, sizeof *shuffle);
    shuffle->config = *config;
    qn_spill_init(&shuffle->spill, config->scratch_dir, config->reducer->value_words, config->block_bytes);
    quern_status status = qn_table_init(&shuffle->home, config->reducer, first_tag_of(rank, size),
                                        last_tag_of(rank, size), config->pool_bytes, error);
    if (status == QUERN_OK && size > 1)
        status = init_away(shuffle, error);
    if (status != QUERN_OK)
        qn_shuffle_fini(shuffle);
    return status;
}

void qn_shuffle_fini(qn_shuffle *shuffle)
{
    if (shuffle->merge_open)
        qn_merge_close(&shuffle->merge);
    shuffle->merge_open = false;
    if (shuffle->home.slots)
        qn_table_fini(&shuffle->home);
    if (shuffle->away.slots)
        qn_table_fini(&shuffle->away);
    if (shuffle->rounds.comm)
        qn_rounds_fini(&shuffle->rounds);
    qn_spill_fini(&shuffle->spill);
    free(shuffle->cursors);
    shuffle->cursors = NULL;
}

/* The share of the pool that a table may grow to. Both together stay within the pool: away gets what home leaves, but a
 * quarter at least; home what away leaves, but three quarters at most while away is in use. */
static size_t home_bytes_max(const qn_shuffle *shuffle)
{
    uint64_t pool = shuffle->config.pool_bytes;
    if (!shuffle->away.slots || (shuffle->ended && !shuffle->draining))
        return pool;
    uint64_t left = pool - qn_table_get_bytes(&shuffle->away);
    return left < pool / 4 * 3 ? left : pool / 4 * 3;
}

static size_t away_bytes_max(const qn_shuffle *shuffle)
{
    uint64_t pool = shuffle->config.pool_bytes;
    uint64_t home_bytes = qn_table_get_bytes(&shuffle->home);
    uint64_t left = pool > home_bytes ? pool - home_bytes : 0;
    if (left > pool / 2)
        return pool / 2;
    return left > pool / 4 ? left : pool / 4;
}

/* Writes what a merge gives as one run. */
static quern_status write_merged(qn_shuffle *shuffle, qn_merge *merge, qn_run *run_out, qn_error *error)
{
    qn_run_writer writer = {0};
    quern_status status = qn_run_writer_open(&writer, &shuffle->spill, error);
    while (status == QUERN_OK) {
        const qn_key *key;
        const uint64_t *value;
        status = qn_merge_next(merge, &key, &value, error);
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
static quern_status merge_to_run(qn_shuffle *shuffle, const qn_run *runs, uint32_t run_count, qn_table *table,
                                 qn_run *run_out, qn_error *error)
{
    QN_ASSERT(!shuffle->merge_open);
    quern_status status = qn_merge_open(&shuffle->merge, shuffle->config.reducer, &shuffle->spill, runs, run_count,
                                        table, error);
    if (status != QUERN_OK)
        return status;
    status = write_merged(shuffle, &shuffle->merge, run_out, error);
    shuffle->stats.merged += shuffle->merge.merged_count;
    qn_merge_close(&shuffle->merge);
    return status;
}

/* Merges the newest runs into one while there are too many of one level. Newer runs have lower levels, so those of a level are
 * neighbours at the end. */
static quern_status merge_levels(qn_shuffle *shuffle, qn_error *error)
{
    for (;;) {
        uint32_t level = shuffle->runs[shuffle->run_count - 1].level;
        uint32_t first = shuffle->run_count;
        while (first > 0 && shuffle->runs[first - 1].level == level)
            first--;
        if (shuffle->run_count - first < LEVEL_RUN_COUNT_MAX || level == LEVEL_COUNT_MAX)
            return QUERN_OK;
        qn_run merged;
        quern_status status = merge_to_run(shuffle, shuffle->runs + first, shuffle->run_count - first, NULL, &merged, error);
        if (status != QUERN_OK)
            return status;
        for (uint32_t i = first; i < shuffle->run_count; i++)
            qn_spill_drop(&shuffle->spill, &shuffle->runs[i]);
        merged.level = level + 1;
        shuffle->runs[first] = merged;
        shuffle->run_count = first + 1;
    }
}

/* Turns home into a run on disk. */
static quern_status spill_home(qn_shuffle *shuffle, qn_error *error)
{
    if (shuffle->run_count == QN_MERGE_FAN_IN_MAX)
        return qn_error_set(error, QUERN_ERROR_BUDGET, 0,
                            "the memory budget is too small for the number of distinct keys: too many spilled runs");
    qn_run run;
    quern_status status = merge_to_run(shuffle, NULL, 0, &shuffle->home, &run, error);
    if (status != QUERN_OK)
        return status;
    qn_table_clear(&shuffle->home);
    shuffle->stats.spill_runs++;
    run.level = 0;
    shuffle->runs[shuffle->run_count++] = run;
    return merge_levels(shuffle, error);
}

static void note_table_bytes(qn_shuffle *shuffle)
{
    uint64_t bytes = qn_table_get_bytes(&shuffle->home);
    if (shuffle->away.slots)
        bytes += qn_table_get_bytes(&shuffle->away);
    if (bytes > shuffle->stats.table_bytes_peak)
        shuffle->stats.table_bytes_peak = bytes;
}

static quern_status table_failed(const qn_shuffle *shuffle, qn_table_result result, const qn_table *table,
                                 qn_error *error)
{
    if (result == QN_TABLE_NO_MEMORY)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the table of a reduction");
    return qn_reducer_failed(shuffle->config.reducer, &table->failed_key, error);
}

/* Inserts into a table as far as it has room; counts what was combined. */
static quern_status insert_some(qn_shuffle *shuffle, qn_table *table, const qn_entry *entries, size_t count,
                                size_t bytes_max, size_t *done_out, qn_error *error)
{
    uint64_t keys_before = table->used_count;
    qn_table_result result = qn_table_insert(table, entries, count, bytes_max, done_out);
    shuffle->stats.merged += *done_out - (table->used_count - keys_before);
    if (QN_LIKELY(result == QN_TABLE_OK || result == QN_TABLE_FULL))
        return QUERN_OK;
    return table_failed(shuffle, result, table, error);
}

/* All entries into home, spilling as needed. */
static quern_status insert_home(qn_shuffle *shuffle, const qn_entry *entries, size_t count, qn_error *error)
{
    for (size_t next = 0; next < count;) {
        size_t done = 0;
        quern_status status = insert_some(shuffle, &shuffle->home, entries + next, count - next,
                                          home_bytes_max(shuffle), &done, error);
        if (status != QUERN_OK)
            return status;
        next += done;
        if (next < count) {
            note_table_bytes(shuffle);
            status = spill_home(shuffle, error);
            if (status != QUERN_OK)
                return status;
        }
    }
    return QUERN_OK;
}

static void start_drain(qn_shuffle *shuffle)
{
    uint32_t size = shuffle->config.comm->size;
    note_table_bytes(shuffle);
    for (uint32_t to = 0; to < size; to++)
        shuffle->cursors[to] = qn_table_cursor_of(&shuffle->away, first_tag_of(to, size), last_tag_of(to, size));
    shuffle->cursors_left = size;
    shuffle->draining = true;
    shuffle->filled = false;
}

/* What a chunk of records becomes: entries for home, and entries for away with the index of the record each came from. */
typedef struct routed {
    qn_entry home[ROUTE_COUNT], away[ROUTE_COUNT];
    size_t home_count, away_count;
} routed;

static inline __attribute__((always_inline)) qn_key key_of_record(quern_type type, const quern_block *block, size_t i)
{
    if (type == QUERN_BYTES)
        return qn_key_of(block->key[i], block->key_bytes[i]);
    uint64_t number;
    memcpy(&number, block->key[i], sizeof number);
    return (qn_key){(qn_hash_words(number, 0, 8) & ~UINT64_C(0xff)) | 9, number, 0};
}

static inline __attribute__((always_inline)) uint64_t value_of_record(qn_reducer_kind kind, const quern_block *block,
                                                                      size_t i)
{
    if (kind == QN_REDUCER_COUNT)
        return 1;
    if (kind == QN_REDUCER_USER)
        return (uint64_t)(uintptr_t)block->value[i];
    uint64_t word;
    memcpy(&word, block->value[i], sizeof word);
    return word;
}

/* Hashes records and deals them out to the two tables without a branch on whose they are. */
static inline __attribute__((always_inline)) void route(const qn_shuffle *shuffle, const quern_block *block, size_t from,
                                                        size_t count, quern_type key_type, qn_reducer_kind kind,
                                                        routed *out)
{
    uint64_t tag_first = shuffle->home.tag_first;
    uint64_t tag_range = shuffle->home.tag_last - tag_first;
    size_t home_count = 0, away_count = 0;
    for (size_t i = from; i < from + count; i++) {
        qn_entry entry = {key_of_record(key_type, block, i), value_of_record(kind, block, i)};
        bool is_home = entry.key.tag - tag_first <= tag_range;
        qn_entry *to = is_home ? &out->home[home_count] : &out->away[away_count];
        *to = entry;
        home_count += is_home;
        away_count += !is_home;
    }
    out->home_count = home_count;
    out->away_count = away_count;
}

static void route_any(const qn_shuffle *shuffle, const quern_block *block, size_t from, size_t count, routed *out)
{
    if (shuffle->config.key_type == QUERN_BYTES && shuffle->config.reducer->kind == QN_REDUCER_COUNT)
        route(shuffle, block, from, count, QUERN_BYTES, QN_REDUCER_COUNT, out);
    else if (shuffle->config.key_type == QUERN_BYTES)
        route(shuffle, block, from, count, QUERN_BYTES, shuffle->config.reducer->kind, out);
    else
        route(shuffle, block, from, count, QUERN_U64, shuffle->config.reducer->kind, out);
}

/* How many of the records from `from` on are routed at once: few enough that their long keys are a small part of the pool. */
static size_t chunk_of(const qn_shuffle *shuffle, const quern_block *block, size_t from, uint64_t *key_bytes_out)
{
    size_t count = block->count - from < ROUTE_COUNT ? block->count - from : ROUTE_COUNT;
    uint64_t key_bytes = 0;
    for (size_t i = from; i < from + count; i++)
        key_bytes += block->key_bytes[i];
    if (QN_UNLIKELY(key_bytes > shuffle->config.pool_bytes / CHUNK_POOL_PART)) {
        count = 1;
        key_bytes = block->key_bytes[from];
    }
    *key_bytes_out = key_bytes;
    return count;
}

/* Whether away surely takes a chunk; if not, it is to be drained first. An empty table takes anything. */
static bool away_has_room(qn_shuffle *shuffle, size_t count, uint64_t key_bytes)
{
    if (shuffle->away.used_count == 0)
        return true;
    size_t bytes_max = away_bytes_max(shuffle);
    return qn_table_get_bytes(&shuffle->away) + key_bytes <= bytes_max &&
           qn_table_make_room(&shuffle->away, count, bytes_max) == QN_TABLE_OK;
}

static quern_status insert_chunk(qn_shuffle *shuffle, const quern_block *block, size_t from, size_t count,
                                 qn_error *error)
{
    routed out;
    size_t away_done = 0;
    quern_status status = QUERN_OK;
    route_any(shuffle, block, from, count, &out);
    if (out.away_count > 0)
        status = insert_some(shuffle, &shuffle->away, out.away, out.away_count, SIZE_MAX, &away_done, error);
    QN_ASSERT(status != QUERN_OK || away_done == out.away_count);
    if (status == QUERN_OK)
        status = insert_home(shuffle, out.home, out.home_count, error);
    shuffle->stats.records_in += count;
    return status;
}

quern_status qn_shuffle_insert(qn_shuffle *shuffle, const qn_batch *batch, size_t *next, qn_error *error)
{
    QN_ASSERT(!shuffle->ended);
    quern_status status = QUERN_OK;
    while (*next < batch->block.count && status == QUERN_OK) {
        uint64_t key_bytes = 0;
        size_t count = chunk_of(shuffle, &batch->block, *next, &key_bytes);
        if (shuffle->away.slots) {
            if (!shuffle->draining && !away_has_room(shuffle, count, key_bytes))
                start_drain(shuffle);
            if (shuffle->draining)
                return QUERN_OK;
        }
        status = insert_chunk(shuffle, &batch->block, *next, count, error);
        *next += count;
    }
    return status;
}

/* Rows that other ranks sent, into home. */
static quern_status receive_rows(void *user, const uint64_t *rows, uint64_t bytes, uint64_t row_count, qn_error *error)
{
    qn_shuffle *shuffle = user;
    uint32_t value_words = shuffle->config.reducer->value_words;
    bool by_address = shuffle->config.reducer->kind == QN_REDUCER_USER;
    qn_entry entries[ROUTE_COUNT];
    quern_status status = QUERN_OK;
    if (shuffle->discarding)
        return QUERN_OK;
    for (uint64_t done = 0; done < row_count && status == QUERN_OK;) {
        size_t count = 0;
        for (; count < ROUTE_COUNT && done + count < row_count; count++) {
            const uint64_t *value;
            uint64_t row_bytes = qn_row_decode(rows, bytes, value_words, &entries[count].key, &value);
            if (row_bytes == 0)
                return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "a shuffled record does not fit its block");
            entries[count].value = by_address ? (uint64_t)(uintptr_t)value : *value;
            rows += row_bytes / 8;
            bytes -= row_bytes;
        }
        status = insert_home(shuffle, entries, count, error);
        done += count;
    }
    return status;
}

void qn_shuffle_end(qn_shuffle *shuffle)
{
    if (shuffle->ended)
        return;
    shuffle->ended = true;
    if (shuffle->away.slots && !shuffle->draining && !shuffle->discarding)
        start_drain(shuffle);
}

static void finish_drain(qn_shuffle *shuffle)
{
    qn_table_clear(&shuffle->away);
    shuffle->draining = false;
    shuffle->cursors_left = 0;
}

void qn_shuffle_discard(qn_shuffle *shuffle)
{
    shuffle->discarding = true;
    if (shuffle->draining)
        finish_drain(shuffle);
    shuffle->ended = true;
}

/* Puts rows for one rank in its chunk until it is full. False: the cursor is at its end. */
static bool fill_chunk(qn_shuffle *shuffle, uint32_t to)
{
    qn_table_cursor *cursor = &shuffle->cursors[to];
    const qn_key *slot;
    while ((slot = qn_table_cursor_peek(cursor))) {
        if (!qn_rounds_put(&shuffle->rounds, to, slot, qn_slot_value(slot)))
            return true;
        qn_table_cursor_step(cursor);
    }
    return false;
}

/* Moves rows from away to the open chunks, once per round. */
static void fill_chunks(qn_shuffle *shuffle)
{
    for (uint32_t to = 0; to < shuffle->config.comm->size; to++) {
        qn_table_cursor *cursor = &shuffle->cursors[to];
        if (!cursor->table)
            continue;
        if (fill_chunk(shuffle, to)) {
            qn_table_cursor_release(cursor);
            continue;
        }
        cursor->table = NULL;
        shuffle->cursors_left--;
    }
    shuffle->filled = true;
    if (shuffle->cursors_left == 0)
        finish_drain(shuffle);
}

/* Starts the next round if it is to take place, with what there is for it. */
static quern_status start_round(qn_shuffle *shuffle, uint64_t *ask_out, qn_error *error)
{
    qn_rounds *rounds = &shuffle->rounds;
    bool has_rows = false;
    if (shuffle->draining && !shuffle->filled && qn_rounds_is_open(rounds)) {
        fill_chunks(shuffle);
        has_rows = true;
    }
    has_rows = has_rows || shuffle->filled;
    if (has_rows && !qn_rounds_ask(rounds, ask_out))
        *ask_out = UINT64_MAX;
    if (!qn_rounds_can_start(rounds))
        return QUERN_OK;
    rounds->more = shuffle->draining;
    rounds->ended = shuffle->ended && !shuffle->draining;
    shuffle->filled = false;
    return qn_rounds_start(rounds, error);
}

quern_status qn_shuffle_progress(qn_shuffle *shuffle, uint64_t *ask_out, qn_error *error)
{
    *ask_out = UINT64_MAX;
    if (!shuffle->away.slots || qn_shuffle_is_over(shuffle))
        return QUERN_OK;
    quern_status status = qn_rounds_progress(&shuffle->rounds, error);
    if (status == QUERN_OK)
        status = start_round(shuffle, ask_out, error);
    return status;
}

void qn_shuffle_announce(qn_shuffle *shuffle, uint64_t round)
{
    if (shuffle->away.slots)
        qn_rounds_announce(&shuffle->rounds, round);
}

bool qn_shuffle_is_over(const qn_shuffle *shuffle)
{
    return shuffle->ended && (!shuffle->away.slots || qn_rounds_is_over(&shuffle->rounds));
}

quern_status qn_shuffle_result_open(qn_shuffle *shuffle, qn_error *error)
{
    QN_ASSERT(qn_shuffle_is_over(shuffle));
    note_table_bytes(shuffle);
    if (shuffle->merge_open)
        qn_merge_close(&shuffle->merge);
    shuffle->merge_open = false;
    quern_status status = qn_merge_open(&shuffle->merge, shuffle->config.reducer, &shuffle->spill, shuffle->runs,
                                        shuffle->run_count, &shuffle->home, error);
    shuffle->merge_open = status == QUERN_OK;
    return status;
}

quern_status qn_shuffle_result_next(qn_shuffle *shuffle, const qn_key **key_out, const uint64_t **value_out,
                                    qn_error *error)
{
    quern_status status = qn_merge_next(&shuffle->merge, key_out, value_out, error);
    if (status == QUERN_OK && !*key_out)
        shuffle->stats.result_merged = shuffle->merge.merged_count;
    return status;
}
