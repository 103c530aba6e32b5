/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/array_delivery.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/comm/guard.h"
#include "runtime/io/array_file.h"
#include "runtime/io/array_rows.h"
#include "runtime/io/array_varying.h"
#include "runtime/io/file_sum.h"
#include "runtime/io/hdf5_output.h"

#define WRITE_BYTES_MAX ((uint64_t)16 << 20) /* of rows in one call of HDF5 */
#define STUCK_NS_MAX    (5 * QN_NS_PER_S) /* that others may take to come out of a call of HDF5 that failed on one rank */
#define TOLD_NS_MAX     (6 * QN_NS_PER_S) /* the same of who is not the one to say why */

/* How one file is written. */
typedef struct writing {
    qn_sink_writer *writer;
    const qn_array_output *form;
    qn_comm *comm;
    bool is_shared;   /* one file is of all ranks */
    bool is_single;   /* but written by the first alone: what HDF5 cannot write together */
    const char *path; /* temporary */
    qn_array_rows rows;
    uint64_t first, end;   /* this rank's rows of all */
    uint64_t before;       /* rows of all before the file's first */
    uint64_t row_count;    /* of the file */
    uint64_t rows_at_once; /* whole chunks */
    uint64_t round_count;
    char why[QN_ERROR_TEXT_BYTES_MAX + 64];
    qn_guard stuck; /* once a call of HDF5 that all make together failed on a rank */
} writing;

static uint64_t chunks_of(uint64_t row_count, uint64_t chunk_rows)
{
    return row_count / chunk_rows + (row_count % chunk_rows > 0);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The first row that belongs to a rank: chunks are dealt out in stretches, the first ones a chunk longer. */
static uint64_t first_row_of(uint32_t rank, const writing *of)
{
    uint64_t row_count = qn_array_rows_get_count(&of->rows), chunk_rows = of->form->chunk_rows;
    if (of->is_single)
        return rank > 0 ? row_count : 0;
    uint64_t chunks = chunks_of(row_count, chunk_rows), each = chunks / of->comm->size, more = chunks % of->comm->size;
    uint64_t first_chunk = each * rank + smaller(rank, more);
    return first_chunk < chunks ? first_chunk * chunk_rows : row_count;
}

/* All ranks know all parts; freed by the caller. */
static quern_status learn_parts(qn_sink_writer *writer, qn_comm *comm, qn_part_summary **parts_out, uint64_t *count_out,
                                qn_error *error)
{
    qn_part_summary *parts = NULL;
    size_t count = 0;
    quern_status status = qn_sink_writer_collect_summaries(writer, comm, &parts, &count, error);
    uint64_t shared_count = count;
    if (status == QUERN_OK)
        status = qn_comm_broadcast(comm, &shared_count, sizeof shared_count, 0, error);
    if (status == QUERN_OK && comm->rank != 0 && !(parts = calloc(shared_count + 1, sizeof *parts)))
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for %llu parts", (unsigned long long)shared_count);
    if (status == QUERN_OK)
        status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_broadcast(comm, parts, shared_count * sizeof *parts, 0, error);
    if (status != QUERN_OK) {
        free(parts);
        return status;
    }
    *parts_out = parts;
    *count_out = shared_count;
    return QUERN_OK;
}

/* All ranks must come to the same rounds. */
static quern_status plan_rounds(writing *of, uint64_t memory_bytes, qn_error *error)
{
    const qn_array_output *form = of->form;
    uint64_t inverse = ~memory_bytes, row_count = qn_array_rows_get_count(&of->rows);
    quern_status status = qn_comm_reduce_max(of->comm, &inverse, 1, error);
    uint64_t chunk_rows = smaller(form->chunk_rows, row_count > 0 ? row_count : 1);
    uint64_t chunk_cost = chunk_rows * qn_hdf5_output_row_cost(form);
    if (status == QUERN_OK && chunk_cost > ~inverse)
        status = qn_error_set(
            error, QUERN_ERROR_BUDGET, 0,
            "writing a chunk of %llu rows takes %.1f MiB, and memory has %.1f MiB for it: raise memory, or "
            "write smaller chunks",
            (unsigned long long)chunk_rows, (double)chunk_cost / (1 << 20), (double)~inverse / (1 << 20));
    uint64_t by_memory = ~inverse / 2 / chunk_cost, by_bytes = WRITE_BYTES_MAX / (chunk_rows * form->row_bytes);
    uint64_t chunks_at_once = smaller(by_memory, by_bytes);
    of->rows_at_once = chunk_rows * (chunks_at_once > 0 ? chunks_at_once : 1);
    of->first = first_row_of(of->comm->rank, of);
    of->end = first_row_of(of->comm->rank + 1, of);
    of->before = of->is_shared ? 0 : of->first;
    of->row_count = of->is_shared ? row_count : of->end - of->first;
    of->round_count = chunks_of(of->is_shared ? first_row_of(1, of) : of->row_count, of->rows_at_once);
    of->rows_at_once = smaller(of->rows_at_once, of->row_count > 0 ? of->row_count : 1);
    return status;
}

/* In a file that all write, the outcome is that of all. */
static quern_status agree_if_shared(const writing *of, qn_error *error)
{
    return of->is_shared ? qn_comm_agree(of->comm, error) : error->status;
}

static bool is_written_together(const writing *of)
{
    return of->is_shared && !of->is_single && of->comm->size > 1;
}

/* The same while a rank that writes it alone goes through rounds that the others know nothing of. */
static quern_status agree_if_together(const writing *of, qn_error *error)
{
    return is_written_together(of) ? qn_comm_agree(of->comm, error) : error->status;
}

/* Whom HDF5 lets fail alone the others may wait for in it, now or when they close the file: nobody can call them out of there. The job then ends
 * with the reason, which without that would have been its end, too. */
static quern_status agree_on_call(writing *of, qn_error *error)
{
    bool is_together = is_written_together(of), failed = error->status != QUERN_OK;
    if (is_together && failed && !of->stuck.runs) {
        snprintf(of->why, sizeof of->why, "HDF5 does not come back on all ranks: %s", error->text);
        qn_guard_start(&of->stuck, of->comm, STUCK_NS_MAX, QN_COMM_EXIT_HUNG, of->why);
    }
    quern_status status = agree_if_shared(of, error);
    if (is_together && status != QUERN_OK && !of->stuck.runs)
        qn_guard_start(&of->stuck, of->comm, TOLD_NS_MAX, QN_COMM_EXIT_HUNG, NULL);
    return status;
}

/* One rank sees to the room of all. */
static void reserve_round(const writing *of, qn_hdf5_output *output, uint64_t rows, qn_error *error)
{
    uint64_t all_rows = of->is_shared ? smaller(of->rows_at_once * of->comm->size, of->row_count) : rows;
    if (!of->is_shared || of->comm->rank == 0)
        qn_hdf5_output_reserve(output, all_rows, error);
}

/* As many at a time as their strings allow. */
static quern_status write_varying(writing *of, qn_hdf5_output *output, qn_error *error)
{
    qn_array_varying varying;
    uint64_t first = of->first, count = 0;
    qn_array_varying_init(&varying, &of->rows, of->form);
    for (; first < of->end && error->status == QUERN_OK; first += count) {
        uint64_t count_max = smaller(of->end - first, of->rows_at_once);
        if (qn_array_varying_read(&varying, first, count_max, qn_hdf5_output_get_room(output), &count, error) ==
            QUERN_OK)
            qn_hdf5_output_write(output, first - of->before, count, error);
    }
    qn_array_varying_fini(&varying);
    return error->status;
}

static quern_status write_rounds(writing *of, qn_hdf5_output *output, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint64_t round = 0; round < of->round_count && status == QUERN_OK; round++) {
        uint64_t first = smaller(of->first + round * of->rows_at_once, of->end);
        uint64_t count = smaller(of->end - first, of->rows_at_once);
        if (error->status == QUERN_OK)
            qn_array_rows_read(&of->rows, first, count, qn_hdf5_output_get_room(output), error);
        if (error->status == QUERN_OK)
            reserve_round(of, output, count, error);
        status = agree_if_together(of, error);
        if (status != QUERN_OK)
            return status;
        qn_hdf5_output_write(output, first - of->before, count, error);
        status = is_written_together(of) ? agree_on_call(of, error) : error->status;
    }
    return status;
}

static bool share(void *user, int64_t access_list)
{
    return qn_comm_share_hdf5(user, access_list);
}

/* Between create and here all is by one rank; from open to close the ranks of a shared file go together. */
static quern_status write_file(writing *of, qn_error *error)
{
    qn_hdf5_output *output = NULL;
    bool is_together = is_written_together(of), is_idle = of->is_single && of->comm->rank > 0;
    if (!of->is_shared || of->comm->rank == 0)
        qn_hdf5_output_create(of->path, of->form, of->row_count, error);
    quern_status status = agree_if_shared(of, error);
    if (status == QUERN_OK && !is_idle)
        qn_hdf5_output_prepare(&output, of->path, of->form, of->rows_at_once, error);
    status = agree_if_shared(of, error);
    if (status == QUERN_OK && !is_idle)
        qn_hdf5_output_open(output, is_together ? share : NULL, of->comm, error);
    if (status == QUERN_OK)
        status = agree_on_call(of, error);
    if (status == QUERN_OK && !is_idle)
        of->form->varies ? write_varying(of, output, error) : write_rounds(of, output, error);
    qn_hdf5_output_close(output, error);
    return agree_on_call(of, error);
}

/* Whoever waits for a dead rank inside HDF5 cannot be told. */
static quern_status write_guarded(writing *of, qn_error *error)
{
    qn_guard guard = {0};
    if (is_written_together(of) && of->comm->tells_losses && of->comm->threads_allowed)
        qn_guard_start_for_loss(&guard, of->comm, "a rank was lost while all wrote one HDF5 file");
    write_file(of, error);
    quern_status status = qn_comm_agree(of->comm, error);
    qn_guard_stop(&of->stuck);
    qn_guard_stop(&guard);
    return status;
}

/* This rank's file, or its piece of the shared one. */
static quern_status sum_up(writing *of, qn_part_summary *summary, qn_error *error)
{
    uint64_t bytes = 0, rank = of->comm->rank, size = of->comm->size, offset = 0;
    if (qn_file_get_bytes(of->path, &bytes, error) != QUERN_OK)
        return error->status;
    summary->bytes = bytes;
    if (of->is_shared) {
        offset = bytes / size * rank;
        summary->bytes = rank + 1 < size ? bytes / size : bytes - offset;
    }
    summary->records = of->end - of->first;
    return qn_file_sync_and_sum(of->path, offset, summary->bytes, &summary->checksum, error);
}

/* Names the file, so that it is removed if the run fails from here on. */
static quern_status name_file(writing *of, uint64_t part_count, qn_part *part, qn_error *error)
{
    const char *directory = of->writer->sink->directory, *token = of->writer->token;
    uint32_t rank = of->comm->rank, size = of->comm->size;
    *part = (qn_part){.fd = -1, .summary.number = rank};
    part->temporary_path = of->is_shared
                               ? qn_part_temporary_path(directory, part_count, part_count + 1, token)
                               : qn_part_temporary_path(directory, part_count + rank, part_count + size, token);
    of->path = part->temporary_path;
    part->path = of->is_shared ? NULL : qn_array_file_path(directory, rank, size);
    if (!part->temporary_path || (!part->path && !of->is_shared))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a file name");
    if (of->is_shared && rank == 0)
        return qn_array_file_begin(&of->writer->output, of->path, error);
    return QUERN_OK;
}

/* The rows are in the file: their parts go. */
static void drop_rows(qn_sink_writer *writer)
{
    size_t last = writer->part_count - 1;
    for (size_t i = 0; i < last; i++)
        qn_part_close(&writer->parts[i], false);
    writer->parts[0] = writer->parts[last];
    writer->part_count = 1;
}

static quern_status check_ways(const writing *of, qn_error *error)
{
    if (!is_written_together(of) || qn_hdf5_output_is_parallel())
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_OUTPUT, 0,
                        "HDF5 was built without MPI, so %u ranks cannot write one file: write a file per rank",
                        of->comm->size);
}

static quern_status begin(writing *of, const qn_part_summary *parts, uint64_t part_count, uint64_t memory_bytes,
                          qn_error *error)
{
    qn_sink_writer *writer = of->writer;
    qn_part *part = NULL;
    if (check_ways(of, error) == QUERN_OK && qn_sink_writer_add_part(writer, &part, error) == QUERN_OK)
        name_file(of, part_count, part, error);
    if (error->status == QUERN_OK)
        qn_array_rows_init(&of->rows, writer->sink->directory, writer->token, parts, part_count, of->form->row_bytes,
                           error);
    quern_status status = qn_comm_agree(of->comm, error);
    return status == QUERN_OK ? plan_rounds(of, memory_bytes, error) : status;
}

quern_status qn_array_deliver(qn_sink_writer *writer, qn_comm *comm, uint64_t memory_bytes, qn_error *error)
{
    writing of = {.writer = writer,
                  .form = writer->sink->array,
                  .comm = comm,
                  .is_shared = writer->sink->one_file,
                  .is_single = writer->sink->one_file && writer->sink->array->is_single,
                  .rows.fd = -1};
    qn_part_summary *parts = NULL;
    uint64_t part_count = 0;
    quern_status status = learn_parts(writer, comm, &parts, &part_count, error);
    if (status == QUERN_OK)
        status = begin(&of, parts, part_count, memory_bytes, error);
    free(parts);
    if (status == QUERN_OK)
        status = write_guarded(&of, error);
    qn_array_rows_fini(&of.rows);
    if (status == QUERN_OK)
        sum_up(&of, &writer->parts[writer->part_count - 1].summary, error);
    status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        drop_rows(writer);
    return status;
}
