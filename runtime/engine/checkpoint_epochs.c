/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/engine/checkpoint_internal.h"

#define KEPT_FILES_MAX 16 /* a rank, of earlier attempts: so many are opened when the next one begins */

/* Splits are all that says what is done of a stage that reads files; what it reads of results is read before, by all ranks, when the first epoch is cut. */
bool qn_checkpoint_can_cut(const qn_checkpoint *checkpoint, const qn_stages *stages, uint32_t stage)
{
    const qn_stage *about = &stages->items[stage];
    bool has_splits = false;
    for (uint32_t leg = 0; leg < about->leg_count; leg++)
        has_splits |= qn_leg_has_tasks(about, leg);
    return has_splits && !checkpoint->settings->check && qn_checkpoint_can_save(stages, stage) &&
           qn_checkpoint_is_noted(checkpoint, stages, stage);
}

/* The line, when all files are there. Takes `counted`. Rank 0. */
static quern_status note_epoch(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, const qn_saved_file *files,
                               json_t *counted, qn_master *master, qn_error *error)
{
    json_t *tasks = NULL;
    if (qn_master_pack_tasks(master, &tasks, error) != QUERN_OK) {
        json_decref(counted);
        return error->status;
    }
    json_t *line = qn_checkpoint_describe(checkpoint, stage->index, files, counted, tasks);
    quern_status status = qn_checkpoint_append(checkpoint, line, error);
    qn_checkpoint_sweep(checkpoint); /* the epoch before, or what was written in vain */
    return status;
}

static quern_status save_epoch(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_master *master,
                               qn_error *error)
{
    qn_saved_file *files = NULL;
    quern_status status = qn_checkpoint_write_files(checkpoint, stage, &files, error);
    if (status == QUERN_OK) {
        json_t *sums = qn_checkpoint_sum_counted(checkpoint, stage->counters, stage->counted, error);
        if (checkpoint->comm->rank == 0)
            note_epoch(checkpoint, stage, files, sums, master, error);
        else
            json_decref(sums);
        status = qn_comm_agree(checkpoint->comm, error);
    }
    free(files);
    return status;
}

quern_status qn_checkpoint_cut(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_master *master,
                               bool *ends_out, qn_error *error)
{
    qn_error failure = {0};
    qn_comm *comm = checkpoint->comm;
    uint64_t start_ns = comm->rank == 0 ? master->paused_ns : 0, now_ns = 0, ends = 0;
    uint64_t bytes = qn_result_get_saved_bytes(stage->result);
    quern_status status = save_epoch(checkpoint, stage, master, &failure);
    now_ns = qn_clock_ns();
    if (comm->rank == 0) {
        qn_checkpoint_note_saved(checkpoint, status, start_ns, "an epoch in stage %u of run %u", stage->index,
                                 checkpoint->run);
        qn_epochs_note(&checkpoint->when, start_ns, now_ns, bytes);
        ends = qn_epochs_must_end(&checkpoint->when, now_ns, bytes);
    }
    if (status != QUERN_OK)
        status = qn_checkpoint_go_on_without(checkpoint, &failure, error);
    if (status == QUERN_OK)
        status = qn_comm_broadcast(comm, &ends, sizeof ends, 0, error);
    *ends_out = ends;
    return status;
}

bool qn_checkpoint_get_tasks(const qn_checkpoint *checkpoint, uint32_t stage, qn_task_state *state_out)
{
    const json_t *line = qn_checkpoint_find_line(checkpoint->epochs, checkpoint->run, stage);
    *state_out = (qn_task_state){0};
    return qn_checkpoint_has_begun(checkpoint, stage) && line &&
           qn_task_state_parse(state_out, json_object_get(line, "tasks"));
}

static uint64_t count_files(const qn_checkpoint *checkpoint, uint32_t stage)
{
    uint64_t count = 0;
    for (size_t i = 0; i < checkpoint->file_count; i++)
        count += checkpoint->files[i].stage == stage;
    return count;
}

bool qn_checkpoint_can_keep(const qn_checkpoint *checkpoint, uint32_t stage)
{
    return count_files(checkpoint, stage) <= (uint64_t)KEPT_FILES_MAX * checkpoint->comm->size;
}

/* Rank 0. False: no memory. */
static bool carry(qn_checkpoint *checkpoint, uint32_t stage)
{
    const json_t *line = qn_checkpoint_find_line(checkpoint->epochs, checkpoint->run, stage);
    checkpoint->carried = json_copy(json_object_get(line, "files"));
    checkpoint->carried_stage = stage;
    return checkpoint->carried != NULL;
}

quern_status qn_checkpoint_keep(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_error *error)
{
    qn_error failure = {0};
    char name[QN_SAVED_NAME_BYTES];
    char *path = qn_checkpoint_name_file(checkpoint, stage, name);
    bool is_known = checkpoint->comm->rank != 0 || carry(checkpoint, stage->index);
    if (path && is_known)
        qn_collator_keep(stage->result->collated, path, &failure);
    else
        qn_error_set(&failure, QUERN_ERROR_NO_MEMORY, 0, "no memory for a checkpoint");
    free(path);
    if (qn_comm_agree(checkpoint->comm, &failure) == QUERN_OK)
        return QUERN_OK;
    return qn_checkpoint_go_on_without(checkpoint, &failure, error); /* from here on lines would not be whole */
}

bool qn_checkpoint_next_share(const qn_checkpoint *checkpoint, uint32_t stage, size_t *next, qn_share *share_out)
{
    uint64_t count = count_files(checkpoint, stage), number = 0;
    uint64_t rank = checkpoint->comm->rank, size = checkpoint->comm->size;
    for (size_t i = 0; i < checkpoint->file_count; i++) {
        if (checkpoint->files[i].stage != stage || number++ < *next)
            continue;
        uint64_t file = *next;
        *next += 1;
        *share_out = (qn_share){&checkpoint->files[i], 0, 1};
        if (size <= count && file % size == rank) /* those of one attempt are of about one size */
            return true;
        if (size <= count || rank * count / size != file)
            continue;
        uint64_t first = (file * size + count - 1) / count, end = ((file + 1) * size + count - 1) / count;
        share_out->part = (uint32_t)(rank - first);
        share_out->part_count = (uint32_t)(end - first);
        return true;
    }
    return false;
}

quern_status qn_checkpoint_take_up(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_error *error)
{
    uint64_t rows = 0;
    quern_status status = qn_checkpoint_read_files(checkpoint, stage->index, stage->result, &rows, error);
    if (status != QUERN_OK || checkpoint->comm->rank != 0)
        return status;
    qn_checkpoint_count_again(qn_checkpoint_find_line(checkpoint->epochs, checkpoint->run, stage->index),
                              stage->counters);
    qn_checkpoint_say(checkpoint, "stage %u of run %u goes on with %" PRIu64 " rows", stage->index, checkpoint->run,
                      rows);
    return QUERN_OK;
}
