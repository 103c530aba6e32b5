/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/rank_shows.h"

#include <string.h>

#include "runtime/engine/board.h"
#include "runtime/engine/heartbeat.h"
#include "runtime/engine/stage_run.h"

#define EVERY_NS         QN_NS_PER_S
#define LOOK_NS_PER_NODE (10 * QN_NS_PER_MS) /* at a disk: all nodes together a hundred times a second */
#define EVERY_NS_PER_RANK                                                                                              \
    QN_NS_PER_MS /* where each sends its own: at most a thousand messages a second come to rank 0 */

static uint64_t work_ns_of(const qn_stage_run *run, uint64_t now_ns)
{
    uint64_t ns[QN_TIMELINE_STATE_COUNT];
    const uint64_t *begin_ns = run->shows.begin_ns;
    qn_timeline_sum_now(run->engine->timeline, now_ns, ns);
    uint64_t now = ns[QN_TIMELINE_MAP] + ns[QN_TIMELINE_REDUCE];
    uint64_t before = begin_ns[QN_TIMELINE_MAP] + begin_ns[QN_TIMELINE_REDUCE];
    return now > before ? now - before : 0;
}

/* Also of the block that is being worked on. While none more is counted it does not go back, though another operator begins with what the first emitted. */
static uint64_t records_of(qn_stage_run *run, uint64_t shown_before)
{
    uint64_t counted = 0;
    const qn_chain *chain = run->engine->site.chain; /* once: the working thread may be about to change it */
    for (uint32_t leg = 0; leg < run->stage->leg_count; leg++)
        counted += run->source_records[leg];
    uint64_t now = counted + (chain ? qn_chain_get_uncounted(chain) : 0);
    bool is_same = counted == run->shows.counted_records;
    run->shows.counted_records = counted;
    return is_same && shown_before > now ? shown_before : now;
}

/* What has a lock: the gate. */
static void show_gated(qn_stage_run *run, qn_rank_figures *figures)
{
    const qn_site *site = &run->engine->site;
    figures->task = site->source ? site->task : QN_RANK_NO_TASK;
    figures->attempt = site->source ? site->attempt : 0;
    figures->tasks = run->figures.tasks;
    figures->records = records_of(run, figures->records);
    figures->result_records = run->result_records;
    if (!run->into)
        return;
    const qn_rounds *rounds = qn_result_get_rounds(run->into);
    figures->rounds = rounds->completed;
    figures->sent_bytes = rounds->sent_bytes;
    figures->spilled_bytes = qn_result_get_stats(run->into).spilled_bytes;
}

/* What the working thread alone touches. */
static void show_own(qn_stage_run *run, qn_rank_show *show)
{
    const qn_hot_key *hottest[QN_HOT_KEYS_SHOWN];
    const qn_source *source = run->engine->site.source;
    uint64_t bytes = source ? qn_source_done_bytes(source) : 0;
    for (uint32_t leg = 0; leg < run->stage->leg_count; leg++)
        bytes += run->source_bytes[leg];
    if (bytes > show->figures.bytes) /* a task that is left, or whose rest is not known, takes nothing back */
        show->figures.bytes = bytes;
    if (run->stored)
        show->figures.spilled_bytes = qn_result_get_stats(run->stored).spilled_bytes;
    size_t count = qn_hot_keys_rank(&run->hot_keys, 1, hottest);
    for (size_t i = 0; i < QN_RANK_KEYS_MAX; i++)
        show->keys[i] = i < count ? *hottest[i] : (qn_hot_key){0};
    show->sample_count = run->hot_keys.sample_count;
}

static void show_this_rank(qn_stage_run *run, uint64_t now_ns, bool is_worker)
{
    const qn_engine *engine = run->engine;
    qn_rank_show *show = qn_heartbeat_get_own_show(engine->heartbeat);
    uint64_t resident_bytes = qn_timeline_query_memory(engine->timeline);
    if (show->figures.stage != run->agent.stage)
        *show = (qn_rank_show){.figures = {.rank = engine->comm->rank, .stage = run->agent.stage}};
    show_gated(run, &show->figures);
    if (is_worker)
        show_own(run, show);
    show->figures.used_bytes = resident_bytes > engine->begun_bytes ? resident_bytes - engine->begun_bytes : 0;
    show->figures.memory_bytes = engine->settings.rank_memory_bytes;
    show->figures.work_ns = work_ns_of(run, now_ns);
}

static void merge_keys(const qn_stage_run *run, qn_shown_keys *keys_out)
{
    qn_hot_keys all = {0};
    const qn_hot_key *hottest[QN_HOT_KEYS_SHOWN];
    qn_heartbeat *heartbeat = run->engine->heartbeat;
    for (uint32_t i = 0; i < qn_heartbeat_get_count(heartbeat); i++) {
        qn_hot_keys one = {0};
        qn_rank_show show = qn_heartbeat_look(heartbeat, i);
        if (show.figures.stage != run->agent.stage)
            continue;
        one.sample_count = show.sample_count;
        memcpy(one.keys, show.keys, sizeof show.keys);
        qn_hot_keys_merge(&all, &one);
    }
    size_t count = qn_hot_keys_rank(&all, 1, hottest);
    keys_out->sample_count = all.sample_count;
    for (size_t i = 0; i < count && i < QN_SHOWN_KEYS_MAX; i++)
        keys_out->keys[i] = *hottest[i];
}

/* Who has shown nothing of this stage yet is there with nothing done. */
static qn_rank_figures look_at(const qn_stage_run *run, uint32_t member)
{
    qn_rank_figures figures = qn_heartbeat_look(run->engine->heartbeat, member).figures;
    if (figures.stage == run->agent.stage)
        return figures;
    return (qn_rank_figures){
        .rank = figures.rank, .state = figures.state, .task = QN_RANK_NO_TASK, .silent_ns = figures.silent_ns};
}

static void hand_in(qn_stage_run *run, const qn_shown *shown, uint64_t now_ns)
{
    if (run->engine->board)
        qn_board_take(run->engine->board, shown, now_ns);
    else
        qn_agent_show(&run->agent, shown, sizeof *shown);
}

/* The more rarely the more nodes there are, which may have one and the same. */
static qn_disk_view look_at_scratch(qn_engine *engine)
{
    uint64_t every_ns = engine->comm->node_count * LOOK_NS_PER_NODE;
    if (!engine->scratch)
        engine->scratch = qn_disk_watch_start(engine->settings.scratch_dir, every_ns > EVERY_NS ? every_ns : EVERY_NS);
    return qn_disk_watch_get(engine->scratch);
}

static void show_node(qn_stage_run *run, uint64_t now_ns)
{
    const qn_engine *engine = run->engine;
    qn_disk_view scratch = look_at_scratch(run->engine);
    uint32_t count = qn_heartbeat_get_count(engine->heartbeat);
    qn_shown shown = {
        .node = engine->comm->node, .scratch_bytes = scratch.bytes, .scratch_free_bytes = scratch.free_bytes};
    qn_heartbeat_get_host(engine->heartbeat, shown.host, sizeof shown.host);
    merge_keys(run, &shown.keys);
    for (uint32_t i = 0; i < count; i++) {
        shown.ranks[shown.count++] = look_at(run, i);
        if (shown.count < QN_SHOWN_RANKS_MAX && i + 1 < count)
            continue;
        hand_in(run, &shown, now_ns);
        shown.count = 0;
    }
}

static void show(void *user, uint64_t now_ns, bool is_worker)
{
    qn_stage_run *run = user;
    show_this_rank(run, now_ns, is_worker);
    if (qn_heartbeat_speaks(run->engine->heartbeat))
        show_node(run, now_ns);
    if (run->engine->board)
        qn_board_judge(run->engine->board, now_ns);
}

void qn_rank_shows_start(qn_stage_run *run)
{
    const qn_engine *engine = run->engine;
    uint64_t own_ns = engine->comm->size * EVERY_NS_PER_RANK;
    bool has_memory = qn_heartbeat_get_count(engine->heartbeat) == engine->comm->node_size;
    if (!engine->settings.shows_ranks)
        return;
    if (!run->shows.has_begun)
        qn_timeline_sum_now(engine->timeline, qn_clock_ns(), run->shows.begin_ns);
    run->shows.has_begun = true;
    run->agent.show = show;
    run->agent.show_user = run;
    run->agent.show_every_ns = has_memory || own_ns < EVERY_NS ? EVERY_NS : own_ns;
}
