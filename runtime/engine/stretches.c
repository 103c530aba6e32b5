/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/stretches.h"

#include "runtime/exec/stretch.h"

static void keep_failure(qn_stage_run *run, const qn_error *failure)
{
    if (failure->status != QUERN_OK && run->agent.error.status == QUERN_OK)
        run->agent.error = *failure;
}

static quern_status begin(qn_stage_run *run, qn_chain *chain, const quern_stretch *stretch)
{
    qn_error failure = {0};
    qn_agent_leave(&run->agent);
    quern_status status = qn_stretch_begin(chain, stretch, &failure);
    qn_agent_enter(&run->agent);
    keep_failure(run, &failure);
    return status;
}

static quern_status end(qn_stage_run *run, qn_chain *chain, bool counts)
{
    qn_error failure = {0};
    qn_agent_leave(&run->agent);
    quern_status status = counts ? qn_stretch_end(chain, &failure) : QUERN_OK;
    qn_stretch_drop(chain);
    qn_agent_enter(&run->agent);
    keep_failure(run, &failure);
    return status;
}

static quern_status try_once(qn_stage_run *run, uint32_t leg, const quern_stretch *stretch, qn_stretches_feed_fn feed,
                             void *user)
{
    qn_chain *chain = &run->chains[leg];
    run->engine->site.chain = chain;
    quern_status status = begin(run, chain, stretch);
    if (status == QUERN_OK)
        status = feed(run, leg, stretch->attempt == 1, user);
    run->engine->site.chain = chain;
    quern_status at_end = end(run, chain, status == QUERN_OK && !run->agent.aborted);
    run->engine->site.chain = NULL;
    return status != QUERN_OK ? status : at_end;
}

quern_status qn_stretches_run(qn_stage_run *run, uint32_t leg, uint64_t part, qn_stretches_feed_fn feed, void *user)
{
    qn_chain *chain = &run->chains[leg];
    quern_stretch stretch = {.task = (uint32_t)part, .attempt = 1};
    if (!chain->has_stretches)
        return feed(run, leg, true, user);
    for (;; stretch.attempt++) {
        uint64_t records = run->source_records[leg], bytes = run->source_bytes[leg];
        qn_chain_mark(chain);
        quern_status status = try_once(run, leg, &stretch, feed, user);
        bool can_be_again = user && chain->callback_failed && chain->delivered == 0 && !run->agent.aborted;
        if (status == QUERN_OK || !can_be_again || stretch.attempt >= run->engine->settings.attempt_count_max)
            return status;
        qn_chain_roll_back(chain);
        qn_stage_log_attempt(run, "a stretch", stretch.attempt, run->agent.error.text);
        qn_error_clear(&run->agent.error);
        run->source_records[leg] = records;
        run->source_bytes[leg] = bytes;
        run->figures.attempts_failed++;
    }
}
