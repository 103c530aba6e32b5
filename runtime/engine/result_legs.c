/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/result_legs.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/data/key_text.h"
#include "runtime/engine/isolated_groups.h"
#include "runtime/engine/memory_leg.h"
#include "runtime/engine/result_feed.h"
#include "runtime/engine/stage_parts.h"
#include "runtime/engine/stretches.h"

#define GROUPS_AT_ONCE 16
#define GROUP_BYTES_MAX                                                                                                \
    ((uint64_t)1 << 20) /* of a group's values in memory: the part of a reader, which a leg of groups has not */

/* Appends to a failure's text where it happened, in a leg that reads a result. */
static void locate_in_result(const qn_chain *chain, const qn_node *source, const qn_batch *batch, qn_error *failure)
{
    bool exact = qn_chain_knows_record(chain, failure);
    uint32_t at = exact ? chain->failed_origin : 0;
    char key[QN_KEY_TEXT_BYTES_MAX + 1];
    size_t used = strlen(failure->text);
    qn_key_describe(source->schema.key, batch->block.key[at], batch->block.key_bytes[at], key);
    snprintf(failure->text + used, sizeof failure->text - used, ", %s '%s' %s key \"%s\" (%u bytes)",
             exact ? "on the record of" : "in the block of records of", source->name, exact ? "with" : "from", key,
             batch->block.key_bytes[at]);
}

/* feed: NULL where groups come from elsewhere. */
static void locate(const qn_stage_run *run, const qn_chain *chain, const qn_node *source, const qn_result_feed *feed,
                   const qn_batch *batch, qn_error *failure)
{
    if (feed && feed->memory)
        qn_memory_leg_locate(chain, feed->memory, run->engine->comm->rank, failure);
    else
        locate_in_result(chain, source, batch, failure);
}

/* The same block again and again until it passes or there were too many attempts: the data is here and nowhere else. */
static quern_status try_result_block(qn_stage_run *run, uint32_t leg, const qn_node *source, const qn_result_feed *feed,
                                     const qn_batch *batch, qn_error *error)
{
    uint64_t skip = 0;
    qn_chain *chain = &run->chains[leg];
    for (uint32_t attempt = 1;; attempt++) {
        qn_error failure = {0};
        run->figures.attempts++;
        quern_status status = qn_chain_run(chain, batch, skip, &failure);
        if (status == QUERN_OK)
            return QUERN_OK;
        run->figures.attempts_failed++;
        if (chain->ended_apart)
            qn_site_say_ended(run->engine->comm->rank, "a block of a result", attempt, &failure);
        if (!chain->callback_failed || chain->has_stretches || attempt == run->engine->settings.attempt_count_max) {
            locate(run, chain, source, feed, batch, &failure);
            return qn_error_set(error, failure.status, 0, "%s", failure.text);
        }
        qn_stage_log_attempt(run, "a block of a result", attempt, failure.text);
        skip = chain->delivered > skip ? chain->delivered : skip;
    }
}

/* Of groups, too, whose own chain is on the site meanwhile. */
static quern_status run_result_block(qn_stage_run *run, uint32_t leg, const qn_node *source, const qn_result_feed *feed,
                                     const qn_batch *batch, qn_error *error)
{
    qn_site *site = &run->engine->site;
    const qn_chain *before = site->chain;
    site->chain = &run->chains[leg];
    quern_status status = try_result_block(run, leg, source, feed, batch, error);
    site->chain = before;
    return status;
}

/* A failure of the worker's own becomes the agent's, unless that has one already. */
static void keep_failure(qn_stage_run *run, const qn_error *failure)
{
    if (failure->status != QUERN_OK && run->agent.error.status == QUERN_OK)
        run->agent.error = *failure;
}

static void identify(qn_stage_run *run, uint32_t leg, const qn_result_feed *feed, qn_batch *batch)
{
    if (feed->memory)
        qn_memory_leg_identify(run, leg, feed->memory, batch);
    else
        qn_identities_make(&run->identities, batch, qn_leg_source(run->stage, leg)->kind != QN_NODE_REDUCE);
}

static quern_status feed_result(qn_stage_run *run, uint32_t leg, qn_result_feed *feed)
{
    quern_status status = QUERN_OK;
    qn_error failure = {0};
    qn_batch batch = {0};
    run->identities = (qn_identities){0};
    do {
        status = qn_result_feed_next(feed, &batch, &failure);
        if (status == QUERN_OK && qn_chain_samples(&run->chains[leg]))
            identify(run, leg, feed, &batch);
        qn_agent_leave(&run->agent);
        if (status == QUERN_OK && batch.block.count > 0)
            status = run_result_block(run, leg, qn_leg_source(run->stage, leg), feed, &batch, &failure);
        qn_agent_enter(&run->agent);
        if (status == QUERN_OK) {
            run->source_records[leg] += batch.block.count;
            run->source_bytes[leg] += qn_batch_bytes(&batch);
        }
        qn_chain_note_counted(&run->chains[leg]);
        qn_agent_progress_if_due(&run->agent);
    } while (status == QUERN_OK && batch.block.count > 0 && !run->agent.aborted);
    keep_failure(run, &failure);
    return status;
}

quern_status qn_result_legs_end_in_chain(void *user, const qn_batch *batch, qn_error *error)
{
    const qn_leg_end *end = user;
    const qn_stage *stage = end->run->stage;
    qn_batch numbered = *batch;
    if (qn_chain_samples(&end->run->chains[end->leg]))
        qn_identities_make(&end->run->identities, &numbered, true);
    numbered.origin = NULL; /* they are the source records of the chain that follows */
    return run_result_block(end->run, end->leg, stage->steps[stage->legs[end->leg].first_step + 1], NULL, &numbered,
                            error);
}

/* Group by group, outside the gate but for progress now and then. */
static quern_status read_groups(qn_stage_run *run, uint32_t leg, const qn_grouper_config *config,
                                qn_group_reads *reads_out, qn_error *failure)
{
    qn_grouper *grouper = NULL;
    bool more = true;
    uint64_t before = run->source_records[leg];
    quern_status status = qn_collator_rewind(config->collator, failure);
    if (status == QUERN_OK && config->beside)
        status = qn_collator_rewind(config->beside, failure);
    if (status == QUERN_OK)
        status = qn_grouper_create(&grouper, config, failure);
    while (status == QUERN_OK && more) {
        for (int turn = 0; turn < GROUPS_AT_ONCE && status == QUERN_OK && more; turn++)
            status = qn_grouper_next(grouper, &more, failure);
        qn_agent_enter(&run->agent);
        run->source_records[leg] = before + qn_grouper_get_reads(grouper).record_count;
        qn_agent_progress_if_due(&run->agent);
        more &= !run->agent.aborted;
        qn_agent_leave(&run->agent);
    }
    *reads_out = grouper ? qn_grouper_get_reads(grouper) : (qn_group_reads){0};
    qn_grouper_destroy(grouper);
    return status;
}

static quern_status read_groups_apart(qn_stage_run *run, uint32_t leg, const qn_grouper_config *config,
                                      qn_group_reads *reads_out, qn_error *failure)
{
    quern_status status = qn_collator_sort(config->collator, failure);
    if (status == QUERN_OK && config->beside)
        status = qn_collator_sort(config->beside, failure);
    return status == QUERN_OK ? qn_isolated_groups_run(run, leg, config, reads_out, failure) : status;
}

static void count_groups(qn_stage_run *run, uint32_t leg, uint64_t before, const qn_group_reads *reads)
{
    const qn_result *beside = run->from[leg]->beside;
    run->source_records[leg] = before + reads->record_count;
    run->source_bytes[leg] += reads->bytes;
    run->figures.attempts += run->groupings[leg].turn_attempts;
    run->figures.attempts_failed += run->groupings[leg].turn_attempts_failed;
    if (beside && beside->collated->retired)
        run->beside_records[leg] += reads->beside_count;
}

static quern_status run_groups(qn_stage_run *run, uint32_t leg)
{
    qn_error failure = {0};
    qn_group_reads reads = {0};
    uint64_t before = run->source_records[leg];
    qn_grouper_config config = {
        .node = run->stage->steps[run->stage->legs[leg].first_step + 1],
        .collator = run->from[leg]->collated,
        .beside = run->from[leg]->beside ? run->from[leg]->beside->collated : NULL,
        .beside_side = run->from[leg]->beside_side,
        .chain = &run->groupings[leg],
        .attempt_count_max = run->engine->settings.attempt_count_max,
        .kept_bytes_max = GROUP_BYTES_MAX,
    };
    run->identities = (qn_identities){0};
    run->engine->site.chain = config.chain;
    qn_agent_leave(&run->agent); /* sorting may take long */
    quern_status status = qn_groups_are_isolated(run, leg) ? read_groups_apart(run, leg, &config, &reads, &failure)
                                                           : read_groups(run, leg, &config, &reads, &failure);
    if (status == QUERN_OK && !run->agent.aborted)
        status = qn_chain_end_turns(config.chain, reads.record_count, &failure);
    qn_agent_enter(&run->agent);
    run->engine->site.chain = NULL;
    count_groups(run, leg, before, &reads);
    keep_failure(run, &failure);
    return status;
}

bool qn_leg_has_groups(const qn_stage *stage, uint32_t leg)
{
    uint32_t first = stage->legs[leg].first_step + 1;
    return stage->legs[leg].operator_count > 0 && qn_node_is_grouping(stage->steps[first]) &&
           !qn_stage_looks_up(stage, first);
}

static quern_status end_part_of_result(qn_stage_run *run)
{
    quern_status status = QUERN_OK;
    if (run->agent.aborted)
        return status;
    qn_agent_leave(&run->agent); /* syncing may take long */
    status = qn_stage_end_part(run, &run->agent.error);
    qn_agent_enter(&run->agent);
    return status;
}

/* Whether the first records decide how all are divided; their order has no meaning then. */
static bool is_sampled(const qn_stage_run *run)
{
    return run->engine->comm->size > 1 && run->into && run->into->kind == QN_RESULT_COLLATED;
}

static quern_status open_feed(qn_stage_run *run, uint32_t leg, qn_result_feed *feed, qn_error *failure)
{
    const qn_node *source = qn_leg_source(run->stage, leg);
    if (!run->from[leg])
        return qn_result_feed_open_memory(feed, source, is_sampled(run), failure);
    return qn_result_feed_open(feed, run->from[leg], source, qn_stage_makes_parts(run), failure);
}

typedef struct part_feed {
    qn_result_feed *feed;
    size_t part;
} part_feed;

/* A part of what is here, from its begin. */
static quern_status feed_stretch(qn_stage_run *run, uint32_t leg, bool is_first, void *user)
{
    const part_feed *of = user;
    qn_error failure = {0};
    if (is_first)
        return feed_result(run, leg, of->feed);
    qn_result_feed_close(of->feed);
    *of->feed = (qn_result_feed){0};
    quern_status status = open_feed(run, leg, of->feed, &failure);
    keep_failure(run, &failure);
    if (status != QUERN_OK)
        return status;
    qn_result_feed_begin_part(of->feed, of->part, run->engine->comm->rank);
    return feed_result(run, leg, of->feed);
}

/* A part of a result that is read is a part of what is made. */
static quern_status run_result_part(qn_stage_run *run, uint32_t leg, qn_result_feed *feed, size_t part)
{
    uint64_t place = qn_result_feed_begin_part(feed, part, run->engine->comm->rank);
    if (run->places[leg])
        qn_chain_begin_part(&run->chains[leg], &run->places[leg][place]);
    quern_status status = qn_stage_begin_part(run, leg, place, false, &run->agent.error);
    part_feed of = {feed, part};
    if (status == QUERN_OK)
        status = qn_stretches_run(run, leg, place, feed_stretch, &of);
    return status == QUERN_OK ? end_part_of_result(run) : status;
}

static quern_status group_stretch(qn_stage_run *run, uint32_t leg, bool is_first, void *user)
{
    (void)is_first;
    (void)user;
    return run_groups(run, leg);
}

/* The groups of this rank are one part. */
static quern_status run_part_of_groups(qn_stage_run *run, uint32_t leg)
{
    quern_status status = qn_stage_begin_part(run, leg, run->engine->comm->rank, false, &run->agent.error);
    if (status == QUERN_OK)
        status = qn_stretches_run(run, leg, run->engine->comm->rank, group_stretch, NULL);
    return status == QUERN_OK ? end_part_of_result(run) : status;
}

static quern_status run_result(qn_stage_run *run, uint32_t leg)
{
    if (qn_leg_has_groups(run->stage, leg))
        return run_part_of_groups(run, leg);
    qn_result_feed feed = {0};
    qn_error failure = {0};
    size_t part_count = run->from[leg] ? qn_result_get_local_part_count(run->from[leg]) : 1;
    qn_agent_leave(&run->agent); /* sorting may take long */
    quern_status status = open_feed(run, leg, &feed, &failure);
    qn_agent_enter(&run->agent);
    keep_failure(run, &failure);
    for (size_t part = 0; part < part_count && status == QUERN_OK && !run->agent.aborted; part++)
        status = run_result_part(run, leg, &feed, part);
    qn_result_feed_close(&feed);
    return status;
}

static uint64_t count_records(const qn_stage_run *run, uint32_t leg)
{
    const qn_result *from = run->from[leg], *beside = from ? from->beside : NULL;
    if (!from)
        return qn_memory_arrays_count_elements(qn_leg_source(run->stage, leg)->of.arrays);
    return qn_result_get_record_count(from) + (beside ? qn_result_get_record_count(beside) : 0);
}

void qn_result_legs_run(qn_stage_run *run)
{
    qn_timeline_state before = qn_timeline_enter(QN_TIMELINE_REDUCE);
    uint64_t start_ns = qn_clock_ns();
    quern_status status = QUERN_OK;
    uint32_t count = 0;
    for (uint32_t leg = 0; leg < run->stage->leg_count; leg++)
        if (!qn_leg_has_tasks(run->stage, leg))
            run->result_records += count_records(run, leg);
    for (uint32_t leg = 0; leg < run->stage->leg_count && status == QUERN_OK && !run->agent.aborted; leg++) {
        if (qn_leg_has_tasks(run->stage, leg))
            continue;
        status = run_result(run, leg);
        count++;
    }
    run->figures.work_ns += count > 0 ? qn_clock_ns() - start_ns : 0;
    qn_timeline_enter(before);
    if (status == QUERN_OK && count > 0)
        qn_agent_report_idle(&run->agent);
    else if (status != QUERN_OK && !run->agent.aborted)
        qn_agent_break(&run->agent, &run->agent.error);
}
