/* SPDX-License-Identifier: BSD-3-Clause */
/* What rank 0 tells of a run besides how far it is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/engine/engine_internal.h"
#include "runtime/io/listing.h"
#include "runtime/plan/foresee.h"

#define PLAN_PATH_BYTES 4096

void qn_engine_tell_alert(void *user, const char *kind, const char *text)
{
    qn_engine *engine = user;
    if (engine->comm->rank == 0)
        qn_log_line(&engine->log, "%s: %s", kind, text);
    qn_progress_alert(&engine->progress, kind, text);
}

/* What is known before anything is done. */
void qn_engine_tell_place(qn_engine *engine)
{
    const char *source = engine->settings.memory_source;
    char text[128];
    snprintf(text, sizeof text, "%u ranks share a core", engine->place.sharers);
    if (engine->place.sharers > 1)
        qn_engine_tell_alert(engine, "oversubscribed core", text);
    snprintf(text, sizeof text, "the memory budget is what %s allows, not what the machine has", source);
    if (strncmp(source, "cgroup", 6) == 0 || strncmp(source, "SLURM", 5) == 0)
        qn_engine_tell_alert(engine, "budget cut", text);
}

/* Once, when the run is over, so that a file of what was said holds one graph for each run. */
void qn_engine_show_plan(qn_engine *engine)
{
    quern_explain_form form = engine->settings.explain;
    char *text = NULL;
    qn_error ignored = {0}; /* a plan that cannot be shown must not end a job */
    bool is_there = engine->comm->rank == 0 && engine->account && engine->account->ran;
    if (!is_there || (form != QUERN_EXPLAIN_TEXT && form != QUERN_EXPLAIN_DOT))
        return;
    if (qn_account_explain(engine->account, form, &text, &ignored) == QUERN_OK)
        qn_progress_tell(&engine->progress, QUERN_EVENT_PLAN, text);
    free(text);
}

/* The sizes of files, as far as that is quickly looked up, and of what is kept. */
void qn_engine_foresee(const qn_engine *engine, qn_account *account)
{
    for (uint32_t i = 0; i < account->stages.count; i++) {
        const qn_stage *stage = &account->stages.items[i];
        qn_stage_facts *facts = &account->facts[i];
        for (uint32_t leg = 0; leg < stage->leg_count; leg++) {
            const qn_text_input *text = &qn_leg_source(stage, leg)->text;
            uint64_t bytes;
            if (qn_leg_has_tasks(stage, leg) && !text->is_on_nodes &&
                qn_listing_foresee(text->paths, text->path_count, &bytes))
                facts->reads[leg] = (qn_foreseen){QN_FORESEEN_ABOUT, bytes};
        }
    }
    qn_cache_tell_sizes(&engine->cache, account);
    qn_foresee(account);
}

/* Whole, or not there. */
static quern_status write_plan(const char *directory, const char *name, const char *text, qn_error *error)
{
    char path[PLAN_PATH_BYTES], new_path[PLAN_PATH_BYTES + 8];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, ENAMETOOLONG, "cannot write a plan to %s", directory);
    snprintf(new_path, sizeof new_path, "%s.new", path);
    FILE *file = fopen(new_path, "we");
    bool is_written = file && fputs(text, file) >= 0;
    if (file && fclose(file) != 0)
        is_written = false;
    if (is_written && rename(new_path, path) == 0)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot write %s", path);
}

quern_status qn_engine_give_plan(qn_engine *engine, const char *text, qn_error *error)
{
    bool is_graph = engine->settings.explain == QUERN_EXPLAIN_ONLY_DOT;
    if (engine->comm->rank != 0)
        return QUERN_OK;
    if (engine->settings.job_dir)
        return write_plan(engine->settings.job_dir, is_graph ? "plan.dot" : "plan.txt", text, error);
    qn_progress_tell(&engine->progress, QUERN_EVENT_PLAN, text);
    qn_progress_drain(&engine->progress);
    return QUERN_OK;
}
