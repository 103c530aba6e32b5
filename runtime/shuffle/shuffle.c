/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/shuffle.h"

#include <stdlib.h>

#include "runtime/base/assert.h"

#define CHUNK_COUNT        QN_SLOTS_COMING_MAX /* records that are combined at once */
#define MOVE_COUNT         128                 /* rows that go into home at once */
#define FETCH_AHEAD        32                  /* slots whose long keys are on their way into the cache */
#define FORESIGHT_SHARE    0.04                /* of a drain must be done before it tells how many keys will come */
#define CHUNK_POOL_PART    16 /* keys routed at once are at most this part of the pool, unless one alone is more */
#define GROWTH_OF_TEXTS    1.8
#define FORESIGHT_DONE_MIN 2    /* tasks before the growth in keys is looked at */
#define UNSEEN_FACTOR_MAX  8.0  /* memory is not staked on more than that, */
#define SEEN_FACTOR_MAX    32.0 /* or that if the growth was seen */

static quern_status receive_rows(void *user, uint32_t from, const uint64_t *rows, uint64_t bytes, uint64_t row_count,
                                 qn_error *error);
static quern_status receive_records(void *user, uint32_t from, const uint64_t *records, uint64_t bytes,
                                    uint64_t record_count, qn_error *error);

uint64_t qn_shuffle_buffer_bytes(const qn_comm *comm, size_t round_bytes)
{
    return comm->size > 1 ? qn_rounds_bytes(comm, round_bytes) : 0;
}

static quern_status init_outgoing(qn_shuffle *shuffle, qn_error *error)
{
    const qn_shuffle_config *config = &shuffle->config;
    quern_status status = qn_drain_init(&shuffle->drain, config->comm->size, error);
    if (status != QUERN_OK)
        return status;
    shuffle->range_drained = calloc(config->comm->size, sizeof *shuffle->range_drained);
    if (!shuffle->range_drained)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the shuffle");
    status = qn_table_init(&shuffle->outgoing, config->reducer, 0, UINT64_MAX, config->pool_bytes / 2, error);
    if (status != QUERN_OK)
        return status;
    status = qn_rounds_init(&shuffle->rounds, config->comm, config->reducer->value_words, config->round_bytes,
                            receive_rows, shuffle, error);
    if (status == QUERN_OK)
        qn_rounds_accept_packed(&shuffle->rounds, receive_records);
    return status;
}

quern_status qn_shuffle_init(qn_shuffle *shuffle, const qn_shuffle_config *config, qn_error *error)
{
    uint32_t rank = config->comm->rank, size = config->comm->size;
    memset(shuffle, 0, sizeof *shuffle);
    shuffle->config = *config;
    qn_home_config home = {.reducer = config->reducer,
                           .schema = config->schema,
                           .tag_first = qn_range_first(rank, size),
                           .tag_last = qn_range_last(rank, size),
                           .pool_bytes = config->pool_bytes,
                           .block_bytes = config->block_bytes,
                           .scratch = config->scratch};
    qn_aside_watch_init(&shuffle->watch, config->aside_bytes_min);
    shuffle->layout = qn_piles_layout(config->reducer, &config->schema);
    quern_status status = qn_home_init(&shuffle->home, &home, error);
    if (status == QUERN_OK && size > 1)
        status = init_outgoing(shuffle, error);
    if (status == QUERN_OK)
        status = qn_router_init(&shuffle->router, config->comm, size > 1 ? &shuffle->rounds : NULL, error);
    if (status != QUERN_OK)
        qn_shuffle_fini(shuffle);
    return status;
}

void qn_shuffle_fini(qn_shuffle *shuffle)
{
    qn_home_fini(&shuffle->home);
    if (shuffle->outgoing.reducer)
        qn_table_fini(&shuffle->outgoing);
    if (shuffle->rounds.comm)
        qn_rounds_fini(&shuffle->rounds);
    qn_router_fini(&shuffle->router);
    qn_drain_fini(&shuffle->drain);
    free(shuffle->range_drained);
    shuffle->range_drained = NULL;
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
    uint64_t home_bytes = qn_home_get_bytes(&shuffle->home);
    uint64_t left = pool > home_bytes ? pool - home_bytes : 0;
    if (left > pool / 2)
        return pool / 2;
    return left > pool / 4 ? left : pool / 4;
}

static void note_bytes(qn_shuffle *shuffle)
{
    uint64_t bytes = qn_home_get_bytes(&shuffle->home);
    if (shuffle->outgoing.reducer)
        bytes += qn_table_get_bytes(&shuffle->outgoing);
    if (bytes > shuffle->stats.memory_bytes_peak)
        shuffle->stats.memory_bytes_peak = bytes;
}

static quern_status table_failed(const qn_shuffle *shuffle, qn_table_result result, const qn_table *table,
                                 qn_error *error)
{
    if (result == QN_TABLE_NO_MEMORY)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the table of a reduction");
    return qn_reducer_failed(shuffle->config.reducer, &table->failed_key, error);
}

static quern_status insert_home(qn_shuffle *shuffle, const qn_entry *entries, size_t count, qn_error *error)
{
    return qn_home_insert(&shuffle->home, entries, count, home_bytes_max(shuffle), error);
}

/* The own range of outgoing into home in one go, if that is empty and has room for it. */
static quern_status move_own_range(qn_shuffle *shuffle, qn_error *error)
{
    uint32_t rank = shuffle->config.comm->rank, size = shuffle->config.comm->size;
    if (qn_table_get_count(&shuffle->home.table) > 0)
        return QUERN_OK;
    qn_table_result result = qn_table_move(&shuffle->home.table, &shuffle->outgoing, qn_range_first(rank, size),
                                           qn_range_last(rank, size), home_bytes_max(shuffle));
    if (result == QN_TABLE_NO_MEMORY)
        return table_failed(shuffle, result, &shuffle->home.table, error);
    if (result == QN_TABLE_OK) {
        shuffle->home.records_owned += qn_table_get_count(&shuffle->home.table);
        shuffle->lent = true;
        qn_drain_skip(&shuffle->drain, rank);
        shuffle->range_drained[rank] = true;
        shuffle->ranges_left--;
    }
    return QUERN_OK;
}

static quern_status start_drain(qn_shuffle *shuffle, qn_error *error)
{
    uint32_t size = shuffle->config.comm->size;
    note_bytes(shuffle);
    qn_drain_start(&shuffle->drain, &shuffle->outgoing);
    memset(shuffle->range_drained, 0, size * sizeof *shuffle->range_drained);
    shuffle->ranges_left = size;
    shuffle->draining = true;
    shuffle->filled = false;
    quern_status status = shuffle->ended && !shuffle->rests ? move_own_range(shuffle, error) : QUERN_OK;
    shuffle->home_count_before = qn_table_get_count(&shuffle->home.table);
    return status;
}

static bool may_step_aside(const qn_shuffle *shuffle, const quern_block *block, size_t i)
{
    return qn_piles_takes(&shuffle->layout, block->key_bytes[i], block->value ? block->value_bytes[i] : 0);
}

/* How many of the records from `from` on go the same way as the first of them, uncombined or not: *aside_out. */
static size_t alike(const qn_shuffle *shuffle, const quern_block *block, size_t from, bool *aside_out)
{
    size_t count = block->count - from < CHUNK_COUNT ? block->count - from : CHUNK_COUNT;
    *aside_out = shuffle->watch.is_aside && may_step_aside(shuffle, block, from);
    if (!shuffle->watch.is_aside || (!shuffle->layout.key_varies && !shuffle->layout.value_varies))
        return count;
    for (size_t i = 1; i < count; i++)
        if (may_step_aside(shuffle, block, from + i) != *aside_out)
            return i;
    return count;
}

/* How many of so many records are combined at once: few enough that their long keys are a small part of the pool. */
static size_t chunk_of(const qn_shuffle *shuffle, const quern_block *block, size_t from, size_t count)
{
    uint64_t key_bytes = 0;
    for (size_t i = from; i < from + count; i++)
        key_bytes += block->key_bytes[i];
    return QN_LIKELY(key_bytes <= shuffle->config.pool_bytes / CHUNK_POOL_PART) ? count : 1;
}

static uint64_t content_bytes(const qn_table *table)
{
    return table->tiny.used_count * table->tiny.stride + table->wide.used_count * table->wide.stride;
}

/* Combines a chunk into outgoing. *done_out false: that has to be drained first. */
static quern_status insert_outgoing(qn_shuffle *shuffle, const quern_block *block, const qn_classified *chunk,
                                    bool *done_out, qn_error *error)
{
    qn_table *table = &shuffle->outgoing;
    size_t tiny = chunk->count[QN_CLASS_TINY], wide = chunk->count[QN_CLASS_SHORT] + chunk->count[QN_CLASS_LONG];
    qn_table_result result = qn_table_make_room(table, tiny, wide, chunk->long_bytes, outgoing_bytes_max(shuffle));
    *done_out = result == QN_TABLE_OK;
    if (result == QN_TABLE_FULL)
        return start_drain(shuffle, error);
    uint64_t keys_before = qn_table_get_count(table);
    if (result == QN_TABLE_OK)
        result = qn_table_insert_block(table, block, shuffle->config.schema.key, chunk);
    if (QN_UNLIKELY(result != QN_TABLE_OK))
        return table_failed(shuffle, result, table, error);
    shuffle->stats.merged += tiny + wide - (qn_table_get_count(table) - keys_before);
    return QUERN_OK;
}

/* Combines records [*next, *next + count) of a block where they are, and watches whether that pays. */
static quern_status insert_combined(qn_shuffle *shuffle, const quern_block *block, size_t *next, size_t count,
                                    qn_error *error)
{
    qn_table *table = shuffle->outgoing.reducer ? &shuffle->outgoing : &shuffle->home.table;
    qn_classified chunk;
    bool done = true;
    uint64_t keys_before = qn_table_get_count(table);
    count = chunk_of(shuffle, block, *next, count);
    qn_table_classify(block, shuffle->config.schema.key, *next, count, &chunk);
    quern_status status = shuffle->outgoing.reducer
                              ? insert_outgoing(shuffle, block, &chunk, &done, error)
                              : qn_home_insert_block(&shuffle->home, block, &chunk, home_bytes_max(shuffle), error);
    if (status != QUERN_OK || !done)
        return status;
    *next += count;
    shuffle->stats.records_in += count;
    uint64_t keys_now = qn_table_get_count(table), fresh = keys_now > keys_before ? keys_now - keys_before : 0;
    bool steps = !shuffle->watch.is_aside && qn_aside_see(&shuffle->watch, count, count - fresh, content_bytes(table));
    return steps && shuffle->outgoing.reducer ? start_drain(shuffle, error) : QUERN_OK;
}

/* Sends records [*next, *next + count) of a block as they are. */
static quern_status insert_aside(qn_shuffle *shuffle, const quern_block *block, size_t *next, size_t count,
                                 qn_error *error)
{
    qn_classified chunk;
    uint64_t tags[CHUNK_COUNT];
    size_t done = 0;
    quern_status status = qn_home_open_piles(&shuffle->home, error);
    if (status != QUERN_OK)
        return status;
    qn_piles *piles = &shuffle->home.piles;
    uint64_t records_before = piles->record_count;
    qn_table_classify(block, shuffle->config.schema.key, *next, count, &chunk);
    qn_piles_hash(shuffle->config.schema.key, block, &chunk, *next, tags);
    status = qn_router_send(&shuffle->router, piles, block, *next, count, tags, &done, error);
    if (status != QUERN_OK)
        return status;
    *next += done;
    shuffle->stats.records_in += done;
    shuffle->stats.records_aside += done;
    qn_aside_count(&shuffle->watch, done);
    shuffle->wanting |= qn_router_is_half_full(&shuffle->router);
    if (done < count) {
        qn_router_close(&shuffle->router);
        shuffle->waiting = true;
        shuffle->full = qn_rounds_is_open(&shuffle->rounds);
    }
    return qn_home_count_records(&shuffle->home, piles->record_count - records_before, home_bytes_max(shuffle), error);
}

quern_status qn_shuffle_insert(qn_shuffle *shuffle, const qn_batch *batch, size_t *next, qn_error *error)
{
    QN_ASSERT(!shuffle->ended);
    quern_status status = QUERN_OK;
    while (*next < batch->block.count && !qn_shuffle_is_blocked(shuffle) && status == QUERN_OK) {
        bool aside = false;
        size_t count = alike(shuffle, &batch->block, *next, &aside);
        status = aside ? insert_aside(shuffle, &batch->block, next, count, error)
                       : insert_combined(shuffle, &batch->block, next, count, error);
    }
    return status;
}

static double between(double number, double least, double most)
{
    return number < least ? least : number > most ? most : number;
}

/* Looks how many times as many keys there are, whenever the input that was seen has doubled. */
static void see_growth(qn_foresight *foresight, uint64_t done, uint64_t key_count)
{
    if (done < 2 * foresight->done || done == 0)
        return;
    if (foresight->done >= FORESIGHT_DONE_MIN && foresight->key_count > 0) {
        double before = foresight->growth;
        foresight->growth = between((double)key_count / (double)foresight->key_count, 1, 2);
        foresight->decline = before > 1 ? between((foresight->growth - 1) / (before - 1), 0, 1) : 1;
    }
    foresight->done = done;
    foresight->key_count = key_count;
}

/* How many times as many keys there will be when so many times as much input was seen, `most` times at most. With texts each doubling
 * brings as many times more as the one before; with a set of keys that comes to its end the growth falls, and ever faster. */
static double foresee_factor(const qn_foresight *foresight, double input_factor, double most)
{
    double factor = 1, gain = foresight->growth > 0 ? foresight->growth - 1 : GROWTH_OF_TEXTS - 1, decline = 1;
    for (double left = input_factor; left > 1 && factor < most; left /= 2) {
        decline *= foresight->growth > 0 ? foresight->decline : 1;
        gain *= decline;
        factor *= 1 + (left > 2 ? gain : gain * (left - 1));
    }
    return factor < most ? factor : most;
}

void qn_shuffle_foresee(qn_shuffle *shuffle, uint64_t done, uint64_t all)
{
    qn_table *table = shuffle->outgoing.reducer ? &shuffle->outgoing : &shuffle->home.table;
    see_growth(&shuffle->foresight, done, qn_table_get_count(table));
    double most = shuffle->foresight.growth > 0 ? SEEN_FACTOR_MAX : UNSEEN_FACTOR_MAX;
    double factor = foresee_factor(&shuffle->foresight, (double)all / (double)(done + 1), most);
    qn_table_expect(table, (uint32_t)(100 * factor));
}

/* Rows that other ranks sent, into home. */
static quern_status receive_rows(void *user, uint32_t from, const uint64_t *rows, uint64_t bytes, uint64_t row_count,
                                 qn_error *error)
{
    qn_shuffle *shuffle = user;
    (void)from;
    uint32_t value_words = shuffle->config.reducer->value_words;
    bool by_address = qn_reducer_by_address(shuffle->config.reducer);
    qn_entry entries[MOVE_COUNT];
    quern_status status = QUERN_OK;
    if (shuffle->discarding)
        return QUERN_OK;
    for (uint64_t done = 0; done < row_count && status == QUERN_OK;) {
        size_t count = 0;
        for (; count < MOVE_COUNT && done + count < row_count; count++) {
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

/* Records that other ranks sent as they were, into the piles. */
static quern_status receive_records(void *user, uint32_t from, const uint64_t *records, uint64_t bytes,
                                    uint64_t record_count, qn_error *error)
{
    qn_shuffle *shuffle = user;
    (void)from;
    if (shuffle->discarding)
        return QUERN_OK;
    quern_status status = qn_home_open_piles(&shuffle->home, error);
    if (status == QUERN_OK)
        status = qn_piles_add_packed(&shuffle->home.piles, (const uint8_t *)records, bytes, record_count, error);
    if (status != QUERN_OK)
        return status;
    return qn_home_count_records(&shuffle->home, record_count, home_bytes_max(shuffle), error);
}

quern_status qn_shuffle_end(qn_shuffle *shuffle, qn_error *error)
{
    if (shuffle->ended)
        return QUERN_OK;
    shuffle->ended = true;
    note_bytes(shuffle);
    if (shuffle->outgoing.reducer && !shuffle->draining && !shuffle->discarding)
        return start_drain(shuffle, error);
    return QUERN_OK;
}

quern_status qn_shuffle_rest(qn_shuffle *shuffle, qn_error *error)
{
    shuffle->rests = true;
    return qn_shuffle_end(shuffle, error);
}

void qn_shuffle_reopen(qn_shuffle *shuffle)
{
    QN_ASSERT(shuffle->rests && qn_shuffle_is_over(shuffle));
    shuffle->ended = shuffle->rests = false;
    if (shuffle->outgoing.reducer)
        qn_rounds_reopen(&shuffle->rounds);
}

static void finish_drain(qn_shuffle *shuffle)
{
    if (shuffle->lent)
        qn_table_clear_slots(&shuffle->outgoing);
    else
        qn_table_clear(&shuffle->outgoing);
    shuffle->draining = false;
    shuffle->ranges_left = 0;
}

void qn_shuffle_discard(qn_shuffle *shuffle)
{
    shuffle->discarding = true;
    shuffle->waiting = false;
    if (shuffle->draining)
        finish_drain(shuffle);
    shuffle->ended = true;
}

/* The key of a slot; of a tiny one only the tag. */
static inline __attribute__((always_inline)) qn_key key_of_slot(const uint64_t *slot, bool tiny)
{
    return tiny ? (qn_key){.tag = slot[0]} : (qn_key){slot[0], slot[1], slot[2]};
}

/* Fetches the long keys of slots, from the first on. */
static void fetch_keys(const uint64_t *const *slots, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (QN_TAG_CODE(*slots[i]) == QN_TAG_LONG)
            qn_key_fetch(slots[i][1], slots[i][2]);
}

/* Puts rows of these slots into the chunk for a rank as far as it has room. Returns how many. */
static size_t add_rows(qn_shuffle *shuffle, uint32_t to, const uint64_t *const *slots, size_t count, bool tiny)
{
    uint64_t wide[QN_TABLE_NARROW_WORDS];
    uint32_t value_words = shuffle->config.reducer->value_words;
    qn_rounds_chunk chunk = qn_rounds_open_chunk(&shuffle->rounds, to);
    size_t done = 0, fetched = tiny ? count : 0;
    for (; done < count; done++) {
        if (done + FETCH_AHEAD / 2 > fetched && fetched < count) {
            size_t more = count - fetched < FETCH_AHEAD / 2 ? count - fetched : FETCH_AHEAD / 2;
            fetch_keys(slots + fetched, more);
            fetched += more;
        }
        qn_key key = key_of_slot(slots[done], tiny);
        if (!qn_rounds_chunk_add(&chunk, &key, qn_table_get_value(&shuffle->outgoing, slots[done], tiny, wide),
                                 value_words))
            break;
    }
    qn_rounds_close_chunk(&shuffle->rounds, to, &chunk);
    return done;
}

/* Puts rows for one rank in its chunk until it is full. False: there are no more. */
static bool fill_chunk(qn_shuffle *shuffle, uint32_t to)
{
    qn_table_scan *scan = &shuffle->drain.ranges[to].scan;
    const uint64_t *slots[CHUNK_COUNT + 1];
    uint64_t wide[QN_TABLE_NARROW_WORDS];
    for (size_t count; (count = qn_drain_take(&shuffle->drain, to, slots, CHUNK_COUNT)) > 0;) {
        size_t done = add_rows(shuffle, to, slots, count, scan->tiny_left);
        if (done == count)
            continue;
        /* No room for it: or it needs a chunk of its own, or several. */
        qn_key key = key_of_slot(slots[done], scan->tiny_left);
        if (qn_rounds_put(&shuffle->rounds, to, &key, qn_table_scan_value(scan, slots[done], wide)))
            done++;
        if (done < count)
            qn_table_scan_return(scan, slots[done]);
        return true;
    }
    return false;
}

/* Moves rows of the own range home: about as many as a round takes to another rank. *more_out false: there are no more. */
static quern_status move_home(qn_shuffle *shuffle, bool *more_out, qn_error *error)
{
    uint32_t value_words = shuffle->config.reducer->value_words, own = shuffle->config.comm->rank;
    bool by_address = qn_reducer_by_address(shuffle->config.reducer);
    qn_table_scan *scan = &shuffle->drain.ranges[own].scan;
    const uint64_t *slots[MOVE_COUNT + 1];
    qn_entry entries[MOVE_COUNT];
    uint64_t wide[MOVE_COUNT][QN_TABLE_NARROW_WORDS];
    quern_status status = QUERN_OK;
    *more_out = true;
    for (size_t moved = 0; moved < shuffle->config.round_bytes / shuffle->config.comm->size && status == QUERN_OK;) {
        size_t count = qn_drain_take(&shuffle->drain, own, slots, MOVE_COUNT);
        *more_out = count > 0;
        if (count == 0)
            break;
        fetch_keys(slots, scan->tiny_left ? 0 : count);
        for (size_t i = 0; i < count; i++) {
            const uint64_t *value = qn_table_scan_value(scan, slots[i], wide[i]);
            entries[i] =
                (qn_entry){key_of_slot(slots[i], scan->tiny_left), by_address ? (uint64_t)(uintptr_t)value : *value};
            moved += qn_row_bytes(&entries[i].key, value_words);
        }
        status = insert_home(shuffle, entries, count, error);
    }
    return status;
}

/* All ranks drain at about the same pace, and no window is special: so what came to home tells what will still come. */
static void foresee_home(qn_shuffle *shuffle)
{
    uint64_t before = shuffle->home_count_before, now = qn_table_get_count(&shuffle->home.table);
    double share = qn_drain_get_share(&shuffle->drain);
    if (share < FORESIGHT_SHARE || now <= before)
        return;
    double coming = (double)(now - before) * (1 - share) / share;
    qn_table_expect(&shuffle->home.table, (uint32_t)(100 * (1 + coming / (double)now)));
}

/* Moves rows from outgoing to the open chunks and home, once per round. */
static quern_status fill_chunks(qn_shuffle *shuffle, qn_error *error)
{
    quern_status status = QUERN_OK;
    qn_router_close(&shuffle->router);
    for (uint32_t to = 0; to < shuffle->config.comm->size && status == QUERN_OK; to++) {
        bool more = true;
        if (shuffle->range_drained[to])
            continue;
        if (to == shuffle->config.comm->rank)
            status = move_home(shuffle, &more, error);
        else
            more = fill_chunk(shuffle, to);
        shuffle->range_drained[to] = !more;
        shuffle->ranges_left -= !more;
    }
    foresee_home(shuffle);
    shuffle->filled = true;
    if (shuffle->ranges_left == 0)
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
    if (shuffle->waiting && !shuffle->full && qn_rounds_is_open(rounds))
        shuffle->waiting = false;
    if ((shuffle->filled || shuffle->waiting || shuffle->wanting) && !qn_rounds_ask(rounds, ask_out))
        *ask_out = UINT64_MAX;
    if (!qn_rounds_can_start(rounds))
        return QUERN_OK;
    qn_router_close(&shuffle->router);
    shuffle->waiting = shuffle->wanting = false;
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

quern_status qn_shuffle_restore(qn_shuffle *shuffle, const qn_key *key, const uint64_t *value, qn_error *error)
{
    const qn_home_config *own = &shuffle->home.config;
    bool by_address = qn_reducer_by_address(shuffle->config.reducer);
    qn_entry entry = {*key, by_address ? (uint64_t)(uintptr_t)value : *value};
    if (key->tag < own->tag_first || key->tag > own->tag_last)
        return QUERN_OK;
    shuffle->stats.rows_restored++;
    return insert_home(shuffle, &entry, 1, error);
}

void qn_shuffle_end_restored(qn_shuffle *shuffle)
{
    shuffle->ended = true;
    if (shuffle->outgoing.reducer)
        qn_rounds_skip(&shuffle->rounds);
}

quern_status qn_shuffle_finish(qn_shuffle *shuffle, qn_error *error)
{
    QN_ASSERT(qn_shuffle_is_over(shuffle));
    note_bytes(shuffle);
    return qn_home_finish(&shuffle->home, error);
}

void qn_shuffle_retire(qn_shuffle *shuffle)
{
    QN_ASSERT(qn_shuffle_is_over(shuffle));
    qn_home_result_close(&shuffle->home);
    if (shuffle->rounds.comm)
        qn_rounds_fini(&shuffle->rounds);
    if (shuffle->outgoing.reducer && !shuffle->lent)
        qn_table_fini(&shuffle->outgoing);
}

uint64_t qn_shuffle_get_memory_bytes(const qn_shuffle *shuffle)
{
    uint64_t bytes = qn_home_get_bytes(&shuffle->home) + shuffle->home.run_count * shuffle->config.block_bytes;
    return shuffle->outgoing.reducer ? bytes + qn_table_get_bytes(&shuffle->outgoing) : bytes;
}

quern_status qn_shuffle_shrink(qn_shuffle *shuffle, qn_error *error)
{
    bool shrunk = false;
    quern_status status = qn_home_shrink(&shuffle->home, &shrunk, error);
    if (!shrunk)
        return status;
    if (shuffle->outgoing.reducer)
        qn_table_fini(&shuffle->outgoing); /* what it lent is not needed any more */
    shuffle->lent = false;
    return QUERN_OK;
}
