/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/faults/fault_job.h"

#include <quern/quern.h>
#include <stdio.h>
#include <unistd.h>

#include "scheduler/sim/sim_random.h"
#include "tools/faults/fault_disk.h"
#include "tools/faults/fault_graph.h"
#include "tools/faults/fault_text.h"

#define MIB             ((uint64_t)1 << 20)
#define STALL_PER_MILLE 1
#define STALL_NS        UINT64_C(30000000)
#define CALLS_A_MOMENT  64    /* a death for each call would hardly ever be elsewhere */
#define PAIRS_MAX       40000 /* of a join, about */
#define OTHERS_MAX      4000
#define PADDED_PERMILLE 80 /* of the jobs that sort, group or join */

const char *const qn_fault_kind_names[QN_FAULT_KIND_COUNT] = {
    [QN_FAULT_COUNTS] = "counts", [QN_FAULT_SORT] = "sort", [QN_FAULT_GROUP] = "group",
    [QN_FAULT_JOIN] = "join",     [QN_FAULT_LOOP] = "loop", [QN_FAULT_STORE] = "store",
};

static const qn_fault_job *played;
static uint32_t calls, failing_left;
static uint64_t failing_random;
static quern_status worst;
static bool is_wrong;

/* ---- chance */

/* Reductions are what most of the protocol is about. */
static qn_fault_kind draw_kind(uint64_t seed)
{
    static const qn_fault_kind kinds[] = {QN_FAULT_COUNTS, QN_FAULT_COUNTS, QN_FAULT_COUNTS, QN_FAULT_SORT,
                                          QN_FAULT_GROUP,  QN_FAULT_JOIN,   QN_FAULT_LOOP,   QN_FAULT_STORE};
    return kinds[qn_sim_mix(seed ^ 0x6b696e64) % (sizeof kinds / sizeof *kinds)];
}

static void draw_join(qn_fault_job *job, uint64_t *random)
{
    uint64_t copies = job->copy_count > 0 ? job->copy_count : 1;
    uint64_t others_max = PAIRS_MAX * (uint64_t)job->word_count / (job->line_count * copies) + 1;
    job->other_count = 1 + (uint32_t)qn_sim_below(random, others_max < OTHERS_MAX ? others_max : OTHERS_MAX);
    job->is_other_reduced = qn_sim_chance(random, 250);
    job->cogroups = qn_sim_chance(random, 200);
    job->join_type = QUERN_JOIN_INNER + (int)qn_sim_below(random, 6);
    job->join_strategy = qn_sim_chance(random, 700) ? QUERN_JOIN_SORT : (int)qn_sim_below(random, 4);
    job->join_outer = (int)qn_sim_below(random, 3);
    bool may_left = job->join_type == QUERN_JOIN_INNER || job->join_type == QUERN_JOIN_RIGHT;
    bool may_right = job->join_type != QUERN_JOIN_RIGHT && job->join_type != QUERN_JOIN_FULL;
    if ((job->join_strategy == QUERN_JOIN_BROADCAST_LEFT && !may_left) ||
        (job->join_strategy == QUERN_JOIN_BROADCAST_RIGHT && !may_right))
        job->join_strategy = QUERN_JOIN_AUTO;
}

static void draw_loop(qn_fault_job *job, uint64_t *random)
{
    job->iterates = qn_sim_chance(random, 400);
    job->turn_count = 1 + (uint32_t)qn_sim_below(random, QN_FAULT_TURNS_MAX);
    job->join_type = QUERN_JOIN_INNER;
    for (uint32_t turn = 0; turn < job->turn_count; turn++) {
        job->turn_ways[turn] = (qn_fault_turn_way)qn_sim_below(random, QN_FAULT_TURN_WAY_COUNT);
        job->gives[turn] = (uint32_t)qn_sim_below(random, 4);
        if (job->gives[turn] == 0 && !job->iterates)
            job->gives[turn] = QN_FAULT_GIVES_FILES;
    }
    job->end_way = (qn_fault_end_way)qn_sim_below(random, QN_FAULT_END_WAY_COUNT);
    job->flows = qn_sim_chance(random, 150);
}

static void draw_pad(qn_fault_job *job, uint64_t *random)
{
    uint64_t record_count = job->line_count * (uint64_t)(job->copy_count > 0 ? job->copy_count : 1);
    uint64_t bytes = (4 + qn_sim_below(random, 28)) * MIB / record_count;
    bool may_pad = job->kind == QN_FAULT_SORT || job->kind == QN_FAULT_GROUP || job->kind == QN_FAULT_JOIN;
    if (qn_sim_chance(random, PADDED_PERMILLE) && may_pad)
        job->pad_bytes = (uint32_t)(bytes < QN_FAULT_PAD_BYTES_MAX ? bytes : QN_FAULT_PAD_BYTES_MAX);
}

/* What other kinds have besides. */
static void draw_more(qn_fault_job *job)
{
    uint64_t random = qn_sim_mix(job->seed ^ 0x6d6f7265);
    job->source =
        qn_sim_chance(&random, 500) ? QN_FAULT_RECORDS : (qn_fault_source)qn_sim_below(&random, QN_FAULT_SOURCE_COUNT);
    job->descends = qn_sim_chance(&random, 400);
    job->compares = qn_sim_chance(&random, 250);
    job->has_whole_keys = qn_sim_chance(&random, 250);
    job->group_way = (qn_fault_group_way)qn_sim_below(&random, QN_FAULT_GROUP_WAY_COUNT);
    job->some_count = 1 + (uint32_t)qn_sim_below(&random, 4);
    draw_join(job, &random);
    draw_pad(job, &random);
    if (job->kind == QN_FAULT_LOOP)
        draw_loop(job, &random);
    if (job->kind != QN_FAULT_JOIN)
        job->other_count = 0;
    if (job->kind != QN_FAULT_STORE)
        return;
    job->store_way = (qn_fault_store_way)qn_sim_below(&random, QN_FAULT_STORE_WAY_COUNT);
    if (job->store_way == QN_FAULT_STORE_INDEX || job->store_way == QN_FAULT_STORE_SUMS)
        job->source = QN_FAULT_RECORDS; /* others have an order of the library's own */
}

qn_fault_job qn_fault_job_draw(uint64_t seed, qn_fault_kind kind)
{
    uint64_t random = qn_sim_mix(seed ^ 0x6a6f6273);
    qn_fault_job job = {
        .seed = seed,
        .kind = kind == QN_FAULT_KIND_COUNT ? draw_kind(seed) : kind,
        .line_count = 200 + (uint32_t)qn_sim_below(&random, qn_sim_chance(&random, 200) ? 30000 : 8000),
        .split_bytes = UINT64_C(4096) << qn_sim_below(&random, 3),
        .every_ms = 1 + qn_sim_below(&random, 12),
        .callback_ns = 200 + qn_sim_below(&random, 20000),
        .has_two_stages = qn_sim_chance(&random, 400),
        .saves = true,
    };
    job.word_count = 1 + (uint32_t)qn_sim_below(&random, qn_sim_chance(&random, 300) ? 20 : QN_FAULT_WORDS_MAX);
    job.copy_count = qn_sim_chance(&random, 500) ? 1 + (uint32_t)qn_sim_below(&random, 5) : 0;
    job.reads_both = qn_sim_mix(seed ^ 0x626f7468) % 4 == 0;
    job.writes_lines = qn_sim_mix(seed ^ 0x6c696e6573) % 4 == 0;
    job.task_batch = qn_sim_mix(seed ^ 0x6261746368) % 9; /* 0: by the load, which is low */
    job.memory_bytes = (qn_sim_chance(&random, 500) ? 16 : 64) * MIB;
    draw_more(&job);
    return job;
}

/* ---- an attempt */

int qn_fault_job_work(void)
{
    if (++calls % CALLS_A_MOMENT == 0)
        qn_fault_at(QN_FAULT_CALLBACK);
    bool stalls = calls % 16 == 0 && qn_fault_below(1000) < STALL_PER_MILLE;
    qn_fault_pass(1 + qn_fault_below(stalls ? STALL_NS : played->callback_ns));
    if (failing_left == 0 || qn_sim_below(&failing_random, played->line_count) > 2)
        return 0;
    failing_left--;
    qn_fault_trace("a callback fails");
    return 1;
}

static void set_options(quern_options *options)
{
    quern_options_init(options);
    options->memory_bytes = played->memory_bytes * qn_fault_get_weather()->rank_count;
    options->scratch_dir = ".";
    options->pin = options->crash_report = options->progress = QUERN_OFF;
    options->split_bytes = played->split_bytes;
    options->task_batch = played->task_batch;
    options->round_bytes = 64 << 10;
    if (!played->saves)
        return;
    options->checkpoint_dir = "saved";
    options->resume = QUERN_ON;
    options->checkpoint_every_ms = played->every_ms;
}

static void keep_outcome(quern_context *context, quern_status status, uint32_t rank)
{
    qn_fault_report *report = qn_fault_get_report();
    if (status == QUERN_OK)
        return;
    worst = status;
    if (report->text[0] == 0 && rank == 0)
        snprintf(report->text, sizeof report->text, "%s: %s", quern_status_name(status),
                 quern_context_error_text(context));
}

static void run_rank(uint32_t rank)
{
    quern_options options;
    quern_context *context = NULL;
    set_options(&options);
    quern_status status = quern_context_create(NULL, NULL, &options, &context);
    if (status == QUERN_OK)
        status = qn_fault_graph_run(played, context, &is_wrong);
    keep_outcome(context, status, rank);
    quern_context_destroy(context);
}

void qn_fault_job_play(const qn_fault_job *job, const qn_fault_weather *weather, qn_fault_report *report)
{
    played = job;
    calls = 0;
    failing_left = weather->failing_callbacks;
    failing_random = qn_sim_mix(weather->seed ^ 0x6661696c);
    worst = QUERN_OK;
    is_wrong = false;
    qn_fault_disk_watch();
    qn_fault_world_run(weather, report, run_rank);
    _exit(is_wrong ? QN_FAULT_WRONG : quern_exit_status(worst));
}
