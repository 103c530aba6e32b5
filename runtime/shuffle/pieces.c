/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/pieces.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/shuffle/sample_bytes.h"

#define SAMPLE_COUNT_MAX     4096
#define SAMPLE_BYTES_MAX     ((uint64_t)256 << 10)
#define SAMPLED_PART_MAX     ((uint32_t)4096)      /* of a key, and of a value */
#define SAMPLED_RECORD_MAX   ((uint64_t)64 << 10)  /* larger ones, which must stay whole, are in no sample */
#define PIECE_BYTES_MAX      ((uint64_t)256 << 20) /* so that several ranks can read them */
#define VERIFIED_BLOCK_BYTES ((size_t)256 << 10)
#define COMMITS_KEPT         2 /* the last one, and the one before, until a line says that it is not needed */

/* Of the format of saved files, and these. */
typedef struct qn_piece {
    uint64_t offset, bytes, row_count, number, block_bytes_max, unpacked_bytes_max;
} qn_piece;
static_assert(sizeof(qn_piece) == 48, "it is part of the format of saved files");

typedef struct qn_pieces_table {
    uint64_t count; /* of pieces */
    uint64_t record_count;
    uint64_t sample_step, sample_bytes;
    qn_piece sample; /* no rows: there is none */
    qn_piece pieces[];
} qn_pieces_table;
static_assert(sizeof(qn_pieces_table) == 80, "it is part of the format of saved files");

/* One record of each `step`, packed one behind the other. */
typedef struct sample {
    uint8_t *packed; /* [SAMPLE_BYTES_MAX] */
    uint64_t bytes, count, step, seen;
} sample;

/* What a commit after the next one does not need any more. */
typedef struct stale_run {
    qn_run run;
    uint64_t commit;
} stale_run;

struct qn_pieces {
    qn_pieces_config config;
    char *path;
    qn_spill spill;
    qn_run_writer writer;
    bool writing;
    uint64_t open_bytes; /* of the open piece */
    qn_run *runs;        /* [count] of the next commit */
    size_t count, capacity;
    uint64_t record_count; /* in them */
    sample sample;
    stale_run *stale;
    size_t stale_count, stale_capacity;
    uint64_t commits;
    qn_error failure; /* the first one */
};

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a checkpoint");
}

quern_status qn_pieces_create(qn_pieces **pieces_out, const qn_pieces_config *config, qn_error *error)
{
    qn_pieces *pieces = calloc(1, sizeof *pieces);
    if (!pieces)
        return no_memory(error);
    pieces->config = *config;
    pieces->spill.fd = pieces->spill.direct_fd = -1;
    pieces->path = strdup(config->path);
    pieces->sample = (sample){.packed = malloc(SAMPLE_BYTES_MAX + QN_SLACK_BYTES), .step = 1};
    quern_status status = pieces->path && pieces->sample.packed ? QUERN_OK : no_memory(error);
    if (status == QUERN_OK)
        status = qn_saved_open(&pieces->spill, (qn_scratch){pieces->path, config->cipher}, O_RDWR | O_CREAT | O_EXCL,
                               QN_BLOCK_PACKED, config->block_bytes, error);
    if (status != QUERN_OK) {
        qn_pieces_destroy(pieces);
        return status;
    }
    *pieces_out = pieces;
    return QUERN_OK;
}

void qn_pieces_destroy(qn_pieces *pieces)
{
    if (!pieces)
        return;
    qn_run_writer_abandon(&pieces->writer);
    qn_spill_fini(&pieces->spill);
    free(pieces->runs);
    free(pieces->stale);
    free(pieces->sample.packed);
    free(pieces->path);
    free(pieces);
}

/* ---- the sample */

/* Keeps every other one. */
static void thin(sample *of, const qn_layout *layout)
{
    uint64_t kept_bytes = 0, kept_count = 0, number = 0, bytes;
    qn_packed record;
    for (uint64_t at = 0; at < of->bytes; at += bytes, number++) {
        bytes = qn_packed_decode(layout, of->packed + at, of->bytes - at, &record);
        QN_ASSERT(bytes > 0);
        if (number % 2 != 0)
            continue;
        memmove(of->packed + kept_bytes, of->packed + at, bytes);
        kept_bytes += bytes;
        kept_count++;
    }
    of->bytes = kept_bytes;
    of->count = kept_count;
    of->step *= 2;
}

static void note_sample(qn_pieces *pieces, const qn_packed *record)
{
    sample *of = &pieces->sample;
    const qn_layout *layout = &pieces->config.collation->layout;
    if (QN_LIKELY(of->seen++ % of->step != 0))
        return;
    qn_packed cut =
        qn_sample_cut_short(pieces->config.collation, *record, (qn_sample_bytes){SAMPLED_PART_MAX, SAMPLED_PART_MAX});
    uint64_t bytes = qn_packed_bytes(layout, cut.key_bytes, cut.value_bytes);
    if (bytes > SAMPLED_RECORD_MAX)
        return;
    if (of->count == SAMPLE_COUNT_MAX || of->bytes + bytes > SAMPLE_BYTES_MAX)
        thin(of, layout);
    if ((of->seen - 1) % of->step != 0)
        return;
    qn_packed_encode(layout, &cut, of->packed + of->bytes);
    of->bytes += bytes;
    of->count++;
}

/* ---- writing */

static void fail(qn_pieces *pieces, const qn_error *error)
{
    if (pieces->failure.status == QUERN_OK)
        pieces->failure = *error;
    qn_run_writer_abandon(&pieces->writer);
    pieces->writing = false;
}

/* Makes room for one more. */
static void *grow(void *items, size_t count, size_t *capacity, size_t item_bytes)
{
    if (count < *capacity)
        return items;
    size_t more = 2 * count + 16;
    void *grown = realloc(items, more * item_bytes);
    *capacity = grown ? more : *capacity;
    return grown;
}

void qn_pieces_put(qn_pieces *pieces, const qn_packed *record, const void *packed, uint64_t bytes)
{
    qn_error error = {0};
    if (pieces->failure.status != QUERN_OK)
        return;
    if (pieces->writing && pieces->open_bytes > PIECE_BYTES_MAX)
        qn_pieces_end(pieces);
    quern_status status = pieces->failure.status;
    if (status == QUERN_OK && !pieces->writing) {
        status = qn_run_writer_open(&pieces->writer, &pieces->spill, &error);
        pieces->writing = status == QUERN_OK;
        pieces->open_bytes = 0;
    }
    if (status == QUERN_OK)
        status = qn_run_writer_put_packed(&pieces->writer, packed, bytes, &error);
    if (status != QUERN_OK) {
        fail(pieces, &error);
        return;
    }
    pieces->open_bytes += bytes;
    pieces->record_count++;
    note_sample(pieces, record);
}

void qn_pieces_end(qn_pieces *pieces)
{
    qn_error error = {0};
    qn_run run;
    if (!pieces->writing)
        return;
    qn_run *grown = grow(pieces->runs, pieces->count, &pieces->capacity, sizeof *grown);
    pieces->runs = grown ? grown : pieces->runs;
    if (!grown)
        no_memory(&error);
    else if (qn_run_writer_close(&pieces->writer, &run, &error) == QUERN_OK)
        pieces->runs[pieces->count++] = run;
    pieces->writing = false;
    if (error.status != QUERN_OK)
        fail(pieces, &error);
}

/* For the space of a run to be given back. Where there is no memory to note that, it comes back with the file. */
static void outdate(qn_pieces *pieces, const qn_run *run)
{
    stale_run *grown = grow(pieces->stale, pieces->stale_count, &pieces->stale_capacity, sizeof *grown);
    if (!grown)
        return;
    pieces->stale = grown;
    pieces->stale[pieces->stale_count++] = (stale_run){*run, pieces->commits};
}

static void drop_stale(qn_pieces *pieces)
{
    size_t kept = 0;
    for (size_t i = 0; i < pieces->stale_count; i++) {
        if (pieces->stale[i].commit + COMMITS_KEPT > pieces->commits)
            pieces->stale[kept++] = pieces->stale[i];
        else
            qn_spill_drop(&pieces->spill, &pieces->stale[i].run);
    }
    pieces->stale_count = kept;
}

void qn_pieces_forget(qn_pieces *pieces)
{
    qn_pieces_end(pieces);
    for (size_t i = 0; i < pieces->count; i++)
        outdate(pieces, &pieces->runs[i]);
    pieces->count = 0;
    pieces->record_count = 0;
    pieces->sample = (sample){.packed = pieces->sample.packed, .step = 1};
}

static qn_piece piece_of(const qn_run *run)
{
    return (qn_piece){run->offset, run->bytes,           run->row_count,
                      run->number, run->block_bytes_max, run->unpacked_bytes_max};
}

static qn_run run_of(const qn_piece *piece)
{
    return (qn_run){.offset = piece->offset,
                    .bytes = piece->bytes,
                    .row_count = piece->row_count,
                    .number = piece->number,
                    .block_bytes_max = piece->block_bytes_max,
                    .unpacked_bytes_max = piece->unpacked_bytes_max};
}

static quern_status write_sample(qn_pieces *pieces, qn_run *run_out, qn_error *error)
{
    const sample *of = &pieces->sample;
    qn_run_writer writer = {0};
    qn_packed record;
    quern_status status = qn_run_writer_open(&writer, &pieces->spill, error);
    for (uint64_t at = 0, bytes; at < of->bytes && status == QUERN_OK; at += bytes) {
        bytes = qn_packed_decode(&pieces->config.collation->layout, of->packed + at, of->bytes - at, &record);
        status = qn_run_writer_put_packed(&writer, of->packed + at, bytes, error);
    }
    if (status == QUERN_OK)
        return qn_run_writer_close(&writer, run_out, error);
    qn_run_writer_abandon(&writer);
    return status;
}

/* As one record. */
static quern_status write_table(qn_pieces *pieces, const qn_run *sampled, qn_run *run_out, qn_error *error)
{
    qn_run_writer writer = {0};
    size_t bytes = sizeof(qn_pieces_table) + pieces->count * sizeof(qn_piece);
    qn_pieces_table *table = calloc(1, bytes);
    if (!table)
        return no_memory(error);
    *table = (qn_pieces_table){.count = pieces->count,
                               .record_count = pieces->record_count,
                               .sample_step = pieces->sample.step,
                               .sample_bytes = pieces->sample.bytes,
                               .sample = piece_of(sampled)};
    for (size_t i = 0; i < pieces->count; i++)
        table->pieces[i] = piece_of(&pieces->runs[i]);
    quern_status status = qn_run_writer_open(&writer, &pieces->spill, error);
    if (status == QUERN_OK)
        status = qn_run_writer_put_packed(&writer, table, bytes, error);
    if (status == QUERN_OK)
        status = qn_run_writer_close(&writer, run_out, error);
    qn_run_writer_abandon(&writer);
    free(table);
    return status;
}

quern_status qn_pieces_commit(qn_pieces *pieces, qn_saved *saved_out, qn_error *error)
{
    qn_run sampled = {0}, table = {0};
    qn_pieces_end(pieces);
    pieces->commits++;
    drop_stale(pieces);
    quern_status status = pieces->failure.status;
    if (status != QUERN_OK) {
        *error = pieces->failure;
        return status;
    }
    if (pieces->sample.count > 0)
        status = write_sample(pieces, &sampled, error);
    if (status == QUERN_OK)
        status = write_table(pieces, &sampled, &table, error);
    if (status == QUERN_OK && fsync(pieces->spill.fd) != 0)
        status = qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot write %s", pieces->path);
    if (status != QUERN_OK)
        return status;
    outdate(pieces, &table);
    if (sampled.row_count > 0)
        outdate(pieces, &sampled);
    saved_out->stamp = pieces->spill.stamp;
    saved_out->value_words = QN_BLOCK_PACKED;
    saved_out->record_count = pieces->record_count;
    saved_out->run = table;
    saved_out->layout = pieces->config.collation->layout;
    return QUERN_OK;
}

/* ---- reading */

static quern_status is_damaged(const char *path, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "%s has a table that cannot be", path);
}

/* Its blocks have checksums, but anybody may have written it. */
static quern_status check_table(const qn_pieces_table *table, uint64_t bytes, const qn_saved *saved, const char *path,
                                qn_error *error)
{
    uint64_t record_count = 0;
    if (bytes < sizeof *table || (bytes - sizeof *table) % sizeof(qn_piece) != 0 ||
        table->count != (bytes - sizeof *table) / sizeof(qn_piece) || table->sample_step == 0)
        return is_damaged(path, error);
    qn_run sampled = run_of(&table->sample);
    bool is_right = qn_saved_is_run(&sampled);
    for (uint64_t i = 0; i < table->count; i++) {
        qn_run run = run_of(&table->pieces[i]);
        is_right &= qn_saved_is_run(&run);
        record_count += run.row_count;
    }
    is_right &= record_count == table->record_count && record_count == saved->record_count;
    return is_right ? QUERN_OK : is_damaged(path, error);
}

static quern_status read_table(qn_pieces_reader *reader, const qn_saved *saved, qn_error *error)
{
    const uint8_t *found = NULL;
    uint64_t bytes = 0;
    quern_status status = qn_run_reader_open(&reader->run, &reader->spill, &saved->run, error);
    if (status == QUERN_OK)
        status = qn_run_reader_next_block(&reader->run, &found, &bytes, error);
    if (status == QUERN_OK && !(reader->table = malloc(bytes + sizeof *reader->table)))
        status = no_memory(error);
    if (status == QUERN_OK && bytes > 0)
        memcpy(reader->table, found, bytes);
    qn_run_reader_close(&reader->run);
    return status == QUERN_OK ? check_table(reader->table, bytes, saved, reader->path, error) : status;
}

quern_status qn_pieces_reader_open(qn_pieces_reader *reader, const char *path, const qn_saved *saved,
                                   const qn_cipher *cipher, size_t block_bytes, qn_error *error)
{
    *reader = (qn_pieces_reader){.path = path};
    quern_status status = qn_saved_open(&reader->spill, (qn_scratch){path, cipher}, O_RDONLY | O_NONBLOCK,
                                        QN_BLOCK_PACKED, block_bytes, error);
    reader->spill.stamp = saved->stamp;
    if (status == QUERN_OK)
        status = qn_saved_check_length(&reader->spill, &saved->run, path, error);
    if (status == QUERN_OK)
        status = read_table(reader, saved, error);
    if (status != QUERN_OK)
        qn_pieces_reader_close(reader);
    return status;
}

void qn_pieces_reader_close(qn_pieces_reader *reader)
{
    if (!reader->path)
        return;
    qn_run_reader_close(&reader->run);
    qn_spill_fini(&reader->spill);
    free(reader->table);
    *reader = (qn_pieces_reader){0};
}

uint64_t qn_pieces_reader_get_sample_step(const qn_pieces_reader *reader)
{
    return reader->table->sample_step;
}

uint64_t qn_pieces_reader_get_sample_bytes(const qn_pieces_reader *reader)
{
    return reader->table->sample_bytes;
}

void qn_pieces_reader_begin_sample(qn_pieces_reader *reader)
{
    qn_run_reader_close(&reader->run);
    reader->step = 0;
    reader->next = 0;
}

void qn_pieces_reader_begin(qn_pieces_reader *reader, uint32_t part, uint32_t part_count)
{
    qn_run_reader_close(&reader->run);
    reader->step = part_count;
    reader->next = part;
}

/* Opens the next run. *more_out false: there is none. */
static quern_status next_run(qn_pieces_reader *reader, bool *more_out, qn_error *error)
{
    bool is_sample = reader->step == 0;
    *more_out =
        is_sample ? reader->next == 0 && reader->table->sample.row_count > 0 : reader->next < reader->table->count;
    if (!*more_out)
        return QUERN_OK;
    qn_run run = run_of(is_sample ? &reader->table->sample : &reader->table->pieces[reader->next]);
    reader->next += is_sample ? 1 : reader->step;
    quern_status status = qn_saved_check_length(&reader->spill, &run, reader->path, error);
    return status == QUERN_OK ? qn_run_reader_open(&reader->run, &reader->spill, &run, error) : status;
}

quern_status qn_pieces_reader_next(qn_pieces_reader *reader, const uint8_t **records_out, uint64_t *bytes_out,
                                   qn_error *error)
{
    quern_status status = QUERN_OK;
    bool more = true;
    *bytes_out = 0;
    while (status == QUERN_OK && more) {
        if (reader->run.spill)
            status = qn_run_reader_next_block(&reader->run, records_out, bytes_out, error);
        if (status != QUERN_OK || *bytes_out > 0)
            break;
        qn_run_reader_close(&reader->run);
        status = next_run(reader, &more, error);
    }
    return status;
}

static quern_status read_all(qn_pieces_reader *reader, qn_error *error)
{
    const uint8_t *records = NULL;
    uint64_t bytes = 0;
    quern_status status;
    do
        status = qn_pieces_reader_next(reader, &records, &bytes, error);
    while (status == QUERN_OK && bytes > 0);
    return status;
}

quern_status qn_pieces_verify(const char *path, const qn_saved *saved, const qn_cipher *cipher, qn_error *error)
{
    qn_pieces_reader reader = {0};
    quern_status status = qn_pieces_reader_open(&reader, path, saved, cipher, VERIFIED_BLOCK_BYTES, error);
    if (status != QUERN_OK)
        return status;
    qn_pieces_reader_begin_sample(&reader);
    status = read_all(&reader, error);
    qn_pieces_reader_begin(&reader, 0, 1);
    if (status == QUERN_OK)
        status = read_all(&reader, error);
    qn_pieces_reader_close(&reader);
    return status;
}
