/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/master_tell.h"

#include <stdio.h>

#define SAID_STREAMS_MAX 10
#define LOGGED_MAX       1000 /* failed attempts of a run, in the log */

/* Which packed files one rank each has to read, and why. */
static void say_streams(const qn_master *master, qn_progress *progress)
{
    uint32_t count = 0;
    for (uint32_t leg = 0; leg < master->tasks.leg_count; leg++) {
        const qn_listing *listing = &master->tasks.legs[leg].listing;
        bool passes_bad = qn_bad_limit_passes(&master->bad[leg].limit);
        for (size_t i = 0; i < listing->file_count; i++) {
            const qn_input_file *file = &listing->files[i];
            const char *why = passes_bad ? "its bad records are not a failure" : qn_listing_why_stream(file);
            if (file->packing == QN_PACKING_STREAM && count++ < SAID_STREAMS_MAX)
                qn_progress_say(progress, "%s: 1 reader: %s", file->path, why);
        }
    }
    if (count > SAID_STREAMS_MAX)
        qn_progress_say(progress, "%u more packed files have 1 reader each", count - SAID_STREAMS_MAX);
}

void qn_master_tell_tasks(const qn_master *master, const qn_master_config *config)
{
    qn_progress *progress = config->progress;
    qn_progress_say(progress, "%s: %s in %zu files, %u tasks on %u workers", master->stage_name,
                    qn_progress_bytes(master->tasks.bytes), master->tasks.file_count, master->tasks.count,
                    config->comm->size);
    if (config->far->count > 0)
        qn_progress_say(progress, "%s: %u of the tasks are of files that only one node has", master->stage_name,
                        config->far->count);
    if (master->tasks.whole_count > 0)
        qn_progress_say(progress, "%s: %zu files cannot be cut and have one reader each", master->stage_name,
                        master->tasks.whole_count);
    say_streams(master, progress);
    qn_one_reader whole = qn_task_list_find_one_reader(&master->tasks);
    char text[QN_ONE_READER_PATH_BYTES + 128];
    snprintf(text, sizeof text, "%llu files of '%s' cannot be split, the largest is %s",
             (unsigned long long)whole.count, master->stage_name, whole.path);
    if (config->comm->size == 1 || whole.bytes * config->comm->size < master->tasks.bytes || whole.count == 0)
        return;
    qn_log_line(master->log, "unsplittable input: %s", text);
    qn_progress_alert(progress, "unsplittable input", text);
}

void qn_master_tell_failed(qn_master *master, const qn_task_outcome *outcome, uint32_t from, const char *text,
                           size_t text_bytes)
{
    qn_failed_attempts *failed = master->failed;
    uint32_t number = failed->count++;
    if (number < LOGGED_MAX)
        qn_log_line(master->log, "%s: %s", master->stage_name, master->last_failure.text);
    else if (number == LOGGED_MAX)
        qn_log_line(master->log, "more attempts failed; the others are not told");
    if (number >= QN_FAILED_ATTEMPTS_MAX)
        return;
    qn_failed_attempt *kept = &failed->first[number];
    *kept =
        (qn_failed_attempt){.stage = failed->stage, .task = outcome->task, .attempt = outcome->attempt, .rank = from};
    snprintf(kept->text, sizeof kept->text, "%.*s", (int)text_bytes, text ? text : "");
}
