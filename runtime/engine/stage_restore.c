/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/stage_restore.h"

#include <stdio.h>
#include <stdlib.h>

#define BLOCK_BYTES ((size_t)256 << 10) /* of a reader */

static quern_status open_share(const qn_stage_run *run, const qn_share *share, char **path_out,
                               qn_pieces_reader *reader, qn_error *error)
{
    const qn_checkpoint *checkpoint = &run->engine->checkpoint;
    if (asprintf(path_out, "%s/%s", checkpoint->directory, share->file->name) < 0) {
        *path_out = NULL;
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a checkpoint");
    }
    return qn_pieces_reader_open(reader, *path_out, &share->file->saved, checkpoint->settings->cipher, BLOCK_BYTES,
                                 error);
}

static void close_share(char *path, qn_pieces_reader *reader)
{
    qn_pieces_reader_close(reader);
    free(path);
}

/* ---- samples */

/* Of all files of a rank one sample: one record of each `step`. */
typedef struct sampling {
    uint64_t step, bytes;
} sampling;

/* Steps are powers of 2. */
static void note_sampling(sampling *all, uint64_t step, uint64_t bytes)
{
    while (all->step < step) {
        all->step *= 2;
        all->bytes /= 2;
    }
    all->bytes += bytes * step / all->step;
}

/* One of so many records of the sample; packed. */
static quern_status expect_sample(qn_stage_run *run, qn_pieces_reader *reader, uint64_t of_each, uint64_t record_count,
                                  qn_error *error)
{
    qn_collator *collator = run->into->collated;
    const qn_layout *layout = &collator->config.collation.layout;
    const uint8_t *records = NULL;
    uint64_t bytes = 0, number = 0;
    quern_status status;
    qn_collator_expect(collator, NULL, 0, record_count);
    qn_pieces_reader_begin_sample(reader);
    do {
        status = qn_pieces_reader_next(reader, &records, &bytes, error);
        for (uint64_t at = 0, record_bytes; status == QUERN_OK && at < bytes; at += record_bytes) {
            qn_packed record;
            record_bytes = qn_packed_decode(layout, records + at, bytes - at, &record);
            if (record_bytes == 0)
                return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "a saved record does not fit its block");
            if (number++ % of_each == 0)
                qn_collator_expect(collator, records + at, record_bytes, 0);
        }
    } while (status == QUERN_OK && bytes > 0);
    return status;
}

/* The first part of a file stands for all of it. all_out: looks only how large a sample would be. */
static quern_status expect_files(qn_stage_run *run, const sampling *all, sampling *all_out, qn_error *error)
{
    quern_status status = QUERN_OK;
    qn_share share;
    for (size_t next = 0;
         status == QUERN_OK && qn_checkpoint_next_share(&run->engine->checkpoint, run->index, &next, &share);) {
        qn_pieces_reader reader = {0};
        char *path = NULL;
        if (share.part != 0 || share.file->saved.record_count == 0)
            continue;
        status = open_share(run, &share, &path, &reader, error);
        uint64_t step = status == QUERN_OK ? qn_pieces_reader_get_sample_step(&reader) : 1;
        if (status == QUERN_OK && all_out)
            note_sampling(all_out, step, qn_pieces_reader_get_sample_bytes(&reader));
        else if (status == QUERN_OK)
            status = expect_sample(run, &reader, step < all->step ? all->step / step : 1,
                                   share.file->saved.record_count, error);
        close_share(path, &reader);
    }
    return status;
}

quern_status qn_stage_expect_saved(qn_stage_run *run, qn_error *error)
{
    sampling all = {.step = 1};
    uint64_t bytes_max = qn_collator_get_expected_bytes_max(run->into->collated);
    quern_status status = expect_files(run, NULL, &all, error);
    for (; all.bytes > bytes_max && bytes_max > 0; all.bytes /= 2)
        all.step *= 2;
    return status == QUERN_OK ? expect_files(run, &all, NULL, error) : status;
}

/* ---- records */

static quern_status insert(qn_stage_run *run, const uint8_t *records, uint64_t bytes, qn_error *error)
{
    qn_backoff backoff = {0};
    quern_status status = QUERN_OK;
    for (uint64_t at = 0; status == QUERN_OK && at < bytes && !run->agent.aborted;) {
        status = qn_collator_restore(run->into->collated, records, bytes, &at, error);
        if (status == QUERN_OK && at < bytes)
            qn_stage_run_wait(run, &backoff, QN_TIMELINE_WAIT);
    }
    return status;
}

static quern_status restore_share(qn_stage_run *run, const qn_share *share, qn_error *error)
{
    qn_pieces_reader reader = {0};
    char *path = NULL;
    const uint8_t *records = NULL;
    uint64_t bytes = 1;
    quern_status status = open_share(run, share, &path, &reader, error);
    if (status == QUERN_OK)
        qn_pieces_reader_begin(&reader, share->part, share->part_count);
    while (status == QUERN_OK && bytes > 0 && !run->agent.aborted) {
        qn_agent_leave(&run->agent);
        status = qn_pieces_reader_next(&reader, &records, &bytes, error);
        qn_agent_enter(&run->agent);
        if (status == QUERN_OK)
            status = insert(run, records, bytes, error);
        qn_agent_progress_if_due(&run->agent);
    }
    close_share(path, &reader);
    return status;
}

void qn_stage_restore_saved(qn_stage_run *run)
{
    qn_error failure = {0};
    quern_status status = QUERN_OK;
    qn_share share;
    uint64_t start_ns = qn_clock_ns();
    for (size_t next = 0; status == QUERN_OK && !run->agent.aborted &&
                          qn_checkpoint_next_share(&run->engine->checkpoint, run->index, &next, &share);)
        status = restore_share(run, &share, &failure);
    run->figures.work_ns += qn_clock_ns() - start_ns;
    if (run->agent.aborted)
        return;
    if (status == QUERN_OK)
        qn_agent_report_idle(&run->agent);
    else
        qn_agent_break(&run->agent, &failure);
}

static quern_status restore_collated(qn_engine *engine, const qn_stages *stages, uint32_t index, qn_result *into,
                                     qn_error *error)
{
    qn_stage_run *run = calloc(1, sizeof *run);
    if (!run)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a stage");
    quern_status status = qn_comm_agree(engine->comm, error);
    if (status == QUERN_OK) {
        run->engine = engine;
        run->stages = stages;
        run->stage = &stages->items[index];
        run->index = index;
        run->into = into;
        status = qn_stage_restore_all(run, error);
    }
    free(run);
    return status;
}

quern_status qn_stage_restore_result(qn_engine *engine, const qn_stages *stages, uint32_t index, qn_result *into,
                                     qn_error *error)
{
    quern_status status = QUERN_OK;
    if (into->kind == QN_RESULT_COLLATED)
        status = restore_collated(engine, stages, index, into, error);
    return status == QUERN_OK ? qn_checkpoint_restore(&engine->checkpoint, index, into, engine->counters, error)
                              : status;
}
