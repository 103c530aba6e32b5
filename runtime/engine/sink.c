/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/sink.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/engine/array_delivery.h"
#include "runtime/engine/collect.h"
#include "runtime/engine/top_k.h"
#include "runtime/io/array_file.h"
#include "runtime/io/array_rows.h"
#include "runtime/io/csv_format.h"
#include "runtime/io/fixed_format.h"
#include "runtime/io/text_format.h"

quern_status qn_sink_writer_init(qn_sink_writer *writer, const qn_sink *sink, const qn_comm *comm,
                                 uint64_t kept_bytes_max, const qn_kept_parts *kept, qn_error *error)
{
    *writer = (qn_sink_writer){.sink = sink, .schema = sink->input->schema, .kept_bytes_max = kept_bytes_max};
    if (sink->kind == QN_SINK_COLLECT)
        return qn_collect_init(writer, error);
    if (!qn_sink_is_of_files(sink) || comm->rank != 0)
        return QUERN_OK;
    quern_status status = sink->path ? qn_array_file_check(sink->path, error) : QUERN_OK;
    qn_part_style style = qn_sink_writer_style(writer);
    qn_kept_parts to_stay = kept ? *kept : (qn_kept_parts){0};
    to_stay.style = &style;
    to_stay.is_joined = sink->one_file || sink->archive != QUERN_NO_ARCHIVE;
    if (status == QUERN_OK)
        status = qn_output_prepare(&writer->output, sink->directory, kept ? &to_stay : NULL, error);
    memcpy(writer->token, writer->output.lock.token, sizeof writer->token);
    return status;
}

quern_status qn_sink_writer_share_token(qn_sink_writer *writer, qn_comm *comm, qn_error *error)
{
    return qn_sink_is_of_files(writer->sink) ? qn_comm_broadcast(comm, writer->token, sizeof writer->token, 0, error)
                                             : QUERN_OK;
}

qn_part_style qn_sink_writer_style(const qn_sink_writer *writer)
{
    const qn_sink *sink = writer->sink;
    return (qn_part_style){.compression = sink->compression,
                           .level = sink->level,
                           .text = sink->kind == QN_SINK_TEXT ? &sink->text : NULL,
                           .archive = sink->archive,
                           .is_passing = sink->kind == QN_SINK_HDF5,
                           .token = writer->token};
}

quern_status qn_sink_writer_add_part(qn_sink_writer *writer, qn_part **part_out, qn_error *error)
{
    if (writer->part_count == writer->part_capacity) {
        size_t capacity = writer->part_capacity ? 2 * writer->part_capacity : 8;
        qn_part *parts = realloc(writer->parts, capacity * sizeof *parts);
        if (!parts)
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for an output part");
        writer->parts = parts;
        writer->part_capacity = capacity;
    }
    *part_out = &writer->parts[writer->part_count++];
    **part_out = (qn_part){.fd = -1};
    return QUERN_OK;
}

/* Each file has one; of parts that become one file the first has it. */
static bool has_header(const qn_sink *sink, uint64_t number)
{
    bool is_joined = sink->one_file && sink->archive == QUERN_NO_ARCHIVE;
    return sink->kind == QN_SINK_TEXT && (number == 0 || !is_joined);
}

static quern_status open_file(qn_sink_writer *writer, uint64_t number, uint64_t part_count, bool is_second,
                              qn_error *error)
{
    const qn_sink *sink = writer->sink;
    qn_part_style style = qn_sink_writer_style(writer);
    style.is_second = is_second;
    qn_part *part = NULL;
    quern_status status = qn_sink_writer_add_part(writer, &part, error);
    writer->part_count_all = part_count;
    if (status == QUERN_OK &&
        (status = qn_part_open(part, sink->directory, number, part_count, &style, error)) != QUERN_OK)
        writer->part_count--;
    if (status == QUERN_OK && has_header(sink, number) &&
        (status = qn_csv_put_header(part, &sink->text, error)) != QUERN_OK)
        qn_part_close(&writer->parts[--writer->part_count], false);
    return status;
}

quern_status qn_sink_writer_take_up(qn_sink_writer *writer, const qn_part_summary *summary, uint64_t part_count,
                                    qn_error *error)
{
    qn_part_style style = qn_sink_writer_style(writer);
    qn_part *part = NULL;
    quern_status status = qn_sink_writer_add_part(writer, &part, error);
    if (status == QUERN_OK &&
        (status = qn_part_take_up(part, writer->sink->directory, summary, part_count, &style, error)) != QUERN_OK)
        writer->part_count--;
    return status;
}

quern_status qn_sink_writer_begin_part(qn_sink_writer *writer, uint64_t number, uint64_t part_count, bool is_second,
                                       qn_error *error)
{
    if (!qn_sink_writer_has_parts(writer))
        return QUERN_OK;
    quern_status status = writer->sink->kind == QN_SINK_COLLECT
                              ? qn_collect_begin_part(writer, number, error)
                              : open_file(writer, number, part_count, is_second, error);
    writer->part_open = status == QUERN_OK;
    return status;
}

quern_status qn_sink_writer_adopt_part(qn_sink_writer *writer, qn_error *error)
{
    if (!writer->part_open || writer->sink->kind == QN_SINK_COLLECT)
        return QUERN_OK;
    return qn_part_adopt(&writer->parts[writer->part_count - 1], writer->sink->directory, writer->part_count_all,
                         error);
}

quern_status qn_sink_writer_end_part(qn_sink_writer *writer, qn_error *error)
{
    if (!writer->part_open)
        return QUERN_OK;
    writer->part_open = false;
    if (writer->sink->kind == QN_SINK_COLLECT) {
        qn_collect_end_part(writer);
        return QUERN_OK;
    }
    return qn_part_finish(&writer->parts[writer->part_count - 1], error);
}

void qn_sink_writer_drop_part(qn_sink_writer *writer)
{
    if (!writer->part_open)
        return;
    writer->part_open = false;
    if (writer->sink->kind == QN_SINK_COLLECT)
        qn_collect_drop_part(writer);
    else
        qn_part_close(&writer->parts[--writer->part_count], false);
}

quern_status qn_sink_writer_put(qn_sink_writer *writer, const qn_batch *batch, qn_error *error)
{
    quern_status status = QUERN_OK;
    if (writer->sink->kind == QN_SINK_TOP_K)
        return qn_top_k_put(writer, batch, error);
    if (writer->sink->kind == QN_SINK_COLLECT)
        return qn_collect_put(writer, batch, error);
    qn_part *part = &writer->parts[writer->part_count - 1];
    if (writer->sink->kind == QN_SINK_FIXED)
        return qn_fixed_put(part, &batch->block, error);
    if (writer->sink->kind == QN_SINK_HDF5)
        return qn_array_rows_put(part, writer->sink->array, &batch->block, error);
    const qn_text_form *form = part->style.text;
    bool is_text = form->form == QUERN_FORM_TEXT;
    for (size_t i = 0; i < batch->block.count && status == QUERN_OK; i++) {
        quern_record record = qn_batch_record(batch, i);
        status = is_text ? qn_text_put(part, &writer->schema, &record, error)
                         : qn_csv_put(part, form, &writer->schema, &record, error);
    }
    return status;
}

quern_status qn_sink_writer_deliver(qn_sink_writer *writer, qn_comm *comm, uint64_t memory_bytes, qn_error *error)
{
    switch (writer->sink->kind) {
    case QN_SINK_TOP_K:
        return qn_top_k_deliver(writer, comm, memory_bytes, error);
    case QN_SINK_COLLECT:
        return qn_collect_deliver(writer, comm, memory_bytes, error);
    case QN_SINK_HDF5:
        return qn_array_deliver(writer, comm, memory_bytes, error);
    case QN_SINK_TEXT:
    case QN_SINK_FIXED:
        break;
    }
    return QUERN_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = ((const qn_part_summary *)a)->number, right = ((const qn_part_summary *)b)->number;
    return left < right ? -1 : left > right;
}

quern_status qn_sink_writer_collect_summaries(qn_sink_writer *writer, qn_comm *comm, qn_part_summary **all_out,
                                              size_t *count_out, qn_error *error)
{
    qn_part_summary *mine = calloc(writer->part_count + 1, sizeof *mine);
    if (!mine)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the manifest");
    quern_status status = qn_comm_agree(comm, error);
    void *all = NULL;
    size_t bytes = 0;
    for (size_t i = 0; mine && i < writer->part_count; i++)
        mine[i] = writer->parts[i].summary;
    if (status == QUERN_OK)
        status = qn_comm_collect(comm, mine, writer->part_count * sizeof *mine, &all, &bytes, error);
    free(mine);
    if (status != QUERN_OK)
        return status;
    *all_out = all;
    *count_out = bytes / sizeof **all_out;
    if (all)
        qsort(all, *count_out, sizeof **all_out, compare_numbers);
    return QUERN_OK;
}

static void seal(qn_sink_writer *writer, const qn_part_summary *summaries, size_t count, qn_error *error)
{
    const qn_sink *sink = writer->sink;
    const qn_part_style style = qn_sink_writer_style(writer);
    if (sink->kind == QN_SINK_HDF5)
        qn_array_file_seal(&writer->output, sink->path, summaries, count, sink->one_file, error);
    else if (sink->archive != QUERN_NO_ARCHIVE)
        qn_output_seal_archive(&writer->output, summaries, count, &style, error);
    else
        qn_output_seal(&writer->output, summaries, count, sink->compression, sink->one_file, error);
}

static quern_status commit_parts(qn_sink_writer *writer, qn_comm *comm, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < writer->part_count && status == QUERN_OK; i++)
        status = qn_part_commit(&writer->parts[i], error);
    return qn_comm_agree(comm, error);
}

/* Begins the one file. Where each part begins in it; [count], on all ranks. NULL: a failure. */
static uint64_t *begin_file(qn_sink_writer *writer, const qn_part_summary *summaries, uint64_t count, qn_comm *comm,
                            qn_error *error)
{
    const qn_part_style style = qn_sink_writer_style(writer);
    uint64_t *offsets = calloc(count + 1, sizeof *offsets);
    if (!offsets)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to join %llu parts", (unsigned long long)count);
    else if (comm->rank == 0)
        qn_output_join_begin(&writer->output, summaries, count, &style, offsets, error);
    if (qn_comm_agree(comm, error) == QUERN_OK &&
        qn_comm_broadcast(comm, offsets, count * sizeof *offsets, 0, error) == QUERN_OK)
        return offsets;
    free(offsets);
    return NULL;
}

/* All ranks write their parts into one file. */
static quern_status join_parts(qn_sink_writer *writer, const qn_part_summary *summaries, uint64_t count, qn_comm *comm,
                               qn_error *error)
{
    const qn_sink *sink = writer->sink;
    quern_status status = qn_comm_broadcast(comm, &count, sizeof count, 0, error);
    uint64_t *offsets = status == QUERN_OK ? begin_file(writer, summaries, count, comm, error) : NULL;
    if (!offsets)
        return error->status;
    for (size_t i = 0; status == QUERN_OK && i < writer->part_count; i++) {
        const qn_part *part = &writer->parts[i];
        status = qn_part_join(part, sink->directory, count, offsets[part->summary.number], error);
    }
    free(offsets);
    status = qn_comm_agree(comm, error);
    for (size_t i = 0; status == QUERN_OK && i < writer->part_count; i++)
        qn_part_close(&writer->parts[i], false);
    if (status == QUERN_OK && comm->rank == 0)
        qn_output_join_commit(&writer->output, error);
    return qn_comm_agree(comm, error);
}

/* The one file is whole already. */
static quern_status commit_array(qn_sink_writer *writer, qn_comm *comm, qn_error *error)
{
    if (comm->rank == 0)
        qn_array_file_commit(&writer->output, writer->sink->path, error);
    return qn_comm_agree(comm, error);
}

static quern_status commit_files(qn_sink_writer *writer, const qn_part_summary *summaries, uint64_t count,
                                 qn_comm *comm, qn_error *error)
{
    if (!writer->sink->one_file)
        return commit_parts(writer, comm, error);
    return writer->sink->kind == QN_SINK_HDF5 ? commit_array(writer, comm, error)
                                              : join_parts(writer, summaries, count, comm, error);
}

quern_status qn_sink_writer_commit(qn_sink_writer *writer, qn_comm *comm, qn_error *error)
{
    const qn_sink *sink = writer->sink;
    if (!qn_sink_is_of_files(sink))
        return QUERN_OK;
    qn_part_summary *summaries = NULL;
    size_t count = 0;
    quern_status status = qn_sink_writer_collect_summaries(writer, comm, &summaries, &count, error);
    if (status == QUERN_OK && comm->rank == 0)
        qn_output_check_held(&writer->output, error); /* all parts are there: output_lock.h */
    if (status == QUERN_OK)
        status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = commit_files(writer, summaries, count, comm, error);
    if (status == QUERN_OK) {
        if (comm->rank == 0)
            seal(writer, summaries, count, error);
        status = qn_comm_agree(comm, error);
    }
    free(summaries);
    return status;
}

void qn_sink_writer_fini(qn_sink_writer *writer, bool keep)
{
    qn_sink_writer_drop_part(writer);
    if (keep)
        qn_output_release(&writer->output);
    else
        qn_output_unseal(&writer->output);
    for (size_t i = 0; i < writer->part_count; i++)
        qn_part_close(&writer->parts[i], keep);
    free(writer->parts);
    writer->parts = NULL;
    writer->part_count = writer->part_capacity = 0;
    qn_top_k_free(writer);
    qn_collect_free(writer);
}

void qn_sink_writer_leave(qn_sink_writer *writer, bool is_given_again)
{
    qn_sink_writer_drop_part(writer);
    qn_output_leave(&writer->output, is_given_again);
    qn_sink_writer_fini(writer, true);
}

void qn_sink_writer_withdraw(qn_sink_writer *writer)
{
    qn_output_withdraw(&writer->output);
}
