/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/fuzz/fuzz_reading.h: a content read as a whole, in stretches that end anywhere, and in pieces: the records as bytes.
 */
#ifndef TESTS_FUZZ_FUZZ_READING_H
#define TESTS_FUZZ_FUZZ_READING_H

#include "runtime/io/source.h"
#include "tests/fuzz/fuzz.h"

#define FUZZ_RECORD_BYTES_MAX ((uint64_t)1 << 20)
#define FUZZ_READ_BYTES_MAX   ((size_t)4 << 20) /* what unpacks to more is not read to its end */

typedef struct fuzz_reading {
    qn_buffer records;
    qn_buffer bad; /* what was passed over */
    quern_status status;
    bool is_cut_short;
} fuzz_reading;

static inline void fuzz_reading_begin(fuzz_reading *reading)
{
    reading->records.bytes = reading->bad.bytes = 0;
    reading->status = QUERN_OK;
    reading->is_cut_short = false;
}

/* A task of one segment. */
static inline void fuzz_task(qn_buffer *task, const qn_segment *segment)
{
    task->bytes = 0;
    qn_buffer_append_u32(task, 1);
    qn_segment_encode(segment, task);
}

/* Appends what was passed over. */
static inline void fuzz_note_bad(const qn_bad_list *bad, fuzz_reading *to)
{
    for (size_t i = 0; i < bad->count; i++) {
        const uint64_t numbers[] = {bad->items[i].place.entry, bad->items[i].place.unit, bad->items[i].place.offset,
                                    bad->items[i].bytes};
        qn_buffer_append(&to->bad, numbers, sizeof numbers);
        qn_buffer_append(&to->bad, bad->items[i].texts.data, bad->items[i].texts.bytes);
    }
}

/* Appends a task's records. */
static inline void fuzz_read_task(qn_source *source, const qn_buffer *task, const qn_text_place *place,
                                  fuzz_reading *to)
{
    qn_error error = {0};
    qn_batch batch = {0};
    if (to->status == QUERN_OK)
        to->status = qn_source_open(source, task->data, task->bytes, place, &error);
    while (to->status == QUERN_OK && !to->is_cut_short) {
        to->status = qn_source_next(source, &batch, &error);
        if (to->status != QUERN_OK || (batch.block.count == 0 && source->bad.count == 0))
            break;
        fuzz_note_bad(&source->bad, to);
        FUZZ_CHECK(batch.block.count <= QN_BATCH_COUNT_MAX, "%zu records", batch.block.count);
        for (size_t i = 0; i < batch.block.count; i++) {
            qn_buffer_append_span(&to->records, batch.block.key[i], batch.block.key_bytes[i]);
            if (batch.block.value)
                qn_buffer_append_span(&to->records, batch.block.value[i], batch.block.value_bytes[i]);
        }
        to->is_cut_short = to->records.bytes + to->bad.bytes > FUZZ_READ_BYTES_MAX;
    }
    FUZZ_CHECK(to->status == QUERN_OK || (error.status == to->status && error.text[0]), "a failure without words");
}

static inline bool fuzz_is_quoted(const fuzz_input *content, uint64_t at)
{
    bool quoted = false;
    for (uint64_t i = 0; i < at; i++)
        quoted ^= content->data[i] == '"';
    return quoted;
}

/* All of the content, which is in the file, in so many stretches. count_quotes: as runtime/engine/quotes.h does for its rows. */
static inline void fuzz_read_stretches(qn_source *source, const char *path, const fuzz_input *content, uint64_t seed,
                                       unsigned count, bool count_quotes, fuzz_reading *to)
{
    static qn_buffer task;
    uint64_t begin = 0;
    fuzz_reading_begin(to);
    for (unsigned i = 0; i < count && to->status == QUERN_OK; i++) {
        uint64_t left = content->bytes - begin;
        uint64_t end = i + 1 == count ? content->bytes : begin + fuzz_number(seed, i, 1 + left);
        if (begin < end) {
            fuzz_task(&task, &(qn_segment){.path = path,
                                           .begin = begin,
                                           .end = end,
                                           .file_bytes = content->bytes,
                                           .begins_quoted = count_quotes && fuzz_is_quoted(content, begin)});
            fuzz_read_task(source, &task, NULL, to);
        }
        begin = end;
    }
}

/* The same in pieces, as a helper reads them. */
static inline void fuzz_read_pieces(qn_source *source, qn_source *worker, const char *path, const fuzz_input *content,
                                    size_t bytes_min, fuzz_reading *to)
{
    static qn_buffer task, lent;
    qn_error error = {0};
    qn_piece piece = {.bytes = content->bytes};
    fuzz_reading_begin(to);
    fuzz_task(&task, &(qn_segment){.path = path, .end = content->bytes, .file_bytes = content->bytes});
    if (content->bytes > 0)
        to->status = qn_source_open(source, task.data, task.bytes, NULL, &error);
    while (to->status == QUERN_OK && piece.bytes > 0) {
        to->status = qn_source_next_piece(source, bytes_min, &piece, &error);
        if (to->status != QUERN_OK || piece.bytes == 0)
            break;
        qn_text_place place = qn_piece_place(&piece);
        lent.bytes = 0;
        qn_piece_encode(&piece, &lent);
        fuzz_read_task(worker, &lent, &place, to);
    }
}

static inline bool fuzz_is_same(const qn_buffer *a, const qn_buffer *b)
{
    return a->bytes == b->bytes && (a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0);
}

static inline void fuzz_check_same(const fuzz_reading *whole, const fuzz_reading *parts, const char *how)
{
    FUZZ_CHECK(whole->status == parts->status, "status %d, %s %d", whole->status, how, parts->status);
    FUZZ_CHECK(whole->status != QUERN_OK || fuzz_is_same(&whole->records, &parts->records), "other records %s", how);
    FUZZ_CHECK(whole->status != QUERN_OK || fuzz_is_same(&whole->bad, &parts->bad), "other bad records %s", how);
}

/* The content gives the same records as a whole, in stretches if it can be cut, and in pieces. */
static inline void fuzz_check_cuts(const qn_source_format *format, const fuzz_input *content, uint64_t seed,
                                   bool can_be_cut, bool has_quotes)
{
    static fuzz_reading whole, parts;
    qn_source source, worker;
    qn_error error = {0};
    const char *path = fuzz_file(content->data, content->bytes);
    FUZZ_CHECK(qn_source_init(&source, format, FUZZ_RECORD_BYTES_MAX, &error) == QUERN_OK, "%s", error.text);
    FUZZ_CHECK(qn_source_init(&worker, format, FUZZ_RECORD_BYTES_MAX, &error) == QUERN_OK, "%s", error.text);
    fuzz_read_stretches(&source, path, content, 0, 1, false, &whole);
    if (can_be_cut) {
        fuzz_read_stretches(&source, path, content, seed, 2 + seed % 4, has_quotes, &parts);
        fuzz_check_same(&whole, &parts, "in stretches");
    }
    fuzz_read_pieces(&source, &worker, path, content, 1 + seed, &parts);
    fuzz_check_same(&whole, &parts, "in pieces");
    qn_source_fini(&source);
    qn_source_fini(&worker);
}

#endif
