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
                                         : qn_record_source_##call(&(source)->of.records, ##__VA_ARGS__))
#define FIELD(source, field)                                                                                           \
    ((source)->kind == QN_SOURCE_TEXT    ? (source)->of.text.field                                                     \
     : (source)->kind == QN_SOURCE_FIXED ? (source)->of.fixed.field                                                    \
                                         : (source)->of.records.field)

void qn_source_fini(qn_source *source)
{
    CALL(source, fini);
}

quern_status qn_source_open(qn_source *source, const void *message, size_t bytes, const qn_text_place *place,
                            qn_error *error)
{
    return CALL(source, open, message, bytes, place, error);
}

quern_status qn_source_next(qn_source *source, qn_batch *batch_out, qn_error *error)
{
    return CALL(source, next, batch_out, error);
}

const qn_text_place *qn_source_block_place(const qn_source *source)
{
    switch (source->kind) {
    case QN_SOURCE_TEXT:
        return &source->of.text.block_place;
    case QN_SOURCE_FIXED:
        return &source->of.fixed.block_place;
    case QN_SOURCE_RECORDS:
        break;
    }
    return &source->of.records.block_place;
}

uint64_t qn_source_task_bytes(const qn_source *source)
{
    return CALL(source, task_bytes);
}

const char *qn_source_locate(const qn_source *source, uint32_t record, uint64_t *offset_out)
{
    return CALL(source, locate, record, offset_out);
}

void qn_source_identify(const qn_source *source, size_t count, uint64_t *identities_out)
{
    if (count == 0)
        return;
    /* The listing's index of the file that the last block is of. */
    uint64_t file = FIELD(source, segments)[qn_source_block_place(source)->segment].file;
    uint64_t place[2] = {qn_source_block_place(source)->member};
    for (uint32_t i = 0; i < count; i++) {
        qn_source_locate(source, i, &place[1]);
        identities_out[i] = qn_checksum(place, sizeof place, file);
    }
}
