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
    }
    QN_ASSERT(!"a format is of a kind");
    return QUERN_ERROR_INTERNAL;
}

void qn_source_fini(qn_source *source)
{
    switch (source->kind) {
    case QN_SOURCE_TEXT:
        qn_text_source_fini(&source->of.text);
        return;
    case QN_SOURCE_FIXED:
        qn_fixed_source_fini(&source->of.fixed);
        return;
    }
}

quern_status qn_source_open(qn_source *source, const void *message, size_t bytes, const qn_text_place *place,
                            qn_error *error)
{
    if (source->kind == QN_SOURCE_FIXED)
        return qn_fixed_source_open(&source->of.fixed, message, bytes, place, error);
    return qn_text_source_open(&source->of.text, message, bytes, place, error);
}

quern_status qn_source_next(qn_source *source, qn_batch *batch_out, qn_error *error)
{
    if (source->kind == QN_SOURCE_FIXED)
        return qn_fixed_source_next(&source->of.fixed, batch_out, error);
    return qn_text_source_next(&source->of.text, batch_out, error);
}

const qn_text_place *qn_source_block_place(const qn_source *source)
{
    return source->kind == QN_SOURCE_FIXED ? &source->of.fixed.block_place : &source->of.text.block_place;
}

uint64_t qn_source_task_bytes(const qn_source *source)
{
    return source->kind == QN_SOURCE_FIXED ? qn_fixed_source_task_bytes(&source->of.fixed)
                                           : qn_text_source_task_bytes(&source->of.text);
}

static const qn_content *content_of(const qn_source *source)
{
    return source->kind == QN_SOURCE_FIXED ? &source->of.fixed.window.content : &source->of.text.window.content;
}

/* The place of a record of the last block, whose content may just have been closed. */
static qn_content_place place_of(const qn_source *source, uint32_t record)
{
    uint64_t offset = 0;
    if (source->kind == QN_SOURCE_FIXED)
        qn_fixed_source_locate(&source->of.fixed, record, &offset);
    else
        qn_text_source_locate(&source->of.text, record, &offset);
    return qn_content_place_of(content_of(source), offset);
}

const char *qn_source_locate(const qn_source *source, uint32_t record, uint64_t *offset_out)
{
    qn_content_place place = place_of(source, record);
    *offset_out = place.offset;
    return qn_content_name_of((qn_content *)content_of(source), &place);
}

/* The listing's index of the file that the last block is of. */
static uint64_t file_of(const qn_source *source)
{
    const qn_segment *segments = source->kind == QN_SOURCE_FIXED ? source->of.fixed.segments : source->of.text.segments;
    return segments[qn_source_block_place(source)->segment].file;
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
