/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/shuffle.h"

#include <stdlib.h>

#include "runtime/base/assert.h"

#define CHUNK_COUNT         QN_SLOTS_COMING_MAX /* records that are combined at once */
#define LEVEL_RUN_COUNT_MAX 12                  /* runs of one level before they are merged into one of the next */
#define FORESIGHT_PART      64                  /* of the own range must have arrived before it tells about the rest */
#define CHUNK_POOL_PART     16 /* keys routed at once are at most this part of the pool, unless one alone is more */
#define GROWTH_MAX          8.0
#define LEVEL_COUNT_MAX     (QN_MERGE_FAN_IN_MAX / (LEVEL_RUN_COUNT_MAX + 1))

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

static quern_status init_outgoing(qn_shuffle *shuffle, qn_error *error)
{
    const qn_shuffle_config *config = &shuffle->config;
    shuffle->cursors = calloc(config->comm->size, sizeof *shuffle->cursors);
    if (!shuffle->cursors)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the shuffle");
    quern_status status =
        qn_table_init(&shuffle->outgoing, config->reducer, 0, UINT64_MAX, config->pool_bytes / 2, error);
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
        status = init_outgoing(shuffle, error);
    if (status != QUERN_OK)
        qn_shuffle_fini(shuffle);
    return status;
}

void qn_shuffle_fini(qn_shuffle *shuffle)
{
    if (shuffle->merge_open)
        qn_merge_close(&shuffle->merge);
    shuffle->merge_open = false;
    if (shuffle->home.reducer)
        qn_table_fini(&shuffle->home);
    if (shuffle->outgoing.reducer)
        qn_table_fini(&shuffle->outgoing);
    if (shuffle->rounds.comm)
        qn_rounds_fini(&shuffle->rounds);
    qn_spill_fini(&shuffle->spill);
    free(shuffle->cursors);
    shuffle->cursors = NULL;
}

/* The share of the pool that a table may grow to. Both together stay within the pool: each gets what the other leaves, but home at least
 * a half and at most three quarters of it, outgoing at least a quarter and at most a half. */
static size_t home_bytes_max(const qn_shuffle *shuffle)
{
    uint64_t pool = shuffle->config.pool_bytes;
    if (!shuffle->outgoing.reducer)
        return pool;
    uint64_t left = pool - qn_table_get_bytes(&shuffle->outgoing);
    if (left < pool / 2)
        return pool / 2;
    return left < pool / 4 * 3 ? left : pool / 4 * 3;
}

static size_t outgoing_bytes_max(const qn_shuffle *shuffle)
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
    qn_merge_table whole = {table, 0, UINT64_MAX};
    QN_ASSERT(!shuffle->merge_open);
    quern_status status = qn_merge_open(&shuffle->merge, shuffle->config.reducer, &shuffle->spill, runs, run_count,
                                        &whole, table != NULL, error);
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
        quern_status status =
            merge_to_run(shuffle, shuffle->runs + first, shuffle->run_count - first, NULL, &merged, error);
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
    if (shuffle->outgoing.reducer)
        bytes += qn_table_get_bytes(&shuffle->outgoing);
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

/* All entries into home, spilling as needed. */
static quern_status insert_home(qn_shuffle *shuffle, const qn_entry *entries, size_t count, qn_error *error)
{
    qn_table *home = &shuffle->home;
    for (size_t next = 0; next < count;) {
        size_t done = 0;
        uint64_t keys_before = qn_table_get_count(home);
        qn_table_result result = qn_table_insert(home, entries + next, count - next, home_bytes_max(shuffle), &done);
        if (result != QN_TABLE_OK && result != QN_TABLE_FULL)
            return table_failed(shuffle, result, home, error);
        shuffle->stats.merged += done - (qn_table_get_count(home) - keys_before);
        next += done;
        if (next < count) {
            note_table_bytes(shuffle);
            quern_status status = spill_home(shuffle, error);
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
        shuffle->cursors[to] = qn_table_cursor_of(&shuffle->outgoing, first_tag_of(to, size), last_tag_of(to, size));
    shuffle->cursors_left = size;
    shuffle->own_kept = shuffle->ended;
    if (shuffle->own_kept) {
        shuffle->cursors[shuffle->config.comm->rank].tiny.slots = NULL;
        shuffle->cursors_left--;
    }
    shuffle->draining = true;
    shuffle->filled = false;
}

/* How many of the records from `from` on are combined at once: few enough that their long keys are a small part of the pool. */
static size_t chunk_of(const qn_shuffle *shuffle, const quern_block *block, size_t from)
{
    size_t count = block->count - from < CHUNK_COUNT ? block->count - from : CHUNK_COUNT;
    uint64_t key_bytes = 0;
    for (size_t i = from; i < from + count; i++)
        key_bytes += block->key_bytes[i];
    return QN_LIKELY(key_bytes <= shuffle->config.pool_bytes / CHUNK_POOL_PART) ? count : 1;
}

/* Makes room for a chunk. *ready_out false: outgoing has to be drained first. */
static quern_status make_room(qn_shuffle *shuffle, qn_table *table, const qn_classified *chunk, bool *ready_out,
                              qn_error *error)
{
    size_t tiny = chunk->count[QN_CLASS_TINY], wide = chunk->count[QN_CLASS_SHORT] + chunk->count[QN_CLASS_LONG];
    bool alone = !shuffle->outgoing.reducer;
    for (*ready_out = true;;) {
        size_t bytes_max = alone ? home_bytes_max(shuffle) : outgoing_bytes_max(shuffle);
        qn_table_result result = qn_table_make_room(table, tiny, wide, chunk->long_bytes, bytes_max);
        if (QN_LIKELY(result == QN_TABLE_OK))
            return QUERN_OK;
        if (result != QN_TABLE_FULL)
            return table_failed(shuffle, result, table, error);
        note_table_bytes(shuffle);
        if (!alone) {
            start_drain(shuffle);
            *ready_out = false;
            return QUERN_OK;
        }
        quern_status status = spill_home(shuffle, error);
        if (status != QUERN_OK)
            return status;
    }
}

quern_status qn_shuffle_insert(qn_shuffle *shuffle, const qn_batch *batch, size_t *next, qn_error *error)
{
    QN_ASSERT(!shuffle->ended);
    qn_table *table = shuffle->outgoing.reducer ? &shuffle->outgoing : &shuffle->home;
    quern_type key_type = shuffle->config.key_type;
    qn_classified chunk;
    while (*next < batch->block.count && !shuffle->draining) {
        bool ready = false;
        size_t count = chunk_of(shuffle, &batch->block, *next);
        qn_table_classify(&batch->block, key_type, *next, count, &chunk);
        quern_status status = make_room(shuffle, table, &chunk, &ready, error);
        if (status != QUERN_OK || !ready)
            return status;
        uint64_t keys_before = qn_table_get_count(table);
        qn_table_result result = qn_table_insert_block(table, &batch->block, key_type, &chunk);
        if (QN_UNLIKELY(result != QN_TABLE_OK))
            return table_failed(shuffle, result, table, error);
        shuffle->stats.records_in += count;
        shuffle->stats.merged += count - (qn_table_get_count(table) - keys_before);
        *next += count;
    }
    return QUERN_OK;
}

/* Distinct keys of texts grow about 1.8-fold with each doubling of the text. Memory is not staked on that beyond a factor of 8. */
void qn_shuffle_foresee(qn_shuffle *shuffle, uint64_t done, uint64_t all)
{
    double factor = 1;
    for (double left = (double)all / (double)(done + 1); left > 1 && factor < GROWTH_MAX; left /= 2)
        factor *= left > 2 ? 1.8 : 1 + 0.8 * (left - 1);
    qn_table_expect_growth(shuffle->outgoing.reducer ? &shuffle->outgoing : &shuffle->home,
                           (uint32_t)(100 * (factor < GROWTH_MAX ? factor : GROWTH_MAX)));
}

static uint64_t scale_up(uint64_t count, uint64_t range, uint64_t front)
{
    return (uint64_t)((double)count * (double)range / (double)front);
}

/* Rows arrive in the order of tags, from all ranks at about the same pace. So how many came up to a tag tells how many will come in
 * all: home is made large enough for them while there is little in it to be moved. */
static void size_home_ahead(qn_shuffle *shuffle, uint64_t tag)
{
    qn_table *home = &shuffle->home;
    uint64_t front = tag - home->tiny.tag_first, range = home->tiny.tag_last - home->tiny.tag_first;
    if (front < shuffle->pass_front / 2) {
        shuffle->pass_tiny = home->tiny.used_count;
        shuffle->pass_wide = home->wide.used_count;
    }
    shuffle->pass_front = front;
    if (front < range / FORESIGHT_PART || home->tiny.used_count < shuffle->pass_tiny ||
        home->wide.used_count < shuffle->pass_wide)
        return; /* too early to tell, or home was spilled meanwhile */
    uint64_t tiny = scale_up(home->tiny.used_count - shuffle->pass_tiny, range, front);
    uint64_t wide = scale_up(home->wide.used_count - shuffle->pass_wide, range, front);
    uint64_t tiny_now = home->tiny.used_count - shuffle->pass_tiny,
             wide_now = home->wide.used_count - shuffle->pass_wide;
    if (qn_slots_lacks(&home->tiny, tiny - tiny_now) || qn_slots_lacks(&home->wide, wide - wide_now))
        qn_table_make_room(home, tiny - tiny_now, wide - wide_now, 0,
                           home_bytes_max(shuffle)); /* or later, or spilled */
}

/* Rows that came in the order of tags, into home. */
static quern_status insert_sorted(qn_shuffle *shuffle, const qn_entry *entries, size_t count, qn_error *error)
{
    quern_status status = insert_home(shuffle, entries, count, error);
    if (count > 0)
        size_home_ahead(shuffle, entries[count - 1].key.tag);
    return status;
}

/* Rows that other ranks sent, into home. */
static quern_status receive_rows(void *user, const uint64_t *rows, uint64_t bytes, uint64_t row_count, qn_error *error)
{
    qn_shuffle *shuffle = user;
    uint32_t value_words = shuffle->config.reducer->value_words;
    bool by_address = shuffle->config.reducer->kind == QN_REDUCER_USER;
    qn_entry entries[CHUNK_COUNT];
    quern_status status = QUERN_OK;
    if (shuffle->discarding)
        return QUERN_OK;
    for (uint64_t done = 0; done < row_count && status == QUERN_OK;) {
        size_t count = 0;
        for (; count < CHUNK_COUNT && done + count < row_count; count++) {
            const uint64_t *value;
            uint64_t row_bytes = qn_row_decode(rows, bytes, value_words, &entries[count].key, &value);
            if (row_bytes == 0)
                return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "a shuffled record does not fit its block");
            entries[count].value = by_address ? (uint64_t)(uintptr_t)value : *value;
            rows += row_bytes / 8;
            bytes -= row_bytes;
        }
        status = insert_sorted(shuffle, entries, count, error);
        done += count;
    }
    return status;
}

void qn_shuffle_end(qn_shuffle *shuffle)
{
    if (shuffle->ended)
        return;
    shuffle->ended = true;
    note_table_bytes(shuffle);
    if (shuffle->outgoing.reducer && !shuffle->draining && !shuffle->discarding)
        start_drain(shuffle);
}

static void finish_drain(qn_shuffle *shuffle)
{
    if (!shuffle->own_kept)
        qn_table_clear(&shuffle->outgoing);
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
    const qn_key *key;
    const uint64_t *value;
    while ((key = qn_table_cursor_peek(cursor, &value))) {
        if (!qn_rounds_put(&shuffle->rounds, to, key, value))
            return true;
        qn_table_cursor_step(cursor);
    }
    return false;
}

/* Moves rows of the own range home: about as many as a round takes to another rank. False: the cursor is at its end. */
static quern_status move_home(qn_shuffle *shuffle, qn_table_cursor *cursor, bool *more_out, qn_error *error)
{
    uint32_t value_words = shuffle->config.reducer->value_words;
    bool by_address = shuffle->config.reducer->kind == QN_REDUCER_USER;
    qn_entry entries[CHUNK_COUNT];
    quern_status status = QUERN_OK;
    *more_out = true;
    for (size_t moved = 0; moved < shuffle->config.round_bytes / shuffle->config.comm->size && status == QUERN_OK;) {
        size_t count = 0;
        const qn_key *key = NULL;
        const uint64_t *value;
        while (count < CHUNK_COUNT && (key = qn_table_cursor_peek(cursor, &value))) {
            entries[count++] = (qn_entry){*key, by_address ? (uint64_t)(uintptr_t)value : *value};
            moved += qn_row_bytes(key, value_words);
            qn_table_cursor_step(cursor);
        }
        status = insert_sorted(shuffle, entries, count, error);
        *more_out = key != NULL;
        if (!key)
            break;
    }
    return status;
}

/* Moves rows from outgoing to the open chunks and home, once per round. */
static quern_status fill_chunks(qn_shuffle *shuffle, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint32_t to = 0; to < shuffle->config.comm->size && status == QUERN_OK; to++) {
        qn_table_cursor *cursor = &shuffle->cursors[to];
        bool more = true;
        if (!cursor->tiny.slots)
            continue;
        if (to == shuffle->config.comm->rank)
            status = move_home(shuffle, cursor, &more, error);
        else
            more = fill_chunk(shuffle, to);
        if (more) {
            qn_table_cursor_release(cursor);
            continue;
        }
        cursor->tiny.slots = NULL; /* at its end */
        shuffle->cursors_left--;
    }
    shuffle->filled = true;
    if (shuffle->cursors_left == 0)
        finish_drain(shuffle);
    return status;
}

/* Starts the next round if it is to take place, with what there is for it. */
static quern_status start_round(qn_shuffle *shuffle, uint64_t *ask_out, qn_error *error)
{
    qn_rounds *rounds = &shuffle->rounds;
    if (shuffle->draining && !shuffle->filled && qn_rounds_is_open(rounds)) {
        quern_status status = fill_chunks(shuffle, error);
        if (status != QUERN_OK)
            return status;
    }
    if (shuffle->filled && !qn_rounds_ask(rounds, ask_out))
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
    if (!shuffle->outgoing.reducer || qn_shuffle_is_over(shuffle))
        return QUERN_OK;
    quern_status status = qn_rounds_progress(&shuffle->rounds, error);
    if (status == QUERN_OK)
        status = start_round(shuffle, ask_out, error);
    return status;
}

void qn_shuffle_announce(qn_shuffle *shuffle, uint64_t round)
{
    if (shuffle->outgoing.reducer)
        qn_rounds_announce(&shuffle->rounds, round);
}

bool qn_shuffle_is_over(const qn_shuffle *shuffle)
{
    return shuffle->ended && (!shuffle->outgoing.reducer || qn_rounds_is_over(&shuffle->rounds));
}

quern_status qn_shuffle_result_open(qn_shuffle *shuffle, qn_error *error)
{
    QN_ASSERT(qn_shuffle_is_over(shuffle));
    note_table_bytes(shuffle);
    if (shuffle->merge_open)
        qn_merge_close(&shuffle->merge);
    shuffle->merge_open = false;
    const qn_slots *range = &shuffle->home.wide;
    qn_merge_table tables[] = {{&shuffle->home, 0, UINT64_MAX},
                               {&shuffle->outgoing, range->tag_first, range->tag_last}};
    quern_status status = qn_merge_open(&shuffle->merge, shuffle->config.reducer, &shuffle->spill, shuffle->runs,
                                        shuffle->run_count, tables, shuffle->own_kept ? 2 : 1, error);
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
