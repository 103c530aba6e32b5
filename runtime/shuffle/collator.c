/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/collator.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/pages.h"
#include "runtime/shuffle/sample_bytes.h"

#define HELD_BYTES_MAX   ((uint64_t)64 << 20) /* enough for a good sample */
#define HELD_POOL_PART   4
#define LONG_WAIT_NS     2000000 /* of others who do not come */
#define SAMPLE_COUNT_MAX 4096    /* of a rank */
#define SAMPLE_COUNT_MIN 32
#define SAMPLES_MAX      65536                /* of all ranks, about: every rank sorts them */
#define GOLDEN_TURN      UINT32_C(2654435769) /* of 2^32: turns are spread evenly, and with no period */

static quern_status receive(void *user, uint32_t from, const uint64_t *rows, uint64_t bytes, uint64_t row_count,
                            qn_error *error);

static uint32_t size_of(const qn_collator *collator)
{
    return collator->config.comm->size;
}

static uint64_t choose_held_bytes(const qn_collator_config *config)
{
    if (config->comm->size == 1 || config->like)
        return 0;
    uint64_t part = config->pool_bytes / HELD_POOL_PART;
    return part < HELD_BYTES_MAX ? part : HELD_BYTES_MAX;
}

static quern_status init_exchange(qn_collator *collator, qn_error *error)
{
    const qn_collator_config *config = &collator->config;
    collator->samples = calloc(size_of(collator), sizeof *collator->samples);
    collator->chunks = calloc(size_of(collator), sizeof *collator->chunks);
    collator->held = qn_pages_reserve(collator->held_bytes_max, collator->held_bytes_max >= HELD_BYTES_MAX);
    if (!collator->samples || !collator->chunks || !collator->held)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a shuffle");
    quern_status status =
        qn_rounds_init(&collator->rounds, config->comm, QN_BLOCK_PACKED, config->round_bytes, receive, collator, error);
    collator->half_chunk_bytes = collator->rounds.exchanges[0].stride / 2;
    if (status == QUERN_OK && config->like) {
        status = qn_splitters_init_like(&collator->splitters, &config->like->splitters, &config->collation, error);
        collator->sampled = collator->divided = true;
    }
    return status;
}

quern_status qn_collator_init(qn_collator *collator, const qn_collator_config *config, qn_error *error)
{
    *collator = (qn_collator){.config = *config, .held_bytes_max = choose_held_bytes(config)};
    qn_sorter_config sorted = {.collation = &collator->config.collation,
                               .pool_bytes = config->pool_bytes - collator->held_bytes_max,
                               .block_bytes = config->block_bytes,
                               .scratch = config->scratch};
    quern_status status = qn_sorter_create(&collator->sorter, &sorted, error);
    if (status == QUERN_OK && config->comm->size > 1)
        status = init_exchange(collator, error);
    if (status != QUERN_OK)
        qn_collator_fini(collator);
    return status;
}

static void free_held(qn_collator *collator)
{
    qn_pages_unreserve(collator->held, collator->held_bytes_max);
    collator->held = NULL;
    collator->held_bytes = collator->routed_bytes = 0;
}

static void free_samples(qn_collator *collator)
{
    for (uint32_t rank = 0; collator->samples && rank < size_of(collator); rank++)
        free((void *)(uintptr_t)collator->samples[rank].packed);
    free(collator->samples);
    collator->samples = NULL;
}

void qn_collator_fini(qn_collator *collator)
{
    free_samples(collator);
    free(collator->chunks);
    free(collator->line);
    free_held(collator);
    qn_splitters_fini(&collator->splitters);
    if (collator->rounds.comm)
        qn_rounds_fini(&collator->rounds);
    qn_sorter_destroy(collator->sorter);
    qn_pieces_destroy(collator->pieces);
    *collator = (qn_collator){0};
}

/* ---- records on their way ---- */

static void open_chunks(qn_collator *collator)
{
    for (uint32_t rank = 0; rank < size_of(collator); rank++)
        collator->chunks[rank] = qn_rounds_open_chunk(&collator->rounds, rank);
    collator->chunks_open = true;
    collator->chunks_away = !qn_rounds_is_open(&collator->rounds);
}

static void close_chunks(qn_collator *collator)
{
    for (uint32_t rank = 0; collator->chunks_open && rank < size_of(collator); rank++)
        qn_rounds_close_chunk(&collator->rounds, rank, &collator->chunks[rank]);
    collator->chunks_open = collator->chunks_away = false;
}

/* Chunks that were away are here: there is room in them. */
static bool take_chunks_back(qn_collator *collator)
{
    if (!collator->chunks_away || !qn_rounds_is_open(&collator->rounds))
        return false;
    close_chunks(collator);
    return true;
}

/* Room for a packed record on its way. NULL: no memory. */
static uint8_t *make_line(qn_collator *collator, uint64_t bytes, qn_error *error)
{
    if (QN_LIKELY(bytes <= collator->line_bytes_max))
        return collator->line;
    uint8_t *line = realloc(collator->line, bytes + QN_SLACK_BYTES);
    if (!line) {
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a record of %llu bytes",
                     (unsigned long long)bytes);
        return NULL;
    }
    collator->line = line;
    collator->line_bytes_max = bytes;
    return line;
}

static quern_status append_home(qn_collator *collator, const qn_packed *record, uint64_t bytes, qn_error *error)
{
    uint8_t *line = make_line(collator, bytes, error);
    if (!line)
        return error->status;
    qn_packed_encode(&collator->config.collation.layout, record, line);
    return qn_sorter_append(collator->sorter, record, line, bytes, error);
}

/* A record that a chunk can never hold, piece by piece. It is packed once, since the pieces may be thousands. */
static quern_status send_giant(qn_collator *collator, uint32_t to, const qn_packed *record, uint64_t bytes,
                               bool *done_out, qn_error *error)
{
    if (!make_line(collator, bytes, error))
        return error->status;
    close_chunks(collator);
    if (!collator->lined)
        qn_packed_encode(&collator->config.collation.layout, record, collator->line);
    collator->lined = true;
    *done_out = qn_rounds_put_packed(&collator->rounds, to, collator->line, bytes);
    collator->chunks_away = !qn_rounds_is_open(&collator->rounds);
    return QUERN_OK;
}

/* What a large record took is not counted, so it is given back. */
static void end_record(qn_collator *collator)
{
    collator->under_way = false;
    if (!collator->lined)
        return;
    free(collator->line);
    collator->line = NULL;
    collator->line_bytes_max = 0;
    collator->lined = false;
}

/* *done_out false: there is no room before the next round. */
static quern_status send_record(qn_collator *collator, uint32_t to, const qn_packed *record, uint64_t bytes,
                                bool *done_out, qn_error *error)
{
    if (QN_UNLIKELY(!collator->chunks_open))
        open_chunks(collator);
    qn_rounds_chunk *chunk = &collator->chunks[to];
    if (QN_UNLIKELY(bytes > chunk->left_bytes)) {
        if (qn_rounds_is_giant(&collator->rounds, bytes))
            return send_giant(collator, to, record, bytes, done_out, error);
        *done_out = false;
        return QUERN_OK;
    }
    qn_packed_encode(&collator->config.collation.layout, record, chunk->next);
    chunk->next += bytes;
    chunk->left_bytes -= bytes;
    chunk->row_count++;
    collator->filling |= chunk->left_bytes < collator->half_chunk_bytes;
    *done_out = true;
    return QUERN_OK;
}

/* To every rank that it belongs to. *done_out false: call again with the same record after the next round has started. */
static quern_status route(qn_collator *collator, const qn_packed *record, uint64_t bytes, bool *done_out,
                          qn_error *error)
{
    quern_status status = QUERN_OK;
    if (!collator->under_way) {
        qn_splitters_route(&collator->splitters, record, &collator->to_rank, &collator->last_rank);
        collator->copies += collator->last_rank - collator->to_rank;
        collator->under_way = true;
        collator->moving = *record;
    }
    for (*done_out = true; collator->to_rank <= collator->last_rank && status == QUERN_OK; collator->to_rank++) {
        if (collator->to_rank == collator->config.comm->rank)
            status = append_home(collator, record, bytes, error);
        else
            status = send_record(collator, collator->to_rank, record, bytes, done_out, error);
        if (!*done_out)
            return status;
    }
    end_record(collator);
    return status;
}

/* Routes held records as far as there is room. */
static quern_status route_held(qn_collator *collator, qn_error *error)
{
    quern_status status = QUERN_OK;
    collator->waiting = false;
    while (collator->routed_bytes < collator->held_bytes && status == QUERN_OK && !collator->waiting) {
        qn_packed record;
        bool done = true;
        uint64_t bytes = qn_packed_decode(&collator->config.collation.layout, collator->held + collator->routed_bytes,
                                          collator->held_bytes - collator->routed_bytes, &record);
        QN_ASSERT(bytes > 0);
        status = route(collator, &record, bytes, &done, error);
        collator->waiting = !done;
        collator->routed_bytes += done ? bytes : 0;
    }
    if (collator->routed_bytes == collator->held_bytes)
        free_held(collator);
    return status;
}

/* ---- inserting ---- */

static qn_packed record_of(const qn_collator *collator, const qn_batch *batch, size_t i, uint32_t input)
{
    const qn_layout *layout = &collator->config.collation.layout;
    const quern_block *block = &batch->block;
    qn_packed record = {.key = block->key[i], .key_bytes = block->key_bytes[i], .value = (const uint8_t *)""};
    record.side = layout->has_side && input == collator->config.outer_input ? QN_SIDE_OUTER : QN_SIDE_INNER;
    if (block->value) {
        record.value = block->value[i];
        record.value_bytes = block->value_bytes[i];
    }
    record.prefix = layout->has_tag ? qn_key_of(record.key, record.key_bytes).tag
                                    : qn_order_prefix(layout->key_type, record.key, record.key_bytes);
    return record;
}

/* Before the cuts are known. *done_out false: no more can be held. */
static bool hold(qn_collator *collator, const qn_packed *record, uint64_t bytes)
{
    if (bytes > collator->held_bytes_max - collator->held_bytes)
        return false;
    qn_packed_encode(&collator->config.collation.layout, record, collator->held + collator->held_bytes);
    collator->held_bytes += bytes;
    collator->held_count++;
    return true;
}

static bool is_alone(const qn_collator *collator)
{
    return size_of(collator) == 1;
}

quern_status qn_collator_insert(qn_collator *collator, const qn_batch *batch, uint32_t input, size_t *next,
                                qn_error *error)
{
    QN_ASSERT(!collator->ended);
    quern_status status = QUERN_OK;
    const qn_layout *layout = &collator->config.collation.layout;
    collator->waiting = collator->held_bytes > 0 && collator->divided; /* those come first */
    while (*next < batch->block.count && status == QUERN_OK && !collator->waiting) {
        qn_packed record = collator->under_way ? collator->moving : record_of(collator, batch, *next, input);
        uint64_t bytes = qn_packed_bytes(layout, record.key_bytes, record.value_bytes);
        bool done = true;
        if (is_alone(collator))
            status = append_home(collator, &record, bytes, error);
        else if (!collator->divided)
            done = !collator->holds_sample && hold(collator, &record, bytes);
        else
            status = route(collator, &record, bytes, &done, error);
        collator->waiting = !done;
        *next += done;
        collator->records_in += done;
    }
    return status;
}

void qn_collator_note_task(qn_collator *collator, uint64_t done_bytes, uint64_t task_bytes)
{
    if (done_bytes == 0)
        collator->task_first_record = collator->records_in;
    collator->task_done_bytes = done_bytes;
    collator->task_bytes = task_bytes;
}

quern_status qn_collator_end(qn_collator *collator, qn_error *error)
{
    (void)error;
    collator->ended = true;
    return QUERN_OK;
}

void qn_collator_rest(qn_collator *collator, bool has_rounds)
{
    QN_ASSERT(!collator->config.like);
    collator->ended = collator->rests = true;
    if (has_rounds || is_alone(collator))
        return;
    QN_ASSERT(collator->rounds.started == 0);
    qn_rounds_skip(&collator->rounds);
}

void qn_collator_reopen(qn_collator *collator)
{
    QN_ASSERT(collator->rests && qn_collator_is_over(collator));
    collator->ended = collator->rests = false;
    collator->waits_since_ns = 0;
    if (!is_alone(collator))
        qn_rounds_reopen(&collator->rounds);
}

void qn_collator_discard(qn_collator *collator)
{
    collator->discarding = collator->ended = true;
    collator->waiting = false;
    if (collator->held)
        free_held(collator);
}

/* ---- samples ---- */

/* The held record at *at, cut short; moves *at. */
static qn_packed next_held(const qn_collator *collator, uint64_t *at, qn_sample_bytes limits, uint64_t *bytes_out)
{
    const qn_collation *collation = &collator->config.collation;
    qn_packed record;
    *at += qn_packed_decode(&collation->layout, collator->held + *at, collator->held_bytes - *at, &record);
    record = qn_sample_cut_short(collation, record, limits);
    *bytes_out = qn_packed_bytes(&collation->layout, record.key_bytes, record.value_bytes);
    return record;
}

/* One record of so many is sampled: as many as are wanted, and no more than have room, so that the sample is of all that is held. */
static uint64_t choose_step(const qn_collator *collator, qn_sample_bytes limits, uint64_t room_bytes)
{
    uint64_t count_max = SAMPLES_MAX / size_of(collator), all_bytes = 0;
    count_max = count_max < SAMPLE_COUNT_MIN   ? SAMPLE_COUNT_MIN
                : count_max > SAMPLE_COUNT_MAX ? SAMPLE_COUNT_MAX
                                               : count_max;
    for (uint64_t at = 0, bytes; at < collator->held_bytes; all_bytes += bytes)
        next_held(collator, &at, limits, &bytes);
    uint64_t step = 1 + collator->held_count / count_max, by_room = 1 + all_bytes / (room_bytes + 1);
    return step > by_room ? step : by_room;
}

/* One of each `step` held records, anywhere among these: the input may have a period. */
static void fill_sample(const qn_collator *collator, qn_rounds_chunk *chunk)
{
    const qn_layout *layout = &collator->config.collation.layout;
    const uint64_t room_bytes = chunk->left_bytes;
    const qn_sample_bytes limits = qn_sample_bytes_choose(&collator->config.collation, collator->held,
                                                          collator->held_bytes, collator->held_count, room_bytes);
    const uint64_t step = choose_step(collator, limits, room_bytes);
    uint64_t chosen = 0, number = 0, bytes;
    uint32_t turn = collator->config.comm->rank;
    for (uint64_t at = 0; at < collator->held_bytes; number++) {
        qn_packed record = next_held(collator, &at, limits, &bytes);
        if (number % step == 0) {
            turn += GOLDEN_TURN;
            chosen = number + (uint64_t)turn * step / ((uint64_t)UINT32_MAX + 1);
        }
        if (number != chosen || bytes > chunk->left_bytes)
            continue; /* one that is smaller may follow */
        qn_packed_encode(layout, &record, chunk->next);
        chunk->next += bytes;
        chunk->left_bytes -= bytes;
        chunk->row_count++;
    }
}

/* What is held, and as much more as the present task will give if it goes on so. */
static uint64_t count_to_come(const qn_collator *collator)
{
    uint64_t of_task = collator->records_in - collator->task_first_record, done_bytes = collator->task_done_bytes;
    if (done_bytes == 0 || done_bytes >= collator->task_bytes)
        return collator->held_count;
    double share = (double)(collator->task_bytes - done_bytes) / (double)done_bytes;
    return collator->held_count + (uint64_t)((double)of_task * share);
}

/* The same sample to every rank: how many records it stands for, and then some of them. */
static void put_samples(qn_collator *collator)
{
    open_chunks(collator);
    qn_rounds_chunk *first = &collator->chunks[0];
    const uint8_t *begin = first->next;
    uint64_t count = collator->holds_sample ? collator->expected_count : count_to_come(collator);
    qn_rounds_chunk_add_packed(first, &count, sizeof count);
    fill_sample(collator, first);
    uint64_t bytes = (uint64_t)(first->next - begin);
    for (uint32_t rank = 1; rank < size_of(collator); rank++) {
        bool fits = qn_rounds_chunk_add_packed(&collator->chunks[rank], begin, bytes);
        QN_ASSERT(fits); /* all chunks are empty and of one size */
        collator->chunks[rank].row_count = first->row_count;
    }
    close_chunks(collator);
}

static quern_status keep_sample(qn_collator *collator, uint32_t from, const uint8_t *block, uint64_t bytes,
                                qn_error *error)
{
    qn_rank_sample *sample = &collator->samples[from];
    if (bytes < sizeof sample->record_count || sample->packed)
        return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "a sample of rank %u does not fit its block", from);
    memcpy(&sample->record_count, block, sizeof sample->record_count);
    sample->bytes = bytes - sizeof sample->record_count;
    uint8_t *copy = malloc(sample->bytes + QN_SLACK_BYTES);
    if (!copy)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the samples of all ranks");
    memcpy(copy, block + sizeof sample->record_count, sample->bytes);
    sample->packed = copy;
    return QUERN_OK;
}

static quern_status receive(void *user, uint32_t from, const uint64_t *rows, uint64_t bytes, uint64_t row_count,
                            qn_error *error)
{
    qn_collator *collator = user;
    (void)row_count;
    if (collator->discarding)
        return QUERN_OK;
    if (collator->rounds.completed == 0 && !collator->config.like)
        return keep_sample(collator, from, (const uint8_t *)rows, bytes, error);
    return qn_sorter_append_all(collator->sorter, rows, bytes, error);
}

/* ---- rounds ---- */

/* After the round of samples. */
static quern_status divide(qn_collator *collator, qn_error *error)
{
    collator->divided = true;
    if (collator->holds_sample)
        free_held(collator);
    collator->holds_sample = false;
    return qn_splitters_init(&collator->splitters, &collator->config.collation, collator->config.division,
                             collator->samples, size_of(collator), error);
}

static bool has_more(const qn_collator *collator)
{
    return collator->waiting || (collator->divided && collator->routed_bytes < collator->held_bytes);
}

/* Other ranks do not come to the next round: most likely they write a run. What is in memory here would be written soon, and is so now. */
static quern_status use_wait(qn_collator *collator, qn_error *error)
{
    uint64_t now_ns = qn_clock_ns();
    if (collator->waits_since_ns == 0)
        collator->waits_since_ns = now_ns;
    if (now_ns - collator->waits_since_ns < LONG_WAIT_NS)
        return QUERN_OK;
    return qn_sorter_spill_early(collator->sorter, error);
}

static quern_status start_round(qn_collator *collator, uint64_t *ask_out, qn_error *error)
{
    qn_rounds *rounds = &collator->rounds;
    /* Who waits comes first: else rounds for which all ask, since they wait, would leave empty, one after the other. */
    if (collator->waiting && collator->divided && take_chunks_back(collator)) {
        collator->waiting = false;
        return QUERN_OK;
    }
    if ((has_more(collator) || collator->filling) && !qn_rounds_ask(rounds, ask_out))
        *ask_out = UINT64_MAX;
    if (!qn_rounds_can_start(rounds))
        return collator->waiting ? use_wait(collator, error) : QUERN_OK;
    collator->waits_since_ns = 0;
    if (!collator->sampled && !collator->discarding)
        put_samples(collator);
    collator->sampled = true;
    close_chunks(collator);
    rounds->more = has_more(collator);
    rounds->ended = collator->ended && !has_more(collator) && (collator->divided || collator->discarding);
    collator->filling = false;
    if (collator->divided)
        collator->waiting = false; /* there will be room */
    return qn_rounds_start(rounds, error);
}

quern_status qn_collator_progress(qn_collator *collator, uint64_t *ask_out, qn_error *error)
{
    *ask_out = UINT64_MAX;
    if (is_alone(collator) || qn_collator_is_over(collator))
        return QUERN_OK;
    quern_status status = qn_rounds_progress(&collator->rounds, error);
    if (status == QUERN_OK && !collator->divided && collator->rounds.completed > 0 && !collator->discarding)
        status = divide(collator, error);
    if (status == QUERN_OK && collator->divided && collator->held_bytes > 0 && qn_rounds_is_open(&collator->rounds))
        status = route_held(collator, error);
    return status == QUERN_OK ? start_round(collator, ask_out, error) : status;
}

void qn_collator_announce(qn_collator *collator, uint64_t round)
{
    if (!is_alone(collator))
        qn_rounds_announce(&collator->rounds, round);
}

bool qn_collator_is_over(const qn_collator *collator)
{
    return collator->retired || (collator->ended && (is_alone(collator) || qn_rounds_is_over(&collator->rounds)));
}

quern_status qn_collator_sort(qn_collator *collator, qn_error *error)
{
    QN_ASSERT(qn_collator_is_over(collator));
    if (collator->sorted)
        return QUERN_OK;
    quern_status status = qn_sorter_finish(collator->sorter, error);
    collator->sorted = status == QUERN_OK;
    return status;
}

void qn_collator_share(qn_collator *collator, bool with_children)
{
    qn_cipher_share(collator->config.scratch.cipher, with_children);
    qn_sorter_share(collator->sorter, with_children);
}

quern_status qn_collator_rewind(qn_collator *collator, qn_error *error)
{
    quern_status status = qn_collator_sort(collator, error);
    return status == QUERN_OK ? qn_sorter_rewind(collator->sorter, error) : status;
}

/* ---- saved ---- */

/* Whether the first of the ranks that have it is another one. */
static bool is_copy(const qn_collator *collator, const qn_packed *record)
{
    bool is_first = true;
    return collator->config.division == QN_DIVIDE_OUTER && record->side == QN_SIDE_INNER &&
           qn_splitters_is_divided(&collator->splitters, collator->config.comm->rank, record, &is_first) && !is_first;
}

static void save_record(const qn_packed *record, const void *packed, uint64_t bytes, void *user)
{
    const qn_collator *collator = user;
    if (!is_copy(collator, record))
        qn_pieces_put(collator->pieces, record, packed, bytes);
}

static void end_saved(void *user)
{
    qn_pieces_end(((const qn_collator *)user)->pieces);
}

/* They are saved anew each time, until they are in sorters. */
static void save_held(qn_collator *collator)
{
    const qn_layout *layout = &collator->config.collation.layout;
    for (uint64_t at = 0, bytes; at < collator->held_bytes; at += bytes) {
        qn_packed record;
        bytes = qn_packed_decode(layout, collator->held + at, collator->held_bytes - at, &record);
        qn_pieces_put(collator->pieces, &record, collator->held + at, bytes);
    }
    qn_pieces_end(collator->pieces);
    collator->pieces_are_held = true;
}

/* Whether there are no cuts yet, and nothing is in sorters. */
static bool is_undivided(const qn_collator *collator)
{
    return !is_alone(collator) && !collator->divided;
}

static quern_status open_pieces(qn_collator *collator, const char *path, qn_error *error)
{
    const qn_collator_config *config = &collator->config;
    qn_pieces_config pieces = {&config->collation, path, config->scratch.cipher, config->block_bytes};
    QN_ASSERT(qn_collator_is_over(collator) && !collator->sorted);
    collator->saver = (qn_sorter_saver){save_record, end_saved, collator};
    return collator->pieces ? QUERN_OK : qn_pieces_create(&collator->pieces, &pieces, error);
}

quern_status qn_collator_keep(qn_collator *collator, const char *path, qn_error *error)
{
    QN_ASSERT(collator->records_in == 0 && !collator->pieces);
    quern_status status = open_pieces(collator, path, error);
    if (status == QUERN_OK && !is_undivided(collator))
        qn_sorter_note_saved(collator->sorter, &collator->saver);
    return status;
}

quern_status qn_collator_save(qn_collator *collator, const char *path, qn_saved *saved_out, qn_error *error)
{
    const qn_collator_config *config = &collator->config;
    *saved_out = (qn_saved){.rank = config->comm->rank, .size = config->comm->size};
    quern_status status = open_pieces(collator, path, error);
    if (status != QUERN_OK)
        return status;
    if (collator->pieces_are_held)
        qn_pieces_forget(collator->pieces);
    collator->pieces_are_held = false;
    if (is_undivided(collator))
        save_held(collator);
    else
        status = qn_sorter_save(collator->sorter, &collator->saver, error);
    return status == QUERN_OK ? qn_pieces_commit(collator->pieces, saved_out, error) : status;
}

uint64_t qn_collator_get_unsaved_bytes(const qn_collator *collator)
{
    return qn_sorter_get_unsaved_bytes(collator->sorter) + collator->held_bytes;
}

void qn_collator_expect(qn_collator *collator, const uint8_t *sample, uint64_t bytes, uint64_t record_count)
{
    const qn_layout *layout = &collator->config.collation.layout;
    QN_ASSERT(collator->records_in == 0);
    if (is_alone(collator) || collator->divided)
        return; /* by the samples of others */
    collator->holds_sample = true;
    collator->expected_count += record_count;
    for (uint64_t at = 0, record_bytes; at < bytes; at += record_bytes) {
        qn_packed record;
        record_bytes = qn_packed_decode(layout, sample + at, bytes - at, &record);
        if (record_bytes == 0 || !hold(collator, &record, record_bytes))
            return;
    }
}

uint64_t qn_collator_get_expected_bytes_max(const qn_collator *collator)
{
    return collator->held_bytes_max;
}

quern_status qn_collator_restore(qn_collator *collator, const uint8_t *packed, uint64_t bytes, uint64_t *at,
                                 qn_error *error)
{
    quern_status status = QUERN_OK;
    QN_ASSERT(!collator->ended);
    collator->waiting = false;
    while (*at < bytes && status == QUERN_OK && !collator->waiting) {
        qn_packed record;
        bool done = true;
        uint64_t record_bytes =
            qn_packed_decode(&collator->config.collation.layout, packed + *at, bytes - *at, &record);
        if (record_bytes == 0)
            return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "a saved record does not fit its block");
        if (is_alone(collator))
            status = qn_sorter_append(collator->sorter, &record, packed + *at, record_bytes, error);
        else if (collator->divided)
            status = route(collator, &record, record_bytes, &done, error);
        else
            done = false;
        collator->waiting = !done;
        *at += done ? record_bytes : 0;
        collator->restored += done;
    }
    return status;
}

/* ---- kept ---- */

quern_status qn_collator_retire(qn_collator *collator, qn_error *error)
{
    quern_status status = qn_collator_sort(collator, error);
    if (status == QUERN_OK)
        status = qn_splitters_keep(&collator->splitters, error);
    if (status != QUERN_OK)
        return status;
    collator->retired = true;
    free_samples(collator);
    free(collator->chunks);
    free(collator->line);
    collator->chunks = NULL;
    collator->line = NULL;
    collator->line_bytes_max = 0;
    free_held(collator);
    qn_pieces_destroy(collator->pieces);
    collator->pieces = NULL;
    if (collator->rounds.comm)
        qn_rounds_fini(&collator->rounds);
    return QUERN_OK;
}

uint64_t qn_collator_get_memory_bytes(const qn_collator *collator)
{
    return qn_sorter_get_memory_bytes(collator->sorter);
}

quern_status qn_collator_shrink(qn_collator *collator, qn_error *error)
{
    QN_ASSERT(collator->retired);
    return qn_sorter_shrink(collator->sorter, error);
}
