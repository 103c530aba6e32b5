/* SPDX-License-Identifier: BSD-3-Clause */
/* What rank 0 tells of a run besides how far it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/engine/engine_internal.h"

/* What is known before anything is done. */
void qn_engine_tell_place(qn_engine *engine)
{
    const char *source = engine->settings.memory_source;
    char text[128];
    snprintf(text, sizeof text, "%u ranks share a core", engine->place.sharers);
    if (engine->place.sharers > 1)
        qn_progress_alert(&engine->progress, "oversubscribed core", text);
    snprintf(text, sizeof text, "the memory budget is what %s allows, not what the machine has", source);
    if (strncmp(source, "cgroup", 6) == 0 || strncmp(source, "SLURM", 5) == 0)
        qn_progress_alert(&engine->progress, "budget cut", text);
}

void qn_engine_tell_disk(void *user, const char *kind, const char *text)
{
    qn_engine *engine = user;
    qn_progress_alert(&engine->progress, kind, text);
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
