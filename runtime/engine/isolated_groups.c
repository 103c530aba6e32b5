/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/isolated_groups.h"

#include <stdio.h>
#include <string.h>

#include "runtime/data/key_text.h"
#include "runtime/exec/apart.h"

typedef struct isolated_groups {
    qn_stage_run *run;
    uint32_t leg;
    const qn_grouper_config *config;
    uint64_t records_before; /* of the leg */
    qn_apart *apart;
} isolated_groups;

/* ---- in the rank */

static void share(const qn_grouper_config *config, bool with_child)
{
    qn_collator_share(config->collator, with_child);
    if (config->beside)
        qn_collator_share(config->beside, with_child);
}

static void before_fork(void *user)
{
    const isolated_groups *groups = user;
    qn_agent_enter(&groups->run->agent); /* the helper thread may be in the middle of anything while the gate is open */
    share(groups->config, true);
}

static void after_fork(void *user)
{
    const isolated_groups *groups = user;
    share(groups->config, false);
    qn_agent_leave(&groups->run->agent);
}

static bool look_around(void *user)
{
    const isolated_groups *groups = user;
    qn_stage_run *run = groups->run;
    qn_agent_enter(&run->agent);
    run->source_records[groups->leg] = groups->records_before + qn_apart_get_view(groups->apart)->record_count;
    qn_agent_progress_if_due(&run->agent);
    bool goes_on = !run->agent.aborted;
    qn_agent_leave(&run->agent);
    return goes_on;
}

/* ---- in the child */

static void note(void *user, uint32_t chain, uint32_t task, uint32_t attempt)
{
    const isolated_groups *groups = user;
    qn_site *site = &groups->run->engine->site;
    (void)chain;
    *site = (qn_site){.stage = site->stage,
                      .chain = &groups->run->groupings[groups->leg],
                      .task = task,
                      .attempt = attempt,
                      .is_apart = true};
}

static void begin_turn(void *user, uint64_t turn, quern_span key)
{
    const isolated_groups *groups = user;
    qn_apart_begin_turn(groups->apart, turn, key);
}

static quern_status end_turn(void *user, uint64_t turn, qn_error *error)
{
    const isolated_groups *groups = user;
    (void)error; /* the chain has it */
    return qn_apart_end_turn(groups->apart, turn);
}

static void show_reads(const isolated_groups *groups, const qn_grouper *grouper)
{
    volatile qn_apart_turn_view *view = qn_apart_get_view(groups->apart);
    qn_group_reads reads = qn_grouper_get_reads(grouper);
    view->record_count = reads.record_count;
    view->bytes = reads.bytes;
    view->beside_count = reads.beside_count;
}

static quern_status take_turns(void *user, uint64_t first, qn_error *error)
{
    isolated_groups *groups = user;
    qn_grouper *grouper = NULL;
    bool more = true;
    const qn_turn_watch watch = {begin_turn, end_turn, groups};
    qn_grouper_config config = *groups->config;
    config.first_turn = first;
    config.watch = &watch;
    quern_status status = qn_collator_rewind(config.collator, error);
    if (status == QUERN_OK && config.beside)
        status = qn_collator_rewind(config.beside, error);
    if (status == QUERN_OK)
        status = qn_grouper_create(&grouper, &config, error);
    while (status == QUERN_OK && more) {
        status = qn_grouper_next(grouper, &more, error);
        show_reads(groups, grouper);
    }
    qn_grouper_destroy(grouper);
    return status;
}

/* ---- attempts */

static void name_key(const isolated_groups *groups, qn_error *failure)
{
    qn_apart_turn_view view = *qn_apart_get_view(groups->apart);
    char key[QN_KEY_TEXT_BYTES_MAX + 1];
    size_t used = strlen(failure->text);
    bool is_whole = view.key_bytes <= sizeof view.key;
    quern_type type = groups->config->collator->config.collation.layout.key_type;
    if (!view.is_in_turn)
        return;
    qn_key_describe(is_whole ? type : QUERN_BYTES, view.key, is_whole ? view.key_bytes : sizeof view.key, key);
    snprintf(failure->text + used, sizeof failure->text - used, ", on the group with key \"%s\" (%llu bytes)", key,
             (unsigned long long)view.key_bytes);
}

static void count_attempts(const isolated_groups *groups, bool ended)
{
    qn_chain *chain = &groups->run->groupings[groups->leg];
    const volatile qn_apart_turn_view *view = qn_apart_get_view(groups->apart);
    chain->turn_attempts = view->attempts + ended;
    chain->turn_attempts_failed = view->attempts_failed + ended;
}

/* From one end of the process to the next, until all turns are through or one of them was tried too often. */
static quern_status run_attempts(const isolated_groups *groups, qn_error *error)
{
    qn_chain *chain = &groups->run->groupings[groups->leg];
    uint64_t through = 0, skip = 0, last_turn = UINT64_MAX;
    for (uint32_t attempt = 1;; attempt++) {
        qn_error failure = {0};
        uint64_t before = through;
        quern_status status = qn_apart_run_turns(groups->apart, chain, skip, &through, &failure);
        bool ended = status != QUERN_OK && chain->ended_apart;
        count_attempts(groups, ended);
        uint64_t turn = qn_apart_get_view(groups->apart)->turn;
        if (through > before && turn != last_turn)
            attempt = 1;
        if (ended) {
            name_key(groups, &failure);
            qn_site_say_ended(groups->run->engine->comm->rank, "a group", attempt, &failure);
        }
        if (!ended || attempt >= groups->config->attempt_count_max)
            return status == QUERN_OK ? status : qn_error_set(error, failure.status, 0, "%s", failure.text);
        qn_stage_log_attempt(groups->run, "a group", attempt, failure.text);
        skip = through > before || chain->delivered > skip ? chain->delivered : skip;
        last_turn = turn;
    }
}

bool qn_groups_are_isolated(const qn_stage_run *run, uint32_t leg)
{
    return run->engine->settings.isolate && qn_apart_can_run(&run->groupings[leg]);
}

quern_status qn_isolated_groups_run(qn_stage_run *run, uint32_t leg, const qn_grouper_config *config,
                                    qn_group_reads *reads_out, qn_error *error)
{
    qn_chain *chain = &run->groupings[leg];
    isolated_groups groups = {run, leg, config, run->source_records[leg], NULL};
    qn_apart_config apart_config = {
        .chains = &chain,
        .chain_count = 1,
        .timeout_ns = run->engine->settings.task_timeout_ns,
        .tells_crash = run->engine->is_watched,
        .user = &groups,
        .before_fork = before_fork,
        .after_fork = after_fork,
        .look_around = look_around,
        .note = note,
        .take_turns = take_turns,
    };
    quern_status status = qn_apart_create(&groups.apart, &apart_config, error);
    if (status != QUERN_OK)
        return status;
    status = run_attempts(&groups, error);
    const volatile qn_apart_turn_view *view = qn_apart_get_view(groups.apart);
    *reads_out = (qn_group_reads){view->record_count, view->bytes, view->beside_count};
    qn_apart_destroy(groups.apart);
    return status;
}
