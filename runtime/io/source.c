/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/source.h"

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"

quern_status qn_source_init(qn_source *source, const qn_source_format *format, uint64_t record_bytes_max,
                            qn_error *error)
{
    source->kind = format->kind;
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
static const qn_task_reader *task_of(const qn_source *source)
{
    QN_ASSERT(source->kind != QN_SOURCE_HDF5);
    return source->kind == QN_SOURCE_TEXT    ? &source->of.text.task
           : source->kind == QN_SOURCE_FIXED ? &source->of.fixed.task
                                             : &source->of.records.task;
}

void qn_source_fini(qn_source *source)
{
    CALL(source, fini);
    if (source->kind == QN_SOURCE_HDF5)
        source->of.hdf5 = NULL;
}

quern_status qn_source_open(qn_source *source, const void *message, size_t bytes, const qn_text_place *place,
                            qn_error *error)
{
    if (source->kind == QN_SOURCE_HDF5)
        return qn_hdf5_source_open(source->of.hdf5, message, bytes, place, error);
    return qn_task_reader_open((qn_task_reader *)task_of(source), message, bytes, place, error);
}

quern_status qn_source_next(qn_source *source, qn_batch *batch_out, qn_error *error)
{
    return CALL(source, next, batch_out, error);
}

quern_status qn_source_next_piece(qn_source *source, size_t bytes_min, qn_piece *piece_out, qn_error *error)
{
    const qn_task_format *format = source->kind == QN_SOURCE_FIXED     ? &qn_fixed_task_format
                                   : source->kind == QN_SOURCE_RECORDS ? &qn_record_task_format
                                                                       : &qn_text_task_format;
    return qn_task_reader_next_piece((qn_task_reader *)task_of(source), format, &source->of, bytes_min, piece_out,
                                     error);
}

const qn_text_place *qn_source_block_place(const qn_source *source)
{
    return source->kind == QN_SOURCE_HDF5 ? qn_hdf5_source_block_place(source->of.hdf5) : &task_of(source)->block_place;
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
