/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/isolation.h"

#include "runtime/exec/apart.h"

/* The helper thread may be in the middle of anything while the gate is open. */
static void close_gate(void *user)
{
    qn_stage_run *run = user;
    qn_agent_enter(&run->agent);
}

static void open_gate(void *user)
{
    qn_stage_run *run = user;
    qn_agent_leave(&run->agent);
}

/* Who waits for callbacks has time for messages and rounds. */
static bool look_around(void *user)
{
    qn_stage_run *run = user;
    qn_agent_enter(&run->agent);
    qn_agent_progress_if_due(&run->agent);
    bool goes_on = !run->agent.aborted;
    qn_agent_leave(&run->agent);
    return goes_on;
}

/* In the child, whose engine is a copy. */
static void note(void *user, uint32_t chain, uint32_t task, uint32_t attempt)
{
    const qn_stage_run *run = user;
    qn_site *site = &run->engine->site;
    *site = (qn_site){
        .stage = site->stage, .chain = &run->chains[chain], .task = task, .attempt = attempt, .is_apart = true};
}

quern_status qn_isolation_begin(qn_stage_run *run, qn_error *error)
{
    qn_chain *chains[QN_LEG_COUNT_MAX];
    bool has_callbacks = false;
    for (uint32_t leg = 0; leg < run->stage->leg_count; leg++) {
        chains[leg] = &run->chains[leg];
        has_callbacks |= qn_chain_has_callbacks(chains[leg]);
    }
    qn_apart_config config = {
        .chains = chains,
        .chain_count = run->stage->leg_count,
        .timeout_ns = run->engine->settings.task_timeout_ns,
        .tells_crash = run->engine->is_watched,
        .user = run,
        .before_fork = close_gate,
        .after_fork = open_gate,
        .look_around = look_around,
        .note = note,
    };
    return has_callbacks ? qn_apart_create(&run->apart, &config, error) : QUERN_OK;
}

void qn_isolation_end(qn_stage_run *run)
{
    qn_apart_destroy(run->apart);
    run->apart = NULL;
}

/* Records that may be left out are held back block by block. */
bool qn_isolation_takes_loads(const qn_stage_run *run, uint32_t leg)
{
    return run->chains[leg].apart && !run->chains[leg].hold;
}

/* The blocks of a load, as they were read. */
typedef struct load_blocks {
    qn_text_place places[QN_APART_BLOCKS_MAX];
    uint32_t record_counts[QN_APART_BLOCKS_MAX];
    uint32_t count;
} load_blocks;

static quern_status put_block(qn_stage_run *run, const qn_source *source, const qn_batch *batch, load_blocks *blocks,
                              qn_error *failure)
{
    blocks->places[blocks->count] = *qn_source_block_place(source);
    blocks->record_counts[blocks->count++] = (uint32_t)batch->block.count;
    return qn_apart_put(run->apart, batch, failure);
}

static quern_status run_load(qn_stage_run *run, uint32_t leg, const load_blocks *blocks, uint64_t skip, bool is_last,
                             qn_load_outcome *outcome, qn_error *failure)
{
    uint32_t done = 0;
    quern_status status = qn_apart_run_load(run->apart, &run->chains[leg], skip, &done, failure);
    for (uint32_t i = 0; i < done; i++)
        outcome->record_count += blocks->record_counts[i];
    outcome->block_count += done;
    outcome->at = blocks->places[done < blocks->count ? done : 0];
    outcome->must_go_back = !is_last || done + 1 < blocks->count;
    return status;
}

static quern_status read_block(qn_stage_run *run, uint32_t leg, qn_source *source, qn_batch *batch_out,
                               qn_error *failure)
{
    quern_status status = qn_source_next(source, batch_out, failure);
    if (status == QUERN_OK && batch_out->block.count > 0 && qn_chain_samples(&run->chains[leg])) {
        qn_source_identify(source, batch_out->block.count, run->identities.of);
        batch_out->identity = run->identities.of;
    }
    return status;
}

quern_status qn_isolation_run(qn_stage_run *run, uint32_t leg, qn_source *source, uint64_t skip,
                              qn_load_outcome *outcome_out, qn_error *failure)
{
    qn_batch batch;
    qn_error unread = {0};
    load_blocks blocks = {.count = 0};
    quern_status status = QUERN_OK;
    bool has_block = true, fits = true;
    *outcome_out = (qn_load_outcome){.more = true};
    qn_apart_begin(run->apart, &run->chains[leg]);
    while (status == QUERN_OK && !qn_apart_is_full(run->apart)) {
        has_block = read_block(run, leg, source, &batch, &unread) == QUERN_OK && batch.block.count > 0;
        fits = has_block && qn_apart_fits(run->apart, &batch);
        if (!fits)
            break;
        status = put_block(run, source, &batch, &blocks, failure);
    }
    if (status == QUERN_OK && blocks.count > 0)
        status = run_load(run, leg, &blocks, skip, fits, outcome_out, failure);
    if (status == QUERN_OK && has_block && !fits) { /* it is still there, and the next load begins with it */
        blocks.count = 0;
        qn_apart_begin(run->apart, &run->chains[leg]);
        status = put_block(run, source, &batch, &blocks, failure);
        if (status == QUERN_OK)
            status = run_load(run, leg, &blocks, 0, true, outcome_out, failure);
    }
    outcome_out->more = has_block;
    outcome_out->read_failed = status == QUERN_OK && unread.status != QUERN_OK;
    if (!outcome_out->read_failed)
        return status;
    *failure = unread;
    return unread.status;
}
