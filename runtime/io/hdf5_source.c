/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/hdf5_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/arena.h"
#include "runtime/base/assert.h"
#include "runtime/base/pages.h"
#include "runtime/io/hdf5_file.h"
#include "runtime/io/hdf5_listing.h"

struct qn_hdf5_source {
    const qn_array_form *form;
    uint64_t record_bytes_max;
    uint8_t *message; /* that the segments' paths live in */
    qn_hdf5_segment *segments;
    uint32_t segment_count;
    qn_text_place place; /* of the next block */
    qn_text_place block_place;
    uint32_t block_count; /* of the last block */
    /* what is open */
    hid_t file;
    char *file_path;  /* of it; NULL: none is open */
    char *name;       /* of the dataset, with its file; NULL: none */
    const char *path; /* of the dataset, in the name */
    qn_hdf5_dataset dataset;
    hid_t transfer;
    /* what was read */
    uint64_t box_number; /* UINT64_MAX: none */
    qn_hdf5_box box;
    qn_hdf5_piece piece; /* record_count 0: none */
    uint8_t *room;       /* from the begin of a page on: [room_bytes], slack, and a page */
    size_t room_bytes;
    uint8_t *buffer;  /* the piece, in the first page of the room */
    uint64_t *begins; /* where each record begins in the buffer, and behind the last its end; NULL: all are as long */
    uint8_t *raw;     /* [raw_bytes]: compounds as HDF5 gives them, if they have pointers to strings */
    size_t raw_bytes;
    qn_arena strings; /* variable ones of the piece */
    uint64_t string_bytes;
    bool strings_too_long;
    /* of a block */
    uint8_t *place_keys; /* [QN_BATCH_COUNT_MAX][place_bytes], and slack; NULL: keys are indices */
    size_t place_bytes;
    uint8_t *aligned; /* values of a fixed size that are no whole words; NULL: they are referred to */
    uint64_t indices[QN_BATCH_COUNT_MAX + QN_SLACK_BYTES / 8];
    const void *keys[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX];
    const void *values[QN_BATCH_COUNT_MAX];
    uint32_t value_bytes[QN_BATCH_COUNT_MAX];
};

/* HDF5 makes variable strings through these two. */
static void *take_string(size_t bytes, void *user)
{
    qn_hdf5_source *source = user;
    source->string_bytes += bytes;
    source->strings_too_long |= source->string_bytes > source->record_bytes_max;
    return source->strings_too_long ? NULL : qn_arena_take(&source->strings, bytes);
}

static void leave_string(void *string, void *user)
{
    (void)string, (void)user; /* they go with the piece */
}

static size_t aligned_bytes(const qn_array_form *form)
{
    return (form->element_bytes + 7) / 8 * 8;
}

static bool must_align(const qn_array_form *form)
{
    return form->options.record == QUERN_HDF5_ELEMENTS && form->element_bytes % 8 != 0;
}

static quern_status take_memory(qn_hdf5_source *source, qn_error *error)
{
    source->transfer = H5Pcreate(H5P_DATASET_XFER);
    if (must_align(source->form)) /* zeros stay behind values that are no whole words */
        source->aligned = calloc(1, QN_BATCH_COUNT_MAX * aligned_bytes(source->form) + QN_SLACK_BYTES);
    if (source->transfer >= 0 && (source->aligned || !must_align(source->form)) &&
        H5Pset_vlen_mem_manager(source->transfer, take_string, source, leave_string, source) >= 0)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read HDF5");
}

quern_status qn_hdf5_source_create(qn_hdf5_source **source_out, const qn_array_form *form, uint64_t record_bytes_max,
                                   qn_error *error)
{
    qn_hdf5_source *source = calloc(1, sizeof *source);
    if (!source)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read HDF5");
    source->form = form;
    source->record_bytes_max = record_bytes_max;
    source->file = source->transfer = QN_HDF5_NONE;
    source->dataset = (qn_hdf5_dataset){.id = QN_HDF5_NONE, .space = QN_HDF5_NONE, .memory_type = QN_HDF5_NONE};
    qn_arena_init(&source->strings, 0);
    quern_status status = qn_hdf5_start(error);
    qn_hdf5_quiet quiet;
    qn_hdf5_quiet_begin(&quiet);
    if (status == QUERN_OK)
        status = take_memory(source, error);
    qn_hdf5_quiet_end(&quiet);
    for (uint32_t i = 0; i < QN_BATCH_COUNT_MAX; i++) {
        source->keys[i] = &source->indices[i];
        source->key_bytes[i] = sizeof source->indices[i];
    }
    if (status == QUERN_OK)
        *source_out = source;
    else
        qn_hdf5_source_fini(source);
    return status;
}

/* ---- opening ---- */

static void close_dataset(qn_hdf5_source *source)
{
    qn_hdf5_dataset_close(&source->dataset);
    free(source->name);
    source->name = NULL;
}

static void close_file(qn_hdf5_source *source)
{
    close_dataset(source);
    if (source->file_path)
        H5Fclose(source->file);
    free(source->file_path);
    source->file_path = NULL;
}

static void forget_task(qn_hdf5_source *source)
{
    free(source->segments);
    free(source->message);
    source->segments = NULL;
    source->message = NULL;
    source->segment_count = 0;
    source->box_number = UINT64_MAX;
    source->piece.record_count = 0;
}

void qn_hdf5_source_fini(qn_hdf5_source *source)
{
    qn_hdf5_quiet quiet;
    if (!source)
        return;
    qn_hdf5_quiet_begin(&quiet);
    forget_task(source);
    close_file(source);
    if (source->transfer >= 0)
        H5Pclose(source->transfer);
    qn_hdf5_quiet_end(&quiet);
    qn_arena_reset(&source->strings);
    free(source->room);
    free(source->raw);
    free(source->begins);
    free(source->place_keys);
    free(source->aligned);
    free(source);
}

quern_status qn_hdf5_source_open(qn_hdf5_source *source, const void *message, size_t bytes, const qn_text_place *place,
                                 qn_error *error)
{
    forget_task(source);
    source->place = source->block_place = place ? *place : (qn_text_place){0};
    source->block_count = 0;
    return qn_hdf5_split_decode(message, bytes, &source->message, &source->segments, &source->segment_count, error);
}

static quern_status no_memory(const qn_hdf5_source *source, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read %s",
                        source->name ? source->name : "a dataset");
}

static quern_status open_file(qn_hdf5_source *source, const char *path, qn_error *error)
{
    if (source->file_path && strcmp(source->file_path, path) == 0)
        return QUERN_OK;
    close_file(source);
    char *copy = strdup(path);
    if (!copy)
        return no_memory(source, error);
    quern_status status = qn_hdf5_file_open(path, &source->file, error);
    if (status == QUERN_OK)
        source->file_path = copy;
    else
        free(copy);
    return status;
}

static quern_status check_shape(const qn_hdf5_source *source, const qn_hdf5_segment *segment, qn_error *error)
{
    const qn_hdf5_dataset *dataset = &source->dataset;
    bool same = dataset->rank == segment->grid.rank && dataset->element_bytes == segment->element_bytes;
    for (uint32_t d = 0; d < dataset->rank && same; d++)
        same = dataset->dims[d] == segment->grid.dims[d];
    if (same)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_INPUT, 0, "dataset %s changed its shape while it was read", source->name);
}

/* Room for a block's keys: all that is the same in each of them is put there now. */
static quern_status prepare_places(qn_hdf5_source *source)
{
    uint32_t rank = source->dataset.rank, path_bytes = (uint32_t)strlen(source->path);
    size_t file_bytes = strlen(source->file_path);
    source->place_bytes = 2 * sizeof(uint32_t) + 2 * sizeof(uint64_t) * rank + path_bytes + file_bytes;
    free(source->place_keys);
    source->place_keys = calloc(QN_BATCH_COUNT_MAX * source->place_bytes + QN_SLACK_BYTES, 1);
    for (uint32_t i = 0; i < QN_BATCH_COUNT_MAX && source->place_keys; i++) {
        uint8_t *key = source->place_keys + i * source->place_bytes;
        uint8_t *counts = key + 2 * sizeof(uint32_t) + sizeof(uint64_t) * rank,
                *paths = counts + sizeof(uint64_t) * rank;
        uint64_t one = 1;
        source->keys[i] = key;
        source->key_bytes[i] = (uint32_t)source->place_bytes;
        memcpy(key, &rank, sizeof rank);
        memcpy(key + 4, &path_bytes, sizeof path_bytes);
        for (uint32_t d = 0; d < rank; d++)
            memcpy(counts + sizeof one * d,
                   source->form->options.record == QUERN_HDF5_ROWS && d > 0 ? &source->dataset.dims[d] : &one,
                   sizeof one);
        memcpy(paths, source->path, path_bytes);
        memcpy(paths + path_bytes, source->file_path, file_bytes);
    }
    return source->place_keys ? QUERN_OK : QUERN_ERROR_NO_MEMORY;
}

static quern_status open_dataset(qn_hdf5_source *source, const qn_hdf5_segment *segment, qn_error *error)
{
    quern_status status = open_file(source, segment->file, error);
    if (status != QUERN_OK || (source->name && strcmp(source->path, segment->path) == 0))
        return status == QUERN_OK ? check_shape(source, segment, error) : status;
    close_dataset(source);
    status = qn_hdf5_dataset_open(&source->dataset, source->file, segment->file, segment->path, source->form, error);
    if (status != QUERN_OK)
        return status;
    if (asprintf(&source->name, "%s:%s", segment->file, segment->path) < 0) {
        source->name = NULL;
        return no_memory(source, error);
    }
    source->path = source->name + strlen(segment->file) + 1;
    if (source->form->options.key == QUERN_HDF5_PLACE && prepare_places(source) != QUERN_OK) {
        close_dataset(source);
        return no_memory(source, error);
    }
    return check_shape(source, segment, error);
}

/* ---- reading ---- */

static bool have_bytes(uint8_t **buffer, size_t *buffer_bytes, uint64_t bytes)
{
    if (bytes <= *buffer_bytes)
        return true;
    free(*buffer);
    size_t pages = (bytes + QN_SLACK_BYTES) / QN_PAGE_SMALL_BYTES + 2;
    *buffer = aligned_alloc(QN_PAGE_SMALL_BYTES, pages * QN_PAGE_SMALL_BYTES);
    *buffer_bytes = *buffer ? bytes : 0;
    return *buffer != NULL;
}

static bool has_pointers(const qn_hdf5_source *source)
{
    return source->dataset.variable_fields != 0;
}

/* Where in the file the piece begins, of what is stored in one piece. */
static uint64_t address_of(const qn_hdf5_source *source, const qn_hdf5_piece *piece)
{
    const qn_hdf5_dataset *dataset = &source->dataset;
    uint64_t index = 0;
    for (uint32_t d = 0; d < dataset->rank; d++)
        index = index * dataset->dims[d] + piece->start[d];
    return dataset->address + index * dataset->stored_bytes;
}

static quern_status have_room(qn_hdf5_source *source, const qn_hdf5_piece *piece, uint64_t elements, qn_error *error)
{
    bool has = have_bytes(&source->room, &source->room_bytes, elements * source->dataset.element_bytes);
    if (has && has_pointers(source))
        has = have_bytes(&source->raw, &source->raw_bytes, elements * source->dataset.raw_bytes);
    if (!has)
        return no_memory(source, error);
    source->buffer = source->room + (source->dataset.address > 0 ? qn_pages_place(address_of(source, piece)) : 0);
    return QUERN_OK;
}

/* A string that is pointed to becomes one of the field's length. */
static bool put_string(const uint8_t *from, uint8_t *to, uint32_t bytes)
{
    const char *string;
    memcpy(&string, from, sizeof string);
    size_t length = string ? strlen(string) : 0;
    if (length > bytes)
        return false;
    if (length > 0)
        memcpy(to, string, length);
    memset(to + length, 0, bytes - length);
    return true;
}

/* A string that is pointed to as long as it is, with a NUL behind it unless it is all there is. Returns its bytes. */
static size_t put_whole_string(const uint8_t *from, uint8_t *to, bool ends)
{
    const char *string;
    memcpy(&string, from, sizeof string);
    size_t length = string ? strlen(string) : 0;
    if (length > 0)
        memcpy(to, string, length);
    if (ends)
        to[length] = 0;
    return length + ends;
}

static bool put_field(const qn_hdf5_source *source, size_t number, const uint8_t **from, uint8_t **to)
{
    const quern_hdf5_options *options = &source->form->options;
    const quern_hdf5_field *field = &options->fields[number];
    bool is_pointer = source->dataset.variable_fields >> number & 1, fits = true;
    uint32_t each = field->type == QUERN_BYTES ? 1 : (uint32_t)quern_number_bytes(field->type);
    size_t bytes = each * (size_t)(field->count ? field->count : 1);
    if (qn_array_field_varies(field))
        bytes = put_whole_string(*from, *to, options->field_count > 1);
    else if (is_pointer)
        fits = put_string(*from, *to, (uint32_t)bytes);
    else
        memcpy(*to, *from, bytes);
    *from += is_pointer ? sizeof(char *) : bytes;
    *to += bytes;
    return fits;
}

/* Records of their own lengths: room for them, now that their strings are known. */
static bool have_begins(qn_hdf5_source *source, uint64_t elements)
{
    uint64_t ends = elements * source->form->options.field_count;
    free(source->begins);
    source->begins = malloc((elements + 1) * sizeof *source->begins);
    bool has = source->begins && have_bytes(&source->room, &source->room_bytes,
                                            elements * source->dataset.element_bytes + source->string_bytes + ends);
    source->buffer = source->room;
    return has;
}

/* The compounds of a piece without pointers. */
static quern_status put_strings(qn_hdf5_source *source, uint64_t elements, qn_error *error)
{
    const quern_hdf5_options *options = &source->form->options;
    if (source->form->varies && !have_begins(source, elements))
        return no_memory(source, error);
    const uint8_t *from = source->raw;
    uint8_t *to = source->buffer;
    for (uint64_t i = 0; i < elements; i++) {
        if (source->begins)
            source->begins[i] = (uint64_t)(to - source->buffer);
        for (size_t f = 0; f < options->field_count; f++)
            if (!put_field(source, f, &from, &to))
                return qn_error_set(
                    error, QUERN_ERROR_INPUT, 0,
                    "a string in the field '%s' of %s has more than %u bytes: set the field's count to no less",
                    options->fields[f].name, source->name, options->fields[f].count);
    }
    if (source->begins)
        source->begins[elements] = (uint64_t)(to - source->buffer);
    return QUERN_OK;
}

static quern_status reading_failed(const qn_hdf5_source *source, const qn_hdf5_piece *piece, qn_error *error)
{
    if (source->strings_too_long)
        return qn_error_set(error, QUERN_ERROR_RECORD_TOO_LARGE, 0,
                            "strings of %s that are read at once have more bytes than record-bytes, %llu: raise it",
                            source->name, (unsigned long long)source->record_bytes_max);
    return qn_hdf5_failed(error, QUERN_ERROR_INPUT, "cannot read %s from index %llu of its first dimension on",
                          source->name, (unsigned long long)piece->start[0]);
}

static quern_status read_piece(qn_hdf5_source *source, const qn_hdf5_segment *segment, qn_error *error)
{
    hsize_t start[QN_HDF5_RANK_MAX], count[QN_HDF5_RANK_MAX], elements = 1;
    qn_hdf5_piece piece;
    qn_hdf5_grid_piece(&segment->grid, &source->box, segment->piece_bytes_max, source->place.scan_offset, &piece);
    for (uint32_t d = 0; d < segment->grid.rank; d++) {
        start[d] = piece.start[d];
        count[d] = piece.count[d];
        elements *= count[d];
    }
    source->piece.record_count = 0;
    quern_status status = have_room(source, &piece, elements, error);
    if (status != QUERN_OK)
        return status;
    qn_arena_rewind(&source->strings);
    source->string_bytes = 0;
    source->strings_too_long = false;
    /* Of the same rank: HDF5 goes through chunks element by element where the two selections have other shapes. */
    hid_t memory = H5Screate_simple((int)segment->grid.rank, count, NULL);
    herr_t code = H5Sselect_hyperslab(source->dataset.space, H5S_SELECT_SET, start, NULL, count, NULL);
    if (code >= 0)
        code = H5Dread(source->dataset.id, source->dataset.memory_type, memory, source->dataset.space, source->transfer,
                       has_pointers(source) ? source->raw : source->buffer);
    if (code < 0)
        status = reading_failed(source, &piece, error);
    else if (has_pointers(source))
        status = put_strings(source, elements, error);
    if (status == QUERN_OK)
        source->piece = piece;
    H5Sclose(memory);
    return status;
}

static bool is_read(const qn_hdf5_source *source)
{
    uint64_t record = source->place.scan_offset;
    return record >= source->piece.first_record && record - source->piece.first_record < source->piece.record_count;
}

/* The piece that the place is in, with its box and its dataset. *over_out: behind the last box of the segment. */
static quern_status have_piece(qn_hdf5_source *source, bool *over_out, qn_error *error)
{
    qn_text_place *place = &source->place;
    const qn_hdf5_segment *segment = &source->segments[place->segment];
    quern_status status = QUERN_OK;
    qn_hdf5_quiet quiet;
    if (!place->started) {
        place->member = segment->begin;
        place->started = true;
    }
    *over_out = place->member >= segment->end;
    if (*over_out || (source->box_number == place->member && is_read(source)))
        return QUERN_OK;
    qn_hdf5_quiet_begin(&quiet);
    if (source->box_number == UINT64_MAX)
        status = open_dataset(source, segment, error);
    if (status == QUERN_OK) {
        source->box_number = place->member;
        qn_hdf5_grid_box(&segment->grid, place->member, &source->box);
        status = read_piece(source, segment, error);
    }
    qn_hdf5_quiet_end(&quiet);
    return status;
}

/* ---- handing out ---- */

static uint32_t string_length(const qn_hdf5_dataset *dataset, const char *string)
{
    size_t bytes = strnlen(string, dataset->element_bytes);
    if (dataset->padding == H5T_STR_NULLTERM)
        return (uint32_t)bytes;
    char pad = dataset->padding == H5T_STR_SPACEPAD ? ' ' : 0;
    for (bytes = dataset->element_bytes; bytes > 0 && string[bytes - 1] == pad;)
        bytes--;
    return (uint32_t)bytes;
}

static void give_strings(qn_hdf5_source *source, uint64_t first, uint32_t count)
{
    const qn_hdf5_dataset *dataset = &source->dataset;
    for (uint32_t i = 0; i < count; i++) {
        const char *string = (const char *)source->buffer + (first + i) * dataset->element_bytes;
        if (dataset->is_variable) {
            memcpy(&string, string, sizeof string);
            string = string ? string : "";
        }
        source->values[i] = string;
        source->value_bytes[i] = dataset->is_variable ? (uint32_t)strlen(string) : string_length(dataset, string);
    }
}

static void give_values(qn_hdf5_source *source, uint64_t first, uint32_t count, uint64_t bytes)
{
    if (source->begins) {
        for (uint32_t i = 0; i < count; i++) {
            source->values[i] = source->buffer + source->begins[first + i];
            source->value_bytes[i] = (uint32_t)(source->begins[first + i + 1] - source->begins[first + i]);
        }
        return;
    }
    const uint8_t *value = source->buffer + first * bytes;
    for (uint32_t i = 0; i < count; i++, value += bytes)
        source->values[i] = value;
    for (uint32_t i = 0; i < count; i++)
        source->value_bytes[i] = (uint32_t)bytes;
    for (uint32_t i = 0; i < count && source->aligned; i++) {
        uint8_t *to = source->aligned + i * aligned_bytes(source->form);
        memcpy(to, source->values[i], bytes);
        source->values[i] = to;
    }
}

static void give_places(qn_hdf5_source *source, const qn_hdf5_grid *grid, uint64_t first, uint32_t count)
{
    uint64_t start[QN_HDF5_RANK_MAX];
    size_t coordinates_bytes = sizeof *start * grid->rank;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *key = source->place_keys + i * source->place_bytes + 8;
        qn_hdf5_grid_start(grid, &source->box, first + i, start);
        memcpy(key, start, coordinates_bytes);
        if (grid->record == QUERN_HDF5_CHUNKS)
            memcpy(key + coordinates_bytes, source->box.count, coordinates_bytes);
    }
}

static void give_block(qn_hdf5_source *source, const qn_hdf5_grid *grid, uint32_t count, qn_batch *batch_out)
{
    uint64_t record = source->place.scan_offset, first = record - source->piece.first_record;
    qn_hdf5_grid_indices(grid, &source->box, record, count, source->indices);
    if (source->place_keys)
        give_places(source, grid, record, count);
    if (qn_array_form_has_strings(source->form))
        give_strings(source, first, count);
    else
        give_values(source, first, count, qn_hdf5_grid_record_bytes(grid, &source->box));
    source->block_count = count;
    *batch_out = (qn_batch){.block = {.count = count,
                                      .key = source->keys,
                                      .key_bytes = source->key_bytes,
                                      .value = source->values,
                                      .value_bytes = source->value_bytes}};
}

/* How many records of the piece are the next block. */
static uint32_t count_block(const qn_hdf5_source *source)
{
    uint64_t left = source->piece.first_record + source->piece.record_count - source->place.scan_offset;
    return left < QN_BATCH_COUNT_MAX ? (uint32_t)left : QN_BATCH_COUNT_MAX;
}

static void next_segment(qn_hdf5_source *source)
{
    source->place = (qn_text_place){.segment = source->place.segment + 1};
    source->box_number = UINT64_MAX;
}

static void pass(qn_hdf5_source *source, uint32_t count)
{
    source->place.scan_offset += count;
    if (source->place.scan_offset < source->box.record_count)
        return;
    source->place.member++;
    source->place.scan_offset = 0;
}

quern_status qn_hdf5_source_next(qn_hdf5_source *source, qn_batch *batch_out, qn_error *error)
{
    while (source->place.segment < source->segment_count) {
        bool over = false;
        quern_status status = have_piece(source, &over, error);
        source->block_place = source->place;
        if (status != QUERN_OK)
            return status;
        if (over) {
            next_segment(source);
            continue;
        }
        uint32_t count = count_block(source);
        give_block(source, &source->segments[source->place.segment].grid, count, batch_out);
        pass(source, count);
        return QUERN_OK;
    }
    source->block_place = source->place;
    *batch_out = (qn_batch){.block = {.count = 0, .key = source->keys, .key_bytes = source->key_bytes}};
    return QUERN_OK;
}

const qn_text_place *qn_hdf5_source_block_place(const qn_hdf5_source *source)
{
    return &source->block_place;
}

const qn_text_place *qn_hdf5_source_next_place(const qn_hdf5_source *source)
{
    return &source->place;
}

uint64_t qn_hdf5_source_task_bytes(const qn_hdf5_source *source)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < source->segment_count; i++)
        bytes += source->segments[i].bytes;
    return bytes;
}

const char *qn_hdf5_source_locate(const qn_hdf5_source *source, uint32_t record, uint64_t *index_out)
{
    *index_out = record < source->block_count ? source->indices[record] : 0;
    return source->name ? source->name : "";
}

uint64_t qn_hdf5_source_number(const qn_hdf5_source *source)
{
    return source->segments[source->block_place.segment].number;
}

quern_hdf5_record qn_hdf5_source_record(const qn_hdf5_source *source)
{
    return source->form->options.record;
}
