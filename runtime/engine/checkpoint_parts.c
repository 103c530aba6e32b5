/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines about parts of outputs that are finished. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/engine/checkpoint_internal.h"

bool qn_checkpoint_can_note_parts(const qn_checkpoint *checkpoint, const qn_stages *stages, uint32_t index)
{
    const qn_stage *stage = &stages->items[index];
    bool has_splits = true;
    for (uint32_t leg = 0; leg < stage->leg_count; leg++)
        has_splits &= qn_leg_has_tasks(stage, leg);
    /* Rows of HDF5 have no place yet, and are removed when they have one. */
    bool has_files = stage->sink && (stage->sink->kind == QN_SINK_TEXT || stage->sink->kind == QN_SINK_FIXED);
    return checkpoint->directory && has_splits && has_files && !checkpoint->settings->check &&
           (checkpoint->certain >> index & 1);
}

/* An attempt's first line says all that there is, the others what is new. */
quern_status qn_checkpoint_read_parts(qn_checkpoint *checkpoint, json_t *line, qn_error *error)
{
    json_t *before =
        qn_checkpoint_find_line(checkpoint->parts, qn_json_get_number(line, "run"), qn_json_get_number(line, "stage"));
    if (!before || json_is_true(json_object_get(line, "whole")))
        return qn_checkpoint_take_line(checkpoint->parts, line, error);
    if (!json_is_array(json_object_get(line, "parts")))
        return QUERN_OK; /* it says nothing */
    json_object_set(before, "tasks", json_object_get(line, "tasks"));
    return json_array_extend(json_object_get(before, "parts"), json_object_get(line, "parts")) == 0
               ? QUERN_OK
               : qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a checkpoint");
}

void qn_checkpoint_choose_parts(qn_checkpoint *checkpoint, const qn_stages *stages, uint32_t index)
{
    const json_t *line = qn_checkpoint_find_line(checkpoint->parts, checkpoint->run, index);
    const char *reason = line ? qn_checkpoint_why_not(checkpoint, line, index) : "no part of it was noted";
    if (!reason) {
        checkpoint->noted |= UINT64_C(1) << index;
        return;
    }
    qn_checkpoint_say(checkpoint, "the output %s of run %u begins again: %s", stages->items[index].sink->directory,
                      checkpoint->run, reason);
}

bool qn_checkpoint_get_parts(const qn_checkpoint *checkpoint, uint32_t stage, qn_part_list *list, uint64_t *count_out)
{
    qn_task_state state;
    const json_t *line = qn_checkpoint_find_line(checkpoint->parts, checkpoint->run, stage);
    *count_out = 0;
    if (!line || !qn_task_state_parse(&state, json_object_get(line, "tasks")))
        return false;
    *count_out = state.count;
    qn_task_state_fini(&state);
    return qn_part_list_parse(list, json_object_get(line, "parts"), *count_out);
}

bool qn_checkpoint_get_made(const qn_checkpoint *checkpoint, uint32_t stage, const qn_part_list *list,
                            qn_task_state *state_out)
{
    const json_t *line = qn_checkpoint_find_line(checkpoint->parts, checkpoint->run, stage);
    *state_out = (qn_task_state){0};
    if (!line || !qn_task_state_parse(state_out, json_object_get(line, "tasks")))
        return false;
    memset(state_out->done, 0, state_out->count * sizeof *state_out->done);
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].number < state_out->count)
            state_out->done[list->items[i].number] = true;
    return true;
}

static json_t *describe_parts(const qn_part_notes *notes, qn_master *master, qn_error *error)
{
    json_t *tasks = NULL;
    if (qn_master_pack_tasks(master, &tasks, error) != QUERN_OK)
        return NULL;
    json_t *line = qn_checkpoint_describe(notes->checkpoint, notes->stage, NULL, NULL, tasks);
    if (json_object_set_new(line, "event", json_string("parts")) == 0 &&
        json_object_set_new(line, "whole", json_boolean(!notes->has_begun)) == 0 &&
        json_object_set_new(line, "parts", qn_part_list_pack(&master->made)) == 0)
        return line;
    json_decref(line);
    qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a checkpoint");
    return NULL;
}

static quern_status note(qn_part_notes *notes, qn_master *master, qn_error *error)
{
    json_t *line = describe_parts(notes, master, error);
    quern_status status = line ? qn_file_sync_directory(notes->directory, error) : error->status;
    if (status != QUERN_OK) {
        json_decref(line);
        return status;
    }
    return qn_checkpoint_append(notes->checkpoint, line, error);
}

void qn_checkpoint_note_parts(qn_part_notes *notes, qn_master *master)
{
    qn_error failure = {0};
    qn_checkpoint *checkpoint = notes->checkpoint;
    uint64_t start_ns = qn_clock_ns();
    if (notes->has_failed || master->made.count == 0)
        return;
    quern_status status = note(notes, master, &failure);
    qn_epochs_note(&notes->when, start_ns, qn_clock_ns(), 0);
    qn_checkpoint_note_saved(checkpoint, status, start_ns, "%zu parts of stage %u of run %u", master->made.count,
                             notes->stage, checkpoint->run);
    if (status == QUERN_OK) {
        notes->has_begun = true;
        master->made.count = 0;
        return;
    }
    notes->has_failed = true;
    qn_checkpoint_say(checkpoint, "no more parts of %s are noted: %s", notes->directory, failure.text);
}

void qn_checkpoint_watch_parts(void *user, qn_master *master, bool ends)
{
    qn_part_notes *notes = user;
    if (master->made.count > notes->taken_up && (ends || qn_epochs_is_due(&notes->when, qn_clock_ns(), 0))) {
        qn_checkpoint_note_parts(notes, master);
        notes->taken_up = 0;
    }
}
