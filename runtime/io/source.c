/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/source.h"

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"

quern_status qn_source_init(qn_source *source, const qn_source_format *format, uint64_t record_bytes_max,
                            qn_error *error)
{
    source->kind = format->kind;
    source->bad = (qn_bad_list){0};
    switch (format->kind) {
    case QN_SOURCE_TEXT:
        return qn_text_source_init(&source->of.text, &format->delimiters, format->skip_empty, format->value,
                                   record_bytes_max, error);
    case QN_SOURCE_FIXED:
        return qn_fixed_source_init(&source->of.fixed, &format->layout, record_bytes_max, error);
    case QN_SOURCE_HDF5:
        source->of.hdf5 = NULL;
        return qn_hdf5_source_create(&source->of.hdf5, format->array, record_bytes_max, error);
    case QN_SOURCE_RECORDS:
        return qn_record_source_init(&source->of.records, &format->records, record_bytes_max, error);
    }
    QN_ASSERT(!"a format is of a kind");
    return QUERN_ERROR_INTERNAL;
}

/* One line for each kind. */
#define CALL(source, call, ...)                                                                                        \
    ((source)->kind == QN_SOURCE_TEXT    ? qn_text_source_##call(&(source)->of.text, ##__VA_ARGS__)                    \
     : (source)->kind == QN_SOURCE_FIXED ? qn_fixed_source_##call(&(source)->of.fixed, ##__VA_ARGS__)                  \
     : (source)->kind == QN_SOURCE_HDF5  ? qn_hdf5_source_##call((source)->of.hdf5, ##__VA_ARGS__)                     \
                                         : qn_record_source_##call(&(source)->of.records, ##__VA_ARGS__))

/* Of all but HDF5. */
static qn_task_reader *task_of(const qn_source *source)
{
    QN_ASSERT(source->kind != QN_SOURCE_HDF5);
    qn_source *changed = (qn_source *)source;
    return source->kind == QN_SOURCE_TEXT    ? &changed->of.text.task
           : source->kind == QN_SOURCE_FIXED ? &changed->of.fixed.task
                                             : &changed->of.records.task;
}

void qn_source_fini(qn_source *source)
{
    CALL(source, fini);
    qn_bad_list_fini(&source->bad);
    if (source->kind == QN_SOURCE_HDF5)
        source->of.hdf5 = NULL;
}

quern_status qn_source_open(qn_source *source, const void *message, size_t bytes, const qn_text_place *place,
                            qn_error *error)
{
    if (source->kind == QN_SOURCE_HDF5)
        return qn_hdf5_source_open(source->of.hdf5, message, bytes, place, error);
    return qn_task_reader_open(task_of(source), message, bytes, place, error);
}

void qn_source_pass_bad(qn_source *source, bool keeps_raw)
{
    source->bad.keeps_raw = keeps_raw;
    if (source->kind != QN_SOURCE_HDF5) {
        task_of(source)->bad = &source->bad;
        task_of(source)->window.content.in_steps = true;
    }
}

void qn_source_forgive_damage(qn_source *source, bool forgives)
{
    if (source->kind != QN_SOURCE_HDF5)
        task_of(source)->window.content.forgives = forgives;
}

static quern_status check_list(const qn_source *source, qn_error *error)
{
    if (source->bad.failed)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for bad records that were passed over");
    return QUERN_OK;
}

quern_status qn_source_next(qn_source *source, qn_batch *batch_out, qn_error *error)
{
    qn_bad_list_clear(&source->bad);
    quern_status status = CALL(source, next, batch_out, error);
    return status == QUERN_OK ? check_list(source, error) : status;
}

quern_status qn_source_next_piece(qn_source *source, size_t bytes_min, qn_piece *piece_out, qn_error *error)
{
    const qn_task_format *format = source->kind == QN_SOURCE_FIXED     ? &qn_fixed_task_format
                                   : source->kind == QN_SOURCE_RECORDS ? &qn_record_task_format
                                                                       : &qn_text_task_format;
    qn_bad_list_clear(&source->bad);
    quern_status status = qn_task_reader_next_piece(task_of(source), format, &source->of, bytes_min, piece_out, error);
    return status == QUERN_OK ? check_list(source, error) : status;
}

const qn_text_place *qn_source_block_place(const qn_source *source)
{
    return source->kind == QN_SOURCE_HDF5 ? qn_hdf5_source_block_place(source->of.hdf5) : &task_of(source)->block_place;
}

const qn_text_place *qn_source_next_place(const qn_source *source)
{
    return source->kind == QN_SOURCE_HDF5 ? qn_hdf5_source_next_place(source->of.hdf5) : &task_of(source)->place;
}

uint64_t qn_source_task_bytes(const qn_source *source)
{
    return source->kind == QN_SOURCE_HDF5 ? qn_hdf5_source_task_bytes(source->of.hdf5)
                                          : qn_task_reader_bytes(task_of(source));
}

uint64_t qn_source_done_bytes(const qn_source *source)
{
    /* What a box is of its task is not known here. */
    return source->kind == QN_SOURCE_HDF5 ? 0 : qn_task_reader_done_bytes(task_of(source));
}

/* The place of a record of the last block, whose content may just have been closed. */
static qn_content_place place_of(const qn_source *source, uint32_t record)
{
    uint64_t offset = 0;
    CALL(source, locate, record, &offset);
    return source->kind == QN_SOURCE_HDF5 ? (qn_content_place){.offset = offset}
                                          : qn_content_place_of(&task_of(source)->window.content, offset);
}

const char *qn_source_locate(const qn_source *source, uint32_t record, uint64_t *offset_out)
{
    if (source->kind == QN_SOURCE_HDF5)
        return qn_hdf5_source_locate(source->of.hdf5, record, offset_out);
    CALL(source, locate, record, offset_out);
    return qn_task_reader_locate(task_of(source), offset_out);
}

const char *qn_source_unit(const qn_source *source)
{
    static const char *const units[] = {
        [QUERN_HDF5_ROWS] = "row", [QUERN_HDF5_ELEMENTS] = "element", [QUERN_HDF5_CHUNKS] = "element"};
    return source->kind == QN_SOURCE_HDF5 ? units[qn_hdf5_source_record(source->of.hdf5)] : "byte";
}

/* The listing's index of the file, or dataset, that the last block is of. */
static uint64_t file_of(const qn_source *source)
{
    if (source->kind == QN_SOURCE_HDF5)
        return qn_hdf5_source_number(source->of.hdf5);
    const qn_task_reader *task = task_of(source);
    return task->segments[task->block_place.segment].file;
}

/* Bytes [begin, end) of the content, if the window has them. */
static const void *in_window(const qn_window *window, uint64_t begin, uint64_t end, size_t *bytes_out)
{
    bool has = begin >= window->data_offset && end <= qn_window_end(window) && begin <= end;
    *bytes_out = has ? (size_t)(end - begin) : 0;
    return has ? window->data + (begin - window->data_offset) : NULL;
}

const void *qn_source_raw(const qn_source *source, uint32_t record, size_t *bytes_out)
{
    uint64_t offset = 0;
    *bytes_out = 0;
    if (source->kind == QN_SOURCE_HDF5)
        return NULL;
    CALL(source, locate, record, &offset);
    const qn_window *window = &task_of(source)->window;
    if (source->kind == QN_SOURCE_RECORDS)
        return in_window(window, offset, source->of.records.ends[record], bytes_out);
    if (source->kind == QN_SOURCE_FIXED)
        return in_window(window, offset, offset + source->of.fixed.layout.record_bytes, bytes_out);
    *bytes_out = source->of.text.key_bytes[record];
    return source->of.text.keys[record];
}

void qn_source_blame(qn_source *source, uint32_t record, const char *reason)
{
    uint64_t offset = 0;
    size_t bytes = 0;
    const char *name = CALL(source, locate, record, &offset);
    const void *raw = qn_source_raw(source, record, &bytes);
    qn_content_place place = place_of(source, record);
    qn_bad_list_begin_at(&source->bad, name, file_of(source), &place, reason);
    qn_bad_list_add_raw(&source->bad, raw, bytes);
    qn_bad_list_end(&source->bad, bytes);
}

void qn_source_identify(const qn_source *source, size_t count, uint64_t *identities_out)
{
    if (count == 0)
        return;
    uint64_t file = file_of(source);
    for (uint32_t i = 0; i < count; i++) {
        qn_content_place place = place_of(source, i);
        identities_out[i] = qn_checksum(&place, sizeof place, file);
    }
}
