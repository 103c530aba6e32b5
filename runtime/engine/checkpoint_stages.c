/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/engine/bad_log.h"
#include "runtime/engine/checkpoint_internal.h"
#include "runtime/io/listing.h"
#include "runtime/io/output.h"

/* ---- what a stage's result depends on; rank 0 ---- */

static uint64_t digest_number(uint64_t digest, uint64_t number)
{
    return qn_checksum(&number, sizeof number, digest);
}

static bool looks_up(const qn_stage *stage)
{
    for (uint32_t step = 0; step < stage->step_count; step++)
        if (qn_stage_looks_up(stage, step))
            return true;
    return false;
}

/* only_files: nothing of the run will be kept for others. */
static bool digest_stage(qn_checkpoint *checkpoint, const qn_stages *stages, uint32_t index, bool only_files,
                         uint64_t *digest)
{
    const qn_stage *stage = &stages->items[index];
    if (stage->is_made) {
        *digest = stage->result->made_digest;
        return only_files && *digest != 0;
    }
    if (stage->kept != QN_STAGE_NONE || looks_up(stage) || qn_bad_legs(checkpoint->settings, stage) != 0)
        return false;
    *digest = digest_number(digest_number(checkpoint->history, checkpoint->given), index);
    *digest = digest_number(*digest, (uint64_t)stage->outer_side << 32 | stage->leg_count);
    for (uint32_t leg = 0; leg < stage->leg_count; leg++) {
        uint32_t parent = stage->legs[leg].parent;
        if (parent != QN_STAGE_NONE && !(checkpoint->certain >> parent & 1))
            return false;
        if (parent != QN_STAGE_NONE)
            *digest = digest_number(*digest, checkpoint->digests[parent]);
        else if (checkpoint->inputs[index][leg] == 0)
            return false;
        else
            *digest = digest_number(*digest, checkpoint->inputs[index][leg]);
    }
    return true;
}

static void digest_stages(qn_checkpoint *checkpoint, const qn_stages *stages, bool only_files)
{
    checkpoint->certain = 0;
    for (uint32_t i = 0; i < stages->count; i++)
        if (digest_stage(checkpoint, stages, i, only_files, &checkpoint->digests[i]))
            checkpoint->certain |= UINT64_C(1) << i;
}

void qn_checkpoint_print_digest(uint64_t digest, char text[QN_DIGEST_TEXT_BYTES])
{
    snprintf(text, QN_DIGEST_TEXT_BYTES, "%016" PRIx64, digest);
}

bool qn_checkpoint_has_digest(const json_t *line, uint64_t digest)
{
    char text[QN_DIGEST_TEXT_BYTES];
    const char *noted = json_string_value(json_object_get(line, "digest"));
    qn_checkpoint_print_digest(digest, text);
    return noted && strcmp(noted, text) == 0;
}

/* ---- lines and files ---- */

json_t *qn_checkpoint_find_line(const json_t *lines, uint64_t run, uint64_t stage)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        json_t *line = json_array_get(lines, i);
        if (qn_json_get_number(line, "run") == run && qn_json_get_number(line, "stage") == stage)
            return line;
    }
    return NULL;
}

/* ---- what can be reused ---- */

bool qn_checkpoint_can_save(const qn_stages *stages, uint32_t index)
{
    const qn_stage *stage = &stages->items[index];
    if (!stage->result || stage->is_made || stage->is_left_out)
        return false;
    /* What is kept in order tells later runs' plans of its cuts, which another attempt would make elsewhere. */
    return stage->result->kind == QN_NODE_REDUCE ||
           (stage->result->kind == QN_NODE_COLLATE && !stage->result->is_cached);
}

static uint32_t words_of(const qn_stages *stages, uint32_t index)
{
    const qn_node *result = stages->items[index].result;
    return result->kind == QN_NODE_REDUCE ? result->reducer.value_words : QN_BLOCK_PACKED;
}

const char *qn_checkpoint_why_not(qn_checkpoint *checkpoint, const json_t *line, uint32_t index)
{
    if (qn_json_get_number(line, "program") != checkpoint->program)
        return "the program is another one";
    const char *reason = qn_checkpoint_why_not_given(checkpoint, line);
    if (reason)
        return reason;
    if (!(checkpoint->certain >> index & 1))
        return "what it depends on cannot be looked at";
    if (qn_json_get_number(line, "history") != checkpoint->history)
        return "the graph is another one";
    if (qn_checkpoint_has_digest(line, checkpoint->digests[index]))
        return NULL;
    reason = qn_checkpoint_why_not_inputs(checkpoint, line, json_array_get(checkpoint->stage_inputs, index));
    return reason ? reason : "an input of an earlier run changed";
}

/* Why the line's files are of no use, or NULL. */
static const char *why_not(qn_checkpoint *checkpoint, const json_t *line, uint32_t index,
                           const struct quern_counter *counters)
{
    const char *reason = line ? qn_checkpoint_why_not(checkpoint, line, index) : "it was not over";
    if (reason)
        return reason;
    if (json_array_size(json_object_get(line, "counted")) != qn_counter_count(counters))
        return "there are other counters";
    if (json_array_size(json_object_get(line, "files")) == 0)
        return "it was not worth saving";
    return NULL;
}

static quern_status take_files(qn_checkpoint *checkpoint, const qn_stages *stages, uint32_t index, const json_t *line,
                               uint64_t *stages_out, qn_error *error)
{
    const json_t *files = json_object_get(line, "files");
    size_t count = json_array_size(files);
    qn_saved_file *grown = realloc(checkpoint->files, (checkpoint->file_count + count + 1) * sizeof *grown);
    if (!grown)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the files of a checkpoint");
    checkpoint->files = grown;
    for (size_t i = 0; i < count; i++)
        if (!qn_saved_file_parse(json_array_get(files, i), index, &grown[checkpoint->file_count + i]) ||
            grown[checkpoint->file_count + i].saved.value_words != words_of(stages, index))
            count = 0;
    checkpoint->file_count += count;
    if (count > 0)
        *stages_out |= UINT64_C(1) << index;
    return QUERN_OK;
}

/* The result of a stage, else an epoch within it, else the reason why it is done again. */
static quern_status choose_for(qn_checkpoint *checkpoint, const qn_stages *stages, uint32_t index,
                               const struct quern_counter *counters, qn_error *error)
{
    const json_t *line = qn_checkpoint_find_line(checkpoint->stages, checkpoint->run, index);
    const json_t *epoch = qn_checkpoint_find_line(checkpoint->epochs, checkpoint->run, index);
    const char *reason = why_not(checkpoint, line, index, counters);
    if (!reason)
        return take_files(checkpoint, stages, index, line, &checkpoint->reusable, error);
    const char *no_epoch = epoch ? why_not(checkpoint, epoch, index, counters) : reason;
    if (!no_epoch)
        return take_files(checkpoint, stages, index, epoch, &checkpoint->begun, error);
    qn_checkpoint_say(checkpoint, "'%s' of run %u is done again: %s", stages->items[index].result->name,
                      checkpoint->run, no_epoch);
    return QUERN_OK;
}

static quern_status choose(qn_checkpoint *checkpoint, const qn_stages *stages, bool only_files,
                           const struct quern_counter *counters, qn_error *error)
{
    quern_status status = QUERN_OK;
    digest_stages(checkpoint, stages, only_files);
    for (uint32_t i = 0; i < stages->count && status == QUERN_OK && checkpoint->attempt > 1; i++)
        if (qn_checkpoint_can_save(stages, i))
            status = choose_for(checkpoint, stages, i, counters, error);
        else if (qn_checkpoint_can_note_parts(checkpoint, stages, i))
            qn_checkpoint_choose_parts(checkpoint, stages, i);
    return status;
}

static quern_status share_choice(qn_checkpoint *checkpoint, qn_error *error)
{
    uint64_t choice[] = {checkpoint->reusable, checkpoint->file_count, checkpoint->certain, checkpoint->begun,
                         checkpoint->noted};
    quern_status status = qn_comm_broadcast(checkpoint->comm, choice, sizeof choice, 0, error);
    if (status != QUERN_OK)
        return status;
    checkpoint->reusable = choice[0];
    checkpoint->certain = choice[2];
    checkpoint->begun = choice[3];
    checkpoint->noted = choice[4];
    if (checkpoint->comm->rank != 0)
        checkpoint->files = calloc(choice[1] + 1, sizeof *checkpoint->files);
    if (!checkpoint->files && choice[1] > 0)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the files of a checkpoint");
    status = qn_comm_agree(checkpoint->comm, error);
    checkpoint->file_count = choice[1];
    if (status == QUERN_OK && choice[1] > 0)
        status =
            qn_comm_broadcast(checkpoint->comm, checkpoint->files, choice[1] * sizeof *checkpoint->files, 0, error);
    return status;
}

static quern_status verify_file(const qn_checkpoint *checkpoint, const qn_saved_file *file, qn_error *error)
{
    const qn_cipher *cipher = checkpoint->settings->cipher;
    char *path = qn_checkpoint_path(checkpoint, file->name);
    quern_status status = QUERN_OK;
    if (!path)
        status = qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a checkpoint");
    else if (file->saved.value_words == QN_BLOCK_PACKED)
        status = qn_pieces_verify(path, &file->saved, cipher, error);
    else
        status = qn_saved_verify(path, &file->saved, cipher, error);
    free(path);
    return status;
}

/* Each file is read by one rank, before anything relies on it. */
static quern_status verify(qn_checkpoint *checkpoint, const qn_stages *stages, qn_error *error)
{
    uint64_t bad[QN_STAGE_COUNT_MAX] = {0};
    for (size_t i = checkpoint->comm->rank; i < checkpoint->file_count; i += checkpoint->comm->size) {
        const qn_saved_file *file = &checkpoint->files[i];
        qn_error failure = {0};
        if (verify_file(checkpoint, file, &failure) == QUERN_OK)
            continue;
        bad[file->stage] = i + 1;
        qn_log_line(checkpoint->log, "checkpoint: %s", failure.text);
    }
    quern_status status = qn_comm_reduce_max(checkpoint->comm, bad, QN_STAGE_COUNT_MAX, error);
    for (uint32_t i = 0; i < stages->count && status == QUERN_OK; i++) {
        if (bad[i] == 0)
            continue;
        checkpoint->reusable &= ~(UINT64_C(1) << i);
        checkpoint->begun &= ~(UINT64_C(1) << i);
        if (checkpoint->comm->rank == 0)
            qn_checkpoint_say(checkpoint, "'%s' of run %u is done again: %s/%s is damaged",
                              stages->items[i].result->name, checkpoint->run, checkpoint->directory,
                              checkpoint->files[bad[i] - 1].name);
    }
    return status;
}

quern_status qn_checkpoint_choose(qn_checkpoint *checkpoint, const qn_stages *stages, bool only_files,
                                  const struct quern_counter *counters, qn_error *error)
{
    if (checkpoint->comm->rank == 0)
        choose(checkpoint, stages, only_files, counters, error);
    quern_status status = qn_comm_agree(checkpoint->comm, error);
    if (status == QUERN_OK)
        status = share_choice(checkpoint, error);
    return status == QUERN_OK ? verify(checkpoint, stages, error) : status;
}

void qn_checkpoint_count_again(const json_t *line, struct quern_counter *counters)
{
    const json_t *counted = json_object_get(line, "counted");
    size_t i = 0;
    for (struct quern_counter *counter = counters; counter; counter = counter->next)
        counter->sum += (int64_t)json_integer_value(json_array_get(counted, i++));
}

bool qn_checkpoint_has_quarantine(const qn_checkpoint *checkpoint, const char *directory)
{
    return directory && checkpoint->quarantine && strcmp(checkpoint->quarantine, directory) == 0;
}

void qn_checkpoint_note_quarantine(qn_checkpoint *checkpoint, const char *directory)
{
    qn_error failure = {0};
    if (!checkpoint->directory || checkpoint->save_failed || checkpoint->comm->rank != 0 ||
        qn_checkpoint_has_quarantine(checkpoint, directory))
        return;
    json_t *line = json_pack("{s:s, s:I, s:s}", "event", "quarantine", "attempt", (json_int_t)checkpoint->attempt,
                             "directory", directory);
    if (qn_checkpoint_append(checkpoint, line, &failure) != QUERN_OK)
        qn_checkpoint_say(checkpoint, "if the job is killed, %s has to be emptied by hand: %s", directory,
                          failure.text);
}

uint64_t qn_checkpoint_digest_of(const qn_checkpoint *checkpoint, uint32_t stage)
{
    return checkpoint->directory && checkpoint->certain >> stage & 1 ? checkpoint->digests[stage] : 0;
}

uint64_t qn_checkpoint_unneeded(const qn_checkpoint *checkpoint, const qn_stages *stages)
{
    uint64_t needed = 0;
    for (uint32_t i = stages->count; i-- > 0;) {
        const qn_stage *stage = &stages->items[i];
        bool is_needed = stage->sink || stage->result->is_cached || !checkpoint->directory;
        for (uint32_t reader = i + 1; reader < stages->count && !is_needed; reader++) {
            const qn_stage *other = &stages->items[reader];
            bool reads = qn_stage_reads(other, i) || other->kept == i || looks_up(other) ||
                         (other->result && other->result->build != QN_BUILD_NONE);
            is_needed = reads && (needed >> reader & 1) && !qn_checkpoint_has(checkpoint, reader);
        }
        needed |= (uint64_t)is_needed << i;
    }
    return ~needed;
}

/* ---- a stage ---- */

void qn_checkpoint_skip(const qn_checkpoint *checkpoint, uint32_t stage, struct quern_counter *counters)
{
    if (checkpoint->comm->rank == 0)
        qn_checkpoint_count_again(qn_checkpoint_find_line(checkpoint->stages, checkpoint->run, stage), counters);
}

quern_status qn_checkpoint_read_files(const qn_checkpoint *checkpoint, uint32_t stage, qn_result *result,
                                      uint64_t *rows_out, qn_error *error)
{
    quern_status status = QUERN_OK;
    *rows_out = 0;
    for (size_t i = 0; i < checkpoint->file_count && status == QUERN_OK; i++) {
        const qn_saved_file *file = &checkpoint->files[i];
        if (file->stage != stage)
            continue;
        *rows_out += file->saved.record_count;
        if (result->kind != QN_RESULT_REDUCED)
            continue;
        char *path = qn_checkpoint_path(checkpoint, file->name);
        status = path ? qn_saved_restore(result->reduced, path, &file->saved, error)
                      : qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a checkpoint");
        free(path);
    }
    return qn_comm_agree(checkpoint->comm, error);
}

quern_status qn_checkpoint_restore(qn_checkpoint *checkpoint, uint32_t stage, qn_result *result,
                                   struct quern_counter *counters, qn_error *error)
{
    uint64_t rows = 0;
    quern_status status = qn_checkpoint_read_files(checkpoint, stage, result, &rows, error);
    if (status != QUERN_OK)
        return status;
    qn_result_stats stats = qn_result_get_stats(result);
    uint64_t sums[] = {stats.merged, stats.copies};
    if (result->kind == QN_RESULT_REDUCED)
        qn_shuffle_end_restored(result->reduced);
    status = qn_comm_reduce_sum(checkpoint->comm, sums, 2, error);
    result->all_in = rows + sums[1];
    result->all_merged = sums[0];
    if (checkpoint->comm->rank != 0)
        return status;
    qn_checkpoint_count_again(qn_checkpoint_find_line(checkpoint->stages, checkpoint->run, stage), counters);
    qn_checkpoint_say(checkpoint, "stage %u of run %u is reused, %" PRIu64 " rows", stage, checkpoint->run, rows);
    return status;
}

/* In the run: before NULL. */
json_t *qn_checkpoint_sum_counted(const qn_checkpoint *checkpoint, const struct quern_counter *counters,
                                  const int64_t *before, qn_error *error)
{
    json_t *counted = json_array();
    size_t i = 0;
    bool is_whole = counted != NULL;
    for (const struct quern_counter *counter = counters; counter; counter = counter->next) {
        uint64_t sum = (uint64_t)(counter->sum - (before ? before[i++] : 0));
        if (qn_comm_reduce_sum(checkpoint->comm, &sum, 1, error) != QUERN_OK)
            break;
        is_whole &= counted && json_array_append_new(counted, json_integer((json_int_t)(int64_t)sum)) == 0;
    }
    if (is_whole)
        return counted;
    json_decref(counted);
    return NULL;
}

/* Those of all ranks, and those of earlier attempts. NULL: no memory: a line with some of them would be believed. */
static json_t *describe_files(const qn_checkpoint *checkpoint, uint32_t stage, const qn_saved_file *files)
{
    json_t *list = json_array();
    bool is_whole = list != NULL;
    for (uint32_t i = 0; files && i < checkpoint->comm->size && is_whole; i++)
        is_whole = json_array_append_new(list, qn_saved_file_describe(&files[i])) == 0;
    if (is_whole && files && checkpoint->carried && checkpoint->carried_stage == stage)
        is_whole = json_array_extend(list, checkpoint->carried) == 0;
    if (is_whole)
        return list;
    json_decref(list);
    return NULL;
}

json_t *qn_checkpoint_describe(const qn_checkpoint *checkpoint, uint32_t stage, const qn_saved_file *files,
                               json_t *counted, json_t *tasks)
{
    char digest[QN_DIGEST_TEXT_BYTES];
    json_t *list = describe_files(checkpoint, stage, files);
    qn_checkpoint_print_digest(checkpoint->digests[stage], digest);
    if (!list) {
        json_decref(counted);
        json_decref(tasks);
        return NULL;
    }
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s, s:o, s:o*, s:o*}", "event", tasks ? "epoch" : "stage", "attempt",
        (json_int_t)checkpoint->attempt, "run", (json_int_t)checkpoint->run, "stage", (json_int_t)stage, "program",
        (json_int_t)checkpoint->program, "given", (json_int_t)checkpoint->given, "history",
        (json_int_t)checkpoint->history, "inputs", json_copy(json_array_get(checkpoint->stage_inputs, stage)), "digest",
        digest, "files", list, "counted", counted, "tasks", tasks);
}

static quern_status write_line(qn_checkpoint *checkpoint, json_t *line, qn_error *error)
{
    quern_status status = qn_journal_append(&checkpoint->journal, json_incref(line), error);
    return status == QUERN_OK ? qn_checkpoint_note(checkpoint, line, error) : status;
}

quern_status qn_checkpoint_append(qn_checkpoint *checkpoint, json_t *line, qn_error *error)
{
    quern_status status = QUERN_OK;
    if (!qn_lock_file_is_held(&checkpoint->lock))
        status = qn_error_set(error, QUERN_ERROR_CHECKPOINT, 0, "another job has taken over %s", checkpoint->directory);
    if (status == QUERN_OK)
        status = qn_file_sync_directory(checkpoint->directory, error);
    while (status == QUERN_OK && json_array_size(checkpoint->unwritten) > 0) {
        status = write_line(checkpoint, json_array_get(checkpoint->unwritten, 0), error);
        json_array_remove(checkpoint->unwritten, 0);
    }
    if (status == QUERN_OK)
        status = write_line(checkpoint, line, error);
    json_decref(line);
    return status;
}

quern_status qn_checkpoint_go_on_without(qn_checkpoint *checkpoint, const qn_error *failure, qn_error *error)
{
    if (failure->status == QUERN_ERROR_MPI)
        return qn_error_set(error, failure->status, 0, "%s", failure->text);
    checkpoint->save_failed = true;
    if (checkpoint->comm->rank == 0)
        qn_checkpoint_say(checkpoint, "nothing more is saved: %s", failure->text);
    return QUERN_OK;
}

char *qn_checkpoint_name_file(const qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage,
                              char name_out[QN_SAVED_NAME_BYTES])
{
    bool is_reduced = stage->result->kind == QN_RESULT_REDUCED;
    snprintf(name_out, QN_SAVED_NAME_BYTES, SAVED_PREFIX "%u.stage-%u.rank-%u.attempt-%u.%u", checkpoint->run,
             stage->index, checkpoint->comm->rank, checkpoint->attempt, is_reduced ? checkpoint->save_count : 0);
    return qn_checkpoint_path(checkpoint, name_out);
}

static quern_status write_file(const qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_saved_file *file,
                               qn_error *error)
{
    bool is_reduced = stage->result->kind == QN_RESULT_REDUCED;
    *file = (qn_saved_file){.stage = stage->index};
    char *path = qn_checkpoint_name_file(checkpoint, stage, file->name);
    if (!path)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a checkpoint");
    quern_status status = qn_result_save(stage->result, path, &file->saved, error);
    if (status != QUERN_OK && is_reduced) /* else an earlier epoch may be in it */
        unlink(path);
    free(path);
    return status;
}

quern_status qn_checkpoint_write_files(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage,
                                       qn_saved_file **all_out, qn_error *error)
{
    qn_comm *comm = checkpoint->comm;
    qn_saved_file mine;
    checkpoint->save_count++;
    write_file(checkpoint, stage, &mine, error);
    if (comm->rank == 0 && !(*all_out = calloc(comm->size, sizeof **all_out)))
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a checkpoint");
    quern_status status = qn_comm_agree(comm, error);
    return status == QUERN_OK ? qn_comm_gather(comm, &mine, sizeof mine, *all_out, error) : status;
}

/* What cannot be saved is noted, too: if what comes of it is reused, it will still have counted what it did. */
bool qn_checkpoint_is_noted(const qn_checkpoint *checkpoint, const qn_stages *stages, uint32_t stage)
{
    return checkpoint->directory && !checkpoint->save_failed && stages->items[stage].result &&
           (checkpoint->certain >> stage & 1);
}

/* Rank 0 decides. */
static quern_status is_worth_it(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, bool *is_out,
                                qn_error *error)
{
    uint64_t bytes = qn_result_get_saved_bytes(stage->result), now_ns = qn_clock_ns();
    uint64_t saves =
        qn_epochs_pays(&checkpoint->when, now_ns, bytes) ||
        (qn_epochs_must_end(&checkpoint->when, now_ns, bytes) && qn_epochs_may_save(&checkpoint->when, now_ns, bytes));
    quern_status status = qn_comm_broadcast(checkpoint->comm, &saves, sizeof saves, 0, error);
    *is_out = saves && qn_checkpoint_can_save(stage->stages, stage->index);
    return status;
}

/* A stage that is not saved counts with the next that is. Takes `counted`. */
static quern_status note_stage(qn_checkpoint *checkpoint, uint32_t stage, const qn_saved_file *files, json_t *counted,
                               qn_error *error)
{
    json_t *line = qn_checkpoint_describe(checkpoint, stage, files, counted, NULL);
    if (files)
        return qn_checkpoint_append(checkpoint, line, error);
    if (line && json_array_append_new(checkpoint->unwritten, line) == 0)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a checkpoint");
}

quern_status qn_checkpoint_save(qn_checkpoint *checkpoint, const qn_checkpoint_stage *stage, qn_error *error)
{
    qn_error failure = {0};
    qn_saved_file *files = NULL;
    bool saves = false;
    if (!qn_checkpoint_is_noted(checkpoint, stage->stages, stage->index))
        return QUERN_OK;
    uint64_t start_ns = qn_clock_ns();
    quern_status status = is_worth_it(checkpoint, stage, &saves, &failure);
    if (status == QUERN_OK && saves)
        status = qn_checkpoint_write_files(checkpoint, stage, &files, &failure);
    if (status == QUERN_OK) {
        json_t *sums = qn_checkpoint_sum_counted(checkpoint, stage->counters, stage->counted, &failure);
        if (checkpoint->comm->rank == 0)
            note_stage(checkpoint, stage->index, files, sums, &failure);
        else
            json_decref(sums);
        status = qn_comm_agree(checkpoint->comm, &failure);
    }
    free(files);
    if (saves)
        qn_epochs_note(&checkpoint->when, start_ns, qn_clock_ns(), qn_result_get_saved_bytes(stage->result));
    if (saves)
        qn_checkpoint_note_saved(checkpoint, status, start_ns, "stage %u of run %u", stage->index, checkpoint->run);
    else
        qn_log_line(checkpoint->log, "checkpoint: stage %u of run %u not saved: %s", stage->index, checkpoint->run,
                    quern_status_name(status));
    return status == QUERN_OK ? QUERN_OK : qn_checkpoint_go_on_without(checkpoint, &failure, error);
}
